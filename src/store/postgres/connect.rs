//! Connections to a server: how they are made, kept, and given out for one transaction at a time.
//!
//! A handful of connections is enough, since the pace of the sources bounds what there is to
//! store. Nothing is kept in a session: everything that a transaction needs it sets for itself, so
//! that a pooler such as `PgBouncer` may stand in between and give each transaction to another
//! connection of its own. Such a pooler may also mix up prepared statements, hence they are kept
//! only where the session is found to be ours: a parameter that poolers refuse or ignore is sent
//! along with the login and then asked for.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::query::{Query, QueryAs};
use sqlx::{ConnectOptions as _, Connection as _, FromRow, Postgres, Row as _};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::address::Address;
use super::skew::{Skew, TimeOf};
use super::{errors, sql};
use crate::clock::Clock;
use crate::store::StoreError;

/// Connections at the same time at most.
const CONNECTIONS: usize = 4;

/// The oldest version of the server that is understood, as the server counts.
const OLDEST_SERVER: u32 = 140_000;

/// A connection that rested for longer is asked for a sign of life: something in between may have
/// forgotten it.
const RESTED: Duration = Duration::from_secs(30);

/// How long a sign of life may take.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// What the driver sends as `extra_float_digits`; no server of today has it as its own value.
const MARK: &str = "2";

/// A connection.
pub(super) struct Link {
    pub(super) conn: PgConnection,
    /// Whether statements may be kept prepared.
    prepared: bool,
    /// When it was last used (monotonic).
    used: Duration,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("prepared", &self.prepared).finish_non_exhaustive()
    }
}

impl Link {
    /// A statement, to be bound and run on [`Link::conn`].
    pub(super) fn query<'q>(&self, statement: &'static str) -> Query<'q, Postgres, PgArguments> {
        sqlx::query(statement).persistent(self.prepared)
    }

    /// A statement whose rows become tuples.
    pub(super) fn query_as<'q, O: for<'r> FromRow<'r, PgRow>>(
        &self,
        statement: &'static str,
    ) -> QueryAs<'q, Postgres, O, PgArguments> {
        sqlx::query_as(statement).persistent(self.prepared)
    }

    /// Whether a pooler stands between the server and us, or may.
    pub(super) fn pooled(&self) -> bool {
        !self.prepared
    }
}

/// The server, and the connections to it that are there.
pub(super) struct Server {
    pub(super) address: Address,
    pub(super) clock: Arc<dyn Clock>,
    /// How far the clock of the server is from that of the machine.
    pub(super) skew: Arc<Skew>,
    idle: Mutex<Vec<Link>>,
    permits: Semaphore,
    /// The login must hold nothing unusual.
    bare: AtomicBool,
    /// Something failed, and the log knows.
    pub(super) troubled: AtomicBool,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Server {
    pub(super) fn new(address: Address, clock: Arc<dyn Clock>, time_of: TimeOf) -> Self {
        Self {
            address,
            clock,
            skew: Arc::new(Skew::new(time_of)),
            idle: Mutex::default(),
            permits: Semaphore::new(CONNECTIONS),
            bare: AtomicBool::new(false),
            troubled: AtomicBool::new(false),
        }
    }

    /// A connection, and the right to have it.
    pub(super) async fn link(&self) -> Result<(Link, SemaphorePermit<'_>), StoreError> {
        let permit = self.permits.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
        while let Some(mut link) = self.rested() {
            if self.clock.monotonic().saturating_sub(link.used) < RESTED {
                return Ok((link, permit));
            }
            if let Ok(Ok(())) = tokio::time::timeout(SIGN_OF_LIFE, link.conn.ping()).await {
                return Ok((link, permit));
            }
        }
        Ok((self.connect().await?, permit))
    }

    fn rested(&self) -> Option<Link> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Takes a sound connection back.
    pub(super) fn give_back(&self, mut link: Link) {
        link.used = self.clock.monotonic();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(link);
    }

    /// One connection was lost, so others are not to be trusted.
    pub(super) fn forget(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    async fn connect(&self) -> Result<Link, StoreError> {
        match self.log_in().await {
            Err(StoreError::Database(error)) if refuses_parameter(&error) && !self.bare.load(Ordering::Relaxed) => {
                self.bare.store(true, Ordering::Relaxed);
                self.log_in().await
            }
            Err(StoreError::Database(sqlx::Error::Io(io))) => Err(match self.address.unreadable() {
                // No failure of the network, and nothing that passes.
                Some(reason) => StoreError::Unreachable { place: self.address.place.clone(), reason },
                None => sqlx::Error::Io(io).into(),
            }),
            other => other,
        }
    }

    async fn log_in(&self) -> Result<Link, StoreError> {
        let mark = (!self.bare.load(Ordering::Relaxed)).then_some(2);
        let options = self.address.options.clone().extra_float_digits(mark);
        let log_in = async {
            let mut conn = options.connect().await?;
            // Without parameters, since a pooler may give each message to another server.
            let row = sqlx::raw_sql(sql::SESSION).fetch_one(&mut conn).await?;
            let version: Option<u32> = row.try_get::<String, _>(0)?.parse().ok();
            let ours = mark.is_some() && row.try_get::<String, _>(1)? == MARK;
            self.skew.measure_on(&mut conn, &*self.clock).await?;
            Ok::<_, sqlx::Error>((conn, version, ours))
        };
        let (conn, version, ours) = tokio::time::timeout(self.address.connect_timeout, log_in)
            .await
            .map_err(|_| sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time")))??;
        if version.is_some_and(|version| version < OLDEST_SERVER) {
            let (found, oldest) = (version.unwrap_or_default() / 10_000, OLDEST_SERVER / 10_000);
            return Err(StoreError::Unreachable {
                place: self.address.place.clone(),
                reason: format!("the server is PostgreSQL {found}; linkyd needs {oldest} or newer"),
            });
        }
        Ok(Link { conn, prepared: ours && self.address.prepared, used: self.clock.monotonic() })
    }
}

fn refuses_parameter(error: &sqlx::Error) -> bool {
    errors::code(error).is_some_and(|code| code.starts_with("08") || code == "42704" || code == "0A000")
        && error.as_database_error().is_some_and(|said| said.message().contains("startup parameter"))
}
