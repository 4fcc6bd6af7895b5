//! How fast answers become rows, and how much room they take.
//!
//! The first table compares three ways to fill a fresh file, newest week first, in turns. The least
//! that can be done is a plain insert of the readings, one statement and one transaction an
//! answer. The upsert is the same with the clause that the store needs. The whole answer is what
//! [`Store::commit`] does in its one transaction: look at what is stored, write readings, day
//! records, the series and the journal's line. On disk, waiting for the disk counts for all three;
//! in memory only the work shows. The second table says where the bytes of a whole history are:
//! two curves and three daily series, fetched as `linkyd demo` does it.

#[path = "support/enedis.rs"]
mod enedis;
#[path = "support/engine.rs"]
mod engine;
#[path = "support/figures.rs"]
mod figures;
#[path = "support/in_memory.rs"]
mod in_memory;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use linkyd::budget::Limits;
use linkyd::clock::{Calendar, Clock, ManualClock};
use linkyd::domain::{Api, CurvePoint, Dataset, Day, Days, Interval, Step, Values, paris};
use linkyd::engine::Selection;
use linkyd::simulator::Simulator;
use linkyd::store::sqlite::{Mode, SqliteStore};
use linkyd::store::{
    Answer, CallEnd, CallId, MeterId, MeterSetup, NewCall, Reserved, Setup, SourceId, SourceSetup, Store, Window,
};
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection};
use tokio_util::sync::CancellationToken;

use figures::{Outcome, StopWatch, line, median};

const METERS: i64 = 20;
const WEEKS: i32 = 52;
const ROUNDS: usize = 5;

/// The day after the last one.
const END: &str = "2026-11-24";

/// Some limits that never bind.
const UNBOUND: Limits = Limits { per_second: 1_000_000, per_hour: None, per_day: None };

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let disk = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let mut places = vec![("on disk", disk.clone())];
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() {
        places.push(("in memory", memory));
    }
    line("Storing 1040 answers of 336 half-hours, one transaction each, into a fresh file (rows/s, medians)")?;
    line("               bare insert      upsert   ratio    whole answer   ratio    the same again")?;
    let mut wal = (0.0, 0.0);
    for (name, place) in places {
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            rounds.push((bare(&place, "").await?, bare(&place, UPSERT).await?, ours(&place).await?));
        }
        let of = |pick: fn(&(f64, f64, Ours)) -> f64| median(rounds.iter().map(pick).collect());
        line(&format!(
            "{name:<12}{:>14.0}{:>12.0}{:>6.0} %{:>16.0}{:>6.0} %{:>18.0}",
            of(|r| r.0),
            of(|r| r.1),
            of(|r| 100.0 * r.1 / r.0),
            of(|r| r.2.first),
            of(|r| 100.0 * r.2.first / r.0),
            of(|r| r.2.again),
        ))?;
        wal = (of(|r| r.2.wal_first), of(|r| r.2.wal_again));
    }
    line(&format!("bytes written to the log for an answer: {:.0}, for the same again: {:.0}", wal.0, wal.1))?;
    line("")?;
    history(&disk).await
}

/// What makes an insert an upsert, as the store has it.
const UPSERT: &str =
    " ON CONFLICT (meter, direction, start) DO UPDATE SET kind = excluded.kind, watts = excluded.watts";

/// What storing through the store came to.
struct Ours {
    /// Rows a second into a fresh file.
    first: f64,
    /// Rows a second when they are there already.
    again: f64,
    /// Bytes written to the log for an answer.
    wal_first: f64,
    /// The same for one that brings nothing new.
    wal_again: f64,
}

/// The weeks of every meter, newest first, the meters in turns: the order of a backfill.
fn weeks(which: std::ops::Range<i32>) -> Outcome<Vec<(i64, Days, Vec<CurvePoint>)>> {
    let end: Day = END.parse()?;
    let step = Step::from_minutes(30).ok_or("30 minutes is a step")?;
    let mut weeks = Vec::new();
    for week in which {
        let last = end.plus(-7 * week);
        let days = Days::new(last.plus(-7), last).ok_or("a week has days")?;
        for meter in 1..=METERS {
            let (mut start, mut points) = (paris::start_of(days.first()), Vec::new());
            while start < paris::start_of(days.end()) {
                let watts = (start / 1800 * 7919 + meter * 101) % 3000;
                points.push(CurvePoint { interval: Interval { start, step }, watts });
                start += step.seconds();
            }
            weeks.push((meter, days, points));
        }
    }
    Ok(weeks)
}

