//! The consent of a customer, as values: the address of Enedis' page, and what the browser brings back.
//!
//! Both APIs have a page of their own. The one of v5 sends the browser back with the PRM itself and a `code`
//! that nothing is needed for, since the application's token reads whatever was shared. The one of 2026
//! brings the number of an authorisation, under which the PRM is found with
//! [`Enedis::list_services`](super::Enedis::list_services). Nothing here opens a socket or draws a random
//! number; the journey is told in docs/enedis.md.

use std::fmt;

use chrono::Months;
use secrecy::{ExposeSecret, SecretString};
use url::{Url, form_urlencoded};

use crate::domain::{Api, Day, Prm};
use crate::source::wire;

/// Where Enedis' page is.
pub const PAGE: &str = "https://mon-compte-particulier.enedis.fr";

/// Where the page of the sandbox was last known to be; nothing public says so today.
pub const SANDBOX_PAGE: &str = "https://ext.hml.api.enedis.fr";

/// The random digits of a state; one more character follows.
const RANDOM_DIGITS: usize = 32;

/// What ties the browser that comes back to the one that was sent: unguessable, good for one journey.
pub struct State(SecretString);

impl State {
    /// The state made of these random bytes. Whoever draws them sees to it that nobody can guess them.
    #[must_use]
    pub fn of(random: [u8; 16]) -> Self {
        let text = random.iter().fold(String::new(), |mut text, byte| {
            let _infallible = fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
            text
        });
        // The sandbox looks at the last digit; outside of it, a letter there means nothing.
        Self(SecretString::from(format!("{text}x")))
    }

    /// The same for one of the sandbox's test customers, who are picked by the last digit, 0 to 9.
    #[must_use]
    pub fn for_customer(random: [u8; 16], customer: u8) -> Self {
        let usual = Self::of(random);
        let text = usual.0.expose_secret().trim_end_matches('x');
        Self(SecretString::from(format!("{text}{}", customer % 10)))
    }

    /// Whether that may be the beginning of a state: what is kept of one knows only the whole.
    fn is_part(given: Option<&str>) -> bool {
        let given = given.unwrap_or_default();
        given.len() <= RANDOM_DIGITS && given.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    }

    /// Whether that has the form of a state.
    fn is_whole(given: &str) -> bool {
        let mut bytes = given.bytes();
        let last = bytes.next_back();
        Self::is_part(Some(given.get(..RANDOM_DIGITS).unwrap_or("?")))
            && bytes.len() == RANDOM_DIGITS
            && last.is_some_and(|last| matches!(last, b'x' | b'0'..=b'9'))
    }

    /// What is kept of it.
    #[must_use]
    pub fn expected(&self) -> Expected {
        Expected::of(self.0.expose_secret())
    }
}

/// What is kept of a state: enough to know it when it comes back, too little to send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected(String);

impl Expected {
    /// What is kept of that state.
    fn of(state: &str) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, state.as_bytes());
        Self(digest.as_ref().iter().fold(String::new(), |mut text, byte| {
            let _infallible = fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
            text
        }))
    }

    /// The same, as it was kept.
    #[must_use]
    pub fn kept(text: String) -> Self {
        Self(text)
    }

    /// The text to keep: a digest.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.0
    }

    /// Whether that is the state. It takes as long whatever is given, so that nobody finds it by trying.
    #[must_use]
    pub fn is(&self, given: &str) -> bool {
        let given = Self::of(given).0;
        let same = self.0.bytes().zip(given.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0;
        same && self.0.len() == given.len()
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("State(…)")
    }
}

/// How long a consent shall last: an ISO 8601 period of days, weeks, months or years, at most three years.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    count: u32,
    unit: char,
}

/// A text that is no period for a consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a consent lasts from a day to three years; write it as P3Y, P6M, P10W or P30D")]
pub struct PeriodError;

impl Period {
    /// Three years, the longest that Enedis takes.
    pub const LONGEST: Self = Self { count: 3, unit: 'Y' };

    /// The first day on which the consent is over, for one that is given on `day`.
    #[must_use]
    pub fn ends(self, day: Day) -> Day {
        let days = |days: u32| day.plus(i32::try_from(days).unwrap_or(i32::MAX));
        let months = |months: u32| day.date().checked_add_months(Months::new(months)).map_or(day, Day::from_date);
        match self.unit {
            'D' => days(self.count),
            'W' => days(self.count * 7),
            'M' => months(self.count),
            _ => months(self.count * 12),
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "P{}{}", self.count, self.unit)
    }
}

