//! What every store must do, whatever database is behind it: each test of the suite runs on both.
//!
//! A [`Host`] is a database with a store in it. Tests are functions of it; [`on_both_engines`]
//! makes two tests of each. What only one engine can have is tested beside its store.

/// Makes a test of each function for each engine.
macro_rules! on_both_engines {
    ($($test:ident,)*) => {
        mod on_sqlite {
            $(#[tokio::test] async fn $test() { super::$test::<crate::store::tests::Sqlite>().await; })*
        }
        mod on_postgres {
            $(#[tokio::test] async fn $test() { super::$test::<crate::store::tests::Postgres>().await; })*
        }
    };
}

mod answers;
mod consents;
mod differential;
mod journal;
mod offpeak;
mod postgres;
mod postgres_roles;
mod postgres_schema;
mod registers;
#[path = "../../../tests/postgres/server.rs"]
pub(super) mod server;
mod sqlite;
mod upgrade;
mod views;
mod windows;

use std::sync::atomic::{AtomicI64, Ordering};

pub(super) use self::postgres::Postgres;
pub(super) use self::sqlite::{Sqlite, dashboard, rows};
use super::{
    Answer, CallEnd, CallId, Committed, MeterId, MeterSetup, NewCall, Reserved, Setup, SourceId, SourceSetup, Store,
    StoreError, Window,
};
use crate::budget::Limits;
use crate::domain::registers::{Counts, RegisterReading};
use crate::domain::{
    Api, CurvePoint, Dataset, Day, DayEnergy, DayState, Days, Direction, Interval, PeakPower, Step, Values, paris,
};

pub(super) const PRM: &str = "01234567890123";
pub(super) const METER: MeterId = MeterId(1);
pub(super) const SOURCE: SourceId = SourceId(1);
pub(super) const CURVE: Dataset = Dataset::ConsumptionLoadCurve;
pub(super) const LIMITS: Limits = Limits { per_second: 1000, per_hour: None, per_day: None };

/// A database of a test's own.
pub(super) trait Host: Sized {
    /// What keeps it.
    type Store: Store;

    /// An empty one with its store.
    async fn new() -> (Self, Self::Store);

    /// What is wrong in the database.
    async fn check(store: &Self::Store) -> Vec<String>;

    /// A day as the tables have it.
    fn literal(day: Day) -> String;

    /// A query as another program makes it. Each row is text with `|` between the columns: `-` for
    /// NULL, instants and days as in the views of a file, 1 and 0 for yes and no, and no fraction where
    /// there is none, since a column of a file may hold whole and other numbers.
    async fn rows(&self, sql: &str) -> Vec<String>;

    /// Changes something behind the store's back.
    async fn run(&self, sql: &str);

    /// The columns of a view, by name.
    async fn columns(&self, view: &str) -> Vec<String>;

    /// The views.
    async fn views(&self) -> Vec<String>;
}

/// A store with one meter and all its series, on some morning.
pub(super) struct World<H: Host> {
    pub(super) host: H,
    pub(super) store: H::Store,
    now: AtomicI64,
}

pub(super) fn day(text: &str) -> Day {
    text.parse().unwrap()
}

pub(super) fn days(first: &str, end: &str) -> Days {
    Days::new(day(first), day(end)).unwrap()
}

pub(super) fn setup() -> Setup {
    let sources = vec![SourceSetup {
        name: "enedis".into(),
        kind: "enedis",
        account: "enedis:app".into(),
        direct: true,
        credentials: "c".into(),
    }];
    let meter = MeterSetup {
        customer: Vec::new(),
        prm: PRM.parse().unwrap(),
        name: "Maison".into(),
        source: "enedis".into(),
        sources: vec!["enedis".into()],
        consent_until: None,
        datasets: Dataset::ALL.to_vec(),
    };
    Setup { sources, meters: vec![meter] }
}

/// Intervals of one step that fill the days.
pub(super) fn curve(days: Days, minutes: i64, watts: impl Fn(i64) -> i64) -> Vec<CurvePoint> {
    let step = Step::from_minutes(minutes).unwrap();
    let (start, end) = (paris::start_of(days.first()), paris::start_of(days.end()));
    (0..(end - start) / step.seconds())
        .map(|n| {
            let start = start + n * step.seconds();
            CurvePoint { interval: Interval { start, step }, watts: watts(start) }
        })
        .collect()
}

pub(super) fn energy(days: Days, wh: impl Fn(Day) -> i64) -> Values {
    Values::Energy(days.iter().map(|day| DayEnergy { day, wh: wh(day) }).collect())
}

pub(super) fn peaks(days: Days, va: i64) -> Values {
    let peak = |day| PeakPower { day, va, local_seconds: Some(68_400), at: Some(paris::start_of(day) + 68_400) };
    Values::Peaks(days.iter().map(peak).collect())
}

/// What a register for everything and two for a calendar show at the midnights that open these days.
pub(super) fn registers(midnights: Days, class: &str, wh: impl Fn(Day) -> i64) -> Vec<RegisterReading> {
    let reading = |day, calendar: &str, class: &str, register: &str, wh| RegisterReading {
        direction: Direction::Consumption,
        read_at: paris::start_of(day),
        daily: true,
        counts: Counts::of(calendar.into(), class.into()),
        register: register.into(),
        wh,
    };
    let at = |day| {
        let wh = wh(day);
        let (peak, off_peak) = (wh - wh / 3, wh / 3);
        [
            reading(day, "", "", "EAS T", wh),
            reading(day, "DI000002", class, "EAS D1", 7_000 + peak),
            reading(day, "DI000002", "HC", "EAS D2", off_peak),
        ]
    };
    midnights.iter().flat_map(at).collect()
}

impl<H: Host> World<H> {
    pub(super) async fn new() -> Self {
        let world = Self::new_empty().await;
        world.store.set_up(&setup()).await.unwrap();
        world
    }

    /// Without the meter.
    pub(super) async fn new_empty() -> Self {
        let (host, store) = H::new().await;
        Self::around(host, store)
    }

    /// Some morning with that store.
    pub(super) fn around(host: H, store: H::Store) -> Self {
        let now = paris::start_of(day("2026-11-24")) + 8 * 3600 + 180;
        Self { host, store, now: now.into() }
    }

    pub(super) fn now(&self) -> i64 {
        self.now.load(Ordering::Relaxed)
    }

    /// Lets time pass.
    pub(super) fn wait(&self, seconds: i64) {
        self.now.fetch_add(seconds, Ordering::Relaxed);
    }

    /// Opens the same window for every series.
    pub(super) async fn window(&self, first: &str, end: &str) {
        let windows = Dataset::ALL.map(|dataset| Window {
            meter: METER,
            dataset,
            served: day(first),
            days: Some(days(first, end)),
        });
        self.store.open_windows(&windows, self.now()).await.unwrap();
    }

    pub(super) async fn reserve(&self, dataset: Dataset, covered: Days) -> CallId {
        let asks = Some((METER, dataset, covered));
        let call = NewCall {
            source: SOURCE,
            api: Some(Api::V2026),
            pool: crate::source::Pool::Live,
            asks: asks.map(Into::into),
            keep: None,
            seen: None,
            lease: None,
            lead_ms: 0,
            despite_rest: false,
            asked_at: self.now(),
        };
        match self.store.reserve(&call, &LIMITS, self.now() * 1000).await.unwrap() {
            Reserved::Go { call, .. } => call,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn answer(&self, call: CallId, dataset: Dataset, covered: Days, values: Values) -> Answer {
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
            raw: None,
        }
    }

    /// Reserves a call and stores its answer.
    pub(super) async fn store_values(&self, dataset: Dataset, covered: Days, values: Values) -> Committed {
        let call = self.reserve(dataset, covered).await;
        self.store.commit(self.answer(call, dataset, covered, values)).await.unwrap()
    }

    pub(super) async fn store_curve(&self, covered: Days, points: Vec<CurvePoint>) -> Committed {
        self.store_values(CURVE, covered, Values::Curve(points)).await
    }

    /// The state of a day of a series, also of one before the window.
    pub(super) async fn state(&self, dataset: Dataset, wanted: &str) -> DayState {
        let state = self
            .one(&format!(
                "SELECT state FROM coverage WHERE meter = {} AND dataset = {} AND day = {}",
                METER.0,
                dataset.id(),
                H::literal(day(wanted))
            ))
            .await;
        DayState::from_id(state.parse().unwrap()).unwrap()
    }

    /// A query, as a dashboard makes it; each row as text with `|` between the columns.
    pub(super) async fn rows(&self, sql: &str) -> Vec<String> {
        self.host.rows(sql).await
    }

    /// The only value of a query.
    pub(super) async fn one(&self, sql: &str) -> String {
        let rows = self.rows(sql).await;
        assert_eq!(rows.len(), 1, "{sql}: {rows:?}");
        rows[0].clone()
    }

    pub(super) async fn sound(&self) {
        assert_eq!(H::check(&self.store).await, Vec::<String>::new());
    }
}
