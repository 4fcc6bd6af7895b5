//! Faults of one front, of what lies behind it, and of each in its own wrapping.

use std::time::Duration;

use super::med::{User, both, code, inside};
use super::*;

const DAILY: &str = "consumption/daily";

/// What a call to each front ends in: a status, and the code of an envelope.
async fn statuses(user: &User) -> [String; 3] {
    let direct = user.stage.ask(Api::V2026, Dataset::DailyConsumption, "2026-11-20", "2026-11-22").await;
    let conso = conso(user).await;
    let med = user.ask(DAILY, "2026-11-20", "2026-11-22").await;
    let told = med.json["error"]["code"].as_str().map(str::to_owned);
    [
        direct.status.as_u16().to_string(),
        conso.status.as_u16().to_string(),
        told.unwrap_or(med.status.as_u16().to_string()),
    ]
}

async fn conso(user: &User) -> Reply {
    let token = user.stage.simulator.conso_token(&[PRM]);
    let path = format!("/conso/api/consommation_quotidienne?prm={PRM}&start=2026-11-20&end=2026-11-22");
    user.stage.with(&path, &[("authorization", &format!("Bearer {token}"))]).await
}

fn status(status: u16, envelope: Envelope, code: &str) -> Action {
    Action::Status { status, envelope, code: code.to_owned(), text: "so it goes".to_owned() }
}

async fn broken(when: Match, action: Action) -> User {
    let user = User::at(NOON, both()).await;
    user.stage.simulator.set_faults(Faults::none().with(when, action));
    user
}

#[tokio::test]
async fn one_front_is_down_from_day_to_day_and_the_others_are_not() {
    let (from, until) = (instant("2026-11-25T00:00:00Z"), instant("2026-11-27T00:00:00Z"));
    for (front, down) in [
        (Front::Enedis, ["503", "200", "200"]),
        (Front::ConsoApi, ["200", "503", "200"]),
        (Front::MyElectricalData, ["200", "200", "503"]),
    ] {
        let mut user = broken(Match::front(front).between(from, until), status(503, Envelope::E8, "")).await;
        for day in 0..4 {
            user.stage.sign_in().await;
            let wanted = if (1..3).contains(&day) { down } else { ["200"; 3] };
            assert_eq!(statuses(&user).await, wanted, "{front:?}, day {day}");
            user.stage.clock.advance(Duration::from_hours(24));
        }
    }
    let user = broken(Match::any(), status(500, Envelope::E7, "")).await;
    assert_eq!(statuses(&user).await, ["500"; 3], "without a front, all of them");
}

#[tokio::test]
async fn the_quota_that_all_users_share_is_used_up_in_the_morning() {
    let morning = |front| Match {
        time_from: chrono::NaiveTime::from_hms_opt(6, 0, 0),
        time_until: chrono::NaiveTime::from_hms_opt(10, 0, 0),
        ..Match::upstream(front)
    };
    let throttle = Action::Throttle { form: Form::NextAccessTime, seconds: 3600 };
    let user = User::at("2026-11-24T07:30:00Z", both()).await;
    let faults = Faults::none().with(morning(Front::ConsoApi), throttle.clone());
    user.stage.simulator.set_faults(faults.with(morning(Front::MyElectricalData), throttle));
    assert_eq!(statuses(&user).await, ["200", "429", "ENEDIS_ERROR"]);
    let reply = conso(&user).await;
    assert_eq!(reply.json["message"], "The Enedis API returned an error");
    assert_eq!(reply.json["error"]["nextAccessTime"], "2026-Nov-24 08:30:00+0000 UTC");
    assert_eq!(user.stage.simulator.log()[1].code.as_deref(), Some("900804"));
    user.stage.clock.advance(Duration::from_mins(90));
    assert_eq!(statuses(&user).await, ["200"; 3]);
    let night = Match { time_until: chrono::NaiveTime::from_hms_opt(1, 0, 0), ..morning(Front::ConsoApi) };
    user.stage.simulator.set_faults(Faults::none().with(night, status(500, Envelope::E1, "")));
    assert_eq!(conso(&user).await.status.as_u16(), 500, "from six o'clock over midnight");
}

