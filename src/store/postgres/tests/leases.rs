//! A series is one instance's at a time, and its counter tells who knows less than there is to know.

use std::collections::BTreeMap;

use sqlx::Connection as _;

use super::*;
use crate::domain::{CustomerDataset, Direction, SeriesState};
use crate::store::postgres::customers;
use crate::store::postgres::transaction::{Kind, Patience};
use crate::store::{Activation, Asks, CustomerFacts, CustomerUpdate, Effect, LEASE_MS, PutOff, StoreError};

const SPAN: (&str, &str) = ("2026-11-17", "2026-11-24");

fn span() -> Days {
    days(SPAN.0, SPAN.1)
}

async fn seen(store: &PostgresStore) -> i64 {
    let facts = store.series_facts(&[(METER, CURVE)], 0).await.unwrap();
    assert_eq!(facts.series.len(), 1);
    facts.series[0].seen
}

#[tokio::test]
async fn a_series_is_one_callers_at_a_time() {
    let rig = Rig::new().await;
    let other = rig.other().await;
    let known = seen(&rig.store).await;
    let (first, lease) = reserve(&rig.store, &call(CURVE, span(), Some(known))).await;
    assert_eq!(lease, Some(first));
    let taken = other.reserve(&call(CURVE, span(), Some(known)), &LIMITS, NOW * 1000).await.unwrap();
    let Reserved::Taken(until) = taken else { panic!("{taken:?}") };
    assert!((NOW * 1000 + LEASE_MS..NOW * 1000 + LEASE_MS + 1000).contains(&until), "{until}");
    // Another series of the meter is free, and so is a call for none.
    reserve(&other, &call(DAILY, span(), Some(0))).await;
    reserve(&other, &NewCall { asks: None, seen: None, ..call(CURVE, span(), None) }).await;
    // A second call of the same caller shares its lease.
    let mut second = call(CURVE, days("2026-11-10", "2026-11-17"), Some(known));
    second.lease = lease;
    let (next, shared) = reserve(&rig.store, &second).await;
    assert_eq!(shared, lease);
    let hold = |keep| Some(Lease { token: first, keep });
    let done = rig.store.commit(answer(first, hold(true), CURVE, span(), curve(span(), 5))).await.unwrap();
    assert_eq!(done.seen, known + 1);
    let refused = other.reserve(&call(CURVE, span(), Some(done.seen)), &LIMITS, NOW * 1000).await.unwrap();
    assert!(matches!(refused, Reserved::Taken(_)), "{refused:?}");
    let end =
        CallEnd { call: next, lease: hold(false), status: Some(503), code: Some("http-503".into()), duration_ms: 1 };
    let after = rig.store.settle(end, Vec::new()).await.unwrap();
    // Now it is free for who knows what there is to know.
    let late = other.reserve(&call(CURVE, span(), Some(known)), &LIMITS, NOW * 1000).await.unwrap();
    assert_eq!(late, Reserved::Changed);
    assert_eq!(seen(&other).await, after);
    reserve(&other, &call(CURVE, span(), Some(after))).await;
    assert_eq!(rig.one("SELECT count(*)::text FROM call").await, "5");
}

