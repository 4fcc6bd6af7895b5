//! What other instances do meanwhile with what is asked about customers, as [`super::super::sharing`] has it for series.
//!
//! What another instance is at, or knows more of, stays in the queue: it is looked at again when the other one's lease
//! ends or something of it has changed, and goes if there is nothing left to ask. A contract that comes before the
//! measures of its meter does so also when another instance asks for it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::SourcePass;
use crate::domain::CustomerDataset;
use crate::engine::customers;
use crate::engine::knowledge::Wish;
use crate::store::{CustomerFacts, MeterId, StoreError};

impl SourcePass<'_> {
    /// Something about a customer is another instance's business until then (monotonic), or there is news of it.
    pub(in super::super) fn errand_elsewhere(&mut self, meter: MeterId, about: CustomerDataset, until: Duration) {
        let place = self.knowledge.customers.iter().position(|facts| (facts.meter, facts.about) == (meter, about));
        if let Some(index) = place {
            self.errands.elsewhere.insert(index, until);
        }
    }

    /// When the first of what others are at is to be looked at again (monotonic).
    pub(in super::super) fn errands_look_at(&self) -> Option<Duration> {
        self.errands.elsewhere.values().min().copied()
    }

    /// Reads what others were at until `now` (monotonic), or all of it.
    pub(in super::super) async fn catch_up_errands(&mut self, now: Duration, all: bool) -> Result<(), StoreError> {
        let elsewhere = self.errands.elsewhere.iter().filter(|(_, until)| all || **until <= now);
        let over: Vec<(usize, Duration)> = elsewhere.map(|(index, until)| (*index, *until)).collect();
        let of = |(index, _): &(usize, Duration)| self.knowledge.customers.get(*index).map(|facts| facts.meter);
        let meters: BTreeSet<MeterId> = over.iter().filter_map(of).collect();
        if meters.is_empty() {
            return Ok(());
        }
        let fresh = self.engine.store.customer_facts(&meters.into_iter().collect::<Vec<_>>()).await?;
        for (index, until) in over {
            let Some(known) = self.knowledge.customers.get(index).cloned() else { continue };
            let found = fresh.iter().find(|facts| (facts.meter, facts.about) == (known.meter, known.about));
            let is_news = found.is_none_or(|found| found.seen != known.seen);
            if !is_news && until > now {
                continue;
            }
            self.errands.elsewhere.remove(&index);
            // Nobody collects it any more where there is none.
            let asks_on = found.is_some_and(|found| self.is_still_due(&known, found));
            if !asks_on {
                self.errands.queue.retain(|other| *other != index);
                self.errands.first.retain(|_, contract| *contract != index);
            }
            let Some(found) = found else { continue };
            if is_news && found.about == CustomerDataset::Contract {
                let floors = self.engine.store.floors(found.meter).await?;
                self.knowledge.learn_floors(found.meter, &floors);
            }
            if let Some(known) = self.knowledge.customers.get_mut(index) {
                known.clone_from(found);
            }
        }
        Ok(())
    }

    /// Whether something about a customer is still to be asked for after what another instance has found out.
    fn is_still_due(&self, known: &CustomerFacts, found: &CustomerFacts) -> bool {
        // An operator who asks for it by name is served by an answer that came meanwhile.
        if found.last_success_at > known.last_success_at {
            return false;
        }
        let wish = self.chosen.customers.get(&(found.meter, found.about)).copied().unwrap_or_default();
        let asked = wish != Wish::Due && found.seen == known.seen;
        customers::is_due(found, true, asked, self.engine.calendar.now())
    }
}
