//! Answers about registers and about subscribed services.

use serde_json::{Value, json};

use super::*;
use crate::decode::{DecodedRegisters, RegistersExpected, registers, services};
use crate::domain::Direction;
use crate::domain::registers::{Counts, by_class};
use crate::domain::services::{Granted, Measure, Standing};

fn days() -> Days {
    Days::new("2026-10-24".parse().unwrap(), "2026-10-26".parse().unwrap()).unwrap()
}

fn read(body: &Value) -> Result<DecodedRegisters, DecodeError> {
    let prm: Prm = PRM.parse().unwrap();
    let what = RegistersExpected { prm: &prm, direction: Direction::Consumption, days: days() };
    registers(&serde_json::to_vec(body).unwrap(), &what)
}

/// A body with these values of one register of each kind.
fn body(values: &Value) -> Value {
    json!({"idPrm": PRM, "periode": {"dateDebut": "2026-10-24", "dateFin": "2026-10-26"}, "grandeur": [], "contexte": [
        {"etapeMetier": "BRUT", "contexteReleve": "COL", "typeReleve": "AQ", "grandeur": [
            {"grandeurMetier": "CONS", "grandeurPhysique": "EA", "unite": "Wh", "points": [], "calendrier": [
                {"idCalendrier": "FC000001", "libelleCalendrier": "Base", "classeTemporelle": [
                    {"idClasseTemporelle": "BASE", "libelleClasseTemporelle": "Base", "codeCadran": "F1", "valeur": values}]}],
             "cadranTotalisateur": {"codeCadran": "T", "valeur": values}}]}]})
}

#[test]
fn a_moment_is_read_in_each_spelling() {
    for label in [
        "2026-10-25",
        "2026-10-25 00:00:00",
        "2026-10-25T00:00:00+02:00",
        "2026-10-25T00:00:00+0200",
        "2026-10-24T22:00:00Z",
    ] {
        let decoded = read(&body(&json!([{"d": label, "v": 1200, "iv": null}]))).unwrap();
        assert_eq!(decoded.anomalies, [], "{label}");
        let [class, total] = decoded.readings.as_slice() else { panic!("two readings of {label}") };
        assert_eq!(
            (class.read_at, class.wh, class.daily),
            (paris::start_of("2026-10-25".parse().unwrap()), 1200, true)
        );
        let counts = Counts::Class { calendar: "FC000001".to_owned(), class: "BASE".to_owned() };
        assert_eq!((&class.counts, class.register.as_str()), (&counts, "F1"));
        assert_eq!((&total.counts, total.register.as_str()), (&Counts::Total, "T"));
    }
    // The midnight at the end closes the last day.
    let decoded = read(&body(&json!([{"d": "2026-10-25", "v": "100"}, {"d": "2026-10-26", "v": 350}]))).unwrap();
    let energy: Vec<(String, i64)> =
        by_class(&decoded.readings).energy.iter().map(|e| (e.day.to_string(), e.wh)).collect();
    assert_eq!(energy, vec![("2026-10-25".to_owned(), 250); 2]);
}

#[test]
fn odd_registers_cost_no_more_than_themselves() {
    let decoded = read(&body(&json!([
        {"d": "2026-10-24", "v": null}, {"d": "2026-10-24", "v": -3}, {"d": "yesterday", "v": 3}, {"d": "2026-11-24", "v": 3},
        {"d": "2026-10-25", "v": 7},
    ])));
    let decoded = decoded.unwrap();
    let kinds: Vec<(&str, u32)> = decoded.anomalies.iter().map(|a| (a.kind.name(), a.count)).collect();
    assert_eq!(kinds, [("outside", 2), ("bad_value", 2), ("bad_stamp", 2)]);
    assert_eq!((decoded.readings.len(), decoded.missing, decoded.nothing), (2, 2, false));

    let mut nameless = body(&json!([{"d": "2026-10-25", "v": 7}]));
    let class = &mut nameless["contexte"][0]["grandeur"][0]["calendrier"][0]["classeTemporelle"][0];
    class.as_object_mut().unwrap().retain(|name, _| name == "valeur");
    let decoded = read(&nameless).unwrap();
    assert_eq!((decoded.anomalies[0].kind.name(), decoded.readings.len()), ("no_class", 1));

    let mut special = body(&json!([{"d": "2026-10-25 10:00:00", "v": 7}]));
    special["contexte"][0]["typeReleve"] = json!("AP");
    assert!(read(&special).unwrap().readings.iter().all(|reading| !reading.daily));
}

#[test]
fn readings_of_midnights_stand_in_where_none_is_daily() {
    let values = json!([{"d": "2026-10-25 00:00:00", "v": 7}, {"d": "2026-10-25 10:00:00", "v": 9}]);
    let mut other = body(&values);
    other["contexte"][0]["typeReleve"] = json!("AP");
    let decoded = read(&other).unwrap();
    let daily: Vec<bool> = decoded.readings.iter().map(|reading| reading.daily).collect();
    assert_eq!(daily, [true, false, true, false]);
    let odd = decoded.anomalies.iter().map(|odd| (odd.kind.name(), odd.count)).collect::<Vec<_>>();
    assert_eq!(odd, [("no_daily", 2)]);
    // Beside daily ones they make no days.
    let own = body(&json!([{"d": "2026-10-24", "v": 5}]))["contexte"][0].clone();
    other["contexte"].as_array_mut().unwrap().push(own);
    let decoded = read(&other).unwrap();
    assert_eq!(decoded.readings.iter().filter(|reading| reading.daily).count(), 2);
    assert_eq!(decoded.anomalies, []);
}

