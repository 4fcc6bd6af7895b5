//! What is the same already is not written again, however much there is of it.

use std::sync::atomic::Ordering;

use super::proxy::Proxy;
use super::*;
use crate::domain::{Direction, SeriesState};
use crate::store::copy::{Bulk, Cells, Chunk, TABLES};
use crate::store::{Activation, Effect};

/// Which transaction wrote each row of what a configuration and a calendar fill.
const WRITERS: &str = "SELECT md5(string_agg(x, ',' ORDER BY x)) FROM (
    SELECT 's' || id || ':' || xmin || ctid AS x FROM source UNION ALL SELECT 'a' || id || ':' || xmin || ctid FROM account
    UNION ALL SELECT 'm' || id || ':' || xmin || ctid FROM meter
    UNION ALL SELECT 'r' || meter || ':' || dataset || ':' || xmin || ctid FROM series
    UNION ALL SELECT 'v' || meter || ':' || dataset || ':' || day || ':' || xmin || ctid FROM coverage
    UNION ALL SELECT 'p' || id || ':' || xmin || ctid FROM last_pass
    UNION ALL SELECT 'k' || day || ':' || xmin || ctid FROM calendar) rows";

#[tokio::test]
async fn an_unchanged_configuration_and_an_unchanged_day_write_nothing() {
    let rig = Rig::new().await;
    let (setup, windows) = (setup(300), windows(300, "2026-11-01", "2026-11-24"));
    rig.store.set_up(&setup).await.unwrap();
    rig.store.open_windows(&windows, NOW).await.unwrap();
    let before = rig.one(WRITERS).await;
    assert_eq!(rig.one("SELECT count(*)::text FROM coverage").await, (900 * 23).to_string());
    assert_eq!(rig.store.set_up(&setup).await.unwrap(), Vec::<String>::new());
    rig.store.open_windows(&windows, NOW).await.unwrap();
    assert_eq!(rig.one(WRITERS).await, before);
    // The next day adds one record a series and touches no other.
    let earlier =
        "SELECT md5(string_agg(meter || ':' || dataset || ':' || day || ':' || xmin || ctid, ',' ORDER BY meter,
        dataset, day)) FROM coverage WHERE day < '2026-11-24'";
    let before = rig.one(earlier).await;
    let windows = super::windows(300, "2026-11-01", "2026-11-25");
    rig.store.open_windows(&windows, NOW + 86_400).await.unwrap();
    assert_eq!(rig.one("SELECT count(*)::text FROM coverage WHERE day = '2026-11-24'").await, "900");
    assert_eq!(rig.one(earlier).await, before);
}

/// The end of a fleet's pass is the same few messages, however many series wait.
#[tokio::test]
async fn what_is_said_of_a_fleet_is_said_at_once() {
    let rig = Rig::new().await;
    rig.store.set_up(&setup(300)).await.unwrap();
    let proxy = Proxy::to(&rig.database.url());
    let store = open(&proxy.url(&rig.database.url()), Mode::Write, &rig.clock).await;
    let all: Vec<(MeterId, Dataset)> =
        (1..=300).flat_map(|n| [CURVE, DAILY, Dataset::DailyMaxPower].map(|dataset| (MeterId(n), dataset))).collect();
    let seen = store.counters(&all).await.unwrap();
    assert_eq!(seen.len(), all.len());
    let waits = |(meter, dataset): &(MeterId, Dataset)| Effect::Series {
        meter: *meter,
        dataset: *dataset,
        state: SeriesState::Waiting,
        code: None,
        message: Some("the call budget of the hour is used up".into()),
        not_before: Some(NOW + 3_600),
    };
    let activated = |n| Effect::Activation {
        meter: MeterId(n),
        direction: Direction::Consumption,
        known: Activation { accepted: Some(day("2026-11-01")), ..Activation::default() },
    };
    let effects = all.iter().map(waits).chain((1..=300).map(activated)).collect();
    let before = proxy.turns.load(Ordering::SeqCst);
    store.apply_known(effects, seen).await.unwrap();
    let turns = proxy.turns.load(Ordering::SeqCst) - before;
    assert!(turns < 30, "{turns} answers of the server");
    assert_eq!(rig.one("SELECT count(*)::text FROM series WHERE state = 4 AND seen = 1").await, "900");
    assert_eq!(rig.one("SELECT count(*)::text FROM activation").await, "300");
}

