//! The store on a PostgreSQL server, which several instances may share.
//!
//! [`PostgresStore::open`] looks at the server, creates or migrates the schema where that is asked
//! for, and keeps a few connections. Each method of [`Store`] is one transaction in a task of its
//! own (`transaction`), done again where the server was away or in somebody's way. What a
//! transaction does is in `setup` and `windows` (configuration, calendar, windows), `commit`
//! (answers), `ledger` (the journal of calls and the leases of series), `effects` (what was learnt)
//! and `facts` (everything that is read). Who has outgrown one file finds here the same behaviour:
//! both stores pass the same tests.

mod address;
mod bulk;
mod calendar;
mod check;
mod commit;
mod connect;
mod consents;
mod copying;
mod customers;
mod effects;
mod errors;
mod examine;
mod facts;
mod forget;
mod ledger;
mod offpeak;
mod raw;
mod readings;
mod schema;
mod setup;
mod skew;
mod sql;
mod status;
mod tally;
#[cfg(test)]
mod tests;
mod transaction;
mod types;
mod windows;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use async_trait::async_trait;
use chrono::Datelike as _;

pub use address::{Address, AddressError, is_server};
pub use examine::Examined;
pub use schema::NEWEST as NEWEST_SCHEMA;
#[cfg(test)]
pub(super) use schema::released;
pub use skew::TimeOf;

use self::connect::Server;
use self::facts::Asked;
use self::skew::Skew;
use self::transaction::{Kind, Patience, Work};
use super::{
    Answer, Answered, Authorisation, Brought, CallEnd, CallId, ClosedCall, Committed, CustomerFacts, CustomerStatus,
    CustomerUpdate, Effect, Facts, Finding, Forget, Forgotten, ForgottenMeter, HeldValues, Journey, KEPT_DAYS,
    KeptAnswer, MeterId, Mode, NewCall, NotKept, Pause, PutOff, Reserved, SeriesStatus, Setup, SourceId, SourceStatus,
    Spent, Spoilt, Store, StoreError, Switch, Tallied, UnclearHours, Warning, Window,
};
use crate::budget::Limits;
use crate::clock::Clock;
use crate::domain::reconcile::DayThreefold;
use crate::domain::{Dataset, Day, Direction, Prm, Values};
use crate::source::Pool;

/// The store on a PostgreSQL server.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    server: Arc<Server>,
    skew: Arc<Skew>,
    mode: Mode,
    /// How long trouble is waited out by who reads.
    patience: Patience,
    /// For how many days answers are kept as they came.
    kept_days: Arc<AtomicI32>,
}

impl PostgresStore {
    /// Opens a database. `clock` is the machine's, for waiting and for measuring how far the server's
    /// is from it; `time_of` says by whose time calls are counted.
    pub async fn open(
        address: Address,
        mode: Mode,
        time_of: TimeOf,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        let year = clock.now().year();
        let server = Arc::new(Server::new(address, clock, time_of));
        schema::prepare(&server, mode).await?;
        if mode != Mode::Read {
            schema::years(&server, Patience::Short, year, year + schema::YEARS_AHEAD).await?;
        }
        let kept_days = Arc::new(KEPT_DAYS.into());
        Ok(Self { skew: Arc::clone(&server.skew), server, mode, patience: Patience::Short, kept_days })
    }

    /// Whether there are tables of linkyd's.
    pub async fn is_there(address: &Address, clock: &Arc<dyn Clock>) -> Result<bool, StoreError> {
        let server = Arc::new(Server::new(address.clone(), Arc::clone(clock), TimeOf::Caller));
        Ok(schema::look(&server).await? > 0)
    }

    /// What there is to know about the server and what this role may do there.
    pub async fn examine(&self) -> Result<Examined, StoreError> {
        self.server.run(Kind::Read, Patience::None, (), |link, (), _| Box::pin(examine::examine(link))).await
    }

    /// How far the server's clock is ahead of the machine's, in milliseconds.
    #[must_use]
    pub fn clock_ahead_ms(&self) -> i64 {
        self.skew.ms()
    }

