//! Where a history is kept, and opening it: one place for what the two kinds of databases differ
//! in before they are a [`Store`].

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::copy::Bulk;
use super::postgres::{Address, PostgresStore, TimeOf};
use super::sqlite::SqliteStore;
use super::{Forget, Forgotten, Store, StoreError, lock, postgres, sqlite};
use crate::clock::Clock;
use crate::domain::{Dataset, Day, Prm, Values};

/// What a database is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// To write, creating what is not there and bringing it up to date.
    Create,
    /// To write what exists, bringing it up to date.
    Write,
    /// To read only: takes no lock, changes nothing, needs the newest schema.
    Read,
}

/// Something in a database that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was found, in words, without personal data.
    pub what: String,
}

impl Finding {
    /// So many of something that must not be; `None` where there are none.
    pub(super) fn counted<N: Copy + Default + PartialOrd + fmt::Display>(count: N, what: &str) -> Option<Self> {
        (count > N::default()).then(|| Self { what: format!("{count} × {what}") })
    }

    /// So many days of which there must be none, with one of them by meter and dataset, and how to mend it.
    pub(super) fn of_days(count: i64, what: &str, (meter, dataset, day): (&str, &str, Day)) -> Self {
        let again = format!("linkyd sync --refetch --dataset {dataset} --from {day} --to {day}");
        Self {
            what: format!(
                "{count} × {what}, the newest of {meter}, {dataset}, {day}; `{again}` asks for that one again"
            ),
        }
    }
}

/// Where a history is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In an SQLite file. A relative path counts from the working directory.
    File(PathBuf),
    /// On a PostgreSQL server.
    Server(Box<Address>),
}

impl Place {
    /// The file, where it is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Server(_) => None,
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Server(address) => f.write_str(address.place()),
        }
    }
}

/// An open database of either kind.
#[derive(Debug)]
pub enum Database {
    /// A file.
    File(Arc<SqliteStore>),
    /// A schema on a server.
    Server(Arc<PostgresStore>),
}

impl Database {
    /// Opens a database. `command` is what this process does (`linkyd run`): others are told so while
    /// they wait for a file, and a server shows it beside the connections.
    pub async fn open(place: &Place, mode: Mode, command: &str, clock: &Arc<dyn Clock>) -> Result<Self, StoreError> {
        match place {
            Place::File(path) => Ok(Self::File(Arc::new(SqliteStore::open(path, mode, command).await?))),
            Place::Server(address) => {
                let address = Address::clone(address).named(command);
                let store = PostgresStore::open(address, mode, TimeOf::Server, Arc::clone(clock)).await?;
                Ok(Self::Server(Arc::new(store)))
            }
        }
    }

    /// The same to read only, or `None` where there is nothing of linkyd's yet.
    pub async fn open_if_there(
        place: &Place,
        command: &str,
        clock: &Arc<dyn Clock>,
    ) -> Result<Option<Self>, StoreError> {
        let there = match place {
            Place::File(path) => path.try_exists().map_err(|error| StoreError::Unreachable {
                place: place.to_string(),
                reason: format!("it cannot be looked for: {error}"),
            })?,
            Place::Server(address) => PostgresStore::is_there(address, clock).await?,
        };
        if there { Ok(Some(Self::open(place, Mode::Read, command, clock).await?)) } else { Ok(None) }
    }

    /// What the engine works with.
    #[must_use]
    pub fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::File(store) => Arc::<SqliteStore>::clone(store),
            Self::Server(store) => Arc::<PostgresStore>::clone(store),
        }
    }

    /// What whole tables are copied with.
    #[must_use]
    pub fn bulk(&self) -> Arc<dyn Bulk> {
        match self {
            Self::File(store) => Arc::<SqliteStore>::clone(store),
            Self::Server(store) => Arc::<PostgresStore>::clone(store),
        }
    }

    /// The newest schema of its kind, which it has once it is open.
    #[must_use]
    pub fn schema(&self) -> i64 {
        match self {
            Self::File(_) => sqlite::NEWEST_SCHEMA,
            Self::Server(_) => postgres::NEWEST_SCHEMA,
        }
    }

    /// Looks for damage and for rows that contradict each other; an empty list is good news.
    pub async fn check(&self) -> Result<Vec<Finding>, StoreError> {
        match self {
            Self::File(store) => store.check().await,
            Self::Server(store) => store.check().await,
        }
    }

    /// Deletes meters, or what is personal about customers, so that the files hold it no more; `now_ms` is the
    /// machine's time.
    pub async fn forget(&self, forget: Forget, now_ms: i64) -> Result<Forgotten, StoreError> {
        match self {
            Self::File(store) => store.forget(forget, now_ms).await,
            Self::Server(store) => store.forget(forget, now_ms).await,
        }
    }

    /// Every stored value of a series, ascending.
    pub async fn readings(&self, prm: &Prm, dataset: Dataset) -> Result<Values, StoreError> {
        match self {
            Self::File(store) => store.readings(prm, dataset).await,
            Self::Server(store) => store.readings(prm, dataset).await,
        }
    }

    /// Whether a daemon lives that keeps it up to date, as far as can be seen from here.
    pub async fn daemon_lives(&self) -> Result<bool, StoreError> {
        match self {
            Self::File(store) => Ok(lock::daemon_lives(store.path())),
            Self::Server(store) => store.daemon_lives().await,
        }
    }
}
