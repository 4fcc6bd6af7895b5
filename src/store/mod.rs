//! What is kept, and the contract of keeping it.
//!
//! A [`Store`] holds the readings, what is known of each day, the journal of calls and what was
//! learnt about meters and sources. Each method is one transaction and takes and returns domain
//! values; no transaction ever leaks. The call journal is also the budget: a line is written by
//! [`Store::reserve`] before its call is made, and completed by [`Store::commit`] (an answer, with
//! everything it taught) or [`Store::settle`] (a refusal). A line that is never completed, because
//! the process was killed, counts as spent.
//!
//! Two clocks meet here: `…_ms` is the machine's, in milliseconds since 1970, and drives pace and
//! budgets; `…_at` and `now` are the calendar's, in seconds since 1970, and stamp days and series.

mod call;
mod compare;
mod consents;
pub mod copy;
mod customer;
mod error;
mod facts;
mod forget;
mod holes;
pub mod lock;
mod offpeak;
mod open;
mod owner;
pub mod postgres;
mod raw;
mod setup;
pub mod sqlite;
mod status;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use crate::budget::Limits;
use crate::domain::reconcile::DayThreefold;
use crate::domain::{CustomerDataset, Dataset, Day, Direction};
use crate::source::Pool;

pub use call::{Answer, Asks, CallEnd, Committed, Effect, Lease, NewCall, Reserved, Unread};
pub use consents::{Answered, Authorisation, Brought, EndKnown, Journey, WARNED_AT_DAYS, Warning};
pub use customer::{
    Closed, ClosedCall, CustomerContent, CustomerFacts, CustomerStatus, CustomerUpdate, PutOff, UnclearHours,
};
pub use error::StoreError;
pub use facts::{Activation, Facts, FailedCall, Learnt, SeriesFacts, SourceFacts, SourceState, Standing};
pub use forget::{Forget, Forgotten, ForgottenMeter};
pub use open::{Database, Finding, Mode, Place};
pub use raw::{HeldValues, KEPT_DAYS, KeptAnswer, NotKept, Raw, Spoilt};
pub use setup::{MeterSetup, Setup, SourceSetup, Switch, Window};
pub use status::{Pause, SeriesStatus, SourceStatus, Spent};
pub use tally::{CallTally, DURATIONS_MS, JournalTally, Tallied};

/// The number of a meter in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MeterId(pub i64);

/// The number of a source in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub i64);

/// The number of a line of the call journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct CallId(pub i64);

/// Milliseconds from the start of a call until others may take over its series: no answer is waited
/// for longer.
pub const LEASE_MS: i64 = 60_000;

/// The name of the dataset of that number, whichever kind it is of.
fn dataset_name(id: i64) -> Option<&'static str> {
    Dataset::from_id(id).map(Dataset::name).or_else(|| CustomerDataset::from_id(id).map(CustomerDataset::name))
}

