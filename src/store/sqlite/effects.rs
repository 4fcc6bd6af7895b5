//! What was learnt, written down.

use sqlx::SqliteConnection;

use super::sql;
use crate::budget::FARTHEST_MS;
use crate::store::{Effect, StoreError};

/// Stores effects in their order.
pub(super) async fn apply(conn: &mut SqliteConnection, effects: &[Effect]) -> Result<(), StoreError> {
    for effect in effects {
        let query = match effect {
            Effect::Series { meter, dataset, state, code, message, not_before } => sqlx::query(sql::SERIES_STATE)
                .bind(meter.0)
                .bind(dataset.id())
                .bind(state.id())
                .bind(code)
                .bind(message)
                .bind(*not_before),
            Effect::Activation { meter, direction, known } => sqlx::query(sql::ACTIVATION_PUT)
                .bind(meter.0)
                .bind(direction.id())
                .bind(known.refused.map(crate::domain::Day::number))
                .bind(known.accepted.map(crate::domain::Day::number))
                .bind(known.refusals),
            Effect::Learnt { source, dataset, known } => sqlx::query(sql::LEARNT_PUT)
                .bind(source.0)
                .bind(dataset.id())
                .bind(known.max_days.map(|(days, _)| days))
                .bind(known.max_days.map(|(_, until)| until))
                .bind(known.history_short)
                .bind(known.api.map(|(api, _)| api.name()))
                .bind(known.api.map(|(_, since)| since))
                .bind(known.not_before),
            Effect::Source { source, state } => sqlx::query(sql::SOURCE_STATE)
                .bind(source.0)
                .bind(state.not_before_ms)
                .bind(&state.code)
                .bind(&state.message)
                .bind(state.slow_until_ms)
                .bind(state.refusals)
                .bind(state.strikes),
            Effect::Told { source, pool, left, at_ms, until_ms } => sqlx::query(sql::TOLD_PUT)
                .bind(source.0)
                .bind(pool.id())
                .bind(*left)
                .bind(*at_ms)
                .bind((*until_ms).min(at_ms + FARTHEST_MS)),
        };
        query.execute(&mut *conn).await?;
    }
    Ok(())
}
