//! Files that are locked, read-only, foreign, damaged or newer.

use std::time::Duration;

use super::*;

async fn open(path: &std::path::Path, mode: Mode) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(path, mode, "linkyd test").await
}

async fn raw(path: &std::path::Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await.unwrap()
}

#[test]
fn addresses_name_files() {
    use crate::store::sqlite::path_of_url;
    assert_eq!(path_of_url("sqlite://linkyd.db").unwrap().to_str(), Some("linkyd.db"));
    assert_eq!(path_of_url("sqlite:///var/lib/linkyd.db").unwrap().to_str(), Some("/var/lib/linkyd.db"));
    assert_eq!(path_of_url("sqlite:linkyd.db").unwrap().to_str(), Some("linkyd.db"));
    for wrong in ["sqlite::memory:", "sqlite://", "postgres://x", "sqlite://a.db?mode=ro"] {
        assert!(path_of_url(wrong).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn a_second_linkyd_is_told_who_is_at_work_and_readers_are_not_stopped() {
    let world = World::new().await;
    let error = open(&world.path(), Mode::Write).await.unwrap_err();
    assert!(matches!(&error, StoreError::Busy { reason, .. } if reason.contains("`linkyd sync`")), "{error}");
    let reader = open(&world.path(), Mode::Read).await.unwrap();
    assert_eq!(reader.status().await.unwrap().len(), Dataset::ALL.len());
    assert!(matches!(reader.set_up(&setup()).await, Err(StoreError::NotWritable { .. })));
    let path = world.path();
    let World { host: Sqlite { folder, .. }, store, .. } = world;
    drop(store);
    open(&path, Mode::Write).await.unwrap();
    drop(folder);
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for mode in [Mode::Read, Mode::Write] {
        let error = open(&folder.path().join("linkyd.db"), mode).await.unwrap_err();
        assert!(error.to_string().contains("`linkyd sync`"), "{error}");
    }
    for mode in [Mode::Read, Mode::Write, Mode::Create] {
        let error = open(&folder.path().join("none/linkyd.db"), mode).await.unwrap_err();
        assert!(matches!(error, StoreError::Unreachable { .. }) && error.to_string().contains("folder"), "{error}");
    }
}

#[tokio::test]
async fn foreign_newer_and_broken_files_are_refused_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let foreign = folder.path().join("foreign.db");
    let mut conn = raw(&foreign).await;
    rows(&mut conn, "CREATE TABLE other (x)").await.unwrap();
    let newer = folder.path().join("newer.db");
    drop(open(&newer, Mode::Create).await.unwrap());
    let mut conn = raw(&newer).await;
    rows(&mut conn, "PRAGMA user_version = 99").await.unwrap();
    rows(&mut conn, "PRAGMA wal_checkpoint(TRUNCATE)").await.unwrap();
    let text = folder.path().join("text.db");
    std::fs::write(&text, "This is no database, but it is long enough to be taken for the header of one.".repeat(30))
        .unwrap();
    for (path, what) in [(&foreign, "another program"), (&newer, "newer version"), (&text, "no SQLite file")] {
        let before = std::fs::read(path).unwrap();
        for mode in [Mode::Create, Mode::Write, Mode::Read] {
            let error = open(path, mode).await.unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
        }
        assert!(std::fs::read(path).unwrap() == before, "{what} was changed");
    }
}

#[tokio::test]
async fn an_older_file_is_migrated_by_writers_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("linkyd.db");
    let mut conn = raw(&path).await;
    rows(&mut conn, "PRAGMA application_id = 1280199513").await.unwrap();
    assert!(matches!(open(&path, Mode::Read).await, Err(StoreError::Older { found: 0, .. })));
    open(&path, Mode::Write).await.unwrap();
    open(&path, Mode::Read).await.unwrap();
}

#[tokio::test]
async fn a_lock_of_another_program_is_waited_for() {
    let world = World::new().await;
    let mut other = raw(&world.path()).await;
    rows(&mut other, "BEGIN EXCLUSIVE").await.unwrap();
    let span = days("2026-11-17", "2026-11-24");
    let release = async {
        tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(700))).await.unwrap();
        rows(&mut other, "COMMIT").await.unwrap();
    };
    let (committed, ()) = tokio::join!(world.store_curve(span, curve(span, 30, |_| 1)), release);
    assert_eq!(committed.inserted, 336);
    std::mem::forget(other);
}

