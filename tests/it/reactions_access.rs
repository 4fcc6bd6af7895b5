//! Consent that is gone and comes back, series that a meter does not have, APIs that are closed.

use linkyd::domain::{Api, Dataset, Day, SeriesState};
use linkyd::exit::Exit;
use linkyd::simulator::{Consent, MeterKind, MeterSpec, World};

use crate::support::{Rig, at, day, on_each_engine, prm};

on_each_engine! {
    a_revoked_consent_is_probed_once_a_day_and_everything_comes_back_by_itself,
    a_probe_that_meets_a_fault_says_nothing_about_the_consent,
    what_a_meter_does_not_have_is_tested_once_a_week,
    an_api_without_subscription_stops_one_dataset_and_is_tested_every_six_hours,
    auto_falls_back_to_v5_for_the_dataset_and_looks_again_after_a_week,
    both_apis_gone_make_one_failure_and_no_storm,
}

const METER: &str = "01234567890123";
const OTHER: &str = "09876543210987";
const SINCE: &str = "2026-10-20";

async fn rig(meter: MeterSpec, datasets: &[Dataset]) -> Rig {
    let world = World::new(17).with(meter).with(MeterSpec::new(prm(OTHER)).kind(MeterKind::Both));
    Rig::new(world, datasets, at("2026-11-24T08:30:00+01:00")).await.since(day(SINCE))
}

fn both() -> MeterSpec {
    MeterSpec::new(prm(METER)).kind(MeterKind::Both)
}

/// Passes of so many days, at all the hours at which a timer may wake.
async fn days(rig: &Rig, count: usize) {
    for _ in 0..count {
        rig.next_morning(8, 10);
        rig.pass().await;
        for hours in [1, 2, 3, 4] {
            rig.advance(60 * hours);
            rig.pass().await;
        }
    }
}

/// Calls for the meter that were refused, by the Paris day on which they were made.
fn refused_a_day(rig: &Rig) -> Vec<(Day, usize)> {
    let mut by_day = std::collections::BTreeMap::new();
    for call in rig.simulator.log().iter().filter(|c| c.prm == Some(prm(METER)) && ![200, 404].contains(&c.status)) {
        *by_day.entry(linkyd::domain::paris::today(call.at)).or_insert(0) += 1;
    }
    by_day.into_iter().collect()
}

fn gone() -> Consent {
    Consent { granted: false, ..Consent::GRANTED }
}

async fn a_revoked_consent_is_probed_once_a_day_and_everything_comes_back_by_itself() {
    type Revoke = fn(&mut MeterSpec);
    let cases: [(Revoke, &str, usize, &[Dataset]); 3] = [
        (|m| m.consent = gone(), "ADAM-DC-0008", 2, &Dataset::COMMON),
        (
            |m| m.production_consent = Some(gone()),
            "ADAM-DC-0008",
            1,
            &[Dataset::ProductionLoadCurve, Dataset::DailyProduction],
        ),
        (|m| m.held = false, "ADAM-DC-0007", 1, &Dataset::COMMON),
    ];
    for (revoke, code, scopes, concerned) in cases {
        let rig = rig(both(), &Dataset::COMMON).await;
        rig.pass().await;
        rig.simulator.change(|world| revoke(world.meter_mut(&prm(METER)).unwrap()));
        days(&rig, 1).await;
        for dataset in Dataset::COMMON {
            let line = rig.status(&prm(METER), dataset).await;
            let expected = if concerned.contains(&dataset) { SeriesState::Suspended } else { SeriesState::Ok };
            assert_eq!(line.state, expected, "{code} {dataset}");
            if expected == SeriesState::Suspended {
                assert_eq!(line.code.as_deref(), Some(code));
                assert!(line.message.unwrap().contains("consent"));
            }
            assert_eq!(rig.status(&prm(OTHER), dataset).await.state, SeriesState::Ok);
        }
        rig.simulator.reset_counters();
        days(&rig, 10).await;
        let refused = refused_a_day(&rig);
        assert_eq!(refused.len(), 10, "{code}");
        assert!(refused.iter().all(|(_, calls)| *calls == scopes), "{code}: {refused:?}");
        assert_eq!(rig.sync().await.exit(), Exit::Failed);
        // Consent is back: the days missed meanwhile come as well.
        rig.simulator.change(|world| *world.meter_mut(&prm(METER)).unwrap() = both());
        days(&rig, 1).await;
        for dataset in Dataset::COMMON {
            assert_eq!(rig.status(&prm(METER), dataset).await.state, SeriesState::Ok, "{code} {dataset}");
        }
        rig.assert_true_since(&prm(METER), day(SINCE)).await;
        rig.assert_true_since(&prm(OTHER), day(SINCE)).await;
    }
}

