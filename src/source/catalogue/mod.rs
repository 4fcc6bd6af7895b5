//! From an answer that is no data to what should be done about it.
//!
//! [`classify`] unwraps the error ([`Envelope`]), looks up its row in the table by status and
//! code, and adds the time where the source named one. [`own`] does the same for what linkyd
//! finds itself, such as a connection that did not come about. The table is the only place that
//! knows codes; docs/errors.md is generated from it by [`markdown()`].
//!
//! One answer can mean different things by who gave it: a token refused by Enedis is fetched anew,
//! one refused by a gateway has to be replaced by the operator. So each question names the
//! [`Front`], and the gateways have rows of their own, which count before those for any front.

mod gateways;
mod markdown;
pub mod outcomes;
mod retry_at;
mod table;
#[cfg(test)]
mod tests;

use chrono::{DateTime, TimeDelta, Utc};

use super::envelope::{Envelope, Shape};
use super::excerpt::excerpt;
use super::{Reaction, Refusal, Response};
use crate::domain::Api;

pub use markdown::markdown;

pub(in crate::source) use retry_at::retry_after;

use gateways::GATEWAYS;
use table::{At, ROWS, Row};

/// Who gave an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Front {
    /// Enedis, asked directly.
    Enedis,
    /// Enedis, asked by a gateway that passed the answer on.
    Relayed,
    /// The gateway Conso API itself.
    ConsoApi,
    /// The gateway MyElectricalData itself.
    MyElectricalData,
}

/// What an answer is the answer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// A request for measures.
    Data,
    /// A request about a customer: contract, address, people, subscribed services.
    Customer,
    /// The request for a token.
    Token,
}

/// The troubles that linkyd finds itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Own {
    /// No connection.
    Unreachable,
    /// No address for the name.
    Dns,
    /// A proxy that does not let through.
    Proxy,
    /// No secure connection.
    Tls,
    /// No answer in time.
    Timeout,
    /// The connection broke off within the answer.
    Cut,
    /// A body larger than any that makes sense.
    TooLarge,
    /// A redirection.
    Redirect,
    /// A body that cannot be read.
    Undecodable,
    /// The answer to another question.
    WrongAnswer,
    /// A web page instead of data.
    Html,
    /// A success without a body.
    Empty,
    /// A refusal of a consent that is fresh.
    ConsentSettling,
}

impl Own {
    /// Every one.
    pub const ALL: [Self; 13] = [
        Self::Unreachable,
        Self::Dns,
        Self::Proxy,
        Self::Tls,
        Self::Timeout,
        Self::Cut,
        Self::TooLarge,
        Self::Redirect,
        Self::Undecodable,
        Self::WrongAnswer,
        Self::Html,
        Self::Empty,
        Self::ConsentSettling,
    ];

    /// Its code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Dns => "dns",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Cut => "cut",
            Self::TooLarge => "too_large",
            Self::Redirect => "redirect",
            Self::Undecodable => "undecodable",
            Self::WrongAnswer => "wrong_answer",
            Self::Html => "html",
            Self::Empty => "empty",
            Self::ConsentSettling => "consent_settling",
        }
    }
}

/// A pause asked for after a burst that is longer than this is not a matter of a few seconds.
const BURST_PAUSE: TimeDelta = TimeDelta::seconds(5);

