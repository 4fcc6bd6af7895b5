//! MyElectricalData: credentials, envelope, formats, quotas.

use std::time::Duration;

use serde_json::json;

use super::*;

const F2026: (&str, &str) = ("x-med-format", "2026");

/// Somebody with an account.
pub(super) struct User {
    pub(super) stage: Stage,
    bearer: String,
}

impl User {
    pub(super) async fn at(now: &str, world: World) -> Self {
        let stage = Stage::at(now, world).await;
        let bearer = format!("Bearer {}", stage.simulator.med_credentials().1);
        Self { stage, bearer }
    }

    pub(super) async fn get(&self, path: &str, more: &[(&str, &str)]) -> Reply {
        let mut headers = vec![("authorization", self.bearer.as_str()), ("user-agent", "test/1")];
        headers.extend(more);
        self.stage.with(&format!("/med{path}"), &headers).await
    }

    /// In the format of 2026.
    pub(super) async fn ask(&self, route: &str, start: &str, end: &str) -> Reply {
        self.get(&format!("/enedis/{route}/{PRM}?start={start}&end={end}"), &[F2026]).await
    }

    /// The same through the cache.
    pub(super) async fn cached(&self, route: &str, start: &str, end: &str) -> Reply {
        self.get(&format!("/enedis/{route}/{PRM}?start={start}&end={end}&use_cache=true"), &[F2026]).await
    }

    pub(super) fn counters(&self) -> MedCounters {
        self.stage.simulator.counters().myelectricaldata
    }
}

pub(super) fn both() -> World {
    World::new(7).with(MeterSpec::new(prm()).kind(MeterKind::Both))
}

/// The code of an envelope that carries no data.
pub(super) fn code(reply: &Reply) -> String {
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    assert_eq!((&reply.json["success"], &reply.json["data"]), (&json!(false), &Value::Null), "{}", reply.text);
    reply.json["error"]["code"].as_str().unwrap().to_owned()
}

/// The points of an envelope, whichever format is in it.
pub(super) fn inside(reply: &Reply) -> Vec<(String, Value, Option<String>)> {
    assert_eq!(reply.json["success"], true, "{}", reply.text);
    points(&Reply { json: reply.json["data"].clone(), ..Reply::of(&reply.text) })
}

#[tokio::test]
async fn credentials_come_first() {
    let user = User::at(NOON, both()).await;
    let (client_id, client_secret) = user.stage.simulator.med_credentials();
    let path = format!("/med/enedis/consumption/daily/{PRM}");
    for header in [&[][..], &[("authorization", "Bearer wrong")], &[("authorization", client_secret.as_str())]] {
        let reply = user.stage.with(&path, header).await;
        assert_eq!(reply.status.as_u16(), 401, "{header:?}");
        assert!(reply.json["detail"].is_string(), "{}", reply.text);
    }
    let named = format!("grant_type=client_credentials&client_id={client_id}&client_secret={client_secret}");
    let reply = user.stage.send(form("/med/accounts/token", &named)).await;
    assert_eq!((&reply.json["token_type"], &reply.json["expires_in"]), (&json!("bearer"), &json!(2_592_000)));
    let bearer = format!("Bearer {}", reply.json["access_token"].as_str().unwrap());
    let with_token = async || user.stage.with("/med/pdl", &[("authorization", &bearer)]).await;
    let reply = with_token().await;
    assert_eq!((&reply.json["success"], &reply.json["error"]), (&json!(true), &Value::Null));
    assert_eq!(reply.json["data"][0]["usage_point_id"], PRM);
    assert_eq!(reply.json["data"][0]["has_production"], true);
    user.stage.clock.advance(Duration::from_hours(30 * 24));
    assert_eq!(with_token().await.status.as_u16(), 401, "thirty days later");
    let wrong = user.stage.send(form("/med/accounts/token", "client_id=me&client_secret=hush")).await;
    assert_eq!(wrong.status.as_u16(), 401);
    let get = user.get("/accounts/token", &[]).await;
    assert_eq!((get.status.as_u16(), get.json["detail"].as_str()), (405, Some("Method Not Allowed")));
    assert_eq!(user.get("/tempo/days", &[]).await.status.as_u16(), 404);
    assert_eq!((user.counters().token_calls, user.counters().unauthorized), (2, 4));
}

