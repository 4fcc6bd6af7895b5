//! What benchmarks of a fleet share: its datasets, a source that is never asked, and the process's memory.

use std::sync::Arc;

use async_trait::async_trait;
use linkyd::budget::Limits;
use linkyd::client::{Transport, TransportError};
use linkyd::domain::{Api, Dataset};
use linkyd::engine::ActiveSource;
use linkyd::source::enedis::{Enedis, EnedisSettings};
use linkyd::source::{Request, Response};

use crate::figures::Outcome;

/// What most fleets keep of a meter.
pub(crate) const THREE: [Dataset; 3] =
    [Dataset::ConsumptionLoadCurve, Dataset::DailyConsumption, Dataset::DailyMaxPower];

/// Nothing is sent here.
#[derive(Debug)]
struct Nowhere;

#[async_trait]
impl Transport for Nowhere {
    async fn send(&self, _: &Request) -> Result<Response, TransportError> {
        Err(TransportError::Cut)
    }
}

/// Enedis, with so many calls an hour.
pub(crate) fn enedis(per_hour: u32) -> Outcome<ActiveSource> {
    Ok(ActiveSource {
        source: Arc::new(Enedis::new(EnedisSettings {
            name: "enedis".to_owned(),
            base_url: "http://localhost/".parse()?,
            apis: vec![Api::V2026],
            client_id: "id".to_owned(),
            client_secret: "secret".into(),
            user_agent: Enedis::user_agent(),
        })),
        transport: Arc::new(Nowhere),
        limits: Limits { per_second: 5, per_hour: Some(per_hour), per_day: None },
        cached: None,
    })
}

/// Megabytes, by the name that the kernel gives them.
pub(crate) fn memory(name: &str) -> Outcome<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let found = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kilobytes: f64 = found.ok_or("Linux tells it")?.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes / 1024.0)
}

/// Lets the kernel measure the peak anew.
pub(crate) fn forget_peak() {
    // Without the right to do so the peak is that of everything before, which is larger, not smaller.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}
