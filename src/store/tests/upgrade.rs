//! A database of each earlier version, with something in it, is brought up to date.

use std::sync::Arc;

use sqlx::ConnectOptions as _;

use super::server::Server;
use super::*;
use crate::clock::SystemClock;
use crate::store::postgres::{Address, PostgresStore, TimeOf};
use crate::store::sqlite::SqliteStore;
use crate::store::{Mode, postgres, sqlite};

/// What each version could hold first, from the first one on. `{day}` stands for the number or date of a day, `{at}`
/// for its midnight and `{next}` for the one after it, `{yes}` for the engine's word for that.
const BY_VERSION: [&str; 4] = [ROWS, ROWS_2, ROWS_3, ROWS_4];

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
    INSERT INTO contract (meter, direction, valid_from, segment, subscribed_va, distribution_tariff, offpeak_hours,
                          activated_on)
        VALUES (1, 0, {day}, 'C5', 6000, 'BTINFMUDT', 'HC (22H30-6H30)', {day});
    INSERT INTO consent (meter, until) VALUES (1, {next});
";

const ROWS_2: &str = "
    INSERT INTO revision (meter, dataset, start, minutes, old_value, new_value, old_source, seen_at, register)
        VALUES (1, 6, {at}, 0, 69, 70, 1, {next}, 'DI000002 HP EAS D1');
    INSERT INTO raw_answer (call, meter, dataset, source, start_day, end_day, asked_at, api, starts, body)
        VALUES (1, 1, 1, 1, {day}, {day}, 0, '2026', {no}, 'H4sI');
";

const ROWS_3: &str = "
    UPDATE contract SET kind = 'Contrat GRD-F', status = 'SERVC', tariff_label = 'Tarif', learnt_at = {at};
    INSERT INTO closed_call (source, path, code, not_before) VALUES (1, '/comptage_auto/v1', '900908', 1);
    INSERT INTO personal_contact (meter, email, learnt_at) VALUES (1, 'camille@example.org', {at});
";

const ROWS_4: &str = "
    UPDATE consent SET learnt = 'duration', warned = 30, source = 'enedis';
    INSERT INTO authorisation (source, prm, api, granted_at, until, learnt)
        VALUES (1, '01234567890123', '2026', {at}, {next}, 'duration');
";

/// What a database of that version holds, in the words of an engine.
fn rows(of: &str, day_number: &str, at: &str, next: &str, (yes, no): (&str, &str)) -> String {
    let rows = of.replace("{day}", day_number).replace("{at}", at).replace("{next}", next);
    rows.replace("{yes}", yes).replace("{no}", no)
}

async fn looks_as_before<H: Host>(world: &World<H>, version: usize) {
    assert_eq!(
        world
            .one("SELECT segment, subscribed_kva, distribution_tariff, activated_on, consent_until FROM v_meter")
            .await,
        "C5|6|BTINFMUDT|2026-11-20|2026-11-20T23:00:00Z"
    );
    let since = |first, told: &'static str, before: &'static str| if version >= first { told } else { before };
    assert_eq!(
        world.one("SELECT kind, status, tariff_label FROM contract").await,
        since(3, "Contrat GRD-F|SERVC|Tarif", "-|-|-")
    );
    assert_eq!(world.one("SELECT learnt, warned, source FROM consent").await, since(4, "duration|30|enedis", "-|-|-"));
    world.store.set_up(&setup()).await.unwrap();
    let known = world.store.authorisations().await.unwrap();
    assert_eq!(known.len(), usize::from(version >= 4));
    assert_eq!(world.one("SELECT count(*) FROM raw_answer").await, since(2, "1", "0"));
    assert_eq!(world.one("SELECT count(*) FROM personal_contact").await, since(3, "1", "0"));
    let of_registers = world.rows("SELECT old_value, new_value FROM v_revision WHERE register IS NOT NULL").await;
    assert_eq!(of_registers.join(" "), since(2, "69|70", ""));
    assert_eq!(
        world.rows("SELECT read_at, calendar, tariff_class, register, wh FROM v_index ORDER BY read_at").await,
        ["2026-11-19T23:00:00Z|DI000002|HP|EAS D1|70", "2026-11-20T23:00:00Z|DI000002|HP|EAS D1|90"]
    );
    assert_eq!(world.one("SELECT watts, tariff_class FROM v_load_curve").await, "500|HC");
    assert_eq!(
        world.rows("SELECT old_value, new_value, register FROM v_revision WHERE register IS NULL").await,
        ["490|500|-"]
    );
    // Readings that come now continue those that were there.
    let span = days("2026-11-22", "2026-11-23");
    let readings = registers(span, "HP", |_| 0);
    world.store_values(Dataset::ConsumptionIndex, span, Values::Registers(readings)).await;
    assert_eq!(world.one("SELECT count(*) FROM v_index").await, "5");
}

