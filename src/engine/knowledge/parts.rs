//! The facts of the whole database, divided by the sources that serve the series.

use std::collections::{BTreeMap, HashMap};

use crate::domain::{Dataset, Day, Direction, Prm, SeriesState};
use crate::engine::serving::SeriesKey;
use crate::engine::{ActiveMeter, ActiveSource};
use crate::source::Reach;
use crate::store::{Activation, CustomerFacts, Facts, FailedCall, MeterId, SeriesFacts, SourceFacts, SourceId};

/// What concerns one source.
#[derive(Debug)]
pub struct Part {
    /// The series that it serves.
    pub series: Vec<SeriesFacts>,
    /// What is learnt about it.
    pub source: SourceFacts,
    /// What is learnt about activations.
    pub activations: BTreeMap<(MeterId, Direction), Activation>,
    /// What is to be known of customers.
    pub customers: Vec<CustomerFacts>,
    /// Since when there are measures, as contracts say.
    pub floors: BTreeMap<(MeterId, Direction), Day>,
    /// Failed calls of today.
    pub failed: Vec<FailedCall>,
    /// How far back it answered for a dataset, where that was looked up.
    pub oldest_answered: BTreeMap<Dataset, Vec<(i64, Day)>>,
    /// How many series of each dataset are asked of the account that it counts by.
    pub asked: BTreeMap<Dataset, usize>,
    /// Calls of a usual day that fetch tokens.
    pub tokens: u32,
    /// How far back the sources of a meter's list serve a dataset, and how many days each of them was
    /// found to lack of that, where the list holds more than the one that serves it.
    pub widest: BTreeMap<SeriesKey, Vec<(Reach, i32)>>,
    /// The first day that is wanted of a meter, where that is said.
    pub since: BTreeMap<MeterId, Day>,
}

/// A part for each source that the database knows, in the order of the sources.
#[must_use]
pub fn parts<'a>(sources: &'a [ActiveSource], meters: &[ActiveMeter], facts: Facts) -> Vec<(&'a ActiveSource, Part)> {
    let Facts { series, sources: known, customers, floors, activations, failed, oldest_answered } = facts;
    let by_prm: HashMap<&Prm, &ActiveMeter> = meters.iter().map(|meter| (&meter.prm, meter)).collect();
    let by_name: HashMap<&str, &SourceFacts> = known.iter().map(|source| (source.name.as_str(), source)).collect();
    let named = |active: &ActiveSource| by_name.get(active.source.name()).copied();
    let mut counts: BTreeMap<SourceId, BTreeMap<Dataset, usize>> = BTreeMap::new();
    let mut divided: BTreeMap<SourceId, Vec<SeriesFacts>> = BTreeMap::new();
    let mut widest: BTreeMap<SourceId, BTreeMap<SeriesKey, Vec<(Reach, i32)>>> = BTreeMap::new();
    let mut since: BTreeMap<SourceId, BTreeMap<MeterId, Day>> = BTreeMap::new();
    for one in series {
        // One that was refused takes a test now and then, and no call a day.
        if !matches!(one.state, SeriesState::Suspended | SeriesState::NotOffered) {
            *counts.entry(one.source).or_default().entry(one.dataset).or_default() += 1;
        }
        if let Some(meter) = by_prm.get(&one.prm) {
            if let Some(day) = meter.since {
                since.entry(one.source).or_default().insert(one.meter, day);
            }
            let listed = sources.iter().filter(|s| meter.sources.iter().any(|name| name == s.source.name()));
            let others = listed.filter(|s| named(s).is_none_or(|known| known.id != one.source));
            let reaches: Vec<(Reach, i32)> = others
                .filter_map(|active| {
                    let learnt = named(active).and_then(|known| known.learnt.get(&one.dataset));
                    Some((active.source.reach(one.dataset)?, learnt.map_or(0, |learnt| learnt.history_short)))
                })
                .collect();
            if !reaches.is_empty() {
                widest.entry(one.source).or_default().insert((one.meter, one.dataset), reaches);
            }
        }
        divided.entry(one.source).or_default().push(one);
    }
    let mut asked_of: BTreeMap<SourceId, Vec<CustomerFacts>> = BTreeMap::new();
    for one in customers {
        if by_prm.contains_key(&one.prm) {
            asked_of.entry(one.source).or_default().push(one);
        }
    }
    let mut parts = Vec::new();
    for active in sources {
        let Some(source) = named(active).cloned() else { continue };
        let account = active.source.account();
        let shared = sources.iter().filter(|s| s.source.account() == account).filter_map(named);
        // The morning begins with a token where the source wants one, and that is a call as well.
        let tokens = u32::from(active.source.token_request().is_some());
        let mut asked: BTreeMap<Dataset, usize> = BTreeMap::new();
        for (dataset, count) in shared.filter_map(|s| counts.get(&s.id)).flatten() {
            *asked.entry(*dataset).or_default() += count;
        }
        let id = source.id;
        let part = Part {
            series: divided.remove(&id).unwrap_or_default(),
            source,
            activations: activations.clone(),
            customers: asked_of.remove(&id).unwrap_or_default(),
            floors: floors.clone(),
            failed: failed.iter().filter(|f| f.source == id).cloned().collect(),
            oldest_answered: oldest_answered
                .iter()
                .filter(|((of, _), _)| *of == id)
                .map(|((_, dataset), answered)| (*dataset, answered.clone()))
                .collect(),
            asked,
            tokens,
            widest: widest.remove(&id).unwrap_or_default(),
            since: since.remove(&id).unwrap_or_default(),
        };
        parts.push((active, part));
    }
    parts
}
