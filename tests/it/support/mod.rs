//! A rig: the simulator, a database in a temporary folder, a clock that moves only when told, and
//! an engine between them. Tests set the world, run passes, then look at the world.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use chrono::{DateTime, Utc};
use linkyd::budget::Limits;
use linkyd::client::{Transport, TransportError};
use linkyd::clock::{Calendar, Clock, ManualClock};
use linkyd::domain::registers::Counts;
use linkyd::domain::{Api, Dataset, Day, Days, Kind, Prm, Values, paris};
use linkyd::engine::{ActiveMeter, ActiveSource, Engine, Report, Selection};
use linkyd::plan;
use linkyd::simulator::{AsOf, Simulator, World};
use linkyd::source::enedis::{Enedis, EnedisSettings};
use linkyd::source::{Request, Response, Source};
use linkyd::store::postgres::{Address, PostgresStore, TimeOf};
use linkyd::store::sqlite::SqliteStore;
use linkyd::store::{Database, Journey, Mode, SeriesStatus, Store};
use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

pub(crate) mod driven;
pub(crate) mod gateways;
pub(crate) mod shared;

/// The same world, but remembering what was measured together with every other one of its seed: tests
/// look at the same few years of the same meters hundreds of times.
fn remembering(world: World) -> World {
    static WORLDS: Mutex<BTreeMap<u64, World>> = Mutex::new(BTreeMap::new());
    let mut worlds = WORLDS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut same = worlds.entry(world.seed).or_insert_with(|| World::new(world.seed)).clone();
    (same.meters, same.rules) = (world.meters, world.rules);
    same
}

/// Calls the simulator's router without a socket.
#[derive(Debug)]
pub(crate) struct InMemory(pub(crate) Simulator);

#[async_trait]
impl Transport for InMemory {
    async fn send(&self, request: &Request) -> Result<Response, TransportError> {
        let mut builder = axum::http::Request::builder().uri(request.url.as_str());
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        if let Some(authorization) = &request.authorization {
            builder = builder.header("authorization", authorization.expose_secret());
        }
        let posted = |builder: axum::http::request::Builder, kind| builder.method("POST").header("content-type", kind);
        let body = match (&request.form, &request.json) {
            (Some(form), _) => {
                builder = posted(builder, "application/x-www-form-urlencoded");
                Body::from(form.expose_secret().to_owned())
            }
            (None, Some(json)) => {
                builder = posted(builder, "application/json");
                Body::from(json.clone())
            }
            (None, None) => Body::empty(),
        };
        let answer = self.0.router().oneshot(builder.body(body).unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        let headers = answer
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap_or_default().to_owned()))
            .collect();
        let body = axum::body::to_bytes(answer.into_body(), linkyd::client::transport::MAX_BODY)
            .await
            .map_err(|_| TransportError::Cut)?;
        Ok(Response { status, headers, body: body.to_vec() })
    }
}

/// Asks to stop when a call with that in its path leaves.
#[derive(Debug)]
pub(crate) struct Stopping {
    pub(crate) inner: InMemory,
    pub(crate) at: &'static str,
    pub(crate) stop: CancellationToken,
}

#[async_trait]
impl Transport for Stopping {
    async fn send(&self, request: &Request) -> Result<Response, TransportError> {
        if request.url.path().contains(self.at) {
            self.stop.cancel();
        }
        self.inner.send(request).await
    }
}

/// An instant, in words.
pub(crate) fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&Utc)
}

/// A day, in words.
pub(crate) fn day(text: &str) -> Day {
    text.parse().unwrap()
}

/// A meter number.
pub(crate) fn prm(text: &str) -> Prm {
    text.parse().unwrap()
}

/// A journey of 2026 for a year that began then and waits for its answer.
pub(crate) fn journey(state: &str, begun_at: i64) -> Journey {
    Journey {
        state: state.to_owned(),
        source: "enedis".to_owned(),
        api: Api::V2026,
        duration: "P1Y".to_owned(),
        begun_at,
        answered_at: None,
        number: None,
        done_at: None,
    }
}

