//! What an operator narrows a pass to, how often series are asked, corrections, and days that come
//! late, never, or only from some day on.

use linkyd::domain::{Dataset, DayState, Days, SeriesState};
use linkyd::engine::Selection;
use linkyd::exit::Exit;
use linkyd::plan::Request;
use linkyd::simulator::{Action, Correction, Faults, Late, Match, MeterSpec, Stretch, World};

use crate::support::{Rig, at, day, on_each_engine, prm};

on_each_engine! {
    a_selection_asks_for_nothing_else,
    a_refetch_asks_for_each_day_once_whatever_happens_to_its_calls,
    a_correction_arrives_with_the_trailing_week_and_leaves_a_revision,
    a_stretched_schedule_asks_once_a_week_and_misses_nothing,
    a_late_yesterday_is_there_as_soon_as_it_is_published_and_not_chased,
    an_empty_week_is_asked_day_by_day_once_and_an_uncollected_past_is_left_alone,
}

const METER: &str = "01234567890123";
const OTHER: &str = "09876543210987";
const SINCE: &str = "2026-10-01";
const DATASETS: [Dataset; 2] = [Dataset::ConsumptionLoadCurve, Dataset::DailyConsumption];

async fn rig_of(meter: MeterSpec, datasets: &[Dataset]) -> Rig {
    let world = World::new(31).with(meter).with(MeterSpec::new(prm(OTHER)));
    Rig::new(world, datasets, at("2026-11-24T08:30:00+01:00")).await.since(day(SINCE))
}

fn days(first: &str, end: &str) -> Option<Days> {
    Days::new(day(first), day(end))
}

async fn a_selection_asks_for_nothing_else() {
    let rig = rig_of(MeterSpec::new(prm(METER)), &DATASETS).await;
    let only = Request { only: days("2026-11-01", "2026-11-05"), operator: true, ..Request::default() };
    let datasets = vec![Dataset::ConsumptionLoadCurve];
    let narrow = Selection { prms: vec![prm(METER)], datasets, request: only, ..Selection::default() };
    let report = rig.pass_with(narrow.clone()).await;
    assert_eq!((report.calls, report.exit(), report.meters.len()), (1, Exit::Done, 1));
    let call = rig.simulator.log().pop().unwrap();
    assert_eq!((call.prm, call.dataset), (Some(prm(METER)), Dataset::ConsumptionLoadCurve));
    assert!(call.start.unwrap() <= day("2026-11-01") && call.end.unwrap() >= day("2026-11-05"));
    assert_eq!(rig.pass_with(narrow.clone()).await.calls, 0);
    let again = Selection { request: Request { refetch: true, ..only }, ..narrow };
    assert_eq!(rig.pass_with(again.clone()).await.calls, 1);
    assert_eq!(rig.pass_with(again).await.calls, 1, "each refetch asks once, even at the same instant");
}

async fn a_refetch_asks_for_each_day_once_whatever_happens_to_its_calls() {
    let rig = rig_of(MeterSpec::new(prm(METER)), &[Dataset::ConsumptionLoadCurve]).await;
    rig.pass().await;
    let before = rig.calls();
    let fault = Action::Status {
        status: 500,
        envelope: linkyd::simulator::Envelope::E1,
        code: "technical_error".to_owned(),
        text: String::new(),
    };
    let bad = Match { contains_day: Some(day("2026-10-20")), prm: Some(prm(METER)), ..Match::any() };
    rig.simulator.set_faults(Faults::none().with(bad, fault));
    let request = Request { refetch: true, operator: true, ..Request::default() };
    rig.pass_with(Selection { request, ..Selection::default() }).await;
    let calls = rig.calls() - before;
    assert!(calls <= 2 * 9, "{calls} calls for two times 54 days");
}

async fn a_correction_arrives_with_the_trailing_week_and_leaves_a_revision() {
    let rig = rig_of(MeterSpec::new(prm(METER)), &DATASETS).await;
    rig.pass().await;
    rig.simulator.change(|world| {
        world.meter_mut(&prm(METER)).unwrap().corrections.push(Correction {
            stretch: Stretch::days(day("2026-11-22"), day("2026-11-22")),
            at: at("2026-11-24T12:00:00Z"),
            add: 4,
        });
    });
    rig.next_morning(8, 10);
    let report = rig.pass().await;
    assert_eq!((report.calls, report.changed), (4, 48 + 1));
    rig.assert_true_since(&prm(METER), day(SINCE)).await;
    // An older one is fetched when an operator asks.
    rig.simulator.change(|world| {
        world.meter_mut(&prm(METER)).unwrap().corrections.push(Correction {
            stretch: Stretch::days(day("2026-10-10"), day("2026-10-10")),
            at: at("2026-11-24T12:00:00Z"),
            add: 4,
        });
    });
    let request = Request { only: days("2026-10-10", "2026-10-11"), refetch: true, operator: true };
    let report = rig.pass_with(Selection { request, ..Selection::default() }).await;
    assert_eq!(report.changed, 48 + 1);
    rig.assert_true_since(&prm(METER), day(SINCE)).await;
}

