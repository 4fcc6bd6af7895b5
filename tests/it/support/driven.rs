//! Several instances in one process, on a clock that moves on only when all of them wait for it: what
//! they do at the same time is done at the same time, however busy the machine is.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use linkyd::budget::Limits;
use linkyd::clock::Clock;
use linkyd::domain::reconcile::DayThreefold;
use linkyd::domain::{Dataset, Day, Direction};
use linkyd::source::Pool;
use linkyd::store::{
    Answer, Answered, Authorisation, Brought, CallEnd, CallId, ClosedCall, Committed, CustomerFacts, CustomerStatus,
    CustomerUpdate, Effect, Facts, HeldValues, Journey, KeptAnswer, MeterId, NewCall, NotKept, Pause, PutOff, Reserved,
    SeriesStatus, Setup, SourceId, SourceStatus, Spent, Spoilt, Store, StoreError, Switch, Tallied, UnclearHours,
    Warning, Window,
};
use tokio::sync::Notify;

/// So often everybody gets a turn before nobody has anything to do but to wait.
const TURNS: usize = 100;

#[derive(Debug)]
struct State {
    now: DateTime<Utc>,
    monotonic: Duration,
    /// Who sleeps, by when to wake them.
    sleepers: BTreeMap<(Duration, u64), Arc<Notify>>,
    /// Grows with everybody who goes to sleep or wakes.
    changes: u64,
}

/// A clock that a driver moves.
#[derive(Debug)]
pub(crate) struct Driven(Mutex<State>);

/// Takes a sleeper away, also where nobody waits for it any more.
struct Asleep<'c>(&'c Driven, (Duration, u64));

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        let mut state = self.0.0.lock().unwrap();
        state.changes += 1;
        state.sleepers.remove(&self.1);
    }
}

impl Driven {
    pub(crate) fn new(now: DateTime<Utc>) -> Self {
        Self(Mutex::new(State { now, monotonic: Duration::ZERO, sleepers: BTreeMap::new(), changes: 0 }))
    }

    fn changes(&self) -> u64 {
        self.0.lock().unwrap().changes
    }

    /// Moves on to the next instant that somebody waits for.
    fn advance(&self) {
        let mut state = self.0.lock().unwrap();
        let Some(((until, _), notify)) = state.sleepers.iter().next().map(|(k, n)| (*k, Arc::clone(n))) else { return };
        let by = until.saturating_sub(state.monotonic);
        state.now += TimeDelta::from_std(by).unwrap();
        state.monotonic += by;
        state.changes += 1;
        notify.notify_one();
    }

    /// Lets time pass whenever everybody waits for it and nobody waits for the database.
    pub(crate) async fn drive(&self, busy: &AtomicUsize) {
        loop {
            let before = self.changes();
            for _ in 0..TURNS {
                tokio::task::yield_now().await;
            }
            if busy.load(Ordering::SeqCst) == 0 && self.changes() == before {
                self.advance();
            }
        }
    }
}

#[async_trait]
impl Clock for Driven {
    fn now(&self) -> DateTime<Utc> {
        self.0.lock().unwrap().now
    }

    fn monotonic(&self) -> Duration {
        self.0.lock().unwrap().monotonic
    }

    async fn sleep_until(&self, until: Duration) {
        let notify = Arc::new(Notify::new());
        let key = {
            let mut state = self.0.lock().unwrap();
            if state.monotonic >= until {
                return;
            }
            state.changes += 1;
            let key = (until, state.changes);
            state.sleepers.insert(key, Arc::clone(&notify));
            key
        };
        let _asleep = Asleep(self, key);
        notify.notified().await;
    }
}

/// A store of which is known whether anybody waits for it.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) inner: Arc<dyn Store>,
    pub(crate) busy: Arc<AtomicUsize>,
}

struct Busy<'b>(&'b AtomicUsize);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Watched {
    fn busy(&self) -> Busy<'_> {
        self.busy.fetch_add(1, Ordering::SeqCst);
        Busy(&self.busy)
    }
}

