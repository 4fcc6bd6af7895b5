use proptest::prelude::*;

use super::*;
use crate::domain::coverage::PUBLISHED_AT;
use crate::domain::{Asked, DayObservation, DayRecord, DayState, SameDay, paris};

/// The calls for all series, in the order in which they are made.
pub(super) fn plan(series: &[Series<'_>], now: i64, request: Request, allowance: Option<Allowance>) -> Vec<Call> {
    let calls = series.iter().enumerate().flat_map(|(index, one)| calls_of(index, one, now, request));
    order::order(calls.collect(), allowance)
}

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn morning(today: Day) -> i64 {
    paris::at_wall(today, PUBLISHED_AT) + 300
}

struct World {
    dataset: Dataset,
    today: Day,
    first: Day,
    max_days: i32,
    every: i32,
    days: Coverage,
}

impl World {
    fn curve(today: &str) -> Self {
        let today = day(today);
        Self {
            dataset: Dataset::ConsumptionLoadCurve,
            today,
            first: today.minus_months(24).plus(-15),
            max_days: 7,
            every: 1,
            days: Coverage::new(),
        }
    }

    fn daily(today: &str) -> Self {
        let today = day(today);
        Self {
            dataset: Dataset::DailyConsumption,
            first: today.minus_months(36).plus(-15),
            max_days: 365,
            ..Self::curve(&today.to_string())
        }
    }

    fn series(&self) -> Series<'_> {
        Series {
            dataset: self.dataset,
            window: Days::new(self.first, self.today),
            served_first: self.first,
            exact_days: self.max_days,
            max_days: self.max_days,
            every: self.every,
            days: &self.days,
            turn: Turn::Open,
            aside: Vec::new(),
            probe: None,
            fetched: std::collections::BTreeSet::new(),
        }
    }

    fn plan(&self) -> Vec<Call> {
        plan(&[self.series()], morning(self.today), Request::default(), None)
    }

    /// Answers a call: every day is there but those in `without`.
    fn answer(&mut self, call: Call, without: &[Day]) {
        let held = call.days.iter().any(|d| !without.contains(&d));
        let asked = Asked {
            at: morning(self.today),
            window_first: self.first,
            certain: held || call.days.len() == 1,
            exact: true,
            same_day: SameDay::Often,
        };
        for day in call.days.iter() {
            let there = !without.contains(&day);
            let seen = DayObservation { stored: i32::from(there), expected: Some(1), whole: there };
            let record = self.days.get(day);
            self.days.insert(day, record.after(day, seen, asked));
        }
    }

    fn complete(&mut self, days: impl IntoIterator<Item = Day>) {
        for day in days {
            self.days.insert(day, DayRecord { state: DayState::Complete, stored: 1, ..DayRecord::missing() });
        }
    }
}

#[test]
fn a_first_backfill_takes_107_calls_a_curve_and_4_a_daily_series_on_any_day() {
    for n in 0..2_000 {
        let today = day("2026-01-01").plus(n).to_string();
        assert_eq!(World::curve(&today).plan().len(), 107, "{today}");
        assert_eq!(World::daily(&today).plan().len(), 4, "{today}");
    }
}

#[test]
fn calls_are_newest_first_and_never_past_yesterday() {
    let world = World::curve("2026-11-24");
    let calls = world.plan();
    assert_eq!(calls[0].days.end(), day("2026-11-24"));
    assert_eq!(calls[0].reason, Reason::Yesterday);
    assert!(calls.windows(2).all(|pair| pair[0].days.end() > pair[1].days.end()));
    assert_eq!(calls.last().unwrap().days.first(), world.first);
}

#[test]
fn the_daily_call_carries_the_trailing_week() {
    let mut world = World::curve("2026-11-24");
    world.complete(Days::new(world.first, day("2026-11-23")).unwrap().iter());
    let calls = world.plan();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].days, Days::new(day("2026-11-17"), day("2026-11-24")).unwrap());
    let mut daily = World::daily("2026-11-24");
    daily.complete(Days::new(daily.first, day("2026-11-23")).unwrap().iter());
    assert_eq!(daily.plan()[0].days, Days::new(day("2026-11-17"), day("2026-11-24")).unwrap());
}

#[test]
fn a_lone_gap_is_stretched_into_the_past() {
    let mut world = World::curve("2026-11-24");
    world.complete(Days::new(world.first, world.today).unwrap().iter().filter(|d| *d != day("2026-03-10")));
    let calls = world.plan();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].days, Days::new(day("2026-03-09"), day("2026-03-11")).unwrap());
}

#[test]
fn nothing_is_planned_when_nothing_is_wanted() {
    let mut world = World::daily("2026-11-24");
    world.complete(Days::new(world.first, world.today).unwrap().iter());
    assert_eq!(world.plan(), []);
}

#[test]
fn a_hole_is_settled_and_tried_once_more_before_it_leaves() {
    let mut world = World::curve("2026-11-24");
    let hole = day("2026-03-10");
    world.complete(Days::new(world.first, world.today).unwrap().iter().filter(|d| *d != hole));
    let mut asked = Vec::new();
    for n in 0..900 {
        world.today = day("2026-11-24").plus(n);
        world.first = world.today.minus_months(24).plus(-15);
        for call in world.plan() {
            if call.days.contains(hole) {
                asked.push(hole.since(world.first));
            }
            world.answer(call, &[hole]);
        }
        if n == 20 {
            assert_eq!(world.days.get(hole).state, DayState::Absent);
        }
    }
    assert_eq!(asked.len(), 4, "first, a day and a week later, once before it leaves: {asked:?}");
    assert!(asked[3] < 2, "{asked:?}");
}

