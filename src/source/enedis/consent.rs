//! The consent of a customer, as values: the address of Enedis' page, and what the browser brings back.
//!
//! Both APIs have a page of their own. The one of v5 sends the browser back with the PRM itself and a `code`
//! that nothing is needed for, since the application's token reads whatever was shared. The one of 2026
//! brings the number of an authorisation, under which the PRM is found with
//! [`Enedis::services_request`](super::Enedis::services_request). Nothing here opens a socket or draws a random
//! number; the journey is told in docs/enedis.md.

use std::fmt;

use chrono::Months;
use secrecy::{ExposeSecret, SecretString};
use url::{Url, form_urlencoded};

use crate::domain::{Api, Day, Prm};
use crate::source::wire;

/// Where Enedis' page is.
pub const PAGE: &str = "https://mon-compte-particulier.enedis.fr";

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

    /// Whether this is the state. It takes as long whatever is given, so that nobody finds it by trying.
    #[must_use]
    pub fn is(&self, given: &str) -> bool {
        let digest = |text: &str| ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        let (own, given) = (digest(self.0.expose_secret()), digest(given));
        own.as_ref().iter().zip(given.as_ref()).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
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
    /// The state is missing or not the one that was sent.
    #[error(
        "the answer does not belong to this journey: its state is another one. It may be an old one, or somebody else's; begin anew and use the page that opens then"
    )]
    OtherState,
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
    #[error("Enedis' answer names no meter that could be read; nothing was stored, begin anew")]
    NoMeter,
    /// The browser did not come back.
    #[error(
        "the browser did not come back. If Enedis' page said that the sharing failed, the meter is shared with this application already: delete that share in the customer account at Enedis, then begin anew"
    )]
    NoAnswer,
}

/// The longest text that is taken for an address.
const LONGEST: usize = 8 * 1024;

