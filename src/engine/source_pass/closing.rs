//! The end of a pass: how each series stands is stored and summed up.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::SourcePass;
use crate::domain::{CustomerDataset, Dataset, Prm, SeriesState};
use crate::engine::knowledge::Wish;
use crate::engine::report::{CustomerReport, DatasetReport, MeterReport, Stop};
use crate::engine::{Report, customers, serving};
use crate::source::catalogue;
use crate::store::{CustomerFacts, Effect, PutOff, StoreError};

impl SourcePass<'_> {
    /// Stores how each series stands and sums up.
    pub(super) async fn finish(mut self) -> Result<Report, StoreError> {
        self.plan().await?;
        let left: Vec<_> = self.queue.iter().copied().filter(|call| !self.waits_for_later(*call)).collect();
        self.queue = left.into();
        let mut left: BTreeMap<usize, u64> = BTreeMap::new();
        for call in &self.queue {
            *left.entry(call.series).or_default() += 1;
        }
        let waiting: BTreeSet<usize> = left.keys().copied().collect();
        let errands = self.errands.left();
        let of_errands = self.calls_of_errands(&errands);
        self.report.left = u64::try_from(self.queue.len()).unwrap_or_default() + of_errands.values().sum::<u64>();
        self.put_off_errands(&errands).await?;
        let effects: Vec<Effect> =
            (0..self.knowledge.series.len()).filter_map(|index| self.fares(index, waiting.contains(&index))).collect();
        let mut effects = self.still_true(effects).await?;
        // On a server each write tells the other instances that the series has changed.
        effects.retain(|effect| self.says_more(effect));
        for effect in &effects {
            self.knowledge.learn(effect);
        }
        // Another instance may find something out between the look and this.
        let seen = effects.iter().filter_map(|effect| self.seen_of(effect)).collect();
        self.engine.store.apply_known(effects, seen).await?;
        let now = self.engine.calendar.now();
        self.engine.store.open_windows(&self.knowledge.windows(self.active, now), now.timestamp()).await?;
        let state = &self.knowledge.source.state;
        // A budget that is used up, or a short pause, is waited for and is no reason to leave.
        let until = self.interruption.as_ref().and_then(|i| i.until_ms);
        let for_budget = self.used_up.iter().any(|counter| Some(counter.until_ms) == until);
        let leaves = !for_budget && (!self.source_rests() || serving::is_down(state, self.machine_ms()));
        if let Some(interruption) = self.interruption.as_mut().filter(|_| leaves) {
            let series = waiting.iter().filter_map(|index| self.knowledge.series.get(*index));
            interruption.unserved = series.map(|s| (s.meter, s.dataset)).collect();
        }
        self.report.interruptions.extend(self.interruption.clone());
        self.report.meters = self.meters(&left).await?;
        self.report.customers = self.customers(&of_errands, self.interruption.is_some() && leaves).await?;
        Ok(self.report)
    }

    /// The series that an effect is about, and its counter as it was when that was concluded.
    fn seen_of(&self, effect: &Effect) -> Option<(serving::SeriesKey, i64)> {
        let Effect::Series { meter, dataset, .. } = effect else { return None };
        let series = self.knowledge.series.get(self.knowledge.index_of((*meter, *dataset))?)?;
        Some(((*meter, *dataset), series.seen))
    }

    /// The new state of a series that took part, where it has one.
    fn fares(&self, index: usize, waiting: bool) -> Option<Effect> {
        let series = self.knowledge.series.get(index)?;
        if self.chosen.series.as_ref().is_some_and(|c| !c.contains(&index)) {
            return None;
        }
        let refused = self.interruption.as_ref().filter(|i| i.stop != Stop::Later);
        let why = self.interruption.as_ref().map(|i| i.message.clone());
        let trouble = self.troubles.get(&index).cloned().or_else(|| self.resting(index));
        let (state, code, message) = match (series.state, trouble) {
            (SeriesState::Suspended | SeriesState::NotOffered, _) => return None,
            (_, Some((code, message))) => (SeriesState::Failing, Some(code), Some(message)),
            (_, None) if waiting && refused.is_some() => {
                (SeriesState::Failing, self.knowledge.source.state.code.clone(), why)
            }
            (SeriesState::Failing, None) => return None,
            (_, None) if waiting && !self.report.stopped => (SeriesState::Waiting, None, why),
            (SeriesState::Waiting, None) if !waiting => (SeriesState::Ok, None, None),
            _ => return None,
        };
        let (meter, dataset) = (series.meter, series.dataset);
        // Only told: what waits for a budget is looked at by every pass.
        let not_before = if state == SeriesState::Waiting { self.opens_at() } else { series.not_before };
        Some(Effect::Series { meter, dataset, state, code, message, not_before })
    }

    /// Whether an effect says something new. Only of series that wait can there be thousands; of others the
    /// words may be new although the code is not.
    fn says_more(&self, effect: &Effect) -> bool {
        let Effect::Series { meter, dataset, state: state @ SeriesState::Waiting, code, not_before, .. } = effect
        else {
            return true;
        };
        let index = self.knowledge.index_of((*meter, *dataset));
        let known = index.and_then(|index| self.knowledge.series.get(index));
        known.is_none_or(|known| (known.state, &known.code, known.not_before) != (*state, code, *not_before))
    }

    /// When the source that was left early may be asked again (calendar).
    fn opens_at(&self) -> Option<i64> {
        let until = self.interruption.as_ref()?.until_ms?.div_euclid(1_000);
        let shift = self.engine.calendar.now().timestamp() - self.machine().timestamp();
        Some(until + shift)
    }

    /// The code and advice of days that rest until tomorrow because calls for them kept failing.
    fn resting(&self, index: usize) -> Option<(String, String)> {
        let code = self.knowledge.resting(self.active, index, self.engine.calendar.now())?;
        let advice = catalogue::row_of(&code).map(|(_, advice)| advice.to_owned()).unwrap_or_default();
        Some((code, advice))
    }

    /// The calls that each of these takes, by its place among what is known of customers.
    fn calls_of_errands(&self, errands: &BTreeSet<usize>) -> BTreeMap<usize, u64> {
        let mut counted =
            customers::Counted::new(self.active, &self.knowledge.source.closed, self.engine.calendar.now());
        let calls = errands.iter().filter_map(|index| {
            let facts = self.knowledge.customers.get(*index)?;
            let told = self.chosen.customers.get(&(facts.meter, facts.about)) == Some(&Wish::Told);
            Some((*index, u64::try_from(counted.calls(facts, told)).unwrap_or(u64::MAX)))
        });
        calls.collect()
    }

    /// Stores that what was to be asked about customers waits, as series of measures do ([`Self::fares`]).
    async fn put_off_errands(&mut self, left: &BTreeSet<usize>) -> Result<(), StoreError> {
        if self.report.stopped {
            return Ok(());
        }
        let refused = self.interruption.as_ref().is_some_and(|i| i.stop != Stop::Later);
        let why = PutOff {
            code: self.knowledge.source.state.code.clone().filter(|_| refused),
            message: self.interruption.as_ref().map(|i| i.message.clone()),
            not_before: self.opens_at().filter(|_| !refused),
        };
        let waits = |facts: &&CustomerFacts| match facts.state {
            SeriesState::Ok => true,
            // On a server each write tells the other instances that it has changed.
            SeriesState::Waiting => refused || facts.not_before != why.not_before,
            SeriesState::Suspended | SeriesState::NotOffered | SeriesState::Failing => false,
        };
        let waiting: Vec<CustomerFacts> =
            left.iter().filter_map(|index| self.knowledge.customers.get(*index)).filter(waits).cloned().collect();
        self.engine.store.put_off(&waiting, why).await
    }

    /// How what was to be asked about customers stands, with the calls that are left of it.
    async fn customers(&self, left: &BTreeMap<usize, u64>, leaves: bool) -> Result<Vec<CustomerReport>, StoreError> {
        if self.chosen.customers.is_empty() {
            return Ok(Vec::new());
        }
        let own: HashMap<(&Prm, CustomerDataset), serving::CustomerKey> = self
            .knowledge
            .customers
            .iter()
            .filter(|facts| self.chosen.customers.contains_key(&(facts.meter, facts.about)))
            .map(|facts| ((&facts.prm, facts.about), (facts.meter, facts.about)))
            .collect();
        let key = |index: &usize| self.knowledge.customers.get(*index).map(|facts| (&facts.prm, facts.about));
        let answered: BTreeSet<(&Prm, CustomerDataset)> = self.errands.answered.iter().filter_map(key).collect();
        let refused: BTreeSet<(&Prm, CustomerDataset)> = self.errands.refused.iter().filter_map(key).collect();
        let left: BTreeMap<(&Prm, CustomerDataset), u64> =
            left.iter().filter_map(|(index, calls)| Some((key(index)?, *calls))).collect();
        let lines = self.engine.store.customers().await?;
        let lines = lines.into_iter().filter_map(|line| Some((*own.get(&(&line.prm, line.about))?, line)));
        Ok(lines
            .map(|(key, line)| {
                let own = (&line.prm, line.about);
                let (refused, calls) = (refused.contains(&own), left.get(&own).copied());
                // The database tells who was asked last, and of this one was to be asked.
                let concerned = refused || calls.is_some();
                CustomerReport {
                    key,
                    answered: answered.contains(&own),
                    left: calls.unwrap_or_default(),
                    unserved: refused || (leaves && calls.is_some()),
                    source: if concerned { self.active.source.name().to_owned() } else { line.source },
                    prm: line.prm,
                    name: line.name,
                    about: line.about,
                    state: line.state,
                    code: line.code,
                    error: line.message,
                }
            })
            .collect())
    }

    async fn meters(&self, left: &BTreeMap<usize, u64>) -> Result<Vec<MeterReport>, StoreError> {
        let status = self.engine.store.status().await?;
        let messages: HashMap<(&Prm, Dataset), &str> =
            status.iter().filter_map(|s| Some(((&s.prm, s.dataset), s.message.as_deref()?))).collect();
        let preferred: HashMap<&Prm, &String> =
            self.engine.meters.iter().filter_map(|m| Some((&m.prm, m.sources.first()?))).collect();
        let mut meters: Vec<MeterReport> = Vec::new();
        let mut places: HashMap<&Prm, usize> = HashMap::new();
        for (index, series) in self.knowledge.series.iter().enumerate() {
            if self.chosen.series.as_ref().is_some_and(|c| !c.contains(&index)) {
                continue;
            }
            let waits = matches!(series.state, SeriesState::Suspended | SeriesState::NotOffered | SeriesState::Failing);
            let report = DatasetReport {
                series: (series.meter, series.dataset),
                unserved: waits,
                left: left.get(&index).copied().unwrap_or_default(),
                source: self.active.source.name().to_owned(),
                stands_in: preferred.get(&series.prm).is_some_and(|name| *name != self.active.source.name()),
                dataset: series.dataset,
                state: series.state,
                code: series.code.clone(),
                error: messages.get(&(&series.prm, series.dataset)).map(|message| (*message).to_owned()),
            };
            let place = *places.entry(&series.prm).or_insert(meters.len());
            match meters.get_mut(place) {
                Some(meter) => meter.datasets.push(report),
                None => meters.push(MeterReport {
                    prm: series.prm.clone(),
                    name: series.name.clone(),
                    datasets: vec![report],
                }),
            }
        }
        Ok(meters)
    }
}