#[async_trait]
impl Store for Watched {
    fn is_shared(&self) -> bool {
        self.inner.is_shared()
    }

    async fn set_up(&self, setup: &Setup) -> Result<Vec<String>, StoreError> {
        let _busy = self.busy();
        self.inner.set_up(setup).await
    }

    async fn open_windows(&self, windows: &[Window], now: i64) -> Result<Vec<(MeterId, Dataset)>, StoreError> {
        let _busy = self.busy();
        self.inner.open_windows(windows, now).await
    }

    async fn serve(&self, switches: &[Switch]) -> Result<(), StoreError> {
        let _busy = self.busy();
        self.inner.serve(switches).await
    }

    async fn facts(&self, failed_since: i64) -> Result<Facts, StoreError> {
        let _busy = self.busy();
        self.inner.facts(failed_since).await
    }

    fn patient(self: Arc<Self>) -> Arc<dyn Store> {
        self
    }

    async fn counters(&self, series: &[(MeterId, Dataset)]) -> Result<BTreeMap<(MeterId, Dataset), i64>, StoreError> {
        let _busy = self.busy();
        self.inner.counters(series).await
    }

    async fn series_facts(&self, series: &[(MeterId, Dataset)], failed_since: i64) -> Result<Facts, StoreError> {
        let _busy = self.busy();
        self.inner.series_facts(series, failed_since).await
    }

    async fn oldest_answered(&self, source: SourceId, dataset: Dataset) -> Result<Vec<(i64, Day)>, StoreError> {
        let _busy = self.busy();
        self.inner.oldest_answered(source, dataset).await
    }

    async fn reserve(&self, call: &NewCall, limits: &Limits, now_ms: i64) -> Result<Reserved, StoreError> {
        let _busy = self.busy();
        self.inner.reserve(call, limits, now_ms).await
    }

    async fn commit(&self, answer: Answer) -> Result<Committed, StoreError> {
        let _busy = self.busy();
        self.inner.commit(answer).await
    }

    async fn settle(&self, end: CallEnd, effects: Vec<Effect>) -> Result<i64, StoreError> {
        let _busy = self.busy();
        self.inner.settle(end, effects).await
    }

    async fn apply(&self, effects: Vec<Effect>) -> Result<(), StoreError> {
        let _busy = self.busy();
        self.inner.apply(effects).await
    }

    async fn apply_known(
        &self,
        effects: Vec<Effect>,
        seen: BTreeMap<(MeterId, Dataset), i64>,
    ) -> Result<(), StoreError> {
        let _busy = self.busy();
        self.inner.apply_known(effects, seen).await
    }

    async fn keep(&self, update: CustomerUpdate) -> Result<i64, StoreError> {
        self.inner.keep(update).await
    }

    fn keep_answers(&self, days: i32) {
        self.inner.keep_answers(days);
    }

    async fn kept_series(&self) -> Result<Vec<(MeterId, Dataset)>, StoreError> {
        let _busy = self.busy();
        self.inner.kept_series().await
    }

    async fn kept(&self, meter: MeterId, dataset: Dataset) -> Result<Vec<KeptAnswer>, StoreError> {
        let _busy = self.busy();
        self.inner.kept(meter, dataset).await
    }

    async fn not_kept(&self, meter: MeterId, dataset: Dataset) -> Result<Vec<NotKept>, StoreError> {
        let _busy = self.busy();
        self.inner.not_kept(meter, dataset).await
    }

    async fn restore(&self, again: Answer, spoilt: Vec<Spoilt>) -> Result<Committed, StoreError> {
        let _busy = self.busy();
        self.inner.restore(again, spoilt).await
    }

    async fn closed_calls(&self) -> Result<Vec<ClosedCall>, StoreError> {
        let _busy = self.busy();
        self.inner.closed_calls().await
    }

    async fn unclear_hours(&self, meter: Option<MeterId>) -> Result<Vec<UnclearHours>, StoreError> {
        let _busy = self.busy();
        self.inner.unclear_hours(meter).await
    }

