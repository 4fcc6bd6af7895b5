//! The windows that each day opens: every day in them has a record.
//!
//! Thousands of windows that are as at the last pass cost one look. Those that moved are taken some
//! at a time, each time in a transaction of its own, since a first pass over thousands of meters
//! writes tens of millions of records. What was remembered before a window moved had records
//! already, so only what it has gained is filled.

use chrono::Datelike as _;

use super::calendar;
use super::connect::Link;
use super::facts::dataset_of;
use super::sql;
use super::types::{Date, day, i2, i4};
use crate::domain::{Dataset, Day, Days, Kind};
use crate::store::{MeterId, StoreError, Window};

/// Windows that are opened in one transaction.
pub(super) const AT_ONCE: usize = 200;

/// Windows as the statements have them, one array a column.
#[derive(Debug, Default)]
struct Columns {
    meters: Vec<i32>,
    datasets: Vec<i16>,
    firsts: Vec<Option<Date>>,
    ends: Vec<Option<Date>>,
}

impl Columns {
    fn push(&mut self, window: &Window, first: Option<Day>, end: Option<Day>) {
        self.meters.push(i4(window.meter.0));
        self.datasets.push(i2(window.dataset.id()));
        self.firsts.push(first.map(Date));
        self.ends.push(end.map(Date));
    }

    fn of(windows: &[Window]) -> Self {
        let mut columns = Self::default();
        for window in windows {
            columns.push(window, window.days.map(Days::first), window.days.map(Days::end));
        }
        columns
    }
}

/// Which of the windows differ from what is remembered, by their place.
pub(super) async fn new(link: &mut Link, windows: &[Window]) -> Result<Vec<usize>, StoreError> {
    let Columns { meters, datasets, firsts, ends } = Columns::of(windows);
    let rows = link.query_as(sql::WINDOWS_NEW).bind(meters).bind(datasets).bind(firsts).bind(ends);
    let rows: Vec<(i64,)> = rows.fetch_all(&mut link.conn).await?;
    Ok(rows.into_iter().filter_map(|(place,)| usize::try_from(place).ok()).collect())
}

/// Opens some windows. The series whose windows have gained days of which something is known already.
pub(super) async fn open(
    link: &mut Link,
    windows: &[Window],
    earlier: Option<&Vec<(MeterId, Dataset)>>,
) -> Result<Vec<(MeterId, Dataset)>, StoreError> {
    let Columns { meters, datasets, firsts, ends } = Columns::of(windows);
    let rows = link.query_as(sql::WINDOWS_LOCK).bind(meters).bind(datasets).bind(firsts).bind(ends);
    let rows: Vec<(i64, Option<Date>, Option<Date>)> = rows.fetch_all(&mut link.conn).await?;
    let moved = rows.into_iter().filter_map(|(place, first, end)| {
        let window = windows.get(usize::try_from(place).ok()?)?;
        Some((*window, day(first).zip(day(end)).and_then(|(first, end)| Days::new(first, end))))
    });
    let moved: Vec<(Window, Option<Days>)> = moved.collect();
    if moved.is_empty() {
        // Another instance has opened them meanwhile, or an attempt whose end nobody knows.
        return Ok(earlier.cloned().unwrap_or_default());
    }
    let mut all = Columns::default();
    let (mut forget, mut expire) = (Columns::default(), Columns::default());
    let (mut reopen, mut fill) = (Columns::default(), Columns::default());
    for (window, known) in &moved {
        let Some(days) = window.days else {
            all.push(window, None, None);
            continue;
        };
        all.push(window, Some(days.first()), Some(days.end()));
        let earlier = if days.first() > window.served { &mut forget } else { &mut expire };
        earlier.push(window, Some(days.first()), None);
        reopen.push(window, Some(days.first()), Some(days.end()));
        for gained in gained(days, *known) {
            fill.push(window, Some(gained.first()), Some(gained.end()));
        }
    }
    run(link, sql::WINDOWS_SET, all, true).await?;
    run(link, sql::WINDOWS_FORGET, forget, false).await?;
    run(link, sql::WINDOWS_EXPIRE, expire, false).await?;
    run(link, sql::WINDOWS_REOPEN, reopen, true).await?;
    let known = known(link, &fill).await?;
    run(link, sql::WINDOWS_FILL, fill, true).await?;
    Ok(known)
}

