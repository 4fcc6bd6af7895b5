//! Where a meter's data comes from, as values.
//!
//! A [`Source`] never awaits and never opens a socket: it turns an [`Ask`] into a [`Request`] and a
//! [`Response`] into a [`Reply`]. What differs between Enedis' own APIs and the gateways (routes,
//! authorisation, envelopes, what is offered and how far back, which edge of an interval a label
//! names, how calls are counted) is data or a small function behind this trait. The client does
//! the waiting, the decoder reads the bodies.

pub mod catalogue;
pub mod conso_api;
pub mod enedis;
pub mod envelope;
pub mod excerpt;
mod grant;
pub mod myelectricaldata;
mod quota;
mod wire;

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use crate::domain::{Api, CustomerDataset, Dataset, Day, Days, Prm, SameDay, Span};

pub use enedis::CustomerCall;

/// What one call asks for.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Whose data.
    pub prm: &'a Prm,
    /// Which dataset and days.
    pub span: Span,
    /// Which API to speak.
    pub api: Api,
    /// The newest day that is published: a gateway's cache is good enough for all days before it.
    pub newest: Day,
}

impl Ask<'_> {
    /// Whether it asks for the newest published day, which no cache can have yet.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.span.days().contains(self.newest)
    }
}

/// Which of a source's counters a call belongs to. Gateways with a cache count the two apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pool {
    /// Calls that reach Enedis; all calls of a source without a cache.
    Live,
    /// Calls that a gateway may answer from its cache.
    Cached,
}

impl Pool {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Live, Self::Cached];

    /// Its number in the database.
    #[must_use]
    pub fn id(self) -> i64 {
        match self {
            Self::Live => 0,
            Self::Cached => 1,
        }
    }

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Cached => "cached",
        }
    }
}

/// What a source counts calls by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The application that is registered at Enedis.
    Application,
    /// The user's account at a gateway.
    Account,
    /// The internet address that calls come from, whatever token they carry.
    Address,
}

impl Scope {
    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Account => "account",
            Self::Address => "address",
        }
    }
}

/// What a source said of its own quota in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Which counter.
    pub pool: Pool,
    /// Calls that it still takes.
    pub left: u32,
    /// Until when that holds.
    pub until: DateTime<Utc>,
}

/// What credentials give access to, as far as they say it themselves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grant {
    /// The meters they name; `None` where they name none.
    pub prms: Option<Vec<Prm>>,
    /// When they end.
    pub until: Option<DateTime<Utc>>,
}

/// How far back a source serves a dataset, and how much of it a call may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Calendar months, taken off first.
    pub months: u32,
    /// Days, taken off after that.
    pub days: i32,
    /// The most days of one call.
    pub max_days: i32,
    /// The most days of a call whose answer tells exactly which days there are and which there are
    /// not. A longer answer is put together on the way here and may lack days that exist; of a day
    /// that it leaves out nothing is concluded. The newest day is asked for by such calls alone.
    pub exact_days: i32,
}

impl Reach {
    /// The first day that is still served when it is `today` in Paris.
    #[must_use]
    pub fn first_day(self, today: Day) -> Day {
        today.minus_months(self.months).plus(-self.days)
    }
}

/// Which edge of its interval a label names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Label {
    /// The end, as Enedis does.
    End,
    /// The start, as a gateway may: the label of the end less the length, both on the wall clock,
    /// whatever the clocks did in between (docs/time.md). A point without a length is labelled
    /// with its end.
    Start,
}

/// An HTTP request as a value.
#[derive(Clone)]
pub struct Request {
    /// Whether it is a POST with this form-encoded body; a GET where there is neither this nor the next one.
    pub form: Option<SecretString>,
    /// Whether it is a POST with this JSON body.
    pub json: Option<String>,
    /// The whole address.
    pub url: url::Url,
    /// Headers, without the authorisation.
    pub headers: Vec<(&'static str, String)>,
    /// The value of the `Authorization` header.
    pub authorization: Option<SecretString>,
}

impl fmt::Debug for Request {
    /// Only the path, a PRM in it masked: the query holds the PRM, the rest holds secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Request(")?;
        for (index, part) in self.url.path().split('/').enumerate() {
            f.write_str(if index == 0 { "" } else { "/" })?;
            match part.parse::<Prm>() {
                Ok(prm) => write!(f, "{prm}")?,
                Err(_) => f.write_str(part)?,
            }
        }
        f.write_str(")")
    }
}

/// Whether an address is one of this machine.
#[must_use]
pub fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// A short text that is the same for the same credentials only, and from which they cannot be found.
#[must_use]
pub fn fingerprint(parts: &[&str]) -> String {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for part in parts {
        context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(part.as_bytes());
    }
    context.finish().as_ref().iter().take(8).fold(String::new(), |mut text, byte| {
        let _infallible = fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
        text
    })
}

/// An HTTP answer as a value, its body whole and bounded.
#[derive(Clone)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Headers; the names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, inflated.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of a header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for Response {
    /// Only status and length: bodies hold personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response({}, {} bytes)", self.status, self.body.len())
    }
}

