//! The registers of a meter at midnight.
//!
//! They count the same energy as the daily values and the curve: what a register shows at one midnight less
//! what it showed at the one before is the day's Wh in its class, and the classes of each calendar add up
//! to the total. The supplier's calendar and the distributor's have registers of their own. Which class
//! holds when is decided here anew; the reader's off-peak rules are not used. `wire` writes the answer.

mod wire;

use std::collections::BTreeMap;

use chrono::{Datelike, Weekday};
use serde::Deserialize;

pub use wire::{IndexStamp, RegisterRules};

pub(super) use wire::body;

use super::meter::MeterSpec;
use super::noise::Noise;
use super::published::{AsOf, added};
use super::text;
use super::truth::MeasuredDay;
use super::world::World;
use crate::domain::{Dataset, Day, Days, Direction, Prm};

/// Where registers begin to count unless the world says otherwise.
const BEGINNING: &str = "2023-01-01";

/// The classes that a calendar tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grid {
    /// `BASE`.
    OneClass,
    /// `HP` and `HC`.
    TwoClasses,
    /// `HPH`, `HCH`, `HPB`, `HCB`: the same in the high and in the low season.
    FourClasses,
    /// Blue, white and red days, each with two classes. A day's colour begins at six in the morning.
    Tempo,
}

impl Grid {
    fn classes(self) -> &'static [&'static str] {
        match self {
            Self::OneClass => &["BASE"],
            Self::TwoClasses => &["HP", "HC"],
            Self::FourClasses => &["HPH", "HCH", "HPB", "HCB"],
            Self::Tempo => &["BUHP", "BUHC", "BCHP", "BCHC", "RUHP", "RUHC"],
        }
    }

    /// Number of the calendar in identifiers.
    fn number(self) -> u8 {
        match self {
            Self::OneClass => 1,
            Self::TwoClasses => 2,
            Self::FourClasses => 3,
            Self::Tempo => 4,
        }
    }
}

/// From a midnight on, other calendars are in force.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GridChange {
    /// The day that begins with it.
    #[serde(deserialize_with = "text::one")]
    pub from: Day,
    /// The supplier's.
    #[serde(default)]
    pub supplier: Option<Grid>,
    /// The distributor's.
    #[serde(default)]
    pub distributor: Option<Grid>,
}

/// A class that is left out of some snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MissingClass {
    /// Which.
    pub class: String,
    /// First midnight.
    #[serde(default, deserialize_with = "text::some")]
    pub first: Option<Day>,
    /// Last midnight.
    #[serde(default, deserialize_with = "text::some")]
    pub last: Option<Day>,
}

/// The registers of a meter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegisterSpec {
    /// Since when they count; since the meter's activation or 2023 where left out.
    #[serde(deserialize_with = "text::some")]
    pub since: Option<Day>,
    /// The supplier's calendar; by the contract's off-peak hours where left out.
    pub supplier: Option<Grid>,
    /// The distributor's; likewise.
    pub distributor: Option<Grid>,
    /// Later changes, in order.
    pub changes: Vec<GridChange>,
    /// Midnights at which all registers begin anew at 0.
    #[serde(deserialize_with = "text::list")]
    pub resets: Vec<Day>,
    /// Classes that are left out.
    pub missing: Vec<MissingClass>,
}

/// What a register shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterValue {
    /// The day that begins with the snapshot.
    pub midnight: Day,
    /// Calendar and class; the total has none.
    pub counts: Option<(String, &'static str)>,
    /// Code of the register.
    pub register: String,
    /// What it shows.
    pub wh: i64,
}

/// The calendars in force on a day: first the supplier's, then the distributor's.
fn grids(meter: &MeterSpec, direction: Direction, day: Day) -> [Grid; 2] {
    if direction == Direction::Production {
        return [Grid::OneClass; 2];
    }
    let usual = if meter.contract.off_peak.is_empty() { Grid::OneClass } else { Grid::TwoClasses };
    let spec = &meter.registers;
    let mut grids = [spec.supplier.unwrap_or(usual), spec.distributor.unwrap_or(usual)];
    for change in spec.changes.iter().filter(|change| change.from <= day) {
        let [supplier, distributor] = grids;
        grids = [change.supplier.unwrap_or(supplier), change.distributor.unwrap_or(distributor)];
    }
    grids
}

const ROLES: [char; 2] = ['F', 'D'];

