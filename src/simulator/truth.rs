//! What a meter measures, as a pure function of seed, meter and time.
//!
//! The grain is the whole watt-hour of five minutes. Intervals of every step are sums of those,
//! which is why half-hours come out at even watts, quarters at multiples of four and so on, as
//! they do at real meters. Daily energy is read from another register and may differ from the
//! sum of the curve by a few Wh. Nothing here knows about publication, holes or consent.

use super::household::{DayAtHome, Household};
use super::meter::MeterKind;
use super::noise::Noise;
use super::weather::Weather;
use crate::domain::{Day, Direction, Prm, paris};

/// Seconds of one slot.
const SLOT: i64 = 300;

/// One meter on one day.
#[derive(Debug)]
pub(super) struct MeasuredDay {
    /// First second of the day.
    start: i64,
    /// Wh of each five minutes from midnight to midnight.
    slots: Vec<i64>,
    noise: Noise,
    subscribed: i64,
}

impl MeasuredDay {
    /// Measures the day in one direction.
    pub(super) fn of(seed: u64, prm: &Prm, kind: MeterKind, direction: Direction, day: Day) -> Self {
        let household = Household::of(seed, prm);
        let home = DayAtHome::of(household, Weather::of(seed, day), day);
        let start = paris::start_of(day);
        let noise = household.noise.at(-2).at(start).at(direction.id());
        let mut slots = Vec::with_capacity(300);
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
                slots.push((watts * 1000 / 12 + noise.at(slot).below(1000)) / 1000);
            }
        }
        Self { start, slots, noise, subscribed: household.subscribed }
    }

    /// Wh of `minutes` minutes from `start` on, an instant of this day on the grid of the step.
    pub(super) fn wh(&self, start: i64, minutes: i64) -> i64 {
        let first = usize::try_from((start - self.start) / SLOT).unwrap_or(usize::MAX);
        let count = usize::try_from(minutes / 5).unwrap_or_default();
        self.slots.iter().skip(first).take(count).sum()
    }

    /// Wh of each five minutes, with the minute of the clock in Paris at which these begin.
    pub(super) fn on_the_clock(&self) -> impl Iterator<Item = (i64, i64)> {
        self.slots.chunks(12).zip(0_i64..).flat_map(|(hour, number)| {
            let start = self.start + number * 3600;
            let minute = (start / 60 + paris::offset_hours(start) * 60).rem_euclid(1440);
            hour.iter().zip(0_i64..).map(move |(wh, part)| (minute + part * 5, *wh))
        })
    }

    /// Wh of the day by the register: the curve's sum, give or take the rounding of two readings.
    pub(super) fn register_wh(&self) -> i64 {
        let sum: i64 = self.slots.iter().sum();
        if sum == 0 { 0 } else { (sum + self.noise.at(-1).within(-2, 9)).max(0) }
    }

    /// The highest apparent power, in VA, and the second at which it was reached.
    pub(super) fn peak(&self) -> (i64, i64) {
        let highest = self.slots.iter().zip(0_i64..).max_by_key(|(wh, slot)| (**wh, -slot));
        let (wh, slot) = highest.map_or((0, 0), |(wh, slot)| (*wh, slot));
        let watts = wh * 12;
        let va = watts * self.noise.at(-2).within(1040, 1330) / 1000 + self.noise.at(-3).below(150);
        let va = va.min(self.subscribed * 11 / 10).max(watts) / 10 * 10 + 10;
        (va, self.start + slot * SLOT + self.noise.at(-4).below(SLOT))
    }
}