/// An access token.
#[derive(Debug, Clone)]
pub struct Token {
    /// The token itself.
    pub secret: SecretString,
    /// How long it lives from now on.
    pub lifetime: Duration,
}

/// A token is renewed this long before its end, so that none expires on its way.
const RENEW_AHEAD: Duration = Duration::from_mins(10);

impl Token {
    /// How long from its arrival the token should be used before a new one is fetched: ten minutes
    /// less than it lives, but never less than half of that.
    #[must_use]
    pub fn usable(&self) -> Duration {
        self.lifetime.saturating_sub(RENEW_AHEAD).max(self.lifetime / 2)
    }
}

/// How much of a meter a refusal concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reaches {
    /// Every series of the meter.
    Meter,
    /// The series of the direction that was asked for.
    Direction,
}

/// What an answer other than data calls for: the closed set that `docs/errors.md` lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// Fetch a new token and ask again, once.
    Reauth,
    /// A passing trouble: again after some seconds or minutes, a few times.
    RetryShort,
    /// Again in a later pass.
    RetryLater,
    /// The hourly or daily quota is used up: not before that instant, or where the answer named
    /// none that makes sense, not before the next full hour.
    RetryAt(Option<DateTime<Utc>>),
    /// Too many calls in a second: pause for some seconds and slow down.
    Burst,
    /// The span is longer than the source allows: ask for less.
    Narrow,
    /// The span begins before the source's history.
    ClampHistory,
    /// The span begins before the meter's activation.
    ClampActivation,
    /// The source has nothing for these days.
    NoData,
    /// This meter does not have the dataset.
    StopDataset,
    /// The application may not use this API.
    StopApi,
    /// Consent or holder refused.
    StopMeter(Reaches),
    /// The answer smells of a ban: no call at all for a week, or until the operator lifts it.
    Ban,
    /// The application as a whole is refused; `credentials` where its identifier or secret is.
    StopApp {
        /// Whether the credentials are the cause.
        credentials: bool,
    },
    /// Our request is malformed: asking again would not help.
    Bug,
}

impl Reaction {
    /// Whether asking again helps without anybody doing something about it.
    #[must_use]
    pub fn retry_helps(self) -> bool {
        match self {
            Self::Reauth
            | Self::RetryShort
            | Self::RetryLater
            | Self::RetryAt(_)
            | Self::Burst
            | Self::Narrow
            | Self::ClampHistory
            | Self::ClampActivation
            | Self::NoData => true,
            Self::StopDataset | Self::StopApi | Self::StopMeter(_) | Self::Ban | Self::StopApp { .. } | Self::Bug => {
                false
            }
        }
    }

    /// The word for it, in logs and in docs/errors.md.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Reauth => "reauth",
            Self::RetryShort => "retry_short",
            Self::RetryLater => "retry_later",
            Self::RetryAt(_) => "retry_at",
            Self::Burst => "burst",
            Self::Narrow => "narrow",
            Self::ClampHistory => "clamp_history",
            Self::ClampActivation => "clamp_activation",
            Self::NoData => "no_data",
            Self::StopDataset => "stop_dataset",
            Self::StopApi => "stop_api",
            Self::StopMeter(_) => "stop_meter",
            Self::Ban => "ban",
            Self::StopApp { .. } => "stop_app",
            Self::Bug => "bug",
        }
    }
}

/// A refusal, classified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status; `None` where no answer came.
    pub status: Option<u16>,
    /// The normalised code (`ADAM-ERR0123`, `900804`), or one of linkyd's own (`timeout`).
    pub code: String,
    /// What it calls for.
    pub reaction: Reaction,
    /// What happened and what to do, for the operator; never a text from outside.
    pub advice: &'static str,
    /// What the source said, shortened and cleaned, PRMs masked; may be empty.
    pub excerpt: String,
    /// What was asked for, where it was something about a meter.
    pub about: Option<About>,
}

/// What a call was to bring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Of which meter.
    pub prm: Prm,
    /// Which dataset.
    pub dataset: &'static str,
}

impl Refusal {
    /// The same, of a call for that dataset of that meter.
    #[must_use]
    pub fn of(self, prm: &Prm, dataset: &'static str) -> Self {
        Self { about: Some(About { prm: prm.clone(), dataset }), ..self }
    }

    /// Whether asking again helps without anybody doing something about it.
    #[must_use]
    pub fn retry_helps(&self) -> bool {
        self.reaction.retry_helps()
    }
}

/// A body for the decoder.
#[derive(Clone, Copy)]
pub struct Body<'r> {
    /// The API in whose form it is.
    pub api: Api,
    /// The body itself, out of any wrapping.
    pub bytes: &'r [u8],
    /// The days that it covers, of those asked for: only of these is anything concluded. `None` where
    /// it covers none of them.
    pub days: Option<Days>,
    /// Whether a day without readings has none at the source. Where not, the source says itself that
    /// it left something out, and nothing is concluded about such a day.
    pub exact: bool,
}

impl fmt::Debug for Body<'_> {
    /// Without the readings.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({}, {} bytes)", self.api, self.bytes.len())
    }
}

