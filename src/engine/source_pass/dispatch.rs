//! Which call may leave, and when: gates, the budget, and the last look before it goes.

use std::time::Duration;

use super::refusal::Why;
use super::{Flight, SourcePass, UsedUp, key};
use crate::budget::{Exhausted, Keep, Limits, Verdict};
use crate::domain::{Day, Days, Prm, Span};
use crate::engine;
use crate::engine::knowledge::{Aside, FAILURES_A_DAY, published_end};
use crate::engine::report::Stop;
use crate::engine::{punctual, react};
use crate::plan::{Call, Reason};
use crate::source::{Ask, Pool};
use crate::store::{CallId, NewCall, Reserved, StoreError};

/// The line of a call is written this much ahead of its start, so that writing does not delay it.
const WRITE_AHEAD: Duration = Duration::from_millis(12);

/// The first call of a process waits this much longer when another process called just before.
const SETTLE_IN: Duration = Duration::from_millis(250);

/// Spans longer than this are flown one at a time while the activation day is unknown.
const SHORT_SPAN: i32 = 31;

/// Short spans that may fly at once beyond what is known to be after the activation.
const MOST_UNPROVEN: usize = 4;

/// Whether a call can wait for another day without anything being lost.
pub(super) fn is_history(call: Call) -> bool {
    !matches!(call.reason, Reason::Yesterday | Reason::Probe | Reason::LastTry)
}

/// The same call leaves at most so often in one pass, whatever the reactions say.
const MOST_ASKS: u32 = 8;

/// What became of the wish to write a line.
pub(super) enum Line {
    /// It is there.
    Written {
        /// Its number.
        call: CallId,
        /// When the call starts (monotonic).
        start: Duration,
        /// The lease of its series.
        lease: Option<CallId>,
    },
    /// The budget or a rest says later.
    Later,
    /// Another instance is at work on the series, or was.
    Elsewhere,
}

