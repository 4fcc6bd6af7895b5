//! On a day on which Enedis is late, a few meters find that out for all the others.
//!
//! What is published is published for everybody, give or take some meters. So as long as nobody was
//! given the newest day of a dataset, only a few meters are asked for it; when these do not have it, the
//! others wait for a later pass. The few are taken from those that had the days before: a meter that has
//! sent nothing for days says nothing about the rest. They lie all over the fleet, others on each day,
//! and those come first that were not asked yet: so the next pass asks others, and a few meters whose
//! own days are late hold nobody back for long.

use std::collections::{BTreeMap, BTreeSet};

use super::{Flight, SourcePass};
use crate::domain::{Dataset, Day, DayRecord};
use crate::plan::{Call, Reason};

/// Meters that may turn out to be without the newest day of a dataset before the others wait.
const MOST: usize = 5;

/// A dataset, and whether the series had the days before.
type Kind = (Dataset, bool);

/// What is known in this pass of the newest day.
#[derive(Debug, Default)]
pub(super) struct Canaries {
    /// Datasets of which somebody was given it.
    out: BTreeSet<Dataset>,
    /// The series that were not given it.
    without: BTreeMap<Kind, BTreeSet<usize>>,
    /// The series that may be asked for it next.
    chosen: BTreeMap<Kind, BTreeSet<usize>>,
}

impl Canaries {
    /// Whether enough meters are without the newest day.
    fn are_enough(&self, kind: Kind) -> bool {
        self.without.get(&kind).is_some_and(|series| series.len() >= MOST)
    }
}

impl SourcePass<'_> {
    /// Whether a call waits because the newest day does not seem to be published yet, or because others
    /// find that out first.
    pub(super) fn waits_for_others(&self, call: Call) -> bool {
        let Some(kind) = self.undecided(call) else { return false };
        self.canaries.chosen.get(&kind).is_none_or(|chosen| !chosen.contains(&call.series))
    }

    /// Whether a call waits for a later pass because the newest day does not seem to be published yet.
    pub(super) fn waits_for_later(&self, call: Call) -> bool {
        self.undecided(call).is_some_and(|kind| self.canaries.are_enough(kind))
    }

    /// Chooses the meters that may be asked next.
    pub(super) fn choose_canaries(&mut self) {
        let mut asked: BTreeMap<Kind, BTreeSet<usize>> = self.canaries.without.clone();
        for flight in &self.in_air {
            if let Some(kind) = self.undecided(flight.call) {
                asked.entry(kind).or_default().insert(flight.call.series);
            }
        }
        let mut able = BTreeMap::new();
        for call in &self.queue {
            let Some(kind) = self.undecided(*call) else { continue };
            if asked.get(&kind).is_some_and(|asked| asked.len() >= MOST) || !self.may_fly_otherwise(*call) {
                continue;
            }
            let newest = call.days.last();
            let record = self.knowledge.series.get(call.series).map(|series| series.days.get(newest));
            // Who was asked before says nothing new, and so comes after all who were not.
            let before = record.and_then(|record| record.checked_at);
            able.entry(kind).or_insert_with(BTreeSet::new).insert((
                before,
                scattered(call.series, newest),
                call.series,
            ));
        }
        let room = |kind: &Kind| MOST.saturating_sub(asked.get(kind).map_or(0, BTreeSet::len));
        let chosen = able.into_iter().map(|(kind, able)| {
            let first = able.into_iter().map(|(.., series)| series).take(room(&kind));
            (kind, first.collect())
        });
        self.canaries.chosen = chosen.collect();
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
            let is_new = self.canaries.without.entry(kind).or_default().insert(flight.call.series);
            if is_new && self.canaries.without.get(&kind).is_some_and(|series| series.len() == MOST) {
                let source = self.active.source.name();
                tracing::info!(
                    source, dataset = %flight.dataset, day = %flight.newest,
                    "the newest day is not published yet: the other meters wait for a later pass"
                );
            }
        }
    }

    /// What a call finds out that nobody knows yet.
    fn undecided(&self, call: Call) -> Option<Kind> {
        self.canary(call).filter(|(dataset, _)| !self.canaries.out.contains(dataset))
    }

    /// Whether a call is made for the newest day alone: its dataset, and whether the series had the days
    /// before.
    fn canary(&self, call: Call) -> Option<Kind> {
        let alone = call.reason == Reason::Yesterday && call.oldest_wanted == call.days.last();
        let asked = self.chosen.request.only.is_some() || self.chosen.request.refetch;
        let series = self.knowledge.series.get(call.series).filter(|_| alone && !asked)?;
        let before = |days: i32| series.days.holds(call.days.last().plus(-days));
        Some((series.dataset, before(1) || before(2)))
    }
}

/// A number by which a few series lie all over the fleet, others for each day: multiples of the golden
/// ratio fill a circle evenly.
fn scattered(series: usize, newest: Day) -> u32 {
    const GOLDEN: u32 = 0x9E37_79B9;
    let series = u32::try_from(series).unwrap_or_default();
    let day = newest.number().unsigned_abs();
    series.wrapping_mul(GOLDEN).wrapping_add(day.wrapping_mul(0x85EB_CA6B))
}
