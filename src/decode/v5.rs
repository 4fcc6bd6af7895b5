//! The body of the API v5.
//!
//! Enedis wraps it in `meter_reading`; a gateway that passes it on may have taken the wrapper off.
//! A null wrapper is an answer too: there is nothing for these days. The API does not repeat the
//! direction; meter, period and unit are checked.

use serde::Deserialize;

use super::{DecodeError, Expected, Field, Reading, Scalar, agrees, check_meter, check_period, json, unit};

#[derive(Deserialize)]
struct Root<'a> {
    #[serde(borrow, default)]
    meter_reading: Field<Measures<'a>>,
    #[serde(borrow, default)]
    usage_point_id: Scalar<'a>,
    #[serde(borrow, default)]
    start: Scalar<'a>,
    #[serde(borrow, default)]
    end: Scalar<'a>,
    #[serde(borrow, default)]
    reading_type: Option<ReadingType<'a>>,
    #[serde(borrow, default)]
    interval_reading: Field<Vec<Point<'a>>>,
}

#[derive(Deserialize)]
struct Measures<'a> {
    #[serde(borrow, default)]
    usage_point_id: Scalar<'a>,
    #[serde(borrow, default)]
    start: Scalar<'a>,
    #[serde(borrow, default)]
    end: Scalar<'a>,
    #[serde(borrow, default)]
    reading_type: Option<ReadingType<'a>>,
    #[serde(borrow, default)]
    interval_reading: Field<Vec<Point<'a>>>,
}

#[derive(Deserialize)]
struct ReadingType<'a> {
    #[serde(borrow, default)]
    unit: Scalar<'a>,
}

#[derive(Deserialize)]
struct Point<'a> {
    #[serde(borrow, default)]
    value: Scalar<'a>,
    #[serde(borrow, default)]
    date: Scalar<'a>,
    #[serde(borrow, default)]
    interval_length: Scalar<'a>,
}

/// The readings of a body; `None` where it says that there is nothing.
pub(super) fn readings<'a>(
    text: &'a str,
    what: &Expected<'_>,
) -> Result<Option<impl Iterator<Item = Reading<'a>> + use<'a>>, DecodeError> {
    let Some(root) = json::<Option<Root<'a>>>(text)? else { return Ok(None) };
    let measures = match root.meter_reading {
        Field::Null => return Ok(None),
        Field::Value(wrapped) => wrapped,
        Field::Absent => Measures {
            usage_point_id: root.usage_point_id,
            start: root.start,
            end: root.end,
            reading_type: root.reading_type,
            interval_reading: root.interval_reading,
        },
    };
    check_meter(&measures.usage_point_id, what)?;
    check_period(&measures.start, &measures.end, what)?;
    if !measures.reading_type.is_none_or(|t| agrees(&t.unit, unit(what.dataset.kind()))) {
        return Err(DecodeError::OtherUnit);
    }
    let points = match measures.interval_reading {
        Field::Absent => return Err(DecodeError::NoReadings),
        Field::Null => None,
        Field::Value(points) => Some(points),
    };
    Ok(points
        .map(|points| points.into_iter().map(|p| Reading { value: p.value, stamp: p.date, step: p.interval_length })))
}
