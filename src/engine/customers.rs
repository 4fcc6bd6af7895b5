//! What is asked about customers, and what an answer or a refusal comes to: the pure part of it.
//!
//! Contracts, addresses and people change seldom, so they are asked for once a week, and contracts also where a
//! refusal of measures suggests that the holder is another one. The calls are made by the pass of the source
//! (`source_pass`).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::{ActiveSource, probe, react};
use crate::decode::DecodeError;
use crate::decode::customer::{self, Oddity, Situation};
use crate::domain::contract::Contracts;
use crate::domain::personal::{Address, Contact, Identity};
use crate::domain::{CustomerDataset, Day, Prm, SeriesState, paris};
use crate::source::{CustomerCall, Reaction, Refusal, catalogue};
use crate::store::{Closed, CustomerContent, CustomerFacts, MeterId};

/// Days from an answer to the next question.
const EVERY: i32 = 7;

/// Seconds after which a call is tried again that is not open to the application, or of which the meter has nothing.
pub const SELDOM: i64 = 7 * 86_400;

/// Seconds after which a passing trouble is looked at again.
const SOON: i64 = 3_600;

/// Whether a source offers a dataset about customers in one of its APIs.
#[must_use]
pub fn offers(active: &ActiveSource, about: CustomerDataset) -> bool {
    active.source.customer_apis().iter().any(|api| !active.source.customer_calls(about, *api).is_empty())
}

/// Counts the calls that datasets about customers take of a source, in the order in which they are asked for: an answer
/// that serves several datasets of a meter is asked for once.
#[derive(Debug)]
pub struct Counted<'a> {
    active: &'a ActiveSource,
    /// The calls that are closed to the application, by their paths.
    closed: &'a BTreeMap<String, Closed>,
    now: DateTime<Utc>,
    /// Meters whose situation is asked for.
    situations: BTreeSet<MeterId>,
}

impl<'a> Counted<'a> {
    /// Nothing is counted yet. What is closed at `now` (calendar) is not asked for.
    #[must_use]
    pub fn new(active: &'a ActiveSource, closed: &'a BTreeMap<String, Closed>, now: DateTime<Utc>) -> Self {
        Self { active, closed, now, situations: BTreeSet::new() }
    }

    /// The calls that one more dataset takes: those of the API that the source prefers, of those in which it has any that
    /// is open. `told` says that an operator asks for it by name, whatever was closed before.
    pub fn calls(&mut self, facts: &CustomerFacts, told: bool) -> usize {
        let source = &self.active.source;
        let offered = source.customer_apis().iter().map(|api| source.customer_calls(facts.about, *api));
        let offered: Vec<&[CustomerCall]> = offered.filter(|calls| !calls.is_empty()).collect();
        let is_closed = |call: &CustomerCall| {
            let closed = self.closed.get(call.path());
            !told && closed.is_some_and(|closed| closed.holds(self.now.timestamp()))
        };
        let opens = |calls: &&&[CustomerCall]| !calls.first().is_some_and(is_closed);
        let calls = offered.iter().find(opens).or(offered.last()).copied().unwrap_or_default();
        let asked: Vec<CustomerCall> = calls.iter().copied().filter(|call| !is_closed(call)).collect();
        let mut made = |call: &CustomerCall| *call != CustomerCall::Situation || self.situations.insert(facts.meter);
        asked.into_iter().filter(|call| made(call)).count()
    }
}

/// What the operator reads where no source of a meter offers a dataset.
#[must_use]
pub fn not_offered(about: CustomerDataset) -> String {
    format!(
        "The sources of this meter do not offer {about}. Take it from the meter's datasets, or add a source of kind enedis."
    )
}

/// The code beside that.
pub const NOT_OFFERED: &str = catalogue::outcomes::NOT_OFFERED.code;

/// Whether something is to be asked for at `now` (calendar). `suspected` says that something suggests a change, `told`
/// that an operator asks for it by name.
#[must_use]
pub fn is_due(facts: &CustomerFacts, suspected: bool, told: bool, now: DateTime<Utc>) -> bool {
    if told {
        return true;
    }
    // Of what waits for the budget or for a pause it is only told when that will be over: every pass looks.
    if facts.state != SeriesState::Waiting && facts.not_before.is_some_and(|at| at > now.timestamp()) {
        return false;
    }
    let Some(last) = facts.last_success_at else { return true };
    let (last, today) = (paris::day_of(last), paris::today(now));
    let unwell = facts.state != SeriesState::Ok;
    last.plus(EVERY) <= today || unwell || (suspected && last < today)
}

