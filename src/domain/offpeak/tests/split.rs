//! The class of intervals and the sums of days, against a count of single minutes.

use super::*;
use crate::domain::{CurvePoint, Day, Interval, Step, paris};

fn night() -> OffPeak {
    OffPeak::parse("HC (22H30-6H30)").unwrap().unwrap()
}

fn interval(day: &str, minute: i64, minutes: i64) -> Interval {
    let start = paris::start_of(day.parse().unwrap()) + 60 * minute;
    Interval { start, step: Step::from_minutes(minutes).unwrap() }
}

#[test]
fn an_interval_has_the_class_of_its_larger_part() {
    use TariffClass::{OffPeak as Hc, Peak as Hp};
    let odd = OffPeak::parse("HC (1H28-6H58;13H58-16H28)").unwrap().unwrap();
    for (hours, minute, step, class, seconds) in [
        (&night(), 22 * 60, 30, Hp, 0),
        (&night(), 22 * 60 + 30, 30, Hc, 1800),
        (&night(), 0, 60, Hc, 3600),
        (&night(), 23 * 60 + 30, 60, Hc, 3600),
        (&night(), 6 * 60 + 30, 30, Hp, 0),
        // Half and half: what it begins with.
        (&night(), 6 * 60, 60, Hc, 1800),
        (&night(), 22 * 60, 60, Hp, 1800),
        (&odd, 60, 30, Hp, 120),
        (&odd, 390, 30, Hc, 28 * 60),
        (&odd, 13 * 60 + 30, 30, Hp, 120),
        (&odd, 16 * 60, 30, Hc, 28 * 60),
    ] {
        let interval = interval("2026-11-24", minute, step);
        assert_eq!((hours.class(interval), hours.seconds(interval)), (class, seconds), "{hours} {minute} {step}");
    }
    assert_eq!([TariffClass::Base, Hp, Hc].map(TariffClass::code), ["BASE", "HP", "HC"]);
}

#[test]
fn the_hour_that_is_skipped_counts_for_nothing_and_the_one_that_comes_twice_counts_twice() {
    let small = OffPeak::parse("HC (1H30-7H30)").unwrap().unwrap();
    for (day, hours) in [("2026-03-28", 6), ("2026-03-29", 5), ("2026-10-24", 6), ("2026-10-25", 7)] {
        let day: Day = day.parse().unwrap();
        let points: Vec<CurvePoint> = (0..paris::minutes_in(day) / 60)
            .map(|hour| CurvePoint { interval: interval(&day.to_string(), hour * 60, 60), watts: 1000 })
            .collect();
        let total = 1000 * 60 * paris::minutes_in(day);
        let off_peak_joules = hours * 3_600_000;
        assert_eq!(small.split(&points), [DaySplit { day, peak_joules: total - off_peak_joules, off_peak_joules }]);
    }
}

#[test]
fn the_season_is_that_of_the_moment() {
    let hours = OffPeak::parse("HC ETE (0H00-24H00) HC HIVER (22H30-6H30)").unwrap().unwrap();
    // The last evening of October belongs to summer, the minutes after midnight to winter.
    assert_eq!(hours.class(interval("2026-10-31", 12 * 60, 30)), TariffClass::OffPeak);
    assert_eq!(hours.class(interval("2026-11-01", 12 * 60, 30)), TariffClass::Peak);
    let all_day = OffPeak::parse("HC ETE (0H00-24H00) HC HIVER (2H00-3H00)").unwrap().unwrap();
    assert_eq!(all_day.seconds(interval("2026-10-31", 23 * 60 + 30, 60)), 1800);
}

/// Days around a change of the clocks or of the season.
fn any_day() -> impl Strategy<Value = Day> {
    let near = prop::sample::select(vec!["2026-03-29", "2026-10-25", "2026-11-01", "2027-04-01", "2026-07-14"]);
    (near, -1..=1_i32).prop_map(|(day, plus)| day.parse::<Day>().unwrap().plus(plus))
}

proptest! {
    #[test]
    fn both_classes_together_are_everything(
        (summer, winter) in (any_hours(), any_hours()),
        day in any_day(),
        watts in prop::collection::vec(0..40_000_i64, 1..20),
        minutes in prop::sample::select(Step::MINUTES.to_vec()),
    ) {
        let hours = OffPeak::seasonal(summer, winter);
        let minutes = i64::from(minutes);
        let count = 2 * 1440 / minutes;
        let points: Vec<CurvePoint> = (0..count)
            .zip(watts.iter().cycle())
            .map(|(index, watts)| CurvePoint { interval: interval(&day.to_string(), index * minutes, minutes), watts: *watts })
            .collect();
        let split = hours.split(&points);
        let total: i64 = points.iter().map(|p| p.watts * p.interval.step.seconds()).sum();
        prop_assert_eq!(split.iter().map(|day| day.peak_joules + day.off_peak_joules).sum::<i64>(), total);

        // Minute by minute, as somebody with a watch would count.
        let minute = |at: i64| {
            let local = paris::local(at);
            hours.hours(Season::of(local.date())).hold(local.time())
        };
        let mut counted = std::collections::BTreeMap::<Day, i64>::new();
        for point in &points {
            let Interval { start, step } = point.interval;
            let off = (0..i64::from(step.minutes())).filter(|m| minute(start + 60 * m)).count();
            *counted.entry(paris::day_of(start)).or_default() += point.watts * 60 * i64::try_from(off).unwrap();
            let class = hours.class(point.interval);
            if off == 0 || off == usize::from(step.minutes()) {
                prop_assert_eq!(class == TariffClass::OffPeak, off > 0);
            }
        }
        let split: Vec<(Day, i64)> = split.iter().map(|day| (day.day, day.off_peak_joules)).collect();
        prop_assert_eq!(split, counted.into_iter().collect::<Vec<_>>());
    }
}
