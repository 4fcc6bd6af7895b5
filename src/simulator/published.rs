//! What Enedis serves of a world: the truth, less what was never recorded, as of some instant.
//!
//! Tests compute the database they expect from these functions; nothing is recorded. They do not
//! look at consent, windows or spans, which are matters of a call.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::meter::MeterSpec;
use super::noise::Noise;
use super::truth::MeasuredDay;
use super::world::World;
use crate::domain::{Dataset, Day, Days, Direction, Prm, paris};

/// From when one looks at a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// What is published at that instant.
    Instant(DateTime<Utc>),
    /// What will have been published in the end, with every correction.
    Ever,
}

/// An interval: its start in seconds since 1970, its minutes, its average watts.
pub type CurveValue = (i64, i64, i64);
/// A day and its Wh.
pub type DailyValue = (Day, i64);
/// A day, its highest VA, and the instant of it in seconds since 1970.
pub type PeakValue = (Day, i64, i64);

impl World {
    /// The load curve of a meter over some days, in order.
    #[must_use]
    pub fn curve(&self, prm: &Prm, direction: Direction, days: Days, as_of: AsOf) -> Vec<CurveValue> {
        let dataset = match direction {
            Direction::Consumption => Dataset::ConsumptionLoadCurve,
            Direction::Production => Dataset::ProductionLoadCurve,
        };
        let Some(meter) = self.meter(prm).filter(|meter| !meter.curve_objected) else { return Vec::new() };
        let mut values = Vec::new();
        for day in days.iter().filter(|day| self.is_published(&meter, dataset, *day, as_of)) {
            let measured = self.measured(&meter, direction, day);
            let (mut start, end) = (paris::start_of(day), paris::start_of(day.next()));
            while start < end {
                let minutes = i64::from(meter.step_at(start).minutes());
                let lost = |stretches: &[super::Stretch]| {
                    stretches.iter().any(|stretch| stretch.contains(dataset, day, Some(start)))
                };
                if !lost(&meter.holes) && !lost(&meter.curve_off) {
                    let wh = measured.wh(start, minutes) + added(&meter, dataset, day, Some(start), as_of);
                    values.push((start, minutes, wh.max(0) * 60 / minutes));
                }
                start += minutes * 60;
            }
        }
        values
    }

    /// The daily energy of a meter over some days, in order.
    #[must_use]
    pub fn daily(&self, prm: &Prm, direction: Direction, days: Days, as_of: AsOf) -> Vec<DailyValue> {
        let dataset = match direction {
            Direction::Consumption => Dataset::DailyConsumption,
            Direction::Production => Dataset::DailyProduction,
        };
        self.whole_days(prm, dataset, days, as_of)
            .map(|(day, measured, added)| (day, (measured.register_wh() + added).max(0)))
            .collect()
    }

    /// The highest power drawn on each of some days, in order.
    #[must_use]
    pub fn peaks(&self, prm: &Prm, days: Days, as_of: AsOf) -> Vec<PeakValue> {
        self.whole_days(prm, Dataset::DailyMaxPower, days, as_of)
            .map(|(day, measured, added)| {
                let (va, at) = measured.peak();
                (day, (va + added).max(0), at)
            })
            .collect()
    }

    /// The instant at which a day of a dataset is published.
    #[must_use]
    pub fn published_at(&self, meter: &MeterSpec, dataset: Dataset, day: Day) -> DateTime<Utc> {
        let late = meter.late.iter().rev().find(|late| late.stretch.contains(dataset, day, None));
        let tardy = Noise::new(self.seed).at(-3).at(i64::from(day.number())).at(number(&meter.prm));
        let by_chance = i32::from(tardy.chance(self.rules.late_permille));
        let (days, time) = late.map_or((by_chance, None), |late| (late.days, late.at));
        let epoch = paris::at_wall(day.next().plus(days), time.unwrap_or(self.rules.publish_at));
        let epoch = epoch + self.rules.publication_delay_minutes * 60;
        DateTime::from_timestamp(epoch, 0).unwrap_or_default()
    }

    fn whole_days(
        &self,
        prm: &Prm,
        dataset: Dataset,
        days: Days,
        as_of: AsOf,
    ) -> impl Iterator<Item = (Day, Arc<MeasuredDay>, i64)> {
        let meter = self.meter(prm);
        days.iter().filter_map(move |day| {
            let meter = meter.as_ref().filter(|meter| self.is_published(meter, dataset, day, as_of))?;
            let lost = meter.holes.iter().any(|stretch| stretch.contains(dataset, day, None));
            let added = added(meter, dataset, day, None, as_of);
            (!lost).then(|| (day, self.measured(meter, dataset.direction(), day), added))
        })
    }

    /// What a meter measures on a day.
    pub(super) fn measured(&self, meter: &MeterSpec, direction: Direction, day: Day) -> Arc<MeasuredDay> {
        self.measured.day(&(self.seed, meter.prm.clone(), meter.kind, direction, day))
    }

    fn is_published(&self, meter: &MeterSpec, dataset: Dataset, day: Day, as_of: AsOf) -> bool {
        let exists = meter.known
            && meter.has(dataset.direction())
            && meter.activated_on(dataset.direction()).is_none_or(|since| since <= day);
        exists
            && match as_of {
                AsOf::Ever => true,
                AsOf::Instant(now) => self.published_at(meter, dataset, day) <= now,
            }
    }
}

/// What corrections add to a value.
pub(super) fn added(meter: &MeterSpec, dataset: Dataset, day: Day, start: Option<i64>, as_of: AsOf) -> i64 {
    let made = |at: DateTime<Utc>| match as_of {
        AsOf::Ever => true,
        AsOf::Instant(now) => at <= now,
    };
    let concerned = |stretch: &super::Stretch| stretch.contains(dataset, day, start);
    meter.corrections.iter().filter(|c| made(c.at) && concerned(&c.stretch)).map(|c| c.add).sum()
}

fn number(prm: &Prm) -> i64 {
    prm.full().parse().unwrap_or_default()
}
