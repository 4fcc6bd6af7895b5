//! Killed processes and torn files: whatever is left is whole.

use std::io::BufRead;
use std::time::Duration;

use super::readers::me;
use super::*;

/// The n-th week of a long history.
fn nth_week(n: i32) -> Days {
    let first = day("2015-01-05").plus(7 * n);
    Days::new(first, first.plus(7)).unwrap()
}

/// Stores one week after the other, from where an earlier process was stopped.
pub(super) async fn burst(world: &World) {
    let done: i32 = world.one("SELECT count(*) FROM call WHERE outcome = 1").await.parse().unwrap();
    println!("begin");
    for n in done.. {
        world.store_curve(nth_week(n), curve(nth_week(n), 30, |start| start % 3000)).await;
    }
}

/// Each call that is marked as answered has its rows, and no other call has any.
async fn whole(path: &std::path::Path) -> i64 {
    let mut conn = dashboard(path).await.unwrap();
    let counts = "SELECT (SELECT count(*) FROM call WHERE outcome = 1), (SELECT count(*) FROM load_curve),
                         (SELECT count(*) FROM coverage WHERE state = 0)";
    let row = rows(&mut conn, counts).await.unwrap().remove(0);
    let numbers: Vec<i64> = row.split('|').map(|n| n.parse().unwrap()).collect();
    let minutes: i64 =
        (0..numbers[0]).flat_map(|n| nth_week(n.try_into().unwrap()).iter()).map(paris::minutes_in).sum();
    assert_eq!((numbers[1], numbers[2]), (minutes / 30, 7 * numbers[0]), "{row}");
    numbers[0]
}

#[tokio::test]
async fn killed_at_any_moment_an_answer_is_there_wholly_or_not_at_all() {
    let world = World::new().await;
    let path = world.path();
    let World { host: Sqlite { folder, .. }, store, .. } = world;
    drop(store);
    let mut before = 0;
    for round in 0..12_u64 {
        let mut process = me(folder.path(), "burst", &path).spawn().unwrap();
        let output = std::io::BufReader::new(process.stdout.take().unwrap());
        assert!(output.lines().map_while(Result::ok).any(|line| line.contains("begin")));
        std::thread::sleep(Duration::from_micros(3_000 + round * 2_917));
        process.kill().unwrap();
        process.wait().unwrap();
        let done = whole(&path).await;
        assert!(done >= before, "{done} weeks, and {before} before");
        before = done;
    }
    assert!(before > 0);
    let store = SqliteStore::open(&path, Mode::Write, "linkyd sync").await.unwrap();
    assert_eq!(store.check().await.unwrap(), []);
}

#[tokio::test]
async fn a_torn_end_of_the_wal_loses_whole_answers_only() {
    let world = World::new().await;
    world.store.tidy().await.unwrap();
    for n in 0..8 {
        world.store_curve(nth_week(n), curve(nth_week(n), 30, |start| start % 3000)).await;
    }
    let wal = std::fs::read(world.host.folder.path().join("linkyd.db-wal")).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..24 {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("linkyd.db");
        std::fs::copy(world.path(), &copy).unwrap();
        let mut torn = wal[..wal.len() * n / 23].to_vec();
        torn.truncate(torn.len().saturating_sub(fastrand::usize(..3000)));
        torn.extend(std::iter::repeat_n(0xa5, fastrand::usize(..5000)));
        std::fs::write(folder.path().join("linkyd.db-wal"), torn).unwrap();
        let store = SqliteStore::open(&copy, Mode::Write, "linkyd sync").await.unwrap();
        seen.insert(whole(&copy).await);
        assert_eq!(store.check().await.unwrap(), []);
    }
    assert!(seen.len() > 4 && seen.contains(&0), "{seen:?}");
}