/// Returns after it was polled so often: what runs beside it is cut off at a moment of chance.
pub(crate) async fn polls(mut left: u32) {
    std::future::poll_fn(|context| {
        left = left.saturating_sub(1);
        context.waker().wake_by_ref();
        if left == 0 { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// The kinds of databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    File,
    Server,
}

tokio::task_local! {
    /// The kind of database that [`Rig::new`] makes within a test of [`on_each_engine`].
    pub(crate) static ON: On;
}

/// The kind of database of this test.
pub(crate) fn on() -> On {
    ON.try_with(|on| *on).unwrap_or(On::File)
}

/// A test of many cases takes one in so many on a server, which takes its time; what it might do otherwise shows in a
/// part of them. Where everything is to be checked (STRICT), it takes all.
pub(crate) fn one_in(cases: usize) -> usize {
    let all = std::env::var_os("STRICT").is_some_and(|strict| !strict.is_empty());
    if on() == On::Server && !all { cases } else { 1 }
}

/// Makes a test of each function for each kind of database, in which all rigs have that kind.
macro_rules! on_each_engine {
    ($($test:ident,)*) => {
        mod on_sqlite {
            $(#[tokio::test] async fn $test() {
                crate::support::ON.scope(crate::support::On::File, Box::pin(super::$test())).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test] async fn $test() {
                crate::support::ON.scope(crate::support::On::Server, Box::pin(super::$test())).await;
            })*
        }
    };
}
pub(crate) use on_each_engine;

/// Makes a test of each function for each kind of database.
macro_rules! on_both_engines {
    ($($test:ident,)*) => {
        mod on_sqlite {
            $(#[tokio::test] async fn $test() { super::$test(crate::support::On::File).await; })*
        }
        mod on_postgres {
            $(#[tokio::test] async fn $test() { super::$test(crate::support::On::Server).await; })*
        }
    };
}
pub(crate) use on_both_engines;

/// What a test runs in.
pub(crate) struct Rig {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) simulator: Simulator,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) store: Arc<dyn Store>,
    /// The same store, by its kind.
    pub(crate) database: Database,
    server: Option<crate::postgres::Database>,
    pub(crate) apis: Vec<Api>,
    pub(crate) limits: Limits,
    pub(crate) meters: Vec<ActiveMeter>,
    pub(crate) every: BTreeMap<Dataset, i32>,
    /// Another way than the simulator's router.
    pub(crate) transport: Option<Arc<dyn Transport>>,
    /// The address of the source.
    pub(crate) base: String,
    /// Gateways beside it.
    pub(crate) gateways: Vec<ActiveSource>,
}

impl Rig {
    /// A rig at an instant; the world's meters are configured with the datasets given.
    pub(crate) async fn new(world: World, datasets: &[Dataset], now: DateTime<Utc>) -> Self {
        Self::on(on(), world, datasets, now).await
    }

    /// The same on a database of either kind.
    pub(crate) async fn on(on: On, world: World, datasets: &[Dataset], now: DateTime<Utc>) -> Self {
        let clock = Arc::new(ManualClock::new(now));
        let shared: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        let meters = world
            .meters
            .iter()
            .enumerate()
            .map(|(n, meter)| ActiveMeter {
                customer: Vec::new(),
                prm: meter.prm.clone(),
                name: format!("Meter {n}"),
                sources: vec!["enedis".to_owned()],
                datasets: datasets.to_vec(),
                since: None,
            })
            .collect();
        let simulator = Simulator::new(remembering(world), Arc::clone(&shared), Calendar::new(shared, None));
        let folder = tempfile::tempdir().unwrap();
        let (database, server) = match on {
            On::File => {
                let path = folder.path().join("linkyd.db");
                let store = SqliteStore::open(&path, Mode::Create, "test").await.unwrap();
                (Database::File(Arc::new(store)), None)
            }
            On::Server => {
                let server = crate::postgres::Server::shared().database().await;
                let address = Address::parse(&server.url(), None).unwrap();
                let time: Arc<dyn Clock> = Arc::new(linkyd::clock::SystemClock::new());
                let store = PostgresStore::open(address, Mode::Create, TimeOf::Caller, time).await.unwrap();
                (Database::Server(Arc::new(store)), Some(server))
            }
        };
        Self {
            clock,
            simulator,
            folder,
            store: database.store(),
            database,
            server,
            apis: vec![Api::V2026],
            limits: Limits { per_second: 5, per_hour: None, per_day: None },
            meters,
            every: BTreeMap::new(),
            transport: None,
            base: "http://localhost/".to_owned(),
            gateways: Vec::new(),
        }
    }

    /// The same, with days from `since` on only: a history that is quickly fetched.
    pub(crate) fn since(mut self, since: Day) -> Self {
        for meter in &mut self.meters {
            meter.since = Some(since);
        }
        self
    }

    /// The engine as the rig is set now.
    pub(crate) fn engine(&self) -> Engine {
        let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&self.clock);
        let source: Arc<dyn Source> = Arc::new(Enedis::new(EnedisSettings {
            name: "enedis".to_owned(),
            base_url: self.base.parse().unwrap(),
            apis: self.apis.clone(),
            client_id: "id".to_owned(),
            client_secret: "secret".into(),
            user_agent: Enedis::user_agent(),
        }));
        let store = Arc::clone(&self.store);
        let enedis = ActiveSource {
            source,
            transport: self.transport.clone().unwrap_or_else(|| Arc::new(InMemory(self.simulator.clone()))),
            limits: self.limits,
            cached: None,
        };
        Engine {
            store,
            calendar: Calendar::new(Arc::clone(&clock), None),
            clock,
            sources: std::iter::once(enedis).chain(self.gateways.iter().cloned()).collect(),
            meters: self.meters.clone(),
            every: self.every.clone(),
        }
    }

    /// A pass as the daily timer would make it.
    pub(crate) async fn pass(&self) -> Report {
        self.pass_with(Selection::default()).await
    }

    /// A pass as an operator asks for it.
    pub(crate) async fn sync(&self) -> Report {
        let request = plan::Request { operator: true, ..plan::Request::default() };
        self.pass_with(Selection { request, ..Selection::default() }).await
    }

    /// A pass of a given kind.
    pub(crate) async fn pass_with(&self, selection: Selection) -> Report {
        let pass = async { self.engine().pass(&selection, &CancellationToken::new(), &|_| ()).await.unwrap() };
        tokio::time::timeout(Duration::from_mins(2), pass).await.expect("the pass ends")
    }

    /// A daily pass that is asked to stop when a call with that in its path leaves.
    pub(crate) async fn pass_stopped_at(&mut self, at: &'static str) -> Report {
        let stop = CancellationToken::new();
        let inner = InMemory(self.simulator.clone());
        self.transport = Some(Arc::new(Stopping { inner, at, stop: stop.clone() }));
        let report = self.engine().pass(&Selection::default(), &stop, &|_| ()).await.unwrap();
        self.transport = None;
        report
    }

    /// The rows that a statement finds; its only column is text.
    pub(crate) async fn rows(&self, statement: String) -> Vec<String> {
        use sqlx::{ConnectOptions as _, Row as _};
        if let Some(server) = &self.server {
            let mut conn = server.connect().await;
            let rows = sqlx::query(sqlx::AssertSqlSafe(statement)).fetch_all(&mut conn).await.unwrap();
            return rows.iter().map(|row| row.get(0)).collect();
        }
        let path = self.folder.path().join("linkyd.db");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).read_only(true);
        let mut conn = options.connect().await.unwrap();
        let rows = sqlx::query(sqlx::AssertSqlSafe(statement)).fetch_all(&mut conn).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Changes something behind the store's back.
    pub(crate) async fn run(&self, statement: &str) {
        use sqlx::ConnectOptions as _;
        if let Some(server) = &self.server {
            return server.run(statement).await;
        }
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.folder.path().join("linkyd.db"));
        let mut conn = options.connect().await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(&mut conn).await.unwrap();
    }

    /// Moves on to the next morning at the given Paris time.
    pub(crate) fn next_morning(&self, hour: u32, minute: u32) {
        let tomorrow = paris::today(self.clock.now()).next();
        let wall = chrono::NaiveTime::from_hms_opt(hour, minute, 0).unwrap();
        let wait = paris::at_wall(tomorrow, wall) - self.clock.now().timestamp();
        self.clock.advance(Duration::from_secs(wait.unsigned_abs()));
    }

    /// The machine's time, in milliseconds.
    pub(crate) fn clock_now_ms(&self) -> i64 {
        self.clock.now().timestamp_millis()
    }

    /// Minutes on the clock, for differences.
    pub(crate) fn clock_minutes(&self) -> u64 {
        self.clock.monotonic().as_secs() / 60
    }

    /// Moves time on.
    pub(crate) fn advance(&self, minutes: u64) {
        self.clock.advance(Duration::from_mins(minutes));
    }

    /// How `linkyd status` calls a series, and what it says about its error.
    pub(crate) async fn status(&self, prm: &Prm, dataset: Dataset) -> SeriesStatus {
        let lines = self.store.status().await.unwrap();
        lines.into_iter().find(|line| line.prm == *prm && line.dataset == dataset).unwrap()
    }

    /// Requests for a token so far.
    pub(crate) fn tokens(&self) -> u64 {
        self.simulator.counters().token_calls
    }

    /// Data calls that were not answered with 200.
    pub(crate) fn unsuccessful(&self) -> usize {
        self.simulator.log().iter().filter(|call| call.status != 200).count()
    }

    /// Everything from `since` on equals the truth.
    pub(crate) async fn assert_true_since(&self, prm: &Prm, since: Day) {
        let datasets = self.meters.iter().find(|m| m.prm == *prm).unwrap().datasets.clone();
        for dataset in datasets {
            let days = Days::new(since, self.window(dataset).end()).unwrap();
            self.assert_equals_truth(prm, dataset, days).await;
        }
        self.assert_sound().await;
    }

    /// Calls for data so far.
    pub(crate) fn calls(&self) -> usize {
        self.simulator.log().len()
    }

    /// Calls for data that were refused with this code.
    pub(crate) fn refused(&self, code: &str) -> usize {
        self.simulator.log().iter().filter(|call| call.code.as_deref() == Some(code)).count()
    }

    /// The days that the source serves and has published.
    pub(crate) fn window(&self, dataset: Dataset) -> Days {
        let today = paris::today(self.clock.now());
        let first = self.simulator.world().rules.history_begins(dataset, today);
        Days::new(first, linkyd::engine::knowledge::published_end(self.clock.now())).unwrap()
    }

    /// Everything stored of a series equals the truth of the simulator for these days.
    pub(crate) async fn assert_equals_truth(&self, prm: &Prm, dataset: Dataset, days: Days) {
        let as_of = AsOf::Instant(self.clock.now());
        let world = self.simulator.world();
        match self.database.readings(prm, dataset).await.unwrap() {
            Values::Curve(points) => {
                let stored: Vec<_> =
                    points.iter().map(|p| (p.interval.start, i64::from(p.interval.step.minutes()), p.watts)).collect();
                assert_same(&stored, &world.curve(prm, dataset.direction(), days, as_of), dataset);
            }
            Values::Energy(values) => {
                let stored: Vec<_> = values.iter().map(|v| (v.day, v.wh)).collect();
                assert_same(&stored, &world.daily(prm, dataset.direction(), days, as_of), dataset);
            }
            Values::Peaks(values) => {
                let stored: Vec<_> = values.iter().map(|v| (v.day, v.va)).collect();
                let truth: Vec<_> = world.peaks(prm, days, as_of).into_iter().map(|(day, va, _)| (day, va)).collect();
                assert_same(&stored, &truth, dataset);
                let instants = |v: &linkyd::domain::PeakPower| v.at;
                for (value, (_, _, at)) in values.iter().zip(world.peaks(prm, days, as_of)) {
                    assert!(instants(value).is_none_or(|stored| stored == at), "{dataset} {}", value.day);
                }
            }
            Values::Registers(readings) => {
                let row = |at, counts: &Counts, register: &str, wh| {
                    let (calendar, class) = counts.columns();
                    (at, calendar.to_owned(), register.to_owned(), class.to_owned(), wh)
                };
                let stored: Vec<_> = readings.iter().map(|r| row(r.read_at, &r.counts, &r.register, r.wh)).collect();
                // Where the midnight at the end of a span is answered, it is kept.
                let end = if world.rules.registers.with_end { days.end().next() } else { days.end() };
                let days = Days::new(days.first(), end).unwrap();
                let truth = world.registers(prm, dataset.direction(), days, as_of);
                let mut truth: Vec<_> = truth
                    .into_iter()
                    .map(|value| {
                        let (calendar, class) = value.counts.unwrap_or_default();
                        let counts = Counts::of(calendar, class.to_owned());
                        row(paris::start_of(value.midnight), &counts, &value.register, value.wh)
                    })
                    .collect();
                truth.sort();
                assert_same(&stored, &truth, dataset);
            }
        }
    }

    /// The first day that the database counts as wanted.
    pub(crate) async fn store_window(&self, prm: &Prm, dataset: Dataset) -> Day {
        let facts = self.store.facts(0).await.unwrap();
        let series = facts.series.into_iter().find(|s| s.prm == *prm && s.dataset == dataset).unwrap();
        let (meter, stored) = (series.meter, series.days);
        let since = self.meters.iter().find(|m| m.prm == *prm).unwrap().since;
        let known = facts.activations.get(&(meter, dataset.direction())).copied().unwrap_or_default();
        // A server tells nothing of complete days that have left the window.
        let oldest = self.status(prm, dataset).await.oldest_day;
        let served = stored.first_known().into_iter().chain(oldest).min().unwrap();
        [since, known.refused.map(Day::next)].into_iter().flatten().fold(served, Day::max)
    }

    /// All true days from `days` are stored, whatever lies before them.
    pub(crate) async fn assert_stored_within(&self, prm: &Prm, dataset: Dataset, days: Days) {
        let status = self.status(prm, dataset).await;
        assert!(status.oldest_day.unwrap() <= days.first(), "{dataset}: {status:?}");
        assert_eq!((status.newest_day, status.gaps), (Some(days.last()), 0), "{dataset}");
    }

    /// The whole history of a meter equals the truth.
    pub(crate) async fn assert_whole(&self, prm: &Prm) {
        self.assert_whole_since(prm, self.clock.now()).await;
    }

    /// The same, for all that could be fetched from an earlier instant on.
    pub(crate) async fn assert_whole_since(&self, prm: &Prm, began: DateTime<Utc>) {
        let datasets = self.meters.iter().find(|m| m.prm == *prm).unwrap().datasets.clone();
        for dataset in datasets {
            let rules = &self.simulator.world().rules;
            let first = rules.history_begins(dataset, paris::today(began));
            let days = Days::new(first, self.window(dataset).end()).unwrap();
            self.assert_equals_truth(prm, dataset, days).await;
        }
    }

    /// How many calls a whole history takes at the least.
    pub(crate) fn fewest(&self, dataset: Dataset) -> usize {
        let longest = match dataset.kind() {
            Kind::LoadCurve => 7,
            Kind::DailyEnergy | Kind::MaxPower => 365,
            Kind::Registers => 31,
        };
        usize::try_from(self.window(dataset).len()).unwrap().div_ceil(longest)
    }

    /// Looks for contradictions in the database.
    pub(crate) async fn assert_sound(&self) {
        assert_eq!(self.database.check().await.unwrap(), []);
    }
}

fn assert_same<T: PartialEq + std::fmt::Debug>(stored: &[T], truth: &[T], dataset: Dataset) {
    let differ = stored.iter().zip(truth).find(|(stored, truth)| stored != truth);
    assert!(differ.is_none(), "{dataset}: stored and true {differ:?}");
    assert_eq!(stored.len(), truth.len(), "{dataset}");
}
