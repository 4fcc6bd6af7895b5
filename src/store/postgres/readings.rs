//! The stored values of a series, as the domain has them.

use super::connect::Link;
use super::sql;
use super::types::{Date, Stamp, i2, seconds};
use crate::domain::registers::{Counts, RegisterReading};
use crate::domain::{CurvePoint, Dataset, DayEnergy, Interval, Kind, PeakPower, Prm, Step, Values};
use crate::store::StoreError;

/// An interval, from its start and its minutes.
pub(super) fn interval(start: Stamp, minutes: i32) -> Result<Interval, StoreError> {
    let step = Step::from_minutes(minutes.into()).ok_or_else(|| StoreError::Inconsistent {
        table: "load_curve",
        what: format!("an interval has {minutes} minutes"),
    })?;
    Ok(Interval { start: start.0, step })
}

/// Reads every value of a series, ascending.
pub(super) async fn readings(link: &mut Link, prm: &Prm, dataset: Dataset) -> Result<Values, StoreError> {
    let (prm, direction) = (prm.full().to_owned(), i2(dataset.direction().id()));
    match dataset.kind() {
        Kind::LoadCurve => {
            let rows = link.query_as(sql::CURVE_READINGS).bind(prm).bind(direction);
            let rows: Vec<(Stamp, i32, i32)> = rows.fetch_all(&mut link.conn).await?;
            let point = |(start, minutes, watts): (Stamp, i32, i32)| {
                Ok(CurvePoint { interval: interval(start, minutes)?, watts: watts.into() })
            };
            rows.into_iter().map(point).collect::<Result<_, StoreError>>().map(Values::Curve)
        }
        Kind::DailyEnergy => {
            let rows = link.query_as(sql::DAILY_READINGS).bind(prm).bind(direction);
            let rows: Vec<(Date, i64)> = rows.fetch_all(&mut link.conn).await?;
            Ok(Values::Energy(rows.into_iter().map(|(day, wh)| DayEnergy { day: day.0, wh }).collect()))
        }
        Kind::MaxPower => {
            let rows = link.query_as(sql::PEAK_READINGS).bind(prm);
            let rows: Vec<(Date, i64, Option<i32>, Option<Stamp>)> = rows.fetch_all(&mut link.conn).await?;
            let peak = |(day, va, local_seconds, at): (Date, _, _, _)| PeakPower {
                day: day.0,
                va,
                local_seconds,
                at: seconds(at),
            };
            Ok(Values::Peaks(rows.into_iter().map(peak).collect()))
        }
        Kind::Registers => {
            let rows = link.query_as(sql::REGISTER_READINGS).bind(prm).bind(direction);
            let rows: Vec<(Stamp, String, String, String, bool, i64)> = rows.fetch_all(&mut link.conn).await?;
            let reading = |(read_at, calendar, register, class, daily, wh): (Stamp, _, _, _, _, _)| RegisterReading {
                direction: dataset.direction(),
                read_at: read_at.0,
                daily,
                counts: Counts::of(calendar, class),
                register,
                wh,
            };
            Ok(Values::Registers(rows.into_iter().map(reading).collect()))
        }
    }
}