#[tokio::test]
async fn a_reader_that_holds_a_snapshot_blocks_nothing_and_sees_one_instant() {
    let world = World::new().await;
    let mut reader = dashboard(&world.path()).await.unwrap();
    rows(&mut reader, "BEGIN").await.unwrap();
    assert_eq!(rows(&mut reader, "SELECT count(*) FROM v_load_curve").await.unwrap(), ["0"]);
    for n in 0..10 {
        let span = Days::single(day("2026-11-01").plus(n));
        world.store_curve(span, curve(span, 30, |_| 1)).await;
    }
    world.store.tidy().await.unwrap();
    assert_eq!(rows(&mut reader, "SELECT count(*) FROM v_load_curve").await.unwrap(), ["0"]);
    rows(&mut reader, "COMMIT").await.unwrap();
    assert_eq!(rows(&mut reader, "SELECT count(*) FROM v_load_curve").await.unwrap(), ["480"]);
    world.store.tidy().await.unwrap();
    assert_eq!(std::fs::metadata(world.host.folder.path().join("linkyd.db-wal")).unwrap().len(), 0);
}

#[tokio::test]
async fn a_full_database_rolls_back_and_goes_on_when_there_is_room() {
    let world = World::new().await;
    let writer = world.store.writer.as_ref().unwrap();
    let pages: i64 = world.one("PRAGMA page_count").await.parse().unwrap();
    let limit = |pages: i64| format!("PRAGMA max_page_count = {pages}");
    rows(writer.lock().await.bare(), &limit(pages)).await.unwrap();
    let span = days("2026-10-27", "2026-11-24");
    let call = world.reserve(CURVE, span).await;
    let answer = world.answer(call, CURVE, span, Values::Curve(curve(span, 10, |_| 1)));
    let error = world.store.commit(answer.clone()).await.unwrap_err();
    assert!(matches!(&error, StoreError::NotWritable { reason, .. } if reason.contains("full")), "{error}");
    assert_eq!(world.one("SELECT (SELECT count(*) FROM load_curve) + (SELECT count(*) FROM coverage)").await, "0");
    rows(writer.lock().await.bare(), &limit(100_000)).await.unwrap();
    assert_eq!(world.store.commit(answer).await.unwrap().inserted, 4032);
    world.sound().await;
}

#[tokio::test]
async fn a_lock_that_lasts_too_long_and_a_read_only_file_are_told_apart_and_pass() {
    let world = World::new().await;
    let writer = world.store.writer.as_ref().unwrap();
    let span = days("2026-11-17", "2026-11-24");
    let call = world.reserve(CURVE, span).await;
    let answer = world.answer(call, CURVE, span, Values::Curve(curve(span, 30, |_| 1)));
    rows(writer.lock().await.bare(), "PRAGMA busy_timeout = 20").await.unwrap();
    let mut other = raw(&world.path()).await;
    rows(&mut other, "BEGIN EXCLUSIVE").await.unwrap();
    let error = world.store.commit(answer.clone()).await.unwrap_err();
    assert!(matches!(error, StoreError::Busy { .. }), "{error}");
    world.store.tidy().await.unwrap();
    rows(&mut other, "COMMIT").await.unwrap();
    std::mem::forget(other);
    rows(writer.lock().await.bare(), "PRAGMA query_only = 1").await.unwrap();
    let error = world.store.commit(answer.clone()).await.unwrap_err();
    assert!(matches!(&error, StoreError::NotWritable { reason, .. } if reason.contains("read-only")), "{error}");
    rows(writer.lock().await.bare(), "PRAGMA query_only = 0").await.unwrap();
    assert_eq!(world.store.commit(answer).await.unwrap().inserted, 336);
}

