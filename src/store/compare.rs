//! What an answer changes of what is stored: a pure comparison, the same for every database.
//!
//! An engine reads what it holds of the days that an answer covers and hands both here. What comes
//! back is only what differs: rows to put and to remove, old values to keep as revisions, and what
//! is seen now of each day. Overlaps, folds and disputes are settled here, before any SQL, so that
//! no engine ever proposes a row twice.

mod registers;

use std::collections::BTreeSet;

pub(super) use registers::{RegisterChange, around, counted_days, registers};

use super::{Answer, Spoilt};
use crate::domain::dispute::give_way;
use crate::domain::merge::{Revised, merge, observe};
use crate::domain::registers::RegisterReading;
use crate::domain::{Asked, CurvePoint, Day, DayEnergy, DayObservation, DayRecord, Days, PeakPower, Values, paris};

/// A value and the number of the source that it came from.
pub(super) type Held<T> = (T, i64);

/// Days and their records, ascending.
pub(super) type Records = Vec<(Day, DayRecord)>;

/// An old value that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Revision {
    pub(super) start: i64,
    pub(super) minutes: i64,
    pub(super) old: i64,
    /// What is stored there now; `None` where nothing is any more.
    pub(super) new: Option<i64>,
    pub(super) old_local_seconds: Option<i32>,
    pub(super) old_source: i64,
    /// Which register, where it is one.
    pub(super) register: Option<String>,
}

impl Revision {
    /// What is kept of a value that is taken out.
    pub(super) fn of_spoilt(spoilt: &Spoilt) -> Self {
        Self {
            start: spoilt.start,
            minutes: spoilt.minutes,
            old: spoilt.value,
            new: spoilt.now,
            old_local_seconds: spoilt.local_seconds,
            old_source: spoilt.source.0,
            register: spoilt.register.as_ref().map(RegisterReading::name),
        }
    }

    fn of_day(day: Day, old: i64, new: i64, old_source: i64) -> Self {
        let minutes = paris::minutes_in(day);
        Self {
            start: paris::start_of(day),
            minutes,
            old,
            new: Some(new),
            old_local_seconds: None,
            old_source,
            register: None,
        }
    }
}

/// What storing the values of an answer comes to.
#[derive(Debug, Clone)]
pub(super) struct Change<T> {
    /// Rows to insert or to replace.
    pub(super) put: Vec<T>,
    /// Starts of intervals that others replace.
    pub(super) removed: Vec<i64>,
    /// Values that were not there before.
    pub(super) inserted: u64,
    /// Values that differ from those stored.
    pub(super) changed: u64,
    /// What is seen now of each day covered, in their order.
    pub(super) seen: Vec<DayObservation>,
    /// Old values to keep.
    pub(super) revisions: Vec<Revision>,
    /// Values that gave way to those of Enedis, to be kept unless they are already.
    pub(super) disputed: Vec<Revision>,
}

/// Compares intervals; both ascend, and `firm` are the sources that are Enedis itself.
pub(super) fn curve(
    answer: &Answer,
    points: &[CurvePoint],
    held: &[Held<CurvePoint>],
    firm: &BTreeSet<i64>,
) -> Change<CurvePoint> {
    let stored: Vec<CurvePoint> = held.iter().map(|(point, _)| *point).collect();
    let of_firm: Vec<CurvePoint> = held.iter().filter(|(_, from)| firm.contains(from)).map(|(p, _)| *p).collect();
    let (points, disputed) = give_way(&of_firm, points);
    let merged = merge(&stored, &points);
    if merged.left_out > 0 {
        // Measured values are dropped here and nowhere else; that must not go unseen.
        tracing::warn!(
            dataset = %answer.dataset,
            days = %answer.covered,
            left_out = merged.left_out,
            "intervals of another length overlap stored ones without covering them; the stored ones stay"
        );
    }
    let source_of = |start| {
        let at = held.binary_search_by_key(&start, |(point, _)| point.interval.start).ok();
        at.and_then(|at| held.get(at)).map_or(answer.source.0, |(_, from)| *from)
    };
    let revision = |revised: &Revised| Revision {
        start: revised.old.interval.start,
        minutes: i64::from(revised.old.interval.step.minutes()),
        old: revised.old.watts,
        new: Some(revised.new_watts),
        old_local_seconds: None,
        old_source: source_of(revised.old.interval.start),
        register: None,
    };
    let dispute = disputed.iter().map(|disputed| Revision {
        start: disputed.came.interval.start,
        minutes: i64::from(disputed.came.interval.step.minutes()),
        old: disputed.came.watts,
        new: Some(disputed.stays),
        old_local_seconds: None,
        old_source: answer.source.0,
        register: None,
    });
    Change {
        inserted: merged.inserted,
        changed: merged.revised.len() as u64,
        seen: answer.covered.iter().map(|day| observe(day, &merged.after)).collect(),
        revisions: merged.revised.iter().map(revision).collect(),
        disputed: dispute.collect(),
        put: merged.put,
        removed: merged.removed,
    }
}

