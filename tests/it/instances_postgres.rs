//! Two and four instances on one PostgreSQL, against an Enedis that counts strictly: no second above five
//! calls, the hour's budget spent exactly, each span fetched once, also where one of them dies in the
//! midst or is away for longer than its leases last. What the dead had in the air has no end in the
//! journal for ever: these days, and no others, are asked for a second time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use linkyd::budget::Limits;
use linkyd::client::{Transport, TransportError};
use linkyd::clock::{Calendar, Clock, SystemClock};
use linkyd::domain::{Api, CustomerDataset, Dataset, Days, Prm, Values};
use linkyd::engine::report::Stop;
use linkyd::engine::{ActiveMeter, ActiveSource, Engine, Report, Selection};
use linkyd::simulator::{AsOf, Faults, Limits as Counted, MeterSpec, Simulator, World};
use linkyd::source::enedis::{Enedis, EnedisSettings};
use linkyd::source::{Request, Response, Source};
use linkyd::store::Mode;
use linkyd::store::Store;
use linkyd::store::postgres::{Address, PostgresStore, TimeOf};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::cli_rig::{Home, METER, MORNING, Simulated, meter, source, wait_for};
use crate::postgres::{Database, Server};
use crate::support::driven::{Driven, Watched};
use crate::support::{InMemory, at, day};

const SINCE: &str = "2026-10-01";
/// Since when the younger meters are served.
const ACTIVATED: &str = "2026-10-20";
const DATASETS: [Dataset; 2] = [Dataset::ConsumptionLoadCurve, Dataset::DailyConsumption];
const METERS: usize = 8;
/// 54 days: eight spans of a curve and one of daily values.
const SPANS: usize = METERS * 9;
/// Calls of one instance that may be in the air at once.
const MOST_IN_AIR: usize = 12;

/// Some instances, a database, an Enedis that takes 0.6 seconds to answer, and the time that they share.
struct Fleet {
    clock: Arc<Driven>,
    busy: Arc<AtomicUsize>,
    simulator: Simulator,
    database: Database,
    limits: Limits,
    /// What is wanted of customers.
    customer: &'static [CustomerDataset],
}

impl Fleet {
    async fn new(per_hour: Option<u32>) -> Self {
        Self::of(per_hour, MeterSpec::new, &[]).await
    }

    /// Meters that are younger than what is wanted of them, and whose contracts say so.
    async fn with_contracts() -> Self {
        let young = |prm| MeterSpec { consumption_since: Some(day(ACTIVATED)), ..MeterSpec::new(prm) };
        Self::of(None, young, &[CustomerDataset::Contract]).await
    }

    async fn of(per_hour: Option<u32>, meter: fn(Prm) -> MeterSpec, customer: &'static [CustomerDataset]) -> Self {
        let clock = Arc::new(Driven::new(at("2026-11-24T08:30:00+01:00")));
        let shared: Arc<dyn Clock> = Arc::<Driven>::clone(&clock);
        let prm = |n: usize| format!("{:014}", 9_876_543_210_000 + n).parse().unwrap();
        let world = (0..METERS).fold(World::new(71), |world, n| world.with(meter(prm(n))));
        let simulator = Simulator::new(world, Arc::clone(&shared), Calendar::new(shared, None));
        simulator.set_limits(Counted { per_second: Some(5), per_hour_v5: None, per_hour_2026: per_hour });
        simulator.set_faults(Faults { latency_ms: 600, ..Faults::none() });
        let database = Server::shared().database().await;
        let limits = Limits { per_second: 5, per_hour, per_day: None };
        Self { clock, busy: Arc::default(), simulator, database, limits, customer }
    }

    async fn store(&self) -> PostgresStore {
        let address = Address::parse(&self.database.url(), None).unwrap();
        PostgresStore::open(address, Mode::Write, TimeOf::Caller, Arc::new(SystemClock::new())).await.unwrap()
    }

    async fn engine(&self) -> Engine {
        self.engine_over(Arc::new(InMemory(self.simulator.clone()))).await
    }

