//! On a day on which Enedis is late, a few meters find that out for all the others.
//!
//! What is published is published for everybody, give or take some meters. So as long as nobody was
//! given the newest day of a dataset, only a few meters are asked for it; when these do not have it, the
//! others wait for a later pass. The few are taken from those that had the days before: a meter that has
//! sent nothing for days says nothing about the rest. They lie all over the fleet, others on each day,
//! and those come first that were not asked yet: so the next pass asks others, and a few meters whose
//! own days are late hold nobody back for long.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Flight, SourcePass};
use crate::domain::{Dataset, Day, DayRecord};
use crate::engine::knowledge::{ENOUGH, Peers, published_end};
use crate::plan::order::newest_first;
use crate::plan::{Call, Reason};

/// Whose turn it is: when the series was last asked for the day, who was not comes first; a place that lies
/// anywhere; and the series.
type Turn = (Option<i64>, u32, usize);

/// What is known in this pass of the newest day.
#[derive(Debug, Default)]
pub(super) struct Canaries {
    /// Datasets of which somebody was given it.
    out: BTreeSet<Dataset>,
    /// The series that were not given it.
    without: BTreeMap<Peers, BTreeSet<usize>>,
    /// The series that may be asked for it now.
    chosen: BTreeMap<Peers, BTreeSet<usize>>,
    /// The calls of all others, by whose turn it is.
    held: BTreeMap<Peers, BTreeMap<Turn, Call>>,
    /// Where the call of a series is held.
    places: HashMap<usize, (Peers, Turn)>,
}

impl Canaries {
    /// Whether enough meters are without the newest day.
    fn are_enough(&self, peers: Peers) -> bool {
        self.without.get(&peers).is_some_and(|series| series.len() >= ENOUGH)
    }

    fn hold(&mut self, peers: Peers, turn: Turn, call: Call) {
        self.held.entry(peers).or_default().insert(turn, call);
        self.places.insert(call.series, (peers, turn));
    }

    /// Forgets that the call of a series is held, or was chosen.
    pub(super) fn let_go(&mut self, series: usize) {
        if let Some((peers, turn)) = self.places.remove(&series)
            && let Some(held) = self.held.get_mut(&peers)
        {
            held.remove(&turn);
        }
        for chosen in self.chosen.values_mut() {
            chosen.remove(&series);
        }
    }

    /// There is a newer day, of which nothing is known yet.
    pub(super) fn forget_newest(&mut self) {
        self.out.clear();
        self.without.clear();
    }

    /// How many calls are held.
    pub(super) fn held(&self) -> usize {
        self.places.len()
    }

    /// Whether calls of other series are held.
    pub(super) fn holds_others_than(&self, series: usize) -> bool {
        self.places.len() > usize::from(self.places.contains_key(&series))
    }

    /// Whether calls are held that may still get their turn.
    pub(super) fn are_open(&self) -> bool {
        self.held.iter().any(|(peers, held)| !held.is_empty() && !self.are_enough(*peers))
    }
}

impl SourcePass<'_> {
    /// Whether a call waits because the newest day does not seem to be published yet, or because others
    /// find that out first.
    pub(super) fn waits_for_others(&self, call: Call) -> bool {
        let Some(peers) = self.undecided(call) else { return false };
        self.canaries.chosen.get(&peers).is_none_or(|chosen| !chosen.contains(&call.series))
    }

    /// Whether a call waits for a later pass because the newest day does not seem to be published yet.
    pub(super) fn waits_for_later(&self, call: Call) -> bool {
        self.undecided(call).is_some_and(|peers| self.canaries.are_enough(peers))
    }

    /// Takes the calls out of a plan that wait for what others find out: whoever looks for the next call need
    /// not go past thousands of them.
    pub(super) fn hold_back(&mut self, calls: Vec<Call>) -> Vec<Call> {
        let mut left = Vec::with_capacity(calls.len());
        for call in calls {
            let Some(peers) = self.undecided(call) else {
                left.push(call);
                continue;
            };
            let newest = call.days.last();
            let record = self.knowledge.series.get(call.series).map(|series| series.days.get(newest));
            // Who was asked before says nothing new, and so comes after all who were not.
            let before = record.and_then(|record| record.checked_at);
            self.canaries.hold(peers, (before, scattered(call.series, newest), call.series), call);
        }
        left
    }

    /// The same for a plan of everything.
    pub(super) fn hold_back_anew(&mut self, calls: Vec<Call>) -> Vec<Call> {
        self.canaries.held.clear();
        self.canaries.places.clear();
        self.canaries.chosen.clear();
        self.hold_back(calls)
    }

    /// Chooses the meters that may be asked next.
    pub(super) fn choose_canaries(&mut self) {
        if self.canaries.places.is_empty() {
            return;
        }
        let flying: Vec<(Peers, usize)> =
            self.in_air.iter().filter_map(|f| Some((self.undecided(f.call)?, f.call.series))).collect();
        let Canaries { without, chosen, held, places, .. } = &mut self.canaries;
        for (peers, held) in held {
            let mut asked = without.get(peers).cloned().unwrap_or_default();
            asked.extend(flying.iter().filter(|(of, _)| of == peers).map(|(_, series)| *series));
            asked.extend(chosen.get(peers).into_iter().flatten());
            for _ in asked.len()..ENOUGH {
                let Some((_, call)) = held.pop_first() else { break };
                places.remove(&call.series);
                chosen.entry(*peers).or_default().insert(call.series);
                self.queue.push_front(call);
            }
        }
    }

    /// Somebody was given the newest day of a dataset: the others may be asked.
    fn let_all_go(&mut self, dataset: Dataset) {
        let mut calls = Vec::new();
        for (_, held) in self.canaries.held.iter_mut().filter(|((of, _), _)| *of == dataset) {
            calls.extend(std::mem::take(held).into_values());
        }
        for call in &calls {
            self.canaries.places.remove(&call.series);
        }
        calls.sort_unstable_by_key(newest_first);
        for call in calls.into_iter().rev() {
            self.queue.push_front(call);
        }
    }

    /// What an answer says of the newest day.
    pub(super) fn hears(&mut self, flight: Flight, days: &[(Day, DayRecord)]) {
        // A call that left before there was a newer day says nothing about that one.
        let newest = published_end(self.engine.calendar.now()).plus(-1);
        if flight.call.reason != Reason::Yesterday || flight.newest != newest {
            return;
        }
        let newest = days.iter().find(|(day, _)| *day == flight.newest);
        if newest.is_some_and(|(_, record)| record.holds()) {
            if self.canaries.out.insert(flight.dataset) {
                self.let_all_go(flight.dataset);
            }
        } else if let Some(peers) = self.canary(flight.call) {
            let is_new = self.canaries.without.entry(peers).or_default().insert(flight.call.series);
            if is_new && self.canaries.without.get(&peers).is_some_and(|series| series.len() == ENOUGH) {
                let source = self.active.source.name();
                tracing::info!(
                    source, dataset = %flight.dataset, day = %flight.newest,
                    "the newest day is not published yet: the other meters wait for a later pass"
                );
            }
        }
    }

    /// What a call finds out that nobody knows yet.
    fn undecided(&self, call: Call) -> Option<Peers> {
        self.canary(call).filter(|(dataset, _)| !self.canaries.out.contains(dataset))
    }

    /// Whether a call is made for the newest day alone: its dataset, and whether the series had the days
    /// before.
    fn canary(&self, call: Call) -> Option<Peers> {
        let asked = self.chosen.request.only.is_some() || self.chosen.request.refetch;
        if asked { None } else { self.knowledge.peers_of(&call) }
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
