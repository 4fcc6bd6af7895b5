//! A database that several instances share, played in memory: a store around another one that hands
//! out leases as PostgreSQL does, and lets a test do something just before a call's line is written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use linkyd::budget::Limits;
use linkyd::domain::reconcile::DayThreefold;
use linkyd::domain::{CustomerDataset, Dataset, Day, Direction, SeriesState};
use linkyd::simulator::{MeterSpec, World};
use linkyd::source::Pool;
use linkyd::store::{
    Answer, Answered, Asks, Authorisation, Brought, CallEnd, CallId, ClosedCall, Committed, CustomerFacts,
    CustomerStatus, CustomerUpdate, Effect, Facts, HeldValues, Journey, KeptAnswer, LEASE_MS, Lease, MeterId, NewCall,
    NotKept, Pause, PutOff, Reserved, SeriesStatus, Setup, SourceId, SourceStatus, Spent, Spoilt, Store, StoreError,
    Switch, Tallied, UnclearHours, Warning, Window,
};

use super::{Rig, at, prm};

type Key = (MeterId, Dataset);

/// A dataset about a customer.
type Person = (MeterId, CustomerDataset);

/// What the row of a series says beside its facts.
#[derive(Debug, Default, Clone, Copy)]
struct Row {
    held: Option<(CallId, i64)>,
    seen: i64,
}

/// What a test does in between.
pub(crate) type Deed = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;

/// A store with leases.
pub(crate) struct Shared {
    inner: Arc<dyn Store>,
    /// Held for the length of a transaction.
    transaction: tokio::sync::Mutex<()>,
    rows: Mutex<BTreeMap<Key, Row>>,
    of_call: Mutex<BTreeMap<CallId, Key>>,
    /// Who holds what is asked about customers.
    people: Mutex<BTreeMap<Person, CallId>>,
    /// How often some series were read anew, and how many.
    pub(crate) read_again: Mutex<Vec<usize>>,
    /// What calls were refused a line, and why.
    pub(crate) met: Mutex<Vec<(Key, Reserved)>>,
    /// Done once so many calls have been refused.
    deed: Mutex<Option<(usize, Deed)>>,
    /// Series that another instance takes out of its configuration as soon as a pass has begun.
    taken_out: Mutex<BTreeSet<Key>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

impl Shared {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        let (rows, of_call) = (Mutex::default(), Mutex::default());
        let (read_again, met, deed) = (Mutex::default(), Mutex::default(), Mutex::default());
        let (taken_out, people) = (Mutex::default(), Mutex::default());
        let transaction = tokio::sync::Mutex::default();
        Self { inner, transaction, rows, of_call, people, read_again, met, deed, taken_out }
    }

    /// Another instance takes over what is asked about customers just now, is refused, and says so.
    pub(crate) async fn overtake(&self, code: &str) {
        let people = std::mem::take(&mut *self.people.lock().unwrap());
        for (meter, about) in people.into_keys() {
            let facts = self.inner.facts(0).await.unwrap().customers;
            let own = facts.into_iter().find(|one| (one.meter, one.about) == (meter, about)).unwrap();
            let update = CustomerUpdate {
                meter,
                about,
                source: own.source,
                asked_at: 0,
                content: None,
                state: SeriesState::Suspended,
                code: Some(code.to_owned()),
                message: None,
                not_before: Some(i64::MAX),
                lease: None,
                seen: own.seen,
            };
            self.inner.keep(update).await.unwrap();
        }
    }

    /// Whether that lease of something about a customer still holds.
    fn still_holds(&self, lease: CallId) -> Result<(), StoreError> {
        if self.people.lock().unwrap().values().any(|holder| *holder == lease) {
            Ok(())
        } else {
            Err(StoreError::Superseded)
        }
    }

    /// Another instance takes a series out of its configuration as soon as a pass has begun.
    pub(crate) fn take_out(&self, key: Key) {
        self.taken_out.lock().unwrap().insert(key);
    }

    /// Does something once so many calls have been refused.
    pub(crate) fn after_refusals(&self, count: usize, deed: Deed) {
        *self.deed.lock().unwrap() = Some((count, deed));
    }

    fn next_deed(&self) -> Option<Deed> {
        let mut deed = self.deed.lock().unwrap();
        let (left, _) = deed.as_mut()?;
        *left -= 1;
        if *left == 0 { deed.take().map(|(_, deed)| deed) } else { None }
    }

