//! Readings of a load curve: labels become intervals in UTC.
//!
//! A label is Paris wall time without an offset, so it says when only together with its
//! neighbours: on two days a year the order of the answer or the regular step decides. Hence the
//! stages here. Labels are read and those without hope sorted out; the points are put in order;
//! each gets an instant ([`super::autumn`] settles the hour that comes twice); lengths that were
//! left out are inferred; only then do intervals exist, and copies and overlaps go.
//!
//! All that follows knows one kind of label, the end. A gateway that labels with the start takes the
//! length off the end as it stands on the wall, whatever the clocks did in between: on the two days
//! of a clock change its labels name times that never were, or the wrong one of two. Adding the
//! length again in the same way brings back the label that Enedis sent, and nothing is lost. A point
//! without a length was left as it was.
//!
//! A point without a value stays until its neighbours are placed, because it still shows which of
//! two equal labels came first.

use crate::domain::paris::{self, Candidates, WallClock};
use crate::domain::{CurvePoint, Day, Days, Interval, Step};
use crate::source::Label;

use super::stamp::{Stamp, Stamps};
use super::{AnomalyKind, Reading, Tally, autumn};

/// A labelled point on its way to an interval.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    /// The label as seconds on the wall clock, counted from 1970 as if it had no zone.
    pub(super) wall: i64,
    /// The instants that the label can mean.
    pub(super) when: Candidates,
    /// Whether the label lies in an autumn hour that comes twice, also where an offset settles it.
    pub(super) repeated: bool,
    /// The value, where there is one.
    pub(super) watts: Option<i64>,
    /// The length, where the point gives one.
    pub(super) step: Option<Step>,
    /// Its place in the answer.
    order: usize,
}

impl Point {
    /// What points are ordered by: within an hour that comes twice, nothing.
    fn place(&self) -> i64 {
        if self.repeated { self.wall - self.wall.rem_euclid(3600) } else { self.wall }
    }

    /// The day it is labelled with.
    pub(super) fn day(&self) -> Day {
        Day::from_number(i32::try_from(self.wall.div_euclid(86_400)).unwrap_or_default())
    }

    /// The interval that it names if its label, its end, means `instant`.
    pub(super) fn interval(&self, instant: i64) -> Option<Interval> {
        let step = self.step?;
        Some(Interval { start: instant - step.seconds(), step })
    }

    /// Whether the label is a multiple of the step from midnight.
    fn on_grid(&self, step: Step) -> bool {
        self.wall.rem_euclid(step.seconds()) == 0
    }
}

/// The intervals of a load curve that begin within `days`, ascending, without overlaps.
pub(super) fn curve<'a>(
    readings: impl Iterator<Item = Reading<'a>>,
    label: Label,
    days: Days,
    tally: &mut Tally,
) -> Vec<CurvePoint> {
    let mut points = read(readings, label, days, tally);
    let trusted = order(&mut points);
    autumn::settle(&mut points, trusted, tally);
    if points.iter().any(|p| p.watts.is_some() && p.step.is_none()) {
        infer_steps(&mut points, days, tally);
    }
    let skipped: Vec<Point> = points.iter().filter(|p| matches!(p.when, Candidates::None)).copied().collect();
    let mut curve = intervals(&points, days, tally);
    for point in skipped {
        insert_skipped(&mut curve, &point, days, tally);
    }
    curve
}

