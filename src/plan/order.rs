//! In which order the calls of a plan are made.
//!
//! The newest days of every series come first, whatever they cost: a dashboard shows them, and they
//! are few. Then history, newest first. Where the budget cannot carry the plan within a day, a call of
//! history whose oldest wanted day would leave the window before its turn moves forward, just far
//! enough: the plan is filled from its end, each place with the newest-first last call that may wait
//! that long. So a household, whose budget carries everything in time, is served newest first, and of a
//! fleet hardly a day is lost as long as each series gets a call before its oldest span runs out. Where
//! even that is too much, those calls are kept that together bring the most days, the series taking
//! turns, and the others come last.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, VecDeque};

use super::{Allowance, Call};
use crate::domain::Day;

/// Puts the calls in order.
#[must_use]
pub fn order(mut calls: Vec<Call>, allowance: Option<Allowance>) -> Vec<Call> {
    calls.sort_unstable_by_key(newest_first);
    match allowance {
        Some(allowance) if calls.len() > allowance.today => in_time(calls, allowance),
        _ => calls,
    }
}

/// The order of calls that nothing presses.
#[must_use]
pub fn newest_first(call: &Call) -> impl Ord + use<> {
    (Reverse(call.newest), Reverse(call.days.end()), call.series, Reverse(call.days.first()))
}

/// Days before its end by which a call is made where that is possible: a morning on which Enedis is down
/// or a few calls more are needed than were reckoned with would otherwise cost a day.
const MARGIN: usize = 2;

fn in_time(mut calls: Vec<Call>, allowance: Allowance) -> Vec<Call> {
    let history = calls.split_off(calls.partition_point(|call| call.newest));
    let allowance = allowance.after(calls.len());
    let (kept, given_up) = worth_most(history, allowance);
    let mut by_patience: Vec<(usize, usize)> = kept.iter().enumerate().map(|(i, c)| (patience(c), i)).collect();
    by_patience.sort_unstable();
    let mut able = BinaryHeap::new();
    let mut reversed = Vec::with_capacity(kept.len());
    for place in (0..kept.len()).rev() {
        let day = allowance.day_of(place);
        while by_patience.last().is_some_and(|(patience, _)| patience.saturating_sub(MARGIN) >= day) {
            able.extend(by_patience.pop().map(|(_, index)| index));
        }
        let index = able.pop().or_else(|| by_patience.pop().map(|(_, index)| index));
        reversed.extend(index.and_then(|i| kept.get(i)).copied());
    }
    calls.extend(reversed.into_iter().rev());
    calls.extend(given_up);
    calls
}

fn patience(call: &Call) -> usize {
    usize::try_from(call.patience).unwrap_or_default()
}

/// Divides calls, in the order of [`newest_first`], into those that can all be made in time and together
/// bring the most days, and those that are late whatever is done; both keep their order.
///
/// Each call takes a place on the last day that is free before its end, those first that bring most. That
/// gives the best set there is, since which calls can be in time together does not depend on the order in
/// which they are looked at: they are a matroid. So a span that has begun to leave gives way to whole ones.
fn worth_most(history: Vec<Call>, allowance: Allowance) -> (Vec<Call>, Vec<Call>) {
    let days = |call: &Call| call.days.end().since(call.oldest_wanted);
    let mut by_worth: Vec<usize> = (0..history.len()).collect();
    by_worth.sort_by_cached_key(|i| {
        history.get(*i).map(|call| (Reverse(days(call)), turn(call), call.patience, call.series))
    });
    let last = history.iter().map(patience).max().unwrap_or_default();
    let mut places = Places::new(last, allowance);
    let mut in_time = vec![false; history.len()];
    for index in by_worth {
        if let Some((call, in_time)) = history.get(index).zip(in_time.get_mut(index)) {
            *in_time = places.take(patience(call), 1) == 1;
        }
    }
    let (mut kept, mut given_up) = (Vec::with_capacity(history.len()), Vec::new());
    for (call, in_time) in history.into_iter().zip(in_time) {
        if in_time { kept.push(call) } else { given_up.push(call) }
    }
    (kept, given_up)
}

/// Whose turn it is among spans that bring as much, the smallest first: spread evenly over the series for
/// each week, and over the weeks for each series, so that what is lost is shared.
fn turn(call: &Call) -> u32 {
    // Fractions of irrational numbers are spread more evenly than chance would: those of the golden ratio
    // and of the square root of two.
    let series = u32::try_from(call.series % 0xFFFF_FFFF).unwrap_or_default();
    series.wrapping_mul(0x6A09_E667).wrapping_add(call.days.end().number().unsigned_abs().wrapping_mul(0x9E37_79B9))
}

