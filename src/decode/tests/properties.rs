//! What holds for any answer.
//!
//! The renderer here is independent of the decoder: it knows the French rule for the clock
//! changes (last Sunday of March and of October, at 01:00 UTC) and nothing of a time zone library.

use proptest::prelude::*;

use super::*;
use crate::domain::{Interval, Step};
use chrono::{DateTime, Datelike, NaiveDate, TimeDelta};

/// 01:00 UTC on the last Sunday of a month of 31 days.
fn change(year: i32, month: u32) -> i64 {
    let last = NaiveDate::from_ymd_opt(year, month, 31).unwrap();
    let back = i64::from(last.weekday().num_days_from_sunday());
    (last - TimeDelta::days(back)).and_hms_opt(1, 0, 0).unwrap().and_utc().timestamp()
}

/// What the clocks in France show at an instant.
fn wall(instant: i64) -> String {
    let utc = DateTime::from_timestamp(instant, 0).unwrap();
    let summer = (change(utc.year(), 3)..change(utc.year(), 10)).contains(&instant);
    (utc + TimeDelta::hours(if summer { 2 } else { 1 })).format("%Y-%m-%d %H:%M:%S").to_string()
}

/// A label as a gateway makes it: the end on the wall clock less the length, whatever the clocks did.
fn start_on_the_wall(end: i64, step: Step) -> String {
    let end = chrono::NaiveDateTime::parse_from_str(&wall(end), "%Y-%m-%d %H:%M:%S").unwrap();
    (end - TimeDelta::seconds(step.seconds())).format("%Y-%m-%d %H:%M:%S").to_string()
}

