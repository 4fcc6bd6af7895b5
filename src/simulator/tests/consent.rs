//! The consent journey, driven as a browser would.

use axum::http::header;

use super::*;

const OTHER: &str = "00000000000042";

/// Two meters that nobody has shared yet.
fn unshared() -> World {
    let meter = |prm: &str| MeterSpec { consent: Consent::NEVER, ..MeterSpec::new(prm.parse().unwrap()) };
    World::new(7).with(meter(PRM)).with(meter(OTHER))
}

fn page(version: &str, more: &str) -> String {
    format!("/dataconnect/{version}/oauth2/authorize?client_id=app&response_type=code&duration=P1Y&state=abc{more}")
}

async fn open(stage: &Stage, path: &str) -> Reply {
    stage.with(path, &[]).await
}

/// The address behind the link with that id.
fn link(page: &Reply, id: &str) -> String {
    let tag = page.text.split("<a ").find(|tag| tag.contains(&format!("id=\"{id}\""))).unwrap();
    tag.split("href=\"").nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&")
}

/// Where a reply sends the browser, and with which parameters.
fn sent_back(reply: &Reply) -> (String, Vec<(String, String)>) {
    assert_eq!(reply.status, StatusCode::FOUND, "{}", reply.text);
    let url = url::Url::parse(reply.headers[header::LOCATION].to_str().unwrap()).unwrap();
    (url[..url::Position::AfterPath].to_owned(), url.query_pairs().into_owned().collect())
}

fn get<'q>(query: &'q [(String, String)], name: &str) -> Option<&'q str> {
    query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

