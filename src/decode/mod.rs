//! Reads the body of an answer: bytes in, values in UTC out.
//!
//! [`decode`] is pure, so a kept body can be read again after a rule has improved. It works in
//! three steps. The body must be JSON of the expected shape, and must be about what was asked:
//! another meter, direction, unit or period makes it somebody else's data, and nothing of it is
//! kept ([`DecodeError`]). `v5` and `v2026` are the only places that know field names; both
//! yield readings of text as it came. `points` and `daily` turn those into values: labels
//! become instants, doubtful readings are dropped or marked, and each oddity is counted as an
//! [`Anomaly`]. The rules are told in docs/time.md.
//!
//! Registers, whose answers are of another shape, have a reader of their own ([`registers()`]), and so has what is
//! no measure: [`customer`] for contracts and people, [`services()`] for what a consent allows.

mod anomaly;
mod autumn;
pub mod customer;
mod daily;
mod field;
mod node;
mod number;
mod points;
mod registers;
mod services;
mod stamp;
#[cfg(test)]
mod tests;
mod v2026;
mod v5;

use crate::domain::{Api, Dataset, Day, Days, Kind, Prm, Values};
use crate::source::Label;

pub use anomaly::{Anomaly, AnomalyKind};
pub use registers::{DecodedRegisters, RegistersExpected, registers};
pub use services::services;

use anomaly::Anomalies;
use field::Field;
use number::{Number, Scalar};

/// What the body should be.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The API that answered.
    pub api: Api,
    /// Which edge of an interval its labels name.
    pub label: Label,
    /// The dataset that was asked for.
    pub dataset: Dataset,
    /// The meter that was asked for.
    pub prm: &'a Prm,
    /// The days that were asked for.
    pub days: Days,
}

/// What a body held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The values, all within the days asked for.
    pub values: Values,
    /// The oddities, each kind once.
    pub anomalies: Vec<Anomaly>,
    /// Readings that the answer listed without a value. That is no oddity.
    pub missing: u32,
    /// Whether the answer held no reading at all, not even one that had to be dropped: the source
    /// has nothing for these days.
    pub nothing: bool,
}

/// Why a body is worthless as a whole. Nothing of it may be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// There is no body.
    #[error("the answer is empty")]
    Empty,
    /// A web page.
    #[error("the answer is a web page")]
    Html,
    /// Not UTF-8.
    #[error("the answer is not valid UTF-8")]
    Utf8,
    /// Not JSON, cut off, or JSON of another shape.
    #[error("the answer is no JSON of the expected shape (line {line}, column {column})")]
    Json {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// JSON, but without a list of readings.
    #[error("the answer has no list of readings")]
    NoReadings,
    /// JSON, but nothing in it that was asked for.
    #[error("the answer holds nothing of what was asked for")]
    Lacking,
    /// The readings of another meter.
    #[error("the answer is about another meter")]
    OtherMeter,
    /// The answer to a question about other days.
    #[error("the answer is about other days")]
    OtherPeriod,
    /// Production instead of consumption, or the reverse.
    #[error("the answer is about the other direction")]
    OtherDirection,
    /// Values of another quantity.
    #[error("the answer is in another unit")]
    OtherUnit,
}

impl DecodeError {
    /// The code under which the error catalogue lists it (docs/errors.md).
    #[must_use]
    pub fn code(self) -> crate::source::catalogue::Own {
        use crate::source::catalogue::Own;
        match self {
            Self::Empty => Own::Empty,
            Self::Html => Own::Html,
            Self::Utf8 | Self::Json { .. } | Self::NoReadings | Self::Lacking => Own::Undecodable,
            Self::OtherMeter | Self::OtherPeriod | Self::OtherDirection | Self::OtherUnit => Own::WrongAnswer,
        }
    }
}

/// Reads the body of an answer to the question that `what` describes.
pub fn decode(body: &[u8], what: &Expected<'_>) -> Result<Decoded, DecodeError> {
    if what.dataset.kind() == Kind::Registers {
        return registers::decode(body, what);
    }
    let text = text(body)?;
    let read = |text: &str| match what.api {
        Api::V5 => v5::readings(text, what).map(|found| found.map(|readings| place(readings, what))),
        Api::V2026 => v2026::readings(text, what).map(|found| found.map(|readings| place(readings, what))),
    };
    let found = match read(text) {
        Err(error @ DecodeError::Json { .. }) => read(&number::without_boundless(text).ok_or(error)?)?,
        other => other?,
    };
    Ok(found.unwrap_or_else(|| Decoded {
        values: Values::none(what.dataset.kind()),
        anomalies: Vec::new(),
        missing: 0,
        nothing: true,
    }))
}

