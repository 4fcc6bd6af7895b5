//! Forgetting: what is to go, and what went.

use crate::domain::Prm;

/// What is to be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forget {
    /// Addresses, names and ways to reach people: of one meter, or of all where none is named.
    Personal(Vec<Prm>),
    /// Everything about these meters.
    Meters(Vec<Prm>),
}

impl Forget {
    /// The meters that are named.
    #[must_use]
    pub fn meters(&self) -> &[Prm] {
        match self {
            Self::Personal(prms) | Self::Meters(prms) => prms,
        }
    }

    /// Whether a meter is one of those.
    pub(super) fn concerns(&self, prm: &Prm) -> bool {
        let all = matches!(self, Self::Personal(prms) if prms.is_empty());
        all || self.meters().contains(prm)
    }
}

/// What was forgotten of a meter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgottenMeter {
    /// Its identifier.
    pub prm: Prm,
    /// Its name; where it was only shared and never configured, its masked identifier.
    pub name: String,
    /// Rows that were deleted.
    pub rows: u64,
}

/// What was forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Forgotten {
    /// Of which meters.
    pub meters: Vec<ForgottenMeter>,
    /// Whether no page of the database holds what was deleted, now or earlier.
    pub swept: bool,
    /// Whether what kept it from being swept passes, so that doing it again is worth it.
    pub in_the_way: bool,
    /// What may still hold it, and what to do about that.
    pub remains: String,
}

/// What is true of whatever else holds a copy of a file.
pub(super) const COPIES: &str =
    "backups and other copies of the file hold what was deleted for as long as they are kept";

/// The tables of personal data.
pub(super) const PERSONAL: [&str; 3] = ["personal_address", "personal_identity", "personal_contact"];

/// Milliseconds for which lines of the journal count for budgets: so long they stay, without saying whom they were for.
pub(super) const COUNTS_MS: i64 = 48 * 3_600_000;
