//! What was learnt, written down.

use sqlx::SqliteConnection;

use super::batch::Batch;
use super::{raw, sql};
use crate::budget::FARTHEST_MS;
use crate::store::{Effect, StoreError, Unread};

/// Stores effects in their order.
pub(super) async fn apply(conn: &mut SqliteConnection, effects: &[Effect]) -> Result<(), StoreError> {
    let batch = add(Batch::new(), effects);
    if !batch.is_empty() {
        batch.execute(conn).await?;
    }
    Ok(())
}

/// Adds what stores effects in their order.
pub(super) fn add(mut batch: Batch, effects: &[Effect]) -> Batch {
    for effect in effects {
        batch = match effect {
            Effect::Series { meter, dataset, state, code, message, not_before } => batch
                .then(sql::SERIES_STATE)
                .bind(state.id())
                .bind(code)
                .bind(message)
                .bind(*not_before)
                .bind(meter.0)
                .bind(dataset.id()),
            Effect::Activation { meter, direction, known } => batch
                .then(sql::ACTIVATION_PUT)
                .bind(meter.0)
                .bind(direction.id())
                .bind(known.refused.map(crate::domain::Day::number))
                .bind(known.accepted.map(crate::domain::Day::number))
                .bind(known.refusals),
            Effect::Accepted { meter, direction, first } => {
                batch.then(sql::ACCEPTED_PUT).bind(meter.0).bind(direction.id()).bind(first.number())
            }
            Effect::Learnt { source, dataset, known } => batch
                .then(sql::LEARNT_PUT)
                .bind(source.0)
                .bind(dataset.id())
                .bind(known.max_days.map(|(days, _)| days))
                .bind(known.max_days.map(|(_, until)| until))
                .bind(known.history_short)
                .bind(known.api.map(|(api, _)| api.name()))
                .bind(known.api.map(|(_, since)| since))
                .bind(known.not_before),
            Effect::Source { source, state } => batch
                .then(sql::SOURCE_STATE)
                .bind(state.not_before_ms)
                .bind(&state.code)
                .bind(&state.message)
                .bind(state.slow_until_ms)
                .bind(state.refusals)
                .bind(state.strikes)
                .bind(source.0),
            Effect::Closed { source, path, closed: Some(closed) } => {
                batch.then(sql::CLOSED_PUT).bind(source.0).bind(path).bind(&closed.code).bind(closed.not_before)
            }
            Effect::Closed { source, path, closed: None } => batch.then(sql::CLOSED_OVER).bind(source.0).bind(path),
            Effect::Unread(unread) => {
                let Unread { call, meter, dataset, source, days, asked_at, raw: kept } = &**unread;
                let batch = batch
                    .then(sql::RAW_UNREAD_BEFORE)
                    .bind(meter.0)
                    .bind(dataset.id())
                    .bind(source.0)
                    .bind(days.first().number())
                    .bind(days.end().number());
                raw::add(batch, *call, (*meter, *dataset, *source), *days, *asked_at, kept)
            }
            Effect::Told { source, pool, left, at_ms, until_ms } => batch
                .then(sql::TOLD_PUT)
                .bind(pool.id())
                .bind(*left)
                .bind(*at_ms)
                .bind((*until_ms).min(at_ms + FARTHEST_MS))
                .bind(source.0),
        };
    }
    // Two at once are rare, and come in many combinations.
    if effects.len() > 1 { batch.seldom() } else { batch }
}
