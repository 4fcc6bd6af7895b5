//! The consent journey, as a browser meets it.
//!
//! The application sends the customer to Enedis' page; there he or she chooses what to share, or refuses; and
//! Enedis sends the browser back to the address that is registered for the application. The old journey
//! (v5) tells the PRM there and then, the new one (2026) an authorisation under which the PRM is found
//! later. Some ways end on the page, without a way back.

mod duration;
mod pages;
mod sandbox;
pub(super) mod services;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::household::Household;
use super::meter::{Consent, MeterSpec};
use crate::domain::{Api, Day, Prm, paris};

pub(super) use pages::{answer, authorize};

/// What the customer does on the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Reads it: the page has a link for each choice.
    #[default]
    Page,
    /// Shares the first meter (in the old journey: all of them) at once.
    Granted,
    /// Refuses at once.
    Refused,
    /// Does not get through, and is sent back.
    Unfinished,
    /// Enedis fails.
    ServerError,
}

/// How the journey goes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConsentRules {
    /// The address that is registered for the application. Another one on loopback may stand in the request.
    pub redirect_uri: String,
    /// What the customer does.
    pub outcome: Outcome,
    /// Whether `state` comes back where the journey failed. Of the new one both have been described.
    pub state_in_failures: bool,
    /// Whether the last digit of `state` picks one of the sandbox's test customers.
    pub sandbox: bool,
    /// Minutes for which the page stays good.
    pub page_minutes: u64,
    /// Minutes after a consent until its services are listed.
    pub services_lag_minutes: i64,
}

impl Default for ConsentRules {
    fn default() -> Self {
        Self {
            redirect_uri: "http://127.0.0.1:9766/callback".to_owned(),
            outcome: Outcome::Page,
            state_in_failures: true,
            sandbox: false,
            page_minutes: 15,
            services_lag_minutes: 0,
        }
    }
}

/// A page that was shown and not answered yet.
#[derive(Debug, Clone)]
struct Ticket {
    api: Api,
    state: Option<String>,
    /// Whether it comes back where the journey fails.
    state_in_failures: bool,
    redirect: String,
    /// The day on which the consent would end.
    ends: Day,
    /// By the monotonic clock.
    good_until: Duration,
}

/// A meter that was shared with the application.
#[derive(Debug, Clone, Copy)]
struct Share {
    since: DateTime<Utc>,
    first: Day,
    last: Day,
}

/// The pages and shares of one simulator.
#[derive(Debug, Default)]
pub(super) struct Journeys {
    issued: u64,
    tickets: BTreeMap<String, Ticket>,
    shares: BTreeMap<Prm, Share>,
}

/// The number under which a meter is shared: always the same for a meter, however often it is shared anew.
pub(super) fn authorisation(seed: u64, prm: &Prm) -> i64 {
    Household::of(seed, prm).noise.at(-10).within(100_000, 999_999)
}

impl Journeys {
    fn is_shared(&self, meter: &MeterSpec, now: DateTime<Utc>) -> bool {
        (meter.customer.shared || self.shares.contains_key(&meter.prm)) && meter.consent.holds(now)
    }

    /// Notes that a meter is shared until that day, and how its consent now is.
    fn share(&mut self, prm: &Prm, now: DateTime<Utc>, ends: Day) -> Consent {
        let first = paris::today(now);
        self.shares.insert(prm.clone(), Share { since: now, first, last: ends.plus(-1) });
        let until = DateTime::from_timestamp(paris::start_of(ends), 0);
        Consent { granted: true, from: Some(now), until, covers_from: None }
    }

    /// A new page.
    fn open(&mut self, ticket: Ticket) -> String {
        self.issued += 1;
        let name = format!("{:06}-{:x}", self.issued, self.issued.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16);
        self.tickets.insert(name.clone(), ticket);
        name
    }

    /// The page of that name, which can be answered once.
    fn take(&mut self, name: &str, now: Duration) -> Option<Ticket> {
        self.tickets.retain(|_, ticket| now < ticket.good_until);
        self.tickets.remove(name)
    }
}
