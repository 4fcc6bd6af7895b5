//! What a pass would do and what will become of it, without doing anything.
//!
//! [`outlook`] lists the calls, for people. [`forecasts`] only counts them, meter by meter, so that
//! somebody may look on how far a fleet is without holding a million calls in memory. Both forecast
//! alike: by source, with what the budget allows, and with what other sources of the same account
//! take of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use super::allowance::{self, Pace};
use super::knowledge::{Knowledge, Wish};
use super::pass::{self, Selection};
use super::rounds::Round;
use super::serving::{self, CustomerKey, Moment};
use super::{ActiveMeter, ActiveSource, customers};
use crate::domain::{Coverage, CustomerDataset, Dataset, Days, Prm, SeriesState};
use crate::plan::forecast::{Demand, Forecast};
use crate::plan::{self, Allowance, Call, Reason};
use crate::store::{CustomerFacts, Facts, MeterId, SeriesFacts, SourceFacts, SourceId, SourceState, Spent};

/// One planned call, for people and scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedCall<'a> {
    /// Whose data.
    pub prm: &'a Prm,
    /// The meter's name.
    pub name: &'a str,
    /// The source's name.
    pub source: &'a str,
    /// Which dataset.
    pub dataset: Dataset,
    /// Which days.
    pub days: Days,
    /// Why.
    pub reason: Reason,
}

/// What would be asked about a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedErrand {
    /// Whose customer.
    pub prm: Prm,
    /// The source that is asked.
    pub source: String,
    /// What is to be known.
    pub about: CustomerDataset,
    /// The calls that it takes; none where an answer for another dataset brings it.
    pub calls: usize,
}

/// What a pass would do.
#[derive(Debug)]
pub struct Outlook {
    /// The calls of each source, in order, with what is known of its series: a fleet has a million calls, so none
    /// of them carries names of its own.
    sources: Vec<(String, Vec<SeriesFacts>, Vec<Call>)>,
    /// What it would ask about customers.
    pub errands: Vec<PlannedErrand>,
    /// What will become of them within the budget of each source, by the sources' names.
    pub forecasts: Vec<(String, Forecast)>,
}

impl Outlook {
    /// The calls that it would make, in order.
    pub fn calls(&self) -> impl Iterator<Item = PlannedCall<'_>> + Clone {
        self.sources.iter().flat_map(|(source, series, calls)| {
            calls.iter().filter_map(move |call| {
                let facts = series.get(call.series)?;
                Some(PlannedCall {
                    prm: &facts.prm,
                    name: &facts.name,
                    source,
                    dataset: facts.dataset,
                    days: call.days,
                    reason: call.reason,
                })
            })
        })
    }
}

/// What is configured, and the instant that is meant.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// The sources.
    pub sources: &'a [ActiveSource],
    /// The meters.
    pub meters: &'a [ActiveMeter],
    /// New days of a dataset are asked for once there are this many; 1 where nothing is said.
    pub every: &'a BTreeMap<Dataset, i32>,
    /// When.
    pub moment: Moment,
}

/// The calls that a pass would make, and what is to be expected of them. A meter that is not stored yet is
/// planned as one of which nothing is known. `spent` belongs to the sources, in their order, and to the
/// counter that their history is charged to ([`ActiveSource::history_pool`]).
#[must_use]
pub fn outlook(ground: &Ground<'_>, facts: Facts, spent: &[Spent], selection: &Selection) -> Outlook {
    let mut outlook = Outlook { sources: Vec::new(), errands: Vec::new(), forecasts: Vec::new() };
    let now = ground.moment.calendar;
    let mut ahead = Ahead::default();
    let facts = served(ground, facts);
    let round = Round::of_all(&facts, selection);
    for (active, knowledge, spent) in prospects(ground, facts, spent) {
        let chosen = round.chosen(&knowledge, selection);
        let errands = errands(active, &knowledge, &chosen.customers, now);
        let asked = errands.iter().map(|errand| errand.calls).sum();
        outlook.errands.extend(errands);
        let calls = knowledge.calls(active, &chosen, now);
        let allowance = allowance::of(active, spent, knowledge.daily, ground.moment);
        let calls = plan::order::order(calls, Some(allowance));
        let demand = knowledge.demand(&calls);
        let forecast = ahead.forecast(active, &knowledge, (&demand, asked), (spent, allowance), ground.moment);
        outlook.forecasts.extend(forecast);
        outlook.sources.push((active.source.name().to_owned(), knowledge.series, calls));
    }
    outlook
}

/// What a pass would ask a source about customers, of what it takes of that.
fn errands(
    active: &ActiveSource,
    knowledge: &Knowledge,
    taken: &BTreeMap<CustomerKey, Wish>,
    now: DateTime<Utc>,
) -> Vec<PlannedErrand> {
    let mut counted = customers::Counted::new(active, &knowledge.source.closed, now);
    let due = knowledge.customers.iter().filter_map(|facts| {
        let told = *taken.get(&(facts.meter, facts.about))? == Wish::Told;
        (customers::offers(active, facts.about) && customers::is_due(facts, false, told, now)).then(|| PlannedErrand {
            prm: facts.prm.clone(),
            source: active.source.name().to_owned(),
            about: facts.about,
            calls: counted.calls(facts, told),
        })
    });
    due.collect()
}

