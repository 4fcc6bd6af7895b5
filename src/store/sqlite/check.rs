//! `linkyd db check`: is the file sound, and do its rows agree with each other?

use sqlx::SqliteConnection;

use super::sql;
use crate::domain::{Day, paris};
use crate::store::{Finding, StoreError};

/// Counts that must be nought, and what it means where they are not.
const COUNTS: [(&str, &str); 7] = [
    (sql::CHECK_OVERLAP, "intervals overlap the next one of their series"),
    (sql::CHECK_OFFSET, "intervals have the wrong Paris offset or no calendar day"),
    (sql::CHECK_VALUES, "values are negative or have an impossible length"),
    (sql::CHECK_OWNERS, "meters or sources of stored rows are unknown"),
    (sql::CHECK_CURVE_UNKNOWN, "days with intervals have no record"),
    (sql::CHECK_BY_CLASS, "days by class follow from no registers"),
    (sql::CHECK_CONTRACTS, "contracts have a negative power or begin after they were learnt"),
];

/// Days of which there must be none.
const DAYS: [(&str, &str); 4] = [
    (sql::CHECK_CURVE_COUNTS, "days of load curves have another number of intervals than their record says"),
    (sql::CHECK_CURVE_TILES, "complete days are not filled by their intervals"),
    (sql::CHECK_DAILY_COUNTS, "days of daily values do not agree with their record"),
    (sql::CHECK_REGISTERS, "days of registers do not agree with their record"),
];

/// Looks everywhere.
pub(super) async fn check(conn: &mut SqliteConnection) -> Result<Vec<Finding>, StoreError> {
    let mut found = Vec::new();
    let pages: Vec<(String,)> = sqlx::query_as(sql::INTEGRITY).fetch_all(&mut *conn).await?;
    found.extend(pages.into_iter().map(|(what,)| what).filter(|what| what != "ok").map(|what| Finding { what }));
    if !found.is_empty() {
        // What the rows of a damaged file say means nothing.
        return Ok(found);
    }
    let tables: Vec<(String,)> = sqlx::query_as(sql::FOREIGN_KEYS).fetch_all(&mut *conn).await?;
    found.extend(
        tables
            .into_iter()
            .map(|(table,)| Finding { what: format!("rows of {table} refer to rows that are not there") }),
    );
    for (statement, what) in COUNTS {
        let (count,): (i64,) = sqlx::query_as(statement).fetch_one(&mut *conn).await?;
        found.extend(Finding::counted(count, what));
    }
    for (statement, what) in DAYS {
        let row: Option<(i64, String, String, i32)> = sqlx::query_as(statement).fetch_optional(&mut *conn).await?;
        found.extend(row.map(|(count, meter, dataset, day)| {
            Finding::of_days(count, what, (&meter, &dataset, Day::from_number(day)))
        }));
    }
    let wrong = wrong_hours(conn).await?;
    found.extend(Finding::counted(wrong, "hours have intervals with the wrong Paris offset"));
    let wrong = wrong_days(conn).await?;
    found.extend(Finding::counted(wrong, "days of the calendar are wrong or lacking"));
    Ok(found)
}

/// Hours whose intervals say that Paris was elsewhere from UTC than it was.
async fn wrong_hours(conn: &mut SqliteConnection) -> Result<usize, StoreError> {
    let rows: Vec<(i64, i64)> = sqlx::query_as(sql::CHECK_HOURS).fetch_all(conn).await?;
    Ok(rows.into_iter().filter(|(start, summer)| paris::offset_hours(*start) != 1 + summer).count())
}

/// Days of the calendar that differ from the rules of Paris, or that are left out.
async fn wrong_days(conn: &mut SqliteConnection) -> Result<usize, StoreError> {
    let rows: Vec<(i32, String, i64, i64)> = sqlx::query_as(sql::CHECK_CALENDAR).fetch_all(conn).await?;
    let first = rows.first().map_or(0, |row| row.0);
    let wrong = (first..).zip(&rows).filter(|(number, (day, iso, starts, minutes))| {
        let right = Day::from_number(*number);
        *day != *number
            || *iso != right.to_string()
            || (*starts, *minutes) != (paris::start_of(right), paris::minutes_in(right))
    });
    Ok(wrong.count())
}
