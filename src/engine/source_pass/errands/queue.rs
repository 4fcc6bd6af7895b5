//! What is asked about customers in a pass, and in which order: a new meter's contract before its measures, everything
//! else when no newest day is waiting.

use super::SourcePass;
use crate::domain::registers::Doubt;
use crate::domain::{CustomerDataset, Day, paris};
use crate::engine::customers;
use crate::engine::knowledge::Wish;
use crate::engine::source_pass::dispatch::is_history;
use crate::plan::Call;
use crate::source::{Reaction, Refusal};
use crate::store::{CustomerFacts, MeterId};

impl SourcePass<'_> {
    /// What is due when the pass begins.
    pub(in super::super) fn plan_errands(&mut self) {
        let now = self.engine.calendar.now();
        for (index, facts) in self.knowledge.customers.iter().enumerate() {
            let Some(wish) = self.chosen.customers.get(&(facts.meter, facts.about)) else { continue };
            if customers::is_due(facts, false, *wish != Wish::Due, now) {
                self.errands.queue.push(index);
                if facts.about == CustomerDataset::Contract && facts.last_success_at.is_none() {
                    self.errands.first.insert(facts.meter, index);
                }
            }
        }
    }

    /// A refusal of measures suggests that the contract is another one.
    pub(in super::super) fn suspect_contract(&mut self, meter: MeterId, refusal: &Refusal) {
        if matches!(refusal.reaction, Reaction::StopMeter(_) | Reaction::ClampActivation) {
            self.ask_contract_again(meter, None);
        }
    }

    /// So do registers that count for other classes since a day on which the contract was not looked at yet.
    pub(in super::super) fn suspect_contract_by(&mut self, meter: MeterId, doubts: &[(Day, Doubt)]) {
        let changed = doubts.iter().filter(|(_, doubt)| *doubt == Doubt::CalendarChanged);
        if let Some(day) = changed.map(|(day, _)| day.next()).max() {
            self.ask_contract_again(meter, Some(day));
        }
    }

    /// Has the contract of a meter asked for before its week is over, unless that was done since something changed.
    fn ask_contract_again(&mut self, meter: MeterId, changed: Option<Day>) {
        let now = self.engine.calendar.now();
        let is_contract = |facts: &CustomerFacts| facts.meter == meter && facts.about == CustomerDataset::Contract;
        let Some(index) = self.knowledge.customers.iter().position(is_contract) else { return };
        let due = self.knowledge.customers.get(index).is_some_and(|facts| {
            let looked = facts.last_success_at.map(paris::day_of);
            let is_news = changed.is_none_or(|changed| looked.is_none_or(|looked| looked <= changed));
            is_news && customers::is_due(facts, true, false, now)
        });
        let chosen = self.chosen.customers.contains_key(&(meter, CustomerDataset::Contract));
        let is_open = !self.errands.queue.contains(&index) && !self.errands.given_up.contains(&index);
        if due && chosen && is_open {
            self.errands.queue.push(index);
            self.errands.first.insert(meter, index);
        }
    }

    /// What is to be asked about a customer before the call at that place of the queue, or where there is none.
    pub(in super::super) fn next_errand(&self, next: Option<Call>) -> Option<usize> {
        if self.errands.is_empty() || (self.knowledge.source.state.strikes > 0 && !self.in_air.is_empty()) {
            return None;
        }
        if let Some(contract) = next.and_then(|call| self.contract_before(call)) {
            return Some(contract).filter(|contract| self.errand_may_fly(*contract));
        }
        if next.is_some_and(|call| !is_history(call)) {
            return None;
        }
        self.errands.queue.iter().copied().find(|index| self.errand_may_fly(*index))
    }

    fn errand_may_fly(&self, index: usize) -> bool {
        !self.errands.elsewhere.contains_key(&index) && self.errand_used_up(index).is_none()
    }

    /// The contract that comes before a call for measures, by its place.
    fn contract_before(&self, call: Call) -> Option<usize> {
        let meter = self.knowledge.series.get(call.series)?.meter;
        self.errands.first.get(&meter).copied()
    }

    /// Whether a call for measures waits for a first contract that cannot be asked for now. One that is only suspected
    /// to be another by now keeps no measures waiting.
    pub(in super::super) fn waits_for_contract(&self, call: Call) -> bool {
        if self.errands.first.is_empty() {
            return false;
        }
        let is_first =
            |index: usize| self.knowledge.customers.get(index).is_some_and(|facts| facts.last_success_at.is_none());
        self.contract_before(call).is_some_and(|contract| is_first(contract) && !self.errand_may_fly(contract))
    }
}
