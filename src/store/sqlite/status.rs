//! The lines of `linkyd status`.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;

use super::facts::{dataset_of, prm_of, series_state};
use super::sql;
use crate::domain::reconcile::DayThreefold;
use crate::domain::{Day, DayState, Direction};
use crate::store::{SeriesStatus, StoreError};

type SeriesRow = (
    i64,
    String,
    String,
    String,
    i64,
    i64,
    Option<String>,
    Option<String>,
    Option<i64>,
    Option<i64>,
    Option<i32>,
    Option<i64>,
);
type TallyRow = (i64, i64, i64, i32, i32, Option<i64>, Option<i64>);

/// What the days of one series in one state amount to: newest, oldest, next try, how many of them
/// lie in the window.
#[derive(Clone, Copy)]
struct Tally {
    oldest: i32,
    newest: i32,
    next_try: Option<i64>,
    in_window: i64,
}

/// Reads the lines, in the order of the configuration.
pub(super) async fn status(conn: &mut SqliteConnection) -> Result<Vec<SeriesStatus>, StoreError> {
    let tallies = tallies(conn).await?;
    let gaps: Vec<(String, String, i64)> = sqlx::query_as(sql::STATUS_GAPS).fetch_all(&mut *conn).await?;
    let gaps: BTreeMap<(String, String), i64> =
        gaps.into_iter().map(|(prm, dataset, count)| ((prm, dataset), count)).collect();
    let rows: Vec<SeriesRow> = sqlx::query_as(sql::STATUS_SERIES).fetch_all(conn).await?;
    let mut lines = Vec::with_capacity(rows.len());
    for (meter, prm, name, source, dataset, state, code, message, last_success_at, not_before, end, consent_until) in
        rows
    {
        let kind = dataset_of(dataset)?;
        let own = tallies.get(&(meter, dataset));
        let complete = own.and_then(|t| t.get(&DayState::Complete)).copied();
        let due = own.into_iter().flatten().filter_map(|(_, tally)| tally.next_try).min();
        lines.push(SeriesStatus {
            gaps: gaps.get(&(prm.clone(), kind.name().to_owned())).copied().unwrap_or_default(),
            prm: prm_of(&prm)?,
            name,
            source,
            dataset: kind,
            state: series_state(state)?,
            window_end: end.map(Day::from_number),
            newest_day: complete.map(|tally| Day::from_number(tally.newest)),
            oldest_day: complete.map(|tally| Day::from_number(tally.oldest)),
            days: own.into_iter().flatten().map(|(state, t)| (*state, t.in_window)).filter(|(_, n)| *n > 0).collect(),
            code,
            message,
            last_success_at,
            not_before,
            next_try_at: not_before.or(due),
            consent_until,
        });
    }
    Ok(lines)
}

type Tallies = BTreeMap<(i64, i64), BTreeMap<DayState, Tally>>;

async fn tallies(conn: &mut SqliteConnection) -> Result<Tallies, StoreError> {
    let rows: Vec<TallyRow> = sqlx::query_as(sql::STATUS_DAYS).fetch_all(conn).await?;
    let mut all = Tallies::new();
    for (meter, dataset, state, oldest, newest, next_try, in_window) in rows {
        let state = DayState::from_id(state).ok_or_else(|| StoreError::Inconsistent {
            table: "coverage",
            what: format!("there is no state {state}"),
        })?;
        let tally = Tally { oldest, newest, next_try, in_window: in_window.unwrap_or_default() };
        all.entry((meter, dataset)).or_default().insert(state, tally);
    }
    Ok(all)
}

/// The energy of days as each dataset tells it.
pub(super) async fn energy_of_days(
    conn: &mut SqliteConnection,
    first: Day,
) -> Result<Vec<(String, Direction, DayThreefold)>, StoreError> {
    type Row = (String, String, String, Option<f64>, Option<f64>, Option<f64>);
    let rows: Vec<Row> = sqlx::query_as(sql::ENERGY_OF_DAYS).bind(first.to_string()).fetch_all(conn).await?;
    let day = |(meter, direction, day, daily_wh, curve_wh, index_wh): Row| {
        let direction = Direction::ALL.into_iter().find(|known| known.name() == direction)?;
        Some((meter, direction, DayThreefold { day: day.parse().ok()?, daily_wh, curve_wh, index_wh }))
    };
    Ok(rows.into_iter().filter_map(day).collect())
}
