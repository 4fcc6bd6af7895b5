//! Faults on request.

use std::time::Duration;

use super::*;

const CURVE: Dataset = Dataset::ConsumptionLoadCurve;

async fn broken(action: Action) -> (Stage, Reply) {
    let stage = Stage::at(NOON, World::of_any_prm(1)).await;
    stage.simulator.set_faults(Faults::none().with(Match::any(), action));
    let reply = stage.ask(Api::V2026, CURVE, "2026-11-02", "2026-11-04").await;
    (stage, reply)
}

fn status(status: u16, envelope: Envelope, code: &str) -> Action {
    Action::Status { status, envelope, code: code.to_owned(), text: "so it goes".to_owned() }
}

#[tokio::test]
async fn rules_pick_calls_by_number_dataset_and_day() {
    let stage = Stage::at(NOON, World::of_any_prm(1)).await;
    let oops = status(500, Envelope::E1, "technical_error");
    let second_daily = Match::dataset(Dataset::DailyConsumption).calls(&[2]);
    let old = Match { start_to: Some(day("2026-11-02")), ..Match::dataset(CURVE) };
    stage.simulator.set_faults(Faults::none().with(second_daily, oops.clone()).with(old, oops));
    let mut seen = Vec::new();
    for (dataset, start) in [
        (Dataset::DailyConsumption, "2026-11-02"),
        (CURVE, "2026-11-02"),
        (CURVE, "2026-11-03"),
        (Dataset::DailyConsumption, "2026-11-02"),
        (Dataset::DailyConsumption, "2026-11-02"),
    ] {
        seen.push(stage.ask(Api::V5, dataset, start, "2026-11-05").await.status.as_u16());
    }
    assert_eq!(seen, [200, 500, 200, 500, 200]);
}

#[tokio::test]
async fn chance_is_repeatable() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let stage = Stage::at(NOON, World::of_any_prm(1)).await;
        let half = Match { permille: Some(500), ..Match::any() };
        stage.simulator.set_faults(Faults::none().with(half, status(503, Envelope::E9, "")));
        let mut run = Vec::new();
        for _ in 0..20 {
            run.push(stage.ask(Api::V5, Dataset::DailyConsumption, "2026-11-02", "2026-11-04").await.status.as_u16());
        }
        runs.push(run);
    }
    assert_eq!(runs[0], runs[1]);
    assert!(runs[0].contains(&200) && runs[0].contains(&503));
}