/// The intervals of some days as Enedis would send them, in the order of time.
fn rendered(days: Days, steps: &[Step], watts: &[i64], label: Label) -> (Vec<String>, Vec<CurvePoint>) {
    let (mut start, end) = (paris::start_of(days.first()), paris::start_of(days.end()));
    let (mut lines, mut points, mut index) = (Vec::new(), Vec::new(), 0_usize);
    while start < end {
        // The step changes at most every six hours.
        let step = steps[usize::try_from((start - paris::start_of(days.first())) / 21_600).unwrap() % steps.len()];
        let value = watts[index % watts.len()];
        points.push(CurvePoint { interval: Interval { start, step }, watts: value });
        start += step.seconds();
        let labelled = match label {
            Label::End => wall(start),
            Label::Start => start_on_the_wall(start, step),
        };
        lines.push(format!(r#"{{"v":"{value}","d":"{labelled}","p":"PT{}M","n":"B"}}"#, step.minutes()));
        index += 1;
    }
    (lines, points)
}

fn answer(lines: &[String]) -> String {
    format!(
        r#"{{"idPrm":"{PRM}","grandeur":[{{"grandeurMetier":"CONS","grandeurPhysique":"PA","unite":"W","points":[{}]}}]}}"#,
        lines.join(",")
    )
}

/// The same points in the form of v5.
fn as_v5(lines: &[String]) -> String {
    let points: Vec<String> = lines
        .iter()
        .map(|line| {
            line.replace("\"v\":", "\"value\":")
                .replace("\"d\":", "\"date\":")
                .replace("\"p\":", "\"interval_length\":")
        })
        .collect();
    format!(
        r#"{{"meter_reading":{{"usage_point_id":"{PRM}","reading_type":{{"unit":"W"}},"interval_reading":[{}]}}}}"#,
        points.join(",")
    )
}

/// In the order of their labels, equal ones in that of time: what a gateway makes of its cache.
fn sorted(lines: &[String]) -> Vec<String> {
    let mut sorted = lines.to_vec();
    sorted.sort_by_key(|line| line.split('"').nth(7).map(str::to_owned));
    sorted
}

fn edge(start: bool) -> Label {
    if start { Label::Start } else { Label::End }
}

fn labelled(label: Label, days: Days, lines: &[String]) -> Result<Decoded, DecodeError> {
    bytes(label, days, answer(lines).as_bytes())
}

fn bytes(label: Label, days: Days, body: &[u8]) -> Result<Decoded, DecodeError> {
    let prm: Prm = PRM.parse().unwrap();
    decode(body, &Expected { api: Api::V2026, label, dataset: Dataset::ConsumptionLoadCurve, prm: &prm, days })
}

fn decoded(days: Days, lines: &[String]) -> Decoded {
    labelled(Label::End, days, lines).unwrap()
}

fn any_step() -> impl Strategy<Value = Step> {
    prop::sample::select(Step::MINUTES.to_vec()).prop_map(|m| Step::from_minutes(i64::from(m)).unwrap())
}

/// Days that often touch a clock change of 2016 to 2036.
fn any_days() -> impl Strategy<Value = Days> {
    let near_change = (2016..=2036_i32, prop::sample::select(vec![3_u32, 10]), -3..=0_i32)
        .prop_map(|(year, month, before)| paris::day_of(change(year, month)).plus(before));
    let anywhere = (16_800..24_500_i32).prop_map(Day::from_number);
    (prop_oneof![3 => near_change, 1 => anywhere], 1..=4_i32)
        .prop_map(|(first, count)| Days::new(first, first.plus(count)).unwrap())
}

/// Whether a line is labelled within the hour that comes twice, on a day when it does.
fn is_twice(line: &str, days: Days) -> bool {
    days.iter().any(|d| paris::minutes_in(d) == 1500 && line.contains(&format!("{d} 02:")))
}

#[test]
fn every_clock_change_of_two_decades_gives_each_interval_once() {
    for year in 2016..=2036 {
        for (month, hours) in [(3, 23), (10, 25)] {
            let days = Days::single(paris::day_of(change(year, month)));
            for minutes in Step::MINUTES {
                let step = Step::from_minutes(i64::from(minutes)).unwrap();
                let (lines, points) = rendered(days, &[step], &[0, 7, 7, 9], Label::End);
                assert_eq!(lines.len(), hours * 60 / usize::from(minutes));
                let found = decoded(days, &lines);
                assert_eq!(found.values, Values::Curve(points));
                assert_eq!(found.anomalies, []);
            }
        }
    }
}

#[test]
fn on_a_clock_change_start_labels_give_the_same_as_end_labels_in_both_forms() {
    let prm: Prm = PRM.parse().unwrap();
    for on in ["2026-03-29", "2026-10-25"] {
        let days = Days::single(day(on));
        for minutes in [10, 15, 30, 60] {
            let step = Step::from_minutes(minutes).unwrap();
            let watts: Vec<i64> = (0..997).collect();
            let (ends, points) = rendered(days, &[step], &watts, Label::End);
            let (starts, _) = rendered(days, &[step], &watts, Label::Start);
            assert_ne!(ends, starts);
            for (label, lines) in [(Label::End, ends), (Label::Start, sorted(&starts)), (Label::Start, starts)] {
                for (api, text) in [(Api::V2026, answer(&lines)), (Api::V5, as_v5(&lines))] {
                    let what = Expected { api, label, dataset: Dataset::ConsumptionLoadCurve, prm: &prm, days };
                    let found = decode(text.as_bytes(), &what).unwrap();
                    assert_eq!(found.values, Values::Curve(points.clone()), "{on} {minutes} {label:?} {api}");
                    assert_eq!(found.anomalies, []);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_enedis_renders_is_what_is_read(
        days in any_days(),
        steps in prop::collection::vec(any_step(), 1..3),
        watts in prop::collection::vec(0..20_000_i64, 1..50),
        backwards: bool,
        start_label: bool,
    ) {
        let (mut lines, points) = rendered(days, &steps, &watts, edge(start_label));
        // Points of one length can be told apart again after they were sorted by their labels.
        if start_label && steps.windows(2).all(|pair| pair[0] == pair[1]) {
            let found = labelled(Label::Start, days, &sorted(&lines)).unwrap();
            prop_assert_eq!(&found.values, &Values::Curve(points.clone()));
            prop_assert_eq!(found.anomalies, vec![]);
        }
        if backwards {
            lines.reverse();
        }
        let found = labelled(edge(start_label), days, &lines).unwrap();
        prop_assert_eq!(&found.values, &Values::Curve(points));
        prop_assert_eq!(found.anomalies, vec![]);
    }

    #[test]
    fn holes_move_nothing_outside_the_hour_that_comes_twice(
        days in any_days(), step in any_step(), keep in prop::collection::vec(prop::bool::weighted(0.8), 400),
    ) {
        let (lines, points) = rendered(days, &[step], &[1, 2, 3, 5, 8, 13], Label::End);
        let kept = |i: usize| keep[i % keep.len()] || is_twice(&lines[i], days);
        let some: Vec<String> = (0..lines.len()).filter(|i| kept(*i)).map(|i| lines[i].clone()).collect();
        let wanted: Vec<CurvePoint> = (0..lines.len()).filter(|i| kept(*i)).map(|i| points[i]).collect();
        prop_assert_eq!(decoded(days, &some).values, Values::Curve(wanted));
    }

    #[test]
    fn order_and_copies_do_not_matter_where_labels_are_unique(
        days in any_days(), step in any_step(), order in prop::collection::vec(any::<prop::sample::Index>(), 300),
        copies in prop::collection::vec(any::<prop::sample::Index>(), 20),
    ) {
        let (lines, points) = rendered(days, &[step], &[1, 2, 3, 5, 8, 13], Label::End);
        // Two labels that are equal can only be told apart by their order, so that one is kept.
        let (twice, mut rest): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| is_twice(line, days));
        let copied: Vec<String> = copies.iter().map(|i| i.get(&rest).clone()).collect();
        rest.extend(copied);
        for (from, to) in order.iter().enumerate() {
            let (from, to) = (from % rest.len(), to.index(rest.len()));
            rest.swap(from, to);
        }
        for (line, at) in twice.into_iter().rev().zip(&order) {
            // Inserted from the last to the first, each before the one inserted last.
            let limit = rest.iter().position(|l| is_twice(l, days)).unwrap_or(rest.len());
            rest.insert(at.index(limit + 1), line);
        }
        let found = decoded(days, &rest);
        prop_assert_eq!(found.values, Values::Curve(points));
        prop_assert_eq!(found.anomalies, vec![]);
    }

    #[test]
    fn bytes_at_random_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300), api: bool) {
        let prm: Prm = PRM.parse().unwrap();
        for dataset in Dataset::COMMON {
            let api = if api { Api::V5 } else { Api::V2026 };
            let what = Expected { api, label: Label::End, dataset, prm: &prm, days: Days::single(day("2026-10-25")) };
            let _ = decode(&bytes, &what);
        }
    }

    #[test]
    fn a_damaged_answer_gives_nothing_outside_the_question(
        days in any_days(), step in any_step(), start_label: bool,
        damage in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(vec![
            "null", "0", "-1", "1e999", "\"\"", "{}", "[]", "\"", ",", "}", "3", "9", ":", " ", "T", "Z", "+02:00", "PT1H", "2026-10-25 02:30:00",
        ]), 0..12_usize), 1..12),
    ) {
        let (lines, _) = rendered(days, &[step], &[1, 0, 3], Label::End);
        let mut text = answer(&lines).into_bytes();
        for (at, with, instead_of) in damage {
            let from = at.index(text.len());
            let to = (from + instead_of).min(text.len());
            text.splice(from..to, with.bytes());
        }
        check_curve(bytes(edge(start_label), days, &text), days)?;
    }

    /// Labels, values and lengths of any kind, in any order.
    #[test]
    fn any_points_give_an_ascending_curve_within_the_days(
        days in any_days(), start_label: bool,
        points in prop::collection::vec((-1..6_i32, 0..4_u32, 0..12_u32, prop::sample::select(vec!["PT5M", "PT10M", "PT30M", "PT60M", "PT7M", ""]), prop::sample::select(vec!["", "Z", "+02:00", "+01:00"]), 0..3_u8), 0..60),
    ) {
        let lines: Vec<String> = points.iter().map(|(n, hour, five, step, offset, value)| {
            let value = ["null", "\"0\"", "\"5\""][usize::from(*value)];
            format!(r#"{{"v":{value},"d":"{} {hour:02}:{:02}:00{offset}","p":"{step}"}}"#, days.first().plus(*n), five * 5)
        }).collect();
        check_curve(labelled(edge(start_label), days, &lines), days)?;
    }
}

fn check_curve(result: Result<Decoded, DecodeError>, days: Days) -> Result<(), TestCaseError> {
    let Ok(Decoded { values: Values::Curve(points), .. }) = result else { return Ok(()) };
    for point in &points {
        prop_assert!(days.contains(paris::day_of(point.interval.start)));
        prop_assert!(days.contains(paris::day_of(point.interval.end() - 1)));
        prop_assert!(point.watts >= 0);
    }
    for pair in points.windows(2) {
        prop_assert!(pair[0].interval.end() <= pair[1].interval.start);
    }
    Ok(())
}