    /// An instance that has died holds a series until then (machine, ms).
    pub(crate) fn held_by_the_dead(&self, key: Key, until_ms: i64) {
        self.rows.lock().unwrap().entry(key).or_default().held = Some((CallId(-1), until_ms));
    }

    fn grow(&self, effects: &[Effect]) {
        let mut rows = self.rows.lock().unwrap();
        for effect in effects {
            if let Effect::Series { meter, dataset, .. } = effect {
                rows.entry((*meter, *dataset)).or_default().seen += 1;
            }
        }
    }

    /// Gives a lease back; an error where it is another's.
    fn end(&self, call: CallId, lease: Option<Lease>) -> Result<Option<Key>, StoreError> {
        let Some(lease) = lease else { return Ok(None) };
        let key = self.of_call.lock().unwrap()[&call];
        let mut rows = self.rows.lock().unwrap();
        let row = rows.entry(key).or_default();
        if row.held.map(|(token, _)| token) != Some(lease.token) {
            return Err(StoreError::Superseded);
        }
        row.held = row.held.filter(|_| lease.keep);
        row.seen += 1;
        Ok(Some(key))
    }

    fn with_counters(&self, mut facts: Facts) -> Facts {
        let rows = self.rows.lock().unwrap();
        for series in &mut facts.series {
            series.seen = rows.get(&(series.meter, series.dataset)).map_or(0, |row| row.seen);
        }
        facts
    }

    fn seen(&self, key: Option<Key>) -> i64 {
        key.and_then(|key| self.rows.lock().unwrap().get(&key).copied()).map_or(0, |row| row.seen)
    }
}

#[async_trait]
impl Store for Shared {
    fn is_shared(&self) -> bool {
        true
    }

    async fn set_up(&self, setup: &Setup) -> Result<Vec<String>, StoreError> {
        self.inner.set_up(setup).await
    }

    async fn oldest_answered(&self, source: SourceId, dataset: Dataset) -> Result<Vec<(i64, Day)>, StoreError> {
        self.inner.oldest_answered(source, dataset).await
    }

    async fn open_windows(&self, windows: &[Window], now: i64) -> Result<Vec<Key>, StoreError> {
        self.inner.open_windows(windows, now).await
    }

    async fn serve(&self, switches: &[Switch]) -> Result<(), StoreError> {
        self.inner.serve(switches).await
    }

    async fn facts(&self, failed_since: i64) -> Result<Facts, StoreError> {
        let _transaction = self.transaction.lock().await;
        let mut facts = self.with_counters(self.inner.facts(failed_since).await?);
        let taken_out = self.taken_out.lock().unwrap();
        for series in facts.series.iter_mut().filter(|one| taken_out.contains(&(one.meter, one.dataset))) {
            // Its counter moves just afterwards.
            series.seen -= 1;
        }
        Ok(facts)
    }

    fn patient(self: Arc<Self>) -> Arc<dyn Store> {
        self
    }

    async fn counters(&self, series: &[Key]) -> Result<BTreeMap<Key, i64>, StoreError> {
        let _transaction = self.transaction.lock().await;
        Ok(series.iter().map(|key| (*key, self.seen(Some(*key)))).collect())
    }

    async fn series_facts(&self, series: &[Key], failed_since: i64) -> Result<Facts, StoreError> {
        let _transaction = self.transaction.lock().await;
        self.read_again.lock().unwrap().push(series.len());
        let mut facts = self.with_counters(self.inner.series_facts(series, failed_since).await?);
        let taken_out = self.taken_out.lock().unwrap();
        facts.series.retain(|one| !taken_out.contains(&(one.meter, one.dataset)));
        Ok(facts)
    }

