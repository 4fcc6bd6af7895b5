//! Bytes in, values out: one table for each rule, then properties.

use super::*;
use crate::domain::{CurvePoint, Day, PeakPower, paris};

mod properties;

const PRM: &str = "01234567890123";

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn days(first: &str, end: &str) -> Days {
    Days::new(day(first), day(end)).unwrap()
}

/// Decodes an answer to a question about `dataset` and `days`.
fn ask(api: Api, dataset: Dataset, days: Days, body: &str) -> Result<Decoded, DecodeError> {
    let prm: Prm = PRM.parse().unwrap();
    decode(body.as_bytes(), &Expected { api, label: Label::End, dataset, prm: &prm, days })
}

/// A body of 2026 with these points, given as `v d p`; a `-` leaves the field out.
fn body(points: &[(&str, &str, &str)]) -> String {
    let field = |name: &str, value: &str| match value {
        "-" => None,
        "null" => Some(format!(r#""{name}":null"#)),
        _ => Some(format!(r#""{name}":"{value}""#)),
    };
    let points: Vec<String> = points
        .iter()
        .map(|(v, d, p)| {
            [field("v", v), field("d", d), field("p", p)].into_iter().flatten().collect::<Vec<_>>().join(",")
        })
        .map(|fields| format!("{{{fields}}}"))
        .collect();
    format!(
        r#"{{"idPrm":"{PRM}","grandeur":[{{"grandeurMetier":"CONS","grandeurPhysique":"PA","unite":"W","points":[{}]}}]}}"#,
        points.join(",")
    )
}

/// The curve of one day as `HH:MMz minutes watts` in UTC, and the oddities.
fn curve(on: &str, points: &[(&str, &str, &str)]) -> (Vec<String>, Vec<(&'static str, u32)>) {
    let points: Vec<(&str, String, &str)> = points
        .iter()
        .map(|(v, time, p)| (*v, if time.len() <= 8 { format!("{on} {time}") } else { (*time).to_owned() }, *p))
        .collect();
    let points: Vec<(&str, &str, &str)> = points.iter().map(|(v, d, p)| (*v, d.as_str(), *p)).collect();
    let decoded = ask(Api::V2026, Dataset::ConsumptionLoadCurve, Days::single(day(on)), &body(&points)).unwrap();
    (shown(&decoded), odd(&decoded))
}

fn shown(decoded: &Decoded) -> Vec<String> {
    let Values::Curve(points) = &decoded.values else { panic!("a curve") };
    let show = |p: &CurvePoint| {
        let start = chrono::DateTime::from_timestamp(p.interval.start, 0).unwrap();
        format!("{}z {} {}", start.format("%H:%M"), p.interval.step.minutes(), p.watts)
    };
    points.iter().map(show).collect()
}

fn odd(decoded: &Decoded) -> Vec<(&'static str, u32)> {
    decoded.anomalies.iter().map(|a| (a.kind.name(), a.count)).collect()
}

const P: &str = "PT30M";
const NONE: &[(&str, u32)] = &[];

#[test]
fn a_label_is_the_end_and_midnight_belongs_to_the_day_before() {
    let (points, odd) =
        curve("2026-11-03", &[("412", "00:30:00", P), ("388", "01:00:00", P), ("296", "2026-11-04 00:00:00", P)]);
    assert_eq!(points, ["23:00z 30 412", "23:30z 30 388", "22:30z 30 296"]);
    assert_eq!(odd, NONE);
}

#[test]
fn values_are_strict_and_nothing_becomes_zero() {
    let (points, odd) = curve(
        "2026-11-03",
        &[
            ("0", "01:00:00", P),
            ("null", "01:30:00", P),
            ("", "02:00:00", P),
            ("-", "02:30:00", P),
            ("NaN", "03:00:00", P),
            ("-1", "03:30:00", P),
            ("1e400", "04:00:00", P),
            ("9000000000000000000", "04:30:00", P),
            ("12.5", "05:00:00", P),
            ("1 234", "05:30:00", P),
        ],
    );
    assert_eq!(points, ["23:30z 30 0"]);
    assert_eq!(odd, [("bad_value", 6)]);
    let decoded = ask(
        Api::V2026,
        Dataset::ConsumptionLoadCurve,
        Days::single(day("2026-11-03")),
        &body(&[("null", "2026-11-03 01:00:00", P)]),
    );
    let decoded = decoded.unwrap();
    assert_eq!((decoded.missing, decoded.nothing, decoded.values.is_empty()), (1, true, true));
}

#[test]
fn a_number_beyond_all_bounds_costs_its_own_reading_only() {
    let text = body(&[("1", "2026-11-03 01:00:00", P), ("77", "2026-11-03 01:30:00", P)]);
    for absurd in ["1e400", "-1E+999", "123456789e99999", "0.1e500"] {
        let text = text.replace(r#""77""#, absurd);
        let decoded = ask(Api::V2026, Dataset::ConsumptionLoadCurve, Days::single(day("2026-11-03")), &text).unwrap();
        assert_eq!((shown(&decoded), odd(&decoded)), (vec!["23:30z 30 1".to_owned()], vec![("bad_value", 1)]));
    }
}

#[test]
fn spring_skips_an_hour_and_fillers_are_dropped() {
    let regular: &[(&str, &str, &str)] = &[("1", "01:30:00", P), ("2", "03:00:00", P), ("3", "03:30:00", P)];
    let filled: &[(&str, &str, &str)] = &[
        ("1", "01:30:00", P),
        ("null", "02:00:00", P),
        ("0", "02:30:00", P),
        ("2", "03:00:00", P),
        ("3", "03:30:00", P),
    ];
    for points in [regular, filled] {
        let (points, odd) = curve("2026-03-29", points);
        assert_eq!(points, ["00:00z 30 1", "00:30z 30 2", "01:00z 30 3"]);
        assert_eq!(odd, NONE);
    }
}

#[test]
fn a_skipped_time_with_a_value_is_standard_time_where_that_is_free() {
    let (points, odd) = curve("2026-03-29", &[("1", "01:30:00", P), ("9", "02:00:00", P), ("3", "03:30:00", P)]);
    assert_eq!(points, ["00:00z 30 1", "00:30z 30 9", "01:00z 30 3"]);
    assert_eq!(odd, [("dst_nonexistent", 1)]);
    let (points, odd) = curve("2026-03-29", &[("1", "01:30:00", P), ("9", "02:00:00", P), ("2", "03:00:00", P)]);
    assert_eq!(points, ["00:00z 30 1", "00:30z 30 2"]);
    assert_eq!(odd, [("dst_nonexistent", 1)]);
    let (points, _) = curve("2026-03-29", &[("9", "02:00:00", "PT60M"), ("2", "03:00:00", P)]);
    assert_eq!(points, ["00:30z 30 2"], "an overlap is not free");
}

#[test]
fn the_autumn_hour_comes_twice() {
    let whole = ["23:00z 30 1", "23:30z 30 2", "00:00z 30 3", "00:30z 30 4", "01:00z 30 5", "01:30z 30 6"];
    let in_order: &[(&str, &str, &str)] = &[
        ("1", "01:30:00", P),
        ("2", "02:00:00", P),
        ("3", "02:30:00", P),
        ("4", "02:00:00", P),
        ("5", "02:30:00", P),
        ("6", "03:00:00", P),
    ];
    let interleaved: &[(&str, &str, &str)] = &[
        ("1", "01:30:00", P),
        ("2", "02:00:00", P),
        ("4", "02:00:00", P),
        ("3", "02:30:00", P),
        ("5", "02:30:00", P),
        ("6", "03:00:00", P),
    ];
    let offsets: &[(&str, &str, &str)] = &[
        ("6", "2026-10-25T03:00:00+01:00", P),
        ("5", "2026-10-25T02:30:00+01:00", P),
        ("2", "2026-10-25T02:00:00+02:00", P),
        ("4", "2026-10-25T02:00:00+0100", P),
        ("3", "2026-10-25T00:30:00Z", P),
        ("1", "2026-10-25T01:30:00+02:00", P),
    ];
    let mut descending = in_order.to_vec();
    descending.reverse();
    for points in [in_order, interleaved, offsets, &descending] {
        let (points, odd) = curve("2026-10-25", points);
        assert_eq!(points, whole);
        assert_eq!(odd, NONE);
    }
}

#[test]
fn equal_values_in_both_passes_are_two_readings() {
    let zeros: Vec<_> =
        ["01:30:00", "02:00:00", "02:30:00", "02:00:00", "02:30:00", "03:00:00"].map(|t| ("0", t, P)).into();
    assert_eq!(curve("2026-10-25", &zeros).0.len(), 6);
}

#[test]
fn a_label_without_a_value_still_shows_which_pass_it_was() {
    let (points, odd) = curve("2026-10-25", &[("null", "02:00:00", P), ("4", "02:00:00", P), ("6", "03:00:00", P)]);
    assert_eq!(points, ["00:30z 30 4", "01:30z 30 6"]);
    assert_eq!(odd, NONE);
}

#[test]
fn a_label_that_came_once_goes_where_the_step_is_regular() {
    // The first pass is a hole: only the later instants continue up to 03:00.
    let (points, odd) =
        curve("2026-10-25", &[("0", "01:00:00", P), ("4", "02:00:00", P), ("5", "02:30:00", P), ("6", "03:00:00", P)]);
    assert_eq!(points, ["22:30z 30 0", "00:30z 30 4", "01:00z 30 5", "01:30z 30 6"]);
    assert_eq!(odd, NONE);
    // The second pass is a hole, and so is 03:00.
    let (points, odd) =
        curve("2026-10-25", &[("1", "01:30:00", P), ("2", "02:00:00", P), ("3", "02:30:00", P), ("7", "03:30:00", P)]);
    assert_eq!(points, ["23:00z 30 1", "23:30z 30 2", "00:00z 30 3", "02:00z 30 7"]);
    assert_eq!(odd, NONE);
    // Order alone: the second 02:00 comes after the first 02:30.
    let (points, odd) = curve("2026-10-25", &[("3", "02:30:00", P), ("4", "02:00:00", P), ("5", "02:30:00", P)]);
    assert_eq!(points, ["00:00z 30 3", "00:30z 30 4", "01:00z 30 5"]);
    assert_eq!(odd, NONE);
}

#[test]
fn an_hour_sent_once_is_the_first_and_doubtful() {
    let (points, odd) =
        curve("2026-10-25", &[("1", "01:30:00", P), ("2", "02:00:00", P), ("3", "02:30:00", P), ("6", "03:00:00", P)]);
    assert_eq!(points, ["23:00z 30 1", "23:30z 30 2", "00:00z 30 3", "01:30z 30 6"]);
    assert_eq!(odd, [("dst_ambiguous", 2)]);
    let hourly = [("1", "01:00:00", "PT60M"), ("2", "02:00:00", "PT60M"), ("3", "03:00:00", "PT60M")];
    let (points, odd) = curve("2026-10-25", &hourly);
    assert_eq!(points, ["22:00z 60 1", "23:00z 60 2", "01:00z 60 3"]);
    assert_eq!(odd, [("dst_ambiguous", 1)]);
}

#[test]
fn copies_of_the_autumn_hour_collapse() {
    let pass = [("2", "02:00:00", P), ("3", "02:30:00", P), ("4", "02:00:00", P), ("5", "02:30:00", P)];
    let whole = ["23:30z 30 2", "00:00z 30 3", "00:30z 30 4", "01:00z 30 5"];
    let each_line_twice: Vec<_> = pass.iter().flat_map(|p| [*p, *p]).collect();
    let (points, odd) = curve("2026-10-25", &each_line_twice);
    assert_eq!((points, odd), (whole.map(str::to_owned).to_vec(), NONE.to_vec()));
    let twice_over: Vec<_> =
        [("1", "01:30:00", P)].iter().chain(&pass).chain(&[("1", "01:30:00", P)]).chain(&pass).copied().collect();
    let (points, odd) = curve("2026-10-25", &twice_over);
    assert_eq!((points[1..].to_vec(), odd), (whole.map(str::to_owned).to_vec(), NONE.to_vec()));
}

#[test]
fn copies_are_dropped_and_of_two_values_the_last_is_kept() {
    let (points, odd) = curve("2026-11-03", &[("1", "01:00:00", P), ("1", "01:00:00", P), ("2", "01:30:00", P)]);
    assert_eq!((points.len(), odd), (2, NONE.to_vec()));
    let (points, odd) = curve("2026-11-03", &[("2", "01:30:00", P), ("1", "01:00:00", P), ("7", "01:30:00", P)]);
    assert_eq!(points, ["23:30z 30 1", "00:00z 30 7"]);
    assert_eq!(odd, [("duplicate_conflict", 1)]);
}

#[test]
fn what_was_not_asked_for_is_dropped() {
    let (points, odd) = curve(
        "2026-11-03",
        &[
            ("1", "2026-11-03 00:00:00", P),
            ("2", "00:30:00", P),
            ("3", "2026-11-04 00:00:00", P),
            ("4", "2026-11-04 00:30:00", P),
            ("5", "2025-11-03 12:00:00", P),
            ("6", "2199-01-01 12:00:00", P),
        ],
    );
    assert_eq!(points, ["23:00z 30 2", "22:30z 30 3"]);
    assert_eq!(odd, [("outside", 4)]);
}

#[test]
fn each_point_has_its_own_step_and_none_overlap() {
    let (points, odd) = curve(
        "2026-11-03",
        &[
            ("1", "07:30:00", P),
            ("2", "08:00:00", P),
            ("3", "08:15:00", "PT15M"),
            ("4", "09:15:00", "PT1H"),
            ("5", "09:30:00", P),
        ],
    );
    assert_eq!(points, ["06:00z 30 1", "06:30z 30 2", "07:00z 15 3", "08:00z 30 5"]);
    assert_eq!(odd, [("off_grid", 1)]);
    let (points, odd) = curve(
        "2026-11-03",
        &[("1", "08:00:00", P), ("2", "08:30:00", "PT60M"), ("3", "09:00:00", "PT60M"), ("4", "08:40:00", "PT10M")],
    );
    assert_eq!(points, ["06:30z 30 1", "07:00z 60 3"]);
    assert_eq!(odd, [("overlap", 1), ("off_grid", 1)]);
}

#[test]
fn an_unknown_step_is_never_guessed() {
    for step in ["PT7M", "P1D", "PT90M", "30", "PT0M"] {
        let (points, odd) = curve("2026-11-03", &[("1", "00:30:00", P), ("2", "01:00:00", step), ("3", "01:30:00", P)]);
        assert_eq!(points, ["23:00z 30 1", "00:00z 30 3"], "{step}");
        assert_eq!(odd, [("step_unknown", 1)]);
    }
}

#[test]
fn an_absent_step_is_inferred_where_both_sides_agree() {
    let (points, odd) = curve(
        "2026-11-03",
        &[
            ("1", "00:30:00", "-"),
            ("2", "01:00:00", "null"),
            ("3", "01:30:00", ""),
            ("4", "02:30:00", "-"),
            ("5", "03:00:00", "-"),
            ("6", "03:30:00", "-"),
        ],
    );
    assert_eq!(points, ["23:00z 30 1", "23:30z 30 2", "01:30z 30 5", "02:00z 30 6"]);
    assert_eq!(odd, [("step_unknown", 2)]);
    let (points, odd) = curve("2026-11-03", &[("1", "12:00:00", "-")]);
    assert_eq!((points, odd), (vec![], vec![("step_unknown", 1)]));
    let (points, odd) = curve("2026-11-03", &[("1", "00:07:00", "-"), ("2", "00:14:00", "-"), ("3", "00:21:00", "-")]);
    assert_eq!((points, odd), (vec![], vec![("step_unknown", 3)]));
}

#[test]
fn labels_off_the_grid_are_no_energy() {
    let (points, odd) =
        curve("2026-11-03", &[("1", "12:00:00", P), ("2", "12:14:10", P), ("3", "12:20:00", P), ("4", "12:30:00", P)]);
    assert_eq!(points, ["10:30z 30 1", "11:00z 30 4"]);
    assert_eq!(odd, [("off_grid", 2)]);
}

#[test]
fn labels_that_are_none_cost_their_reading() {
    let (points, odd) = curve(
        "2026-11-03",
        &[("1", "2026-11-03", P), ("2", "99:99", P), ("3", "null", P), ("4", "-", P), ("5", "12:00:00", P)],
    );
    assert_eq!(points, ["10:30z 30 5"]);
    assert_eq!(odd, [("bad_stamp", 4)]);
}

#[test]
fn a_start_label_is_the_start() {
    let prm: Prm = PRM.parse().unwrap();
    let text = body(&[
        ("1", "2026-10-25 02:00:00", P),
        ("2", "2026-10-25 02:30:00", P),
        ("3", "2026-10-25 02:00:00", P),
        ("4", "2026-10-25 02:30:00", P),
        ("5", "2026-10-25 23:30:00", P),
        ("6", "2026-10-26 00:00:00", P),
    ]);
    let what = Expected {
        api: Api::V2026,
        label: Label::Start,
        dataset: Dataset::ConsumptionLoadCurve,
        prm: &prm,
        days: Days::single(day("2026-10-25")),
    };
    let decoded = decode(text.as_bytes(), &what).unwrap();
    assert_eq!(shown(&decoded), ["00:00z 30 1", "00:30z 30 2", "01:00z 30 3", "01:30z 30 4", "22:30z 30 5"]);
    assert_eq!(odd(&decoded), [("outside", 1)]);
}

#[test]
fn both_wrappers_of_v5_are_read() {
    let inner = format!(
        r#"{{"usage_point_id":"{PRM}","start":"2025-11-03","end":"2025-11-06","quality":"BRUT",
        "reading_type":{{"measurement_kind":"energy","measuring_period":"P1D","unit":"Wh","aggregate":"sum"}},
        "interval_reading":[{{"value":"14210","date":"2025-11-03"}},{{"value":9876,"date":"2025-11-04"}},
        {{"value":null,"date":"2025-11-05"}},{{"value":"1","date":"2025-11-06"}}]}}"#
    );
    let span = days("2025-11-03", "2025-11-06");
    for text in [inner.clone(), format!(r#"{{"meter_reading":{inner},"more":1}}"#), format!("\u{feff}{inner}\n")] {
        let decoded = ask(Api::V5, Dataset::DailyConsumption, span, &text).unwrap();
        let Values::Energy(energy) = &decoded.values else { panic!("energy") };
        assert_eq!(
            energy.iter().map(|e| (e.day.to_string(), e.wh)).collect::<Vec<_>>(),
            [("2025-11-03".to_owned(), 14_210), ("2025-11-04".to_owned(), 9_876)]
        );
        assert_eq!((odd(&decoded), decoded.missing, decoded.nothing), (vec![("outside", 1)], 1, false));
    }
}

#[test]
fn nothing_is_an_answer_too() {
    let span = days("2025-11-03", "2025-11-06");
    for (api, text) in [
        (Api::V5, "null"),
        (Api::V5, r#"{"meter_reading":null}"#),
        (Api::V5, r#"{"meter_reading":{"interval_reading":[]}}"#),
        (Api::V5, r#"{"interval_reading":null}"#),
        (Api::V2026, "null"),
        (Api::V2026, r#"{"idPrm":"01234567890123","grandeur":[]}"#),
        (Api::V2026, r#"{"grandeur":null}"#),
        (Api::V2026, r#"{"grandeur":[{"grandeurMetier":"CONS","unite":"Wh","points":[]}]}"#),
        (Api::V2026, r#"{"grandeur":[{"points":null}]}"#),
    ] {
        let decoded = ask(api, Dataset::DailyConsumption, span, text).unwrap();
        assert!(decoded.nothing && decoded.values.is_empty() && decoded.anomalies.is_empty(), "{text}");
    }
}

#[test]
fn what_is_no_answer_is_refused_as_a_whole() {
    let span = days("2025-11-03", "2025-11-06");
    let ask = |api, text: &str| ask(api, Dataset::DailyConsumption, span, text).unwrap_err().code().code();
    for api in [Api::V5, Api::V2026] {
        for (text, code) in [
            ("", "empty"),
            ("  \n", "empty"),
            ("<html>503</html>", "html"),
            ("503 Service Unavailable", "undecodable"),
            ("{}", "undecodable"),
            ("[]", "undecodable"),
            ("42", "undecodable"),
            (r#"{"error":"x"}"#, "undecodable"),
            (r#"{"grandeur":[{"points":[{"v":"1","d":"2025-11"#, "undecodable"),
            (r#"{"interval_reading":[{"value":"1"}]"#, "undecodable"),
            (r#"{"interval_reading":{},"grandeur":{}}"#, "undecodable"),
        ] {
            assert_eq!(ask(api, text), code, "{text}");
        }
    }
    let prm: Prm = PRM.parse().unwrap();
    let what = Expected { api: Api::V5, label: Label::End, dataset: Dataset::DailyConsumption, prm: &prm, days: span };
    assert_eq!(decode(b"{\"interval_reading\":[{\"value\":\"\xff\"}]}", &what), Err(DecodeError::Utf8));
}

#[test]
fn somebody_elses_data_is_refused_as_a_whole() {
    let span = days("2025-11-03", "2025-11-06");
    let v5 = |prm: &str, start: &str, end: &str, unit: &str| {
        format!(
            r#"{{"meter_reading":{{"usage_point_id":{prm},"start":{start},"end":{end},"reading_type":{{"unit":{unit}}},"interval_reading":[{{"value":"1","date":"2025-11-03"}}]}}}}"#
        )
    };
    let v2026 = |prm: &str, start: &str, end: &str, unit: &str| {
        format!(
            r#"{{"idPrm":{prm},"periode":{{"dateDebut":{start},"dateFin":{end}}},"grandeur":[{{"grandeurMetier":"CONS","grandeurPhysique":"EA","unite":{unit},"points":[{{"v":"1","d":"2025-11-03"}}]}}]}}"#
        )
    };
    let (prm, start, end, unit) = (r#""01234567890123""#, r#""2025-11-03""#, r#""2025-11-06""#, r#""Wh""#);
    for (prm, start, end, unit, error) in [
        (prm, start, end, unit, None),
        ("null", "null", "null", "null", None),
        ("1234567890123", start, end, unit, None),
        (prm, r#""2025-11-01""#, r#""2025-11-09""#, r#""wh""#, None),
        (r#""01234567890124""#, start, end, unit, Some(DecodeError::OtherMeter)),
        (r#""x""#, start, end, unit, Some(DecodeError::OtherMeter)),
        ("[]", start, end, unit, Some(DecodeError::OtherMeter)),
        (prm, r#""2025-11-04""#, end, unit, Some(DecodeError::OtherPeriod)),
        (prm, start, r#""2025-11-05""#, unit, Some(DecodeError::OtherPeriod)),
        (prm, r#""2024-11-03""#, r#""2024-11-06""#, unit, Some(DecodeError::OtherPeriod)),
        (prm, r#""soon""#, end, unit, Some(DecodeError::OtherPeriod)),
        (prm, start, end, r#""kWh""#, Some(DecodeError::OtherUnit)),
        (prm, start, end, r#""W""#, Some(DecodeError::OtherUnit)),
        (prm, start, end, "7", Some(DecodeError::OtherUnit)),
    ] {
        for (api, text) in [(Api::V5, v5(prm, start, end, unit)), (Api::V2026, v2026(prm, start, end, unit))] {
            assert_eq!(ask(api, Dataset::DailyConsumption, span, &text).err(), error, "{text}");
        }
    }
    let text = v2026(prm, start, end, unit);
    assert_eq!(ask(Api::V2026, Dataset::DailyProduction, span, &text), Err(DecodeError::OtherDirection));
    assert!(!DecodeError::OtherMeter.to_string().contains(PRM));
}

#[test]
fn peaks_keep_their_moment_unless_it_is_ambiguous() {
    let text = r#"{"grandeur":[
        {"grandeurMetier":"CONS","grandeurPhysique":"PMA1","unite":"VA","points":[{"v":"1","d":"2026-10-24 01:00:00"}]},
        {"grandeurMetier":"CONS","grandeurPhysique":"PMA","unite":"VA","points":[
            {"v":"5310","d":"2026-10-24 19:42:07"},
            {"v":"4680","d":"2026-10-25 02:15:00"},
            {"v":"4000","d":"2026-10-26"},
            {"v":"4100","d":"2026-10-27T08:00:00+01:00"},
            {"v":"9","d":"2026-10-28 08:00:00"}]}]}"#;
    let decoded = ask(Api::V2026, Dataset::DailyMaxPower, days("2026-10-24", "2026-10-28"), text).unwrap();
    let Values::Peaks(peaks) = &decoded.values else { panic!("peaks") };
    let peak = |on: &str, va, local_seconds, at| PeakPower { day: day(on), va, local_seconds, at };
    let midnight = |on: &str| paris::start_of(day(on));
    assert_eq!(
        *peaks,
        [
            peak("2026-10-24", 5310, Some(70_927), Some(midnight("2026-10-24") + 70_927)),
            peak("2026-10-25", 4680, Some(8_100), None),
            peak("2026-10-26", 4000, None, None),
            peak("2026-10-27", 4100, Some(28_800), Some(midnight("2026-10-27") + 28_800)),
        ]
    );
    assert_eq!(odd(&decoded), [("outside", 1)]);
    let skipped = r#"{"grandeur":[{"unite":"VA","points":[{"v":"5","d":"2026-03-29 02:30:00"}]}]}"#;
    let decoded = ask(Api::V2026, Dataset::DailyMaxPower, days("2026-03-29", "2026-03-30"), skipped).unwrap();
    assert_eq!(odd(&decoded), [("dst_nonexistent", 1)]);
    assert_eq!(decoded.values, Values::Peaks(vec![peak("2026-03-29", 5, Some(9_000), None)]));
}

#[test]
fn days_are_sorted_and_come_once() {
    let text = r#"{"interval_reading":[{"value":"3","date":"2025-11-05 00:00:00"},{"value":"1","date":"2025-11-03"},
        {"value":"1","date":"2025-11-03"},{"value":"4","date":"2025-11-05"},{"value":"-","date":"2025-11-04"},{"value":"8","date":"x"}]}"#;
    let decoded = ask(Api::V5, Dataset::DailyProduction, days("2025-11-03", "2025-11-06"), text).unwrap();
    let Values::Energy(energy) = &decoded.values else { panic!("energy") };
    assert_eq!(energy.iter().map(|e| e.wh).collect::<Vec<_>>(), [1, 4]);
    assert_eq!(odd(&decoded), [("duplicate_conflict", 1), ("bad_value", 1), ("bad_stamp", 1)]);
    let first = decoded.anomalies.first().unwrap();
    assert_eq!(first.day, Some(day("2025-11-05")));
}
