//! Everything that the planner needs, read in one transaction.
//!
//! Thousands of meters have tens of millions of days, nearly all of them complete. Each day of a
//! remembered window has a record, and an index lists those that are not complete; so only these are
//! read, and every other day of the window is complete.

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;

use super::connect::Link;
use super::skew::Skew;
use super::types::{Date, Stamp, day, i2, i4, seconds};
use super::{customers, sql};
use crate::domain::{Api, Coverage, Dataset, Day, DayRecord, DayState, Days, Direction, Prm, SeriesState};
use crate::store::{
    Activation, Facts, FailedCall, Learnt, MeterId, SeriesFacts, SourceFacts, SourceId, SourceState, SourceStatus,
    Standing, StoreError,
};

/// A day and its record, in the order of [`DayRecord`].
pub(super) type DayRow = (Date, i16, i32, Option<i32>, Option<Stamp>, Option<i64>, Option<Stamp>, bool, bool);

type SeriesRow =
    (i32, String, String, i16, i32, i16, Option<String>, Option<i64>, Option<Stamp>, i64, Option<Date>, Option<Date>);
type OpenRow = (i32, i16, Date, i16, i32, Option<i32>, Option<Stamp>, Option<i64>, Option<Stamp>, bool, bool);
type LearntRow = (i32, i16, Option<i32>, Option<i64>, i32, Option<String>, Option<i64>, Option<i64>);
type SourceRow = (i32, String, String, Option<i64>, Option<String>, Option<String>, Option<i64>, i32, i32);
type ElsewhereRow = (i32, i16, i32, i16, Option<String>, Option<i64>);
type ActivationRow = (i32, i16, Option<Date>, Option<Date>, i32);
type FailedRow = (i32, i16, i32, Date, Date, i64, String, bool);

/// The series that are asked about, as the statements have them; all of them where there is none.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    meters: Option<Vec<i32>>,
    datasets: Option<Vec<i16>>,
}

impl Asked {
    /// Some meters, whatever their series.
    pub(super) fn of_meters(meters: &[MeterId]) -> Self {
        Self { meters: Some(meters.iter().map(|meter| i4(meter.0)).collect()), datasets: None }
    }

    /// Their meters.
    pub(super) fn meters(&self) -> Option<Vec<i32>> {
        self.meters.clone()
    }

    /// Some series alone.
    pub(super) fn of(series: &[(MeterId, Dataset)]) -> Self {
        Self {
            meters: Some(series.iter().map(|(meter, _)| i4(meter.0)).collect()),
            datasets: Some(series.iter().map(|(_, dataset)| i2(dataset.id())).collect()),
        }
    }
}

/// Reads the facts.
pub(super) async fn facts(link: &mut Link, skew: &Skew, asked: &Asked, failed_since: i64) -> Result<Facts, StoreError> {
    let mut elsewhere = elsewhere(link, asked).await?;
    let rows = link.query_as(sql::FACTS_SERIES).bind(asked.meters.clone()).bind(asked.datasets.clone());
    let rows: Vec<SeriesRow> = rows.fetch_all(&mut link.conn).await?;
    let window = |row: &SeriesRow| day(row.10).zip(day(row.11)).and_then(|(first, end)| Days::new(first, end));
    let windows = rows.iter().map(|row| ((row.0, row.3), window(row))).collect();
    let mut known = known(link, asked, windows).await?;
    let mut series = Vec::with_capacity(rows.len());
    for (meter, prm, name, dataset, source, state, code, not_before, last_success_at, seen, _, _) in rows {
        series.push(SeriesFacts {
            meter: MeterId(meter.into()),
            prm: prm_of(&prm)?,
            name,
            dataset: dataset_of(dataset)?,
            source: SourceId(source.into()),
            elsewhere: elsewhere.remove(&(meter, dataset)).unwrap_or_default(),
            state: series_state(state)?,
            code,
            not_before,
            last_success_at: seconds(last_success_at),
            seen,
            days: known.remove(&(meter, dataset)).unwrap_or_default(),
        });
    }
    let sources = sources(link, skew).await?;
    let mut oldest = BTreeMap::new();
    for source in &sources {
        for (dataset, _) in source.learnt.iter().filter(|(_, learnt)| learnt.history_short > 0) {
            oldest.insert((source.id, *dataset), oldest_answered(link, source.id, *dataset).await?);
        }
    }
    Ok(Facts {
        customers: customers::facts(link, asked).await?,
        floors: customers::floors(link, asked).await?,
        series,
        sources,
        oldest_answered: oldest,
        activations: activations(link, asked).await?,
        failed: failed(link, asked, failed_since).await?,
    })
}

