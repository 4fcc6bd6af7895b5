//! Transactions: each in a task of its own, and done again where nobody knows how it ended.
//!
//! A server is restarted, fails over or drops connections, and that is ordinary. So a transaction
//! that failed for such a reason is done again, waiting a little longer each time, until patience
//! ends. Where the connection broke while `COMMIT` was on its way, the transaction may have been
//! committed; what it would have returned is kept and handed to the next attempt, which finds out
//! (the journal's line says so) and never does anything twice. Waiting is by the injected clock;
//! only the limits of what a server may take to answer are real time.
//!
//! Nobody can drop a transaction half-way: the one who waits for it may go, the task goes on.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::{AssertSqlSafe, Executor as _};

use super::connect::{Link, Server};
use super::errors::{self, Fault};
use super::sql;
use crate::store::StoreError;

/// What a transaction does with its connection and what it was given, and with what an earlier
/// attempt would have returned whose end nobody knows: it has to find out, and to return that where
/// it was committed.
pub(super) type Work<I, T> = for<'c> fn(&'c mut Link, &'c I, Option<&'c T>) -> BoxFuture<'c, Result<T, StoreError>>;

/// What a transaction is for, which decides how it begins and how long it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It only reads: all its statements see the same instant.
    Read,
    /// It writes.
    Write,
    /// It writes, and much: no statement is cut short.
    Bulk,
    /// It reads of everything a little.
    Survey,
    /// It reads everything, however long that takes.
    Unload,
}

impl Kind {
    fn only_reads(self) -> bool {
        matches!(self, Self::Read | Self::Survey | Self::Unload)
    }

    /// How long all of it may take.
    fn silence(self) -> Duration {
        match self {
            Self::Read | Self::Write => SILENCE,
            Self::Bulk | Self::Survey => LONG_SILENCE,
            Self::Unload => A_DAY,
        }
    }
}

/// How long trouble is waited out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Of a pass: as long as a restart or a failover takes.
    Long,
    /// Of somebody who wants to see something now.
    Short,
    /// None: who opens a database is told at once.
    None,
}

impl Patience {
    fn total(self) -> Duration {
        match self {
            Self::Long => Duration::from_mins(3),
            Self::Short => Duration::from_secs(3),
            Self::None => Duration::ZERO,
        }
    }
}

/// The server ends a statement that takes longer.
const STATEMENT: Duration = Duration::from_secs(25);

/// A server that says nothing for longer has stopped.
const SILENCE: Duration = Duration::from_secs(30);

/// The same where much is to be done.
const LONG_SILENCE: Duration = Duration::from_mins(15);

/// Longer than anybody waits.
const A_DAY: Duration = Duration::from_hours(24);

/// The first wait after trouble, and the longest.
const WAITS: (Duration, Duration) = (Duration::from_millis(40), Duration::from_secs(2));

/// Attempts where others are in the way.
const CONFLICTS: u32 = 20;

/// Attempts of a pass where the server is too slow: each has taken as long as a statement may, and more of them
/// would only keep the server from what it is busy with.
const SLOW: u32 = 3;

/// An attempt that failed.
struct Failed<T> {
    error: StoreError,
    /// What it would have returned, where it may have been committed all the same.
    unconfirmed: Option<T>,
}

impl<T> From<StoreError> for Failed<T> {
    fn from(error: StoreError) -> Self {
        Self { error, unconfirmed: None }
    }
}

impl Server {
    /// Runs one transaction: all of it or nothing, once.
    pub(super) async fn run<I, T>(
        self: &Arc<Self>,
        kind: Kind,
        patience: Patience,
        input: I,
        work: Work<I, T>,
    ) -> Result<T, StoreError>
    where
        I: Send + Sync + 'static,
        T: Send + Sync + 'static,
    {
        let server = Arc::clone(self);
        let task = tokio::spawn(async move { server.insist(kind, patience, &input, work).await });
        task.await.map_err(|_| StoreError::Database(sqlx::Error::WorkerCrashed))?
    }

