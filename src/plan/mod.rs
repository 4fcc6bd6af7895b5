//! Which calls fetch everything that is wanted: a pure function from what is known to a list that
//! can be printed.
//!
//! [`want`] says which days of a series are wanted and why, [`cover`] lays the fewest spans over
//! them, [`order`] puts the calls in line: newest first, and earlier still what would leave the
//! window before its turn, and [`forecast`] looks ahead to what that comes to. [`search`] finds the day on which a meter was activated. The executor
//! has nothing left to decide, and `linkyd plan` prints exactly what `linkyd sync` does. The rules
//! in prose: docs/planning.md.

use std::collections::BTreeSet;

use crate::domain::{Coverage, Dataset, Day, Days};

pub mod cover;
pub mod forecast;
pub mod order;
pub mod search;
pub mod wake;
pub mod want;

/// Whether a series takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// As usual.
    Open,
    /// One call, to see whether a refusal still stands.
    Probe,
    /// Not now.
    Rest,
}

/// One series, as the planner sees it.
#[derive(Debug, Clone)]
pub struct Series<'a> {
    /// Which dataset.
    pub dataset: Dataset,
    /// The days that can be asked for: served, published, not before activation or `since`.
    pub window: Option<Days>,
    /// The first day that the source still serves; tomorrow it will be gone.
    pub served_first: Day,
    /// The most days of one call.
    pub max_days: i32,
    /// The most days of a call whose answer tells exactly which days there are not; the newest day,
    /// and days that a longer answer left out, are asked for by such calls.
    pub exact_days: i32,
    /// New days are asked for once there are this many of them.
    pub every: i32,
    /// What is known of each day.
    pub days: &'a Coverage,
    /// Whether it takes part.
    pub turn: Turn,
    /// Days that are set aside for now because calls for them keep failing.
    pub aside: Vec<Days>,
    /// The first day of the next call in the search for the first day that is served.
    pub probe: Option<Day>,
    /// Days that this pass has fetched: a refetch does not ask for them again.
    pub fetched: BTreeSet<Day>,
}

/// What the operator narrowed the pass to, and what set it off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Request {
    /// Only these days.
    pub only: Option<Days>,
    /// Ask again for days that are complete or given up.
    pub refetch: bool,
    /// Whether an operator asked: then a yesterday that was not published yet is due at once.
    pub operator: bool,
}

/// Why a day is asked for; the first reason in this order names the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The newest published day.
    Yesterday,
    /// Never asked before.
    Missing,
    /// Left out or only partly there before; due again.
    Again,
    /// Its whole span came back empty; asked by itself.
    Alone,
    /// About to leave the window.
    LastTry,
    /// The operator asked for it.
    Refetch,
    /// To see whether a refusal still stands.
    Probe,
    /// To find the first day that is served: of the activation, or of the source's history.
    Activation,
}

impl Reason {
    /// The word for it in `plan`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Yesterday => "yesterday",
            Self::Missing => "missing",
            Self::Again => "again",
            Self::Alone => "alone",
            Self::LastTry => "last_try",
            Self::Refetch => "refetch",
            Self::Probe => "probe",
            Self::Activation => "activation",
        }
    }
}

/// One call to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Index of the series in the list that was planned for.
    pub series: usize,
    /// The days it asks for.
    pub days: Days,
    /// The oldest day in it that is wanted.
    pub oldest_wanted: Day,
    /// Why.
    pub reason: Reason,
    /// Days from today that it may wait before its oldest wanted day leaves the window.
    pub patience: i32,
    /// Whether it asks for the newest published day.
    pub newest: bool,
}

/// How many calls may still be made, for the order of a plan that takes more than a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Calls left today.
    pub today: usize,
    /// Calls of every day after, those for the new days of then taken off.
    pub per_day: usize,
    /// Whether calls for the newest days are charged to it as well.
    pub newest: bool,
}

impl Allowance {
    /// What is left after so many calls for the newest days.
    #[must_use]
    pub fn after(self, newest: usize) -> Self {
        let charged = if self.newest { newest } else { 0 };
        Self { today: self.today.saturating_sub(charged), ..self }
    }

    /// On which day from today the call in that place is made; 0 is today, and `usize::MAX` is never.
    #[must_use]
    pub fn day_of(self, place: usize) -> usize {
        let later = |later: usize| later.checked_div(self.per_day).map_or(usize::MAX, |days| days.saturating_add(1));
        place.checked_sub(self.today).map_or(0, later)
    }

    /// The place after the last one of that day.
    #[must_use]
    pub fn end_of(self, day: usize) -> usize {
        let later = self.per_day.saturating_mul(day);
        if self.per_day == 0 && day > 0 { usize::MAX } else { self.today.saturating_add(later) }
    }
}

/// The calls for one series, which stands at that index.
#[must_use]
pub fn calls_of(index: usize, series: &Series<'_>, now: i64, request: Request) -> Vec<Call> {
    let Some(window) = series.window else { return Vec::new() };
    if series.turn == Turn::Rest {
        return Vec::new();
    }
    let call = |days: Days, oldest_wanted: Day, reason| {
        let patience = oldest_wanted.since(series.served_first).max(0);
        Call { series: index, days, oldest_wanted, reason, patience, newest: days.end() == window.end() }
    };
    if let Some(start) = series.probe {
        let end = window.end().min(start.plus(series.exact_days));
        return Days::new(start, end).map(|days| call(days, start, Reason::Activation)).into_iter().collect();
    }
    let wanted = want::wanted(series, window, now, request);
    // An operator who names days gets those days; stretching stays inside.
    let reach = request.only.map_or(Some(window), |only| window.intersect(only)).unwrap_or(window);
    let mut spans = cover::cover(series, window, reach, &wanted);
    if series.turn == Turn::Probe {
        // Nothing may be wanted just now; the newest span then serves as well.
        let newest = Days::new(window.end().plus(-series.exact_days.min(7)).max(window.first()), window.end());
        let newest = newest.filter(|days| days.iter().all(|day| !want::is_aside(series, day)));
        spans.sort_by_key(|span| std::cmp::Reverse(span.days.end()));
        let days = spans.first().map(|span| span.days).or(newest);
        return days.map(|days| call(days, days.first(), Reason::Probe)).into_iter().collect();
    }
    spans.into_iter().map(|span| call(span.days, span.oldest_wanted, span.reason)).collect()
}

#[cfg(test)]
mod fleet_tests;
#[cfg(test)]
mod tests;
