//! Years of mornings on a clock that moves only when told: the agenda decides when, the engine does
//! it, the simulated Enedis counts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::NaiveTime;
use linkyd::clock::Clock as _;
use linkyd::config::Config;
use linkyd::daemon::agenda::{Agenda, Ended};
use linkyd::daemon::asleep::Known;
use linkyd::daemon::backlog::Backlog;
use linkyd::domain::{Dataset, Day, Days, paris};
use linkyd::plan::wake::{Policy, Wake, Why, jitter};
use linkyd::simulator::{Action, Envelope, Faults, Late, Match, MeterSpec, Stretch, World};
use linkyd::store::SeriesStatus;

use crate::daemon_rig::config;
use crate::support::{Rig, at, day, prm};

const METER: &str = "01234567890123";
const DATASETS: [Dataset; 2] = [Dataset::ConsumptionLoadCurve, Dataset::DailyConsumption];

fn wall(hour: u32, minute: u32) -> NaiveTime {
    NaiveTime::from_hms_opt(hour, minute, 0).unwrap()
}

fn policy() -> Policy {
    Policy { wake_at: wall(8, 0), retry_until: wall(20, 0), jitter: jitter(METER) }
}

/// A daemon without its process: the agenda, and what it led to.
struct Years {
    rig: Rig,
    agenda: Agenda,
    config: Config,
    passes: Vec<(i64, Why)>,
}

impl Years {
    async fn new(world: World, since: &str, now: &str) -> Self {
        let rig = Rig::new(world, &DATASETS, at(now)).await.since(day(since));
        let agenda = Agenda::new(policy());
        Self { rig, agenda, config: config(METER), passes: Vec::new() }
    }

    fn now(&self) -> i64 {
        self.rig.clock.now().timestamp()
    }

    /// Makes every pass that is due until then.
    async fn live_until(&mut self, end: &str) {
        self.live_to(at(end).timestamp()).await;
    }

    /// The same, in seconds since 1970.
    async fn live_to(&mut self, end: i64) {
        loop {
            let wake = self.agenda.next(self.now());
            if wake.at >= end {
                self.rig.clock.advance(Duration::from_secs((end - self.now()).max(0).unsigned_abs()));
                return;
            }
            self.rig.clock.advance(Duration::from_secs((wake.at - self.now()).max(0).unsigned_abs()));
            let began = self.now();
            let report = self.rig.pass().await;
            let ended = Ended::of(&report);
            self.agenda.ended(began, self.now(), ended);
            let status = self.rig.store.status().await.unwrap();
            self.agenda.learn(&status);
            if ended != Ended::InTrouble {
                assert_eq!(
                    self.asleep(&status).await.at,
                    self.agenda.next(self.now()).at,
                    "{ended:?} at {}",
                    self.now()
                );
            }
            self.passes.push((began, wake.why));
            assert!(self.passes.len() < 10_000, "the agenda runs wild");
        }
    }

    /// When the next pass is, as somebody reckons who sees nothing but the database.
    async fn asleep(&self, series: &[SeriesStatus]) -> Wake {
        let sources = self.rig.store.sources().await.unwrap();
        let rests: Vec<_> =
            sources.iter().filter_map(|s| Some((s.name.as_str(), s.state.not_before_ms?.div_euclid(1_000)))).collect();
        let known = Known { series, customers: &[], rests: &rests, config: &self.config };
        Agenda::asleep(policy(), &known, self.rig.clock.now()).next(self.now())
    }

    /// The machine is off until then.
    fn off_until(&self, instant: &str) {
        self.off_to(at(instant).timestamp());
    }

    /// The same, in seconds since 1970.
    fn off_to(&self, instant: i64) {
        self.rig.clock.advance(Duration::from_secs((instant - self.now()).unsigned_abs()));
    }

    /// A process that starts: all that it knows is in the database.
    async fn restart(&mut self) {
        let status = self.rig.store.status().await.unwrap();
        self.agenda = Agenda::from_status(policy(), &status, &[], &self.config);
    }

    /// Calls by Paris day and dataset from an instant on.
    fn calls_since(&self, instant: i64) -> BTreeMap<(Day, Dataset), Vec<NaiveTime>> {
        let mut calls: BTreeMap<_, Vec<NaiveTime>> = BTreeMap::new();
        for call in self.rig.simulator.log().iter().filter(|call| call.at.timestamp() >= instant) {
            let local = paris::local(call.at.timestamp());
            calls.entry((Day::from_date(local.date()), call.dataset)).or_default().push(local.time());
        }
        calls
    }
}

fn world() -> World {
    World::new(5).with(MeterSpec::new(prm(METER)))
}

