//! One pass: plan, ask within the budget, store, look again, until nothing is wanted, the budget
//! says later, or someone asks to stop.
//!
//! Everything that waits or fails meets in this loop, so it reads from top to bottom: the next
//! call is taken from the plan, its line is written to the journal, it flies, and when it lands it
//! is stored or reacted to. Only flights run concurrently; all decisions and all work on the
//! database happen here, one after the other, and none of it is ever cancelled in the middle.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::allowance;
use super::knowledge::{self, Knowledge};
use super::report::{Interruption, Stop};
use super::rounds::{Round, Rounds};
use super::serving::Moment;
use super::source_pass::SourcePass;
use super::{ActiveMeter, ActiveSource, Engine, Report};
use crate::domain::{CustomerDataset, Dataset, Prm, SeriesState, paris};
use crate::plan::{Allowance, Request};
use crate::source::{Reaction, catalogue};
use crate::store::{Effect, Facts, SourceState, Spent, StoreError};

/// What a pass is narrowed to.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Only these meters; empty: all.
    pub prms: Vec<Prm>,
    /// Only these datasets; empty: all.
    pub datasets: Vec<Dataset>,
    /// What is asked for by name about customers. Where neither this nor anything else narrows a pass, all of it
    /// takes part.
    pub customers: Vec<CustomerDataset>,
    /// Only these series, where there is such a list.
    pub only: Option<BTreeSet<(Prm, Dataset)>>,
    /// The same of what is asked about customers.
    pub only_customers: Option<BTreeSet<(Prm, CustomerDataset)>>,
    /// Days, refetching, and who asked.
    pub request: Request,
}

/// How far a pass is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Calls that have landed.
    pub done: u64,
    /// Calls that are planned or in flight.
    pub left: u64,
    /// Values that were new.
    pub rows: u64,
}

/// Receives how far a pass is.
pub type Observer<'a> = &'a (dyn Fn(Progress) + Send + Sync);

impl Engine {
    /// Runs one pass. The store must be writable and of the current schema.
    pub async fn pass(
        &self,
        selection: &Selection,
        stop: &CancellationToken,
        observer: Observer<'_>,
    ) -> Result<Report, StoreError> {
        self.prepare().await?;
        let shared = super::source_pass::Shared::new(observer);
        let mut report = Report::default();
        let mut rounds = Rounds::new(selection, &self.sources, &self.meters);
        loop {
            let mut facts = self.facts().await?;
            let next = rounds.next(&mut facts, self.moment());
            report.covered(&next.taken, &next.moved);
            let Some(round) = next.round else { break };
            self.store.serve(&next.switches).await?;
            let done = self.round(facts, selection, &round, &shared, stop).await?;
            rounds.over(&done);
            report.absorb(done);
            if report.stopped || self.sources.len() < 2 {
                break;
            }
        }
        self.tell_of_refusing(&mut report).await?;
        self.tell_of_consents().await?;
        self.store.tidy().await?;
        Ok(report)
    }

    /// A source that refuses credentials or has banned the address is the operator's business in each
    /// pass, also where another one stands in and it was not even asked.
    async fn tell_of_refusing(&self, report: &mut Report) -> Result<(), StoreError> {
        let replaced = report.meters.iter().flat_map(|m| &m.datasets).any(|d| d.stands_in);
        if !replaced || report.stopped {
            return Ok(());
        }
        let now = self.clock.now().timestamp_millis();
        for source in self.store.sources().await? {
            let told = report.interruptions.iter().any(|i| i.source == source.name);
            let preferred = self.meters.iter().any(|m| m.sources.first() == Some(&source.name));
            let reaction = source.state.code.as_deref().and_then(catalogue::reaction_of);
            let stop = match reaction {
                Some(Reaction::Ban) => Stop::Refused,
                Some(Reaction::StopApp { credentials: true }) => Stop::Credentials,
                _ => continue,
            };
            if let Some(until) = source.state.not_before_ms.filter(|until| *until > now && preferred && !told) {
                let message = source.state.message.unwrap_or_default();
                let unserved = BTreeSet::new();
                let (until_ms, refusal) = (Some(until), source.state.code.as_deref().and_then(catalogue::stored));
                report.interruptions.push(Interruption {
                    source: source.name,
                    stop,
                    until_ms,
                    message,
                    refusal,
                    unserved,
                });
            }
        }
        Ok(())
    }

