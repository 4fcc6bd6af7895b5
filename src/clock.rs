//! Time comes in from outside.
//!
//! [`Clock`] is the machine's: pace, budgets and waits follow it. [`Calendar`] says which instant
//! the user means: the machine's, or the one given with `--at`. The calendar decides which day it
//! is, what is published and what is due again, and it stamps days and series; it can never be
//! used to spend more calls, because nothing that counts calls looks at it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

/// The machine's time: a wall clock that may step, and a monotonic one that never does.
#[async_trait]
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Wall time.
    fn now(&self) -> DateTime<Utc>;

    /// Time since some fixed point in the past; never goes back.
    fn monotonic(&self) -> Duration;

    /// Returns once [`Clock::monotonic`] has reached `until`.
    async fn sleep_until(&self, until: Duration);

    /// Returns after `wait`.
    async fn sleep(&self, wait: Duration) {
        self.sleep_until(self.monotonic().saturating_add(wait)).await;
    }
}

/// The clock of the machine.
#[derive(Debug)]
pub struct SystemClock {
    origin: std::time::Instant,
}

impl SystemClock {
    /// The machine's clock; its monotonic time counts from now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place where the machine's clock is read")]
    pub fn new() -> Self {
        Self { origin: std::time::Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the machine's clock is read")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }

    async fn sleep_until(&self, until: Duration) {
        tokio::time::sleep_until(tokio::time::Instant::from_std(self.origin + until)).await;
    }
}

/// A clock for tests and simulations: it moves only when told, and a sleeper moves it to the end
/// of its sleep at once.
#[derive(Debug)]
pub struct ManualClock {
    state: Mutex<(DateTime<Utc>, Duration)>,
}

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn new(now: DateTime<Utc>) -> Self {
        Self { state: Mutex::new((now, Duration::ZERO)) }
    }

    /// Moves wall time and monotonic time on.
    pub fn advance(&self, by: Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 += TimeDelta::from_std(by).unwrap_or_default();
        state.1 += by;
    }

    /// Sets the wall time alone, as NTP or an operator does.
    pub fn step_to(&self, now: DateTime<Utc>) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0 = now;
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    fn monotonic(&self) -> Duration {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    async fn sleep_until(&self, until: Duration) {
        let wait = until.saturating_sub(self.monotonic());
        self.advance(wait);
        tokio::task::yield_now().await;
    }
}

/// Which instant the user means.
#[derive(Debug, Clone)]
pub struct Calendar {
    clock: Arc<dyn Clock>,
    shift: TimeDelta,
}

impl Calendar {
    /// The machine's time, or `at` from now on.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, at: Option<DateTime<Utc>>) -> Self {
        let shift = at.map_or(TimeDelta::zero(), |at| at - clock.now());
        Self { clock, shift }
    }

    /// The instant it is, as far as days are concerned.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now() + self.shift
    }
}
