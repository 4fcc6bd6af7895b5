//! Each rule answers with the error that is documented for it.

use super::*;
use crate::domain::{Direction, paris};

fn both() -> World {
    World::new(7).with(MeterSpec::new(prm()).kind(MeterKind::Both))
}

#[tokio::test]
async fn both_apis_serve_the_same_truth() {
    let stage = Stage::at(NOON, both()).await;
    for dataset in Dataset::COMMON {
        let old = stage.ask(Api::V5, dataset, "2026-10-23", "2026-10-28").await;
        let new = stage.ask(Api::V2026, dataset, "2026-10-23", "2026-10-28").await;
        assert_eq!((old.status, new.status), (StatusCode::OK, StatusCode::OK), "{dataset} {}", new.text);
        assert_eq!(points(&old), points(&new), "{dataset}");
        assert_eq!(old.content_type, "application/json");
        assert_eq!(new.content_type, "application/octet-stream");
    }
}

#[tokio::test]
async fn bodies_have_the_documented_shape() {
    let stage = Stage::at(NOON, both()).await;
    let world = stage.simulator.world();
    let watts = world.curve(&prm(), Direction::Consumption, days("2026-11-03", "2026-11-04"), AsOf::Ever)[0].2;
    let curve = stage.ask(Api::V5, Dataset::ConsumptionLoadCurve, "2026-11-03", "2026-11-04").await;
    let head = format!(
        concat!(
            r#"{{"meter_reading":{{"usage_point_id":"{}","start":"2026-11-03","end":"2026-11-04","quality":"BRUT","#,
            r#""reading_type":{{"measurement_kind":"power","unit":"W","aggregate":"average"}},"interval_reading":["#,
            r#"{{"value":"{}","date":"2026-11-03 00:30:00","interval_length":"PT30M","measure_type":"B"}},"#
        ),
        PRM, watts
    );
    assert!(curve.text.starts_with(&head), "{}", curve.text);

    let curve = stage.ask(Api::V2026, Dataset::ConsumptionLoadCurve, "2026-11-03", "2026-11-04").await;
    let head = format!(
        concat!(
            r#"{{"idPrm":"{}","etapeMetier":"BRUT","periode":{{"dateDebut":"2026-11-03","dateFin":"2026-11-04"}},"#,
            r#""modeCalcul":"MESURE","grandeur":[{{"grandeurMetier":"CONS","grandeurPhysique":"PA","unite":"W","points":["#,
            r#"{{"v":"{}","d":"2026-11-03 00:30:00","p":"PT30M","n":"B","iv":"0","ec":"0"}},"#
        ),
        PRM, watts
    );
    assert!(curve.text.starts_with(&head), "{}", curve.text);
    assert!(curve.text.ends_with(r#"}],"calendrier":[]}],"contexte":[]}"#));
    assert_eq!(points(&curve).last().unwrap().0, "2026-11-04 00:00:00");

    let daily = stage.ask(Api::V2026, Dataset::DailyProduction, "2026-11-03", "2026-11-05").await;
    assert_eq!(daily.json["pas"], "P1D");
    assert_eq!(daily.json["typeValeur"], "GLOBALE");
    assert_eq!(daily.json["grandeur"][0]["grandeurMetier"], "PROD");
    let daily = stage.ask(Api::V5, Dataset::DailyConsumption, "2026-11-03", "2026-11-05").await;
    assert_eq!(daily.json["meter_reading"]["reading_type"]["measuring_period"], "P1D");
    let peak = stage.ask(Api::V5, Dataset::DailyMaxPower, "2026-11-03", "2026-11-05").await;
    assert_eq!(peak.json["meter_reading"]["reading_type"]["unit"], "VA");
    assert!(points(&peak).iter().all(|(label, ..)| label.len() == 19));
}

#[tokio::test]
async fn each_rule_has_its_error() {
    use Dataset::{ConsumptionLoadCurve as Curve, DailyConsumption as Daily, DailyProduction, ProductionLoadCurve};
    let meter = MeterSpec { consumption_since: Some(day("2025-06-10")), ..MeterSpec::new(prm()) };
    let stage = Stage::at(NOON, World::new(7).with(meter)).await;
    let cases = [
        // dataset, start, end, status and code of v5, status and code of 2026
        (Daily, "2026-11-23", "2026-11-25", (400, "invalid_request"), (400, "invalid_request")),
        (Daily, "2026-11-23", "2026-11-23", (400, "invalid_request"), (400, "ADAM-ERR0002")),
        (Daily, "2026-11-23", "2026-11-22", (400, "invalid_request"), (400, "ADAM-ERR0002")),
        (Daily, "2026-11-3", "2026-11-22", (400, "Invalid_request"), (500, "technical_error")),
        (Daily, "2026-11-23T00:00", "2026-11-24", (400, "Invalid_request"), (500, "technical_error")),
        (DailyProduction, "2026-11-23", "2026-11-24", (400, "ADAM-ERR0069"), (400, "ADAM-ERR0069")),
        (ProductionLoadCurve, "2026-11-23", "2026-11-24", (400, "ADAM-ERR0069"), (400, "ADAM-ERR0069")),
        (Curve, "2026-11-01", "2026-11-09", (400, "ADAM-ERR0126"), (400, "ADAM-ERR0126")),
        (Curve, "2024-11-08", "2024-11-15", (400, "ADAM-ERR0125"), (400, "ADAM-ERR0125")),
        (Curve, "2024-11-09", "2024-11-16", (400, "ADAM-ERR0123"), (400, "ADAM-ERR0123")),
        (Daily, "2023-11-08", "2026-11-24", (400, "ADAM-ERR0125"), (400, "ADAM-ERR0125")),
        (Daily, "2025-06-09", "2025-06-12", (400, "ADAM-ERR0123"), (400, "ADAM-ERR0123")),
        (Daily, "2025-06-10", "2025-06-12", (200, ""), (200, "")),
        (Curve, "2026-11-17", "2026-11-24", (200, ""), (200, "")),
    ];
    for (dataset, start, end, old, new) in cases {
        for (api, (status, code)) in [(Api::V5, old), (Api::V2026, new)] {
            let reply = stage.ask(api, dataset, start, end).await;
            assert_eq!((reply.status.as_u16(), reply.code().as_str()), (status, code), "{api} {dataset} {start} {end}");
        }
    }
    let log = stage.simulator.log();
    assert_eq!(log.len(), 2 * cases.len());
    assert_eq!((log[0].status, log[0].code.as_deref()), (400, Some("invalid_request")));
    assert_eq!((log[0].prm.clone(), log[0].start), (Some(prm()), Some(day("2026-11-23"))));
}

#[tokio::test]
async fn consent_and_ownership() {
    let stage = Stage::at(NOON, both()).await;
    let code = async |api| {
        let reply = stage.ask(api, Dataset::DailyConsumption, "2026-11-20", "2026-11-24").await;
        (reply.status.as_u16(), reply.code())
    };
    let denied = (403, "ADAM-DC-0008".to_owned());
    stage.simulator.set_consent(&prm(), Consent::NEVER);
    assert_eq!([code(Api::V5).await, code(Api::V2026).await], [denied.clone(), denied.clone()]);
    stage.simulator.set_consent(&prm(), Consent::until(instant("2026-11-24T12:00:00Z")));
    assert_eq!(code(Api::V2026).await.0, 200);
    stage.simulator.set_now(instant("2026-11-24T12:00:00Z"));
    assert_eq!(code(Api::V2026).await, denied);
    stage.simulator.set_consent(&prm(), Consent::GRANTED);
    stage.simulator.change(|world| world.meter_mut(&prm()).unwrap().production_consent = Some(Consent::NEVER));
    assert_eq!(code(Api::V2026).await.0, 200);
    let roof = stage.ask(Api::V2026, Dataset::DailyProduction, "2026-11-20", "2026-11-24").await;
    assert_eq!((roof.status.as_u16(), roof.code()), denied);
    let covers_from = Some(day("2026-11-21"));
    stage.simulator.set_consent(&prm(), Consent { covers_from, ..Consent::GRANTED });
    assert_eq!(code(Api::V5).await, (403, "ADAM-DC-0009".to_owned()));
    stage.simulator.set_consent(&prm(), Consent::GRANTED);
    stage.simulator.change(|world| world.meter_mut(&prm()).unwrap().held = false);
    assert_eq!(code(Api::V2026).await, (400, "ADAM-DC-0007".to_owned()));
    stage.simulator.change(|world| world.meter_mut(&prm()).unwrap().known = false);
    assert_eq!(code(Api::V2026).await, (404, "STM-ERR-0000019".to_owned()));

    let stranger = "99999999999999";
    let reply = stage.ask_for(stranger, Api::V5, Dataset::DailyConsumption, "2026-11-20", "2026-11-24").await;
    assert_eq!((reply.status.as_u16(), reply.code()), denied);
    stage.simulator.change(|world| world.rules.any_prm = true);
    let reply = stage.ask_for(stranger, Api::V5, Dataset::DailyConsumption, "2026-11-20", "2026-11-24").await;
    assert_eq!(reply.status, StatusCode::OK);
    let reply = stage.ask_for("1234567890123", Api::V5, Dataset::DailyConsumption, "2026-11-20", "2026-11-24").await;
    assert_eq!((reply.status.as_u16(), reply.code()), (400, "Invalid_request".to_owned()));
}

#[tokio::test]
async fn curves_need_collection_and_no_objection() {
    let mut meter = MeterSpec::new(prm());
    meter.curve_off = vec![Stretch::days(day("2026-11-01"), day("2026-11-10"))];
    let stage = Stage::at(NOON, World::new(7).with(meter)).await;
    let curve = Dataset::ConsumptionLoadCurve;
    let off = stage.ask(Api::V2026, curve, "2026-11-02", "2026-11-09").await;
    assert_eq!((off.status.as_u16(), off.code()), (404, "no_data_found".to_owned()));
    let part = stage.ask(Api::V2026, curve, "2026-11-09", "2026-11-12").await;
    assert_eq!(points(&part).len(), 48);
    assert_eq!(
        stage.ask(Api::V2026, Dataset::DailyConsumption, "2026-11-02", "2026-11-09").await.status,
        StatusCode::OK
    );
    stage.simulator.change(|world| world.meter_mut(&prm()).unwrap().curve_objected = true);
    assert_eq!(stage.ask(Api::V5, curve, "2026-11-09", "2026-11-12").await.code(), "ADAM-ERR0075");
}

#[tokio::test]
async fn nothing_of_today_and_yesterday_from_eight_on() {
    let stage = Stage::at("2026-11-24T06:59:00Z", both()).await;
    let reply = stage.ask(Api::V5, Dataset::DailyConsumption, "2026-11-23", "2026-11-24").await;
    assert_eq!((reply.status.as_u16(), reply.code()), (404, "no_data_found".to_owned()));
    stage.clock.advance(std::time::Duration::from_mins(1));
    let reply = stage.ask(Api::V5, Dataset::DailyConsumption, "2026-11-23", "2026-11-24").await;
    assert_eq!(points(&reply).len(), 1);
    // Just after midnight in Paris, 25 November is today there while it is the 24th in UTC.
    stage.simulator.set_now(instant("2026-11-24T23:05:00Z"));
    let reply = stage.ask(Api::V5, Dataset::DailyConsumption, "2026-11-22", "2026-11-25").await;
    assert_eq!(points(&reply).len(), 2);
}

#[tokio::test]
async fn requests_of_2026_follow_the_description_to_the_letter() {
    let stage = Stage::at(NOON, both()).await;
    let daily = "/mesure_synchrone_auto/v2/consommation_quotidienne";
    let peak = "/mesure_synchrone_auto/v2/puissance_conso_max_quotidienne";
    let asked = format!("pointId={PRM}&dateDebut=2026-11-01&dateFin=2026-11-24");
    for path in [
        format!("{daily}?pointId={PRM}&dateDebut=2026-11-01"),
        format!("{daily}?usage_point_id={PRM}&start=2026-11-01&end=2026-11-24"),
        format!("{daily}?{asked}&mesuresPas=P1D"),
        format!("{peak}?{asked}"),
        format!("{peak}?{asked}&mesuresPas=P1D"),
        format!("{peak}?{asked}&mesuresPas=P2D&grandeurPhysique=PMA"),
        format!("/mesure_synchrone_auto/v2/nothing_here?{asked}"),
    ] {
        let reply = stage.get(&path).await;
        assert_eq!((reply.status.as_u16(), reply.code()), (500, "technical_error".to_owned()), "{path}");
    }
    assert_eq!(stage.get(&format!("{daily}?{asked}")).await.status, StatusCode::OK);
    let monthly = stage.get(&format!("{peak}?{asked}&mesuresPas=P1M&grandeurPhysique=TOUT")).await;
    assert_eq!((points(&monthly).len(), monthly.json["pas"].as_str()), (1, Some("P1M")));
    let page = stage.get("/metering_data/v4/daily_consumption").await;
    assert_eq!((page.status.as_u16(), page.text.starts_with("<!DOCTYPE html>")), (404, true));
}

#[tokio::test]
async fn an_application_subscribes_to_each_api() {
    let mut world = both();
    world.rules.unsubscribed = vec![Dataset::DailyMaxPower];
    world.rules.apis = vec![Api::V2026];
    let stage = Stage::at(NOON, world).await;
    let reply = stage.ask(Api::V2026, Dataset::DailyMaxPower, "2026-11-01", "2026-11-24").await;
    assert_eq!((reply.status.as_u16(), reply.code()), (403, "900908".to_owned()));
    assert_eq!(reply.json["message"], "Resource forbidden ");
    let reply = stage.ask(Api::V5, Dataset::DailyConsumption, "2026-11-01", "2026-11-24").await;
    assert_eq!((reply.status.as_u16(), reply.code()), (404, "900906".to_owned()));
}

#[tokio::test]
async fn clock_changes_can_be_labelled_in_each_way() {
    let regular = |stamps: &[(String, Value, Option<String>)], label: &str| {
        stamps.iter().filter(|(stamp, ..)| stamp.ends_with(label)).count()
    };
    let curve = Dataset::ConsumptionLoadCurve;
    for (dst, spring, autumn) in [
        (Dst::Regular, 46, 50),
        (Dst::Merged48, 46, 48),
        (Dst::MergedSum, 46, 48),
        (Dst::SpringNull, 48, 50),
        (Dst::SpringZero, 48, 50),
        (Dst::Descending, 46, 50),
    ] {
        let mut world = both();
        world.rules.dst = dst;
        let stage = Stage::at(NOON, world).await;
        let short = points(&stage.ask(Api::V2026, curve, "2026-03-29", "2026-03-30").await);
        let long = points(&stage.ask(Api::V2026, curve, "2026-10-25", "2026-10-26").await);
        assert_eq!((short.len(), long.len()), (spring, autumn), "{dst:?}");
        assert_eq!(regular(&short, " 02:30:00"), spring - 46 - (spring - 46) / 2, "{dst:?}");
        assert_eq!(regular(&long, " 02:30:00"), (autumn - 46) / 2, "{dst:?}");
        let filler = short.iter().find(|(stamp, ..)| stamp.ends_with("02:30:00")).map(|(_, value, _)| value.clone());
        match dst {
            Dst::SpringNull => assert_eq!(filler, Some(Value::Null)),
            Dst::SpringZero => assert_eq!(filler, Some(Value::from("0"))),
            _ => assert_eq!(filler, None),
        }
        if dst == Dst::Descending {
            assert_eq!(long[0].0, "2026-10-26 00:00:00");
        }
        if dst == Dst::Regular {
            let labels: Vec<&str> = long[2..8].iter().map(|(stamp, ..)| &stamp[11..16]).collect();
            assert_eq!(labels, ["01:30", "02:00", "02:30", "02:00", "02:30", "03:00"]);
        }
    }
    assert_eq!(paris::minutes_in(day("2026-03-29")), 1380);
}
