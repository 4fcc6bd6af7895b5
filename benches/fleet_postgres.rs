//! A fleet on a PostgreSQL server: the day's plan, the day's answers, and what dashboards ask.
//!
//! 10,000 meters with two years of coverage and thirty days of half-hours, written through the store's bulk path
//! into a private server that waits for its disk; answers are kept as they came, as they are where nobody says
//! otherwise. Each line ends with whether what is due holds, which it says of 10,000 meters alone. `METERS=200` makes it small, `FULL=1` adds the half-hours of
//! both years (350 million rows and 30 GB), `EXPLAIN=1` shows how the server finds the rows.

#[path = "support/body.rs"]
mod body;
#[path = "support/enedis.rs"]
mod enedis;
#[path = "support/figures.rs"]
mod figures;
#[path = "support/fleet.rs"]
mod fleet;
#[path = "support/in_memory.rs"]
mod in_memory;
#[path = "../tests/postgres/server.rs"]
#[expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests' own; a bench may fail as they do")]
mod server;
#[path = "support/postgres.rs"]
mod support;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use chrono::{DateTime, Utc};
use linkyd::domain::{
    Api, CurvePoint, Dataset, Day, DayEnergy, Days, Interval, PeakPower, SameDay, SeriesState, Step, Values, paris,
};
use linkyd::engine::ActiveMeter;
use linkyd::engine::knowledge::{Chosen, Knowledge, parts};
use linkyd::plan::{Allowance, Call, order};
use linkyd::source::{Label, Pool};
use linkyd::store::copy::{Bulk as _, Cells, Chunk, Held, TABLES};
use linkyd::store::postgres::PostgresStore;
use linkyd::store::{
    Answer, CallEnd, Effect, Lease, MeterId, NewCall, Raw, Reserved, SeriesFacts, SourceId, Store as _, Window,
};
use sqlx::{AssertSqlSafe, PgConnection};

use figures::{Outcome, StopWatch, line, median};
use fleet::{THREE, forget_peak, memory};
use server::Database;
use support::{UNBOUND, connect, durable, setup};

/// Some morning.
const NOW: &str = "2026-11-24T07:30:00Z";

/// Days of which everything is known.
const COVERED: i32 = 730;

/// Days of which half-hours are stored, unless all are.
const STORED: i32 = 30;

/// Meters whose rows are written at once.
const AT_ONCE: usize = 20;

/// Calls that Enedis takes in a second.
const PACE: f64 = 5.0;

/// Meters whose views are asked for.
const ASKED: usize = 25;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let meters: i64 = std::env::var("METERS").map_or(Ok(10_000), |text| text.parse())?;
    let stored = if std::env::var("FULL").is_ok_and(|all| all == "1") { COVERED } else { STORED };
    let now: DateTime<Utc> = NOW.parse()?;
    let today = paris::today(now);
    let database = durable().await.database().await;
    let store = connect(&database).await?;
    let watch = StopWatch::default();
    let rows = generate(&store, meters, today, stored).await?;
    let days = Days::new(today.plus(-COVERED - 1), today).ok_or("a window has days")?;
    let window = |meter, dataset| Window { meter, dataset, served: days.first(), days: Some(days) };
    let windows: Vec<Window> = (1..=meters).flat_map(|n| THREE.map(|dataset| window(MeterId(n), dataset))).collect();
    store.open_windows(&windows, now.timestamp()).await?;
    database.run("VACUUM ANALYZE").await;
    let took = watch.elapsed().as_secs_f64();
    line(&format!("{meters} meters of 3 series, {rows} half-hours: written and analysed in {took:.0} s"))?;

    let (calls, series) = plan(&store, meters, now, today).await?;
    views(&database, meters).await?;
    let watch = StopWatch::default();
    let lines = store.status().await?.len();
    line(&format!("status of {lines} series: {:.2} s", watch.elapsed().as_secs_f64()))?;
    answers(&store, &calls, &series, now).await?;
    the_end_of_a_pass(&store, &series, now).await?;
    views(&database, meters).await
}

