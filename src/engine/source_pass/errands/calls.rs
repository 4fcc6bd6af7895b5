//! One call about a customer: its line, its token, its answer, and what a refusal teaches of the source.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::super::dispatch::Line;
use super::super::{SourcePass, UsedUp, millis};
use crate::domain::Api;
use crate::engine::customers::{self, Concerns};
use crate::engine::react;
use crate::source::catalogue;
use crate::source::{CustomerCall, Pool, Reaction, Refusal};
use crate::store::{Asks, CallEnd, CallId, Closed, CustomerFacts, Effect, Lease, NewCall, SourceState, StoreError};

/// A line of the journal is asked for so often for one call.
const MOST_LINES: u32 = 5;

/// What a call about a customer came to.
pub(super) enum Called {
    Body(Vec<u8>),
    Refused(Refusal),
    Later(Later),
}

/// Why a call about a customer is not made, or counts for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Later {
    /// The budget or a rest says later, or somebody asked to stop.
    NotNow,
    /// Others were always faster, or the machine too slow, to get a place for the call.
    Busy,
    /// Another instance is at it, or has been since.
    Elsewhere,
    /// Another instance has taken it over while a call was in the air.
    Lost,
}

/// A line of the journal for a call about a customer.
struct Written {
    call: CallId,
    lease: Option<CallId>,
    /// When it left (monotonic).
    left: Duration,
}

