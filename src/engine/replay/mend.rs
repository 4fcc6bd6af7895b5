//! Sets what is stored of a series against what its kept answers come to, and mends it.

use std::collections::BTreeMap;

use super::{AT_ONCE, Piece, Place, Replayed, of_point, of_reading, place};
use crate::domain::merge::merge;
use crate::domain::registers::RegisterReading;
use crate::domain::{CurvePoint, Day, Days, Kind, SameDay, Values, paris};
use crate::store::{Answer, CallEnd, CallId, HeldValues, KeptAnswer, SourceId, Spoilt, Store, StoreError};

/// How much was mended, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mended {
    /// Values of the answers that were not stored.
    pub lacked: u64,
    /// Values that were stored otherwise.
    pub differed: u64,
    /// Stored values that are in no answer: a wrong decoder made them.
    pub surplus: u64,
}

impl Mended {
    /// Whether everything was as the answers say.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// A value that the answers hold, and whose.
struct Held {
    value: i64,
    source: SourceId,
}

/// What the answers hold, by what tells one value from others: the start, and of a register which one it is. Intervals
/// of another length are others.
struct Holdings {
    values: BTreeMap<Key, Held>,
    curve: Vec<CurvePoint>,
}

/// Start, minutes (of intervals alone), and which register.
type Key = (i64, i64, Option<Place>);

fn of_interval(point: &CurvePoint) -> Key {
    (point.interval.start, i64::from(point.interval.step.minutes()), None)
}

fn of_day(day: Day) -> Key {
    (paris::start_of(day), 0, None)
}

fn of_register(reading: &RegisterReading) -> Key {
    (reading.read_at, 0, Some(place(reading)))
}

impl Holdings {
    fn of(pieces: &[Piece]) -> Self {
        let (mut values, mut curve) = (BTreeMap::new(), Vec::new());
        for Piece { source, values: some, .. } in pieces {
            if let Values::Curve(points) = some {
                curve.extend(points);
            }
            values.extend(rows(some).into_iter().map(|row| (row.key, Held { value: row.value, source: *source })));
        }
        curve.sort_by_key(|point: &CurvePoint| point.interval.start);
        Self { values, curve }
    }