/// Writes every meter's history through the bulk path; how many half-hours there are.
async fn generate(store: &PostgresStore, meters: i64, today: Day, stored: i32) -> Outcome<usize> {
    store.set_up(&setup(meters, &THREE)?).await?;
    let covered = Days::new(today.plus(-COVERED - 1), today.plus(-1)).ok_or("days are covered")?;
    let kept = Days::new(today.plus(-stored - 1), today.plus(-1)).ok_or("days are stored")?;
    store.prepare(Held { days: Some(covered), hours: Some(kept) }).await?;
    let kinds = [[0, 30, 0, 1], [1, 30, 1, 1]];
    store.write(chunk("interval_kind", &kinds.map(|row| row.map(Some)))?).await?;
    let mut rows = 0;
    let all: Vec<i64> = (1..=meters).collect();
    for some in all.chunks(AT_ONCE) {
        let mut curve = Vec::new();
        let (mut energy, mut peaks, mut coverage) = (Vec::new(), Vec::new(), Vec::new());
        for meter in some.iter().copied() {
            for point in points(kept, meter)? {
                let start = point.interval.start;
                let summer = paris::offset_hours(start) - 1;
                curve.push([meter, 0, start, summer, point.watts].map(Some));
            }
            for day in kept.iter() {
                let number = i64::from(day.number());
                energy.push([meter, 0, number, 9_000 + number % 100, 1].map(Some));
                peaks.push([Some(meter), Some(number), Some(5_000), Some(70_000), None, Some(1)]);
            }
            for dataset in THREE {
                for day in covered.iter() {
                    let number = i64::from(day.number());
                    let curve = dataset == THREE[0];
                    let count = if curve { paris::minutes_in(day) / 30 } else { 1 };
                    let checked = paris::start_of(day.next()) + 30_000;
                    let known = [meter, dataset.id(), number, 0, count, count, checked].map(Some);
                    let mut row = [None, None, None, None, None, None, None, None, None, Some(0), Some(0)];
                    for (cell, value) in row.iter_mut().zip(known) {
                        *cell = value;
                    }
                    coverage.push(row);
                }
            }
        }
        rows += curve.len();
        store.write(chunk("load_curve", &curve)?).await?;
        store.write(chunk("daily_energy", &energy)?).await?;
        store.write(chunk("max_power", &peaks)?).await?;
        store.write(chunk("coverage", &coverage)?).await?;
    }
    Ok(rows)
}

/// Rows of numbers as the bulk path takes them.
fn chunk<const N: usize>(name: &str, rows: &[[Option<i64>; N]]) -> Outcome<Chunk> {
    let table = TABLES.iter().find(|table| table.name == name).ok_or("there is such a table")?;
    let column = |place: usize| Cells::Numbers(rows.iter().map(|row| row.get(place).copied().flatten()).collect());
    Ok(Chunk { table, rows: rows.len(), columns: (0..N).map(column).collect() })
}

/// Some half-hours.
fn points(days: Days, meter: i64) -> Outcome<Vec<CurvePoint>> {
    let step = Step::from_minutes(30).ok_or("30 minutes is a step")?;
    let end = paris::start_of(days.end());
    let (mut start, mut points) = (paris::start_of(days.first()), Vec::new());
    while start < end {
        let watts = (start / 1_800 * 7_919 + meter * 101) % 3_000;
        points.push(CurvePoint { interval: Interval { start, step }, watts });
        start += step.seconds();
    }
    Ok(points)
}

