//! What is asked, to the letter, and what answers are taken for.

use secrecy::ExposeSecret as _;

use super::*;
use crate::domain::{Day, Days, Kind, Prm, Span};
use crate::source::{Pool, Reaches, Reaction};

const METER: Reaction = Reaction::StopMeter(Reaches::Meter);

/// A token for one meter, until 2030.
const TOKEN: &str =
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOlsiMDEyMzQ1Njc4OTAxMjMiXSwiaWF0IjoxLCJleHAiOjE4OTM0NTYwMDB9.c2lnbmF0dXJl";

fn conso(base: &str) -> ConsoApi {
    ConsoApi::new(ConsoApiSettings {
        name: "home".to_owned(),
        base_url: Url::parse(base).unwrap(),
        token: SecretString::from(TOKEN),
        user_agent: ConsoApi::user_agent(),
    })
}

fn with_ask<T>(dataset: Dataset, use_it: impl FnOnce(Ask<'_>) -> T) -> T {
    let prm: Prm = "01234567890123".parse().unwrap();
    let day = |text: &str| text.parse::<Day>().unwrap();
    let days = Days::new(day("2026-10-05"), day("2026-10-12")).unwrap();
    let span = Span::new(dataset, days, 7, days).unwrap();
    use_it(Ask { prm: &prm, span, api: Api::V2026, newest: span.days().last() })
}

fn now() -> DateTime<Utc> {
    "2026-11-24T09:12:00Z".parse().unwrap()
}

fn answer(status: u16, body: &str) -> Option<Refusal> {
    let response = Response { status, headers: Vec::new(), body: body.as_bytes().to_vec() };
    with_ask(Dataset::DailyConsumption, |ask| match conso(BASE_URL).read(ask, &response, now()) {
        Reply::Body(body) => {
            assert_eq!((body.api, body.bytes, body.days), (Api::V2026, &response.body[..], Some(ask.span.days())));
            assert!(body.exact);
            None
        }
        Reply::Refused(refusal) => Some(refusal),
    })
}

/// An error of Enedis as the gateway passes it on.
fn passed(status: u16, error: &str) -> Option<Refusal> {
    answer(status, &format!(r#"{{"status":{status},"message":"The Enedis API returned an error","error":{error}}}"#))
}

#[test]
fn requests_have_the_exact_parameters() {
    for (dataset, kind) in [
        (Dataset::ConsumptionLoadCurve, "courbe_de_charge_consommation"),
        (Dataset::ProductionLoadCurve, "courbe_de_charge_production"),
        (Dataset::DailyConsumption, "consommation_quotidienne"),
        (Dataset::DailyProduction, "production_quotidienne"),
        (Dataset::DailyMaxPower, "puissance_conso_max_quotidienne"),
    ] {
        let rest = format!("/api/{kind}?pointId=01234567890123&dateDebut=2026-10-05&dateFin=2026-10-12");
        for (base, before) in [
            (BASE_URL, "https://conso.boris.sh"),
            ("http://127.0.0.1:8080/conso/", "http://127.0.0.1:8080/conso"),
            ("http://[::1]:8080?x=1#y", "http://[::1]:8080"),
        ] {
            let url = with_ask(dataset, |ask| conso(base).request(ask, None).url.to_string());
            assert_eq!(url, format!("{before}{rest}"));
        }
    }
}

#[test]
fn requests_say_who_asks_and_hide_what_is_secret() {
    let request = with_ask(Dataset::DailyConsumption, |ask| conso(BASE_URL).request(ask, None));
    assert_eq!(request.authorization.as_ref().unwrap().expose_secret(), format!("Bearer {TOKEN}"));
    assert!(request.form.is_none());
    let user_agent = format!("linkyd/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(request.headers, [("accept", "application/json".to_owned()), ("user-agent", user_agent)]);
    let shown = format!("{request:?} {:?}", conso(BASE_URL));
    for secret in ["01234567890123", "eyJ", "c2ln"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(conso(BASE_URL).token_request().is_none());
}

#[test]
fn calls_are_counted_by_address_whatever_the_token() {
    let mut settings = conso(BASE_URL).0;
    let before = ConsoApi::new(settings.clone()).account();
    settings.name = "other".to_owned();
    settings.token = SecretString::from("another");
    settings.base_url = Url::parse("http://127.0.0.1:1").unwrap();
    let source = ConsoApi::new(settings);
    assert_eq!((source.account(), source.scope()), (before, Scope::Address));
    let fresh = with_ask(Dataset::DailyConsumption, |ask| source.pool(&ask));
    assert_eq!((fresh, source.same_day(), source.label()), (Pool::Live, SameDay::Once, Label::End));
    assert_eq!(source.apis(Dataset::DailyConsumption), [Api::V2026]);
    assert!(!source.is_direct());
}

#[test]
fn the_token_says_for_whom_and_until_when() {
    let grant = conso(BASE_URL).grant();
    assert_eq!(grant.prms.unwrap(), ["01234567890123".parse::<Prm>().unwrap()]);
    assert_eq!(grant.until.unwrap().to_rfc3339(), "2030-01-01T00:00:00+00:00");
    let settings = ConsoApiSettings { token: SecretString::from("no token"), ..conso(BASE_URL).0 };
    assert_eq!(ConsoApi::new(settings).grant(), Grant::default());
}

#[test]
fn a_success_is_a_body_unless_it_is_an_error() {
    for body in [r#"{"idPrm":"x","grandeur":[]}"#, "null", "{\"cut", "not json"] {
        assert!(answer(200, body).is_none(), "{body}");
    }
    for (status, body, code, reaction) in [
        (200, r#"{"error":"technical_error","error_description":"x"}"#, "TECHNICAL-ERROR", Reaction::RetryLater),
        (200, "", "empty", Reaction::RetryLater),
        (204, "", "empty", Reaction::RetryLater),
        (200, "<html></html>", "html", Reaction::RetryLater),
        (302, "", "redirect", Reaction::RetryLater),
        (308, "<html></html>", "redirect", Reaction::RetryLater),
    ] {
        let refusal = answer(status, body).expect(body);
        assert_eq!((refusal.code.as_str(), refusal.reaction), (code, reaction), "{status} {body}");
    }
}

#[test]
fn the_gateways_own_errors_are_told_apart() {
    let credentials = Reaction::StopApp { credentials: true };
    let no_token = r#"{"status":400,"message":"Le header 'Authorization' est manquant ou invalide"}"#;
    let wrong = r#"{"status":400,"message":"Paramètres invalides","error":{"issues":[{"code":"too_small","minimum":14,"path":["prm"],"message":"String must contain exactly 14 character(s)"}],"name":"ZodError"}}"#;
    let wrong_list = r#"{"status":400,"message":"Paramètres invalides","error":"[\n {\"path\":[\"start\"],\"message\":\"Invalid\"}]"}"#;
    let token = r#"{"status":401,"message":"Votre token est invalide ou ne permet pas d'accéder à ce PRM"}"#;
    let refresh = r#"{"status":500,"message":"Impossible de rafraîchir le token. Réessayez plus tard"}"#;
    let unknown = r#"{"status":500,"message":"Erreur inconnue. Réessayez plus tard"}"#;
    let method = r#"{"status":405,"message":"Seule la méthode GET est autorisée"}"#;
    for (status, body, code, reaction) in [
        (405, method, "conso_invalid", Reaction::Bug),
        (400, no_token, "conso_no_token", credentials),
        (400, wrong, "conso_invalid", Reaction::Bug),
        (400, wrong_list, "conso_invalid", Reaction::Bug),
        (400, "", "conso_invalid", Reaction::Bug),
        (401, token, "conso_token", METER),
        (401, "", "conso_token", METER),
        (403, r#"{"status":403,"message":"no"}"#, "conso_token", METER),
        (404, r#"{"status":404,"message":"no"}"#, "gateway_not_found", Reaction::RetryLater),
        (404, "<html>", "html", Reaction::RetryLater),
        (410, "", "gateway_not_found", Reaction::RetryLater),
        (418, "", "conso_invalid", Reaction::Bug),
        (422, "{}", "conso_invalid", Reaction::Bug),
        (429, "<html>", "gateway_quota", Reaction::RetryAt(None)),
        (500, refresh, "conso_unavailable", Reaction::RetryLater),
        (500, unknown, "conso_unavailable", Reaction::RetryLater),
        (502, "<html>", "conso_unavailable", Reaction::RetryLater),
        (503, "", "conso_unavailable", Reaction::RetryLater),
        (524, "<html>", "conso_unavailable", Reaction::RetryLater),
    ] {
        let refusal = answer(status, body).expect(body);
        assert_eq!((refusal.code.as_str(), refusal.reaction), (code, reaction), "{status} {body}");
        assert_eq!(refusal.status, Some(status));
        let stored = catalogue::row_of(&refusal.code);
        assert_eq!(stored.map(|(again, _)| again), Some(reaction), "{code} leads back");
    }
}

#[test]
fn a_page_that_refuses_is_taken_for_a_ban() {
    let page = "<!DOCTYPE html><title>Access denied | conso.boris.sh used Cloudflare to restrict access</title>";
    let json = r#"{"type":"https://developers.cloudflare.com/errors/1006/","title":"Error 1006: Access denied","status":403,"detail":"The owner has banned your IP address","error_code":1006,"cloudflare_error":true}"#;
    for body in [page, json, "error code: 1020", ""] {
        let refusal = answer(403, body).unwrap();
        assert_eq!((refusal.code.as_str(), refusal.reaction), ("banned", Reaction::Ban), "{body}");
        assert!(refusal.advice.contains("linkyd resume NAME"), "{}", refusal.advice);
        assert_eq!(catalogue::row_of("banned"), Some((Reaction::Ban, refusal.advice)));
    }
    let limited = r#"{"title":"Error 1015: You are being rate limited","status":429,"error_code":1015}"#;
    assert_eq!(answer(429, limited).unwrap().reaction, Reaction::RetryAt(None));
}

#[test]
fn what_enedis_said_decides_where_it_was_passed_on() {
    let direction = Reaction::StopMeter(Reaches::Direction);
    for (status, error, code, reaction) in [
        (400, r#"{"error":"ADAM-ERR0123","error_description":"x"}"#, "ADAM-ERR0123", Reaction::ClampActivation),
        (400, r#"{"error":"ADAM-ERR0125","error_description":"x"}"#, "ADAM-ERR0125", Reaction::ClampHistory),
        (400, r#"{"error":"ADAM-ERR0126"}"#, "ADAM-ERR0126", Reaction::Narrow),
        (400, r#"{"error":"ADAM-ERR0069"}"#, "ADAM-ERR0069", Reaction::StopDataset),
        (400, r#"{"error":"ADAM-ERR0075"}"#, "ADAM-ERR0075", Reaction::StopDataset),
        (400, r#"{"error":"ADAM-ERR0002"}"#, "ADAM-ERR0002", Reaction::Bug),
        (400, r#"{"error":"invalid_request"}"#, "INVALID-REQUEST", Reaction::Bug),
        (400, r#"{"error":"ADAM-DC-0007"}"#, "ADAM-DC-0007", METER),
        (403, r#"{"error":"ADAM_DC_0008"}"#, "ADAM-DC-0008", direction),
        (403, r#"{"error":"something_new"}"#, "SOMETHING-NEW", METER),
        (404, r#"{"error":"no_data_found","error_description":"x"}"#, "NO-DATA-FOUND", Reaction::NoData),
        (404, r#"{"code":"404","message":"Pas de mesure trouvée pour ce point"}"#, "http_404", Reaction::NoData),
        (404, r#"{"error":"STM-ERR-0000014"}"#, "STM-ERR-0000014", Reaction::NoData),
        (500, r#"{"error":"technical_error"}"#, "TECHNICAL-ERROR", Reaction::RetryLater),
        (500, r#"{"error":{"code":500,"message":"Erreur Technique - 500"}}"#, "gateway_enedis", Reaction::RetryLater),
        (500, r#""500 Internal Server Error""#, "gateway_enedis", Reaction::RetryLater),
        (503, r#""""#, "gateway_enedis", Reaction::RetryLater),
        (503, r#""<html>maintenance</html>""#, "gateway_enedis", Reaction::RetryLater),
        // The gateway's own access is not the operator's business, and a page of Enedis is no ban.
        (401, r#"{"fault":{"code":900901,"message":"Invalid Credentials"}}"#, "gateway_access", Reaction::RetryLater),
        (401, r#"{"code":"900902","message":"x"}"#, "gateway_access", Reaction::RetryLater),
        (401, r#""no""#, "gateway_access", Reaction::RetryLater),
        (403, r#"{"code":"900805","message":"x"}"#, "gateway_access", Reaction::RetryLater),
        (403, r#""<html>blocked</html>""#, "gateway_access", Reaction::RetryLater),
        (403, r#"{"code":"900908","message":"x"}"#, "gateway_not_subscribed", Reaction::StopApi),
        (404, r#"{"code":"900906","message":"x"}"#, "gateway_not_subscribed", Reaction::StopApi),
        (404, r#""<html>""#, "html", Reaction::RetryLater),
        (429, r#"{"code":"900807","message":"x"}"#, "gateway_quota", Reaction::RetryAt(None)),
        (429, r#"{"error":"429","error_description":"Quota.Q4.reached"}"#, "gateway_quota", Reaction::RetryAt(None)),
        (429, r#""slow down""#, "gateway_quota", Reaction::RetryAt(None)),
        (429, r#"{"code":"x","message":"SLA dépassé"}"#, "X", Reaction::RetryAt(None)),
    ] {
        let refusal = passed(status, error).expect(error);
        assert_eq!((refusal.code.as_str(), refusal.reaction), (code, reaction), "{status} {error}");
        assert!(!refusal.advice.contains("DataHub"), "{}", refusal.advice);
    }
    let hourly = r#"{"code":"900804","nextAccessTime":"2026-Nov-24 10:00:00+0000 UTC"}"#;
    let at = "2026-11-24T10:00:00Z".parse().ok();
    assert_eq!(passed(429, hourly).unwrap().reaction, Reaction::RetryAt(at));
}

#[test]
fn broken_wrappings_are_no_errors_of_enedis() {
    for body in [
        r#"[{"status":401,"message":"x","error":"y"}]"#,
        r#"{"status":401,"message":"x","error":null}"#,
        r#"{"status":"x","message":"x","error":"y"}"#,
        r#"{"status":401,"error":"y"}"#,
        r#"{"status":401,"message":"x","error":"cut"#,
    ] {
        let refusal = answer(401, body).unwrap();
        assert_eq!(refusal.reaction, METER, "{body}");
    }
}

#[test]
fn the_reach_is_that_of_enedis() {
    for dataset in Dataset::COMMON {
        let reach = conso(BASE_URL).reach(dataset).unwrap();
        let (months, most) = if dataset.kind() == Kind::LoadCurve { (24, 7) } else { (36, 365) };
        assert_eq!(reach, Reach { months, days: 15, max_days: most, exact_days: most });
    }
}
