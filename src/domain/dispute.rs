//! What of an answer gives way because Enedis itself said otherwise, as a pure function.
//!
//! A gateway repeats what Enedis told it, at times rounded, moved or out of date. Where its value
//! meets one that came from Enedis directly, that one stays; the other is not lost, but kept as a
//! revision, so that the disagreement can be seen.

use super::CurvePoint;

/// A value of an answer that is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disputed {
    /// The interval and value that came.
    pub came: CurvePoint,
    /// The watts that are stored, and stay, where that interval begins.
    pub stays: i64,
}

/// Splits an answer into what may be stored and what disagrees with `firm`, the stored intervals
/// that came from Enedis itself. Both are ascending; `firm` has no overlaps. What says the same as
/// a firm interval is in neither part.
#[must_use]
pub fn give_way(firm: &[CurvePoint], answer: &[CurvePoint]) -> (Vec<CurvePoint>, Vec<Disputed>) {
    let mut kept = Vec::with_capacity(answer.len());
    let mut disputed = Vec::new();
    for came in answer {
        let from = firm.partition_point(|p| p.interval.end() <= came.interval.start);
        match firm.get(from).filter(|p| p.interval.start < came.interval.end()) {
            None => kept.push(*came),
            Some(held) if held != came => disputed.push(Disputed { came: *came, stays: held.watts }),
            Some(_) => {}
        }
    }
    (kept, disputed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Interval, Step};

    fn point(minute: i64, minutes: i64, watts: i64) -> CurvePoint {
        let start = 1_800_000_000 + minute * 60;
        CurvePoint { interval: Interval { start, step: Step::from_minutes(minutes).unwrap() }, watts }
    }

    #[test]
    fn what_enedis_said_stays_and_the_rest_is_taken() {
        let firm = [point(30, 30, 7), point(60, 30, 8)];
        let answer = [point(0, 30, 1), point(30, 30, 7), point(60, 30, 9), point(90, 30, 4)];
        let (kept, disputed) = give_way(&firm, &answer);
        assert_eq!(kept, [point(0, 30, 1), point(90, 30, 4)]);
        assert_eq!(disputed, [Disputed { came: point(60, 30, 9), stays: 8 }]);
    }

    #[test]
    fn an_interval_of_another_length_gives_way_where_it_touches() {
        let (kept, disputed) = give_way(&[point(30, 30, 7)], &[point(0, 60, 5), point(60, 60, 6)]);
        assert_eq!(kept, [point(60, 60, 6)]);
        assert_eq!(disputed, [Disputed { came: point(0, 60, 5), stays: 7 }]);
    }
}
