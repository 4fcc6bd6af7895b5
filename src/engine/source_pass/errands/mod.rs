//! Calls about customers within a pass: contracts before the measures of a new meter, everything else when no
//! newest day is waiting.
//!
//! They take the same budget, journal, token and pace as all calls, one after the other. What is refused here
//! never suspends measures, and a source that fails here is not left to rest for it: only quotas and bans, which
//! are about every call, are.

mod calls;

use std::collections::{BTreeMap, BTreeSet};

use super::SourcePass;
use super::dispatch::is_history;
use crate::decode::DecodeError;
use crate::decode::customer::{self, Situation};
use crate::domain::{Api, CustomerDataset, SeriesState};
use crate::engine::customers::{self, Concerns, Found};
use crate::plan::Call;
use crate::source::catalogue;
use crate::source::{CustomerCall, Reaction, Refusal};
use crate::store::{CallId, CustomerContent, CustomerFacts, CustomerUpdate, MeterId, StoreError};

use calls::Called;

/// Passing troubles in a row after which a pass asks no more about customers.
const MOST_TROUBLES: u32 = 3;

/// What the source put off with a short pause is asked again so often.
const MOST_AGAIN: u32 = 3;

/// What is to be asked about customers in this pass.
#[derive(Debug, Default)]
pub(super) struct Errands {
    /// Places in the knowledge of customers, in the order of the configuration.
    queue: Vec<usize>,
    /// Meters whose contract is asked for before their measures.
    first: BTreeSet<MeterId>,
    /// The lease of the dataset that is asked for: several calls may go to one answer, and another instance is to ask
    /// for none of them in between. What is kept in the end gives it back.
    held: Option<CallId>,
    /// Passing troubles in a row.
    troubles: u32,
    /// How often each was put off by a pause that the source asked for.
    put_off: BTreeMap<usize, u32>,
    /// What answers about contracts and people said, for as long as another dataset of the meter is to be asked for.
    situations: BTreeMap<MeterId, Situation>,
    /// Places in the knowledge of customers of which an answer was kept.
    pub(super) answered: BTreeSet<usize>,
}

impl Errands {
    /// Whether nothing is to be asked.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

impl SourcePass<'_> {
    /// What is due when the pass begins.
    pub(super) fn plan_errands(&mut self) {
        let now = self.engine.calendar.now();
        for (index, facts) in self.knowledge.customers.iter().enumerate() {
            let Some(told) = self.chosen.customers.get(&(facts.meter, facts.about)) else { continue };
            if customers::is_due(facts, false, *told, now) {
                self.errands.queue.push(index);
                if facts.about == CustomerDataset::Contract && facts.last_success_at.is_none() {
                    self.errands.first.insert(facts.meter);
                }
            }
        }
    }

    /// A refusal of measures suggests that the contract is another one.
    pub(super) fn suspect_contract(&mut self, meter: MeterId, refusal: &Refusal) {
        if !matches!(refusal.reaction, Reaction::StopMeter(_) | Reaction::ClampActivation) {
            return;
        }
        let now = self.engine.calendar.now();
        let is_contract = |facts: &CustomerFacts| facts.meter == meter && facts.about == CustomerDataset::Contract;
        let Some(index) = self.knowledge.customers.iter().position(is_contract) else { return };
        let due = self.knowledge.customers.get(index).is_some_and(|facts| customers::is_due(facts, true, false, now));
        let chosen = self.chosen.customers.contains_key(&(meter, CustomerDataset::Contract));
        if due && chosen && !self.errands.queue.contains(&index) {
            self.errands.queue.push(index);
            self.errands.first.insert(meter);
        }
    }

    /// What is to be asked about a customer before the call at that place of the queue, or where there is none.
    pub(super) fn next_errand(&self, next: Option<Call>) -> Option<usize> {
        if self.errands.is_empty() || (self.knowledge.source.state.strikes > 0 && !self.in_air.is_empty()) {
            return None;
        }
        let of = |index: usize| self.knowledge.customers.get(index);
        let meter = next.and_then(|call| self.knowledge.series.get(call.series)).map(|series| series.meter);
        if let Some(meter) = meter.filter(|meter| self.errands.first.contains(meter)) {
            let contract = |facts: &CustomerFacts| facts.meter == meter && facts.about == CustomerDataset::Contract;
            return self.errands.queue.iter().copied().find(|index| of(*index).is_some_and(contract));
        }
        if next.is_some_and(|call| !is_history(call)) {
            return None;
        }
        self.errands.queue.first().copied()
    }

