//! Several instances on one database: what one does while another is at work. The database that
//! they share is played in memory ([`crate::support::shared`]), and the other instance acts at the
//! worst moments: between two calls, and while a call is in the air.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use linkyd::client::{Transport, TransportError};
use linkyd::clock::{Clock, ManualClock};
use linkyd::domain::{Dataset, Days, SeriesState};
use linkyd::engine::{Engine, Report, Selection};
use linkyd::plan;
use linkyd::simulator::{Action, Envelope, Faults, Match, MeterSpec, World};
use linkyd::source::{Request, Response};
use linkyd::store::{MeterId, Reserved, Store};
use tokio::sync::RwLock;
use tokio_util::sync::CancellationToken;

use crate::support::shared::Shared;
use crate::support::{InMemory, Rig, at, day, prm};

const METERS: [&str; 3] = ["01234567890123", "09876543210987", "05555555555555"];
const DATASETS: [Dataset; 2] = [Dataset::ConsumptionLoadCurve, Dataset::DailyConsumption];

/// A rig with three meters and a database that others may share.
async fn rig() -> (Rig, Arc<Shared>) {
    let world = METERS.iter().fold(World::new(61), |world, meter| world.with(MeterSpec::new(prm(meter))));
    let rig = Rig::new(world, &DATASETS, at("2026-11-24T08:30:00+01:00")).await.since(day("2026-10-01"));
    let store: Arc<dyn Store> = Arc::clone(&rig.store);
    let shared = Arc::new(Shared::new(store));
    (rig, shared)
}

fn engine(rig: &Rig, shared: &Arc<Shared>) -> Engine {
    Engine { store: Arc::<Shared>::clone(shared), ..rig.engine() }
}

async fn pass(engine: &Engine, selection: Selection) -> Report {
    let pass = async { engine.pass(&selection, &CancellationToken::new(), &|_| ()).await.unwrap() };
    tokio::time::timeout(Duration::from_mins(2), pass).await.expect("the pass ends")
}

/// The first series, which the database learns of from a pass that asks for nothing.
async fn first_series(rig: &Rig, one: &Engine) -> (MeterId, Dataset) {
    let only = Days::new(day("2020-01-01"), day("2020-01-02"));
    let nothing = Selection { request: plan::Request { only, ..plan::Request::default() }, ..Selection::default() };
    pass(one, nothing).await;
    let series = &rig.store.facts(0).await.unwrap().series[0];
    (series.meter, series.dataset)
}

/// How many answers brought what another one had brought already.
fn fetched_twice(rig: &Rig) -> usize {
    let mut log = rig.simulator.log();
    log.retain(|call| call.status == 200);
    let spans: BTreeSet<_> = log.iter().map(|c| (c.prm.clone(), c.dataset, c.start, c.end)).collect();
    log.len() - spans.len()
}

/// Each span was fetched once, and everything is there.
async fn assert_once(rig: &Rig) {
    assert_eq!(fetched_twice(rig), 0);
    for meter in METERS {
        rig.assert_true_since(&prm(meter), day("2026-10-01")).await;
    }
}

/// A clock of an instance that can be away: it wakes nobody meanwhile.
#[derive(Debug)]
struct Asleep {
    clock: Arc<ManualClock>,
    away: Arc<RwLock<()>>,
}

#[async_trait]
impl Clock for Asleep {
    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    async fn sleep_until(&self, until: Duration) {
        let _back = self.away.read().await;
        self.clock.sleep_until(until).await;
    }
}

/// Hands the n-th request on only after another instance has done something.
struct Meanwhile {
    inner: InMemory,
    sent: AtomicUsize,
    nth: usize,
    other: Engine,
    selection: Selection,
    pause: Duration,
    /// Held while the instance that asks is away.
    away: Arc<RwLock<()>>,
}

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meanwhile")
    }
}

#[async_trait]
impl Transport for Meanwhile {
    async fn send(&self, request: &Request) -> Result<Response, TransportError> {
        let answer = self.inner.send(request).await;
        // Tokens are not counted: they belong to no series.
        if request.form.is_none() && self.sent.fetch_add(1, Ordering::Relaxed) + 1 == self.nth {
            let _away = self.away.write().await;
            self.other.clock.sleep(self.pause).await;
            // A task of its own, as the other instance is a process of its own.
            let (other, selection) = (self.other.clone(), self.selection.clone());
            tokio::spawn(async move { pass(&other, selection).await }).await.unwrap();
        }
        answer
    }
}

/// A pass during whose n-th call this instance is away for a while, and another makes a pass.
async fn pass_with_another(rig: &mut Rig, shared: &Arc<Shared>, nth: usize, prms: &[&str], pause: u64) -> Report {
    let other = engine(rig, shared);
    let away = Arc::new(RwLock::new(()));
    rig.transport = Some(Arc::new(Meanwhile {
        inner: InMemory(rig.simulator.clone()),
        sent: AtomicUsize::new(0),
        nth,
        other,
        selection: Selection { prms: prms.iter().map(|p| prm(p)).collect(), ..Selection::default() },
        pause: Duration::from_secs(pause),
        away: Arc::clone(&away),
    }));
    let clock = Arc::new(Asleep { clock: Arc::clone(&rig.clock), away });
    pass(&Engine { clock, ..engine(rig, shared) }, Selection::default()).await
}

