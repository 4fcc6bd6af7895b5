//! Registers from the simulator to the views: every one of them, in the fewest calls, through all that may happen to a
//! meter.

use linkyd::domain::{Api, Dataset, Direction, SeriesState};
use linkyd::simulator::{AsOf, Grid, GridChange, IndexStamp, MeterKind, MeterSpec, MissingClass, RegisterSpec, World};

use crate::support::{On, Rig, at, day, on_both_engines, prm};

on_both_engines! {
    registers_arrive_wholly_and_once_whatever_happens_to_the_meter,
    six_colours_of_tempo_arrive_to_the_watt_hour,
}

const METER: &str = "01234567890123";
const DATASETS: [Dataset; 2] = [Dataset::ConsumptionIndex, Dataset::ProductionIndex];

/// A reset, a class that is left out for some days, and another calendar from some day on.
fn eventful() -> World {
    let mut meter = MeterSpec::new(prm(METER)).kind(MeterKind::Both);
    meter.registers = RegisterSpec {
        since: Some(day("2026-07-01")),
        supplier: Some(Grid::Tempo),
        changes: vec![GridChange {
            from: day("2026-10-10"),
            supplier: Some(Grid::TwoClasses),
            distributor: Some(Grid::FourClasses),
        }],
        resets: vec![day("2026-09-15")],
        missing: vec![MissingClass {
            class: "BUHC".to_owned(),
            first: Some(day("2026-08-20")),
            last: Some(day("2026-08-22")),
        }],
        ..RegisterSpec::default()
    };
    meter.consumption_since = Some(day("2026-08-01"));
    meter.production_since = Some(day("2026-08-01"));
    World::new(11).with(meter)
}

async fn registers_arrive_wholly_and_once_whatever_happens_to_the_meter(on: On) {
    for stamp in [IndexStamp::Naive, IndexStamp::Offset] {
        let mut world = eventful();
        world.rules.registers.stamp = stamp;
        world.rules.registers.with_end = stamp == IndexStamp::Offset;
        let mut rig = Rig::on(on, world, &DATASETS, at("2026-11-24T08:30:00+01:00")).await.since(day("2026-08-01"));
        rig.apis = vec![Api::V2026, Api::V5];
        let report = rig.pass().await;
        assert!(report.meters[0].datasets.iter().all(|d| d.state == SeriesState::Ok), "{report:?}");
        let calls = rig.simulator.service_log();
        assert_eq!((calls.len(), report.left), (2 * 4, 0), "115 days, 31 at a time");
        assert!(calls.iter().all(|call| call.service.api() == Api::V2026 && call.status == 200));
        assert_eq!(rig.calls(), 0, "no call to the other API");
        rig.assert_true_since(&prm(METER), day("2026-08-01")).await;
        assert_eq!(rig.pass().await.calls, 0);
        assert_eq!(rig.sync().await.calls, 0);

        // The total of each day is what the daily dataset says, but for the day on which all began anew.
        let last = if stamp == IndexStamp::Offset { "2026-11-24" } else { "2026-11-23" };
        for direction in Direction::ALL {
            let days = linkyd::domain::Days::new(day("2026-08-01"), day(last)).unwrap();
            let truth: Vec<String> = rig
                .simulator
                .world()
                .daily(&prm(METER), direction, days, AsOf::Ever)
                .into_iter()
                .filter(|(day, _)| day.to_string() != "2026-09-14")
                .map(|(day, wh)| format!("{day} {wh}"))
                .collect();
            let total = "calendar IS NULL AND tariff_class = 'TOTAL'";
            let stored = rig.rows(format!(
                "SELECT day || ' ' || wh FROM v_daily_by_class WHERE direction = '{}' AND {total} ORDER BY day",
                direction.name()
            ));
            assert_eq!(stored.await, truth);
        }
        // Classes add up to it, where none is left out.
        let odd = rig.rows(
            "SELECT DISTINCT CAST(day AS text) FROM (
                 SELECT day, calendar, sum(wh) AS wh FROM v_daily_by_class
                 WHERE direction = 'consumption' AND calendar IS NOT NULL GROUP BY day, calendar
             ) c WHERE wh <> (
                 SELECT t.wh FROM v_daily_by_class t
                 WHERE t.direction = 'consumption' AND t.calendar IS NULL AND t.day = c.day
             ) ORDER BY 1"
                .to_owned(),
        );
        let odd = odd.await;
        assert!(odd.iter().all(|day| ("2026-08-19".."2026-08-23").contains(&day.as_str())), "{odd:?}");
        assert!(!odd.is_empty());

        rig.next_morning(8, 10);
        rig.pass().await;
        assert_eq!(rig.simulator.service_log().len(), 2 * 4 + 2);
        rig.assert_true_since(&prm(METER), day("2026-08-01")).await;
    }
}

