//! The community gateways: whole histories through each of them over as many days as their budgets
//! take, never near a ban, whatever happens meanwhile; and one source standing in for another.

use std::time::Duration;

use linkyd::daemon::agenda::Ended;
use linkyd::domain::{CustomerDataset, Dataset, Days, SeriesState};
use linkyd::engine::Selection;
use linkyd::exit::Exit;
use linkyd::simulator::{Action, Envelope, Faults, Front, Match, MeterKind, MeterSpec, World};
use tokio_util::sync::CancellationToken;

use crate::support::gateways::{conso, med};
use crate::support::{Rig, at, day, on_each_engine, polls, prm};

// What takes weeks of a small budget is the engine's business, whatever keeps them.
on_each_engine! {
    while_one_source_is_down_the_next_stands_in_and_nothing_is_doubled,
    what_is_left_of_customers_waits_for_its_source_although_another_one_stands_in,
    a_ban_stops_every_call_for_a_week_or_until_an_operator_lifts_it,
    what_a_gateway_says_about_its_quota_is_obeyed_at_once,
    a_budget_that_is_used_up_is_waited_for_and_moves_nothing,
    while_a_source_that_serves_less_stands_in_no_day_expires,
    a_counter_that_is_used_up_leaves_the_other_one_alone,
    refused_credentials_cannot_be_tried_without_end,
    a_secret_that_a_contract_finds_wrong_stops_the_source_until_it_is_mended,
    a_ban_is_told_in_each_pass_whoever_stands_in,
    a_new_token_is_tried_at_once_and_a_wrong_one_seldom,
}

const CONSUMER: &str = "01234567890123";
const PRODUCER: &str = "01234567890124";
const CONSUMED: [Dataset; 3] = [Dataset::ConsumptionLoadCurve, Dataset::DailyConsumption, Dataset::DailyMaxPower];
const PRODUCED: [Dataset; 2] = [Dataset::ProductionLoadCurve, Dataset::DailyProduction];

/// A consumer's and a producer's meter.
async fn household(seed: u64) -> Rig {
    let world = World::new(seed)
        .with(MeterSpec::new(prm(CONSUMER)))
        .with(MeterSpec::new(prm(PRODUCER)).kind(MeterKind::Producer));
    let mut rig = Rig::new(world, &CONSUMED, at("2026-10-20T08:05:00+02:00")).await;
    let producer = rig.meters.iter_mut().find(|m| m.prm == prm(PRODUCER)).unwrap();
    producer.datasets = PRODUCED.to_vec();
    rig
}

/// Whether everything is there that the sources serve.
async fn is_whole(rig: &Rig) -> bool {
    let status = rig.store.status().await.unwrap();
    status.iter().all(|line| line.gaps == 0 && line.newest_day.is_some())
}

/// Lives day after day until everything is there; how many days that took.
async fn days_until_whole(rig: &Rig, most: u32) -> u32 {
    for days in 1..=most {
        rig.live_a_day().await;
        if is_whole(rig).await {
            return days;
        }
    }
    panic!("not whole after {most} days: {:?}", rig.store.status().await.unwrap());
}

/// Every value that is stored equals the truth, and nothing is missing of what could be had.
async fn assert_all_true(rig: &Rig) {
    for meter in &rig.meters {
        for dataset in &meter.datasets {
            let first = rig.store_window(&meter.prm, *dataset).await;
            let days = Days::new(first, rig.window(*dataset).end()).unwrap();
            rig.assert_equals_truth(&meter.prm, *dataset, days).await;
        }
    }
    rig.assert_sound().await;
}

/// The fewest days in which so many calls for history can be made beside the daily ones.
fn fewest_days(calls: u32, daily: u32, per_day: u32) -> u32 {
    (1..1_000).find(|days| days * per_day >= calls + daily * (days - 1)).unwrap()
}

#[tokio::test]
async fn through_conso_api_a_history_takes_hardly_more_days_than_its_budget_does() {
    let mut rig = household(31).await.served_by(&["home"]);
    rig.gateways = vec![conso(&rig.simulator, "home")];
    rig.live_a_day().await;
    // After a day the newest weeks are there, not the oldest.
    for meter in &rig.meters {
        for dataset in &meter.datasets {
            let line = rig.status(&meter.prm, *dataset).await;
            assert_eq!(line.newest_day, Some(day("2026-10-19")), "{dataset}");
        }
    }
    let days = 1 + days_until_whole(&rig, 40).await;
    let fewest = fewest_days(226, 5, 20);
    assert!(f64::from(days) <= f64::from(fewest) * 1.15, "{days} days, {fewest} at the least");
    assert_all_true(&rig).await;
    rig.assert_sound().await;
    let seen = rig.simulator.counters().conso;
    assert!(seen.max_in_24_hours <= 20, "{seen:?}");
    assert!(seen.banned.is_empty() && seen.anonymous == 0, "{seen:?}");
}