    /// Asks everything about one dataset of one customer, and keeps it.
    pub(super) async fn run_errand(&mut self, index: usize) -> Result<(), StoreError> {
        self.errands.queue.retain(|other| *other != index);
        self.errands.held = None;
        let Some(mut facts) = self.knowledge.customers.get(index).cloned() else { return Ok(()) };
        if facts.about == CustomerDataset::Contract {
            self.errands.first.remove(&facts.meter);
        }
        let asked_at = self.engine.calendar.now();
        let told = self.chosen.customers.get(&(facts.meter, facts.about)).copied().unwrap_or_default();
        let mut found = Found::default();
        let pauses = self.pauses;
        let Some(trouble) = self.ask_all(&mut facts, &mut found, told).await? else {
            self.put_off(index, &facts, self.pauses > pauses);
            return Ok(());
        };
        let content = found.content(facts.about);
        let lacks = matches!(&content, Some(CustomerContent::Contracts(contracts)) if contracts.lack_hours());
        let lacked = if lacks { self.engine.store.unclear_hours(Some(facts.meter)).await? } else { Vec::new() };
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
                    let (state, not_before) = customers::fares(&refusal, asked_at);
                    update.state = state;
                    update.code = Some(refusal.code.clone());
                    update.message =
                        Some(catalogue::named(&customers::message(&refusal, call), self.active.source.name()));
                    update.not_before = Some(not_before);
                }
            }
        }
        if self.errands.troubles >= MOST_TROUBLES {
            self.errands.queue.clear();
            self.errands.first.clear();
        }
        let waiting =
            |other: &usize| self.knowledge.customers.get(*other).is_some_and(|other| other.meter == facts.meter);
        if !self.errands.queue.iter().any(waiting) {
            self.errands.situations.remove(&facts.meter);
        }
        self.keep(index, update).await?;
        // Each week brings the same answer: it is told of a contract that is another one than before.
        if lacks && self.engine.store.unclear_hours(Some(facts.meter)).await? != lacked {
            tracing::warn!(
                meter = %facts.name,
                dataset = %facts.about,
                "the tariff has off-peak hours, or may have, and the text about them is empty: no interval gets a class"
            );
        }
        Ok(())
    }

    /// Asks again later in this pass where the source asked for a pause: a short one is waited for, and a long one
    /// ends the pass and is told.
    fn put_off(&mut self, index: usize, facts: &CustomerFacts, pauses: bool) {
        if let Some(known) = self.knowledge.customers.get_mut(index) {
            known.seen = facts.seen;
        }
        let times = self.errands.put_off.entry(index).or_default();
        if !pauses || *times >= MOST_AGAIN {
            return;
        }
        *times += 1;
        self.errands.queue.insert(0, index);
        if facts.about == CustomerDataset::Contract && facts.last_success_at.is_none() {
            self.errands.first.insert(facts.meter);
        }
    }

    async fn keep(&mut self, index: usize, update: CustomerUpdate) -> Result<(), StoreError> {
        let learns = update.about == CustomerDataset::Contract && update.content.is_some();
        let (meter, asked_at) = (update.meter, update.asked_at);
        let seen = self.engine.store.keep(update.clone()).await?;
        if update.content.is_some() {
            self.errands.answered.insert(index);
        }
        if let Some(facts) = self.knowledge.customers.get_mut(index) {
            facts.state = update.state;
            facts.code = update.code;
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

    /// Makes the calls of a dataset; `None` where it has to be left for a later pass.
    async fn ask_all(
        &mut self,
        facts: &mut CustomerFacts,
        found: &mut Found,
        told: bool,
    ) -> Result<Option<Trouble>, StoreError> {
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
                        None => return Ok(None),
                        Some(read) => read.err(),
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
                    return Ok(Some(trouble));
                }
            }
            if found.has(facts.about) {
                return Ok(Some(if matches!(trouble, Trouble::NotOffered) { Trouble::None } else { trouble }));
            }
        }
        Ok(Some(trouble))
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
        let closed = self.knowledge.source.closed.get(call.path())?;
        if closed.not_before <= self.engine.calendar.now().timestamp() {
            return None;
        }
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

    /// Makes a call and reads its answer; `None` where it cannot be made now.
    async fn call_and_read(
        &mut self,
        facts: &mut CustomerFacts,
        api: Api,
        call: CustomerCall,
        found: &mut Found,
    ) -> Result<Option<Result<(), Refusal>>, StoreError> {
        let body = match self.call_customer(facts, api, call).await? {
            Called::NotNow => return Ok(None),
            Called::Refused(refusal) => return Ok(Some(Err(refusal))),
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
            Err(error) => return Ok(Some(Err(unreadable(facts, error)))),
        };
        for oddity in oddities {
            tracing::warn!(meter = %facts.name, dataset = %facts.about, "{oddity}");
        }
        Ok(Some(Ok(())))
    }
}

fn unreadable(facts: &CustomerFacts, error: DecodeError) -> Refusal {
    tracing::error!(meter = %facts.name, dataset = %facts.about, "{error}");
    catalogue::own(error.code(), Some(200), "").of(&facts.prm, facts.about.name())
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
