//! The people behind a meter: what they draw from the grid and what their roof feeds in.
//!
//! A household is drawn once from its PRM: how many live there, whether they heat with
//! electricity, when the boiler runs, how large the roof is. A day of theirs is drawn from the
//! household and the date. Both are then asked for the watts at any time of that day.

use chrono::{Datelike, Weekday};

use super::noise::Noise;
use super::weather::Weather;
use crate::domain::{Day, Prm};

/// What is drawn once for a meter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Household {
    /// Draws of this household alone.
    pub(super) noise: Noise,
    people: i64,
    /// Watts that never sleep: fridge, box, stand-by.
    base: i64,
    /// Watts of heating for each degree that is missing; 0 without electric heating.
    heating: i64,
    /// Minute of the night at which the boiler starts.
    boiler_at: i64,
    charges_a_car: bool,
    /// Peak watts of the solar roof.
    roof: i64,
    /// Apparent power of the contract in VA.
    pub(super) subscribed: i64,
}

impl Household {
    /// The household at that meter.
    pub(super) fn of(seed: u64, prm: &Prm) -> Self {
        let number = prm.full().bytes().fold(0_i64, |sum, digit| sum * 10 + i64::from(digit.wrapping_sub(b'0')));
        let noise = Noise::new(seed).at(number);
        let heated = noise.at(3).chance(600);
        let charges_a_car = noise.at(5).chance(150);
        let subscribed = match (heated, charges_a_car) {
            (true, true) => 12_000,
            (true, false) | (false, true) => 9_000,
            (false, false) => 6_000,
        };
        Self {
            noise,
            people: noise.at(1).within(1, 5),
            base: noise.at(2).within(60, 220),
            heating: if heated { noise.at(4).within(70, 170) } else { 0 },
            boiler_at: noise.at(6).within(2, 30) * 5,
            charges_a_car,
            roof: noise.at(7).within(2, 9) * 1000,
            subscribed,
        }
    }
}

/// What a household does on one day.
#[derive(Debug)]
pub(super) struct DayAtHome {
    household: Household,
    weather: Weather,
    noise: Noise,
    away: bool,
    weekend: bool,
    /// Machines: minute of the clock at which each starts, minutes it runs, watts.
    machines: Vec<(i64, i64, i64)>,
}

impl DayAtHome {
    /// The day of that household.
    pub(super) fn of(household: Household, weather: Weather, day: Day) -> Self {
        let noise = household.noise.at(1_000_000 + i64::from(day.number()));
        let week = household.noise.at(500_000 + i64::from(day.number()).div_euclid(7));
        let away = week.chance(if matches!(day.date().month(), 7 | 8) { 250 } else { 50 });
        let weekend = matches!(day.date().weekday(), Weekday::Sat | Weekday::Sun);
        let machines = if away { Vec::new() } else { machines(household, noise, weekend) };
        Self { household, weather, noise, away, weekend, machines }
    }

    /// Watts that the household uses, by minutes of the clock in Paris; `slot` counts the
    /// five-minute slots of the day, so that the hour that comes twice in autumn differs.
    pub(super) fn use_at(&self, local_minute: i64, slot: i64) -> i64 {
        let home = self.household;
        let running: i64 = self
            .machines
            .iter()
            .filter(|(start, minutes, _)| (*start..start + minutes).contains(&local_minute))
            .map(|(_, _, watts)| watts)
            .sum();
        let missing = (185 - self.weather.temperature(local_minute)).max(0);
        let wanted = if self.away {
            350
        } else if !(360..1380).contains(&local_minute) {
            700
        } else if !self.weekend && (540..1020).contains(&local_minute) {
            800
        } else {
            1000
        };
        let heating = home.heating * missing / 10 * wanted / 1000;
        let presence = if self.away { 0 } else { home.people * self.presence(local_minute) };
        let fridge = if self.noise.at(slot / 4).chance(400) { 70 } else { 0 };
        let lively = heating + presence;
        let lively = lively * self.noise.at(10_000 + slot).within(750, 1250) / 1000;
        (home.base + fridge + lively + running).min(home.subscribed)
    }

    /// Watts of the solar roof.
    pub(super) fn roof_at(&self, utc_minute: i64) -> i64 {
        self.household.roof * self.weather.sun(utc_minute) / 1000
    }

    /// Light, screens and small devices, in watts a person.
    fn presence(&self, local_minute: i64) -> i64 {
        match local_minute {
            390..510 => 90,
            510..1080 if self.weekend => 70,
            1080..1350 => 130,
            1350..1410 => 60,
            _ => 8,
        }
    }
}

fn machines(home: Household, noise: Noise, weekend: bool) -> Vec<(i64, i64, i64)> {
    let mut machines = vec![
        (home.boiler_at, 40 + 20 * home.people, 2200),
        (noise.at(1).within(1110, 1190), noise.at(2).within(25, 60), noise.at(3).within(1100, 2600)),
        (noise.at(4).within(395, 450), 10, 1400),
    ];
    if weekend {
        machines.push((noise.at(5).within(700, 760), noise.at(6).within(20, 50), 1700));
    }
    if noise.at(7).chance(150 + 100 * home.people) {
        machines.push((noise.at(8).within(540, 1150), 95, 520));
    }
    if noise.at(9).chance(450) {
        machines.push((noise.at(10).within(1200, 1290), 80, 900));
    }
    if home.charges_a_car && noise.at(11).chance(430) {
        machines.push((130, noise.at(12).within(90, 210), 3600));
    }
    machines
}
