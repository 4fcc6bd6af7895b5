//! Application tokens: issued, checked, revoked.
//!
//! Enedis has one token for the whole application; consent is looked up at each call. Tokens
//! live by the machine's monotonic clock, so moving the simulated day does not expire them.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::base64;
use super::refusal::{Envelope, Refusal};
use super::rules::{Query, get};
use crate::domain::Api;

/// How tokens are handed out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenRules {
    /// Seconds that a token lives.
    pub ttl_seconds: u64,
    /// Writes `expires_in` as text, as the description of the API has it.
    pub expires_in_as_text: bool,
    /// What the token is for, as the answer says.
    pub scope: String,
    /// Refuses services of v5 whose scope is not among these.
    pub enforce_scopes: bool,
    /// The only client that is known; anybody with a name and a secret where left out.
    pub client_id: Option<String>,
    /// The secret of that client.
    pub client_secret: Option<String>,
}

impl Default for TokenRules {
    fn default() -> Self {
        Self {
            ttl_seconds: 12_600,
            expires_in_as_text: false,
            scope: "am_application_scope default".to_owned(),
            enforce_scopes: false,
            client_id: None,
            client_secret: None,
        }
    }
}

/// The tokens that were issued.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    issued: u64,
    live: BTreeMap<String, Duration>,
}

impl Tokens {
    /// Issues one.
    fn issue(&mut self, now: Duration, ttl: Duration) -> String {
        self.issued += 1;
        // Long dead ones are forgotten, so that a run of weeks does not grow.
        self.live.retain(|_, until| *until + ttl > now);
        let token = format!("simulated.{:08}.{:016x}", self.issued, now.as_nanos() ^ u128::from(self.issued));
        self.live.insert(token.clone(), now + ttl);
        token
    }

    /// Forgets all of them: each is answered 401 from now on.
    pub(super) fn revoke_all(&mut self) {
        self.live.clear();
    }

    /// Checks the header of a data call.
    pub(super) fn check(&self, headers: &HeaderMap, now: Duration, api: Api) -> Result<(), Refusal> {
        let envelope = match api {
            Api::V5 => Envelope::E4,
            Api::V2026 => Envelope::E3,
        };
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(token) = given.and_then(|value| value.strip_prefix("Bearer ")) else {
            let text = "Invalid Credentials. Make sure your API invocation call has a header: 'Authorization : Bearer ACCESS_TOKEN'";
            return Err(Refusal::new(401, envelope, "900902", text));
        };
        match self.live.get(token) {
            Some(until) if now < *until => Ok(()),
            Some(_) => Err(Refusal::new(401, envelope, "900903", "Access token has expired")),
            None => {
                let text = "Invalid Credentials. Make sure you have provided the correct security credentials";
                Err(Refusal::new(401, envelope, "900901", text))
            }
        }
    }

    /// Answers a request for a token; parameters of body and query count alike.
    pub(super) fn answer(
        &mut self,
        rules: &TokenRules,
        headers: &HeaderMap,
        form: &Query,
        now: Duration,
    ) -> Result<Response, Refusal> {
        let grant = get(form, "grant_type")
            .ok_or_else(|| Refusal::business(400, "invalid_request", "Missing grant_type parameter value"))?;
        if grant != "client_credentials" {
            return Err(Refusal::business(400, "unsupported_grant_type", "Unsupported grant_type value"));
        }
        let (id, secret) = match basic(headers) {
            Some(pair) => pair,
            None => (
                get(form, "client_id").unwrap_or_default().to_owned(),
                get(form, "client_secret").unwrap_or_default().to_owned(),
            ),
        };
        let right = |wanted: &Option<String>, given: &str| match wanted {
            Some(wanted) => wanted == given,
            None => !given.is_empty(),
        };
        if !right(&rules.client_id, &id) || !right(&rules.client_secret, &secret) {
            let text = "A valid OAuth client could not be found for client_id";
            return Err(Refusal::business(401, "invalid_client", text));
        }
        let token = self.issue(now, Duration::from_secs(rules.ttl_seconds));
        let expires_in =
            if rules.expires_in_as_text { json!(rules.ttl_seconds.to_string()) } else { json!(rules.ttl_seconds) };
        let body = json!({
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": expires_in,
            "scope": rules.scope,
        });
        Ok((StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response())
    }

    /// Revokes one token; an unknown one is no error.
    pub(super) fn revoke(&mut self, form: &Query) -> Result<(), Refusal> {
        let token = get(form, "token")
            .ok_or_else(|| Refusal::business(400, "invalid_request", "Missing token parameter value"))?;
        self.live.remove(token);
        Ok(())
    }
}

/// Name and secret of an HTTP Basic header.
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let plain = String::from_utf8(base64::decode(value.strip_prefix("Basic ")?.trim())?).ok()?;
    let (id, secret) = plain.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}
