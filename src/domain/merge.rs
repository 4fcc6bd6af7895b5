//! What an answer changes in a load curve that is already stored, as a pure function.
//!
//! Intervals of one series never overlap. A stored interval gives way to a new one only where the
//! new ones say everything that it said: the very same interval with another value, or several
//! intervals of another length that cover it wholly. Where an answer covers a stored interval in
//! part, the stored one stays and the answer's overlapping intervals are left out. What an answer
//! does not mention stays.

use super::{CurvePoint, Day, DayObservation, Step, paris};

/// A stored interval whose value was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revised {
    /// The interval and value as they were.
    pub old: CurvePoint,
    /// The watts that are now stored for the instant at which the old interval starts.
    pub new_watts: i64,
}

/// What to write, and what is stored afterwards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Merged {
    /// Intervals to insert or to overwrite, ascending.
    pub put: Vec<CurvePoint>,
    /// Starts of stored intervals to remove because others cover them; none of them is in `put`.
    pub removed: Vec<i64>,
    /// Stored values that are replaced.
    pub revised: Vec<Revised>,
    /// Values that were not there before.
    pub inserted: u64,
    /// Intervals of the answer that are not stored: they overlap what is there or one another.
    pub left_out: u64,
    /// Everything that is stored afterwards, ascending.
    pub after: Vec<CurvePoint>,
}

/// Compares an answer with what is stored. Both are ascending; `held` has no overlaps.
#[must_use]
pub fn merge(held: &[CurvePoint], answer: &[CurvePoint]) -> Merged {
    let (mut incoming, mut left_out) = without_overlaps(answer);
    let mut replaced;
    loop {
        let mut refused = vec![false; incoming.len()];
        replaced = Vec::new();
        for old in held {
            let over = overlapping(&incoming, old);
            let covered: i64 = over.iter().map(|new| shared_seconds(new, old)).sum();
            if covered == old.interval.step.seconds() {
                replaced.push(*old);
            } else if covered > 0 {
                let from = incoming.partition_point(|new| new.interval.end() <= old.interval.start);
                refused.iter_mut().skip(from).take(over.len()).for_each(|r| *r = true);
            }
        }
        let kept: Vec<CurvePoint> = incoming.iter().zip(&refused).filter(|(_, r)| !**r).map(|(new, _)| *new).collect();
        if kept.len() == incoming.len() {
            break;
        }
        // Leaving one out may uncover another stored interval: look again.
        left_out += (incoming.len() - kept.len()) as u64;
        incoming = kept;
    }
    let mut merged = Merged { left_out, ..Merged::default() };
    let stays = |point: &CurvePoint| !has(&replaced, point.interval.start);
    for new in &incoming {
        match find(held, new.interval.start) {
            Some(old) if old == *new => {}
            Some(old) if old.interval == new.interval => merged.put.push(*new),
            _ => {
                merged.inserted += 1;
                merged.put.push(*new);
            }
        }
    }
    for old in &replaced {
        let Some(new) = overlapping(&incoming, old).first().copied() else { continue };
        if new != *old {
            merged.revised.push(Revised { old: *old, new_watts: new.watts });
        }
        if !has(&incoming, old.interval.start) {
            merged.removed.push(old.interval.start);
        }
    }
    merged.after = held.iter().copied().filter(stays).chain(incoming).collect();
    merged.after.sort_unstable_by_key(|point| point.interval.start);
    merged
}

