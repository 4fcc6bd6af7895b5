//! The days and hours that the views join: Paris time as rows, so that SQL needs no time zone.
//!
//! Both tables have no holes between their first and last row, so knowing the two ends is knowing
//! all of it.

use super::connect::Link;
use super::sql;
use super::types::{Date, Stamp, i4};
use crate::domain::{Days, paris};
use crate::store::StoreError;
use crate::store::copy::Held;
use crate::store::holes::lacking;

/// The first and last day of the calendar, the first and last hour of the clock.
type Ends = (Option<Date>, Option<Date>, Option<Stamp>, Option<Stamp>);

/// The days that calendar and clock hold.
pub(super) async fn held(link: &mut Link) -> Result<Held, StoreError> {
    let (first_day, last_day, first_hour, last_hour): Ends =
        link.query_as(sql::CALENDAR_ENDS).fetch_one(&mut link.conn).await?;
    Ok(Held {
        days: first_day.zip(last_day).and_then(|(first, last)| Days::new(first.0, last.0.next())),
        hours: first_hour.zip(last_hour).and_then(|(f, l)| Days::new(paris::day_of(f.0), paris::day_of(l.0).next())),
    })
}

/// Makes sure that the calendar holds these days, and the clock the hours of those.
pub(super) async fn hold(link: &mut Link, days: Option<Days>, of_hours: Option<Days>) -> Result<(), StoreError> {
    let known = held(link).await?;
    for new in days.into_iter().flat_map(|days| lacking(days, known.days)) {
        link.query(sql::CALENDAR_ADD)
            .bind(new.iter().map(Date).collect::<Vec<_>>())
            .bind(new.iter().map(|day| Stamp(paris::start_of(day))).collect::<Vec<_>>())
            .bind(new.iter().map(|day| i4(paris::minutes_in(day))).collect::<Vec<_>>())
            .execute(&mut link.conn)
            .await?;
    }
    for new in of_hours.into_iter().flat_map(|days| lacking(days, known.hours)) {
        let (start, end) = (paris::start_of(new.first()), paris::start_of(new.end()));
        let hours: Vec<Stamp> = (0..(end - start) / 3600).map(|n| Stamp(start + 3600 * n)).collect();
        link.query(sql::HOURS_ADD).bind(hours).execute(&mut link.conn).await?;
    }
    Ok(())
}