#[tokio::test]
async fn a_customer_is_one_callers_from_the_first_of_several_calls_to_what_is_kept() {
    let rig = Rig::new().await;
    let other = rig.other().await;
    let about = CustomerDataset::Contract;
    let mut wider = setup(1);
    wider.meters[0].customer = vec![about];
    rig.store.set_up(&wider).await.unwrap();
    let facts = async |store: &PostgresStore| store.facts(0).await.unwrap().customers.remove(0);
    let call = |seen, lease| NewCall {
        asks: Some(Asks::Customer(METER, about)),
        seen: Some(seen),
        lease,
        ..call(CURVE, span(), None)
    };
    let known = facts(&rig.store).await;
    assert_eq!(known.state, SeriesState::Waiting, "nobody has asked yet");
    let (first, lease) = reserve(&rig.store, &call(known.seen, None)).await;
    let end = |call| CallEnd {
        call,
        lease: lease.map(|token| Lease { token, keep: true }),
        status: Some(200),
        code: None,
        duration_ms: 1,
    };
    let seen = rig.store.settle(end(first), Vec::new()).await.unwrap();
    // Between two calls: whoever has just read all there is to know keeps away all the same.
    assert_eq!(facts(&other).await.seen, seen);
    let taken = other.reserve(&call(seen, None), &LIMITS, NOW * 1000).await.unwrap();
    assert!(matches!(taken, Reserved::Taken(_)), "{taken:?}");
    let (second, shared) = reserve(&rig.store, &call(seen, lease)).await;
    assert_eq!(shared, lease);
    rig.store.settle(end(second), Vec::new()).await.unwrap();
    let update = CustomerUpdate {
        meter: METER,
        about,
        source: SOURCE,
        asked_at: NOW,
        content: None,
        state: SeriesState::Failing,
        code: Some("x".into()),
        message: None,
        not_before: None,
        lease,
        seen,
    };
    // Where the lease is still there, an attempt whose end nobody knew kept nothing, although the counter has come by
    // something else to what it would have returned.
    let again =
        rig.store.server.run(Kind::Write, Patience::None, update.clone(), |link, update: &CustomerUpdate, _| {
            Box::pin(customers::keep(link, update, Some(&update.seen)))
        });
    let kept = again.await.unwrap();
    assert!(kept > seen, "it was kept after all");
    let late = other.reserve(&call(seen, None), &LIMITS, NOW * 1000).await.unwrap();
    assert_eq!(late, Reserved::Changed);
    let (third, others) = reserve(&other, &call(kept, None)).await;
    // Now it is the other's: what somebody brings who was away meanwhile is not kept, and no lease is given back.
    let late = CustomerUpdate { code: Some("late".into()), ..update.clone() };
    for lease in [lease, None] {
        let refused = rig.store.keep(CustomerUpdate { lease, ..late.clone() }).await;
        assert!(matches!(refused, Err(StoreError::Superseded)), "{refused:?}");
        let taken = rig.store.reserve(&call(kept, None), &LIMITS, NOW * 1000).await.unwrap();
        assert!(matches!(taken, Reserved::Taken(_)), "{taken:?}");
    }
    // Whoever makes no call and knows everything may say something, and leaves the lease to whom it belongs.
    let seen = rig.store.keep(CustomerUpdate { lease: None, seen: kept, ..update.clone() }).await.unwrap();
    let taken = rig.store.reserve(&call(seen, None), &LIMITS, NOW * 1000).await.unwrap();
    assert!(matches!(taken, Reserved::Taken(_)), "{taken:?}");
    // What waits is noted by whom knows everything, too.
    let wait = |seen, message: &str| {
        let facts = CustomerFacts { seen, ..known.clone() };
        let (store, message) = (&rig.store, Some(message.to_owned()));
        async move { store.put_off(&[facts], PutOff { code: None, message, not_before: Some(NOW) }).await.unwrap() }
    };
    wait(kept, "late").await;
    assert_eq!(rig.one("SELECT code FROM series WHERE dataset = 8").await, "x");
    wait(seen, "The budget is used up").await;
    assert_eq!(rig.one("SELECT state || message FROM series WHERE dataset = 8").await, "4The budget is used up");
    // Without a lease an attempt whose end nobody knew may find the counter where it would have left it: by another.
    let unleased = CustomerUpdate { lease: None, seen, ..update.clone() };
    let again = rig.store.server.run(Kind::Write, Patience::None, unleased, |link, update: &CustomerUpdate, _| {
        Box::pin(async move { customers::keep(link, update, Some(&(update.seen + 1))).await })
    });
    assert!(matches!(again.await, Err(StoreError::Superseded)));
    let end = CallEnd { lease: others.map(|token| Lease { token, keep: true }), ..end(third) };
    other.settle(end, Vec::new()).await.unwrap();
    let answer = CustomerUpdate { lease: others, state: SeriesState::Suspended, ..update };
    other.keep(answer).await.unwrap();
    assert_eq!(facts(&rig.store).await.state, SeriesState::Suspended);
}

#[tokio::test]
async fn who_was_away_for_too_long_stores_nothing() {
    let rig = Rig::new().await;
    let other = rig.other().await;
    let known = seen(&rig.store).await;
    let (slow, _) = reserve(&rig.store, &call(CURVE, span(), Some(known))).await;
    let later = (NOW * 1000) + LEASE_MS + 5_000;
    let taken = other.reserve(&call(CURVE, span(), Some(known)), &LIMITS, later).await.unwrap();
    let Reserved::Go { call: quick, .. } = taken else { panic!("{taken:?}") };
    let lease = |token| Some(Lease { token, keep: false });
    let before = rig.one("SELECT string_agg(v::text, ',') FROM coverage v").await;
    for _ in 0..2 {
        let error = rig.store.commit(answer(slow, lease(slow), CURVE, span(), curve(span(), 1))).await.unwrap_err();
        assert!(matches!(error, StoreError::Superseded), "{error}");
    }
    let end = CallEnd { call: slow, lease: lease(slow), status: None, code: Some("timeout".into()), duration_ms: 1 };
    assert!(matches!(rig.store.settle(end, Vec::new()).await, Err(StoreError::Superseded)));
    assert_eq!(rig.one("SELECT string_agg(v::text, ',') FROM coverage v").await, before);
    other.commit(answer(quick, lease(quick), CURVE, span(), curve(span(), 2))).await.unwrap();
    // Also once the other one has finished.
    let error = rig.store.commit(answer(slow, lease(slow), CURVE, span(), curve(span(), 1))).await.unwrap_err();
    assert!(matches!(error, StoreError::Superseded), "{error}");
    assert_eq!(rig.one("SELECT DISTINCT watts::text FROM load_curve").await, "2");
    assert_eq!(rig.one("SELECT count(*)::text FROM call WHERE outcome IS NULL").await, "1");
}

