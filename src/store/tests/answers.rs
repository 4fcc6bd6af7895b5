//! Answers become rows: all of them, once, and nothing that was measured is lost.

use super::*;

on_both_engines! {
    an_answer_is_stored_once_however_often_it_comes,
    a_later_look_moves_nothing_but_the_instant_it_was_checked,
    a_changed_value_is_updated_and_the_old_one_kept,
    rows_without_day_records_are_compared_like_all_others,
    an_answer_with_less_erases_nothing,
    a_step_that_changes_within_a_day_is_counted_exactly,
    another_step_for_the_same_day_replaces_it_wholly_or_not_at_all,
    an_unknown_call_stores_nothing,
    a_caller_who_goes_away_does_not_tear_a_transaction,
    an_empty_answer_for_one_day_is_certain_and_a_span_is_not,
}

const WEEK: (&str, &str) = ("2026-11-17", "2026-11-24");

fn week() -> Days {
    days(WEEK.0, WEEK.1)
}

/// Everything that is stored, apart from the journal.
async fn contents(world: &World<impl Host>) -> Vec<String> {
    let mut all = Vec::new();
    for table in ["load_curve", "daily_energy", "max_power", "coverage", "revision"] {
        all.extend(world.rows(&format!("SELECT * FROM {table}")).await);
    }
    all
}

async fn an_answer_is_stored_once_however_often_it_comes<H: Host>() {
    let world = World::<H>::new().await;
    world.window("2026-11-10", "2026-11-24").await;
    let committed = world.store_curve(week(), curve(week(), 30, |start| start % 1000)).await;
    assert_eq!((committed.inserted, committed.changed, committed.days.len()), (336, 0, 7));
    assert!(committed.days.iter().all(|(_, record)| record.state == DayState::Complete));
    let before = contents(&world).await;
    let again = world.store_curve(week(), curve(week(), 30, |start| start % 1000)).await;
    assert_eq!((again.inserted, again.changed), (0, 0));
    assert_eq!(contents(&world).await, before);
    world.sound().await;
}

async fn a_later_look_moves_nothing_but_the_instant_it_was_checked<H: Host>() {
    let world = World::<H>::new().await;
    world.window("2026-11-17", "2026-11-24").await;
    world.store_curve(week(), curve(week(), 30, |_| 5)).await;
    world.wait(86_400);
    world.store_curve(week(), curve(week(), 30, |_| 5)).await;
    assert_eq!(
        world.rows("SELECT DISTINCT checked_at FROM v_coverage WHERE state = 'complete'").await,
        ["2026-11-25T07:03:00Z"]
    );
}

async fn a_changed_value_is_updated_and_the_old_one_kept<H: Host>() {
    let world = World::<H>::new().await;
    let mut points = curve(week(), 30, |_| 500);
    world.store_curve(week(), points.clone()).await;
    points[3].watts = 510;
    let committed = world.store_curve(week(), points).await;
    assert_eq!((committed.inserted, committed.changed), (0, 1));
    assert_eq!(
        world.rows("SELECT * FROM v_revision").await,
        ["01234567890123|consumption_load_curve|2026-11-17T00:30:00Z|500|510|2026-11-24T07:03:00Z|-"]
    );
    assert_eq!(world.one("SELECT count(*), sum(watts) FROM load_curve").await, "336|168010");
    world.store_values(Dataset::DailyConsumption, week(), energy(week(), |_| 9)).await;
    let committed = world
        .store_values(Dataset::DailyConsumption, week(), energy(week(), |d| if d == day("2026-11-18") { 8 } else { 9 }))
        .await;
    assert_eq!((committed.inserted, committed.changed), (0, 1));
    assert_eq!(
        world.one("SELECT starts_at, old_value, new_value FROM v_revision WHERE dataset = 'daily_consumption'").await,
        "2026-11-17T23:00:00Z|9|8"
    );
    world.sound().await;
}

/// As in a copy that was interrupted: values come before the records of their days.
async fn rows_without_day_records_are_compared_like_all_others<H: Host>() {
    let world = World::<H>::new().await;
    world.store_curve(week(), curve(week(), 30, |_| 500)).await;
    world.store_values(Dataset::DailyConsumption, week(), energy(week(), |_| 9)).await;
    world.store_values(Dataset::DailyMaxPower, week(), peaks(week(), 4000)).await;
    world.host.run("DELETE FROM coverage").await;
    let committed = world.store_curve(week(), curve(week(), 30, |start| start % 3600 / 1800 + 500)).await;
    assert_eq!((committed.inserted, committed.changed), (0, 168));
    let committed = world.store_values(Dataset::DailyConsumption, week(), energy(week(), |_| 8)).await;
    assert_eq!((committed.inserted, committed.changed), (0, 7));
    let committed = world.store_values(Dataset::DailyMaxPower, week(), peaks(week(), 4100)).await;
    assert_eq!((committed.inserted, committed.changed), (0, 7));
    assert_eq!(world.one("SELECT count(*) FROM revision").await, "182");
}

