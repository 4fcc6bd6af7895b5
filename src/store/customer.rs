//! What is kept of a meter's customer: what the engine hands over, what it gets back, what the operator sees.

use crate::domain::contract::Contracts;
use crate::domain::personal::{Address, Contact, Identity};
use crate::domain::{CustomerDataset, Day, Prm, SeriesState};

use super::{CallId, MeterId, SourceId};

/// A dataset of a meter's customer and how it fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerFacts {
    /// Whose customer.
    pub meter: MeterId,
    /// The meter's identifier.
    pub prm: Prm,
    /// The meter's name.
    pub name: String,
    /// What is to be known.
    pub about: CustomerDataset,
    /// The source that was asked last, until a pass chooses the one that is to be asked.
    pub source: SourceId,
    /// How it fares; `Waiting` where it was never asked for.
    pub state: SeriesState,
    /// The code of its last error, while that matters.
    pub code: Option<String>,
    /// What happened and what to do.
    pub message: Option<String>,
    /// When it may be asked again after a refusal (calendar).
    pub not_before: Option<i64>,
    /// When it last got an answer (calendar).
    pub last_success_at: Option<i64>,
    /// As in [`super::SeriesFacts::seen`].
    pub seen: i64,
}

/// What answers said of a customer.
#[derive(Debug, Clone)]
pub enum CustomerContent {
    /// The contracts.
    Contracts(Box<Contracts>),
    /// The address of the meter.
    Address(Address),
    /// Who it is; `None` where Enedis says nothing of that.
    Identity(Option<Identity>),
    /// How to reach him or her; `None` where Enedis says nothing of that.
    Contact(Option<Contact>),
}

impl CustomerContent {
    /// The dataset that it belongs to.
    #[must_use]
    pub fn about(&self) -> CustomerDataset {
        match self {
            Self::Contracts(_) => CustomerDataset::Contract,
            Self::Address(_) => CustomerDataset::Address,
            Self::Identity(_) => CustomerDataset::Identity,
            Self::Contact(_) => CustomerDataset::Contact,
        }
    }
}

/// Why datasets about customers were not asked for.
#[derive(Debug, Clone, Default)]
pub struct PutOff {
    /// The code of the refusal, where the source will not answer before somebody has done something; `None` where it is
    /// only waited for.
    pub code: Option<String>,
    /// What happened and what to do.
    pub message: Option<String>,
    /// Until when they wait (calendar).
    pub not_before: Option<i64>,
}

impl PutOff {
    /// How they fare.
    pub(crate) fn state(&self) -> SeriesState {
        if self.code.is_some() { SeriesState::Failing } else { SeriesState::Waiting }
    }
}

/// What became of asking about a customer.
#[derive(Debug, Clone)]
pub struct CustomerUpdate {
    /// Whose customer.
    pub meter: MeterId,
    /// What was asked for.
    pub about: CustomerDataset,
    /// From which source.
    pub source: SourceId,
    /// When it was asked (calendar).
    pub asked_at: i64,
    /// What is to be kept, where there was an answer.
    pub content: Option<CustomerContent>,
    /// How it fares from now on.
    pub state: SeriesState,
    /// The code behind that.
    pub code: Option<String>,
    /// What happened and what to do.
    pub message: Option<String>,
    /// When it may be asked again after a refusal (calendar).
    pub not_before: Option<i64>,
    /// The lease of the dataset ([`super::Reserved::Go`]), which is given back; `None` where no call was made.
    pub lease: Option<CallId>,
    /// What was known of the dataset ([`CustomerFacts::seen`]): without a lease it is kept only while that is all there
    /// is to know.
    pub seen: i64,
}

/// A call that a source does not take from this application, such as one of an API that it is not subscribed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The code of the refusal.
    pub code: String,
    /// When it may be tried again (calendar).
    pub not_before: i64,
}

impl Closed {
    /// Whether it is not to be tried at `now` (calendar).
    #[must_use]
    pub fn holds(&self, now: i64) -> bool {
        self.not_before > now
    }
}

/// The same by the names of its source, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedCall {
    /// The name of the source.
    pub source: String,
    /// The path of the call.
    pub path: String,
    /// The code of the refusal.
    pub code: String,
}

/// A contract in force of whose text about off-peak hours nobody knows when they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnclearHours {
    /// The meter's name.
    pub name: String,
    /// The day from which the contract says so.
    pub since: Day,
    /// Enedis' text: one that is not understood, or an empty one beside a tariff that has such hours.
    pub text: String,
}

/// How a dataset about a customer stands, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerStatus {
    /// The meter's identifier.
    pub prm: Prm,
    /// The meter's name.
    pub name: String,
    /// The source that was asked last.
    pub source: String,
    /// What is to be known.
    pub about: CustomerDataset,
    /// How it fares.
    pub state: SeriesState,
    /// The code of its last error, while that matters.
    pub code: Option<String>,
    /// What happened and what to do.
    pub message: Option<String>,
    /// When it last got an answer (calendar).
    pub last_success_at: Option<i64>,
    /// When it may be asked again after a refusal (calendar).
    pub next_try_at: Option<i64>,
}

/// How a dataset fares, from what is stored of it: what nobody has answered or refused yet is not well but waits.
pub(super) fn fares(stored: SeriesState, last_success_at: Option<i64>) -> SeriesState {
    if stored == SeriesState::Ok && last_success_at.is_none() { SeriesState::Waiting } else { stored }
}

/// A personal text for a table, or nothing.
pub(super) fn told(text: Option<&crate::domain::personal::Personal>) -> Option<&str> {
    text.map(crate::domain::personal::Personal::reveal)
}

/// The cells of the tables of personal data: `(column, value)`, the same for both engines. All columns of the table
/// are there, in its order.
pub(super) fn cells(content: &CustomerContent) -> Vec<Option<String>> {
    let text = |text: Option<&crate::domain::personal::Personal>| told(text).map(str::to_owned);
    match content {
        CustomerContent::Contracts(_) => Vec::new(),
        CustomerContent::Address(address) => {
            let lines: Vec<&str> = address.details.iter().map(crate::domain::personal::Personal::reveal).collect();
            let [latitude, longitude, altitude] = &address.position;
            vec![
                (!lines.is_empty()).then(|| lines.join("\n")),
                text(address.street.as_ref()),
                text(address.locality.as_ref()),
                text(address.postal_code.as_ref()),
                text(address.city.as_ref()),
                text(address.insee_code.as_ref()),
                text(address.country.as_ref()),
                text(latitude.as_ref()),
                text(longitude.as_ref()),
                text(altitude.as_ref()),
            ]
        }
        CustomerContent::Identity(identity) => {
            let (mut person, mut company) = (vec![None; 3], vec![None; 5]);
            match identity {
                Some(Identity::Person(who)) => {
                    person =
                        vec![text(who.title.as_ref()), text(who.first_name.as_ref()), text(who.last_name.as_ref())];
                }
                Some(Identity::Organisation(who)) => {
                    company = vec![
                        text(who.name.as_ref()),
                        text(who.trading_name.as_ref()),
                        text(who.business.as_ref()),
                        text(who.siret.as_ref()),
                        text(who.siren.as_ref()),
                    ];
                }
                None => {}
            }
            person.into_iter().chain(company).collect()
        }
        CustomerContent::Contact(contact) => {
            let contact = contact.as_ref();
            let of = |part: fn(&Contact) -> Option<&crate::domain::personal::Personal>| contact.and_then(part);
            vec![text(of(|c| c.phone.as_ref())), text(of(|c| c.landline.as_ref())), text(of(|c| c.email.as_ref()))]
        }
    }
}
