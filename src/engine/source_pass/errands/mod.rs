//! Calls about customers within a pass.
//!
//! They take the same budget, journal, token and pace as all calls, one after the other. What is refused here
//! never suspends measures, and a source that fails here is not left to rest for it: only quotas, bans and refused
//! credentials, which are about every call, are. [`queue`] says what comes next, [`calls`] makes a call, and
//! [`others`] minds other instances; here the calls of one dataset become what is kept.

mod calls;
mod others;
mod queue;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::SourcePass;
use crate::decode::DecodeError;
use crate::decode::customer::{self, Oddity, Situation};
use crate::domain::{Api, CustomerDataset, Day, SeriesState};
use crate::engine::customers::{self, Concerns, Found};
use crate::engine::knowledge::Wish;
use crate::source::catalogue;
use crate::source::{CustomerCall, Reaction, Refusal};
use crate::store::{CallId, CustomerContent, CustomerFacts, CustomerUpdate, MeterId, StoreError};

use calls::{Called, Later};

/// Passing troubles in a row after which a pass asks no more about customers.
const MOST_TROUBLES: u32 = 3;

/// What the source put off with a short pause is asked again so often.
const MOST_AGAIN: u32 = 3;

/// What is to be asked about customers in this pass.
#[derive(Debug, Default)]
pub(super) struct Errands {
    /// Places in the knowledge of customers, in the order of the configuration.
    queue: Vec<usize>,
    /// Meters whose contract, by its place, is asked for before their measures.
    first: BTreeMap<MeterId, usize>,
    /// What another instance is at, or knows more of: when to look at it again (monotonic).
    elsewhere: BTreeMap<usize, Duration>,
    /// The lease of the dataset that is asked for: several calls may go to one answer, and another instance is to ask
    /// for none of them in between. What is kept in the end gives it back.
    held: Option<CallId>,
    /// The same of those that were put off between two of their calls.
    held_back: BTreeMap<usize, CallId>,
    /// Passing troubles in a row.
    troubles: u32,
    /// How often each was put off by the budget or by a pause that the source asked for.
    put_off: BTreeMap<usize, u32>,
    /// Those that this pass asks no more, although they are still wanted.
    given_up: BTreeSet<usize>,
    /// What answers about contracts and people said, for as long as another dataset of the meter is to be asked for.
    situations: BTreeMap<MeterId, Situation>,
    /// Places in the knowledge of customers of which an answer was kept.
    pub(super) answered: BTreeSet<usize>,
    /// The same of those that were asked for and brought nothing, or were not asked for after others that did.
    pub(super) refused: BTreeSet<usize>,
}

impl Errands {
    /// Whether nothing is to be asked.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// What is still to be asked: places in the knowledge of customers.
    pub(super) fn queue(&self) -> &[usize] {
        &self.queue
    }

    /// What is left for a later pass, by the same.
    pub(super) fn left(&self) -> BTreeSet<usize> {
        self.queue.iter().chain(&self.given_up).copied().collect()
    }
}

