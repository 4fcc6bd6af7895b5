//! What a token says about itself.
//!
//! Gateways hand out JSON web tokens, whose middle part can be read by anyone. It is read without
//! checking the signature, which only the gateway can do: nothing but advice depends on it. A token
//! of any other form says nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::DateTime;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::Grant;
use crate::domain::Prm;

/// Nothing longer is a token.
const LONGEST: usize = 16 * 1024;

/// The meters in `sub` and the end in `exp`.
pub(super) fn of_token(token: &SecretString) -> Grant {
    payload(token.expose_secret().trim()).map(|payload| read(&payload)).unwrap_or_default()
}

fn payload(token: &str) -> Option<Value> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    if token.len() > LONGEST || parts.next().is_some() {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn read(payload: &Value) -> Grant {
    let prm = |value: &Value| value.as_str()?.trim().parse::<Prm>().ok();
    let prms: Vec<Prm> = match payload.get("sub") {
        Some(Value::Array(all)) => all.iter().filter_map(prm).collect(),
        Some(one) => prm(one).into_iter().collect(),
        None => Vec::new(),
    };
    let end = payload.get("exp").and_then(Value::as_number).and_then(|number| {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a fraction of a second does not matter; too large is clipped"
        )]
        let whole = || number.as_f64().map(|seconds| seconds as i64);
        number.as_i64().or_else(whole)
    });
    let until = end.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    Grant { prms: (!prms.is_empty()).then_some(prms), until }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(payload: &str) -> SecretString {
        SecretString::from(format!("eyJhbGciOiJIUzI1NiJ9.{}.c2lnbmF0dXJl", URL_SAFE_NO_PAD.encode(payload)))
    }

    #[test]
    fn meters_and_end_are_read_from_the_payload() {
        let grant = of_token(&token(r#"{"sub":["01234567890123","12345678901234"],"iat":1,"exp":1893456000}"#));
        let prms = ["01234567890123", "12345678901234"].map(|prm| prm.parse::<Prm>().unwrap());
        assert_eq!(grant.prms.as_deref(), Some(&prms[..]));
        assert_eq!(grant.until.unwrap().to_rfc3339(), "2030-01-01T00:00:00+00:00");
        let grant = of_token(&token(r#"{"sub":"01234567890123","exp":1893456000.75}"#));
        assert_eq!((grant.prms.map(|p| p.len()), grant.until.map(|u| u.timestamp())), (Some(1), Some(1_893_456_000)));
    }

    #[test]
    fn what_is_no_token_says_nothing() {
        let padded = format!("x.{}=.y", URL_SAFE_NO_PAD.encode(r#"{"exp":60}"#));
        assert_eq!(of_token(&SecretString::from(padded)).until.unwrap().timestamp(), 60);
        for secret in ["", "plain-secret", "a.b", "a.b.c", "a.!!!.c", "a.e30.c", "a.e30.c.d", "a.W10.c", "...."] {
            assert_eq!(of_token(&SecretString::from(secret)), Grant::default(), "{secret}");
        }
        for payload in [r#"{"sub":[1,"x",null],"exp":"soon"}"#, r#"{"sub":"a user","exp":1e300}"#, "[]", "7", "\"\""] {
            assert_eq!(of_token(&token(payload)), Grant::default(), "{payload}");
        }
    }

    proptest! {
        #[test]
        fn garbage_does_no_harm(secret in ".{0,60}|[a-zA-Z0-9_=-]{0,20}\\.[a-zA-Z0-9_=-]{0,40}\\.x", payload in ".{0,60}") {
            let _ = of_token(&SecretString::from(secret));
            let _ = of_token(&token(&payload));
        }
    }
}
