//! The journal in figures, for metrics.

use sqlx::{Row as _, SqliteConnection};

use super::ledger::ANSWERED;
use super::sql;
use crate::store::tally::SETTLED_MS;
use crate::store::{CallId, CallTally, StoreError, Tallied, dataset_name};

/// Counts the journal's lines after that one by how their calls ended.
pub(super) async fn tally(conn: &mut SqliteConnection, after: CallId) -> Result<Tallied, StoreError> {
    let settled = sqlx::query_as(sql::TALLY_SETTLED).bind(after.0).bind(SETTLED_MS);
    let (settled,): (i64,) = settled.fetch_one(&mut *conn).await?;
    let mut calls = Vec::new();
    for row in sqlx::query(sql::TALLY).bind(settled).bind(after.0).fetch_all(conn).await? {
        let dataset: Option<i64> = row.try_get(2)?;
        let outcome: i64 = row.try_get(3)?;
        let mut within = [0; 7];
        for (place, count) in within.iter_mut().enumerate() {
            *count = row.try_get(8 + place)?;
        }
        let tally = CallTally {
            source: row.try_get(0)?,
            api: row.try_get(1)?,
            dataset: dataset.and_then(dataset_name),
            answered: outcome == ANSWERED,
            status: row.try_get(4)?,
            code: row.try_get(5)?,
            calls: row.try_get(6)?,
            duration_ms: row.try_get(7)?,
            within,
        };
        calls.push((row.try_get(15)?, tally));
    }
    Ok(Tallied { settled: CallId(settled), calls })
}
