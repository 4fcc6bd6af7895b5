//! Windows open and close, days are reported and forgotten.

use super::*;
use crate::domain::{Direction, SeriesState};
use crate::store::{Activation, Effect, Standing, Switch};

on_both_engines! {
    each_day_of_the_window_has_a_row_and_runs_are_gaps,
    what_leaves_the_window_unfetched_is_expired_and_may_come_back,
    days_before_the_activation_are_no_gaps,
    a_meter_that_leaves_keeps_its_rows,
    a_series_tells_why_it_is_suspended_until_it_is_answered,
    each_source_of_a_series_keeps_its_own_troubles,
}

async fn each_day_of_the_window_has_a_row_and_runs_are_gaps<H: Host>() {
    let world = World::<H>::new().await;
    world.window("2026-11-10", "2026-11-24").await;
    let of = "FROM v_coverage WHERE dataset = 'consumption_load_curve' ORDER BY day";
    assert_eq!(world.rows(&format!("SELECT day {of}")).await.len(), 14);
    assert_eq!(
        world.rows(&format!("SELECT day, state, intervals_stored, intervals_expected, checked_at {of} LIMIT 1")).await,
        ["2026-11-10|missing|0|-|-"]
    );
    let span = days("2026-11-15", "2026-11-18");
    let mut points = curve(span, 30, |_| 1);
    points.remove(60);
    world.store_curve(span, points).await;
    assert_eq!(
        world
            .rows(&format!("SELECT day, state, intervals_stored, intervals_expected, checked_at, next_try_at {of}"))
            .await[4..7],
        [
            "2026-11-14|missing|0|48|-|-",
            "2026-11-15|complete|48|48|2026-11-24T07:03:00Z|-",
            "2026-11-16|partial|47|48|2026-11-24T07:03:00Z|2026-11-30T07:00:00Z",
        ]
    );
    assert_eq!(
        world
            .rows(
                "SELECT first_day, last_day, days, state FROM v_gap WHERE dataset = 'consumption_load_curve' ORDER BY 1"
            )
            .await,
        ["2026-11-10|2026-11-14|5|missing", "2026-11-16|2026-11-16|1|partial", "2026-11-18|2026-11-23|6|missing"]
    );
    let status = world.store.status().await.unwrap();
    assert_eq!(status.len(), Dataset::ALL.len());
    assert_eq!(
        (status[0].gaps, status[0].newest_day, status[0].oldest_day),
        (3, Some(day("2026-11-17")), Some(day("2026-11-15")))
    );
    assert_eq!(status[0].days[&DayState::Missing], 11);
    assert_eq!(status[0].next_try_at, Some(paris::start_of(day("2026-11-30")) + 8 * 3600));
}

async fn what_leaves_the_window_unfetched_is_expired_and_may_come_back<H: Host>() {
    let world = World::<H>::new().await;
    world.window("2026-11-10", "2026-11-24").await;
    let span = days("2026-11-11", "2026-11-12");
    world.store_curve(span, curve(span, 30, |_| 1)).await;
    world.window("2026-11-13", "2026-11-25").await;
    assert_eq!(
        world
            .rows("SELECT day, state FROM v_coverage WHERE dataset = 'consumption_load_curve' ORDER BY day LIMIT 3")
            .await,
        ["2026-11-10|expired", "2026-11-12|expired", "2026-11-13|missing"]
    );
    assert_eq!(world.state(CURVE, "2026-11-11").await, DayState::Complete);
    assert_eq!(world.rows("SELECT first_day FROM v_gap WHERE state = 'expired'").await.len(), 0);
    world.window("2026-11-12", "2026-11-25").await;
    assert_eq!(world.state(CURVE, "2026-11-12").await, DayState::Missing);
    assert_eq!(world.state(CURVE, "2026-11-10").await, DayState::Expired);
    world.sound().await;
}

