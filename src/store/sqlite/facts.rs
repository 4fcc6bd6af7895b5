//! Everything that the planner needs, read in one transaction.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;

use super::{customers, sql};
use crate::domain::{Api, Coverage, Dataset, Day, DayRecord, DayState, Days, Direction, Prm, SeriesState};
use crate::store::{
    Activation, Facts, FailedCall, Learnt, MeterId, SeriesFacts, SourceFacts, SourceId, SourceState, SourceStatus,
    Standing, StoreError,
};

/// A day and its record, in the order of [`DayRecord`].
pub(super) type DayRow = (i32, i64, i32, Option<i32>, Option<i64>, Option<i64>, Option<i64>, bool, bool);

type SeriesRow = (i64, String, String, i64, i64, i64, Option<String>, Option<i64>, Option<i64>);
type FactsDayRow = (i64, i64, i32, i64, i32, Option<i32>, Option<i64>, Option<i64>, Option<i64>, bool, bool);
type LearntRow = (i64, i64, Option<i32>, Option<i64>, i32, Option<String>, Option<i64>, Option<i64>);
type SourceRow = (i64, String, String, Option<i64>, Option<String>, Option<String>, Option<i64>, u32, u32);
type ElsewhereRow = (i64, i64, i64, i64, Option<String>, Option<i64>);
type ActivationRow = (i64, i64, Option<i32>, Option<i32>, i32);
type FailedRow = (i64, i64, i64, i32, i32, i64, String, bool);

/// Reads the facts.
pub(super) async fn facts(conn: &mut SqliteConnection, failed_since: i64) -> Result<Facts, StoreError> {
    let mut days = days(conn).await?;
    let mut elsewhere = elsewhere(conn).await?;
    let mut series = Vec::new();
    let rows: Vec<SeriesRow> = sqlx::query_as(sql::FACTS_SERIES).fetch_all(&mut *conn).await?;
    for (meter, prm, name, dataset, source, state, code, not_before, last_success_at) in rows {
        series.push(SeriesFacts {
            meter: MeterId(meter),
            prm: prm_of(&prm)?,
            name,
            dataset: dataset_of(dataset)?,
            source: SourceId(source),
            elsewhere: elsewhere.remove(&(meter, dataset)).unwrap_or_default(),
            state: series_state(state)?,
            code,
            not_before,
            last_success_at,
            seen: 0,
            days: days.remove(&(meter, dataset)).unwrap_or_default(),
        });
    }
    let sources = sources(conn).await?;
    let mut oldest = BTreeMap::new();
    for source in &sources {
        for (dataset, _) in source.learnt.iter().filter(|(_, learnt)| learnt.history_short > 0) {
            oldest.insert((source.id, *dataset), oldest_answered(conn, source.id, *dataset).await?);
        }
    }
    Ok(Facts {
        customers: customers::facts(conn).await?,
        floors: customers::floors(conn).await?,
        series,
        sources,
        oldest_answered: oldest,
        activations: activations(conn).await?,
        failed: failed(conn, failed_since).await?,
    })
}

async fn days(conn: &mut SqliteConnection) -> Result<BTreeMap<(i64, i64), Coverage>, StoreError> {
    let rows: Vec<FactsDayRow> = sqlx::query_as(sql::FACTS_DAYS).fetch_all(&mut *conn).await?;
    let mut all: BTreeMap<(i64, i64), Coverage> = BTreeMap::new();
    for (meter, dataset, day, state, stored, expected, checked, left_out, next, certain, last) in rows {
        let record = record((day, state, stored, expected, checked, left_out, next, certain, last))?;
        all.entry((meter, dataset)).or_default().insert(Day::from_number(day), record);
    }
    Ok(all)
}

/// How far back a source answered for a dataset.
pub(super) async fn oldest_answered(
    conn: &mut SqliteConnection,
    source: SourceId,
    dataset: Dataset,
) -> Result<Vec<(i64, Day)>, StoreError> {
    let rows: Vec<(i64, i32)> =
        sqlx::query_as(sql::OLDEST_ANSWERED).bind(source.0).bind(dataset.id()).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|(at, first)| (at, Day::from_number(first))).collect())
}

type Standings = BTreeMap<SourceId, Standing>;

async fn elsewhere(conn: &mut SqliteConnection) -> Result<BTreeMap<(i64, i64), Standings>, StoreError> {
    let rows: Vec<ElsewhereRow> = sqlx::query_as(sql::FACTS_ELSEWHERE).fetch_all(conn).await?;
    let mut all: BTreeMap<(i64, i64), Standings> = BTreeMap::new();
    for (meter, dataset, source, state, code, not_before) in rows {
        let standing = Standing { state: series_state(state)?, code, not_before };
        all.entry((meter, dataset)).or_default().insert(SourceId(source), standing);
    }
    Ok(all)
}

