//! 429 in each of its forms: waited as told, never less, and one complaint an event.

use chrono::{DateTime, Utc};
use linkyd::domain::{Dataset, SeriesState};
use linkyd::exit::Exit;
use linkyd::simulator::{Action, Faults, Form, Match, MeterSpec, World};

use crate::support::{Rig, at, day, on_each_engine, prm};

on_each_engine! {
    a_short_pause_is_waited_out_as_told_within_the_pass,
    a_long_pause_ends_the_pass_and_is_kept_by_the_next_ones,
    a_source_that_always_throttles_briefly_does_not_hold_a_pass_for_ever,
    the_hourly_quota_of_the_source_is_obeyed_where_it_is_lower_than_ours,
}

const METER: &str = "01234567890123";

async fn rig() -> Rig {
    let world = World::new(13).with(MeterSpec::new(prm(METER)));
    Rig::new(world, &[Dataset::ConsumptionLoadCurve], at("2026-11-24T08:30:00+01:00")).await.since(day("2026-06-01"))
}

/// Instants of the calls that were throttled, and of the first one after them.
fn throttled_and_next(rig: &Rig) -> (Vec<DateTime<Utc>>, DateTime<Utc>) {
    let log = rig.simulator.log();
    let throttled: Vec<_> = log.iter().filter(|c| c.status == 429).map(|c| c.at).collect();
    let last = *throttled.iter().max().unwrap();
    let next = log.iter().filter(|c| c.status != 429 && c.at > last).map(|c| c.at).min().unwrap_or(last);
    (throttled, next)
}

async fn a_short_pause_is_waited_out_as_told_within_the_pass() {
    for (form, seconds, told) in
        [(Form::RetryAfter, 30, 30), (Form::HttpDate, 40, 40), (Form::NextAccessTime, 50, 50), (Form::Burst, 0, 2)]
    {
        let rig = rig().await;
        let faults = Faults { latency_ms: 800, ..Faults::none() };
        rig.simulator.set_faults(faults.with(Match::any().calls(&[7]), Action::Throttle { form, seconds }));
        let report = rig.pass().await;
        assert_eq!(report.exit(), Exit::Done, "{form:?}");
        let (throttled, next) = throttled_and_next(&rig);
        assert_eq!(throttled.len(), 1, "{form:?}");
        let answered = throttled[0] + chrono::TimeDelta::milliseconds(800);
        let landed_early = rig.simulator.log().iter().filter(|c| c.at > answered && c.at < next).count();
        assert_eq!(landed_early, 0);
        let pause = rig.simulator.log().windows(2).map(|pair| (pair[1].at - pair[0].at).num_seconds()).max().unwrap();
        assert!(pause >= told - 1 && pause <= told + 62, "{form:?}: {pause}");
        rig.assert_true_since(&prm(METER), day("2026-06-01")).await;
    }
}

async fn a_long_pause_ends_the_pass_and_is_kept_by_the_next_ones() {
    // 08:30 in Paris; where nothing sensible is told, the next full hour counts.
    for (form, seconds, minutes) in [
        (Form::RetryAfter, 1_200, 20),
        (Form::HttpDate, 5_400, 90),
        (Form::NextAccessTime, 1_800, 30),
        (Form::Threshold, 90, 30),
        (Form::NegativeThreshold, 90, 30),
        (Form::Bare, 0, 30),
        (Form::Absurd, 0, 30),
    ] {
        let rig = rig().await;
        let began = rig.simulator.now();
        let faults = Faults { latency_ms: 800, ..Faults::none() };
        let more = Match { first_call: Some(7), last_call: Some(7), ..Match::any() };
        rig.simulator.set_faults(faults.with(more, Action::Throttle { form, seconds }));
        let report = rig.pass().await;
        assert_eq!(report.exit(), Exit::TryLater, "{form:?}");
        let line = rig.status(&prm(METER), Dataset::ConsumptionLoadCurve).await;
        assert_eq!(line.state, SeriesState::Waiting, "{form:?}");
        assert!(report.left > 0);
        let before = rig.calls();
        // Each pass has an engine of its own, as after a restart.
        while (rig.simulator.now() - began).num_minutes() < minutes - 1 {
            assert_eq!(rig.sync().await.exit(), Exit::TryLater, "{form:?}");
            assert_eq!(rig.calls(), before, "{form:?}: not before it was told");
            rig.advance(5.min((minutes - 1 - (rig.simulator.now() - began).num_minutes()).unsigned_abs()).max(1));
        }
        rig.advance(3);
        assert_eq!(rig.pass().await.exit(), Exit::Done, "{form:?}");
        assert_eq!(rig.status(&prm(METER), Dataset::ConsumptionLoadCurve).await.state, SeriesState::Ok);
        assert_eq!(throttled_and_next(&rig).0.len(), 1, "{form:?}: one complaint an event");
        rig.assert_true_since(&prm(METER), day("2026-06-01")).await;
    }
}

async fn a_source_that_always_throttles_briefly_does_not_hold_a_pass_for_ever() {
    for form in [Form::RetryAfter, Form::Burst] {
        let rig = rig().await;
        rig.simulator.set_faults(Faults::none().with(Match::any(), Action::Throttle { form, seconds: 1 }));
        let report = rig.pass().await;
        assert_eq!(report.exit(), Exit::TryLater, "{form:?}");
        assert!(rig.calls() <= 5, "{form:?}: {}", rig.calls());
    }
}

async fn the_hourly_quota_of_the_source_is_obeyed_where_it_is_lower_than_ours() {
    let rig = rig().await;
    rig.simulator.change(|world| world.rules.limits.per_hour_2026 = Some(10));
    let mut passes = 0;
    loop {
        passes += 1;
        assert!(passes < 20);
        if rig.pass().await.exit() == Exit::Done {
            break;
        }
        rig.advance(20);
    }
    let refused = rig.refused("900804");
    assert!(refused <= 4, "{refused} refused for 26 calls");
    rig.assert_true_since(&prm(METER), day("2026-06-01")).await;
}

#[tokio::test]
async fn the_pace_is_clean_for_a_strict_server_whatever_the_network_does() {
    for (latency_ms, jitter_ms) in [(40, 0), (600, 50), (5, 200)] {
        let rig = rig().await.since(day("2025-01-01"));
        rig.simulator.set_faults(Faults { latency_ms, jitter_ms, ..Faults::none() });
        assert_eq!(rig.pass().await.exit(), Exit::Done);
        let counters = rig.simulator.counters();
        assert_eq!(counters.refused_by_second, 0);
        assert!(counters.max_in_a_second <= 5);
        let span = counters.last_arrival.unwrap().saturating_sub(counters.first_arrival.unwrap());
        let rate = f64::from(u32::try_from(counters.data_calls - 1).unwrap()) / span.as_secs_f64();
        // This clock plays one wait after the other: only short answers leave room for the pace.
        assert!(latency_ms > 100 || rate > 3.5, "{latency_ms}: {rate:.2} calls a second");
    }
}
