//! A database on the tests' server, with the store of PostgreSQL.

use std::sync::Arc;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Column as _, PgConnection, Row as _, TypeInfo as _, ValueRef as _};

use super::Host;
use super::server::{Database, Server};
use crate::clock::SystemClock;
use crate::domain::Day;
use crate::store::Mode;
use crate::store::postgres::{Address, PostgresStore, TimeOf};

/// A database of its own.
pub(in crate::store) struct Postgres {
    pub(in crate::store) database: Database,
}

impl Postgres {
    /// Another store on the same database, as another instance has it.
    pub(in crate::store) async fn open(&self) -> PostgresStore {
        let address = Address::parse(&self.database.url(), None).unwrap();
        PostgresStore::open(address, Mode::Create, TimeOf::Caller, Arc::new(SystemClock::new())).await.unwrap()
    }
}

impl Host for Postgres {
    type Store = PostgresStore;

    async fn new() -> (Self, PostgresStore) {
        let host = Self { database: Server::shared().database().await };
        let store = host.open().await;
        (host, store)
    }

    async fn check(store: &PostgresStore) -> Vec<String> {
        store.check().await.unwrap().into_iter().map(|finding| finding.what).collect()
    }

    fn literal(day: Day) -> String {
        format!("'{day}'")
    }

    async fn rows(&self, sql: &str) -> Vec<String> {
        rows(&mut self.database.connect().await, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    async fn run(&self, sql: &str) {
        self.database.run(sql).await;
    }

    async fn columns(&self, view: &str) -> Vec<String> {
        self.rows(&format!(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = '{view}'::regclass AND attnum > 0 ORDER BY attnum"
        ))
        .await
    }

    async fn views(&self) -> Vec<String> {
        self.rows("SELECT viewname::text FROM pg_views WHERE schemaname = current_schema() ORDER BY 1").await
    }
}

pub(in crate::store) async fn rows(conn: &mut PgConnection, sql: &str) -> Result<Vec<String>, sqlx::Error> {
    let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(conn).await?;
    Ok(rows.iter().map(|row| (0..row.columns().len()).map(|i| text(row, i)).collect::<Vec<_>>().join("|")).collect())
}

/// A value as the views of a file show it.
fn text(row: &PgRow, index: usize) -> String {
    let value = row.try_get_raw(index).unwrap();
    if value.is_null() {
        return "-".into();
    }
    let text = value.as_str().unwrap();
    match value.type_info().name() {
        "TIMESTAMPTZ" => {
            let utc = text.strip_suffix("+00").unwrap().replace(' ', "T");
            if row.column(index).name() != "called_at" {
                return format!("{utc}Z");
            }
            let (second, fraction) = utc.split_once('.').unwrap_or((&utc, ""));
            format!("{second}.{fraction:0<3}Z")
        }
        "TIMESTAMP" => text.replace(' ', "T"),
        "BOOL" => i32::from(text == "t").to_string(),
        "FLOAT8" => text.parse::<f64>().unwrap().to_string(),
        _ => text.to_owned(),
    }
}
