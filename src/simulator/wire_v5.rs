//! The bodies of API v5, written from what it was seen to answer.

use serde::Serialize;
use serde_json::Value;

use super::answer::Answer;
use crate::domain::Dataset;
use crate::domain::dataset::Kind;

#[derive(Serialize)]
struct Root<'a> {
    meter_reading: MeterReading<'a>,
}

#[derive(Serialize)]
struct MeterReading<'a> {
    usage_point_id: &'a str,
    start: String,
    end: String,
    quality: &'static str,
    reading_type: ReadingType,
    interval_reading: Vec<IntervalReading<'a>>,
}

#[derive(Serialize)]
struct ReadingType {
    #[serde(skip_serializing_if = "Option::is_none")]
    measurement_kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    measuring_period: Option<&'static str>,
    unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    aggregate: Option<&'static str>,
}

#[derive(Serialize)]
struct IntervalReading<'a> {
    value: &'a Value,
    date: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval_length: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    measure_type: Option<&'static str>,
}

/// Path of each dataset.
pub(super) fn path(dataset: Dataset) -> &'static str {
    match dataset {
        Dataset::ConsumptionLoadCurve => "/metering_data_clc/v5/consumption_load_curve",
        Dataset::ProductionLoadCurve => "/metering_data_plc/v5/production_load_curve",
        Dataset::DailyConsumption => "/metering_data_dc/v5/daily_consumption",
        Dataset::DailyProduction => "/metering_data_dp/v5/daily_production",
        Dataset::DailyMaxPower => "/metering_data_dcmp/v5/daily_consumption_max_power",
        // API v5 has none: nothing lies there.
        Dataset::ConsumptionIndex | Dataset::ProductionIndex => "/index",
    }
}

/// The body of an answer.
pub(super) fn body(answer: &Answer) -> Vec<u8> {
    serde_json::to_vec(&Root { meter_reading: meter_reading(answer, false) }).unwrap_or_default()
}

/// The content of `meter_reading` alone, as the Conso API hands it on.
pub(super) fn bare_body(answer: &Answer) -> Vec<u8> {
    serde_json::to_vec(&meter_reading(answer, false)).unwrap_or_default()
}

/// The body as MyElectricalData puts it together anew: of the reading type, unit and period are
/// left.
pub(super) fn rebuilt(answer: &Answer) -> Value {
    serde_json::to_value(Root { meter_reading: meter_reading(answer, true) }).unwrap_or_default()
}

fn meter_reading(answer: &Answer, rebuilt: bool) -> MeterReading<'_> {
    let curve = answer.dataset.kind() == Kind::LoadCurve;
    let (measurement_kind, unit, aggregate) = match answer.dataset.kind() {
        Kind::LoadCurve => ("power", "W", "average"),
        Kind::DailyEnergy => ("energy", "Wh", "sum"),
        Kind::MaxPower => ("power", "VA", "maximum"),
        Kind::Registers => ("energy", "Wh", "register"),
    };
    let interval_reading = answer.points.iter().map(|point| IntervalReading {
        value: &point.value,
        date: point.label.text(),
        interval_length: point.length.as_deref(),
        measure_type: curve.then_some("B"),
    });
    MeterReading {
        usage_point_id: answer.prm.full(),
        start: answer.start.to_string(),
        end: answer.end.to_string(),
        quality: "BRUT",
        reading_type: ReadingType {
            measurement_kind: (!rebuilt).then_some(measurement_kind),
            measuring_period: (!curve).then_some("P1D"),
            unit,
            aggregate: (!rebuilt).then_some(aggregate),
        },
        interval_reading: interval_reading.collect(),
    }
}