    async fn engine_over(&self, transport: Arc<dyn Transport>) -> Engine {
        let clock: Arc<dyn Clock> = Arc::<Driven>::clone(&self.clock);
        let source: Arc<dyn Source> = Arc::new(Enedis::new(EnedisSettings {
            name: "enedis".to_owned(),
            base_url: "http://localhost/".parse().unwrap(),
            apis: vec![Api::V2026],
            client_id: "id".to_owned(),
            client_secret: "secret".into(),
            user_agent: Enedis::user_agent(),
        }));
        let world = self.simulator.world();
        let meters = world.meters.iter().enumerate().map(|(n, meter)| ActiveMeter {
            customer: self.customer.to_vec(),
            prm: meter.prm.clone(),
            name: format!("Meter {n}"),
            sources: vec!["enedis".to_owned()],
            datasets: DATASETS.to_vec(),
            since: Some(day(SINCE)),
        });
        let store = Watched { inner: Arc::new(self.store().await), busy: Arc::clone(&self.busy) };
        Engine {
            store: Arc::new(store),
            calendar: Calendar::new(Arc::clone(&clock), None),
            clock,
            sources: vec![ActiveSource { source, transport, limits: self.limits, cached: None }],
            meters: meters.collect(),
            every: BTreeMap::new(),
        }
    }

