//! What was learnt, written down.

use std::collections::BTreeMap;

use super::connect::Link;
use super::skew::Skew;
use super::sql;
use super::types::{Date, i2, i4};
use crate::budget::FARTHEST_MS;
use crate::domain::Dataset;
use crate::store::{Effect, MeterId, StoreError};

/// Whether an effect is about an account: those come first, since whoever reserves a call locks the
/// account before the series, and two who lock in different orders wait for each other.
fn of_account(effect: &Effect) -> bool {
    matches!(effect, Effect::Source { .. } | Effect::Told { .. })
}

/// Stores what was learnt about accounts; comes before any series is touched.
pub(super) async fn of_accounts(link: &mut Link, skew: &Skew, effects: &[Effect]) -> Result<(), StoreError> {
    for effect in effects.iter().filter(|effect| of_account(effect)) {
        store(link, skew, effect, None).await?;
    }
    Ok(())
}

/// Stores everything else, in its order.
pub(super) async fn of_series(link: &mut Link, skew: &Skew, effects: &[Effect]) -> Result<(), StoreError> {
    for effect in effects.iter().filter(|effect| !of_account(effect)) {
        store(link, skew, effect, None).await?;
    }
    Ok(())
}

/// What was known of series, by their counters.
type Seen = BTreeMap<(MeterId, Dataset), i64>;

/// Stores what no call brought; where it follows from what was known of a series, only while that is the same.
pub(super) async fn apply(
    link: &mut Link,
    skew: &Skew,
    effects: &[Effect],
    seen: Option<&Seen>,
) -> Result<(), StoreError> {
    of_accounts(link, skew, effects).await?;
    for effect in effects.iter().filter(|effect| !of_account(effect)) {
        let of = match effect {
            Effect::Series { meter, dataset, .. } => seen.and_then(|seen| seen.get(&(*meter, *dataset))),
            _ => None,
        };
        store(link, skew, effect, of.copied()).await?;
    }
    Ok(())
}

async fn store(link: &mut Link, skew: &Skew, effect: &Effect, seen: Option<i64>) -> Result<(), StoreError> {
    let query = match effect {
        Effect::Series { meter, dataset, state, code, message, not_before } => link
            .query(sql::SERIES_STATE)
            .bind(i2(state.id()))
            .bind(code.clone())
            .bind(message.clone())
            .bind(*not_before)
            .bind(i4(meter.0))
            .bind(i2(dataset.id()))
            .bind(seen),
        Effect::Activation { meter, direction, known } => {
            let put = link
                .query(sql::ACTIVATION_PUT)
                .bind(i4(meter.0))
                .bind(i2(direction.id()))
                .bind(known.refused.map(Date))
                .bind(known.accepted.map(Date))
                .bind(known.refusals);
            if put.fetch_optional(&mut link.conn).await?.is_none() {
                return Ok(());
            }
            link.query(sql::ACTIVATION_SEEN).bind(i4(meter.0)).bind(i2(direction.id()))
        }
        Effect::Learnt { source, dataset, known } => link
            .query(sql::LEARNT_PUT)
            .bind(i4(source.0))
            .bind(i2(dataset.id()))
            .bind(known.max_days.map(|(days, _)| days))
            .bind(known.max_days.map(|(_, until)| until))
            .bind(known.history_short)
            .bind(known.api.map(|(api, _)| api.name()))
            .bind(known.api.map(|(_, since)| since))
            .bind(known.not_before),
        Effect::Source { source, state } => link
            .query(sql::SOURCE_STATE)
            .bind(state.not_before_ms.map(|ms| skew.to_server(ms)))
            .bind(state.code.clone())
            .bind(state.message.clone())
            .bind(state.slow_until_ms.map(|ms| skew.to_server(ms)))
            .bind(i32::try_from(state.refusals).unwrap_or(i32::MAX))
            .bind(i32::try_from(state.strikes).unwrap_or(i32::MAX))
            .bind(i4(source.0)),
        Effect::Closed { source, path, closed: Some(closed) } => link
            .query(sql::CLOSED_PUT)
            .bind(i4(source.0))
            .bind(path.clone())
            .bind(closed.code.clone())
            .bind(closed.not_before),
        Effect::Closed { source, path, closed: None } => {
            link.query(sql::CLOSED_OVER).bind(i4(source.0)).bind(path.clone())
        }
        Effect::Told { source, pool, left, at_ms, until_ms } => link
            .query(sql::TOLD_PUT)
            .bind(i2(pool.id()))
            .bind(i64::from(*left))
            .bind(skew.to_server(*at_ms))
            .bind(skew.to_server((*until_ms).min(at_ms + FARTHEST_MS)))
            .bind(i4(source.0)),
    };
    query.execute(&mut link.conn).await?;
    Ok(())
}
