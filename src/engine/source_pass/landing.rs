//! What comes back: an answer becomes rows and lessons in one transaction.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::{Flight, Landed, SourcePass, key, millis, sharing};
use crate::decode::{self, DecodeError, Expected};
use crate::domain::registers::Doubt;
use crate::domain::{Day, Days, Prm, SeriesState, Values};
use crate::plan;
use crate::source::catalogue::{self, Own};
use crate::source::{Reaction, Refusal, Reply, Response};
use crate::store::{Activation, Answer, CallEnd, Effect, Learnt, Raw, SourceState, StoreError, Unread};

/// What an answer is about.
#[derive(Clone, Copy)]
pub(super) struct Covered {
    /// The days that it covers.
    pub(super) days: Days,
    /// Whether it tells which of them there are not.
    pub(super) exact: bool,
}

impl SourcePass<'_> {
    /// Stores what a call brought, or reacts to its refusal.
    pub(super) async fn land(&mut self, landed: Landed) -> Result<(), StoreError> {
        let Landed { flight, result, duration } = landed;
        self.in_air.retain(|f| f.line != flight.line);
        self.report.calls += 1;
        let status = result.as_ref().ok().map(|r| r.status);
        let end = CallEnd {
            call: flight.line,
            lease: self.ended(flight.lease),
            status,
            code: None,
            duration_ms: millis(duration),
        };
        let mut unread = None;
        let read = match &result {
            Err(error) => Err(catalogue::own(error.trouble(), None, "")),
            Ok(response) => self.read(flight, response, &mut unread),
        };
        let mut told = result.as_ref().map_or_else(|_| Vec::new(), |response| self.told(flight, response));
        let let_in = match &read {
            Ok(_) => true,
            Err(refusal) => refusal.status.is_some() && refusal.reaction != Reaction::Reauth,
        };
        if let_in {
            self.tokens.let_in(flight.token);
            self.turned_away.clear();
        }
        match read {
            Ok((covered, values, raw)) => self.store_answer(flight, end, covered, (values, Some(raw)), told).await,
            Err(refusal) => {
                told.extend(unread.map(|unread| Effect::Unread(Box::new(unread))));
                self.refused(flight, end, refusal, told).await
            }
        }
    }

    /// What an answer says about the source's own quota, counted from when its call left.
    fn told(&self, flight: Flight, response: &Response) -> Vec<Effect> {
        let at = self.began.0 + TimeDelta::from_std(flight.left.saturating_sub(self.began.1)).unwrap_or_default();
        let Some(series) = self.knowledge.series.get(flight.call.series) else { return Vec::new() };
        let quotas = self.active.source.quota(&flight.ask(&series.prm), response, self.machine());
        let told = quotas.into_iter().map(|quota| Effect::Told {
            source: self.knowledge.source.id,
            pool: quota.pool,
            left: quota.left,
            at_ms: at.timestamp_millis(),
            until_ms: quota.until.timestamp_millis(),
        });
        told.collect()
    }

    /// The days that an answer covers, whether it tells which of them there are not, its values, and itself. Where it
    /// cannot be read although it is about the meter, `unread` is what is to be kept of it.
    fn read(
        &self,
        flight: Flight,
        response: &Response,
        unread: &mut Option<Unread>,
    ) -> Result<(Covered, Values, Raw), Refusal> {
        let Some(series) = self.knowledge.series.get(flight.call.series) else {
            return Err(catalogue::own(Own::Undecodable, None, ""));
        };
        match self.active.source.read(flight.ask(&series.prm), response, self.machine()) {
            Reply::Refused(refusal) => Err(refusal),
            Reply::Body(body) => {
                let Some(days) = body.days else {
                    return Err(catalogue::own(Own::WrongAnswer, Some(response.status), ""));
                };
                let expected = Expected {
                    api: body.api,
                    label: self.active.source.label(),
                    dataset: flight.dataset,
                    prm: &series.prm,
                    days,
                };
                let decoded = decode::decode(body.bytes, &expected);
                let nothing = |decoded: &decode::Decoded| decoded.values.is_empty() && !decoded.anomalies.is_empty();
                let unreadable = match &decoded {
                    Ok(decoded) => nothing(decoded),
                    Err(error) => *error != DecodeError::OtherMeter,
                };
                if unreadable && is_about(body.bytes, &series.prm) {
                    *unread = Some(Unread {
                        call: flight.line,
                        meter: flight.meter,
                        dataset: flight.dataset,
                        source: self.knowledge.source.id,
                        days,
                        asked_at: flight.asked_at,
                        raw: Raw::of(body.api, expected.label, body.bytes),
                    });
                }
                let decoded = decoded.map_err(|error| {
                    tracing::error!(meter = %series.name, dataset = %flight.dataset, days = %flight.call.days, "{error}");
                    catalogue::own(error.code(), Some(response.status), "")
                })?;
                for anomaly in &decoded.anomalies {
                    tracing::warn!(meter = %series.name, dataset = %flight.dataset, "{anomaly}");
                }
                if nothing(&decoded) {
                    // There were values, and none could be read: the days are not left out.
                    return Err(catalogue::own(Own::Undecodable, Some(response.status), ""));
                }
                let exact = body.exact && self.is_exact(flight);
                let raw = Raw::of(body.api, expected.label, body.bytes);
                Ok((Covered { days, exact }, decoded.values, raw))
            }
        }
    }

    /// Stores an answer and all that it teaches.
    pub(super) async fn store_answer(
        &mut self,
        flight: Flight,
        end: CallEnd,
        covered: Covered,
        (values, raw): (Values, Option<Raw>),
        told: Vec<Effect>,
    ) -> Result<(), StoreError> {
        let now = self.engine.calendar.now();
        let served = self.knowledge.served_first(self.active, flight.dataset, now);
        let Covered { days: covered, exact } = covered;
        // An answer that is put together may begin anywhere; only where it holds data was it accepted.
        let begins = if exact { Some(covered.first()) } else { values.first_day() };
        let answer = Answer {
            end,
            meter: flight.meter,
            dataset: flight.dataset,
            source: self.knowledge.source.id,
            direct: self.active.source.is_direct(),
            covered,
            exact,
            same_day: self.active.source.same_day(),
            values,
            asked_at: flight.asked_at,
            window_first: served.unwrap_or(covered.first()),
            effects: self.lessons(flight, begins).into_iter().chain(told).collect(),
            raw,
        };
        let effects = answer.effects.clone();
        let committed = match self.engine.store.commit(answer).await {
            Err(StoreError::Superseded) => {
                self.superseded(flight.call.series);
                // Whatever it taught of the source is as true as before.
                let of_source: Vec<Effect> = effects.into_iter().filter(sharing::is_of_source).collect();
                for effect in &of_source {
                    self.knowledge.learn(effect);
                }
                return self.engine.store.apply(of_source).await;
            }
            committed => committed?,
        };
        self.knowledge.saw(flight.call.series, committed.seen);
        for effect in &effects {
            self.knowledge.learn(effect);
        }
        // What was asked with these very days is not asked again in this pass.
        self.answered.insert(key(flight.call));
        self.succeeded.insert(flight.call.series);
        self.faults.clear();
        self.pauses = 0;
        self.report.inserted += committed.inserted;
        self.report.changed += committed.changed;
        self.tell_doubts(flight, &committed.doubts);
        self.suspect_contract_by(flight.meter, &committed.doubts);
        self.hears(flight, &committed.days);
        self.knowledge.answered(flight.call.series, &committed.days, flight.asked_at);
        self.settle_troubles(flight.call.series);
        if flight.call.reason == plan::Reason::Probe || flight.call.reason == plan::Reason::Activation {
            self.knowledge.touch(flight.call.series);
        }
        Ok(())
    }

    /// Names what is odd about registers, each kind once.
    fn tell_doubts(&self, flight: Flight, doubts: &[(Day, Doubt)]) {
        let Some(series) = self.knowledge.series.get(flight.call.series) else { return };
        let mut kinds: BTreeMap<Doubt, (Day, usize)> = BTreeMap::new();
        for (day, doubt) in doubts {
            let known = kinds.entry(*doubt).or_insert((*day, 0));
            *known = (known.0.min(*day), known.1 + 1);
        }
        for (doubt, (first, days)) in kinds {
            tracing::warn!(meter = %series.name, dataset = %flight.dataset, %first, days, "{doubt}");
        }
    }

    /// Whether the answer to a call tells which days there are not.
    pub(super) fn is_exact(&self, flight: Flight) -> bool {
        let reach = self.active.source.reach(flight.dataset);
        reach.is_some_and(|reach| flight.call.days.len() <= reach.exact_days)
    }

    /// A series of which no days are set aside any more has no trouble either.
    fn settle_troubles(&mut self, series: usize) {
        if self.knowledge.aside.iter().all(|a| a.series != series) {
            self.troubles.remove(&series);
        }
    }

    /// What an answer teaches besides its values.
    fn lessons(&self, flight: Flight, begins: Option<Day>) -> Vec<Effect> {
        let mut effects = Vec::new();
        let direction = flight.dataset.direction();
        let known = self.knowledge.activation(flight.meter, direction);
        let Some(start) = begins else { return self.lessons_of_source(flight) };
        // A meter that was refused altogether and is served again has to be looked at anew.
        if self.knowledge.series.get(flight.call.series).is_some_and(|s| s.state == SeriesState::NotOffered) {
            let known = Activation { refused: None, accepted: Some(start), refusals: 0 };
            effects.push(Effect::Activation { meter: flight.meter, direction, known });
        } else if known.accepting(start) != known {
            effects.push(Effect::Accepted { meter: flight.meter, direction, first: start });
        }
        effects.extend(self.lessons_of_source(flight));
        effects
    }

    /// What an answer teaches of its source and of series that wait for it.
    fn lessons_of_source(&self, flight: Flight) -> Vec<Effect> {
        let mut effects = Vec::new();
        let learnt = self.knowledge.learnt(flight.dataset);
        let remembered = learnt.api.map(|(api, _)| api);
        let apis = self.active.source.apis(flight.dataset);
        let preferred = apis.first().copied();
        let other_api = apis.len() > 1 && remembered.or(preferred) != Some(flight.api);
        if other_api || learnt.not_before.is_some() {
            let api = if other_api { Some((flight.api, flight.asked_at)) } else { learnt.api };
            let known = Learnt { api, not_before: None, ..learnt };
            effects.push(Effect::Learnt { source: self.knowledge.source.id, dataset: flight.dataset, known });
        }
        // The probe got through: whatever was refused for the same reason is open again.
        let kin = self.knowledge.kin(flight.call.series).filter(|(index, _)| *index != flight.call.series);
        effects.extend(kin.map(|(_, s)| Effect::Series {
            meter: s.meter,
            dataset: s.dataset,
            state: SeriesState::Ok,
            code: None,
            message: None,
            not_before: None,
        }));
        // Only a call that left after a pause was asked for shows that it is over.
        let state = &self.knowledge.source.state;
        let well = SourceState { slow_until_ms: state.slow_until_ms, ..SourceState::default() };
        if *state != well && flight.left >= self.pause_began {
            effects.push(Effect::Source { source: self.knowledge.source.id, state: well });
        }
        effects
    }
}

/// Whether a body is worth keeping although it cannot be read: a whole one that names the meter. What is about another
/// meter is not ours to keep.
fn is_about(body: &[u8], prm: &Prm) -> bool {
    let names = |body: &str| body.contains(prm.full());
    std::str::from_utf8(body).is_ok_and(names) && serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()
}
