//! A database of the first version, with something in it, is brought up to date.

use std::sync::Arc;

use sqlx::ConnectOptions as _;

use super::server::Server;
use super::*;
use crate::clock::SystemClock;
use crate::store::Mode;
use crate::store::postgres::{Address, PostgresStore, TimeOf};
use crate::store::sqlite::SqliteStore;

/// What a first version could hold of one day. `{day}` stands for its number or date, `{at}` for its midnight and
/// `{next}` for the one after it.
const ROWS: &str = "
    INSERT INTO account (id, key) VALUES (1, 'enedis:app');
    INSERT INTO source (id, name, kind, account, configured, direct, credentials)
        VALUES (1, 'enedis', 'enedis', 1, {yes}, {yes}, 'c');
    INSERT INTO meter (id, prm, name, source, configured, position) VALUES (1, '01234567890123', 'Maison', 1, {yes}, 0);
    INSERT INTO interval_kind (id, minutes, summer, source) VALUES (0, 30, 0, 1);
    INSERT INTO load_curve (meter, direction, start, kind, watts) VALUES (1, 0, {at}, 0, 500);
    INSERT INTO register_reading (meter, direction, calendar, register, tariff_class, read_at, wh, source)
        VALUES (1, 0, 'DI000002', 'EAS D1', 'HP', {at}, 70, 1), (1, 0, 'DI000002', 'EAS D1', 'HP', {next}, 90, 1);
    INSERT INTO revision (meter, dataset, start, minutes, old_value, new_value, old_source, seen_at)
        VALUES (1, 1, {at}, 30, 490, 500, 1, {next});
    INSERT INTO contract (meter, direction, valid_from, offpeak_hours) VALUES (1, 0, {day}, 'HC (22H30-6H30)');
";

fn rows(day_number: &str, at: &str, next: &str, yes: &str) -> String {
    ROWS.replace("{day}", day_number).replace("{at}", at).replace("{next}", next).replace("{yes}", yes)
}

async fn looks_as_before<H: Host>(world: &World<H>) {
    world.store.set_up(&setup()).await.unwrap();
    assert_eq!(
        world.rows("SELECT read_at, calendar, tariff_class, register, wh FROM v_index ORDER BY read_at").await,
        ["2026-11-19T23:00:00Z|DI000002|HP|EAS D1|70", "2026-11-20T23:00:00Z|DI000002|HP|EAS D1|90"]
    );
    assert_eq!(world.one("SELECT watts, tariff_class FROM v_load_curve").await, "500|HC");
    assert_eq!(world.one("SELECT old_value, new_value, register FROM v_revision").await, "490|500|-");
    // Readings that come now continue those that were there.
    let span = days("2026-11-22", "2026-11-23");
    let readings = registers(span, "HP", |_| 0);
    world.store_values(Dataset::ConsumptionIndex, span, Values::Registers(readings)).await;
    assert_eq!(world.one("SELECT count(*) FROM v_index").await, "5");
}

#[tokio::test]
async fn a_file_of_the_first_version() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("linkyd.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut conn = options.connect().await.unwrap();
    sqlx::raw_sql(include_str!("../../../migrations/sqlite/0001_start.sql")).execute(&mut conn).await.unwrap();
    let start = paris::start_of(day("2026-11-20"));
    let number = day("2026-11-20").number().to_string();
    let rows = rows(&number, &start.to_string(), &(start + 86_400).to_string(), "1");
    sqlx::raw_sql(sqlx::AssertSqlSafe(rows)).execute(&mut conn).await.unwrap();
    drop(conn);
    let store = SqliteStore::open(&path, Mode::Write, "linkyd db migrate").await.unwrap();
    looks_as_before(&World::around(Sqlite { folder, path }, store)).await;
}

#[tokio::test]
async fn a_server_of_the_first_version() {
    let database = Server::shared().empty_database().await;
    database.run(include_str!("../../../migrations/postgres/0001_start.sql")).await;
    let instant = |hours: i64| format!("to_timestamp({})", paris::start_of(day("2026-11-20")) + 3600 * hours);
    database.run(&rows("'2026-11-20'", &instant(0), &instant(24), "true")).await;
    let address = Address::parse(&database.url(), None).unwrap();
    let clock = Arc::new(SystemClock::new());
    let store = PostgresStore::open(address, Mode::Write, TimeOf::Caller, clock).await.unwrap();
    database.run("SELECT setval(pg_get_serial_sequence('meter', 'id'), 1)").await;
    looks_as_before(&World::around(Postgres { database }, store)).await;
}