/// Compares the energy of days; what is held ascends.
pub(super) fn energy(
    answer: &Answer,
    values: &[DayEnergy],
    held: &[Held<DayEnergy>],
    firm: &BTreeSet<i64>,
) -> Change<DayEnergy> {
    let mut change = Change::none();
    for value in values {
        match find(held, value.day, |value| value.day) {
            Some((old, _)) if old.wh == value.wh => continue,
            Some((old, from)) if firm.contains(from) => {
                change.disputed.push(Revision::of_day(value.day, value.wh, old.wh, answer.source.0));
                continue;
            }
            Some((old, from)) => {
                change.changed += 1;
                change.revisions.push(Revision::of_day(value.day, old.wh, value.wh, *from));
            }
            None => change.inserted += 1,
        }
        change.put.push(*value);
    }
    let days = held.iter().map(|(value, _)| value.day).chain(change.put.iter().map(|value| value.day));
    change.seen = one_a_day(answer.covered, days);
    change
}

/// Compares the peaks of days; what is held ascends.
pub(super) fn peaks(
    answer: &Answer,
    values: &[PeakPower],
    held: &[Held<PeakPower>],
    firm: &BTreeSet<i64>,
) -> Change<PeakPower> {
    let mut change = Change::none();
    for value in values {
        match find(held, value.day, |value| value.day) {
            // The same value without its instant says less than we know.
            Some((old, _)) if old.va == value.va && (old == value || value.local_seconds.is_none()) => continue,
            Some((old, from)) if (old.va != value.va || old.local_seconds.is_some()) && firm.contains(from) => {
                change.disputed.push(Revision {
                    old_local_seconds: value.local_seconds,
                    ..Revision::of_day(value.day, value.va, old.va, answer.source.0)
                });
                continue;
            }
            // An instant that was not known before replaces nothing.
            Some((old, _)) if old.va == value.va && old.local_seconds.is_none() => {}
            Some((old, from)) => {
                change.changed += 1;
                change.revisions.push(Revision {
                    old_local_seconds: old.local_seconds,
                    ..Revision::of_day(value.day, old.va, value.va, *from)
                });
            }
            None => change.inserted += 1,
        }
        change.put.push(*value);
    }
    let days = held.iter().map(|(value, _)| value.day).chain(change.put.iter().map(|value| value.day));
    change.seen = one_a_day(answer.covered, days);
    change
}

impl<T> Change<T> {
    fn none() -> Self {
        Self {
            put: Vec::new(),
            removed: Vec::new(),
            inserted: 0,
            changed: 0,
            seen: Vec::new(),
            revisions: Vec::new(),
            disputed: Vec::new(),
        }
    }
}

/// The records of the days covered, and those of them that differ from before; `before` ascends.
pub(super) fn records(answer: &Answer, before: &[(Day, DayRecord)], seen: &[DayObservation]) -> (Records, Records) {
    let asked = Asked {
        at: answer.asked_at,
        window_first: answer.window_first,
        certain: !answer.values.is_empty() || answer.covered.len() == 1,
        exact: answer.exact,
        same_day: answer.same_day,
    };
    let known = |day: Day| before.binary_search_by_key(&day, |(d, _)| *d).ok().and_then(|i| before.get(i)).map(|b| b.1);
    let mut days = Vec::with_capacity(seen.len());
    let mut changed = Vec::new();
    for (day, seen) in answer.covered.iter().zip(seen) {
        let old = known(day);
        let new = old.unwrap_or_else(DayRecord::missing).after(day, *seen, asked);
        days.push((day, new));
        if old != Some(new) {
            changed.push((day, new));
        }
    }
    (days, changed)
}

/// The same where nothing was asked, and only what is stored is counted anew.
pub(super) fn recounted(answer: &Answer, before: &[(Day, DayRecord)], seen: &[DayObservation]) -> (Records, Records) {
    let known = |day: Day| before.binary_search_by_key(&day, |(d, _)| *d).ok().and_then(|i| before.get(i)).map(|b| b.1);
    let days: Records = answer
        .covered
        .iter()
        .zip(seen)
        // A day that nobody asked for and of which nothing is stored needs no record.
        .filter(|(day, seen)| seen.stored > 0 || known(*day).is_some())
        .map(|(day, seen)| (day, known(day).unwrap_or_else(DayRecord::missing).recounted(*seen)))
        .collect();
    let changed = days.iter().filter(|(day, new)| known(*day) != Some(*new)).copied().collect();
    (days, changed)
}

/// Start (epoch) and minutes of the newest interval of an answer, where it has intervals.
pub(super) fn newest(answer: &Answer) -> Option<(i64, i64)> {
    match &answer.values {
        Values::Curve(points) => points.last().map(|p| (p.interval.start, i64::from(p.interval.step.minutes()))),
        Values::Energy(_) | Values::Peaks(_) | Values::Registers(_) => None,
    }
}

fn find<T>(held: &[Held<T>], day: Day, day_of: impl Fn(&T) -> Day) -> Option<&Held<T>> {
    held.binary_search_by_key(&day, |(value, _)| day_of(value)).ok().and_then(|at| held.get(at))
}

/// What is seen of each day of a series that has one value a day.
fn one_a_day(covered: Days, with_value: impl Iterator<Item = Day>) -> Vec<DayObservation> {
    let with_value: BTreeSet<Day> = with_value.collect();
    covered
        .iter()
        .map(|day| {
            let whole = with_value.contains(&day);
            DayObservation { stored: i32::from(whole), expected: Some(1), whole }
        })
        .collect()
}
