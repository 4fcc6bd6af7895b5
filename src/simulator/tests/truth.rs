//! What the meters measure, and what is published of it.

use chrono::Timelike;

use super::*;
use crate::domain::{Direction, Step, paris};

fn world() -> World {
    World::new(7).with(MeterSpec::new(prm()).kind(MeterKind::Both))
}

#[test]
fn values_come_from_whole_watt_hours_at_every_step() {
    for minutes in Step::MINUTES.map(i64::from) {
        let step = Step::from_minutes(minutes).unwrap();
        let world = World::new(7).with(MeterSpec::new(prm()).step(step));
        let curve = world.curve(&prm(), Direction::Consumption, days("2026-01-05", "2026-01-12"), AsOf::Ever);
        assert!(curve.iter().all(|(_, m, watts)| *m == minutes && watts % (60 / minutes) == 0), "{minutes}");
        assert!(curve.iter().any(|(_, _, watts)| *watts > 1000));
    }
}

#[test]
fn days_of_23_and_25_hours_have_their_intervals_at_every_step() {
    for (date, hours) in [("2026-03-29", 23), ("2026-10-25", 25), ("2026-11-24", 24)] {
        for minutes in Step::MINUTES.map(i64::from) {
            let step = Step::from_minutes(minutes).unwrap();
            let world = World::new(7).with(MeterSpec::new(prm()).step(step));
            let one = Days::single(day(date));
            let curve = world.curve(&prm(), Direction::Consumption, one, AsOf::Ever);
            assert_eq!(curve.len(), usize::try_from(hours * 60 / minutes).unwrap(), "{date} {minutes}");
            assert!(curve.windows(2).all(|pair| pair[0].0 + minutes * 60 == pair[1].0));
        }
    }
}

#[test]
fn the_same_energy_at_every_step() {
    let sums: Vec<i64> = Step::MINUTES
        .map(|minutes| {
            let world = World::new(7).with(MeterSpec::new(prm()).step(Step::from_minutes(minutes.into()).unwrap()));
            let curve = world.curve(&prm(), Direction::Consumption, days("2026-02-01", "2026-02-08"), AsOf::Ever);
            curve.iter().map(|(_, minutes, watts)| watts * minutes / 60).sum()
        })
        .to_vec();
    assert!(sums.windows(2).all(|pair| pair[0] == pair[1]), "{sums:?}");
}

#[test]
fn the_register_agrees_with_the_curve_but_is_not_its_sum() {
    let world = world();
    let span = days("2025-11-01", "2026-11-01");
    for direction in Direction::ALL {
        let daily = world.daily(&prm(), direction, span, AsOf::Ever);
        assert_eq!(daily.len(), 365);
        let mut differing = 0;
        for (day, wh) in daily {
            let curve = world.curve(&prm(), direction, Days::single(day), AsOf::Ever);
            let sum: i64 = curve.iter().map(|(_, minutes, watts)| watts * minutes / 60).sum();
            assert!((wh - sum).abs() < 10 && wh >= 0, "{day}: {wh} {sum}");
            differing += i32::from(wh != sum);
        }
        assert!(differing > 200, "{direction:?}: {differing}");
    }
}

#[test]
fn households_are_believable() {
    let (mut heated, mut kwh) = (0, Vec::new());
    for last in 0..40 {
        let prm: Prm = format!("123456789012{last:02}").parse().unwrap();
        let world = World::of_any_prm(3);
        let year = world.daily(&prm, Direction::Consumption, days("2025-01-01", "2026-01-01"), AsOf::Ever);
        let month = |month: &str| -> i64 {
            year.iter().filter(|(day, _)| day.to_string()[5..7] == *month).map(|(_, wh)| wh / 1000).sum()
        };
        heated += i32::from(month("01") > 2 * month("06"));
        kwh.push(year.iter().map(|(_, wh)| wh).sum::<i64>() / 1000);
    }
    assert!((12..38).contains(&heated), "{heated}");
    assert!(kwh.iter().all(|kwh| (1200..25_000).contains(kwh)), "{kwh:?}");
}

#[test]
fn the_sun_shines_by_day_and_more_in_summer() {
    let roof = World::new(7).with(MeterSpec::new(prm()).kind(MeterKind::Producer));
    let (summer, winter) = (days("2026-06-01", "2026-07-01"), days("2026-12-01", "2027-01-01"));
    let sum =
        |span| -> i64 { roof.daily(&prm(), Direction::Production, span, AsOf::Ever).iter().map(|(_, wh)| wh).sum() };
    assert!(sum(summer) > 3 * sum(winter), "{} {}", sum(summer), sum(winter));
    let curve = roof.curve(&prm(), Direction::Production, summer, AsOf::Ever);
    let night = curve.iter().filter(|(start, ..)| paris::local(*start).hour() < 4);
    assert!(night.map(|(.., watts)| watts).sum::<i64>() < 100);
    assert!(roof.curve(&prm(), Direction::Consumption, summer, AsOf::Ever).is_empty());
}