#[tokio::test]
async fn what_another_instance_fetched_is_not_asked_for_again() {
    let (mut rig, shared) = rig().await;
    let report = pass_with_another(&mut rig, &shared, 2, &METERS[1..], 0).await;
    assert_once(&rig).await;
    let met = shared.met.lock().unwrap().clone();
    assert!(met.iter().any(|(_, what)| *what == Reserved::Changed), "{met:?}");
    // What cannot be called now costs one look at the database, not one for each of its calls.
    let looks = shared.read_again.lock().unwrap().len();
    assert!(looks <= met.len(), "{looks} looks for {met:?}");
    assert_eq!(report.left, 0);
    assert!(report.meters.iter().flat_map(|m| &m.datasets).all(|d| d.state == SeriesState::Ok), "{report:?}");
}

#[tokio::test]
async fn what_the_dead_held_is_taken_over_when_their_lease_ends() {
    let (rig, shared) = rig().await;
    let one = engine(&rig, &shared);
    let key = first_series(&rig, &one).await;
    let until = rig.clock.now() + chrono::TimeDelta::seconds(50);
    shared.held_by_the_dead(key, until.timestamp_millis());
    let report = pass(&one, Selection::default()).await;
    assert_eq!(report.left, 0);
    assert_once(&rig).await;
    let first =
        rig.simulator.log().into_iter().find(|c| c.prm == Some(prm(METERS[0])) && c.dataset == DATASETS[0]).unwrap();
    assert!(first.at >= until, "not before the lease ended: {first:?}");
    assert!(first.at <= until + chrono::TimeDelta::seconds(2), "and at once then: {first:?}");
    // The others were fetched meanwhile, and nobody was asked to wait for long.
    assert!(rig.clock.now() < until + chrono::TimeDelta::minutes(1));
    let looks = shared.read_again.lock().unwrap().len();
    assert!(looks <= 12, "{looks}");
}

#[tokio::test]
async fn a_series_that_another_instance_takes_out_meanwhile_keeps_no_pass_from_its_end() {
    // Its counter has moved, or a call of it was in the air when the other instance died.
    for held in [false, true] {
        let (rig, shared) = rig().await;
        let one = engine(&rig, &shared);
        let key = first_series(&rig, &one).await;
        shared.take_out(key);
        if held {
            shared.held_by_the_dead(key, (rig.clock.now() + chrono::TimeDelta::seconds(50)).timestamp_millis());
        }
        let report = pass(&one, Selection::default()).await;
        assert_eq!(report.left, 0, "held: {held}");
        assert_eq!(fetched_twice(&rig), 0);
        let asked = |meter: &str, dataset| {
            rig.simulator.log().iter().filter(|c| c.prm == Some(prm(meter)) && c.dataset == dataset).count()
        };
        assert_eq!(asked(METERS[0], DATASETS[0]), 0, "held: {held}");
        assert!(asked(METERS[0], DATASETS[1]) > 0 && asked(METERS[1], DATASETS[0]) > 0);
        for meter in &METERS[1..] {
            rig.assert_true_since(&prm(meter), day("2026-10-01")).await;
        }
        let looks = shared.read_again.lock().unwrap().len();
        assert!(looks <= 12, "{looks} looks");
    }
}

#[tokio::test]
async fn who_was_away_for_longer_than_its_lease_stores_nothing_and_goes_on() {
    let (mut rig, shared) = rig().await;
    let report = pass_with_another(&mut rig, &shared, 3, &[], 90).await;
    assert_eq!(report.left, 0);
    for meter in METERS {
        rig.assert_true_since(&prm(meter), day("2026-10-01")).await;
    }
    // Only what was in the air for longer than the lease was fetched twice.
    let twice = fetched_twice(&rig);
    assert!((1..=12).contains(&twice), "{twice}");
}

#[tokio::test]
async fn the_end_of_a_pass_does_not_overwrite_what_another_instance_found() {
    let (rig, shared) = rig().await;
    let refuse =
        Action::Status { status: 500, envelope: Envelope::E1, code: "technical_error".to_owned(), text: String::new() };
    let bad = Match { prm: Some(prm(METERS[0])), ..Match::any() };
    rig.simulator.set_faults(Faults::none().with(bad, refuse));
    let alone = pass(&engine(&rig, &shared), Selection::default()).await;
    let failed = |report: &Report| report.meters[0].datasets.iter().all(|d| d.state == SeriesState::Failing);
    assert!(failed(&alone), "{alone:?}");
    let refusals = rig.unsuccessful();

    // The same once more, but with the last refusal the trouble is over, and another instance sees it.
    rig.next_morning(8, 10);
    let (other, simulator) = (engine(&rig, &shared), rig.simulator.clone());
    let deed = async move {
        simulator.set_faults(Faults::none());
        pass(&other, Selection::default()).await;
    };
    shared.after_refusals(refusals, Box::new(|| Box::pin(deed)));
    let report = pass(&engine(&rig, &shared), Selection::default()).await;
    assert_eq!(rig.unsuccessful(), 2 * refusals);
    // Three calls for the curve failed, which is enough for a day; but the daily values are there now.
    let facts = shared.facts(0).await.unwrap();
    let states: Vec<_> = facts.series.iter().take(2).map(|s| s.state).collect();
    assert_eq!(states, [SeriesState::Failing, SeriesState::Ok]);
    assert_eq!(report.meters[0].datasets[1].state, SeriesState::Ok, "{report:?}");
}
