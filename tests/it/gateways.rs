//! The community gateways: whole histories through each of them over as many days as their budgets
//! take, never near a ban, whatever happens meanwhile; and one source standing in for another.

use std::collections::BTreeMap;
use std::time::Duration;

use linkyd::domain::{Dataset, Days, SeriesState, paris};
use linkyd::engine::{ActiveMeter, Selection};
use linkyd::simulator::{Action, Endpoint, Faults, Front, Match, MeterKind, MeterSpec, World};
use linkyd::store::Store;
use tokio_util::sync::CancellationToken;

use crate::support::gateways::{conso, med};
use crate::support::{Rig, at, day, prm};

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
    (1..).find(|days| days * per_day >= calls + daily * (days - 1)).unwrap()
}

#[tokio::test]
async fn through_conso_api_a_history_takes_hardly_more_days_than_its_budget_does() {
    let mut rig = household(31).await.from_sources(&["home"]);
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
    let seen = rig.simulator.counters().conso;
    assert!(seen.max_in_24_hours <= 20, "{seen:?}");
    assert!(seen.banned.is_empty() && seen.anonymous == 0, "{seen:?}");
}

#[tokio::test]
async fn through_myelectricaldata_a_history_comes_out_of_the_cache() {
    let mut rig = household(32).await.from_sources(&["med"]);
    rig.gateways = vec![med(&rig.simulator, "med")];
    let days = days_until_whole(&rig, 10).await;
    assert!(days <= 2, "{days}");
    assert_all_true(&rig).await;
    let seen = rig.simulator.counters().myelectricaldata;
    assert!(seen.max_uncached_in_a_day <= 40 && seen.max_cached_in_a_day <= 400, "{seen:?}");
    assert_eq!((seen.refused_by_quota, seen.unauthorized, seen.anonymous), (0, 0, 0), "{seen:?}");
}
