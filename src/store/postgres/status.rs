//! The lines of `linkyd status`.
//!
//! Complete days are never counted one by one: they are what a window has beside its other days.

use std::collections::BTreeMap;

use super::connect::Link;
use super::facts::{dataset_of, day_state, prm_of, series_state};
use super::sql;
use super::types::{Date, Stamp, day, seconds};
use crate::domain::reconcile::DayThreefold;
use crate::domain::{Day, DayState, Days, Direction};
use crate::store::{SeriesStatus, StoreError};

/// The days of a window in one state: how many, in how many runs, the next try; and how many of them
/// are at the window's beginning and end with no complete day before or after them.
type OpenRow = (i32, i16, i16, i64, i64, Option<Stamp>, i64, i64);

/// What the open days of one series amount to.
#[derive(Debug, Default)]
struct Open {
    days: BTreeMap<DayState, i64>,
    gaps: i64,
    next_try: Option<i64>,
    lead: i64,
    trail: i64,
}

/// A series: its row, its window, its consent, and its complete days before and after the window.
#[derive(Debug)]
struct Row {
    meter: i32,
    prm: String,
    name: String,
    source: String,
    dataset: i16,
    state: i16,
    code: Option<String>,
    message: Option<String>,
    last_success_at: Option<Stamp>,
    not_before: Option<i64>,
    window: Option<Days>,
    end: Option<Day>,
    consent_until: Option<Stamp>,
    before: Option<(Day, Day)>,
    after: Option<(Day, Day)>,
}

impl Row {
    fn read(row: &sqlx::postgres::PgRow) -> Result<Self, sqlx::Error> {
        use sqlx::Row as _;
        let date = |place| Ok::<_, sqlx::Error>(day(row.try_get::<Option<Date>, _>(place)?));
        let (first, end) = (date(10)?, date(11)?);
        Ok(Self {
            meter: row.try_get(0)?,
            prm: row.try_get(1)?,
            name: row.try_get(2)?,
            source: row.try_get(3)?,
            dataset: row.try_get(4)?,
            state: row.try_get(5)?,
            code: row.try_get(6)?,
            message: row.try_get(7)?,
            last_success_at: row.try_get(8)?,
            not_before: row.try_get(9)?,
            window: first.zip(end).and_then(|(first, end)| Days::new(first, end)),
            end,
            consent_until: row.try_get(12)?,
            before: date(13)?.zip(date(14)?),
            after: date(15)?.zip(date(16)?),
        })
    }
}

/// Reads the lines, in the order of the configuration.
pub(super) async fn status(link: &mut Link) -> Result<Vec<SeriesStatus>, StoreError> {
    let mut open = open(link).await?;
    let rows = link.query(sql::STATUS_SERIES).fetch_all(&mut link.conn).await?;
    let mut lines = Vec::with_capacity(rows.len());
    for row in &rows {
        let row = Row::read(row)?;
        let own = open.remove(&(row.meter, row.dataset)).unwrap_or_default();
        lines.push(line(row, own)?);
    }
    Ok(lines)
}

fn line(row: Row, own: Open) -> Result<SeriesStatus, StoreError> {
    let length = row.window.map_or(0, |window| i64::from(window.end().since(window.first())));
    let complete = length - own.days.values().sum::<i64>();
    // The window's complete days reach from behind the days that lead to before those that trail.
    let inside = row.window.filter(|_| complete > 0).map(|window| {
        let days = |count: i64| i32::try_from(count).unwrap_or_default();
        (window.first().plus(days(own.lead)), window.last().plus(-days(own.trail)))
    });
    let ranges = || [row.before, inside, row.after].into_iter().flatten();
    let mut days = own.days;
    if complete > 0 {
        days.insert(DayState::Complete, complete);
    }
    Ok(SeriesStatus {
        oldest_day: ranges().map(|range| range.0).min(),
        newest_day: ranges().map(|range| range.1).max(),
        prm: prm_of(&row.prm)?,
        name: row.name,
        source: row.source,
        dataset: dataset_of(row.dataset)?,
        state: series_state(row.state)?,
        window_end: row.end,
        gaps: own.gaps,
        days,
        code: row.code,
        message: row.message,
        last_success_at: seconds(row.last_success_at),
        not_before: row.not_before,
        next_try_at: row.not_before.or(own.next_try),
        consent_until: seconds(row.consent_until),
    })
}

async fn open(link: &mut Link) -> Result<BTreeMap<(i32, i16), Open>, StoreError> {
    let rows: Vec<OpenRow> = link.query_as(sql::STATUS_OPEN).fetch_all(&mut link.conn).await?;
    let mut all: BTreeMap<(i32, i16), Open> = BTreeMap::new();
    for (meter, dataset, state, count, gaps, next_try, lead, trail) in rows {
        let open = all.entry((meter, dataset)).or_default();
        open.days.insert(day_state(state)?, count);
        open.gaps += gaps;
        open.next_try = [open.next_try, seconds(next_try)].into_iter().flatten().min();
        open.lead += lead;
        open.trail += trail;
    }
    Ok(all)
}

/// The energy of days as each dataset tells it.
pub(super) async fn energy_of_days(
    link: &mut Link,
    first: Day,
) -> Result<Vec<(String, Direction, DayThreefold)>, StoreError> {
    type Row = (String, String, Date, Option<f64>, Option<f64>, Option<f64>);
    let rows: Vec<Row> = link.query_as(sql::ENERGY_OF_DAYS).bind(Date(first)).fetch_all(&mut link.conn).await?;
    let day = |(meter, direction, day, daily_wh, curve_wh, index_wh): Row| {
        let direction = Direction::ALL.into_iter().find(|known| known.name() == direction)?;
        Some((meter, direction, DayThreefold { day: day.0, daily_wh, curve_wh, index_wh }))
    };
    Ok(rows.into_iter().filter_map(day).collect())
}