#[tokio::test]
async fn each_account_has_its_own_meters() {
    let mut world = both().with(MeterSpec::new("11111111111111".parse().unwrap()));
    let account = |name: &str, prms: &[&str]| MedAccount {
        client_id: name.to_owned(),
        client_secret: format!("{name}-secret"),
        prms: prms.iter().map(|prm| prm.parse().unwrap()).collect(),
    };
    world.rules.myelectricaldata.accounts = vec![account("one", &[PRM]), account("two", &["11111111111111"])];
    world.rules.myelectricaldata.uncached_per_day = Some(1);
    let user = User::at(NOON, world).await;
    let ask = async |who: &str, prm: &str| {
        let path = format!("/med/enedis/consumption/daily/{prm}?start=2026-11-20&end=2026-11-22");
        user.stage.with(&path, &[("authorization", &format!("Bearer {who}-secret"))]).await
    };
    assert_eq!(code(&ask("one", "11111111111111").await), "ACCESS_DENIED");
    assert_eq!(ask("one", PRM).await.json["success"], true);
    assert_eq!(code(&ask("one", PRM).await), "RATE_LIMIT_EXCEEDED");
    assert_eq!(ask("two", "11111111111111").await.json["success"], true, "and its own quota");
    let list = user.stage.with("/med/pdl", &[("authorization", "Bearer two-secret")]).await;
    assert_eq!(list.json["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_header_chooses_the_format_except_of_a_batch() {
    let user = User::at(NOON, both()).await;
    for (route, dataset) in [
        ("consumption/daily", Dataset::DailyConsumption),
        ("consumption/detail", Dataset::ConsumptionLoadCurve),
        ("power", Dataset::DailyMaxPower),
        ("production/daily", Dataset::DailyProduction),
        ("production/detail", Dataset::ProductionLoadCurve),
    ] {
        let path = format!("/enedis/{route}/{PRM}?start=2026-11-18&end=2026-11-22");
        let (old, new) = (user.get(&path, &[]).await, user.get(&path, &[F2026]).await);
        assert_eq!(old.headers["deprecation"], "true");
        assert!(!new.headers.contains_key("deprecation"));
        assert_eq!(old.json["data"]["meter_reading"]["usage_point_id"], PRM);
        assert_eq!(new.json["data"]["idPrm"], PRM);
        assert_eq!(new.json["data"]["periode"], json!({ "dateDebut": "2026-11-18", "dateFin": "2026-11-22" }));
        assert_eq!(inside(&old), inside(&new), "{route}");
        let direct = points(&user.stage.ask(Api::V2026, dataset, "2026-11-18", "2026-11-22").await);
        let values =
            |points: &[(String, Value, Option<String>)]| points.iter().map(|p| p.1.clone()).collect::<Vec<_>>();
        assert_eq!(values(&inside(&new)), values(&direct), "{route}: the same truth");
    }
    let path = format!("/enedis/consumption/detail/batch/{PRM}?start=2026-11-18&end=2026-11-22");
    for header in [&[][..], &[F2026]] {
        let batch = user.get(&path, header).await;
        assert!(batch.json["data"]["meter_reading"].is_object(), "{}", batch.text);
        assert!(!batch.headers.contains_key("deprecation"));
    }
    user.stage.simulator.change(|world| world.rules.myelectricaldata.batch_format = Api::V2026);
    assert_eq!(user.get(&path, &[]).await.json["data"]["idPrm"], PRM);
    assert_eq!(user.stage.simulator.log().last().unwrap().front, Front::MyElectricalData);
}

#[tokio::test]
async fn curves_are_labelled_with_the_start_of_each_interval() {
    let user = User::at(NOON, both()).await;
    let curve = inside(&user.ask("consumption/detail", "2026-11-20", "2026-11-22").await);
    let direct = points(&user.stage.ask(Api::V2026, Dataset::ConsumptionLoadCurve, "2026-11-20", "2026-11-22").await);
    assert_eq!((curve.len(), curve[0].0.as_str()), (96, "2026-11-20 00:00:00"));
    assert_eq!(curve[95].0, "2026-11-21 23:30:00");
    assert_eq!((direct[0].0.as_str(), &direct[0].1), ("2026-11-20 00:30:00", &curve[0].1));

    // The step is taken from the wall time as it stands, and what results is sorted.
    let autumn = inside(&user.ask("consumption/detail", "2026-10-25", "2026-10-26").await);
    let labels: Vec<&str> = autumn[2..9].iter().map(|point| &point.0[11..16]).collect();
    assert_eq!((autumn.len(), labels), (50, vec!["01:00", "01:30", "01:30", "02:00", "02:00", "02:30", "03:00"]));
    let spring = inside(&user.ask("consumption/detail", "2026-03-29", "2026-03-30").await);
    let labels: Vec<&str> = spring[2..6].iter().map(|point| &point.0[11..16]).collect();
    assert_eq!((spring.len(), labels), (46, vec!["01:00", "02:30", "03:00", "03:30"]));
}

#[tokio::test]
async fn it_bends_what_it_is_asked() {
    let user = User::at(NOON, both()).await;
    let labels = |reply: &Reply| inside(reply).into_iter().map(|point| point.0).collect::<Vec<_>>();
    let daily = "consumption/daily";
    assert_eq!(labels(&user.ask(daily, "2026-11-21", "2026-11-23").await), ["2026-11-21", "2026-11-22"]);
    assert_eq!(labels(&user.ask(daily, "2026-11-22", "2027-02-01").await), ["2026-11-22", "2026-11-23"]);
    assert_eq!(labels(&user.ask(daily, "2026-11-20", "2026-11-20").await), ["2026-11-19"], "the day before its end");
    assert_eq!(labels(&user.ask(daily, "2026-12-20", "2026-12-22").await), ["2026-11-23"]);
    let long = user.ask("consumption/detail", "2026-11-01", "2026-11-20").await;
    assert_eq!((inside(&long).len(), &long.json["data"]["periode"]["dateFin"]), (7 * 48, &json!("2026-11-08")));
    user.stage.simulator.change(|world| world.rules.myelectricaldata.over_long = OverLong::NoData);
    assert_eq!(code(&user.ask("consumption/detail", "2026-11-01", "2026-11-20").await), "NO_DATA");
    let batch = inside(&user.ask("consumption/detail/batch", "2020-01-01", "2026-11-24").await);
    assert_eq!(batch[0].0, "2024-11-24 00:00:00", "the newest two years, without a word");
    user.stage.simulator.change(|world| world.rules.myelectricaldata.batch_days = 10);
    assert_eq!(inside(&user.ask("consumption/detail/batch", "2026-01-01", "2026-11-24").await).len(), 480);
}

#[tokio::test]
async fn errors_come_with_status_200() {
    let mut meter = MeterSpec { consumption_since: Some(day("2026-06-10")), ..MeterSpec::new(prm()) };
    meter.holes = vec![Stretch::days(day("2026-09-01"), day("2026-09-02"))];
    let user = User::at(NOON, World::new(7).with(meter)).await;
    for (route, start, end, wanted) in [
        ("consumption/daily", "2023-11-23", "2023-11-26", "DATE_TOO_OLD"),
        ("consumption/daily", "2023-11-24", "2023-11-26", "ADAM-ERR0123"),
        ("consumption/detail", "2024-11-23", "2024-11-26", "DATE_TOO_OLD"),
        ("consumption/detail", "2024-11-24", "2024-11-26", "ADAM-ERR0123"),
        ("power", "2026-06-09", "2026-06-12", "ADAM-ERR0123"),
        ("consumption/daily", "24-11-2026", "2026-11-26", "INVALID_DATE_FORMAT"),
        ("consumption/daily", "2026-09-01", "2026-09-03", "NO_DATA"),
        ("consumption/detail", "2026-09-01", "2026-09-03", "NO_DATA"),
        ("consumption/detail/batch", "2026-09-01", "2026-09-03", "NO_DATA"),
        ("production/daily", "2026-11-20", "2026-11-22", "ENEDIS_ERROR"),
    ] {
        assert_eq!(code(&user.ask(route, start, end).await), wanted, "{route} {start}");
    }
    user.stage.simulator.set_consent_at(Front::MyElectricalData, &prm(), Consent::NEVER);
    assert_eq!(code(&user.ask("consumption/daily", "2026-11-20", "2026-11-22").await), "ACCESS_DENIED");
    let missing = user.get(&format!("/enedis/consumption/daily/{PRM}?start=2026-11-20&use_cache=maybe"), &[]).await;
    assert_eq!(missing.status.as_u16(), 422);
    assert_eq!(missing.json["detail"][0]["loc"], json!(["query", "end"]));
    assert_eq!(missing.json["detail"][1]["loc"], json!(["query", "use_cache"]));
    let other = user.get("/enedis/consumption/daily/99999999999999?start=2026-11-20&end=2026-11-22", &[]).await;
    assert_eq!(code(&other), "ACCESS_DENIED");
    let log = user.stage.simulator.log();
    assert_eq!((log[0].status, log[0].code.as_deref()), (200, Some("DATE_TOO_OLD")));
}

#[tokio::test]
async fn the_quota_is_one_of_utc_days() {
    let user = User::at("2026-11-24T22:00:00Z", both()).await;
    let plain = async || user.ask("consumption/daily", "2026-11-20", "2026-11-22").await;
    for _ in 0..50 {
        assert_eq!(plain().await.json["success"], true);
    }
    let refused = plain().await;
    assert_eq!(code(&refused), "RATE_LIMIT_EXCEEDED");
    assert!(refused.headers.iter().all(|(name, _)| !name.as_str().contains("rate")), "no header tells of it");
    assert_eq!(user.cached("consumption/daily", "2026-11-20", "2026-11-22").await.json["success"], true);
    user.stage.clock.advance(Duration::from_secs(2 * 3600 - 1));
    assert_eq!(code(&plain().await), "RATE_LIMIT_EXCEEDED", "past midnight in Paris, not yet in UTC");
    user.stage.clock.advance(Duration::from_secs(1));
    assert_eq!(plain().await.json["success"], true);
    let counters = user.counters();
    assert_eq!(counters.uncached.values().copied().collect::<Vec<_>>(), [52, 1]);
    assert_eq!(counters.cached.values().copied().collect::<Vec<_>>(), [1]);
    assert_eq!((counters.max_uncached_in_a_day, counters.max_cached_in_a_day), (52, 1));
    assert_eq!((counters.refused_by_quota, counters.anonymous), (2, 0));
    user.stage.simulator.reset_counters();
    assert_eq!(user.counters(), MedCounters::default());
}

#[tokio::test]
async fn a_thousand_calls_through_the_cache() {
    let user = User::at(NOON, both()).await;
    for _ in 0..1000 {
        assert_eq!(user.cached("consumption/daily", "2026-11-20", "2026-11-22").await.json["success"], true);
    }
    assert_eq!(code(&user.cached("power", "2026-11-20", "2026-11-22").await), "RATE_LIMIT_EXCEEDED");
    let batch = user.ask("consumption/detail/batch", "2026-11-20", "2026-11-22").await;
    assert_eq!(code(&batch), "RATE_LIMIT_EXCEEDED", "a batch uses the cache unless told otherwise");
    assert_eq!(user.counters().upstream_calls, 1);
}

#[tokio::test]
async fn who_never_stops_is_shut_out() {
    let mut world = both();
    world.rules.myelectricaldata.uncached_per_day = Some(2);
    world.rules.myelectricaldata.ban_after = Some(3);
    let user = User::at(NOON, world).await;
    let plain = async || user.ask("power", "2026-11-20", "2026-11-22").await;
    for _ in 0..2 {
        assert_eq!(plain().await.json["success"], true);
    }
    for _ in 0..3 {
        assert_eq!(code(&plain().await), "RATE_LIMIT_EXCEEDED");
    }
    user.stage.clock.advance(Duration::from_hours(48));
    let shut = plain().await;
    assert_eq!(shut.status.as_u16(), 403);
    assert!(shut.json["detail"].is_string());
    assert_eq!(user.get("/pdl", &[]).await.status.as_u16(), 403);
    assert_eq!((user.counters().refused_by_ban, user.counters().banned.len()), (2, 1));
    user.stage.simulator.lift_bans();
    assert_eq!(plain().await.json["success"], true);
}

#[tokio::test]
async fn contracts_and_addresses_come_in_either_format_and_without_their_holder() {
    let mut world = both();
    world.meters[0].customer.last_name = Some("PERSONNE".to_owned());
    let user = User::at("2026-11-24T10:00:00+01:00", world).await;
    for (path, headers, of, names) in [
        (
            "contract",
            &[F2026][..],
            "/situation_contrat/0/segment",
            ["situation_contrat", "synthese_contrat", "comptage"],
        ),
        ("contract", &[], "/customer/usage_points/0/contracts/segment", ["customer"; 3]),
        ("address", &[F2026], "", [""; 3]),
        ("address", &[], "/customer/usage_points/0/usage_point/usage_point_addresses/city", ["customer"; 3]),
    ] {
        let reply = user.get(&format!("/enedis/{path}/{PRM}"), headers).await;
        assert_eq!(reply.json["success"], true, "{}", reply.text);
        let data = &reply.json["data"];
        assert!(data.pointer(of).is_some_and(|value| !value.is_null()), "{path}: {data}");
        assert!(names.iter().filter(|name| !name.is_empty()).all(|name| !data[*name].is_null()), "{path}: {data}");
        assert!(path == "address" || !reply.text.contains("PERSONNE"), "{}", reply.text);
    }
    assert_eq!(user.counters().uncached.values().sum::<u64>(), 4);
    let others = user.get("/enedis/contract/123", &[F2026]).await;
    assert_eq!(code(&others), "ACCESS_DENIED");
    user.stage.simulator.change(|world| world.meters[0].known = false);
    assert_eq!(code(&user.get(&format!("/enedis/contract/{PRM}"), &[F2026]).await), "NO_DATA");
}
