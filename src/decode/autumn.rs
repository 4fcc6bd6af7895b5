//! The autumn hour that comes twice.
//!
//! In it a label without an offset means one of two instants, an hour apart. Three kinds of
//! evidence settle it, the strongest first. The order of the answer: where the labels go back
//! once, all before belong to the first pass and all after to the second. Twins: of two equal
//! labels the first is the earlier instant, however they are interleaved. The regular step: a
//! label that came alone belongs where it continues its neighbours. Where both places do that
//! equally well, the earlier one is taken and the doubt goes on record.

use crate::domain::paris::Candidates;

use super::points::Point;
use super::{AnomalyKind, Tally};

/// Leaves each point of an hour that comes twice with one instant. The points are in the order of
/// their labels, those of such an hour in the order of the answer.
pub(super) fn settle(points: &mut [Point], trusted: bool, tally: &mut Tally) {
    let mut from = 0;
    while let Some(skip) = points.get(from..).and_then(|rest| rest.iter().position(|p| p.repeated)) {
        let start = from + skip;
        let (before, rest) = points.split_at_mut(start);
        // The hours of two autumns are far apart, and only repeated points lie within one.
        let day = rest.first().map(Point::day);
        let length = rest.iter().take_while(|p| p.repeated && Some(p.day()) == day).count();
        let (hour, after) = rest.split_at_mut(length);
        let edges = Edges::new(before.last(), after.first());
        settle_hour(hour, trusted, edges, tally);
        from = start + length;
    }
}

/// Ends and starts of the intervals around a label, and the instants that are taken.
#[derive(Default)]
struct Edges {
    ends: Vec<i64>,
    starts: Vec<i64>,
    taken: Vec<i64>,
}

impl Edges {
    fn new(before: Option<&Point>, after: Option<&Point>) -> Self {
        let mut edges = Self::default();
        for point in before.into_iter().chain(after) {
            edges.add(point);
        }
        edges
    }

    /// Takes up a settled point.
    fn add(&mut self, point: &Point) {
        let Candidates::One(at) = point.when else { return };
        self.taken.push(at);
        if let Some(interval) = point.interval(at) {
            self.ends.push(interval.end());
            self.starts.push(interval.start);
        }
    }

    /// How well a run of labels fits from `first` to `last`: on how many sides it is continued
    /// without a gap; `None` where one of its instants is taken.
    fn fit(&self, run: &[Point], pick: fn(Candidates) -> Option<i64>) -> Option<u8> {
        if run.iter().filter_map(|p| pick(p.when)).any(|at| self.taken.contains(&at)) {
            return None;
        }
        let interval = |point: Option<&Point>| point.and_then(|p| p.interval(pick(p.when)?));
        let left = interval(run.first()).is_some_and(|i| self.ends.contains(&i.start));
        let right = interval(run.last()).is_some_and(|i| self.starts.contains(&i.end()));
        Some(u8::from(left) + u8::from(right))
    }
}

fn earlier(when: Candidates) -> Option<i64> {
    match when {
        Candidates::One(at) | Candidates::Two(at, _) => Some(at),
        Candidates::None => None,
    }
}

fn later(when: Candidates) -> Option<i64> {
    match when {
        Candidates::One(at) | Candidates::Two(_, at) => Some(at),
        Candidates::None => None,
    }
}

fn fix(point: &mut Point, pick: fn(Candidates) -> Option<i64>) {
    point.when = pick(point.when).map_or(Candidates::None, Candidates::One);
}

fn settle_hour(hour: &mut [Point], trusted: bool, mut edges: Edges, tally: &mut Tally) {
    if trusted && settle_by_order(hour) {
        return;
    }
    // Equal labels side by side, each kind in the order of the answer.
    hour.sort_by_key(|p| p.wall);
    for twins in hour.chunk_by_mut(|a, b| a.wall == b.wall) {
        settle_twins(twins);
        for point in twins.iter() {
            edges.add(point);
        }
    }
    let alone = |p: &Point| matches!(p.when, Candidates::Two(..));
    let joined =
        |a: &Point, b: &Point| alone(a) && alone(b) && a.step.is_some_and(|step| b.wall - a.wall == step.seconds());
    for run in hour.chunk_by_mut(joined).filter(|run| run.iter().all(alone)) {
        let first = edges.fit(run, earlier);
        let second = edges.fit(run, later);
        let pick = if second > first { later } else { earlier };
        let doubtful = first == second;
        for point in run.iter_mut() {
            if doubtful && point.watts.is_some() {
                tally.odd.add(AnomalyKind::DstAmbiguous, Some(point.day()));
            }
            fix(point, pick);
            edges.add(point);
        }
    }
}

/// Settles the hour where its labels go back exactly once; whether they do.
fn settle_by_order(hour: &mut [Point]) -> bool {
    let is_back = |pair: &[Point]| matches!(pair, [a, b] if b.wall < a.wall);
    let mut steps_back = hour.windows(2).enumerate().filter(|(_, pair)| is_back(pair)).map(|(index, _)| index + 1);
    let (Some(middle), None) = (steps_back.next(), steps_back.next()) else { return false };
    let (first, second) = hour.split_at_mut(middle);
    for point in first {
        fix(point, earlier);
    }
    for point in second {
        fix(point, later);
    }
    true
}

/// Settles equal labels where there is more than one. Two are the two instants, also where they
/// have one value. Of more, some are copies: those with the value of the first are the earlier
/// instant and the rest are the later one.
fn settle_twins(twins: &mut [Point]) {
    match twins {
        [] | [_] => {}
        [first, second] => {
            fix(first, earlier);
            fix(second, later);
        }
        [first, rest @ ..] => {
            let value = first.watts;
            let all_equal = rest.iter().all(|p| p.watts == value);
            fix(first, earlier);
            for point in rest {
                fix(point, if point.watts == value && !all_equal { earlier } else { later });
            }
        }
    }
}
