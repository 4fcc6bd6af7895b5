//! The heartbeat: once a minute it says "look at the clock", and nothing else.
//!
//! The scheduler behind it knows cron expressions and time zones, but its zones are wrong across
//! clock changes. So it has one job, in UTC, every minute; whether something is due is for
//! [`crate::plan::wake`] to say.
//!
//! Left to itself it would wake the processor several times a second for good. It lives in a thread
//! of its own, whose runtime is only driven around the full minute and once in between, long
//! enough for one of its looks at the clock. What it does there can neither delay nor hurt the
//! daemon; should it ever fall silent, as it does for hours after a clock was set back,
//! [`Heartbeat::beat`] returns all the same.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use chrono::Timelike as _;
use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use crate::clock::Clock;

/// The start of each minute, in UTC.
const EACH_MINUTE: &str = "0 * * * * *";

/// After this long without a beat the daemon looks by itself.
const PATIENCE: Duration = Duration::from_secs(75);

/// How long the scheduler is let run: it looks at the clock every half a second.
const LOOK: Duration = Duration::from_millis(650);

/// At most this long between two looks, so that a machine that slept is noticed soon.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// Something that beats once a minute.
#[derive(Debug)]
pub struct Heartbeat {
    beat: Arc<Notify>,
    /// Ends with the process.
    _thread: io::Result<JoinHandle<()>>,
}

impl Heartbeat {
    /// Starts it. Without a scheduler the beat is slower, and that is all.
    #[must_use]
    pub fn start(clock: Arc<dyn Clock>) -> Self {
        let beat = Arc::new(Notify::new());
        let told = Arc::clone(&beat);
        let thread = thread::Builder::new().name("heartbeat".to_owned()).spawn(move || drive(&*clock, &told));
        if let Err(error) = &thread {
            tracing::warn!(%error, "no thread for the scheduler; linkyd looks at the clock by itself");
        }
        Self { beat, _thread: thread }
    }

    /// Returns at the next beat, or when there should have been one.
    pub async fn beat(&self, clock: &dyn Clock) {
        tokio::select! {
            () = self.beat.notified() => {}
            () = clock.sleep(PATIENCE) => tracing::debug!("no heartbeat came; looking all the same"),
        }
    }
}

/// Lets the scheduler look at the clock, for ever.
fn drive(clock: &dyn Clock, beat: &Arc<Notify>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::warn!(%error, "the scheduler has no runtime; linkyd looks at the clock by itself");
            return;
        }
    };
    // It tells of its own setting up, which concerns nobody.
    let quiet = tracing::subscriber::NoSubscriber::new();
    let scheduler = tracing::subscriber::with_default(quiet, || runtime.block_on(scheduler(Arc::clone(beat))));
    let _scheduler = match scheduler {
        Ok(scheduler) => scheduler,
        Err(error) => {
            tracing::warn!(%error, "the scheduler does not start; linkyd looks at the clock by itself");
            return;
        }
    };
    loop {
        runtime.block_on(clock.sleep(LOOK));
        let to_the_minute = Duration::from_secs(u64::from(60 - clock.now().second().min(59)));
        thread::sleep(to_the_minute.min(LONGEST_REST));
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
