//! Off-peak hours: the text in which Enedis gives them, as times of the day.
//!
//! A contract says in one line at which hours its meter counts as off-peak: `HC (22H30-6H30)`,
//! `HC (1H28-6H58;13H58-16H28)`. Such a line becomes [`OffPeak`]: slots of wall time, the same every
//! day of a season. Prices hang on it, so a line is understood whole or not at all: what is not
//! certain is [`NotUnderstood`], and the text is kept as it came (docs/off-peak.md). `split` does the
//! arithmetic: which class an interval has, and how a day's energy divides.

mod parse;
mod split;
#[cfg(test)]
mod tests;

use std::fmt;

use chrono::{Datelike, NaiveDate, NaiveTime, Timelike};

pub use parse::NotUnderstood;
pub use split::{DaySplit, TariffClass};

/// Minutes of a day of wall time; the days on which the clocks change have no off-peak hours of their own.
const DAY: u16 = 24 * 60;

/// A stretch of the day, every day: from a minute after midnight, so many minutes long.
///
/// It may go over midnight; 24 hours are the whole day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot {
    from: u16,
    minutes: u16,
}

impl Slot {
    /// The slot from a minute of the day (0 to 1439), 1 to 1440 minutes long; `None` for others.
    #[must_use]
    pub fn new(from: u16, minutes: u16) -> Option<Self> {
        (from < DAY && (1..=DAY).contains(&minutes)).then_some(Self { from, minutes })
    }

    /// The minute of the day at which it begins, `0..1440`.
    #[must_use]
    pub fn from(self) -> u16 {
        self.from
    }

    /// How long it is, in minutes, `1..=1440`.
    #[must_use]
    pub fn minutes(self) -> u16 {
        self.minutes
    }

    /// The minute of the day at which it ends, `1..=1440`; not after its beginning where it goes over
    /// midnight.
    #[must_use]
    pub fn to(self) -> u16 {
        let end = self.from + self.minutes;
        if end > DAY { end - DAY } else { end }
    }

    /// Whether a minute of the day lies in it.
    fn holds(self, minute: u16) -> bool {
        (minute + DAY - self.from) % DAY < self.minutes
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.from, self.to());
        write!(f, "{}H{:02}-{}H{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

/// The half of the year that network tariffs tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Season {
    /// The low season, April to October.
    Summer,
    /// The high season, November to March.
    Winter,
}

impl Season {
    /// The season of a day.
    #[must_use]
    pub fn of(day: NaiveDate) -> Self {
        if (4..=10).contains(&day.month()) { Self::Summer } else { Self::Winter }
    }
}

/// The off-peak hours of one season: at least one slot, in the order of the day, none touching another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Hours(Vec<Slot>);

impl Hours {
    /// These slots taken together: what overlaps or touches becomes one. `None` where there is no slot.
    #[must_use]
    pub fn of(slots: &[Slot]) -> Option<Self> {
        if slots.is_empty() {
            return None;
        }
        let held = |minute: u16| slots.iter().any(|slot| slot.holds(minute % DAY));
        // A minute before which nothing is held begins a slot; the whole day has none.
        let begins = (0..DAY).filter(|minute| held(*minute) && !held(minute + DAY - 1));
        let slot = |from: u16| Slot { from, minutes: (1..DAY).find(|n| !held(from + n)).unwrap_or(DAY) };
        let merged: Vec<Slot> = begins.map(slot).collect();
        Some(Self(if merged.is_empty() { vec![Slot { from: 0, minutes: DAY }] } else { merged }))
    }

    /// The slots.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        &self.0
    }

    /// Whether a time of the day is off-peak.
    #[must_use]
    pub fn hold(&self, time: NaiveTime) -> bool {
        let minute = u16::try_from(time.num_seconds_from_midnight() / 60).unwrap_or_default();
        self.0.iter().any(|slot| slot.holds(minute))
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, slot) in self.0.iter().enumerate() {
            write!(f, "{}{slot}", if place == 0 { "" } else { ";" })?;
        }
        Ok(())
    }
}

/// The off-peak hours of a contract, in Paris wall time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OffPeak {
    summer: Hours,
    winter: Hours,
}

impl OffPeak {
    /// The same hours all year.
    #[must_use]
    pub fn all_year(hours: Hours) -> Self {
        Self { summer: hours.clone(), winter: hours }
    }

    /// Hours that change with the season.
    #[must_use]
    pub fn seasonal(summer: Hours, winter: Hours) -> Self {
        Self { summer, winter }
    }

    /// The hours of a season.
    #[must_use]
    pub fn hours(&self, season: Season) -> &Hours {
        match season {
            Season::Summer => &self.summer,
            Season::Winter => &self.winter,
        }
    }
}

/// As Enedis writes it, with the seasons named where they differ.
impl fmt::Display for OffPeak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.summer == self.winter {
            write!(f, "HC ({})", self.summer)
        } else {
            write!(f, "HC ETE ({}) HC HIVER ({})", self.summer, self.winter)
        }
    }
}
