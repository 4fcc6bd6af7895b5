//! The stored values of a series, as the domain has them.

use sqlx::SqliteConnection;

use super::sql;
use crate::domain::registers::{Counts, RegisterReading};
use crate::domain::{CurvePoint, Dataset, Day, DayEnergy, Interval, Kind, PeakPower, Prm, Step, Values};
use crate::store::StoreError;

/// Reads every value of a series, ascending.
pub(super) async fn readings(conn: &mut SqliteConnection, prm: &Prm, dataset: Dataset) -> Result<Values, StoreError> {
    let direction = dataset.direction().id();
    match dataset.kind() {
        Kind::LoadCurve => {
            let rows: Vec<(i64, i64, i64)> =
                sqlx::query_as(sql::CURVE_READINGS).bind(prm.full()).bind(direction).fetch_all(conn).await?;
            let point = |(start, minutes, watts)| {
                let step = Step::from_minutes(minutes).ok_or_else(|| StoreError::Inconsistent {
                    table: "load_curve",
                    what: format!("an interval of {minutes} minutes"),
                })?;
                Ok(CurvePoint { interval: Interval { start, step }, watts })
            };
            rows.into_iter().map(point).collect::<Result<_, StoreError>>().map(Values::Curve)
        }
        Kind::DailyEnergy => {
            let rows: Vec<(i32, i64)> =
                sqlx::query_as(sql::DAILY_READINGS).bind(prm.full()).bind(direction).fetch_all(conn).await?;
            Ok(Values::Energy(rows.into_iter().map(|(day, wh)| DayEnergy { day: Day::from_number(day), wh }).collect()))
        }
        Kind::MaxPower => {
            let rows: Vec<(i32, i64, Option<i32>, Option<i64>)> =
                sqlx::query_as(sql::PEAK_READINGS).bind(prm.full()).fetch_all(conn).await?;
            let peak = |(day, va, local_seconds, at)| PeakPower { day: Day::from_number(day), va, local_seconds, at };
            Ok(Values::Peaks(rows.into_iter().map(peak).collect()))
        }
        Kind::Registers => {
            let rows: Vec<(i64, String, String, String, bool, i64)> =
                sqlx::query_as(sql::REGISTER_READINGS).bind(prm.full()).bind(direction).fetch_all(conn).await?;
            let reading = |(read_at, calendar, register, class, daily, wh)| RegisterReading {
                direction: dataset.direction(),
                read_at,
                daily,
                counts: Counts::of(calendar, class),
                register,
                wh,
            };
            Ok(Values::Registers(rows.into_iter().map(reading).collect()))
        }
    }
}