#[tokio::test]
async fn after_an_error_of_the_disk_the_connection_is_a_new_one() {
    let world = World::new().await;
    let writer = world.store.writer.as_ref().unwrap();
    rows(writer.lock().await.bare(), "CREATE TEMP TABLE only_here (x)").await.unwrap();
    writer.lock().await.pretend_broken();
    let span = days("2026-11-17", "2026-11-24");
    world.store_curve(span, curve(span, 30, |_| 1)).await;
    assert!(rows(writer.lock().await.bare(), "SELECT * FROM only_here").await.is_err());
    assert!(world.host.folder.path().join("linkyd.db-wal").exists());
    assert_eq!(world.one("SELECT count(*) FROM v_load_curve").await, "336");
}

#[tokio::test]
async fn a_file_that_is_replaced_is_noticed() {
    let world = World::new().await;
    std::fs::rename(world.path(), world.host.folder.path().join("aside.db")).unwrap();
    let span = days("2026-11-17", "2026-11-24");
    let asks = Some((METER, CURVE, span));
    let call = NewCall {
        source: SOURCE,
        api: None,
        pool: crate::source::Pool::Live,
        asks: asks.map(Into::into),
        keep: None,
        seen: None,
        lease: None,
        lead_ms: 0,
        despite_rest: false,
        asked_at: 0,
    };
    let error = world.store.reserve(&call, &LIMITS, 0).await.unwrap_err();
    assert!(error.to_string().contains("replaced"), "{error}");
}

#[tokio::test]
async fn damage_is_found_and_named() {
    let world = World::new().await;
    let span = days("2026-11-17", "2026-11-24");
    world.store_curve(span, curve(span, 30, |_| 1)).await;
    let mut conn = raw(&world.path()).await;
    for sql in [
        "INSERT INTO interval_kind VALUES (2, 60, 1, 1)",
        "UPDATE load_curve SET kind = 2 WHERE start = (SELECT min(start) FROM load_curve)",
        "DELETE FROM load_curve WHERE start = (SELECT max(start) FROM load_curve)",
        "UPDATE calendar SET minutes = 1 WHERE day = (SELECT min(day) FROM calendar)",
        "UPDATE load_curve SET meter = 9 WHERE start = (SELECT max(start) FROM load_curve)",
    ] {
        rows(&mut conn, sql).await.unwrap();
    }
    let found: Vec<String> = world.store.check().await.unwrap().into_iter().map(|f| f.what).collect();
    for what in ["overlap", "offset", "another number", "Paris offset", "not filled", "calendar", "unknown"] {
        assert!(found.iter().any(|f| f.contains(what)), "{what}: {found:?}");
    }
    assert!(found.iter().all(|f| !f.contains(PRM)));
}

#[tokio::test]
async fn a_damaged_page_is_an_error_with_advice() {
    let world = World::new().await;
    // Enough that the second half of the file is nothing but rows.
    let span = days("2026-07-01", "2026-11-24");
    world.store_curve(span, curve(span, 10, |_| 1)).await;
    world.store.tidy().await.unwrap();
    let copy = world.host.folder.path().join("copy.db");
    let mut bytes = std::fs::read(world.path()).unwrap();
    let middle = bytes.len() / 4096 / 2 * 4096;
    bytes[middle..].fill(0xa5);
    std::fs::write(&copy, bytes).unwrap();
    let store = open(&copy, Mode::Read).await.unwrap();
    match store.check().await {
        Ok(found) => assert!(!found.is_empty()),
        Err(error) => assert!(matches!(error, StoreError::Damaged { .. }), "{error}"),
    }
}
