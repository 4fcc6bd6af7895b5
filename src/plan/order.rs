//! In which order the calls of a plan are made.
//!
//! Newest first, so that dashboards fill at once, and every series its newest days before any its
//! history. Where the allowance of a day is smaller than the plan, a call whose oldest wanted day
//! would leave the window before its turn moves forward, just far enough (the plan is filled from
//! its end with the oldest call that may wait that long).

use std::collections::BinaryHeap;

use super::{Allowance, Call, Series};

/// Puts the calls in order.
#[must_use]
pub fn order(mut calls: Vec<Call>, series: &[Series<'_>], allowance: Option<Allowance>) -> Vec<Call> {
    calls.sort_by(|a, b| {
        let newest = |c: &Call| series.get(c.series).and_then(|s| s.window).is_some_and(|w| w.end() == c.days.end());
        (newest(b), b.days.end(), a.series, b.days.first()).cmp(&(newest(a), a.days.end(), b.series, a.days.first()))
    });
    match allowance {
        Some(allowance) if calls.len() > allowance.today => in_time(&calls, series, allowance),
        _ => calls,
    }
}

fn in_time(calls: &[Call], series: &[Series<'_>], allowance: Allowance) -> Vec<Call> {
    // How many days from now a call may wait.
    let patience = |call: &Call| {
        let first = series.get(call.series).map_or(call.oldest_wanted, |s| s.served_first);
        usize::try_from(call.oldest_wanted.since(first)).unwrap_or_default()
    };
    let mut by_patience: Vec<(usize, usize)> = calls.iter().enumerate().map(|(i, c)| (patience(c), i)).collect();
    by_patience.sort_unstable();
    let mut able = BinaryHeap::new();
    let mut reversed = Vec::with_capacity(calls.len());
    for place in (0..calls.len()).rev() {
        let day = place.checked_sub(allowance.today).map_or(0, |later| 1 + later / allowance.per_day.max(1));
        while by_patience.last().is_some_and(|(patience, _)| *patience >= day) {
            able.extend(by_patience.pop().map(|(_, index)| index));
        }
        // Where nothing may wait that long, something is lost anyway: the most patient goes last.
        let index = able.pop().or_else(|| by_patience.pop().map(|(_, index)| index));
        reversed.extend(index.and_then(|i| calls.get(i)).copied());
    }
    reversed.reverse();
    reversed
}