#[test]
fn late_days_cost_nothing_extra() {
    let mut world = World::curve("2026-09-01");
    let mut calls_made = 0;
    for call in world.plan() {
        world.answer(call, &[]);
    }
    for n in 1..=60 {
        world.today = day("2026-09-01").plus(n);
        world.first = world.today.minus_months(24).plus(-15);
        let late: Vec<Day> = Days::new(world.today.plus(-6), world.today)
            .unwrap()
            .iter()
            .filter(|d| d.number() % 20 == 0 && world.today.since(*d) <= 5)
            .collect();
        for call in world.plan() {
            calls_made += 1;
            world.answer(call, &late);
        }
    }
    assert_eq!(calls_made, 60);
    let kept = Days::new(world.first, world.today.plus(-6)).unwrap();
    assert_eq!(world.days.gaps(kept).count(), 0);
}

#[test]
fn a_single_hole_does_not_erase_its_week() {
    let mut world = World::curve("2026-11-24");
    let week = Days::new(day("2026-05-05"), day("2026-05-12")).unwrap();
    for call in world.plan() {
        world.answer(call, &[]);
    }
    for day in week.iter() {
        world.days.insert(day, DayRecord::missing());
    }
    let calls = world.plan();
    assert_eq!(calls.len(), 1);
    world.answer(calls[0], &week.iter().collect::<Vec<_>>());
    let alone = world.plan();
    assert_eq!(alone.len(), 7);
    assert!(alone.iter().all(|c| c.days.len() == 1 && c.reason == Reason::Alone), "{alone:?}");
    for call in alone {
        world.answer(call, &[day("2026-05-08")]);
    }
    assert_eq!(world.plan(), []);
    assert_eq!(world.days.get(day("2026-05-08")).state, DayState::Pending);
}

#[test]
fn a_small_allowance_saves_what_is_about_to_leave() {
    let world = World::curve("2026-11-24");
    let series = [world.series()];
    let allowance = Allowance { today: 2, per_day: 2, newest: true };
    let calls = plan(&series, morning(world.today), Request::default(), Some(allowance));
    assert_eq!(calls.len(), 107);
    // The oldest call holds the day that leaves tomorrow; the newest still comes today too.
    let today: Vec<Day> = calls[..2].iter().map(|c| c.days.first()).collect();
    assert!(today.contains(&world.first), "{today:?}");
    for (place, call) in calls.iter().enumerate() {
        let later = i32::try_from(place / 2).unwrap();
        assert!(call.oldest_wanted.since(world.first) >= later, "{call:?} at {place}");
    }
}

#[test]
fn new_days_can_be_asked_for_less_often() {
    let mut world = World::daily("2026-11-24");
    world.every = 7;
    for call in world.plan() {
        world.answer(call, &[]);
    }
    let mut asked = Vec::new();
    for n in 1..=21 {
        world.today = day("2026-11-24").plus(n);
        world.first = world.today.minus_months(36).plus(-15);
        for call in world.plan() {
            asked.push(n);
            world.answer(call, &[]);
        }
    }
    assert_eq!(asked, [7, 14, 21]);
    assert_eq!(world.days.gaps(Days::new(world.first, world.today).unwrap()).count(), 0);
}

/// The fewest intervals of `longest` days that hold all of `days`, by trying every start.
fn fewest(days: &[i32], longest: i32) -> usize {
    let mut best = vec![0; days.len() + 1];
    for i in 0..days.len() {
        best[i + 1] = (0..=i).filter(|j| days[i] - days[*j] < longest).map(|j| best[j] + 1).min().unwrap();
    }
    best[days.len()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Any coverage: the plan is minimal, within every rule, and fetching it leaves nothing missing.
    #[test]
    fn any_coverage_is_planned_minimally_and_fetched_wholly(
        states in prop::collection::vec((0_u8..6, any::<bool>()), 1..150),
        max_days in prop_oneof![Just(7), Just(6), Just(30), Just(365)],
        length in 1_i32..150,
    ) {
        let today = day("2026-11-24");
        let mut world = World { first: today.plus(-length), max_days, ..World::curve("2026-11-24") };
        let now = morning(today);
        for (n, (state, flag)) in states.iter().enumerate() {
            let day = world.first.plus(i32::try_from(n).unwrap());
            let state = [DayState::Complete, DayState::Complete, DayState::Missing, DayState::Partial,
                DayState::Pending, DayState::Absent][usize::from(*state)];
            if state != DayState::Missing && day < today {
                let next_try = matches!(state, DayState::Partial | DayState::Pending)
                    .then_some(if *flag { now - 1 } else { now + 86_400 });
                let stored = i32::from(state == DayState::Complete || state == DayState::Partial);
                let record = DayRecord { state, stored, next_try, certain: true, ..DayRecord::missing() };
                world.days.insert(day, record);
            }
        }
        let window = Days::new(world.first, today).unwrap();
        let wanted: Vec<i32> = want::wanted(&world.series(), window, now, Request::default())
            .iter().map(|w| w.day.number()).collect();
        let calls = world.plan();
        prop_assert_eq!(calls.len(), fewest(&wanted, max_days));
        for (i, call) in calls.iter().enumerate() {
            prop_assert!(call.days.len() <= max_days);
            prop_assert!(window.first() <= call.days.first() && call.days.end() <= window.end());
            prop_assert!(call.days.len() > 1 || window.len() == 1, "{:?}", call);
            prop_assert!(wanted.iter().any(|d| call.days.contains(Day::from_number(*d))));
            prop_assert!(calls[..i].iter().all(|c| c.days.end() > call.days.end()));
        }
        for call in calls {
            world.answer(call, &[]);
        }
        prop_assert_eq!(world.plan(), vec![]);
        for day in wanted {
            prop_assert_eq!(world.days.get(Day::from_number(day)).state, DayState::Complete);
        }
    }
}
