//! The journal is the budget.

use super::*;
use crate::budget::{Exhausted, Verdict};
use crate::domain::SeriesState;
use crate::source::Pool;
use crate::store::{Activation, Effect, JournalTally, Learnt, SourceState};

on_both_engines! {
    calls_are_paced_and_counted_by_account,
    the_journal_tells_what_became_of_each_call,
    refused_tokens_are_counted_apart,
    what_was_learnt_about_a_source_comes_back,
    of_several_words_about_a_series_the_last_one_holds,
    what_a_refusal_taught_outlives_the_answer_to_an_older_call,
    a_source_that_rests_takes_no_call_whoever_asks,
    editing_an_identifier_or_a_kind_refills_nothing_and_claims_nothing,
    counters_are_apart_and_what_the_source_says_counts_at_once,
    the_tally_goes_on_from_what_has_settled,
}

fn call(world: &World<impl Host>, asks: Option<(MeterId, Dataset, Days)>) -> NewCall {
    NewCall {
        source: SOURCE,
        api: asks.map(|_| Api::V5),
        pool: Pool::Live,
        asks: asks.map(Into::into),
        keep: None,
        seen: None,
        lease: None,
        lead_ms: 0,
        despite_rest: false,
        asked_at: world.now(),
    }
}

async fn of_several_words_about_a_series_the_last_one_holds<H: Host>() {
    let world = World::<H>::new().await;
    let said = |dataset, state, code: Option<&str>| Effect::Series {
        meter: METER,
        dataset,
        state,
        code: code.map(Into::into),
        message: None,
        not_before: None,
    };
    let activation = |refusals| Effect::Activation {
        meter: METER,
        direction: Direction::Consumption,
        known: Activation { refused: Some(day("2025-01-01")), accepted: None, refusals },
    };
    let effects = vec![
        activation(1),
        said(CURVE, SeriesState::Waiting, None),
        said(Dataset::DailyConsumption, SeriesState::Suspended, Some("ADAM-ERR0069")),
        activation(2),
        said(CURVE, SeriesState::Failing, Some("http-503")),
    ];
    let known = world.store.counters(&Dataset::ALL.map(|dataset| (METER, dataset))).await.unwrap();
    world.store.apply_known(effects, known.clone()).await.unwrap();
    let facts = world.store.facts(0).await.unwrap();
    let of = |dataset| {
        let series = facts.series.iter().find(|s| s.dataset == dataset).unwrap();
        (series.state, series.code.as_deref())
    };
    assert_eq!(of(CURVE), (SeriesState::Failing, Some("http-503")));
    assert_eq!(of(Dataset::DailyConsumption), (SeriesState::Suspended, Some("ADAM-ERR0069")));
    assert_eq!(of(Dataset::DailyMaxPower), (SeriesState::Ok, None));
    assert_eq!(facts.activations[&(METER, Direction::Consumption)].refusals, 2);
    // Whoever knew the series before is told of all that changed.
    let now = world.store.counters(&Dataset::ALL.map(|dataset| (METER, dataset))).await.unwrap();
    assert!(known.iter().all(|((meter, dataset), seen)| {
        (now[&(*meter, *dataset)] > *seen) == (dataset.direction() == Direction::Consumption)
    }));
}

async fn what_a_refusal_taught_outlives_the_answer_to_an_older_call<H: Host>() {
    let world = World::<H>::new().await;
    let direction = Direction::Consumption;
    let accepted = |first| Effect::Accepted { meter: METER, direction, first: day(first) };
    let told = async |effects| {
        world.store.apply(effects).await.unwrap();
        world.store.facts(0).await.unwrap().activations[&(METER, direction)]
    };
    let of = |refused: Option<&str>, accepted, refusals| Activation {
        refused: refused.map(day),
        accepted: Some(day(accepted)),
        refusals,
    };
    assert_eq!(told(vec![accepted("2026-11-10")]).await, of(None, "2026-11-10", 0));
    let known = of(Some("2026-06-01"), "2026-11-10", 3);
    let refused = Effect::Activation { meter: METER, direction, known };
    assert_eq!(told(vec![refused.clone()]).await, known);
    // Who has heard of no refusal says what was accepted, and takes nothing back.
    assert_eq!(told(vec![accepted("2026-11-03")]).await, of(Some("2026-06-01"), "2026-11-03", 3));
    assert_eq!(told(vec![accepted("2026-11-05")]).await, of(Some("2026-06-01"), "2026-11-03", 3));
    // What is accepted was never before the activation.
    assert_eq!(told(vec![accepted("2026-06-01")]).await, of(None, "2026-06-01", 0));
    // Each word counts, in the order in which they are said.
    let words = vec![accepted("2026-05-01"), refused.clone(), accepted("2026-10-20"), accepted("2026-10-30"), refused];
    assert_eq!(told(words).await, of(Some("2026-06-01"), "2026-10-20", 3));
}

async fn calls_are_paced_and_counted_by_account<H: Host>() {
    let world = World::<H>::new().await;
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
    let spent = world.store.spent("other", Pool::Live, now + 3_600_500).await.unwrap();
    assert_eq!((spent.hour, spent.day, spent.told_left), (4, 7, None));
    assert_eq!(world.one("SELECT count(*) FROM v_call").await, "6");
}

