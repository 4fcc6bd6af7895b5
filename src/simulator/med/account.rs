//! Who asks MyElectricalData: credentials, the quota of an account, its ban.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Value, json};

use super::memory::Memory;
use super::rules::{MedAccount, MedCounters, MedRules};
use super::{detail, json_answer};
use crate::simulator::action::Action;
use crate::simulator::edge::pairs;
use crate::simulator::jwt;
use crate::simulator::refusal::{Envelope, Refusal};
use crate::simulator::rules::get;

/// Seconds that a token of the gateway is good for: thirty days.
const TOKEN_SECONDS: i64 = 30 * 86_400;

/// Everything that MyElectricalData remembers.
#[derive(Debug, Default)]
pub(in crate::simulator) struct Med {
    pub(in crate::simulator) counters: MedCounters,
    pub(super) memory: Memory,
    /// Calls of each account that were let in today, past the cache and through it.
    spent: BTreeMap<(String, bool), (NaiveDate, u64)>,
    /// Calls of each account since the beginning of the day, refused ones too.
    tried: BTreeMap<(String, bool), (NaiveDate, u64)>,
    offences: BTreeMap<String, u32>,
}

/// What is left of a quota after a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left {
    pub(super) limit: Option<u64>,
    pub(super) spent: u64,
}

impl Med {
    /// Counts a call of an account; the error is the quota that it would exceed.
    pub(super) fn spend(
        &mut self,
        rules: &MedRules,
        account: &MedAccount,
        cached: bool,
        wall: DateTime<Utc>,
        actions: &[Action],
    ) -> Result<Left, Left> {
        let day = wall.date_naive();
        let count = |counts: &mut BTreeMap<(String, bool), (NaiveDate, u64)>, by: u64| {
            let counted = counts.entry((account.client_id.clone(), cached)).or_insert((day, 0));
            if counted.0 != day {
                *counted = (day, 0);
            }
            counted.1 += by;
            counted.1
        };
        let tried = count(&mut self.tried, 1);
        let (by_day, most) = if cached {
            (&mut self.counters.cached, &mut self.counters.max_cached_in_a_day)
        } else {
            (&mut self.counters.uncached, &mut self.counters.max_uncached_in_a_day)
        };
        *by_day.entry(day).or_default() += 1;
        *most = (*most).max(tried);

        let usual = if cached { rules.cached_per_day } else { rules.uncached_per_day };
        let ordered = actions.iter().find_map(|action| match action {
            Action::Quota { cached: other, .. } if cached => *other,
            Action::Quota { uncached, .. } => *uncached,
            _ => None,
        });
        let limit = ordered.or(usual.map(u64::from));
        let spent = count(&mut self.spent, 0);
        if limit.is_some_and(|limit| spent >= limit) {
            self.counters.refused_by_quota += 1;
            let offences = self.offences.entry(account.client_id.clone()).or_default();
            *offences += 1;
            if rules.ban_after.is_some_and(|limit| *offences >= limit) {
                self.counters.banned.insert(account.client_id.clone());
            }
            return Err(Left { limit, spent });
        }
        Ok(Left { limit, spent: count(&mut self.spent, 1) })
    }

    /// Opens closed accounts again.
    pub(in crate::simulator) fn lift_bans(&mut self) {
        self.counters.banned.clear();
        self.offences.clear();
    }

    /// Forgets what was counted; what is in the cache stays there.
    pub(in crate::simulator) fn forget_counts(&mut self) {
        *self = Self { memory: std::mem::take(&mut self.memory), ..Self::default() };
    }
}

fn signing_secret(seed: u64) -> String {
    format!("secret of the simulated MyElectricalData, seed {seed}")
}

/// The account that a request is made for, by its secret or by a token.
pub(super) fn identify(
    rules: &MedRules,
    seed: u64,
    headers: &HeaderMap,
    wall: DateTime<Utc>,
) -> Result<MedAccount, Refusal> {
    let refusal = |text| Refusal::new(401, Envelope::G2, "", text);
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Some(bearer) = given.strip_prefix("Bearer ") else { return Err(refusal("Not authenticated")) };
    let claims = jwt::verify(&signing_secret(seed), bearer);
    let subject = claims
        .filter(|claims| claims.get("exp").and_then(Value::as_i64).is_some_and(|until| wall.timestamp() < until))
        .and_then(|claims| claims.get("sub").and_then(Value::as_str).map(str::to_owned));
    let meant = |account: &MedAccount| match &subject {
        Some(subject) => account.client_id == *subject,
        None => account.client_secret == bearer,
    };
    let account = rules.accounts(seed).into_iter().find(meant);
    account.ok_or_else(|| refusal("Invalid authentication credentials"))
}

/// Answers a request for a token; a form and JSON count alike.
pub(super) fn token(rules: &MedRules, seed: u64, wall: DateTime<Utc>, body: &Bytes) -> Response {
    let text = String::from_utf8_lossy(body);
    let form = match serde_json::from_str::<Value>(&text) {
        Ok(Value::Object(object)) => {
            object.into_iter().map(|(name, value)| (name, value.as_str().unwrap_or_default().to_owned())).collect()
        }
        _ => pairs(Some(&text)),
    };
    let (id, secret) = (get(&form, "client_id").unwrap_or_default(), get(&form, "client_secret").unwrap_or_default());
    let known = rules.accounts(seed).iter().any(|account| account.client_id == id && account.client_secret == secret);
    if !known {
        return detail(401, "Invalid client credentials");
    }
    let issued = wall.timestamp();
    let claims = json!({ "sub": id, "iat": issued, "exp": issued + TOKEN_SECONDS });
    let token = jwt::sign(&signing_secret(seed), &claims);
    json_answer(200, &json!({ "access_token": token, "token_type": "bearer", "expires_in": TOKEN_SECONDS }))
}
