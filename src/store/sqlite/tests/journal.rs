//! The journal is the budget.

use super::*;
use crate::budget::Verdict;
use crate::store::{Effect, Learnt};

fn call(world: &World, asks: Option<(MeterId, Dataset, Days)>) -> NewCall {
    NewCall { source: SOURCE, api: asks.map(|_| Api::V5), asks, asked_at: world.now() }
}

#[tokio::test]
async fn calls_are_paced_and_counted_by_account() {
    let world = World::new().await;
    let limits = Limits { per_second: 5, per_hour: Some(7), per_day: None };
    let now = world.now() * 1000;
    let mut starts = Vec::new();
    for n in 0..7 {
        let asks = (n > 0).then(|| (METER, CURVE, days("2026-11-17", "2026-11-24")));
        let Reserved::Go { at_ms, .. } = world.store.reserve(&call(&world, asks), &limits, now).await.unwrap() else {
            panic!("within the hour's budget")
        };
        starts.push(at_ms - now);
    }
    assert_eq!(starts, [0, 210, 420, 630, 840, 1050, 1260]);
    let eighth = world.store.reserve(&call(&world, None), &limits, now + 2000).await.unwrap();
    assert!(matches!(eighth, Reserved::Wait(Verdict::Wait { until, .. }) if until == now + 3_602_000), "{eighth:?}");
    // Another name for the same application has the same budget.
    let mut renamed = setup();
    renamed.sources[0].name = "other".into();
    renamed.meters[0].source = "other".into();
    world.store.set_up(&renamed).await.unwrap();
    let other = NewCall { source: SourceId(2), ..call(&world, None) };
    assert!(matches!(world.store.reserve(&other, &limits, now + 2000).await.unwrap(), Reserved::Wait(_)));
    let spent = world.store.spent("other", now + 3_600_500).await.unwrap();
    assert_eq!((spent.hour, spent.day, spent.ever), (4, 7, 7));
    assert_eq!(world.one("SELECT count(*) FROM v_call").await, "6");
}

#[tokio::test]
async fn the_journal_tells_what_became_of_each_call() {
    let world = World::new().await;
    let span = days("2026-11-17", "2026-11-24");
    let failed = world.reserve(CURVE, span).await;
    let end = CallEnd { call: failed, status: Some(503), code: Some("http-503".into()), duration_ms: 90 };
    world.store.settle(end, Vec::new()).await.unwrap();
    let facts = world.store.facts(world.now()).await.unwrap();
    assert_eq!((facts.failed.len(), facts.failed[0].healed, facts.failed[0].days), (1, false, span));
    world.wait(60);
    world.store_curve(span, curve(span, 30, |_| 1)).await;
    assert!(world.store.facts(world.now() - 60).await.unwrap().failed[0].healed);
    assert!(world.store.facts(world.now()).await.unwrap().failed.is_empty());
    world.reserve(CURVE, span).await;
    assert_eq!(
        world.rows("SELECT * FROM v_call ORDER BY called_at").await,
        [
            "2026-11-24T07:03:00.000Z|enedis|2026|01234567890123|consumption_load_curve|2026-11-17|2026-11-24|503|http-503|-|90",
            "2026-11-24T07:04:00.000Z|enedis|2026|01234567890123|consumption_load_curve|2026-11-17|2026-11-24|200|-|336|412",
            "2026-11-24T07:04:00.002Z|enedis|2026|01234567890123|consumption_load_curve|2026-11-17|2026-11-24|-|-|-|-",
        ]
    );
}

#[tokio::test]
async fn refused_tokens_are_counted_apart() {
    let world = World::new().await;
    for (code, status) in [(Some("invalid_client"), 401), (None, 200), (Some("invalid_client"), 401)] {
        let Reserved::Go { call, .. } =
            world.store.reserve(&call(&world, None), &LIMITS, world.now() * 1000).await.unwrap()
        else {
            panic!("nothing limits it")
        };
        let end = CallEnd { call, status: Some(status), code: code.map(Into::into), duration_ms: 5 };
        world.store.settle(end, Vec::new()).await.unwrap();
    }
    assert_eq!(world.store.refused_tokens(SOURCE, world.now() * 1000).await.unwrap(), 2);
    assert_eq!(world.store.refused_tokens(SOURCE, world.now() * 1000 + 60_000).await.unwrap(), 0);
    assert_eq!(world.one("SELECT count(*) FROM v_call").await, "0");
}

#[tokio::test]
async fn what_was_learnt_about_a_source_comes_back() {
    let world = World::new().await;
    let known = Learnt { max_days: Some((3, 77)), history_short: 2, api: Some((Api::V5, 55)), not_before: Some(99) };
    let source = Effect::Source {
        source: SOURCE,
        not_before_ms: Some(5),
        code: Some("900804".into()),
        message: Some("too fast".into()),
        slow_until_ms: Some(6),
    };
    let learnt = Effect::Learnt { source: SOURCE, dataset: CURVE, known };
    world.store.apply(vec![source, learnt]).await.unwrap();
    let facts = world.store.facts(0).await.unwrap();
    assert_eq!(facts.sources[0].learnt[&CURVE], known);
    assert_eq!((facts.sources[0].not_before_ms, facts.sources[0].slow_until_ms), (Some(5), Some(6)));
}
