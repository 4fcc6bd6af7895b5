//! What a meter measures, as a pure function of seed, meter and time.
//!
//! The grain is the whole watt-hour of five minutes. Intervals of every step are sums of those,
//! which is why half-hours come out at even watts, quarters at multiples of four and so on, as
//! they do at real meters. Daily energy is read from another register and may differ from the
//! sum of the curve by a few Wh. Nothing here knows about publication, holes or consent.
//!
//! A history is asked for many times over: by week and by year, again by whoever compares it. So a
//! world remembers the days that it has measured; what they come to is the same without.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::household::{DayAtHome, Household};
use super::meter::MeterKind;
use super::noise::Noise;
use super::weather::Weather;
use crate::domain::{Day, Direction, Prm, paris};

/// Seconds of one slot.
const SLOT: i64 = 300;

/// Days that a world remembers, of a bit more than a kilobyte each: two years of two meters with a roof.
const REMEMBERED: usize = 5_000;

/// What a measured day depends on.
type Key = (u64, Prm, MeterKind, Direction, Day);

/// The days that were measured already.
#[derive(Debug, Default)]
pub(super) struct Measured(Mutex<HashMap<Key, Arc<MeasuredDay>>>);

impl Measured {
    /// That day, measured now at the latest.
    pub(super) fn day(&self, key: &Key) -> Arc<MeasuredDay> {
        let known = self.days().get(key).map(Arc::clone);
        known.unwrap_or_else(|| {
            let (seed, prm, kind, direction, day) = key;
            // Not under the lock: others need not wait for a day that is none of theirs.
            let measured = Arc::new(MeasuredDay::of(*seed, prm, *kind, *direction, *day));
            let mut days = self.days();
            if days.len() >= REMEMBERED {
                days.clear();
            }
            days.insert(key.clone(), Arc::clone(&measured));
            measured
        })
    }

    fn days(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Arc<MeasuredDay>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One meter on one day.
#[derive(Debug)]
pub(super) struct MeasuredDay {
    /// First second of the day.
    start: i64,
    /// Wh since midnight at each fifth minute, from this midnight to the next one.
    counted: Vec<u32>,
    noise: Noise,
    subscribed: i64,
}

impl MeasuredDay {
    /// Measures the day in one direction.
    fn of(seed: u64, prm: &Prm, kind: MeterKind, direction: Direction, day: Day) -> Self {
        let household = Household::of(seed, prm);
        let home = DayAtHome::of(household, Weather::of(seed, day), day);
        let start = paris::start_of(day);
        let noise = household.noise.at(-2).at(start).at(direction.id());
        let mut counted = Vec::with_capacity(301);
        let mut sum = 0_i64;
        counted.push(0);
        for hour in 0..paris::minutes_in(day) / 60 {
            // The offset can only change on the hour.
            let offset = paris::offset_hours(start + hour * 3600) * 60;
            for part in 0..12 {
                let slot = hour * 12 + part;
                let utc_minute = (start / 60 + slot * 5).rem_euclid(1440);
                let local_minute = (start / 60 + slot * 5 + offset).rem_euclid(1440);
                let used = home.use_at(local_minute, slot);
                let roof = if kind == MeterKind::Consumer { 0 } else { home.roof_at(utc_minute) };
                let watts = match (kind, direction) {
                    (MeterKind::Producer, Direction::Production) => roof,
                    (_, Direction::Consumption) => (used - roof).max(0),
                    (_, Direction::Production) => (roof - used).max(0),
                };
                // Chance decides about the fraction of a Wh, so that small loads do not vanish.
                sum += (watts * 1000 / 12 + noise.at(slot).below(1000)) / 1000;
                counted.push(u32::try_from(sum).unwrap_or(u32::MAX));
            }
        }
        Self { start, counted, noise, subscribed: household.subscribed }
    }

    /// Wh of `minutes` minutes from `start` on, an instant of this day on the grid of the step.
    pub(super) fn wh(&self, start: i64, minutes: i64) -> i64 {
        let last = self.counted.len().saturating_sub(1);
        let at = |instant: i64| {
            let slot = usize::try_from((instant - self.start) / SLOT).unwrap_or(last);
            i64::from(self.counted.get(slot.min(last)).copied().unwrap_or_default())
        };
        at(start + minutes * 60) - at(start)
    }

    /// Wh of each five minutes.
    fn slots(&self) -> impl Iterator<Item = i64> {
        self.counted.array_windows().map(|[before, after]| i64::from(*after) - i64::from(*before))
    }

    /// Wh of each five minutes, with the minute of the clock in Paris at which these begin.
    pub(super) fn on_the_clock(&self) -> impl Iterator<Item = (i64, i64)> {
        let mut minute = 0;
        self.slots().zip(0_i64..).map(move |(wh, slot)| {
            let start = self.start + slot * SLOT;
            // The offset can only change on the hour.
            if slot % 12 == 0 {
                minute = (start / 60 + paris::offset_hours(start) * 60).rem_euclid(1440);
            }
            (minute + slot % 12 * 5, wh)
        })
    }

    /// Wh of the day by the register: the curve's sum, give or take the rounding of two readings.
    pub(super) fn register_wh(&self) -> i64 {
        let sum = self.counted.last().copied().map_or(0, i64::from);
        if sum == 0 { 0 } else { (sum + self.noise.at(-1).within(-2, 9)).max(0) }
    }

    /// The highest apparent power, in VA, and the second at which it was reached.
    pub(super) fn peak(&self) -> (i64, i64) {
        let (wh, slot) = self.slots().zip(0_i64..).max_by_key(|(wh, slot)| (*wh, -slot)).unwrap_or_default();
        let watts = wh * 12;
        let va = watts * self.noise.at(-2).within(1040, 1330) / 1000 + self.noise.at(-3).below(150);
        let va = va.min(self.subscribed * 11 / 10).max(watts) / 10 * 10 + 10;
        (va, self.start + slot * SLOT + self.noise.at(-4).below(SLOT))
    }
}
