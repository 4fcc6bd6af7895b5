//! Sources that take less than they should: shorter spans, a shorter history; midnight; `since` and
//! activations that move.

use linkyd::domain::{Dataset, Days, SeriesState, paris};
use linkyd::exit::Exit;
use linkyd::simulator::{Faults, MeterKind, MeterSpec, World};

use crate::support::{Rig, at, day, on_each_engine, prm};

on_each_engine! {
    a_source_with_shorter_spans_is_learnt_and_remembered,
    a_source_with_less_history_loses_no_day_that_it_serves,
    a_search_for_the_history_survives_a_stop,
    a_refused_age_that_was_served_before_is_a_fault_and_teaches_nothing,
    midnight_between_plan_and_call_refuses_nothing,
    since_may_be_raised_and_lowered,
    a_young_meter_costs_few_calls_and_grows,
}

const METER: &str = "01234567890123";

async fn rig(datasets: &[Dataset]) -> Rig {
    let world = World::new(19).with(MeterSpec::new(prm(METER)).kind(MeterKind::Both));
    Rig::new(world, datasets, at("2026-11-24T08:30:00+01:00")).await
}

async fn mornings(rig: &Rig, count: usize) {
    for _ in 0..count {
        rig.next_morning(8, 10);
        assert_eq!(rig.pass().await.exit(), Exit::Done);
    }
}

async fn a_source_with_shorter_spans_is_learnt_and_remembered() {
    for (longest, most) in [(6, 1), (3, 2), (1, 3)] {
        let rig = rig(&[Dataset::ConsumptionLoadCurve]).await.since(day("2026-04-01"));
        rig.simulator.set_faults(Faults { latency_ms: 700, ..Faults::none() });
        rig.simulator.change(|world| world.rules.curve_span_days = longest);
        assert_eq!(rig.pass().await.exit(), Exit::Done, "{longest}");
        let refused = rig.refused("ADAM-ERR0126");
        assert!(refused <= most, "{longest}: {refused}");
        rig.assert_true_since(&prm(METER), day("2026-04-01")).await;
        mornings(&rig, 29).await;
        assert_eq!(rig.refused("ADAM-ERR0126"), refused, "{longest}: remembered for thirty days");
        mornings(&rig, 3).await;
        assert!(rig.refused("ADAM-ERR0126") <= 2 * most, "{longest}");
        rig.assert_true_since(&prm(METER), day("2026-04-01")).await;
    }
}

async fn a_source_with_less_history_loses_no_day_that_it_serves() {
    for (short, most) in [(1, 1), (2, 2), (3, 3), (10, 6), (20, 7)] {
        for dataset in [Dataset::ConsumptionLoadCurve, Dataset::DailyConsumption] {
            let rig = rig(&[dataset]).await;
            rig.simulator.change(|world| world.rules.history_extra_days = 15 - short);
            assert_eq!(rig.pass().await.exit(), Exit::Done, "{short}");
            let refused = rig.refused("ADAM-ERR0125");
            assert!(refused <= most, "{dataset}, {short} days short: {refused} refused");
            let extra = rig.calls() - rig.fewest(dataset);
            assert!(extra <= 2 * most + 2, "{dataset}, {short} days short: {extra} calls more");
            rig.assert_whole(&prm(METER)).await;
            rig.assert_sound().await;
            let calls = rig.calls();
            assert_eq!(rig.pass().await.calls, 0);
            mornings(&rig, 10).await;
            assert_eq!(rig.refused("ADAM-ERR0125"), refused, "remembered");
            assert_eq!(rig.calls() - calls, 10, "{dataset}, {short}");
        }
    }
}

async fn a_search_for_the_history_survives_a_stop() {
    let rig = rig(&[Dataset::DailyConsumption]).await;
    rig.simulator.change(|world| world.rules.history_extra_days = 15 - 13);
    // Each pass is stopped after a few calls.
    for _ in 0..30 {
        let stop = tokio_util::sync::CancellationToken::new();
        let landed = |progress: linkyd::engine::Progress| {
            if progress.done >= 2 {
                stop.cancel();
            }
        };
        let report = rig.engine().pass(&linkyd::engine::Selection::default(), &stop, &landed).await.unwrap();
        if report.calls == 0 {
            break;
        }
    }
    assert!(rig.refused("ADAM-ERR0125") <= 6, "{}", rig.refused("ADAM-ERR0125"));
    rig.assert_whole(&prm(METER)).await;
}