impl SourcePass<'_> {
    /// Asks everything about one dataset of one customer, and keeps it.
    pub(super) async fn run_errand(&mut self, index: usize) -> Result<(), StoreError> {
        self.errands.queue.retain(|other| *other != index);
        self.errands.held = self.errands.held_back.remove(&index);
        let Some(mut facts) = self.knowledge.customers.get(index).cloned() else { return Ok(()) };
        if facts.about == CustomerDataset::Contract {
            self.errands.first.remove(&facts.meter);
        }
        let asked_at = self.engine.calendar.now();
        let wish = self.chosen.customers.get(&(facts.meter, facts.about)).copied().unwrap_or_default();
        let mut found = Found::default();
        let pauses = self.pauses;
        let trouble = match self.ask_all(&mut facts, &mut found, wish == Wish::Told).await? {
            Asked::All(trouble) => trouble,
            Asked::Later(later) => {
                self.put_off(index, &facts, later, self.pauses > pauses);
                return Ok(());
            }
        };
        let content = found.content(facts.about);
        let unclear = content.as_ref().and_then(unclear_hours);
        let known = if unclear.is_some() { self.unclear_texts(facts.meter).await? } else { Vec::new() };
        let mut update = CustomerUpdate {
            meter: facts.meter,
            about: facts.about,
            source: self.knowledge.source.id,
            asked_at: asked_at.timestamp(),
            content,
            state: SeriesState::Ok,
            code: None,
            message: None,
            not_before: None,
            lease: self.errands.held,
            seen: facts.seen,
        };
        match trouble {
            Trouble::None => self.errands.troubles = 0,
            Trouble::NotOffered => {
                update.state = SeriesState::NotOffered;
                update.code = Some(customers::NOT_OFFERED.to_owned());
                update.message = Some(customers::not_offered(facts.about));
                update.not_before = Some(asked_at.timestamp() + customers::SELDOM);
            }
            Trouble::Refused(call, refusal) => {
                let concerns = customers::concerns(&refusal);
                self.errands.troubles = if concerns == Concerns::Passing { self.errands.troubles + 1 } else { 0 };
                // A part that is closed to the application is not waited for.
                if update.content.is_none() || concerns == Concerns::Passing {
                    let (state, not_before) = customers::fares(&refusal, facts.state, asked_at);
                    update.state = state;
                    update.code = Some(refusal.code.clone());
                    update.message =
                        Some(catalogue::named(&customers::message(&refusal, call), self.active.source.name()));
                    update.not_before = Some(not_before);
                }
            }
        }
        let refused_elsewhere = facts.not_before.is_some_and(|until| until > asked_at.timestamp());
        if wish == Wish::Moved && update.content.is_none() && refused_elsewhere {
            // Until then nobody is asked again, whatever the one says that stood in.
            update.state = facts.state;
            update.code.clone_from(&facts.code);
            update.message.clone_from(&facts.message);
            update.not_before = facts.not_before;
        }
        if self.errands.troubles >= MOST_TROUBLES {
            let left = std::mem::take(&mut self.errands.queue);
            // Another source may be asked for them.
            self.errands.refused.extend(left.iter().copied());
            self.errands.given_up.extend(left);
            self.errands.first.clear();
            self.errands.elsewhere.clear();
        }
        let waiting =
            |other: &usize| self.knowledge.customers.get(*other).is_some_and(|other| other.meter == facts.meter);
        if !self.errands.queue.iter().any(waiting) {
            self.errands.situations.remove(&facts.meter);
        }
        self.keep(index, update).await?;
        // Each week brings the same answer: it is told of one that is another than before.
        if let Some(unclear) = unclear
            && self.unclear_texts(facts.meter).await? != known
        {
            tracing::warn!(meter = %facts.name, dataset = %facts.about, "{unclear}: no interval gets a class");
        }
        Ok(())
    }

    /// What the contract of a meter says of off-peak hours where nobody knows when these are. A text is told of once; an
    /// empty one says nothing, and is told of with each contract.
    async fn unclear_texts(&self, meter: MeterId) -> Result<Vec<(Option<Day>, String)>, StoreError> {
        let unclear = self.engine.store.unclear_hours(Some(meter)).await?;
        Ok(unclear.into_iter().map(|one| (one.text.is_empty().then_some(one.since), one.text)).collect())
    }

    /// Asks again later in this pass where the budget is used up or the source asked for a pause: a short one is waited
    /// for, and a long one ends the pass and is told. So does what another instance is at.
    fn put_off(&mut self, index: usize, facts: &CustomerFacts, later: Later, pauses: bool) {
        if let Some(known) = self.knowledge.customers.get_mut(index) {
            known.seen = facts.seen;
        }
        if let Some(lease) = self.errands.held.take() {
            self.errands.held_back.insert(index, lease);
        }
        let waits = match later {
            Later::NotNow => pauses || self.source_rests() || self.errand_used_up(index).is_some(),
            Later::Busy | Later::Elsewhere => true,
            Later::Lost => {
                self.errands.elsewhere.insert(index, Duration::ZERO);
                true
            }
        };
        let times = self.errands.put_off.entry(index).or_default();
        // Nothing was asked for of what others are at, however often.
        if later != Later::Elsewhere {
            *times += 1;
        }
        if !waits || *times > MOST_AGAIN {
            self.errands.elsewhere.remove(&index);
            self.errands.given_up.insert(index);
            return;
        }
        self.errands.queue.insert(0, index);
        if facts.about == CustomerDataset::Contract && facts.last_success_at.is_none() {
            self.errands.first.insert(facts.meter, index);
        }
    }

    async fn keep(&mut self, index: usize, update: CustomerUpdate) -> Result<(), StoreError> {
        let learns = update.about == CustomerDataset::Contract && update.content.is_some();
        let (meter, asked_at) = (update.meter, update.asked_at);
        let seen = match self.engine.store.keep(update.clone()).await {
            // What another instance was told meanwhile stands, and no answer of ours goes beside it.
            Err(StoreError::Superseded) => {
                tracing::debug!(dataset = %update.about, "another linkyd has asked for the same meanwhile");
                if let Some(facts) = self.knowledge.customers.get(index).cloned() {
                    self.errands.held = None;
                    self.put_off(index, &facts, Later::Lost, false);
                }
                return Ok(());
            }
            kept => kept?,
        };
        if update.content.is_some() {
            self.errands.answered.insert(index);
        } else if update.state != SeriesState::Ok {
            self.errands.refused.insert(index);
        }
        if let Some(facts) = self.knowledge.customers.get_mut(index) {
            facts.state = update.state;
            facts.code = update.code;
            facts.message = update.message;
            facts.not_before = update.not_before;
            facts.last_success_at = update.content.map(|_| asked_at).or(facts.last_success_at);
            facts.seen = seen;
        }
        if learns {
            let floors = self.engine.store.floors(meter).await?;
            self.knowledge.learn_floors(meter, &floors);
        }
        Ok(())
    }

    /// Makes the calls of a dataset.
    async fn ask_all(&mut self, facts: &mut CustomerFacts, found: &mut Found, told: bool) -> Result<Asked, StoreError> {
        let source = &self.active.source;
        let offered: Vec<(Api, &'static [CustomerCall])> = source
            .customer_apis()
            .iter()
            .map(|api| (*api, source.customer_calls(facts.about, *api)))
            .filter(|(_, calls)| !calls.is_empty())
            .collect();
        let mut trouble = Trouble::NotOffered;
        for (nth, (api, calls)) in offered.iter().enumerate() {
            let more = nth + 1 < offered.len();
            for call in *calls {
                if let Some(refusal) = self.closed_call(facts, *call).filter(|_| !told) {
                    if more && Some(call) == calls.first() {
                        break;
                    }
                    trouble.take(*call, refusal);
                    continue;
                }
                let refusal = if self.situation_again(facts, *call, found) {
                    None
                } else {
                    match self.call_and_read(facts, *api, *call, found).await? {
                        Err(later) => return Ok(Asked::Later(later)),
                        Ok(read) => read.err(),
                    }
                };
                let Some(refusal) = refusal else { continue };
                let first = Some(call) == calls.first();
                let unavailable = catalogue::api_unavailable(*api, &refusal);
                let concerns = customers::concerns(&refusal);
                if first && more && (unavailable || concerns == Concerns::Application) {
                    break;
                }
                trouble.take(*call, refusal);
                if first && concerns != Concerns::Application {
                    // The other parts are refused for the same reason, or by the same fault.
                    return Ok(Asked::All(trouble));
                }
            }
            if found.has(facts.about) {
                return Ok(Asked::All(if matches!(trouble, Trouble::NotOffered) { Trouble::None } else { trouble }));
            }
        }
        Ok(Asked::All(trouble))
    }

    /// Whether what a call would say was just said, for another dataset of the same meter.
    fn situation_again(&self, facts: &CustomerFacts, call: CustomerCall, found: &mut Found) -> bool {
        match self.errands.situations.get(&facts.meter) {
            Some(situation) if call == CustomerCall::Situation => {
                found.situation(situation.clone());
                true
            }
            _ => false,
        }
    }

    /// The refusal of a call that is known to be closed to this application.
    fn closed_call(&self, facts: &CustomerFacts, call: CustomerCall) -> Option<Refusal> {
        let now = self.engine.calendar.now().timestamp();
        let closed = self.knowledge.source.closed.get(call.path()).filter(|closed| closed.holds(now))?;
        let refusal = catalogue::stored(&closed.code).unwrap_or_else(|| Refusal {
            status: None,
            code: closed.code.clone(),
            reaction: Reaction::StopApi,
            advice: "",
            excerpt: String::new(),
            about: None,
        });
        Some(refusal.of(&facts.prm, facts.about.name()))
    }

    /// Makes a call and reads its answer.
    async fn call_and_read(
        &mut self,
        facts: &mut CustomerFacts,
        api: Api,
        call: CustomerCall,
        found: &mut Found,
    ) -> Result<Result<Result<(), Refusal>, Later>, StoreError> {
        let body = match self.call_customer(facts, api, call).await? {
            Called::Later(later) => return Ok(Err(later)),
            Called::Refused(refusal) => return Ok(Ok(Err(refusal))),
            Called::Body(body) => body,
        };
        let read = match call {
            CustomerCall::Situation => customer::situation(&body, &facts.prm).map(|read| {
                self.errands.situations.insert(facts.meter, read.value.clone());
                found.situation(read.value);
                read.oddities
            }),
            _ => found.read(call, &body, &facts.prm),
        };
        let oddities = match read {
            Ok(oddities) => oddities,
            Err(error) => return Ok(Ok(Err(unreadable(facts, error)))),
        };
        // What a contract says of off-peak hours is told when it is kept.
        for oddity in oddities.into_iter().filter(|oddity| !matches!(oddity, Oddity::OffPeak(_))) {
            tracing::warn!(meter = %facts.name, dataset = %facts.about, "{oddity}");
        }
        Ok(Ok(Ok(())))
    }
}