/// Reads the labels, lengths and values; keeps the points that can lie within `days`.
fn read<'a>(readings: impl Iterator<Item = Reading<'a>>, label: Label, days: Days, tally: &mut Tally) -> Vec<Point> {
    let mut stamps = Stamps::default();
    // The label of the last interval may be the midnight at which the days end.
    let mut clocks = Clocks { first: days.first(), all: vec![None; usize::try_from(days.len()).unwrap_or(0) + 1] };
    let mut points = Vec::with_capacity(readings.size_hint().0);
    for (order, reading) in readings.enumerate() {
        let stamp = reading.stamp.text().and_then(|text| stamps.read(text));
        let watts = tally.value(&reading, stamp.map(|s| s.day));
        let mut drop = |kind| {
            if watts.is_some() {
                tally.odd.add(kind, stamp.map(|s| s.day));
            }
        };
        let Some((stamp, seconds)) = stamp.and_then(|s| s.seconds.map(|seconds| (s, seconds))) else {
            drop(AnomalyKind::BadStamp);
            continue;
        };
        let step = reading.step.text().filter(|text| !text.is_empty()).map(Step::from_iso);
        let unknown = matches!(step, Some(None)) || (step.is_none() && !reading.step.is_missing());
        let (stamp, seconds) = match (label, step.flatten()) {
            (Label::Start, Some(step)) => end_of(stamp, seconds, step),
            _ => (stamp, seconds),
        };
        let Some(point) = clocks.point(stamp, seconds) else {
            drop(AnomalyKind::Outside);
            continue;
        };
        let point = Point { watts, step: step.flatten(), order, ..point };
        if seconds % 60 != 0 || point.step.is_some_and(|step| !point.on_grid(step)) {
            drop(AnomalyKind::OffGrid);
        } else if unknown {
            drop(AnomalyKind::StepUnknown);
            points.push(Point { watts: None, ..point });
        } else {
            points.push(point);
        }
    }
    points
}

/// The label of the end of an interval, from that of its start: both on the wall clock, as if it had
/// never been changed.
fn end_of(start: Stamp, seconds: i32, step: Step) -> (Stamp, i32) {
    let seconds = seconds + i32::from(step.minutes()) * 60;
    let (day, seconds) = if seconds < 86_400 { (start.day, seconds) } else { (start.day.next(), seconds - 86_400) };
    let instant = start.instant.map(|instant| instant + step.seconds());
    (Stamp { day, seconds: Some(seconds), instant }, seconds)
}

/// The clocks of the days asked for and of the one after, each looked up once.
struct Clocks {
    first: Day,
    all: Vec<Option<WallClock>>,
}

impl Clocks {
    /// The point of a label; `None` where its day was not asked for.
    fn point(&mut self, stamp: Stamp, seconds: i32) -> Option<Point> {
        let index = usize::try_from(stamp.day.since(self.first)).ok()?;
        let clock = *self.all.get_mut(index)?.get_or_insert_with(|| WallClock::of(stamp.day));
        let when = clock.candidates(seconds);
        Some(Point {
            wall: i64::from(stamp.day.number()) * 86_400 + i64::from(seconds),
            when: stamp.instant.map_or(when, Candidates::One),
            repeated: matches!(when, Candidates::Two(..)),
            watts: None,
            step: None,
            order: 0,
        })
    }
}

/// Puts the points in the order of their labels. Whether the answer's own order can be trusted
/// to tell equal labels apart: it was ascending, or descending throughout.
fn order(points: &mut [Point]) -> bool {
    if points.is_sorted_by_key(Point::place) {
        return true;
    }
    if points.is_sorted_by_key(|p| std::cmp::Reverse(p.place())) {
        points.reverse();
        return true;
    }
    points.sort_by_key(Point::place);
    false
}

/// Gives a length to points without one where the labels on both sides are equally far away.
///
/// One side alone proves nothing: across a hole the gap is as long as the hole. The label of the
/// midnight that bounds the days stands in for a neighbour that was not asked for; at the other
/// end of the answer the gap before the neighbour does.
fn infer_steps(points: &mut [Point], days: Days, tally: &mut Tally) {
    let mut labels: Vec<i64> = points.iter().filter_map(instant).collect();
    labels.push(paris::start_of(days.first()));
    labels.sort_unstable();
    labels.dedup();
    for point in points.iter_mut().filter(|p| p.watts.is_some() && p.step.is_none()) {
        let step = instant(point).and_then(|at| inferred(&labels, at)).and_then(|s| Step::from_minutes(s / 60));
        if step.is_none() && instant(point).is_some() {
            tally.odd.add(AnomalyKind::StepUnknown, Some(point.day()));
            point.watts = None;
        } else if step.is_some_and(|step| !point.on_grid(step)) {
            tally.odd.add(AnomalyKind::OffGrid, Some(point.day()));
            point.watts = None;
        }
        point.step = step;
    }
}