    async fn reserve(&self, call: &NewCall, limits: &Limits, now_ms: i64) -> Result<Reserved, StoreError> {
        if let Some(Asks::Customer(meter, about)) = call.asks {
            let held = call.lease;
            let reserved = self.inner.reserve(call, limits, now_ms).await?;
            let Reserved::Go { call, at_ms, .. } = reserved else { return Ok(reserved) };
            let lease = *self.people.lock().unwrap().entry((meter, about)).or_insert(held.unwrap_or(call));
            return Ok(Reserved::Go { call, at_ms, lease: Some(lease) });
        }
        let Some((key, seen)) = series_of(call).zip(call.seen) else {
            return self.inner.reserve(call, limits, now_ms).await;
        };
        let _transaction = self.transaction.lock().await;
        let row = self.rows.lock().unwrap().get(&key).copied().unwrap_or_default();
        let own = row.held.map(|(token, _)| token).filter(|token| Some(*token) == call.lease);
        let refusal = match row.held {
            Some((_, until)) if own.is_none() && until > now_ms => Some(Reserved::Taken(until)),
            _ if row.seen != seen => Some(Reserved::Changed),
            _ => None,
        };
        if let Some(refusal) = refusal {
            self.met.lock().unwrap().push((key, refusal));
            return Ok(refusal);
        }
        let reserved = self.inner.reserve(call, limits, now_ms).await?;
        let Reserved::Go { call, at_ms, .. } = reserved else { return Ok(reserved) };
        let token = own.unwrap_or(call);
        self.rows.lock().unwrap().entry(key).or_default().held = Some((token, at_ms + LEASE_MS));
        self.of_call.lock().unwrap().insert(call, key);
        Ok(Reserved::Go { call, at_ms, lease: Some(token) })
    }

    async fn commit(&self, answer: Answer) -> Result<Committed, StoreError> {
        let _transaction = self.transaction.lock().await;
        let key = self.end(answer.end.call, answer.end.lease)?;
        self.grow(&answer.effects);
        let committed = self.inner.commit(answer).await?;
        Ok(Committed { seen: self.seen(key), ..committed })
    }

    async fn settle(&self, end: CallEnd, effects: Vec<Effect>) -> Result<i64, StoreError> {
        let transaction = self.transaction.lock().await;
        let measured = self.of_call.lock().unwrap().contains_key(&end.call);
        if let Some(lease) = end.lease.filter(|_| !measured) {
            self.still_holds(lease.token)?;
            return self.inner.settle(end, effects).await;
        }
        let key = self.end(end.call, end.lease)?;
        self.grow(&effects);
        self.inner.settle(end, effects).await?;
        let seen = self.seen(key);
        drop(transaction);
        if let Some(deed) = key.and_then(|_| self.next_deed()) {
            deed().await;
        }
        Ok(seen)
    }

    async fn apply(&self, effects: Vec<Effect>) -> Result<(), StoreError> {
        let _transaction = self.transaction.lock().await;
        self.grow(&effects);
        self.inner.apply(effects).await
    }

    async fn apply_known(
        &self,
        effects: Vec<Effect>,
        seen: BTreeMap<(MeterId, Dataset), i64>,
    ) -> Result<(), StoreError> {
        let _transaction = self.transaction.lock().await;
        let still_so = |effect: &Effect| match effect {
            Effect::Series { meter, dataset, .. } => {
                let key = (*meter, *dataset);
                seen.get(&key).is_none_or(|seen| *seen == self.seen(Some(key)))
            }
            _ => true,
        };
        let effects: Vec<Effect> = effects.into_iter().filter(still_so).collect();
        self.grow(&effects);
        self.inner.apply(effects).await
    }

    async fn keep(&self, update: CustomerUpdate) -> Result<i64, StoreError> {
        if let Some(lease) = update.lease {
            self.still_holds(lease)?;
            self.people.lock().unwrap().remove(&(update.meter, update.about));
        }
        self.inner.keep(CustomerUpdate { lease: None, ..update }).await
    }

    fn keep_answers(&self, days: i32) {
        self.inner.keep_answers(days);
    }

    async fn kept_series(&self) -> Result<Vec<(MeterId, Dataset)>, StoreError> {
        self.inner.kept_series().await
    }

    async fn kept(&self, meter: MeterId, dataset: Dataset) -> Result<Vec<KeptAnswer>, StoreError> {
        self.inner.kept(meter, dataset).await
    }

    async fn not_kept(&self, meter: MeterId, dataset: Dataset) -> Result<Vec<NotKept>, StoreError> {
        self.inner.not_kept(meter, dataset).await
    }

    async fn restore(&self, again: Answer, spoilt: Vec<Spoilt>) -> Result<Committed, StoreError> {
        self.inner.restore(again, spoilt).await
    }

    async fn closed_calls(&self) -> Result<Vec<ClosedCall>, StoreError> {
        self.inner.closed_calls().await
    }

    async fn unclear_hours(&self, meter: Option<MeterId>) -> Result<Vec<UnclearHours>, StoreError> {
        self.inner.unclear_hours(meter).await
    }

    async fn held_values(&self, meter: MeterId, dataset: Dataset) -> Result<HeldValues, StoreError> {
        self.inner.held_values(meter, dataset).await
    }

