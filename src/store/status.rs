//! What the store tells the operator.

use std::collections::BTreeMap;

use crate::domain::{Dataset, Day, DayState, Prm, SeriesState};

use super::SourceState;

/// One line of `linkyd status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesStatus {
    /// The meter's identifier.
    pub prm: Prm,
    /// The meter's name.
    pub name: String,
    /// The source that serves it.
    pub source: String,
    /// Which dataset.
    pub dataset: Dataset,
    /// How it fares.
    pub state: SeriesState,
    /// The first day that was not published yet at the last pass; gaps and counts end before it.
    pub window_end: Option<Day>,
    /// The newest complete day.
    pub newest_day: Option<Day>,
    /// The oldest complete day.
    pub oldest_day: Option<Day>,
    /// Runs of days in the window that are not complete (lines of `v_gap`).
    pub gaps: i64,
    /// Days in the window by their state.
    pub days: BTreeMap<DayState, i64>,
    /// The code of its last error, while that matters.
    pub code: Option<String>,
    /// What happened and what to do.
    pub message: Option<String>,
    /// When it last got an answer (calendar).
    pub last_success_at: Option<i64>,
    /// Until when a refusal holds it back, or until when it is known to wait for a budget or a pause (calendar).
    pub not_before: Option<i64>,
    /// When it may be asked again after a refusal, or when the first of its days is due (calendar). A day that was due
    /// and was left on purpose may hide a later one of the same series, which is then found by whatever pass comes next.
    pub next_try_at: Option<i64>,
    /// When the consent for the meter ends (machine, seconds), where that is known.
    pub consent_until: Option<i64>,
}

/// How a configured source stands, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceStatus {
    /// The operator's name for it.
    pub name: String,
    /// Its kind, as in the configuration.
    pub kind: String,
    /// Whether it rests, and why.
    pub state: SourceState,
}

/// A rest that an operator has lifted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// The code behind it.
    pub code: Option<String>,
    /// What had happened.
    pub message: Option<String>,
    /// Until when it would have lasted (machine, ms).
    pub until_ms: i64,
}

/// What an account has spent of one of its counters, for `linkyd status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    /// Calls in the last hour.
    pub hour: i64,
    /// Calls in the last 24 hours.
    pub day: i64,
    /// Calls that the source said it still takes, where it said so and that still holds.
    pub told_left: Option<i64>,
}