/// The database behind linkyd. No method has a body here: a store around another one would lose it without a word.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// Makes sources, meters and series those of the configuration. What left the configuration
    /// keeps its rows and is no longer reported.
    /// Names the sources whose credentials are others than before.
    async fn set_up(&self, setup: &Setup) -> Result<Vec<String>, StoreError>;

    /// Gives every day of the windows a record (`missing` where nothing is known), marks as
    /// `expired` the days that left their window unfetched, and remembers the windows and the day
    /// it is (`now`, calendar), so that the views know them.
    ///
    /// Names the series whose window now holds days that facts read before do not tell of although
    /// something is known of them, as when `since` was taken back: they have to be read again.
    async fn open_windows(&self, windows: &[Window], now: i64) -> Result<Vec<(MeterId, Dataset)>, StoreError>;

    /// Lets other sources serve these series.
    async fn serve(&self, switches: &[Switch]) -> Result<(), StoreError>;

    /// Everything the planner needs; `failed_since` (calendar) bounds the failed calls.
    async fn facts(&self, failed_since: i64) -> Result<Facts, StoreError>;

    /// The facts of these series alone: theirs, their meters' activations and their failed calls, and
    /// how all sources stand. For who was told that they have changed ([`Reserved::Changed`]).
    async fn series_facts(&self, series: &[(MeterId, Dataset)], failed_since: i64) -> Result<Facts, StoreError>;

    /// How far back a source answered for a dataset: for each day on which it did, an instant of that
    /// day (calendar) and the oldest first day of a call. Looks through the whole journal.
    async fn oldest_answered(&self, source: SourceId, dataset: Dataset) -> Result<Vec<(i64, Day)>, StoreError>;

    /// The counters of some series ([`SeriesFacts::seen`]), and nothing else of them. Where one process has the
    /// database for itself there are none.
    async fn counters(&self, series: &[(MeterId, Dataset)]) -> Result<BTreeMap<(MeterId, Dataset), i64>, StoreError>;

    /// The same store for a pass, which waits for minutes until a server is back; others who read are told
    /// within seconds.
    fn patient(self: Arc<Self>) -> Arc<dyn Store>;

    /// Whether other instances may be at work on the same database.
    fn is_shared(&self) -> bool;

    /// Decides whether a call may be made and writes its line, in one transaction. Where other
    /// instances may be at work it takes the lease of the series as well ([`NewCall::seen`]): until
    /// [`LEASE_MS`] after the call starts, nobody else gets one.
    async fn reserve(&self, call: &NewCall, limits: &Limits, now_ms: i64) -> Result<Reserved, StoreError>;

    /// Stores an answer: readings, revisions, day records, effects and the end of its line. Gives the
    /// lease back, or fails with [`StoreError::Superseded`] where it is another's by now.
    async fn commit(&self, answer: Answer) -> Result<Committed, StoreError>;

    /// Ends the line of a call that brought no answer, with its effects, and its lease as
    /// [`Store::commit`] does. The counter of the series from then on ([`SeriesFacts::seen`]).
    async fn settle(&self, end: CallEnd, effects: Vec<Effect>) -> Result<i64, StoreError>;

    /// Stores effects that no call brought.
    async fn apply(&self, effects: Vec<Effect>) -> Result<(), StoreError>;

    /// The same for effects that follow from what was known: those of a series whose counter is another one by
    /// now ([`SeriesFacts::seen`]) are dropped, since what others have found out stands. A store that one process
    /// has for itself drops none.
    async fn apply_known(
        &self,
        effects: Vec<Effect>,
        seen: BTreeMap<(MeterId, Dataset), i64>,
    ) -> Result<(), StoreError>;

    /// Keeps what was said of a customer, or how asking about one failed, in one transaction, and gives the lease back.
    /// Fails with [`StoreError::Superseded`] where the lease is another's by now, or, without one, more is known of the
    /// dataset than [`CustomerUpdate::seen`]. The counter of the dataset from then on ([`CustomerFacts::seen`]).
    async fn keep(&self, update: CustomerUpdate) -> Result<i64, StoreError>;

    /// Notes that these datasets about customers wait, or fail with their source, and why. Those of which more is known
    /// than [`CustomerFacts::seen`] stay as they are.
    async fn put_off(&self, waiting: &[CustomerFacts], why: PutOff) -> Result<(), StoreError>;

    /// Since when there are measures of a meter, as its newest contracts say.
    async fn floors(&self, meter: MeterId) -> Result<BTreeMap<Direction, Day>, StoreError>;

    /// The facts of what is to be known of these meters' customers. For who was told that they have changed
    /// ([`Reserved::Changed`]).
    async fn customer_facts(&self, meters: &[MeterId]) -> Result<Vec<CustomerFacts>, StoreError>;

    /// How datasets about customers stand, in the order of the configuration.
    async fn customers(&self) -> Result<Vec<CustomerStatus>, StoreError>;

    /// The lines of `linkyd status`, in the order of the configuration.
    async fn status(&self) -> Result<Vec<SeriesStatus>, StoreError>;

    /// The configured sources and whether they rest, in the order of their names.
    async fn sources(&self) -> Result<Vec<SourceStatus>, StoreError>;

    /// What the account of a source has spent of one of its counters.
    async fn spent(&self, source: &str, pool: Pool, now_ms: i64) -> Result<Spent, StoreError>;

    /// Lifts the rest of a source and forgets its refusals; what it was, where there was one.
    async fn resume(&self, source: &str) -> Result<Option<Pause>, StoreError>;

    /// The calls of a source's account since then (machine, ms) that brought no token, whose token was
    /// refused, or that were refused with one of these codes.
    async fn refused_tokens(&self, source: SourceId, since_ms: i64, codes: &[&str]) -> Result<i64, StoreError>;

    /// For how many days answers are kept as they came; 0: not at all. [`KEPT_DAYS`] where nothing is said.
    fn keep_answers(&self, days: i32);

    /// The series of which answers are kept.
    async fn kept_series(&self) -> Result<Vec<(MeterId, Dataset)>, StoreError>;

    /// The kept answers of a series, in the order of their calls.
    async fn kept(&self, meter: MeterId, dataset: Dataset) -> Result<Vec<KeptAnswer>, StoreError>;

    /// The answers of a series that held values and were not kept, because that was off or they were too old.
    async fn not_kept(&self, meter: MeterId, dataset: Dataset) -> Result<Vec<NotKept>, StoreError>;

    /// Stores values that were read again from a kept answer: as [`Store::commit`] does, but no call brought them, so
    /// the journal and the series stay as they are, and the records of the days only say anew what is stored. In the
    /// same transaction what is spoilt is taken out first, and kept as revisions.
    async fn restore(&self, again: Answer, spoilt: Vec<Spoilt>) -> Result<Committed, StoreError>;

    /// The calls about customers that sources do not take from this application, by source and path.
    async fn closed_calls(&self) -> Result<Vec<ClosedCall>, StoreError>;

    /// The newest contracts of which it is not known when off-peak hours are, of that meter or of all that are
    /// configured, in their order.
    async fn unclear_hours(&self, meter: Option<MeterId>) -> Result<Vec<UnclearHours>, StoreError>;

    /// Everything that is stored of a series, and where it came from.
    async fn held_values(&self, meter: MeterId, dataset: Dataset) -> Result<HeldValues, StoreError>;

    /// The energy of days from `first` on as each dataset tells it, of configured meters, where there is more than one
    /// way to know it: meters by name.
    async fn energy_of_days(&self, first: Day) -> Result<Vec<(String, Direction, DayThreefold)>, StoreError>;

    /// The calls of the journal after that line by how they ended ([`JournalTally`]).
    async fn call_tally(&self, after: CallId) -> Result<Tallied, StoreError>;

    /// What journeys to Enedis' page brought, by meter and source.
    async fn authorisations(&self) -> Result<Vec<Authorisation>, StoreError>;

    /// Notes what journeys brought, in the place of what was known of the same meters at the same sources.
    /// [`Store::set_up`] reckons from it when the consent for a meter ends.
    /// The number of an authorisation outlives a consent that names none.
    async fn authorise(&self, known: &[Authorisation]) -> Result<(), StoreError>;

    /// Notes what looks at these authorisations found out about their ends and what they cover. One that was given
    /// anew since (another [`Authorisation::granted_at`]) stays as it is.
    async fn note_looks(&self, seen: &[Authorisation]) -> Result<(), StoreError>;

    /// The consents of which nobody was warned yet as urgently as now (machine, seconds), those that end
    /// first coming first; notes that somebody was ([`WARNED_AT_DAYS`]).
    async fn warn_of_consents(&self, now: i64) -> Result<Vec<Warning>, StoreError>;

    /// Begins a journey to Enedis' page.
    async fn begin_journey(&self, journey: &Journey) -> Result<(), StoreError>;

    /// A journey, by the digest of its state.
    async fn journey(&self, state: &str) -> Result<Option<Journey>, StoreError>;

    /// Notes that a journey, by the digest of its state, was answered at `now` (machine, seconds), and stores what that
    /// brought, in one transaction; `None` where there is no such journey. Only the first answer counts, but for the
    /// number of an authorisation whose meter is not known yet: the first may have been cut off.
    async fn answer_journey(&self, state: &str, brought: &Brought, now: i64) -> Result<Option<Answered>, StoreError>;

    /// Stores what a journey that had brought a number came to, and that it is over since `now` (machine, seconds), in
    /// one transaction.
    async fn finish_journey(&self, state: &str, given: &[Authorisation], now: i64) -> Result<(), StoreError>;

    /// The journeys that brought an authorisation whose meter is not known yet, the newest first.
    async fn unfinished_journeys(&self) -> Result<Vec<Journey>, StoreError>;

    /// Forgets answers that are older than they are kept, and leaves the file as small and as readable as it can be,
    /// after a pass.
    async fn tidy(&self) -> Result<(), StoreError>;
}
