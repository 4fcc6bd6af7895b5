//! Takes out values that are known to be wrong.

use sqlx::SqliteConnection;

use super::sql;
use crate::domain::{Kind, paris};
use crate::store::{Answer, Spoilt, StoreError};

/// Takes a value out, and says whether it was there.
pub(super) async fn take_out(
    conn: &mut SqliteConnection,
    answer: &Answer,
    spoilt: &Spoilt,
) -> Result<bool, StoreError> {
    let (meter, direction) = (answer.meter.0, answer.dataset.direction().id());
    let day = paris::day_of(spoilt.start).number();
    let statement = match answer.dataset.kind() {
        Kind::LoadCurve => sqlx::query(sql::CURVE_SPOILT).bind(meter).bind(direction).bind(spoilt.start),
        Kind::DailyEnergy => sqlx::query(sql::ENERGY_SPOILT).bind(meter).bind(direction).bind(day),
        Kind::MaxPower => sqlx::query(sql::PEAK_SPOILT).bind(meter).bind(day),
        Kind::Registers => sqlx::query(sql::REGISTER_SPOILT).bind(meter).bind(direction).bind(spoilt.start),
    };
    let mut statement = statement.bind(spoilt.value);
    if let Some(reading) = &spoilt.register {
        let (calendar, class) = reading.counts.columns();
        statement = statement.bind(calendar).bind(&reading.register).bind(class);
    }
    Ok(statement.execute(conn).await?.rows_affected() > 0)
}