    /// What holds at the instant at which a stored value begins.
    fn at(&self, row: &Row) -> Option<i64> {
        if let Some(held) = self.values.get(&row.key) {
            return Some(held.value);
        }
        let from = self.curve.partition_point(|point| point.interval.end() <= row.start);
        self.curve.get(from).filter(|point| point.interval.start <= row.start).map(|point| point.watts)
    }
}

/// A stored value, whatever it is of.
struct Row {
    key: Key,
    day: Day,
    start: i64,
    minutes: i64,
    value: i64,
    local_seconds: Option<i32>,
    register: Option<RegisterReading>,
}

fn rows(values: &Values) -> Vec<Row> {
    let daily = |day: Day, value: i64, local_seconds: Option<i32>| Row {
        key: of_day(day),
        day,
        start: paris::start_of(day),
        minutes: paris::minutes_in(day),
        value,
        local_seconds,
        register: None,
    };
    match values {
        Values::Curve(points) => points
            .iter()
            .map(|point| Row {
                key: of_interval(point),
                day: of_point(point),
                start: point.interval.start,
                minutes: i64::from(point.interval.step.minutes()),
                value: point.watts,
                local_seconds: None,
                register: None,
            })
            .collect(),
        Values::Energy(days) => days.iter().map(|value| daily(value.day, value.wh, None)).collect(),
        Values::Peaks(days) => days.iter().map(|value| daily(value.day, value.va, value.local_seconds)).collect(),
        Values::Registers(readings) => readings
            .iter()
            .map(|reading| Row {
                key: of_register(reading),
                day: of_reading(reading),
                start: reading.read_at,
                minutes: 0,
                value: reading.wh,
                local_seconds: None,
                register: Some(reading.clone()),
            })
            .collect(),
    }
}

/// The stored values that can only come from a decoder that was wrong: ones of days of which every answer is known and
/// that none of them holds, and ones of Enedis itself where only a gateway's answer holds, which would give way to them.
#[must_use]
pub fn spoilt(held: &HeldValues, replayed: &Replayed) -> Vec<Spoilt> {
    let holdings = Holdings::of(&replayed.pieces);
    let mut spoilt = Vec::new();
    for (row, source) in rows(&held.values).into_iter().zip(&held.sources) {
        if !replayed.vouched.get(&row.day).is_some_and(|sources| sources.contains(source)) {
            continue;
        }
        let wrong = match holdings.values.get(&row.key) {
            None => true,
            Some(right) => {
                right.value != row.value && replayed.direct.contains(source) && !replayed.direct.contains(&right.source)
            }
        };
        if wrong {
            let now = holdings.at(&row);
            let Row { day, start, minutes, value, local_seconds, register, .. } = row;
            spoilt.push(Spoilt { day, start, minutes, value, local_seconds, register, source: *source, now });
        }
    }
    spoilt
}

/// How many of the spoilt values have their right one at the very same place.
fn replaced(spoilt: &[Spoilt], pieces: &[Piece]) -> u64 {
    let holdings = Holdings::of(pieces);
    spoilt.iter().filter(|one| holdings.values.contains_key(&key_of(one))).count() as u64
}

fn key_of(spoilt: &Spoilt) -> Key {
    match &spoilt.register {
        Some(reading) => of_register(reading),
        // A day's values have no length in their key.
        None if spoilt.minutes > LONGEST => (spoilt.start, 0, None),
        None => (spoilt.start, spoilt.minutes, None),
    }
}

/// No interval of a curve is longer (in minutes); every day is.
const LONGEST: i64 = 60;

/// What mending would come to, of what is stored.
#[must_use]
pub fn differences(held: &HeldValues, replayed: &Replayed) -> Mended {
    let spoilt = spoilt(held, replayed);
    let gone: BTreeMap<Key, i64> = spoilt.iter().map(|one| (key_of(one), one.value)).collect();
    let holdings = Holdings::of(&replayed.pieces);
    let (mut lacked, mut differed) = (0, 0);
    if let Values::Curve(points) = &held.values {
        let stay: Vec<CurvePoint> =
            points.iter().filter(|point| !gone.contains_key(&of_interval(point))).copied().collect();
        let merged = merge(&stay, &holdings.curve);
        (lacked, differed) = (merged.inserted, merged.revised.len() as u64);
    } else {
        let stored: BTreeMap<Key, i64> = rows(&held.values).into_iter().map(|row| (row.key, row.value)).collect();
        for (key, right) in &holdings.values {
            match stored.get(key).filter(|_| !gone.contains_key(key)) {
                None => lacked += 1,
                Some(value) if *value != right.value => differed += 1,
                Some(_) => {}
            }
        }
    }
    Mended { lacked, differed, surplus: 0 }.with(&spoilt, &replayed.pieces)
}

impl Mended {
    /// Counts what was taken out first: where its place is filled again, a value differed and did not lack.
    fn with(self, spoilt: &[Spoilt], pieces: &[Piece]) -> Self {
        let replaced = replaced(spoilt, pieces);
        Self {
            lacked: self.lacked.saturating_sub(replaced),
            differed: self.differed + replaced,
            surplus: spoilt.len() as u64 - replaced,
        }
    }
}

/// Spoilt values and the piece that is stored in the same transaction.
struct Step {
    spoilt: Vec<Spoilt>,
    piece: Piece,
}

/// Puts each spoilt value to the first piece about its days, so that it is gone before anything fills its place, and
/// where one source is all there is nobody ever sees neither. What has no such piece goes by itself, before all others.
fn steps(kind: Kind, spoilt: Vec<Spoilt>, pieces: Vec<Piece>) -> Vec<Step> {
    let mut alone: Vec<Step> = Vec::new();
    let mut steps: Vec<Step> = pieces.into_iter().map(|piece| Step { spoilt: Vec::new(), piece }).collect();
    for one in spoilt {
        let near = |step: &&mut Step| {
            let Piece { days, .. } = step.piece;
            days.first() <= one.day.next() && one.day <= days.end()
        };
        if let Some(step) = steps.iter_mut().find(near) {
            step.spoilt.push(one);
            continue;
        }
        match alone.last_mut() {
            Some(step) if step.piece.source == one.source && one.day.since(step.piece.days.first()) < AT_ONCE => {
                step.piece.days = reaching(step.piece.days, &one);
                step.spoilt.push(one);
            }
            _ => {
                let Some(days) = Days::new(one.day, one.day.next()) else { continue };
                let piece = Piece { source: one.source, days, values: Values::none(kind) };
                alone.push(Step { spoilt: vec![one], piece });
            }
        }
    }
    alone.extend(steps);
    alone
}

/// The days with that of a spoilt value.
fn reaching(days: Days, spoilt: &Spoilt) -> Days {
    Days::new(days.first().min(spoilt.day), days.end().max(spoilt.day.next())).unwrap_or(days)
}

/// Stores what the kept answers of a series come to, at `now` (calendar), and takes out what is spoilt.
pub async fn restore(
    store: &dyn Store,
    kept: &[KeptAnswer],
    replayed: &Replayed,
    now: i64,
) -> Result<Mended, StoreError> {
    let Some(one) = kept.first() else { return Ok(Mended::default()) };
    let held = store.held_values(one.meter, one.dataset).await?;
    let spoilt = spoilt(&held, replayed);
    let taken = spoilt.clone();
    let mut mended = Mended::default();
    for Step { spoilt, piece } in steps(one.dataset.kind(), spoilt, replayed.pieces.clone()) {
        let direct = replayed.direct.contains(&piece.source);
        let covered = spoilt.iter().fold(piece.days, reaching);
        let again = Answer {
            end: CallEnd { call: CallId(0), lease: None, status: None, code: None, duration_ms: 0 },
            meter: one.meter,
            dataset: one.dataset,
            source: piece.source,
            direct,
            covered,
            exact: false,
            same_day: SameDay::Often,
            values: piece.values,
            asked_at: now,
            window_first: piece.days.first(),
            effects: Vec::new(),
            raw: None,
        };
        let committed = store.restore(again, spoilt).await?;
        mended.lacked += committed.inserted;
        mended.differed += committed.changed;
    }
    Ok(mended.with(&taken, &replayed.pieces))
}
