//! What was measured, in integers.

use super::{Day, Interval};

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
