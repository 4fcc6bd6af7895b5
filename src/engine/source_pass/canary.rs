//! On a day on which Enedis is late, a few meters find that out for all the others.
//!
//! What is published is published for everybody, give or take some meters. So as long as nobody was
//! given the newest day of a dataset, only a few calls are made that want nothing else; when these come
//! back without it, the others wait for a later pass. The few are taken from those that had the days
//! before: a meter that has sent nothing for days says nothing about the rest.

use std::collections::{BTreeMap, BTreeSet};

use super::{Flight, SourcePass};
use crate::domain::{Dataset, Day, DayRecord};
use crate::plan::{Call, Reason};

/// Calls for the newest day alone that may come back without it before the others wait.
const MOST: usize = 5;

/// What is known in this pass of the newest day.
#[derive(Debug, Default)]
pub(super) struct Canaries {
    /// Datasets of which somebody was given it.
    out: BTreeSet<Dataset>,
    /// How many were not given it, by dataset, and by whether they had the days before.
    without: BTreeMap<(Dataset, bool), usize>,
}

impl SourcePass<'_> {
    /// Whether a call waits because the newest day does not seem to be published yet.
    pub(super) fn waits_for_others(&self, call: Call) -> bool {
        let Some((dataset, fresh)) = self.canary(call) else { return false };
        if self.canaries.out.contains(&dataset) {
            return false;
        }
        let flying = self.in_air.iter().filter(|f| {
            self.canary(f.call).is_some_and(|(of, kind)| kind == fresh && !self.canaries.out.contains(&of))
        });
        let without = self.canaries.without.iter();
        let missed = without.filter(|((of, kind), _)| *kind == fresh && !self.canaries.out.contains(of));
        flying.count() + missed.map(|(_, count)| count).sum::<usize>() >= MOST
    }

    /// What an answer says of the newest day.
    pub(super) fn hears(&mut self, flight: Flight, days: &[(Day, DayRecord)]) {
        if flight.call.reason != Reason::Yesterday {
            return;
        }
        let newest = days.iter().find(|(day, _)| *day == flight.newest);
        if newest.is_some_and(|(_, record)| record.holds()) {
            self.canaries.out.insert(flight.dataset);
        } else if let Some(kind) = self.canary(flight.call) {
            *self.canaries.without.entry(kind).or_default() += 1;
            if self.canaries.without.get(&kind) == Some(&MOST) {
                let source = self.active.source.name();
                tracing::info!(
                    source, dataset = %flight.dataset, day = %flight.newest,
                    "the newest day is not published yet: the other meters wait for a later pass"
                );
            }
        }
    }

    /// Whether a call is made for the newest day alone: its dataset, and whether the series had the days
    /// before.
    fn canary(&self, call: Call) -> Option<(Dataset, bool)> {
        let alone = call.reason == Reason::Yesterday && call.oldest_wanted == call.days.last();
        let asked = self.chosen.request.only.is_some() || self.chosen.request.refetch;
        let series = self.knowledge.series.get(call.series).filter(|_| alone && !asked)?;
        let before = |days: i32| series.days.holds(call.days.last().plus(-days));
        Some((series.dataset, before(1) || before(2)))
    }
}