/// What an answer is.
#[derive(Debug, Clone)]
pub enum Reply<'r> {
    /// A body for the decoder.
    Body(Body<'r>),
    /// Anything else.
    Refused(Refusal),
}

/// A source of one kind, configured.
pub trait Source: Send + Sync + fmt::Debug {
    /// The operator's name for it.
    fn name(&self) -> &str;

    /// Its kind, as in the configuration.
    fn kind(&self) -> &'static str;

    /// What it counts calls by.
    fn scope(&self) -> Scope;

    /// The key of what it counts calls by: budgets and pauses belong to the key, so that renaming
    /// the source refills nothing, and several sources behind one address share what it allows.
    fn account(&self) -> String;

    /// What tells its credentials from others without giving them away ([`fingerprint`]): where they
    /// were changed, refusals of the former ones say nothing any more.
    fn credentials(&self) -> String;

    /// Whether it is Enedis itself: where two sources disagree, its values win.
    fn is_direct(&self) -> bool {
        false
    }

    /// The APIs it may speak for a dataset, the preferred one first.
    fn apis(&self, dataset: Dataset) -> &[Api];

    /// How far back and how long at once, or `None` where it does not offer the dataset.
    fn reach(&self, dataset: Dataset) -> Option<Reach>;

    /// Which edge of an interval its labels name.
    fn label(&self) -> Label;

    /// How often it is asked again on the same day for what is not published yet.
    fn same_day(&self) -> SameDay;

    /// Which counter an ask belongs to.
    fn pool(&self, _: &Ask<'_>) -> Pool {
        Pool::Live
    }

    /// The request for a token, or `None` where the source needs none.
    fn token_request(&self) -> Option<Request> {
        None
    }

    /// Reads the answer to [`Source::token_request`].
    fn read_token(&self, response: &Response, _: DateTime<Utc>) -> Result<Token, Refusal> {
        Err(catalogue::own(catalogue::Own::Undecodable, Some(response.status), ""))
    }

    /// The request for an ask.
    fn request(&self, ask: Ask<'_>, token: Option<&Token>) -> Request;

    /// Classifies the answer to [`Source::request`]; `now` is the machine's time.
    fn read<'r>(&self, ask: Ask<'_>, response: &'r Response, now: DateTime<Utc>) -> Reply<'r>;

    /// The APIs in which it may be asked about customers, the preferred one first: those of measures that both have.
    fn customer_apis(&self) -> &[Api] {
        self.apis(Dataset::DailyConsumption)
    }

    /// The calls that a dataset about the customer takes in an API, the one that matters most first; none
    /// where it is not offered. They are charged to [`Pool::Live`].
    fn customer_calls(&self, _: CustomerDataset, _: Api) -> &'static [CustomerCall] {
        &[]
    }

    /// The request for one of these calls; `None` where it cannot be made without a token.
    fn ask_customer(&self, _: CustomerCall, _: &Prm, _: Option<&Token>) -> Option<Request> {
        None
    }

    /// The body of the answer to it, for the decoder, out of any wrapping; or what was refused.
    fn read_customer<'r>(
        &self,
        _: CustomerCall,
        response: &'r Response,
        _: DateTime<Utc>,
    ) -> Result<&'r [u8], Refusal> {
        Err(catalogue::own(catalogue::Own::Undecodable, Some(response.status), ""))
    }

    /// What an answer, data or not, says about the source's own quota.
    fn quota(&self, _: &Ask<'_>, _: &Response, _: DateTime<Utc>) -> Vec<Quota> {
        Vec::new()
    }

    /// What its credentials say about themselves, read without a call.
    fn grant(&self) -> Grant {
        Grant::default()
    }

    /// The API to which an application must be subscribed for a dataset, as its operator calls it.
    fn subscription(&self, _api: Api, _dataset: Dataset) -> Option<&'static str> {
        None
    }

    /// The request for the services that are subscribed under an authorisation, where the source knows of
    /// such: they name its meter and say until when the consent holds.
    fn services_request(&self, _authorisation: i64, _token: &Token) -> Option<Request> {
        None
    }

    /// The body of an answer to [`Source::services_request`], for the decoder; `now` is the machine's time.
    fn read_services<'r>(&self, response: &'r Response, _now: DateTime<Utc>) -> Result<&'r [u8], Refusal> {
        Err(catalogue::own(catalogue::Own::Undecodable, Some(response.status), ""))
    }

    /// The cheapest call that shows whether the credentials are taken, where there is a cheaper one
    /// than asking for data or for a token.
    fn check_request(&self) -> Option<Request> {
        None
    }

    /// Reads the answer to [`Source::check_request`].
    fn read_check(&self, _: &Response, _: DateTime<Utc>) -> Result<Grant, Refusal> {
        Ok(Grant::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_renewed_ahead() {
        for (lifetime, usable) in [(12_600, 12_000), (1_800, 1_200), (1_200, 600), (600, 300), (4, 2)] {
            let token = Token { secret: SecretString::from("t"), lifetime: Duration::from_secs(lifetime) };
            assert_eq!(token.usable(), Duration::from_secs(usable), "{lifetime}");
        }
    }
}
