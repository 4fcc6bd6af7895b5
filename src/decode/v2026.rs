//! The body of Data Connect 2026.
//!
//! The readings lie in `grandeur`, a list of series: more than one where the meter reports a
//! maximum for each phase. The series that was asked for is picked by direction, quantity and
//! unit, never by its position.

use serde::Deserialize;

use crate::domain::{Direction, Kind};

use super::{DecodeError, Expected, Field, Reading, Scalar, agrees, check_meter, check_period, json, unit};

#[derive(Deserialize)]
struct Root<'a> {
    #[serde(borrow, default, rename = "idPrm")]
    prm: Scalar<'a>,
    #[serde(borrow, default)]
    periode: Option<Period<'a>>,
    #[serde(borrow, default)]
    grandeur: Field<Vec<Series<'a>>>,
}

#[derive(Deserialize)]
struct Period<'a> {
    #[serde(borrow, default, rename = "dateDebut")]
    first: Scalar<'a>,
    #[serde(borrow, default, rename = "dateFin")]
    end: Scalar<'a>,
}

#[derive(Deserialize)]
struct Series<'a> {
    #[serde(borrow, default, rename = "grandeurMetier")]
    direction: Scalar<'a>,
    #[serde(borrow, default, rename = "grandeurPhysique")]
    quantity: Scalar<'a>,
    #[serde(borrow, default, rename = "unite")]
    unit: Scalar<'a>,
    #[serde(borrow, default)]
    points: Option<Vec<Point<'a>>>,
}

#[derive(Deserialize)]
struct Point<'a> {
    #[serde(borrow, default)]
    v: Scalar<'a>,
    #[serde(borrow, default)]
    d: Scalar<'a>,
    #[serde(borrow, default)]
    p: Scalar<'a>,
}

/// The readings of a body; `None` where it says that there is nothing.
pub(super) fn readings<'a>(
    text: &'a str,
    what: &Expected<'_>,
) -> Result<Option<impl Iterator<Item = Reading<'a>> + use<'a>>, DecodeError> {
    let Some(root) = json::<Option<Root<'a>>>(text)? else { return Ok(None) };
    check_meter(&root.prm, what)?;
    if let Some(period) = &root.periode {
        check_period(&period.first, &period.end, what)?;
    }
    let mut series = match root.grandeur {
        Field::Absent => return Err(DecodeError::NoReadings),
        Field::Value(series) if !series.is_empty() => series,
        Field::Null | Field::Value(_) => return Ok(None),
    };
    let direction = match what.dataset.direction() {
        Direction::Consumption => "CONS",
        Direction::Production => "PROD",
    };
    series.retain(|s| agrees(&s.direction, direction));
    if series.is_empty() {
        return Err(DecodeError::OtherDirection);
    }
    let (unit, quantity) = (unit(what.dataset.kind()), quantity(what.dataset.kind()));
    series.retain(|s| agrees(&s.unit, unit) && agrees(&s.quantity, quantity));
    if series.is_empty() {
        return Err(DecodeError::OtherUnit);
    }
    let points = series.into_iter().filter_map(|s| s.points).flatten();
    Ok(Some(points.map(|p| Reading { value: p.v, stamp: p.d, step: p.p })))
}

/// The `grandeurPhysique` of a dataset: active energy, active power, apparent power.
fn quantity(kind: Kind) -> &'static str {
    match kind {
        Kind::LoadCurve => "PA",
        Kind::DailyEnergy | Kind::Registers => "EA",
        Kind::MaxPower => "PMA",
    }
}
