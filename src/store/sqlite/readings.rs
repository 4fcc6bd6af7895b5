//! The stored values of a series, as the domain has them.

use sqlx::SqliteConnection;

use super::sql;
use crate::domain::registers::{Counts, RegisterReading};
use crate::domain::{CurvePoint, Dataset, Day, DayEnergy, Interval, Kind, PeakPower, Prm, Step, Values, paris};
use crate::store::{HeldValues, MeterId, SourceId, StoreError};

/// Reads every value of a series, ascending.
pub(super) async fn readings(conn: &mut SqliteConnection, prm: &Prm, dataset: Dataset) -> Result<Values, StoreError> {
    let direction = dataset.direction().id();
    match dataset.kind() {
        Kind::LoadCurve => {
            let rows: Vec<(i64, i64, i64)> =
                sqlx::query_as(sql::CURVE_READINGS).bind(prm.full()).bind(direction).fetch_all(conn).await?;
            let point = |(start, minutes, watts)| Ok(CurvePoint { interval: interval(start, minutes)?, watts });
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

/// Reads every value of a series with its source, ascending.
pub(super) async fn held(
    conn: &mut SqliteConnection,
    meter: MeterId,
    dataset: Dataset,
) -> Result<HeldValues, StoreError> {
    let direction = dataset.direction().id();
    let (first, end) = (Day::from_number(0), Day::from_number(LAST));
    let (from, to) = (paris::start_of(first), paris::start_of(end));
    let mut sources = Vec::new();
    let mut of = |source: i64| sources.push(SourceId(source));
    let values = match dataset.kind() {
        Kind::LoadCurve => {
            let rows = sqlx::query_as(sql::CURVE_HELD).bind(meter.0).bind(direction).bind(from).bind(to);
            let rows: Vec<(i64, i64, i64, i64)> = rows.fetch_all(conn).await?;
            let mut points = Vec::with_capacity(rows.len());
            for (start, minutes, watts, source) in rows {
                points.push(CurvePoint { interval: interval(start, minutes)?, watts });
                of(source);
            }
            Values::Curve(points)
        }
        Kind::DailyEnergy => {
            let rows = sqlx::query_as(sql::ENERGY_HELD).bind(meter.0).bind(direction);
            let rows: Vec<(i32, i64, i64)> = rows.bind(first.number()).bind(end.number()).fetch_all(conn).await?;
            let value = |(day, wh, source)| {
                of(source);
                DayEnergy { day: Day::from_number(day), wh }
            };
            Values::Energy(rows.into_iter().map(value).collect())
        }
        Kind::MaxPower => {
            let rows = sqlx::query_as(sql::PEAKS_HELD).bind(meter.0).bind(first.number()).bind(end.number());
            let rows: Vec<PeakRow> = rows.fetch_all(conn).await?;
            let peak = |(day, va, local_seconds, at, source)| {
                of(source);
                PeakPower { day: Day::from_number(day), va, local_seconds, at }
            };
            Values::Peaks(rows.into_iter().map(peak).collect())
        }
        Kind::Registers => {
            let rows = sqlx::query_as(sql::REGISTERS_HELD).bind(meter.0).bind(direction).bind(from).bind(to);
            let rows: Vec<(i64, String, String, String, bool, i64, i64)> = rows.fetch_all(conn).await?;
            let reading = |(read_at, calendar, register, class, daily, wh, source)| {
                of(source);
                let counts = Counts::of(calendar, class);
                RegisterReading { direction: dataset.direction(), read_at, daily, counts, register, wh }
            };
            Values::Registers(rows.into_iter().map(reading).collect())
        }
    };
    Ok(HeldValues { values, sources })
}

/// A stored peak: day, VA, wall time, instant, source.
type PeakRow = (i32, i64, Option<i32>, Option<i64>, i64);

/// A day after every one that is stored.
const LAST: i32 = 90_000;

fn interval(start: i64, minutes: i64) -> Result<Interval, StoreError> {
    let step = Step::from_minutes(minutes).ok_or_else(|| StoreError::Inconsistent {
        table: "load_curve",
        what: format!("an interval of {minutes} minutes"),
    })?;
    Ok(Interval { start, step })
}