/// The places of each day that are still free.
#[derive(Debug)]
pub(super) struct Places {
    /// How many, by day.
    free: Vec<usize>,
    /// For each day that is full, a day before it from which on to look; `None`: there is none.
    earlier: Vec<Option<usize>>,
}

impl Places {
    /// All places up to that day. Where new days take the whole budget, later days are taken to have one all the
    /// same: what leaves the window first then comes first, for whatever turns out to be left.
    pub(super) fn new(last: usize, allowance: Allowance) -> Self {
        let places = |day| if day == 0 { allowance.today } else { allowance.per_day.max(1) };
        Self { free: (0..=last).map(places).collect(), earlier: (0..=last).map(|day| day.checked_sub(1)).collect() }
    }

    /// The first so many are somebody else's.
    pub(super) fn give_away(&mut self, mut places: usize) {
        for free in &mut self.free {
            let gone = places.min(*free);
            *free -= gone;
            places -= gone;
        }
    }

    /// Takes the latest places up to that day, so many if there are as many; how many there were.
    pub(super) fn take(&mut self, day: usize, places: usize) -> usize {
        let mut taken = 0;
        while taken < places {
            let Some(free) = self.latest(day).and_then(|day| self.free.get_mut(day)) else { break };
            let some = (places - taken).min(*free);
            *free -= some;
            taken += some;
        }
        taken
    }

    /// The latest day up to that one which has a place.
    fn latest(&mut self, day: usize) -> Option<usize> {
        let full = |places: &Self, day: &usize| places.free.get(*day).is_none_or(|free| *free == 0);
        let mut passed = Vec::new();
        let mut at = Some(day);
        while let Some(day) = at.filter(|day| full(self, day)) {
            passed.push(day);
            at = self.earlier.get(day).copied().flatten();
        }
        // Whoever looks here again finds the way at once.
        for day in passed {
            if let Some(earlier) = self.earlier.get_mut(day) {
                *earlier = at;
            }
        }
        at
    }
}

/// Puts the calls of a few series, planned anew, into a queue that is in order. A call that is still wanted
/// keeps its place. One that is new comes after the last call that is newer than its own, or before the
/// day on which its oldest wanted day leaves the window. All other calls are only passed by.
pub fn renew(queue: &mut VecDeque<Call>, calls: Vec<Call>, series: &BTreeSet<usize>, allowance: Option<Allowance>) {
    let key = |call: &Call| -> (usize, Day, Day) { (call.series, call.days.first(), call.days.end()) };
    let mut wanted: HashMap<_, Call> = calls.into_iter().map(|call| (key(&call), call)).collect();
    let (least, most) = (series.first().copied(), series.last().copied());
    let concerns =
        |call: &Call| Some(call.series) >= least && Some(call.series) <= most && series.contains(&call.series);
    queue.retain_mut(|call| {
        if !concerns(call) {
            return true;
        }
        wanted.remove(&key(call)).map(|again| *call = again).is_some()
    });
    let mut fresh: Vec<Call> = wanted.into_values().collect();
    if fresh.is_empty() {
        return;
    }
    fresh.sort_unstable_by_key(newest_first);
    let newest = queue.iter().take_while(|call| call.newest).count() + fresh.iter().filter(|call| call.newest).count();
    let latest = |call: &Call| match allowance {
        Some(allowance) if !call.newest => {
            let rest = allowance.after(newest);
            let in_time = patience(call).saturating_mul(rest.per_day).saturating_add(rest.today);
            // All that are new move behind one another.
            newest.saturating_add(in_time.saturating_sub(fresh.len()))
        }
        _ => usize::MAX,
    };
    let mut places = Vec::with_capacity(fresh.len());
    let mut place = queue.len();
    for call in fresh.iter().rev() {
        while place > 0 && queue.get(place - 1).is_some_and(|other| newest_first(other) > newest_first(call)) {
            place -= 1;
        }
        places.push((place.min(latest(call)), *call));
    }
    places.reverse();
    places.sort_by_key(|(place, _)| *place);
    for (before, (place, call)) in places.into_iter().enumerate() {
        queue.insert(place + before, call);
    }
}
