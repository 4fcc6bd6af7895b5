//! How fast answers become rows on a PostgreSQL server, against the server's own `COPY`.
//!
//! A private server is started with waiting for the disk as in real life. Everything is measured in
//! turns in one run: an answer of 336 half-hours a transaction, and all rows in one or a few large ones,
//! each as the store's upsert alone and as whole answers; and the bulk path of `linkyd db copy`. The
//! yardstick is `COPY` in its binary format, of the same rows, into a table with the same key. Last comes
//! what the server writes to its log when the same comes again, from the server's own counters.

#[path = "support/figures.rs"]
mod figures;
#[path = "../tests/postgres/server.rs"]
#[expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests' own; a bench may fail as they do")]
mod server;
#[path = "support/postgres.rs"]
mod support;

use linkyd::domain::{Api, CurvePoint, Dataset, Day, Days, Interval, SameDay, Step, Values, paris};
use linkyd::source::Pool;
use linkyd::store::copy::{Bulk as _, Cells, Chunk, Held, TABLES};
use linkyd::store::postgres::PostgresStore;
use linkyd::store::{Answer, CallEnd, CallId, MeterId, NewCall, Reserved, SourceId, Store as _, Window};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use figures::{Outcome, StopWatch, line, median};
use server::{Database, Server};
use support::{UNBOUND, connect, durable, setup};

const METERS: i64 = 20;
const WEEKS: i32 = 52;
const ROUNDS: usize = 3;
const CURVE: Dataset = Dataset::ConsumptionLoadCurve;

/// The day after the last one.
const END: &str = "2026-11-24";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let server = durable().await;

    let week = spans(7, WEEKS)?;
    let year = spans(7 * WEEKS, 1)?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let copied = copy(server, &week).await?;
        let upserted = upsert(server, &week, false).await?;
        let (committed, again) = commit(server, &week).await?;
        let copied_at_once = copy_at_once(server, &year).await?;
        let upserted_at_once = upsert(server, &year, true).await?;
        let (years, _) = commit(server, &year).await?;
        let bulk = bulk(server, &year).await?;
        rounds.push(Round { copied, upserted, committed, again, copied_at_once, upserted_at_once, years, bulk });
    }
    let of = |pick: fn(&Round) -> f64| median(rounds.iter().map(pick).collect());
    line(&format!("{} rows into fresh tables (rows/s, medians of {ROUNDS})", METERS * i64::from(WEEKS) * 336))?;
    line("                                                COPY       linkyd   ratio")?;
    let show = |what: &str, copy: fn(&Round) -> f64, ours: fn(&Round) -> f64| {
        let ratio = median(rounds.iter().map(|round| 100.0 * ours(round) / copy(round)).collect());
        line(&format!("{what:<40}{:>12.0}{:>13.0}{ratio:>6.0} %", of(copy), of(ours)))
    };
    show("upsert, an answer a transaction", |r| r.copied, |r| r.upserted)?;
    show("upsert, all in one transaction", |r| r.copied_at_once, |r| r.upserted_at_once)?;
    show("in bulk, as `db copy` does", |r| r.copied_at_once, |r| r.bulk.rate)?;
    show("whole answers, one a transaction", |r| r.copied, |r| r.committed)?;
    show("whole answers of a year, the same", |r| r.copied_at_once, |r| r.years)?;
    line(&format!(
        "bytes of log for the same again: {:.0} for all rows in bulk; {:.0} an answer, journal and day records included",
        of(|r| r.bulk.again),
        of(|r| r.again)
    ))?;
    fleet(server).await
}