async fn days_before_the_activation_are_no_gaps<H: Host>() {
    let world = World::<H>::new().await;
    world.window("2026-11-10", "2026-11-24").await;
    let asked = days("2026-11-10", "2026-11-17");
    world.store_curve(asked, Vec::new()).await;
    let known = Activation { refused: Some(day("2026-11-19")), accepted: Some(day("2026-11-20")), refusals: 4 };
    let effect = Effect::Activation { meter: METER, direction: Direction::Consumption, known };
    world.store.apply(vec![effect]).await.unwrap();
    let window = Window {
        meter: METER,
        dataset: CURVE,
        served: day("2026-11-10"),
        days: Some(days("2026-11-20", "2026-11-24")),
    };
    world.store.open_windows(&[window], world.now()).await.unwrap();
    let of = "WHERE dataset = 'consumption_load_curve'";
    assert_eq!(world.one(&format!("SELECT min(day), count(*) FROM v_coverage {of}")).await, "2026-11-20|4");
    assert_eq!(world.one(&format!("SELECT first_day, days FROM v_gap {of}")).await, "2026-11-20|4");
    assert_eq!(world.one("SELECT activated_on FROM v_meter").await, "2026-11-20");
    assert_eq!(world.store.facts(0).await.unwrap().activations[&(METER, Direction::Consumption)], known);
    // Much later these days leave the source's window too; they still are no loss.
    let window = Window { served: day("2026-11-15"), ..window };
    world.store.open_windows(&[window], world.now()).await.unwrap();
    assert_eq!(world.rows(&format!("SELECT day FROM v_coverage {of} AND state = 'expired'")).await.len(), 0);
}

async fn a_meter_that_leaves_keeps_its_rows<H: Host>() {
    let world = World::<H>::new().await;
    world.window("2026-11-10", "2026-11-24").await;
    let span = days("2026-11-15", "2026-11-18");
    world.store_curve(span, curve(span, 30, |_| 1)).await;
    world.store.set_up(&Setup { meters: Vec::new(), ..setup() }).await.unwrap();
    assert_eq!(world.one("SELECT count(*) FROM v_load_curve").await, "144");
    assert_eq!(world.one("SELECT count(*) FROM v_freshness").await, "0");
    assert_eq!(world.one("SELECT count(*) FROM v_gap").await, "0");
    assert!(world.store.status().await.unwrap().is_empty());
    assert!(world.store.facts(0).await.unwrap().series.is_empty());
    world.store.set_up(&setup()).await.unwrap();
    assert_eq!(world.state(CURVE, "2026-11-15").await, DayState::Complete);
    assert_eq!(world.store.facts(0).await.unwrap().series[0].meter, METER);
}

async fn a_series_tells_why_it_is_suspended_until_it_is_answered<H: Host>() {
    let world = World::<H>::new().await;
    world.window("2026-11-10", "2026-11-24").await;
    let effect = Effect::Series {
        meter: METER,
        dataset: CURVE,
        state: SeriesState::Suspended,
        code: Some("ADAM-ERR0069".into()),
        message: Some("consent is gone".into()),
        not_before: Some(world.now() + 86_400),
    };
    world.store.apply(vec![effect]).await.unwrap();
    let row = "SELECT state, last_error_code, last_error FROM v_freshness WHERE dataset = 'consumption_load_curve'";
    assert_eq!(world.one(row).await, "suspended|ADAM-ERR0069|consent is gone");
    assert_eq!(world.store.status().await.unwrap()[0].next_try_at, Some(world.now() + 86_400));
    let span = days("2026-11-23", "2026-11-24");
    world.store_curve(span, curve(span, 30, |_| 1)).await;
    assert_eq!(world.one(row).await, "ok|-|-");
}

async fn each_source_of_a_series_keeps_its_own_troubles<H: Host>() {
    let world = World::<H>::new().await;
    let (state, code, message) = (SeriesState::NotOffered, Some("x".into()), None);
    let effect = Effect::Series { meter: METER, dataset: CURVE, state, code, message, not_before: Some(9) };
    world.store.apply(vec![effect]).await.unwrap();
    let mut other = setup();
    other.sources.push(SourceSetup {
        name: "home".into(),
        kind: "conso-api",
        account: "conso:1".into(),
        direct: false,
        credentials: "d".into(),
    });
    other.meters[0].source = "home".into();
    world.store.set_up(&other).await.unwrap();
    let serve = |to| [Switch { meter: METER, dataset: CURVE, to }];
    world.store.serve(&serve(SourceId(2))).await.unwrap();
    let facts = world.store.facts(0).await.unwrap();
    let series = &facts.series[0];
    assert_eq!((series.state, series.not_before, series.source), (SeriesState::Ok, None, SourceId(2)));
    let standing = Standing { state: SeriesState::NotOffered, code: Some("x".into()), not_before: Some(9) };
    assert_eq!(series.elsewhere.get(&SOURCE), Some(&standing));
    world.store.serve(&serve(SOURCE)).await.unwrap();
    let facts = world.store.facts(0).await.unwrap();
    let series = &facts.series[0];
    assert_eq!((series.state, series.not_before, series.source), (SeriesState::NotOffered, Some(9), SOURCE));
    assert!(series.elsewhere.is_empty());
}