impl SourcePass<'_> {
    /// Makes a call about a customer, with a new token where the one in hand is refused.
    pub(super) async fn call_customer(
        &mut self,
        facts: &mut CustomerFacts,
        api: Api,
        call: CustomerCall,
    ) -> Result<Called, StoreError> {
        let mut refused_before = false;
        loop {
            let called = self.call_once(facts, api, call).await?;
            let Called::Refused(refusal) = called else { return Ok(called) };
            if refusal.reaction != Reaction::Reauth {
                return Ok(Called::Refused(refusal));
            }
            if std::mem::replace(&mut refused_before, true) {
                let advice = react::CALL_REFUSED_ADVICE;
                return Ok(Called::Refused(Refusal { reaction: Reaction::RetryLater, advice, ..refusal }));
            }
        }
    }

    async fn call_once(
        &mut self,
        facts: &mut CustomerFacts,
        api: Api,
        call: CustomerCall,
    ) -> Result<Called, StoreError> {
        let Written { call: line, lease, left } = match self.line_of(facts, api).await? {
            Ok(written) => written,
            Err(later) => return Ok(Called::Later(later)),
        };
        let token = self.tokens.in_hand();
        let number = self.tokens.number();
        let hold = |keep| lease.map(|token| Lease { token, keep });
        let end =
            |keep, status, code, duration_ms| CallEnd { call: line, lease: hold(keep), status, code, duration_ms };
        let Some(request) = self.active.source.ask_customer(call, &facts.prm, token.as_ref()) else {
            let ours = self.end_line(facts, react::not_made(line, hold(false)), Vec::new()).await?;
            return Ok(Called::Later(if ours { Later::NotNow } else { Later::Lost }));
        };
        let result = tokio::select! {
            biased;
            result = self.active.transport.send(&request) => result,
            // Its line stays without an end, as those of all calls that are in the air when a pass is stopped.
            () = self.stop.cancelled() => return Ok(Called::Later(Later::NotNow)),
        };
        let took = millis(self.engine.clock.monotonic().saturating_sub(left));
        self.report.calls += 1;
        let machine = self.machine();
        let read = match &result {
            Err(error) => Err(catalogue::own(error.trouble(), None, "")),
            Ok(response) => self.active.source.read_customer(call, response, machine).map(<[u8]>::to_vec),
        };
        // What the source says beside a refusal about people may be about people: it goes no further than here.
        let read =
            read.map_err(|refusal| Refusal { excerpt: String::new(), ..refusal }.of(&facts.prm, facts.about.name()));
        let status = result.as_ref().ok().map(|response| response.status);
        match read {
            Ok(body) => {
                self.tokens.let_in(number);
                let closed = self.knowledge.source.closed.contains_key(call.path());
                let open = closed.then(|| self.closed_effect(call, None));
                let effects: Vec<Effect> = open.into_iter().collect();
                let ours = self.end_line(facts, end(true, status, None, took), effects).await?;
                Ok(if ours { Called::Body(body) } else { Called::Later(Later::Lost) })
            }
            Err(refusal) => {
                if refusal.reaction == Reaction::Reauth {
                    self.tokens.refused(number);
                }
                let effects = self.lessons_of_refusal(facts, call, &refusal);
                let goes_on = customers::concerns(&refusal) != Concerns::Source;
                let ours =
                    self.end_line(facts, end(goes_on, status, Some(refusal.code.clone()), took), effects).await?;
                if !goes_on {
                    match self.used_up_until(&refusal) {
                        Some(until) => {
                            let (until_ms, message) = (until.timestamp_millis(), react::message(&refusal));
                            self.used_up.push(UsedUp { pool: Pool::Live, history: false, until_ms, message });
                        }
                        None => self.pause(&refusal),
                    }
                }
                Ok(match (ours, goes_on) {
                    (false, _) => Called::Later(Later::Lost),
                    (true, false) => Called::Later(Later::NotNow),
                    (true, true) => Called::Refused(refusal),
                })
            }
        }
    }

    /// Ends the line of a call; whether its dataset was still ours. Where it is not, what came says nothing of the
    /// customer any more.
    async fn end_line(
        &mut self,
        facts: &mut CustomerFacts,
        end: CallEnd,
        effects: Vec<Effect>,
    ) -> Result<bool, StoreError> {
        let held = match self.engine.store.settle(end, effects.clone()).await {
            Ok(seen) => {
                facts.seen = seen;
                true
            }
            // Another instance asks for the same; what was learnt of the source counts all the same.
            Err(StoreError::Superseded) => {
                self.errands.held = None;
                self.engine.store.apply(effects.clone()).await?;
                false
            }
            Err(error) => return Err(error),
        };
        for effect in &effects {
            self.knowledge.learn(effect);
        }
        Ok(held)
    }

    /// What a refusal teaches of the source, and the line in the log.
    fn lessons_of_refusal(&self, facts: &CustomerFacts, call: CustomerCall, refusal: &Refusal) -> Vec<Effect> {
        let advice = catalogue::named(refusal.advice, self.active.source.name());
        let (name, code, path) = (&facts.name, &refusal.code, call.path());
        match customers::concerns(refusal) {
            Concerns::Application => {
                let known = self.knowledge.source.closed.get(path).is_some_and(|closed| closed.code == *code);
                if known {
                    tracing::debug!(dataset = %facts.about, %path, %code, "still closed to this application");
                } else {
                    tracing::warn!(dataset = %facts.about, %path, %code, "{advice}");
                }
                let not_before = self.engine.calendar.now().timestamp() + customers::SELDOM;
                vec![self.closed_effect(call, Some(Closed { code: code.clone(), not_before }))]
            }
            Concerns::Source => {
                tracing::warn!(meter = %name, dataset = %facts.about, %code, "{advice}");
                let source = self.knowledge.source.id;
                match self.used_up_until(refusal) {
                    Some(until) => {
                        let (at_ms, until_ms) = (self.machine_ms(), until.timestamp_millis());
                        vec![Effect::Told { source, pool: Pool::Live, left: 0, at_ms, until_ms }]
                    }
                    None => vec![Effect::Source { source, state: self.rest_for(refusal) }],
                }
            }
            Concerns::Meter | Concerns::Passing => {
                tracing::warn!(meter = %name, dataset = %facts.about, %path, %code, status = refusal.status, "{advice}");
                Vec::new()
            }
        }
    }

    /// Until when a refusal closes one counter of several: the other ones go on.
    fn used_up_until(&self, refusal: &Refusal) -> Option<DateTime<Utc>> {
        match refusal.reaction {
            Reaction::RetryAt(until) if self.active.cached.is_some() => until,
            _ => None,
        }
    }

    fn rest_for(&self, refusal: &Refusal) -> SourceState {
        let (machine, drawn) = (self.machine(), fastrand::u32(0..=1_000));
        let until = match refusal.reaction {
            refused @ (Reaction::Ban | Reaction::StopApp { .. }) => {
                machine.timestamp_millis() + react::refused_ms(refused)
            }
            Reaction::RetryAt(told) => react::resume_at(told, machine, drawn),
            _ => machine.timestamp_millis() + 5_000,
        };
        react::rest(&self.knowledge.source.state, refusal, until)
    }

    fn closed_effect(&self, call: CustomerCall, closed: Option<Closed>) -> Effect {
        Effect::Closed { source: self.knowledge.source.id, path: call.path().to_owned(), closed }
    }

    /// Writes the line of a call and waits until it may leave.
    async fn line_of(&mut self, facts: &mut CustomerFacts, api: Api) -> Result<Result<Written, Later>, StoreError> {
        let keep = if facts.last_success_at.is_some() { self.keep_free(Pool::Live) } else { None };
        for _ in 0..MOST_LINES {
            if self.stop.is_cancelled() || (self.token_is_due() && self.renew_token().await?.is_none()) {
                return Ok(Err(Later::NotNow));
            }
            let new = NewCall {
                source: self.knowledge.source.id,
                api: Some(api),
                pool: Pool::Live,
                asks: Some(Asks::Customer(facts.meter, facts.about)),
                keep,
                seen: Some(facts.seen),
                lease: self.errands.held,
                lead_ms: self.lead_ms(),
                despite_rest: self.despite_rest,
                asked_at: self.engine.calendar.now().timestamp(),
            };
            let used_up = self.used_up.len();
            match self.reserve(&new).await? {
                Line::Elsewhere => return Ok(Err(Later::Elsewhere)),
                Line::Later => {
                    if self.used_up.len() > used_up || self.source_rests() || self.interruption.is_some() {
                        return Ok(Err(Later::NotNow));
                    }
                    self.engine.clock.sleep_until(self.next_slot).await;
                }
                Line::Written { call, start, lease } => {
                    let leaves = start.max(self.pace.next(&self.limits(Pool::Live)));
                    self.engine.clock.sleep_until(leaves).await;
                    let left = self.engine.clock.monotonic();
                    let late = left > start + self.latest();
                    self.was_late(left.saturating_sub(start));
                    if late {
                        let keep = self.errands.held.is_some();
                        let lease = lease.map(|token| Lease { token, keep });
                        if !self.end_line(facts, react::not_made(call, lease), Vec::new()).await? {
                            return Ok(Err(Later::Lost));
                        }
                        continue;
                    }
                    self.pace.sent(left);
                    self.errands.held = lease;
                    return Ok(Ok(Written { call, lease, left }));
                }
            }
        }
        Ok(Err(Later::Busy))
    }
}