impl SourcePass<'_> {
    /// Whether a call may leave now.
    pub(super) fn may_fly(&self, call: Call) -> bool {
        self.may_fly_otherwise(call) && !self.waits_for_others(call)
    }

    /// The same, no matter what others find out about the newest day.
    pub(super) fn may_fly_otherwise(&self, call: Call) -> bool {
        self.may_fail(call.series)
            && self.may_be_too_early(call)
            && self.used_up_for(call).is_none()
            && !self.waits_for_contract(call)
            && self.may_try_out()
    }

    /// A source that was left to rest because nothing but failures came is tried out one call at a
    /// time.
    fn may_try_out(&self) -> bool {
        self.knowledge.source.state.strikes == 0 || self.in_air.is_empty()
    }

    /// What keeps a call from leaving because its counter is used up.
    fn used_up_for(&self, call: Call) -> Option<&UsedUp> {
        if self.used_up.is_empty() {
            return None;
        }
        self.holds_back(self.pool_of(call), is_history(call))
    }

    /// The same for what is asked about a customer, by its place: what is known already is asked again whenever there is
    /// time, and leaves to the newest days what is kept free for them.
    pub(super) fn errand_used_up(&self, index: usize) -> Option<&UsedUp> {
        let again = self.knowledge.customers.get(index).is_some_and(|facts| facts.last_success_at.is_some());
        self.holds_back(Pool::Live, again)
    }

    fn holds_back(&self, pool: Pool, history: bool) -> Option<&UsedUp> {
        self.used_up.iter().find(|counter| counter.pool == pool && (history || !counter.history))
    }

    /// Ends the pass where everything that is left waits for the budget; whether it does.
    pub(super) fn ends_for_budget(&mut self) -> bool {
        let errands = self.errands.queue().iter().filter_map(|index| self.errand_used_up(*index));
        let blocking = self.queue.iter().filter_map(|call| self.used_up_for(*call)).chain(errands);
        let Some((until, message)) =
            blocking.min_by_key(|counter| counter.until_ms).map(|counter| (counter.until_ms, counter.message.clone()))
        else {
            return false;
        };
        self.interrupt(Stop::Later, Some(until), Why::Budget(&message));
        true
    }

    /// Which of the source's counters a call belongs to.
    fn pool_of(&self, call: Call) -> Pool {
        let newest = published_end(self.engine.calendar.now()).plus(-1);
        let ask = self.span(call).zip(self.knowledge.series.get(call.series)).and_then(|(span, series)| {
            let api = self.active.source.apis(series.dataset).first().copied()?;
            Some(self.active.source.pool(&Ask { prm: &series.prm, span, api, newest }))
        });
        ask.unwrap_or(Pool::Live)
    }

    /// What a call for history leaves for the newest days of the next morning, so that a backfill never
    /// costs a day. The counter of a cache is not theirs.
    pub(super) fn keep_free(&self, pool: Pool) -> Option<Keep> {
        let per_day = self.active.limits_of(pool).per_day.filter(|_| pool == Pool::Live)?;
        Some(engine::keep(per_day, self.knowledge.daily, self.machine()))
    }

    /// A series from which nothing comes is asked no more often than it may fail in a day, so no
    /// more of its calls are in the air than may still fail.
    fn may_fail(&self, series: usize) -> bool {
        let failures = self.knowledge.failures(series);
        if failures == 0 && self.succeeded.contains(&series) {
            return true;
        }
        let in_air = self.in_air.iter().filter(|f| f.call.series == series).count();
        in_air + failures < FAILURES_A_DAY
    }

    /// While it is not known since when a meter is served, few calls are in the air that could be
    /// refused for it (docs/planning.md).
    fn may_be_too_early(&self, call: Call) -> bool {
        let Some(series) = self.knowledge.series.get(call.series) else { return false };
        let direction = series.dataset.direction();
        let known = self.knowledge.activation(series.meter, direction);
        let proven = |start: Day| known.accepted.is_some_and(|accepted| accepted <= start);
        if proven(call.days.first()) {
            return true;
        }
        let unproven = self
            .in_air
            .iter()
            .filter(|f| f.meter == series.meter && f.dataset.direction() == direction && !proven(f.call.days.first()));
        let long = call.days.len() > SHORT_SPAN;
        let (mut same, mut all) = (0, 0);
        for flight in unproven {
            all += 1;
            same += usize::from((flight.call.days.len() > SHORT_SPAN) == long);
        }
        if known.refused.is_some() {
            all == 0
        } else if long || known.accepted.is_none() {
            same == 0
        } else {
            same < MOST_UNPROVEN
        }
    }

    /// What a call asks for, if it may be asked now.
    fn span(&self, call: Call) -> Option<Span> {
        let series = self.knowledge.series.get(call.series)?;
        let now = self.engine.calendar.now();
        let first = self.knowledge.served_first(self.active, series.dataset, now)?;
        let served = Days::new(first, published_end(now))?;
        let longest = self.active.source.reach(series.dataset)?.max_days;
        Span::new(series.dataset, call.days, longest, served)
    }

    /// The limits in force.
    pub(super) fn limits(&self, pool: Pool) -> Limits {
        let slow = self.knowledge.source.state.slow_until_ms.is_some_and(|t| t > self.machine_ms());
        let limits = self.active.limits_of(pool);
        if slow { limits.halved() } else { limits }
    }

    /// Writes the call's line and makes sure of a token; `None` where the call cannot be made now.
    pub(super) async fn prepare(&mut self, call: Call) -> Result<Option<(Flight, Duration)>, StoreError> {
        let calendar = self.engine.calendar.now();
        let Some(series) = self.knowledge.series.get(call.series) else { return Ok(None) };
        let (meter, dataset, seen) = (series.meter, series.dataset, series.seen);
        let Some(api) = self.knowledge.api(self.active, dataset, calendar.timestamp()) else { return Ok(None) };
        let Some(span) = self.placed(call) else { return Ok(None) };
        if self.engine.store.is_shared() && self.token_is_due() && self.renew_token().await?.is_none() {
            // A token that is fetched between a line and its call would make the call late, and that is
            // somebody else's time.
            self.queue.push_front(call);
            return Ok(None);
        }
        let pool = self.pool_of(call);
        let new = NewCall {
            source: self.knowledge.source.id,
            api: Some(api),
            pool,
            asks: Some((meter, dataset, call.days).into()),
            keep: if is_history(call) { self.keep_free(pool) } else { None },
            seen: Some(seen),
            lease: self.lease_of(call.series),
            lead_ms: self.lead_ms(),
            despite_rest: self.despite_rest,
            asked_at: calendar.timestamp(),
        };
        let (line, reserved, lease) = match self.reserve(&new).await? {
            Line::Written { call, start, lease } => (call, start, lease),
            Line::Later => {
                self.queue.push_front(call);
                return Ok(None);
            }
            Line::Elsewhere => return Ok(None),
        };
        let (asked_at, newest) = (calendar.timestamp(), published_end(calendar).plus(-1));
        let left = reserved;
        let flight = Flight { call, span, line, lease, api, meter, dataset, token: 0, left, asked_at, newest };
        let mut start = reserved;
        if self.token_is_due() {
            let Some(after) = self.renew_token().await? else {
                self.not_made(flight).await?;
                return Ok(None);
            };
            start = start.max(after);
        }
        start = start.max(self.pace.next(&self.limits(pool)));
        if start > reserved + self.latest() {
            // The token took its time. The call gets a line that says when it really leaves.
            self.was_late(start.saturating_sub(reserved));
            self.not_made(flight).await?;
            return Ok(None);
        }
        Ok(Some((Flight { token: self.tokens.number(), left: start, ..flight }, start)))
    }

    /// How much later than its line says a call may leave.
    pub(super) fn latest(&self) -> Duration {
        punctual::latest(self.engine.store.is_shared(), self.lateness)
    }

    /// Remembers how late a call was.
    pub(super) fn was_late(&mut self, by: Duration) {
        self.lateness = punctual::lateness(self.lateness, by);
    }

    /// How long before its call a line is written.
    pub(super) fn lead_ms(&self) -> u32 {
        punctual::lead_ms(self.engine.store.is_shared(), self.took)
    }

    /// The last look before a call leaves: `None` where it does not.
    pub(super) async fn take_off(
        &mut self,
        flight: Flight,
        start: Duration,
    ) -> Result<Option<(Flight, Prm)>, StoreError> {
        let now = self.engine.clock.monotonic();
        // The machine may have slept, and midnight may have passed.
        let late = now > start + self.latest();
        self.was_late(now.saturating_sub(start));
        let Some((span, prm)) = self.placed(flight.call).zip(self.prm_of(flight.call)).filter(|_| !late) else {
            self.not_made(flight).await?;
            self.knowledge.touch(flight.call.series);
            return Ok(None);
        };
        self.pace.sent(now);
        *self.asked.entry(key(flight.call)).or_default() += 1;
        let flight = Flight { left: now, span, ..flight };
        self.in_air.push(flight);
        Ok(Some((flight, prm)))
    }

    /// The span of a call that may be made; otherwise plans anew, without these days where they
    /// keep coming back.
    fn placed(&mut self, call: Call) -> Option<Span> {
        let often = self.asked.get(&key(call)).is_some_and(|times| *times >= MOST_ASKS);
        let span = self.span(call).filter(|_| !often);
        if span.is_none() {
            self.knowledge.touch(call.series);
            *self.asked.entry(key(call)).or_default() += 1;
        }
        if often {
            tracing::error!(days = %call.days, "the same call came up too often in one pass; its days rest");
            let trouble = (react::REPEATED.to_owned(), react::REPEATED_ADVICE.to_owned());
            self.troubles.insert(call.series, trouble);
            self.knowledge.aside.push(Aside { series: call.series, days: call.days, until: None });
        }
        span
    }

    /// Ends the line of a call that did not leave, and lets the call wait.
    async fn not_made(&mut self, flight: Flight) -> Result<(), StoreError> {
        let end = react::not_made(flight.line, self.ended(flight.lease));
        if self.settle(flight.call.series, end, Vec::new()).await? {
            self.queue.push_front(flight.call);
        }
        Ok(())
    }

    /// Writes the line of a call.
    pub(super) async fn reserve(&mut self, new: &NewCall) -> Result<Line, StoreError> {
        let limits = self.limits(new.pool);
        let now_ms = self.machine_ms();
        let now = self.engine.clock.monotonic();
        let reserved = self.engine.store.reserve(new, &limits, now_ms).await?;
        self.took = punctual::took(self.took, self.engine.clock.monotonic().saturating_sub(now));
        match reserved {
            Reserved::Go { call, at_ms, lease } => {
                let mut start = now + Duration::from_millis((at_ms - now_ms).max(0).unsigned_abs());
                if self.first_call && at_ms > now_ms {
                    start += SETTLE_IN;
                }
                self.first_call = false;
                let spacing = Duration::from_millis(limits.spacing_ms().unsigned_abs());
                let ahead = WRITE_AHEAD + Duration::from_millis(self.lead_ms().into());
                self.next_slot = (start + spacing).saturating_sub(ahead);
                Ok(Line::Written { call, start, lease })
            }
            Reserved::Wait(Verdict::Wait { until, limit }) => {
                let wait = until - now_ms;
                if wait <= super::SHORT_PAUSE_MS {
                    self.next_slot = now + Duration::from_millis(wait.max(0).unsigned_abs());
                } else {
                    let name = self.active.source.name();
                    let message = match limit {
                        Exhausted::Hour => format!("the call budget of the hour for source {name} is used up"),
                        Exhausted::Kept => format!(
                            "the call budget of the day for source {name} is used up, but for the calls of the newest days"
                        ),
                        Exhausted::Day => format!("the call budget of the day for source {name} is used up"),
                        Exhausted::Told => format!("source {name} says that its quota is used up"),
                    };
                    let message = format!("{message}; the rest follows by itself in a later pass");
                    // What holds back the newest days holds back history as well.
                    let history = limit == Exhausted::Kept;
                    self.used_up.push(UsedUp { pool: new.pool, history, until_ms: until, message });
                }
                Ok(Line::Later)
            }
            Reserved::Rests(until_ms) => {
                // Another source of the same account, or another process, learnt it.
                self.knowledge.source.state.not_before_ms = Some(until_ms);
                Ok(Line::Later)
            }
            Reserved::Taken(until_ms) => {
                let until = now + Duration::from_millis((until_ms - now_ms).max(0).unsigned_abs());
                self.taken(new, until);
                Ok(Line::Elsewhere)
            }
            Reserved::Changed => {
                self.changed(new);
                Ok(Line::Elsewhere)
            }
            Reserved::Wait(Verdict::Go { .. }) => Ok(Line::Later),
        }
    }
}