/// What is stored of `day`, of the ascending intervals of one series.
#[must_use]
pub fn observe(day: Day, stored: &[CurvePoint]) -> DayObservation {
    let (start, end) = (paris::start_of(day), paris::start_of(day.next()));
    let from = stored.partition_point(|p| p.interval.start < start);
    let own: Vec<CurvePoint> = stored.iter().skip(from).take_while(|p| p.interval.start < end).copied().collect();
    let count = i32::try_from(own.len()).unwrap_or(i32::MAX);
    let Some(last) = own.last() else { return DayObservation { stored: 0, expected: None, whole: false } };
    let mut reached = start;
    let tiled = own.iter().all(|p| std::mem::replace(&mut reached, p.interval.end()) == p.interval.start);
    let whole = tiled && reached == end;
    let step = last.interval.step;
    let expected = if whole {
        count
    } else if own.iter().all(|p| p.interval.step == step) {
        i32::try_from(paris::intervals_in(day, step)).unwrap_or(i32::MAX)
    } else {
        let stored_minutes: i64 = own.iter().map(|p| i64::from(p.interval.step.minutes())).sum();
        count.saturating_add(filling(paris::minutes_in(day) - stored_minutes, step))
    };
    DayObservation { stored: count, expected: Some(expected), whole }
}

/// How many intervals of one step fill that many minutes.
fn filling(minutes: i64, step: Step) -> i32 {
    let step = i64::from(step.minutes());
    i32::try_from((minutes.max(0) + step - 1) / step).unwrap_or(i32::MAX)
}

/// The answer in order, without intervals that overlap an earlier one.
fn without_overlaps(answer: &[CurvePoint]) -> (Vec<CurvePoint>, u64) {
    let mut sorted = answer.to_vec();
    sorted.sort_by_key(|point| point.interval.start);
    let mut end = i64::MIN;
    let all = sorted.len();
    sorted.retain(|point| {
        let fits = point.interval.start >= end;
        if fits {
            end = point.interval.end();
        }
        fits
    });
    let left_out = (all - sorted.len()) as u64;
    (sorted, left_out)
}

/// The points that share time with `old`.
fn overlapping<'p>(points: &'p [CurvePoint], old: &CurvePoint) -> &'p [CurvePoint] {
    let from = points.partition_point(|p| p.interval.end() <= old.interval.start);
    let to = points.partition_point(|p| p.interval.start < old.interval.end());
    points.get(from..to).unwrap_or_default()
}

fn shared_seconds(a: &CurvePoint, b: &CurvePoint) -> i64 {
    a.interval.end().min(b.interval.end()) - a.interval.start.max(b.interval.start)
}

fn find(points: &[CurvePoint], start: i64) -> Option<CurvePoint> {
    points.binary_search_by_key(&start, |p| p.interval.start).ok().and_then(|i| points.get(i)).copied()
}

