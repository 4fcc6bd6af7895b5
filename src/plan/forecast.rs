//! What will become of a plan within its budget: when it will be done, and what is lost until then.
//!
//! A source allows so many calls a day, and the old end of its window moves on by a day each day. A
//! fleet can be too large for that: then it is better known beforehand than found out after months.
//! This is a forecast, not a promise: refusals, days that come late and other users of the budget are
//! not in it.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;

use super::order::Places;
use super::{Allowance, Call};
use crate::domain::{self, Dataset};

/// The cadence that is offered where the budget does not carry a daily one: a week fits into one call
/// of a load curve, and a month of daily values costs no more than a day of them.
#[must_use]
pub fn thrifty(dataset: Dataset) -> i32 {
    if dataset.kind() == domain::Kind::LoadCurve { 7 } else { 30 }
}

/// Calls, counted by what a forecast has to know of them: a fleet has a million calls, and some hundred
/// kinds of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Demand {
    newest: BTreeMap<Alike, usize>,
    history: BTreeMap<Alike, usize>,
}

/// Calls that are alike: those that bring most first, as [`super::order`] has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Alike {
    /// The days from the oldest wanted one on.
    worth: Reverse<usize>,
    /// The days that they may wait.
    patience: usize,
    dataset: Dataset,
}

impl Demand {
    /// Counts these calls. `dataset` tells that of a series by its index.
    #[must_use]
    pub fn of<'c>(calls: impl IntoIterator<Item = &'c Call>, dataset: impl Fn(usize) -> Option<Dataset>) -> Self {
        let mut demand = Self::default();
        for call in calls {
            if let Some(dataset) = dataset(call.series) {
                demand.add(call, dataset);
            }
        }
        demand
    }

    /// One more call, for that dataset.
    pub fn add(&mut self, call: &Call, dataset: Dataset) {
        let worth = usize::try_from(call.days.end().since(call.oldest_wanted)).unwrap_or_default();
        let patience = usize::try_from(call.patience).unwrap_or_default();
        let of = if call.newest { &mut self.newest } else { &mut self.history };
        *of.entry(Alike { worth: Reverse(worth), patience, dataset }).or_default() += 1;
    }

    /// How many calls there are.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.newest().saturating_add(self.history())
    }

    /// How many of them are for the newest days.
    #[must_use]
    pub fn newest(&self) -> usize {
        self.newest.values().sum()
    }

    /// How many of them are for history.
    #[must_use]
    pub fn history(&self) -> usize {
        self.history.values().sum()
    }
}

/// What the series of a source need.
#[derive(Debug, Clone, Copy)]
pub struct Need<'a> {
    /// The calls that are wanted now.
    pub demand: &'a Demand,
    /// Calls for history that other sources of the same account make before.
    pub ahead: usize,
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
    /// When the last of them can be made (seconds since 1970), where that was reckoned as well.
    pub until: Option<i64>,
    /// Days of each dataset that will leave the window before their turn.
    pub expiring: BTreeMap<Dataset, u64>,
    /// Calls a day that the new days of every series take.
    pub daily: usize,
    /// The calls of a day that the source takes.
    pub budget: usize,
    /// A thriftier cadence, where the budget is too small for this one, or for history beside it.
    pub thriftier: Option<Cadence>,
}

impl Forecast {
    /// Looks ahead, with the order that [`super::order`] gives the calls.
    #[must_use]
    pub fn of(need: &Need<'_>) -> Self {
        let Need { demand, ahead, allowance, .. } = *need;
        let daily = daily(need.series, need.every);
        let mut expiring = BTreeMap::new();
        let newest = demand.newest();
        let mut place = 0;
        for (alike, calls) in demand.newest.iter().filter(|_| allowance.newest) {
            lose(&mut expiring, *alike, place..place + calls, allowance);
            place += calls;
        }
        let rest = allowance.after(newest);
        let last = demand.history.keys().map(|alike| alike.patience).max().unwrap_or_default();
        let mut places = Places::new(last, rest);
        places.give_away(ahead);
        let (mut kept, mut late) = (Vec::new(), Vec::new());
        for (alike, calls) in &demand.history {
            let in_time = places.take(alike.patience, *calls);
            kept.push((alike.patience, *alike, in_time));
            late.push((Reverse(alike.patience), *alike, calls - in_time));
        }
        // What can be in time is made in time, whatever margin the order leaves it, unless no later day has a place.
        kept.sort_unstable();
        // What cannot be in time comes last, newest first.
        late.sort_unstable();
        let kept = kept.into_iter().map(|(_, alike, calls)| (alike, calls));
        let late = late.into_iter().map(|(_, alike, calls)| (alike, calls));
        let mut place = ahead;
        for (alike, calls) in kept.chain(late) {
            lose(&mut expiring, alike, place..place.saturating_add(calls), rest);
            place = place.saturating_add(calls);
        }
        let last_of_history = (demand.history() > 0).then(|| rest.day_of(place.saturating_sub(1)));
        let last_of_newest = newest.checked_sub(1).filter(|_| allowance.newest).map(|last| allowance.day_of(last));
        let days = last_of_history.into_iter().chain(last_of_newest).max().unwrap_or_default();
        let carries = daily <= need.budget;
        let every: BTreeMap<Dataset, i32> = need.series.keys().map(|dataset| (*dataset, thrifty(*dataset))).collect();
        let thriftier = Cadence { daily: self::daily(need.series, &every), every };
        let helps = (!carries || !expiring.is_empty()) && thriftier.daily < daily;
        Self {
            calls: demand.calls(),
            days: (carries || days == 0).then_some(days).filter(|days| *days < usize::MAX),
            until: None,
            expiring,
            daily,
            budget: need.budget,
            thriftier: helps.then_some(thriftier),
        }
    }

