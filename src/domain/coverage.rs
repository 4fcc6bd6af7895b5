//! What is known of each day of a series.

/// The state of one day of one series, by the words that users see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DayState {
    /// Every interval of the day is stored.
    Complete,
    /// In the window, not asked yet.
    Missing,
    /// Some intervals are stored; asked again.
    Partial,
    /// Asked, not published yet; asked again.
    Pending,
    /// Asked long enough: the source has none.
    Absent,
}

impl DayState {
    /// Every state, in the order of their numbers in the database.
    pub const ALL: [Self; 5] = [Self::Complete, Self::Missing, Self::Partial, Self::Pending, Self::Absent];

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Missing => "missing",
            Self::Partial => "partial",
            Self::Pending => "pending",
            Self::Absent => "absent",
        }
    }

    /// The number that stands for it in the database.
    #[must_use]
    pub fn id(self) -> i64 {
        match self {
            Self::Complete => 0,
            Self::Missing => 1,
            Self::Partial => 2,
            Self::Pending => 3,
            Self::Absent => 4,
        }
    }

    /// The state with this number in the database.
    #[must_use]
    pub fn from_id(id: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.id() == id)
    }
}

/// What is remembered of one day of one series. A day without a record is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayRecord {
    /// Its state.
    pub state: DayState,
    /// Intervals of that day that are stored.
    pub stored: i64,
    /// Intervals that make up the day, where the step is known.
    pub expected: Option<i64>,
    /// When it was first left out by an answer, in seconds since 1970.
    pub first_left_out: Option<i64>,
    /// When it is asked for again, in seconds since 1970; `None`: never by itself.
    pub next_try: Option<i64>,
    /// Whether it was already asked for by itself because a whole span came back empty.
    pub asked_alone: bool,
}

impl DayRecord {
    /// A day of which nothing is known.
    #[must_use]
    pub fn missing() -> Self {
        Self {
            state: DayState::Missing,
            stored: 0,
            expected: None,
            first_left_out: None,
            next_try: None,
            asked_alone: false,
        }
    }
}
