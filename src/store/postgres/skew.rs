//! Whose time it is.
//!
//! Several instances share a budget, so its time must be one: the server's. This store measures how
//! far the server's clock is ahead of the machine's and converts at the border, so that everybody
//! above it sees the machine's time and everything below it has the server's. Where time is
//! injected, as in tests and simulations, the caller's time is taken as it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::connect::{Link, Server};
use super::sql;
use super::transaction::{Kind, Patience};
use crate::clock::Clock;
use crate::store::StoreError;

/// How often the server is asked for the time; the quickest answer is the best one.
const SAMPLES: usize = 3;

/// Whose clock counts calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeOf {
    /// The server's: the same for all instances.
    Server,
    /// The caller's, who answers for its being the same for all.
    Caller,
}

/// How far the server's clock is ahead of the machine's.
#[derive(Debug)]
pub(super) struct Skew {
    of: TimeOf,
    ms: AtomicI64,
}

impl Skew {
    pub(super) fn new(of: TimeOf) -> Self {
        Self { of, ms: AtomicI64::new(0) }
    }

    /// Milliseconds that the server is ahead.
    pub(super) fn ms(&self) -> i64 {
        self.ms.load(Ordering::Relaxed)
    }

    /// The machine's time as the server has it.
    pub(super) fn to_server(&self, ms: i64) -> i64 {
        ms.saturating_add(self.ms())
    }

    /// The server's time as the machine has it.
    pub(super) fn to_machine(&self, ms: i64) -> i64 {
        ms.saturating_sub(self.ms())
    }

    /// The time by which calls are counted: the server's, or the caller's.
    pub(super) fn now(&self, server_ms: i64, caller_ms: i64) -> i64 {
        match self.of {
            TimeOf::Server => server_ms,
            TimeOf::Caller => caller_ms,
        }
    }

    /// Looks at the server's clock.
    pub(super) async fn measure(&self, server: &Arc<Server>, patience: Patience) -> Result<(), StoreError> {
        if self.of == TimeOf::Caller {
            return Ok(());
        }
        let clock = Arc::clone(&server.clock);
        let ahead = server.run(Kind::Read, patience, clock, |link, clock, _| Box::pin(ahead(link, &**clock)));
        self.ms.store(ahead.await?, Ordering::Relaxed);
        Ok(())
    }
}

/// How far the server's clock is ahead, by the quickest of some answers.
async fn ahead(link: &mut Link, clock: &dyn Clock) -> Result<i64, StoreError> {
    let mut best = None;
    for _ in 0..SAMPLES {
        let (before, asked) = (clock.now().timestamp_millis(), clock.monotonic());
        let (shown,): (i64,) = link.query_as(sql::NOW).fetch_one(&mut link.conn).await?;
        let took = clock.monotonic().saturating_sub(asked);
        let half = i64::try_from(took.as_millis() / 2).unwrap_or_default();
        if best.is_none_or(|(quickest, _)| took < quickest) {
            best = Some((took, shown - (before + half)));
        }
    }
    Ok(best.map_or(0, |(_, ahead)| ahead))
}