/// The gap on both sides of a label, where it is the same.
fn inferred(labels: &[i64], at: i64) -> Option<i64> {
    let index = labels.binary_search(&at).ok()?;
    let gap = |from: usize| Some(labels.get(from.checked_add(1)?)? - labels.get(from)?);
    let before = index.checked_sub(1).and_then(gap);
    let after = gap(index);
    let (before, after) = match (before, after) {
        (Some(before), Some(after)) => (before, after),
        (Some(before), None) => (before, index.checked_sub(2).and_then(gap)?),
        (None, Some(after)) => (gap(index + 1)?, after),
        (None, None) => return None,
    };
    (before == after).then_some(before)
}

/// The instant of a settled point; `None` for a wall time that the clocks skipped.
fn instant(point: &Point) -> Option<i64> {
    match point.when {
        Candidates::One(at) | Candidates::Two(at, _) => Some(at),
        Candidates::None => None,
    }
}

/// The intervals of the points that have an instant, a value and a length: within `days`,
/// ascending, each once, without overlaps.
fn intervals(points: &[Point], days: Days, tally: &mut Tally) -> Vec<CurvePoint> {
    let (from, to) = (paris::start_of(days.first()), paris::start_of(days.end()));
    let mut found: Vec<(CurvePoint, &Point)> = Vec::with_capacity(points.len());
    for point in points {
        let Some((watts, at)) = point.watts.zip(instant(point)) else { continue };
        let Some(interval) = point.interval(at) else { continue };
        if (from..to).contains(&interval.start) {
            found.push((CurvePoint { interval, watts }, point));
        } else {
            tally.odd.add(AnomalyKind::Outside, Some(point.day()));
        }
    }
    let key = |(found, point): &(CurvePoint, &Point)| (found.interval.start, point.order);
    if !found.is_sorted_by_key(key) {
        found.sort_by_key(key);
    }
    let mut curve: Vec<CurvePoint> = Vec::with_capacity(found.len());
    for (next, point) in found {
        match curve.last_mut() {
            Some(last) if last.interval == next.interval => {
                if last.watts != next.watts {
                    tally.odd.add(AnomalyKind::DuplicateConflict, Some(point.day()));
                    last.watts = next.watts;
                }
            }
            Some(last) if next.interval.start < last.interval.end() => {
                tally.odd.add(AnomalyKind::Overlap, Some(point.day()));
            }
            _ => curve.push(next),
        }
    }
    curve
}

/// Reads a wall time that the clocks skipped as if they had not been put forward, unless that
/// interval is there already. A filler without a value, or with 0, is dropped without a word.
fn insert_skipped(curve: &mut Vec<CurvePoint>, point: &Point, days: Days, tally: &mut Tally) {
    let Some(watts) = point.watts.filter(|w| *w > 0) else { return };
    tally.odd.add(AnomalyKind::DstNonexistent, Some(point.day()));
    let Some(interval) = point.interval(point.wall - 3600) else { return };
    let from = paris::start_of(days.first());
    let to = paris::start_of(days.end());
    let index = curve.partition_point(|p| p.interval.start < interval.start);
    let before = index.checked_sub(1).and_then(|i| curve.get(i)).is_none_or(|p| p.interval.end() <= interval.start);
    let after = curve.get(index).is_none_or(|p| interval.end() <= p.interval.start);
    if before && after && (from..to).contains(&interval.start) {
        curve.insert(index, CurvePoint { interval, watts });
    }
}
