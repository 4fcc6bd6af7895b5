//! Deletes a meter, or what is personal about its customer.
//!
//! Tables are found by their columns, so that one that a later version brings is not overlooked. The server keeps
//! deleted rows in its files until `VACUUM`, and in its WAL and backups for as long as its administrator has set.

use sqlx::AssertSqlSafe;

use super::connect::{Link, Server};
use super::facts::prm_of;
use super::sql;
use super::transaction::quoted;
use crate::domain::Prm;
use crate::store::forget::{COUNTS_MS, PERSONAL};
use crate::store::{Forget, ForgottenMeter, StoreError};

/// What is told where the role may not vacuum.
pub(super) const NOT_VACUUMED: &str = "the rows are deleted, but this role may not have the server sweep its files (VACUUM); the server does so by itself in time, or its administrator can run VACUUM now";

/// What is true of every server.
pub(super) const BACKUPS: &str =
    "the server's write-ahead log and backups hold what was deleted for as long as they are kept";

/// Deletes the rows: a transaction. `now_ms` is the time by which calls are counted.
pub(super) async fn rows(link: &mut Link, forget: &Forget, now_ms: i64) -> Result<Vec<ForgottenMeter>, StoreError> {
    let known: Vec<(i32, String, String)> = link.query_as(sql::METERS_KNOWN).fetch_all(&mut link.conn).await?;
    let mut forgotten = Vec::new();
    for (id, prm, name) in known {
        let prm = prm_of(&prm)?;
        if !forget.concerns(&prm) {
            continue;
        }
        let rows = match forget {
            Forget::Personal(_) => personal(link, id).await?,
            Forget::Meters(_) => meter(link, id, &prm, now_ms).await?,
        };
        forgotten.push(ForgottenMeter { prm, name, rows });
    }
    link.query(sql::ACCOUNT_WORDS_FORGET).execute(&mut link.conn).await?;
    let Forget::Meters(prms) = forget else { return Ok(forgotten) };
    for prm in prms {
        if forgotten.iter().any(|done| done.prm == *prm) {
            continue;
        }
        // It may have been shared without ever being in the configuration.
        let rows = everything(link, None, prm).await?;
        if rows > 0 {
            forgotten.push(ForgottenMeter { prm: prm.clone(), name: prm.to_string(), rows });
        }
    }
    Ok(forgotten)
}

async fn personal(link: &mut Link, meter: i32) -> Result<u64, StoreError> {
    let mut rows = 0;
    for table in PERSONAL {
        rows += delete(table, "meter").bind(meter).execute(&mut link.conn).await?.rows_affected();
    }
    Ok(rows)
}

async fn meter(link: &mut Link, id: i32, prm: &Prm, now_ms: i64) -> Result<u64, StoreError> {
    let mut rows = everything(link, Some(id), prm).await?;
    // What was spent stays spent, though nobody can tell for whom.
    let old = link.query(sql::CALLS_FORGET).bind(id).bind(now_ms - COUNTS_MS);
    rows += old.execute(&mut link.conn).await?.rows_affected();
    rows += link.query(sql::CALLS_UNNAME).bind(id).execute(&mut link.conn).await?.rows_affected();
    rows += link.query(sql::METER_FORGET).bind(id).execute(&mut link.conn).await?.rows_affected();
    for texts in [sql::OFFPEAK_SLOTS_FORGET, sql::OFFPEAK_FORGET] {
        rows += link.query(texts).execute(&mut link.conn).await?.rows_affected();
    }
    Ok(rows)
}

/// Deletes what tables hold of a meter, by its number, where it has one, and by its PRM.
async fn everything(link: &mut Link, id: Option<i32>, prm: &Prm) -> Result<u64, StoreError> {
    let journeys = link.query(sql::JOURNEYS_UNNAME).bind(prm.full().to_owned());
    let mut rows = journeys.execute(&mut link.conn).await?.rows_affected();
    let tables: Vec<(String, String)> = link.query_as(sql::TABLES_OF_METERS).fetch_all(&mut link.conn).await?;
    for (table, column) in tables {
        let query = delete(&table, &column);
        let query = match id {
            _ if column == "prm" => query.bind(prm.full().to_owned()),
            Some(id) => query.bind(id),
            None => continue,
        };
        rows += query.execute(&mut link.conn).await?.rows_affected();
    }
    Ok(rows)
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn delete<'q>(table: &str, column: &str) -> Query<'q> {
    let statement = format!("DELETE FROM {} WHERE {} = $1", quoted(table), quoted(column));
    sqlx::query(AssertSqlSafe(statement)).persistent(false)
}

/// What there is to sweep and may be swept by this role, as the server names it, and whether that is all. The server
/// warns of each table that it is asked to sweep in vain, and one sentence says as much.
pub(super) async fn to_sweep(link: &mut Link, forget: &Forget) -> Result<(Vec<String>, bool), StoreError> {
    let found: Vec<(String, String, bool)> = link.query_as(sql::TABLES_SWEPT).fetch_all(&mut link.conn).await?;
    let wanted = |table: &str| matches!(forget, Forget::Meters(_)) || table == "account" || PERSONAL.contains(&table);
    let found: Vec<_> = found.into_iter().filter(|(_, table, _)| wanted(table)).collect();
    let may = found.iter().all(|(.., may)| *may);
    let swept = found.iter().filter(|(.., may)| *may);
    Ok((swept.map(|(schema, table, _)| format!("{}.{}", quoted(schema), quoted(table))).collect(), may))
}

/// Has the server sweep the files of these tables; whether it did for all of them. It cannot be part of a transaction.
pub(super) async fn sweep(server: &Server, tables: &[String]) -> Result<bool, StoreError> {
    let (mut link, _permit) = server.link().await?;
    let mut all = true;
    for table in tables {
        let swept = sqlx::query(AssertSqlSafe(format!("VACUUM {table}"))).persistent(false);
        all &= swept.execute(&mut link.conn).await.is_ok();
    }
    server.give_back(link);
    Ok(all)
}
