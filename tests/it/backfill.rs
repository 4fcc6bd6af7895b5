//! Whole histories: every value right, in the fewest calls, and none after that.

use linkyd::domain::{Api, Dataset, Direction, SeriesState, Step};
use linkyd::simulator::{MeterKind, MeterSpec, Stretch, World};

use crate::support::{On, Rig, at, day, on_both_engines, prm};

on_both_engines! {
    five_series_arrive_wholly_in_the_fewest_calls_on_either_api,
    late_days_and_holes_cost_next_to_nothing,
    sixty_days_of_daily_passes_cost_one_call_a_series_and_day,
    clock_changes_lose_shift_and_double_nothing_at_any_step,
    an_activation_is_learnt_once_with_few_refusals,
}

const METER: &str = "01234567890123";

fn both(seed: u64) -> World {
    World::new(seed).with(MeterSpec::new(prm(METER)).kind(MeterKind::Both))
}

async fn five_series_arrive_wholly_in_the_fewest_calls_on_either_api(on: On) {
    for api in [Api::V5, Api::V2026] {
        let mut rig = Rig::on(on, both(1), &Dataset::COMMON, at("2026-11-24T08:30:00+01:00")).await;
        rig.apis = vec![api];
        let report = rig.pass().await;
        let fewest: usize = Dataset::COMMON.into_iter().map(|dataset| rig.fewest(dataset)).sum();
        assert_eq!(fewest, 107 + 107 + 4 + 4 + 4);
        assert_eq!((rig.calls(), report.left), (fewest, 0));
        assert!(rig.simulator.log().iter().all(|call| call.status == 200 && call.api == api));
        rig.assert_whole(&prm(METER)).await;
        rig.assert_sound().await;
        assert!(report.meters[0].datasets.iter().all(|d| d.state == SeriesState::Ok), "{report:?}");

        assert_eq!(rig.pass().await.calls, 0);
        assert_eq!(rig.sync().await.calls, 0);
        assert_eq!(rig.calls(), fewest);
    }
}

async fn sixty_days_of_daily_passes_cost_one_call_a_series_and_day(on: On) {
    let datasets = [Dataset::ConsumptionLoadCurve, Dataset::DailyConsumption, Dataset::DailyMaxPower];
    let rig = Rig::on(on, both(2), &datasets, at("2026-09-01T08:10:00+02:00")).await;
    rig.pass().await;
    let before = rig.calls();
    for _ in 0..60 {
        rig.next_morning(8, 10);
        rig.pass().await;
    }
    assert_eq!(rig.calls() - before, 60 * datasets.len());
    rig.assert_sound().await;
}

async fn late_days_and_holes_cost_next_to_nothing(on: On) {
    let datasets = [Dataset::ConsumptionLoadCurve, Dataset::DailyConsumption, Dataset::DailyMaxPower];
    let mut meter = MeterSpec::new(prm(METER));
    // One day in twenty comes up to six days late.
    for (n, late) in [(3, 1), (23, 3), (43, 6)] {
        let day = day("2026-09-01").plus(n);
        meter.late.push(linkyd::simulator::Late { stretch: Stretch::days(day, day), days: late, at: None });
    }
    meter.holes.push(Stretch::days(day("2026-09-15"), day("2026-09-15")));
    let rig = Rig::on(on, World::new(3).with(meter), &datasets, at("2026-09-01T08:10:00+02:00")).await;
    rig.pass().await;
    let before = rig.calls();
    for _ in 0..60 {
        rig.next_morning(8, 10);
        rig.pass().await;
    }
    let calls = rig.calls() - before;
    // Calls alone for the hole at 14 and 30 days; nothing else extra.
    assert!(calls <= 60 * 3 + 6, "{calls}");
    rig.assert_whole_since(&prm(METER), at("2026-09-01T08:10:00+02:00")).await;
    let status = linkyd::store::Store::status(&*rig.store).await.unwrap();
    for series in status {
        assert_eq!(series.days.get(&linkyd::domain::DayState::Absent), Some(&1), "{series:?}");
        assert_eq!(series.gaps, 1);
    }
}

async fn clock_changes_lose_shift_and_double_nothing_at_any_step(on: On) {
    for minutes in [10, 15, 30, 60] {
        for api in [Api::V5, Api::V2026] {
            let step = Step::from_minutes(minutes).unwrap();
            let world = World::new(4).with(MeterSpec::new(prm(METER)).step(step));
            let now = at("2026-11-24T08:30:00+01:00");
            let mut rig = Rig::on(on, world, &[Dataset::ConsumptionLoadCurve], now).await;
            rig.apis = vec![api];
            rig.meters[0].since = Some(day("2025-03-20"));
            rig.pass().await;
            let days = linkyd::domain::Days::new(day("2025-03-20"), day("2026-11-24")).unwrap();
            rig.assert_equals_truth(&prm(METER), Dataset::ConsumptionLoadCurve, days).await;
            rig.assert_sound().await;
        }
    }
}

async fn an_activation_is_learnt_once_with_few_refusals(on: On) {
    let today = day("2026-11-24");
    // On a server those at which something else is stored: none, the newest days, half, all.
    let all = [1, 2, 5, 8, 100, 300, 364, 365, 366, 371, 500, 700, 743, 900, 1100];
    let agos: &[i32] = if on == On::File { &all } else { &[1, 8, 300, 1100] };
    for ago in agos.iter().copied() {
        let mut meter = MeterSpec::new(prm(METER)).kind(MeterKind::Both);
        let activated = today.plus(-ago);
        meter.consumption_since = Some(activated);
        let rig = Rig::on(on, World::new(5).with(meter), &Dataset::COMMON, at("2026-11-24T08:30:00+01:00")).await;
        let report = rig.pass().await;
        let refused = rig.refused("ADAM-ERR0123");
        assert!(refused <= 10, "activated {ago} days ago: {refused} refused");
        assert!(report.meters[0].datasets.iter().all(|d| d.state == SeriesState::Ok), "{ago}: {report:?}");
        rig.assert_whole(&prm(METER)).await;
        rig.assert_sound().await;
        let calls = rig.calls();
        assert_eq!(rig.pass().await.calls, 0, "{ago}");
        for _ in 0..3 {
            rig.next_morning(8, 10);
            rig.pass().await;
        }
        assert_eq!(rig.refused("ADAM-ERR0123"), refused, "never again");
        assert_eq!(rig.calls() - calls, 3 * Dataset::COMMON.len());
        let facts = linkyd::store::Store::facts(&*rig.store, 0).await.unwrap();
        let meter = facts.series[0].meter;
        let known = facts.activations[&(meter, Direction::Consumption)];
        if ago < 1_100 {
            assert_eq!(known.accepted, Some(activated), "{ago}");
        }
    }
}