async fn a_probe_that_meets_a_fault_says_nothing_about_the_consent() {
    use linkyd::simulator::{Action, Envelope, Faults, Match};
    let rig = rig(both(), &Dataset::COMMON).await;
    rig.pass().await;
    rig.simulator.change(|world| world.meter_mut(&prm(METER)).unwrap().held = false);
    days(&rig, 1).await;
    let fault = Action::Status {
        status: 500,
        envelope: Envelope::E1,
        code: "technical_error".to_owned(),
        text: "Technical error. Please try later.".to_owned(),
    };
    let mine = Match { prm: Some(prm(METER)), ..Match::any() };
    rig.simulator.set_faults(Faults::none().with(mine, fault));
    rig.simulator.reset_counters();
    days(&rig, 3).await;
    assert!(refused_a_day(&rig).iter().all(|(_, calls)| *calls == 1), "{:?}", refused_a_day(&rig));
    let line = rig.status(&prm(METER), Dataset::DailyConsumption).await;
    assert_eq!((line.state, line.code.as_deref()), (SeriesState::Suspended, Some("ADAM-DC-0007")));
}

async fn what_a_meter_does_not_have_is_tested_once_a_week() {
    // A consumer asked for production; a customer who objects to the curve; a roof that never produced.
    let consumer = MeterSpec::new(prm(METER));
    let objected = MeterSpec { curve_objected: true, ..MeterSpec::new(prm(METER)) };
    let dark = MeterSpec { production_since: Some(day("2030-01-01")), ..both() };
    let production = [Dataset::ProductionLoadCurve, Dataset::DailyProduction];
    let consumption = [Dataset::ConsumptionLoadCurve, Dataset::DailyConsumption];
    for (meter, code, none, most) in [
        (consumer, "ADAM-ERR0069", &production[..], 2 + 4),
        (objected, "ADAM-ERR0075", &[Dataset::ConsumptionLoadCurve, Dataset::ProductionLoadCurve][..], 2 + 8),
        (dark, "ADAM-ERR0123", &production[..], 10 + 4),
    ] {
        let datasets: Vec<Dataset> =
            if code == "ADAM-ERR0075" { consumption.to_vec() } else { [consumption, production].concat() };
        let rig = rig(meter, &datasets).await;
        assert_eq!(rig.pass().await.exit(), Exit::Done, "{code}");
        let none: Vec<Dataset> = none.iter().copied().filter(|d| datasets.contains(d)).collect();
        for dataset in &datasets {
            let line = rig.status(&prm(METER), *dataset).await;
            if none.contains(dataset) {
                assert_eq!((line.state, line.code.as_deref()), (SeriesState::NotOffered, Some(code)), "{dataset}");
            } else {
                assert_eq!(line.state, SeriesState::Ok, "{dataset}");
            }
        }
        let at_once = refused_a_day(&rig).iter().map(|(_, calls)| calls).sum::<usize>();
        days(&rig, 30).await;
        let by_day = refused_a_day(&rig);
        let refused: usize = by_day.iter().map(|(_, calls)| calls).sum();
        assert!(refused <= most, "{code}: {refused} refused, {at_once} of them at once: {by_day:?}");
        assert!(by_day.iter().skip(1).all(|(_, calls)| *calls == 1), "{code}: one call a week: {by_day:?}");
        for dataset in datasets.iter().filter(|d| !none.contains(d)) {
            let days = linkyd::domain::Days::new(day(SINCE), rig.window(*dataset).end()).unwrap();
            rig.assert_equals_truth(&prm(METER), *dataset, days).await;
        }
        // The roof goes on the grid, the objection is lifted, the meter is exchanged.
        let today = linkyd::domain::paris::today(rig.simulator.now());
        let first = if code == "ADAM-ERR0123" { today } else { day(SINCE) };
        let mended = MeterSpec { production_since: Some(first), ..both() };
        rig.simulator.change(|world| *world.meter_mut(&prm(METER)).unwrap() = mended);
        days(&rig, 9).await;
        for dataset in none {
            let days = linkyd::domain::Days::new(first, rig.window(dataset).end()).unwrap();
            rig.assert_equals_truth(&prm(METER), dataset, days).await;
        }
    }
}

