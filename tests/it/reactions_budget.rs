//! Budgets hold whatever happens to the process and to the clock.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::TimeDelta;
use linkyd::budget::Limits;
use linkyd::domain::{Dataset, paris};
use linkyd::engine::Selection;
use linkyd::exit::Exit;
use linkyd::simulator::{Faults, MeterSpec, World};
use tokio_util::sync::CancellationToken;

use crate::support::{Rig, at, day, on_each_engine, polls, prm};

on_each_engine! {
    a_crash_loop_never_exceeds_a_limit,
    a_wall_clock_that_is_set_in_mid_run_changes_no_budget_and_no_date,
    a_stopped_pass_keeps_what_is_finished_and_the_next_repeats_nothing,
}

const METER: &str = "01234567890123";

async fn rig(limits: Limits) -> Rig {
    let world = World::new(29).with(MeterSpec::new(prm(METER)));
    let datasets = [Dataset::ConsumptionLoadCurve, Dataset::DailyConsumption, Dataset::DailyMaxPower];
    let mut rig = Rig::new(world, &datasets, at("2026-11-24T08:30:00+01:00")).await.since(day("2025-06-01"));
    rig.limits = limits;
    rig
}

/// The most arrivals within any stretch of that length, by the server's clock that never steps.
fn most_within(rig: &Rig, length: Duration) -> usize {
    let arrivals: Vec<Duration> = rig.simulator.log().iter().map(|c| c.arrived).collect();
    let within = |first: &Duration| arrivals.iter().filter(|at| **at >= *first && **at < *first + length).count();
    arrivals.iter().map(within).max().unwrap_or_default()
}

async fn a_crash_loop_never_exceeds_a_limit() {
    for seed in [1, 2, 3] {
        let mut chance = fastrand::Rng::with_seed(seed);
        let rig = rig(Limits { per_second: 5, per_hour: Some(12), per_day: Some(40) }).await;
        rig.simulator.set_faults(Faults { latency_ms: 100, jitter_ms: 40, ..Faults::none() });
        let mut dropped = 0;
        for _ in 0..50 {
            let engine = rig.engine();
            let (selection, stop) = (Selection::default(), CancellationToken::new());
            tokio::select! {
                biased;
                _ = engine.pass(&selection, &stop, &|_| ()) => {}
                () = polls(chance.u32(1..400)) => dropped += 1,
            }
            rig.clock.advance(Duration::from_secs(chance.u64(0..400)));
        }
        assert!(dropped >= 10, "{dropped}");
        assert!(most_within(&rig, Duration::from_secs(1)) <= 5);
        assert!(most_within(&rig, Duration::from_hours(1)) <= 12, "{}", most_within(&rig, Duration::from_hours(1)));
        assert!(most_within(&rig, Duration::from_hours(24)) <= 40);
        // A call that is cut off with its process has no status, and is no refusal.
        let refused = rig.simulator.log().into_iter().find(|call| call.status != 200 && call.status != 0);
        assert!(refused.is_none(), "{refused:?}");
        // What is left comes by itself, at the pace that the limits allow.
        for _ in 0..200 {
            if rig.pass().await.exit() == Exit::Done {
                break;
            }
            rig.advance(60);
        }
        rig.assert_true_since(&prm(METER), day("2025-06-01")).await;
        assert!(most_within(&rig, Duration::from_hours(24)) <= 40);
    }
}

async fn a_wall_clock_that_is_set_in_mid_run_changes_no_budget_and_no_date() {
    for hours in [-3, 3, -13, 26] {
        let rig = rig(Limits { per_second: 5, per_hour: Some(30), per_day: Some(80) }).await;
        let stepped = std::sync::atomic::AtomicBool::new(false);
        let step = |progress: linkyd::engine::Progress| {
            if progress.done == 10 && !stepped.swap(true, std::sync::atomic::Ordering::SeqCst) {
                rig.clock.step_to(linkyd::clock::Clock::now(&*rig.clock) + TimeDelta::hours(hours));
            }
        };
        let report = rig.engine().pass(&Selection::default(), &CancellationToken::new(), &step).await.unwrap();
        assert_eq!(report.exit(), Exit::TryLater, "{hours}: the budget of the hour is used up");
        assert!(most_within(&rig, Duration::from_hours(1)) <= 30, "{hours}");
        assert!(rig.simulator.log().iter().all(|c| matches!(c.status, 200 | 404)), "{hours}");
        for _ in 0..200 {
            if rig.pass().await.exit() == Exit::Done {
                break;
            }
            rig.advance(30);
        }
        assert!(rig.simulator.log().iter().all(|c| matches!(c.status, 200 | 404)), "{hours}");
        rig.next_morning(8, 10);
        rig.pass().await;
        let first = day("2025-06-01").max(paris::today(rig.simulator.now()).minus_months(24));
        rig.assert_true_since(&prm(METER), first).await;
    }
}

async fn a_stopped_pass_keeps_what_is_finished_and_the_next_repeats_nothing() {
    let rig = rig(Limits { per_second: 5, per_hour: None, per_day: None }).await;
    rig.simulator.set_faults(Faults { latency_ms: 300, ..Faults::none() });
    let mut total = 0;
    for stop_at in [1, 5, 20] {
        let stop = CancellationToken::new();
        let landed = |progress: linkyd::engine::Progress| {
            if progress.done >= stop_at {
                stop.cancel();
            }
        };
        let report = rig.engine().pass(&Selection::default(), &stop, &landed).await.unwrap();
        assert!(report.stopped);
        total += report.calls;
        assert!(report.inserted > 0);
        rig.assert_sound().await;
    }
    total += rig.pass().await.calls;
    let log = rig.simulator.log();
    let distinct: BTreeSet<_> = log.iter().map(|c| (c.dataset, c.start, c.end)).collect();
    // At each stop a call may have been in the air; no other is made twice.
    assert!(log.len() - distinct.len() <= 3, "{} calls, {} different", log.len(), distinct.len());
    assert!(u64::try_from(log.len()).unwrap() - total <= 3);
    rig.assert_true_since(&prm(METER), day("2025-06-01")).await;
}
