//! What was measured, in integers.

use super::registers::RegisterReading;
use super::{Day, Interval, Kind, paris};

/// Average power over one interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CurvePoint {
    /// When, in UTC.
    pub interval: Interval,
    /// Average watts, never negative.
    pub watts: i64,
}

/// Energy of one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DayEnergy {
    /// The Paris day.
    pub day: Day,
    /// Watt-hours, never negative.
    pub wh: i64,
}

/// The highest apparent power of one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeakPower {
    /// The Paris day.
    pub day: Day,
    /// Volt-amperes, never negative.
    pub va: i64,
    /// Paris wall time of the peak, as seconds since the wall clock's midnight of that day;
    /// `None` where the source gave only the day.
    pub local_seconds: Option<i32>,
    /// The instant in seconds since 1970; `None` where the wall time is ambiguous or unknown.
    pub at: Option<i64>,
}

/// The values of one answer, all of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Values {
    /// Average power over intervals, ascending, without overlaps.
    Curve(Vec<CurvePoint>),
    /// Energy of days, ascending, each day once.
    Energy(Vec<DayEnergy>),
    /// Highest power of days, ascending, each day once.
    Peaks(Vec<PeakPower>),
    /// What registers showed, in the order of time. Beside the midnights that open the days of an answer the
    /// one that closes the last of them may be there.
    Registers(Vec<RegisterReading>),
}

impl Values {
    /// No value of that kind.
    #[must_use]
    pub fn none(kind: Kind) -> Self {
        match kind {
            Kind::LoadCurve => Self::Curve(Vec::new()),
            Kind::DailyEnergy => Self::Energy(Vec::new()),
            Kind::MaxPower => Self::Peaks(Vec::new()),
            Kind::Registers => Self::Registers(Vec::new()),
        }
    }

    /// How many values.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Curve(points) => points.len(),
            Self::Energy(days) => days.len(),
            Self::Peaks(days) => days.len(),
            Self::Registers(readings) => readings.len(),
        }
    }

    /// The Paris day of the first value.
    #[must_use]
    pub fn first_day(&self) -> Option<Day> {
        match self {
            Self::Curve(points) => points.first().map(|point| paris::day_of(point.interval.start)),
            Self::Energy(days) => days.first().map(|value| value.day),
            Self::Peaks(days) => days.first().map(|value| value.day),
            Self::Registers(readings) => {
                readings.first().map(|reading| reading.opens().unwrap_or_else(|| paris::day_of(reading.read_at)))
            }
        }
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