async fn an_answer_with_less_erases_nothing<H: Host>() {
    let world = World::<H>::new().await;
    world.store_curve(week(), curve(week(), 30, |_| 500)).await;
    world.store_values(Dataset::DailyMaxPower, week(), peaks(week(), 4000)).await;
    let before = contents(&world).await;
    world.store_curve(week(), Vec::new()).await;
    world.store_curve(week(), curve(days("2026-11-18", "2026-11-19"), 30, |_| 500)).await;
    let bare = week().iter().map(|day| PeakPower { day, va: 4000, local_seconds: None, at: None }).collect();
    let committed = world.store_values(Dataset::DailyMaxPower, week(), Values::Peaks(bare)).await;
    assert_eq!((committed.inserted, committed.changed), (0, 0));
    assert_eq!(contents(&world).await, before);
    world.sound().await;
}

async fn a_step_that_changes_within_a_day_is_counted_exactly<H: Host>() {
    let world = World::<H>::new().await;
    world.window("2026-11-10", "2026-11-24").await;
    let span = days("2026-11-20", "2026-11-21");
    let noon = paris::start_of(day("2026-11-20")) + 12 * 3600;
    let mut points: Vec<_> = curve(span, 60, |_| 1).into_iter().filter(|p| p.interval.start < noon).collect();
    points.extend(curve(span, 15, |_| 1).into_iter().filter(|p| p.interval.start >= noon));
    let partial = points[..points.len() - 1].to_vec();
    let committed = world.store_curve(span, partial).await;
    assert_eq!(
        (committed.days[0].1.state, committed.days[0].1.stored, committed.days[0].1.expected),
        (DayState::Partial, 59, Some(60))
    );
    let committed = world.store_curve(span, points).await;
    assert_eq!((committed.days[0].1.state, committed.days[0].1.expected), (DayState::Complete, Some(60)));
    // The newest step is that of the days still to come.
    assert_eq!(world.one("SELECT intervals_expected FROM v_coverage WHERE dataset = 'consumption_load_curve' AND day = '2026-11-21'").await, "96");
    let older = days("2026-11-12", "2026-11-13");
    world.store_curve(older, curve(older, 30, |_| 1)).await;
    assert_eq!(world.one("SELECT intervals_expected FROM v_coverage WHERE dataset = 'consumption_load_curve' AND day = '2026-11-21'").await, "96");
    world.sound().await;
}

async fn another_step_for_the_same_day_replaces_it_wholly_or_not_at_all<H: Host>() {
    let world = World::<H>::new().await;
    let span = days("2026-11-20", "2026-11-21");
    world.store_curve(span, curve(span, 60, |_| 100)).await;
    let mut half_hours = curve(span, 30, |_| 100);
    half_hours.remove(1);
    let committed = world.store_curve(span, half_hours).await;
    assert_eq!((committed.inserted, committed.changed), (46, 23));
    assert_eq!(committed.days[0].1.state, DayState::Complete);
    assert_eq!(world.one("SELECT count(*), sum(minutes) FROM v_load_curve").await, "47|1440");
    assert_eq!(world.one("SELECT count(*) FROM v_revision").await, "23");
    let committed = world.store_curve(span, curve(span, 60, |_| 100)).await;
    assert_eq!((committed.inserted, committed.changed), (23, 46));
    assert_eq!(world.one("SELECT count(*), sum(minutes) FROM v_load_curve").await, "24|1440");
    world.sound().await;
}

async fn an_unknown_call_stores_nothing<H: Host>() {
    let world = World::<H>::new().await;
    let answer = world.answer(CallId(99), CURVE, week(), Values::Curve(curve(week(), 30, |_| 1)));
    assert!(matches!(world.store.commit(answer).await, Err(StoreError::Inconsistent { table: "call", .. })));
    assert_eq!(world.one("SELECT (SELECT count(*) FROM load_curve) + (SELECT count(*) FROM coverage)").await, "0");
    world.store_curve(week(), curve(week(), 30, |_| 1)).await;
}

async fn a_caller_who_goes_away_does_not_tear_a_transaction<H: Host>() {
    let world = World::<H>::new().await;
    for n in 0..40_u64 {
        let span = Days::single(day("2026-09-01").plus(i32::try_from(n).unwrap()));
        let call = world.reserve(CURVE, span).await;
        let commit = world.store.commit(world.answer(call, CURVE, span, Values::Curve(curve(span, 30, |_| 1))));
        let limit = std::time::Duration::from_micros(n * 40);
        let _ = tokio::time::timeout(limit, commit).await;
    }
    // Whatever was begun is finished before the next transaction starts.
    world.store_curve(week(), curve(week(), 30, |_| 1)).await;
    world.sound().await;
    assert_eq!(world.one("SELECT count(*) % 48 FROM load_curve").await, "0");
    assert_eq!(
        world.one("SELECT count(*) FROM call WHERE outcome = 1").await,
        world.one("SELECT count(*) - 6 FROM coverage WHERE state = 0").await
    );
}

async fn an_empty_answer_for_one_day_is_certain_and_a_span_is_not<H: Host>() {
    let world = World::<H>::new().await;
    let single = world.store_curve(days("2026-11-20", "2026-11-21"), Vec::new()).await;
    assert!(single.days[0].1.certain && single.days[0].1.state == DayState::Pending);
    let span = world.store_curve(days("2026-11-10", "2026-11-12"), Vec::new()).await;
    assert!(span.days.iter().all(|(_, record)| !record.certain));
}
