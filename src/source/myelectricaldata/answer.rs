//! The wrapping of MyElectricalData's answers, and what lies in it.
//!
//! Everything comes as `{"success", "data", "error"}`, errors too, mostly with status 200. What lies
//! in `data` is a body of Enedis in either form, whatever was asked for: the forms are told apart by
//! their fields. Nothing is copied: the readings stay where they are in the answer.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::{Api, Day, Days};
use crate::source::envelope::Envelope;

/// An answer without its wrapping.
#[derive(Deserialize)]
pub(super) struct Wrapped<'a> {
    #[serde(default)]
    success: Option<bool>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// Fields by name, their values unread.
type Fields<'a> = BTreeMap<String, &'a RawValue>;

impl<'a> Wrapped<'a> {
    /// Takes the wrapping off; `None` where there is none.
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        let text = text.trim_start_matches('\u{feff}').trim();
        let wrapped: Self = text.starts_with('{').then(|| serde_json::from_str(text).ok())??;
        wrapped.success.is_some().then_some(wrapped)
    }

    /// The data and whether nothing was left out, where the answer is one. Beside data that were
    /// cut short stands an error, whatever `success` says.
    pub(super) fn data(&self) -> Option<(&'a str, bool)> {
        let data = self.data?.get();
        match (self.success, self.code().as_deref()) {
            (Some(true), None) => Some((data, true)),
            (Some(true), Some(_)) | (_, Some("PARTIAL-DATA")) => Some((data, false)),
            _ => None,
        }
    }

    /// The error, out of its wrapping.
    pub(super) fn error(&self) -> Option<&'a str> {
        self.error.map(RawValue::get)
    }

    /// Whatever stands in the place of data.
    pub(super) fn raw_data(&self) -> Option<&'a str> {
        self.data.map(RawValue::get)
    }

    /// The normalised code of the error; empty where it has none.
    pub(super) fn code(&self) -> Option<String> {
        self.error().map(|error| Envelope::read(error.as_bytes()).code)
    }
}

/// The form of a body, and the days that it says it covers, of those asked for. One that names no
/// period, or none that can be read, is left to the decoder.
pub(super) fn form_and_days(data: &str, asked: Days) -> (Api, Option<Days>) {
    let fields: Fields<'_> = serde_json::from_str(data).unwrap_or_default();
    let wrapped = fields.get("meter_reading").copied();
    let (api, inner, names) = if wrapped.is_some() {
        (Api::V5, wrapped, ["start", "end"])
    } else if fields.contains_key("interval_reading") {
        (Api::V5, None, ["start", "end"])
    } else {
        (Api::V2026, fields.get("periode").copied(), ["dateDebut", "dateFin"])
    };
    let inner: Option<Fields<'_>> = match (inner, api) {
        (Some(inner), _) => serde_json::from_str(inner.get()).ok(),
        (None, Api::V5) => Some(fields),
        (None, Api::V2026) => None,
    };
    let [first, end] = names.map(|name| inner.as_ref().and_then(|fields| day(fields.get(name)?)));
    let period = Days::new(first.unwrap_or(asked.first()), end.unwrap_or(asked.end()));
    (api, period.and_then(|period| period.intersect(asked)))
}

/// The day that a text begins with.
fn day(value: &RawValue) -> Option<Day> {
    serde_json::from_str::<String>(value.get()).ok()?.trim().get(..10)?.parse().ok()
}