#[tokio::test]
async fn two_years_have_one_pass_a_day_and_one_call_for_each_series() {
    let mut years = Years::new(world(), "2026-09-20", "2026-10-01T12:00:00+02:00").await;
    years.live_until("2026-10-01T13:00:00+02:00").await;
    assert_eq!(years.passes.iter().map(|(_, why)| *why).collect::<Vec<_>>(), [Why::Start]);
    let began = years.now();
    years.live_until("2028-10-01T13:00:00+02:00").await;
    // Both changes of the clock, twice; a leap day.
    let days = day("2028-10-01").since(day("2026-10-01"));
    assert_eq!(i32::try_from(years.passes.len()).unwrap(), 1 + days);
    for (pass, before) in years.passes[1..].iter().zip(&years.passes) {
        assert_eq!((paris::day_of(pass.0), pass.1), (paris::day_of(before.0).next(), Why::Daily));
        let local = paris::local(pass.0).time();
        assert!(local >= wall(8, 0) && local < wall(8, 30), "{local}");
    }
    let calls = years.calls_since(began);
    assert_eq!(i32::try_from(calls.len()).unwrap(), 2 * days);
    for ((day, dataset), times) in &calls {
        assert!(times.len() == 1 && times[0] >= wall(8, 0), "{day} {dataset}: {times:?}");
    }
    assert_eq!(years.rig.unsuccessful(), 0);
    years.rig.assert_true_since(&prm(METER), day("2026-09-20")).await;
}

/// What disturbs a day of the two years.
#[derive(Clone, Copy)]
enum Event {
    /// Enedis answers with errors from seven until this hour.
    Outage(u32),
    /// The machine sleeps from six until so many days later, at half past nine in the evening.
    Suspend(i32),
}

#[tokio::test]
async fn two_years_of_daily_life_leave_no_gap_and_cost_no_call_too_many() {
    const BUDGET: u32 = 20;
    let (first, last) = (day("2026-10-02"), day("2028-10-01"));
    let mut meter = MeterSpec::new(prm(METER));
    let mut random = fastrand::Rng::with_seed(7);
    // Days on which more than one call a series, or none at all, is right.
    let mut disturbed: BTreeMap<Day, Option<Event>> = BTreeMap::new();
    for n in (10..last.since(first) - 20).step_by(17) {
        let day = first.plus(n + random.i32(0..10));
        let days = random.i32(0..=3);
        let at = (days == 0 || random.bool()).then(|| wall(random.u32(9..19), random.u32(0..60)));
        meter.late.push(Late { stretch: Stretch::days(day, day), days, at });
        // It is asked for from the next morning until it is there, and may be carried by a daily call.
        disturbed.extend((1..=days + 2).map(|later| (day.plus(later), None)));
    }
    for n in (5..last.since(first) - 5).step_by(23) {
        disturbed.insert(first.plus(n + random.i32(0..12)), Some(Event::Outage(random.u32(8..20))));
    }
    // One of them over the end of summer time.
    for (text, days) in [("2027-03-27", 2), ("2028-02-28", 0)] {
        disturbed.extend((0..=days + 1).map(|n| (day(text).plus(n), None)));
        disturbed.insert(day(text), Some(Event::Suspend(days)));
    }
    let mut years = Years::new(World::new(5).with(meter), "2026-09-20", "2026-10-01T12:00:00+02:00").await;
    years.rig.limits.per_day = Some(BUDGET);
    years.live_to(paris::at_wall(first, wall(6, 0))).await;
    let began = years.now();
    let down = Action::Status { status: 503, envelope: Envelope::E1, code: "503".to_owned(), text: String::new() };
    for (day, event) in disturbed.clone().into_iter().filter_map(|(day, event)| Some((day, event?))) {
        let at = |day, hour, minute| paris::at_wall(day, wall(hour, minute));
        match event {
            Event::Outage(until) if years.now() < at(day, 7, 0) => {
                years.live_to(at(day, 7, 0)).await;
                years.rig.simulator.set_faults(Faults::none().with(Match::any(), down.clone()));
                years.live_to(at(day, until, 0)).await;
                years.rig.simulator.set_faults(Faults::none());
            }
            Event::Outage(_) => {}
            Event::Suspend(days) => {
                years.live_to(at(day, 6, 0)).await;
                years.off_to(at(day.plus(days), 21, 30));
            }
        }
    }
    years.live_to(paris::at_wall(last, wall(23, 0))).await;

    // Each slot has one pass, and those that were slept over have one together.
    let slots = years.passes.iter().filter(|(at, why)| *at >= began && matches!(why, Why::Daily | Why::Missed));
    let slots: Vec<(Day, Why)> = slots.map(|(at, why)| (paris::day_of(*at), *why)).collect();
    let asleep: BTreeSet<Day> = ["2027-03-27", "2027-03-28"].map(day).into();
    let days = Days::new(first, last.next()).unwrap();
    let wanted: Vec<Day> = days.iter().filter(|day| !asleep.contains(day)).collect();
    assert_eq!(slots.iter().map(|(day, _)| *day).collect::<Vec<_>>(), wanted);
    let missed: Vec<Day> = slots.iter().filter(|(_, why)| *why == Why::Missed).map(|(day, _)| *day).collect();
    assert_eq!(missed, ["2027-03-29", "2028-02-28"].map(day));
    // Where all is well: one call for each series and day. Never one before eight.
    let calls = years.calls_since(began);
    for ((day, dataset), times) in &calls {
        assert!(times.iter().all(|time| *time >= wall(8, 0)), "{day} {dataset}: {times:?}");
    }
    for day in days.iter().filter(|day| !disturbed.contains_key(day)) {
        for dataset in DATASETS {
            assert_eq!(calls.get(&(day, dataset)).map(Vec::len), Some(1), "{day} {dataset}");
        }
    }
    // No window of 24 hours has more calls than the budget.
    let log = years.rig.simulator.log();
    let starts: Vec<i64> = log.iter().map(|call| call.at.timestamp()).filter(|at| *at >= began).collect();
    let most = usize::try_from(BUDGET).unwrap();
    assert!(starts.windows(most + 1).all(|some| some[most] - some[0] >= 86_400));
    let in_trouble = log.iter().filter(|call| call.status == 503).count();
    assert!(in_trouble > 30, "{in_trouble} calls met an outage");
    years.rig.assert_true_since(&prm(METER), day("2026-09-20")).await;
    assert_eq!(years.rig.store.status().await.unwrap().iter().map(|s| s.gaps).sum::<i64>(), 0);
}

