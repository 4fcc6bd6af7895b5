//! What contracts say about off-peak hours, as slots that views can join.

use super::connect::Link;
use super::sql;
use super::types::{Date, i2, i4};
use crate::store::offpeak::Meaning;
use crate::store::{MeterId, StoreError, UnclearHours};

/// Reads each text of a contract that has not been read yet, or was not understood: a later version may. Whoever
/// stores a contract calls it in the same transaction; where two do so at once, the second waits and finds it read.
pub(super) async fn learn(link: &mut Link) -> Result<(), StoreError> {
    let texts: Vec<(String, bool)> = link.query_as(sql::OFFPEAK_NEW).fetch_all(&mut link.conn).await?;
    for (text, known) in texts {
        let meaning = Meaning::of(&text);
        if known && !meaning.is_understood() {
            continue;
        }
        let add = link.query(sql::OFFPEAK_ADD).bind(text.clone()).bind(i2(meaning.kind));
        add.execute(&mut link.conn).await?;
        let pieces = || meaning.pieces.iter();
        link.query(sql::OFFPEAK_SLOTS_ADD)
            .bind(text)
            .bind(pieces().map(|piece| i2(piece.season)).collect::<Vec<_>>())
            .bind(pieces().map(|piece| piece.from).collect::<Vec<_>>())
            .bind(pieces().map(|piece| piece.to).collect::<Vec<_>>())
            .execute(&mut link.conn)
            .await?;
    }
    Ok(())
}

/// The newest contracts whose hours are not known, of one meter or of all.
pub(super) async fn unclear(link: &mut Link, meter: Option<MeterId>) -> Result<Vec<UnclearHours>, StoreError> {
    let rows = link.query_as(sql::HOURS_UNCLEAR).bind(meter.map(|meter| i4(meter.0)));
    let rows: Vec<(String, Date, String)> = rows.fetch_all(&mut link.conn).await?;
    Ok(rows.into_iter().map(|(name, since, text)| UnclearHours { name, since: since.0, text }).collect())
}
