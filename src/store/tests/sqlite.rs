//! A file in a temporary folder, with the store of SQLite.

use std::path::{Path, PathBuf};

use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _, SqliteConnection, TypeInfo as _, ValueRef as _};

use super::{Host, World};
use crate::domain::Day;
use crate::store::sqlite::{Mode, SqliteStore};

/// A file in a folder of its own.
pub(in crate::store) struct Sqlite {
    pub(in crate::store) folder: tempfile::TempDir,
    pub(in crate::store) path: PathBuf,
}

impl Host for Sqlite {
    type Store = SqliteStore;

    async fn new() -> (Self, SqliteStore) {
        let folder = tempfile::tempdir().unwrap();
        let host = Self { path: folder.path().join("linkyd.db"), folder };
        let store = SqliteStore::open(&host.path, Mode::Create, "linkyd sync").await.unwrap();
        (host, store)
    }

    async fn check(store: &SqliteStore) -> Vec<String> {
        store.check().await.unwrap().into_iter().map(|finding| finding.what).collect()
    }

    fn literal(day: Day) -> String {
        day.number().to_string()
    }

    async fn rows(&self, sql: &str) -> Vec<String> {
        rows(&mut dashboard(&self.path).await.unwrap(), sql).await.unwrap()
    }

    async fn run(&self, sql: &str) {
        let mut conn = SqliteConnectOptions::new().filename(&self.path).connect().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut conn).await.unwrap();
    }

    async fn columns(&self, view: &str) -> Vec<String> {
        self.rows(&format!("SELECT name FROM pragma_table_info('{view}')")).await
    }

    async fn views(&self) -> Vec<String> {
        self.rows("SELECT name FROM sqlite_schema WHERE type = 'view' ORDER BY name").await
    }
}

impl World<Sqlite> {
    pub(in crate::store) fn path(&self) -> PathBuf {
        self.host.path.clone()
    }
}

/// A connection as other programs open it: to read only, with nothing of ours.
pub(in crate::store) async fn dashboard(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    SqliteConnectOptions::new().filename(path).read_only(true).connect().await
}

pub(in crate::store) async fn rows(conn: &mut SqliteConnection, sql: &str) -> Result<Vec<String>, sqlx::Error> {
    let rows = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(conn).await?;
    Ok(rows.iter().map(|row| (0..row.columns().len()).map(|i| text(row, i)).collect::<Vec<_>>().join("|")).collect())
}

fn text(row: &SqliteRow, index: usize) -> String {
    let value = row.try_get_raw(index).unwrap();
    if value.is_null() {
        return "-".into();
    }
    match value.type_info().name() {
        "INTEGER" => row.get::<i64, _>(index).to_string(),
        "REAL" => row.get::<f64, _>(index).to_string(),
        _ => row.get::<String, _>(index),
    }
}