/// The body as text without a byte order mark, if it can be JSON at all.
fn text(body: &[u8]) -> Result<&str, DecodeError> {
    let text = std::str::from_utf8(body).map_err(|_| DecodeError::Utf8)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
    match text.as_bytes().first() {
        None => Err(DecodeError::Empty),
        Some(b'<') => Err(DecodeError::Html),
        Some(_) => Ok(text),
    }
}

/// A reading as it came: which fields of which API these were no longer matters.
#[derive(Debug)]
struct Reading<'a> {
    value: Scalar<'a>,
    stamp: Scalar<'a>,
    step: Scalar<'a>,
}

/// What is counted while readings are turned into values.
#[derive(Debug, Default)]
struct Tally {
    odd: Anomalies,
    missing: u32,
    seen: bool,
}

impl Tally {
    /// The value of a reading; `None` where there is none, which has then been counted.
    fn value(&mut self, reading: &Reading<'_>, day: Option<Day>) -> Option<i64> {
        match reading.value.number() {
            Number::Missing => {
                self.missing = self.missing.saturating_add(1);
                None
            }
            Number::Value(value) => {
                self.seen = true;
                Some(value)
            }
            Number::Bad => {
                self.seen = true;
                self.odd.add(AnomalyKind::BadValue, day);
                None
            }
        }
    }
}

fn place<'a>(readings: impl Iterator<Item = Reading<'a>>, what: &Expected<'_>) -> Decoded {
    let mut tally = Tally::default();
    let values = match what.dataset.kind() {
        Kind::LoadCurve => Values::Curve(points::curve(readings, what.label, what.days, &mut tally)),
        Kind::DailyEnergy => Values::Energy(daily::energy(readings, what.days, &mut tally)),
        Kind::MaxPower => Values::Peaks(daily::peaks(readings, what.days, &mut tally)),
        // They have a reader of their own.
        Kind::Registers => Values::none(Kind::Registers),
    };
    Decoded { values, anomalies: tally.odd.into_vec(), missing: tally.missing, nothing: !tally.seen }
}

/// The unit in which a dataset must come.
fn unit(kind: Kind) -> &'static str {
    match kind {
        Kind::LoadCurve => "W",
        Kind::DailyEnergy | Kind::Registers => "Wh",
        Kind::MaxPower => "VA",
    }
}

/// Whether a field that may be left out says what it should.
fn agrees(field: &Scalar<'_>, wanted: &str) -> bool {
    field.is_missing() || field.text().is_some_and(|text| text.trim().eq_ignore_ascii_case(wanted))
}

/// Checks the meter that the answer names. One that names none is taken for an answer to the
/// question: both APIs always name it, and the connection is the only other witness.
fn check_meter(field: &Scalar<'_>, what: &Expected<'_>) -> Result<(), DecodeError> {
    check_named(field, what.prm)
}

fn check_named(field: &Scalar<'_>, prm: &Prm) -> Result<(), DecodeError> {
    let right = field.is_missing() || field.is_prm(prm.full());
    if right { Ok(()) } else { Err(DecodeError::OtherMeter) }
}

/// Checks the period that the answer repeats, where it does. It must hold all days asked for: a
/// longer one is harmless, since what lies outside is dropped, but from one that lacks a day it
/// would follow that this day has no data.
fn check_period(first: &Scalar<'_>, end: &Scalar<'_>, what: &Expected<'_>) -> Result<(), DecodeError> {
    check_period_of(first, end, what.days)
}

fn check_period_of(first: &Scalar<'_>, end: &Scalar<'_>, days: Days) -> Result<(), DecodeError> {
    let day = |field: &Scalar<'_>| field.text().and_then(|text| text.trim().get(..10)?.parse::<Day>().ok());
    let early = first.is_missing() || day(first).is_some_and(|day| day <= days.first());
    let late = end.is_missing() || day(end).is_some_and(|day| day >= days.end());
    if early && late { Ok(()) } else { Err(DecodeError::OtherPeriod) }
}

/// Reads JSON; of an error only the place is kept, since its text can repeat the input.
fn json<'a, T: serde::Deserialize<'a>>(text: &'a str) -> Result<T, DecodeError> {
    serde_json::from_str(text).map_err(|e| DecodeError::Json { line: e.line(), column: e.column() })
}
