//! Which source serves which series: a pure choice over what is known.
//!
//! A meter may list several sources, the preferred one first. A series goes to the first of them
//! that can serve it now: one that offers the dataset, does not rest after a failure or a ban, has
//! not refused the series, and has not failed it too often today. Waiting for the next hour of a
//! quota is no reason to leave a source. Where none can serve it, it stays with the source it has.
//! How a series stands at a source that it leaves is kept ([`crate::store::Standing`]), so that
//! coming back neither forgets a refusal nor repeats it.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::knowledge::FAILURES_A_DAY;
use super::{ActiveMeter, ActiveSource, react};
use crate::domain::{Dataset, SeriesState};
use crate::source::{Reaction, catalogue};
use crate::store::{Facts, MeterId, SeriesFacts, SourceFacts, SourceId, SourceState, Standing, Switch};

/// A series.
pub type SeriesKey = (MeterId, Dataset);

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
    for index in 0..facts.series.len() {
        let Some(series) = facts.series.get(index) else { continue };
        let key = (series.meter, series.dataset);
        if only.is_some_and(|only| !only.contains(&key)) {
            continue;
        }
        let Some(meter) = meters.iter().find(|m| m.prm == series.prm) else { continue };
        let listed: Vec<(&ActiveSource, &SourceFacts)> = meter
            .sources
            .iter()
            .filter_map(|name| {
                let active = sources.iter().find(|s| s.source.name() == name)?;
                Some((active, facts.sources.iter().find(|s| s.name == *name)?))
            })
            .collect();
        let can = |(active, source): &&(&ActiveSource, &SourceFacts)| {
            !tried.contains(&(key, source.id)) && can_serve(facts, series, active, source, moment)
        };
        let keeps = listed.iter().any(|(_, source)| source.id == series.source);
        let found = listed.iter().find(can).or(if keeps { None } else { listed.first() });
        let Some(to) = found.map(|(_, source)| source.id).filter(|to| *to != series.source) else { continue };
        switches.push(Switch { meter: series.meter, dataset: series.dataset, to });
        if let Some(series) = facts.series.get_mut(index) {
            switch(series, to);
        }
    }
    switches
}

fn can_serve(facts: &Facts, series: &SeriesFacts, active: &ActiveSource, source: &SourceFacts, moment: Moment) -> bool {
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
    let failures = facts.failed.iter().filter(|f| {
        f.meter == series.meter
            && f.dataset == series.dataset
            && f.source == source.id
            && !f.healed
            && react::counts_as_failure(&f.code)
    });
    active.source.reach(series.dataset).is_some()
        && !refused
        && !is_down(&source.state, moment.machine_ms)
        && learnt.not_before.is_none_or(|at| at <= moment.calendar.timestamp())
        && failures.count() < FAILURES_A_DAY
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