#[tokio::test]
async fn through_myelectricaldata_a_history_comes_out_of_the_cache() {
    let mut rig = household(32).await.served_by(&["med"]);
    rig.gateways = vec![med(&rig.simulator, "med")];
    let days = days_until_whole(&rig, 10).await;
    assert!(days <= 2, "{days}");
    assert_all_true(&rig).await;
    let seen = rig.simulator.counters().myelectricaldata;
    assert!(seen.max_uncached_in_a_day <= 40 && seen.max_cached_in_a_day <= 400, "{seen:?}");
    assert_eq!((seen.refused_by_quota, seen.unauthorized, seen.anonymous), (0, 0, 0), "{seen:?}");
}

#[tokio::test]
async fn neither_crashes_nor_storms_bring_conso_api_near_a_ban() {
    let mut chance = fastrand::Rng::with_seed(7);
    let mut rig = household(33).await.served_by(&["home", "garden"]);
    // Two tokens of one household: the gateway counts its address.
    rig.gateways = vec![conso(&rig.simulator, "home"), conso(&rig.simulator, "garden")];
    rig.meters[1].sources = vec!["garden".to_owned()];
    rig.simulator.set_faults(Faults { latency_ms: 200, jitter_ms: 100, ..Faults::none() });
    let (mut crashes, mut storms) = (0, 0);
    while crashes < 200 || storms < 50 {
        let engine = rig.engine();
        let (selection, stop) = (Selection::default(), CancellationToken::new());
        if storms < 50 && chance.u32(0..5) == 0 {
            // A storm: whoever wants a pass gets one, one after the other.
            for _ in 0..chance.u32(2..6) {
                rig.sync().await;
            }
            storms += 1;
        } else {
            tokio::select! {
                biased;
                _ = engine.pass(&selection, &stop, &|_| ()) => {}
                () = polls(chance.u32(1..120)) => crashes += 1,
            }
        }
        // The operator renames a source now and then, which refills nothing.
        if chance.u32(0..20) == 0 {
            let name = ["garden", "shed"][chance.usize(0..2)];
            rig.gateways[1] = conso(&rig.simulator, name);
            rig.meters[1].sources = vec![name.to_owned()];
        }
        rig.clock.advance(Duration::from_secs(chance.u64(0..3_600)));
    }
    let seen = rig.simulator.counters().conso;
    assert!(seen.max_in_24_hours <= 20, "{seen:?}");
    assert!(seen.banned.is_empty(), "{seen:?}");
    rig.simulator.set_faults(Faults::none());
    for _ in 0..30 {
        if is_whole(&rig).await {
            break;
        }
        rig.live_a_day().await;
    }
    assert!(is_whole(&rig).await);
    rig.assert_sound().await;
    assert!(rig.simulator.counters().conso.max_in_24_hours <= 20);
}

fn down(front: Front) -> Faults {
    let action = Action::Status { status: 503, envelope: Envelope::E8, code: String::new(), text: String::new() };
    Faults::none().with(Match::front(front), action)
}

/// How many intervals of these days came from which source.
async fn provenance(rig: &Rig, from: &str, end: &str) -> Vec<String> {
    rig.rows(format!(
        "SELECT source || ' ' || count(*) FROM v_load_curve WHERE day >= '{from}' AND day < '{end}' GROUP BY source"
    ))
    .await
}

