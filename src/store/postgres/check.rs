//! `linkyd db check`: do the rows agree with each other?

use super::connect::Link;
use super::sql;
use super::types::{Date, Stamp, i4};
use crate::domain::{Day, paris};
use crate::store::{Finding, StoreError};

/// Counts that must be nought, and what it means where they are not.
const COUNTS: [(&str, &str); 8] = [
    (sql::CHECK_OVERLAP, "intervals overlap the next one of their series"),
    (sql::CHECK_OFFSET, "intervals have the wrong Paris offset or no calendar day"),
    (sql::CHECK_VALUES, "values are negative or have an impossible length"),
    (sql::CHECK_OWNERS, "meters or sources of stored rows are unknown"),
    (sql::CHECK_CURVE_UNKNOWN, "days with intervals have no record"),
    (sql::CHECK_BY_CLASS, "days by class follow from no registers"),
    (sql::CHECK_CONTRACTS, "contracts have a negative power or begin after they were learnt"),
    (sql::CHECK_WINDOWS, "windows have days without a record"),
];

/// Days of which there must be none.
const DAYS: [(&str, &str); 4] = [
    (sql::CHECK_CURVE_COUNTS, "days of load curves have another number of intervals than their record says"),
    (sql::CHECK_CURVE_TILES, "complete days are not filled by their intervals"),
    (sql::CHECK_DAILY_COUNTS, "days of daily values do not agree with their record"),
    (sql::CHECK_REGISTERS, "days of registers do not agree with their record"),
];

/// Looks everywhere.
pub(super) async fn check(link: &mut Link) -> Result<Vec<Finding>, StoreError> {
    let mut found = Vec::new();
    for (statement, what) in COUNTS {
        let (count,): (i64,) = link.query_as(statement).fetch_one(&mut link.conn).await?;
        found.extend(Finding::counted(count, what));
    }
    for (statement, what) in DAYS {
        let row: Option<(i64, String, String, Date)> = link.query_as(statement).fetch_optional(&mut link.conn).await?;
        found.extend(row.map(|(count, meter, dataset, day)| Finding::of_days(count, what, (&meter, &dataset, day.0))));
    }
    let wrong = wrong_hours(link).await?;
    found.extend(Finding::counted(wrong, "hours have intervals with the wrong Paris offset"));
    let wrong = wrong_days(link).await?;
    found.extend(Finding::counted(wrong, "days of the calendar are wrong or lacking"));
    Ok(found)
}

/// Hours whose intervals say that Paris was elsewhere from UTC than it was.
async fn wrong_hours(link: &mut Link) -> Result<usize, StoreError> {
    let rows: Vec<(Stamp, i16)> = link.query_as(sql::CHECK_HOURS).fetch_all(&mut link.conn).await?;
    Ok(rows.into_iter().filter(|(start, summer)| paris::offset_hours(start.0) != 1 + i64::from(*summer)).count())
}

/// Days of the calendar that differ from the rules of Paris, or that are left out.
async fn wrong_days(link: &mut Link) -> Result<usize, StoreError> {
    let rows: Vec<(Date, Stamp, i32)> = link.query_as(sql::CHECK_CALENDAR).fetch_all(&mut link.conn).await?;
    let first = rows.first().map_or(0, |row| row.0.0.number());
    let wrong = (first..).zip(&rows).filter(|(number, (day, starts, minutes))| {
        let right = Day::from_number(*number);
        day.0 != right || (starts.0, *minutes) != (paris::start_of(right), i4(paris::minutes_in(right)))
    });
    Ok(wrong.count())
}
