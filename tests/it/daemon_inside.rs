//! The loop itself, in this process, on a clock that runs as fast as the loop looks at it: what it
//! does about a defect, a failing disk and a clock that cannot be right.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use linkyd::client::{Transport, TransportError};
use linkyd::clock::{Clock, ManualClock};
use linkyd::daemon::board::{Board, Shared};
use linkyd::daemon::reload::Setting;
use linkyd::daemon::signals::Asked;
use linkyd::daemon::turn::Turns;
use linkyd::daemon::{Daemon, Parts, board};
use linkyd::domain::Dataset;
use linkyd::observe::LogHandle;
use linkyd::simulator::{MeterSpec, World};
use linkyd::source::{Request, Response};
use linkyd::store::Store;
use linkyd::store::lock::ProcessLock;

use crate::daemon_rig::config;
use crate::support::{InMemory, Rig, at, day, prm};

const METER: &str = "01234567890123";
const DATASETS: [Dataset; 2] = [Dataset::ConsumptionLoadCurve, Dataset::DailyConsumption];

/// Has a defect for its first calls.
#[derive(Debug)]
struct Defective {
    left: AtomicU32,
    then: InMemory,
}

#[async_trait]
impl Transport for Defective {
    async fn send(&self, request: &Request) -> Result<Response, TransportError> {
        let sound = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err();
        assert!(sound, "a defect, on purpose");
        self.then.send(request).await
    }
}

/// The rig's clock for the loop around the engine: it does not run away while a pass is under way.
#[derive(Debug)]
struct Beats {
    clock: Arc<ManualClock>,
    board: OnceLock<Shared>,
}

#[async_trait]
impl Clock for Beats {
    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    #[expect(clippy::disallowed_methods, reason = "the pass goes on in real time")]
    async fn sleep_until(&self, until: Duration) {
        while self.board.get().is_none_or(|board| board.read().running.is_some()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.clock.sleep_until(until).await;
    }
}

/// A daemon that runs in a task of this test.
struct Running {
    board: Shared,
    asked: Arc<Asked>,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    async fn start(rig: &Rig) -> Self {
        let beats = Arc::new(Beats { clock: Arc::clone(&rig.clock), board: OnceLock::new() });
        let clock: Arc<dyn Clock> = Arc::<Beats>::clone(&beats);
        let store: Arc<dyn Store> = Arc::clone(&rig.store);
        let engine = rig.engine();
        let setting = Setting::new(
            config(METER),
            &store,
            Box::new(|| panic!("nobody asks for another one")),
            Box::new(move |_, _| Ok(engine.clone())),
            LogHandle::none(),
        )
        .unwrap();
        let board = board(&setting, clock.now());
        beats.board.set(board.clone()).unwrap();
        let asked = Arc::new(Asked::default());
        let turns = Turns::new(None, Arc::clone(&clock));
        let parts = Parts { store, turns, clock, asked: Arc::clone(&asked), setting, board: board.clone() };
        let daemon = Daemon::new(parts).await.unwrap();
        Self { board, asked, task: tokio::spawn(daemon.run()) }
    }

    /// Waits until the board says so; the daemon must not end before.
    async fn until(&self, what: &str, is_so: impl Fn(&Board) -> bool) -> Board {
        let looked = async {
            loop {
                assert!(!self.task.is_finished(), "the daemon ended before: {what}");
                let board = self.board.read();
                if is_so(&board) {
                    return board;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), looked).await.unwrap_or_else(|_| panic!("{what}"))
    }

    async fn stop(self) {
        self.asked.stop.cancel();
        tokio::time::timeout(Duration::from_secs(10), self.task).await.unwrap().unwrap();
        assert!(self.board.read().stopping);
    }
}

async fn rig(now: &str) -> Rig {
    let world = World::new(5).with(MeterSpec::new(prm(METER)));
    Rig::new(world, &DATASETS, at(now)).await.since(day("2026-11-01"))
}

#[tokio::test]
async fn a_defect_ends_a_pass_and_not_the_daemon() {
    let mut rig = rig("2026-11-24T08:30:00+01:00").await;
    // The token's call, twice: two passes meet it.
    let then = InMemory(rig.simulator.clone());
    rig.transport = Some(Arc::new(Defective { left: AtomicU32::new(2), then }));
    let daemon = Running::start(&rig).await;
    let board = daemon.until("a good pass", |board| board.counts.passes_done > 0).await;
    assert_eq!(board.counts.passes_failed, 2);
    daemon.stop().await;
    // What was cut off counts as spent, and everything came in the end.
    rig.assert_true_since(&prm(METER), day("2026-11-01")).await;
}

#[tokio::test]
async fn a_day_of_beats_makes_one_pass() {
    let rig = rig("2026-11-24T12:00:00+01:00").await;
    let daemon = Running::start(&rig).await;
    daemon.until("the first pass", |board| board.counts.passes_done == 1).await;
    let calls = rig.calls();
    daemon.until("the next morning", |board| board.counts.passes_done == 2).await;
    assert_eq!(rig.calls(), calls + DATASETS.len());
    // The status is read after the pass is counted.
    let is_told = |board: &Board| board.complete_to == Some(day("2026-11-24")) && board.line().contains("2026-11-26");
    let board = daemon.until("what it came to", is_told).await;
    assert!(board.line().starts_with("Complete up to 2026-11-24; next pass 2026-11-26 08:"), "{}", board.line());
    daemon.stop().await;
}

#[tokio::test]
async fn a_clock_without_a_battery_asks_for_nothing_until_it_is_set() {
    let rig = rig("1970-01-01T00:05:00Z").await;
    let daemon = Running::start(&rig).await;
    let hour_later = rig.clock.monotonic() + Duration::from_hours(1);
    daemon.until("an hour of beats", |_| rig.clock.monotonic() > hour_later).await;
    let board = daemon.board.read();
    assert_eq!((board.wake, board.last.is_none(), rig.tokens()), (None, true, 0));
    assert!(board.line().contains("clock"), "{}", board.line());
    // The network's time arrives.
    rig.clock.step_to(at("2026-11-24T09:30:00+01:00"));
    let board = daemon.until("a pass", |board| board.counts.passes_done > 0).await;
    assert!(board.counts.clock_jumps >= 1);
    daemon.stop().await;
    rig.assert_true_since(&prm(METER), day("2026-11-01")).await;
}

#[tokio::test]
async fn an_operator_is_answered_at_once() {
    let rig = rig("2026-11-24T12:00:00+01:00").await;
    let daemon = Running::start(&rig).await;
    daemon.until("the first pass", |board| board.counts.passes_done == 1).await;
    daemon.asked.for_a_pass();
    let board = daemon.until("another one", |board| board.counts.passes_done == 2).await;
    assert_eq!(board.last.unwrap().why.name(), "operator");
    daemon.stop().await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_somebody_elses_turn() {
    let rig = rig("2026-11-24T12:00:00+01:00").await;
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("other.db");
    let _held = ProcessLock::take(&database, "linkyd sync").unwrap();
    let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&rig.clock);
    let stop = tokio_util::sync::CancellationToken::new();
    let turns = Turns::new(Some(database), clock);
    let mut queued = false;
    stop.cancel();
    assert!(turns.take(&stop, || queued = true).await.unwrap().is_none());
    assert!(queued);
}