/// What is to be told of a contract whose off-peak hours nobody knows.
fn unclear_hours(content: &CustomerContent) -> Option<String> {
    let CustomerContent::Contracts(contracts) = content else { return None };
    if contracts.lack_hours() {
        return Some("the tariff has off-peak hours, or may have, and the text about them is empty".to_owned());
    }
    let hours = contracts.consumption.as_ref()?.off_peak.as_ref()?;
    hours.hours.as_ref().err().map(|why| Oddity::OffPeak(*why).to_string())
}

fn unreadable(facts: &CustomerFacts, error: DecodeError) -> Refusal {
    tracing::error!(meter = %facts.name, dataset = %facts.about, "{error}");
    catalogue::own(error.code(), Some(200), "").of(&facts.prm, facts.about.name())
}

/// What became of the calls of a dataset.
enum Asked {
    All(Trouble),
    /// Not all of them were made.
    Later(Later),
}

/// What stands in the way of a dataset.
enum Trouble {
    None,
    /// The source has no call for it.
    NotOffered,
    /// A call of it was refused: the first one that was.
    Refused(CustomerCall, Refusal),
}

impl Trouble {
    fn take(&mut self, call: CustomerCall, refusal: Refusal) {
        if !matches!(self, Self::Refused(..)) {
            *self = Self::Refused(call, refusal);
        }
    }
}