/// The counters of some series.
pub(super) async fn counters(link: &mut Link, asked: &Asked) -> Result<BTreeMap<(MeterId, Dataset), i64>, StoreError> {
    let rows = link.query_as(sql::SERIES_COUNTERS).bind(asked.meters.clone()).bind(asked.datasets.clone());
    let rows: Vec<(i32, i16, i64)> = rows.fetch_all(&mut link.conn).await?;
    rows.into_iter().map(|(meter, dataset, seen)| Ok(((MeterId(meter.into()), dataset_of(dataset)?), seen))).collect()
}

/// How far back a source answered for a dataset.
pub(super) async fn oldest_answered(
    link: &mut Link,
    source: SourceId,
    dataset: Dataset,
) -> Result<Vec<(i64, Day)>, StoreError> {
    let rows = link.query_as(sql::OLDEST_ANSWERED).bind(i4(source.0)).bind(i2(dataset.id()));
    let rows: Vec<(i64, Date)> = rows.fetch_all(&mut link.conn).await?;
    Ok(rows.into_iter().map(|(at, first)| (at, first.0)).collect())
}

/// A series, by the numbers of its meter and its dataset.
type Key = (i32, i16);

/// What is known of the days of each series. The rows come series by series, so never more than the
/// days of one are in memory in full.
async fn known(
    link: &mut Link,
    asked: &Asked,
    windows: BTreeMap<Key, Option<Days>>,
) -> Result<BTreeMap<Key, Coverage>, StoreError> {
    let query = match (&asked.meters, &asked.datasets) {
        (Some(meters), Some(datasets)) => {
            link.query_as::<OpenRow>(sql::FACTS_DAYS_OF).bind(meters.clone()).bind(datasets.clone())
        }
        _ => link.query_as(sql::FACTS_DAYS),
    };
    let mut rows = query.fetch(&mut link.conn);
    let mut all: BTreeMap<Key, Coverage> = BTreeMap::new();
    let (mut of, mut open) = (None, Vec::new());
    let mut take = |of: Option<Key>, open: Vec<(Day, DayRecord)>| {
        if let Some((key, window)) = of.and_then(|key| windows.get(&key).map(|window| (key, *window))) {
            all.insert(key, Coverage::of_window(window, open));
        }
    };
    while let Some(row) = rows.try_next().await? {
        let (meter, dataset, date, state, stored, expected, checked, left_out, next, certain, last) = row;
        if of != Some((meter, dataset)) {
            take(of.replace((meter, dataset)), std::mem::take(&mut open));
        }
        let record = record(&(date, state, stored, expected, checked, left_out, next, certain, last))?;
        open.push((date.0, record));
    }
    take(of, open);
    for (key, window) in windows {
        all.entry(key).or_insert_with(|| Coverage::of_window(window, Vec::new()));
    }
    Ok(all)
}

type Standings = BTreeMap<SourceId, Standing>;

async fn elsewhere(link: &mut Link, asked: &Asked) -> Result<BTreeMap<(i32, i16), Standings>, StoreError> {
    let rows = link.query_as(sql::FACTS_ELSEWHERE).bind(asked.meters.clone());
    let rows: Vec<ElsewhereRow> = rows.fetch_all(&mut link.conn).await?;
    let mut all: BTreeMap<(i32, i16), Standings> = BTreeMap::new();
    for (meter, dataset, source, state, code, not_before) in rows {
        let standing = Standing { state: series_state(state)?, code, not_before };
        all.entry((meter, dataset)).or_default().insert(SourceId(source.into()), standing);
    }
    Ok(all)
}