    /// Lets instances make a pass each at the same time; `meanwhile` looks on.
    async fn passes(&self, engines: Vec<Engine>, meanwhile: impl Fn(&Simulator) -> Option<usize>) -> Vec<Report> {
        let tasks: Vec<_> = engines
            .into_iter()
            .map(|engine| {
                tokio::spawn(
                    async move { engine.pass(&Selection::default(), &CancellationToken::new(), &|_| ()).await },
                )
            })
            .collect();
        let killing = async {
            loop {
                if let Some(victim) = meanwhile(&self.simulator) {
                    tasks[victim].abort();
                    return std::future::pending::<()>().await;
                }
                tokio::task::yield_now().await;
            }
        };
        let ended = async {
            loop {
                if tasks.iter().all(tokio::task::JoinHandle::is_finished) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        let driven = async { tokio::join!(self.clock.drive(&self.busy), killing) };
        let all = async {
            tokio::select! { () = ended => (), _ = driven => () }
        };
        tokio::time::timeout(Duration::from_mins(2), all).await.expect("the passes end");
        let mut reports = Vec::new();
        for task in tasks {
            match task.await {
                Ok(report) => reports.push(report.unwrap()),
                Err(error) => assert!(error.is_cancelled(), "{error}"),
            }
        }
        reports
    }

    /// How many answers brought what another one had brought already.
    fn fetched_twice(&self) -> usize {
        let log = self.simulator.log();
        let spans: BTreeSet<_> = log.iter().map(|c| (c.prm.clone(), c.dataset, c.start, c.end)).collect();
        log.len() - spans.len()
    }

    /// What was asked for, in order.
    fn asked(&self) -> Vec<Asked> {
        let asked = |call: linkyd::simulator::LoggedCall| Asked {
            prm: call.prm.unwrap().full().to_owned(),
            dataset: call.dataset.name().to_owned(),
            days: Days::new(call.start.unwrap(), call.end.unwrap()).unwrap(),
        };
        self.simulator.log().into_iter().map(asked).collect()
    }

    /// No limit was met, and everything is there.
    async fn assert_whole(&self) {
        self.assert_paced();
        let store = self.store().await;
        assert_eq!(store.check().await.unwrap(), []);
        let status = store.status().await.unwrap();
        assert_eq!(status.len(), METERS * DATASETS.len());
        assert!(status.iter().all(|s| s.gaps == 0), "{status:?}");
        for meter in &self.simulator.world().meters {
            self.assert_true(&store, &meter.prm).await;
        }
    }

    fn assert_paced(&self) {
        let counters = self.simulator.counters();
        assert!(counters.max_in_a_second <= 5, "{counters:?}");
        assert_eq!((counters.refused_by_second, counters.refused_by_hour), (0, 0));
        // Who was killed never heard the answer.
        assert!(self.simulator.log().iter().all(|call| matches!(call.status, 0 | 200)), "nothing was refused");
    }

    async fn assert_true(&self, store: &PostgresStore, prm: &Prm) {
        let dataset = Dataset::ConsumptionLoadCurve;
        let days = Days::new(day(SINCE), day("2026-11-24")).unwrap();
        let truth = self.simulator.world().curve(prm, dataset.direction(), days, AsOf::Instant(self.clock.now()));
        let Values::Curve(points) = store.readings(prm, dataset).await.unwrap() else { panic!("a curve") };
        let stored: Vec<_> =
            points.iter().map(|p| (p.interval.start, i64::from(p.interval.step.minutes()), p.watts)).collect();
        assert_eq!(stored, truth);
    }
}

#[tokio::test]
async fn two_and_four_instances_share_the_pace_and_fetch_each_span_once() {
    for instances in [2, 4] {
        let fleet = Fleet::new(None).await;
        let mut engines = Vec::new();
        for _ in 0..instances {
            engines.push(fleet.engine().await);
        }
        let reports = fleet.passes(engines, |_| None).await;
        fleet.assert_whole().await;
        assert_eq!((fleet.simulator.log().len(), fleet.fetched_twice()), (SPANS, 0), "{instances}");
        assert_eq!(reports.iter().map(|r| r.calls).sum::<u64>(), u64::try_from(SPANS).unwrap());
        // All had a share, and together they were no faster than one may be.
        assert!(reports.iter().all(|r| r.calls > 5), "{:?}", reports.iter().map(|r| r.calls).collect::<Vec<_>>());
        let counters = fleet.simulator.counters();
        let took = counters.last_arrival.unwrap().saturating_sub(counters.first_arrival.unwrap());
        assert!(took >= Duration::from_millis(200) * u32::try_from(SPANS - 1).unwrap(), "{took:?}");
        assert!(took <= Duration::from_millis(300) * u32::try_from(SPANS).unwrap(), "{took:?}");
    }
}

#[tokio::test]
async fn the_budget_of_an_hour_is_spent_exactly_by_all_together() {
    for instances in [2, 4] {
        let fleet = Fleet::new(Some(40)).await;
        let mut engines = Vec::new();
        for _ in 0..instances {
            engines.push(fleet.engine().await);
        }
        let reports = fleet.passes(engines, |_| None).await;
        fleet.assert_paced();
        let counters = fleet.simulator.counters();
        assert_eq!(counters.data_calls + counters.token_calls, 40, "{counters:?}");
        assert_eq!(fleet.fetched_twice(), 0);
        assert!(reports.iter().all(|r| r.interruptions.iter().any(|i| i.stop == Stop::Later)), "{reports:?}");
    }
}

#[tokio::test]
async fn what_an_instance_had_in_the_air_when_it_died_is_taken_over_and_nothing_else_is_fetched_twice() {
    for instances in [2, 4] {
        let fleet = Fleet::new(None).await;
        let mut engines = vec![fleet.engine().await];
        let flying = Arc::new(AtomicUsize::new(0));
        let inner = InMemory(fleet.simulator.clone());
        engines.push(fleet.engine_over(Arc::new(Flights { inner, flying: Arc::clone(&flying), counts: "" })).await);
        for _ in 2..instances {
            engines.push(fleet.engine().await);
        }
        let killed = AtomicBool::new(false);
        let reports = fleet
            .passes(engines, |simulator| {
                let midst = simulator.log().len() >= SPANS / 3 && flying.load(Ordering::SeqCst) > 0;
                (midst && !killed.swap(true, Ordering::SeqCst)).then_some(1)
            })
            .await;
        assert_eq!(reports.len(), instances - 1, "one of them died");
        fleet.assert_whole().await;
        let lost = lost(&fleet.database).await;
        assert!((1..=MOST_IN_AIR).contains(&lost.len()), "{lost:?}");
        assert_only_lost_days_were_asked_for_again(&fleet.asked(), &lost);
        assert!(reports.iter().all(|r| r.left == 0), "{reports:?}");
    }
}

/// Knows how many calls for data with that in their path are in the air.
#[derive(Debug)]
struct Flights {
    inner: InMemory,
    flying: Arc<AtomicUsize>,
    counts: &'static str,
}

#[async_trait]
impl Transport for Flights {
    async fn send(&self, request: &Request) -> Result<Response, TransportError> {
        let counts = usize::from(request.form.is_none() && request.url.path().contains(self.counts));
        self.flying.fetch_add(counts, Ordering::SeqCst);
        let answer = self.inner.send(request).await;
        self.flying.fetch_sub(counts, Ordering::SeqCst);
        answer
    }
}

/// The calls about contracts so far, as paths with the masked meter, and whether each meter's contract was asked for
/// before its measures, and these from no day before its activation.
fn assert_contracts_came_first(fleet: &Fleet) {
    let (contracts, measures) = (fleet.simulator.service_log(), fleet.simulator.log());
    for meter in &fleet.simulator.world().meters {
        let of_meter = measures.iter().filter(|call| call.prm.as_ref() == Some(&meter.prm));
        let first = of_meter.clone().map(|call| call.at).min().expect("measures of each meter");
        let parts: Vec<_> = contracts.iter().filter(|call| call.prm.as_ref() == Some(&meter.prm)).collect();
        let answered = parts.iter().filter(|call| call.status == 200 && call.at < first).count();
        assert!(answered >= 3, "{parts:?}");
        assert!(of_meter.clone().all(|call| call.start >= Some(day(ACTIVATED))), "{:?}", of_meter.collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_contract_is_asked_for_once_by_all_and_before_any_measure() {
    for instances in [2, 4] {
        let fleet = Fleet::with_contracts().await;
        let mut engines = Vec::new();
        for _ in 0..instances {
            engines.push(fleet.engine().await);
        }
        let reports = fleet.passes(engines, |_| None).await;
        fleet.assert_paced();
        assert_contracts_came_first(&fleet);
        assert_eq!(fleet.simulator.service_log().len(), 3 * METERS, "{instances}");
        assert!(reports.iter().all(|r| r.left == 0), "{reports:?}");
        let answered = reports.iter().flat_map(|r| &r.customers).filter(|c| c.answered).count();
        assert_eq!(answered, METERS);
    }
}

#[tokio::test]
async fn the_contract_that_an_instance_asked_for_when_it_died_comes_before_the_measures_all_the_same() {
    let fleet = Fleet::with_contracts().await;
    let mut engines = vec![fleet.engine().await];
    let flying = Arc::new(AtomicUsize::new(0));
    let inner = InMemory(fleet.simulator.clone());
    let counts = "situation_contrat";
    engines.push(fleet.engine_over(Arc::new(Flights { inner, flying: Arc::clone(&flying), counts })).await);
    let killed = AtomicBool::new(false);
    let reports = fleet
        .passes(engines, |simulator| {
            let midst = simulator.service_log().len() >= METERS && flying.load(Ordering::SeqCst) > 0;
            (midst && !killed.swap(true, Ordering::SeqCst)).then_some(1)
        })
        .await;
    assert_eq!(reports.len(), 1, "one of them died");
    assert_contracts_came_first(&fleet);
    // What the dead had asked for is asked for once more, and nothing else.
    let asked = fleet.simulator.service_log().len();
    assert!((3 * METERS + 1..=3 * METERS + 3).contains(&asked), "{asked}");
    assert!(reports.iter().all(|r| r.left == 0), "{reports:?}");
    assert!(fleet.store().await.status().await.unwrap().iter().all(|s| s.gaps == 0));
}

/// Hands the first answer about daily values on only after a long while.
#[derive(Debug)]
struct Late {
    inner: InMemory,
    clock: Arc<Driven>,
    done: AtomicBool,
}

#[async_trait]
impl Transport for Late {
    async fn send(&self, request: &Request) -> Result<Response, TransportError> {
        let answer = self.inner.send(request).await;
        if request.url.as_str().contains("quotidienne") && !self.done.swap(true, Ordering::SeqCst) {
            self.clock.sleep(Duration::from_secs(90)).await;
        }
        answer
    }
}

#[tokio::test]
async fn an_instance_that_was_away_for_longer_than_its_lease_is_fenced() {
    let fleet = Fleet::new(None).await;
    // Whoever of the two asks first for daily values is the late one.
    let late: Arc<dyn Transport> = Arc::new(Late {
        inner: InMemory(fleet.simulator.clone()),
        clock: Arc::clone(&fleet.clock),
        done: AtomicBool::new(false),
    });
    let engines = vec![fleet.engine_over(Arc::clone(&late)).await, fleet.engine_over(late).await];
    let reports = fleet.passes(engines, |_| None).await;
    fleet.assert_whole().await;
    assert_eq!(fleet.fetched_twice(), 1, "only what was taken over");
    assert!(reports.iter().all(|r| r.left == 0), "{reports:?}");
}

/// A home whose database is on a server, where it goes by that name, for an Enedis that is asked so often.
fn home(database: &Database, name: &str, enedis: &Simulated, (per_second, per_hour): (u32, u32), meters: &str) -> Home {
    let home = Home::empty();
    let mut url = url::Url::parse(&database.url()).unwrap();
    url.query_pairs_mut().append_pair("application_name", name);
    let source = source(&enedis.url, "")
        .replace("requests_per_second = 1000", &format!("requests_per_second = {per_second}"))
        .replace("requests_per_hour = 1000000", &format!("requests_per_hour = {per_hour}"));
    let place = format!("[database]\nurl = \"{url}\"\n");
    home.configure(&format!("{place}{source}"), meters);
    home
}

/// What a call asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    prm: String,
    dataset: String,
    days: Days,
}

impl Asked {
    /// As a line of the simulator's log has it.
    pub(crate) fn of(call: &Value) -> Self {
        let text = |key: &str| call[key].as_str().unwrap().to_owned();
        let days = Days::new(day(&text("start")), day(&text("end"))).unwrap();
        Self { prm: text("prm"), dataset: text("dataset"), days }
    }
}

/// The calls of those who died: they were entered into the journal, and nobody was left to enter their ends.
pub(crate) async fn lost(database: &Database) -> Vec<Asked> {
    let open = "SELECT prm, dataset, start_day::text, end_day::text FROM v_call
                WHERE status IS NULL AND error_code IS NULL";
    let mut conn = database.connect().await;
    let lines: Vec<(String, String, String, String)> = sqlx::query_as(open).fetch_all(&mut conn).await.unwrap();
    let asked = |(prm, dataset, first, end): (String, String, String, String)| {
        let days = Days::new(day(&first), day(&end)).unwrap();
        Asked { prm, dataset, days }
    };
    lines.into_iter().map(asked).collect()
}

/// Each day of each series was asked for once, and once more for each call about it that was lost.
#[track_caller]
pub(crate) fn assert_only_lost_days_were_asked_for_again(asked: &[Asked], lost: &[Asked]) {
    let count = |calls: &[Asked]| {
        let mut days = BTreeMap::<_, usize>::new();
        for call in calls {
            for day in call.days.iter() {
                *days.entry((call.prm.clone(), call.dataset.clone(), day)).or_default() += 1;
            }
        }
        days
    };
    let lost = count(lost);
    for (day, times) in count(asked) {
        let allowed = 1 + lost.get(&day).copied().unwrap_or_default();
        assert!(times <= allowed, "{day:?} was asked for {times} times instead of {allowed}");
    }
}

/// How many calls of a log asked for what another one had asked for already.
fn asked_twice(calls: &[Value]) -> usize {
    let spans: BTreeSet<String> = calls
        .iter()
        .map(|call| format!("{} {} {} {}", call["prm"], call["dataset"], call["start"], call["end"]))
        .collect();
    calls.len() - spans.len()
}

/// Real processes: four commands share the meter's history, and one of them is killed in the midst.
#[test]
fn a_process_that_is_killed_leaves_nothing_behind() {
    let database = block_on(Server::shared().database());
    let folder = crate::cli_rig::folder();
    let enedis = Simulated::start(folder.path(), &["--no-limits", "--latency-ms", "100"]);
    // Slow enough that all have a share.
    let home = home(&database, "all", &enedis, (20, 1_000_000), &meter("since = 2026-01-01"));
    let mut instances: Vec<_> = (0..4).map(|_| home.start(&["sync", "--at", MORNING])).collect();
    wait_for("some calls of all", || (enedis.calls().len() >= 30).then_some(()));
    let mut killed = instances.remove(1);
    killed.kill();
    assert_eq!(killed.code(), None);
    // A lease lasts for a minute of the server's; here it is over after three seconds, and whoever waits is told.
    let over = "UPDATE series SET held_until_ms = 0, seen = seen + 1
                WHERE held_until_ms BETWEEN 1 AND extract(epoch FROM clock_timestamp()) * 1000 + 57000";
    let mut looks = 0_u32;
    wait_for("the end of the others", || {
        looks += 1;
        if looks.is_multiple_of(100) {
            block_on(database.run(over));
        }
        instances.iter_mut().all(|instance| instance.0.try_wait().unwrap().is_some()).then_some(())
    });
    for instance in &mut instances {
        assert_eq!(instance.code(), Some(0));
    }
    home.assert_whole();
    let lost = block_on(lost(&database));
    assert!(lost.len() <= MOST_IN_AIR, "{lost:?}");
    let asked: Vec<Asked> = enedis.calls().iter().map(Asked::of).collect();
    assert_only_lost_days_were_asked_for_again(&asked, &lost);
    let status = home.run(&["status", "--json", "--at", MORNING]).exits(0).json();
    let datasets = status["meters"][0]["datasets"].as_array().unwrap();
    assert!(datasets.len() == 5 && datasets.iter().all(|d| d["gaps"] == 0), "{status}");
    assert_eq!(home.run_at_morning(&["sync", "--json"]).exits(0).json()["calls"], 0, "and nothing is left to do");
}

/// Two processes before an Enedis that refuses what is too much: no second and no hour holds more than all may
/// have together, although one of them is killed with calls in the air.
#[test]
fn two_processes_share_one_pace_and_one_budget_and_one_of_them_is_killed() {
    const PER_HOUR: u32 = 40;
    const CALLERS: &str = "SELECT count(*) FROM (SELECT name FROM caller GROUP BY name HAVING count(*) >= 3) callers";
    let database = block_on(Server::shared().database());
    // A line of the journal says nothing of who wrote it; that is noted beside it.
    block_on(database.run(
        "CREATE TABLE caller (name text);
         CREATE FUNCTION note_caller() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO caller VALUES (current_setting('application_name'));
             RETURN NULL;
         END $$;
         CREATE TRIGGER note_caller AFTER INSERT ON call
         FOR EACH ROW WHEN (NEW.meter IS NOT NULL) EXECUTE FUNCTION note_caller()",
    ));
    let folder = crate::cli_rig::folder();
    let world = folder.path().join("world.toml");
    std::fs::write(&world, "[rules]\nany_prm = true\n[rules.limits]\nper_second = 5\nper_hour_2026 = 40\n").unwrap();
    let enedis = Simulated::start(folder.path(), &["--world", world.to_str().unwrap(), "--latency-ms", "300"]);
    // Each of them would be within the limit by itself, with room for a machine that is busy; both together would not.
    // There are meters enough to go on with while those of the dead are still held.
    let meters: String = (10..40)
        .map(|n| {
            meter("since = 2026-11-01")
                .replace(METER, &format!("12345678901{n}1"))
                .replace("Maison", &format!("Maison {n}"))
        })
        .collect();
    let homes = ["first", "second"].map(|name| home(&database, name, &enedis, (4, PER_HOUR), &meters));
    let [mut first, mut second] = homes.each_ref().map(|home| home.start(&["sync", "--at", MORNING]));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut conn = runtime.block_on(database.connect());
    wait_for("a share of both", || {
        let both = sqlx::query_scalar::<_, i64>(CALLERS).fetch_one(&mut conn);
        (runtime.block_on(both).unwrap() == 2).then_some(())
    });
    first.kill();
    assert_eq!((first.code(), second.code()), (None, Some(75)), "the other one spends what is left of the hour");
    homes[1].assert_whole();
    let calls = enedis.calls();
    assert!(calls.iter().all(|call| call["status"] == 200 || call["status"] == 0), "{calls:?}");
    assert!(asked_twice(&calls) == 0, "{calls:?}");
    // A line of the journal for each call, also for those that the dead had in the air and for tokens.
    let lines = "SELECT at_ms FROM call ORDER BY at_ms";
    let at: Vec<i64> = block_on(async {
        let mut conn = database.connect().await;
        sqlx::query_scalar(lines).fetch_all(&mut conn).await.unwrap()
    });
    assert_eq!(at.len(), PER_HOUR as usize, "the hour is spent to the last call, and no further");
    assert!(at.windows(5).all(|calls| calls[4] - calls[0] >= 1_000), "{at:?}");
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}
