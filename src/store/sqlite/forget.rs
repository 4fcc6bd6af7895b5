//! Deletes a meter, or what is personal about its customer, so that no page of the file holds it any more.
//!
//! Deleted rows are overwritten (`secure_delete`), then the WAL is emptied and the file is written anew (`VACUUM`),
//! for pages that were free before still hold what once lay in them. Tables are found by their columns, so that one
//! that a later version brings is not overlooked.

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::connect::Connection;
use super::facts::prm_of;
use super::sql;
use crate::domain::Prm;
use crate::store::forget::{COPIES, COUNTS_MS, PERSONAL};
use crate::store::{Forget, ForgottenMeter, StoreError};

/// What is told where somebody reads the file meanwhile.
const READERS: &str = "another program reads the file just now, so the pages of its WAL could not be emptied; close dashboards and run the command again";

/// Deletes the rows: a transaction. `now_ms` is the machine's time.
pub(super) async fn rows(
    conn: &mut SqliteConnection,
    forget: &Forget,
    now_ms: i64,
) -> Result<Vec<ForgottenMeter>, StoreError> {
    sqlx::query(sql::SECURE_DELETE).execute(&mut *conn).await?;
    let known: Vec<(i64, String, String)> = sqlx::query_as(sql::METERS_KNOWN).fetch_all(&mut *conn).await?;
    let mut forgotten = Vec::new();
    for (id, prm, name) in known {
        let prm = prm_of(&prm)?;
        if !forget.concerns(&prm) {
            continue;
        }
        let rows = match forget {
            Forget::Personal(_) => personal(conn, id).await?,
            Forget::Meters(_) => meter(conn, id, &prm, now_ms).await?,
        };
        forgotten.push(ForgottenMeter { prm, name, rows });
    }
    sqlx::query(sql::ACCOUNT_WORDS_FORGET).execute(&mut *conn).await?;
    let Forget::Meters(prms) = forget else { return Ok(forgotten) };
    for prm in prms {
        if forgotten.iter().any(|done| done.prm == *prm) {
            continue;
        }
        // It may have been shared without ever being in the configuration.
        let rows = everything(conn, None, prm).await?;
        if rows > 0 {
            forgotten.push(ForgottenMeter { prm: prm.clone(), name: prm.to_string(), rows });
        }
    }
    Ok(forgotten)
}

async fn personal(conn: &mut SqliteConnection, meter: i64) -> Result<u64, StoreError> {
    let mut rows = 0;
    for table in PERSONAL {
        rows += delete(table, "meter").bind(meter).execute(&mut *conn).await?.rows_affected();
    }
    Ok(rows)
}

async fn meter(conn: &mut SqliteConnection, id: i64, prm: &Prm, now_ms: i64) -> Result<u64, StoreError> {
    let mut rows = everything(conn, Some(id), prm).await?;
    // What was spent stays spent, though nobody can tell for whom.
    rows += sqlx::query(sql::CALLS_FORGET).bind(id).bind(now_ms - COUNTS_MS).execute(&mut *conn).await?.rows_affected();
    rows += sqlx::query(sql::CALLS_UNNAME).bind(id).execute(&mut *conn).await?.rows_affected();
    rows += sqlx::query(sql::METER_FORGET).bind(id).execute(&mut *conn).await?.rows_affected();
    for texts in [sql::OFFPEAK_SLOTS_FORGET, sql::OFFPEAK_FORGET] {
        rows += sqlx::query(texts).execute(&mut *conn).await?.rows_affected();
    }
    Ok(rows)
}

/// Deletes what tables hold of a meter, by its number, where it has one, and by its PRM.
async fn everything(conn: &mut SqliteConnection, id: Option<i64>, prm: &Prm) -> Result<u64, StoreError> {
    let mut rows = sqlx::query(sql::JOURNEYS_UNNAME).bind(prm.full()).execute(&mut *conn).await?.rows_affected();
    let tables: Vec<(String, String)> = sqlx::query_as(sql::TABLES_OF_METERS).fetch_all(&mut *conn).await?;
    for (table, column) in tables {
        let query = delete(&table, &column);
        let query = match id {
            _ if column == "prm" => query.bind(prm.full()),
            Some(id) => query.bind(id),
            None => continue,
        };
        rows += query.execute(&mut *conn).await?.rows_affected();
    }
    Ok(rows)
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

fn delete<'q>(table: &str, column: &str) -> Query<'q> {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    sqlx::query(AssertSqlSafe(format!("DELETE FROM {} WHERE {} = ?", quoted(table), quoted(column)))).persistent(false)
}

/// What may still hold what was deleted, once the pages were swept or could not be.
pub(super) fn remains(swept: bool) -> String {
    if swept { COPIES.to_owned() } else { format!("{READERS}; {COPIES}") }
}

/// Empties the WAL and writes the file anew; whether that could be done.
pub(super) async fn pages(connection: &mut Connection) -> Result<bool, StoreError> {
    if !connection.emptied().await? {
        return Ok(false);
    }
    sqlx::query(sql::VACUUM).execute(connection.bare()).await?;
    let emptied = connection.emptied().await?;
    sqlx::query(sql::USUAL_DELETE).execute(connection.bare()).await?;
    Ok(emptied)
}

#[cfg(test)]
mod tests {
    use sqlx::Connection as _;

    use super::super::connect::{Access, options};
    use super::*;

    #[tokio::test]
    async fn a_reader_keeps_the_pages_from_being_swept_until_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("linkyd.db");
        let mut first = SqliteConnection::connect_with(&options(&path).create_if_missing(true)).await.unwrap();
        for statement in ["PRAGMA journal_mode = WAL", "CREATE TABLE t (a TEXT)", "INSERT INTO t VALUES ('x')"] {
            sqlx::query(statement).execute(&mut first).await.unwrap();
        }
        let mut writer = Connection::open(&path, "the file", Access::Write).await.unwrap();
        sqlx::query(sql::PATIENCE_SHORT).execute(writer.bare()).await.unwrap();
        let mut reader = SqliteConnection::connect_with(&options(&path)).await.unwrap();
        for statement in ["BEGIN", "SELECT a FROM t"] {
            sqlx::query(statement).fetch_all(&mut reader).await.unwrap();
        }
        sqlx::query("DELETE FROM t").execute(writer.bare()).await.unwrap();
        assert!(!pages(&mut writer).await.unwrap());
        sqlx::query("COMMIT").execute(&mut reader).await.unwrap();
        assert!(pages(&mut writer).await.unwrap());
    }
}
