//! What a pass did, as a value: commands print it, logs say it in a line, exit codes follow from it.

use std::collections::{BTreeSet, HashMap};

use super::serving::{CustomerKey, SeriesKey};
use crate::domain::{CustomerDataset, Dataset, Prm, SeriesState};
use crate::exit::Exit;
use crate::source::{Reaction, Refusal, catalogue};

/// How one series fared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetReport {
    /// Which series.
    pub series: SeriesKey,
    /// Whether its source cannot serve it just now.
    pub unserved: bool,
    /// Calls for it that were still wanted when the pass ended.
    pub left: u64,
    /// The source that served it.
    pub source: String,
    /// Whether that one stands in for the source that the meter prefers.
    pub stands_in: bool,
    /// Which dataset.
    pub dataset: Dataset,
    /// Its state after the pass.
    pub state: SeriesState,
    /// The code of its trouble.
    pub code: Option<String>,
    /// What is wrong and what to do.
    pub error: Option<String>,
}

/// How one dataset about a customer fared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerReport {
    /// Whose customer, and what was to be known.
    pub key: CustomerKey,
    /// Whether its source refused it, or was left before it was asked for.
    pub unserved: bool,
    /// The meter's identifier.
    pub prm: Prm,
    /// The meter's name.
    pub name: String,
    /// The source that was asked last.
    pub source: String,
    /// What was to be known.
    pub about: CustomerDataset,
    /// Whether the pass brought an answer, which is kept.
    pub answered: bool,
    /// Calls for it that were still wanted when the pass ended.
    pub left: u64,
    /// Its state after the pass.
    pub state: SeriesState,
    /// The code of its trouble.
    pub code: Option<String>,
    /// What is wrong and what to do.
    pub error: Option<String>,
}

/// How one meter fared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeterReport {
    /// Its identifier.
    pub prm: Prm,
    /// Its name.
    pub name: String,
    /// Its series that took part.
    pub datasets: Vec<DatasetReport>,
}

/// What kind of end it is when a source is left early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stop {
    /// Nothing is wrong here: a quota, a pause, an outage.
    Later,
    /// The source refuses the application.
    Refused,
    /// The source refuses the application's credentials.
    Credentials,
}

/// Why a source was left before everything was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interruption {
    /// The source's name.
    pub source: String,
    /// What kind of end it was.
    pub stop: Stop,
    /// When it may be asked again (machine, ms).
    pub until_ms: Option<i64>,
    /// What happened and what to do.
    pub message: String,
    /// The refusal behind it; `None` where the budget alone ends it.
    pub refusal: Option<Refusal>,
    /// Series that it left unserved.
    pub unserved: BTreeSet<SeriesKey>,
}

/// What a pass did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Data calls made.
    pub calls: u64,
    /// Values that were new.
    pub inserted: u64,
    /// Values that differ from those stored before.
    pub changed: u64,
    /// Calls still wanted when the pass ended.
    pub left: u64,
    /// The meters that took part.
    pub meters: Vec<MeterReport>,
    /// What was to be known of customers.
    pub customers: Vec<CustomerReport>,
    /// Sources that were left early.
    pub interruptions: Vec<Interruption>,
    /// Whether the pass was asked to stop.
    pub stopped: bool,
}

impl Report {
    /// The series that their source has left with something to ask, or refused.
    #[must_use]
    pub fn unserved(&self) -> BTreeSet<SeriesKey> {
        let refused = self.meters.iter().flat_map(|m| &m.datasets).filter(|d| d.unserved);
        let left = self.interruptions.iter().flat_map(|i| &i.unserved);
        refused.map(|d| d.series).chain(left.copied()).collect()
    }

    /// What was to be known of customers and its source has left or refused.
    #[must_use]
    pub fn unserved_customers(&self) -> BTreeSet<CustomerKey> {
        self.customers.iter().filter(|customer| customer.unserved).map(|customer| customer.key).collect()
    }

    /// Other sources serve these series now, and are asked this about customers: what kept their former sources from it
    /// is no trouble of the pass any more where nothing else is left of them.
    pub fn covered(&mut self, series: &BTreeSet<SeriesKey>, customers: &BTreeSet<CustomerKey>) {
        let errands = &self.customers;
        self.interruptions.retain_mut(|interruption| {
            let errands = errands.iter().filter(|one| one.left > 0 && one.source == interruption.source);
            let (went, stay): (Vec<_>, Vec<_>) = errands.partition(|one| customers.contains(&one.key));
            let some = !went.is_empty() || interruption.unserved.iter().any(|key| series.contains(key));
            interruption.unserved.retain(|key| !series.contains(key));
            // Credentials that are refused, or a ban, are the operator's business all the same.
            interruption.stop != Stop::Later || !(some && interruption.unserved.is_empty() && stay.is_empty())
        });
    }