fn code(direction: Direction, role: char, place: usize) -> String {
    let flow = if direction == Direction::Consumption { "EAS" } else { "EAI" };
    if role == 'T' { format!("{flow} T") } else { format!("{flow} {role}{}", place + 1) }
}

/// Which class holds at a minute of the clock on a day, by its place among those of the calendar.
fn class_at(seed: u64, meter: &MeterSpec, grid: Grid, day: Day, minute: i64) -> usize {
    let off_peak = || usize::from(meter.contract.off_peak.iter().any(|slot| slot.holds(minute)));
    match grid {
        Grid::OneClass => 0,
        Grid::TwoClasses => off_peak(),
        Grid::FourClasses => off_peak() + if (4..=10).contains(&day.date().month()) { 2 } else { 0 },
        Grid::Tempo => {
            let night = !(6 * 60..22 * 60).contains(&minute);
            colour(seed, if minute < 6 * 60 { day.plus(-1) } else { day }) * 2 + usize::from(night)
        }
    }
}

/// The colour of a day, the same for all meters: 0 blue, 1 white, 2 red.
fn colour(seed: u64, day: Day) -> usize {
    let noise = Noise::new(seed).at(-9).at(i64::from(day.number()));
    let date = day.date();
    let winter = !(4..=10).contains(&date.month());
    match date.weekday() {
        Weekday::Sun => 0,
        Weekday::Sat => usize::from(noise.at(1).chance(140)),
        _ if winter && noise.at(2).chance(200) => 2,
        _ => usize::from(noise.at(1).chance(140)),
    }
}

/// The Wh of a day by the classes of a calendar; together they are `total`.
fn by_class(seed: u64, meter: &MeterSpec, grid: Grid, day: Day, measured: &MeasuredDay, total: i64) -> Vec<i64> {
    let mut parts = vec![0_i64; grid.classes().len()];
    for (minute, wh) in measured.on_the_clock() {
        if let Some(part) = parts.get_mut(class_at(seed, meter, grid, day, minute)) {
            *part += wh;
        }
    }
    // The total is that of a register, which differs from the sum of the slots by a few Wh.
    let mut rest = total - parts.iter().sum::<i64>();
    let mut places: Vec<usize> = (0..parts.len()).collect();
    places.sort_by_key(|place| std::cmp::Reverse(parts.get(*place).copied()));
    for part in places {
        if let Some(part) = parts.get_mut(part) {
            let taken = rest.max(-*part);
            *part += taken;
            rest -= taken;
        }
    }
    parts
}

impl World {
    /// What a meter's registers show at the midnights that begin some days, in order of time.
    ///
    /// A snapshot is published with the day that it closes, and is missing where that day is.
    #[must_use]
    pub fn registers(&self, prm: &Prm, direction: Direction, days: Days, as_of: AsOf) -> Vec<RegisterValue> {
        values(self, prm, direction, days, as_of, &mut Memo::default())
    }
}

/// What registers had counted at the first days of months: years need not be counted anew for each call.
#[derive(Debug, Default)]
pub(super) struct Memo(BTreeMap<(Prm, Direction), Remembered>);

/// The same of one meter and direction, as long as the meter is what it was.
#[derive(Debug)]
struct Remembered {
    seed: u64,
    meter: MeterSpec,
    counted: BTreeMap<Day, Counted>,
}

/// Meters that are remembered.
const REMEMBERED: usize = 100;

impl Memo {
    fn of(&mut self, seed: u64, meter: &MeterSpec, direction: Direction) -> &mut BTreeMap<Day, Counted> {
        let key = (meter.prm.clone(), direction);
        let stale = |known: &Remembered| known.seed != seed || known.meter != *meter;
        if self.0.get(&key).is_some_and(stale) || (self.0.len() >= REMEMBERED && !self.0.contains_key(&key)) {
            self.0.clear();
        }
        let fresh = || Remembered { seed, meter: meter.clone(), counted: BTreeMap::new() };
        &mut self.0.entry(key).or_insert_with(fresh).counted
    }
}

