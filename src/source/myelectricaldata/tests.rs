//! What is asked, to the letter, and what answers are taken for.

use secrecy::ExposeSecret as _;

use super::*;
use crate::domain::{Day, Days, Span};
use crate::source::Reaches;

const METER: Reaction = Reaction::StopMeter(Reaches::Meter);
const CREDENTIALS: Reaction = Reaction::StopApp { credentials: true };

fn med(base: &str) -> MyElectricalData {
    MyElectricalData::new(MyElectricalDataSettings {
        name: "med".to_owned(),
        base_url: Url::parse(base).unwrap(),
        client_id: "cli_4711".to_owned(),
        client_secret: SecretString::from("sec_topsecret"),
        user_agent: MyElectricalData::user_agent(),
    })
}

fn days(first: &str, end: &str) -> Days {
    Days::new(first.parse().unwrap(), end.parse().unwrap()).unwrap()
}

/// Asks for some days; `newest` is the newest day that is published.
fn with_ask<T>(dataset: Dataset, days: Days, newest: &str, use_it: impl FnOnce(Ask<'_>) -> T) -> T {
    let prm: Prm = "01234567890123".parse().unwrap();
    let span = Span::new(dataset, days, 400, days).unwrap();
    use_it(Ask { prm: &prm, span, api: Api::V2026, newest: newest.parse::<Day>().unwrap() })
}

fn now() -> DateTime<Utc> {
    "2026-11-24T09:12:00Z".parse().unwrap()
}

fn response(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    Response { status, headers, body: body.as_bytes().to_vec() }
}

/// What a call for 5 to 11 October comes to: the form, the bytes, the days and whether nothing was
/// left out.
fn read(status: u16, body: &str) -> Result<(Api, String, Option<Days>, bool), Refusal> {
    let asked = days("2026-10-05", "2026-10-12");
    let response = response(status, &[], body);
    with_ask(Dataset::DailyConsumption, asked, "2026-11-23", |ask| match med(BASE_URL).read(ask, &response, now()) {
        Reply::Body(b) => Ok((b.api, String::from_utf8(b.bytes.to_vec()).unwrap(), b.days, b.exact)),
        Reply::Refused(refusal) => Err(refusal),
    })
}

fn error(code: &str, message: &str) -> String {
    format!(r#"{{"success":false,"data":null,"error":{{"code":"{code}","message":"{message}","details":null}}}}"#)
}

#[test]
fn requests_have_the_exact_routes() {
    let (week, long) = (days("2026-10-05", "2026-10-12"), days("2026-08-10", "2026-10-05"));
    for (dataset, asked, newest, rest) in [
        (
            Dataset::ConsumptionLoadCurve,
            week,
            "2026-10-11",
            "consumption/detail/01234567890123?start=2026-10-05&end=2026-10-12&use_cache=false",
        ),
        (
            Dataset::ConsumptionLoadCurve,
            week,
            "2026-10-12",
            "consumption/detail/01234567890123?start=2026-10-05&end=2026-10-12&use_cache=true",
        ),
        (
            Dataset::ConsumptionLoadCurve,
            long,
            "2026-11-23",
            "consumption/detail/batch/01234567890123?start=2026-08-10&end=2026-10-05&use_cache=true",
        ),
        (
            Dataset::ProductionLoadCurve,
            week,
            "2026-11-23",
            "production/detail/01234567890123?start=2026-10-05&end=2026-10-12&use_cache=true",
        ),
        (
            Dataset::ProductionLoadCurve,
            long,
            "2026-11-23",
            "production/detail/batch/01234567890123?start=2026-08-10&end=2026-10-05&use_cache=true",
        ),
        (
            Dataset::DailyConsumption,
            long,
            "2026-10-04",
            "consumption/daily/01234567890123?start=2026-08-10&end=2026-10-05&use_cache=false",
        ),
        (
            Dataset::DailyProduction,
            long,
            "2026-11-23",
            "production/daily/01234567890123?start=2026-08-10&end=2026-10-05&use_cache=true",
        ),
        (
            Dataset::DailyMaxPower,
            week,
            "2026-11-23",
            "power/01234567890123?start=2026-10-05&end=2026-10-12&use_cache=true",
        ),
    ] {
        for (base, before) in [
            (BASE_URL, "https://www.v2.myelectricaldata.fr/api"),
            ("http://127.0.0.1:8080/med/", "http://127.0.0.1:8080/med"),
        ] {
            let url = with_ask(dataset, asked, newest, |ask| med(base).request(ask, None).url.to_string());
            assert_eq!(url, format!("{before}/enedis/{rest}"));
        }
    }
    assert_eq!(med(BASE_URL).check_request().unwrap().url.as_str(), "https://www.v2.myelectricaldata.fr/api/pdl/");
}

#[test]
fn requests_say_who_asks_and_in_which_form_and_hide_what_is_secret() {
    let asked = days("2026-10-05", "2026-10-12");
    let data = with_ask(Dataset::DailyConsumption, asked, "2026-11-23", |ask| med(BASE_URL).request(ask, None));
    for request in [data, med(BASE_URL).check_request().unwrap()] {
        assert_eq!(request.authorization.as_ref().unwrap().expose_secret(), "Bearer sec_topsecret");
        assert!(request.form.is_none());
        let user_agent = format!("linkyd/{}", env!("CARGO_PKG_VERSION"));
        let headers = [
            ("accept", "application/json".to_owned()),
            ("user-agent", user_agent),
            ("x-med-format", "2026".to_owned()),
        ];
        assert_eq!(request.headers, headers);
        let shown = format!("{request:?} {:?}", med(BASE_URL));
        for secret in ["01234567890123", "topsecret", "cli_4711"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
    assert!(med(BASE_URL).token_request().is_none());
}

#[test]
fn calls_are_counted_by_account() {
    let mut settings = med(BASE_URL).0;
    assert_eq!(MyElectricalData::new(settings.clone()).account(), "myelectricaldata:cli_4711");
    settings.name = "other".to_owned();
    settings.client_secret = SecretString::from("renewed");
    settings.base_url = Url::parse("http://127.0.0.1:1").unwrap();
    assert_eq!(MyElectricalData::new(settings.clone()).account(), med(BASE_URL).account());
    settings.client_id = "other".to_owned();
    let source = MyElectricalData::new(settings);
    assert_ne!(source.account(), med(BASE_URL).account());
    assert_eq!((source.scope(), source.same_day(), source.label()), (Scope::Account, SameDay::Once, Label::Start));
}

#[test]
fn only_what_no_cache_can_have_is_asked_of_enedis() {
    let pool = |dataset, asked, newest| with_ask(dataset, asked, newest, |ask| med(BASE_URL).pool(&ask));
    let week = days("2026-10-19", "2026-10-26");
    let curve = Dataset::ConsumptionLoadCurve;
    assert_eq!(pool(curve, week, "2026-10-25"), Pool::Live);
    // The day on which labels come twice.
    assert_eq!(pool(curve, week, "2026-11-23"), Pool::Live);
    assert_eq!(pool(curve, days("2026-10-18", "2026-10-25"), "2026-11-23"), Pool::Cached);
    assert_eq!(pool(curve, days("2026-09-01", "2026-10-26"), "2026-11-23"), Pool::Cached);
    for dataset in [Dataset::ProductionLoadCurve, Dataset::DailyConsumption, Dataset::DailyMaxPower] {
        assert_eq!(pool(dataset, week, "2026-11-23"), Pool::Cached);
        assert_eq!(pool(dataset, week, "2026-10-25"), Pool::Live);
    }
}

#[test]
fn the_reach_is_that_of_the_gateway() {
    for dataset in Dataset::COMMON {
        let (months, most, exact) = if dataset.kind() == Kind::LoadCurve { (24, 56, 7) } else { (36, 365, 365) };
        let reach = med(BASE_URL).reach(dataset).unwrap();
        assert_eq!(reach, Reach { months, days: 0, max_days: most, exact_days: exact });
    }
}

#[test]
fn the_form_of_a_body_is_seen_in_it_and_its_period_counts() {
    let asked = Some(days("2026-10-05", "2026-10-12"));
    let of_2026 = |start: &str, end: &str| {
        format!(r#"{{"idPrm":"x","periode":{{"dateDebut":"{start}","dateFin":"{end}"}},"grandeur":[]}}"#)
    };
    let of_v5 = |start: &str, end: &str| {
        format!(r#"{{"meter_reading":{{"start":"{start}","end":"{end}","interval_reading":[]}}}}"#)
    };
    let bare = |start: &str, end: &str| format!(r#"{{"start":"{start}","end":"{end}","interval_reading":[]}}"#);
    let (v5, v2026) = (Api::V5, Api::V2026);
    for (start, end, covered) in [
        ("2026-10-05", "2026-10-12", asked),
        ("2026-10-01", "2026-11-01", asked),
        ("2026-10-05 00:00:00", "2026-10-12T00:00:00+02:00", asked),
        ("2026-10-07", "2026-10-12", Some(days("2026-10-07", "2026-10-12"))),
        ("2026-10-05", "2026-10-09", Some(days("2026-10-05", "2026-10-09"))),
        ("2026-10-12", "2026-10-13", None),
        ("2026-10-01", "2026-10-05", None),
        ("2026-10-12", "2026-10-05", None),
        ("soon", "", asked),
        ("2026-10-07", "later", Some(days("2026-10-07", "2026-10-12"))),
    ] {
        for (api, data) in [(v2026, of_2026(start, end)), (v5, of_v5(start, end)), (v5, bare(start, end))] {
            let body = format!("\u{feff} {{\"data\": {data} ,\"success\":true,\"error\":null,\"more\":1}}\n");
            assert_eq!(read(200, &body).unwrap(), (api, data, covered, true), "{start} {end}");
        }
    }
    for (api, data) in [
        (v2026, r#"{"grandeur":[]}"#),
        (v2026, r#"{"periode":null,"grandeur":null}"#),
        (v2026, r#"{"periode":{"dateDebut":7},"grandeur":[]}"#),
        (v2026, "[]"),
        (v2026, r#""text""#),
        (v5, r#"{"meter_reading":null}"#),
        (v5, r#"{"meter_reading":{"interval_reading":[{"value":1e999}]}}"#),
        (v5, r#"{"interval_reading":null}"#),
    ] {
        let body = format!(r#"{{"success":true,"data":{data}}}"#);
        assert_eq!(read(200, &body).unwrap(), (api, data.to_owned(), asked, true), "{data}");
    }
}

#[test]
fn what_came_of_a_partial_answer_is_kept_and_nothing_concluded_from_the_rest() {
    let data = r#"{"periode":{"dateDebut":"2026-10-05","dateFin":"2026-10-12"},"grandeur":[]}"#;
    for success in [true, false] {
        let body = format!(
            r#"{{"success":{success},"data":{data},"error":{{"code":"PARTIAL_DATA","message":"Rate limit exceeded. Returning cached data only."}}}}"#
        );
        let (api, bytes, days, exact) = read(200, &body).unwrap();
        assert_eq!((api, bytes.as_str(), days.map(Days::len), exact), (Api::V2026, data, Some(7), false));
    }
    let odd = format!(r#"{{"success":true,"data":{data},"error":{{"code":"NEW_WARNING","message":"m"}}}}"#);
    assert!(!read(200, &odd).unwrap().3, "an unknown complaint beside data is one");
    let refusal = read(200, &error("PARTIAL_DATA", "nothing")).unwrap_err();
    assert_eq!((refusal.code.as_str(), refusal.reaction), ("PARTIAL-DATA", Reaction::RetryLater));
}

#[test]
fn every_error_of_the_gateway_has_its_reaction() {
    let five_past: DateTime<Utc> = "2026-11-25T00:05:00Z".parse().unwrap();
    for (code, reaction) in [
        ("RATE_LIMIT_EXCEEDED", Reaction::RetryAt(Some(five_past))),
        ("NO_DATA", Reaction::NoData),
        ("PARTIAL_DATA", Reaction::RetryLater),
        ("DATE_TOO_OLD", Reaction::ClampHistory),
        ("INVALID_DATE_RANGE", Reaction::Bug),
        ("INVALID_DATE_FORMAT", Reaction::Bug),
        ("ENEDIS_UNAVAILABLE", Reaction::RetryLater),
        ("ENEDIS_ERROR", Reaction::RetryLater),
        ("ACCESS_DENIED", METER),
        ("PDL_NOT_FOUND", METER),
        ("INTERNAL_ERROR", Reaction::RetryLater),
        ("ADAM-ERR0123", Reaction::ClampActivation),
        ("ADAM-DC-0008", Reaction::StopMeter(Reaches::Direction)),
        ("no_data_found", Reaction::NoData),
        ("SOMETHING_NEW", Reaction::RetryLater),
    ] {
        let body = error(code, "for 01234567890123");
        let refusal = read(200, &body).unwrap_err();
        assert_eq!((refusal.reaction, refusal.status), (reaction, Some(200)), "{code}");
        assert_eq!(refusal.code, code.replace('_', "-").to_uppercase());
        assert_eq!(refusal.excerpt, "for …0123");
        if code == "SOMETHING_NEW" {
            continue;
        }
        let (stored, advice) = catalogue::row_of(&refusal.code).unwrap();
        let without_time = if matches!(reaction, Reaction::RetryAt(_)) { Reaction::RetryAt(None) } else { reaction };
        assert_eq!((stored, advice), (without_time, refusal.advice), "{code} leads back");
        assert!(!advice.contains("DataHub"));
    }
}

#[test]
fn what_enedis_said_is_found_where_the_gateway_put_it() {
    for (body, code, reaction) in [
        (error("ENEDIS_ERROR", "no_data_found: no measure found"), "NO-DATA-FOUND", Reaction::NoData),
        (
            error("ENEDIS_ERROR", "Failed to fetch 2026-10-05 to 2026-10-12: ADAM-ERR0069: x"),
            "ADAM-ERR0069",
            Reaction::StopDataset,
        ),
        (error("ENEDIS_ERROR", "a: ADAM-ERR0069: x; b: no_data_found: y"), "ENEDIS-ERROR", Reaction::RetryLater),
        (
            error("ENEDIS_ERROR", "Client error '404 Not Found' for url 'https://x/y?pointId=01234567890123'"),
            "ENEDIS-ERROR",
            Reaction::RetryLater,
        ),
        (
            r#"{"success":true,"data":{"error":"ADAM-ERR0123","error_description":"x"},"error":null}"#.to_owned(),
            "ADAM-ERR0123",
            Reaction::ClampActivation,
        ),
        (error("900901", "x"), "gateway_access", Reaction::RetryLater),
        (error("900908", "x"), "gateway_not_subscribed", Reaction::StopApi),
        (error("900804", "x"), "gateway_quota", Reaction::RetryAt(None)),
    ] {
        let refusal = read(200, &body).unwrap_err();
        assert_eq!((refusal.code.as_str(), refusal.reaction), (code, reaction), "{body}");
        assert!(!refusal.excerpt.contains("01234567890123"));
    }
}

#[test]
fn what_is_no_answer_of_the_gateway_is_told_by_its_status() {
    let detail = r#"{"detail":"Invalid authentication credentials"}"#;
    let missing = r#"{"detail":[{"type":"missing","loc":["query","start"],"msg":"Field required","input":null}]}"#;
    let data = r#"{"success":true,"data":{"grandeur":[]},"error":null}"#;
    for (status, body, code, reaction) in [
        (401, detail, "med_credentials", CREDENTIALS),
        (401, "", "med_credentials", CREDENTIALS),
        (403, r#"{"detail":"Email not verified."}"#, "med_credentials", CREDENTIALS),
        (403, r#"{"success":false,"error":{"code":"ACCESS_DENIED"}}"#, "ACCESS-DENIED", METER),
        (400, r#"{"detail":"x"}"#, "med_invalid", Reaction::Bug),
        (405, r#"{"detail":"Method Not Allowed"}"#, "med_invalid", Reaction::Bug),
        (422, missing, "med_invalid", Reaction::Bug),
        (404, r#"{"detail":"Not Found"}"#, "gateway_not_found", Reaction::RetryLater),
        (404, "<html>", "html", Reaction::RetryLater),
        (307, "", "redirect", Reaction::RetryLater),
        (429, r#"{"detail":"Rate limit exceeded. Try again in 60 seconds"}"#, "gateway_quota", Reaction::RetryAt(None)),
        (
            500,
            r#"{"success":false,"data":null,"error":{"code":"INTERNAL_ERROR","message":"m"}}"#,
            "INTERNAL-ERROR",
            Reaction::RetryLater,
        ),
        (500, "Internal Server Error", "med_unavailable", Reaction::RetryLater),
        (502, "<html>", "med_unavailable", Reaction::RetryLater),
        (503, data, "med_unavailable", Reaction::RetryLater),
        (201, data, "undecodable", Reaction::RetryLater),
        (200, "", "empty", Reaction::RetryLater),
        (200, "<html>", "html", Reaction::RetryLater),
        (200, "{}", "undecodable", Reaction::RetryLater),
        (200, r#"{"data":{"grandeur":[]}}"#, "undecodable", Reaction::RetryLater),
        (200, r#"{"success":false,"data":{"grandeur":[]}}"#, "undecodable", Reaction::RetryLater),
        (200, r#"{"success":true,"data":null,"error":null}"#, "empty", Reaction::RetryLater),
        (200, r#"{"success":true,"data":{"grand"#, "undecodable", Reaction::RetryLater),
        (200, r#"[true,{"grandeur":[]},null]"#, "undecodable", Reaction::RetryLater),
    ] {
        let refusal = read(status, body).expect_err(body);
        assert_eq!((refusal.code.as_str(), refusal.reaction), (code, reaction), "{status} {body}");
        assert_eq!(refusal.status, Some(status));
        let stored = catalogue::row_of(&refusal.code);
        assert_eq!(stored.map(|(again, _)| again), Some(reaction), "{code} leads back");
    }
    for page in
        ["<html>Sorry, you have been blocked</html>", "error code: 1020", r#"{"title":"Error 1020","error_code":1020}"#]
    {
        let refusal = read(403, page).unwrap_err();
        assert_eq!((refusal.code.as_str(), refusal.reaction), ("banned", Reaction::Ban), "{page}");
    }
}

#[test]
fn quotas_are_counted_by_utc_day_and_pool() {
    let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    let used_up = error("RATE_LIMIT_EXCEEDED", "Daily rate limit exceeded (50/50).");
    let quota = |newest, now, headers: &[(&str, &str)], body: &str| {
        let asked = days("2026-10-05", "2026-10-12");
        let response = response(200, headers, body);
        with_ask(Dataset::DailyConsumption, asked, newest, |ask| med(BASE_URL).quota(&ask, &response, now))
    };
    for (newest, pool) in [("2026-10-11", Pool::Live), ("2026-11-23", Pool::Cached)] {
        for (now, until) in [
            ("2026-11-24T00:00:00Z", "2026-11-24T00:05:00Z"),
            ("2026-11-24T00:05:00Z", "2026-11-25T00:05:00Z"),
            ("2026-11-24T23:59:59Z", "2026-11-25T00:05:00Z"),
        ] {
            assert_eq!(quota(newest, at(now), &[], &used_up), [Quota { pool, left: 0, until: at(until) }]);
        }
        let headers = [("x-ratelimit-remaining", "17"), ("x-ratelimit-reset", "600")];
        let until = now() + TimeDelta::minutes(10);
        assert_eq!(quota(newest, now(), &headers, "{}"), [Quota { pool, left: 17, until }]);
        assert_eq!(quota(newest, now(), &headers, &used_up), [Quota { pool, left: 0, until }]);
        let until = at("2026-11-25T00:05:00Z");
        assert_eq!(quota(newest, now(), &[("ratelimit-remaining", "0")], ""), [Quota { pool, left: 0, until }]);
    }
    for body in ["", "{}", "<html>", &error("NO_DATA", "m")] {
        assert_eq!(quota("2026-11-23", now(), &[], body), []);
    }
}

#[test]
fn the_list_of_meters_shows_whether_the_secret_is_taken() {
    let check = |status, body: &str| med(BASE_URL).read_check(&response(status, &[], body), now());
    let list = r#"{"success":true,"data":[{"id":"00000000-0000-4000-8000-000000000000","usage_point_id":"01234567890123","name":null},
        {"pdl":"12345678901234"},"23456789012345",{"usage_point_id":7},null],"error":null}"#;
    let prms: Vec<Prm> =
        ["01234567890123", "12345678901234", "23456789012345"].map(|prm| prm.parse().unwrap()).to_vec();
    assert_eq!(check(200, list).unwrap(), Grant { prms: Some(prms), until: None });
    let none = r#"{"success":true,"data":[],"error":null}"#;
    assert_eq!(check(200, none).unwrap().prms, Some(Vec::new()));
    for (status, body, code) in [
        (401, r#"{"detail":"Invalid authentication credentials"}"#, "med_credentials"),
        (200, r#"{"success":true,"data":{"x":1}}"#, "undecodable"),
        (307, "", "redirect"),
        (403, "<html>", "banned"),
        (200, "", "empty"),
    ] {
        assert_eq!(check(status, body).unwrap_err().code, code, "{body}");
    }
}

#[test]
fn a_secret_that_is_a_token_says_when_it_ends() {
    // {"sub":"a-user","exp":1893456000}
    let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhLXVzZXIiLCJleHAiOjE4OTM0NTYwMDB9.c2ln";
    let settings = MyElectricalDataSettings { client_secret: SecretString::from(token), ..med(BASE_URL).0 };
    let grant = MyElectricalData::new(settings).grant();
    assert_eq!((grant.prms, grant.until.map(|until| until.timestamp())), (None, Some(1_893_456_000)));
    assert_eq!(med(BASE_URL).grant(), Grant::default());
}

proptest::proptest! {
    /// Whatever comes, it is a body that can be decoded or not, or a refusal that can be shown.
    #[test]
    fn any_answer_is_read(
        status in proptest::sample::select(vec![200_u16, 401, 403, 500]),
        body in proptest::prop_oneof![
            ".{0,60}",
            "\\{(\"(success|data|error)\":(true|false|null|\"x\"|\\{\\}|\\[\\]|\\{\"(meter_reading|periode|code|message|start|error)\":(null|7|\"[a-z]{0,8}\"|\\{\\})\\}),?){0,3}\\}",
        ],
    ) {
        let asked = days("2026-10-05", "2026-10-12");
        let response = response(status, &[], &body);
        with_ask(Dataset::ConsumptionLoadCurve, asked, "2026-10-11", |ask| {
            let source = med(BASE_URL);
            let _ = source.quota(&ask, &response, now());
            let _ = source.read_check(&response, now());
            match source.read(ask, &response, now()) {
                Reply::Body(body) => assert!(body.days.is_none_or(|days| days.intersect(asked) == Some(days))),
                Reply::Refused(refusal) => assert!(!refusal.code.is_empty() && !refusal.advice.is_empty()),
            }
        });
    }
}

#[test]
fn contracts_and_addresses_are_passed_on_and_people_are_not_asked_for() {
    let prm: Prm = "01234567890123".parse().unwrap();
    let med = med(BASE_URL);
    for (about, path) in [(CustomerDataset::Contract, "contract"), (CustomerDataset::Address, "address")] {
        let [call] = med.customer_calls(about, Api::V2026) else { panic!("one call") };
        let request = med.ask_customer(*call, &prm, None).unwrap();
        assert_eq!(request.url.as_str(), format!("{BASE_URL}/enedis/{path}/01234567890123"));
        assert!(request.headers.contains(&("x-med-format", "2026".to_owned())));
        let answer = response(200, &[], r#"{"success":true,"data":{"x":[1]},"error":null}"#);
        assert_eq!(med.read_customer(*call, &answer, now()).unwrap(), br#"{"x":[1]}"#);
        let refused = r#"{"success":false,"data":null,"error":{"code":"RATE_LIMIT_EXCEEDED","message":"used up"}}"#;
        let refused = response(200, &[], refused);
        let refusal = med.read_customer(*call, &refused, now()).unwrap_err();
        assert!(matches!(refusal.reaction, Reaction::RetryAt(Some(_))), "{refusal:?}");
    }
    for about in [CustomerDataset::Identity, CustomerDataset::Contact] {
        assert!(med.customer_calls(about, Api::V2026).is_empty());
    }
    assert!(med.ask_customer(CustomerCall::Situation, &prm, None).is_none());
}