#[tokio::test]
async fn a_state_that_changes_is_news() {
    let rig = Rig::new().await;
    let known = seen(&rig.store).await;
    let state = Effect::Series {
        meter: METER,
        dataset: CURVE,
        state: SeriesState::Suspended,
        code: Some("x".into()),
        message: None,
        not_before: None,
    };
    rig.store.apply(vec![state]).await.unwrap();
    assert_eq!(seen(&rig.store).await, known + 1);
    let late = rig.store.reserve(&call(CURVE, span(), Some(known)), &LIMITS, NOW * 1000).await.unwrap();
    assert_eq!(late, Reserved::Changed);
}

/// A backfill reaches further back with each call, which changes nothing that is planned.
#[tokio::test]
async fn only_a_refusal_or_its_end_makes_an_activation_news() {
    let rig = Rig::new().await;
    let direction = Direction::Consumption;
    let told = async |effect| {
        let before = seen(&rig.store).await;
        rig.store.apply(vec![effect]).await.unwrap();
        seen(&rig.store).await - before
    };
    let tell = async |refused: Option<&str>, accepted: Option<&str>, refusals| {
        let known = Activation { refused: refused.map(day), accepted: accepted.map(day), refusals };
        told(Effect::Activation { meter: METER, direction, known }).await
    };
    let accept = async |first| told(Effect::Accepted { meter: METER, direction, first: day(first) }).await;
    let stored = async || rig.one("SELECT concat_ws(' ', refused, accepted, refusals) FROM activation").await;
    assert_eq!(accept("2026-11-10").await, 0);
    assert_eq!(accept("2026-11-03").await, 0);
    // Another instance that has not reached as far takes nothing back.
    assert_eq!(accept("2026-11-17").await, 0);
    assert_eq!(tell(None, Some("2026-11-17"), 0).await, 0);
    assert_eq!(stored().await, "2026-11-03 0");
    assert_eq!(tell(Some("2026-10-01"), Some("2026-11-03"), 1).await, 1);
    assert_eq!(accept("2026-11-17").await, 0);
    assert_eq!(accept("2026-11-02").await, 1, "the search goes on");
    assert_eq!(tell(Some("2026-10-01"), None, 2).await, 1, "and what a later refusal contradicts is forgotten");
    assert_eq!(stored().await, "2026-10-01 2");
    assert_eq!(accept("2026-09-01").await, 1, "and the refusal is not believed any longer");
    assert_eq!(stored().await, "2026-09-01 0");
    assert_eq!(tell(Some("2026-10-01"), None, 1).await, 1);
    assert_eq!(tell(None, Some("2026-09-01"), 0).await, 1);
}

/// Two that say something of the same meter wait for each other before they hold anything of it.
#[tokio::test]
async fn series_are_locked_in_one_order_also_beside_that_of_a_call() {
    let rig = Rig::new().await;
    let (line, _) = reserve(&rig.store, &call(DAILY, span(), None)).await;
    let end = CallEnd { call: line, lease: None, status: Some(400), code: Some("x".into()), duration_ms: 1 };
    let known = Activation { refused: Some(day("2026-10-01")), accepted: None, refusals: 1 };
    let effect = Effect::Activation { meter: METER, direction: Direction::Consumption, known };
    let mut first = rig.database.connect().await;
    let mut holding = first.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM series WHERE dataset = 1 FOR NO KEY UPDATE").execute(&mut *holding).await.unwrap();
    let store = rig.other().await;
    let ending = tokio::spawn(async move { store.settle(end, vec![effect]).await });
    let waiting = "SELECT count(*)::text FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while rig.one(waiting).await == "0" {
        assert!(!ending.is_finished());
    }
    let free = "SELECT 1 FROM series WHERE dataset = 3 FOR NO KEY UPDATE SKIP LOCKED";
    assert_eq!(sqlx::query(free).fetch_all(&mut *holding).await.unwrap().len(), 1, "it holds nothing that comes later");
    holding.commit().await.unwrap();
    ending.await.unwrap().unwrap();
    assert_eq!(rig.one("SELECT refused::text FROM activation").await, "2026-10-01");
}

