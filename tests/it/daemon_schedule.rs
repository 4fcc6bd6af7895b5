//! Years of mornings on a clock that moves only when told: the agenda decides when, the engine does
//! it, the simulated Enedis counts.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::NaiveTime;
use linkyd::clock::Clock as _;
use linkyd::daemon::agenda::{Agenda, Ended};
use linkyd::domain::{Dataset, Day, paris};
use linkyd::plan::wake::{Policy, Why, jitter};
use linkyd::simulator::{Action, Envelope, Faults, Late, Match, MeterSpec, Stretch, World};

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
    passes: Vec<(i64, Why)>,
}

impl Years {
    async fn new(world: World, since: &str, now: &str) -> Self {
        let rig = Rig::new(world, &DATASETS, at(now)).await.since(day(since));
        let agenda = Agenda::new(policy());
        Self { rig, agenda, passes: Vec::new() }
    }

    fn now(&self) -> i64 {
        self.rig.clock.now().timestamp()
    }

    /// Makes every pass that is due until then.
    async fn live_until(&mut self, end: &str) {
        let end = at(end).timestamp();
        loop {
            let wake = self.agenda.next(self.now());
            if wake.at >= end {
                self.rig.clock.advance(Duration::from_secs((end - self.now()).max(0).unsigned_abs()));
                return;
            }
            self.rig.clock.advance(Duration::from_secs((wake.at - self.now()).max(0).unsigned_abs()));
            let began = self.now();
            let report = self.rig.pass().await;
            self.agenda.ended(began, self.now(), Ended::of(&report));
            self.agenda.learn(&self.rig.store.status().await.unwrap());
            self.passes.push((began, wake.why));
            assert!(self.passes.len() < 10_000, "the agenda runs wild");
        }
    }

    /// The machine is off until then.
    fn off_until(&self, instant: &str) {
        let wait = at(instant).timestamp() - self.now();
        self.rig.clock.advance(Duration::from_secs(wait.unsigned_abs()));
    }

    /// A process that starts: all that it knows is in the database.
    async fn restart(&mut self) {
        let status = self.rig.store.status().await.unwrap();
        let config = config(METER);
        self.agenda = Agenda::from_status(policy(), &status, &config);
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
