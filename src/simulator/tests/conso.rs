//! The Conso API: its names, its words, its ban.

use std::time::Duration;

use super::*;

const DAILY: &str = "/conso/api/daily_consumption";
const ASKED: &str = "prm=12345678901234&start=2026-11-20&end=2026-11-23";

fn both() -> World {
    World::new(7).with(MeterSpec::new(prm()).kind(MeterKind::Both))
}

struct Home {
    stage: Stage,
    token: String,
}

impl Home {
    async fn at(now: &str, world: World) -> Self {
        let stage = Stage::at(now, world).await;
        let token = format!("Bearer {}", stage.simulator.conso_token(&[PRM]));
        Self { stage, token }
    }

    async fn get(&self, path: &str) -> Reply {
        self.stage.with(path, &[("authorization", &self.token), ("user-agent", "test/1")]).await
    }

    async fn ask(&self, name: &str, start: &str, end: &str) -> Reply {
        self.get(&format!("/conso/api/{name}?pointId={PRM}&dateDebut={start}&dateFin={end}")).await
    }

    fn visits(&self) -> Visits {
        self.stage.simulator.counters().conso
    }
}

#[tokio::test]
async fn each_series_has_two_names_and_one_truth() {
    let home = Home::at(NOON, both()).await;
    for (old, new, dataset) in [
        ("daily_consumption", "consommation_quotidienne", Dataset::DailyConsumption),
        ("consumption_load_curve", "courbe_de_charge_consommation", Dataset::ConsumptionLoadCurve),
        ("consumption_max_power", "puissance_conso_max_quotidienne", Dataset::DailyMaxPower),
        ("daily_production", "production_quotidienne", Dataset::DailyProduction),
        ("production_load_curve", "courbe_de_charge_production", Dataset::ProductionLoadCurve),
    ] {
        let direct = home.stage.ask(Api::V5, dataset, "2026-11-17", "2026-11-24").await;
        let legacy = home.ask(old, "2026-11-17", "2026-11-24").await;
        assert_eq!(legacy.json, direct.json["meter_reading"], "{old}: the content, without its wrapper");
        let direct = home.stage.ask(Api::V2026, dataset, "2026-11-17", "2026-11-24").await;
        let passed = home.ask(new, "2026-11-17", "2026-11-24").await;
        assert_eq!(passed.text, direct.text, "{new}: the body, unchanged");
        assert_eq!(passed.content_type, "application/json");
    }
    let log = home.stage.simulator.log();
    let fronts: Vec<Front> = log.iter().map(|call| call.front).collect();
    assert_eq!(fronts.iter().filter(|front| **front == Front::ConsoApi).count(), 10);
    assert_eq!((log[1].api, log[3].api, log[3].status), (Api::V5, Api::V2026, 200));
    assert_eq!(home.ask("contract", "2026-11-17", "2026-11-24").await.status.as_u16(), 400);
    let index = home.ask("index_consommation", "2026-11-17", "2026-11-24").await;
    assert_eq!(
        (index.status.as_u16(), &index.json["message"]),
        (500, &Value::from("The Enedis API returned an error"))
    );
}

#[tokio::test]
async fn both_sets_of_parameters_are_understood_and_the_end_is_not_included() {
    let home = Home::at(NOON, both()).await;
    for query in [ASKED, "pointId=12345678901234&dateDebut=2026-11-20&dateFin=2026-11-23"] {
        let reply = home.get(&format!("{DAILY}?{query}")).await;
        let labels: Vec<&str> =
            reply.json["interval_reading"].as_array().unwrap().iter().map(|p| p["date"].as_str().unwrap()).collect();
        assert_eq!(labels, ["2026-11-20", "2026-11-21", "2026-11-22"]);
    }
    let monthly = "/conso/api/puissance_conso_max_quotidienne?mesuresPas=P1M";
    let reply = home.get(&format!("{monthly}&{ASKED}")).await;
    assert_eq!(reply.json["pas"], "P1M");
}

