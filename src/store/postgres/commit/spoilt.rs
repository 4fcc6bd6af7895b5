//! Takes out values that are known to be wrong.

use super::{Date, Link, Stamp, i2, i4, sql};
use crate::domain::{Kind, paris};
use crate::store::{Answer, Spoilt, StoreError};

/// Takes a value out, and says whether it was there.
pub(super) async fn take_out(link: &mut Link, answer: &Answer, spoilt: &Spoilt) -> Result<bool, StoreError> {
    let (meter, direction) = (i4(answer.meter.0), i2(answer.dataset.direction().id()));
    let (at, day) = (Stamp(spoilt.start), Date(paris::day_of(spoilt.start)));
    let statement = match answer.dataset.kind() {
        Kind::LoadCurve => {
            let watts = i4(spoilt.value);
            link.query(sql::CURVE_SPOILT).bind(meter).bind(direction).bind(at).bind(watts)
        }
        Kind::DailyEnergy => link.query(sql::ENERGY_SPOILT).bind(meter).bind(direction).bind(day).bind(spoilt.value),
        Kind::MaxPower => link.query(sql::PEAK_SPOILT).bind(meter).bind(day).bind(spoilt.value),
        Kind::Registers => link.query(sql::REGISTER_SPOILT).bind(meter).bind(direction).bind(at).bind(spoilt.value),
    };
    let statement = match &spoilt.register {
        Some(reading) => {
            let (calendar, class) = reading.counts.columns();
            statement.bind(calendar.to_owned()).bind(reading.register.clone()).bind(class.to_owned())
        }
        None => statement,
    };
    Ok(statement.execute(&mut link.conn).await?.rows_affected() > 0)
}
