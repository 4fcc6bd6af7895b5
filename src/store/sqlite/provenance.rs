//! Who wins where a gateway and Enedis itself disagree: the rule is [`crate::domain::dispute`],
//! here it meets the rows.

use std::collections::BTreeSet;

use sqlx::SqliteConnection;

use super::sql;
use crate::store::compare::Revision;
use crate::store::{Answer, StoreError};

/// The sources that are Enedis itself; none where the answer comes from one of them, or where
/// nothing is stored yet, since then nothing can disagree.
pub(super) async fn firm_sources(
    conn: &mut SqliteConnection,
    answer: &Answer,
    nothing_held: bool,
) -> Result<BTreeSet<i64>, StoreError> {
    if answer.direct || nothing_held {
        return Ok(BTreeSet::new());
    }
    let ids: Vec<(i64,)> = sqlx::query_as(sql::DIRECT_SOURCES).fetch_all(conn).await?;
    Ok(ids.into_iter().map(|(id,)| id).collect())
}

/// Those of the disputed values that have no revision yet: a gateway may say the same every day.
pub(super) async fn unheard(
    conn: &mut SqliteConnection,
    answer: &Answer,
    disputed: Vec<Revision>,
) -> Result<Vec<Revision>, StoreError> {
    let mut new = Vec::new();
    for revision in disputed {
        let (known,): (bool,) = sqlx::query_as(sql::REVISION_HAS)
            .bind(answer.meter.0)
            .bind(answer.dataset.id())
            .bind(revision.start)
            .bind(revision.old)
            .bind(revision.new)
            .bind(revision.old_source)
            .fetch_one(&mut *conn)
            .await?;
        if !known {
            new.push(revision);
        }
    }
    Ok(new)
}
