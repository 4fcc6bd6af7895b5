//! Tests of the SQLite store, on files in temporary folders.

mod answers;
mod crashes;
mod faults;
mod journal;
mod readers;
mod size;
mod statements;
mod views;
mod windows;

use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Row, SqliteConnection, TypeInfo, ValueRef};

use super::{Mode, SqliteStore};
use crate::budget::Limits;
use crate::domain::{
    Api, CurvePoint, Dataset, Day, DayEnergy, DayState, Days, Interval, PeakPower, Step, Values, paris,
};
use crate::store::{
    Answer, CallEnd, CallId, Committed, MeterId, MeterSetup, NewCall, Reserved, Setup, SourceId, SourceSetup, Store,
    StoreError, Window,
};

const PRM: &str = "01234567890123";
const METER: MeterId = MeterId(1);
const SOURCE: SourceId = SourceId(1);
const CURVE: Dataset = Dataset::ConsumptionLoadCurve;
const LIMITS: Limits = Limits { per_second: 1000, per_hour: None, per_day: None };

/// A store in a folder of its own, with one meter and all five series.
struct World {
    folder: tempfile::TempDir,
    store: SqliteStore,
    now: std::sync::atomic::AtomicI64,
}

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn days(first: &str, end: &str) -> Days {
    Days::new(day(first), day(end)).unwrap()
}

fn setup() -> Setup {
    let sources = vec![SourceSetup {
        name: "enedis".into(),
        kind: "enedis",
        account: "enedis:app".into(),
        direct: true,
        credentials: "c".into(),
    }];
    let meter = MeterSetup {
        prm: PRM.parse().unwrap(),
        name: "Maison".into(),
        source: "enedis".into(),
        consent_until: None,
        datasets: Dataset::ALL.to_vec(),
    };
    Setup { sources, meters: vec![meter] }
}

/// Intervals of one step that fill the days.
fn curve(days: Days, minutes: i64, watts: impl Fn(i64) -> i64) -> Vec<CurvePoint> {
    let step = Step::from_minutes(minutes).unwrap();
    let (start, end) = (paris::start_of(days.first()), paris::start_of(days.end()));
    (0..(end - start) / step.seconds())
        .map(|n| {
            let start = start + n * step.seconds();
            CurvePoint { interval: Interval { start, step }, watts: watts(start) }
        })
        .collect()
}

fn energy(days: Days, wh: impl Fn(Day) -> i64) -> Values {
    Values::Energy(days.iter().map(|day| DayEnergy { day, wh: wh(day) }).collect())
}

fn peaks(days: Days, va: i64) -> Values {
    let peak = |day| PeakPower { day, va, local_seconds: Some(68_400), at: Some(paris::start_of(day) + 68_400) };
    Values::Peaks(days.iter().map(peak).collect())
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("linkyd.db"), Mode::Create, "linkyd sync").await.unwrap();
        store.set_up(&setup()).await.unwrap();
        Self::around(folder, store)
    }

    /// Some morning with that store.
    fn around(folder: tempfile::TempDir, store: SqliteStore) -> Self {
        let now = paris::start_of(day("2026-11-24")) + 8 * 3600 + 180;
        Self { folder, store, now: now.into() }
    }

    fn path(&self) -> std::path::PathBuf {
        self.store.path().to_owned()
    }

    fn now(&self) -> i64 {
        self.now.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Lets time pass.
    fn wait(&self, seconds: i64) {
        self.now.fetch_add(seconds, std::sync::atomic::Ordering::Relaxed);
    }

    /// Opens the same window for every series.
    async fn window(&self, first: &str, end: &str) {
        let windows = Dataset::ALL.map(|dataset| Window {
            meter: METER,
            dataset,
            served: day(first),
            days: Some(days(first, end)),
        });
        self.store.open_windows(&windows, self.now()).await.unwrap();
    }

    async fn reserve(&self, dataset: Dataset, covered: Days) -> CallId {
        let asks = Some((METER, dataset, covered));
        let call = NewCall {
            source: SOURCE,
            api: Some(Api::V2026),
            pool: crate::source::Pool::Live,
            asks,
            keep: None,
            seen: None,
            lease: None,
            despite_rest: false,
            asked_at: self.now(),
        };
        match self.store.reserve(&call, &LIMITS, self.now() * 1000).await.unwrap() {
            Reserved::Go { call, .. } => call,
            other => panic!("{other:?}"),
        }
    }

    fn answer(&self, call: CallId, dataset: Dataset, covered: Days, values: Values) -> Answer {
        Answer {
            end: CallEnd { call, lease: None, status: Some(200), code: None, duration_ms: 412 },
            direct: true,
            meter: METER,
            dataset,
            source: SOURCE,
            covered,
            exact: true,
            same_day: crate::domain::SameDay::Often,
            values,
            asked_at: self.now(),
            window_first: day("2024-11-09"),
            effects: Vec::new(),
        }
    }

    /// Reserves a call and stores its answer.
    async fn store_values(&self, dataset: Dataset, covered: Days, values: Values) -> Committed {
        let call = self.reserve(dataset, covered).await;
        self.store.commit(self.answer(call, dataset, covered, values)).await.unwrap()
    }

    async fn store_curve(&self, covered: Days, points: Vec<CurvePoint>) -> Committed {
        self.store_values(CURVE, covered, Values::Curve(points)).await
    }

    /// The state of a day of a series.
    async fn state(&self, dataset: Dataset, wanted: &str) -> DayState {
        let facts = self.store.facts(0).await.unwrap();
        let series = facts.series.into_iter().find(|s| s.dataset == dataset).unwrap();
        series.days.get(&day(wanted)).map_or(DayState::Missing, |record| record.state)
    }

    /// A query, as a dashboard makes it; each row as text with `|` between the columns.
    async fn rows(&self, sql: &str) -> Vec<String> {
        rows(&mut dashboard(&self.path()).await.unwrap(), sql).await.unwrap()
    }

    /// The only value of a query.
    async fn one(&self, sql: &str) -> String {
        let rows = self.rows(sql).await;
        assert_eq!(rows.len(), 1, "{sql}: {rows:?}");
        rows[0].clone()
    }

    async fn sound(&self) {
        assert_eq!(self.store.check().await.unwrap(), []);
    }
}

/// A connection as other programs open it: to read only, with nothing of ours.
async fn dashboard(path: &std::path::Path) -> Result<SqliteConnection, sqlx::Error> {
    SqliteConnectOptions::new().filename(path).read_only(true).connect().await
}

async fn rows(conn: &mut SqliteConnection, sql: &str) -> Result<Vec<String>, sqlx::Error> {
    let rows = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(conn).await?;
    Ok(rows.iter().map(|row| (0..row.columns().len()).map(|i| text(row, i)).collect::<Vec<_>>().join("|")).collect())
}

fn text(row: &SqliteRow, index: usize) -> String {
    let value = row.try_get_raw(index).unwrap();
    if value.is_null() {
        return "-".into();
    }
    match value.type_info().name() {
        "INTEGER" => row.get::<i64, _>(index).to_string(),
        "REAL" => format!("{:?}", row.get::<f64, _>(index)),
        _ => row.get::<String, _>(index),
    }
}
