//! What was learnt, written down.
//!
//! The end of a fleet's pass says of each of its series that it waits. So what is about series travels as
//! arrays, one statement for all of them, and their rows are locked in one order ([`lock`]) whoever writes them,
//! before anything else of the transaction touches a series: two instances that end at the same time wait for each
//! other, but not in a circle. The exception is a call that was accepted further back in the midst of a search for
//! the activation: its own series comes first and those that hear of it later. Where two such calls meet, the server
//! ends one of the transactions, and it is done again.

use std::collections::{BTreeMap, BTreeSet};

use super::connect::Link;
use super::skew::Skew;
use super::types::{Date, i2, i4};
use super::{raw, sql};
use crate::budget::FARTHEST_MS;
use crate::domain::{Dataset, Day, SeriesState};
use crate::store::{Activation, CallId, Effect, MeterId, StoreError, Unread};

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

/// Locks every series that effects change, and that of the call which taught them, in one order. One series alone
/// needs none.
pub(super) async fn lock(link: &mut Link, effects: &[Effect], call: Option<CallId>) -> Result<(), StoreError> {
    let (mut series, mut ways) = (BTreeSet::new(), BTreeSet::new());
    for effect in effects {
        match effect {
            Effect::Series { meter, dataset, .. } => {
                series.insert((i4(meter.0), i2(dataset.id())));
            }
            Effect::Activation { meter, direction, .. } => {
                ways.insert((i4(meter.0), i2(direction.id())));
            }
            _ => {}
        }
    }
    if ways.is_empty() && (series.is_empty() || (series.len() == 1 && call.is_none())) {
        return Ok(());
    }
    link.query(sql::SERIES_LOCK)
        .bind(series.iter().map(|(meter, _)| *meter).collect::<Vec<_>>())
        .bind(series.iter().map(|(_, dataset)| *dataset).collect::<Vec<_>>())
        .bind(ways.iter().map(|(meter, _)| *meter).collect::<Vec<_>>())
        .bind(ways.iter().map(|(_, direction)| *direction).collect::<Vec<_>>())
        .bind(call.map(|call| call.0))
        .execute(&mut link.conn)
        .await?;
    Ok(())
}

/// Stores everything else; [`lock`] came before it.
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
    lock(link, effects, None).await?;
    all(link, skew, effects, seen).await
}

async fn all(link: &mut Link, skew: &Skew, effects: &[Effect], seen: Option<&Seen>) -> Result<(), StoreError> {
    // The states come first: an activation counts as a change of its meter's series, which would no longer be
    // what the states were concluded from.
    states(link, effects, seen).await?;
    activations(link, effects).await?;
    for effect in effects.iter().filter(|effect| !of_account(effect)) {
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

/// One way of a meter.
type Way = (i32, i16);

/// What is known about activations. Of each way it is stored in the order in which it is said, in as few statements as
/// that takes.
async fn activations(link: &mut Link, effects: &[Effect]) -> Result<(), StoreError> {
    let mut known: BTreeMap<Way, &Activation> = BTreeMap::new();
    let mut accepted: BTreeMap<Way, Day> = BTreeMap::new();
    for effect in effects {
        match effect {
            Effect::Activation { meter, direction, known: told } => {
                let way = (i4(meter.0), i2(direction.id()));
                if known.contains_key(&way) || accepted.contains_key(&way) {
                    put(link, &mut known, &mut accepted).await?;
                }
                known.insert(way, told);
            }
            Effect::Accepted { meter, direction, first } => {
                let day = accepted.entry((i4(meter.0), i2(direction.id()))).or_insert(*first);
                *day = (*day).min(*first);
            }
            _ => {}
        }
    }
    put(link, &mut known, &mut accepted).await
}

/// Stores what is known, then what was accepted after it was.
async fn put(
    link: &mut Link,
    known: &mut BTreeMap<Way, &Activation>,
    accepted: &mut BTreeMap<Way, Day>,
) -> Result<(), StoreError> {
    let (known, accepted) = (std::mem::take(known), std::mem::take(accepted));
    if !known.is_empty() {
        link.query(sql::ACTIVATIONS_PUT)
            .bind(known.keys().map(|(meter, _)| *meter).collect::<Vec<_>>())
            .bind(known.keys().map(|(_, direction)| *direction).collect::<Vec<_>>())
            .bind(known.values().map(|known| known.refused.map(Date)).collect::<Vec<_>>())
            .bind(known.values().map(|known| known.accepted.map(Date)).collect::<Vec<_>>())
            .bind(known.values().map(|known| known.refusals).collect::<Vec<_>>())
            .execute(&mut link.conn)
            .await?;
    }
    if !accepted.is_empty() {
        link.query(sql::ACCEPTED_PUT)
            .bind(accepted.keys().map(|(meter, _)| *meter).collect::<Vec<_>>())
            .bind(accepted.keys().map(|(_, direction)| *direction).collect::<Vec<_>>())
            .bind(accepted.values().map(|day| Date(*day)).collect::<Vec<_>>())
            .execute(&mut link.conn)
            .await?;
    }
    Ok(())
}

/// Stores what is about a source: there are few of these, whatever the fleet.
async fn one(link: &mut Link, skew: &Skew, effect: &Effect) -> Result<(), StoreError> {
    let query = match effect {
        Effect::Series { .. } | Effect::Activation { .. } | Effect::Accepted { .. } => return Ok(()),
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
        Effect::Unread(unread) => return keep_unread(link, unread).await,
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

/// Keeps an answer that could not be read.
async fn keep_unread(link: &mut Link, unread: &Unread) -> Result<(), StoreError> {
    let Unread { call, meter, dataset, source, days, asked_at, raw } = unread;
    link.query(sql::RAW_UNREAD_BEFORE)
        .bind(i4(meter.0))
        .bind(i2(dataset.id()))
        .bind(i4(source.0))
        .bind(Date(days.first()))
        .bind(Date(days.end()))
        .execute(&mut link.conn)
        .await?;
    raw::add(link, *call, (*meter, *dataset, *source), *days, *asked_at, raw).await
}
