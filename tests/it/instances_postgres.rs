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
use tokio_util::sync::CancellationToken;

use crate::instances_processes::{Asked, MOST_IN_AIR, assert_only_lost_days_were_asked_for_again, lost};
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
