//! Readings of whole days: energy, and the highest power with the moment it was reached.
//!
//! A day's label is its date. Where a time stands beside it, it is the moment of the peak, in
//! Paris wall time; in the autumn hour that comes twice the moment stays unknown and only the
//! wall time is kept.

use chrono::{NaiveTime, TimeDelta};

use crate::domain::paris::{Candidates, MonthClock};
use crate::domain::{Day, DayEnergy, Days, PeakPower};

use super::stamp::{Stamp, Stamps};
use super::{AnomalyKind, Reading, Tally};

/// The energy of days, ascending, each day once.
pub(super) fn energy<'a>(readings: impl Iterator<Item = Reading<'a>>, days: Days, tally: &mut Tally) -> Vec<DayEnergy> {
    let values = read(readings, days, tally);
    let energy = values.into_iter().map(|(stamp, wh)| DayEnergy { day: stamp.day, wh }).collect();
    once(energy, |e| e.day, tally)
}

/// The peaks of days, ascending, each day once.
pub(super) fn peaks<'a>(readings: impl Iterator<Item = Reading<'a>>, days: Days, tally: &mut Tally) -> Vec<PeakPower> {
    let values = read(readings, days, tally);
    let mut clock = MonthClock::default();
    let peaks = values.into_iter().map(|(stamp, va)| peak(stamp, va, &mut clock, tally)).collect();
    once(peaks, |p| p.day, tally)
}

fn peak(stamp: Stamp, va: i64, clock: &mut MonthClock, tally: &mut Tally) -> PeakPower {
    let local = |seconds: i32| stamp.day.date().and_time(NaiveTime::MIN) + TimeDelta::seconds(i64::from(seconds));
    let mut guess = |seconds: i32| match clock.candidates(local(seconds)) {
        Candidates::One(instant) => Ok(Some(instant)),
        Candidates::Two(..) => Ok(None),
        Candidates::None => Err(AnomalyKind::DstNonexistent),
    };
    let at = match (stamp.instant, stamp.seconds) {
        (Some(instant), _) => Some(instant),
        (None, Some(seconds)) => guess(seconds).unwrap_or_else(|kind| {
            tally.odd.add(kind, Some(stamp.day));
            None
        }),
        (None, None) => None,
    };
    PeakPower { day: stamp.day, va, local_seconds: stamp.seconds, at }
}

/// The readings that have a label, a value and a day that was asked for.
fn read<'a>(readings: impl Iterator<Item = Reading<'a>>, days: Days, tally: &mut Tally) -> Vec<(Stamp, i64)> {
    let mut stamps = Stamps::default();
    let mut values = Vec::with_capacity(readings.size_hint().0);
    for reading in readings {
        let stamp = reading.stamp.text().and_then(|text| stamps.read(text));
        let Some(value) = tally.value(&reading, stamp.map(|s| s.day)) else { continue };
        match stamp {
            None => tally.odd.add(AnomalyKind::BadStamp, None),
            Some(stamp) if !days.contains(stamp.day) => tally.odd.add(AnomalyKind::Outside, Some(stamp.day)),
            Some(stamp) => values.push((stamp, value)),
        }
    }
    values
}

/// Sorts by day and keeps one value of each: of different ones that which was sent last.
fn once<T: PartialEq>(mut values: Vec<T>, day: impl Fn(&T) -> Day, tally: &mut Tally) -> Vec<T> {
    values.sort_by_key(|v| day(v));
    let mut kept: Vec<T> = Vec::with_capacity(values.len());
    for value in values {
        match kept.last_mut() {
            Some(last) if day(last) == day(&value) => {
                if *last != value {
                    tally.odd.add(AnomalyKind::DuplicateConflict, Some(day(&value)));
                    *last = value;
                }
            }
            _ => kept.push(value),
        }
    }
    kept
}