#[tokio::test]
async fn it_says_no_in_its_own_words() {
    let home = Home::at(NOON, both()).await;
    let stranger = "prm=99999999999999&start=2026-11-20&end=2026-11-23";
    for (path, status, message) in [
        (format!("{DAILY}?{stranger}"), 401, "Votre token est invalide ou ne permet pas d'accéder à ce PRM"),
        (format!("{DAILY}?prm=1234&start=2026-11-20&end=2026-11-23"), 400, "Paramètres invalides"),
        (format!("{DAILY}?prm={PRM}&start=20/11/2026&end=2026-11-23"), 400, "Paramètres invalides"),
        (format!("{DAILY}?prm={PRM}&start=2026-11-20"), 400, "Paramètres invalides"),
        (format!("/conso/api/daily_consumption_max_power?{ASKED}"), 400, "Paramètres invalides"),
    ] {
        let reply = home.get(&path).await;
        assert_eq!((reply.status.as_u16(), reply.json["message"].as_str()), (status, Some(message)), "{path}");
        assert_eq!(reply.json["status"], status);
        assert_eq!(reply.json["error"].is_object(), status == 400, "the validator's findings: {}", reply.text);
    }
    let path = format!("{DAILY}?{ASKED}");
    for header in [&[][..], &[("authorization", "bare-token")], &[("authorization", "Bearer ")]] {
        let reply = home.stage.with(&path, header).await;
        assert_eq!((reply.status.as_u16(), reply.json["error"].clone()), (400, Value::Null), "{header:?}");
        assert!(reply.json["message"].as_str().unwrap().contains("Authorization"));
    }
    for (method, status) in [("OPTIONS", 200), ("POST", 405), ("DELETE", 405)] {
        let request = Request::builder().method(method).uri(&path).body(Body::empty()).unwrap();
        assert_eq!(home.stage.send(request).await.status.as_u16(), status, "{method}");
    }
    let page = home.get("/conso/nowhere").await;
    assert_eq!((page.status.as_u16(), page.content_type.as_str()), (404, "text/html; charset=utf-8"));
}

#[tokio::test]
async fn a_token_is_signed_and_ends() {
    let home = Home::at(NOON, both()).await;
    let path = format!("{DAILY}?{ASKED}");
    let status = async |token: &str| {
        home.stage.with(&path, &[("authorization", &format!("Bearer {token}"))]).await.status.as_u16()
    };
    let simulator = &home.stage.simulator;
    let token = simulator.conso_token(&["00000000000000", PRM]);
    let claims: Value = {
        let part = token.split('.').nth(1).unwrap();
        serde_json::from_slice(&base64::decode(part).unwrap()).unwrap()
    };
    assert_eq!(claims["sub"], serde_json::json!(["00000000000000", PRM]));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 1094 * 86_400);
    assert_eq!(status(&token).await, 200);
    assert_eq!(
        token,
        Home::at("2026-11-24T03:00:00Z", both()).await.stage.simulator.conso_token(&["00000000000000", PRM])
    );

    assert_eq!(status(&simulator.conso_token(&["00000000000000"])).await, 401);
    assert_eq!(status(&simulator.conso_token_until(&[PRM], instant(NOON))).await, 401, "the end is over");
    let other = Home::at(NOON, World::new(8)).await.token;
    assert_eq!(status(other.strip_prefix("Bearer ").unwrap()).await, 401, "signed by another gateway");
    let (said, tag) = token.rsplit_once('.').unwrap();
    assert_eq!(status(&format!("{said}A.{tag}")).await, 401);
    simulator.set_now(instant("2029-11-23T12:00:00Z"));
    assert_eq!(status(&token).await, 401, "three years later");
}

