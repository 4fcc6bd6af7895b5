//! The roles that `packaging/postgresql/roles.sql` makes: one migrates, one writes, one reads.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection};

use super::postgres::{Postgres, rows};
use super::server::{Database, Server};
use super::*;
use crate::clock::SystemClock;
use crate::store::Mode;
use crate::store::copy::Bulk;
use crate::store::postgres::{Address, PostgresStore, TimeOf};

/// The roles of a server are shared by its databases, so each test has names of its own.
struct Roles {
    script: String,
    database: Database,
}

impl Roles {
    async fn new() -> Self {
        let database = Server::shared().empty_database().await;
        let script = include_str!("../../../packaging/postgresql/roles.sql").replace("linkyd", database.name());
        let roles = Self { script, database };
        let name = roles.database.name();
        roles
            .database
            .run(&format!(
                "CREATE ROLE {name}_admin LOGIN NOSUPERUSER CREATEROLE PASSWORD 'of {name}';
                 ALTER DATABASE {name} OWNER TO {name}_admin"
            ))
            .await;
        roles.run().await;
        for role in ["_owner", "", "_reader"] {
            roles.administer(&format!("ALTER ROLE {name}{role} PASSWORD 'of {name}'")).await;
        }
        roles
    }

    /// Runs the script, as the administrator whom a managed server gives its customer: no superuser.
    async fn run(&self) {
        self.administer(&self.script).await;
    }

    async fn administer(&self, sql: &str) {
        let mut conn = self.connect("_admin").await;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut conn).await.unwrap();
    }

    /// A URL for a role.
    fn url(&self, role: &str) -> String {
        let mut url = url::Url::parse(&self.database.url()).unwrap();
        url.set_username(&format!("{}{role}", self.database.name())).unwrap();
        url.set_password(Some(&format!("of {}", self.database.name()))).unwrap();
        url.into()
    }

    async fn connect(&self, role: &str) -> PgConnection {
        let options: sqlx::postgres::PgConnectOptions = self.url(role).parse().unwrap();
        options.disable_statement_logging().connect().await.unwrap()
    }

    async fn open(&self, role: &str, mode: Mode) -> Result<PostgresStore, StoreError> {
        let address = Address::parse(&self.url(role), None).unwrap();
        PostgresStore::open(address, mode, TimeOf::Caller, Arc::new(SystemClock::new())).await
    }

    /// Takes everything away, roles included.
    async fn end(self) {
        let (server, name) = (self.database.server(), self.database.name().to_owned());
        drop(self.database);
        server.run(&format!("DROP ROLE {name}_owner, {name}, {name}_reader, {name}_admin")).await;
    }
}

/// Whether a statement is refused for want of a right.
async fn refused(conn: &mut PgConnection, sql: &str) -> bool {
    match sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(conn).await {
        Ok(_) => false,
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42501") => true,
        Err(error) => panic!("{sql}: {error}"),
    }
}

#[tokio::test]
async fn each_role_can_do_its_work_and_no_more() {
    let roles = Roles::new().await;
    assert!(roles.open("", Mode::Create).await.is_err(), "the writer makes no tables");
    drop(roles.open("_owner", Mode::Create).await.unwrap());
    roles.run().await;

    let store = roles.open("", Mode::Create).await.unwrap();
    store.set_up(&setup()).await.unwrap();
    let host = Postgres { database: Server::shared().empty_database().await };
    let world = World::around(host, store);
    world.window("2026-11-10", "2026-11-24").await;
    let week = days("2026-11-17", "2026-11-24");
    for watts in [500, 501] {
        world.store_curve(week, curve(week, 30, |_| watts)).await;
    }
    world.store_values(Dataset::DailyConsumption, week, energy(week, |_| 9)).await;
    world.store_values(Dataset::DailyMaxPower, week, peaks(week, 4000)).await;
    // A year that has no partition yet.
    let far = days("2044-12-31", "2045-01-02");
    world.store_curve(far, curve(far, 30, |_| 7)).await;
    let refusal = world.reserve(CURVE, week).await;
    let end = CallEnd { call: refusal, lease: None, status: Some(503), code: Some("http-503".into()), duration_ms: 9 };
    world.store.settle(end, Vec::new()).await.unwrap();
    world.store.tidy().await.unwrap();
    world.store.resume("enedis").await.unwrap();
    assert_eq!(world.store.status().await.unwrap().len(), Dataset::ALL.len());
    world.sound().await;

    let mut writer = roles.connect("").await;
    for sql in [
        "CREATE TABLE mine (x int4)",
        "DROP TABLE revision",
        "ALTER TABLE meter ADD COLUMN x int4",
        "UPDATE schema_version SET version = 99",
        "TRUNCATE load_curve",
        "CREATE TABLE load_curve_2044 PARTITION OF load_curve DEFAULT",
    ] {
        assert!(refused(&mut writer, sql).await, "the writer: {sql}");
    }
    assert_eq!(rows(&mut writer, "SELECT load_curve_years(2044, 2045)").await.unwrap(), ["0"]);
    assert_eq!(rows(&mut writer, "SELECT count(*) FROM load_curve_rest").await.unwrap(), ["96"]);

    let mut owner = roles.connect("_owner").await;
    assert_eq!(rows(&mut owner, "SELECT load_curve_years(2044, 2045)").await.unwrap(), ["2"]);
    assert_eq!(rows(&mut owner, "SELECT count(*) FROM load_curve_rest").await.unwrap(), ["0"]);
    // What the owner made later is the writer's to write.
    let again = world.store_curve(far, curve(far, 30, |_| 8)).await;
    assert_eq!(again.changed, 96);

    // An administrator may make partitions too: they are the owner's all the same.
    let schema = roles.database.name();
    roles.database.run(&format!("SET search_path = {schema}; SELECT load_curve_years(2046, 2046)")).await;
    assert_eq!(rows(&mut owner, "SELECT count(*) FROM load_curve_2046").await.unwrap(), ["0"]);
    // A copy that arrives sets the numbers that come next.
    let target = roles.open("", Mode::Create).await.unwrap();
    target.prepare(target.held().await.unwrap()).await.unwrap();
    assert!(target.examine().await.unwrap().may_write);
    roles.database.run(&format!("REVOKE DELETE ON {schema}.coverage FROM {schema}")).await;
    assert!(!target.examine().await.unwrap().may_write, "a right that is lacking is noticed");
    drop(target);

    let mut reader = roles.connect("_reader").await;
    let kinds = "SELECT relname, CASE relkind WHEN 'v' THEN 1 ELSE 0 END FROM pg_class
                 WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'S')";
    let all = rows(&mut owner, kinds).await.unwrap();
    assert!(all.len() > 50);
    for line in all {
        let (name, view) = line.split_once('|').unwrap();
        let read = if name.ends_with("_seq") { "last_value" } else { "*" };
        assert_eq!(
            refused(&mut reader, &format!("SELECT {read} FROM {name} LIMIT 1")).await,
            view == "0",
            "the reader: {name}"
        );
    }
    assert!(refused(&mut reader, "CREATE TABLE mine (x int4)").await);
    assert!(refused(&mut reader, "DELETE FROM coverage").await);
    assert_eq!(rows(&mut reader, "SELECT count(*) FROM v_load_curve").await.unwrap(), ["432"]);
    drop((world, writer, owner, reader));
    roles.end().await;
}
