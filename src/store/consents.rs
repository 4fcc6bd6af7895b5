//! What is known of consents: the journeys to Enedis' page, what each of them brought, and when the
//! consent for a meter ends.
//!
//! A journey is known by a digest of its `state`, so that nobody who reads the database can finish it. What it
//! brings is an [`Authorisation`], which need not be about a meter of the configuration. From these and from
//! what tokens say about themselves [`effective`] reckons when the consent for a configured meter ends.

use crate::domain::{Api, Dataset, Prm};

use super::MeterSetup;

/// How the end of a consent came to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndKnown {
    /// Reckoned from the duration that was asked for.
    Duration,
    /// From Enedis' list of subscribed services.
    Services,
    /// From the token of a gateway.
    Token,
}

impl EndKnown {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Duration, Self::Services, Self::Token];

    /// The word for it, in the database and in documents.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Duration => "duration",
            Self::Services => "services",
            Self::Token => "token",
        }
    }

    /// What that word means; what is not known was reckoned.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        Self::ALL.into_iter().find(|known| known.name() == name).unwrap_or(Self::Duration)
    }
}

/// A meter that was shared with the application of a source. All instants are the machine's, in seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorisation {
    /// Which meter.
    pub prm: Prm,
    /// The source's name.
    pub source: String,
    /// The API whose page was used.
    pub api: Api,
    /// The authorisation's number (2026).
    pub number: Option<i64>,
    /// When it was given.
    pub granted_at: i64,
    /// When it ends.
    pub until: Option<i64>,
    /// How that came to be known.
    pub learnt: EndKnown,
    /// Whether Enedis lists it as over.
    pub ended: bool,
    /// When Enedis was last asked about it.
    pub checked_at: Option<i64>,
    /// The datasets that it is known to cover; empty where that is not known.
    pub covers: Vec<Dataset>,
}

impl Authorisation {
    /// The datasets as the database has them.
    pub(super) fn covers_text(&self) -> String {
        self.covers.iter().map(|dataset| dataset.name()).collect::<Vec<_>>().join(",")
    }
}

/// The datasets of such a text; names of no dataset are left out.
pub(super) fn covers_of(text: &str) -> Vec<Dataset> {
    text.split(',').filter_map(|name| name.parse().ok()).collect()
}

/// A journey to Enedis' page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journey {
    /// The digest of its state.
    pub state: String,
    /// The source's name.
    pub source: String,
    /// The API whose page it leads to.
    pub api: Api,
    /// How long the consent was to last, as it was asked for (`P3Y`).
    pub duration: String,
    /// When it began (machine, seconds).
    pub begun_at: i64,
    /// When the browser came back (machine, seconds).
    pub answered_at: Option<i64>,
    /// The authorisation that it brought (2026).
    pub number: Option<i64>,
    /// When all that it brought was stored (machine, seconds).
    pub done_at: Option<i64>,
}

/// What an answer to a journey brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Brought {
    /// Nothing: it was refused, or it failed.
    Nothing,
    /// The number of an authorisation, whose meter is to be looked up (2026).
    Number(i64),
    /// All that it was for.
    Consents(Vec<Authorisation>),
}

impl Brought {
    /// The number of the authorisation whose meter is not known yet.
    pub(super) fn number(&self) -> Option<i64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    /// What is to be stored with it.
    pub(super) fn consents(&self) -> &[Authorisation] {
        if let Self::Consents(given) = self { given } else { &[] }
    }

    /// When the journey is done (machine, seconds), where it is, for an answer that came at `now`.
    pub(super) fn done_at(&self, now: i64) -> Option<i64> {
        matches!(self, Self::Consents(_)).then_some(now)
    }
}

/// The answer to a journey, as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The journey, with its answer noted.
    pub journey: Journey,
    /// Whether this is its first answer.
    pub first: bool,
}

/// A consent that ends soon, of which that is told for the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The meter's name.
    pub name: String,
    /// When it ends (machine, seconds).
    pub until: i64,
}

/// Days before its end at which a consent is warned of, each once; 0 once it is over.
pub const WARNED_AT_DAYS: [i64; 4] = [0, 1, 7, 30];

/// When the consent for a meter ends, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Effective {
    pub(super) until: i64,
    pub(super) source: Option<String>,
    pub(super) granted_at: Option<i64>,
    pub(super) learnt: EndKnown,
}

/// The earliest end that its sources know of: one that falls away is worth a warning although another one may
/// step in. `known` are the authorisations of that meter.
pub(super) fn effective<'a>(
    meter: &MeterSetup,
    known: impl IntoIterator<Item = &'a Authorisation>,
) -> Option<Effective> {
    let token =
        meter.consent_until.map(|until| Effective { until, source: None, granted_at: None, learnt: EndKnown::Token });
    let theirs = known.into_iter().filter(|known| meter.sources.contains(&known.source)).filter_map(|known| {
        Some(Effective {
            until: known.until?,
            source: Some(known.source.clone()),
            granted_at: Some(known.granted_at),
            learnt: known.learnt,
        })
    });
    theirs.chain(token).min_by_key(|end| end.until)
}
