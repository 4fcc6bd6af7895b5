//! What is asked, to the letter, and what answers are taken for.

use std::time::Duration;

use super::*;
use crate::domain::{Day, Days, Prm, Span};
use crate::source::Reaction;

fn enedis(base: &str) -> Enedis {
    Enedis::new(EnedisSettings {
        name: "home".to_owned(),
        base_url: Url::parse(base).unwrap(),
        apis: vec![Api::V2026, Api::V5],
        client_id: "an id&more".to_owned(),
        client_secret: SecretString::from("s3cret="),
        user_agent: Enedis::user_agent(),
    })
}

fn with_ask<T>(dataset: Dataset, api: Api, use_it: impl FnOnce(Ask<'_>) -> T) -> T {
    let prm: Prm = "01234567890123".parse().unwrap();
    let day = |text: &str| text.parse::<Day>().unwrap();
    let days = Days::new(day("2026-10-05"), day("2026-10-12")).unwrap();
    let span = Span::new(dataset, days, 7, days).unwrap();
    use_it(Ask { prm: &prm, span, api, newest: span.days().last() })
}

fn url(base: &str, dataset: Dataset, api: Api) -> String {
    with_ask(dataset, api, |ask| enedis(base).request(ask, None).url.to_string())
}

#[test]
fn requests_have_the_exact_parameters_of_their_api() {
    for (dataset, api, rest) in [
        (
            Dataset::ConsumptionLoadCurve,
            Api::V5,
            "/metering_data_clc/v5/consumption_load_curve?usage_point_id=01234567890123&start=2026-10-05&end=2026-10-12",
        ),
        (
            Dataset::DailyProduction,
            Api::V5,
            "/metering_data_dp/v5/daily_production?usage_point_id=01234567890123&start=2026-10-05&end=2026-10-12",
        ),
        (
            Dataset::ProductionLoadCurve,
            Api::V2026,
            "/mesure_synchrone_auto/v2/courbe_de_charge_production?pointId=01234567890123&dateDebut=2026-10-05&dateFin=2026-10-12",
        ),
        (
            Dataset::DailyConsumption,
            Api::V2026,
            "/mesure_synchrone_auto/v2/consommation_quotidienne?pointId=01234567890123&dateDebut=2026-10-05&dateFin=2026-10-12",
        ),
        (
            Dataset::DailyMaxPower,
            Api::V2026,
            "/mesure_synchrone_auto/v2/puissance_conso_max_quotidienne?pointId=01234567890123&dateDebut=2026-10-05&dateFin=2026-10-12&mesuresPas=P1D&grandeurPhysique=PMA",
        ),
    ] {
        assert_eq!(url(PRODUCTION, dataset, api), format!("{PRODUCTION}{rest}"));
        assert_eq!(
            url("http://127.0.0.1:8080/proxy/enedis/", dataset, api),
            format!("http://127.0.0.1:8080/proxy/enedis{rest}")
        );
        assert_eq!(url("http://[::1]:8080?x=1#y", dataset, api), format!("http://[::1]:8080{rest}"));
    }
}

#[test]
fn requests_say_who_asks_and_hide_what_is_secret() {
    let token = Token { secret: SecretString::from("tok"), lifetime: Duration::from_mins(1) };
    let request = with_ask(Dataset::DailyConsumption, Api::V5, |ask| enedis(PRODUCTION).request(ask, Some(&token)));
    assert_eq!(request.authorization.as_ref().unwrap().expose_secret(), "Bearer tok");
    assert!(request.headers.contains(&("accept", "application/json".to_owned())));
    assert!(request.headers.iter().any(|(name, value)| *name == "user-agent" && value.starts_with("linkyd/")));
    let shown = format!("{request:?} {:?}", enedis(PRODUCTION));
    for secret in ["01234567890123", "tok", "s3cret", "an id"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn each_call_about_a_customer_names_the_meter_where_its_api_wants_it() {
    use CustomerCall as Call;
    let token = Token { secret: SecretString::from("tok"), lifetime: Duration::from_mins(1) };
    let prm: Prm = "01234567890123".parse().unwrap();
    let enedis = enedis("http://127.0.0.1:8080/proxy/");
    for (call, rest, scope) in [
        (
            Call::Contracts,
            "/customers_upc/v5/usage_points/contracts?usage_point_id=01234567890123",
            Some("contract_data"),
        ),
        (
            Call::Addresses,
            "/customers_upa/v5/usage_points/addresses?usage_point_id=01234567890123",
            Some("contract_data"),
        ),
        (Call::Identity, "/customers_i/v5/identity?usage_point_id=01234567890123", Some("identity")),
        (Call::ContactData, "/customers_cd/v5/contact_data?usage_point_id=01234567890123", Some("contact_data")),
        (Call::Situation, "/situation_contrat_auto/v1/01234567890123", None),
        (Call::Synthesis, "/synth_contrat_auto/v1/01234567890123", None),
        (Call::Metering, "/comptage_auto/v1/01234567890123", None),
        (Call::Supply, "/alimentation_auto/v1/01234567890123", None),
        (Call::GeneralData, "/donnees_generales_auto/v1/01234567890123", None),
    ] {
        let request = enedis.customer_request(call, &prm, &token);
        assert_eq!(request.url.as_str(), format!("http://127.0.0.1:8080/proxy{rest}"));
        assert_eq!(call.scope(), scope.map(|scope| format!("customers:{scope}")).as_deref());
        assert!(request.form.is_none() && request.json.is_none());
        assert_eq!(request.authorization.as_ref().unwrap().expose_secret(), "Bearer tok");
        assert!(!format!("{request:?}").contains("01234567890123"), "{request:?}");
        assert!(request.url.path().starts_with(&format!("/proxy{}", call.path())));
    }
    for (about, api) in CustomerDataset::ALL.into_iter().flat_map(|about| [(about, Api::V5), (about, Api::V2026)]) {
        let calls = enedis.customer_calls(about, api);
        assert!(calls.iter().all(|call| call.api() == api) && !calls.is_empty());
        for call in calls {
            let asked = enedis.ask_customer(*call, &prm, Some(&token)).unwrap();
            assert_eq!(asked.url, enedis.customer_request(*call, &prm, &token).url);
        }
    }
    assert_eq!(Call::ALL.map(Call::path).iter().collect::<std::collections::BTreeSet<_>>().len(), 9);
}

#[test]
fn registers_and_services_are_asked_for_to_the_letter() {
    let token = Token { secret: SecretString::from("tok"), lifetime: Duration::from_mins(1) };
    let prm: Prm = "01234567890123".parse().unwrap();
    let enedis = enedis(PRODUCTION);
    let days = Days::new("2026-10-01".parse().unwrap(), "2026-11-01".parse().unwrap()).unwrap();
    for (dataset, name) in [(Dataset::ConsumptionIndex, "consommation"), (Dataset::ProductionIndex, "production")] {
        assert_eq!(enedis.apis(dataset), [Api::V2026]);
        let span = Span::new(dataset, days, 31, days).unwrap();
        let ask = Ask { prm: &prm, span, api: Api::V2026, newest: days.last() };
        let request = enedis.request(ask, Some(&token));
        let query = "pointId=01234567890123&dateDebut=2026-10-01&dateFin=2026-11-01";
        assert_eq!(request.url.as_str(), format!("{PRODUCTION}/mesure_synchrone_auto/v2/index_{name}?{query}"));
    }
    let request = enedis.list_services(424_242, &token);
    assert_eq!(request.url.as_str(), format!("{PRODUCTION}/subscribed_services/v1"));
    let body: serde_json::Value = serde_json::from_str(request.json.as_deref().unwrap()).unwrap();
    assert_eq!((&body["autorisationId"], &body["comptage"]), (&424_242.into(), &false.into()));
    assert_eq!(body["etatCode"].as_array().unwrap().len(), 4);

    let answer = |status, body: &str| Response { status, headers: Vec::new(), body: body.as_bytes().to_vec() };
    let now = DateTime::UNIX_EPOCH;
    let read = |endpoint, status, body: &str| {
        let answer = answer(status, body);
        let read = enedis.read_answer(endpoint, &answer, now);
        read.map(<[u8]>::to_vec).map_err(|refusal| (refusal.code, refusal.reaction))
    };
    let refused = |code: &str, reaction| Err((code.to_owned(), reaction));
    assert_eq!(read(Endpoint::Customer, 200, "[{}]"), Ok(b"[{}]".to_vec()));
    let nothing = r#"{"error":"Bad request","error_description":"x"}"#;
    let missing = r#"{"error":"not_found","error_description":"x"}"#;
    for (endpoint, status, body, expected) in [
        (Endpoint::Customer, 400, nothing, refused("no_services", Reaction::StopDataset)),
        (Endpoint::Customer, 404, missing, refused("no_situation", Reaction::StopDataset)),
        (Endpoint::Customer, 404, r#"{"message":"x"}"#, refused("no_situation", Reaction::StopDataset)),
        (Endpoint::Data, 404, missing, refused("NOT-FOUND", Reaction::NoData)),
        (Endpoint::Customer, 403, r#"{"code":"900908","message":"x"}"#, refused("900908", Reaction::StopApi)),
        (Endpoint::Customer, 404, r#"{"code":"900906","message":"x"}"#, refused("900906", Reaction::StopApi)),
        (Endpoint::Customer, 401, r#"{"code":"900901","message":"x"}"#, refused("900901", Reaction::Reauth)),
    ] {
        assert_eq!(read(endpoint, status, body), expected, "{status} {body}");
    }
    for name in ["no_services", "no_situation"] {
        assert_eq!(catalogue::reaction_of(name), Some(Reaction::StopDataset));
    }
    assert!(read(Endpoint::Customer, 200, nothing).is_err());
}

#[test]
fn the_token_is_asked_for_with_a_form() {
    let request = enedis("https://proxy.example/enedis").token_request().unwrap();
    assert_eq!(request.url.as_str(), "https://proxy.example/enedis/oauth2/v3/token");
    assert_eq!(
        request.form.unwrap().expose_secret(),
        "grant_type=client_credentials&client_id=an+id%26more&client_secret=s3cret%3D"
    );
    assert!(request.authorization.is_none());
}

#[test]
fn the_account_is_the_application_and_nothing_else() {
    let mut settings = enedis(PRODUCTION).0;
    let before = Enedis::new(settings.clone()).account();
    settings.name = "other".to_owned();
    settings.client_secret = SecretString::from("renewed");
    settings.base_url = Url::parse("http://127.0.0.1:1").unwrap();
    assert_eq!(Enedis::new(settings.clone()).account(), before);
    settings.client_id = "other".to_owned();
    assert_ne!(Enedis::new(settings).account(), before);
}

#[test]
fn a_success_is_a_body_unless_it_is_an_error() {
    let read = |status, body: &str| {
        let response = Response { status, headers: Vec::new(), body: body.as_bytes().to_vec() };
        with_ask(Dataset::DailyConsumption, Api::V2026, |ask| {
            match enedis(PRODUCTION).read(ask, &response, DateTime::UNIX_EPOCH) {
                Reply::Body(body) => {
                    assert_eq!((body.bytes.len(), body.days), (response.body.len(), Some(ask.span.days())));
                    None
                }
                Reply::Refused(refusal) => Some(refusal),
            }
        })
    };
    for body in [r#"{"meter_reading":null}"#, r#"{"idPrm":"x","grandeur":[]}"#, "null", "{\"cut", "not json"] {
        assert!(read(200, body).is_none(), "{body}");
    }
    for (status, body, code, reaction) in [
        (200, r#"{"error":"technical_error","error_description":"x"}"#, "TECHNICAL-ERROR", Reaction::RetryLater),
        (200, r#"{"error":{"code":500,"message":"Erreur"}}"#, "http_500", Reaction::RetryShort),
        (200, r#"{"error":"429","error_description":"Quota.Q4.reached"}"#, "QUOTA-Q4", Reaction::RetryAt(None)),
        (200, r#"{"error":"who knows"}"#, "WHO-KNOWS", Reaction::RetryLater),
        (200, "", "empty", Reaction::RetryLater),
        (204, "", "empty", Reaction::RetryLater),
        (200, "<html></html>", "html", Reaction::RetryLater),
        (302, "", "redirect", Reaction::RetryLater),
    ] {
        let refusal = read(status, body).expect(body);
        assert_eq!((refusal.code.as_str(), refusal.reaction), (code, reaction), "{body}");
        assert_eq!(refusal.status, Some(status));
    }
    let long_page = format!("<html>{}", " ".repeat(10_000));
    assert_eq!(read(200, &long_page).map(|refusal| refusal.code).as_deref(), Some("html"));
}
