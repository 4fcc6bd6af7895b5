//! Which source serves which series: a pure choice over what is known.
//!
//! A meter may list several sources, the preferred one first. A series goes to the first of them
//! that can serve it now: one that offers the dataset, does not rest after a failure or a ban, has
//! not refused the series, and has not failed it too often today. Waiting for the next hour of a
//! quota is no reason to leave a source. What is asked about customers goes to a source by the same.
//! Where none can serve it, it stays with the source it has.
//! How a series stands at a source that it leaves is kept ([`crate::store::Standing`]), so that
//! coming back neither forgets a refusal nor repeats it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use super::knowledge::FAILURES_A_DAY;
use super::{ActiveMeter, ActiveSource, customers, react};
use crate::domain::{CustomerDataset, Dataset, Prm, SeriesState};
use crate::source::{Reaction, catalogue};
use crate::store::{Facts, MeterId, SeriesFacts, SourceFacts, SourceId, SourceState, Standing, Switch};

/// A series.
pub type SeriesKey = (MeterId, Dataset);

/// Something about a customer.
pub type CustomerKey = (MeterId, CustomerDataset);

/// A rest that is shorter than this, and only about a quota, is waited for.
const WORTH_WAITING_MS: i64 = 3 * 3_600_000;

/// The instant at which a choice is made.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The calendar's.
    pub calendar: DateTime<Utc>,
    /// The machine's, in milliseconds since 1970.
    pub machine_ms: i64,
}

/// Lets the best source serve each series, and returns what changed. `tried` are choices that have
/// failed already; `only` narrows it to some series.
pub fn choose(
    facts: &mut Facts,
    sources: &[ActiveSource],
    meters: &[ActiveMeter],
    tried: &BTreeSet<(SeriesKey, SourceId)>,
    only: Option<&BTreeSet<SeriesKey>>,
    moment: Moment,
) -> Vec<Switch> {
    let mut switches = Vec::new();
    let meters: HashMap<&Prm, &ActiveMeter> = meters.iter().map(|meter| (&meter.prm, meter)).collect();
    let known: HashMap<&str, &SourceFacts> = facts.sources.iter().map(|s| (s.name.as_str(), s)).collect();
    let listed = sources.iter().filter_map(|active| Some((active, *known.get(active.source.name())?)));
    let by_name: HashMap<&str, (&ActiveSource, &SourceFacts)> =
        listed.map(|(active, source)| (active.source.name(), (active, source))).collect();
    let mut failures: BTreeMap<(SeriesKey, SourceId), usize> = BTreeMap::new();
    for failed in facts.failed.iter().filter(|f| !f.healed && react::counts_as_failure(&f.code)) {
        *failures.entry(((failed.meter, failed.dataset), failed.source)).or_default() += 1;
    }
    for series in &mut facts.series {
        let key = (series.meter, series.dataset);
        if only.is_some_and(|only| !only.contains(&key)) {
            continue;
        }
        let Some(meter) = meters.get(&series.prm) else { continue };
        let listed: Vec<(&ActiveSource, &SourceFacts)> =
            meter.sources.iter().filter_map(|name| by_name.get(name.as_str()).copied()).collect();
        let can = |(active, source): &&(&ActiveSource, &SourceFacts)| {
            let failures = failures.get(&(key, source.id)).copied().unwrap_or_default();
            !tried.contains(&(key, source.id)) && failures < FAILURES_A_DAY && can_serve(series, active, source, moment)
        };
        let keeps = listed.iter().any(|(_, source)| source.id == series.source);
        let found = listed.iter().find(can).or(if keeps { None } else { listed.first() });
        let Some(to) = found.map(|(_, source)| source.id).filter(|to| *to != series.source) else { continue };
        switches.push(Switch { meter: series.meter, dataset: series.dataset, to });
        switch(series, to);
    }
    switches
}

/// Lets each customer be asked about at the first source of the meter's list that offers it, does not rest, and is not
/// among those that were `tried`; where there is none, at the first that offers it. Where none does, the first one of
/// all has to say so.
pub fn choose_for_customers(
    facts: &mut Facts,
    sources: &[ActiveSource],
    meters: &[ActiveMeter],
    tried: &BTreeSet<(CustomerKey, SourceId)>,
    machine_ms: i64,
) {
    let meters: HashMap<&Prm, &ActiveMeter> = meters.iter().map(|meter| (&meter.prm, meter)).collect();
    let known: HashMap<&str, &SourceFacts> = facts.sources.iter().map(|s| (s.name.as_str(), s)).collect();
    let active: HashMap<&str, &ActiveSource> = sources.iter().map(|active| (active.source.name(), active)).collect();
    for one in &mut facts.customers {
        let Some(meter) = meters.get(&one.prm) else { continue };
        let names = meter.sources.iter().map(String::as_str);
        let listed: Vec<(&ActiveSource, &SourceFacts)> =
            names.filter_map(|name| Some((*active.get(name)?, *known.get(name)?))).collect();
        let offers = |(active, _): &&(&ActiveSource, &SourceFacts)| customers::offers(active, one.about);
        let can = |(_, source): &&(&ActiveSource, &SourceFacts)| {
            !tried.contains(&((one.meter, one.about), source.id)) && !is_down(&source.state, machine_ms)
        };
        let best = listed.iter().filter(offers).find(can);
        let found = best.or_else(|| listed.iter().find(offers)).or_else(|| listed.first());
        if let Some((_, source)) = found {
            one.source = source.id;
        }
    }
}

fn can_serve(series: &SeriesFacts, active: &ActiveSource, source: &SourceFacts, moment: Moment) -> bool {
    let standing = if source.id == series.source {
        Some((series.state, series.not_before))
    } else {
        series.elsewhere.get(&source.id).map(|s| (s.state, s.not_before))
    };
    let refused = standing.is_some_and(|(state, not_before)| {
        let may_rest = matches!(state, SeriesState::Suspended | SeriesState::NotOffered | SeriesState::Failing);
        may_rest && not_before.is_some_and(|at| at > moment.calendar.timestamp())
    });
    let learnt = source.learnt.get(&series.dataset).copied().unwrap_or_default();
    active.source.reach(series.dataset).is_some()
        && !refused
        && !is_down(&source.state, moment.machine_ms)
        && learnt.not_before.is_none_or(|at| at <= moment.calendar.timestamp())
}

/// Whether a source rests for longer than is worth waiting.
pub(super) fn is_down(state: &SourceState, machine_ms: i64) -> bool {
    let Some(until) = state.not_before_ms.filter(|until| *until > machine_ms) else { return false };
    let reaction = state.code.as_deref().and_then(catalogue::reaction_of);
    let quota = matches!(reaction, Some(Reaction::RetryAt(_) | Reaction::Burst)) && state.strikes == 0;
    !quota || until - machine_ms > WORTH_WAITING_MS
}

fn switch(series: &mut SeriesFacts, to: SourceId) {
    let left = Standing { state: series.state, code: series.code.take(), not_before: series.not_before.take() };
    series.elsewhere.insert(series.source, left);
    series.source = to;
    series.state = SeriesState::Ok;
    if let Some(standing) = series.elsewhere.remove(&to) {
        series.state = standing.state;
        series.code = standing.code;
        series.not_before = standing.not_before;
    }
}
