//! What intervals of a load curve are in terms of off-peak hours: their class, and the energy of days by
//! class.
//!
//! Hours are times of the wall clock, intervals are instants. A full hour of UTC lies within one hour of
//! the clock in Paris, on any day, so an interval is looked at in pieces of such hours; on the two days
//! on which the clocks change the hour that is skipped counts for nothing and the one that comes twice
//! counts twice, as it does at the meter.

use chrono::{NaiveDate, Timelike};

use super::{Hours, OffPeak, Season};
use crate::domain::{CurvePoint, Day, Interval, paris};

const HOUR: i64 = 3600;

/// The tariff class of an interval, for contracts that tell at most two apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TariffClass {
    /// The price is the same all day.
    Base,
    /// Peak hours (*heures pleines*).
    Peak,
    /// Off-peak hours (*heures creuses*).
    OffPeak,
}

impl TariffClass {
    /// The field's own code, as views and answers have it.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Base => "BASE",
            Self::Peak => "HP",
            Self::OffPeak => "HC",
        }
    }
}

/// The energy of one day by class. In joules, because these are whole numbers however an interval is cut; a
/// Wh has 3600 of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DaySplit {
    /// The Paris day in which the intervals begin.
    pub day: Day,
    /// Energy in peak hours.
    pub peak_joules: i64,
    /// Energy in off-peak hours.
    pub off_peak_joules: i64,
}

impl OffPeak {
    /// How many seconds of an interval are off-peak.
    #[must_use]
    pub fn seconds(&self, interval: Interval) -> i64 {
        let (mut at, end, mut seconds) = (interval.start, interval.end(), 0);
        while at < end {
            let next = end.min((at.div_euclid(HOUR) + 1) * HOUR);
            let local = paris::local(at);
            let from = i64::from(local.num_seconds_from_midnight());
            seconds += self.on(local.date()).shared(from, from + next - at);
            at = next;
        }
        seconds
    }

    /// The class of an interval; of one that a boundary cuts, the class of its larger part, and of two equal
    /// parts that of the first.
    #[must_use]
    pub fn class(&self, interval: Interval) -> TariffClass {
        let off = 2 * self.seconds(interval);
        let begins = || paris::local(interval.start);
        let off_peak = match off.cmp(&interval.step.seconds()) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => self.on(begins().date()).hold(begins().time()),
            std::cmp::Ordering::Greater => true,
        };
        if off_peak { TariffClass::OffPeak } else { TariffClass::Peak }
    }

    /// The energy of each day that has points, an interval that a boundary cuts split by the time on
    /// either side of it. Points come in the order of time; whether a day is whole is the caller's affair.
    #[must_use]
    pub fn split(&self, points: &[CurvePoint]) -> Vec<DaySplit> {
        let mut days: Vec<DaySplit> = Vec::new();
        for point in points {
            let day = paris::day_of(point.interval.start);
            let off = self.seconds(point.interval);
            let peak_joules = point.watts * (point.interval.step.seconds() - off);
            let off_peak_joules = point.watts * off;
            match days.last_mut() {
                Some(last) if last.day == day => {
                    last.peak_joules += peak_joules;
                    last.off_peak_joules += off_peak_joules;
                }
                _ => days.push(DaySplit { day, peak_joules, off_peak_joules }),
            }
        }
        days
    }

    /// The hours in force on a date.
    fn on(&self, date: NaiveDate) -> &Hours {
        self.hours(Season::of(date))
    }
}

impl Hours {
    /// How many of the seconds `[from, to)` after midnight lie in its slots.
    fn shared(&self, from: i64, to: i64) -> i64 {
        let day = 24 * HOUR;
        let overlap = |begin: i64, end: i64| (to.min(end) - from.max(begin)).max(0);
        let slots = self.slots().iter().map(|slot| {
            let begin = i64::from(slot.from()) * 60;
            let end = begin + i64::from(slot.minutes()) * 60;
            // What goes over midnight is there in the morning too, from the slot of the evening before.
            overlap(begin, end) + overlap(begin - day, end - day)
        });
        slots.sum()
    }
}
