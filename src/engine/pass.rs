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
use super::knowledge::{self, Chosen, Knowledge, Wish};
use super::report::{Interruption, Stop};
use super::serving::{self, CustomerKey, Moment, SeriesKey};
use super::source_pass::SourcePass;
use super::{ActiveMeter, ActiveSource, Engine, Report, customers};
use crate::domain::{CustomerDataset, Dataset, Prm, SeriesState, paris};
use crate::plan::{Allowance, Request};
use crate::source::{Reaction, catalogue};
use crate::store::{CustomerFacts, Effect, Facts, MeterId, SeriesFacts, SourceId, SourceState, Spent, StoreError};

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

/// What a round of a pass is about.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// These series alone; `None`: all that the pass is about.
    series: Option<BTreeSet<SeriesKey>>,
    /// The same of what is to be known of customers.
    customers: Option<BTreeSet<CustomerKey>>,
    /// Contracts that nobody has answered yet of meters whose measures the pass takes.
    needed: BTreeSet<CustomerKey>,
    /// What another source has left or refused in this pass.
    moved: BTreeSet<CustomerKey>,
    /// What this pass has an answer to.
    answered: BTreeSet<CustomerKey>,
}

impl Round {
    /// Everything that a pass is about.
    pub(super) fn of_all(facts: &Facts, selection: &Selection) -> Self {
        Self { needed: first_contracts(facts, selection), ..Self::default() }
    }
}

/// Which sources a pass has asked for what.
#[derive(Debug, Default)]
struct Tried {
    series: BTreeSet<(SeriesKey, SourceId)>,
    /// Those that have left or refused something about a customer.
    customers: BTreeSet<(CustomerKey, SourceId)>,
    /// Those that were asked for a contract before other sources for measures.
    ahead: BTreeSet<(CustomerKey, SourceId)>,
}