#[tokio::test]
async fn a_backfill_over_many_days_ends_when_it_was_said_to() {
    const BUDGET: u32 = 14;
    let mut years = Years::new(world(), "2025-01-01", "2026-10-01T12:00:00+02:00").await;
    years.rig.limits.per_day = Some(BUDGET);
    let mut forecasts: Vec<(i64, i64)> = Vec::new();
    for n in 0.. {
        let backlog = Backlog::of(&years.rig.engine()).await.unwrap();
        let Some(until) = backlog.until else { break };
        assert!(backlog.calls > 0 && backlog.expiring.is_empty(), "{backlog:?}");
        forecasts.push((years.now(), until));
        assert!(n < 60, "it does not end: {backlog:?}");
        years.live_to(years.now() + 86_400).await;
        // The morning's pass has its calls, token included: the newest day is never late.
        for status in years.rig.store.status().await.unwrap() {
            assert_eq!(status.newest_day, Some(paris::day_of(years.now()).plus(-1)));
        }
    }
    // The last call for history: later ones are for the newest days alone.
    let log = years.rig.simulator.log();
    let old = log.iter().filter(|call| call.end.is_some_and(|end| paris::day_of(call.at.timestamp()).since(end) > 8));
    let end = old.map(|call| call.at.timestamp()).max().unwrap();
    assert!(forecasts.len() > 6, "{forecasts:?}");
    for (at, until) in &forecasts {
        let hours = (until - end).abs() / 3_600;
        assert!(hours <= 36, "said at {at}: {until}, was {end}: {hours} hours beside");
    }
    years.rig.assert_true_since(&prm(METER), day("2025-01-01")).await;
}

#[tokio::test]
async fn days_that_will_have_left_the_window_are_told_before() {
    // Twelve whole curves and fourteen calls a day, of which the mornings take thirteen.
    let numbers: Vec<_> = (10..22).map(|last| prm(&format!("012345678901{last}"))).collect();
    let world = numbers.iter().fold(World::new(5), |world, number| world.with(MeterSpec::new(number.clone())));
    let mut rig = Rig::new(world, &DATASETS[..1], at("2026-10-01T12:00:00+02:00")).await;
    rig.limits.per_day = Some(40);
    let told = Backlog::of(&rig.engine()).await.unwrap();
    assert!(told.expiring.is_empty(), "forty a day are enough: {told:?}");
    rig.limits.per_day = Some(14);
    let told = Backlog::of(&rig.engine()).await.unwrap();
    let lost = told.expiring.get(&DATASETS[0]).copied().unwrap_or(0);
    assert!(lost > 0, "fourteen a day are not: {told:?}");
}

