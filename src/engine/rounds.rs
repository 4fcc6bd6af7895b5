//! What each round of a pass is about: plain choices over what is known.
//!
//! One round asks the preferred sources, and each one after it asks the next sources for what was left or refused.
//! Before them come contracts that another source is asked for than the measures behind them: they say from which day
//! on there is something to be asked for. Within one source they come first by themselves.

use std::collections::{BTreeMap, BTreeSet};

use super::knowledge::{Chosen, Knowledge, Wish};
use super::pass::Selection;
use super::serving::{self, CustomerKey, Moment, SeriesKey};
use super::{ActiveMeter, ActiveSource, Report, customers};
use crate::domain::CustomerDataset;
use crate::store::{CustomerFacts, Facts, MeterId, SeriesFacts, SourceId, Switch};

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

/// What comes next in a pass.
pub(super) struct Next {
    /// Series that go to other sources.
    pub(super) switches: Vec<Switch>,
    /// Of these, those that their sources had left or refused in this pass.
    pub(super) taken: BTreeSet<SeriesKey>,
    /// The same of what is to be known of customers.
    pub(super) moved: BTreeSet<CustomerKey>,
    /// The round; `None` where nothing is left for another one.
    pub(super) round: Option<Round>,
}

/// The rounds of a pass so far.
pub(super) struct Rounds<'s> {
    selection: &'s Selection,
    sources: &'s [ActiveSource],
    meters: &'s [ActiveMeter],
    /// Sources that series were asked of.
    tried: BTreeSet<(SeriesKey, SourceId)>,
    /// Sources that have left or refused something about a customer.
    refused: BTreeSet<(CustomerKey, SourceId)>,
    /// Sources that were asked for a contract before others for measures.
    ahead: BTreeSet<(CustomerKey, SourceId)>,
    answered: BTreeSet<CustomerKey>,
    /// Who is asked about each customer in the round that goes on.
    asked: BTreeMap<CustomerKey, SourceId>,
    /// Whether that round is one of contracts alone.
    begins: bool,
    /// What the last round has left for the next sources; `None` before all were asked.
    left: Option<(BTreeSet<SeriesKey>, BTreeSet<CustomerKey>)>,
}

impl<'s> Rounds<'s> {
    /// Before the first round.
    pub(super) fn new(selection: &'s Selection, sources: &'s [ActiveSource], meters: &'s [ActiveMeter]) -> Self {
        Self {
            selection,
            sources,
            meters,
            tried: BTreeSet::new(),
            refused: BTreeSet::new(),
            ahead: BTreeSet::new(),
            answered: BTreeSet::new(),
            asked: BTreeMap::new(),
            begins: false,
            left: None,
        }
    }

    /// Chooses sources for the next round, and says what it is about.
    pub(super) fn next(&mut self, facts: &mut Facts, now: Moment) -> Next {
        let (selection, sources, meters) = (self.selection, self.sources, self.meters);
        let selected = || facts.series.iter().filter(|s| selects(selection, s)).map(|s| (s.meter, s.dataset)).collect();
        let among = self.left.as_ref().map_or_else(selected, |(series, _)| series.clone());
        let switches = serving::choose(facts, sources, meters, &self.tried, Some(&among), now);
        serving::choose_for_customers(facts, sources, meters, &self.refused, now.machine_ms);
        let mut round = Round { answered: self.answered.clone(), ..Round::of_all(facts, selection) };
        round.moved = self.moved(facts);
        let ahead = if self.left.is_none() { self.contracts_of_others(facts, &round, now) } else { BTreeMap::new() };
        let mut taken = BTreeSet::new();
        if let Some((_, customers)) = &self.left {
            taken = switches.iter().map(|switch| (switch.meter, switch.dataset)).collect();
            (round.series, round.customers) = (Some(taken.clone()), Some(&round.moved & customers));
        } else if !ahead.is_empty() {
            (round.series, round.customers) = (Some(BTreeSet::new()), Some(ahead.keys().copied().collect()));
        }
        self.begins = !ahead.is_empty();
        self.asked = facts.customers.iter().map(|one| (key_of(one), one.source)).collect();
        if !self.begins {
            let series = facts.series.iter().map(|s| ((s.meter, s.dataset), s.source));
            self.tried.extend(series.filter(|(key, _)| round.takes_series(*key)));
        }
        self.ahead.extend(ahead);
        let moved = round.moved.clone();
        Next { switches, taken, moved, round: Some(round).filter(|round| !round.is_empty()) }
    }

    /// A round is over.
    pub(super) fn over(&mut self, done: &Report) {
        let unserved = done.unserved_customers();
        self.refused.extend(unserved.iter().filter_map(|key| Some((*key, *self.asked.get(key)?))));
        self.answered.extend(done.customers.iter().filter(|one| one.answered).map(|one| one.key));
        if !self.begins {
            self.left = Some((done.unserved(), unserved));
        }
    }

    /// What goes to another source than those which have left or refused it.
    fn moved(&self, facts: &Facts) -> BTreeSet<CustomerKey> {
        let refused: BTreeSet<CustomerKey> = self.refused.iter().map(|(key, _)| *key).collect();
        let untried = |one: &&CustomerFacts| !self.refused.contains(&(key_of(one), one.source));
        facts.customers.iter().filter(untried).map(key_of).filter(|key| refused.contains(key)).collect()
    }

