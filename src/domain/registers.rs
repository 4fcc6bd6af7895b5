//! The meter's registers: readings, and the energy of days as differences of them.
//!
//! A meter counts Wh in registers, one for each tariff class of each of two calendars (the supplier's and
//! the distributor's), and one for everything. They are read at each midnight. What a class took in a day
//! is its register at the next midnight less its register at this one: exact, whatever the calendar is,
//! and without knowing it. That holds only as long as nothing happened in between, so a difference is
//! taken only between readings of the same register of the same class and calendar, and never where it
//! would be negative.

use std::collections::BTreeMap;
use std::fmt;

use super::{Day, Direction, paris};

/// A reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterReading {
    /// Which way the energy flows.
    pub direction: Direction,
    /// When it was read, in seconds since 1970.
    pub read_at: i64,
    /// Whether it is the snapshot that is taken of every day. Others are taken when a technician comes or a
    /// contract changes.
    pub daily: bool,
    /// Whose energy it counts.
    pub counts: Counts,
    /// Enedis' code of the register.
    pub register: String,
    /// What it shows, in Wh.
    pub wh: i64,
}

/// Whose energy a register counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counts {
    /// Everything.
    Total,
    /// One tariff class of a calendar.
    Class {
        /// Enedis' identifier of the calendar; `D…` is the distributor's, `F…` the supplier's.
        calendar: String,
        /// The class: `BASE`, `HP`, `HC`, `HCB`, `BUHC` and so on.
        class: String,
    },
}

impl RegisterReading {
    /// The day that it opens: the one whose midnight is nearest, if that is near.
    #[must_use]
    pub fn opens(&self) -> Option<Day> {
        opens(self.read_at)
    }

    /// Which register it is, for people: calendar, class and code.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.counts {
            Counts::Total => self.register.clone(),
            Counts::Class { calendar, class } => format!("{calendar} {class} {}", self.register),
        }
    }
}

impl Counts {
    /// What these columns of the database say; both are empty for the total.
    #[must_use]
    pub fn of(calendar: String, class: String) -> Self {
        if calendar.is_empty() && class.is_empty() { Self::Total } else { Self::Class { calendar, class } }
    }

    /// The calendar and the class as the database has them: empty for the total.
    #[must_use]
    pub fn columns(&self) -> (&str, &str) {
        match self {
            Self::Total => ("", ""),
            Self::Class { calendar, class } => (calendar, class),
        }
    }
}

/// What a class took in a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassEnergy {
    /// The Paris day.
    pub day: Day,
    /// Which way.
    pub direction: Direction,
    /// Which calendar and class, or everything.
    pub counts: Counts,
    /// Wh, never negative.
    pub wh: i64,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Backwards => "a register showed less at the end of the day than at its beginning; not counted",
            Self::CalendarChanged => "a register counts for another class since; the day is not counted for it",
            Self::Conflict => "two readings of one midnight differ; the later one is taken",
            Self::NoMidnight => "a daily reading is not of midnight; not used",
            Self::ClassesDisagree => "the classes of a calendar together are not the total",
        })
    }
}

/// Why a difference was not taken, or is in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Doubt {
    /// The register showed less at the end than at the beginning: it was reset, or is not in use. Not taken.
    Backwards,
    /// The register counted for another class or calendar at the end. Not taken.
    CalendarChanged,
    /// Two readings of the same midnight differ; the one that came last was taken.
    Conflict,
    /// A reading further than two hours from a midnight. Not taken.
    NoMidnight,
    /// The classes of a calendar together are not what the total says: one is missing, or counts what is
    /// not drawn. Taken as they are.
    ClassesDisagree,
}

/// The energy of days by class.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DaysByClass {
    /// By direction, calendar, class and day.
    pub energy: Vec<ClassEnergy>,
    /// Days on which something was odd, each once for each reason.
    pub doubts: Vec<(Day, Doubt)>,
}

/// Wh by which the classes together may differ from the total: each register shows whole Wh of its own.
const TOLERANCE: i64 = 10;

/// Seconds by which a snapshot may lie beside its midnight: some are stamped in winter time all year.
pub const BESIDE: i64 = 2 * 3600;

/// One register that counts one thing.
type Key<'a> = (Direction, &'a Counts, &'a str);

