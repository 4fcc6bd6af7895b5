//! The state of a whole series, as opposed to that of its days.

/// How a series fares, by the words that users see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SeriesState {
    /// All that could be asked for was answered.
    Ok,
    /// Consent or holder refused; one probe a day.
    Suspended,
    /// This meter or this source does not have it; tested again once a week.
    NotOffered,
    /// Calls fail; the error says why.
    Failing,
    /// Something is wanted, and the budget or the source's own pause makes it wait.
    Waiting,
}

impl SeriesState {
    /// Every state, in the order of their numbers in the database.
    pub const ALL: [Self; 5] = [Self::Ok, Self::Suspended, Self::NotOffered, Self::Failing, Self::Waiting];

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Suspended => "suspended",
            Self::NotOffered => "not_offered",
            Self::Failing => "failing",
            Self::Waiting => "waiting",
        }
    }

    /// The number that stands for it in the database.
    #[must_use]
    pub fn id(self) -> i64 {
        match self {
            Self::Ok => 0,
            Self::Suspended => 1,
            Self::NotOffered => 2,
            Self::Failing => 3,
            Self::Waiting => 4,
        }
    }

    /// The state with this number in the database.
    #[must_use]
    pub fn from_id(id: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.id() == id)
    }
}
