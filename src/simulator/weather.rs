//! The weather of the simulated country: one temperature and one sky for all meters.
//!
//! Seasons come from the calendar, spells of a few days and single clouds from chance. It is as
//! good as it must be for a heating curve and a solar roof to look right on a chart, no better.

use chrono::Datelike;

use super::noise::{Noise, sine};
use crate::domain::Day;

/// Minutes after midnight, UTC, at which the sun is highest.
const SOLAR_NOON: i64 = 11 * 60 + 50;

/// The weather of one day.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weather {
    noise: Noise,
    /// Mean temperature in tenths of a degree Celsius.
    mean: i64,
    /// Sunlight that the clouds let through on the whole, in thousandths.
    clear: i64,
    /// Minutes between sunrise and sunset.
    daylight: i64,
    /// Strength of the midday sun, in thousandths of that of midsummer.
    strength: i64,
}

impl Weather {
    /// The weather of `day`.
    pub(super) fn of(seed: u64, day: Day) -> Self {
        let noise = Noise::new(seed).at(-1);
        let ordinal = i64::from(day.date().ordinal());
        let season = sine((ordinal - 111) * 3600 / 365);
        let sun_season = sine((ordinal - 81) * 3600 / 365);
        let number = i64::from(day.number());
        let spell = spell(noise, number);
        let own = noise.at(number);
        Self {
            noise: own,
            mean: 120 + 85 * season / 1000 + spell + own.at(1).within(-15, 15),
            clear: i64::midpoint(own.at(2).within(150, 1000), own.at(3).within(300, 1000)),
            daylight: 734 + 232 * sun_season / 1000,
            strength: 640 + 360 * sun_season / 1000,
        }
    }

    /// Temperature in tenths of a degree at a time of the day, in minutes by the clock.
    pub(super) fn temperature(&self, local_minute: i64) -> i64 {
        self.mean + 35 * sine((local_minute - 540) * 3600 / 1440) / 1000
    }

    /// Output of a solar roof in thousandths of its peak, by minutes after midnight UTC.
    pub(super) fn sun(&self, utc_minute: i64) -> i64 {
        let risen = utc_minute - (SOLAR_NOON - self.daylight / 2);
        if risen <= 0 || risen >= self.daylight {
            return 0;
        }
        let height = sine(risen * 1800 / self.daylight);
        // Single clouds pass within quarters of an hour, more of them on a dull day.
        let cloud = 1000 - self.noise.at(100 + utc_minute / 15).below(1100 - self.clear);
        height * height / 1000 * self.strength / 1000 * self.clear / 1000 * cloud / 1000 * 850 / 1000
    }
}

/// Deviation that lasts for days: drawn every fifth day, a straight line between.
fn spell(noise: Noise, day: i64) -> i64 {
    let (block, inside) = (day.div_euclid(5), day.rem_euclid(5));
    let draw = |block: i64| noise.at(block).at(9).within(-45, 45);
    (draw(block) * (5 - inside) + draw(block + 1) * inside) / 5
}
