//! Answers as they were seen, and what each of them calls for.

use proptest::prelude::*;

use super::*;
use crate::source::Reaches;

const FRONTS: [Front; 4] = [Front::Enedis, Front::Relayed, Front::ConsoApi, Front::MyElectricalData];

const METER: Reaction = Reaction::StopMeter(Reaches::Meter);
const DIRECTION: Reaction = Reaction::StopMeter(Reaches::Direction);

fn now() -> DateTime<Utc> {
    "2026-07-22T04:12:00Z".parse().unwrap()
}

fn refusal(status: u16, body: &str) -> Refusal {
    let response = Response { status, headers: Vec::new(), body: body.as_bytes().to_vec() };
    classify(Front::Enedis, Endpoint::Data, &response, now())
}

#[test]
fn business_codes_are_known_in_each_spelling_and_language() {
    for (status, code, reaction) in [
        (403, "ADAM-DC-0007", METER),
        (400, "ADAM-DC-0007", METER),
        (403, "ADAM_DC_0008", DIRECTION),
        (403, "adam-dc-0009", Reaction::ClampActivation),
        (403, "unauthorized_user", METER),
        (400, "ADAM-ERR0061", METER),
        (404, "STM-ERR-0000019", METER),
        (400, "ADAM-ERR0191", METER),
        (400, "Bad request", Reaction::StopDataset),
        (400, "Invalid_request", Reaction::Bug),
        (400, "invalid_resquest", Reaction::Bug),
        (400, "ADAM-ERR0002", Reaction::Bug),
        (400, "ADAM-ERR0126", Reaction::Narrow),
        (400, "ADAM-DC-0015", Reaction::Narrow),
        (400, "ADAM-ERR0125", Reaction::ClampHistory),
        (400, "ADAM-DC-0016", Reaction::ClampHistory),
        (400, "ADAM-ERR0123", Reaction::ClampActivation),
        (400, "ADAM-ERR0069", Reaction::StopDataset),
        (400, "ADAM-ERR0075", Reaction::StopDataset),
        (404, "no_data_found", Reaction::NoData),
        (404, "STM-ERR-0000014", Reaction::NoData),
        (404, "STM-ERR-0000020", Reaction::NoData),
        (500, "technical_error", Reaction::RetryLater),
        (500, "ADAM-DC-0500", Reaction::RetryLater),
        (500, "STM-ERR-0000001", Reaction::RetryLater),
        (401, "900900", Reaction::RetryShort),
        (401, "900901", Reaction::Reauth),
        (401, "900902", Reaction::Bug),
        (401, "900903", Reaction::Reauth),
        (401, "900904", Reaction::Reauth),
        (403, "900905", Reaction::StopApp { credentials: false }),
        (403, "900910", Reaction::StopApp { credentials: false }),
        (404, "900906", Reaction::StopApi),
        (503, "900907", Reaction::RetryLater),
        (403, "700700", Reaction::RetryLater),
        (403, "900908", Reaction::StopApi),
        (403, "900909", Reaction::StopApi),
        (403, "900805", Reaction::StopApp { credentials: false }),
        (429, "900800", Reaction::RetryAt(None)),
        (429, "900802", Reaction::RetryAt(None)),
        (429, "900803", Reaction::RetryAt(None)),
        (429, "900804", Reaction::RetryAt(None)),
        (429, "900806", Reaction::RetryAt(None)),
        (429, "900807", Reaction::Burst),
        (500, "101503", Reaction::RetryLater),
        (503, "101504", Reaction::RetryLater),
        (500, "303001", Reaction::RetryLater),
    ] {
        for body in [
            format!(r#"{{"error":"{code}","error_description":"Texte français"}}"#),
            format!(r#"{{"code":"{code}","message":"an English text"}}"#),
            format!(r#"{{"fault":{{"code":"{code}","message":"m"}}}}"#),
            format!(r#"[{{"code":"{code}"}}]"#),
        ] {
            let refusal = refusal(status, &body);
            assert_eq!(refusal.reaction, reaction, "{status} {body}");
            assert_eq!((refusal.status, refusal.code.is_empty()), (Some(status), false));
            assert!(!refusal.advice.is_empty());
        }
    }
    assert_eq!(refusal(403, r#"{"error":"ADAM_DC_0008"}"#).code, "ADAM-DC-0008");
}

#[test]
fn an_unknown_code_is_decided_by_its_status() {
    let (json, page, text) = (r#"{"error":"SOMETHING-NEW"}"#, "<html>", "plain words");
    for (status, body, code, reaction) in [
        (200, json, "SOMETHING-NEW", Reaction::RetryLater),
        (200, "{}", "undecodable", Reaction::RetryLater),
        (302, json, "SOMETHING-NEW", Reaction::RetryLater),
        (307, page, "redirect", Reaction::RetryLater),
        (400, json, "SOMETHING-NEW", Reaction::Bug),
        (400, text, "http_400", Reaction::Bug),
        (401, "", "http_401", Reaction::Reauth),
        (403, json, "SOMETHING-NEW", METER),
        (403, page, "html", Reaction::RetryLater),
        (404, "{}", "http_404", Reaction::NoData),
        (404, r#"{"message":"Pas de mesure trouvée pour ce point"}"#, "http_404", Reaction::NoData),
        (404, page, "html", Reaction::RetryLater),
        (404, text, "http_404", Reaction::RetryLater),
        (404, "", "http_404", Reaction::RetryLater),
        (405, "", "http_405", Reaction::Bug),
        (406, "", "http_406", Reaction::Bug),
        (408, "", "http_408", Reaction::RetryShort),
        (410, "", "http_410", Reaction::StopApi),
        (415, "", "http_415", Reaction::Bug),
        (418, "", "http_418", Reaction::Bug),
        (422, "", "http_422", Reaction::Bug),
        (425, "", "http_425", Reaction::RetryShort),
        (429, "", "http_429", Reaction::RetryAt(None)),
        (429, r#"{"code":"x","message":"SLA dépassé"}"#, "X", Reaction::RetryAt(None)),
        (500, json, "SOMETHING-NEW", Reaction::RetryShort),
        (500, r#"{"error":{"code":500,"message":"Erreur Technique - 500"}}"#, "http_500", Reaction::RetryShort),
        (500, "", "http_500", Reaction::RetryShort),
        (500, "500 Internal Server Error", "http_500", Reaction::RetryLater),
        (500, page, "http_500", Reaction::RetryLater),
        (501, json, "SOMETHING-NEW", Reaction::RetryLater),
        (502, page, "http_502", Reaction::RetryLater),
        (503, "", "http_503", Reaction::RetryLater),
        (504, json, "SOMETHING-NEW", Reaction::RetryLater),
        (520, page, "http_520", Reaction::RetryLater),
        (999, "", "undecodable", Reaction::RetryLater),
        (100, "", "undecodable", Reaction::RetryLater),
    ] {
        let refusal = refusal(status, body);
        assert_eq!((refusal.code.as_str(), refusal.reaction), (code, reaction), "{status} {body}");
    }
}

#[test]
fn quotas_of_a_second_and_of_an_hour_are_told_apart() {
    let q = |text: &str| {
        refusal(429, &format!(r#"{{"error":"429","error_description":"{text} Call threshold allowed on 0:-30:-40"}}"#))
    };
    for text in ["Quota.Q3.reached", "Quota Q3 reached"] {
        assert_eq!((q(text).reaction, q(text).code.as_str()), (Reaction::Burst, "QUOTA-Q3"));
    }
    for text in ["Quota.Q4.reached", "Quota Q4 reached"] {
        assert_eq!((q(text).reaction, q(text).code.as_str()), (Reaction::RetryAt(None), "QUOTA-Q4"));
    }
}

#[test]
fn a_time_that_makes_sense_is_kept_and_no_other() {
    let five = "2026-07-22T05:00:00Z".parse().ok();
    let body = |code: &str| format!(r#"{{"code":"{code}","nextAccessTime":"2026-Jul-22 05:00:00+0000 UTC"}}"#);
    assert_eq!(refusal(429, &body("900804")).reaction, Reaction::RetryAt(five));
    assert_eq!(refusal(429, &body("900807")).reaction, Reaction::RetryAt(five), "longer than a burst");
    assert_eq!(refusal(503, &body("900907")).reaction, Reaction::RetryLater);
    assert_eq!(refusal(429, &body("900804").replace("2026", "9999")).reaction, Reaction::RetryAt(None));
    let mut response = Response { status: 429, headers: vec![("retry-after".into(), "3".into())], body: Vec::new() };
    let at = |seconds| Some(now() + TimeDelta::seconds(seconds));
    assert_eq!(classify(Front::Enedis, Endpoint::Data, &response, now()).reaction, Reaction::RetryAt(at(3)));
    response.body = br#"{"code":"900807"}"#.to_vec();
    assert_eq!(classify(Front::Enedis, Endpoint::Data, &response, now()).reaction, Reaction::Burst);
}

#[test]
fn every_trouble_of_our_own_has_its_row() {
    for trouble in Own::ALL {
        let refusal = own(trouble, None, "connect to 01234567890123 failed\nhere");
        assert_eq!(refusal.code, trouble.code());
        assert!(!refusal.advice.is_empty(), "{trouble:?}");
        assert_eq!(refusal.excerpt, "connect to …0123 failed here");
    }
    assert_eq!(own(Own::Timeout, None, "").reaction, Reaction::RetryShort);
    assert_eq!(own(Own::WrongAnswer, Some(200), "").reaction, Reaction::RetryLater);
}

#[test]
fn every_code_says_whether_asking_again_helps() {
    use crate::source::enedis::consent::Failed;
    use outcomes::{OF_JOURNEYS, OF_PASSES};

    for row in rows().filter(|row| !row.stored().is_empty()) {
        assert!(retry_helps(row.stored()).is_some(), "{}", row.stored());
    }
    for (code, helps) in [("ADAM-DC-0008", false), ("900804", true), ("http_503", true), ("http_403", false)] {
        assert_eq!(retry_helps(code), Some(helps), "{code}");
    }
    for failed in Failed::every() {
        assert_eq!(retry_helps(failed.code()), Some(failed.retry_helps()), "{failed}");
    }
    for outcome in OF_PASSES.iter().chain(&OF_JOURNEYS) {
        // One word for one thing: none is the code of an answer, too.
        assert_eq!((row_of(outcome.code), retry_helps(outcome.code)), (None, Some(outcome.helps)), "{outcome:?}");
    }
    assert_eq!(retry_helps("nobody-knows"), None);
    assert_eq!(stored("ADAM-DC-0008").map(|refusal| refusal.retry_helps()), Some(false));
}

#[test]
fn a_whole_message_can_be_shown() {
    let body = format!(
        r#"{{"error":"ADAM-DC-0008","error_description":"{}\r\n\u001b[31mPRM 01234567890123"}}"#,
        "é".repeat(150)
    );
    let refusal = refusal(403, &body);
    assert!(refusal.excerpt.len() <= 200 && !refusal.excerpt.contains("01234567890"), "{}", refusal.excerpt);
    assert!(!refusal.excerpt.contains(char::is_control));
}

#[test]
fn an_api_that_is_gone_is_told_from_one_that_has_nothing() {
    let gone = |api, status, body: &str| api_unavailable(api, &refusal(status, body));
    for api in [Api::V5, Api::V2026] {
        for (status, body) in [
            (403, r#"{"code":"900908"}"#),
            (403, r#"{"code":"900909"}"#),
            (404, r#"{"code":"900906"}"#),
            (403, r#"{"code":"900907"}"#),
            (403, "<html>"),
            (404, "<html>"),
            (404, "not found"),
            (404, ""),
            (410, ""),
            (200, "<html>"),
        ] {
            assert!(gone(api, status, body), "{api} {status} {body}");
        }
        for (status, body) in [
            (404, r#"{"error":"no_data_found"}"#),
            (403, r#"{"error":"ADAM-DC-0008"}"#),
            (401, ""),
            (429, ""),
            (503, "<html>"),
            (307, "<html>"),
            (400, r#"{"error":"ADAM-ERR0123"}"#),
        ] {
            assert!(!gone(api, status, body), "{api} {status} {body}");
        }
    }
    assert!(gone(Api::V5, 404, "{}"));
    assert!(!gone(Api::V2026, 404, r#"{"message":"Pas de mesure trouvée pour ce point"}"#));
}

#[test]
fn no_row_is_hidden_by_one_before_it() {
    let all: Vec<&Row> = rows().collect();
    for (index, row) in all.iter().enumerate() {
        let hides = |earlier: &&&Row| {
            let same_front = earlier.fronts.is_empty()
                || !row.fronts.is_empty() && row.fronts.iter().all(|front| earlier.fronts.contains(front));
            let same_place = earlier.at == row.at || (earlier.at == At::Both && row.at != At::Own);
            let shapes = earlier.shapes.is_empty()
                || !row.shapes.is_empty() && row.shapes.iter().all(|shape| earlier.shapes.contains(shape));
            let status = earlier.status.contains(row.status.start()) && earlier.status.contains(row.status.end());
            earlier.code == row.code && same_front && same_place && shapes && status
        };
        assert!(!all.iter().take(index).any(|earlier| hides(&earlier)), "{} {:?}", row.code, row.status);
        let normal = crate::source::envelope::normalise(row.code);
        assert!(row.at == At::Own || row.code == normal, "{} is never found", row.code);
        assert!(row.advice.ends_with('.') && !row.advice.contains('|'), "{}", row.advice);
    }
}

proptest! {
    /// Whatever comes, the operator gets advice and a code and an excerpt that are safe to print.
    #[test]
    fn any_answer_is_classified(
        status in 0..=1000_u16, token: bool, front in prop::sample::select(FRONTS.to_vec()), retry in prop::option::of(".{0,20}"),
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            "[{\\[]{0,3}(\"(error|code|message|fault|detail)\":){0,2}[\"0-9a-zA-Z{}\\]]{0,30}".prop_map(String::into_bytes),
            ".{0,40}".prop_map(|text| serde_json::json!({"error": text, "error_description": text}).to_string().into_bytes()),
        ],
    ) {
        let headers = retry.map(|value| ("retry-after".to_owned(), value)).into_iter().collect();
        let endpoint = if token { Endpoint::Token } else { Endpoint::Data };
        let refusal = classify(front, endpoint, &Response { status, headers, body }, now());
        prop_assert!(!refusal.advice.is_empty());
        prop_assert!((1..=40).contains(&refusal.code.len()), "{:?}", refusal.code);
        prop_assert!(refusal.code.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)), "{:?}", refusal.code);
        prop_assert!(refusal.excerpt.len() <= 200 && !refusal.excerpt.contains(char::is_control));
        if let Reaction::RetryAt(Some(at)) = refusal.reaction {
            prop_assert!(at > now() && at <= now() + TimeDelta::hours(26));
        }
    }
}