fn has(points: &[CurvePoint], start: i64) -> bool {
    find(points, start).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Interval;
    use proptest::prelude::*;

    fn point(minute: i64, minutes: i64, watts: i64) -> CurvePoint {
        let start = 1_800_000_000 + minute * 60;
        CurvePoint { interval: Interval { start, step: Step::from_minutes(minutes).unwrap() }, watts }
    }

    #[test]
    fn the_same_again_writes_nothing() {
        let held = [point(0, 30, 1), point(30, 30, 2)];
        let merged = merge(&held, &held);
        assert_eq!((merged.put.len(), merged.revised.len(), merged.inserted), (0, 0, 0));
        assert_eq!(merged.after, held);
    }

    #[test]
    fn another_value_is_a_revision() {
        let merged = merge(&[point(0, 30, 1), point(30, 30, 2)], &[point(30, 30, 9), point(60, 30, 3)]);
        assert_eq!(merged.put, [point(30, 30, 9), point(60, 30, 3)]);
        assert_eq!(merged.revised, [Revised { old: point(30, 30, 2), new_watts: 9 }]);
        assert_eq!((merged.inserted, merged.removed.len()), (1, 0));
    }

    #[test]
    fn a_finer_step_replaces_only_what_it_covers() {
        let merged = merge(&[point(0, 60, 5)], &[point(0, 30, 4), point(30, 30, 6)]);
        assert_eq!(merged.after, [point(0, 30, 4), point(30, 30, 6)]);
        assert_eq!(merged.revised, [Revised { old: point(0, 60, 5), new_watts: 4 }]);
        assert!(merged.removed.is_empty());
        let merged = merge(&[point(0, 60, 5)], &[point(0, 30, 4)]);
        assert_eq!((merged.after, merged.left_out), (vec![point(0, 60, 5)], 1));
    }

    #[test]
    fn a_coarser_step_replaces_all_that_it_covers() {
        let merged = merge(&[point(0, 30, 4), point(30, 30, 6)], &[point(0, 60, 5)]);
        assert_eq!(merged.after, [point(0, 60, 5)]);
        assert_eq!((merged.removed.len(), merged.revised.len(), merged.put.len()), (1, 2, 1));
    }

    #[test]
    fn leaving_one_out_uncovers_another() {
        // 30..90 is covered only together with 0..60, which would cut the hour before it.
        let held = [point(-30, 60, 1), point(30, 60, 2)];
        let merged = merge(&held, &[point(0, 60, 3), point(60, 60, 4)]);
        assert_eq!((merged.after, merged.left_out), (held.to_vec(), 2));
    }

    #[test]
    fn a_day_is_whole_when_its_intervals_tile_it() {
        let day: Day = "2026-10-25".parse().unwrap();
        let start = paris::start_of(day);
        let half = |n: i64| CurvePoint {
            interval: Interval { start: start + n * 1800, step: Step::from_minutes(30).unwrap() },
            watts: 1,
        };
        let all: Vec<_> = (0..50).map(half).collect();
        assert_eq!(observe(day, &all), DayObservation { stored: 50, expected: Some(50), whole: true });
        assert_eq!(observe(day, &all[..49]), DayObservation { stored: 49, expected: Some(50), whole: false });
        assert_eq!(observe(day.next(), &all).expected, None);
        let hour = CurvePoint { interval: Interval { start, step: Step::from_minutes(60).unwrap() }, watts: 1 };
        let mixed: Vec<_> = std::iter::once(hour).chain((2..40).map(half)).collect();
        assert_eq!(observe(day, &mixed), DayObservation { stored: 39, expected: Some(49), whole: false });
    }

    fn curve() -> impl Strategy<Value = Vec<CurvePoint>> {
        prop::collection::vec((0_i64..24, prop::sample::select(vec![10_i64, 15, 30, 60]), 0_i64..4), 0..20).prop_map(
            |raw| {
                let mut points: Vec<_> = raw.into_iter().map(|(slot, step, w)| point(slot * 30, step, w)).collect();
                points.sort_by_key(|p| p.interval.start);
                without_overlaps(&points).0
            },
        )
    }

    proptest! {
        /// Nothing overlaps afterwards, no stored minute is lost, and what is written leads there.
        #[test]
        fn nothing_is_lost_and_nothing_overlaps(held in curve(), answer in curve()) {
            let merged = merge(&held, &answer);
            for pair in merged.after.windows(2) {
                prop_assert!(pair[0].interval.end() <= pair[1].interval.start);
            }
            for old in &held {
                let covered: i64 = overlapping(&merged.after, old).iter().map(|p| shared_seconds(p, old)).sum();
                prop_assert_eq!(covered, old.interval.step.seconds());
                let kept = merged.after.contains(old);
                prop_assert_eq!(kept, !merged.revised.iter().any(|r| r.old == *old));
            }
            let mut rows: std::collections::BTreeMap<i64, CurvePoint> =
                held.iter().map(|p| (p.interval.start, *p)).collect();
            merged.removed.iter().for_each(|start| { rows.remove(start); });
            rows.extend(merged.put.iter().map(|p| (p.interval.start, *p)));
            prop_assert_eq!(rows.into_values().collect::<Vec<_>>(), merged.after.clone());
            let again = merge(&merged.after, &answer);
            prop_assert_eq!(again.after, merged.after);
            prop_assert!(again.put.is_empty());
        }
    }
}