#[test]
fn readings_beside_an_empty_context_are_read_as_well() {
    let mut moved = body(&json!([{"d": "2026-10-25", "v": 7}]));
    moved["grandeur"] = moved["contexte"][0]["grandeur"].clone();
    for context in [json!([]), Value::Null] {
        moved["contexte"] = context;
        let decoded = read(&moved).unwrap();
        assert_eq!((decoded.readings.len(), decoded.nothing), (2, false));
        assert!(decoded.readings.iter().all(|reading| reading.daily));
    }
    moved.as_object_mut().unwrap().remove("contexte");
    assert_eq!(read(&moved).unwrap().readings.len(), 2);
}

#[test]
fn registers_of_something_else_are_refused() {
    let values = json!([{"d": "2026-10-25", "v": 7}]);
    let with = |change: fn(&mut Value)| {
        let mut body = body(&values);
        change(&mut body);
        read(&body).map(|decoded| (decoded.readings.len(), decoded.nothing))
    };
    assert_eq!(with(|body| body["idPrm"] = json!("00000000000001")), Err(DecodeError::OtherMeter));
    assert_eq!(with(|body| body["periode"]["dateFin"] = json!("2026-10-25")), Err(DecodeError::OtherPeriod));
    assert_eq!(
        with(|body| body["contexte"][0]["grandeur"][0]["grandeurMetier"] = json!("PROD")),
        Err(DecodeError::OtherDirection)
    );
    assert_eq!(with(|body| body["contexte"][0]["grandeur"][0]["unite"] = json!("kWh")), Err(DecodeError::OtherUnit));
    assert_eq!(
        with(|body| body["contexte"][0]["grandeur"][0]["grandeurPhysique"] = json!("ER1")),
        Err(DecodeError::OtherUnit)
    );
    assert_eq!(with(|body| *body = json!({"idPrm": PRM})), Err(DecodeError::NoReadings));
    assert_eq!(with(|body| body["contexte"] = json!([])), Ok((0, true)));
    assert_eq!(with(|body| body["contexte"] = json!(null)), Ok((0, true)));
    assert_eq!(with(|body| *body = json!(null)), Ok((0, true)));
}

#[test]
fn services_name_the_meter_and_what_may_be_read() {
    let row = |measure: &str, state: &str, until: &str| {
        json!({"id": "1", "pointId": PRM, "etatCode": state, "mesuresTypeCode": measure, "soutirage": true,
            "injection": measure == "CDC", "dateDebut": "2026-10-01", "dateFin": until})
    };
    let standing = |rows: Vec<Value>| {
        let body = json!({"nbTotalServices": rows.len(), "serviceSouscrit": rows});
        let read = services(&serde_json::to_vec(&body).unwrap()).unwrap();
        assert_eq!(read.oddities, []);
        read.value.standing()
    };
    let granted = standing(vec![
        row("CDC", "ACTIF", "2029-09-30"),
        row("ENERGIE", "DEMANDE", "2028-12-31"),
        row("PMAX", "TERMINE", "2027-01-01"),
    ]);
    let (load, energy) = (Measure::LoadCurve, Measure::DailyEnergy);
    let (draws, feeds) = (Direction::Consumption, Direction::Production);
    assert_eq!(
        granted,
        Standing::Granted(Granted {
            prm: PRM.parse().unwrap(),
            measures: vec![(load, draws), (load, feeds), (energy, draws)],
            until: Some("2028-12-31".parse().unwrap()),
        })
    );
    assert_eq!(standing(vec![row("CDC", "TERMINE", "2026-10-02")]), Standing::Ended);
    assert_eq!(standing(Vec::new()), Standing::Nothing);
    let mut other = row("CDC", "ACTIF", "2029-09-30");
    other["pointId"] = json!("00000000000001");
    assert_eq!(
        standing(vec![row("CDC", "ACTIF", "2029-09-30"), other]),
        Standing::Several(vec!["00000000000001".parse().unwrap(), PRM.parse().unwrap()])
    );
}

#[test]
fn services_that_are_odd_are_told() {
    let read = |body: &str| services(body.as_bytes());
    assert_eq!(read("{}").map(|_| ()), Err(DecodeError::Lacking));
    for none in
        [r#"{"nbTotalServices":0}"#, r#"{"nbTotalServices":"0","serviceSouscrit":null}"#, r#"{"serviceSouscrit":[]}"#]
    {
        let read = read(none).unwrap();
        assert_eq!(
            (read.value.total, read.value.standing(), read.oddities),
            (0, Standing::Nothing, Vec::new()),
            "{none}"
        );
    }
    let odd = read(
        r#"{"nbTotalServices":5,"serviceSouscrit":[{"pointId":"1"},{"pointId":1234567890123,"etatCode":"NEUF"}]}"#,
    );
    let odd = odd.unwrap();
    assert_eq!((odd.value.total, odd.value.listed.len()), (5, 1));
    assert_eq!(odd.value.listed[0].prm.full(), "01234567890123");
    let fields: Vec<String> = odd.oddities.iter().map(ToString::to_string).collect();
    assert!(
        ["pointId", "etatCode", "mesuresTypeCode"].iter().all(|name| fields.iter().any(|f| f.contains(name))),
        "{fields:?}"
    );
    assert_eq!(odd.value.standing(), Standing::Nothing);
}