/// The series of whose gained days something is known.
async fn known(link: &mut Link, gained: &Columns) -> Result<Vec<(MeterId, Dataset)>, StoreError> {
    let rows = link.query_as(sql::WINDOWS_KNOWN).bind(gained.meters.clone()).bind(gained.datasets.clone());
    let rows = rows.bind(gained.firsts.clone()).bind(gained.ends.clone());
    let rows: Vec<(i32, i16)> = rows.fetch_all(&mut link.conn).await?;
    rows.into_iter().map(|(meter, dataset)| Ok((MeterId(meter.into()), dataset_of(dataset)?))).collect()
}

async fn run(link: &mut Link, statement: &'static str, columns: Columns, ends: bool) -> Result<(), StoreError> {
    if columns.meters.is_empty() {
        return Ok(());
    }
    let mut query = link.query(statement).bind(columns.meters).bind(columns.datasets).bind(columns.firsts);
    if ends {
        query = query.bind(columns.ends);
    }
    query.execute(&mut link.conn).await?;
    Ok(())
}

/// The days of a window that were not in the one before.
fn gained(days: Days, known: Option<Days>) -> Vec<Days> {
    let Some(known) = known else { return vec![days] };
    let before = Days::new(days.first(), days.end().min(known.first()));
    let after = Days::new(days.first().max(known.end()), days.end());
    before.into_iter().chain(after).collect()
}

/// Makes sure that the views know the days of the windows.
pub(super) async fn mark(link: &mut Link, windows: &[Window]) -> Result<(), StoreError> {
    let all = windows.iter().filter_map(|w| w.days);
    let curves = windows.iter().filter(|w| w.dataset.kind() == Kind::LoadCurve).filter_map(|w| w.days);
    calendar::hold(link, hull(all), hull(curves)).await
}

/// The years of UTC in which the windows have intervals.
pub(super) fn years(windows: &[Window]) -> Option<(i32, i32)> {
    let curves = windows.iter().filter(|w| w.dataset.kind() == Kind::LoadCurve).filter_map(|w| w.days);
    hull(curves).map(years_of)
}

/// The years of UTC that these days touch: the first hour of a year in Paris is one of the year before.
pub(super) fn years_of(days: Days) -> (i32, i32) {
    (days.first().plus(-1).date().year(), days.last().date().year())
}

/// Remembers the day it is.
pub(super) async fn close(link: &mut Link, windows: &[Window], now: i64) -> Result<(), StoreError> {
    let end = windows.iter().filter_map(|w| w.days).map(Days::end).max().map(Date);
    let (same,): (bool,) = link.query_as(sql::PASS_IS).bind(now).bind(end).fetch_one(&mut link.conn).await?;
    if !same {
        link.query(sql::PASS_SET).bind(now).bind(end).execute(&mut link.conn).await?;
    }
    Ok(())
}

/// The shortest range that holds them all.
fn hull(mut days: impl Iterator<Item = Days>) -> Option<Days> {
    let first = days.next()?;
    Some(
        days.fold(first, |all, next| {
            Days::new(all.first().min(next.first()), all.end().max(next.end())).unwrap_or(all)
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_gains_days_at_either_end() {
        let days = |a: i32, b: i32| Days::new(Day::from_number(a), Day::from_number(b)).unwrap();
        assert_eq!(gained(days(3, 9), None), [days(3, 9)]);
        assert_eq!(gained(days(3, 9), Some(days(3, 9))), []);
        assert_eq!(gained(days(4, 10), Some(days(3, 9))), [days(9, 10)]);
        assert_eq!(gained(days(1, 10), Some(days(3, 9))), [days(1, 3), days(9, 10)]);
        assert_eq!(gained(days(20, 22), Some(days(3, 9))), [days(20, 22)]);
        assert_eq!(gained(days(1, 2), Some(days(3, 9))), [days(1, 2)]);
    }
}
