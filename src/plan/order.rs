//! In which order the calls of a plan are made.
//!
//! The newest days of every series come first, whatever they cost: a dashboard shows them, and they
//! are few. Then history, newest first. Where the budget cannot carry the plan within a day, a call of
//! history whose oldest wanted day would leave the window before its turn moves forward, just far
//! enough: the plan is filled from its end, each place with the newest-first last call that may wait
//! that long. So a household, whose budget carries everything in time, is served newest first, and of
//! a fleet no day is lost as long as each series gets a call before its oldest span runs out. Where
//! even that is too much, the calls that are nearest to their end come first, and among those the
//! series that lack most.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::{Allowance, Call};

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

fn in_time(mut calls: Vec<Call>, allowance: Allowance) -> Vec<Call> {
    let mut history = calls.split_off(calls.partition_point(|call| call.newest));
    let allowance = allowance.after(calls.len());
    // Whose span is given up where not all can be had is a matter of who has got the least so far.
    let mut lacks: BTreeMap<usize, usize> = BTreeMap::new();
    for call in &history {
        *lacks.entry(call.series).or_default() += 1;
    }
    let lack = |call: &Call| lacks.get(&call.series).copied().unwrap_or_default();
    history.sort_by_cached_key(|call| {
        (Reverse(call.days.end()), Reverse(lack(call)), call.series, Reverse(call.days.first()))
    });
    let patience = |call: &Call| usize::try_from(call.patience).unwrap_or_default();
    let mut by_patience: Vec<(usize, usize)> = history.iter().enumerate().map(|(i, c)| (patience(c), i)).collect();
    by_patience.sort_unstable();
    let mut able = BinaryHeap::new();
    let mut reversed = Vec::with_capacity(history.len());
    for place in (0..history.len()).rev() {
        let day = allowance.day_of(place);
        while by_patience.last().is_some_and(|(patience, _)| *patience >= day) {
            able.extend(by_patience.pop().map(|(_, index)| index));
        }
        // Where nothing may wait that long, something is lost anyway: the most patient goes last.
        let index = able.pop().or_else(|| by_patience.pop().map(|(_, index)| index));
        reversed.extend(index.and_then(|i| history.get(i)).copied());
    }
    calls.extend(reversed.into_iter().rev());
    calls
}
