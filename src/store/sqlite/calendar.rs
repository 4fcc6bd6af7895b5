//! The days and hours that the views join: Paris time as rows, so that SQL needs no time zone.
//!
//! Both tables have no holes between their first and last row, so knowing the two ends is knowing
//! all of it.

use sqlx::SqliteConnection;

use super::{rows, sql};
use crate::domain::{Day, Days, paris};
use crate::store::StoreError;
use crate::store::copy::Held;
use crate::store::holes::lacking;

/// The first and last day of the calendar, the first and last hour of the clock.
type Ends = (Option<i32>, Option<i32>, Option<i64>, Option<i64>);

/// The days that calendar and clock hold.
pub(super) async fn held(conn: &mut SqliteConnection) -> Result<Held, StoreError> {
    let (first_day, last_day, first_hour, last_hour): Ends =
        sqlx::query_as(sql::CALENDAR_ENDS).fetch_one(&mut *conn).await?;
    Ok(Held {
        days: first_day.zip(last_day).and_then(|(f, l)| Days::new(Day::from_number(f), Day::from_number(l).next())),
        hours: first_hour.zip(last_hour).and_then(|(f, l)| Days::new(paris::day_of(f), paris::day_of(l).next())),
    })
}

/// Makes sure that the calendar holds these days, and the clock the hours of those.
pub(super) async fn hold(
    conn: &mut SqliteConnection,
    days: Option<Days>,
    of_hours: Option<Days>,
) -> Result<(), StoreError> {
    let known = held(conn).await?;
    for lacking in days.into_iter().flat_map(|days| lacking(days, known.days)) {
        let new: Vec<Day> = lacking.iter().collect();
        rows::CALENDAR
            .put(conn, &[], &new, |query, day| {
                query.bind(day.number()).bind(day.to_string()).bind(paris::start_of(*day)).bind(paris::minutes_in(*day))
            })
            .await?;
    }
    for lacking in of_hours.into_iter().flat_map(|days| lacking(days, known.hours)) {
        let hours = (paris::start_of(lacking.end()) - paris::start_of(lacking.first())) / 3600;
        let new: Vec<i64> = (0..hours).map(|n| paris::start_of(lacking.first()) + 3600 * n).collect();
        rows::HOURS.put(conn, &[], &new, |query, start| query.bind(*start)).await?;
    }
    Ok(())
}
