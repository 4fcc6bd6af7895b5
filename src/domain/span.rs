//! The days asked for in one call.

use super::{Dataset, Day, Days};

/// The days of one dataset that one call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    dataset: Dataset,
    days: Days,
}

impl Span {
    /// A span, or `None` where it is longer than `max_days` or leaves `served`, the days that
    /// the source serves.
    #[must_use]
    pub fn new(dataset: Dataset, days: Days, max_days: i32, served: Days) -> Option<Self> {
        let inside = served.first() <= days.first() && days.end() <= served.end();
        (inside && days.len() <= max_days).then_some(Self { dataset, days })
    }

    /// Which dataset.
    #[must_use]
    pub fn dataset(self) -> Dataset {
        self.dataset
    }

    /// Which days.
    #[must_use]
    pub fn days(self) -> Days {
        self.days
    }

    /// The first day asked for.
    #[must_use]
    pub fn start(self) -> Day {
        self.days.first()
    }

    /// The day after the last one asked for.
    #[must_use]
    pub fn end(self) -> Day {
        self.days.end()
    }
}