    /// How many days of all datasets will leave before their turn.
    #[must_use]
    pub fn expiring_days(&self) -> u64 {
        self.expiring.values().sum()
    }

    /// Whether the budget does not carry what is wanted.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.daily > self.budget || !self.expiring.is_empty()
    }
}

/// Counts the days that calls which are alike come too late for, made in these places.
fn lose(expiring: &mut BTreeMap<Dataset, u64>, alike: Alike, places: Range<usize>, allowance: Allowance) {
    let mut lost = 0_usize;
    let mut place = places.start;
    while place < places.end {
        let day = allowance.day_of(place);
        let end = allowance.end_of(day).clamp(place + 1, places.end);
        let each = day.saturating_sub(alike.patience).min(alike.worth.0);
        lost = lost.saturating_add(each.saturating_mul(end - place));
        place = end;
    }
    if lost > 0 {
        *expiring.entry(alike.dataset).or_default() += u64::try_from(lost).unwrap_or(u64::MAX);
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
        let demand = Demand::of(calls, |_| Some(Dataset::ConsumptionLoadCurve));
        let every = BTreeMap::new();
        Forecast::of(&Need { demand: &demand, ahead: 0, series: &counted, every: &every, budget, allowance })
    }

    #[test]
    fn a_plan_that_fits_is_done_today_and_loses_nothing() {
        let seen = forecast(&[call(0, 0), call(0, 700)], 1, 100);
        assert_eq!((seen.calls, seen.days, seen.daily), (2, Some(0), 2));
        assert!(!seen.is_short() && seen.expiring.is_empty() && seen.thriftier.is_none());
    }

    #[test]
    fn days_that_leave_before_their_turn_are_counted() {
        // Five calls a day: one can wait, five more are made at once, four tomorrow, the others on the day after.
        let calls: Vec<Call> = (0..15).map(|n| call(n, i32::from(n == 14) * 7)).collect();
        let seen = forecast(&calls, 5, 10);
        assert_eq!(seen.days, Some(2));
        assert_eq!(seen.expiring, BTreeMap::from([(Dataset::ConsumptionLoadCurve, 4 + 5 * 2)]));
        assert!(seen.is_short());
        assert_eq!(seen.thriftier.unwrap().daily, 1 + 1);
        // A span cannot lose more days than it has.
        let calls: Vec<Call> = (0..200).map(|n| call(n, 0)).collect();
        let most: u64 = forecast(&calls, 5, 10).expiring.into_values().sum();
        assert_eq!(most, (0..200_u64).map(|n| (n / 5).min(7)).sum::<u64>());
    }

    /// The days that leave before the calls for them are made, in the order in which they are made.
    fn lost_in_order(calls: Vec<Call>, allowance: Allowance) -> u64 {
        let ordered = crate::plan::order::order(calls, Some(allowance));
        let lost = ordered.iter().enumerate().map(|(place, call)| {
            let late = allowance.day_of(place).saturating_sub(usize::try_from(call.patience).unwrap());
            u64::try_from(late).unwrap().min(u64::try_from(call.days.end().since(call.oldest_wanted)).unwrap())
        });
        lost.sum()
    }

    fn lost_by_forecast(calls: &[Call], allowance: Allowance) -> u64 {
        let demand = Demand::of(calls, |_| Some(Dataset::ConsumptionLoadCurve));
        let (series, every) = (BTreeMap::new(), BTreeMap::new());
        let need = Need { demand: &demand, ahead: 0, series: &series, every: &every, budget: 100, allowance };
        Forecast::of(&need).expiring_days()
    }

    #[test]
    fn where_new_days_take_the_whole_budget_forecast_and_order_agree_on_what_is_left_for() {
        let short = |series| Call { oldest_wanted: Day::from_number(4), patience: 0, ..call(series, 0) };
        let calls = [call(0, 9), short(1), short(2)];
        let allowance = Allowance { today: 2, per_day: 0, newest: false };
        // What leaves first comes first; the week that could have waited never has its turn.
        assert_eq!(lost_in_order(calls.to_vec(), allowance), 7);
        assert_eq!(lost_by_forecast(&calls, allowance), 7);
    }

    proptest::proptest! {
        /// What the order makes in time the forecast does not believe lost, and the other way round.
        #[test]
        fn forecast_and_order_agree_on_whether_anything_is_lost(
            patience in proptest::collection::vec(0_i32..40, 1..60),
            (today, per_day) in (0_usize..20, 0_usize..6),
        ) {
            let calls: Vec<Call> = patience.iter().enumerate().map(|(series, days)| call(series, *days)).collect();
            let allowance = Allowance { today, per_day, newest: false };
            let lost = lost_in_order(calls.clone(), allowance);
            let foreseen = lost_by_forecast(&calls, allowance);
            proptest::prop_assert_eq!(foreseen > 0, lost > 0, "{} and {}", foreseen, lost);
        }
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
