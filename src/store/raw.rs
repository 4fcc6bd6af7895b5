//! Answers as they came, kept beside the rows that were made of them.
//!
//! What a decoder gets wrong can be mended as long as the answer is there; Enedis forgets a load curve after two
//! years. A body is kept as text: gzip, then base64, since columns hold numbers and text only. A week of half-hours
//! takes some two kilobytes.

use std::io::{self, Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::{CallId, MeterId, SourceId};
use crate::domain::registers::RegisterReading;
use crate::domain::{Api, Dataset, Day, Days, Prm, Values};
use crate::source::Label;

/// The days for which answers are kept where nothing is said.
pub const KEPT_DAYS: i32 = 400;

/// A body inflates to no more than that: what is larger was not written by linkyd.
const LARGEST: u64 = 64 << 20;

/// An answer as it came, and what it takes to read it.
#[derive(Clone, PartialEq, Eq)]
pub struct Raw {
    /// The API in whose form it is.
    pub api: Api,
    /// Which edge of an interval its labels name.
    pub label: Label,
    /// The body, packed.
    pub body: String,
}

impl std::fmt::Debug for Raw {
    /// Without the body.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Raw({}, {} characters)", self.api, self.body.len())
    }
}

impl Raw {
    /// Packs a body.
    #[must_use]
    pub fn of(api: Api, label: Label, body: &[u8]) -> Self {
        let mut gzip = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
        // Writing to memory cannot fail.
        let packed = gzip.write_all(body).and_then(|()| gzip.finish()).unwrap_or_default();
        Self { api, label, body: STANDARD_NO_PAD.encode(packed) }
    }

    /// The body again.
    pub fn unpack(&self) -> io::Result<Vec<u8>> {
        let packed = STANDARD_NO_PAD.decode(&self.body).map_err(|_| io::ErrorKind::InvalidData)?;
        let mut body = Vec::new();
        GzDecoder::new(packed.as_slice()).take(LARGEST).read_to_end(&mut body)?;
        Ok(body)
    }

    /// 1 where labels name the start of an interval, 0 where they name its end.
    #[must_use]
    pub fn starts(&self) -> i64 {
        i64::from(self.label == Label::Start)
    }
}

/// A kept answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// The call that brought it.
    pub call: CallId,
    /// Whose data.
    pub meter: MeterId,
    /// The meter's identifier.
    pub prm: Prm,
    /// The meter's name.
    pub name: String,
    /// Which dataset.
    pub dataset: Dataset,
    /// Who gave it.
    pub source: SourceId,
    /// Whether that is Enedis itself.
    pub direct: bool,
    /// The days that it covers.
    pub days: Days,
    /// When it was asked for (calendar).
    pub asked_at: i64,
    /// Whether it could be read when it came, and rows were made of it.
    pub was_read: bool,
    /// The answer.
    pub raw: Raw,
}

/// An answer with values that was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotKept {
    /// The call that brought it.
    pub call: CallId,
    /// Whether it came from Enedis itself.
    pub direct: bool,
    /// The days that it was about.
    pub days: Days,
}

/// What is stored of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldValues {
    /// The values, ascending.
    pub values: Values,
    /// Where each of them came from.
    pub sources: Vec<SourceId>,
}

/// A stored value that is known to be wrong, to be taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoilt {
    /// The day that it lies in.
    pub day: Day,
    /// When it begins (epoch): the start of an interval, the midnight of a day, the instant of a reading.
    pub start: i64,
    /// How long it is; 0 for a reading.
    pub minutes: i64,
    /// W, Wh or VA as stored: another value that stands there meanwhile is left alone.
    pub value: i64,
    /// The wall time of a peak.
    pub local_seconds: Option<i32>,
    /// Which register.
    pub register: Option<RegisterReading>,
    /// Where it came from.
    pub source: SourceId,
    /// What holds there from now on, if anything does.
    pub now: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_comes_back_and_is_small_meanwhile() {
        let week: Vec<String> = (0..336)
            .map(|n| {
                format!(r#"{{"v":"{}","d":"2026-11-{:02} {:02}:00:00","p":"PT30M"}}"#, n * 37 % 900, n / 48, n % 24)
            })
            .collect();
        let body = week.join(",").into_bytes();
        let raw = Raw::of(Api::V2026, Label::End, &body);
        assert_eq!(raw.unpack().unwrap(), body);
        assert!(raw.body.len() * 4 < body.len(), "{} of {}", raw.body.len(), body.len());
        assert!(!format!("{raw:?}").contains(&raw.body));
        for damaged in ["", "####", &raw.body[..raw.body.len() / 2]] {
            assert!(Raw { body: damaged.to_owned(), ..raw.clone() }.unpack().is_err(), "{} characters", damaged.len());
        }
    }
}
