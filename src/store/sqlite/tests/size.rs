//! How much room a history takes, and how little is written.

use super::*;

#[tokio::test]
async fn a_whole_history_of_consumer_and_producer_stays_under_2_mb() {
    let world = World::new().await;
    let end = day("2026-11-24");
    let (curves, dailies) = (day("2024-11-09"), day("2023-11-09"));
    let windows = Dataset::COMMON.map(|dataset| {
        let first = if dataset.name().ends_with("load_curve") { curves } else { dailies };
        Window { meter: METER, dataset, served: first, days: Days::new(first, end) }
    });
    world.store.open_windows(&windows, world.now()).await.unwrap();
    for dataset in Dataset::COMMON {
        let curve_like = dataset.name().ends_with("load_curve");
        let (first, length) = if curve_like { (curves, 7) } else { (dailies, 365) };
        let mut last = end;
        while last > first {
            let span = Days::new(first.max(last.plus(-length)), last).unwrap();
            let values = match dataset {
                Dataset::DailyMaxPower => peaks(span, 5712),
                _ if curve_like => Values::Curve(curve(span, 30, |start| (start / 1800 * 7919) % 3000)),
                _ => energy(span, |day| 9000 + i64::from(day.number() % 2999)),
            };
            world.store_values(dataset, span, values).await;
            last = span.first();
        }
    }
    world.store.tidy().await.unwrap();
    let size = std::fs::metadata(world.path()).unwrap().len();
    let intervals: i64 = world.one("SELECT count(*) FROM load_curve").await.parse().unwrap();
    assert_eq!(intervals, 2 * 745 * 48);
    let pages: i64 = tables(&world).await;
    println!("{size} bytes in all, {pages} bytes for {intervals} intervals");
    assert!(size < 1_900_000, "{size} bytes");
    assert!(pages < 20 * intervals, "{pages} bytes for {intervals} intervals");
    world.sound().await;
    assert_eq!(world.one("SELECT count(*) FROM v_gap").await, "0");
}

/// Bytes of the pages of the load curves, from a copy without them.
async fn tables(world: &World) -> i64 {
    let copy = world.host.folder.path().join("copy.db");
    std::fs::copy(world.path(), &copy).unwrap();
    let mut conn = SqliteConnectOptions::new().filename(&copy).connect().await.unwrap();
    let size = "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
    let before: i64 = rows(&mut conn, size).await.unwrap()[0].parse().unwrap();
    rows(&mut conn, "DROP TABLE load_curve").await.unwrap();
    let after: i64 = rows(&mut conn, size).await.unwrap()[0].parse().unwrap();
    before - after
}

#[tokio::test]
async fn a_window_that_stays_writes_nothing_but_the_pass() {
    let world = World::new().await;
    world.window("2026-11-10", "2026-11-24").await;
    world.store.tidy().await.unwrap();
    world.window("2026-11-10", "2026-11-24").await;
    world.store.set_up(&setup()).await.unwrap();
    assert_eq!(std::fs::metadata(world.host.folder.path().join("linkyd.db-wal")).unwrap().len(), 0);
}