#[tokio::test]
async fn every_envelope() {
    for (envelope, code, start) in [
        (Envelope::E1, "X-1", r#"{"error":"X-1","error_description":"so it goes"}"#),
        (Envelope::E2, "X-1", r#"{"code":"X-1","message":"so it goes"}"#),
        (Envelope::E3, "900908", r#"{"code":"900908","#),
        (Envelope::E4, "900901", r#"{"fault":{"code":900901,"#),
        (Envelope::E5, "", r#"{"error":{"code":503,"#),
        (Envelope::E6, "", r#"{"error":"503","#),
        (Envelope::E7, "", "so it goes"),
        (Envelope::E8, "", "<!DOCTYPE html>"),
        (Envelope::E9, "", ""),
        (Envelope::E10, "X-1", r#"[{"code":"X-1","#),
        (Envelope::E11, "", r#"{"meter_reading":null}"#),
    ] {
        let (stage, reply) = broken(status(503, envelope, code)).await;
        assert!(reply.text.starts_with(start), "{envelope:?}: {}", reply.text);
        assert_eq!((reply.status.as_u16(), stage.simulator.log()[0].status), (503, 503));
    }
}

#[tokio::test]
async fn throttling_tells_the_time_in_each_form() {
    for (form, needle) in [
        (Form::RetryAfter, "90"),
        (Form::HttpDate, "Tue, 24 Nov 2026 11:01:30 GMT"),
        (Form::NextAccessTime, "2026-Nov-24 11:01:30+0000 UTC"),
        (Form::Threshold, "Call threshold allowed on 0:01:30"),
        (Form::NegativeThreshold, "allowed on 0:-30:-40"),
        (Form::Bare, "900804"),
        (Form::Absurd, "9999-Dec-31"),
        (Form::Burst, "900807"),
    ] {
        let (_, reply) = broken(Action::Throttle { form, seconds: 90 }).await;
        let header = reply.headers.get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(reply.status.as_u16(), 429);
        assert!(reply.text.contains(needle) || header.as_deref() == Some(needle), "{form:?}: {}", reply.text);
    }
}

#[tokio::test]
async fn delays_follow_the_clock() {
    let stage = Stage::at(NOON, World::of_any_prm(1)).await;
    let slow = Faults { latency_ms: 40, ..Faults::none() };
    stage.simulator.set_faults(slow.with(Match::any(), Action::Slow { delay_ms: 35_000, jitter_ms: 0 }));
    let before = stage.clock.monotonic();
    assert_eq!(stage.ask(Api::V5, CURVE, "2026-11-02", "2026-11-04").await.status, StatusCode::OK);
    assert_eq!(stage.clock.monotonic(), before + Duration::from_millis(35_040));
}

#[tokio::test]
async fn connections_break() {
    let (stage, reply) = broken(Action::Cut).await;
    assert!(reply.text.starts_with("cut"));
    assert_eq!(stage.simulator.log()[0].status, 0);
    let (_, reply) = broken(Action::CutBody).await;
    assert!(reply.text.starts_with("cut"));
    let (_, reply) = broken(Action::Truncated).await;
    assert!(reply.text.starts_with(r#"{"idPrm""#) && reply.json.is_null());
    let (_, reply) = broken(Action::InvalidUtf8).await;
    assert!(reply.text.contains('\u{FFFD}'));
    let (_, reply) = broken(Action::Redirect { to: "http://elsewhere.example/".to_owned() }).await;
    assert_eq!(
        (reply.status.as_u16(), reply.headers["location"].to_str().unwrap()),
        (302, "http://elsewhere.example/")
    );
    let (_, reply) = broken(Action::HugeHeader { kib: 1024 }).await;
    assert_eq!(reply.headers["x-padding"].len(), 1 << 20);
    let (_, reply) = broken(Action::Endless { mib: 3 }).await;
    assert_eq!(reply.text.len(), 3 * 1024 * 1024 + 1);
    let (_, reply) = broken(Action::GzipBomb { mib: 64 }).await;
    assert_eq!(reply.headers["content-encoding"], "gzip");
}

#[tokio::test]
async fn points_are_damaged() {
    let honest = points(&broken(Action::Slow { delay_ms: 0, jitter_ms: 0 }).await.1);
    assert_eq!(honest.len(), 96);
    let (_, reply) = broken(Action::WrongPrm).await;
    assert_ne!(reply.json["idPrm"], PRM);
    let (_, reply) = broken(Action::WrongDirection).await;
    assert_eq!(reply.json["grandeur"][0]["grandeurMetier"], "PROD");
    let (_, reply) = broken(Action::WrongDays).await;
    assert_eq!(reply.json["periode"]["dateDebut"], "2026-10-03");

    let shuffled = points(&broken(Action::Shuffled).await.1);
    assert_ne!(shuffled, honest);
    let twice = points(&broken(Action::Duplicated { conflicting: false }).await.1);
    assert_eq!(twice.len(), 96 + 19);
    assert_eq!(twice[2], twice[3]);
    let conflicting = points(&broken(Action::Duplicated { conflicting: true }).await.1);
    assert_eq!((conflicting[2].0.clone(), conflicting[3].1.clone()), (conflicting[3].0.clone(), Value::from("2")));
    let outside = points(&broken(Action::Outside).await.1);
    assert_eq!((outside.len(), outside[0].0.as_str()), (3 * 96, "2026-10-31 00:30:00"));

    for json in ["null", "12", r#""""#, r#""NaN""#, r#""-1""#, r#""1 234""#, r#""9000000000000000000""#] {
        let values = points(&broken(Action::Value { json: json.to_owned(), points: vec![5] }).await.1);
        assert_eq!(values[5].1.to_string(), json);
        assert_eq!(values[6], honest[6]);
    }
    let numbers = points(&broken(Action::Numbers).await.1);
    assert!(numbers.iter().all(|(_, value, _)| value.is_u64()));
    assert_eq!(points(&broken(Action::NoLength).await.1)[0].2, None);
    assert_eq!(points(&broken(Action::Length { text: "PT7M".to_owned() }).await.1)[0].2.as_deref(), Some("PT7M"));
    assert_eq!(points(&broken(Action::OffGrid).await.1)[4].0, "2026-11-02 02:04:10");
    let left_out = points(&broken(Action::DayLeftOut { day: Some(day("2026-11-02")) }).await.1);
    assert_eq!(left_out, honest[48..]);
    let part = points(&broken(Action::PartOfDay { day: None, points: 10 }).await.1);
    assert_eq!(part, honest[..58]);
}

#[tokio::test]
async fn the_token_endpoint_fails_too() {
    let stage = Stage::at(NOON, World::of_any_prm(1)).await;
    stage.simulator.set_faults(Faults::none().with(Match::token(), status(503, Envelope::E9, "")));
    let reply = stage.send(form("/oauth2/v3/token", "grant_type=client_credentials")).await;
    assert_eq!((reply.status.as_u16(), reply.text.as_str()), (503, ""));
    assert_eq!(stage.ask(Api::V5, CURVE, "2026-11-02", "2026-11-04").await.status, StatusCode::OK);
}