fn values(
    world: &World,
    prm: &Prm,
    direction: Direction,
    days: Days,
    as_of: AsOf,
    memo: &mut Memo,
) -> Vec<RegisterValue> {
    let known = world.meter(prm).filter(|meter| meter.known && meter.has(direction));
    let Some(meter) = known else { return Vec::new() };
    let dataset = match direction {
        Direction::Consumption => Dataset::DailyConsumption,
        Direction::Production => Dataset::DailyProduction,
    };
    let activated = meter.activated_on(direction);
    let beginning = meter.registers.since.or(activated).or_else(|| BEGINNING.parse().ok()).unwrap_or(days.first());
    // After a reset nothing that came before it matters.
    let reset = meter.registers.resets.iter().copied().filter(|reset| *reset <= days.first() && *reset >= beginning);
    let mut day = reset.max().unwrap_or_else(|| beginning.min(days.first()));
    let mut count = Count { seed: world.seed, meter: &meter, direction, so_far: Counted::default() };
    // What is corrected later makes what was counted depend on when one looks.
    let mut remembered = meter.corrections.is_empty().then(|| memo.of(world.seed, &meter, direction));
    let before = remembered.as_ref().and_then(|known| known.range(day..=days.first()).next_back());
    if let Some((known, counted)) = before {
        (day, count.so_far) = (*known, counted.clone());
    }
    let mut found = Vec::new();
    while day < days.end() {
        if meter.registers.resets.contains(&day) {
            count.so_far = Counted { was_reset: true, ..Counted::default() };
        }
        if let Some(known) = remembered.as_mut().filter(|_| day == day.first_of_month()) {
            known.insert(day, count.so_far.clone());
        }
        if days.contains(day) {
            let closes = day.plus(-1);
            let published = match as_of {
                AsOf::Ever => true,
                AsOf::Instant(now) => world.published_at(&meter, dataset, closes) <= now,
            };
            let lost = meter.holes.iter().any(|hole| hole.contains(dataset, closes, None));
            if published && !lost && activated.is_none_or(|since| since <= day) {
                found.extend(count.snapshot(day));
            }
        }
        if day >= beginning {
            let measured = world.measured(&meter, direction, day);
            let wh = (measured.register_wh() + added(&meter, dataset, day, None, as_of)).max(0);
            count.add(day, &measured, wh);
        }
        day = day.next();
    }
    found
}

/// What was counted since the beginning or the last reset, by code of the register.
#[derive(Debug, Clone, Default)]
struct Counted {
    by_code: BTreeMap<String, i64>,
    was_reset: bool,
}

/// The registers while days go by.
struct Count<'a> {
    seed: u64,
    meter: &'a MeterSpec,
    direction: Direction,
    so_far: Counted,
}

impl Count<'_> {
    /// What a register shows: at the beginning of time it had run for some years.
    fn shown(&self, role: char, place: usize) -> i64 {
        let code = code(self.direction, role, place);
        let letter = i64::from(u32::from(role));
        let noise = super::customer::noise(self.seed, self.meter).at(letter).at(self.direction.id());
        let place = i64::try_from(place).unwrap_or_default();
        let before = if self.so_far.was_reset { 0 } else { noise.at(place).within(100_000, 30_000_000) };
        before + self.so_far.by_code.get(&code).copied().unwrap_or_default()
    }

    fn add(&mut self, day: Day, measured: &MeasuredDay, wh: i64) {
        for (role, grid) in ROLES.into_iter().zip(grids(self.meter, self.direction, day)) {
            let parts = by_class(self.seed, self.meter, grid, day, measured, wh);
            for (place, part) in parts.into_iter().enumerate() {
                *self.so_far.by_code.entry(code(self.direction, role, place)).or_default() += part;
            }
        }
        *self.so_far.by_code.entry(code(self.direction, 'T', 0)).or_default() += wh;
    }

    fn snapshot(&self, midnight: Day) -> Vec<RegisterValue> {
        let mut values = Vec::new();
        let missing = |class: &str| {
            let within =
                |m: &&MissingClass| m.first.is_none_or(|d| d <= midnight) && m.last.is_none_or(|d| midnight <= d);
            self.meter.registers.missing.iter().filter(within).any(|missing| missing.class == class)
        };
        for (role, grid) in ROLES.into_iter().zip(grids(self.meter, self.direction, midnight)) {
            let calendar = match role {
                'F' => format!("FC{:06}", grid.number()),
                _ => format!("DI{:06}", grid.number()),
            };
            for (place, class) in grid.classes().iter().enumerate().filter(|(_, class)| !missing(class)) {
                let (counts, register) = (Some((calendar.clone(), *class)), code(self.direction, role, place));
                values.push(RegisterValue { midnight, counts, register, wh: self.shown(role, place) });
            }
        }
        let register = code(self.direction, 'T', 0);
        values.push(RegisterValue { midnight, counts: None, register, wh: self.shown('T', 0) });
        values
    }
}
