//! What a gateway does behind its user's back: it asks Enedis with its own token.
//!
//! The answer is the one that Enedis has for that gateway's consent. Faults that are ordered for
//! the calls of a gateway itself (`upstream = true`) strike here, so that they come out in the
//! gateway's own wrapping, as when the quota that all of its users share is used up.

use axum::http::StatusCode;

use super::action::Action;
use super::answer::Answer;
use super::edge::Asked;
use super::enedis::consult;
use super::faults::{Call, Endpoint};
use super::rules::{Query, names};
use super::server::Simulator;
use crate::domain::{Api, Dataset};

/// Why a gateway has no answer for its user.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// Enedis refused.
    Refused {
        /// The status of Enedis.
        status: u16,
        /// Its code, where one was to be seen.
        code: String,
        /// Its body, as it was.
        body: String,
    },
    /// The gateway got no token from Enedis.
    NoToken,
    /// The connection broke, or what came was no answer.
    Broken,
}

impl Failure {
    /// The code that the log notes.
    pub(super) fn code(&self) -> Option<String> {
        match self {
            Self::Refused { code, .. } => Some(code.clone()).filter(|code| !code.is_empty()),
            Self::NoToken | Self::Broken => None,
        }
    }
}

/// The parameters that Enedis wants, from what the user gave.
pub(super) fn parameters(api: Api, dataset: Dataset, [prm, start, end]: [&str; 3], peak: [&str; 2]) -> Query {
    let [prm_name, start_name, end_name] = names(api);
    let mut query = vec![(prm_name, prm), (start_name, start), (end_name, end)];
    if api == Api::V2026 && dataset == Dataset::DailyMaxPower {
        let [step, quantity] = peak;
        query.extend([("mesuresPas", step), ("grandeurPhysique", quantity)]);
    }
    query.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

impl Simulator {
    /// Asks Enedis for a user of a gateway.
    pub(super) async fn upstream(&self, asked: &Asked, query: &Query) -> Result<Answer, Failure> {
        let (world, now, token, fate) = {
            let state = &mut *self.state();
            let now = state.calendar.now();
            let call = Call { upstream: true, ..asked.call(now) };
            let token = Call { endpoint: Endpoint::Token, front: asked.front, upstream: true, now, ..Call::default() };
            let (token, seed) = (token, state.world.seed);
            let token = state.tally.actions(&state.faults, &token, seed);
            let actions = state.tally.actions(&state.faults, &call, seed);
            let delay = state.ordered_delay(&actions);
            (state.world_at(asked.front), now, token, super::edge::Fate { actions, delay })
        };
        self.linger(&fate).await;
        if !token.is_empty() {
            return Err(Failure::NoToken);
        }
        if let Some((response, code)) = self.instead(&fate) {
            let status = response.status();
            let body = axum::body::to_bytes(response.into_body(), 1 << 20).await;
            return match body {
                Ok(body) if status != StatusCode::OK && !status.is_redirection() => Err(Failure::Refused {
                    status: status.as_u16(),
                    code: code.unwrap_or_default(),
                    body: String::from_utf8_lossy(&body).into_owned(),
                }),
                _ => Err(Failure::Broken),
            };
        }
        let breaks = |action: &Action| matches!(action, Action::CutBody | Action::Truncated | Action::InvalidUtf8);
        let mut answer = consult(&world, now, asked.api, asked.dataset, query).map_err(|refusal| Failure::Refused {
            status: refusal.status,
            body: refusal.body(),
            code: refusal.code,
        })?;
        if fate.actions.iter().any(breaks) {
            return Err(Failure::Broken);
        }
        self.spoil(&mut answer, &fate.actions);
        Ok(answer)
    }
}
