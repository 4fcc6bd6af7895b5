//! Ranges of days that grow and never have a hole: the calendar and the clock of either database.

use crate::domain::Days;

/// What has to be added to `known` so that it holds `wanted` and has no holes.
pub(super) fn lacking(wanted: Days, known: Option<Days>) -> Vec<Days> {
    let Some(known) = known else { return vec![wanted] };
    let before = Days::new(wanted.first(), known.first());
    let after = Days::new(known.end(), wanted.end());
    before.into_iter().chain(after).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Day;

    #[test]
    fn gaps_are_bridged_from_either_side() {
        let days = |a: i32, b: i32| Days::new(Day::from_number(a), Day::from_number(b)).unwrap();
        assert_eq!(lacking(days(3, 5), None), [days(3, 5)]);
        assert_eq!(lacking(days(3, 5), Some(days(1, 9))), []);
        assert_eq!(lacking(days(1, 12), Some(days(4, 9))), [days(1, 4), days(9, 12)]);
        assert_eq!(lacking(days(1, 2), Some(days(4, 9))), [days(1, 4)]);
        assert_eq!(lacking(days(20, 22), Some(days(4, 9))), [days(9, 22)]);
    }
}
