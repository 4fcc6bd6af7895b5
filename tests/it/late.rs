//! Mornings on which Enedis is late for everybody: a few meters find out for the others.

use linkyd::daemon::backlog::Backlog;
use linkyd::domain::Dataset;
use linkyd::exit::Exit;
use linkyd::simulator::{Action, Envelope, Faults, Late, Match, MeterSpec, Stretch, World};

use crate::support::{Rig, at, day, on_each_engine, prm};

on_each_engine! {
    on_a_late_morning_five_meters_find_out_and_the_fleet_waits,
    two_meters_whose_days_are_late_hold_nobody_back,
    meters_that_have_been_silent_for_days_hold_nobody_back,
    a_dataset_that_is_not_subscribed_costs_a_fleet_a_call_or_two,
}

const METERS: usize = 12;
const SINCE: &str = "2026-10-20";
const DATASETS: [Dataset; 3] = [Dataset::ConsumptionLoadCurve, Dataset::DailyConsumption, Dataset::DailyMaxPower];

fn meter(n: usize) -> String {
    format!("{:014}", 1_234_567_890_000 + n)
}

async fn rig() -> Rig {
    let world = (0..METERS).fold(World::new(81), |world, n| world.with(MeterSpec::new(prm(&meter(n)))));
    Rig::new(world, &DATASETS, at("2026-11-24T08:30:00+01:00")).await.since(day(SINCE))
}

/// Series that were asked for the 24th and not given it.
async fn asked(rig: &Rig) -> usize {
    let facts = linkyd::store::Store::facts(&*rig.store, 0).await.unwrap();
    facts.series.iter().filter(|s| s.days.get(day("2026-11-24")).checked_at.is_some()).count()
}

async fn on_a_late_morning_five_meters_find_out_and_the_fleet_waits() {
    let rig = rig().await;
    rig.pass().await;
    // The 24th is published a day late, for all of them.
    rig.simulator.change(|world| {
        for meter in &mut world.meters {
            meter.late.push(Late { stretch: Stretch::days(day("2026-11-24"), day("2026-11-24")), days: 1, at: None });
        }
    });
    let before = rig.calls();
    rig.next_morning(8, 10);
    let report = rig.pass().await;
    assert_eq!(rig.calls() - before, 5 * DATASETS.len());
    assert_eq!((report.left, report.exit()), (0, Exit::Done));
    assert_eq!(asked(&rig).await, 5 * DATASETS.len());
    assert_eq!(Backlog::of(&rig.engine()).await.unwrap().calls, 0, "what waits for a later pass is not left to fetch");
    // Later in the morning others look.
    rig.advance(60);
    rig.pass().await;
    assert_eq!(rig.calls() - before, 10 * DATASETS.len());
    assert_eq!(asked(&rig).await, 10 * DATASETS.len());

    let before = rig.calls();
    rig.next_morning(8, 10);
    assert_eq!(Backlog::of(&rig.engine()).await.unwrap().calls, 12 * 3);
    rig.pass().await;
    assert_eq!(rig.calls() - before, METERS * DATASETS.len(), "the fleet is released, a call for each series");
    for n in 0..METERS {
        rig.assert_true_since(&prm(&meter(n)), day(SINCE)).await;
    }
}

async fn two_meters_whose_days_are_late_hold_nobody_back() {
    let rig = rig().await;
    rig.pass().await;
    // The first two of the configuration; with three series each they have six.
    rig.simulator.change(|world| {
        for meter in world.meters.iter_mut().take(2) {
            meter.late.push(Late { stretch: Stretch::days(day("2026-11-24"), day("2026-11-24")), days: 1, at: None });
        }
    });
    rig.next_morning(8, 10);
    rig.pass().await;
    let status = linkyd::store::Store::status(&*rig.store).await.unwrap();
    let given = status.iter().filter(|s| s.newest_day == Some(day("2026-11-24"))).count();
    assert_eq!(given, (METERS - 2) * DATASETS.len());
}

async fn meters_that_have_been_silent_for_days_hold_nobody_back() {
    let rig = rig().await;
    rig.pass().await;
    // The first six send nothing any more; with three series each they are more than find out.
    rig.simulator.change(|world| {
        for meter in world.meters.iter_mut().take(METERS / 2) {
            meter.holes.push(Stretch::days(day("2026-11-24"), day("2026-12-31")));
        }
    });
    for _ in 0..4 {
        rig.next_morning(8, 10);
        rig.pass().await;
    }
    let status = linkyd::store::Store::status(&*rig.store).await.unwrap();
    let living = status.iter().filter(|s| (METERS / 2..METERS).any(|n| s.prm == prm(&meter(n))));
    assert!(living.clone().count() > 0);
    for series in living {
        assert_eq!((series.newest_day, series.gaps), (Some(day("2026-11-27")), 0), "{series:?}");
    }
}

async fn a_dataset_that_is_not_subscribed_costs_a_fleet_a_call_or_two() {
    let rig = rig().await;
    let refused = Action::Status {
        status: 403,
        envelope: Envelope::E3,
        code: "900908".to_owned(),
        text: "Resource forbidden".to_owned(),
    };
    rig.simulator.set_faults(Faults::none().with(Match::dataset(Dataset::DailyMaxPower), refused));
    rig.pass().await;
    let asked = |rig: &Rig| rig.simulator.log().iter().filter(|c| c.dataset == Dataset::DailyMaxPower).count();
    assert!((1..=3).contains(&asked(&rig)), "{}", asked(&rig));
    for n in 0..METERS {
        let prm = prm(&meter(n));
        for dataset in [Dataset::ConsumptionLoadCurve, Dataset::DailyConsumption] {
            assert_eq!(rig.status(&prm, dataset).await.gaps, 0, "the others go on");
        }
    }
    // One call tests for all of them, once it is due again.
    rig.advance(7 * 60);
    let before = asked(&rig);
    rig.pass().await;
    assert_eq!(asked(&rig) - before, 1);
    rig.simulator.set_faults(Faults::none());
    rig.advance(7 * 60);
    rig.pass().await;
    for n in 0..METERS {
        assert_eq!(rig.status(&prm(&meter(n)), Dataset::DailyMaxPower).await.gaps, 0, "all are released");
    }
}