#[tokio::test]
async fn what_enedis_refuses_is_passed_on() {
    let meter = MeterSpec { consumption_since: Some(day("2026-06-10")), ..MeterSpec::new(prm()) };
    let home = Home::at(NOON, World::new(7).with(meter)).await;
    for (name, start, end, status, code) in [
        ("consumption_load_curve", "2026-11-01", "2026-11-09", 400, "ADAM-ERR0126"),
        ("courbe_de_charge_consommation", "2026-11-01", "2026-11-09", 400, "ADAM-ERR0126"),
        ("daily_consumption", "2026-11-20", "2026-11-25", 400, "invalid_request"),
        ("consommation_quotidienne", "2026-11-20", "2026-11-20", 400, "ADAM-ERR0002"),
        ("daily_consumption", "2022-11-20", "2022-11-22", 400, "ADAM-ERR0125"),
        ("daily_consumption", "2026-06-09", "2026-06-12", 400, "ADAM-ERR0123"),
        ("daily_production", "2026-11-20", "2026-11-22", 400, "ADAM-ERR0069"),
        ("daily_consumption", "2026-13-45", "2026-11-22", 400, "Invalid_request"),
        ("consommation_quotidienne", "2026-13-45", "2026-11-22", 500, "technical_error"),
    ] {
        let reply = home.ask(name, start, end).await;
        let seen = (reply.status.as_u16(), reply.json["error"]["error"].as_str().unwrap_or_default());
        assert_eq!(seen, (status, code), "{name} {start}: {}", reply.text);
        assert_eq!(reply.json["message"], "The Enedis API returned an error");
        assert_eq!(reply.json["status"], status);
    }
    home.stage.simulator.change(|world| world.rules.apis = vec![Api::V2026]);
    let gone = home.ask("daily_consumption", "2026-11-20", "2026-11-22").await;
    assert_eq!((gone.status.as_u16(), gone.json["error"]["code"].as_str()), (404, Some("900906")));
    home.stage.simulator.change(|world| world.rules.unsubscribed = vec![Dataset::DailyConsumption]);
    let own = home.ask("consommation_quotidienne", "2026-11-20", "2026-11-22").await;
    assert_eq!(own.status, StatusCode::OK, "the gateway has subscriptions of its own");
}

#[tokio::test]
async fn consent_and_incidents_can_be_this_gateways_alone() {
    let home = Home::at(NOON, both()).await;
    let direct =
        async || home.stage.ask(Api::V5, Dataset::DailyConsumption, "2026-11-20", "2026-11-23").await.status.as_u16();
    home.stage.simulator.set_consent_at(Front::ConsoApi, &prm(), Consent::NEVER);
    let refused = home.get(&format!("{DAILY}?{ASKED}")).await;
    assert_eq!((refused.status.as_u16(), refused.json["error"]["error"].as_str()), (403, Some("ADAM-DC-0008")));
    assert_eq!(direct().await, 200);
    home.stage.simulator.change(|world| {
        let at = world.meter_mut(&prm()).unwrap().at_mut(Front::ConsoApi);
        at.consent = None;
        at.holes = vec![Stretch::days(day("2026-11-21"), day("2026-11-21"))];
        at.late = vec![Late { stretch: Stretch::days(day("2026-11-22"), day("2026-11-22")), days: 3, at: None }];
    });
    let reply = home.get(&format!("{DAILY}?{ASKED}")).await;
    assert_eq!(reply.json["interval_reading"].as_array().unwrap().len(), 1);
    home.stage.simulator.set_consent(&prm(), Consent::NEVER);
    home.stage.simulator.set_consent_at(Front::ConsoApi, &prm(), Consent::GRANTED);
    assert_eq!(direct().await, 403);
    assert_eq!(home.get(&format!("{DAILY}?{ASKED}")).await.status, StatusCode::OK);
    let world = home.stage.simulator.world();
    let (here, there) = (world.seen_by(Front::ConsoApi), world.seen_by(Front::Enedis));
    let seen = |world: &World| {
        let days = days("2026-11-20", "2026-11-23");
        world.daily(&prm(), crate::domain::Direction::Consumption, days, AsOf::Ever).len()
    };
    assert_eq!((seen(&here), seen(&there)), (2, 3), "a test computes what it must find here");
}