/// Decisions of many instances at once come one after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_share_one_pace_and_one_budget() {
    let rig = Rig::new().await;
    let limits = Limits { per_second: 5, per_hour: Some(40), per_day: None };
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let store = rig.other().await;
        tasks.push(tokio::spawn(async move {
            let (mut starts, mut waits) = (Vec::new(), 0);
            for _ in 0..15 {
                let token = NewCall { asks: None, seen: None, ..call(CURVE, span(), None) };
                match store.reserve(&token, &limits, NOW * 1000).await.unwrap() {
                    Reserved::Go { at_ms, .. } => starts.push(at_ms),
                    Reserved::Wait(_) => waits += 1,
                    other => panic!("{other:?}"),
                }
            }
            (starts, waits)
        }));
    }
    let (mut starts, mut waits) = (Vec::new(), 0);
    for task in tasks {
        let (some, refused) = task.await.unwrap();
        starts.extend(some);
        waits += refused;
    }
    starts.sort_unstable();
    assert_eq!((starts.len(), waits), (40, 20));
    assert!(starts.windows(2).all(|pair| pair[1] - pair[0] >= limits.spacing_ms()), "{starts:?}");
}

#[tokio::test]
async fn a_call_starts_no_sooner_than_its_caller_can_hear_of_it() {
    let rig = Rig::new().await;
    let starts = async |lead_ms, now_ms| {
        let call = NewCall { asks: None, lead_ms, ..call(CURVE, span(), None) };
        match rig.store.reserve(&call, &LIMITS, now_ms).await.unwrap() {
            Reserved::Go { at_ms, .. } => at_ms - now_ms,
            other => panic!("{other:?}"),
        }
    };
    let now = NOW * 1000;
    assert_eq!(starts(300, now).await, 300);
    // The next one comes after it all the same.
    assert!(starts(0, now).await > 300);
    assert_eq!(starts(0, now + 5_000).await, 0);
}

#[tokio::test]
async fn a_window_that_is_widened_again_tells_of_days_that_are_known() {
    let rig = Rig::new().await;
    let open = async |first, end| rig.store.open_windows(&windows(1, first, end), NOW).await.unwrap();
    assert_eq!(open("2026-11-10", "2026-11-24").await, [], "nothing is known yet");
    let known = seen(&rig.store).await;
    let (first, lease) = reserve(&rig.store, &call(CURVE, span(), Some(known))).await;
    let lease = lease.map(|token| Lease { token, keep: false });
    let stored = rig.store.commit(answer(first, lease, CURVE, span(), curve(span(), 5))).await.unwrap();
    assert_eq!(open("2026-11-22", "2026-11-25").await, [], "a new day is only missing");
    let narrow = rig.store.facts(0).await.unwrap().series.remove(0).days;
    assert!(!narrow.is_complete(day("2026-11-18")), "what lies outside is not told");

    // `since` is taken back: the days of then were fetched, and whoever has read the facts before is told.
    assert_eq!(open("2026-11-10", "2026-11-25").await, [(METER, CURVE)]);
    assert_eq!(seen(&rig.store).await, stored.seen + 1);
    let wide = rig.store.series_facts(&[(METER, CURVE)], 0).await.unwrap().series.remove(0).days;
    let gaps: Vec<Days> = wide.gaps(days("2026-11-10", "2026-11-25")).collect();
    assert_eq!(gaps, [days("2026-11-10", "2026-11-17"), days("2026-11-24", "2026-11-25")]);
    assert_eq!(open("2026-11-10", "2026-11-25").await, [], "once");
}

#[tokio::test]
async fn what_follows_from_older_knowledge_is_dropped() {
    let rig = Rig::new().await;
    let known = rig.store.series_facts(&[(METER, CURVE), (METER, DAILY)], 0).await.unwrap().series;
    let seen: BTreeMap<_, _> = known.iter().map(|s| ((s.meter, s.dataset), s.seen)).collect();
    let waits = |dataset| Effect::Series {
        meter: METER,
        dataset,
        state: SeriesState::Waiting,
        code: None,
        message: None,
        not_before: None,
    };
    // Another instance has stored an answer of one of the two meanwhile.
    let other = rig.other().await;
    let (line, lease) = reserve(&other, &call(CURVE, span(), Some(seen[&(METER, CURVE)]))).await;
    let lease = lease.map(|token| Lease { token, keep: false });
    let done = other.commit(answer(line, lease, CURVE, span(), curve(span(), 5))).await.unwrap();
    rig.store.apply_known(vec![waits(CURVE), waits(DAILY)], seen.clone()).await.unwrap();
    let after = rig.store.series_facts(&[(METER, CURVE), (METER, DAILY)], 0).await.unwrap().series;
    let of = |dataset| after.iter().find(|s| s.dataset == dataset).map(|s| (s.state, s.seen)).unwrap();
    assert_eq!(of(CURVE), (SeriesState::Ok, done.seen));
    assert_eq!(of(DAILY), (SeriesState::Waiting, seen[&(METER, DAILY)] + 1));
}
