//! Bytes in, values out: one table for each rule, then properties.

use super::*;
use crate::domain::{CurvePoint, Day, PeakPower, paris};

mod curve;
mod gateway;
mod properties;
mod registers;

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
