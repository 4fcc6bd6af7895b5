//! One call that is not made for a series' sake: in the journal before it is made, within the budget, at the
//! pace of all others, and what it teaches about a pause is kept.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{ActiveSource, Engine, react};
use crate::budget::Verdict;
use crate::domain::Api;
use crate::source::{Pool, Reaction, Refusal, Request, Response, Token, catalogue};
use crate::store::{CallEnd, Effect, NewCall, Reserved, SourceFacts, SourceState, StoreError};

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counted<T> {
    /// What its answer was read as.
    Answered(T),
    /// It was refused.
    Refused(Refusal),
    /// It was not made: the source rests, or its budget is used up, until then (machine) where that is known.
    NotMade {
        /// Until when.
        until: Option<DateTime<Utc>>,
        /// Why the source rests; `None` where the budget is used up.
        rests: Option<String>,
    },
}

impl Engine {
    /// What is known of a source, after the store was told of it where it has not been.
    pub(super) async fn source_facts(&self, name: &str) -> Result<SourceFacts, StoreError> {
        let since = self.calendar.now().timestamp();
        let known = |sources: Vec<SourceFacts>| sources.into_iter().find(|source| source.name == name);
        if let Some(found) = known(self.store.facts(since).await?.sources) {
            return Ok(found);
        }
        self.prepare().await?;
        known(self.store.facts(since).await?.sources).ok_or_else(|| StoreError::Inconsistent {
            table: "source",
            what: "a source that was just written is not there".to_owned(),
        })
    }

    /// Makes one call of a source and reads its answer.
    pub(super) async fn counted<T>(
        &self,
        active: &ActiveSource,
        api: Option<Api>,
        request: &Request,
        read: impl FnOnce(&Response, DateTime<Utc>) -> Result<T, Refusal>,
    ) -> Result<Counted<T>, StoreError> {
        let facts = self.source_facts(active.source.name()).await?;
        let new = NewCall {
            source: facts.id,
            api,
            pool: Pool::Live,
            asks: None,
            keep: None,
            seen: None,
            lease: None,
            lead_ms: 0,
            despite_rest: false,
            asked_at: self.calendar.now().timestamp(),
        };
        let now_ms = self.clock.now().timestamp_millis();
        let call = match self.store.reserve(&new, &active.limits_of(Pool::Live), now_ms).await? {
            Reserved::Go { call, at_ms, .. } => {
                let wait = u64::try_from(at_ms - now_ms).unwrap_or_default();
                self.clock.sleep(Duration::from_millis(wait)).await;
                call
            }
            Reserved::Wait(Verdict::Wait { until, .. }) => {
                return Ok(Counted::NotMade { until: DateTime::from_timestamp_millis(until), rests: None });
            }
            Reserved::Rests(until) => {
                let rests = Some(facts.state.message.unwrap_or_default());
                return Ok(Counted::NotMade { until: DateTime::from_timestamp_millis(until), rests });
            }
            // It takes no lease, and so meets none.
            Reserved::Wait(Verdict::Go { .. }) | Reserved::Taken(_) | Reserved::Changed => {
                return Ok(Counted::NotMade { until: None, rests: None });
            }
        };
        let began = self.clock.monotonic();
        let result = active.transport.send(request).await;
        let took = self.clock.monotonic().saturating_sub(began);
        let now = self.clock.now();
        let read = match &result {
            Ok(response) => read(response, now),
            Err(error) => Err(catalogue::own(error.trouble(), None, "")),
        };
        let end = CallEnd {
            call,
            lease: None,
            status: result.as_ref().ok().map(|response| response.status),
            code: read.as_ref().err().map(|refusal| refusal.code.clone()),
            duration_ms: i64::try_from(took.as_millis()).unwrap_or(i64::MAX),
        };
        let effects = read.as_ref().err().and_then(|refusal| pause(&facts, refusal, now)).into_iter().collect();
        self.store.settle(end, effects).await?;
        Ok(read.map_or_else(Counted::Refused, Counted::Answered))
    }

    /// A token of a source; what it has is used as long as it lasts.
    pub(super) async fn token(
        &self,
        active: &ActiveSource,
        held: &mut Option<(Token, Duration)>,
    ) -> Result<Counted<Token>, StoreError> {
        let now = self.clock.monotonic();
        if let Some((token, _)) = held.as_ref().filter(|(_, until)| *until > now) {
            return Ok(Counted::Answered(token.clone()));
        }
        let Some(request) = active.source.token_request() else {
            let refusal = catalogue::own(catalogue::Own::Undecodable, None, "");
            return Ok(Counted::Refused(refusal));
        };
        let read = |response: &Response, now: DateTime<Utc>| active.source.read_token(response, now);
        let counted = self.counted(active, None, &request, read).await?;
        if let Counted::Answered(token) = &counted {
            *held = Some((token.clone(), now + token.usable()));
        }
        Ok(counted)
    }
}

/// What is to be kept of a refusal: a pause that the source asked for, or that a ban makes wise. That
/// credentials are refused is not kept: somebody is about to mend that.
#[must_use]
pub fn pause(facts: &SourceFacts, refusal: &Refusal, now: DateTime<Utc>) -> Option<Effect> {
    let until = match refusal.reaction {
        Reaction::Ban => now.timestamp_millis() + react::BAN_MS,
        Reaction::RetryAt(told) => react::resume_at(told, now, fastrand::u32(0..=1_000)),
        _ => return None,
    };
    let state = SourceState {
        not_before_ms: Some(until),
        code: Some(refusal.code.clone()),
        message: Some(react::message(refusal)),
        ..facts.state.clone()
    };
    Some(Effect::Source { source: facts.id, state })
}