/// What is to be expected of all calls that a pass would make, by the sources' names. `spent` is that of
/// [`outlook`].
#[must_use]
pub fn forecasts(ground: &Ground<'_>, facts: Facts, spent: &[Spent]) -> Vec<(String, Forecast)> {
    let mut ahead = Ahead::default();
    let mut forecasts = Vec::new();
    for (active, knowledge, spent) in prospects(ground, served(ground, facts), spent) {
        let demand = knowledge.demand_of_all(active, ground.moment.calendar);
        let allowance = allowance::of(active, spent, knowledge.daily, ground.moment);
        forecasts.extend(ahead.forecast(active, &knowledge, (&demand, 0), (spent, allowance), ground.moment));
    }
    forecasts
}

/// What is known of everything that is configured, with the sources that would serve it.
fn served(ground: &Ground<'_>, mut facts: Facts) -> Facts {
    let Ground { sources, meters, moment, .. } = *ground;
    add_unknown(&mut facts, sources, meters);
    serving::choose(&mut facts, sources, meters, &BTreeSet::new(), None, moment);
    serving::choose_for_customers(&mut facts, sources, meters, &BTreeSet::new(), moment.machine_ms);
    facts
}

/// Each source with what is known of its series and what was spent of its budget.
fn prospects<'a>(
    ground: &Ground<'a>,
    facts: Facts,
    spent: &[Spent],
) -> impl Iterator<Item = (&'a ActiveSource, Knowledge, Spent)> {
    let Ground { sources, meters, every, .. } = *ground;
    let spent: HashMap<&str, Spent> = sources.iter().map(|s| s.source.name()).zip(spent.iter().copied()).collect();
    pass::split(sources, meters, every, facts).into_iter().map(move |(active, knowledge)| {
        let spent = spent.get(active.source.name()).copied().unwrap_or_default();
        (active, knowledge, spent)
    })
}

/// Calls of each account that are made before those of its next source.
#[derive(Debug, Default)]
struct Ahead(BTreeMap<String, usize>);

impl Ahead {
    /// What will become of a source's calls behind those of the sources before it, with so many about customers beside
    /// them; `None` where it serves no series.
    fn forecast(
        &mut self,
        active: &ActiveSource,
        knowledge: &Knowledge,
        (demand, errands): (&Demand, usize),
        (spent, allowance): (Spent, Allowance),
        moment: Moment,
    ) -> Option<(String, Forecast)> {
        if knowledge.series.is_empty() {
            return None;
        }
        let ahead = self.0.entry(active.source.account()).or_default();
        let mut forecast = knowledge.forecast(active, demand, *ahead, allowance);
        let pace = Pace::of(active, spent, knowledge, moment);
        // The answers of a cache have a counter of their own.
        let beside = if active.cached.is_none() { errands } else { 0 };
        *ahead = ahead.saturating_add(beside);
        forecast.until = pace.end(demand, *ahead);
        *ahead = ahead.saturating_add(if allowance.newest { demand.calls() } else { demand.history() });
        Some((active.source.name().to_owned(), forecast))
    }
}

/// Adds what the configuration names and the database does not know yet.
fn add_unknown(facts: &mut Facts, sources: &[ActiveSource], meters: &[ActiveMeter]) {
    for (n, active) in (1_i64..).zip(sources) {
        if facts.sources.iter().all(|s| s.name != active.source.name()) {
            facts.sources.push(SourceFacts {
                id: SourceId(-n),
                name: active.source.name().to_owned(),
                state: SourceState::default(),
                learnt: BTreeMap::new(),
                closed: BTreeMap::new(),
            });
        }
    }
    let ids: HashMap<&str, SourceId> = facts.sources.iter().map(|s| (s.name.as_str(), s.id)).collect();
    let mut known: HashMap<(Prm, Dataset), SeriesFacts> = HashMap::new();
    let mut numbers: HashMap<Prm, MeterId> = HashMap::new();
    for series in std::mem::take(&mut facts.series) {
        numbers.insert(series.prm.clone(), series.meter);
        known.insert((series.prm.clone(), series.dataset), series);
    }
    let known_customers: BTreeSet<(Prm, CustomerDataset)> =
        facts.customers.iter().map(|known| (known.prm.clone(), known.about)).collect();
    for (n, meter) in (1_i64..).zip(meters) {
        let Some(source) = meter.sources.first().and_then(|name| ids.get(name.as_str())).copied() else { continue };
        let number = numbers.get(&meter.prm).copied().unwrap_or(MeterId(-n));
        for about in meter.customer.iter().filter(|about| !known_customers.contains(&(meter.prm.clone(), **about))) {
            facts.customers.push(CustomerFacts {
                meter: number,
                prm: meter.prm.clone(),
                name: meter.name.clone(),
                about: *about,
                source,
                state: SeriesState::Waiting,
                code: None,
                message: None,
                not_before: None,
                last_success_at: None,
                seen: 0,
            });
        }
        for dataset in &meter.datasets {
            let stored = known.remove(&(meter.prm.clone(), *dataset));
            let mut one = stored.unwrap_or_else(|| SeriesFacts {
                meter: number,
                prm: meter.prm.clone(),
                name: meter.name.clone(),
                dataset: *dataset,
                source,
                elsewhere: BTreeMap::new(),
                state: SeriesState::Ok,
                code: None,
                not_before: None,
                last_success_at: None,
                seen: 0,
                days: Coverage::new(),
            });
            one.name.clone_from(&meter.name);
            facts.series.push(one);
        }
    }
}