/// Noon and midnight, in UTC, are when the operator looks.
#[tokio::test]
async fn a_hundred_requests_in_a_slot_end_in_a_ban() {
    let home = Home::at("2026-11-24T13:00:00Z", both()).await;
    let ok = format!("{DAILY}?{ASKED}");
    for turn in 0..99 {
        // Whatever becomes of a request, it counts.
        let path = match turn % 4 {
            0 => ok.clone(),
            1 => format!("{DAILY}?prm=12"),
            2 => ["/conso", "/conso/", "/conso/nowhere"][turn % 3].to_owned(),
            _ => format!("{DAILY}?prm={PRM}&start=2022-01-01&end=2022-01-02"),
        };
        home.get(&path).await;
    }
    home.stage.clock.advance(Duration::from_hours(11));
    assert_eq!(home.get(&ok).await.status, StatusCode::OK, "99 in the slot of the afternoon: nothing happens");
    for _ in 0..98 {
        home.get(&ok).await;
    }
    let options = Request::builder().method("OPTIONS").uri(&ok).body(Body::empty()).unwrap();
    assert_eq!(home.stage.send(options).await.status, StatusCode::OK, "the hundredth of the night");
    assert_eq!(home.get(&ok).await.status, StatusCode::OK, "nobody looks before noon");
    let visits = home.visits();
    assert_eq!((visits.requests, visits.max_in_a_slot, visits.max_in_12_hours), (200, 101, 200));
    assert_eq!(visits.by_slot.values().copied().collect::<Vec<_>>(), [99, 101]);
    assert_eq!((visits.anonymous, visits.banned.len()), (1, 0));

    home.stage.clock.step_to(instant("2026-11-25T12:00:00Z"));
    assert_eq!(home.visits().banned["127.0.0.1"], instant("2026-11-25T12:00:00Z"));
    for path in [ok.as_str(), "/conso/nowhere"] {
        let page = home.get(path).await;
        assert_eq!((page.status.as_u16(), page.content_type.as_str()), (403, "text/html; charset=utf-8"));
        assert!(page.text.starts_with("<!DOCTYPE html>") && page.text.contains("blocked"));
        assert_eq!(page.headers["server"], "cloudflare");
    }
    home.stage.clock.advance(Duration::from_hours(24 * 60));
    assert_eq!(home.get(&ok).await.status.as_u16(), 403, "for ever");
    assert_eq!(home.visits().refused_by_ban, 3);
    assert_eq!(home.stage.simulator.log().last().unwrap().status, 403);
    let other = [("authorization", home.token.as_str()), ("x-simulated-address", "192.0.2.7")];
    assert_eq!(home.stage.with(&ok, &other).await.status, StatusCode::OK, "another home is not concerned");
    home.stage.simulator.lift_bans();
    assert_eq!(home.get(&ok).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_day_may_count_as_a_whole_and_a_network_as_one_address() {
    for (window, banned_at) in [
        (BanWindow::Slot, None),
        (BanWindow::Day, Some("2026-11-25T00:00:00Z")),
        (BanWindow::Any24h, Some("2026-11-24T14:00:00Z")),
    ] {
        let mut world = both();
        world.rules.conso_api.ban_window = window;
        let home = Home::at("2026-11-24T08:00:00Z", world).await;
        for turn in 0..100 {
            if turn == 50 {
                home.stage.clock.advance(Duration::from_hours(6));
            }
            let address = format!("2001:db8:0:1::{turn:x}");
            let headers = [("authorization", home.token.as_str()), ("x-simulated-address", &address)];
            assert_eq!(home.stage.with(&format!("{DAILY}?{ASKED}"), &headers).await.status, StatusCode::OK);
        }
        home.stage.clock.advance(Duration::from_hours(24));
        let visits = home.visits();
        let banned = visits.banned.get("2001:db8:0:1::/64").copied();
        assert_eq!(banned, banned_at.map(instant), "{window:?}");
        assert_eq!((visits.max_in_a_slot, visits.max_in_a_day), (50, 100));
        assert_eq!((visits.max_in_12_hours, visits.max_in_24_hours), (100, 100));
    }
}

#[tokio::test]
async fn simulated_months_of_moderate_use_are_never_banned() {
    let home = Home::at("2026-11-24T06:00:00Z", both()).await;
    home.stage.simulator.change(|world| world.rules.conso_api.ban_window = BanWindow::Day);
    for _ in 0..60 {
        for _ in 0..99 {
            assert_eq!(home.get("/conso/api/").await.status.as_u16(), 400);
        }
        home.stage.clock.advance(Duration::from_hours(24));
    }
    let visits = home.visits();
    assert!(visits.banned.is_empty());
    assert_eq!((visits.requests, visits.max_in_a_day, visits.max_in_24_hours), (5940, 99, 99));
    home.stage.simulator.reset_counters();
    assert_eq!(home.visits(), Visits::default());
}
