//! What contracts say about off-peak hours, as slots that views can join.

use sqlx::SqliteConnection;

use super::sql;
use crate::domain::Day;
use crate::store::offpeak::Meaning;
use crate::store::{MeterId, StoreError, UnclearHours};

/// Reads each text of a contract that has not been read yet, or was not understood: a later version may. Whoever
/// stores a contract calls it in the same transaction.
pub(super) async fn learn(conn: &mut SqliteConnection) -> Result<(), StoreError> {
    let texts: Vec<(String, bool)> = sqlx::query_as(sql::OFFPEAK_NEW).fetch_all(&mut *conn).await?;
    for (text, known) in texts {
        let meaning = Meaning::of(&text);
        if known && !meaning.is_understood() {
            continue;
        }
        sqlx::query(sql::OFFPEAK_ADD).bind(&text).bind(meaning.kind).execute(&mut *conn).await?;
        for piece in meaning.pieces {
            let add = sqlx::query(sql::OFFPEAK_SLOT_ADD).bind(&text).bind(piece.season);
            add.bind(piece.from).bind(piece.to).execute(&mut *conn).await?;
        }
    }
    Ok(())
}

/// The newest contracts whose hours are not known, of one meter or of all.
pub(super) async fn unclear(
    conn: &mut SqliteConnection,
    meter: Option<MeterId>,
) -> Result<Vec<UnclearHours>, StoreError> {
    let rows = sqlx::query_as(sql::HOURS_UNCLEAR).bind(meter.map(|meter| meter.0));
    let rows: Vec<(String, i32, String)> = rows.fetch_all(conn).await?;
    Ok(rows
        .into_iter()
        .map(|(name, since, text)| UnclearHours { name, since: Day::from_number(since), text })
        .collect())
}