async fn while_one_source_is_down_the_next_stands_in_and_nothing_is_doubled() {
    let mut rig = household(34).await.served_by(&["enedis", "home"]);
    rig.gateways = vec![conso(&rig.simulator, "home")];
    assert_eq!(rig.pass().await.exit(), Exit::Done);
    assert_eq!(rig.simulator.counters().conso.requests, 0, "the preferred source did it all");
    rig.simulator.set_faults(down(Front::Enedis));
    for day in 0..10 {
        rig.next_morning(8, 10);
        let report = rig.pass().await;
        assert_eq!(report.exit(), Exit::Done, "day {day}: {:?}", report.interruptions);
        for line in rig.store.status().await.unwrap() {
            assert_eq!((line.gaps, line.state), (0, SeriesState::Ok), "day {day}: {line:?}");
        }
    }
    let seen = rig.simulator.counters().conso;
    assert!(seen.max_in_24_hours <= 20, "{seen:?}");
    rig.simulator.set_faults(Faults::none());
    for _ in 0..4 {
        rig.next_morning(8, 10);
        assert_eq!(rig.pass().await.exit(), Exit::Done);
    }
    assert_all_true(&rig).await;
    // The ten mornings brought 20 to 29 October, all from the gateway; a part of it was asked for again by
    // Enedis afterwards and is the same.
    assert_eq!(provenance(&rig, "2026-10-20", "2026-10-30").await, [format!("home {}", 2 * (10 * 48 + 2))]);
    assert_eq!(provenance(&rig, "2026-10-10", "2026-10-20").await, [format!("enedis {}", 2 * 10 * 48)]);
    let newest = provenance(&rig, "2026-10-31", "2026-11-03").await;
    assert_eq!(newest, [format!("enedis {}", 2 * 3 * 48)], "back at the preferred source");
    assert_eq!(rig.rows("SELECT count(*) || '' FROM v_revision".to_owned()).await, ["0"]);
}

async fn what_is_left_of_customers_waits_for_its_source_although_another_one_stands_in() {
    let mut rig = household(46).await.served_by(&["enedis", "home"]);
    rig.gateways = vec![conso(&rig.simulator, "home")];
    assert_eq!(rig.pass().await.exit(), Exit::Done);
    rig.simulator.set_faults(down(Front::Enedis));
    for _ in 0..2 {
        rig.next_morning(8, 10);
        assert_eq!(rig.pass().await.exit(), Exit::Done);
    }
    // It falls due on the morning on which Enedis has failed so often that it is left to rest.
    rig.meters[0].customer = vec![CustomerDataset::Address];
    rig.next_morning(8, 10);
    let report = rig.pass().await;
    assert!(report.meters.iter().flat_map(|m| &m.datasets).all(|d| d.stands_in && d.left == 0), "{report:?}");
    assert_eq!((report.left, report.customers[0].left, report.exit()), (1, 1, Exit::TryLater), "{report:?}");
    let [told] = &report.interruptions[..] else { panic!("{report:?}") };
    let rest = told.until_ms.unwrap() - rig.clock_now_ms();
    assert!(told.source == "enedis" && (3_000_000..4_000_000).contains(&rest), "{told:?}");
    assert_eq!(Ended::of(&report), Ended::Until(told.until_ms.unwrap().div_euclid(1_000) + 1));
    rig.simulator.set_faults(Faults::none());
    rig.advance(u64::try_from(rest / 60_000).unwrap() + 1);
    let report = rig.pass().await;
    assert_eq!((report.left, report.customers[0].answered, report.exit()), (0, true, Exit::Done), "{report:?}");
}

async fn a_ban_stops_every_call_for_a_week_or_until_an_operator_lifts_it() {
    let mut rig = household(35).await.served_by(&["home"]);
    rig.gateways = vec![conso(&rig.simulator, "home"), conso(&rig.simulator, "garden")];
    rig.meters[1].sources = vec!["garden".to_owned()];
    let banned = Action::Status { status: 403, envelope: Envelope::E8, code: String::new(), text: String::new() };
    rig.simulator.set_faults(Faults::none().with(Match::front(Front::ConsoApi), banned));
    assert_eq!(rig.pass().await.exit(), Exit::Failed);
    let asked = rig.simulator.counters().conso.requests;
    assert!(asked <= 2, "{asked}: the other source calls from the same address");
    for _ in 0..6 {
        rig.next_morning(8, 10);
        rig.sync().await;
    }
    assert_eq!(rig.simulator.counters().conso.requests, asked);
    let status = rig.store.sources().await.unwrap();
    assert!(status.iter().all(|s| s.name == "enedis" || s.state.code.as_deref() == Some("banned")), "{status:?}");
    rig.simulator.set_faults(Faults::none());
    assert!(rig.store.resume("garden").await.unwrap().is_some());
    rig.pass().await;
    assert!(rig.simulator.counters().conso.requests > asked);
}