/// The first day on which it is asked for again, where it got an answer and nothing suggests a change; `None` where it
/// never got one.
#[must_use]
pub fn next_look(last_success_at: Option<i64>) -> Option<Day> {
    last_success_at.map(|at| paris::day_of(at).plus(EVERY))
}

/// What an answer says of somebody, which may be nothing.
#[derive(Debug)]
struct Said<T>(Option<T>);

/// What answers said of a customer, put together.
#[derive(Debug, Default)]
pub struct Found {
    contracts: Option<Contracts>,
    address: Option<Address>,
    identity: Option<Said<Identity>>,
    contact: Option<Said<Contact>>,
}

impl Found {
    /// What is to be kept of it for a dataset, if anything of that came.
    #[must_use]
    pub fn content(self, about: CustomerDataset) -> Option<CustomerContent> {
        match about {
            CustomerDataset::Contract => {
                self.contracts.map(|contracts| CustomerContent::Contracts(Box::new(contracts)))
            }
            CustomerDataset::Address => self.address.map(CustomerContent::Address),
            CustomerDataset::Identity => self.identity.map(|Said(who)| CustomerContent::Identity(who)),
            CustomerDataset::Contact => self.contact.map(|Said(how)| CustomerContent::Contact(how)),
        }
    }

    /// Whether anything of a dataset came.
    #[must_use]
    pub fn has(&self, about: CustomerDataset) -> bool {
        match about {
            CustomerDataset::Contract => self.contracts.is_some(),
            CustomerDataset::Address => self.address.is_some(),
            CustomerDataset::Identity => self.identity.is_some(),
            CustomerDataset::Contact => self.contact.is_some(),
        }
    }

    /// Takes over an answer about contracts and people.
    pub fn situation(&mut self, situation: Situation) {
        self.contracts(situation.contracts);
        self.identity = Some(Said(situation.identity));
        self.contact = Some(Said(situation.contact));
    }

    fn contracts(&mut self, more: Contracts) {
        self.contracts = Some(match self.contracts.take() {
            Some(known) => known.and(more),
            None => more,
        });
    }

    /// Reads an answer and takes it over. What could not be understood of it, by the names of fields.
    pub fn read(&mut self, call: CustomerCall, body: &[u8], prm: &Prm) -> Result<Vec<Oddity>, DecodeError> {
        use CustomerCall as Call;
        let mut oddities = Vec::new();
        match call {
            Call::Contracts => {
                let read = customer::contract(body, prm)?;
                self.contracts(read.value);
                oddities = read.oddities;
            }
            Call::Situation => {
                let read = customer::situation(body, prm)?;
                self.situation(read.value);
                oddities = read.oddities;
            }
            Call::Synthesis | Call::Metering => {
                let read = if call == Call::Synthesis { customer::synthesis(body) } else { customer::metering(body) }?;
                self.contracts(read.value);
                oddities = read.oddities;
            }
            Call::Bundle => {
                let read = customer::bundle(body, prm)?;
                self.situation(read.value);
                oddities = read.oddities;
            }
            Call::Addresses | Call::GeneralData => {
                // A gateway may pass on either form.
                let read = customer::general_data(body).or_else(|_| customer::address(body, prm))?;
                self.address = Some(read.value);
                oddities = read.oddities;
            }
            Call::Identity => {
                let read = customer::identity(body)?;
                self.identity = Some(Said(Some(read.value)));
                oddities = read.oddities;
            }
            Call::ContactData => {
                let read = customer::contact(body)?;
                self.contact = Some(Said(Some(read.value)));
                oddities = read.oddities;
            }
            Call::Supply => {}
        }
        Ok(oddities)
    }
}

/// What a refusal of a call about customers is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concerns {
    /// The call itself, for every meter of the application.
    Application,
    /// The whole source: it rests.
    Source,
    /// This meter.
    Meter,
    /// Nothing that lasts.
    Passing,
}