#[test]
fn peaks_lie_in_their_day_and_above_the_curve() {
    let world = world();
    let span = days("2026-03-20", "2026-04-05");
    for (day, va, at) in world.peaks(&prm(), span, AsOf::Ever) {
        assert_eq!(paris::day_of(at), day);
        let curve = world.curve(&prm(), Direction::Consumption, Days::single(day), AsOf::Ever);
        assert!(curve.iter().all(|(.., watts)| *watts <= va), "{day}");
    }
}

#[test]
fn yesterday_appears_at_eight_and_late_days_later() {
    let yesterday = day("2026-11-23");
    let mut world = world();
    let count = |world: &World, at: &str| {
        world.daily(&prm(), Direction::Consumption, Days::single(yesterday), AsOf::Instant(instant(at))).len()
    };
    assert_eq!([count(&world, "2026-11-24T06:59:59Z"), count(&world, "2026-11-24T07:00:00Z")], [0, 1]);

    world.rules.publication_delay_minutes = 90;
    assert_eq!([count(&world, "2026-11-24T08:29:59Z"), count(&world, "2026-11-24T08:30:00Z")], [0, 1]);

    let late = Late { stretch: Stretch::days(yesterday, yesterday), days: 2, at: Some("13:00:00".parse().unwrap()) };
    world.meter_mut(&prm()).unwrap().late.push(late);
    assert_eq!([count(&world, "2026-11-26T13:29:59Z"), count(&world, "2026-11-26T13:30:00Z")], [0, 1]);
}

#[test]
fn holes_activation_and_corrections_show() {
    let mut world = world();
    let span = days("2026-11-02", "2026-11-09");
    let before = world.curve(&prm(), Direction::Consumption, span, AsOf::Ever);
    let meter = world.meter_mut(&prm()).unwrap();
    meter.consumption_since = Some(day("2026-11-03"));
    meter.holes = vec![
        Stretch::days(day("2026-11-05"), day("2026-11-05")),
        Stretch::instants(instant("2026-11-06T10:00:00Z"), instant("2026-11-06T11:00:00Z")),
    ];
    let stretch = Stretch::days(day("2026-11-08"), day("2026-11-08"));
    meter.corrections = vec![Correction { stretch, at: instant("2026-11-10T00:00:00Z"), add: 3 }];

    let after = world.curve(&prm(), Direction::Consumption, span, AsOf::Ever);
    assert_eq!((before.len(), after.len()), (7 * 48, 5 * 48 - 2));
    let early = world.curve(&prm(), Direction::Consumption, span, AsOf::Instant(instant("2026-11-09T12:00:00Z")));
    let changed: Vec<i64> =
        after.iter().zip(&early).map(|(new, old)| new.2 - old.2).filter(|more| *more != 0).collect();
    assert_eq!(changed, [6; 48]);
    // A hole of two intervals does not keep the day's energy from being known.
    assert_eq!(world.daily(&prm(), Direction::Consumption, span, AsOf::Ever).len(), 5);
}

#[test]
fn the_step_changes_on_the_hour() {
    let mut world = world();
    let quarter = Step::from_minutes(15).unwrap();
    world.meter_mut(&prm()).unwrap().step_changes =
        vec![StepChange { from: instant("2023-12-30T07:00:00Z"), step: quarter }];
    let curve = world.curve(&prm(), Direction::Consumption, days("2023-12-30", "2023-12-31"), AsOf::Ever);
    assert_eq!(curve.len(), 8 * 2 + 16 * 4);
    assert!(curve.windows(2).all(|pair| pair[0].0 + pair[0].1 * 60 == pair[1].0));
}

#[test]
fn what_is_remembered_is_what_would_be_measured_now() {
    let span = days("2026-01-01", "2026-02-01");
    let look = |world: &World| {
        let curve = world.curve(&prm(), Direction::Consumption, span, AsOf::Ever);
        (curve, world.daily(&prm(), Direction::Consumption, span, AsOf::Ever), world.peaks(&prm(), span, AsOf::Ever))
    };
    let mut known = world();
    let first = look(&known);
    assert_eq!(look(&known.clone()), first);
    assert_eq!(look(&world()), first, "by one that remembers nothing");
    known.meter_mut(&prm()).unwrap().kind = MeterKind::Consumer;
    let consumer = look(&known);
    assert_ne!(consumer, first);
    assert_eq!(consumer, look(&World::new(7).with(MeterSpec::new(prm()))));
    known.seed = 8;
    assert_eq!(look(&known), look(&World::new(8).with(MeterSpec::new(prm()))));
}