#[tokio::test]
async fn a_gateway_that_only_fails_rests_longer_each_time() {
    let mut rig = household(36).await.served_by(&["home"]);
    rig.gateways = vec![conso(&rig.simulator, "home")];
    rig.simulator.set_faults(down(Front::ConsoApi));
    rig.pass().await;
    let first = rig.simulator.counters().conso.requests;
    assert!(first <= 5, "{first}");
    // For five days somebody tries twice an hour.
    for _ in 0..5 * 48 {
        rig.advance(30);
        rig.sync().await;
    }
    let asked = rig.simulator.counters().conso.requests - first;
    assert!((4..=8).contains(&asked), "{asked}: after 1, 3, 9, 27 and 48 hours");
    rig.simulator.set_faults(Faults::none());
    for _ in 0..3 {
        rig.next_morning(8, 10);
        rig.pass().await;
    }
    let newest = rig.window(Dataset::DailyConsumption).last();
    assert_eq!(rig.status(&prm(CONSUMER), Dataset::DailyConsumption).await.newest_day, Some(newest));
}

async fn what_a_gateway_says_about_its_quota_is_obeyed_at_once() {
    let mut rig = household(37).await.served_by(&["med"]);
    rig.gateways = vec![med(&rig.simulator, "med")];
    // Other programs of the account have left it ten calls through the cache.
    rig.simulator.set_faults(
        Faults::none()
            .with(Match::front(Front::MyElectricalData), Action::Quota { uncached: Some(50), cached: Some(10) }),
    );
    rig.live_a_day().await;
    let seen = rig.simulator.counters().myelectricaldata;
    assert!(seen.max_cached_in_a_day <= 12 && seen.refused_by_quota <= 2, "{seen:?}");
    let status = rig.status(&prm(CONSUMER), Dataset::ConsumptionLoadCurve).await;
    assert_eq!(status.newest_day, Some(day("2026-10-19")), "the newest days have a counter of their own");
}

async fn a_budget_that_is_used_up_is_waited_for_and_moves_nothing() {
    let mut rig = household(38).await.served_by(&["enedis", "med"]);
    rig.gateways = vec![med(&rig.simulator, "med")];
    rig.limits.per_hour = Some(30);
    assert_eq!(rig.pass().await.exit(), Exit::TryLater);
    assert_eq!(rig.simulator.counters().myelectricaldata.requests, 0, "Enedis opens again within the hour");
    assert_eq!(rig.rows("SELECT count(*) || '' FROM v_coverage WHERE state = 'expired'".to_owned()).await, ["0"]);
}

async fn while_a_source_that_serves_less_stands_in_no_day_expires() {
    let mut rig = household(39).await.served_by(&["enedis", "med"]);
    rig.gateways = vec![med(&rig.simulator, "med")];
    rig.simulator.set_faults(down(Front::Enedis));
    let report = rig.pass().await;
    let stand_ins = report.meters.iter().flat_map(|m| &m.datasets).filter(|d| d.stands_in && d.source == "med");
    assert_eq!((report.left, stand_ins.count()), (0, 5), "{report:?}");
    assert_eq!(rig.rows("SELECT count(*) || '' FROM v_coverage WHERE state = 'expired'".to_owned()).await, ["0"]);
    rig.simulator.set_faults(Faults::none());
    rig.next_morning(8, 10);
    assert_eq!(rig.pass().await.exit(), Exit::Done);
    for meter in &rig.meters {
        for dataset in &meter.datasets {
            let days = rig.window(*dataset);
            rig.assert_equals_truth(&meter.prm, *dataset, days).await;
        }
    }
    rig.assert_sound().await;
}

async fn a_counter_that_is_used_up_leaves_the_other_one_alone() {
    let mut rig = household(40).await.served_by(&["med"]);
    rig.gateways = vec![med(&rig.simulator, "med")];
    rig.pass().await;
    rig.simulator.set_faults(
        Faults::none().with(Match::front(Front::MyElectricalData), Action::Quota { uncached: None, cached: Some(0) }),
    );
    rig.next_morning(8, 10);
    rig.pass_with(Selection { request: refetch("2026-06-01", "2026-06-30"), ..Selection::default() }).await;
    rig.advance(60);
    rig.pass().await;
    let newest = rig.window(Dataset::ConsumptionLoadCurve).last();
    let line = rig.status(&prm(CONSUMER), Dataset::ConsumptionLoadCurve).await;
    assert_eq!(line.newest_day, Some(newest), "{line:?}");
}

fn refetch(first: &str, last: &str) -> linkyd::plan::Request {
    let only = Days::new(day(first), day(last).next());
    linkyd::plan::Request { only, refetch: true, operator: true }
}

