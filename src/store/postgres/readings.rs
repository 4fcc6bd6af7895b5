//! The stored values of a series, as the domain has them.

use super::connect::Link;
use super::sql;
use super::types::{Date, Stamp, i2, i4, seconds};
use crate::domain::registers::{Counts, RegisterReading};
use crate::domain::{CurvePoint, Dataset, Day, DayEnergy, Interval, Kind, PeakPower, Prm, Step, Values, paris};
use crate::store::{HeldValues, MeterId, SourceId, StoreError};

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

/// Reads every value of a series with its source, ascending.
pub(super) async fn held(link: &mut Link, meter: MeterId, dataset: Dataset) -> Result<HeldValues, StoreError> {
    let (meter, direction) = (i4(meter.0), i2(dataset.direction().id()));
    let (first, end) = (Day::from_number(0), Day::from_number(LAST));
    let (from, to) = (Stamp(paris::start_of(first)), Stamp(paris::start_of(end)));
    let mut sources = Vec::new();
    let mut of = |source: i32| sources.push(SourceId(source.into()));
    let values = match dataset.kind() {
        Kind::LoadCurve => {
            let rows = link.query_as(sql::CURVE_HELD).bind(meter).bind(direction).bind(from).bind(to);
            let rows: Vec<(Stamp, i32, i32, i32)> = rows.fetch_all(&mut link.conn).await?;
            let mut points = Vec::with_capacity(rows.len());
            for (start, minutes, watts, source) in rows {
                points.push(CurvePoint { interval: interval(start, minutes)?, watts: watts.into() });
                of(source);
            }
            Values::Curve(points)
        }
        Kind::DailyEnergy => {
            let rows = link.query_as(sql::ENERGY_HELD).bind(meter).bind(direction).bind(Date(first)).bind(Date(end));
            let rows: Vec<(Date, i64, i32)> = rows.fetch_all(&mut link.conn).await?;
            let value = |(day, wh, source): (Date, i64, i32)| {
                of(source);
                DayEnergy { day: day.0, wh }
            };
            Values::Energy(rows.into_iter().map(value).collect())
        }
        Kind::MaxPower => {
            let rows = link.query_as(sql::PEAKS_HELD).bind(meter).bind(Date(first)).bind(Date(end));
            let rows: Vec<PeakRow> = rows.fetch_all(&mut link.conn).await?;
            let peak = |(day, va, local_seconds, at, source): PeakRow| {
                of(source);
                PeakPower { day: day.0, va, local_seconds, at: seconds(at) }
            };
            Values::Peaks(rows.into_iter().map(peak).collect())
        }
        Kind::Registers => {
            let rows = link.query_as(sql::REGISTERS_HELD).bind(meter).bind(direction).bind(from).bind(to);
            let rows: Vec<(Stamp, String, String, String, bool, i64, i32)> = rows.fetch_all(&mut link.conn).await?;
            let reading = |(read_at, calendar, register, class, daily, wh, source): (Stamp, _, _, _, _, _, i32)| {
                of(source);
                RegisterReading {
                    direction: dataset.direction(),
                    read_at: read_at.0,
                    daily,
                    counts: Counts::of(calendar, class),
                    register,
                    wh,
                }
            };
            Values::Registers(rows.into_iter().map(reading).collect())
        }
    };
    Ok(HeldValues { values, sources })
}

/// A stored peak: day, VA, wall time, instant, source.
type PeakRow = (Date, i64, Option<i32>, Option<Stamp>, i32);

/// A day after every one that is stored.
const LAST: i32 = 90_000;
