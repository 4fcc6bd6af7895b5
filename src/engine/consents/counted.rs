//! One call that is not made for a series' sake: in the journal before it is made, within the budget, at the
//! pace of all others, and what it teaches about a pause is kept.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::{ActiveSource, Engine, react};
use crate::budget::{Keep, Verdict};
use crate::client::Pace;
use crate::domain::Api;
use crate::engine::punctual;
use crate::source::{Pool, Reaction, Refusal, Request, Response, Token, catalogue};
use crate::store::{CallEnd, CallId, Effect, NewCall, Reserved, SourceFacts, StoreError};

/// A line of the journal is asked for so often for one call.
const MOST_LINES: u32 = 5;

/// What calls of one caller share, and what they mind.
#[derive(Debug)]
pub struct Terms {
    /// What is known of their source.
    pub facts: SourceFacts,
    /// What they leave of the day's calls for others, if they can wait.
    pub keep: Option<Keep>,
    /// What left lately.
    pub pace: Pace,
    /// How much later than their lines say calls left lately, at the most.
    pub lateness: Duration,
    /// What it took lately to write a line, at the most.
    pub took: Duration,
    /// A token, and until when it is good (monotonic).
    pub held: Option<(Token, Duration)>,
    /// Asks to make no more calls, and not to wait for the one in the air.
    pub stop: CancellationToken,
}

impl Terms {
    /// Those of a caller that has made no call of that source yet and keeps nothing free.
    #[must_use]
    pub fn new(facts: SourceFacts, stop: CancellationToken) -> Self {
        let none = Duration::ZERO;
        Self { facts, keep: None, pace: Pace::default(), lateness: none, took: none, held: None, stop }
    }
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counted<T> {
    /// What its answer was read as.
    Answered(T),
    /// It was refused.
    Refused(Refusal),
    /// It was not made, or not waited for: the source rests, or its budget is used up, until then (machine) where
    /// that is known, or somebody asked to stop.
    NotMade {
        /// Until when.
        until: Option<DateTime<Utc>>,
        /// Why the source rests; `None` where the budget is used up.
        rests: Option<String>,
    },
}

impl Engine {
    /// What is known of a source, after the store was told of it where it has not been. Reads no series, of
    /// which there may be thousands.
    pub async fn source_facts(&self, name: &str) -> Result<SourceFacts, StoreError> {
        let since = self.calendar.now().timestamp();
        let known = |sources: Vec<SourceFacts>| sources.into_iter().find(|source| source.name == name);
        if let Some(found) = known(self.store.series_facts(&[], since).await?.sources) {
            return Ok(found);
        }
        self.prepare().await?;
        known(self.store.series_facts(&[], since).await?.sources).ok_or_else(|| StoreError::Inconsistent {
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
        terms: &mut Terms,
        read: impl FnOnce(&Response, DateTime<Utc>) -> Result<T, Refusal>,
    ) -> Result<Counted<T>, StoreError> {
        let call = match self.line(active, api, terms).await? {
            Ok(call) => call,
            Err((until, rests)) => return Ok(Counted::NotMade { until, rests }),
        };
        let began = self.clock.monotonic();
        let result = tokio::select! {
            biased;
            result = active.transport.send(request) => result,
            // Its line stays without an end, as those of all calls that are in the air when a pass is stopped.
            () = terms.stop.cancelled() => return Ok(Counted::NotMade { until: None, rests: None }),
        };
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
        let paused = read.as_ref().err().and_then(|refusal| pause(&terms.facts, refusal, now));
        if let Some(Effect::Source { state, .. }) = &paused {
            terms.facts.state = state.clone();
        }
        self.store.settle(end, paused.into_iter().collect()).await?;
        Ok(read.map_or_else(Counted::Refused, Counted::Answered))
    }

    /// Writes the line of a call and waits until it may leave; else until when there is none, and why the source
    /// rests.
    async fn line(
        &self,
        active: &ActiveSource,
        api: Option<Api>,
        terms: &mut Terms,
    ) -> Result<Result<CallId, (Option<DateTime<Utc>>, Option<String>)>, StoreError> {
        let shared = self.store.is_shared();
        for _ in 0..MOST_LINES {
            if terms.stop.is_cancelled() {
                break;
            }
            // Both clocks are read before the line is written: what that takes is no part of the wait.
            let (now_ms, now) = (self.clock.now().timestamp_millis(), self.clock.monotonic());
            let new = NewCall {
                source: terms.facts.id,
                api,
                pool: Pool::Live,
                asks: None,
                keep: terms.keep,
                seen: None,
                lease: None,
                lead_ms: punctual::lead_ms(shared, terms.took),
                despite_rest: false,
                asked_at: self.calendar.now().timestamp(),
            };
            let slow = terms.facts.state.slow_until_ms.is_some_and(|until| until > now_ms);
            let limits = active.limits_of(Pool::Live);
            let limits = if slow { limits.halved() } else { limits };
            let reserved = self.store.reserve(&new, &limits, now_ms).await?;
            terms.took = punctual::took(terms.took, self.clock.monotonic().saturating_sub(now));
            let (call, at_ms) = match reserved {
                Reserved::Go { call, at_ms, .. } => (call, at_ms),
                Reserved::Wait(Verdict::Wait { until, .. }) => {
                    return Ok(Err((DateTime::from_timestamp_millis(until), None)));
                }
                Reserved::Rests(until) => {
                    let why = terms.facts.state.message.clone().unwrap_or_default();
                    return Ok(Err((DateTime::from_timestamp_millis(until), Some(why))));
                }
                // It takes no lease, and so meets none.
                Reserved::Wait(Verdict::Go { .. }) | Reserved::Taken(_) | Reserved::Changed => break,
            };
            let start = now + Duration::from_millis((at_ms - now_ms).max(0).unsigned_abs());
            self.clock.sleep_until(start.max(terms.pace.next(&limits))).await;
            let left = self.clock.monotonic();
            let late = left > start + punctual::latest(shared, terms.lateness);
            terms.lateness = punctual::lateness(terms.lateness, left.saturating_sub(start));
            if !late {
                terms.pace.sent(left);
                return Ok(Ok(call));
            }
            self.store.settle(react::not_made(call, None), Vec::new()).await?;
        }
        Ok(Err((None, None)))
    }

    /// A token of a source; what it has is used as long as it lasts.
    pub(super) async fn token(&self, active: &ActiveSource, terms: &mut Terms) -> Result<Counted<Token>, StoreError> {
        let now = self.clock.monotonic();
        if let Some((token, _)) = terms.held.as_ref().filter(|(_, until)| *until > now) {
            return Ok(Counted::Answered(token.clone()));
        }
        let Some(request) = active.source.token_request() else {
            let refusal = catalogue::own(catalogue::Own::Undecodable, None, "");
            return Ok(Counted::Refused(refusal));
        };
        let read = |response: &Response, now: DateTime<Utc>| active.source.read_token(response, now);
        let counted = self.counted(active, None, &request, terms, read).await?;
        if let Counted::Answered(token) = &counted {
            terms.held = Some((token.clone(), now + token.usable()));
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
    Some(Effect::Source { source: facts.id, state: react::rest(&facts.state, refusal, until) })
}
