//! What a refused call comes to: [`react`] says what is learnt, and here it is stored and followed.

use std::collections::BTreeSet;
use std::time::Duration;

use super::landing::Covered;
use super::token::TOKEN_REST_MS;
use super::{Flight, SourcePass, UsedUp, key, sharing};
use crate::domain::{Api, SeriesState, Values};
use crate::engine::consents;
use crate::engine::knowledge::{Aside, published_end};
use crate::engine::react::{self, Circumstances, Next};
use crate::engine::report::{Interruption, Stop};
use crate::source::{Pool, Reaction, Refusal, catalogue};
use crate::store::{CallEnd, Effect, FailedCall, MeterId, SourceState, StoreError};

/// Refused token calls within [`TOKEN_REST_MS`] after which an operator's passes make no more.
const MOST_TOKEN_REFUSALS: i64 = 5;

/// Failures in a row, of two meters or more, after which the whole source is left alone.
const MOST_FAULTS: usize = 12;

/// Failures in a row, over all passes, after which Enedis is left to rest.
const MOST_IN_A_ROW: u32 = 12;

/// The same for a gateway, which allows few calls and bans who makes too many.
const MOST_IN_A_ROW_AT_A_GATEWAY: u32 = 5;

/// Why a source is left early.
#[derive(Debug, Clone, Copy)]
pub(super) enum Why<'w> {
    /// No call is left, in words.
    Budget(&'w str),
    /// It refused.
    Refused(&'w Refusal),
}

impl SourcePass<'_> {
    /// Reacts to a refusal.
    pub(super) async fn refused(
        &mut self,
        flight: Flight,
        end: CallEnd,
        refusal: Refusal,
        told: Vec<Effect>,
    ) -> Result<(), StoreError> {
        let refusal = self.while_fresh(flight, refusal);
        let refusal = match self.prm_of(flight.call) {
            Some(prm) => refusal.of(&prm, flight.dataset.name()),
            None => refusal,
        };
        let end = CallEnd { code: Some(refusal.code.clone()), ..end };
        let Some(refusal) = self.token_refused(flight, &end, refusal).await? else { return Ok(()) };
        if matches!(refusal.reaction, Reaction::RetryAt(_))
            && let Some((pool, until_ms)) = used_up(&told)
        {
            return self.counter_used_up(flight, end, &refusal, told, (pool, until_ms)).await;
        }
        let call = flight.call;
        let other_api = self.other_api(flight);
        if refusal.reaction == Reaction::ClampHistory && !self.knowledge.knows_answered(flight.dataset) {
            let source = self.knowledge.source.id;
            let answered = self.engine.store.oldest_answered(source, flight.dataset).await?;
            self.knowledge.looked_up(flight.dataset, answered);
        }
        let tries = self.tries.get(&key(call)).copied().unwrap_or_default();
        let circumstances = self.circumstances(flight, tries);
        let consequence = react::react(&refusal, &circumstances);
        if consequence.next == Next::Nothing {
            let none = Values::none(flight.dataset.kind());
            let covered = Covered { days: flight.span.days(), exact: self.is_exact(flight) };
            return self.store_answer(flight, end, covered, (none, None), told).await;
        }
        self.tell_of(flight, &refusal, end.status);
        self.suspect_contract(flight.meter, &refusal);
        // A call that left before a pause was asked for tells of the same event, unless it tells of worse.
        let worse = matches!(refusal.reaction, Reaction::Ban | Reaction::StopApp { .. });
        let old_event = consequence.next == Next::Pause && flight.left < self.pause_began && !worse;
        let mut effects = if old_event { Vec::new() } else { consequence.effects };
        let fails = react::counts_as_failure(&refusal.code);
        let strikes = self.knowledge.source.state.strikes;
        if fails && consequence.next != Next::Pause && flight.left >= self.pause_began {
            effects.push(self.one_more_failure(&refusal));
        }
        effects.extend(told);
        for effect in &mut effects {
            if let Effect::Series { message: Some(message), .. }
            | Effect::Source { state: SourceState { message: Some(message), .. }, .. } = effect
            {
                *message = catalogue::named(message, self.active.source.name());
            }
        }
        let held = self.settle(call.series, end, effects.clone()).await?;
        if !held {
            // Whatever it said of the series is another instance's business now; a pause is everybody's.
            effects.retain(sharing::is_of_source);
        }
        for effect in &effects {
            self.knowledge.learn(effect);
        }
        if !held {
            if consequence.next == Next::Pause && !old_event {
                self.pause(&refusal);
            }
            return Ok(());
        }
        self.knowledge.touch(call.series);
        if fails {
            self.knowledge.add_failed(FailedCall {
                meter: flight.meter,
                dataset: flight.dataset,
                source: self.knowledge.source.id,
                days: call.days,
                at: flight.asked_at,
                code: refusal.code.clone(),
                healed: false,
            });
        }
        if self.knowledge.source.state.strikes > strikes {
            self.pause_began = self.engine.clock.monotonic();
            self.interrupt(Stop::Later, self.knowledge.source.state.not_before_ms, Why::Refused(&refusal));
        }
        match consequence.next {
            Next::Replan if other_api.is_some() && catalogue::api_unavailable(flight.api, &refusal) => {
                self.fallen_back.insert(flight.dataset);
            }
            Next::Replan | Next::Nothing => {}
            Next::Pause if old_event => {}
            Next::Pause => self.pause(&refusal),
            Next::Later | Next::Aside => {
                let delay = (consequence.next == Next::Later).then(|| {
                    let most = react::SHORT_DELAYS.get(tries).copied().unwrap_or_default() * 1_000;
                    Duration::from_millis(fastrand::u64(0..=most))
                });
                self.tries.insert(key(call), tries + 1);
                *self.knowledge.in_a_row.entry(call.series).or_default() += 1;
                self.troubles.insert(call.series, (refusal.code.clone(), react::message(&refusal)));
                let until = delay.map(|d| self.engine.clock.monotonic() + d);
                self.knowledge.aside.push(Aside { series: call.series, days: call.days, until });
                self.source_is_down(flight.meter, &refusal, tries);
            }
        }
        Ok(())
    }

    /// The circumstances of a call that was refused, tried so often before.
    fn circumstances(&self, flight: Flight, tries: usize) -> Circumstances<'_> {
        let (call, other_api, now) = (flight.call, self.other_api(flight), self.engine.calendar.now());
        Circumstances {
            call,
            api: flight.api,
            other_api,
            tries,
            bursts: self.bursts,
            pauses: self.pauses,
            reached: !self.succeeded.is_empty(),
            served_first: self.knowledge.served_first(self.active, flight.dataset, now).unwrap_or(call.days.first()),
            accepted_first: self.knowledge.accepted_first(self.active, flight.dataset, now),
            last_day: published_end(now).plus(-1),
            now,
            machine: self.machine(),
            jitter: fastrand::u32(0..=1_000),
            knowledge: &self.knowledge,
        }
    }

    /// The source says that one of its counters is used up: the other one goes on.
    async fn counter_used_up(
        &mut self,
        flight: Flight,
        end: CallEnd,
        refusal: &Refusal,
        told: Vec<Effect>,
        (pool, until_ms): (Pool, i64),
    ) -> Result<(), StoreError> {
        self.tell_of(flight, refusal, end.status);
        self.settle(flight.call.series, end, told).await?;
        let message = react::message(refusal);
        self.used_up.push(UsedUp { pool, history: false, until_ms, message });
        self.knowledge.touch(flight.call.series);
        Ok(())
    }

    /// A refused token is replaced and the call made once more: `None` where that is all. The
    /// refusal comes back where a new token would not help either.
    async fn token_refused(
        &mut self,
        flight: Flight,
        end: &CallEnd,
        refusal: Refusal,
    ) -> Result<Option<Refusal>, StoreError> {
        if refusal.reaction != Reaction::Reauth {
            return Ok(Some(refusal));
        }
        let series = flight.call.series;
        let replayed = self.asked.get(&key(flight.call)).is_some_and(|times| *times > 1);
        let own_trouble =
            Refusal { reaction: Reaction::RetryLater, advice: react::CALL_REFUSED_ADVICE, ..refusal.clone() };
        if replayed && self.tokens.is_proven(flight.token) {
            return Ok(Some(own_trouble));
        }
        if self.tokens.refused(flight.token) && (replayed || !self.turned_away.is_empty()) {
            // It may still be this series alone: another one is asked before everything stops.
            self.turned_away.insert(series);
            let mut others = self.queue.iter().chain(self.in_air.iter().map(|f| &f.call));
            let others = others.any(|c| c.series != series) || self.canaries.holds_others_than(series);
            let alone = self.turned_away.len() == 1 && others;
            if !alone {
                // What looked like one series' trouble was everybody's.
                for series in std::mem::take(&mut self.turned_away) {
                    self.knowledge.aside.retain(|a| a.series != series);
                    self.knowledge.touch(series);
                    self.troubles.remove(&series);
                }
            }
            let stops = Refusal { advice: react::FRESH_TOKEN_ADVICE, ..refusal };
            return Ok(Some(if alone { own_trouble } else { stops }));
        }
        if self.settle(series, end.clone(), Vec::new()).await? {
            self.queue.push_front(flight.call);
        }
        Ok(None)
    }

    /// One more call of the source failed: after many in a row it is left to rest.
    fn one_more_failure(&self, refusal: &Refusal) -> Effect {
        let most = if self.active.source.is_direct() { MOST_IN_A_ROW } else { MOST_IN_A_ROW_AT_A_GATEWAY };
        let drawn = fastrand::u32(0..=1_000);
        let state = react::after_failure(&self.knowledge.source.state, refusal, most, self.machine_ms(), drawn);
        Effect::Source { source: self.knowledge.source.id, state }
    }

    pub(super) fn pause(&mut self, refusal: &Refusal) {
        self.despite_rest = false;
        self.pause_began = self.engine.clock.monotonic();
        self.pauses += 1;
        self.bursts += u32::from(refusal.reaction == Reaction::Burst);
        let stop = stop_for(refusal.reaction);
        if stop != Stop::Later {
            self.interrupt(stop, self.knowledge.source.state.not_before_ms, Why::Refused(refusal));
        }
    }

    /// Ends the pass for this source.
    pub(super) fn interrupt(&mut self, stop: Stop, until_ms: Option<i64>, why: Why<'_>) {
        let source = self.active.source.name().to_owned();
        let (message, refusal) = match why {
            Why::Budget(message) => (message.to_owned(), None),
            Why::Refused(refusal) => (react::message(refusal), Some(refusal.clone())),
        };
        let message = catalogue::named(&message, &source);
        self.interruption = Some(Interruption { source, stop, until_ms, message, refusal, unserved: BTreeSet::new() });
    }

    /// Ends the pass because the source rests, for a reason that may have been learnt long ago.
    pub(super) async fn interrupt_for_pause(&mut self, until_ms: i64) -> Result<(), StoreError> {
        let code = self.knowledge.source.state.code.clone().unwrap_or_default();
        let known = catalogue::stored(&code);
        let mut refusal = known.unwrap_or_else(|| Refusal {
            status: None,
            code: code.clone(),
            reaction: Reaction::RetryLater,
            advice: "The source asked for a pause.",
            excerpt: String::new(),
            about: None,
        });
        let stop = stop_for(refusal.reaction);
        if stop == Stop::Credentials && self.chosen.request.operator && self.tokens.number() == 0 {
            // The operator may just have mended them; a few tries are allowed.
            let since = self.machine_ms() - TOKEN_REST_MS;
            let refused = self
                .engine
                .store
                .refused_tokens(self.knowledge.source.id, since, &catalogue::credential_codes())
                .await?;
            if refused < MOST_TOKEN_REFUSALS {
                self.knowledge.source.state.not_before_ms = None;
                self.despite_rest = true;
                return Ok(());
            }
        }
        if refusal.reaction == Reaction::Reauth {
            refusal.advice = react::FRESH_TOKEN_ADVICE;
        }
        self.interrupt(stop, Some(until_ms), Why::Refused(&refusal));
        Ok(())
    }

    /// The other API of the source, where it has one that was not tried for this in this pass.
    fn other_api(&self, flight: Flight) -> Option<Api> {
        let other = self.active.source.apis(flight.dataset).iter().copied().find(|api| *api != flight.api)?;
        let current = self.knowledge.api(self.active, flight.dataset, self.engine.calendar.now().timestamp());
        // A late answer of the API that was left already says nothing new: the plan goes on.
        let fresh = !self.fallen_back.contains(&flight.dataset) || current != Some(flight.api);
        fresh.then_some(other)
    }

    /// Where the other side cannot be reached, or nothing but faults comes from it, going on would
    /// only fail for every series.
    fn source_is_down(&mut self, meter: MeterId, refusal: &Refusal, tries: usize) {
        self.faults.push(meter);
        let no_way = catalogue::is_unreached(&refusal.code);
        let many = self.faults.len() >= MOST_FAULTS && self.faults.iter().any(|other| *other != meter);
        if many || (no_way && tries > 0 && self.faults.len() > 1) {
            self.interrupt(Stop::Later, None, Why::Refused(refusal));
        } else if no_way && self.interruption.is_none() {
            // The others wait for the same retry.
            let until = self.knowledge.aside.last().and_then(|a| a.until);
            self.next_slot = self.next_slot.max(until.unwrap_or_default());
        }
    }

    fn tell_of(&self, flight: Flight, refusal: &Refusal, status: Option<u16>) {
        let Some(series) = self.knowledge.series.get(flight.call.series) else { return };
        let advice = catalogue::named(refusal.advice, self.active.source.name());
        // What was said before, and what passes by itself, is no warning.
        let known = series.state == SeriesState::NotOffered && series.code.as_deref() == Some(&refusal.code);
        // A search for the first day that is served meets the same again and again.
        let searches = refusal.reaction == Reaction::ClampActivation
            && self.knowledge.activation(flight.meter, flight.dataset.direction()).refused.is_some();
        if known || searches || refusal.code == consents::SETTLING {
            tracing::info!(meter = %series.name, dataset = %flight.dataset, code = %refusal.code, status, "{advice}");
            return;
        }
        tracing::warn!(
            meter = %series.name,
            dataset = %flight.dataset,
            days = %flight.call.days,
            api = %flight.api,
            code = %refusal.code,
            status,
            "{advice}"
        );
    }
}

/// The counter that a source said is used up, and until when (machine, ms).
fn used_up(told: &[Effect]) -> Option<(Pool, i64)> {
    told.iter().find_map(|effect| match effect {
        Effect::Told { pool, left: 0, until_ms, .. } => Some((*pool, *until_ms)),
        _ => None,
    })
}

/// What kind of end a refusal of the whole source is. A refused token stands for refused
/// credentials here: a single one only leads to a new token.
fn stop_for(reaction: Reaction) -> Stop {
    match reaction {
        Reaction::StopApp { credentials: true } | Reaction::Reauth => Stop::Credentials,
        Reaction::StopApp { .. } | Reaction::Bug | Reaction::Ban => Stop::Refused,
        _ => Stop::Later,
    }
}