/// How the configured sources stand, in the order of their names.
pub(super) async fn source_states(link: &mut Link, skew: &Skew) -> Result<Vec<SourceStatus>, StoreError> {
    let rows: Vec<SourceRow> = link.query_as(sql::FACTS_SOURCES).fetch_all(&mut link.conn).await?;
    let mut all: Vec<SourceStatus> = rows
        .into_iter()
        .map(|row| SourceStatus { name: row.1.clone(), kind: row.2.clone(), state: source_state(row, skew) })
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

fn source_state(row: SourceRow, skew: &Skew) -> SourceState {
    let (_, _, _, not_before, code, message, slow_until, refusals, strikes) = row;
    SourceState {
        not_before_ms: not_before.map(|ms| skew.to_machine(ms)),
        code,
        message,
        slow_until_ms: slow_until.map(|ms| skew.to_machine(ms)),
        refusals: refusals.unsigned_abs(),
        strikes: strikes.unsigned_abs(),
    }
}

async fn sources(link: &mut Link, skew: &Skew) -> Result<Vec<SourceFacts>, StoreError> {
    let mut learnt: BTreeMap<i32, BTreeMap<Dataset, Learnt>> = BTreeMap::new();
    let rows: Vec<LearntRow> = link.query_as(sql::FACTS_LEARNT).fetch_all(&mut link.conn).await?;
    for (source, dataset, max_days, until, history_short, api, since, not_before) in rows {
        let known = Learnt {
            max_days: max_days.zip(until),
            history_short,
            api: api.as_deref().and_then(Api::from_name).zip(since),
            not_before,
        };
        learnt.entry(source).or_default().insert(dataset_of(dataset)?, known);
    }
    let mut closed = customers::closed(link).await?;
    let rows: Vec<SourceRow> = link.query_as(sql::FACTS_SOURCES).fetch_all(&mut link.conn).await?;
    let facts = rows.into_iter().map(|row| SourceFacts {
        id: SourceId(row.0.into()),
        name: row.1.clone(),
        learnt: learnt.remove(&row.0).unwrap_or_default(),
        closed: closed.remove(&row.0).unwrap_or_default(),
        state: source_state(row, skew),
    });
    Ok(facts.collect())
}

async fn activations(link: &mut Link, asked: &Asked) -> Result<BTreeMap<(MeterId, Direction), Activation>, StoreError> {
    let rows = link.query_as(sql::FACTS_ACTIVATIONS).bind(asked.meters.clone());
    let rows: Vec<ActivationRow> = rows.fetch_all(&mut link.conn).await?;
    let mut all = BTreeMap::new();
    for (meter, direction, refused, accepted, refusals) in rows {
        let direction = Direction::ALL
            .into_iter()
            .find(|d| d.id() == i64::from(direction))
            .ok_or_else(|| inconsistent("activation", "direction", direction.into()))?;
        let known = Activation { refused: day(refused), accepted: day(accepted), refusals };
        all.insert((MeterId(meter.into()), direction), known);
    }
    Ok(all)
}

async fn failed(link: &mut Link, asked: &Asked, since: i64) -> Result<Vec<FailedCall>, StoreError> {
    let rows = link.query_as(sql::FACTS_FAILED).bind(since).bind(asked.meters.clone()).bind(asked.datasets.clone());
    let rows: Vec<FailedRow> = rows.fetch_all(&mut link.conn).await?;
    let mut all = Vec::new();
    for (meter, dataset, source, first, end, at, code, healed) in rows {
        let days =
            Days::new(first.0, end.0).ok_or_else(|| inconsistent("call", "start day", i64::from(first.0.number())))?;
        let (meter, source) = (MeterId(meter.into()), SourceId(source.into()));
        all.push(FailedCall { meter, dataset: dataset_of(dataset)?, source, days, at, code, healed });
    }
    Ok(all)
}

/// The record of a day.
pub(super) fn record(row: &DayRow) -> Result<DayRecord, StoreError> {
    let (_, state, stored, expected, checked_at, first_left_out, next_try, certain, last_try) = *row;
    Ok(DayRecord {
        state: day_state(state)?,
        stored,
        expected,
        checked_at: seconds(checked_at),
        first_left_out,
        next_try: seconds(next_try),
        certain,
        last_try,
    })
}

/// The state of a day with that number.
pub(super) fn day_state(id: i16) -> Result<DayState, StoreError> {
    DayState::from_id(id.into()).ok_or_else(|| inconsistent("coverage", "state", id.into()))
}

/// The meter's identifier. The message does not repeat it.
pub(super) fn prm_of(text: &str) -> Result<Prm, StoreError> {
    text.parse().map_err(|error| StoreError::Inconsistent { table: "meter", what: format!("{error}") })
}

/// The dataset with that number.
pub(super) fn dataset_of(id: i16) -> Result<Dataset, StoreError> {
    Dataset::from_id(id.into()).ok_or_else(|| inconsistent("series", "dataset", id.into()))
}

/// The state of a series with that number.
pub(super) fn series_state(id: i16) -> Result<SeriesState, StoreError> {
    SeriesState::from_id(id.into()).ok_or_else(|| inconsistent("series", "state", id.into()))
}

fn inconsistent(table: &'static str, what: &str, value: i64) -> StoreError {
    StoreError::Inconsistent { table, what: format!("there is no {what} {value}") }
}