impl std::str::FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let mut letters = text.strip_prefix('P').ok_or(PeriodError)?.chars();
        let unit = letters.next_back().ok_or(PeriodError)?;
        // Whatever the day, so many are never more than three years.
        let most = match unit {
            'D' => 3 * 365,
            'W' => 3 * 52,
            'M' => 36,
            'Y' => 3,
            _ => return Err(PeriodError),
        };
        let number = letters.as_str();
        let plain = (1..=4).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
        let count = if plain { number.parse().map_err(|_| PeriodError)? } else { 0 };
        if (1..=most).contains(&count) { Ok(Self { count, unit }) } else { Err(PeriodError) }
    }
}

/// The address to which the customer's browser is sent.
#[must_use]
pub fn page(base: &Url, api: Api, client_id: &str, state: &State, period: Period) -> Url {
    let path = match api {
        Api::V5 => "/dataconnect/v1/oauth2/authorize",
        Api::V2026 => "/dataconnect/v2/oauth2/authorize",
    };
    let mut url = wire::url(base, path);
    url.query_pairs_mut()
        .append_pair("client_id", client_id)
        .append_pair("response_type", "code")
        .append_pair("state", state.0.expose_secret())
        .append_pair("duration", &period.to_string());
    url
}

/// What the customer gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// These meters, at least one (v5).
    Meters(Vec<Prm>),
    /// An authorisation, whose meter is to be looked up (2026).
    Authorisation(i64),
}

/// Why a journey brought nothing. Each says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// Nothing of what Enedis sends is there.
    #[error("this is not the address to which Enedis sent the browser; paste all of it, from http to its end")]
    NotTheRedirect,
    /// The state is missing or only a part of one.
    #[error(
        "the address is cut off: its state is missing, or not all of it is there; paste all of it, from http to its end. The journey is as open as before"
    )]
    CutOff,
    /// The state is not the one that was sent.
    #[error(
        "the answer does not belong to this journey: its state is another one. It may be an old one, or somebody else's; begin anew and use the page that opens then"
    )]
    OtherState,
    /// It says that the journey failed, but not by its state of which journey that is. Enedis' page of 2026 has been
    /// seen to send this, so it ends the waiting; nothing is noted for it, and an answer with the state still counts.
    #[error(
        "{0}. That came without the journey's state; should an answer with it still come, give it to `linkyd authorize --url -`"
    )]
    NoState(Box<Failed>),
    /// The customer refused.
    #[error("the customer refused on Enedis' page; begin anew to ask again")]
    Refused,
    /// The request was not completed.
    #[error("Enedis did not complete the request; begin anew, and stay on the page until it sends you back")]
    NotCompleted,
    /// Enedis failed.
    #[error(
        "Enedis failed while it validated the consent; try again later, in another browser or without its old cookies"
    )]
    Enedis,
    /// Enedis did not take the request.
    #[error("Enedis does not accept the request ({0}); check the application's client_id and the duration")]
    NotAccepted(String),
    /// The answer is a success without a meter that can be read.
    #[error(
        "Enedis' answer names no meter that could be read, and nothing was stored; give all of the address where it was cut off, or else begin anew"
    )]
    NoMeter,
    /// The journey was answered before.
    #[error("this answer was used already, and each is good for once; begin anew where something is still lacking")]
    Used,
    /// The journey was begun too long ago.
    #[error("this journey was begun more than a week ago, which is too long; begin anew")]
    Expired,
    /// The browser did not come back.
    #[error(
        "the browser did not come back. If Enedis' page said that the sharing failed, the meter is shared with this application already: delete that share in the customer account at Enedis, then begin anew"
    )]
    NoAnswer,
}

impl Failed {
    /// One of each that has a code of its own, for the catalogue.
    #[must_use]
    pub fn every() -> [Self; 11] {
        [
            Self::NotTheRedirect,
            Self::CutOff,
            Self::OtherState,
            Self::Used,
            Self::Expired,
            Self::Refused,
            Self::NotCompleted,
            Self::Enedis,
            Self::NotAccepted("…".to_owned()),
            Self::NoMeter,
            Self::NoAnswer,
        ]
    }

