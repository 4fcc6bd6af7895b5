//! Tests of what is PostgreSQL alone; what every store must do is tested once for both.

mod failover;
mod leases;
mod opening;
mod proxy;
mod quiet;
mod statements;
mod trouble;

use std::sync::Arc;

use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use super::{Address, Mode, PostgresStore, TimeOf};
use crate::budget::Limits;
use crate::clock::{Clock, ManualClock};
use crate::domain::{Api, CurvePoint, Dataset, Day, DayEnergy, Days, Interval, SameDay, Step, Values, paris};
use crate::source::Pool;
use crate::store::tests::server::{Database, Server};
use crate::store::{
    Answer, CallEnd, CallId, Lease, MeterId, MeterSetup, NewCall, Reserved, Setup, SourceId, SourceSetup, Store as _,
    Window,
};

const METER: MeterId = MeterId(1);
const SOURCE: SourceId = SourceId(1);
const CURVE: Dataset = Dataset::ConsumptionLoadCurve;
const DAILY: Dataset = Dataset::DailyConsumption;
const LIMITS: Limits = Limits { per_second: 1000, per_hour: None, per_day: None };
/// 2026-11-24 08:03:00 in Paris.
const NOW: i64 = 1_795_503_780;

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn days(first: &str, end: &str) -> Days {
    Days::new(day(first), day(end)).unwrap()
}

fn setup(meters: usize) -> Setup {
    let sources = vec![SourceSetup {
        name: "enedis".into(),
        kind: "enedis",
        account: "enedis:app".into(),
        direct: true,
        credentials: "c".into(),
    }];
    let meter = |n: usize| MeterSetup {
        customer: Vec::new(),
        prm: format!("{:014}", 1_234_567_890_123 + n).parse().unwrap(),
        name: format!("Maison {n}"),
        source: "enedis".into(),
        sources: vec!["enedis".into()],
        consent_until: None,
        datasets: vec![CURVE, DAILY, Dataset::DailyMaxPower],
    };
    Setup { sources, meters: (0..meters).map(meter).collect() }
}

fn windows(meters: i64, first: &str, end: &str) -> Vec<Window> {
    let of = |meter| {
        [CURVE, DAILY, Dataset::DailyMaxPower].map(|dataset| Window {
            meter: MeterId(meter),
            dataset,
            served: day(first),
            days: Some(days(first, end)),
        })
    };
    (1..=meters).flat_map(of).collect()
}

fn curve(days: Days, watts: i64) -> Values {
    let step = Step::from_minutes(30).unwrap();
    let (start, end) = (paris::start_of(days.first()), paris::start_of(days.end()));
    let point = |n| CurvePoint { interval: Interval { start: start + n * 1800, step }, watts };
    Values::Curve((0..(end - start) / 1800).map(point).collect())
}

fn energy(days: Days, wh: i64) -> Values {
    Values::Energy(days.iter().map(|day| DayEnergy { day, wh }).collect())
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(chrono::DateTime::from_timestamp(NOW, 0).unwrap()))
}

async fn open<C: Clock + 'static>(url: &str, mode: Mode, clock: &Arc<C>) -> PostgresStore {
    let clock: Arc<dyn Clock> = Arc::<C>::clone(clock);
    PostgresStore::open(Address::parse(url, None).unwrap(), mode, TimeOf::Caller, clock).await.unwrap()
}

/// A call for a series; `seen` asks for a lease.
fn call(dataset: Dataset, span: Days, seen: Option<i64>) -> NewCall {
    NewCall {
        source: SOURCE,
        api: Some(Api::V2026),
        pool: Pool::Live,
        asks: Some((METER, dataset, span).into()),
        keep: None,
        seen,
        lease: None,
        lead_ms: 0,
        despite_rest: false,
        asked_at: NOW,
    }
}

async fn reserve(store: &PostgresStore, call: &NewCall) -> (CallId, Option<CallId>) {
    match store.reserve(call, &LIMITS, NOW * 1000).await.unwrap() {
        Reserved::Go { call, lease, .. } => (call, lease),
        other => panic!("{other:?}"),
    }
}

fn answer(call: CallId, lease: Option<Lease>, dataset: Dataset, covered: Days, values: Values) -> Answer {
    Answer {
        end: CallEnd { call, lease, status: Some(200), code: None, duration_ms: 412 },
        direct: true,
        meter: METER,
        dataset,
        source: SOURCE,
        covered,
        exact: true,
        same_day: SameDay::Often,
        values,
        asked_at: NOW,
        window_first: day("2024-11-09"),
        effects: Vec::new(),
        raw: None,
    }
}

/// A database with one meter, and a store on it.
struct Rig {
    database: Database,
    store: PostgresStore,
    clock: Arc<ManualClock>,
}

impl Rig {
    async fn new() -> Self {
        Self::on(Server::shared()).await
    }

    async fn on(server: &'static Server) -> Self {
        let database = server.database().await;
        let clock = clock();
        let store = open(&database.url(), Mode::Write, &clock).await;
        store.set_up(&setup(1)).await.unwrap();
        store.open_windows(&windows(1, "2026-11-01", "2026-11-24"), NOW).await.unwrap();
        Self { database, store, clock }
    }

    /// The same database for another instance.
    async fn other(&self) -> PostgresStore {
        open(&self.database.url(), Mode::Write, &self.clock).await
    }

    /// The first column of each row of a query, as text.
    async fn column(&self, query: &str) -> Vec<String> {
        let mut conn = self.database.connect().await;
        let rows = sqlx::raw_sql(AssertSqlSafe(query.to_owned())).fetch_all(&mut conn).await.unwrap();
        rows.iter().map(|row| row.try_get::<Option<String>, _>(0).unwrap().unwrap_or_default()).collect()
    }

    /// The only value of a query.
    async fn one(&self, query: &str) -> String {
        self.column(query).await.remove(0)
    }
}