#[tokio::test]
async fn late_days_are_tried_at_widening_steps_until_the_evening() {
    let mut meter = MeterSpec::new(prm(METER));
    // One day comes at one in the afternoon, another one two days late.
    let stretch = |text: &str| Stretch::days(day(text), day(text));
    meter.late.push(Late { stretch: stretch("2026-11-10"), days: 0, at: Some(wall(13, 0)) });
    meter.late.push(Late { stretch: stretch("2026-11-15"), days: 2, at: None });
    let mut years = Years::new(World::new(5).with(meter), "2026-10-20", "2026-11-05T07:00:00+01:00").await;
    years.live_until("2026-11-20T07:00:00+01:00").await;
    let on = |text: &str| -> Vec<(u32, Why)> {
        use chrono::Timelike as _;
        let passes = years.passes.iter().filter(|(at, _)| paris::day_of(*at) == day(text));
        passes.map(|(at, why)| (paris::local(*at).hour(), *why)).collect()
    };
    assert_eq!(on("2026-11-11"), [(8, Why::Daily), (9, Why::Late), (11, Why::Late), (14, Why::Late)]);
    let all_day = [(8, Why::Daily), (9, Why::Late), (11, Why::Late), (14, Why::Late), (18, Why::Late)];
    assert_eq!(on("2026-11-16"), all_day);
    // A day that is older is carried by the daily call.
    assert_eq!(on("2026-11-17"), [(8, Why::Daily)]);
    assert_eq!(on("2026-11-13"), [(8, Why::Daily)]);
    years.rig.assert_true_since(&prm(METER), day("2026-10-20")).await;
}

#[tokio::test]
async fn what_was_missed_while_the_machine_was_off_is_made_up_at_once() {
    let mut years = Years::new(world(), "2026-10-20", "2026-11-05T12:00:00+01:00").await;
    years.live_until("2026-11-06T07:00:00+01:00").await;
    // Off over one slot, and over forty of them; and restarts when there is nothing to make up for.
    for (back, why, on_until) in [
        ("2026-11-06T22:00:00+01:00", Why::Missed, "2026-11-06T22:10:00+01:00"),
        ("2026-12-16T03:00:00+01:00", Why::Missed, "2026-12-16T03:05:00+01:00"),
        ("2026-12-16T03:10:00+01:00", Why::Daily, "2026-12-16T12:00:00+01:00"),
        ("2026-12-17T07:59:00+01:00", Why::Daily, "2026-12-17T08:00:00+01:00"),
    ] {
        years.off_until(back);
        years.restart().await;
        assert_eq!(years.agenda.next(years.now()).why, why, "{back}");
        years.live_until(on_until).await;
    }
    // At three in the morning the newest day was not asked for.
    let early =
        years.rig.simulator.log().into_iter().filter(|call| paris::local(call.at.timestamp()).time() < wall(8, 0));
    assert!(early.into_iter().all(|call| call.end.unwrap() < paris::day_of(call.at.timestamp())));
    years.live_until("2026-12-18T12:00:00+01:00").await;
    years.rig.assert_true_since(&prm(METER), day("2026-10-20")).await;
}

#[tokio::test]
async fn an_outage_is_tried_again_ever_more_rarely_and_heals_by_itself() {
    let mut years = Years::new(world(), "2026-10-20", "2026-11-05T12:00:00+01:00").await;
    years.live_until("2026-11-06T07:00:00+01:00").await;
    let down = Action::Status { status: 429, envelope: Envelope::E1, code: "900802".to_owned(), text: String::new() };
    years.rig.simulator.set_faults(Faults::none().with(Match::any(), down));
    let before = years.passes.len();
    years.live_until("2026-11-06T12:00:00+01:00").await;
    let passes = years.passes.len() - before;
    assert!((2..=12).contains(&passes), "{passes}");
    assert!(years.passes[before + 1..].iter().all(|(_, why)| *why == Why::Resume), "{:?}", &years.passes[before..]);
    years.rig.simulator.set_faults(Faults::none());
    years.live_until("2026-11-06T19:00:00+01:00").await;
    years.rig.assert_true_since(&prm(METER), day("2026-10-20")).await;
    assert_eq!(years.agenda.next(years.now()).why, Why::Daily);
}

#[tokio::test]
async fn a_clock_that_is_set_back_or_far_ahead_stops_nothing() {
    let mut years = Years::new(world(), "2026-10-20", "2026-11-05T12:00:00+01:00").await;
    years.live_until("2026-11-06T12:00:00+01:00").await;
    years.rig.clock.step_to(at("2026-11-06T05:00:00+01:00"));
    let passes = years.passes.len();
    years.live_until("2026-11-06T12:00:00+01:00").await;
    // One look at once, since the past was in the future, and the day's slot again; no call repeats.
    assert_eq!(years.passes.len(), passes + 2);
    years.live_until("2026-11-08T12:00:00+01:00").await;
    years.rig.assert_true_since(&prm(METER), day("2026-10-20")).await;
}
