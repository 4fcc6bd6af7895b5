//! Reads kept answers again with today's decoder, and says what a series looks like by them.
//!
//! Answers overlap: a day is asked for several times, and of different values the one that came last holds, those of
//! Enedis itself before those of gateways. So all answers of a series are laid over each other in the order in which
//! they came before anything is stored; else each older answer would revise the newer ones. What is stored and in no
//! kept answer stays as it is, and so do days of which a newer answer was not kept or cannot be read: what an older
//! one says of them may have been corrected since.
//!
//! With one exception: where every answer that was ever given about a day and its neighbours was kept and is
//! understood wholly, what is stored of that day from the sources of these answers can only come from them. What they
//! do not hold was made by a decoder that was wrong ([`crate::store::Spoilt`]), and gives way to what they hold.

mod mend;

use std::collections::{BTreeMap, BTreeSet};

use crate::decode::{self, AnomalyKind, Expected};
use crate::domain::dispute::give_way;
use crate::domain::merge::merge;
use crate::domain::registers::{Counts, RegisterReading};
use crate::domain::{CurvePoint, Day, DayEnergy, Days, Kind, PeakPower, Values, paris};
use crate::store::{CallId, KeptAnswer, NotKept, SourceId};

pub use mend::{Mended, differences, restore, spoilt};

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
    /// The days of which, and of whose neighbours, every answer was kept and understood, with the sources of these.
    vouched: BTreeMap<Day, BTreeSet<SourceId>>,
    /// The sources that are Enedis itself.
    direct: BTreeSet<SourceId>,
}

/// Reads the answers of one series again; only values of days within `only` count.
#[must_use]
pub fn replay(kind: Kind, kept: &[KeptAnswer], not_kept: &[NotKept], only: Option<Days>) -> Replayed {
    let direct = kept.iter().filter(|answer| answer.direct).map(|answer| answer.source).collect();
    let mut replayed = Replayed { direct, ..Replayed::default() };
    let mut layers = Layers::default();
    let mut in_order: Vec<&KeptAnswer> = kept.iter().collect();
    in_order.sort_by_key(|answer| answer.call);
    // Of each answer, in the order in which one holds before another: the days that it tells of, or that are lost
    // with it.
    let mut told: Vec<_> = not_kept.iter().map(|lost| ((lost.direct, lost.call), Err(lost.days))).collect();
    let mut doubtful: BTreeSet<Day> = not_kept.iter().flat_map(|lost| around(lost.days)).collect();
    for answer in in_order {
        let order = (answer.direct, answer.call);
        match read(answer) {
            Ok((values, wholly)) => {
                replayed.answers += 1;
                if wholly {
                    for day in around(answer.days) {
                        replayed.vouched.entry(day).or_default().insert(answer.source);
                    }
                } else {
                    doubtful.extend(around(answer.days));
                }
                told.push((order, Ok(days_of(&values))));
                layers.put(values, answer.source, &replayed.direct);
            }
            Err(why) => {
                doubtful.extend(around(answer.days));
                // Of what could not be read when it came either, nothing was stored that an older answer lacks.
                if answer.was_read {
                    told.push((order, Err(answer.days)));
                }
                replayed.unreadable.push(Unreadable { call: answer.call, days: answer.days, why });
            }
        }
    }
    told.sort_by_key(|(order, _)| *order);
    // Days of which the newest answer is not known.
    let mut lost = BTreeSet::new();
    for (_, days) in told {
        match days {
            Ok(days) => lost.retain(|day| !days.contains(day)),
            Err(days) => lost.extend(days.iter()),
        }
    }
    replayed.vouched.retain(|day, _| !doubtful.contains(day) && only.is_none_or(|only| only.contains(*day)));
    replayed.pieces = layers.pieces(kind, only, &mut lost);
    replayed.left_alone = lost.len();
    replayed
}

/// The days, the one before them and the one after: labels that are read wrongly end up there.
fn around(days: Days) -> impl Iterator<Item = Day> {
    Days::new(days.first().plus(-1), days.end().next()).unwrap_or(days).iter().collect::<Vec<_>>().into_iter()
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

/// The values of an answer, and whether everything in it was understood.
fn read(answer: &KeptAnswer) -> Result<(Values, bool), String> {
    let body = answer.raw.unpack().map_err(|_| "the kept body is damaged".to_owned())?;
    let expected = Expected {
        api: answer.raw.api,
        label: answer.raw.label,
        dataset: answer.dataset,
        prm: &answer.prm,
        days: answer.days,
    };
    let decoded = decode::decode(&body, &expected).map_err(|error| error.to_string())?;
    if decoded.values.is_empty() && !decoded.anomalies.is_empty() {
        let odd: Vec<String> = decoded.anomalies.iter().map(ToString::to_string).collect();
        return Err(format!("none of its values can be read ({})", odd.join(", ")));
    }
    let wholly = decoded.anomalies.iter().all(|odd| harmless(odd.kind));
    Ok((decoded.values, wholly))
}

/// Whether a reading of that kind is understood all the same, or belongs to other days.
fn harmless(odd: AnomalyKind) -> bool {
    use AnomalyKind::{DstAmbiguous, DuplicateConflict, NoDaily, Outside};
    matches!(odd, DstAmbiguous | DuplicateConflict | NoDaily | Outside)
}

/// What tells a reading of a register from others.
type Place = (i64, Counts, String);

fn place(reading: &RegisterReading) -> Place {
    (reading.read_at, reading.counts.clone(), reading.register.clone())
}

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
    /// Lays the values of an answer over those before it, by the rules by which answers are stored: what says the same
    /// keeps its source, and where a gateway disagrees with Enedis itself, Enedis' word stays.
    fn put(&mut self, values: Values, source: SourceId, direct: &BTreeSet<SourceId>) {
        let yields = |held: SourceId| direct.contains(&held) && !direct.contains(&source);
        match values {
            Values::Curve(points) => {
                let of_firm = |point: &&CurvePoint| {
                    self.curve_sources.get(&point.interval.start).is_some_and(|held| yields(*held))
                };
                let firm: Vec<CurvePoint> = self.curve.iter().filter(of_firm).copied().collect();
                let merged = merge(&self.curve, &give_way(&firm, &points).0);
                for start in &merged.removed {
                    self.curve_sources.remove(start);
                }
                self.curve_sources.extend(merged.put.iter().map(|point| (point.interval.start, source)));
                self.curve = merged.after;
            }
            Values::Energy(days) => {
                for value in days {
                    let one = self.energy.entry(value.day).or_insert((value, source));
                    if one.0 != value && !yields(one.1) {
                        *one = (value, source);
                    }
                }
            }
            Values::Peaks(days) => {
                for value in days {
                    let one = self.peaks.entry(value.day).or_insert((value, source));
                    let held = one.0;
                    // The same value without its instant says less.
                    let same = held.va == value.va && (held == value || value.local_seconds.is_none());
                    let adds = held.va == value.va && held.local_seconds.is_none();
                    if !same && (adds || !yields(one.1)) {
                        *one = (value, source);
                    }
                }
            }
            Values::Registers(readings) => {
                for mut reading in readings {
                    let one = self.registers.entry(place(&reading)).or_insert_with(|| (reading.clone(), source));
                    reading.daily |= one.0.daily;
                    if one.0 != reading {
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