    /// Its code, for scripts and docs/errors.md.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotTheRedirect => "consent_address",
            Self::CutOff => "consent_cut_off",
            Self::OtherState => "consent_state",
            Self::NoState(failed) => failed.code(),
            Self::Used => "consent_used",
            Self::Expired => "consent_expired",
            Self::Refused => "consent_refused",
            Self::NotCompleted => "consent_not_completed",
            Self::Enedis => "consent_server_error",
            Self::NotAccepted(_) => "consent_not_accepted",
            Self::NoMeter => "consent_no_meter",
            Self::NoAnswer => "consent_no_answer",
        }
    }

    /// Whether the same again may end better.
    #[must_use]
    pub fn retry_helps(&self) -> bool {
        match self {
            Self::NoState(failed) => failed.retry_helps(),
            failed => matches!(failed, Self::NotCompleted | Self::Enedis),
        }
    }

    /// Whether it is no answer to this journey, which is as open as before.
    #[must_use]
    pub fn is_stray(&self) -> bool {
        matches!(self, Self::OtherState | Self::CutOff | Self::NotTheRedirect)
    }

    /// Whether it is beyond doubt Enedis' answer to the journey, after which none will come.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        matches!(self, Self::Refused | Self::NotCompleted | Self::Enedis | Self::NotAccepted(_))
    }
}

/// The longest text that is taken for an address.
const LONGEST: usize = 8 * 1024;

type Pairs = Vec<(String, String)>;

/// The parameters in the address that the browser came back with, or in the part after its `?`.
fn pairs(text: &str) -> Option<Pairs> {
    let text = text.trim();
    let query = text.split_once('?').map_or(text, |(_, query)| query);
    let query = query.split_once('#').map_or(query, |(query, _)| query);
    let plausible = text.len() <= LONGEST && query.contains('=');
    plausible.then(|| form_urlencoded::parse(query.as_bytes()).into_owned().collect())
}

/// The value of a parameter. One that is there twice was not written by Enedis.
fn value<'p>(pairs: &'p Pairs, name: &str) -> Option<&'p str> {
    let mut found = pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value.trim());
    found.next().filter(|value| !value.is_empty() && found.next().is_none())
}

/// What would have been kept of the state that the browser came back with: by that its journey is found.
#[must_use]
pub fn journey_of(text: &str) -> Option<Expected> {
    value(&pairs(text)?, "state").map(Expected::of)
}

/// The same, where the state has the form of one: of anything else nobody needs to ask a database.
#[must_use]
pub fn whole_journey_of(text: &str) -> Option<Expected> {
    let pairs = pairs(text)?;
    value(&pairs, "state").filter(|state| State::is_whole(state)).map(Expected::of)
}

/// Reads what the browser came back with: the whole address as pasted, or the part after its `?`.
///
/// The state is looked at before anything else; a failure counts even where a meter stands beside it. Without a
/// state nothing but a failure counts: that can do no harm beyond ending the wait.
pub fn read_redirect(text: &str, state: &Expected) -> Result<Given, Failed> {
    let pairs = pairs(text).ok_or(Failed::NotTheRedirect)?;
    let get = |name: &str| value(&pairs, name);
    let known = ["state", "code", "usage_point_id", "autorisation_id", "error"];
    if !pairs.iter().any(|(key, _)| known.contains(&key.as_str())) {
        return Err(Failed::NotTheRedirect);
    }
    let broken = get("code").filter(|code| matches!(*code, "500" | "server_error"));
    let failed = (pairs.iter().any(|(key, _)| key == "error") || broken.is_some()).then(|| {
        let error = get("error").or(broken).unwrap_or_default();
        failure(error, get("error_description").unwrap_or_default())
    });
    match (get("state"), failed) {
        (Some(given), failed) if state.is(given) => failed.map_or(Ok(()), Err)?,
        (None, Some(failed)) if pairs.iter().all(|(key, _)| key != "state") => {
            return Err(Failed::NoState(Box::new(failed)));
        }
        (given, _) => {
            let once = pairs.iter().filter(|(key, _)| key == "state").count() < 2;
            return Err(if once && State::is_part(given) { Failed::CutOff } else { Failed::OtherState });
        }
    }
    if let Some(meters) = get("usage_point_id") {
        let prms: Result<Vec<Prm>, _> = meters.split([';', ',']).map(|prm| prm.trim().parse()).collect();
        let mut prms = prms.map_err(|_| Failed::NoMeter)?;
        prms.sort_unstable();
        prms.dedup();
        return Ok(Given::Meters(prms));
    }
    let id = get("autorisation_id").and_then(|id| id.parse().ok()).filter(|id: &i64| *id > 0);
    id.map(Given::Authorisation).ok_or(Failed::NoMeter)
}

fn failure(error: &str, description: &str) -> Failed {
    match (error, description) {
        ("access_denied", _) => Failed::Refused,
        ("invalid_request", "demande_non_aboutie") => Failed::NotCompleted,
        ("server_error" | "500" | "temporarily_unavailable", _) => Failed::Enedis,
        _ => {
            // From outside: only what a code is made of.
            let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ' ');
            let code = if description.is_empty() { error } else { description };
            Failed::NotAccepted(code.chars().filter(plain).take(60).collect())
        }
    }
}

#[cfg(test)]
mod tests;