    async fn energy_of_days(&self, first: Day) -> Result<Vec<(String, Direction, DayThreefold)>, StoreError> {
        self.inner.energy_of_days(first).await
    }

    async fn call_tally(&self, after: CallId) -> Result<Tallied, StoreError> {
        self.inner.call_tally(after).await
    }

    async fn put_off(&self, waiting: &[CustomerFacts], why: PutOff) -> Result<(), StoreError> {
        self.inner.put_off(waiting, why).await
    }

    async fn floors(&self, meter: MeterId) -> Result<BTreeMap<Direction, Day>, StoreError> {
        self.inner.floors(meter).await
    }

    async fn customer_facts(&self, meters: &[MeterId]) -> Result<Vec<CustomerFacts>, StoreError> {
        self.inner.customer_facts(meters).await
    }

    async fn customers(&self) -> Result<Vec<CustomerStatus>, StoreError> {
        self.inner.customers().await
    }

    async fn status(&self) -> Result<Vec<SeriesStatus>, StoreError> {
        self.inner.status().await
    }

    async fn sources(&self) -> Result<Vec<SourceStatus>, StoreError> {
        self.inner.sources().await
    }

    async fn spent(&self, source: &str, pool: Pool, now_ms: i64) -> Result<Spent, StoreError> {
        self.inner.spent(source, pool, now_ms).await
    }

    async fn resume(&self, source: &str) -> Result<Option<Pause>, StoreError> {
        self.inner.resume(source).await
    }

    async fn refused_tokens(&self, source: SourceId, since_ms: i64, codes: &[&str]) -> Result<i64, StoreError> {
        self.inner.refused_tokens(source, since_ms, codes).await
    }

    async fn authorisations(&self) -> Result<Vec<Authorisation>, StoreError> {
        self.inner.authorisations().await
    }

    async fn authorise(&self, known: &[Authorisation]) -> Result<(), StoreError> {
        self.inner.authorise(known).await
    }

    async fn warn_of_consents(&self, now: i64) -> Result<Vec<Warning>, StoreError> {
        self.inner.warn_of_consents(now).await
    }

    async fn begin_journey(&self, journey: &Journey) -> Result<(), StoreError> {
        self.inner.begin_journey(journey).await
    }

    async fn journey(&self, state: &str) -> Result<Option<Journey>, StoreError> {
        self.inner.journey(state).await
    }

    async fn note_looks(&self, seen: &[Authorisation]) -> Result<(), StoreError> {
        self.inner.note_looks(seen).await
    }

    async fn answer_journey(&self, state: &str, brought: &Brought, now: i64) -> Result<Option<Answered>, StoreError> {
        self.inner.answer_journey(state, brought, now).await
    }

    async fn finish_journey(&self, state: &str, given: &[Authorisation], now: i64) -> Result<(), StoreError> {
        self.inner.finish_journey(state, given, now).await
    }

    async fn unfinished_journeys(&self) -> Result<Vec<Journey>, StoreError> {
        self.inner.unfinished_journeys().await
    }

    async fn tidy(&self) -> Result<(), StoreError> {
        self.inner.tidy().await
    }
}

/// The series of measures that a call is for.
fn series_of(call: &NewCall) -> Option<Key> {
    match call.asks? {
        Asks::Days(meter, dataset, _) => Some((meter, dataset)),
        Asks::Customer(..) => None,
    }
}

/// Told by a pass that ends, of a series of which another instance knows more by now.
#[tokio::test]
async fn what_followed_from_less_than_is_known_is_not_stored() {
    let world = World::new(3).with(MeterSpec::new(prm("01234567890123")));
    let rig = Rig::new(world, &[Dataset::ConsumptionLoadCurve], at("2026-11-24T08:30:00+01:00")).await;
    rig.pass().await;
    let shared = Shared::new(Arc::clone(&rig.store));
    let key = (shared.facts(0).await.unwrap().series[0].meter, Dataset::ConsumptionLoadCurve);
    let waits = |not_before| Effect::Series {
        meter: key.0,
        dataset: key.1,
        state: SeriesState::Waiting,
        code: None,
        message: None,
        not_before: Some(not_before),
    };
    let known = shared.counters(&[key]).await.unwrap();
    for not_before in [1, 2] {
        shared.apply_known(vec![waits(not_before)], known.clone()).await.unwrap();
        assert_eq!(shared.facts(0).await.unwrap().series[0].not_before, Some(1));
    }
    assert_eq!(shared.counters(&[key]).await.unwrap()[&key], known[&key] + 1);
}
