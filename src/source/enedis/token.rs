//! The token of the application: one for all its meters, got with its identifier and secret.

use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::Deserialize;

use crate::source::catalogue::{self, Endpoint, Front, Own};
use crate::source::{Refusal, Response, Token};

/// No token lives longer, whatever the answer says.
const LONGEST: u64 = 12_600;

/// The lifetime of a token whose answer gives none that makes sense.
const ASSUMED: u64 = 3_600;

#[derive(Deserialize)]
struct Granted {
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    expires_in: Option<serde_json::Value>,
}

/// Reads the answer to the request for a token.
pub(super) fn read(response: &Response, now: DateTime<Utc>) -> Result<Token, Refusal> {
    if response.status != 200 {
        return Err(catalogue::classify(Front::Enedis, Endpoint::Token, response, now));
    }
    let granted = serde_json::from_slice::<Granted>(&response.body).ok();
    let lifetime = granted.as_ref().and_then(|g| g.expires_in.as_ref()).and_then(seconds).unwrap_or(ASSUMED);
    match granted.and_then(|g| g.access_token).filter(|token| is_sendable(token)) {
        Some(token) => {
            Ok(Token { secret: SecretString::from(token), lifetime: Duration::from_secs(lifetime.min(LONGEST)) })
        }
        // The body is not shown: it may hold a token after all.
        None if response.body.first() == Some(&b'{') && !has_token(&response.body) => {
            Err(catalogue::classify(Front::Enedis, Endpoint::Token, response, now))
        }
        None => Err(catalogue::own(Own::Undecodable, Some(response.status), "")),
    }
}

/// Whether anything like a token stands in a body.
fn has_token(body: &[u8]) -> bool {
    String::from_utf8_lossy(body).contains("access_token")
}

/// `expires_in`, a number or a string of digits.
fn seconds(value: &serde_json::Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok()).filter(|seconds| *seconds > 0)
}

/// Whether a text can stand in a header.
fn is_sendable(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::source::Reaction;

    fn answer(status: u16, body: &str) -> Result<Token, Refusal> {
        let response = Response { status, headers: Vec::new(), body: body.as_bytes().to_vec() };
        read(&response, DateTime::UNIX_EPOCH)
    }

    #[test]
    fn the_lifetime_comes_as_number_or_string_and_is_bounded() {
        for (expires, seconds) in [
            ("12600", 12_600),
            (r#""12600""#, 12_600),
            ("5", 5),
            ("31536000", 12_600),
            ("0", 3_600),
            ("-1", 3_600),
            (r#""soon""#, 3_600),
            ("null", 3_600),
            ("1e3", 3_600),
        ] {
            let token =
                answer(200, &format!(r#"{{"access_token":"abc","token_type":"Bearer","expires_in":{expires}}}"#))
                    .unwrap();
            assert_eq!(token.lifetime, Duration::from_secs(seconds), "{expires}");
            assert_eq!(token.secret.expose_secret(), "abc");
        }
        assert_eq!(answer(200, r#"{"access_token":"abc"}"#).unwrap().lifetime, Duration::from_hours(1));
    }

    #[test]
    fn an_answer_without_a_token_is_refused_and_not_shown() {
        for body in [
            "",
            "<html>",
            "{}",
            r#"{"access_token":""}"#,
            r#"{"access_token":"a\r\nb"}"#,
            r#"{"access_token":"secret-token-value"#,
            r#"{"access_token":["secret-token-value"]}"#,
        ] {
            let refusal = answer(200, body).unwrap_err();
            assert_eq!(refusal.reaction, Reaction::RetryLater, "{body}");
            assert!(!refusal.excerpt.contains("secret"), "{refusal:?}");
        }
    }

    #[test]
    fn refusals_name_their_cause() {
        let credentials = Reaction::StopApp { credentials: true };
        let configuration = Reaction::StopApp { credentials: false };
        for (status, body, reaction) in [
            (400, r#"{"error":"invalid_client","error_description":"x"}"#, credentials),
            (401, r#"{"error":"invalid_client"}"#, credentials),
            (
                401,
                r#"{"error":"Unauthorized","error_description":"Valid authentication credentials are mandatory"}"#,
                credentials,
            ),
            (401, "", credentials),
            (401, r#"{"fault":{"code":900901,"message":"Invalid Credentials"}}"#, credentials),
            (400, r#"{"error":"invalid_scope"}"#, configuration),
            (400, r#"{"error":"unauthorized_client"}"#, configuration),
            (400, r#"{"error":"unsupported_grant_type"}"#, configuration),
            (400, r#"{"error":"invalid_grant"}"#, Reaction::Bug),
            (400, r#"{"error":"invalid_request"}"#, Reaction::Bug),
            (415, "", Reaction::Bug),
            (500, "", Reaction::RetryShort),
            (503, "", Reaction::RetryShort),
            (429, "", Reaction::RetryAt(None)),
            (403, "<html>blocked</html>", Reaction::RetryLater),
            (404, "<html>", Reaction::RetryLater),
            (307, "", Reaction::RetryLater),
            (200, r#"{"error":"invalid_client"}"#, credentials),
        ] {
            assert_eq!(answer(status, body).unwrap_err().reaction, reaction, "{status} {body}");
        }
    }
}