/// Views that somebody made of ours and of our tables, each with a row.
const VIEWS_OF_OTHERS: [(&str, &str); 6] = [
    ("SELECT old_value FROM v_revision WHERE register IS NULL", "490"),
    ("SELECT old_value FROM revision WHERE new_value = 500", "490"),
    ("SELECT max(wh) FROM v_index", "90"),
    ("SELECT min(wh) FROM register_reading", "70"),
    ("SELECT watts FROM v_load_curve", "500"),
    ("SELECT count(*) FROM v_reconciliation", "0"),
];

/// A file of that version.
async fn a_file_of(version: usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("linkyd.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut conn = options.connect().await.unwrap();
    let start = paris::start_of(day("2026-11-20"));
    let number = day("2026-11-20").number().to_string();
    let filled = |of| rows(of, &number, &start.to_string(), &(start + 86_400).to_string(), ("1", "0"));
    for (statements, of) in sqlite::released().iter().zip(BY_VERSION).take(version) {
        sqlx::raw_sql(*statements).execute(&mut conn).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(filled(of))).execute(&mut conn).await.unwrap();
    }
    for (number, (view, _)) in VIEWS_OF_OTHERS.iter().enumerate() {
        let view = format!("CREATE VIEW own_{number} (value) AS {view}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(view)).execute(&mut conn).await.unwrap();
    }
    // One that was dead before keeps nobody from anything.
    sqlx::raw_sql("CREATE VIEW own_dead AS SELECT * FROM nowhere").execute(&mut conn).await.unwrap();
    drop(conn);
    let store = SqliteStore::open(&path, Mode::Write, "linkyd db migrate").await.unwrap();
    let world = World::around(Sqlite { folder, path }, store);
    for (number, (view, row)) in VIEWS_OF_OTHERS.iter().enumerate() {
        assert_eq!(world.one(&format!("SELECT value FROM own_{number}")).await, *row, "{version}: {view}");
    }
    world.host.run("DROP VIEW own_dead").await;
    looks_as_before(&world, version).await;
}

/// A database on a server of that version.
async fn a_server_of(version: usize) {
    let database = Server::shared().empty_database().await;
    let instant = |hours: i64| format!("to_timestamp({})", paris::start_of(day("2026-11-20")) + 3600 * hours);
    let filled = |of| rows(of, "'2026-11-20'", &instant(0), &instant(24), ("true", "false"));
    for (statements, of) in postgres::released().iter().zip(BY_VERSION).take(version) {
        database.run(statements).await;
        database.run(&filled(of)).await;
    }
    let address = Address::parse(&database.url(), None).unwrap();
    let clock = Arc::new(SystemClock::new());
    let store = PostgresStore::open(address, Mode::Write, TimeOf::Caller, clock).await.unwrap();
    database.run("SELECT setval(pg_get_serial_sequence('meter', 'id'), 1)").await;
    looks_as_before(&World::around(Postgres { database }, store), version).await;
}

#[tokio::test]
async fn a_file_of_each_version() {
    for version in 1..=BY_VERSION.len() {
        a_file_of(version).await;
    }
}

#[tokio::test]
async fn a_server_of_each_version() {
    for version in 1..=BY_VERSION.len() {
        a_server_of(version).await;
    }
}
