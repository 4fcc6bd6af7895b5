//! Turns at writing: the lock of the database is held for a pass, not for life.
//!
//! So `linkyd sync` and whoever else writes find their turn between two passes, and a pass waits
//! for them. Nobody is told to come back later as long as it is only a matter of waiting.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::store::StoreError;
use crate::store::lock::{DAEMON, ProcessLock};

/// How long until a lock that was held is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// Where turns are taken.
#[derive(Debug, Clone)]
pub struct Turns {
    /// The database, where it is a file that one process writes at a time.
    database: Option<PathBuf>,
    clock: Arc<dyn Clock>,
}

/// A turn: as long as it lives nobody else writes.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "holds the lock until it is dropped")] Option<ProcessLock>);

impl Turns {
    /// Turns at a database that is a file, or at one that needs none.
    #[must_use]
    pub fn new(database: Option<PathBuf>, clock: Arc<dyn Clock>) -> Self {
        Self { database, clock }
    }

    /// Waits for a turn; `queued` is told once when there is somebody to wait for. `None` where
    /// `stop` came first.
    pub async fn take(&self, stop: &CancellationToken, queued: impl FnOnce()) -> Result<Option<Turn>, StoreError> {
        let Some(database) = &self.database else { return Ok(Some(Turn(None))) };
        let mut queued = Some(queued);
        loop {
            match ProcessLock::take(database, DAEMON) {
                Ok(lock) => return Ok(Some(Turn(Some(lock)))),
                Err(busy @ StoreError::Busy { .. }) => {
                    if let Some(queued) = queued.take() {
                        tracing::info!("a pass is due and waits: {busy}");
                        queued();
                    }
                }
                Err(error) => return Err(error),
            }
            tokio::select! {
                () = self.clock.sleep(AGAIN) => {}
                () = stop.cancelled() => return Ok(None),
            }
        }
    }
}
