//! The order of calls where a budget does not carry everything at once.

use proptest::prelude::*;

use super::tests::plan;
use super::*;
use crate::domain::{Asked, DayObservation, SameDay, paris};

/// Meters whose curves are fetched for days on end with so many calls a day for history.
struct Fleet {
    series: Vec<Coverage>,
    today: Day,
    depth: i32,
    lost: Vec<i32>,
}

impl Fleet {
    fn new(meters: usize, depth: i32) -> Self {
        let today = "2026-11-24".parse().unwrap();
        Self { series: vec![Coverage::new(); meters], today, depth, lost: vec![0; meters] }
    }

    fn window(&self) -> Days {
        Days::new(self.today.plus(-self.depth), self.today).unwrap()
    }

    /// Makes the calls of a day and lets the next one come.
    fn pass(&mut self, history: usize, by_deadline: bool) {
        let window = self.window();
        let now = paris::at_wall(self.today, crate::domain::coverage::PUBLISHED_AT) + 300;
        let planned: Vec<Series<'_>> = self
            .series
            .iter()
            .map(|days| Series {
                dataset: Dataset::ConsumptionLoadCurve,
                window: Some(window),
                served_first: window.first(),
                max_days: 7,
                exact_days: 7,
                every: 1,
                days,
                turn: Turn::Open,
                aside: Vec::new(),
                probe: None,
                fetched: BTreeSet::new(),
            })
            .collect();
        let today = self.series.len() + history;
        let allowance = Allowance { today, per_day: history, newest: true };
        let calls = plan(&planned, now, Request::default(), by_deadline.then_some(allowance));
        let newest: BTreeSet<usize> = calls.iter().filter(|c| c.newest).map(|c| c.series).collect();
        assert_eq!(newest.len(), self.series.len());
        assert!(calls.iter().take(newest.len()).all(|c| c.newest), "yesterday comes first, whatever it costs");
        let asked =
            Asked { at: now, window_first: window.first(), certain: true, exact: true, same_day: SameDay::Often };
        let whole = DayObservation { stored: 48, expected: Some(48), whole: true };
        for call in calls.into_iter().take(today) {
            for day in call.days.iter() {
                let record = self.series[call.series].get(day).after(day, whole, asked);
                self.series[call.series].insert(day, record);
            }
        }
        for (series, lost) in self.series.iter().zip(&mut self.lost) {
            *lost += i32::from(!series.is_complete(window.first()));
        }
        self.today = self.today.next();
    }

    /// Passes until nothing is left to fetch; the days that each series has lost, in the first two weeks
    /// and after that.
    fn backfill(mut self, history: usize, by_deadline: bool) -> (Vec<i32>, Vec<i32>) {
        for _ in 0..14 {
            self.pass(history, by_deadline);
        }
        let early = std::mem::replace(&mut self.lost, vec![0; self.series.len()]);
        for _ in 14..2 * self.depth {
            self.pass(history, by_deadline);
        }
        (early, self.lost)
    }
}

fn sum(lost: &(Vec<i32>, Vec<i32>)) -> i32 {
    lost.0.iter().chain(&lost.1).sum()
}

#[test]
fn a_fleet_loses_nothing_where_each_series_gets_a_call_before_its_oldest_week_runs_out() {
    let (meters, depth) = (28, 140);
    // A call a week for each series is four a day. The oldest week of all cannot be had at once.
    for history in [5, 8] {
        let by_deadline = Fleet::new(meters, depth).backfill(history, true);
        let newest_first = Fleet::new(meters, depth).backfill(history, false);
        assert_eq!(by_deadline.1.iter().sum::<i32>(), 0, "{history} calls a day: {by_deadline:?}");
        assert!(sum(&by_deadline) <= 28 * 7, "{by_deadline:?}");
        assert!(sum(&newest_first) > 5 * sum(&by_deadline), "{newest_first:?}");
    }
}