async fn the_journal_tells_what_became_of_each_call<H: Host>() {
    let world = World::<H>::new().await;
    let span = days("2026-11-17", "2026-11-24");
    let failed = world.reserve(CURVE, span).await;
    let end = CallEnd { call: failed, lease: None, status: Some(503), code: Some("http-503".into()), duration_ms: 90 };
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

async fn refused_tokens_are_counted_apart<H: Host>() {
    let world = World::<H>::new().await;
    for (code, status) in [(Some("invalid_client"), 401), (None, 200), (Some("invalid_client"), 401)] {
        let Reserved::Go { call, .. } =
            world.store.reserve(&call(&world, None), &LIMITS, world.now() * 1000).await.unwrap()
        else {
            panic!("nothing limits it")
        };
        let end = CallEnd { call, lease: None, status: Some(status), code: code.map(Into::into), duration_ms: 5 };
        world.store.settle(end, Vec::new()).await.unwrap();
    }
    assert_eq!(world.store.refused_tokens(SOURCE, world.now() * 1000, &[]).await.unwrap(), 2);
    assert_eq!(world.store.refused_tokens(SOURCE, world.now() * 1000 + 60_000, &[]).await.unwrap(), 0);
    assert_eq!(world.one("SELECT count(*) FROM v_call").await, "0");
}

async fn what_was_learnt_about_a_source_comes_back<H: Host>() {
    let world = World::<H>::new().await;
    let known = Learnt { max_days: Some((3, 77)), history_short: 2, api: Some((Api::V5, 55)), not_before: Some(99) };
    let state = SourceState {
        not_before_ms: Some(5),
        code: Some("900804".into()),
        message: Some("too fast".into()),
        slow_until_ms: Some(6),
        refusals: 7,
        strikes: 1,
    };
    let source = Effect::Source { source: SOURCE, state: state.clone() };
    let learnt = Effect::Learnt { source: SOURCE, dataset: CURVE, known };
    world.store.apply(vec![source, learnt]).await.unwrap();
    let facts = world.store.facts(0).await.unwrap();
    assert_eq!(facts.sources[0].learnt[&CURVE], known);
    assert_eq!(facts.sources[0].state, state);
    assert_eq!(world.store.sources().await.unwrap()[0].state, state);
}

async fn a_source_that_rests_takes_no_call_whoever_asks<H: Host>() {
    let world = World::<H>::new().await;
    let now = world.now() * 1000;
    let rest = SourceState {
        not_before_ms: Some(now + 5_000),
        code: Some("banned".into()),
        strikes: 2,
        ..SourceState::default()
    };
    world.store.apply(vec![Effect::Source { source: SOURCE, state: rest }]).await.unwrap();
    let resting = world.store.reserve(&call(&world, None), &LIMITS, now).await.unwrap();
    assert_eq!(resting, Reserved::Rests(now + 5_000));
    assert_eq!(world.one("SELECT count(*) FROM call").await, "0");
    let mended = NewCall { despite_rest: true, ..call(&world, None) };
    assert!(matches!(world.store.reserve(&mended, &LIMITS, now).await.unwrap(), Reserved::Go { .. }));
    let pause = world.store.resume("enedis").await.unwrap().unwrap();
    assert_eq!((pause.until_ms, pause.code.as_deref()), (now + 5_000, Some("banned")));
    assert!(matches!(world.store.reserve(&call(&world, None), &LIMITS, now).await.unwrap(), Reserved::Go { .. }));
    assert_eq!(world.store.resume("enedis").await.unwrap(), None);
    assert_eq!(world.store.facts(0).await.unwrap().sources[0].state, SourceState::default());
}

async fn editing_an_identifier_or_a_kind_refills_nothing_and_claims_nothing<H: Host>() {
    let world = World::<H>::new().await;
    let now = world.now() * 1000;
    let limits = Limits { per_second: 1000, per_hour: Some(2), per_day: None };
    for _ in 0..2 {
        assert!(matches!(world.store.reserve(&call(&world, None), &limits, now).await.unwrap(), Reserved::Go { .. }));
    }
    let mut edited = setup();
    edited.sources[0].account = "enedis:other".into();
    edited.sources[0].credentials = "other".into();
    assert_eq!(world.store.set_up(&edited).await.unwrap(), ["enedis"]);
    assert!(matches!(world.store.reserve(&call(&world, None), &limits, now).await.unwrap(), Reserved::Wait(_)));
    // The same name for something else is another source.
    edited.sources[0].kind = "conso-api";
    edited.sources[0].account = "conso-api:address".into();
    edited.sources[0].direct = false;
    world.store.set_up(&edited).await.unwrap();
    let facts = world.store.facts(0).await.unwrap();
    assert_eq!(facts.sources.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["enedis"]);
    assert_ne!(facts.sources[0].id, SOURCE);
    assert_eq!(world.one("SELECT count(*) FROM source WHERE CAST(direct AS integer) = 1 AND id = 1").await, "1");
}

async fn counters_are_apart_and_what_the_source_says_counts_at_once<H: Host>() {
    let world = World::<H>::new().await;
    let limits = Limits { per_second: 1000, per_hour: None, per_day: Some(2) };
    let now = world.now() * 1000;
    let cached = NewCall { pool: Pool::Cached, ..call(&world, None) };
    let goes = |reserved| matches!(reserved, Reserved::Go { .. });
    for _ in 0..2 {
        assert!(goes(world.store.reserve(&call(&world, None), &limits, now).await.unwrap()));
    }
    assert!(!goes(world.store.reserve(&call(&world, None), &limits, now).await.unwrap()));
    assert!(goes(world.store.reserve(&cached, &limits, now).await.unwrap()), "the cache has a counter of its own");
    let told = Effect::Told { source: SOURCE, pool: Pool::Cached, left: 1, at_ms: now + 10, until_ms: now + 3_600_000 };
    world.store.apply(vec![told]).await.unwrap();
    let later = now + 1_000;
    let wide = Limits { per_second: 1000, per_hour: None, per_day: Some(400) };
    assert_eq!(world.store.spent("enedis", Pool::Cached, later).await.unwrap().told_left, Some(1));
    assert!(goes(world.store.reserve(&cached, &wide, later).await.unwrap()));
    let fourth = world.store.reserve(&cached, &wide, later).await.unwrap();
    let expected = Verdict::Wait { until: now + 3_600_000, limit: Exhausted::Told };
    assert_eq!(fourth, Reserved::Wait(expected));
    assert!(goes(world.store.reserve(&cached, &wide, now + 3_600_001).await.unwrap()));
}

/// Calls that ended, by their codes; none for those that were answered.
async fn tallied(tally: &mut JournalTally, store: &impl Store) -> Vec<(Option<String>, i64, i64)> {
    let mut all: Vec<_> = tally.of(store).await.unwrap();
    all.sort_by(|a, b| a.code.cmp(&b.code));
    all.into_iter().map(|t| (t.code, t.calls, t.duration_ms)).collect()
}

async fn the_tally_goes_on_from_what_has_settled<H: Host>() {
    let world = World::<H>::new().await;
    let span = days("2026-11-17", "2026-11-24");
    let mut tally = JournalTally::default();
    assert_eq!(tallied(&mut tally, &world.store).await, []);
    let failed =
        |call| CallEnd { call, lease: None, status: Some(503), code: Some("http-503".into()), duration_ms: 90 };
    // One that takes its time is in the air while others end, and while somebody looks.
    let slow = world.reserve(CURVE, span).await;
    for n in 1..=3 {
        let quick = world.reserve(CURVE, span).await;
        world.store.settle(failed(quick), Vec::new()).await.unwrap();
        assert_eq!(tallied(&mut tally, &world.store).await, [(Some("http-503".into()), n, 90 * n)]);
    }
    world.store.settle(failed(slow), Vec::new()).await.unwrap();
    assert_eq!(tallied(&mut tally, &world.store).await, [(Some("http-503".into()), 4, 360)]);
    // Hours later all of that has settled, and a line that never ended holds nothing up.
    let lost = world.reserve(CURVE, span).await;
    for n in 5..=7 {
        world.wait(3_600);
        let call = world.reserve(CURVE, span).await;
        world.store.settle(failed(call), Vec::new()).await.unwrap();
        assert_eq!(tallied(&mut tally, &world.store).await, [(Some("http-503".into()), n, 90 * n)]);
    }
    let settled = world.store.call_tally(CallId(0)).await.unwrap().settled;
    assert!(settled > lost, "{settled:?} and {lost:?}");
    // The clock jumps ahead and comes back, and counts on from there.
    world.wait(400 * 86_400);
    let ahead = world.reserve(CURVE, span).await;
    world.store.settle(failed(ahead), Vec::new()).await.unwrap();
    world.wait(-400 * 86_400);
    let slow = world.reserve(CURVE, span).await;
    let quick = world.reserve(CURVE, span).await;
    world.store.settle(failed(quick), Vec::new()).await.unwrap();
    assert_eq!(tallied(&mut tally, &world.store).await, [(Some("http-503".into()), 9, 810)]);
    world.store.settle(failed(slow), Vec::new()).await.unwrap();
    assert_eq!(tallied(&mut tally, &world.store).await, [(Some("http-503".into()), 10, 900)]);
    world.wait(3_600);
    let later = world.reserve(CURVE, span).await;
    world.store.settle(failed(later), Vec::new()).await.unwrap();
    assert_eq!(tallied(&mut tally, &world.store).await, [(Some("http-503".into()), 11, 990)]);
    let settled = world.store.call_tally(CallId(0)).await.unwrap().settled;
    // Only what came since is read again, and whoever begins anew comes to the same.
    let since = world.store.call_tally(settled).await.unwrap();
    assert_eq!(since.calls.iter().map(|(_, tally)| tally.calls).sum::<i64>(), 1);
    let anew = tallied(&mut JournalTally::default(), &world.store).await;
    assert_eq!(anew, tallied(&mut tally, &world.store).await);
}