/// A fleet's configuration and windows: filled, then found unchanged, then a day later.
async fn fleet(server: &'static Server) -> Outcome {
    const FLEET: i64 = 10_000;
    const DATASETS: [Dataset; 3] = [CURVE, Dataset::DailyConsumption, Dataset::DailyMaxPower];
    let database = server.database().await;
    let store = connect(&database).await?;
    let setup = setup(FLEET, &DATASETS)?;
    let end: Day = END.parse()?;
    let windows = |end: Day| -> Vec<Window> {
        let first = end.plus(-60);
        let window = |meter, dataset| Window { meter, dataset, served: first, days: Days::new(first, end) };
        (1..=FLEET).flat_map(|n| DATASETS.map(|dataset| window(MeterId(n), dataset))).collect()
    };
    line(&format!(
        "{FLEET} meters of 3 series, windows of 60 days (ms)    configuration    windows    facts    status"
    ))?;
    for (what, end, now) in [("filled", end, 1), ("unchanged", end, 1), ("a day later", end.next(), 86_400)] {
        let windows = windows(end);
        let watch = StopWatch::default();
        store.set_up(&setup).await?;
        let set_up = watch.elapsed();
        store.open_windows(&windows, now).await?;
        let opened = watch.elapsed();
        store.facts(0).await?;
        let facts = watch.elapsed();
        store.status().await?;
        let status = watch.elapsed();
        line(&format!(
            "{what:<49}{:>13}{:>11}{:>9}{:>10}",
            set_up.as_millis(),
            opened.saturating_sub(set_up).as_millis(),
            facts.saturating_sub(opened).as_millis(),
            status.saturating_sub(facts).as_millis()
        ))?;
        if what == "filled" {
            // As if all were fetched: nearly every day of a fleet is complete.
            database.run("UPDATE coverage SET state = 0 WHERE (meter + (day - date '2020-01-01')) % 97 <> 0").await;
            database.run("VACUUM ANALYZE").await;
        }
    }
    Ok(())
}

/// Rows a second of each way in one round.
struct Round {
    /// `COPY`, an answer a transaction.
    copied: f64,
    /// The upsert alone, an answer a transaction.
    upserted: f64,
    /// Whole answers.
    committed: f64,
    /// Bytes of log for an answer that brings nothing new.
    again: f64,
    /// `COPY` of all rows.
    copied_at_once: f64,
    /// The upsert alone, all rows in one transaction.
    upserted_at_once: f64,
    /// Whole answers of a year each.
    years: f64,
    /// The bulk path.
    bulk: InBulk,
}

/// Days of a meter and their intervals.
type Span = (i64, Days, Vec<CurvePoint>);

/// The spans of every meter, newest first, the meters in turns: the order of a backfill.
fn spans(length: i32, count: i32) -> Outcome<Vec<Span>> {
    let end: Day = END.parse()?;
    let step = Step::from_minutes(30).ok_or("30 minutes is a step")?;
    let mut spans = Vec::new();
    for number in 0..count {
        let last = end.plus(-length * number);
        let days = Days::new(last.plus(-length), last).ok_or("a span has days")?;
        for meter in 1..=METERS {
            let (mut start, mut points) = (paris::start_of(days.first()), Vec::new());
            while start < paris::start_of(days.end()) {
                let watts = (start / 1800 * 7919 + meter * 101) % 3000;
                points.push(CurvePoint { interval: Interval { start, step }, watts });
                start += step.seconds();
            }
            spans.push((meter, days, points));
        }
    }
    Ok(spans)
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn rate(spans: &[Span], watch: &StopWatch) -> f64 {
    spans.iter().map(|span| span.2.len()).sum::<usize>() as f64 / watch.elapsed().as_secs_f64()
}

/// Rows as the server's binary format has them.
fn encoded<'s>(spans: impl Iterator<Item = &'s Span>) -> Vec<u8> {
    let mut bytes = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    for (meter, _, points) in spans {
        let meter = i32::try_from(*meter).unwrap_or_default();
        for point in points {
            let start = (point.interval.start - 946_684_800) * 1_000_000;
            let watts = i32::try_from(point.watts).unwrap_or_default();
            bytes.extend_from_slice(&5_u16.to_be_bytes());
            bytes.extend_from_slice(&8_u32.to_be_bytes());
            bytes.extend_from_slice(&start.to_be_bytes());
            for number in [meter, watts] {
                bytes.extend_from_slice(&4_u32.to_be_bytes());
                bytes.extend_from_slice(&number.to_be_bytes());
            }
            for number in [0_i16, 0] {
                bytes.extend_from_slice(&2_u32.to_be_bytes());
                bytes.extend_from_slice(&number.to_be_bytes());
            }
        }
    }
    bytes.extend_from_slice(&[0xff, 0xff]);
    bytes
}