#[test]
fn where_even_that_is_too_much_the_loss_is_smaller_and_shared() {
    let (meters, depth, history) = (28, 140, 2);
    let by_deadline = Fleet::new(meters, depth).backfill(history, true);
    let newest_first = Fleet::new(meters, depth).backfill(history, false);
    let (loss, naive) = (sum(&by_deadline), sum(&newest_first));
    assert!(10 * loss <= 8 * naive, "{loss} and {naive}");
    let each: Vec<i32> = by_deadline.0.iter().zip(&by_deadline.1).map(|(a, b)| a + b).collect();
    let (least, most) = (each.iter().min().unwrap(), each.iter().max().unwrap());
    // Of nineteen weeks each lost between six and thirteen.
    assert!(most - least <= 49, "{each:?}");
}

fn calls(patience: &[(i32, bool)]) -> Vec<Call> {
    let call = |(index, (patience, newest)): (usize, &(i32, bool))| {
        let days = Days::new(Day::from_number(*patience), Day::from_number(patience + 7)).unwrap();
        let reason = if *newest { Reason::Yesterday } else { Reason::Missing };
        Call { series: index, days, oldest_wanted: days.first(), reason, patience: *patience, newest: *newest }
    };
    patience.iter().enumerate().map(call).collect()
}

fn history(series: usize, first: i32, patience: i32) -> Call {
    let days = Days::new(Day::from_number(first), Day::from_number(first + 7)).unwrap();
    Call { series, days, oldest_wanted: days.first(), reason: Reason::Missing, patience, newest: false }
}

#[test]
fn what_is_planned_anew_keeps_its_place_and_what_is_new_finds_one() {
    // Two series of twenty weeks; three calls a day, so that some old weeks go before newer ones.
    let all: Vec<Call> = (0..20).flat_map(|week| [0, 1].map(|series| history(series, week * 7, week / 4))).collect();
    let allowance = Some(Allowance { today: 3, per_day: 3, newest: true });
    let queue = order::order(all.clone(), allowance);
    assert_ne!(queue, order::order(all.clone(), None), "something presses");
    let own: Vec<Call> = all.iter().copied().filter(|call| call.series == 0).collect();
    let again = |calls| {
        let mut again = queue.clone().into();
        order::renew(&mut again, calls, &BTreeSet::from([0]), allowance);
        Vec::from(again)
    };
    assert_eq!(again(own.clone()), queue);

    // One is answered: the others stay.
    let answered = own[5];
    let left = own.iter().copied().filter(|call| *call != answered).collect();
    let without: Vec<Call> = queue.iter().copied().filter(|call| *call != answered).collect();
    assert_eq!(again(left), without);

    // One is new, and has to be made today; another is, and can wait for ever.
    let (pressing, patient) = (history(0, -7, 0), history(0, -14, 700));
    let queue = again(own.into_iter().chain([pressing, patient]).collect());
    assert!(queue.iter().position(|call| *call == pressing).unwrap() < 3, "{queue:?}");
    assert_eq!(queue.last(), Some(&patient));
}

proptest! {
    /// Nothing is late that need not be, newest days come first, and where nothing presses the order is
    /// newest first.
    #[test]
    fn no_call_is_late_where_all_can_be_in_time(
        patience in prop::collection::vec((0_i32..40, prop::bool::weighted(0.2)), 1..80),
        (today, per_day) in (0_usize..30, 1_usize..9),
    ) {
        let allowance = Allowance { today, per_day, newest: true };
        let all = calls(&patience);
        let ordered = order::order(all.clone(), Some(allowance));
        prop_assert_eq!(ordered.len(), all.len());
        let newest = all.iter().filter(|c| c.newest).count();
        prop_assert!(ordered.iter().take(newest).all(|c| c.newest));
        let rest = allowance.after(newest);
        let mut deadlines: Vec<i32> = all.iter().filter(|c| !c.newest).map(|c| c.patience).collect();
        deadlines.sort_unstable();
        let day = |place: usize| i32::try_from(rest.day_of(place)).unwrap();
        let feasible = deadlines.iter().enumerate().all(|(place, patience)| day(place) <= *patience);
        if feasible {
            for (place, call) in ordered.iter().skip(newest).enumerate() {
                prop_assert!(day(place) <= call.patience, "{:?} at {}", call, place);
            }
        }
        if all.len() <= today {
            prop_assert_eq!(ordered, order::order(all, None));
        }
    }
}