impl Tried {
    /// A round is over in which `unserved` was left or refused.
    fn add(&mut self, asked: &BTreeMap<CustomerKey, SourceId>, unserved: &BTreeSet<CustomerKey>) {
        self.customers.extend(unserved.iter().filter_map(|key| Some((*key, *asked.get(key)?))));
    }
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
        let mut tried = Tried::default();
        // What is left for the next sources, once all were asked.
        let mut left: Option<(BTreeSet<SeriesKey>, BTreeSet<CustomerKey>)> = None;
        // One round with the preferred sources, and another for what they leave to the next ones. Before them come
        // contracts that another source is asked for than the measures behind them.
        loop {
            let mut facts = self.facts().await?;
            let now = self.moment();
            let selected =
                facts.series.iter().filter(|s| selects(selection, s)).map(|s| (s.meter, s.dataset)).collect();
            let among = left.as_ref().map_or(&selected, |(series, _)| series);
            let switches = serving::choose(&mut facts, &self.sources, &self.meters, &tried.series, Some(among), now);
            let (sources, meters) = (&self.sources, &self.meters);
            serving::choose_for_customers(&mut facts, sources, meters, &tried.customers, now.machine_ms);
            let refused: BTreeSet<CustomerKey> = tried.customers.iter().map(|(key, _)| *key).collect();
            let untried = |one: &&CustomerFacts| !tried.customers.contains(&((one.meter, one.about), one.source));
            let moved = facts.customers.iter().filter(untried).map(|one| (one.meter, one.about));
            let mut round = Round {
                moved: moved.filter(|key| refused.contains(key)).collect(),
                ..Round::of_all(&facts, selection)
            };
            round.answered = report.customers.iter().filter(|one| one.answered).map(|one| one.key).collect();
            let taken: BTreeSet<SeriesKey> = switches.iter().map(|switch| (switch.meter, switch.dataset)).collect();
            // Before anything was left nothing can have been taken over.
            let none = BTreeSet::new();
            report.covered(if left.is_some() { &taken } else { &none }, &round.moved);
            let ahead = if left.is_none() {
                self.contracts_of_others(&facts, &round.needed, selection, &tried)
            } else {
                BTreeSet::new()
            };
            if !ahead.is_empty() {
                (round.series, round.customers) =
                    (Some(BTreeSet::new()), Some(ahead.iter().map(|(key, _)| *key).collect()));
            } else if let Some((_, customers)) = &left {
                (round.series, round.customers) = (Some(taken), Some(&round.moved & customers));
            }
            let is_empty = |keys: Option<bool>| keys == Some(true);
            if is_empty(round.series.as_ref().map(BTreeSet::is_empty))
                && is_empty(round.customers.as_ref().map(BTreeSet::is_empty))
            {
                break;
            }
            self.store.serve(&switches).await?;
            let asked: BTreeMap<CustomerKey, SourceId> =
                facts.customers.iter().map(|one| ((one.meter, one.about), one.source)).collect();
            if ahead.is_empty() {
                let series = facts.series.iter().map(|s| ((s.meter, s.dataset), s.source));
                tried
                    .series
                    .extend(series.filter(|(key, _)| round.series.as_ref().is_none_or(|only| only.contains(key))));
            }
            let begins = !ahead.is_empty();
            tried.ahead.extend(ahead);
            let done = self.round(facts, selection, &round, &shared, stop).await?;
            let unserved = done.unserved_customers();
            tried.add(&asked, &unserved);
            if !begins {
                left = Some((done.unserved(), unserved));
            }
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

    /// Contracts that come before measures which another source serves, and that source, where it was not asked for
    /// that in this pass. Within one source they come first by themselves.
    fn contracts_of_others(
        &self,
        facts: &Facts,
        needed: &BTreeSet<CustomerKey>,
        selection: &Selection,
        tried: &Tried,
    ) -> BTreeSet<(CustomerKey, SourceId)> {
        if self.sources.len() < 2 || needed.is_empty() {
            return BTreeSet::new();
        }
        let now = self.calendar.now();
        let selected = facts.series.iter().filter(|series| selects(selection, series));
        let served: BTreeSet<(MeterId, SourceId)> = selected.map(|series| (series.meter, series.source)).collect();
        let elsewhere = |one: &CustomerFacts| {
            served
                .range((one.meter, SourceId(i64::MIN))..=(one.meter, SourceId(i64::MAX)))
                .any(|(_, s)| *s != one.source)
        };
        let first = |one: &&CustomerFacts| {
            let key = (one.meter, one.about);
            let moved = tried.customers.iter().any(|(other, _)| *other == key);
            needed.contains(&key) && customers::is_due(one, false, moved, now) && elsewhere(one)
        };
        let asked = facts.customers.iter().filter(first).map(|one| ((one.meter, one.about), one.source));
        let tried = |one: &(CustomerKey, SourceId)| tried.ahead.contains(one) || tried.customers.contains(one);
        asked.filter(|one| !tried(one)).collect()
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
            let chosen = chosen(&knowledge, selection, of);
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

/// Whether a pass that is narrowed like this takes a series.
fn selects(selection: &Selection, series: &SeriesFacts) -> bool {
    (selection.prms.is_empty() || selection.prms.contains(&series.prm))
        && (selection.datasets.is_empty() || selection.datasets.contains(&series.dataset))
        && selection.only.as_ref().is_none_or(|only| only.contains(&(series.prm.clone(), series.dataset)))
}

/// The datasets about customers that a round takes, and how much they are wanted.
fn customers_of(knowledge: &Knowledge, selection: &Selection, of: &Round) -> BTreeMap<CustomerKey, Wish> {
    let Selection { prms, datasets, customers, only, only_customers, request } = selection;
    let nothing_named = datasets.is_empty() && customers.is_empty();
    let everything = nothing_named && only.is_none() && request.only.is_none();
    let asked = |facts: &CustomerFacts| match only_customers {
        Some(listed) => {
            (nothing_named || customers.contains(&facts.about)) && listed.contains(&(facts.prm.clone(), facts.about))
        }
        None => everything || customers.contains(&facts.about),
    };
    let of_meter = |prm| prms.is_empty() || prms.contains(prm);
    let wish = |facts: &CustomerFacts| {
        let key = (facts.meter, facts.about);
        let told = request.refetch && customers.contains(&facts.about) && !of.answered.contains(&key);
        match (told, of.moved.contains(&key)) {
            (true, _) => Wish::Told,
            (false, true) => Wish::Moved,
            (false, false) => Wish::Due,
        }
    };
    let in_round = |key| of.customers.as_ref().is_none_or(|only| only.contains(&key));
    let all = knowledge.customers.iter().filter(|facts| of_meter(&facts.prm) && in_round((facts.meter, facts.about)));
    let taken = all.filter(|facts| asked(facts) || of.needed.contains(&(facts.meter, facts.about)));
    taken.map(|facts| ((facts.meter, facts.about), wish(facts))).collect()
}

/// The contracts that nobody has answered yet of meters whose measures a pass takes, whoever serves these: they say from
/// which day on there is something to be asked for, so they come before measures also where a pass is about nothing but
/// these.
fn first_contracts(facts: &Facts, selection: &Selection) -> BTreeSet<CustomerKey> {
    let unanswered =
        |facts: &&CustomerFacts| facts.about == CustomerDataset::Contract && facts.last_success_at.is_none();
    let mut contracts = facts.customers.iter().filter(unanswered).peekable();
    if contracts.peek().is_none() {
        return BTreeSet::new();
    }
    let selected = facts.series.iter().filter(|series| selects(selection, series));
    let meters: BTreeSet<MeterId> = selected.map(|series| series.meter).collect();
    contracts.filter(|one| meters.contains(&one.meter)).map(|one| (one.meter, one.about)).collect()
}

/// What a round takes of one source's series and customers.
pub(super) fn chosen(knowledge: &Knowledge, selection: &Selection, of: &Round) -> Chosen {
    let in_round = |s: &SeriesFacts| of.series.as_ref().is_none_or(|only| only.contains(&(s.meter, s.dataset)));
    let fits = |s: &SeriesFacts| in_round(s) && selects(selection, s);
    let Selection { prms, datasets, only: listed, .. } = selection;
    let everything = of.series.is_none() && prms.is_empty() && datasets.is_empty() && listed.is_none();
    let indices: BTreeSet<usize> =
        knowledge.series.iter().enumerate().filter(|(_, s)| fits(s)).map(|(index, _)| index).collect();
    let customers = customers_of(knowledge, selection, of);
    Chosen { series: (!everything).then_some(indices), request: selection.request, customers }
}
