//! What is known, as the planner sees it: meter by meter, so that a fleet needs no list of all its
//! series, and so that one meter can be planned anew without the others.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::{DateTime, Utc};

use super::first_day::Histories;
use super::turn::Refused;
use super::{Chosen, Knowledge, published_end};
use crate::domain::{Dataset, Day, Days, paris};
use crate::engine::ActiveSource;
use crate::engine::allowance::budget;
use crate::plan::forecast::{Demand, Forecast, Need};
use crate::plan::{self, Allowance, Call, Request, Series, Turn};
use crate::source::{Reaction, catalogue};
use crate::store::{MeterId, SeriesFacts};

/// What holds for every series of a dataset today.
#[derive(Debug, Clone, Copy)]
struct Terms {
    served_first: Day,
    max_days: i32,
    exact_days: i32,
    every: i32,
}

/// What a plan is made for.
struct Today<'p> {
    terms: BTreeMap<Dataset, Terms>,
    /// The first day that is not published yet.
    end: Day,
    /// The calendar's now, in seconds since 1970.
    epoch: i64,
    chosen: &'p Chosen,
}

impl Knowledge {
    /// The calls for every series, in no order.
    #[must_use]
    pub fn calls(&self, source: &ActiveSource, chosen: &Chosen, now: DateTime<Utc>) -> Vec<Call> {
        let mut all = Vec::new();
        self.each_meter(source, chosen, now, |calls| all.extend(calls));
        all
    }

    /// The calls for every series, counted: but for those that are left to a later pass, because the newest day does
    /// not seem to be published yet.
    #[must_use]
    pub fn demand_of_all(&self, source: &ActiveSource, now: DateTime<Utc>) -> Demand {
        let mut demand = Demand::default();
        let later = self.wait_for_newest(now);
        let waits = |call: &Call| self.peers_of(call).is_some_and(|peers| later.contains(&peers));
        self.each_meter(source, &Chosen::default(), now, |calls| {
            for call in calls.into_iter().filter(|call| !waits(call)) {
                if let Some(series) = self.series.get(call.series) {
                    demand.add(&call, series.dataset);
                }
            }
        });
        demand
    }

    /// These calls, counted.
    #[must_use]
    pub fn demand(&self, calls: &[Call]) -> Demand {
        Demand::of(calls, |index| self.series.get(index).map(|series| series.dataset))
    }

    fn each_meter(&self, source: &ActiveSource, chosen: &Chosen, now: DateTime<Utc>, mut take: impl FnMut(Vec<Call>)) {
        let today = self.today(source, chosen, now);
        let mut histories = self.histories(source, now);
        let mut probing = HashSet::new();
        for meter in self.members.keys() {
            take(self.calls_of(*meter, &today, &mut histories, &mut probing));
        }
    }

    /// The calls for these series and their meters' others, in no order, and which series that are;
    /// `None` where they cannot be planned by themselves, because all have to wait for the answer to one
    /// call.
    #[must_use]
    pub fn calls_again(
        &self,
        source: &ActiveSource,
        chosen: &Chosen,
        now: DateTime<Utc>,
        touched: &BTreeSet<usize>,
    ) -> Option<(Vec<Call>, BTreeSet<usize>)> {
        let mut histories = self.histories(source, now);
        if histories.are_searched() {
            return None;
        }
        let today = self.today(source, chosen, now);
        let series: BTreeSet<usize> = touched.iter().flat_map(|index| self.siblings(*index)).collect();
        let meters: BTreeSet<MeterId> = series.iter().filter_map(|i| self.series.get(*i)).map(|s| s.meter).collect();
        if series.iter().filter_map(|index| self.series.get(*index)).any(|one| self.waits_for_all(one, now.timestamp()))
        {
            return None;
        }
        let mut calls = Vec::new();
        for meter in meters {
            calls.extend(self.calls_of(meter, &today, &mut histories, &mut HashSet::new()));
        }
        Some((calls, series))
    }