/// A table with the columns and the key of the store's.
async fn yardstick(server: &'static Server) -> Outcome<(Database, PgConnection)> {
    let database = server.empty_database().await;
    database
        .run(
            "CREATE TABLE copied (start timestamptz NOT NULL, meter int4 NOT NULL, watts int4 NOT NULL,
             direction int2 NOT NULL, kind int2 NOT NULL, PRIMARY KEY (meter, direction, start))",
        )
        .await;
    let conn = database.connect().await;
    Ok((database, conn))
}

const COPY: &str = "COPY copied (start, meter, watts, direction, kind) FROM STDIN (FORMAT binary)";

/// What the server itself makes of an answer a transaction.
async fn copy(server: &'static Server, spans: &[Span]) -> Outcome<f64> {
    let (_database, mut conn) = yardstick(server).await?;
    let watch = StopWatch::default();
    for span in spans {
        let mut tx = conn.begin().await?;
        let mut copy = tx.copy_in_raw(COPY).await?;
        copy.send(encoded(std::iter::once(span))).await?;
        copy.finish().await?;
        tx.commit().await?;
    }
    Ok(rate(spans, &watch))
}

/// What it makes of all rows at once.
async fn copy_at_once(server: &'static Server, spans: &[Span]) -> Outcome<f64> {
    let (_database, mut conn) = yardstick(server).await?;
    let watch = StopWatch::default();
    let mut copy = conn.copy_in_raw(COPY).await?;
    copy.send(encoded(spans.iter())).await?;
    copy.finish().await?;
    Ok(rate(spans, &watch))
}

/// What the store asks before it puts intervals anywhere: it copies them to where none are, and compares them
/// where some are.
const HELD: &str =
    "SELECT l.start, k.minutes, l.watts, k.source FROM load_curve l JOIN interval_kind k ON k.id = l.kind
     WHERE l.meter = $1 AND l.direction = $2 AND l.start > to_timestamp($3) AND l.start < to_timestamp($4)
     ORDER BY l.start";
const PUT: &str = "COPY load_curve (start, meter, watts, direction, kind) FROM STDIN (FORMAT binary)";

/// The upsert by itself, without all that an answer is beside its rows; span after span.
async fn upsert(server: &'static Server, spans: &[Span], at_once: bool) -> Outcome<f64> {
    let database = server.database().await;
    open(&database).await?;
    let mut conn = database.connect().await;
    let watch = StopWatch::default();
    for some in spans.chunks(if at_once { spans.len() } else { 1 }) {
        let mut tx = conn.begin().await?;
        for span in some {
            let (meter, days, _) = span;
            let held = sqlx::query(HELD).bind(i32::try_from(*meter)?).bind(0_i16);
            #[expect(clippy::cast_precision_loss, reason = "instants of today are exact")]
            let (from, to) = ((paris::start_of(days.first()) - 3600) as f64, paris::start_of(days.end()) as f64);
            let held = held.bind(from).bind(to).fetch_all(&mut *tx).await?;
            if !held.is_empty() {
                return Err("the table is fresh".into());
            }
            let mut copy = tx.copy_in_raw(PUT).await?;
            copy.send(encoded(std::iter::once(span))).await?;
            copy.finish().await?;
        }
        tx.commit().await?;
    }
    Ok(rate(spans, &watch))
}

async fn open(database: &Database) -> Outcome<PostgresStore> {
    let store = connect(database).await?;
    store.set_up(&setup(METERS, &[CURVE])?).await?;
    let end: Day = END.parse()?;
    let days = Days::new(end.plus(-7 * WEEKS), end);
    let first = end.plus(-7 * WEEKS);
    let window = |n| Window { meter: MeterId(n), dataset: CURVE, served: first, days };
    store.open_windows(&(1..=METERS).map(window).collect::<Vec<_>>(), paris::start_of(end)).await?;
    Ok(store)
}

