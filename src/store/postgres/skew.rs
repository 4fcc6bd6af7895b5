//! Whose time it is.
//!
//! Several instances share a budget, so its time must be one: the server's. This store measures how
//! far the server's clock is ahead of the machine's and converts at the border, so that everybody
//! above it sees the machine's time and everything below it has the server's. Where time is
//! injected, as in tests and simulations, the caller's time is taken as it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use sqlx::{PgConnection, Row as _};

use super::connect::Server;
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
        let ahead = server.run(Kind::Read, patience, clock, |link, clock, _| {
            Box::pin(async move { Ok(ahead(&mut link.conn, &**clock).await?) })
        });
        self.ms.store(ahead.await?, Ordering::Relaxed);
        Ok(())
    }

    /// The same on a connection that is new: after a failover it may be another server's clock.
    pub(super) async fn measure_on(&self, conn: &mut PgConnection, clock: &dyn Clock) -> Result<(), sqlx::Error> {
        if self.of == TimeOf::Server {
            self.ms.store(ahead(conn, clock).await?, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// How far the server's clock is ahead, by the quickest of some answers.
async fn ahead(conn: &mut PgConnection, clock: &dyn Clock) -> Result<i64, sqlx::Error> {
    let mut best = None;
    for _ in 0..SAMPLES {
        let (before, asked) = (clock.now().timestamp_millis(), clock.monotonic());
        // Without parameters, since a pooler may give each message to another server.
        let shown: i64 = sqlx::raw_sql(sql::NOW).fetch_one(&mut *conn).await?.try_get(0)?;
        let took = clock.monotonic().saturating_sub(asked);
        let half = i64::try_from(took.as_millis() / 2).unwrap_or_default();
        if best.is_none_or(|(quickest, _)| took < quickest) {
            best = Some((took, shown - (before + half)));
        }
    }
    Ok(best.map_or(0, |(_, ahead)| ahead))
}
