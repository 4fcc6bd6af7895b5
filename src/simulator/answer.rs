//! An answer before it becomes bytes: labelled points, the same for both APIs.
//!
//! Here the instants of the truth become what Enedis shows, Paris wall time of the end of each
//! interval, without an offset. The days of a clock change can be labelled in several ways,
//! because nobody has seen yet which one Enedis uses. Faults that concern single points work on
//! this form too.

use chrono::NaiveDateTime;
use serde_json::Value;

use super::published::AsOf;
use super::rules::{Ask, Dst};
use super::world::World;
use crate::domain::dataset::Kind;
use crate::domain::{Dataset, Day, Direction, Prm, paris};

/// When a point is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Label {
    Day(Day),
    Moment(NaiveDateTime),
}

impl Label {
    pub(super) fn text(self) -> String {
        match self {
            Self::Day(day) => day.to_string(),
            Self::Moment(moment) => moment.format("%Y-%m-%d %H:%M:%S").to_string(),
        }
    }
}

/// One point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Point {
    /// The day that it belongs to.
    pub(super) day: Day,
    pub(super) label: Label,
    /// Text, as a rule.
    pub(super) value: Value,
    /// Length of the interval, for curves.
    pub(super) length: Option<String>,
}

/// Everything that an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) prm: Prm,
    pub(super) dataset: Dataset,
    /// The direction that it claims.
    pub(super) direction: Direction,
    pub(super) start: Day,
    pub(super) end: Day,
    pub(super) monthly: bool,
    pub(super) points: Vec<Point>,
}

fn digits(value: i64) -> Value {
    Value::String(value.to_string())
}

/// The honest answer to a request.
pub(super) fn answer(world: &World, ask: &Ask, as_of: AsOf) -> Answer {
    let direction = ask.dataset.direction();
    let points = match ask.dataset.kind() {
        Kind::LoadCurve => {
            let values = world.curve(&ask.prm, direction, ask.days, as_of);
            label(&values, world.rules.dst)
        }
        Kind::DailyEnergy => world
            .daily(&ask.prm, direction, ask.days, as_of)
            .into_iter()
            .map(|(day, wh)| Point { day, label: Label::Day(day), value: digits(wh), length: None })
            .collect(),
        Kind::MaxPower => peaks(world, ask, as_of),
        // Their answers have a form of their own (`registers::body`).
        Kind::Registers => Vec::new(),
    };
    let (start, end) = (ask.days.first(), ask.days.end());
    Answer { prm: ask.prm.clone(), dataset: ask.dataset, direction, start, end, monthly: ask.monthly, points }
}

fn peaks(world: &World, ask: &Ask, as_of: AsOf) -> Vec<Point> {
    let mut peaks = world.peaks(&ask.prm, ask.days, as_of);
    if ask.monthly {
        peaks = peaks.into_iter().fold(Vec::new(), |mut months: Vec<(Day, i64, i64)>, peak| {
            match months.last_mut() {
                Some(last) if last.0.first_of_month() == peak.0.first_of_month() => {
                    if peak.1 > last.1 {
                        *last = peak;
                    }
                }
                _ => months.push(peak),
            }
            months
        });
    }
    peaks
        .into_iter()
        .map(|(day, va, at)| Point { day, label: Label::Moment(paris::local(at)), value: digits(va), length: None })
        .collect()
}

/// Labels a curve's intervals.
fn label(values: &[(i64, i64, i64)], dst: Dst) -> Vec<Point> {
    let mut points: Vec<Point> = Vec::with_capacity(values.len() + 2);
    for (start, minutes, watts) in values {
        let end = start + minutes * 60;
        let moment = paris::local(end);
        let day = paris::day_of(*start);
        let length = Some(format!("PT{minutes}M"));
        let point = |moment: NaiveDateTime, value: Value| Point {
            day,
            label: Label::Moment(moment),
            value,
            length: length.clone(),
        };
        let second = matches!(paris::candidates(moment), paris::Candidates::Two(_, second) if second == end);
        match dst {
            Dst::Merged48 if second => continue,
            Dst::MergedSum if second => {
                let first = points.iter_mut().rev().find(|earlier| earlier.label == Label::Moment(moment));
                if let Some(first) = first {
                    let sum =
                        first.value.as_str().and_then(|text| text.parse::<i64>().ok()).unwrap_or_default() + watts;
                    first.value = digits(sum);
                    continue;
                }
            }
            Dst::SpringNull | Dst::SpringZero if paris::offset_hours(end) > paris::offset_hours(end - 1) => {
                let filler = if dst == Dst::SpringNull { Value::Null } else { digits(0) };
                let skipped = (0..60 / minutes).rev().map(|back| {
                    let wall = moment - chrono::TimeDelta::minutes((back + 1) * minutes);
                    point(wall, filler.clone())
                });
                points.extend(skipped);
            }
            _ => {}
        }
        points.push(point(moment, digits(*watts)));
    }
    if dst == Dst::Descending {
        points.reverse();
    }
    points
}
