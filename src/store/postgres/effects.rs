//! What was learnt, written down.
//!
//! The end of a fleet's pass says of each of its series that it waits. So what is about series travels as
//! arrays, one statement for all of them, and their rows are locked in one order whoever writes them: two
//! instances that end at the same time wait for each other, but never in a circle.

use std::collections::BTreeMap;

use super::connect::Link;
use super::skew::Skew;
use super::sql;
use super::types::{Date, i2, i4};
use crate::budget::FARTHEST_MS;
use crate::domain::{Dataset, SeriesState};
use crate::store::{Activation, Effect, MeterId, StoreError};

/// Whether an effect is about an account: those come first, since whoever reserves a call locks the
/// account before the series, and two who lock in different orders wait for each other.
fn of_account(effect: &Effect) -> bool {
    matches!(effect, Effect::Source { .. } | Effect::Told { .. })
}

/// Stores what was learnt about accounts; comes before any series is touched.
pub(super) async fn of_accounts(link: &mut Link, skew: &Skew, effects: &[Effect]) -> Result<(), StoreError> {
    for effect in effects.iter().filter(|effect| of_account(effect)) {
        one(link, skew, effect).await?;
    }
    Ok(())
}

/// Stores everything else.
pub(super) async fn of_series(link: &mut Link, skew: &Skew, effects: &[Effect]) -> Result<(), StoreError> {
    all(link, skew, effects, None).await
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
    all(link, skew, effects, seen).await
}

async fn all(link: &mut Link, skew: &Skew, effects: &[Effect], seen: Option<&Seen>) -> Result<(), StoreError> {
    // The states come first: an activation counts as a change of its meter's series, which would no longer be
    // what the states were concluded from.
    states(link, effects, seen).await?;
    activations(link, effects).await?;
    let apart = |effect: &&Effect| !matches!(effect, Effect::Series { .. } | Effect::Activation { .. });
    for effect in effects.iter().filter(apart).filter(|effect| !of_account(effect)) {
        one(link, skew, effect).await?;
    }
    Ok(())
}

/// How series stand; of what is said of the same one, the last word holds.
async fn states(link: &mut Link, effects: &[Effect], seen: Option<&Seen>) -> Result<(), StoreError> {
    type Standing<'e> = (SeriesState, &'e Option<String>, &'e Option<String>, Option<i64>);
    let mut last: BTreeMap<(MeterId, Dataset), Standing<'_>> = BTreeMap::new();
    for effect in effects {
        if let Effect::Series { meter, dataset, state, code, message, not_before } = effect {
            last.insert((*meter, *dataset), (*state, code, message, *not_before));
        }
    }
    if last.is_empty() {
        return Ok(());
    }
    let meters: Vec<i32> = last.keys().map(|(meter, _)| i4(meter.0)).collect();
    let datasets: Vec<i16> = last.keys().map(|(_, dataset)| i2(dataset.id())).collect();
    if last.len() > 1 {
        let lock = link.query(sql::SERIES_LOCK).bind(meters.clone()).bind(datasets.clone());
        lock.execute(&mut link.conn).await?;
    }
    let known = last.keys().map(|key| seen.and_then(|seen| seen.get(key)).copied());
    link.query(sql::SERIES_STATES)
        .bind(meters)
        .bind(datasets)
        .bind(last.values().map(|(state, ..)| i2(state.id())).collect::<Vec<_>>())
        .bind(last.values().map(|(_, code, ..)| (*code).clone()).collect::<Vec<_>>())
        .bind(last.values().map(|(_, _, message, _)| (*message).clone()).collect::<Vec<_>>())
        .bind(last.values().map(|(.., not_before)| *not_before).collect::<Vec<_>>())
        .bind(known.collect::<Vec<_>>())
        .execute(&mut link.conn)
        .await?;
    Ok(())
}

/// What is known about activations; of what is said of the same one, the last word holds.
async fn activations(link: &mut Link, effects: &[Effect]) -> Result<(), StoreError> {
    let mut last: BTreeMap<(i32, i16), &Activation> = BTreeMap::new();
    for effect in effects {
        if let Effect::Activation { meter, direction, known } = effect {
            last.insert((i4(meter.0), i2(direction.id())), known);
        }
    }
    if last.is_empty() {
        return Ok(());
    }
    link.query(sql::ACTIVATIONS_PUT)
        .bind(last.keys().map(|(meter, _)| *meter).collect::<Vec<_>>())
        .bind(last.keys().map(|(_, direction)| *direction).collect::<Vec<_>>())
        .bind(last.values().map(|known| known.refused.map(Date)).collect::<Vec<_>>())
        .bind(last.values().map(|known| known.accepted.map(Date)).collect::<Vec<_>>())
        .bind(last.values().map(|known| known.refusals).collect::<Vec<_>>())
        .execute(&mut link.conn)
        .await?;
    Ok(())
}

/// Stores what is about a source: there are few of these, whatever the fleet.
async fn one(link: &mut Link, skew: &Skew, effect: &Effect) -> Result<(), StoreError> {
    let query = match effect {
        Effect::Series { .. } | Effect::Activation { .. } => return Ok(()),
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