    async fn held_values(&self, meter: MeterId, dataset: Dataset) -> Result<HeldValues, StoreError> {
        let _busy = self.busy();
        self.inner.held_values(meter, dataset).await
    }

    async fn energy_of_days(&self, first: Day) -> Result<Vec<(String, Direction, DayThreefold)>, StoreError> {
        let _busy = self.busy();
        self.inner.energy_of_days(first).await
    }

    async fn call_tally(&self, after: CallId) -> Result<Tallied, StoreError> {
        let _busy = self.busy();
        self.inner.call_tally(after).await
    }

    async fn put_off(&self, waiting: &[CustomerFacts], why: PutOff) -> Result<(), StoreError> {
        let _busy = self.busy();
        self.inner.put_off(waiting, why).await
    }

    async fn floors(&self, meter: MeterId) -> Result<BTreeMap<Direction, Day>, StoreError> {
        self.inner.floors(meter).await
    }

    async fn customer_facts(&self, meters: &[MeterId]) -> Result<Vec<CustomerFacts>, StoreError> {
        let _busy = self.busy();
        self.inner.customer_facts(meters).await
    }

    async fn customers(&self) -> Result<Vec<CustomerStatus>, StoreError> {
        self.inner.customers().await
    }

    async fn status(&self) -> Result<Vec<SeriesStatus>, StoreError> {
        let _busy = self.busy();
        self.inner.status().await
    }

    async fn sources(&self) -> Result<Vec<SourceStatus>, StoreError> {
        let _busy = self.busy();
        self.inner.sources().await
    }

    async fn spent(&self, source: &str, pool: Pool, now_ms: i64) -> Result<Spent, StoreError> {
        let _busy = self.busy();
        self.inner.spent(source, pool, now_ms).await
    }

    async fn resume(&self, source: &str) -> Result<Option<Pause>, StoreError> {
        let _busy = self.busy();
        self.inner.resume(source).await
    }

    async fn refused_tokens(&self, source: SourceId, since_ms: i64, codes: &[&str]) -> Result<i64, StoreError> {
        let _busy = self.busy();
        self.inner.refused_tokens(source, since_ms, codes).await
    }

    async fn authorisations(&self) -> Result<Vec<Authorisation>, StoreError> {
        let _busy = self.busy();
        self.inner.authorisations().await
    }

    async fn authorise(&self, known: &[Authorisation]) -> Result<(), StoreError> {
        let _busy = self.busy();
        self.inner.authorise(known).await
    }

    async fn warn_of_consents(&self, now: i64) -> Result<Vec<Warning>, StoreError> {
        let _busy = self.busy();
        self.inner.warn_of_consents(now).await
    }

    async fn begin_journey(&self, journey: &Journey) -> Result<(), StoreError> {
        let _busy = self.busy();
        self.inner.begin_journey(journey).await
    }

    async fn journey(&self, state: &str) -> Result<Option<Journey>, StoreError> {
        let _busy = self.busy();
        self.inner.journey(state).await
    }

    async fn note_looks(&self, seen: &[Authorisation]) -> Result<(), StoreError> {
        let _busy = self.busy();
        self.inner.note_looks(seen).await
    }

    async fn answer_journey(&self, state: &str, brought: &Brought, now: i64) -> Result<Option<Answered>, StoreError> {
        let _busy = self.busy();
        self.inner.answer_journey(state, brought, now).await
    }

    async fn finish_journey(&self, state: &str, given: &[Authorisation], now: i64) -> Result<(), StoreError> {
        let _busy = self.busy();
        self.inner.finish_journey(state, given, now).await
    }

    async fn unfinished_journeys(&self) -> Result<Vec<Journey>, StoreError> {
        let _busy = self.busy();
        self.inner.unfinished_journeys().await
    }

    async fn tidy(&self) -> Result<(), StoreError> {
        let _busy = self.busy();
        self.inner.tidy().await
    }
}
