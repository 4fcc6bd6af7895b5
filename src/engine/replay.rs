//! Reads kept answers again with today's decoder, and says what a series looks like by them.
//!
//! Answers overlap: a day is asked for several times, and of different values the one that came last holds. So all
//! answers of a series are laid over each other in the order in which they came, those of Enedis itself over those of
//! gateways, before anything is stored; else each older answer would revise the newer ones. What is stored and in no
//! kept answer stays as it is, and so do days of which a newer answer was not kept or cannot be read: what an older
//! one says of them may have been corrected since.

use std::collections::{BTreeMap, BTreeSet};

use crate::decode::{self, Expected};
use crate::domain::merge::merge;
use crate::domain::registers::{Counts, RegisterReading};
use crate::domain::{CurvePoint, Day, DayEnergy, Days, Kind, PeakPower, SameDay, Values, paris};
use crate::store::{Answer, CallEnd, CallId, KeptAnswer, NotKept, SourceId, Store, StoreError};

/// Days of one transaction.
const AT_ONCE: i32 = 31;

/// An answer that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The call that brought it.
    pub call: CallId,
    /// The days that it was about.
    pub days: Days,
    /// Why.
    pub why: String,
}

/// Values of one source that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Whose.
    pub source: SourceId,
    /// The days that they lie in.
    pub days: Days,
    /// The values, ascending.
    pub values: Values,
}

/// What the kept answers of a series come to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Replayed {
    /// Answers that were read.
    pub answers: usize,
    /// Those that were not.
    pub unreadable: Vec<Unreadable>,
    /// The values, by source and time.
    pub pieces: Vec<Piece>,
    /// How many days stay as they are, because a newer answer about them was not kept or cannot be read.
    pub left_alone: usize,
}

/// Reads the answers of one series again; only values of days within `only` count.
#[must_use]
pub fn replay(kind: Kind, kept: &[KeptAnswer], not_kept: &[NotKept], only: Option<Days>) -> Replayed {
    let mut replayed = Replayed::default();
    let mut layers = Layers::default();
    let lost = not_kept.iter().map(|lost| ((lost.direct, lost.call), Err(lost.days)));
    let mut ordered: Vec<_> =
        kept.iter().map(|answer| ((answer.direct, answer.call), Ok(answer))).chain(lost).collect();
    ordered.sort_by_key(|(order, _)| *order);
    // Days of which the newest answer is not known.
    let mut lost = BTreeSet::new();
    for (_, answer) in ordered {
        let answer = match answer {
            Ok(answer) => answer,
            Err(days) => {
                lost.extend(days.iter());
                continue;
            }
        };
        match read(answer) {
            Ok(values) => {
                replayed.answers += 1;
                for day in days_of(&values) {
                    lost.remove(&day);
                }
                layers.put(values, answer.source);
            }
            Err(why) => {
                lost.extend(answer.days.iter());
                replayed.unreadable.push(Unreadable { call: answer.call, days: answer.days, why });
            }
        }
    }
    replayed.pieces = layers.pieces(kind, only, &mut lost);
    replayed.left_alone = lost.len();
    replayed
}

/// The days of which there are values.
fn days_of(values: &Values) -> BTreeSet<Day> {
    match values {
        Values::Curve(points) => points.iter().map(of_point).collect(),
        Values::Energy(days) => days.iter().map(|value| value.day).collect(),
        Values::Peaks(days) => days.iter().map(|value| value.day).collect(),
        Values::Registers(readings) => readings.iter().map(of_reading).collect(),
    }
}

fn of_point(point: &CurvePoint) -> Day {
    paris::day_of(point.interval.start)
}

/// The day that a reading opens.
fn of_reading(reading: &RegisterReading) -> Day {
    reading.opens().unwrap_or_else(|| paris::day_of(reading.read_at))
}

fn read(answer: &KeptAnswer) -> Result<Values, String> {
    let body = answer.raw.unpack().map_err(|_| "the kept body is damaged".to_owned())?;
    let expected = Expected {
        api: answer.raw.api,
        label: answer.raw.label,
        dataset: answer.dataset,
        prm: &answer.prm,
        days: answer.days,
    };
    decode::decode(&body, &expected).map(|decoded| decoded.values).map_err(|error| error.to_string())
}

/// What tells a reading of a register from others.
type Place = (i64, Counts, String);

/// The newest of each value, and whose it is.
#[derive(Debug, Default)]
struct Layers {
    curve: Vec<CurvePoint>,
    curve_sources: BTreeMap<i64, SourceId>,
    energy: BTreeMap<Day, (DayEnergy, SourceId)>,
    peaks: BTreeMap<Day, (PeakPower, SourceId)>,
    registers: BTreeMap<Place, (RegisterReading, SourceId)>,
}

impl Layers {
    /// Lays the values of an answer over those before it. What says the same keeps its source.
    fn put(&mut self, values: Values, source: SourceId) {
        match values {
            Values::Curve(points) => {
                let merged = merge(&self.curve, &points);
                for start in &merged.removed {
                    self.curve_sources.remove(start);
                }
                self.curve_sources.extend(merged.put.iter().map(|point| (point.interval.start, source)));
                self.curve = merged.after;
            }
            Values::Energy(days) => {
                for value in days {
                    let one = self.energy.entry(value.day).or_insert((value, source));
                    if one.0 != value {
                        *one = (value, source);
                    }
                }
            }
            Values::Peaks(days) => {
                for value in days {
                    let one = self.peaks.entry(value.day).or_insert((value, source));
                    // The same value without its instant says less.
                    if one.0 != value && !(one.0.va == value.va && value.local_seconds.is_none()) {
                        *one = (value, source);
                    }
                }
            }
            Values::Registers(readings) => {
                for reading in readings {
                    let place = (reading.read_at, reading.counts.clone(), reading.register.clone());
                    let one = self.registers.entry(place).or_insert_with(|| (reading.clone(), source));
                    if one.0.wh != reading.wh {
                        *one = (reading, source);
                    }
                }
            }
        }
    }