async fn answers(store: &PostgresStore, spans: &[Span]) -> Outcome<Vec<Answer>> {
    let mut answers = Vec::new();
    for (meter, covered, points) in spans {
        let (meter, covered) = (MeterId(*meter), *covered);
        let new = NewCall {
            source: SourceId(1),
            api: Some(Api::V2026),
            pool: Pool::Live,
            asks: Some((meter, CURVE, covered).into()),
            keep: None,
            seen: None,
            lease: None,
            lead_ms: 0,
            despite_rest: false,
            asked_at: 0,
        };
        let Reserved::Go { call, .. } = store.reserve(&new, &UNBOUND, 0).await? else {
            return Err("nothing limits it".into());
        };
        answers.push(answer(call, meter, covered, points.clone()));
    }
    Ok(answers)
}

fn answer(call: CallId, meter: MeterId, covered: Days, points: Vec<CurvePoint>) -> Answer {
    Answer {
        end: CallEnd { call, lease: None, status: Some(200), code: None, duration_ms: 1 },
        meter,
        dataset: CURVE,
        source: SourceId(1),
        direct: true,
        covered,
        exact: true,
        same_day: SameDay::Often,
        values: Values::Curve(points),
        asked_at: paris::start_of(covered.end()) + 30_000,
        window_first: covered.first(),
        effects: Vec::new(),
        raw: None,
    }
}

/// Whole answers, one transaction each; and the bytes of log for each of them when it comes again.
async fn commit(server: &'static Server, spans: &[Span]) -> Outcome<(f64, f64)> {
    let database = server.database().await;
    let store = open(&database).await?;
    let first = answers(&store, spans).await?;
    let watch = StopWatch::default();
    for answer in first {
        store.commit(answer).await?;
    }
    let rate = rate(spans, &watch);
    let again = answers(&store, spans).await?;
    let before = log(&database).await?;
    for answer in again {
        let done = store.commit(answer).await?;
        if (done.inserted, done.changed) != (0, 0) {
            return Err("the same again is nothing new".into());
        }
    }
    let bytes = log(&database).await? - before;
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    Ok((rate, bytes / spans.len() as f64))
}

/// What the bulk path came to.
struct InBulk {
    rate: f64,
    /// Bytes of log when the same comes again.
    again: f64,
}

async fn bulk(server: &'static Server, spans: &[Span]) -> Outcome<InBulk> {
    const ROWS: usize = 50_000;
    let database = server.database().await;
    let store = open(&database).await?;
    database.run("INSERT INTO interval_kind (id, minutes, summer, source) VALUES (0, 30, 0, 1)").await;
    let table = TABLES.iter().find(|table| table.name == "load_curve").ok_or("there is a load curve")?;
    let rows: Vec<[i64; 5]> = spans
        .iter()
        .flat_map(|(meter, _, points)| points.iter().map(|p| [*meter, 0, p.interval.start, 0, p.watts]))
        .collect();
    let column =
        |rows: &[[i64; 5]], place: usize| Cells::Numbers(rows.iter().map(|row| row.get(place).copied()).collect());
    let chunk = |rows: &[[i64; 5]]| Chunk {
        table,
        rows: rows.len(),
        columns: (0..5).map(|place| column(rows, place)).collect(),
    };
    store.prepare(Held::default()).await?;
    let watch = StopWatch::default();
    for some in rows.chunks(ROWS) {
        store.write(chunk(some)).await?;
    }
    let rate = rate(spans, &watch);
    // What the server puts off, such as noting which rows are visible to all, comes before.
    database.run("VACUUM").await;
    database.run("CHECKPOINT").await;
    let before = log(&database).await?;
    for some in rows.chunks(ROWS) {
        let written = store.write(chunk(some)).await?;
        if (written.inserted, written.changed) != (0, 0) {
            return Err("the same again is nothing new".into());
        }
    }
    Ok(InBulk { rate, again: log(&database).await? - before })
}

/// Bytes that the server has written to its log so far.
async fn log(database: &Database) -> Outcome<f64> {
    let mut conn = database.connect().await;
    let query = "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::float8";
    Ok(sqlx::query_as::<_, (f64,)>(AssertSqlSafe(query)).fetch_one(&mut conn).await?.0)
}