/// Plans the day's calls for all meters.
async fn plan(
    store: &PostgresStore,
    meters: i64,
    now: DateTime<Utc>,
    today: Day,
) -> Outcome<(Vec<Call>, Vec<SeriesFacts>)> {
    let sources = [fleet::enedis(10_000)?];
    let configured: Vec<ActiveMeter> = setup(meters, &THREE)?
        .meters
        .into_iter()
        .map(|meter| {
            let (sources, datasets, since) = (vec![meter.source], meter.datasets, Some(today.plus(-COVERED - 1)));
            ActiveMeter { prm: meter.prm, name: meter.name, sources, datasets, customer: Vec::new(), since }
        })
        .collect();
    forget_peak();
    let before = memory("VmRSS")?;
    let watch = StopWatch::default();
    let facts = store.facts(paris::start_of(today)).await?;
    let read = watch.elapsed().as_secs_f64();
    let mut planned = Vec::new();
    for (active, part) in parts(&sources, &configured, facts) {
        let knowledge = Knowledge::new(part, BTreeMap::new());
        let calls = knowledge.calls(active, &Chosen::default(), now);
        let allowance = Allowance { today: 150_000, per_day: 200_000, newest: true };
        planned.push((order::order(calls, Some(allowance)), knowledge.series));
    }
    let (took, peak) = (watch.elapsed().as_secs_f64() - read, memory("VmHWM")? - before);
    let (calls, series) = planned.pop().ok_or("one source")?;
    let count = calls.len();
    line(&format!(
        "the day's plan: {count} calls in {took:.2} s, after {read:.2} s for the facts; {peak:.0} MB more at the peak (due: 1 s, 150 MB): {}",
        verdict(took < 1.0 && peak < 150.0)
    ))?;
    Ok((calls, series))
}

/// Whether a figure is what is due.
fn verdict(holds: bool) -> &'static str {
    if holds { "holds" } else { "MISSED" }
}

/// What the source would say to each kind of call: some meter's, since they are as long as one another.
async fn bodies(calls: &[Call], series: &[SeriesFacts]) -> Outcome<BTreeMap<Dataset, Vec<u8>>> {
    let prm = enedis::prm()?;
    let mut bodies = BTreeMap::new();
    for call in calls {
        let dataset = series.get(call.series).ok_or("a call is for a series")?.dataset;
        if let Entry::Vacant(none) = bodies.entry(dataset) {
            none.insert(body::body(Api::V2026, dataset, 30, &prm, call.days).await?);
        }
    }
    Ok(bodies)
}

/// What the last transactions of a pass take in which every series is left to wait for the budget.
async fn the_end_of_a_pass(store: &PostgresStore, series: &[SeriesFacts], now: DateTime<Utc>) -> Outcome {
    let all: Vec<(MeterId, Dataset)> = series.iter().map(|one| (one.meter, one.dataset)).collect();
    let count = all.len();
    let watch = StopWatch::default();
    let facts = store.series_facts(&all, now.timestamp()).await?.series.len();
    let read = watch.elapsed().as_secs_f64();
    let seen = store.counters(&all).await?;
    let counted = watch.elapsed().as_secs_f64() - read;
    let waits = |(meter, dataset): &(MeterId, Dataset)| Effect::Series {
        meter: *meter,
        dataset: *dataset,
        state: SeriesState::Waiting,
        code: None,
        message: Some("the call budget of the hour is used up; the rest follows by itself in a later pass".to_owned()),
        not_before: Some(now.timestamp() + 3_600),
    };
    let watch = StopWatch::default();
    store.apply_known(all.iter().map(waits).collect(), seen).await?;
    let written = watch.elapsed().as_secs_f64();
    line(&format!(
        "the end of a pass: {count} series told to wait in {written:.2} s, their counters read in {counted:.2} s, all facts of {facts} in {read:.2} s (due: within a statement's 25 s): {}",
        verdict(written < 25.0 && counted < 25.0 && read < 25.0)
    ))
}

