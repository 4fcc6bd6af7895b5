//! The store in one SQLite file.
//!
//! [`SqliteStore::open`] takes the process lock, creates or migrates the file and opens two
//! connections, one that writes and one that reads. Each method of [`Store`] is one transaction in
//! a task of its own, so that a caller who is dropped while it waits cannot tear it apart. What a
//! transaction does is in `setup` (configuration, calendar, windows), `commit` (answers), `ledger`
//! (the journal of calls), `effects` (what was learnt) and `facts` (everything that is read).

mod backup;
mod batch;
mod bulk;
mod calendar;
mod check;
mod commit;
mod connect;
mod consents;
mod customers;
mod effects;
mod errors;
mod facts;
mod forget;
mod ledger;
mod offpeak;
mod provenance;
mod raw;
mod readings;
mod rows;
mod schema;
mod setup;
mod sql;
mod status;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use async_trait::async_trait;
use sqlx::SqliteConnection;
use tokio::sync::Mutex;

pub use self::backup::{BackedUp, BackupError, backup};
pub(crate) use errors::MISSING_FOLDER;
pub use schema::NEWEST as NEWEST_SCHEMA;
#[cfg(test)]
pub(super) use schema::released;

pub use super::{Finding, Mode};

use self::connect::{Access, Connection, End, Work};
use super::lock::ProcessLock;
use super::owner;
use super::{
    Answer, Answered, Authorisation, Brought, CallEnd, CallId, ClosedCall, Committed, CustomerFacts, CustomerStatus,
    CustomerUpdate, Effect, Facts, Forget, Forgotten, HeldValues, Journey, KEPT_DAYS, KeptAnswer, MeterId, NewCall,
    NotKept, Pause, PutOff, Reserved, SeriesStatus, Setup, SourceId, SourceStatus, Spent, Spoilt, Store, StoreError,
    Switch, Tallied, UnclearHours, Warning, Window,
};
use crate::budget::Limits;
use crate::domain::reconcile::DayThreefold;
use crate::domain::{Dataset, Day, Direction, Prm, Values};
use crate::source::Pool;

/// The store in one SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    place: String,
    writer: Option<Arc<Mutex<Connection>>>,
    reader: Arc<Mutex<Connection>>,
    lock: std::sync::Mutex<Option<ProcessLock>>,
    /// For how many days answers are kept as they came.
    kept_days: AtomicI32,
}

/// The file that a `sqlite://…` address names, or what is wrong with the address.
///
/// `sqlite://linkyd.db` is relative to the working directory, `sqlite:///var/lib/linkyd/linkyd.db`
/// is absolute.
pub fn path_of_url(url: &str) -> Result<PathBuf, &'static str> {
    let rest = url.strip_prefix("sqlite:").ok_or("the address of an SQLite file starts with `sqlite://`")?;
    let path = rest.strip_prefix("//").unwrap_or(rest);
    match path {
        "" => Err("the address names no file; write it as `sqlite://linkyd.db` or `sqlite:///absolute/path`"),
        ":memory:" => Err("a database in memory would forget everything; name a file"),
        _ if path.contains(['?', '\0']) => Err("the address of an SQLite file takes no options; name just the file"),
        _ => Ok(PathBuf::from(path)),
    }
}

impl SqliteStore {
    /// Opens a file. `command` is what this process does (`linkyd run`), for the message that
    /// another linkyd shows while this one holds the lock.
    pub async fn open(path: &Path, mode: Mode, command: &str) -> Result<Self, StoreError> {
        let place = path.display().to_string();
        let lock = if mode == Mode::Read { None } else { Some(ProcessLock::take(path, command)?) };
        if !path.exists() {
            create(path, mode, &place)?;
        }
        // Looks first with a connection that cannot write: a file that is refused stays as it was.
        let mut reader = Connection::open(path, &place, Access::Read).await?;
        let version = schema::version(reader.bare(), &place).await.map_err(|e| errors::explain(&place, e))?;
        if mode == Mode::Read {
            if version < schema::NEWEST {
                return Err(StoreError::Older { place, found: version, known: schema::NEWEST });
            }
            let reader = Arc::new(Mutex::new(reader));
            return Ok(Self {
                path: path.to_owned(),
                place,
                writer: None,
                reader,
                lock: None.into(),
                kept_days: KEPT_DAYS.into(),
            });
        }
        let writer = prepare(path, &place, version).await.map_err(|e| errors::explain(&place, e))?;
        // Opened again: what it saw of an empty file was no WAL yet.
        let reader = Connection::open(path, &place, Access::Read).await?;
        let (writer, reader) = (Some(Arc::new(Mutex::new(writer))), Arc::new(Mutex::new(reader)));
        Ok(Self { path: path.to_owned(), place, writer, reader, lock: lock.into(), kept_days: KEPT_DAYS.into() })
    }

