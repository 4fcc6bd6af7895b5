//! Civil days in Europe/Paris and half-open ranges of them.

use std::fmt;
use std::str::FromStr;

use chrono::{Datelike, Months, NaiveDate};

/// A civil day in Europe/Paris: 23, 24 or 25 hours long (see [`super::paris`]).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Day(i32);

/// A text that is no day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no day; write it as YYYY-MM-DD")]
pub struct DayError(pub String);

impl Day {
    /// The day of a calendar date.
    #[must_use]
    pub fn from_date(date: NaiveDate) -> Self {
        Self(date.to_epoch_days())
    }

    /// The day with this number; 0 is 1970-01-01.
    #[must_use]
    pub fn from_number(number: i32) -> Self {
        Self(number.clamp(-100_000, 100_000))
    }

    /// Days since 1970-01-01, as the database stores it.
    #[must_use]
    pub fn number(self) -> i32 {
        self.0
    }

    /// The calendar date.
    #[must_use]
    pub fn date(self) -> NaiveDate {
        NaiveDate::from_epoch_days(self.0).unwrap_or(NaiveDate::MIN)
    }

    /// The day that many days later, or earlier where negative.
    #[must_use]
    pub fn plus(self, days: i32) -> Self {
        Self::from_number(self.0.saturating_add(days))
    }

    /// The next day.
    #[must_use]
    pub fn next(self) -> Self {
        self.plus(1)
    }

    /// Days from `earlier` to this one.
    #[must_use]
    pub fn since(self, earlier: Self) -> i32 {
        self.0 - earlier.0
    }

    /// Goes back by calendar months; where the month is too short, to its last day.
    #[must_use]
    pub fn minus_months(self, months: u32) -> Self {
        self.date().checked_sub_months(Months::new(months)).map_or(self, Self::from_date)
    }

    /// The first day of its month.
    #[must_use]
    pub fn first_of_month(self) -> Self {
        self.date().with_day(1).map_or(self, Self::from_date)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.date().format("%Y-%m-%d").to_string())
    }
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Day {
    type Err = DayError;

    fn from_str(text: &str) -> Result<Self, DayError> {
        let well_formed = text.len() == 10
            && text.bytes().enumerate().all(|(i, b)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() });
        NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .ok()
            .filter(|date| well_formed && (1970..=2200).contains(&date.year()))
            .map(Self::from_date)
            .ok_or_else(|| DayError(text.chars().take(40).collect()))
    }
}

/// A range of days, `first` included and `end` not; never empty.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Days {
    first: Day,
    end: Day,
}

impl Days {
    /// The range from `first` up to but without `end`, or `None` where it would be empty.
    #[must_use]
    pub fn new(first: Day, end: Day) -> Option<Self> {
        (first < end).then_some(Self { first, end })
    }

    /// Just that day.
    #[must_use]
    pub fn single(day: Day) -> Self {
        Self { first: day, end: day.next() }
    }

    /// The first day.
    #[must_use]
    pub fn first(self) -> Day {
        self.first
    }

    /// The day after the last one.
    #[must_use]
    pub fn end(self) -> Day {
        self.end
    }

    /// The last day.
    #[must_use]
    pub fn last(self) -> Day {
        self.end.plus(-1)
    }

    /// How many days, at least 1.
    #[must_use]
    pub fn len(self) -> i32 {
        self.end.since(self.first)
    }

    /// Never: kept so that nobody has to ask.
    #[must_use]
    pub fn is_empty(self) -> bool {
        false
    }

    /// Whether the day lies in the range.
    #[must_use]
    pub fn contains(self, day: Day) -> bool {
        self.first <= day && day < self.end
    }

    /// What both ranges share.
    #[must_use]
    pub fn intersect(self, other: Self) -> Option<Self> {
        Self::new(self.first.max(other.first), self.end.min(other.end))
    }

    /// The days from first to last.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = Day> {
        (self.first.number()..self.end.number()).map(Day::from_number)
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.len() == 1 { write!(f, "{}", self.first) } else { write!(f, "{} to {}", self.first, self.last()) }
    }
}

impl fmt::Debug for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.first, self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    #[test]
    fn months_are_clipped_to_the_last_day() {
        assert_eq!(day("2028-02-29").minus_months(24), day("2026-02-28"));
        assert_eq!(day("2028-03-31").minus_months(1), day("2028-02-29"));
        assert_eq!(day("2028-08-31").minus_months(36), day("2025-08-31"));
    }

    #[test]
    fn only_iso_days_are_days() {
        for text in ["2026-02-29", "26-01-01", "2026-1-1", "2026-01-01T00:00", "+2026-01-01", "9999-01-01", ""] {
            assert!(text.parse::<Day>().is_err(), "{text}");
        }
        assert_eq!(day("2024-02-29").to_string(), "2024-02-29");
    }

    #[test]
    fn ranges_are_never_empty() {
        assert_eq!(Days::new(day("2026-01-02"), day("2026-01-02")), None);
        assert_eq!(Days::single(day("2026-01-02")).len(), 1);
    }
}
