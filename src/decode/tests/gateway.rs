//! What a gateway hands on, from its wrapping to the values.

use chrono::DateTime;

use super::*;
use crate::domain::{Span, Values};
use crate::source::myelectricaldata::{BASE_URL, MyElectricalData, MyElectricalDataSettings};
use crate::source::{Ask, Reply, Response, Source as _};

#[test]
fn a_clipped_answer_decodes_to_the_days_that_it_covers() {
    let body = r#"{"success":true,"error":null,"data":{"meter_reading":{"usage_point_id":"01234567890123",
        "start":"2026-10-24","end":"2026-10-26","quality":"BRUT","reading_type":{"unit":"W"},"interval_reading":[
        {"value":"400","date":"2026-10-24 23:00:00","interval_length":"PT60M"},
        {"value":"500","date":"2026-10-25 01:00:00","interval_length":"PT60M"},
        {"value":"600","date":"2026-10-25 01:00:00","interval_length":"PT60M"},
        {"value":"700","date":"2026-10-25 02:00:00","interval_length":"PT60M"}]}}}"#;
    let response = Response { status: 200, headers: Vec::new(), body: body.as_bytes().to_vec() };
    let source = MyElectricalData::new(MyElectricalDataSettings {
        name: "med".to_owned(),
        base_url: BASE_URL.parse().unwrap(),
        client_id: "cli_4711".to_owned(),
        client_secret: "sec_topsecret".into(),
        user_agent: MyElectricalData::user_agent(),
    });
    let prm: Prm = "01234567890123".parse().unwrap();
    let asked = Days::new(day("2026-10-01"), day("2026-11-01")).unwrap();
    let span = Span::new(Dataset::ConsumptionLoadCurve, asked, 56, asked).unwrap();
    let ask = Ask { prm: &prm, span, api: Api::V2026, newest: day("2026-11-23") };
    let Reply::Body(body) = source.read(ask, &response, DateTime::UNIX_EPOCH) else { panic!("a body") };
    let days = body.days.unwrap();
    assert_eq!((body.api, days), (Api::V5, Days::new(day("2026-10-24"), day("2026-10-26")).unwrap()));
    let what = Expected { api: body.api, label: source.label(), dataset: span.dataset(), prm: &prm, days };
    let decoded = decode(body.bytes, &what).unwrap();
    let Values::Curve(points) = &decoded.values else { panic!("a curve") };
    let starts: Vec<String> = points
        .iter()
        .map(|p| DateTime::from_timestamp(p.interval.start, 0).unwrap().format("%dT%HZ").to_string())
        .collect();
    assert_eq!(starts, ["24T21Z", "24T23Z", "25T00Z", "25T01Z"]);
    assert_eq!(decoded.anomalies, []);
}
