//! Finding a day by asking: the source refuses spans that begin before it and accepts the others.
//!
//! Accepted probes bring data that was wanted anyway; refused ones are wasted. So the search
//! spends as few refusals as it can: it halves what is unknown, and nears the accepted side where
//! halving could use up the refusals that are left.

use crate::domain::Day;

/// The most calls that may be refused in one search.
pub const MOST_REFUSALS: i32 = 10;

/// The day that the next probe begins with; `None` where the day sought is known: `accepted`.
///
/// The day sought is after `refused` and not after `accepted`; `refusals` were spent so far.
#[must_use]
pub fn probe(refused: Day, accepted: Day, refusals: i32) -> Option<Day> {
    let unknown = accepted.since(refused);
    if unknown <= 1 {
        return None;
    }
    let left = (MOST_REFUSALS - refusals).clamp(1, 24);
    let back = (unknown / 2).min(1 << (left - 1)).max(1);
    Some(accepted.plus(-back))
}

/// The first day of the next call in the search for the limit of a source's history; `None` where
/// it is known: `accepted`.
///
/// Most sources that are short of days are short by one or two, so the search sets out from the
/// refused side with steps that double, and halves what is left once a step went too far.
#[must_use]
pub fn history(short: i32, refused: Day, accepted: Day) -> Option<Day> {
    let unknown = accepted.since(refused);
    (unknown > 1).then(|| refused.plus((unknown / 2).min(short.max(1)).max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_that_is_short_is_found_exactly_with_few_refusals() {
        for target in 1..=60 {
            for accepted in [target, target + 1, target + 6, 400] {
                let (mut refused, mut accepted, mut refusals) = (0, accepted, 1);
                while let Some(next) = history(refused + 1, Day::from_number(refused), Day::from_number(accepted)) {
                    let next = next.number();
                    assert!(refused < next && next < accepted);
                    if next < target {
                        refused = next;
                        refusals += 1;
                    } else {
                        accepted = next;
                    }
                }
                assert_eq!(accepted, target);
                assert!(refusals <= 1 + target && refusals <= 11, "{target}: {refusals}");
            }
        }
    }

    /// Searches for `target` and returns how many probes were refused and accepted.
    fn search(refused: i32, target: i32, accepted: i32, spent: i32) -> (i32, i32) {
        let (mut refused, mut accepted) = (Day::from_number(refused), Day::from_number(accepted));
        let (mut refusals, mut fetched) = (spent, 0);
        while let Some(start) = probe(refused, accepted, refusals) {
            assert!(refused < start && start < accepted);
            if start.number() < target {
                refused = start;
                refusals += 1;
            } else {
                accepted = start;
                fetched += 1;
            }
        }
        assert_eq!(accepted.number(), target);
        (refusals, fetched)
    }

    #[test]
    fn every_day_of_three_years_is_found_with_at_most_ten_refusals() {
        for target in 1..=1111 {
            let (refusals, fetched) = search(0, target, 1111, 1);
            assert!(refusals <= MOST_REFUSALS, "{target}: {refusals}");
            assert!(fetched <= 14, "{target}: {fetched}");
        }
        for target in 1..=365 {
            assert!(search(0, target, 365, 1).0 <= MOST_REFUSALS, "{target}");
        }
    }
}
