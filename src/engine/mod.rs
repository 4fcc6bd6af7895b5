//! The imperative shell: looks at what is known, plans, asks, stores, and looks again.
//!
//! A pass takes no instructions about *what* to fetch; it computes that from coverage each time
//! ([`crate::plan`]), so start, timer, signal and `sync` are all the same "look again".
//! [`knowledge`] turns stored facts into what the planner sees, [`react`] turns refusals into what
//! is learnt, [`pass`] is the only place that awaits, and the only layer that retries.

mod allowance;
pub mod consents;
pub mod customers;
pub mod knowledge;
mod outlook;
pub mod pass;
pub mod probe;
pub mod prospect;
mod punctual;
pub mod react;
pub mod replay;
pub mod report;
mod rounds;
pub mod serving;
mod source_pass;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, NaiveTime, Utc};

use self::knowledge::published_end;
use crate::budget::{Keep, Limits};
use crate::client::Transport;
use crate::clock::{Calendar, Clock};
use crate::domain::{CustomerDataset, Dataset, Day, Prm, paris};
use crate::source::{Pool, Source};
use crate::store::{MeterSetup, Setup, SourceSetup, Store};

pub use pass::{Progress, Selection};
pub use report::Report;

/// By this hour in Paris the newest days have been asked for; what history leaves for them is free
/// by then.
const KEPT_UNTIL: NaiveTime = match NaiveTime::from_hms_opt(9, 0, 0) {
    Some(time) => time,
    None => NaiveTime::MIN,
};

/// What calls that can wait leave of a day's budget for the newest days of the next morning, of which
/// there are `daily`; at most half of it. `machine` is the machine's time.
#[must_use]
pub fn keep(per_day: u32, daily: u32, machine: DateTime<Utc>) -> Keep {
    // Once yesterday is published its calls come first in the plan; then it is tomorrow's turn.
    let next = published_end(machine).next();
    Keep { calls: reserve(per_day, daily), by: paris::at_wall(next, KEPT_UNTIL) * 1_000 }
}

/// The calls of a day that history leaves for the newest days of the next morning.
fn reserve(per_day: u32, daily: u32) -> u32 {
    daily.min(per_day / 2)
}

/// A source ready for use.
#[derive(Debug, Clone)]
pub struct ActiveSource {
    /// How to ask it and read it.
    pub source: Arc<dyn Source>,
    /// The way to it.
    pub transport: Arc<dyn Transport>,
    /// What it may be asked.
    pub limits: Limits,
    /// What may be asked beside that of its cache, where it has one.
    pub cached: Option<Limits>,
}

impl ActiveSource {
    /// The counter that calls for history are charged to.
    #[must_use]
    pub fn history_pool(&self) -> Pool {
        if self.cached.is_some() { Pool::Cached } else { Pool::Live }
    }

    /// The limits of one of its counters.
    #[must_use]
    pub fn limits_of(&self, pool: Pool) -> Limits {
        match pool {
            Pool::Live => self.limits,
            Pool::Cached => self.cached.unwrap_or(self.limits),
        }
    }
}

/// A meter and what is to be kept of it.
#[derive(Debug, Clone)]
pub struct ActiveMeter {
    /// Its identifier.
    pub prm: Prm,
    /// Its name, which stands for the identifier in logs.
    pub name: String,
    /// The names of the sources that may serve it, the preferred one first.
    pub sources: Vec<String>,
    /// The datasets that are kept.
    pub datasets: Vec<Dataset>,
    /// What is kept of the customer.
    pub customer: Vec<CustomerDataset>,
    /// Days before this one are not wanted.
    pub since: Option<Day>,
}

/// Everything that a pass works with.
#[derive(Debug, Clone)]
pub struct Engine {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The machine's time.
    pub clock: Arc<dyn Clock>,
    /// The instant that the user means.
    pub calendar: Calendar,
    /// The sources.
    pub sources: Vec<ActiveSource>,
    /// The meters.
    pub meters: Vec<ActiveMeter>,
    /// New days of a dataset are asked for once there are this many; 1 where nothing is said.
    pub every: BTreeMap<Dataset, i32>,
}

impl Engine {
    /// What the store is told about the configuration.
    #[must_use]
    pub fn setup(&self) -> Setup {
        let grants: Vec<Named> = self.sources.iter().map(Named::of).collect();
        Setup {
            sources: self
                .sources
                .iter()
                .map(|s| SourceSetup {
                    name: s.source.name().to_owned(),
                    kind: s.source.kind(),
                    account: s.source.account(),
                    direct: s.source.is_direct(),
                    credentials: s.source.credentials(),
                })
                .collect(),
            meters: self
                .meters
                .iter()
                .map(|m| MeterSetup {
                    prm: m.prm.clone(),
                    name: m.name.clone(),
                    source: m.sources.first().cloned().unwrap_or_default(),
                    sources: m.sources.clone(),
                    consent_until: consent_until(m, &grants),
                    datasets: m.datasets.clone(),
                    customer: m.customer.clone(),
                })
                .collect(),
        }
    }
}

/// What the credentials of a source say about consent.
struct Named {
    source: String,
    /// The meters that they name; `None` where they name none.
    prms: Option<HashSet<Prm>>,
    until: Option<i64>,
}

impl Named {
    fn of(active: &ActiveSource) -> Self {
        let grant = active.source.grant();
        let prms = grant.prms.map(|prms| prms.into_iter().collect());
        Self { source: active.source.name().to_owned(), prms, until: grant.until.map(|until| until.timestamp()) }
    }
}

/// When the consent for a meter ends, as the credentials of its sources say: the earliest, since a
/// source that falls away is worth a warning although another one may step in.
fn consent_until(meter: &ActiveMeter, grants: &[Named]) -> Option<i64> {
    let serving = grants.iter().filter(|grant| meter.sources.contains(&grant.source));
    let named = serving.filter(|grant| grant.prms.as_ref().is_none_or(|prms| prms.contains(&meter.prm)));
    named.filter_map(|grant| grant.until).min()
}
