//! The access token: fetched when a call needs it, renewed ahead of its end, replaced when it is
//! refused. The loop of the pass is the only one that fetches, so many waiting calls share one
//! renewal.

use std::time::Duration;

use super::dispatch::Line;
use super::refusal::Why;
use super::{SHORT_PAUSE_MS, SourcePass, millis};
use crate::engine::react;
use crate::engine::report::Stop;
use crate::source::catalogue;
use crate::source::{Pool, Reaction, Refusal, Token};
use crate::store::{CallEnd, Effect, NewCall, StoreError};

/// Time after which refused credentials are tried again.
pub(super) const TOKEN_REST_MS: i64 = 6 * 3_600_000;

/// Time after which a token service that failed is asked again; it doubles with each failure.
const AGAIN_MS: i64 = 60_000;

/// The longest such time.
const LONGEST_AGAIN_MS: i64 = 3_600_000;

/// What is known of the token.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    current: Option<(Token, Duration)>,
    number: u64,
    /// The newest token with which a call was let in.
    proven: u64,
    /// Tokens refused one after the other, none of them proven.
    refused: u32,
}

impl Tokens {
    /// The number of the token in hand; 0 before the first.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The token in hand.
    pub(super) fn in_hand(&self) -> Option<Token> {
        self.current.as_ref().map(|(token, _)| token.clone())
    }

    /// A call with this token was let in.
    pub(super) fn let_in(&mut self, number: u64) {
        self.proven = self.proven.max(number);
        self.refused = 0;
    }

    /// Whether a call with this token was let in before.
    pub(super) fn is_proven(&self, number: u64) -> bool {
        number <= self.proven
    }

    /// A call with this token was refused: it is not used again. Whether the one before it, just
    /// as fresh, was refused as well.
    pub(super) fn refused(&mut self, number: u64) -> bool {
        if number == self.number && self.current.take().is_some() {
            self.refused += 1;
        }
        self.refused >= 2
    }
}

impl SourcePass<'_> {
    pub(super) fn token_is_due(&self) -> bool {
        let now = self.engine.clock.monotonic();
        self.active.source.token_request().is_some()
            && self.tokens.current.as_ref().is_none_or(|(_, until)| *until <= now)
    }

    /// Fetches a token; the instant from which calls may leave, or `None` where there is none.
    pub(super) async fn renew_token(&mut self) -> Result<Option<Duration>, StoreError> {
        let Some(request) = self.active.source.token_request() else { return Ok(Some(Duration::ZERO)) };
        let new = NewCall {
            source: self.knowledge.source.id,
            api: None,
            pool: Pool::Live,
            asks: None,
            keep: None,
            seen: None,
            lease: None,
            lead_ms: self.lead_ms(),
            despite_rest: self.despite_rest,
            asked_at: self.engine.calendar.now().timestamp(),
        };
        let Line::Written { call: line, start, .. } = self.reserve(&new).await? else { return Ok(None) };
        let start = start.max(self.pace.next(&self.limits(Pool::Live)));
        self.engine.clock.sleep_until(start).await;
        let left = self.engine.clock.monotonic();
        self.pace.sent(left);
        self.tokens.number += 1;
        let result = self.active.transport.send(&request).await;
        let took = self.engine.clock.monotonic().saturating_sub(left);
        let read = match &result {
            Ok(response) => self.active.source.read_token(response, self.machine()),
            Err(error) => Err(catalogue::own(error.trouble(), None, "")),
        };
        let end = CallEnd {
            call: line,
            lease: None,
            status: result.as_ref().ok().map(|r| r.status),
            code: read.as_ref().err().map(|refusal| refusal.code.clone()),
            duration_ms: millis(took),
        };
        match read {
            Ok(token) => {
                self.engine.store.settle(end, Vec::new()).await?;
                let usable = token.usable();
                self.tokens.current = Some((token, left + usable));
                let spacing = Duration::from_millis(self.limits(Pool::Live).spacing_ms().unsigned_abs());
                Ok(Some(left + spacing))
            }
            Err(refusal) => self.no_token(end, &refusal).await.map(|()| None),
        }
    }

    /// Lets the source rest after it gave no token: six hours where it refuses the application, a
    /// minute and ever longer otherwise.
    async fn no_token(&mut self, end: CallEnd, refusal: &Refusal) -> Result<(), StoreError> {
        tracing::warn!(source = self.active.source.name(), code = %refusal.code, "no token: {}", refusal.advice);
        self.tokens.current = None;
        let now_ms = self.machine_ms();
        let until = match refusal.reaction {
            Reaction::StopApp { .. } | Reaction::Bug => now_ms + TOKEN_REST_MS,
            Reaction::RetryAt(told) => react::resume_at(told, self.machine(), fastrand::u32(0..=1_000)),
            _ => {
                let before =
                    self.engine.store.refused_tokens(self.knowledge.source.id, now_ms - TOKEN_REST_MS, &[]).await?;
                let doublings = u32::try_from(before.clamp(0, 10)).unwrap_or_default();
                now_ms + (AGAIN_MS << doublings).min(LONGEST_AGAIN_MS)
            }
        };
        self.despite_rest = false;
        let state = react::rest(&self.knowledge.source.state, refusal, until);
        let effect = Effect::Source { source: self.knowledge.source.id, state };
        self.knowledge.learn(&effect);
        self.engine.store.settle(end, vec![effect]).await?;
        let stop = match refusal.reaction {
            Reaction::StopApp { credentials: true } => Stop::Credentials,
            Reaction::StopApp { .. } | Reaction::Bug => Stop::Refused,
            _ => Stop::Later,
        };
        // Without a network waiting helps nobody who looks on; a fault of the service may pass.
        let unreachable = catalogue::is_unreached(&refusal.code);
        if stop != Stop::Later || unreachable || until - now_ms > SHORT_PAUSE_MS {
            self.interrupt(stop, Some(until), Why::Refused(refusal));
        }
        Ok(())
    }
}