/// Stores an answer to each call, one after the other.
async fn answers(store: &PostgresStore, calls: &[Call], series: &[SeriesFacts], now: DateTime<Utc>) -> Outcome {
    let bodies = bodies(calls, series).await?;
    let watch = StopWatch::default();
    for call in calls {
        let of = series.get(call.series).ok_or("a call is for a series")?;
        let new = NewCall {
            source: SourceId(1),
            api: None,
            pool: Pool::Live,
            asks: Some((of.meter, of.dataset, call.days).into()),
            keep: None,
            seen: Some(of.seen),
            lease: None,
            lead_ms: 0,
            despite_rest: false,
            asked_at: now.timestamp(),
        };
        let Reserved::Go { call: number, lease, .. } = store.reserve(&new, &UNBOUND, now.timestamp_millis()).await?
        else {
            return Err("nothing limits it, and nobody else is there".into());
        };
        let lease = lease.map(|token| Lease { token, keep: false });
        let answer = Answer {
            end: CallEnd { call: number, lease, status: Some(200), code: None, duration_ms: 300 },
            meter: of.meter,
            dataset: of.dataset,
            source: SourceId(1),
            direct: true,
            covered: call.days,
            exact: true,
            same_day: SameDay::Often,
            values: values(of, call.days)?,
            asked_at: now.timestamp(),
            window_first: call.days.first(),
            effects: Vec::new(),
            raw: bodies.get(&of.dataset).map(|body| Raw::of(Api::V2026, Label::End, body)),
        };
        store.commit(answer).await?;
    }
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let (took, allowed) = (watch.elapsed().as_secs_f64(), calls.len() as f64 / PACE);
    let factor = allowed / took;
    let count = calls.len();
    line(&format!(
        "the day's {count} answers, kept as they came: {took:.1} s; asking takes {allowed:.0} s at five a second, {factor:.1} times as long (due: longer): {}",
        verdict(factor > 1.0)
    ))
}

fn values(of: &SeriesFacts, days: Days) -> Outcome<Values> {
    Ok(match of.dataset {
        Dataset::ConsumptionLoadCurve => Values::Curve(points(days, of.meter.0)?),
        Dataset::DailyMaxPower => Values::Peaks(
            days.iter().map(|day| PeakPower { day, va: 5_000, at: None, local_seconds: Some(70_000) }).collect(),
        ),
        _ => Values::Energy(
            days.iter().map(|day| DayEnergy { day, wh: 9_000 + i64::from(day.number()) % 100 }).collect(),
        ),
    })
}

/// How long the views take for one meter's last thirty days, over some meters.
async fn views(database: &Database, meters: i64) -> Outcome {
    let views = [
        ("v_load_curve", "starts_at >= timestamptz '2026-10-25' AND starts_at < timestamptz '2026-11-24'"),
        ("v_hourly", "starts_at >= timestamptz '2026-10-25' AND starts_at < timestamptz '2026-11-24'"),
        ("v_daily", "day >= date '2026-10-25' AND day < date '2026-11-24'"),
        ("v_freshness", "true"),
        ("v_gap", "true"),
    ];
    let mut conn = database.connect().await;
    line("views of one meter, last thirty days (ms; due: 20)   median    first    worst   rows")?;
    for (view, within) in views {
        let mut took = Vec::new();
        let mut rows = 0;
        for n in 0..ASKED {
            let meter = 1 + i64::try_from(n)? * 7_919 % meters;
            let query = format!("SELECT * FROM {view} WHERE meter = 'meter {meter}' AND {within}");
            let watch = StopWatch::default();
            rows = count(&mut conn, query).await?;
            took.push(watch.elapsed().as_secs_f64() * 1e3);
        }
        if std::env::var("EXPLAIN").is_ok_and(|all| all == "1") {
            let query = format!("EXPLAIN (ANALYZE, BUFFERS) SELECT * FROM {view} WHERE meter = 'meter 1' AND {within}");
            let plan: Vec<(String,)> = sqlx::query_as(AssertSqlSafe(query)).fetch_all(&mut conn).await?;
            plan.iter().try_for_each(|(step,)| line(step))?;
        }
        let first = took.first().copied().unwrap_or(f64::NAN);
        let worst = took.iter().copied().fold(0.0, f64::max);
        let median = median(took);
        line(&format!("{view:<50}{median:>9.1}{first:>9.1}{worst:>9.1}{rows:>7}  {}", verdict(median < 20.0)))?;
    }
    Ok(())
}

async fn count(conn: &mut PgConnection, query: String) -> Outcome<usize> {
    Ok(sqlx::query(AssertSqlSafe(query)).fetch_all(conn).await?.len())
}
