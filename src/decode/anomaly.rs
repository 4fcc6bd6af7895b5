//! Everything odd that an answer held, as values to count and to show.
//!
//! An anomaly never makes the rest of an answer worthless: the reading that it concerns is
//! dropped, or kept with the doubt on record. What makes an answer worthless as a whole is a
//! [`super::DecodeError`] instead.

use std::fmt;

use crate::domain::Day;

/// One kind of oddity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AnomalyKind {
    /// A label of the autumn hour that comes twice was sent once, and nothing tells which of the
    /// two instants it means; the earlier one was taken.
    DstAmbiguous,
    /// A value labelled with a wall time that the clocks skipped in spring.
    DstNonexistent,
    /// Two different values for the same interval or day; the one sent last was kept.
    DuplicateConflict,
    /// A reading outside the days asked for; dropped.
    Outside,
    /// An interval that overlaps another one; dropped.
    Overlap,
    /// An interval without a usable length; dropped.
    StepUnknown,
    /// A label that is no multiple of its step from midnight; dropped.
    OffGrid,
    /// Something that should have been a whole number, not negative and not absurdly large; dropped.
    BadValue,
    /// A label that is no date or time; dropped.
    BadStamp,
    /// A register that does not say what it counts; dropped.
    NoClass,
    /// Readings of registers of which none is said to be the daily one; those of midnights were taken for it.
    NoDaily,
}

impl AnomalyKind {
    /// Every kind, in the order in which they are listed.
    pub const ALL: [Self; 11] = [
        Self::DstAmbiguous,
        Self::DstNonexistent,
        Self::DuplicateConflict,
        Self::Outside,
        Self::Overlap,
        Self::StepUnknown,
        Self::OffGrid,
        Self::BadValue,
        Self::BadStamp,
        Self::NoClass,
        Self::NoDaily,
    ];

    /// The word for it in logs, metrics and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DstAmbiguous => "dst_ambiguous",
            Self::DstNonexistent => "dst_nonexistent",
            Self::DuplicateConflict => "duplicate_conflict",
            Self::Outside => "outside",
            Self::Overlap => "overlap",
            Self::StepUnknown => "step_unknown",
            Self::OffGrid => "off_grid",
            Self::BadValue => "bad_value",
            Self::BadStamp => "bad_stamp",
            Self::NoClass => "no_class",
            Self::NoDaily => "no_daily",
        }
    }
}

/// How often one kind of oddity was seen in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anomaly {
    /// What.
    pub kind: AnomalyKind,
    /// How many readings, at least 1.
    pub count: u32,
    /// The day that the first of them was labelled with, in the order of the answer; `None` where
    /// the label could not be read.
    pub day: Option<Day>,
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.name(), self.count)?;
        self.day.map_or(Ok(()), |day| write!(f, " from {day} on"))
    }
}

/// Counts the oddities of one answer.
#[derive(Debug, Default)]
pub(super) struct Anomalies(Vec<Anomaly>);

impl Anomalies {
    /// Counts one more.
    pub(super) fn add(&mut self, kind: AnomalyKind, day: Option<Day>) {
        match self.0.iter_mut().find(|a| a.kind == kind) {
            Some(seen) => seen.count = seen.count.saturating_add(1),
            None => self.0.push(Anomaly { kind, count: 1, day }),
        }
    }

    /// All of them, in the order of their kinds.
    pub(super) fn into_vec(mut self) -> Vec<Anomaly> {
        self.0.sort_by_key(|a| a.kind);
        self.0
    }
}