async fn an_api_without_subscription_stops_one_dataset_and_is_tested_every_six_hours() {
    let rig = rig(both(), &[Dataset::ConsumptionLoadCurve, Dataset::DailyConsumption]).await;
    rig.simulator.change(|world| world.rules.unsubscribed = vec![Dataset::DailyConsumption]);
    // It is told, and fails nothing.
    assert_eq!(rig.pass().await.exit(), Exit::Done);
    for meter in [METER, OTHER] {
        let line = rig.status(&prm(meter), Dataset::DailyConsumption).await;
        assert_eq!((line.state, line.code.as_deref()), (SeriesState::NotOffered, Some("900908")));
        assert!(line.message.unwrap().contains("DataHub"));
        assert_eq!(rig.status(&prm(meter), Dataset::ConsumptionLoadCurve).await.state, SeriesState::Ok);
    }
    assert!(rig.refused("900908") <= 3);
    let before = rig.refused("900908");
    for _ in 0..24 {
        rig.advance(60);
        rig.sync().await;
    }
    let more = rig.refused("900908") - before;
    assert!((1..=4).contains(&more), "{more} in a day");
    rig.simulator.change(|world| world.rules.unsubscribed = Vec::new());
    days(&rig, 1).await;
    for meter in [METER, OTHER] {
        rig.assert_true_since(&prm(meter), day(SINCE)).await;
        assert_eq!(rig.status(&prm(meter), Dataset::DailyConsumption).await.state, SeriesState::Ok);
    }
}

async fn auto_falls_back_to_v5_for_the_dataset_and_looks_again_after_a_week() {
    let mut rig = rig(both(), &[Dataset::ConsumptionLoadCurve, Dataset::DailyConsumption]).await;
    rig.apis = vec![Api::V2026, Api::V5];
    let closed = linkyd::simulator::Faults::none().with(
        linkyd::simulator::Match {
            api: Some(Api::V2026),
            ..linkyd::simulator::Match::dataset(Dataset::DailyConsumption)
        },
        linkyd::simulator::Action::Status {
            status: 403,
            envelope: linkyd::simulator::Envelope::E3,
            code: "900908".to_owned(),
            text: "Resource forbidden ".to_owned(),
        },
    );
    rig.simulator.set_faults(closed);
    assert_eq!(rig.pass().await.exit(), Exit::Done);
    let at_once = rig.refused("900908");
    assert!(at_once <= 3, "{at_once}");
    days(&rig, 6).await;
    assert_eq!(rig.refused("900908"), at_once, "remembered from pass to pass");
    assert!(rig.simulator.log().iter().any(|c| c.api == Api::V2026), "the other dataset stays");
    days(&rig, 9).await;
    let again = rig.refused("900908") - at_once;
    assert!((1..=3).contains(&again), "{again}");
    rig.simulator.set_faults(linkyd::simulator::Faults::none());
    days(&rig, 8).await;
    let log = rig.simulator.log();
    let newest = log.iter().rev().find(|c| c.dataset == Dataset::DailyConsumption).unwrap();
    assert_eq!(newest.api, Api::V2026);
    rig.assert_true_since(&prm(METER), day(SINCE)).await;
}

async fn both_apis_gone_make_one_failure_and_no_storm() {
    let mut rig = rig(both(), &[Dataset::ConsumptionLoadCurve, Dataset::DailyConsumption]).await;
    rig.apis = vec![Api::V2026, Api::V5];
    rig.simulator.change(|world| world.rules.apis = Vec::new());
    assert_eq!(rig.pass().await.exit(), Exit::Failed);
    assert!(rig.calls() <= 8, "{}", rig.calls());
    let before = rig.calls();
    for _ in 0..12 {
        rig.advance(60);
        rig.sync().await;
    }
    assert!(rig.calls() - before <= 2 * 2 * 2, "{}", rig.calls() - before);
    for dataset in [Dataset::ConsumptionLoadCurve, Dataset::DailyConsumption] {
        assert_eq!(rig.status(&prm(METER), dataset).await.state, SeriesState::Failing);
    }
    // v5 is retired for good, the other one is back.
    rig.simulator.change(|world| world.rules.apis = vec![Api::V2026]);
    days(&rig, 1).await;
    rig.assert_true_since(&prm(METER), day(SINCE)).await;
    rig.assert_true_since(&prm(OTHER), day(SINCE)).await;
}