    /// Adds what another source's part of the pass did.
    pub fn absorb(&mut self, other: Self) {
        self.calls += other.calls;
        self.inserted += other.inserted;
        self.changed += other.changed;
        self.left += other.left;
        for mut interruption in other.interruptions {
            let same = self.interruptions.iter().position(|known| known.source == interruption.source);
            if let Some(known) = same.map(|place| self.interruptions.swap_remove(place)) {
                interruption.unserved.extend(known.unserved);
            }
            self.interruptions.push(interruption);
        }
        let places: HashMap<CustomerKey, usize> =
            self.customers.iter().enumerate().map(|(place, customer)| (customer.key, place)).collect();
        for mut customer in other.customers {
            match places.get(&customer.key).and_then(|place| self.customers.get_mut(*place)) {
                // What another source was asked instead, or the same one again, is told once.
                Some(known) => {
                    self.left -= known.left.min(self.left);
                    customer.answered |= known.answered;
                    *known = customer;
                }
                None => self.customers.push(customer),
            }
        }
        self.stopped |= other.stopped;
        let places: HashMap<Prm, usize> =
            self.meters.iter().enumerate().map(|(place, meter)| (meter.prm.clone(), place)).collect();
        for meter in other.meters {
            match places.get(&meter.prm).and_then(|place| self.meters.get_mut(*place)) {
                Some(known) => {
                    // What another source has taken over is left to that one.
                    known.datasets.retain(|old| {
                        let replaced = meter.datasets.iter().any(|new| new.series == old.series);
                        self.left -= if replaced { old.left.min(self.left) } else { 0 };
                        !replaced
                    });
                    known.datasets.extend(meter.datasets);
                }
                None => self.meters.push(meter),
            }
        }
    }

    /// The exit code that says it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let datasets = || self.meters.iter().flat_map(|m| &m.datasets);
        let stopped = |stop| self.interruptions.iter().any(|i| i.stop == stop);
        let bad = |state| matches!(state, SeriesState::Failing | SeriesState::Suspended);
        if stopped(Stop::Credentials) {
            Exit::CredentialsRefused
        } else if stopped(Stop::Refused) {
            Exit::Failed
        } else if stopped(Stop::Later) {
            Exit::TryLater
        } else if datasets().any(|d| bad(d.state)) {
            // Where nothing at all came through, the other side is down rather than one series.
            let passes = |code: Option<&str>| {
                let reaction = code.and_then(catalogue::reaction_of);
                matches!(reaction, Some(Reaction::RetryShort | Reaction::RetryLater | Reaction::NoData))
            };
            let down = datasets().all(|d| d.state == SeriesState::Failing && passes(d.code.as_deref()));
            if down && self.inserted == 0 { Exit::TryLater } else { Exit::Failed }
        } else if self.customers.iter().any(|c| bad(c.state)) {
            Exit::Failed
        } else if datasets().any(|d| d.state == SeriesState::Waiting) || self.customers.iter().any(|c| c.left > 0) {
            Exit::TryLater
        } else {
            Exit::Done
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MeterId;

    fn interruption(source: &str, unserved: &[SeriesKey]) -> Interruption {
        Interruption {
            source: source.to_owned(),
            stop: Stop::Later,
            until_ms: Some(60_000),
            message: "It answers nothing.".to_owned(),
            refusal: None,
            unserved: unserved.iter().copied().collect(),
        }
    }

    fn customer(source: &str, left: u64) -> CustomerReport {
        CustomerReport {
            key: (MeterId(1), CustomerDataset::Contract),
            unserved: false,
            prm: "01234567890123".parse().unwrap(),
            name: "Maison".to_owned(),
            source: source.to_owned(),
            about: CustomerDataset::Contract,
            answered: left == 0,
            left,
            state: SeriesState::Ok,
            code: None,
            error: None,
        }
    }

    #[test]
    fn what_others_serve_is_no_trouble_unless_something_is_left_that_they_do_not() {
        let (one, other) = ((MeterId(1), Dataset::DailyConsumption), (MeterId(2), Dataset::DailyConsumption));
        let told = |customers: &[CustomerReport], series: &[SeriesKey], moved: &[CustomerKey]| {
            let interruptions = vec![interruption("enedis", &[one, other]), interruption("garden", &[])];
            let mut report = Report { interruptions, customers: customers.to_vec(), ..Report::default() };
            report.covered(&series.iter().copied().collect(), &moved.iter().copied().collect());
            report.interruptions.into_iter().map(|i| i.source).collect::<Vec<_>>()
        };
        let all = [one, other];
        assert_eq!(told(&[], &[one], &[]), ["enedis", "garden"]);
        assert_eq!(told(&[], &all, &[]), ["garden"]);
        assert_eq!(told(&[customer("enedis", 0), customer("garden", 1)], &all, &[]), ["garden"]);
        assert_eq!(told(&[customer("enedis", 1)], &all, &[]), ["enedis", "garden"]);
        // Another source is asked for the contract as well.
        let contract = [(MeterId(1), CustomerDataset::Contract)];
        assert_eq!(told(&[customer("enedis", 1)], &all, &contract), ["garden"]);
        assert_eq!(told(&[customer("enedis", 1)], &[one], &contract), ["enedis", "garden"]);
        assert_eq!(told(&[customer("garden", 1)], &all, &contract), [""; 0]);
    }
}
