//! An engine for one meter with all five series.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use linkyd::budget::Limits;
use linkyd::client::Transport;
use linkyd::clock::{Calendar, Clock};
use linkyd::domain::{Dataset, Prm};
use linkyd::engine::{ActiveMeter, ActiveSource, Engine};
use linkyd::source::Source;
use linkyd::store::Store;

/// An engine that asks `source` over `transport` at five calls a second.
pub(crate) fn engine(
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    now: DateTime<Utc>,
    source: Arc<dyn Source>,
    transport: Arc<dyn Transport>,
    prm: Prm,
) -> Engine {
    Engine {
        store,
        calendar: Calendar::new(Arc::clone(&clock), Some(now)),
        clock,
        sources: vec![ActiveSource {
            source,
            transport,
            limits: Limits { per_second: 5, per_hour: Some(900), per_day: None },
            cached: None,
        }],
        meters: vec![ActiveMeter {
            customer: Vec::new(),
            prm,
            name: "Bench".to_owned(),
            sources: vec!["enedis".to_owned()],
            datasets: Dataset::COMMON.to_vec(),
            since: None,
        }],
        every: BTreeMap::new(),
    }
}
