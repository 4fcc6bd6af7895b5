//! MyElectricalData: what it remembers, and how it puts a batch together.

use std::time::Duration;

use super::med::{User, both, code, inside};
use super::*;

const DAILY: &str = "consumption/daily";
const DETAIL: &str = "consumption/detail";
const BATCH: &str = "consumption/detail/batch";

/// A value of 20 November, one of yesterday, as they are served.
async fn values(user: &User, cached: bool) -> [String; 2] {
    let reply = if cached {
        user.cached(DAILY, "2026-11-20", "2026-11-24").await
    } else {
        user.ask(DAILY, "2026-11-20", "2026-11-24").await
    };
    let points = inside(&reply);
    [&points[0], &points[3]].map(|point| point.1.as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_remembered_day_is_served_for_a_day_and_a_recent_one_for_three_hours() {
    let user = User::at(NOON, both()).await;
    let [old, new] = values(&user, true).await;
    user.stage.simulator.change(|world| {
        let stretch = Stretch::days(day("2026-11-20"), day("2026-11-23"));
        let correction = Correction { stretch, at: instant("2026-11-24T11:30:00Z"), add: 100 };
        world.meter_mut(&prm()).unwrap().corrections.push(correction);
    });
    let more = |value: &str| (value.parse::<i64>().unwrap() + 100).to_string();
    user.stage.clock.advance(Duration::from_secs(3 * 3600 - 1));
    assert_eq!(values(&user, true).await, [old.clone(), new.clone()], "both are stale");
    assert_eq!(values(&user, false).await, [more(&old), more(&new)], "past the cache there is news");
    assert_eq!(values(&user, true).await, [old.clone(), new.clone()], "which is not put into it");
    user.stage.clock.advance(Duration::from_secs(1));
    assert_eq!(values(&user, true).await, [old.clone(), more(&new)]);
    user.stage.clock.advance(Duration::from_hours(20));
    assert_eq!(values(&user, true).await[0], old);
    user.stage.clock.advance(Duration::from_hours(1));
    assert_eq!(values(&user, true).await[0], more(&old));
    assert!(user.counters().days_from_cache > 8);
}

#[tokio::test]
async fn only_missing_days_are_asked_of_enedis() {
    let user = User::at(NOON, both()).await;
    let asked = || user.counters().upstream_calls;
    user.cached(DAILY, "2026-11-10", "2026-11-12").await;
    user.cached(DAILY, "2026-11-14", "2026-11-16").await;
    assert_eq!(asked(), 2);
    let whole = user.cached(DAILY, "2026-11-08", "2026-11-18").await;
    assert_eq!((inside(&whole).len(), asked()), (10, 5), "three runs of missing days");
    user.cached(DAILY, "2026-11-08", "2026-11-18").await;
    assert_eq!(asked(), 5);
    user.cached("power", "2026-11-08", "2026-11-18").await;
    assert_eq!(asked(), 6, "another series");
    let path = format!("/med/enedis/cache/{PRM}");
    let secret = user.stage.simulator.med_credentials().1;
    let delete = Request::delete(&path).header("authorization", format!("Bearer {secret}"));
    let reply = user.stage.send(delete.body(Body::empty()).unwrap()).await;
    assert_eq!(reply.json["data"]["deleted_keys"], 20, "{}", reply.text);
    user.cached(DAILY, "2026-11-08", "2026-11-18").await;
    assert_eq!(asked(), 7);
}

#[tokio::test]
async fn a_day_without_data_is_remembered_as_empty_once_it_is_old() {
    let mut meter = MeterSpec::new(prm());
    let hole = |date: &str| Stretch::days(day(date), day(date));
    meter.holes = vec![hole("2026-11-20"), hole("2026-11-23")];
    let user = User::at(NOON, World::new(7).with(meter)).await;
    let seen = async || inside(&user.cached(DAILY, "2026-11-19", "2026-11-24").await).len();
    assert_eq!(seen().await, 3);
    user.stage.simulator.change(|world| world.meter_mut(&prm()).unwrap().holes.clear());
    assert_eq!(seen().await, 4, "yesterday is asked for again, the old day is not");
    user.stage.clock.advance(Duration::from_hours(23));
    assert_eq!(seen().await, 4);
    user.stage.clock.advance(Duration::from_hours(1));
    assert_eq!(seen().await, 5);
}

#[tokio::test]
async fn a_refused_range_is_remembered_for_a_day() {
    let meter = MeterSpec { consumption_since: Some(day("2026-11-12")), ..MeterSpec::new(prm()) };
    let user = User::at(NOON, World::new(7).with(meter)).await;
    let ask = async |start| user.ask(DETAIL, start, "2026-11-14").await;
    assert_eq!(code(&ask("2026-11-10").await), "ADAM-ERR0123");
    user.stage.simulator.change(|world| world.meter_mut(&prm()).unwrap().consumption_since = None);
    assert_eq!(code(&ask("2026-11-10").await), "ADAM-ERR0123", "nobody asked Enedis again");
    assert_eq!(user.counters().upstream_calls, 1);
    assert_eq!(inside(&ask("2026-11-11").await).len(), 144, "another range is another question");
    user.stage.clock.advance(Duration::from_hours(24));
    assert_eq!(inside(&ask("2026-11-10").await).len(), 192);
}

#[tokio::test]
async fn a_batch_is_fetched_in_weeks() {
    let user = User::at(NOON, both()).await;
    let batch = user.ask(BATCH, "2026-10-01", "2026-11-24").await;
    let direct = inside(&batch);
    assert_eq!((direct.len(), user.counters().upstream_calls), (54 * 48 + 2, 8), "the clocks went back once");
    assert_eq!(batch.json["error"], Value::Null);
    assert_eq!(inside(&user.ask(BATCH, "2026-10-01", "2026-11-24").await), direct);
    assert_eq!((user.counters().upstream_calls, user.counters().cached.values().sum::<u64>()), (8, 2));
    let plain = user.get(&format!("/enedis/{BATCH}/{PRM}?start=2026-11-20&end=2026-11-22&use_cache=false"), &[]).await;
    assert_eq!((inside(&plain).len(), user.counters().uncached.values().sum::<u64>()), (96, 1));
    let week = inside(&user.cached(DETAIL, "2026-11-01", "2026-11-08").await);
    assert_eq!((week.len(), user.counters().upstream_calls), (336, 9), "what a batch left in the cache is for all");
}

#[tokio::test]
async fn a_batch_leaves_out_what_it_did_not_get() {
    let meter = MeterSpec { consumption_since: Some(day("2026-10-10")), ..MeterSpec::new(prm()) };
    let user = User::at(NOON, World::new(7).with(meter)).await;
    let batch = user.ask(BATCH, "2026-09-24", "2026-11-24").await;
    assert_eq!(inside(&batch)[0].0, "2026-10-10 00:00:00", "a later start is tried in the week of the activation");
    assert_eq!(batch.json["error"]["code"], "PARTIAL_DATA", "two weeks before it were given up");
    assert_eq!(user.stage.simulator.log().last().unwrap().code.as_deref(), Some("PARTIAL_DATA"));

    let lost = Match { dataset: Some(Dataset::ConsumptionLoadCurve), ..Match::front(Front::MyElectricalData) };
    let faults = Faults::none().with(lost, Action::LostChunk { chunk: 1 });
    user.stage.simulator.set_faults(faults);
    let path = format!("/enedis/{BATCH}/{PRM}?start=2026-11-01&end=2026-11-24&use_cache=false");
    let batch = user.get(&path, &[]).await;
    assert_eq!(batch.json["error"], Value::Null, "without a word");
    let labels: Vec<String> = inside(&batch).into_iter().map(|point| point.0[..10].to_owned()).collect();
    assert_eq!(labels.len(), 16 * 48);
    assert!(labels.iter().all(|label| !("2026-11-08".."2026-11-15").contains(&label.as_str())));
}

#[tokio::test]
async fn a_batch_remembers_days_without_data_even_yesterday() {
    let user = User::at("2026-11-24T06:30:00Z", both()).await;
    assert_eq!(code(&user.ask(BATCH, "2026-11-23", "2026-11-24").await), "NO_DATA", "not published yet");
    user.stage.clock.advance(Duration::from_hours(2));
    assert_eq!(code(&user.ask(BATCH, "2026-11-23", "2026-11-24").await), "NO_DATA", "published, but left out");
    assert_eq!(inside(&user.cached(DETAIL, "2026-11-23", "2026-11-24").await).len(), 48);
    user.stage.clock.advance(Duration::from_hours(22));
    assert_eq!(inside(&user.ask(BATCH, "2026-11-23", "2026-11-24").await).len(), 48);
}

#[tokio::test]
async fn a_batch_over_the_quota_serves_what_it_has() {
    let mut world = both();
    world.rules.myelectricaldata.cached_per_day = Some(1);
    let user = User::at(NOON, world).await;
    assert_eq!(inside(&user.ask(BATCH, "2026-11-10", "2026-11-17").await).len(), 336);
    let part = user.ask(BATCH, "2026-11-10", "2026-11-24").await;
    assert_eq!((inside(&part).len(), part.json["error"]["code"].as_str()), (336, Some("PARTIAL_DATA")));
    assert_eq!(code(&user.ask(BATCH, "2026-11-20", "2026-11-24").await), "RATE_LIMIT_EXCEEDED");
}

#[tokio::test]
async fn a_curve_with_a_tenth_missing_is_asked_for_again() {
    let mut meter = MeterSpec::new(prm());
    let gap = |from: &str, until: &str| Stretch::instants(instant(from), instant(until));
    meter.holes = vec![
        gap("2026-11-10T10:00:00Z", "2026-11-10T16:00:00Z"),
        gap("2026-11-23T10:00:00Z", "2026-11-23T16:00:00Z"),
        gap("2026-11-22T10:00:00Z", "2026-11-22T12:00:00Z"),
    ];
    let user = User::at(NOON, World::new(7).with(meter)).await;
    let calls = async |route: &str, start: &str, end: &str| {
        let before = user.counters().upstream_calls;
        user.cached(route, start, end).await;
        user.counters().upstream_calls - before
    };
    for (start, end) in [("2026-11-10", "2026-11-11"), ("2026-11-22", "2026-11-23"), ("2026-11-23", "2026-11-24")] {
        assert_eq!(calls(DETAIL, start, end).await, 1);
    }
    assert_eq!(calls(DETAIL, "2026-11-10", "2026-11-11").await, 0, "an old day stays as it is");
    assert_eq!(calls(BATCH, "2026-11-10", "2026-11-11").await, 1, "for a batch it does not");
    assert_eq!(calls(DETAIL, "2026-11-22", "2026-11-23").await, 0, "44 of 48 are enough");
    assert_eq!(calls(DETAIL, "2026-11-23", "2026-11-24").await, 1);
}