#[tokio::test]
async fn what_happens_behind_a_gateway_comes_out_in_its_own_words() {
    for (action, passed, text, told) in [
        (status(500, Envelope::E7, ""), 500, "The Enedis API returned an error", "ENEDIS_ERROR"),
        (status(503, Envelope::E9, ""), 503, "The Enedis API returned an error", "ENEDIS_UNAVAILABLE"),
        (status(403, Envelope::E1, "ADAM-DC-0008"), 403, "The Enedis API returned an error", "ACCESS_DENIED"),
        (status(404, Envelope::E1, "no_data_found"), 404, "The Enedis API returned an error", "NO_DATA"),
        (Action::Cut, 500, "Erreur inconnue. Réessayez plus tard", "ENEDIS_ERROR"),
        (Action::Truncated, 500, "Erreur inconnue. Réessayez plus tard", "ENEDIS_ERROR"),
    ] {
        for front in [Front::ConsoApi, Front::MyElectricalData] {
            let user = broken(Match::upstream(front), action.clone()).await;
            if front == Front::ConsoApi {
                let reply = conso(&user).await;
                let seen = (reply.status.as_u16(), reply.json["message"].as_str());
                assert_eq!(seen, (passed, Some(text)), "{action:?}");
            } else {
                assert_eq!(code(&user.ask(DAILY, "2026-11-20", "2026-11-22").await), told, "{action:?}");
            }
        }
    }
    let raw = broken(Match::upstream(Front::ConsoApi), status(500, Envelope::E7, "")).await;
    assert_eq!(conso(&raw).await.json["error"], "so it goes", "text where it is no JSON");
    let token = |front| Match { endpoint: Endpoint::Token, ..Match::upstream(front) };
    let user = broken(token(Front::ConsoApi), status(503, Envelope::E9, "")).await;
    assert_eq!(conso(&user).await.json["message"], "Impossible de rafraîchir le token. Réessayez plus tard");
    let user = broken(token(Front::MyElectricalData), status(503, Envelope::E9, "")).await;
    assert_eq!(code(&user.ask(DAILY, "2026-11-20", "2026-11-22").await), "ENEDIS_UNAVAILABLE");
}

#[tokio::test]
async fn some_versions_hide_that_enedis_failed() {
    let user = broken(Match::upstream(Front::MyElectricalData), status(500, Envelope::E1, "technical_error")).await;
    user.stage.simulator.change(|world| world.rules.myelectricaldata.hide_failures = true);
    assert_eq!(code(&user.ask("consumption/detail", "2026-11-20", "2026-11-22").await), "NO_DATA");
    assert_eq!(code(&user.ask(DAILY, "2026-11-20", "2026-11-22").await), "ENEDIS_ERROR");
}