/// The energy of days, from the daily snapshots among some readings of one meter.
#[must_use]
pub fn by_class(readings: &[RegisterReading]) -> DaysByClass {
    let mut doubts = Vec::new();
    let mut shown: BTreeMap<Key<'_>, BTreeMap<Day, i64>> = BTreeMap::new();
    // What each register counted at each midnight.
    let mut uses: BTreeMap<(Direction, &str, Day), Vec<&Counts>> = BTreeMap::new();
    for reading in readings.iter().filter(|reading| reading.daily) {
        let Some(day) = opens(reading.read_at) else {
            doubts.push((paris::day_of(reading.read_at), Doubt::NoMidnight));
            continue;
        };
        let key = (reading.direction, &reading.counts, reading.register.as_str());
        let before = shown.entry(key).or_default().insert(day, reading.wh);
        if before.is_some_and(|before| before != reading.wh) {
            doubts.push((day, Doubt::Conflict));
        }
        uses.entry((reading.direction, reading.register.as_str(), day)).or_default().push(&reading.counts);
    }

    let mut energy: Vec<ClassEnergy> = Vec::new();
    for ((direction, counts, register), midnights) in &shown {
        for (day, wh) in midnights {
            let Some(after) = midnights.get(&day.next()) else {
                if uses.contains_key(&(*direction, register, day.next())) {
                    doubts.push((*day, Doubt::CalendarChanged));
                }
                continue;
            };
            if after < wh {
                doubts.push((*day, Doubt::Backwards));
                continue;
            }
            let counts = (*counts).clone();
            energy.push(ClassEnergy { day: *day, direction: *direction, counts, wh: after - wh });
        }
    }
    merge(&mut energy);
    doubts.extend(disagreements(&energy));
    doubts.sort_unstable();
    doubts.dedup();
    DaysByClass { energy, doubts }
}

/// The day that a reading opens: the one whose midnight is nearest, if that is near.
fn opens(read_at: i64) -> Option<Day> {
    let day = paris::day_of(read_at);
    [day, day.next()].into_iter().find(|day| (paris::start_of(*day) - read_at).abs() <= BESIDE)
}

/// Adds up what several registers counted for the same class.
fn merge(energy: &mut Vec<ClassEnergy>) {
    energy.sort_by(|a, b| (a.direction, &a.counts, a.day).cmp(&(b.direction, &b.counts, b.day)));
    energy.dedup_by(|next, kept| {
        let same = (next.direction, &next.counts, next.day) == (kept.direction, &kept.counts, kept.day);
        if same {
            kept.wh += next.wh;
        }
        same
    });
}

