//! What an answer changes of registers, and of the energy of days by class that follows from them.
//!
//! A day's energy is the difference of two midnights, so an answer also bears on the day before the first
//! one that it covers, and on the day after the last one. An engine hands over all that it holds around
//! ([`around`]); what comes back is what both tables lack.

use std::collections::{BTreeMap, BTreeSet};

use super::{Change, Held, Revision, one_a_day};
use crate::domain::registers::{BESIDE, ClassEnergy, Counts, DaysByClass, Doubt, RegisterReading, by_class};
use crate::domain::{Day, Days, paris};
use crate::store::Answer;

/// What storing registers comes to.
#[derive(Debug, Clone)]
pub(in crate::store) struct RegisterChange {
    /// Of the readings themselves.
    pub(in crate::store) readings: Change<RegisterReading>,
    /// Energy to insert or to replace.
    pub(in crate::store) counted: Vec<ClassEnergy>,
    /// Energy that follows from nothing any more.
    pub(in crate::store) uncounted: Vec<ClassEnergy>,
    /// What is odd about days whose readings are new.
    pub(in crate::store) doubts: Vec<(Day, Doubt)>,
}

/// The first and the last instant of readings that bear on an answer for these days.
pub(in crate::store) fn around(covered: Days) -> (i64, i64) {
    let (first, last) = (covered.first().plus(-1), covered.end().next());
    (paris::start_of(first) - BESIDE, paris::start_of(last) + BESIDE)
}

/// The days whose energy an answer for these days may change.
pub(in crate::store) fn counted_days(covered: Days) -> (Day, Day) {
    (covered.first().plus(-1), covered.end().next())
}

/// What tells a reading from others.
type Place<'a> = (i64, &'a Counts, &'a str);

fn place(reading: &RegisterReading) -> Place<'_> {
    (reading.read_at, &reading.counts, &reading.register)
}

/// Compares registers with those held around, and the energy of days with what is held of it. Nobody but Enedis
/// has registers, so there is no one to disagree with.
pub(in crate::store) fn registers(
    answer: &Answer,
    readings: &[RegisterReading],
    held: &[Held<RegisterReading>],
    counted: &[ClassEnergy],
) -> RegisterChange {
    let known: BTreeMap<Place<'_>, &Held<RegisterReading>> = held.iter().map(|held| (place(&held.0), held)).collect();
    let mut change = Change::none();
    for reading in readings {
        let mut reading = reading.clone();
        match known.get(&place(&reading)) {
            Some((old, from)) => {
                reading.daily |= old.daily;
                if *old == reading {
                    continue;
                }
                if old.wh != reading.wh {
                    change.changed += 1;
                    change.revisions.push(Revision {
                        start: old.read_at,
                        minutes: 0,
                        old: old.wh,
                        new: Some(reading.wh),
                        old_local_seconds: None,
                        old_source: *from,
                        register: Some(old.name()),
                    });
                }
            }
            None => change.inserted += 1,
        }
        change.put.push(reading);
    }
    let mut all: BTreeMap<Place<'_>, &RegisterReading> =
        held.iter().map(|(reading, _)| (place(reading), reading)).collect();
    all.extend(change.put.iter().map(|reading| (place(reading), reading)));
    let all: Vec<RegisterReading> = all.into_values().cloned().collect();
    change.seen =
        one_a_day(answer.covered, all.iter().filter(|reading| reading.daily).filter_map(RegisterReading::opens));
    let DaysByClass { energy, doubts } = by_class(&all);
    let (first, end) = counted_days(answer.covered);
    let mut energy: BTreeMap<_, ClassEnergy> =
        energy.into_iter().filter(|one| (first..end).contains(&one.day)).map(|one| (key(&one), one)).collect();
    let mut uncounted = Vec::new();
    for old in counted {
        match energy.get(&key(old)) {
            Some(new) if new.wh == old.wh => {
                energy.remove(&key(old));
            }
            Some(_) => {}
            None => uncounted.push(old.clone()),
        }
    }
    let opened = |reading: &RegisterReading| reading.opens().unwrap_or_else(|| paris::day_of(reading.read_at));
    let fresh: BTreeSet<Day> = change.put.iter().map(opened).flat_map(|day| [day.plus(-1), day]).collect();
    RegisterChange {
        counted: energy.into_values().collect(),
        uncounted,
        doubts: doubts.into_iter().filter(|(day, _)| fresh.contains(day)).collect(),
        readings: change,
    }
}

fn key(energy: &ClassEnergy) -> (Day, Counts) {
    (energy.day, energy.counts.clone())
}