    /// Lets each series' source do what it can.
    async fn round(
        &self,
        facts: Facts,
        selection: &Selection,
        of: &Round,
        shared: &super::source_pass::Shared<'_>,
        stop: &CancellationToken,
    ) -> Result<Report, StoreError> {
        let mut knowledges = split(&self.sources, &self.meters, &self.every, facts);
        let mut windows = Vec::new();
        for (active, knowledge) in &knowledges {
            windows.extend(knowledge.windows(active, self.calendar.now()));
        }
        let widened = self.store.open_windows(&windows, self.calendar.now().timestamp()).await?;
        if !widened.is_empty() {
            let fresh = self.store.series_facts(&widened, midnight(self.calendar.now())).await?;
            for (_, knowledge) in &mut knowledges {
                knowledge.refresh(&fresh, self.clock.monotonic());
            }
        }
        let mut accounts: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for (active, knowledge) in knowledges {
            let chosen = of.chosen(&knowledge, selection);
            if chosen.series.as_ref().is_none_or(|series| !series.is_empty()) || !chosen.customers.is_empty() {
                accounts.entry(active.source.account()).or_default().push((active, knowledge, chosen));
            }
        }
        // What one source of an account learns about it, the next one has to know.
        let runs = accounts.into_values().map(async |sources| {
            let mut report = Report::default();
            for (nth, (active, mut knowledge, chosen)) in sources.into_iter().enumerate() {
                if nth > 0 {
                    let states = self.store.sources().await?;
                    let own = states.into_iter().find(|s| s.name == active.source.name());
                    knowledge.source.state = own.map(|s| s.state).unwrap_or_default();
                }
                let ahead = usize::try_from(report.left).unwrap_or(usize::MAX);
                report.absorb(SourcePass::new(self, active, knowledge, chosen, (shared, ahead)).run(stop).await?);
            }
            Ok::<_, StoreError>(report)
        });
        let mut report = Report::default();
        for part in join_all(runs).await {
            report.absorb(part?);
        }
        Ok(report)
    }

    /// What a source refused for its former credentials is asked again with the new ones.
    pub(super) async fn forgive(&self, renewed: &[String]) -> Result<(), StoreError> {
        if renewed.is_empty() {
            return Ok(());
        }
        let facts = self.facts().await?;
        let mut effects = Vec::new();
        for source in facts.sources.iter().filter(|s| renewed.contains(&s.name)) {
            let reaction = source.state.code.as_deref().and_then(catalogue::reaction_of);
            if matches!(reaction, Some(Reaction::StopApp { .. } | Reaction::Reauth)) {
                effects.push(Effect::Source { source: source.id, state: SourceState::default() });
            }
            let refused = facts.series.iter().filter(|s| s.source == source.id && s.state == SeriesState::Suspended);
            effects.extend(refused.map(|s| Effect::Series {
                meter: s.meter,
                dataset: s.dataset,
                state: SeriesState::Waiting,
                code: None,
                message: None,
                not_before: None,
            }));
        }
        let seen = facts.series.iter().map(|s| ((s.meter, s.dataset), s.seen)).collect();
        self.store.apply_known(effects, seen).await
    }

    fn moment(&self) -> Moment {
        Moment { calendar: self.calendar.now(), machine_ms: self.clock.now().timestamp_millis() }
    }

    /// How many calls the day's budget of a source still allows for history.
    pub(super) async fn allowance(&self, active: &ActiveSource, daily: u32) -> Result<Allowance, StoreError> {
        let pool = active.history_pool();
        let spent = match active.limits_of(pool).per_day {
            Some(_) => self.store.spent(active.source.name(), pool, self.clock.now().timestamp_millis()).await?,
            None => Spent::default(),
        };
        Ok(allowance::of(active, spent, daily, self.moment()))
    }

    async fn facts(&self) -> Result<Facts, StoreError> {
        self.store.facts(midnight(self.calendar.now())).await
    }
}

/// Paris midnight before an instant, in seconds since 1970: failed calls count from then on.
#[must_use]
pub fn midnight(now: DateTime<Utc>) -> i64 {
    paris::start_of(paris::today(now))
}

/// What is known of each source and its series.
pub(super) fn split<'a>(
    sources: &'a [ActiveSource],
    meters: &[ActiveMeter],
    every: &BTreeMap<Dataset, i32>,
    facts: Facts,
) -> Vec<(&'a ActiveSource, Knowledge)> {
    let parts = knowledge::parts(sources, meters, facts).into_iter();
    parts.map(|(active, part)| (active, Knowledge::new(part, every.clone()))).collect()
}