/// Which transaction wrote each interval, and which one locked it last: either would be in the server's log.
const READINGS: &str =
    "SELECT md5(string_agg(start::text || xmin || ' ' || xmax || ctid, ',' ORDER BY start)) FROM load_curve";

/// The same in bulk, as a copy that is made again has it.
#[tokio::test]
async fn the_same_rows_in_bulk_are_neither_written_nor_locked() {
    let rig = Rig::new().await;
    rig.database.run("INSERT INTO interval_kind (id, minutes, summer, source) VALUES (1, 30, 0, 1)").await;
    let table = TABLES.iter().find(|table| table.name == "load_curve").unwrap();
    let first = paris::start_of(day("2026-11-17"));
    let rows = |watts: i64| {
        let column = |value: &dyn Fn(i64) -> i64| Cells::Numbers((0..336).map(|n| Some(value(n))).collect());
        let columns = vec![
            column(&|_| METER.0),
            column(&|_| 0),
            column(&|n| first + n * 1800),
            column(&|_| 1),
            column(&|_| watts),
        ];
        Chunk { table, rows: 336, columns }
    };
    for (watts, inserted, changed) in [(5, 336, 0), (5, 0, 0), (6, 0, 336), (6, 0, 0)] {
        let before = rig.one(READINGS).await;
        let written = Bulk::write(&rig.store, rows(watts)).await.unwrap();
        assert_eq!((written.inserted, written.changed), (inserted, changed));
        assert_eq!(rig.one(READINGS).await == before, inserted + changed == 0);
    }
}

#[tokio::test]
async fn the_same_answer_again_writes_no_reading() {
    let rig = Rig::new().await;
    let span = days("2026-11-17", "2026-11-24");
    for (values, inserted, changed) in [(curve(span, 5), 336, 0), (curve(span, 5), 0, 0), (curve(span, 6), 0, 336)] {
        let before = rig.one(READINGS).await;
        let (line, _) = reserve(&rig.store, &call(CURVE, span, None)).await;
        let done = rig.store.commit(answer(line, None, CURVE, span, values)).await.unwrap();
        assert_eq!((done.inserted, done.changed), (inserted, changed));
        assert_eq!(rig.one(READINGS).await == before, inserted + changed == 0);
    }
    assert_eq!(rig.one("SELECT count(*)::text FROM revision").await, "336");
    assert_eq!(rig.store.check().await.unwrap(), []);
}

#[tokio::test]
async fn status_counts_as_the_records_do() {
    let rig = Rig::new().await;
    // Complete at both ends, open in the middle, and one complete day before the window.
    for (first, end) in [("2026-10-30", "2026-11-04"), ("2026-11-20", "2026-11-22")] {
        let span = days(first, end);
        let (line, _) = reserve(&rig.store, &call(DAILY, span, None)).await;
        rig.store.commit(answer(line, None, DAILY, span, energy(span, 9))).await.unwrap();
    }
    let status = rig.store.status().await.unwrap();
    let daily = status.iter().find(|s| s.dataset == DAILY).unwrap();
    assert_eq!((daily.oldest_day, daily.newest_day), (Some(day("2026-10-30")), Some(day("2026-11-21"))));
    assert_eq!(daily.gaps, 2);
    let counts: Vec<(&str, i64)> = daily.days.iter().map(|(state, n)| (state.name(), *n)).collect();
    assert_eq!(counts, [("complete", 5), ("missing", 18)]);
    let curve = status.iter().find(|s| s.dataset == CURVE).unwrap();
    assert_eq!((curve.oldest_day, curve.newest_day, curve.gaps), (None, None, 1));
    let gaps = rig.column("SELECT dataset || ' ' || days FROM v_gap ORDER BY dataset, first_day").await;
    assert_eq!(
        gaps,
        ["consumption_load_curve 23", "daily_consumption 16", "daily_consumption 2", "daily_max_power 23"]
    );
}