/// Classifies an answer that is no data. `now` is the machine's time.
#[must_use]
pub fn classify(front: Front, endpoint: Endpoint, response: &Response, now: DateTime<Utc>) -> Refusal {
    let envelope = Envelope::read(&response.body);
    // An error can carry a status in the place of a code. It says nothing that the real status
    // does not, except where that claims success.
    let inner = envelope.code.parse::<u16>().ok().filter(|inner| (100..=599).contains(inner));
    let claims_success = (200..=299).contains(&response.status);
    let status = inner.filter(|_| claims_success).unwrap_or(response.status);
    let code = if inner.is_some() { "" } else { envelope.code.as_str() };
    let code = quota(status, code, &envelope.text).unwrap_or(code);

    if let Some(found) = shapeless(status, code, &envelope) {
        return own(found, Some(response.status), &envelope.text);
    }
    let (row, code) = match find(front, endpoint, status, code, envelope.shape) {
        Some(row) if !row.name.is_empty() && (row.code == code || row.at == At::Customer) => (row, row.name.to_owned()),
        // A page that refuses is no word of the API about the meter.
        Some(row) if code.is_empty() && status == 403 && envelope.shape == Shape::Html => {
            (row, Own::Html.code().to_owned())
        }
        Some(row) if code.is_empty() => (row, format!("http_{status}")),
        Some(row) => (row, code.to_owned()),
        // A status that does not exist.
        None => return own(Own::Undecodable, Some(response.status), &envelope.text),
    };
    let named = retry_at::next_call(response, &envelope, now);
    let reaction = match (row.reaction, named) {
        (Reaction::RetryAt(_), named) => Reaction::RetryAt(named),
        (Reaction::Burst, Some(at)) if at - now > BURST_PAUSE => Reaction::RetryAt(Some(at)),
        (reaction, _) => reaction,
    };
    // Of a web page nothing but its being one helps anybody.
    let excerpt = if envelope.shape == Shape::Html { "a web page".to_owned() } else { excerpt(&envelope.text) };
    Refusal { status: Some(response.status), code, reaction, advice: row.advice, excerpt, about: None }
}

/// The refusal for a trouble that linkyd found itself. `detail` may be any text; it is cleaned.
#[must_use]
pub fn own(trouble: Own, status: Option<u16>, detail: &str) -> Refusal {
    found(trouble.code(), status, detail)
}

/// The refusal of that name, which a source recognised by something else than status and code.
pub(in crate::source) fn found(name: &'static str, status: Option<u16>, detail: &str) -> Refusal {
    let row = rows().find(|row| row.at == At::Own && row.code == name);
    Refusal {
        status,
        code: name.to_owned(),
        reaction: row.map_or(Reaction::RetryLater, |row| row.reaction),
        advice: row.map_or("", |row| row.advice),
        excerpt: excerpt(detail),
        about: None,
    }
}

/// The code of Enedis that a text names, where it names one and no other: a gateway may put it into
/// a message of its own.
pub(in crate::source) fn code_within(text: &str) -> Option<&'static str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let known = |word: &str| {
        let code = super::envelope::normalise(word);
        // Numbers and plain words mean anything.
        let row = ROWS.iter().find(|row| row.at != At::Own && row.code.contains('-') && row.code == code)?;
        Some(row.code)
    };
    let mut codes = text.split(|c| !is_part(c)).filter_map(known);
    let first = codes.next()?;
    codes.all(|code| code == first).then_some(first)
}

/// What a code that was stored earlier calls for, and its advice. A code that stands in several
/// rows gives the first; those rows differ in the status alone.
#[must_use]
pub fn row_of(code: &str) -> Option<(Reaction, &'static str)> {
    let status = code.strip_prefix("http_").and_then(|status| status.parse::<u16>().ok());
    let row = match status {
        Some(status) => find(Front::Enedis, Endpoint::Data, status, "", Shape::Json),
        None => rows().find(|row| row.stored() == code && !code.is_empty()),
    };
    row.map(|row| (row.reaction, row.advice))
}

/// What a code that was stored earlier calls for.
#[must_use]
pub fn reaction_of(code: &str) -> Option<Reaction> {
    row_of(code).map(|(reaction, _)| reaction)
}

/// The refusal that a code tells of which was stored earlier, where it is one of an answer.
#[must_use]
pub fn stored(code: &str) -> Option<Refusal> {
    let (reaction, advice) = row_of(code)?;
    Some(Refusal { status: None, code: code.to_owned(), reaction, advice, excerpt: String::new(), about: None })
}

