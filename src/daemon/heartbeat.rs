//! The heartbeat: once a minute it says "look at the clock", and nothing else.
//!
//! The scheduler behind it knows cron expressions and time zones, but its zones are wrong across
//! clock changes. So it has one job, in UTC, every minute; whether something is due is for
//! [`crate::plan::wake`] to say. It reads the wall clock twice a second, so a machine that wakes up
//! or a clock that is set is noticed at once. Should it ever fall silent, [`Heartbeat::beat`]
//! returns all the same.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use crate::clock::Clock;

/// The start of each minute, in UTC.
const EACH_MINUTE: &str = "0 * * * * *";

/// After this long without a beat the daemon looks by itself.
const PATIENCE: Duration = Duration::from_secs(90);

/// Something that beats once a minute.
pub struct Heartbeat {
    beat: Arc<Notify>,
    /// Stops when dropped.
    _scheduler: Option<JobScheduler>,
}

impl Heartbeat {
    /// Starts it. Without a scheduler the beat is slower, and that is all.
    pub async fn start() -> Self {
        let beat = Arc::new(Notify::new());
        match Self::scheduler(Arc::clone(&beat)).await {
            Ok(scheduler) => Self { beat, _scheduler: Some(scheduler) },
            Err(error) => {
                tracing::warn!(%error, "the scheduler does not start; linkyd looks at the clock by itself");
                Self { beat, _scheduler: None }
            }
        }
    }

    async fn scheduler(beat: Arc<Notify>) -> Result<JobScheduler, JobSchedulerError> {
        let mut scheduler = JobScheduler::new().await?;
        scheduler.init().await?;
        let job = Job::new_async(EACH_MINUTE, move |_, _| {
            beat.notify_one();
            Box::pin(async {})
        })?;
        scheduler.add(job).await?;
        scheduler.start().await?;
        Ok(scheduler)
    }

    /// Returns at the next beat, or when there should have been one.
    pub async fn beat(&self, clock: &dyn Clock) {
        tokio::select! {
            () = self.beat.notified() => {}
            () = clock.sleep(PATIENCE) => tracing::debug!("no heartbeat came; looking all the same"),
        }
    }
}

impl std::fmt::Debug for Heartbeat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Heartbeat")
    }
}
