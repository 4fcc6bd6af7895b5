//! The journal in figures, for metrics.

use sqlx::Row as _;

use super::connect::Link;
use super::ledger::ANSWERED;
use super::sql;
use crate::store::tally::SETTLED_MS;
use crate::store::{CallId, CallTally, StoreError, Tallied, dataset_name};

/// Counts the journal's lines after that one by how their calls ended.
pub(super) async fn tally(link: &mut Link, after: CallId) -> Result<Tallied, StoreError> {
    let settled = link.query_as(sql::TALLY_SETTLED).bind(after.0).bind(SETTLED_MS);
    let (settled,): (i64,) = settled.fetch_one(&mut link.conn).await?;
    let mut calls = Vec::new();
    for row in link.query(sql::TALLY).bind(after.0).bind(settled).fetch_all(&mut link.conn).await? {
        let dataset: Option<i16> = row.try_get(2)?;
        let outcome: i16 = row.try_get(3)?;
        let status: Option<i32> = row.try_get(4)?;
        let mut within = [0; 7];
        for (place, count) in within.iter_mut().enumerate() {
            *count = row.try_get(8 + place)?;
        }
        let tally = CallTally {
            source: row.try_get(0)?,
            api: row.try_get(1)?,
            dataset: dataset.and_then(|id| dataset_name(id.into())),
            answered: outcome == ANSWERED,
            status: status.and_then(|status| u16::try_from(status).ok()),
            code: row.try_get(5)?,
            calls: row.try_get(6)?,
            duration_ms: row.try_get(7)?,
            within,
        };
        calls.push((row.try_get(15)?, tally));
    }
    Ok(Tallied { settled: CallId(settled), calls })
}