async fn services(stage: &Stage, body: &str) -> Reply {
    let request = Request::post(Service::SubscribedServices.path())
        .header("authorization", format!("Bearer {}", stage.token))
        .header("content-type", "application/json");
    stage.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

async fn reads(stage: &Stage, prm: &str) -> bool {
    stage.ask_for(prm, Api::V2026, Dataset::DailyConsumption, "2026-11-20", "2026-11-24").await.status == StatusCode::OK
}

#[tokio::test]
async fn a_customer_shares_a_meter_in_the_old_journey() {
    let stage = Stage::at(NOON, unshared()).await;
    assert!(!reads(&stage, PRM).await);
    let shown = open(&stage, &page("v1", "")).await;
    assert!(shown.content_type.starts_with("text/html"));
    let answer = link(&shown, &format!("share-{PRM}"));
    let (address, query) = sent_back(&open(&stage, &answer).await);
    assert_eq!(address, "http://127.0.0.1:9766/callback");
    assert_eq!((get(&query, "state"), get(&query, "usage_point_id")), (Some("abc"), Some(PRM)));
    assert!(get(&query, "code").is_some_and(|code| !code.is_empty()));
    assert!(reads(&stage, PRM).await && !reads(&stage, OTHER).await);
    // Several at once, and again: the old journey takes it.
    let again = link(&open(&stage, &page("v1", "")).await, &format!("share-{PRM}"));
    let (_, query) = sent_back(&open(&stage, &format!("{again};{OTHER}")).await);
    assert_eq!(get(&query, "usage_point_id"), Some(format!("{PRM};{OTHER}").as_str()));
    assert!(reads(&stage, OTHER).await);
    // A year later it is over.
    stage.simulator.set_now(instant("2027-11-24T12:00:00Z"));
    let reply = stage.ask(Api::V2026, Dataset::DailyConsumption, "2027-11-20", "2027-11-24").await;
    assert_eq!(reply.code(), "ADAM-DC-0008");
}

#[tokio::test]
async fn a_customer_shares_a_meter_in_the_new_journey() {
    let mut world = unshared();
    world.rules.consent.services_lag_minutes = 10;
    let stage = Stage::at(NOON, world).await;
    let shown = open(&stage, &page("v2", "&redirect_uri=http://127.0.0.1:4321/here")).await;
    let (address, query) = sent_back(&open(&stage, &link(&shown, &format!("share-{PRM}"))).await);
    assert_eq!(address, "http://127.0.0.1:4321/here");
    assert_eq!((get(&query, "code"), get(&query, "usage_point_id")), (None, None));
    let id = get(&query, "autorisation_id").unwrap().to_owned();
    assert_eq!(id, stage.simulator.authorisation(&prm()).to_string());
    let body = format!(r#"{{"autorisationId":{id},"comptage":false}}"#);
    // Services lag behind.
    assert_eq!(services(&stage, &body).await.json, serde_json::json!({ "nbTotalServices": 0 }));
    assert!(reads(&stage, PRM).await);
    stage.simulator.set_now(instant("2026-11-24T11:10:00Z"));
    let listed = services(&stage, &body).await.json;
    assert_eq!((&listed["nbTotalServices"], listed["serviceSouscrit"].as_array().unwrap().len()), (&5.into(), 5));
    let first = &listed["serviceSouscrit"][0];
    assert_eq!(
        (&first["pointId"], &first["etatCode"], &first["mesuresTypeCode"]),
        (&PRM.into(), &"ACTIF".into(), &"CDC".into())
    );
    assert_eq!((&first["dateDebut"], &first["dateFin"]), (&"2026-11-24".into(), &"2027-11-23".into()));
    let count = services(&stage, &body.replace("false", "true")).await.json;
    assert_eq!(count, serde_json::json!({ "nbTotalServices": 5 }));

    // Shared already: the journey ends on the page.
    let shown = open(&stage, &page("v2", "")).await;
    let end = open(&stage, &link(&shown, &format!("share-{PRM}"))).await;
    assert_eq!((end.status, end.headers.get(header::LOCATION)), (StatusCode::OK, None));
    assert!(end.text.contains("déjà partagé"));

    // Once it is withdrawn it can be shared again, under the same number.
    stage.simulator.set_consent(&prm(), Consent::NEVER);
    assert_eq!(services(&stage, &body).await.json["nbTotalServices"], 0);
    let ended = body.replace('}', r#","etatCode":["SUPPRIME","TERMINE"]}"#);
    assert_eq!(services(&stage, &ended).await.json["serviceSouscrit"][0]["etatCode"], "SUPPRIME");
    let shown = open(&stage, &page("v2", "")).await;
    let (_, query) = sent_back(&open(&stage, &link(&shown, &format!("share-{PRM}"))).await);
    assert_eq!(get(&query, "autorisation_id"), Some(id.as_str()));
}

#[tokio::test]
async fn a_journey_can_fail_in_each_known_way() {
    let stage = Stage::at(NOON, unshared()).await;
    for version in ["v1", "v2"] {
        let shown = open(&stage, &page(version, "")).await;
        let (_, query) = sent_back(&open(&stage, &link(&shown, "refuse")).await);
        assert_eq!((get(&query, "error"), get(&query, "state")), (Some("access_denied"), Some("abc")));
        assert_eq!(get(&query, "usage_point_id").or(get(&query, "autorisation_id")), None);
        // The page can be answered once, and not for ever.
        let again = open(&stage, &link(&shown, "refuse")).await;
        assert_eq!((again.status, again.headers.get(header::LOCATION)), (StatusCode::BAD_REQUEST, None));
        let shown = open(&stage, &page(version, "")).await;
        stage.clock.advance(std::time::Duration::from_mins(15));
        assert!(open(&stage, &link(&shown, &format!("share-{PRM}"))).await.text.contains("expiré"));
        for (outcome, error, description) in [
            (Outcome::Refused, "access_denied", "the customer refused"),
            (Outcome::Unfinished, "invalid_request", "demande_non_aboutie"),
            (Outcome::ServerError, "server_error", "lincs-internal-server-error"),
        ] {
            stage.simulator.change(|world| world.rules.consent.outcome = outcome);
            let (_, query) = sent_back(&open(&stage, &page(version, "")).await);
            assert_eq!((get(&query, "error"), get(&query, "error_description")), (Some(error), Some(description)));
        }
        stage.simulator.change(|world| world.rules.consent.outcome = Outcome::Page);
        for (from, to, description) in [
            ("client_id=app", "client_id=", "missing_parameter"),
            ("&duration=P1Y", "", "missing_parameter"),
            ("response_type=code", "response_type=token", "unsupported_response_type"),
            ("P1Y", "1Y", "invalid_duration_format"),
            ("P1Y", "P37M", "maximum_duration_exceeded"),
            ("state=abc", &format!("state={}", "x".repeat(101)), "invalid_state"),
        ] {
            let reply = open(&stage, &page(version, "").replace(from, to)).await;
            assert_eq!((reply.status.as_u16(), reply.code().as_str()), (400, "invalid_request"), "{to}");
            assert_eq!(reply.json["error_description"], description, "{to}");
        }
        // Another host than this one is not sent to.
        let shown = open(&stage, &page(version, "&redirect_uri=https://elsewhere.example/")).await;
        let (address, _) = sent_back(&open(&stage, &link(&shown, "refuse")).await);
        assert_eq!(address, "http://127.0.0.1:9766/callback");
        stage.simulator.change(|world| world.rules.token.client_id = Some("another".to_owned()));
        let blocked = open(&stage, &page(version, "")).await;
        assert_eq!((blocked.status, blocked.json), (StatusCode::NOT_FOUND, Value::Null));
        stage.simulator.change(|world| world.rules.token.client_id = None);
    }
    assert!(!reads(&stage, PRM).await, "nothing was shared");
}

#[tokio::test]
async fn the_test_customers_of_the_sandbox() {
    let mut world = World::new(7);
    world.rules.consent.sandbox = true;
    let stage = Stage::at(NOON, world).await;
    for (digit, meters) in [(0, 1), (1, 1), (2, 1), (3, 2), (4, 1), (5, 1), (6, 1), (7, 3), (8, 1)] {
        let (_, query) = sent_back(&open(&stage, &page("v1", "").replace("abc", &format!("abc{digit}"))).await);
        let prms: Vec<&str> = get(&query, "usage_point_id").unwrap().split(';').collect();
        assert_eq!(prms.len(), meters, "{digit}");
        let daily = stage.ask_for(prms[0], Api::V5, Dataset::DailyConsumption, "2026-11-17", "2026-11-24").await;
        let curve = stage.ask_for(prms[0], Api::V5, Dataset::ConsumptionLoadCurve, "2026-11-17", "2026-11-24").await;
        let (daily, curve) = (
            if daily.code().is_empty() { points(&daily).len().to_string() } else { daily.code() },
            if curve.code().is_empty() { points(&curve).len().to_string() } else { curve.code() },
        );
        let expected = match digit {
            2 => ("7", "no_data_found"),
            4 => ("5", "240"),
            5 => ("ADAM-ERR0069", "ADAM-ERR0069"),
            8 => ("ADAM-DC-0008", "ADAM-DC-0008"),
            _ => ("7", "336"),
        };
        assert_eq!((daily.as_str(), curve.as_str()), expected, "{digit}");
    }
    // They can share the same meters again, through the other page too.
    for digit in [0, 3, 5, 7, 8, 0] {
        let (_, query) = sent_back(&open(&stage, &page("v2", "").replace("abc", &format!("abc{digit}"))).await);
        assert!(get(&query, "autorisation_id").is_some(), "{digit}: {query:?}");
    }
    let (_, query) = sent_back(&open(&stage, &page("v2", "").replace("abc", "abc9")).await);
    assert_eq!(get(&query, "error"), Some("access_denied"));
    let ask = |id: i64| format!(r#"{{"autorisationId":{id},"comptage":false}}"#);
    for (id, total) in [(10, 0), (11, 5), (12, 15), (13, 0)] {
        assert_eq!(services(&stage, &ask(id)).await.json["nbTotalServices"], total, "{id}");
    }
    let ended = ask(13).replace('}', r#","etatCode":["TERMINE"]}"#);
    assert_eq!(services(&stage, &ended).await.json["nbTotalServices"], 5);
}

#[tokio::test]
async fn services_are_asked_for_in_one_way() {
    let mut world = unshared();
    world.meters[0].customer.shared = true;
    world.meters[0].consent = Consent::until(instant("2027-03-01T00:00:00Z"));
    let stage = Stage::at(NOON, world).await;
    let id = stage.simulator.authorisation(&prm());
    let good = format!(r#"{{"autorisationId":{id},"comptage":false}}"#);
    let reply = services(&stage, &good).await;
    assert_eq!(reply.json["serviceSouscrit"][0]["dateFin"], "2027-02-28");
    assert_eq!(
        services(&stage, &format!(r#"{{"pointId":["{PRM}"],"comptage":true}}"#)).await.json["nbTotalServices"],
        5
    );
    for body in
        ["", "[]", r#"{"autorisationId":1}"#, r#"{"comptage":false}"#, r#"{"autorisationId":"x","comptage":false}"#]
    {
        let reply = services(&stage, body).await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (500, "technical_error"), "{body}");
    }
    assert_eq!(stage.get(Service::SubscribedServices.path()).await.status, StatusCode::METHOD_NOT_ALLOWED);
    stage.simulator.set_now(instant("2027-03-01T00:00:00Z"));
    assert_eq!(services(&stage, &good).await.json, serde_json::json!({ "nbTotalServices": 0 }));
    stage.simulator.change(|world| world.rules.unsubscribed_services = vec![Service::SubscribedServices]);
    assert_eq!(services(&stage, &good).await.code(), "900908");
}