/// What a refusal is about. However much of a meter the same refusal would suspend if measures had been asked for,
/// here it never reaches beyond what was asked for.
#[must_use]
pub fn concerns(refusal: &Refusal) -> Concerns {
    match refusal.reaction {
        Reaction::StopApi => Concerns::Application,
        Reaction::StopApp { .. } | Reaction::RetryAt(_) | Reaction::Burst | Reaction::Ban => Concerns::Source,
        Reaction::StopMeter(_) | Reaction::StopDataset | Reaction::NoData => Concerns::Meter,
        Reaction::Reauth
        | Reaction::RetryShort
        | Reaction::RetryLater
        | Reaction::Narrow
        | Reaction::ClampHistory
        | Reaction::ClampActivation
        | Reaction::Bug => Concerns::Passing,
    }
}

/// How a dataset fares after a refusal that it met in this state, and when it may be asked for again (calendar).
#[must_use]
pub fn fares(refusal: &Refusal, before: SeriesState, now: DateTime<Utc>) -> (SeriesState, i64) {
    match refusal.reaction {
        Reaction::StopMeter(_) => (SeriesState::Suspended, probe::next(now, before == SeriesState::Suspended)),
        // What the application is not subscribed to fails no pass.
        Reaction::StopDataset | Reaction::NoData | Reaction::StopApi => {
            (SeriesState::NotOffered, now.timestamp() + SELDOM)
        }
        Reaction::RetryShort => (SeriesState::Failing, now.timestamp() + SOON),
        _ => (SeriesState::Failing, probe::next(now, false)),
    }
}

/// What the operator reads about a refusal that lasts for one dataset.
#[must_use]
pub fn message(refusal: &Refusal, call: CustomerCall) -> String {
    match concerns(refusal) {
        Concerns::Application => format!("{} ({}).", refusal.advice.trim_end_matches('.'), call.path()),
        // What the source says beside an error about people may hold what is about people.
        _ => react::message(&Refusal { excerpt: String::new(), ..refusal.clone() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Reaches;
    use crate::store::SourceId;

    fn facts(last: Option<&str>) -> CustomerFacts {
        CustomerFacts {
            meter: MeterId(1),
            prm: "01234567890123".parse().unwrap(),
            name: "Maison".to_owned(),
            about: CustomerDataset::Contract,
            source: SourceId(1),
            state: SeriesState::Ok,
            code: None,
            message: None,
            not_before: None,
            last_success_at: last.map(|text| at(text).timestamp()),
            seen: 0,
        }
    }

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&Utc)
    }

    #[test]
    fn a_week_passes_between_two_questions() {
        // Some seconds earlier in the day than a week ago: the same hour of the daily pass.
        let known = facts(Some("2026-11-19T07:03:20Z"));
        assert!(!is_due(&known, false, false, at("2026-11-25T22:00:00Z")));
        assert!(is_due(&known, false, false, at("2026-11-26T07:03:10Z")));
        assert!(is_due(&facts(None), false, false, at("2026-11-26T07:03:10Z")));
        // A suspicion is followed on another day only, a trouble at once, an operator always.
        assert!(!is_due(&known, true, false, at("2026-11-19T12:00:00Z")));
        assert!(is_due(&known, true, false, at("2026-11-20T12:00:00Z")));
        assert!(is_due(
            &CustomerFacts { state: SeriesState::Failing, ..known.clone() },
            false,
            false,
            at("2026-11-20T12:00:00Z")
        ));
        let resting = CustomerFacts { not_before: Some(i64::MAX), ..facts(None) };
        assert!(!is_due(&resting, true, false, at("2026-11-26T07:03:10Z")));
        assert!(is_due(&resting, false, true, at("2026-11-26T07:03:10Z")));
    }

    #[test]
    fn no_refusal_about_customers_reaches_the_whole_meter() {
        let refusal = |reaction| Refusal {
            status: Some(403),
            code: "X".to_owned(),
            reaction,
            advice: "Advice.",
            excerpt: "Camille".to_owned(),
            about: None,
        };
        let now = at("2026-11-26T07:03:10Z");
        let stopped = refusal(Reaction::StopMeter(Reaches::Meter));
        assert_eq!(concerns(&stopped), Concerns::Meter);
        assert_eq!(fares(&stopped, SeriesState::Ok, now).0, SeriesState::Suspended);
        assert_eq!(message(&stopped, CustomerCall::Situation), "Advice.");
        assert_eq!(concerns(&refusal(Reaction::StopApp { credentials: false })), Concerns::Source);
        assert_eq!(concerns(&refusal(Reaction::Ban)), Concerns::Source);
        let named = message(&refusal(Reaction::StopApi), CustomerCall::Metering);
        assert_eq!(named, "Advice (/comptage_auto/v1).");
    }
}