    /// The values, without those of days that are lost; of these only the days that there are values of stay.
    fn pieces(self, kind: Kind, only: Option<Days>, lost: &mut BTreeSet<Day>) -> Vec<Piece> {
        let mut left = BTreeSet::new();
        let mut counts = |day: Day| {
            let wanted = only.is_none_or(|only| only.contains(day));
            if wanted && lost.contains(&day) {
                left.insert(day);
            }
            wanted && !lost.contains(&day)
        };
        let pieces = match kind {
            Kind::LoadCurve => {
                let source = |point: &CurvePoint| self.curve_sources.get(&point.interval.start).copied();
                let points = self.curve.iter().filter_map(|point| Some((*point, source(point)?)));
                cut(points, &mut counts, of_point, Values::Curve)
            }
            Kind::DailyEnergy => cut(self.energy.into_values(), &mut counts, |value| value.day, Values::Energy),
            Kind::MaxPower => cut(self.peaks.into_values(), &mut counts, |value| value.day, Values::Peaks),
            Kind::Registers => cut(self.registers.into_values(), &mut counts, of_reading, Values::Registers),
        };
        *lost = left;
        pieces
    }
}

/// Cuts values, which ascend, into pieces of some days of one source each.
fn cut<T>(
    values: impl Iterator<Item = (T, SourceId)>,
    counts: &mut impl FnMut(Day) -> bool,
    day_of: impl Fn(&T) -> Day,
    wrap: impl Fn(Vec<T>) -> Values,
) -> Vec<Piece> {
    let mut by_source: BTreeMap<SourceId, Vec<(Day, Vec<T>)>> = BTreeMap::new();
    for (value, source) in values {
        let day = day_of(&value);
        if !counts(day) {
            continue;
        }
        let chunks = by_source.entry(source).or_default();
        match chunks.last_mut() {
            Some((first, chunk)) if day.since(*first) < AT_ONCE => chunk.push(value),
            _ => chunks.push((day, vec![value])),
        }
    }
    let mut pieces = Vec::new();
    for (source, chunks) in by_source {
        for (first, values) in chunks {
            let last = values.iter().map(&day_of).max().unwrap_or(first);
            let Some(days) = Days::new(first, last.next()) else { continue };
            pieces.push(Piece { source, days, values: wrap(values) });
        }
    }
    pieces
}

/// How many values that the answers hold lack in `stored`, and how many differ from it.
#[must_use]
pub fn differences(stored: &Values, pieces: &[Piece]) -> (u64, u64) {
    let (mut lacking, mut different) = (0, 0);
    let mut count = |old: Option<i64>, new: i64| match old {
        None => lacking += 1,
        Some(old) if old != new => different += 1,
        Some(_) => {}
    };
    match stored {
        Values::Curve(held) => {
            let mut points: Vec<CurvePoint> = Vec::new();
            for piece in pieces {
                if let Values::Curve(some) = &piece.values {
                    points.extend(some);
                }
            }
            points.sort_by_key(|point| point.interval.start);
            let merged = merge(held, &points);
            return (merged.inserted, merged.revised.len() as u64);
        }
        Values::Energy(held) => {
            let held: BTreeMap<Day, i64> = held.iter().map(|value| (value.day, value.wh)).collect();
            for piece in pieces {
                let Values::Energy(some) = &piece.values else { continue };
                for value in some {
                    count(held.get(&value.day).copied(), value.wh);
                }
            }
        }
        Values::Peaks(held) => {
            let held: BTreeMap<Day, i64> = held.iter().map(|value| (value.day, value.va)).collect();
            for piece in pieces {
                let Values::Peaks(some) = &piece.values else { continue };
                for value in some {
                    count(held.get(&value.day).copied(), value.va);
                }
            }
        }
        Values::Registers(held) => {
            let place = |reading: &RegisterReading| (reading.read_at, reading.counts.clone(), reading.register.clone());
            let held: BTreeMap<Place, i64> = held.iter().map(|reading| (place(reading), reading.wh)).collect();
            for piece in pieces {
                let Values::Registers(some) = &piece.values else { continue };
                for reading in some {
                    count(held.get(&place(reading)).copied(), reading.wh);
                }
            }
        }
    }
    (lacking, different)
}

/// Stores what the kept answers of a series come to, at `now` (calendar); how many values lacked, and how many differed.
pub async fn restore(
    store: &dyn Store,
    kept: &[KeptAnswer],
    pieces: Vec<Piece>,
    now: i64,
) -> Result<(u64, u64), StoreError> {
    let Some(one) = kept.first() else { return Ok((0, 0)) };
    let (mut inserted, mut changed) = (0, 0);
    for piece in pieces {
        let direct = kept.iter().any(|answer| answer.source == piece.source && answer.direct);
        let again = Answer {
            end: CallEnd { call: CallId(0), lease: None, status: None, code: None, duration_ms: 0 },
            meter: one.meter,
            dataset: one.dataset,
            source: piece.source,
            direct,
            covered: piece.days,
            exact: false,
            same_day: SameDay::Often,
            values: piece.values,
            asked_at: now,
            window_first: piece.days.first(),
            effects: Vec::new(),
            raw: None,
        };
        let committed = store.restore(again).await?;
        inserted += committed.inserted;
        changed += committed.changed;
    }
    Ok((inserted, changed))
}