/// How the configured sources stand.
pub(super) async fn source_states(conn: &mut SqliteConnection) -> Result<Vec<SourceStatus>, StoreError> {
    let rows: Vec<SourceRow> = sqlx::query_as(sql::FACTS_SOURCES).fetch_all(conn).await?;
    let mut all: Vec<SourceStatus> = rows
        .into_iter()
        .map(|(_, name, kind, not_before_ms, code, message, slow_until_ms, refusals, strikes)| SourceStatus {
            name,
            kind,
            state: SourceState { not_before_ms, code, message, slow_until_ms, refusals, strikes },
        })
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

async fn sources(conn: &mut SqliteConnection) -> Result<Vec<SourceFacts>, StoreError> {
    let mut learnt: BTreeMap<i64, BTreeMap<Dataset, Learnt>> = BTreeMap::new();
    let rows: Vec<LearntRow> = sqlx::query_as(sql::FACTS_LEARNT).fetch_all(&mut *conn).await?;
    for (source, dataset, max_days, until, history_short, api, since, not_before) in rows {
        let known = Learnt {
            max_days: max_days.zip(until),
            history_short,
            api: api.as_deref().and_then(Api::from_name).zip(since),
            not_before,
        };
        learnt.entry(source).or_default().insert(dataset_of(dataset)?, known);
    }
    let mut closed = customers::closed(conn).await?;
    let rows: Vec<SourceRow> = sqlx::query_as(sql::FACTS_SOURCES).fetch_all(conn).await?;
    let facts =
        rows.into_iter().map(|(id, name, _, not_before_ms, code, message, slow_until_ms, refusals, strikes)| {
            SourceFacts {
                id: SourceId(id),
                name,
                state: SourceState { not_before_ms, code, message, slow_until_ms, refusals, strikes },
                learnt: learnt.remove(&id).unwrap_or_default(),
                closed: closed.remove(&id).unwrap_or_default(),
            }
        });
    Ok(facts.collect())
}

async fn activations(conn: &mut SqliteConnection) -> Result<BTreeMap<(MeterId, Direction), Activation>, StoreError> {
    let rows: Vec<ActivationRow> = sqlx::query_as(sql::FACTS_ACTIVATIONS).fetch_all(conn).await?;
    let mut all = BTreeMap::new();
    for (meter, direction, refused, accepted, refusals) in rows {
        let direction = Direction::ALL
            .into_iter()
            .find(|d| d.id() == direction)
            .ok_or_else(|| inconsistent("activation", "direction", direction))?;
        let known =
            Activation { refused: refused.map(Day::from_number), accepted: accepted.map(Day::from_number), refusals };
        all.insert((MeterId(meter), direction), known);
    }
    Ok(all)
}

async fn failed(conn: &mut SqliteConnection, since: i64) -> Result<Vec<FailedCall>, StoreError> {
    let rows: Vec<FailedRow> = sqlx::query_as(sql::FACTS_FAILED).bind(since).fetch_all(conn).await?;
    let mut all = Vec::new();
    for (meter, dataset, source, first, end, at, code, healed) in rows {
        let days = Days::new(Day::from_number(first), Day::from_number(end))
            .ok_or_else(|| inconsistent("call", "start day", i64::from(first)))?;
        let (meter, dataset, source) = (MeterId(meter), dataset_of(dataset)?, SourceId(source));
        all.push(FailedCall { meter, dataset, source, days, at, code, healed });
    }
    Ok(all)
}

/// The record of a day.
pub(super) fn record(row: DayRow) -> Result<DayRecord, StoreError> {
    let (_, state, stored, expected, checked_at, first_left_out, next_try, certain, last_try) = row;
    let state = DayState::from_id(state).ok_or_else(|| inconsistent("coverage", "state", state))?;
    Ok(DayRecord { state, stored, expected, checked_at, first_left_out, next_try, certain, last_try })
}

/// The meter's identifier. The message does not repeat it.
pub(super) fn prm_of(text: &str) -> Result<Prm, StoreError> {
    text.parse().map_err(|error| StoreError::Inconsistent { table: "meter", what: format!("{error}") })
}

/// The dataset with that number.
pub(super) fn dataset_of(id: i64) -> Result<Dataset, StoreError> {
    Dataset::from_id(id).ok_or_else(|| inconsistent("series", "dataset", id))
}

/// The state of a series with that number.
pub(super) fn series_state(id: i64) -> Result<SeriesState, StoreError> {
    SeriesState::from_id(id).ok_or_else(|| inconsistent("series", "state", id))
}

fn inconsistent(table: &'static str, what: &str, value: i64) -> StoreError {
    StoreError::Inconsistent { table, what: format!("there is no {what} {value}") }
}