async fn a_new_token_is_tried_at_once_and_a_wrong_one_seldom() {
    let mut rig = household(41).await.served_by(&["home"]);
    let good = conso(&rig.simulator, "home");
    rig.gateways = vec![crate::support::gateways::conso_with(&rig.simulator, "home", "no.such.token")];
    for _ in 0..20 {
        rig.sync().await;
        rig.advance(15);
    }
    let asked = rig.simulator.counters().conso.requests;
    assert!(asked <= 2, "{asked}: one a meter and day");
    assert_eq!(rig.status(&prm(CONSUMER), Dataset::DailyConsumption).await.state, SeriesState::Suspended);
    rig.gateways = vec![good];
    rig.sync().await;
    let newest = rig.window(Dataset::DailyConsumption).last();
    assert_eq!(rig.status(&prm(CONSUMER), Dataset::DailyConsumption).await.newest_day, Some(newest));
}

async fn refused_credentials_cannot_be_tried_without_end() {
    let mut rig = household(42).await.served_by(&["med"]);
    rig.gateways = vec![crate::support::gateways::med_with(&rig.simulator, "med", "wrong")];
    for _ in 0..60 {
        rig.sync().await;
        rig.advance(5);
    }
    let asked = rig.simulator.counters().myelectricaldata.requests;
    assert!(asked <= 6, "{asked}");
}

async fn a_secret_that_a_contract_finds_wrong_stops_the_source_until_it_is_mended() {
    let mut rig = household(47).await.served_by(&["med"]).since(day("2026-10-10"));
    for meter in &mut rig.meters {
        meter.customer = vec![CustomerDataset::Contract];
    }
    let good = med(&rig.simulator, "med");
    rig.gateways = vec![crate::support::gateways::med_with(&rig.simulator, "med", "wrong")];
    for _ in 0..3 {
        let report = rig.pass().await;
        assert_eq!((report.exit(), report.inserted), (Exit::CredentialsRefused, 0), "{report:?}");
        let [told] = &report.interruptions[..] else { panic!("{report:?}") };
        let code = told.refusal.as_ref().map(|refusal| refusal.code.clone());
        let contracts = rig.store.customers().await.unwrap();
        assert!(contracts.iter().all(|one| one.state == SeriesState::Failing && one.code == code), "{contracts:?}");
        let measures = rig.store.status().await.unwrap();
        assert!(measures.iter().all(|one| one.state == SeriesState::Failing && one.code == code), "{measures:?}");
        rig.advance(60);
    }
    // The contract met it, and nothing else was tried in the six hours for which the source rests.
    assert_eq!(rig.simulator.counters().myelectricaldata.requests, 1);
    assert_eq!(rig.rows("SELECT dataset FROM v_call".to_owned()).await, ["contract"]);
    // The timer's next pass finds another secret.
    rig.gateways = vec![good];
    let report = rig.pass().await;
    assert_eq!((report.exit(), report.left), (Exit::Done, 0), "{report:?}");
    assert!(report.customers.iter().all(|one| one.answered && one.state == SeriesState::Ok), "{report:?}");
    assert!(is_whole(&rig).await);
}

async fn a_ban_is_told_in_each_pass_whoever_stands_in() {
    let mut rig = household(43).await.served_by(&["home", "enedis"]);
    rig.gateways = vec![conso(&rig.simulator, "home")];
    let banned = Action::Status { status: 403, envelope: Envelope::E8, code: String::new(), text: String::new() };
    rig.simulator.set_faults(Faults::none().with(Match::front(Front::ConsoApi), banned));
    for pass in 0..3 {
        let report = rig.pass().await;
        assert_eq!((report.exit(), report.left), (Exit::Failed, 0), "{:?}", report.interruptions);
        let told = &report.interruptions[0];
        assert!(told.source == "home" && told.message.contains("linkyd resume home"), "{told:?}");
        assert!(!told.message.contains('<'), "{told:?}");
        let refusal = told.refusal.as_ref().unwrap();
        assert!(refusal.code == "banned" && !refusal.retry_helps(), "{refusal:?}");
        if pass == 0 {
            // The call that met it; later ones know it without a call.
            let about = refusal.about.as_ref().unwrap();
            assert!(rig.meters.iter().any(|meter| meter.prm == about.prm), "{about:?}");
            assert!(about.dataset.parse::<linkyd::domain::Dataset>().is_ok(), "{about:?}");
        }
        rig.next_morning(8, 10);
    }
    assert!(is_whole(&rig).await);
}