/// Whether asking again helps after the trouble of that code, without anybody doing something about it; `None` for a
/// code that the catalogue does not know.
#[must_use]
pub fn retry_helps(code: &str) -> Option<bool> {
    row_of(code).map(|(reaction, _)| reaction.retry_helps()).or_else(|| outcomes::retry_helps(code))
}

/// A text of the catalogue with the operator's name of the source in it, where a command wants it.
#[must_use]
pub fn named(text: &str, source: &str) -> String {
    text.replace("linkyd resume NAME", &format!("linkyd resume {source}"))
}

/// The codes that refuse the application's credentials.
#[must_use]
pub fn credential_codes() -> Vec<&'static str> {
    let refuses = |row: &&Row| matches!(row.reaction, Reaction::StopApp { credentials: true });
    rows().filter(refuses).map(|row| row.code).filter(|code| !code.is_empty()).collect()
}

/// Whether a code says that nothing was reached, so that nobody there has failed.
#[must_use]
pub fn is_unreached(code: &str) -> bool {
    [Own::Unreachable, Own::Dns, Own::Proxy, Own::Tls].into_iter().any(|own| own.code() == code)
}

/// Whether a code says that the application has no subscription to an API, or none that is active.
#[must_use]
pub fn is_subscription(code: &str) -> bool {
    matches!(code, "900908" | "900909")
}

/// Whether a refusal says that the API itself is not there, or not for this application. Once is
/// no proof; where it stays so, the other API should be tried.
#[must_use]
pub fn api_unavailable(api: Api, refusal: &Refusal) -> bool {
    match refusal.code.as_str() {
        "900906" | "900907" | "900908" | "900909" | "http_410" => true,
        // Maintenance shows web pages too, but says so with its status.
        "html" => refusal.status.is_none_or(|status| status < 500),
        // On the newer API a 404 without a code can mean that there are no data.
        "http_404" => api == Api::V5 || refusal.reaction != Reaction::NoData,
        _ => false,
    }
}

/// The two quotas that v5 names only in its text.
fn quota(status: u16, code: &str, text: &str) -> Option<&'static str> {
    let known = code.len() == 6 && code.bytes().all(|b| b.is_ascii_digit());
    if status != 429 || known {
        return None;
    }
    let text = text.to_ascii_uppercase();
    let names = |quota: &str| text.contains(&format!("QUOTA {quota}")) || text.contains(&format!("QUOTA.{quota}"));
    if names("Q3") {
        Some("QUOTA-Q3")
    } else if names("Q4") {
        Some("QUOTA-Q4")
    } else {
        None
    }
}

/// The trouble that shows in the shape of the answer alone.
fn shapeless(status: u16, code: &str, envelope: &Envelope) -> Option<Own> {
    match (status, envelope.shape) {
        (300..=399, _) if code.is_empty() => Some(Own::Redirect),
        (200..=299, Shape::Empty) => Some(Own::Empty),
        (200..=299 | 404, Shape::Html) => Some(Own::Html),
        (200..=299, _) if code.is_empty() => Some(Own::Undecodable),
        _ => None,
    }
}

/// Every row, those of the gateways first.
fn rows() -> impl Iterator<Item = &'static Row> {
    GATEWAYS.iter().chain(ROWS)
}

fn find(front: Front, endpoint: Endpoint, status: u16, code: &str, shape: Shape) -> Option<&'static Row> {
    let here = |row: &&Row| match row.at {
        At::Both => true,
        At::Data => endpoint != Endpoint::Token,
        At::Customer => endpoint == Endpoint::Customer,
        At::Token => endpoint == Endpoint::Token,
        At::Own => false,
    };
    let theirs = |row: &&Row| row.fronts.is_empty() || row.fronts.contains(&front);
    let fits = |row: &&Row| row.status.contains(&status) && (row.shapes.is_empty() || row.shapes.contains(&shape));
    let with = |code: &str| rows().filter(here).filter(theirs).filter(fits).find(|row| row.code == code);
    with(code).or_else(|| with(""))
}
