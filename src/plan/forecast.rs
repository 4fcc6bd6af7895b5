//! What will become of a plan within its budget: when it will be done, and what is lost until then.
//!
//! A source allows so many calls a day, and the old end of its window moves on by a day each day. A
//! fleet can be too large for that: then it is better known beforehand than found out after months.
//! This is a forecast, not a promise: refusals, days that come late and other users of the budget are
//! not in it.

use std::collections::BTreeMap;

use super::{Allowance, Call};
use crate::domain::{Dataset, Kind};

/// The cadence that is offered where the budget does not carry a daily one: a week fits into one call
/// of a load curve, and a month of daily values costs no more than a day of them.
#[must_use]
pub fn thrifty(dataset: Dataset) -> i32 {
    if dataset.kind() == Kind::LoadCurve { 7 } else { 30 }
}

/// What the series of a source need.
#[derive(Debug, Clone, Copy)]
pub struct Need<'a> {
    /// The calls that are wanted now, in their order.
    pub calls: &'a [Call],
    /// How many series there are of each dataset.
    pub series: &'a BTreeMap<Dataset, usize>,
    /// New days of a dataset are asked for once there are this many; 1 where nothing is said.
    pub every: &'a BTreeMap<Dataset, i32>,
    /// The calls of a day that the source takes, whatever they are for.
    pub budget: usize,
    /// What of that is left for the calls.
    pub allowance: Allowance,
}

/// A cadence, and what it costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cadence {
    /// New days of a dataset are asked for once there are this many.
    pub every: BTreeMap<Dataset, i32>,
    /// Calls a day, once history is there.
    pub daily: usize,
}

/// What is to be expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    /// Calls that are wanted now.
    pub calls: usize,
    /// Days from today until the last of them is made; 0 is today. `None`: never, for new days alone
    /// take the whole budget.
    pub days: Option<usize>,
    /// Days of each dataset that will leave the window before their turn.
    pub lost: BTreeMap<Dataset, u64>,
    /// Calls a day that the new days of every series take.
    pub daily: usize,
    /// The calls of a day that the source takes.
    pub budget: usize,
    /// A thriftier cadence, where the budget is too small for this one, or for history beside it.
    pub thriftier: Option<Cadence>,
}

impl Forecast {
    /// Looks ahead. `dataset` tells that of a series by its index.
    #[must_use]
    pub fn of(need: &Need<'_>, dataset: impl Fn(usize) -> Option<Dataset>) -> Self {
        let daily = daily(need.series, need.every);
        let mut lost: BTreeMap<Dataset, u64> = BTreeMap::new();
        let mut days = 0;
        for (place, call) in need.calls.iter().enumerate() {
            days = need.allowance.day_of(place);
            let late = i64::try_from(days).unwrap_or(i64::MAX) - i64::from(call.patience);
            let wanted = i64::from(call.days.end().since(call.oldest_wanted));
            let gone = u64::try_from(late.clamp(0, wanted)).unwrap_or_default();
            if let Some(dataset) = dataset(call.series).filter(|_| gone > 0) {
                *lost.entry(dataset).or_default() += gone;
            }
        }
        let carries = daily <= need.budget;
        let every: BTreeMap<Dataset, i32> = need.series.keys().map(|dataset| (*dataset, thrifty(*dataset))).collect();
        let thriftier = Cadence { daily: self::daily(need.series, &every), every };
        let helps = (!carries || !lost.is_empty()) && thriftier.daily < daily;
        Self {
            calls: need.calls.len(),
            days: (carries || need.calls.len() <= need.allowance.today).then_some(days).filter(|d| *d < usize::MAX),
            lost,
            daily,
            budget: need.budget,
            thriftier: helps.then_some(thriftier),
        }
    }

    /// How many days of all datasets will be lost.
    #[must_use]
    pub fn days_lost(&self) -> u64 {
        self.lost.values().sum()
    }

    /// Whether the budget does not carry what is wanted.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.daily > self.budget || !self.lost.is_empty()
    }
}

/// Calls that new days take on a day.
#[must_use]
pub fn daily(series: &BTreeMap<Dataset, usize>, every: &BTreeMap<Dataset, i32>) -> usize {
    let every = |dataset| every.get(dataset).copied().and_then(|n| usize::try_from(n).ok()).unwrap_or(1).max(1);
    series.iter().map(|(dataset, count)| count.div_ceil(every(dataset))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Day, Days};
    use crate::plan::Reason;

    /// A call for seven days that may wait so long.
    fn call(series: usize, patience: i32) -> Call {
        let days = Days::new(Day::from_number(patience), Day::from_number(patience + 7)).unwrap();
        Call { series, days, oldest_wanted: days.first(), reason: Reason::Missing, patience, newest: false }
    }

    fn forecast(calls: &[Call], series: usize, budget: usize) -> Forecast {
        let counted = BTreeMap::from([(Dataset::ConsumptionLoadCurve, series), (Dataset::DailyMaxPower, series)]);
        let allowance = Allowance { today: budget / 2, per_day: budget / 2, newest: true };
        let need = Need { calls, series: &counted, every: &BTreeMap::new(), budget, allowance };
        Forecast::of(&need, |_| Some(Dataset::ConsumptionLoadCurve))
    }

    #[test]
    fn a_plan_that_fits_is_done_today_and_loses_nothing() {
        let seen = forecast(&[call(0, 0), call(0, 700)], 1, 100);
        assert_eq!((seen.calls, seen.days, seen.daily), (2, Some(0), 2));
        assert!(!seen.is_short() && seen.lost.is_empty() && seen.thriftier.is_none());
    }

    #[test]
    fn days_that_leave_before_their_turn_are_counted() {
        // Five calls a day: the second five come tomorrow, the third on the day after.
        let calls: Vec<Call> = (0..15).map(|n| call(n, i32::from(n == 14) * 7)).collect();
        let seen = forecast(&calls, 5, 10);
        assert_eq!(seen.days, Some(2));
        assert_eq!(seen.lost, BTreeMap::from([(Dataset::ConsumptionLoadCurve, 5 + 4 * 2)]));
        assert!(seen.is_short());
        assert_eq!(seen.thriftier.unwrap().daily, 1 + 1);
        // A span cannot lose more days than it has.
        let calls: Vec<Call> = (0..200).map(|n| call(n, 0)).collect();
        let most: u64 = forecast(&calls, 5, 10).lost.into_values().sum();
        assert_eq!(most, (0..200_u64).map(|n| (n / 5).min(7)).sum::<u64>());
    }

    #[test]
    fn a_steady_state_beyond_the_budget_is_told_with_a_cadence_that_fits() {
        let seen = forecast(&[], 100_000, 24_000);
        assert_eq!((seen.daily, seen.is_short()), (200_000, true));
        let cadence = seen.thriftier.unwrap();
        assert_eq!(cadence.daily, 14_286 + 3_334);
        assert_eq!(cadence.every[&Dataset::ConsumptionLoadCurve], 7);
        assert_eq!(cadence.every[&Dataset::DailyMaxPower], 30);
    }
}