    /// Contracts that come before measures which another source serves, and the source of each, where that was not
    /// asked yet.
    fn contracts_of_others(&self, facts: &Facts, round: &Round, now: Moment) -> BTreeMap<CustomerKey, SourceId> {
        if self.sources.len() < 2 || round.needed.is_empty() {
            return BTreeMap::new();
        }
        let selected = facts.series.iter().filter(|series| selects(self.selection, series));
        let mut served: BTreeMap<MeterId, BTreeSet<SourceId>> = BTreeMap::new();
        for series in selected {
            served.entry(series.meter).or_default().insert(series.source);
        }
        let elsewhere = |one: &CustomerFacts| {
            served.get(&one.meter).is_some_and(|by| by.iter().any(|source| *source != one.source))
        };
        let first = |one: &&CustomerFacts| {
            let key = key_of(one);
            round.needed.contains(&key)
                && !self.ahead.contains(&(key, one.source))
                && !self.refused.contains(&(key, one.source))
                && customers::is_due(one, false, round.moved.contains(&key), now.calendar)
                && elsewhere(one)
        };
        facts.customers.iter().filter(first).map(|one| (key_of(one), one.source)).collect()
    }
}

impl Round {
    /// Everything that a pass is about.
    pub(super) fn of_all(facts: &Facts, selection: &Selection) -> Self {
        Self { needed: first_contracts(facts, selection), ..Self::default() }
    }

    /// What it takes of one source's series and customers.
    pub(super) fn chosen(&self, knowledge: &Knowledge, selection: &Selection) -> Chosen {
        let fits = |s: &SeriesFacts| self.takes_series((s.meter, s.dataset)) && selects(selection, s);
        let Selection { prms, datasets, only: listed, .. } = selection;
        let everything = self.series.is_none() && prms.is_empty() && datasets.is_empty() && listed.is_none();
        let indices: BTreeSet<usize> =
            knowledge.series.iter().enumerate().filter(|(_, s)| fits(s)).map(|(index, _)| index).collect();
        let customers = self.customers_of(knowledge, selection);
        Chosen { series: (!everything).then_some(indices), request: selection.request, customers }
    }

    fn takes_series(&self, key: SeriesKey) -> bool {
        self.series.as_ref().is_none_or(|only| only.contains(&key))
    }

    fn is_empty(&self) -> bool {
        let none = |series: Option<bool>| series == Some(true);
        none(self.series.as_ref().map(BTreeSet::is_empty)) && none(self.customers.as_ref().map(BTreeSet::is_empty))
    }

    /// The datasets about customers that it takes, and how much they are wanted.
    fn customers_of(&self, knowledge: &Knowledge, selection: &Selection) -> BTreeMap<CustomerKey, Wish> {
        let Selection { prms, datasets, customers, only, only_customers, request } = selection;
        let nothing_named = datasets.is_empty() && customers.is_empty();
        let everything = nothing_named && only.is_none() && request.only.is_none();
        let asked = |facts: &CustomerFacts| match only_customers {
            Some(listed) => {
                (nothing_named || customers.contains(&facts.about))
                    && listed.contains(&(facts.prm.clone(), facts.about))
            }
            None => everything || customers.contains(&facts.about),
        };
        let takes = |facts: &&CustomerFacts| {
            let key = key_of(facts);
            (prms.is_empty() || prms.contains(&facts.prm))
                && self.customers.as_ref().is_none_or(|only| only.contains(&key))
                && (asked(facts) || self.needed.contains(&key))
        };
        let wish = |facts: &CustomerFacts| {
            let key = key_of(facts);
            if request.refetch && customers.contains(&facts.about) && !self.answered.contains(&key) {
                Wish::Told
            } else if self.moved.contains(&key) {
                Wish::Moved
            } else {
                Wish::Due
            }
        };
        knowledge.customers.iter().filter(takes).map(|facts| (key_of(facts), wish(facts))).collect()
    }
}

fn key_of(facts: &CustomerFacts) -> CustomerKey {
    (facts.meter, facts.about)
}

/// Whether a pass that is narrowed like this takes a series.
fn selects(selection: &Selection, series: &SeriesFacts) -> bool {
    (selection.prms.is_empty() || selection.prms.contains(&series.prm))
        && (selection.datasets.is_empty() || selection.datasets.contains(&series.dataset))
        && selection.only.as_ref().is_none_or(|only| only.contains(&(series.prm.clone(), series.dataset)))
}

/// The contracts that nobody has answered yet of meters whose measures a pass takes, whoever serves these: they come
/// before measures also where a pass is about nothing but these.
fn first_contracts(facts: &Facts, selection: &Selection) -> BTreeSet<CustomerKey> {
    let unanswered =
        |facts: &&CustomerFacts| facts.about == CustomerDataset::Contract && facts.last_success_at.is_none();
    let mut contracts = facts.customers.iter().filter(unanswered).peekable();
    if contracts.peek().is_none() {
        return BTreeSet::new();
    }
    let selected = facts.series.iter().filter(|series| selects(selection, series));
    let meters: BTreeSet<MeterId> = selected.map(|series| series.meter).collect();
    contracts.filter(|one| meters.contains(&one.meter)).map(key_of).collect()
}
