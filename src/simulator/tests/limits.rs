//! Quotas and tokens.

use std::time::Duration;

use super::*;

const DAILY: Dataset = Dataset::DailyConsumption;

async fn stage(limits: Limits) -> Stage {
    let mut world = World::of_any_prm(1);
    world.rules.limits = limits;
    Stage::strict("2026-11-24T10:20:00Z", world).await
}

async fn call(stage: &Stage, api: Api) -> (u16, String) {
    let reply = stage.ask(api, DAILY, "2026-11-22", "2026-11-24").await;
    (reply.status.as_u16(), reply.code())
}

#[tokio::test]
async fn no_sliding_second_holds_more_than_allowed() {
    let stage = stage(Limits::default()).await;
    let throttled = (429, "900807".to_owned());
    // Five calls at the end of one second of the clock, then one at the start of the next.
    stage.clock.advance(Duration::from_millis(900));
    for _ in 0..5 {
        assert_eq!(call(&stage, Api::V2026).await.0, 200);
        stage.clock.advance(Duration::from_millis(10));
    }
    stage.clock.advance(Duration::from_millis(100));
    assert_eq!(call(&stage, Api::V5).await, throttled, "both APIs count together");
    // The refused call counts too: 999 ms after it, six calls would share a second with it.
    stage.clock.advance(Duration::from_millis(999));
    for _ in 0..4 {
        assert_eq!(call(&stage, Api::V2026).await.0, 200);
    }
    assert_eq!(call(&stage, Api::V2026).await, throttled);
    let counters = stage.simulator.counters();
    assert_eq!((counters.data_calls, counters.refused_by_second, counters.max_in_a_second), (11, 2, 6));
    assert_eq!(counters.by_dataset[&DAILY], 11);
}

#[tokio::test]
async fn five_evenly_spaced_calls_a_second_pass_for_ever() {
    let stage = stage(Limits { per_hour_2026: None, ..Limits::default() }).await;
    for _ in 0..200 {
        assert_eq!(call(&stage, Api::V2026).await.0, 200);
        stage.clock.advance(Duration::from_millis(200));
    }
    let counters = stage.simulator.counters();
    assert_eq!((counters.max_in_a_second, counters.refused_by_second), (5, 0));
    let took = counters.last_arrival.unwrap().checked_sub(counters.first_arrival.unwrap());
    assert_eq!(took, Some(Duration::from_millis(199 * 200)));
}

#[tokio::test]
async fn the_hour_opens_again_when_it_says() {
    let stage = stage(Limits { per_second: None, per_hour_2026: Some(3), per_hour_v5: Some(4) }).await;
    for _ in 0..3 {
        assert_eq!(call(&stage, Api::V2026).await.0, 200);
    }
    let reply = stage.ask(Api::V2026, DAILY, "2026-11-22", "2026-11-24").await;
    assert_eq!((reply.status.as_u16(), reply.code()), (429, "900804".to_owned()));
    assert_eq!(reply.json["nextAccessTime"], "2026-Nov-24 11:00:00+0000 UTC");
    assert!(reply.json["description"].as_str().unwrap().ends_with("2026-Nov-24 11:00:00+0000 UTC"));
    assert_eq!(call(&stage, Api::V5).await.0, 200, "each API has its own hour");
    stage.clock.advance(Duration::from_secs(40 * 60 - 1));
    assert_eq!(call(&stage, Api::V2026).await.0, 429);
    stage.clock.advance(Duration::from_secs(1));
    assert_eq!(call(&stage, Api::V2026).await.0, 200);
    let counters = stage.simulator.counters();
    assert_eq!((counters.refused_by_hour, counters.max_in_an_hour), (2, 7));
}

#[tokio::test]
async fn a_clock_set_back_does_not_open_the_hour_either() {
    let stage = stage(Limits { per_second: None, per_hour_2026: Some(1), per_hour_v5: None }).await;
    assert_eq!(call(&stage, Api::V2026).await.0, 200);
    stage.clock.step_to(instant("2026-11-24T09:20:00Z"));
    assert_eq!(call(&stage, Api::V2026).await.0, 429);
    stage.clock.advance(Duration::from_hours(1));
    assert_eq!(call(&stage, Api::V2026).await.0, 200);
}

#[tokio::test]
async fn a_shifted_calendar_does_not_open_the_hour() {
    let stage = stage(Limits { per_second: None, per_hour_2026: Some(1), per_hour_v5: None }).await;
    assert_eq!(call(&stage, Api::V2026).await.0, 200);
    stage.simulator.set_now(instant("2026-12-24T10:00:00Z"));
    assert_eq!(call(&stage, Api::V2026).await.0, 429);
}

#[tokio::test]
async fn tokens_are_required_and_expire() {
    let mut stage = stage(Limits::OFF).await;
    stage.simulator.change(|world| world.rules.token.ttl_seconds = 5);
    stage.sign_in().await;
    assert_eq!(call(&stage, Api::V2026).await.0, 200);
    stage.clock.advance(Duration::from_secs(5));
    assert_eq!(call(&stage, Api::V2026).await, (401, "900903".to_owned()));
    stage.sign_in().await;
    stage.simulator.revoke_tokens();
    assert_eq!(call(&stage, Api::V5).await, (401, "900901".to_owned()));
    let bare = axum::http::Request::get(wire_v5::path(DAILY)).body(Body::empty()).unwrap();
    assert_eq!(stage.send(bare).await.code(), "900902");
    let counters = stage.simulator.counters();
    assert_eq!((counters.token_calls, counters.unauthorized), (3, 3));
}

#[tokio::test]
async fn the_token_endpoint_takes_each_way_of_naming_the_client() {
    let stage = stage(Limits::OFF).await;
    stage.simulator.change(|world| {
        world.rules.token.client_id = Some("linkyd".to_owned());
        world.rules.token.client_secret = Some("s3cret".to_owned());
        world.rules.token.expires_in_as_text = true;
    });
    let path = "/oauth2/v3/token";
    let named = "grant_type=client_credentials&client_id=linkyd&client_secret=s3cret";
    let reply = stage.send(form(path, named)).await;
    assert_eq!((reply.json["token_type"].as_str(), reply.json["expires_in"].as_str()), (Some("Bearer"), Some("12600")));
    let query = axum::http::Request::post(format!("{path}?{named}")).body(Body::empty()).unwrap();
    assert_eq!(stage.send(query).await.status, StatusCode::OK);
    let mut basic = form(path, "grant_type=client_credentials");
    basic.headers_mut().insert("authorization", "Basic bGlua3lkOnMzY3JldA==".parse().unwrap());
    assert_eq!(stage.send(basic).await.status, StatusCode::OK);

    let wrong = stage.send(form(path, "grant_type=client_credentials&client_id=linkyd&client_secret=no")).await;
    assert_eq!((wrong.status.as_u16(), wrong.code()), (401, "invalid_client".to_owned()));
    assert_eq!(stage.send(form(path, "client_id=linkyd")).await.code(), "invalid_request");
    assert_eq!(stage.send(form(path, "grant_type=password")).await.code(), "unsupported_grant_type");
    let json = axum::http::Request::post(path).header("content-type", "application/json");
    assert_eq!(stage.send(json.body(Body::from("{}")).unwrap()).await.status.as_u16(), 415);
    let get = axum::http::Request::get(path).body(Body::empty()).unwrap();
    assert_eq!(stage.send(get).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(stage.send(form("/oauth2/v3/revoke", "token=unknown")).await.status, StatusCode::OK);
}