async fn a_refused_age_that_was_served_before_is_a_fault_and_teaches_nothing() {
    use linkyd::simulator::{Action, Envelope, Match};
    let rig = rig(&[Dataset::ConsumptionLoadCurve]).await.since(day("2026-04-01"));
    rig.pass().await;
    for code in ["ADAM-ERR0125", "ADAM-ERR0123"] {
        let fault = Action::Status { status: 400, envelope: Envelope::E1, code: code.to_owned(), text: String::new() };
        rig.simulator.set_faults(Faults::none().with(Match::any().calls(&[1]), fault));
        rig.next_morning(8, 10);
        rig.pass().await;
        mornings(&rig, 1).await;
        assert_eq!(rig.status(&prm(METER), Dataset::ConsumptionLoadCurve).await.state, SeriesState::Ok, "{code}");
        rig.assert_true_since(&prm(METER), day("2026-04-01")).await;
        let window = rig.store_window(&prm(METER), Dataset::ConsumptionLoadCurve).await;
        assert_eq!(window, day("2026-04-01"), "{code}: nothing forgotten");
    }
}

async fn midnight_between_plan_and_call_refuses_nothing() {
    // A backfill that begins minutes before midnight, at every place of the pass.
    for seconds in [1, 3, 7, 12, 18, 24] {
        let world = World::new(19).with(MeterSpec::new(prm(METER)).kind(MeterKind::Both));
        let datasets = [Dataset::ConsumptionLoadCurve, Dataset::DailyConsumption];
        let began = at("2026-11-24T23:59:59+01:00") - chrono::TimeDelta::seconds(seconds);
        let rig = Rig::new(world, &datasets, began).await;
        assert_eq!(rig.pass().await.exit(), Exit::Done);
        assert_eq!(rig.unsuccessful(), 0, "{seconds}");
        for dataset in datasets {
            let first = rig.simulator.world().rules.history_begins(dataset, paris::today(rig.simulator.now()));
            let days = Days::new(first, day("2026-11-24")).unwrap();
            rig.assert_stored_within(&prm(METER), dataset, days).await;
        }
        rig.assert_sound().await;
    }
}

async fn since_may_be_raised_and_lowered() {
    let mut rig = rig(&[Dataset::ConsumptionLoadCurve]).await.since(day("2026-10-01"));
    rig.pass().await;
    let calls = rig.calls();
    rig = rig.since(day("2026-11-01"));
    assert_eq!(rig.pass().await.calls, 0);
    assert_eq!(rig.store_window(&prm(METER), Dataset::ConsumptionLoadCurve).await, day("2026-11-01"));
    rig = rig.since(day("2026-09-01"));
    assert_eq!(rig.pass().await.exit(), Exit::Done);
    assert!(rig.calls() - calls <= 5, "{}", rig.calls() - calls);
    rig.assert_true_since(&prm(METER), day("2026-09-01")).await;
}

async fn a_young_meter_costs_few_calls_and_grows() {
    let mut meter = MeterSpec::new(prm(METER)).kind(MeterKind::Both);
    meter.consumption_since = Some(day("2026-11-19"));
    meter.production_since = Some(day("2026-11-21"));
    let rig = Rig::new(World::new(19).with(meter), &Dataset::COMMON, at("2026-11-24T08:30:00+01:00")).await;
    assert_eq!(rig.pass().await.exit(), Exit::Done);
    assert!(rig.calls() <= 22, "{}", rig.calls());
    let calls = rig.calls();
    mornings(&rig, 20).await;
    assert_eq!(rig.calls() - calls, 20 * Dataset::COMMON.len());
    for dataset in Dataset::COMMON {
        rig.assert_equals_truth(&prm(METER), dataset, rig.window(dataset)).await;
    }
}