async fn a_stretched_schedule_asks_once_a_week_and_misses_nothing() {
    let mut rig = rig_of(MeterSpec::new(prm(METER)), &DATASETS).await;
    rig.meters.truncate(1);
    rig.every.insert(Dataset::DailyConsumption, 7);
    rig.pass().await;
    rig.simulator.reset_counters();
    for _ in 0..28 {
        rig.next_morning(8, 10);
        rig.pass().await;
    }
    let log = rig.simulator.log();
    let count = |dataset| log.iter().filter(|c| c.dataset == dataset).count();
    assert_eq!((count(Dataset::ConsumptionLoadCurve), count(Dataset::DailyConsumption)), (28, 4));
    let whole = Days::new(day(SINCE), day("2026-12-22")).unwrap();
    rig.assert_equals_truth(&prm(METER), Dataset::DailyConsumption, whole).await;
}

async fn a_late_yesterday_is_there_as_soon_as_it_is_published_and_not_chased() {
    let mut meter = MeterSpec::new(prm(METER));
    let thirteen = chrono::NaiveTime::from_hms_opt(13, 0, 0);
    meter.late.push(Late { stretch: Stretch::days(day("2026-11-23"), day("2026-11-24")), days: 0, at: thirteen });
    let mut rig = rig_of(meter, &[Dataset::ConsumptionLoadCurve]).await;
    rig.meters.truncate(1);
    let newest = async |rig: &Rig| rig.status(&prm(METER), Dataset::ConsumptionLoadCurve).await.newest_day;
    assert_eq!(rig.sync().await.exit(), Exit::Done);
    assert_eq!(newest(&rig).await, Some(day("2026-11-22")));
    rig.advance(60);
    rig.sync().await;
    assert_eq!(newest(&rig).await, Some(day("2026-11-22")));
    rig.advance(215);
    assert_eq!(rig.sync().await.exit(), Exit::Done);
    assert_eq!(newest(&rig).await, Some(day("2026-11-23")));
    // The timer may look every quarter of an hour: it asks at its widening steps only.
    rig.next_morning(8, 5);
    let before = rig.calls();
    for _ in 0..56 {
        rig.pass().await;
        rig.advance(15);
    }
    assert_eq!(newest(&rig).await, Some(day("2026-11-24")));
    assert!(rig.calls() - before <= 4, "{}", rig.calls() - before);
}

async fn an_empty_week_is_asked_day_by_day_once_and_an_uncollected_past_is_left_alone() {
    let mut meter = MeterSpec::new(prm(METER));
    meter.holes.push(Stretch::days(day("2026-10-14"), day("2026-10-20")));
    let mut rig = rig_of(meter, &[Dataset::ConsumptionLoadCurve]).await;
    rig.meters.truncate(1);
    rig.pass().await;
    let spans = rig.fewest(Dataset::ConsumptionLoadCurve).min(8);
    assert!(rig.calls() <= spans + 7 + 1, "{}", rig.calls());
    assert_eq!(rig.pass().await.calls, 0);

    // The collection began half a year ago: older spans are asked for whole, three times at most.
    let mut meter = MeterSpec::new(prm(METER));
    meter.curve_off.push(Stretch { last: Some(day("2026-05-31")), ..Stretch::default() });
    let rig = rig_of(meter, &[Dataset::ConsumptionLoadCurve]).await;
    let mut rig = rig.since(day("2025-06-01"));
    rig.meters.truncate(1);
    rig.pass().await;
    let fewest = usize::try_from(day("2026-11-24").since(day("2025-06-01"))).unwrap().div_ceil(7);
    assert!(rig.calls() <= fewest + 2, "{}: not day by day", rig.calls());
    let mut calls = Vec::new();
    for _ in 0..40 {
        rig.next_morning(8, 10);
        calls.push(rig.pass().await.calls);
    }
    let extra: u64 = calls.iter().map(|calls| calls - 1).sum();
    assert!(extra <= 2 * 53, "a day and a week later, then silence: {calls:?}");
    assert_eq!(calls.iter().skip(10).sum::<u64>(), 30);
    let line = rig.status(&prm(METER), Dataset::ConsumptionLoadCurve).await;
    assert_eq!(line.state, SeriesState::Ok);
    assert!(line.days[&DayState::Absent] >= 350, "{:?}", line.days);
    assert!(!line.days.contains_key(&DayState::Pending), "{:?}", line.days);
    assert_eq!(rig.database.check().await.unwrap(), []);
}