    /// Gives up the lock that [`SqliteStore::open`] took: from now on whoever uses this store takes
    /// it before writing ([`ProcessLock`]).
    pub fn unlock(&self) {
        *self.lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks for damage and for rows that contradict each other; an empty list is good news.
    pub async fn check(&self) -> Result<Vec<Finding>, StoreError> {
        self.read(|conn| Box::pin(check::check(conn))).await
    }

    /// Deletes meters, or what is personal about customers, from every page of the file; `now_ms` is the machine's.
    pub async fn forget(&self, forget: Forget, now_ms: i64) -> Result<Forgotten, StoreError> {
        let meters = self.write(move |conn| Box::pin(async move { forget::rows(conn, &forget, now_ms).await })).await?;
        let writer = Arc::clone(self.writer()?);
        let place = self.place.clone();
        let pages = tokio::spawn(async move { forget::pages(&mut *writer.lock().await).await });
        let swept = finished(pages).await.map_err(|error| errors::explain(&place, error))?;
        Ok(Forgotten { meters, swept, in_the_way: !swept, remains: forget::remains(swept) })
    }

    /// Every stored value of a series, ascending.
    pub async fn readings(&self, prm: &Prm, dataset: Dataset) -> Result<Values, StoreError> {
        let prm = prm.clone();
        self.read(move |conn| Box::pin(async move { readings::readings(conn, &prm, dataset).await })).await
    }

    /// Runs one transaction that writes, to its end whatever happens to the caller.
    async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T> + Send + 'static,
    {
        run(self.writer()?, work).await
    }

    /// The same for work whose statements begin the transaction and may end it.
    async fn write_whole<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, End<T>> + Send + 'static,
    {
        let writer = Arc::clone(self.writer()?);
        finished(tokio::spawn(async move { writer.lock().await.whole_transaction(work).await })).await
    }

    fn writer(&self) -> Result<&Arc<Mutex<Connection>>, StoreError> {
        self.writer.as_ref().ok_or_else(|| {
            let reason = "it was opened to read only".to_owned();
            StoreError::NotWritable { place: self.place.clone(), reason }
        })
    }

    /// Runs one transaction that reads: all its statements see the same instant.
    async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T> + Send + 'static,
    {
        run(&self.reader, work).await
    }
}

async fn run<T, F>(connection: &Arc<Mutex<Connection>>, work: F) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T> + Send + 'static,
{
    let connection = Arc::clone(connection);
    finished(tokio::spawn(async move { connection.lock().await.transaction(work).await })).await
}

async fn finished<T>(task: tokio::task::JoinHandle<Result<T, StoreError>>) -> Result<T, StoreError> {
    task.await.map_err(|_| StoreError::Database(sqlx::Error::WorkerCrashed))?
}

/// Creates an empty file with the modes that the reading group needs; SQLite gives them to the
/// `-wal` and `-shm` files as well.
fn create(path: &Path, mode: Mode, place: &str) -> Result<(), StoreError> {
    let unreachable = |reason: &str| StoreError::Unreachable { place: place.to_owned(), reason: reason.to_owned() };
    if mode != Mode::Create {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        return Err(if folder.is_some_and(|folder| !folder.exists()) {
            unreachable(MISSING_FOLDER)
        } else {
            unreachable("there is no such file yet; `linkyd sync` or `linkyd db migrate` creates it")
        });
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    let file = options.open(path).map_err(|error| unreachable(&format!("it cannot be created ({})", error.kind())))?;
    owner::follow(&file, path);
    Ok(())
}

/// Opens the connection that writes and brings the file up to date.
async fn prepare(path: &Path, place: &str, found: i64) -> Result<Connection, StoreError> {
    let mut writer = Connection::open(path, place, Access::Write).await?;
    let (journal,): (String,) = sqlx::query_as(sql::WAL).fetch_one(writer.bare()).await?;
    if journal != "wal" {
        let reason = "it cannot be used in WAL mode there; move it to a local file system".to_owned();
        return Err(StoreError::Unreachable { place: place.to_owned(), reason });
    }
    schema::migrate(writer.bare(), found).await?;
    Ok(writer)
}

#[async_trait]
impl Store for SqliteStore {
    async fn set_up(&self, setup: &Setup) -> Result<Vec<String>, StoreError> {
        let setup = setup.clone();
        self.write(move |conn| Box::pin(async move { setup::set_up(conn, &setup).await })).await
    }

    async fn serve(&self, switches: &[Switch]) -> Result<(), StoreError> {
        if switches.is_empty() {
            return Ok(());
        }
        let switches = switches.to_vec();
        self.write(move |conn| Box::pin(async move { setup::serve(conn, &switches).await })).await
    }

    async fn open_windows(&self, windows: &[Window], now: i64) -> Result<Vec<(MeterId, Dataset)>, StoreError> {
        let windows = windows.to_vec();
        self.write(move |conn| Box::pin(async move { setup::open_windows(conn, &windows, now).await })).await?;
        // Its facts tell of every day that has a record, wherever it lies.
        Ok(Vec::new())
    }

    async fn oldest_answered(&self, source: SourceId, dataset: Dataset) -> Result<Vec<(i64, Day)>, StoreError> {
        self.read(move |conn| Box::pin(facts::oldest_answered(conn, source, dataset))).await
    }

    async fn facts(&self, failed_since: i64) -> Result<Facts, StoreError> {
        self.read(move |conn| Box::pin(facts::facts(conn, failed_since))).await
    }

    // One process at a time writes, and it knows what there is to know.
    fn is_shared(&self) -> bool {
        false
    }

    async fn counters(&self, _: &[(MeterId, Dataset)]) -> Result<BTreeMap<(MeterId, Dataset), i64>, StoreError> {
        Ok(BTreeMap::new())
    }

    async fn apply_known(&self, effects: Vec<Effect>, _: BTreeMap<(MeterId, Dataset), i64>) -> Result<(), StoreError> {
        self.apply(effects).await
    }

    fn patient(self: Arc<Self>) -> Arc<dyn Store> {
        self
    }

    async fn series_facts(&self, series: &[(MeterId, Dataset)], failed_since: i64) -> Result<Facts, StoreError> {
        // Nobody else changes a series here, so this is not worth statements of its own.
        let mut facts = self.facts(failed_since).await?;
        facts.series.retain(|s| series.contains(&(s.meter, s.dataset)));
        facts.failed.retain(|f| series.contains(&(f.meter, f.dataset)));
        facts.customers.retain(|c| series.iter().any(|(asked, _)| *asked == c.meter));
        facts.activations.retain(|(meter, _), _| series.iter().any(|(asked, _)| asked == meter));
        Ok(facts)
    }

    async fn reserve(&self, call: &NewCall, limits: &Limits, now_ms: i64) -> Result<Reserved, StoreError> {
        let (call, limits) = (call.clone(), *limits);
        self.write_whole(move |conn| Box::pin(async move { ledger::reserve(conn, &call, &limits, now_ms).await })).await
    }

    async fn commit(&self, mut answer: Answer) -> Result<Committed, StoreError> {
        answer.raw = answer.raw.filter(|_| self.kept_days.load(Ordering::Relaxed) > 0);
        self.write_whole(move |conn| Box::pin(async move { commit::commit(conn, &answer).await })).await
    }

    async fn settle(&self, end: CallEnd, mut effects: Vec<Effect>) -> Result<i64, StoreError> {
        if self.kept_days.load(Ordering::Relaxed) == 0 {
            effects.retain(|effect| !matches!(effect, Effect::Unread(_)));
        }
        self.write(move |conn| {
            Box::pin(async move {
                let outcome = if end.code.is_some() { ledger::REFUSED } else { ledger::ANSWERED };
                ledger::complete(conn, &end, outcome).await?;
                effects::apply(conn, &effects).await?;
                Ok(0)
            })
        })
        .await
    }

    async fn apply(&self, effects: Vec<Effect>) -> Result<(), StoreError> {
        if effects.is_empty() {
            return Ok(());
        }
        self.write(move |conn| Box::pin(async move { effects::apply(conn, &effects).await })).await
    }

    async fn keep(&self, update: CustomerUpdate) -> Result<i64, StoreError> {
        self.write(move |conn| {
            Box::pin(async move {
                customers::keep(conn, &update).await?;
                Ok(0)
            })
        })
        .await
    }

    async fn put_off(&self, waiting: &[CustomerFacts], why: PutOff) -> Result<(), StoreError> {
        if waiting.is_empty() {
            return Ok(());
        }
        let waiting = waiting.to_vec();
        self.write(move |conn| Box::pin(async move { customers::put_off(conn, &waiting, &why).await })).await
    }

    async fn floors(&self, meter: MeterId) -> Result<BTreeMap<Direction, Day>, StoreError> {
        let all = self.read(|conn| Box::pin(customers::floors(conn))).await?;
        Ok(all.into_iter().filter(|((of, _), _)| *of == meter).map(|((_, way), day)| (way, day)).collect())
    }

    async fn customer_facts(&self, meters: &[MeterId]) -> Result<Vec<CustomerFacts>, StoreError> {
        let all = self.read(|conn| Box::pin(customers::facts(conn))).await?;
        Ok(all.into_iter().filter(|facts| meters.contains(&facts.meter)).collect())
    }

    async fn customers(&self) -> Result<Vec<CustomerStatus>, StoreError> {
        self.read(|conn| Box::pin(customers::status(conn))).await
    }

    async fn status(&self) -> Result<Vec<SeriesStatus>, StoreError> {
        self.read(|conn| Box::pin(status::status(conn))).await
    }

    async fn sources(&self) -> Result<Vec<SourceStatus>, StoreError> {
        self.read(|conn| Box::pin(facts::source_states(conn))).await
    }

    async fn spent(&self, source: &str, pool: Pool, now_ms: i64) -> Result<Spent, StoreError> {
        let source = source.to_owned();
        self.read(move |conn| Box::pin(async move { ledger::spent(conn, &source, pool, now_ms).await })).await
    }

    async fn resume(&self, source: &str) -> Result<Option<Pause>, StoreError> {
        let source = source.to_owned();
        self.write(move |conn| Box::pin(async move { ledger::resume(conn, &source).await })).await
    }

    async fn refused_tokens(&self, source: SourceId, since_ms: i64, codes: &[&str]) -> Result<i64, StoreError> {
        let codes = serde_json::json!(codes).to_string();
        self.read(move |conn| Box::pin(async move { ledger::refused_tokens(conn, source, since_ms, &codes).await }))
            .await
    }

    fn keep_answers(&self, days: i32) {
        self.kept_days.store(days, Ordering::Relaxed);
    }

    async fn kept_series(&self) -> Result<Vec<(MeterId, Dataset)>, StoreError> {
        self.read(|conn| Box::pin(raw::series(conn))).await
    }

    async fn kept(&self, meter: MeterId, dataset: Dataset) -> Result<Vec<KeptAnswer>, StoreError> {
        self.read(move |conn| Box::pin(raw::kept(conn, meter, dataset))).await
    }

    async fn not_kept(&self, meter: MeterId, dataset: Dataset) -> Result<Vec<NotKept>, StoreError> {
        self.read(move |conn| Box::pin(raw::not_kept(conn, meter, dataset))).await
    }

    async fn restore(&self, again: Answer, spoilt: Vec<Spoilt>) -> Result<Committed, StoreError> {
        self.write_whole(move |conn| Box::pin(async move { commit::restore(conn, &again, &spoilt).await })).await
    }

    async fn closed_calls(&self) -> Result<Vec<ClosedCall>, StoreError> {
        self.read(|conn| Box::pin(customers::closed_by_name(conn))).await
    }

    async fn unclear_hours(&self, meter: Option<MeterId>) -> Result<Vec<UnclearHours>, StoreError> {
        self.read(move |conn| Box::pin(offpeak::unclear(conn, meter))).await
    }

    async fn held_values(&self, meter: MeterId, dataset: Dataset) -> Result<HeldValues, StoreError> {
        self.read(move |conn| Box::pin(readings::held(conn, meter, dataset))).await
    }

    async fn energy_of_days(&self, first: Day) -> Result<Vec<(String, Direction, DayThreefold)>, StoreError> {
        self.read(move |conn| Box::pin(status::energy_of_days(conn, first))).await
    }

    async fn call_tally(&self, after: CallId) -> Result<Tallied, StoreError> {
        self.read(move |conn| Box::pin(tally::tally(conn, after))).await
    }

    async fn authorisations(&self) -> Result<Vec<Authorisation>, StoreError> {
        self.read(|conn| Box::pin(consents::authorisations(conn))).await
    }

    async fn authorise(&self, known: &[Authorisation]) -> Result<(), StoreError> {
        let known = known.to_vec();
        self.write(move |conn| Box::pin(async move { consents::authorise(conn, &known).await })).await
    }

    async fn note_looks(&self, seen: &[Authorisation]) -> Result<(), StoreError> {
        let seen = seen.to_vec();
        self.write(move |conn| Box::pin(async move { consents::note_looks(conn, &seen).await })).await
    }

    async fn warn_of_consents(&self, now: i64) -> Result<Vec<Warning>, StoreError> {
        self.write(move |conn| Box::pin(consents::warn(conn, now))).await
    }

    async fn begin_journey(&self, journey: &Journey) -> Result<(), StoreError> {
        let journey = journey.clone();
        self.write(move |conn| Box::pin(async move { consents::begin(conn, &journey).await })).await
    }

    async fn journey(&self, state: &str) -> Result<Option<Journey>, StoreError> {
        let state = state.to_owned();
        self.read(move |conn| Box::pin(async move { consents::journey(conn, &state).await })).await
    }

    async fn answer_journey(&self, state: &str, brought: &Brought, now: i64) -> Result<Option<Answered>, StoreError> {
        let (state, brought) = (state.to_owned(), brought.clone());
        self.write(move |conn| Box::pin(async move { consents::answer(conn, &state, &brought, now).await })).await
    }

    async fn finish_journey(&self, state: &str, given: &[Authorisation], now: i64) -> Result<(), StoreError> {
        let (state, given) = (state.to_owned(), given.to_vec());
        self.write(move |conn| Box::pin(async move { consents::finish(conn, &state, &given, now).await })).await
    }

    async fn unfinished_journeys(&self) -> Result<Vec<Journey>, StoreError> {
        self.read(|conn| Box::pin(consents::unfinished(conn))).await
    }

    async fn tidy(&self) -> Result<(), StoreError> {
        let Some(writer) = self.writer.as_ref().map(Arc::clone) else { return Ok(()) };
        let days = self.kept_days.load(Ordering::Relaxed);
        let pruned = self.write(move |conn| {
            Box::pin(async move {
                sqlx::query(sql::RAW_PRUNE).bind(days).execute(conn).await?;
                Ok(())
            })
        });
        match pruned.await {
            // Somebody else writes just now: the next pass is soon enough.
            Ok(()) | Err(StoreError::Busy { .. }) => {}
            Err(error) => return Err(error),
        }
        let reader = Arc::clone(&self.reader);
        let tidied = tokio::spawn(async move {
            let done = writer.lock().await.checkpoint().await;
            writer.lock().await.shrink().await;
            reader.lock().await.shrink().await;
            done
        });
        finished(tidied).await
    }
}