/// Rows a second of a number of rows.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn rate(rows: usize, watch: &StopWatch) -> f64 {
    rows as f64 / watch.elapsed().as_secs_f64()
}

/// The least that could be done.
async fn bare(place: &Path, tail: &str) -> Outcome<f64> {
    let folder = tempfile::tempdir_in(place)?;
    let path = folder.path().join("bare.db");
    // Makes the very same tables; what the store leaves open disturbs nobody.
    drop(SqliteStore::open(&path, Mode::Create, "bench").await?);
    let mut conn = SqliteConnectOptions::new()
        .filename(&path)
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging()
        .connect()
        .await?;
    let weeks = weeks(0..WEEKS)?;
    let rows: usize = weeks.iter().map(|(_, _, points)| points.len()).sum();
    let watch = StopWatch::default();
    for (meter, _, points) in &weeks {
        let mut sql = "INSERT INTO load_curve (meter, direction, start, kind, watts) VALUES ".to_owned();
        for row in 0..points.len() {
            sql.push_str(if row == 0 { "(?,?,?,?,?)" } else { ",(?,?,?,?,?)" });
        }
        sql.push_str(tail);
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for point in points {
            query = query.bind(*meter).bind(0_i64).bind(point.interval.start);
            query = query.bind(paris::offset_hours(point.interval.start) - 1).bind(point.watts);
        }
        sqlx::query("BEGIN IMMEDIATE").execute(&mut conn).await?;
        query.execute(&mut conn).await?;
        sqlx::query("COMMIT").execute(&mut conn).await?;
    }
    let rate = rate(rows, &watch);
    conn.close().await?;
    Ok(rate)
}

