//! JSON Web Tokens with HMAC-SHA256, which both gateways hand to their users.

use ring::hmac;
use serde_json::{Value, json};

use super::base64;

/// A token that says `claims`, signed with `secret`.
pub(super) fn sign(secret: &str, claims: &Value) -> String {
    let header = json!({ "alg": "HS256", "typ": "JWT" });
    let said = [&header, claims].map(|part| base64::encode(part.to_string().as_bytes())).join(".");
    let tag = hmac::sign(&key(secret), said.as_bytes());
    format!("{said}.{}", base64::encode(tag.as_ref()))
}

/// What a token says, if `secret` signed it. Whether it still holds is up to the reader.
pub(super) fn verify(secret: &str, token: &str) -> Option<Value> {
    let (said, tag) = token.rsplit_once('.')?;
    let (header, claims) = said.split_once('.')?;
    let header: Value = serde_json::from_slice(&base64::decode(header)?).ok()?;
    // Whoever accepts another algorithm accepts unsigned tokens.
    if header.get("alg")?.as_str()? != "HS256" {
        return None;
    }
    hmac::verify(&key(secret), said.as_bytes(), &base64::decode(tag)?).ok()?;
    serde_json::from_slice(&base64::decode(claims)?).ok()
}

fn key(secret: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A token made with a well-known implementation: secret `your-256-bit-secret`.
    const KNOWN: &str = concat!(
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.",
        "eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.",
        "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
    );

    #[test]
    fn a_token_of_others_is_understood_and_a_forged_one_is_not() {
        assert_eq!(verify("your-256-bit-secret", KNOWN).unwrap()["sub"], "1234567890");
        assert_eq!(verify("another secret", KNOWN), None);
        let mine = sign("s", &json!({ "sub": ["12345678901234"] }));
        assert_eq!(verify("s", &mine).unwrap()["sub"][0], "12345678901234");
        let (said, _) = mine.rsplit_once('.').unwrap();
        assert_eq!(verify("s", &format!("{said}.")), None);
        let unsigned = base64::encode(br#"{"alg":"none"}"#);
        assert_eq!(verify("s", &format!("{unsigned}.e30.")), None);
        assert_eq!(verify("s", "no token"), None);
    }
}