/// The days on which the classes of a calendar are not the total.
fn disagreements(energy: &[ClassEnergy]) -> Vec<(Day, Doubt)> {
    let mut totals = BTreeMap::new();
    let mut sums: BTreeMap<(Direction, Day, &str), i64> = BTreeMap::new();
    for one in energy {
        match &one.counts {
            Counts::Total => {
                totals.insert((one.direction, one.day), one.wh);
            }
            Counts::Class { calendar, .. } => {
                *sums.entry((one.direction, one.day, calendar)).or_default() += one.wh;
            }
        }
    }
    let wrong = |(direction, day, _): &(Direction, Day, &str), sum: i64| {
        totals.get(&(*direction, *day)).is_some_and(|total| (total - sum).abs() > TOLERANCE)
    };
    sums.iter().filter(|(key, sum)| wrong(key, **sum)).map(|((_, day, _), _)| (*day, Doubt::ClassesDisagree)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn class(calendar: &str, class: &str) -> Counts {
        Counts::Class { calendar: calendar.to_owned(), class: class.to_owned() }
    }

    fn reading(day: &str, counts: Counts, register: &str, wh: i64) -> RegisterReading {
        let read_at = paris::start_of(day.parse().unwrap());
        let register = register.to_owned();
        RegisterReading { direction: Direction::Consumption, read_at, daily: true, counts, register, wh }
    }

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    fn wh(days: &DaysByClass) -> Vec<(String, Counts, i64)> {
        days.energy.iter().map(|e| (e.day.to_string(), e.counts.clone(), e.wh)).collect()
    }

    #[test]
    fn a_class_took_what_its_register_grew_by() {
        let (hp, hc) = (class("DI000002", "HP"), class("DI000002", "HC"));
        let mut readings = vec![
            reading("2026-10-24", hp.clone(), "D1", 100),
            reading("2026-10-25", hp.clone(), "D1", 150),
            reading("2026-10-26", hp.clone(), "D1", 210),
            reading("2026-10-24", hc.clone(), "D2", 1000),
            reading("2026-10-25", hc.clone(), "D2", 1000),
            // No snapshot on the 26th: nothing is known of the 25th.
            reading("2026-10-27", hc.clone(), "D2", 1400),
            reading("2026-10-24", Counts::Total, "T", 1100),
            reading("2026-10-25", Counts::Total, "T", 1150),
        ];
        // One stamped in winter time all year, and one that is no snapshot.
        readings[2].read_at -= 3600;
        readings.push(RegisterReading { daily: false, ..reading("2026-10-25", hp.clone(), "D1", 7) });
        let days = by_class(&readings);
        let date = |d: u32| format!("2026-10-{d}");
        assert_eq!(
            wh(&days),
            [(date(24), Counts::Total, 50), (date(24), hc, 0), (date(24), hp.clone(), 50), (date(25), hp, 60)]
        );
        assert_eq!(days.doubts, []);
    }

    #[test]
    fn what_is_in_doubt_is_dropped_or_told() {
        let (hp, base) = (class("DI000002", "HP"), class("DI000001", "BASE"));
        // A register that begins anew.
        let reset = [reading("2026-10-24", hp.clone(), "D1", 100), reading("2026-10-25", hp.clone(), "D1", 3)];
        assert_eq!(by_class(&reset).doubts, [(day("2026-10-24"), Doubt::Backwards)]);
        assert_eq!(by_class(&reset).energy, []);
        // A register that counts for another calendar from now on.
        let changed = [reading("2026-10-24", hp.clone(), "D1", 100), reading("2026-10-25", base, "D1", 130)];
        assert_eq!(by_class(&changed).doubts, [(day("2026-10-24"), Doubt::CalendarChanged)]);
        assert_eq!(by_class(&changed).energy, []);
        // A class is missing.
        let lacking = [
            reading("2026-10-24", hp.clone(), "D1", 100),
            reading("2026-10-25", hp.clone(), "D1", 130),
            reading("2026-10-24", Counts::Total, "T", 100),
            reading("2026-10-25", Counts::Total, "T", 141),
        ];
        assert_eq!(by_class(&lacking).doubts, [(day("2026-10-24"), Doubt::ClassesDisagree)]);
        assert_eq!(by_class(&lacking).energy.len(), 2);
        // Twice the same midnight.
        let twice = [
            reading("2026-10-24", hp.clone(), "D1", 100),
            reading("2026-10-24", hp.clone(), "D1", 101),
            reading("2026-10-25", hp.clone(), "D1", 130),
        ];
        assert_eq!(by_class(&twice).doubts, [(day("2026-10-24"), Doubt::Conflict)]);
        assert_eq!(by_class(&twice).energy[0].wh, 29);
        let mut noon = reading("2026-10-24", hp, "D1", 100);
        noon.read_at += 12 * 3600;
        assert_eq!(by_class(&[noon]).doubts, [(day("2026-10-24"), Doubt::NoMidnight)]);
    }

    proptest! {
        /// Registers that grow, are lost and begin anew: what is told is never negative, is what really
        /// happened, and where a register never fell, nothing is missing but what has no two ends.
        #[test]
        fn what_is_told_is_what_happened(
            steps in prop::collection::vec((0..50_000_i64, prop::bool::weighted(0.1), prop::bool::weighted(0.1)), 2..40),
        ) {
            let first = day("2026-10-10");
            let (mut readings, mut shown, mut expected) = (Vec::new(), 1000_i64, Vec::new());
            let mut before: Option<(Day, i64)> = None;
            for ((wh, resets, lost), number) in steps.into_iter().zip(0..) {
                let midnight = first.plus(number);
                let mut after = reading("2026-10-10", Counts::Total, "T", shown);
                after.read_at = paris::start_of(midnight);
                if !lost {
                    if let Some((day, earlier)) = before.filter(|(day, _)| day.next() == midnight)
                        && shown >= earlier
                    {
                        expected.push((day, shown - earlier));
                    }
                    before = Some((midnight, shown));
                    readings.push(after);
                }
                shown = if resets { wh / 100 } else { shown + wh };
            }
            // The order of an answer does not matter.
            readings.reverse();
            let told: Vec<(Day, i64)> = by_class(&readings).energy.iter().map(|e| (e.day, e.wh)).collect();
            prop_assert_eq!(told, expected);
        }
    }
}