    async fn insist<I, T>(&self, kind: Kind, patience: Patience, input: &I, work: Work<I, T>) -> Result<T, StoreError> {
        let mut kept: Option<T> = None;
        let mut since: Option<Duration> = None;
        let mut wait = WAITS.0;
        let (mut conflicts, mut slow) = (0, 0);
        loop {
            let failed = match self.attempt(kind, input, work, kept.as_ref()).await {
                Ok(value) => {
                    if self.troubled.swap(false, Ordering::Relaxed) {
                        tracing::info!("the database answers again");
                    }
                    return Ok(value);
                }
                Err(failed) => failed,
            };
            kept = failed.unconfirmed.or(kept);
            let fault = match errors::fault_of(&failed.error) {
                // The rows of an attempt that was believed lost came late: looked at again they are no news.
                Fault::Final if kept.is_some() && kind == Kind::Bulk && errors::is_duplicate(&failed.error) => {
                    Fault::Conflict
                }
                fault => fault,
            };
            let now = self.clock.monotonic();
            let waited = now.saturating_sub(*since.get_or_insert(now));
            let again = match fault {
                Fault::Final => false,
                Fault::Conflict | Fault::Stale => {
                    conflicts += 1;
                    patience != Patience::None && conflicts < CONFLICTS
                }
                Fault::Slow => {
                    slow += 1;
                    patience == Patience::Long && slow < SLOW
                }
                Fault::Lost | Fault::ReadOnly | Fault::Crowded => waited < patience.total(),
            };
            let explained = errors::explain(&self.address.place, failed.error);
            if !again {
                return Err(explained);
            }
            if matches!(fault, Fault::Lost | Fault::ReadOnly | Fault::Slow)
                && !self.troubled.swap(true, Ordering::Relaxed)
            {
                tracing::warn!("waiting for the database: {explained}");
            }
            // Those who failed together must not come back together.
            self.clock.sleep(wait.mul_f64(0.5 + fastrand::f64())).await;
            wait = (wait * 2).min(WAITS.1);
        }
    }

    async fn attempt<I, T>(&self, kind: Kind, input: &I, work: Work<I, T>, kept: Option<&T>) -> Result<T, Failed<T>> {
        let (mut link, _permit) = self.link().await?;
        let whole = async {
            link.conn.execute(sqlx::raw_sql(AssertSqlSafe(begin(kind, self.address.schema.as_deref())))).await?;
            work(&mut link, input, kept).await
        };
        let done = tokio::time::timeout(kind.silence(), whole).await.unwrap_or_else(|_| Err(silence()));
        let value = match done {
            Ok(value) => value,
            Err(error) => {
                // One that takes no writes may not be the server that the address means by now: who keeps a connection
                // to a primary of yesterday never meets today's.
                if matches!(errors::fault_of(&error), Fault::Lost | Fault::ReadOnly) {
                    self.forget();
                } else if self.end(&mut link, SILENCE, sql::ROLLBACK).await.is_ok()
                    && errors::fault_of(&error) != Fault::Stale
                {
                    self.give_back(link);
                }
                return Err(error.into());
            }
        };
        match self.end(&mut link, kind.silence(), sql::COMMIT).await {
            Ok(()) => {
                self.give_back(link);
                Ok(value)
            }
            // It saw everything that it wanted to.
            Err(_) if kind.only_reads() => Ok(value),
            Err(error) => {
                self.forget();
                let unknown = errors::fault_of(&error) == Fault::Lost;
                Err(Failed { error, unconfirmed: unknown.then_some(value) })
            }
        }
    }

    async fn end(&self, link: &mut Link, within: Duration, how: &'static str) -> Result<(), StoreError> {
        match tokio::time::timeout(within, link.conn.execute(sqlx::raw_sql(how))).await {
            Ok(done) => done.map(drop).map_err(StoreError::Database),
            Err(_) => Err(silence()),
        }
    }
}

fn silence() -> StoreError {
    let silent = std::io::Error::new(std::io::ErrorKind::TimedOut, "the server fell silent");
    StoreError::Database(sqlx::Error::Io(silent))
}

/// The beginning of a transaction, with all that a session would have been told.
fn begin(kind: Kind, schema: Option<&str>) -> String {
    let mut text = if kind.only_reads() { sql::BEGIN_READ } else { sql::BEGIN_WRITE }.to_owned();
    let limit = match kind {
        Kind::Read | Kind::Write => STATEMENT.as_millis(),
        Kind::Bulk | Kind::Survey | Kind::Unload => 0,
    };
    let _infallible = write!(text, "; SET LOCAL statement_timeout = {limit}");
    if let Some(schema) = schema {
        let _infallible = write!(text, "; SET LOCAL search_path TO {}", quoted(schema));
    }
    text
}

/// A name as SQL has it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_tells_the_server_all_that_a_session_would() {
        let text = begin(Kind::Write, Some("my \"home\""));
        assert!(text.contains("SET LOCAL statement_timeout = 25000"), "{text}");
        assert!(text.ends_with("SET LOCAL search_path TO \"my \"\"home\"\"\""), "{text}");
        assert!(begin(Kind::Read, None).contains("READ ONLY"));
    }
}
