//! Connections: how they are opened, kept, and used for one transaction at a time.
//!
//! There is one connection that writes. Its transactions begin immediate, so that they wait for a
//! lock instead of failing half-way, and each runs in a task of its own, so that nobody can drop
//! it in the middle. Reading has a connection of its own, which in WAL mode neither blocks nor is
//! blocked.
//!
//! **Connections are never closed.** When the last connection to a WAL file closes
//! cleanly, SQLite removes the `-wal` and `-shm` files, and after that a user who may only read
//! cannot open the database: there is no place for the shared memory. So connections are leaked
//! and the two files stay, small, for the reading group. A store lives as long as its process, so
//! this costs nothing.
//!
//! **Nothing here opens the database file by itself** while a connection is open: closing any
//! handle on a file drops all POSIX locks that the process holds on it, SQLite's included.

use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection};

use super::{errors, sql};
use crate::store::StoreError;

/// How long a lock of another program is waited for: a dashboard may hold it for half a minute.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a transaction does with its connection.
pub(super) type Work<'c, T> = BoxFuture<'c, Result<T, StoreError>>;

/// How work that begins its transaction by itself leaves it.
#[derive(Debug)]
pub(super) enum End<T> {
    /// To be committed.
    Open(T),
    /// Its last statement was `COMMIT`.
    Committed(T),
}

/// How a file is opened.
pub(super) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(PATIENCE)
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Full)
        .pragma("trusted_schema", "OFF")
        // A reader that holds a snapshot for hours lets the WAL grow; it shrinks back to this.
        .pragma("journal_size_limit", "1048576")
        // Reading thousands of rows should not stop at each fifty to wake the one who reads them.
        .row_buffer_size(1024)
        // Statements with hundreds of rows are long; three of them and the short ones fit.
        .statement_cache_capacity(48)
        .disable_statement_logging()
}

/// Whether transactions of a connection write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// It is the one that writes.
    Write,
    /// It only reads.
    Read,
}

/// A connection that outlives errors.
#[derive(Debug)]
pub(super) struct Connection {
    path: PathBuf,
    place: String,
    access: Access,
    inner: ManuallyDrop<SqliteConnection>,
    /// Which file it is open on, to notice when that is deleted or replaced.
    file: Option<FileId>,
    /// A transaction may be open: something went wrong in the middle of it.
    open: bool,
    /// Opened anew before it is used again.
    broken: bool,
}

impl Connection {
    /// Opens a file that exists.
    pub(super) async fn open(path: &Path, place: &str, access: Access) -> Result<Self, StoreError> {
        let inner = ManuallyDrop::new(connect(path, access).await.map_err(|e| errors::explain(place, e))?);
        Ok(Self {
            path: path.to_owned(),
            place: place.to_owned(),
            access,
            inner,
            file: FileId::of(path),
            open: false,
            broken: false,
        })
    }

    /// The bare connection, for what cannot run inside a transaction.
    pub(super) fn bare(&mut self) -> &mut SqliteConnection {
        &mut self.inner
    }

    /// As after an error of the disk.
    #[cfg(test)]
    pub(super) fn pretend_broken(&mut self) {
        self.broken = true;
    }