#[tokio::test]
async fn the_gateways_have_envelopes_too() {
    for (envelope, code, body) in [
        (Envelope::G1, "", r#"{"message":"so it goes","status":500}"#),
        (
            Envelope::G1,
            "X-1",
            r#"{"error":{"error":"X-1","error_description":"so it goes"},"message":"The Enedis API returned an error","status":500}"#,
        ),
        (Envelope::G2, "", r#"{"detail":"so it goes"}"#),
        (Envelope::G3, "X-1", r#"{"data":null,"error":{"code":"X-1","message":"so it goes"},"success":false}"#),
    ] {
        let user = broken(Match::front(Front::ConsoApi), status(500, envelope, code)).await;
        let reply = conso(&user).await;
        assert_eq!((reply.status.as_u16(), reply.json), (500, serde_json::from_str(body).unwrap()));
    }
}

#[tokio::test]
async fn answers_of_gateways_are_damaged_as_well() {
    let med = |action| broken(Match::front(Front::MyElectricalData), action);
    let left_out = med(Action::DayLeftOut { day: Some(day("2026-11-20")) }).await;
    assert_eq!(inside(&left_out.ask(DAILY, "2026-11-19", "2026-11-22").await).len(), 2);
    assert_eq!(statuses(&left_out).await, ["200"; 3]);
    let other = med(Action::WrongPrm).await.ask(DAILY, "2026-11-19", "2026-11-22").await;
    assert_ne!(other.json["data"]["idPrm"], PRM);
    let cut = med(Action::Cut).await;
    assert!(cut.ask(DAILY, "2026-11-19", "2026-11-22").await.text.starts_with("cut"));
    assert_eq!(cut.stage.simulator.log()[0].status, 0);
    let half = med(Action::Truncated).await.ask(DAILY, "2026-11-19", "2026-11-22").await;
    assert!(half.text.starts_with('{') && half.json.is_null());

    let slow = broken(Match::front(Front::ConsoApi), Action::Slow { delay_ms: 35_000, jitter_ms: 0 }).await;
    let before = slow.stage.clock.monotonic();
    assert_eq!(conso(&slow).await.status, StatusCode::OK);
    assert_eq!(slow.stage.clock.monotonic(), before + Duration::from_secs(35));
    let slow = broken(Match::upstream(Front::ConsoApi), Action::Slow { delay_ms: 2000, jitter_ms: 0 }).await;
    let before = slow.stage.clock.monotonic();
    conso(&slow).await;
    assert_eq!(slow.stage.clock.monotonic(), before + Duration::from_secs(2));

    // Damage behind the cache stays in it.
    let behind = Match::upstream(Front::MyElectricalData).calls(&[1]);
    let user = broken(behind, Action::Value { json: r#""1""#.to_owned(), points: vec![0] }).await;
    for _ in 0..2 {
        assert_eq!(inside(&user.cached(DAILY, "2026-11-19", "2026-11-22").await)[0].1, "1");
    }
}

#[tokio::test]
async fn a_gateways_token_endpoint_fails_too() {
    let token = Match { front: Some(Front::MyElectricalData), ..Match::token() };
    let mut user = broken(token, status(503, Envelope::E9, "")).await;
    let reply = user.stage.send(form("/med/accounts/token", "grant_type=client_credentials")).await;
    assert_eq!(reply.status.as_u16(), 503);
    user.stage.sign_in().await;
    assert_eq!(statuses(&user).await, ["200"; 3]);
}

#[tokio::test]
async fn the_quota_can_be_lowered_and_told() {
    let user = User::at("2026-11-24T12:00:00Z", both()).await;
    let med = || Match::front(Front::MyElectricalData);
    let lower = Action::Quota { uncached: Some(2), cached: None };
    let told = Action::RateHeaders { prefix: "X-RateLimit".to_owned() };
    user.stage.simulator.set_faults(Faults::none().with(med(), lower).with(med(), told));
    for remaining in ["1", "0"] {
        let reply = user.ask(DAILY, "2026-11-20", "2026-11-22").await;
        assert_eq!(
            (&reply.headers["x-ratelimit-limit"], &reply.headers["x-ratelimit-remaining"]),
            (&"2".parse().unwrap(), &remaining.parse().unwrap())
        );
        let reset = instant("2026-11-25T00:00:00Z").timestamp().to_string();
        assert_eq!(reply.headers["x-ratelimit-reset"].to_str().unwrap(), reset);
    }
    let refused = user.ask(DAILY, "2026-11-20", "2026-11-22").await;
    assert_eq!(
        (code(&refused).as_str(), &refused.headers["x-ratelimit-remaining"]),
        ("RATE_LIMIT_EXCEEDED", &"0".parse().unwrap())
    );
    let cached = user.cached(DAILY, "2026-11-20", "2026-11-22").await;
    assert_eq!(cached.headers["x-ratelimit-limit"], "1000");
}

#[test]
fn a_world_file_knows_the_fronts() {
    let text = r#"
[rules.conso_api]
ban_at = 0
ban_window = "any24h"

[rules.myelectricaldata]
uncached_per_day = 20
batch_format = "2026"
accounts = [{ client_id = "me", client_secret = "hush", prms = ["12345678901234"] }]

[[meter]]
prm = "12345678901234"
fronts = [{ front = "conso-api", consent = { granted = false }, holes = [{ first = 2026-11-01, last = 2026-11-02 }] }]

[[fault]]
match = { front = "conso-api", upstream = true, time_from = "06:00", time_until = "10:00" }
action = { kind = "throttle", form = "next_access_time", seconds = 3600 }

[[fault]]
match = { front = "myelectricaldata" }
action = { kind = "rate_headers" }
"#;
    let Scenario { world, faults } = Scenario::from_toml(text).unwrap();
    let rules = &world.rules;
    assert_eq!((rules.conso_api.ban_at, rules.conso_api.ban_window), (None, BanWindow::Any24h));
    assert_eq!((rules.myelectricaldata.uncached_per_day, rules.myelectricaldata.batch_format), (Some(20), Api::V2026));
    assert_eq!(rules.myelectricaldata.accounts[0].prms, [prm()]);
    assert_eq!(world.meters[0].fronts[0].consent, Some(Consent::NEVER));
    assert_eq!((faults.rules[0].when.front, faults.rules[0].when.upstream), (Some(Front::ConsoApi), true));
    assert_eq!(faults.rules[1].action, Action::RateHeaders { prefix: "X-RateLimit".to_owned() });
    for (text, word) in [("match = { front = \"conso\" }\n", "conso"), ("match = { time_from = \"six\" }\n", "six")] {
        let error = Scenario::from_toml(&format!("[[fault]]\n{text}action = {{ kind = \"cut\" }}")).unwrap_err();
        assert!(error.to_string().contains(word) && error.to_string().contains("line 2"), "{error}");
    }
}