/// Reads what the browser came back with: the whole address as pasted, or the part after its `?`.
///
/// The state is looked at before anything else; a failure counts even where a meter stands beside it.
pub fn read_redirect(text: &str, state: &State) -> Result<Given, Failed> {
    let text = text.trim();
    let query = text.split_once('?').map_or(text, |(_, query)| query);
    let query = query.split_once('#').map_or(query, |(query, _)| query);
    if text.len() > LONGEST || !query.contains('=') {
        return Err(Failed::NotTheRedirect);
    }
    let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let get = |name: &str| {
        let mut found = pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value.trim());
        // One that is there twice was not written by Enedis.
        found.next().filter(|value| !value.is_empty() && found.next().is_none())
    };
    let known = ["state", "code", "usage_point_id", "autorisation_id", "error"];
    if !pairs.iter().any(|(key, _)| known.contains(&key.as_str())) {
        return Err(Failed::NotTheRedirect);
    }
    if !get("state").is_some_and(|given| state.is(given)) {
        return Err(Failed::OtherState);
    }
    let broken = get("code").filter(|code| matches!(*code, "500" | "server_error"));
    if pairs.iter().any(|(key, _)| key == "error") || broken.is_some() {
        let error = get("error").or(broken).unwrap_or_default();
        return Err(failure(error, get("error_description").unwrap_or_default()));
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn state() -> State {
        State::of([7; 16])
    }

    const TEXT: &str = "07070707070707070707070707070707x";

    fn read(query: &str) -> Result<Given, Failed> {
        read_redirect(&format!("http://127.0.0.1:9766/callback?{}", query.replace("STATE", TEXT)), &state())
    }

    #[test]
    fn the_page_is_asked_for_to_the_letter() {
        let base = Url::parse(PAGE).unwrap();
        for (api, version) in [(Api::V5, "v1"), (Api::V2026, "v2")] {
            let url = page(&base, api, "an id&more", &state(), Period::LONGEST);
            let query = format!("client_id=an+id%26more&response_type=code&state={TEXT}&duration=P3Y");
            assert_eq!(url.as_str(), format!("{PAGE}/dataconnect/{version}/oauth2/authorize?{query}"));
        }
        let proxied = Url::parse("http://127.0.0.1:9765/enedis/").unwrap();
        let url = page(&proxied, Api::V2026, "id", &State::for_customer([7; 16], 4), "P30D".parse().unwrap());
        assert!(url.as_str().starts_with("http://127.0.0.1:9765/enedis/dataconnect/v2/oauth2/authorize?"));
        assert!(url.as_str().ends_with("074&duration=P30D"), "{url}");
    }

    #[test]
    fn states_are_hidden_and_compared_whole() {
        assert_eq!(format!("{:?}", state()), "State(…)");
        assert!(state().is(TEXT));
        for other in ["", "x", &TEXT[..32], &format!("{TEXT}0"), &TEXT.to_uppercase()] {
            assert!(!state().is(other), "{other}");
        }
        assert!(!State::of([8; 16]).is(TEXT));
    }

    #[test]
    fn periods_are_at_most_three_years() {
        let day: Day = "2026-11-26".parse().unwrap();
        for (text, end) in [
            ("P1D", "2026-11-27"),
            ("P2W", "2026-12-10"),
            ("P36M", "2029-11-26"),
            ("P3Y", "2029-11-26"),
            ("P1095D", "2029-11-25"),
        ] {
            let period: Period = text.parse().unwrap();
            assert_eq!((period.to_string().as_str(), period.ends(day)), (text, end.parse().unwrap()));
        }
        for text in
            ["", "P", "3Y", "P0D", "P37M", "P4Y", "P1096D", "P157W", "P1Y6M", "PT1H", "P-1D", "P+1D", "P1é", "P99999D"]
        {
            assert_eq!(text.parse::<Period>(), Err(PeriodError), "{text}");
        }
    }

    #[test]
    fn what_the_browser_brings_back() {
        let prm = |text: &str| text.parse::<Prm>().unwrap();
        let (one, other) = (prm("01234567890123"), prm("12345678901234"));
        for (query, given) in [
            ("code=abc&state=STATE&usage_point_id=01234567890123", Given::Meters(vec![one.clone()])),
            (
                "usage_point_id=12345678901234%3B01234567890123&state=STATE",
                Given::Meters(vec![one.clone(), other.clone()]),
            ),
            ("usage_point_id=01234567890123, 12345678901234&state=STATE#part", Given::Meters(vec![one, other])),
            ("autorisation_id=424242&state=STATE", Given::Authorisation(424_242)),
        ] {
            assert_eq!(read(query), Ok(given), "{query}");
        }
        // The part after the question mark alone.
        let bare = format!(" autorisation_id=1&state={TEXT}\n");
        assert_eq!(read_redirect(&bare, &state()), Ok(Given::Authorisation(1)));
    }

    #[test]
    fn every_failure_is_told_apart() {
        for (query, failed) in [
            ("", Failed::NotTheRedirect),
            ("page=1", Failed::NotTheRedirect),
            ("autorisation_id=1", Failed::OtherState),
            ("autorisation_id=1&state=", Failed::OtherState),
            ("autorisation_id=1&state=other", Failed::OtherState),
            ("autorisation_id=1&state=STATE&state=STATE", Failed::OtherState),
            // Another one's error is none of this journey's business.
            ("error=access_denied&state=other", Failed::OtherState),
            ("error=access_denied&error_description=no&state=STATE", Failed::Refused),
            ("error=invalid_request&error_description=demande_non_aboutie&state=STATE", Failed::NotCompleted),
            ("code=500&error=server_error&state=STATE", Failed::Enedis),
            ("code=500&usage_point_id=01234567890123&state=STATE", Failed::Enedis),
            ("code=server_error&usage_point_id=01234567890123&state=STATE", Failed::Enedis),
            ("error=&usage_point_id=01234567890123&state=STATE", Failed::NotAccepted(String::new())),
            (
                "error=invalid_request&error_description=maximum_duration_exceeded&state=STATE",
                Failed::NotAccepted("maximum_duration_exceeded".to_owned()),
            ),
            ("usage_point_id=1234&state=STATE", Failed::NoMeter),
            ("usage_point_id=01234567890123;&state=STATE", Failed::NoMeter),
            ("autorisation_id=-1&state=STATE", Failed::NoMeter),
            ("autorisation_id=x&state=STATE", Failed::NoMeter),
            ("code=abc&state=STATE", Failed::NoMeter),
        ] {
            assert_eq!(read(query), Err(failed), "{query}");
        }
        let long = format!("?state={TEXT}&{}=1", "x".repeat(LONGEST));
        assert_eq!(read_redirect(&long, &state()), Err(Failed::NotTheRedirect));
    }

    proptest! {
        #[test]
        fn nothing_from_outside_breaks_it_or_gets_through_without_the_state(text in "\\PC{0,200}") {
            for query in [text.clone(), format!("http://127.0.0.1/?{text}"), format!("autorisation_id=1&state={text}")] {
                prop_assert!(read_redirect(&query, &state()).is_err());
            }
            let shown = read(&format!("state=STATE&error={}", form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>()));
            if let Err(failed) = shown {
                let clean = !failed.to_string().contains(|c: char| c.is_control() || c == '<');
                prop_assert!(clean);
            }
        }
    }
}