    /// Runs one transaction: all of it or nothing.
    pub(super) async fn transaction<T, F>(&mut self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T> + Send + 'static,
    {
        let begin = if self.access == Access::Write { sql::BEGIN_WRITE } else { sql::BEGIN_READ };
        self.run(Some(begin), |conn| Box::pin(async move { Ok(End::Open(work(conn).await?)) })).await
    }

    /// The same for work that sends `BEGIN` with its first statement, and perhaps `COMMIT` with its
    /// last one.
    pub(super) async fn whole_transaction<T, F>(&mut self, work: F) -> Result<T, StoreError>
    where
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, End<T>>,
    {
        self.run(None, work).await
    }

    async fn run<T, F>(&mut self, begin: Option<&'static str>, work: F) -> Result<T, StoreError>
    where
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, End<T>>,
    {
        let done = self.attempt(begin, work).await;
        if let Err(error) = &done {
            self.broken |= errors::breaks_connection(error);
            self.roll_back().await;
        }
        done.map_err(|error| errors::explain(&self.place, error))
    }

    async fn attempt<T, F>(&mut self, begin: Option<&'static str>, work: F) -> Result<T, StoreError>
    where
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, End<T>>,
    {
        if self.open {
            self.roll_back().await;
        }
        if self.broken {
            self.reopen().await?;
        }
        self.same_file()?;
        self.open = true;
        if let Some(begin) = begin {
            sqlx::query(begin).execute(&mut *self.inner).await?;
        }
        let value = match work(&mut self.inner).await? {
            End::Committed(value) => value,
            End::Open(value) => {
                sqlx::query(sql::COMMIT).execute(&mut *self.inner).await?;
                value
            }
        };
        self.open = false;
        Ok(value)
    }

    /// Ends what may be open. SQLite has often done so by itself, hence errors mean nothing.
    async fn roll_back(&mut self) {
        let _ = sqlx::query(sql::ROLLBACK).execute(&mut *self.inner).await;
        self.open = false;
    }

    /// Moves the WAL into the file and empties it, unless somebody reads just now: then the next
    /// pass does. What was committed is safe either way.
    pub(super) async fn checkpoint(&mut self) -> Result<(), StoreError> {
        let conn = &mut *self.inner;
        let done = async {
            sqlx::query(sql::PATIENCE_SHORT).execute(&mut *conn).await?;
            sqlx::query(sql::CHECKPOINT).execute(&mut *conn).await
        }
        .await;
        let restored = sqlx::query(sql::PATIENCE_LONG).execute(&mut *conn).await;
        match done.and(restored) {
            Ok(_) => Ok(()),
            Err(error) if matches!(errors::code(&error), Some(5 | 6)) => Ok(()),
            Err(error) => Err(errors::explain(&self.place, StoreError::Database(error))),
        }
    }

    /// The same with patience; whether nothing is left in the WAL.
    pub(super) async fn emptied(&mut self) -> Result<bool, StoreError> {
        let done: Result<(i64, i64, i64), _> = sqlx::query_as(sql::CHECKPOINT).fetch_one(&mut *self.inner).await;
        match done {
            Ok((busy, ..)) => Ok(busy == 0),
            Err(error) if matches!(errors::code(&error), Some(5 | 6)) => Ok(false),
            Err(error) => Err(errors::explain(&self.place, StoreError::Database(error))),
        }
    }

    /// Gives back the memory that pages of the last pass take: a daemon rests for most of the day.
    pub(super) async fn shrink(&mut self) {
        // It is only memory: what could go wrong here shows at the next statement.
        let _ = sqlx::query(sql::SHRINK).execute(&mut *self.inner).await;
    }

    /// Replaces the connection after an error of the disk. The new one is there before the old one
    /// is closed, so that the old one is not the last and leaves the WAL alone.
    async fn reopen(&mut self) -> Result<(), StoreError> {
        let new = connect(&self.path, self.access).await?;
        let old = ManuallyDrop::into_inner(std::mem::replace(&mut self.inner, ManuallyDrop::new(new)));
        drop(old);
        self.broken = false;
        Ok(())
    }

    fn same_file(&self) -> Result<(), StoreError> {
        if self.file.is_some() && FileId::of(&self.path) != self.file {
            return Err(StoreError::NotWritable {
                place: self.place.clone(),
                reason: "the file was deleted or replaced while linkyd runs; put it back or start linkyd again"
                    .to_owned(),
            });
        }
        Ok(())
    }
}

async fn connect(path: &Path, access: Access) -> Result<SqliteConnection, StoreError> {
    let mut conn = options(path).read_only(access == Access::Read).connect().await?;
    // Touches the file, so that an old connection that closes now is not the last one.
    let _: (i64,) = sqlx::query_as(sql::USER_VERSION).fetch_one(&mut conn).await?;
    Ok(conn)
}

/// What tells one file from another of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId(u64, u64);

impl FileId {
    #[cfg(unix)]
    fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(path).ok().map(|m| Self(m.dev(), m.ino()))
    }

    #[cfg(not(unix))]
    fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|_| Self(0, 0))
    }
}