/// The same through the store.
async fn ours(place: &Path) -> Outcome<Ours> {
    let folder = tempfile::tempdir_in(place)?;
    let path = folder.path().join("linkyd.db");
    let store = SqliteStore::open(&path, Mode::Create, "bench").await?;
    store.set_up(&meters()?).await?;
    // As a pass begins: every day of the windows has a record before the first answer comes.
    let window = Days::new(END.parse::<Day>()?.plus(-7 * (WEEKS + 1)), END.parse()?).ok_or("the window has days")?;
    let dataset = Dataset::ConsumptionLoadCurve;
    let windows: Vec<Window> = (1..=METERS)
        .map(|meter| Window { meter: MeterId(meter), dataset, served: window.first(), days: Some(window) })
        .collect();
    store.open_windows(&windows, 1).await?;
    let all = weeks(0..WEEKS)?;
    let rows: usize = all.iter().map(|(_, _, points)| points.len()).sum();
    let first = commit_all(&store, &all, rows).await?;
    let again = commit_all(&store, &all, rows).await?;

    // What one answer more adds to the log, and then adds again.
    let more = weeks(WEEKS..WEEKS + 1)?;
    let mut wal = [0.0; 2];
    for bytes in &mut wal {
        let answers = answers(&store, &more).await?;
        store.tidy().await?;
        for answer in answers {
            store.commit(answer).await?;
        }
        *bytes = length(&path.with_extension("db-wal"))? / f64::from(u32::try_from(more.len())?);
    }
    let [wal_first, wal_again] = wal;
    Ok(Ours { first, again, wal_first, wal_again })
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn length(path: &Path) -> Outcome<f64> {
    Ok(std::fs::metadata(path)?.len() as f64)
}

async fn commit_all(store: &SqliteStore, weeks: &[(i64, Days, Vec<CurvePoint>)], rows: usize) -> Outcome<f64> {
    let answers = answers(store, weeks).await?;
    store.tidy().await?;
    let watch = StopWatch::default();
    for answer in answers {
        store.commit(answer).await?;
    }
    Ok(rate(rows, &watch))
}

/// Answers, each with its line in the journal.
async fn answers(store: &SqliteStore, weeks: &[(i64, Days, Vec<CurvePoint>)]) -> Outcome<Vec<Answer>> {
    let (dataset, source) = (Dataset::ConsumptionLoadCurve, SourceId(1));
    let mut answers = Vec::with_capacity(weeks.len());
    for (meter, days, points) in weeks {
        let meter = MeterId(*meter);
        let call = NewCall {
            source,
            api: Some(Api::V2026),
            pool: linkyd::source::Pool::Live,
            asks: Some((meter, dataset, *days).into()),
            keep: None,
            seen: None,
            lease: None,
            lead_ms: 0,
            despite_rest: false,
            asked_at: 1,
        };
        let Reserved::Go { call, .. } = store.reserve(&call, &UNBOUND, 1).await? else {
            return Err("no limit binds".into());
        };
        answers.push(answer(call, meter, dataset, *days, points.clone()));
    }
    Ok(answers)
}

fn answer(call: CallId, meter: MeterId, dataset: Dataset, days: Days, points: Vec<CurvePoint>) -> Answer {
    Answer {
        direct: true,
        end: CallEnd { call, lease: None, status: Some(200), code: None, duration_ms: 600 },
        meter,
        dataset,
        source: SourceId(1),
        covered: days,
        exact: true,
        same_day: linkyd::domain::SameDay::Often,
        values: Values::Curve(points),
        asked_at: 1_795_000_000,
        window_first: days.first().plus(-700),
        effects: Vec::new(),
        raw: None,
    }
}

fn meters() -> Outcome<Setup> {
    let source = || "enedis".to_owned();
    let mut meters = Vec::new();
    for n in 0..METERS {
        meters.push(MeterSetup {
            customer: Vec::new(),
            prm: format!("{n:014}").parse()?,
            name: format!("Meter {n}"),
            source: source(),
            sources: vec![source()],
            consent_until: None,
            datasets: vec![Dataset::ConsumptionLoadCurve],
        });
    }
    Ok(Setup {
        sources: vec![SourceSetup {
            name: source(),
            kind: "enedis",
            account: "bench".to_owned(),
            direct: true,
            credentials: String::new(),
        }],
        meters,
    })
}

/// A whole history, and where its bytes are.
async fn history(place: &Path) -> Outcome {
    let folder = tempfile::tempdir_in(place)?;
    let path = folder.path().join("linkyd.db");
    let now = enedis::NOW.parse()?;
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(now));
    let prm = enedis::prm()?;
    let simulator =
        Simulator::new(enedis::world(prm.clone()), Arc::clone(&clock), Calendar::new(Arc::clone(&clock), None));
    let store = Arc::new(SqliteStore::open(&path, Mode::Create, "bench").await?);
    let shared: Arc<dyn Store> = Arc::<SqliteStore>::clone(&store);
    let source = enedis::source("http://localhost/".parse()?, Api::V2026);
    let transport = Arc::new(in_memory::InMemory(simulator));
    let engine = engine::engine(shared, clock, now, Arc::new(source), transport, prm);
    let report = engine.pass(&Selection::default(), &CancellationToken::new(), &|_| ()).await?;

    let mut conn = SqliteConnectOptions::new().filename(&path).read_only(true).connect().await?;
    let tables: Vec<(String, i64, i64, i64)> = sqlx::query_as(
        "SELECT s.name, sum(s.pgsize), 100 * sum(s.payload) / sum(s.pgsize), sum(CASE WHEN s.pagetype = 'leaf' THEN s.ncell ELSE 0 END)
         FROM dbstat s GROUP BY s.name ORDER BY sum(s.pgsize) DESC",
    )
    .fetch_all(&mut conn)
    .await?;
    let intervals = count(&mut conn, "SELECT count(*) FROM load_curve").await?;
    line(&format!("A whole history: {} calls, {} values", report.calls, report.inserted))?;
    line("table                             bytes     rows   bytes/row   payload")?;
    for (name, bytes, payload, rows) in &tables {
        if *bytes > 8192 {
            line(&format!("{name:<24}{bytes:>15}{rows:>9}{:>12.1}{payload:>8} %", per(*bytes, *rows)))?;
        }
    }
    let curve = tables.iter().find(|t| t.0 == "load_curve").map_or(0, |t| t.1);
    line(&format!("a row of a load curve: {:.1} bytes", per(curve, intervals)))?;
    line(&format!("the whole file: {:.0} bytes", length(&path)?))
}

async fn count(conn: &mut SqliteConnection, sql: &'static str) -> Outcome<i64> {
    Ok(sqlx::query_as::<_, (i64,)>(sql).fetch_one(conn).await?.0)
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn per(bytes: i64, rows: i64) -> f64 {
    bytes as f64 / rows.max(1) as f64
}