    /// What will become of these calls, behind so many others of the account, and of the series' new days.
    #[must_use]
    pub fn forecast(&self, source: &ActiveSource, demand: &Demand, ahead: usize, allowance: Allowance) -> Forecast {
        let budget = budget(source.limits);
        Forecast::of(&Need { demand, ahead, series: &self.asked, every: &self.every, budget, allowance })
    }

    fn calls_of(
        &self,
        meter: MeterId,
        today: &Today<'_>,
        histories: &mut Histories,
        probing: &mut HashSet<Refused>,
    ) -> Vec<Call> {
        let members = self.members.get(&meter).map(Vec::as_slice).unwrap_or_default();
        let known = members.iter().filter_map(|index| Some((*index, self.series.get(*index)?)));
        let mut all: Vec<(usize, Series<'_>)> =
            known.map(|(index, facts)| (index, self.seen(index, facts, today, probing))).collect();
        self.search(meter, &mut all, today.chosen.request, today.epoch);
        histories.search(&mut all, today.chosen.request, today.epoch);
        let request = today.chosen.request;
        all.iter().flat_map(|(index, series)| plan::calls_of(*index, series, today.epoch, request)).collect()
    }

    fn today<'p>(&self, source: &ActiveSource, chosen: &'p Chosen, now: DateTime<Utc>) -> Today<'p> {
        let (epoch, today) = (now.timestamp(), paris::today(now));
        let terms = Dataset::ALL.into_iter().map(|dataset| {
            let reach = source.source.reach(dataset);
            let longest = reach.map_or(1, |reach| reach.max_days);
            let max_days = match self.learnt(dataset).max_days {
                Some((days, until)) if until > epoch => days.min(longest),
                _ => longest,
            };
            let terms = Terms {
                served_first: self.served_first(source, dataset, now).unwrap_or(today),
                max_days,
                exact_days: reach.map_or(1, |reach| reach.exact_days).min(max_days),
                every: self.every.get(&dataset).copied().unwrap_or(1),
            };
            (dataset, terms)
        });
        let offered = |(dataset, _): &(Dataset, Terms)| source.source.reach(*dataset).is_some();
        Today { terms: terms.filter(offered).collect(), end: published_end(now), epoch, chosen }
    }

    /// A series as the planner sees it.
    fn seen<'k>(
        &'k self,
        index: usize,
        facts: &'k SeriesFacts,
        today: &Today<'_>,
        probing: &mut HashSet<Refused>,
    ) -> Series<'k> {
        let Today { terms, end, epoch, chosen } = today;
        let terms = terms.get(&facts.dataset);
        let refused = match chosen.request {
            // An operator who names days may ask beyond what a refusal once taught.
            Request { refetch: true, only: Some(_), .. } => None,
            _ => self.activation(facts.meter, facts.dataset.direction()).refused,
        };
        let mut window = terms.and_then(|t| Days::new(self.wanted_from(facts, t.served_first, refused), *end));
        let in_choice = chosen.series.as_ref().is_none_or(|c| c.contains(&index));
        // What nobody collects makes no test for others either.
        let can = in_choice && window.is_some() && !self.gone.contains(&index);
        let turn = if can { self.turn(index, facts, probing, *epoch) } else { Turn::Rest };
        // Another instance holds it, or has given it to another source.
        let elsewhere = self.taken.contains_key(&index) || facts.source != self.source.id;
        let turn = if elsewhere { Turn::Rest } else { turn };
        let before_activation =
            || facts.code.as_deref().and_then(catalogue::reaction_of) == Some(Reaction::ClampActivation);
        if turn == Turn::Probe && before_activation() {
            // Whether the meter is served at all shows in its newest day, in no older one.
            window = window.map(|days| Days::single(days.last()));
        }
        Series {
            dataset: facts.dataset,
            window,
            served_first: terms.map_or(*end, |t| t.served_first),
            max_days: terms.map_or(1, |t| t.max_days),
            exact_days: terms.map_or(1, |t| t.exact_days),
            every: terms.map_or(1, |t| t.every),
            days: &facts.days,
            turn,
            aside: self.aside_of(index, facts),
            probe: None,
            fetched: self.fetched.get(&index).filter(|_| chosen.request.refetch).cloned().unwrap_or_default(),
        }
    }
}
