//! Whose turn it is: series that were refused wait for one call that tests whether they still are.

use std::collections::HashSet;

use super::Knowledge;
use crate::domain::{Dataset, Direction, SeriesState};
use crate::engine::react;
use crate::plan::Turn;
use crate::source::{Reaches, Reaction, catalogue};
use crate::store::{MeterId, SeriesFacts};

/// A refusal that a probe tests: what it concerns, and its code.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Refused {
    meter: Option<MeterId>,
    direction: Option<Direction>,
    dataset: Option<Dataset>,
    state: SeriesState,
    code: Option<String>,
}

impl Refused {
    /// The refusal that keeps a series from being asked, where a probe can test it.
    fn of(series: &SeriesFacts) -> Option<Self> {
        let direction = Some(series.dataset.direction());
        let reaction = || series.code.as_deref().and_then(catalogue::reaction_of);
        let (meter, direction, dataset) = match series.state {
            SeriesState::Suspended => match react::reaches(series.code.as_deref()) {
                Reaches::Meter => (Some(series.meter), None, None),
                Reaches::Direction => (Some(series.meter), direction, None),
            },
            // The application may not use an API, or has not subscribed to it: no matter whose data it asks for.
            SeriesState::NotOffered | SeriesState::Failing if reaction() == Some(Reaction::StopApi) => {
                (None, None, Some(series.dataset))
            }
            SeriesState::NotOffered => (Some(series.meter), direction, None),
            _ => return None,
        };
        Some(Self { meter, direction, dataset, state: series.state, code: series.code.clone() })
    }
}

impl Knowledge {
    /// Whether a series waits for a call, of whichever meter, that tests a refusal of all meters alike. While that
    /// rests nobody makes one, and no plan depends on another.
    pub(super) fn waits_for_all(&self, facts: &SeriesFacts, now: i64) -> bool {
        let concerns_all = Refused::of(facts).is_some_and(|refused| refused.meter.is_none());
        let rests = [facts.not_before, self.learnt(facts.dataset).not_before].into_iter().flatten().any(|at| at > now);
        concerns_all && !rests
    }

    /// Whether a series is asked at `now`, asked for a test only, or not at all.
    pub(super) fn turn(&self, index: usize, facts: &SeriesFacts, probing: &mut HashSet<Refused>, now: i64) -> Turn {
        if self.learnt(facts.dataset).not_before.is_some_and(|at| at > now) {
            return Turn::Rest;
        }
        let rests = facts.not_before.is_some_and(|at| at > now);
        match (facts.state, Refused::of(facts)) {
            (SeriesState::Suspended | SeriesState::NotOffered | SeriesState::Failing, _) if rests => Turn::Rest,
            // One call tells whether the refusal still stands; the others wait for its answer.
            (_, Some(refused)) => {
                let first = probing.insert(refused);
                if first { Turn::Probe } else { Turn::Rest }
            }
            (_, None) if self.exhausted(index) => Turn::Rest,
            (_, None) => Turn::Open,
        }
    }

    /// The series, this one included, for which a probe of this one stands; none where it does not
    /// wait for one.
    pub fn kin(&self, index: usize) -> impl Iterator<Item = (usize, &SeriesFacts)> {
        let refused = self.series.get(index).and_then(Refused::of);
        // A refusal of one meter concerns no other; without any there is nobody to look for.
        let meter = refused.as_ref().and_then(|refused| refused.meter);
        let all = refused.is_some() && meter.is_none();
        let own = self.members.get(&meter.unwrap_or(MeterId(i64::MIN))).into_iter().flatten().copied();
        let among = own.chain(0..if all { self.series.len() } else { 0 });
        let known = among.filter_map(|index| Some((index, self.series.get(index)?)));
        known.filter(move |(_, series)| Refused::of(series) == refused)
    }
}