    /// Whether a daemon is connected, as far as this role may see.
    pub async fn daemon_lives(&self) -> Result<bool, StoreError> {
        self.server.run(Kind::Read, Patience::Short, (), |link, (), _| Box::pin(examine::daemon_lives(link))).await
    }

    /// Where it is, for messages: without password and parameters.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.server.address.place
    }

    /// Looks for rows that contradict each other; an empty list is good news.
    pub async fn check(&self) -> Result<Vec<Finding>, StoreError> {
        self.server.run(Kind::Unload, Patience::Short, (), |link, (), _| Box::pin(check::check(link))).await
    }

    /// Deletes meters, or what is personal about customers; `now_ms` is the time by which calls are counted.
    pub async fn forget(&self, forget: Forget, now_ms: i64) -> Result<Forgotten, StoreError> {
        let now_ms = self.skew.to_server(now_ms);
        let (meters, tables, may) = self
            .write((forget, now_ms), |link, (_, (forget, now_ms)), earlier: Option<&(Vec<ForgottenMeter>, _, _)>| {
                let before = earlier.map(|(meters, ..)| meters.clone());
                Box::pin(async move {
                    let meters = forget::rows(link, forget, *now_ms).await?;
                    let (tables, may) = forget::to_sweep(link, forget).await?;
                    Ok((before.unwrap_or(meters), tables, may))
                })
            })
            .await?;
        let swept = forget::sweep(&self.server, &tables).await? && may;
        let remains =
            if swept { forget::BACKUPS.to_owned() } else { format!("{}; {}", forget::NOT_VACUUMED, forget::BACKUPS) };
        // A right that the role lacks does not come by waiting.
        Ok(Forgotten { meters, swept, in_the_way: false, remains })
    }

    /// Every stored value of a series, ascending.
    pub async fn readings(&self, prm: &Prm, dataset: Dataset) -> Result<Values, StoreError> {
        let input = (prm.clone(), dataset);
        self.server
            .run(Kind::Unload, Patience::Short, input, |link, (prm, dataset), _| {
                Box::pin(readings::readings(link, prm, *dataset))
            })
            .await
    }

    /// Runs one transaction that writes.
    async fn write<I, T>(&self, input: I, work: Work<(Arc<Skew>, I), T>) -> Result<T, StoreError>
    where
        I: Send + Sync + 'static,
        T: Send + Sync + 'static,
    {
        if self.mode == Mode::Read {
            let reason = "it was opened to read only".to_owned();
            return Err(StoreError::NotWritable { place: self.server.address.place.clone(), reason });
        }
        self.server.run(Kind::Write, Patience::Long, (Arc::clone(&self.skew), input), work).await
    }

    /// Runs one transaction that reads.
    async fn read<I, T>(
        &self,
        kind: Kind,
        patience: Patience,
        input: I,
        work: Work<(Arc<Skew>, I), T>,
    ) -> Result<T, StoreError>
    where
        I: Send + Sync + 'static,
        T: Send + Sync + 'static,
    {
        self.server.run(kind, patience, (Arc::clone(&self.skew), input), work).await
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn set_up(&self, setup: &Setup) -> Result<Vec<String>, StoreError> {
        self.write(setup.clone(), |link, (_, setup), earlier| Box::pin(setup::set_up(link, setup, earlier))).await
    }

    async fn open_windows(&self, windows: &[Window], now: i64) -> Result<Vec<(MeterId, Dataset)>, StoreError> {
        let all: Arc<[Window]> = windows.into();
        let new = self
            .read(Kind::Survey, Patience::Long, Arc::clone(&all), |link, (_, all), _| Box::pin(windows::new(link, all)))
            .await?;
        if !new.is_empty() {
            if let Some((first, last)) = windows::years(windows) {
                schema::years(&self.server, Patience::Long, first, last).await?;
            }
            self.write(Arc::clone(&all), |link, (_, all), _| Box::pin(windows::mark(link, all))).await?;
        }
        let mut known = Vec::new();
        for some in new.chunks(windows::AT_ONCE) {
            let some: Vec<Window> = some.iter().filter_map(|place| all.get(*place)).copied().collect();
            let open = self.write(some, |link, (_, some), earlier| Box::pin(windows::open(link, some, earlier)));
            known.extend(open.await?);
        }
        self.write((all, now), |link, (_, (all, now)), _| Box::pin(windows::close(link, all, *now))).await?;
        Ok(known)
    }

    async fn oldest_answered(&self, source: SourceId, dataset: Dataset) -> Result<Vec<(i64, Day)>, StoreError> {
        self.read(Kind::Survey, Patience::Long, (source, dataset), |link, (_, (source, dataset)), _| {
            Box::pin(facts::oldest_answered(link, *source, *dataset))
        })
        .await
    }

    async fn serve(&self, switches: &[Switch]) -> Result<(), StoreError> {
        if switches.is_empty() {
            return Ok(());
        }
        self.write(switches.to_vec(), |link, (_, switches), _| Box::pin(setup::serve(link, switches))).await
    }

    async fn facts(&self, failed_since: i64) -> Result<Facts, StoreError> {
        // Once a pass.
        self.skew.measure(&self.server, Patience::Long).await?;
        self.read(Kind::Survey, Patience::Long, failed_since, |link, (skew, since), _| {
            Box::pin(async move { facts::facts(link, skew, &Asked::default(), *since).await })
        })
        .await
    }

    async fn series_facts(&self, series: &[(MeterId, Dataset)], failed_since: i64) -> Result<Facts, StoreError> {
        let input = (Asked::of(series), failed_since);
        self.read(Kind::Survey, Patience::Long, input, |link, (skew, (asked, since)), _| {
            Box::pin(facts::facts(link, skew, asked, *since))
        })
        .await
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn patient(self: Arc<Self>) -> Arc<dyn Store> {
        // Who opened it to read only wants to see something now.
        let patience = if self.mode == Mode::Read { self.patience } else { Patience::Long };
        Arc::new(Self { patience, ..Self::clone(&self) })
    }

    async fn counters(&self, series: &[(MeterId, Dataset)]) -> Result<BTreeMap<(MeterId, Dataset), i64>, StoreError> {
        self.read(Kind::Read, Patience::Long, Asked::of(series), |link, (_, asked), _| {
            Box::pin(facts::counters(link, asked))
        })
        .await
    }

    async fn reserve(&self, call: &NewCall, limits: &Limits, now_ms: i64) -> Result<Reserved, StoreError> {
        let decided = self.write((call.clone(), *limits, now_ms), |link, (skew, (call, limits, now)), earlier| {
            Box::pin(ledger::reserve(link, skew, call, limits, *now, earlier))
        });
        Ok(decided.await?.told(&self.skew))
    }

    async fn commit(&self, mut answer: Answer) -> Result<Committed, StoreError> {
        answer.raw = answer.raw.filter(|_| self.kept_days.load(Ordering::Relaxed) > 0);
        self.write(answer, |link, (skew, answer), earlier| Box::pin(commit::commit(link, skew, answer, earlier))).await
    }

    async fn settle(&self, end: CallEnd, mut effects: Vec<Effect>) -> Result<i64, StoreError> {
        if self.kept_days.load(Ordering::Relaxed) == 0 {
            effects.retain(|effect| !matches!(effect, Effect::Unread(_)));
        }
        self.write((end, effects), |link, (skew, (end, effects)), earlier| {
            Box::pin(ledger::settle(link, skew, end, effects, earlier))
        })
        .await
    }

    async fn apply(&self, effects: Vec<Effect>) -> Result<(), StoreError> {
        if effects.is_empty() {
            return Ok(());
        }
        self.write(effects, |link, (skew, effects), _| Box::pin(effects::apply(link, skew, effects, None))).await
    }

    async fn apply_known(
        &self,
        effects: Vec<Effect>,
        seen: BTreeMap<(MeterId, Dataset), i64>,
    ) -> Result<(), StoreError> {
        if effects.is_empty() {
            return Ok(());
        }
        self.write((effects, seen), |link, (skew, (effects, seen)), _| {
            Box::pin(effects::apply(link, skew, effects, Some(seen)))
        })
        .await
    }

    async fn keep(&self, update: CustomerUpdate) -> Result<i64, StoreError> {
        self.write(update, |link, (_, update), earlier| Box::pin(customers::keep(link, update, earlier))).await
    }

    async fn put_off(&self, waiting: &[CustomerFacts], why: PutOff) -> Result<(), StoreError> {
        if waiting.is_empty() {
            return Ok(());
        }
        self.write((waiting.to_vec(), why), |link, (_, (waiting, why)), _| {
            Box::pin(customers::put_off(link, waiting, why))
        })
        .await
    }

    async fn floors(&self, meter: MeterId) -> Result<BTreeMap<Direction, Day>, StoreError> {
        let all = self
            .read(Kind::Read, Patience::Long, meter, |link, (_, meter), _| {
                Box::pin(async move { customers::floors(link, &Asked::of_meters(&[*meter])).await })
            })
            .await?;
        Ok(all.into_iter().map(|((_, way), day)| (way, day)).collect())
    }

    async fn customer_facts(&self, meters: &[MeterId]) -> Result<Vec<CustomerFacts>, StoreError> {
        self.read(Kind::Read, Patience::Long, Asked::of_meters(meters), |link, (_, asked), _| {
            Box::pin(customers::facts(link, asked))
        })
        .await
    }

    async fn customers(&self) -> Result<Vec<CustomerStatus>, StoreError> {
        self.read(Kind::Survey, self.patience, (), |link, _, _| Box::pin(customers::status(link))).await
    }

    async fn status(&self) -> Result<Vec<SeriesStatus>, StoreError> {
        self.read(Kind::Survey, self.patience, (), |link, _, _| Box::pin(status::status(link))).await
    }

    async fn sources(&self) -> Result<Vec<SourceStatus>, StoreError> {
        self.read(Kind::Read, self.patience, (), |link, (skew, ()), _| Box::pin(facts::source_states(link, skew))).await
    }

    async fn spent(&self, source: &str, pool: Pool, now_ms: i64) -> Result<Spent, StoreError> {
        let input = (source.to_owned(), pool, now_ms);
        self.read(Kind::Read, self.patience, input, |link, (skew, (source, pool, now)), _| {
            Box::pin(ledger::spent(link, skew, source, *pool, *now))
        })
        .await
    }

    async fn resume(&self, source: &str) -> Result<Option<Pause>, StoreError> {
        self.write(source.to_owned(), |link, (skew, source), earlier| {
            Box::pin(ledger::resume(link, skew, source, earlier))
        })
        .await
    }

    async fn refused_tokens(&self, source: SourceId, since_ms: i64, codes: &[&str]) -> Result<i64, StoreError> {
        let codes: Vec<String> = codes.iter().map(|code| (*code).to_owned()).collect();
        self.read(Kind::Read, Patience::Long, (source, since_ms, codes), |link, (skew, (source, since, codes)), _| {
            Box::pin(ledger::refused_tokens(link, skew, *source, *since, codes))
        })
        .await
    }

    fn keep_answers(&self, days: i32) {
        self.kept_days.store(days, Ordering::Relaxed);
    }

    async fn kept_series(&self) -> Result<Vec<(MeterId, Dataset)>, StoreError> {
        self.read(Kind::Survey, self.patience, (), |link, _, _| Box::pin(raw::series(link))).await
    }

    async fn kept(&self, meter: MeterId, dataset: Dataset) -> Result<Vec<KeptAnswer>, StoreError> {
        self.read(Kind::Survey, self.patience, (meter, dataset), |link, (_, (meter, dataset)), _| {
            Box::pin(raw::kept(link, *meter, *dataset))
        })
        .await
    }

    async fn not_kept(&self, meter: MeterId, dataset: Dataset) -> Result<Vec<NotKept>, StoreError> {
        self.read(Kind::Survey, self.patience, (meter, dataset), |link, (_, (meter, dataset)), _| {
            Box::pin(raw::not_kept(link, *meter, *dataset))
        })
        .await
    }

    async fn restore(&self, again: Answer, spoilt: Vec<Spoilt>) -> Result<Committed, StoreError> {
        self.write((again, spoilt), |link, (_, (again, spoilt)), earlier| {
            Box::pin(commit::restore(link, again, spoilt, earlier))
        })
        .await
    }

    async fn closed_calls(&self) -> Result<Vec<ClosedCall>, StoreError> {
        self.read(Kind::Read, Patience::Short, (), |link, _, _| Box::pin(customers::closed_by_name(link))).await
    }

    async fn unclear_hours(&self, meter: Option<MeterId>) -> Result<Vec<UnclearHours>, StoreError> {
        self.read(Kind::Read, Patience::Short, meter, |link, (_, meter), _| Box::pin(offpeak::unclear(link, *meter)))
            .await
    }

    async fn held_values(&self, meter: MeterId, dataset: Dataset) -> Result<HeldValues, StoreError> {
        self.read(Kind::Survey, Patience::Short, (meter, dataset), |link, (_, (meter, dataset)), _| {
            Box::pin(readings::held(link, *meter, *dataset))
        })
        .await
    }

    async fn energy_of_days(&self, first: Day) -> Result<Vec<(String, Direction, DayThreefold)>, StoreError> {
        self.read(Kind::Survey, self.patience, first, |link, (_, first), _| {
            Box::pin(status::energy_of_days(link, *first))
        })
        .await
    }

    async fn call_tally(&self, after: CallId) -> Result<Tallied, StoreError> {
        self.read(Kind::Survey, self.patience, after, |link, (_, after), _| Box::pin(tally::tally(link, *after))).await
    }

    async fn authorisations(&self) -> Result<Vec<Authorisation>, StoreError> {
        self.read(Kind::Read, Patience::Long, (), |link, _, _| Box::pin(consents::authorisations(link))).await
    }

    async fn authorise(&self, known: &[Authorisation]) -> Result<(), StoreError> {
        self.write(known.to_vec(), |link, (_, known), _| Box::pin(consents::authorise(link, known))).await
    }

    async fn note_looks(&self, seen: &[Authorisation]) -> Result<(), StoreError> {
        self.write(seen.to_vec(), |link, (_, seen), _| Box::pin(consents::note_looks(link, seen))).await
    }

    async fn warn_of_consents(&self, now: i64) -> Result<Vec<Warning>, StoreError> {
        self.write(now, |link, (_, now), earlier| Box::pin(consents::warn(link, *now, earlier))).await
    }

    async fn begin_journey(&self, journey: &Journey) -> Result<(), StoreError> {
        self.write(journey.clone(), |link, (_, journey), _| Box::pin(consents::begin(link, journey))).await
    }

    async fn journey(&self, state: &str) -> Result<Option<Journey>, StoreError> {
        let state = state.to_owned();
        self.read(Kind::Read, Patience::Long, state, |link, (_, state), _| Box::pin(consents::journey(link, state)))
            .await
    }

    async fn answer_journey(&self, state: &str, brought: &Brought, now: i64) -> Result<Option<Answered>, StoreError> {
        self.write((state.to_owned(), brought.clone(), now), |link, (_, (state, brought, now)), earlier| {
            Box::pin(consents::answer(link, state, brought, *now, earlier))
        })
        .await
    }

    async fn finish_journey(&self, state: &str, given: &[Authorisation], now: i64) -> Result<(), StoreError> {
        self.write((state.to_owned(), given.to_vec(), now), |link, (_, (state, given, now)), _| {
            Box::pin(consents::finish(link, state, given, *now))
        })
        .await
    }

    async fn unfinished_journeys(&self) -> Result<Vec<Journey>, StoreError> {
        self.read(Kind::Read, Patience::Long, (), |link, _, _| Box::pin(consents::unfinished(link))).await
    }

    async fn tidy(&self) -> Result<(), StoreError> {
        // The server looks after its files by itself.
        let days = self.kept_days.load(Ordering::Relaxed);
        self.write(days, |link, (_, days), _| Box::pin(raw::prune(link, *days))).await
    }
}