/// The six classes of Tempo: days are blue, white or red, each with peak and off-peak hours.
const TEMPO: [&str; 6] = ["BCHC", "BCHP", "BUHC", "BUHP", "RUHC", "RUHP"];

async fn six_colours_of_tempo_arrive_to_the_watt_hour(on: On) {
    let mut meter = MeterSpec::new(prm(METER));
    meter.registers =
        RegisterSpec { since: Some(day("2025-10-01")), supplier: Some(Grid::Tempo), ..RegisterSpec::default() };
    meter.consumption_since = Some(day("2025-11-01"));
    let datasets = [Dataset::ConsumptionIndex, Dataset::DailyConsumption];
    let world = World::new(41).with(meter);
    // A winter with days of all colours, and both changes of the clock.
    let since = day("2025-11-01");
    let rig = Rig::on(on, world, &datasets, at("2026-11-24T08:30:00+01:00")).await.since(since);
    let report = rig.pass().await;
    assert!(report.meters[0].datasets.iter().all(|d| d.state == SeriesState::Ok), "{report:?}");
    rig.assert_true_since(&prm(METER), since).await;

    // What each class shows at each midnight is what the simulated meter shows, and what it took in a day is the
    // difference of two midnights, to the Wh.
    let midnights = linkyd::domain::Days::new(since, day("2026-11-24")).unwrap();
    let shown = rig.simulator.world().registers(&prm(METER), Direction::Consumption, midnights, AsOf::Ever);
    let mut by_class = std::collections::BTreeMap::new();
    for value in shown {
        let Some((calendar, class)) = value.counts.filter(|(_, class)| TEMPO.contains(class)) else {
            continue;
        };
        assert!(calendar.starts_with('F'), "{calendar}");
        by_class.insert((class, value.midnight), value.wh);
    }
    let mut truth = Vec::new();
    for ((class, midnight), wh) in &by_class {
        if let Some(after) = by_class.get(&(*class, midnight.next())) {
            truth.push(format!("{midnight} {class} {}", after - wh));
        }
    }
    truth.sort();
    let readings =
        rig.rows("SELECT DISTINCT tariff_class FROM v_index WHERE calendar LIKE 'F%' ORDER BY tariff_class".to_owned());
    assert_eq!(readings.await, TEMPO);
    let stored = rig.rows(
        "SELECT day || ' ' || tariff_class || ' ' || wh FROM v_daily_by_class WHERE calendar LIKE 'F%' ORDER BY 1"
            .to_owned(),
    );
    let stored = stored.await;
    assert_eq!(stored.len(), 6 * usize::try_from(midnights.len() - 1).unwrap());
    assert_eq!(stored, truth);
    for class in TEMPO {
        let some = stored.iter().any(|row| row.contains(class) && !row.ends_with(" 0"));
        assert!(some, "{class} took something");
    }
    // The six together are what the day took, and what the daily dataset says of it.
    let whole = rig.rows(
        "SELECT c.day || ' ' || c.wh FROM (
             SELECT day, sum(wh) AS wh FROM v_daily_by_class WHERE calendar LIKE 'F%' GROUP BY day
         ) c JOIN v_daily d ON d.day = c.day WHERE abs(c.wh - d.consumption_wh) > 0 ORDER BY 1"
            .to_owned(),
    );
    assert_eq!(whole.await, Vec::<String>::new());
}
