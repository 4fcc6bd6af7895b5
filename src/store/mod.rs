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

pub mod lock;
pub mod sqlite;

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::budget::{Limits, Verdict};
use crate::domain::{Api, Dataset, Day, DayRecord, Days, Direction, Prm, SeriesState, Values};

/// The number of a meter in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MeterId(pub i64);

/// The number of a source in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub i64);

/// The number of a line of the call journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub i64);

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no database, or no way to it.
    #[error("cannot open the database {place}: {reason}")]
    Unreachable {
        /// Which database, without secrets.
        place: String,
        /// What happened and what to do.
        reason: String,
    },
    /// The database was written by a newer linkyd.
    #[error(
        "the database {place} has schema {found}, this linkyd knows {known}: it was written by a newer version; upgrade linkyd, nothing was changed"
    )]
    Newer {
        /// Which database.
        place: String,
        /// Its schema version.
        found: i64,
        /// The newest schema version known here.
        known: i64,
    },
    /// The database has an older schema, and this command does not migrate.
    #[error("the database {place} has schema {found}, this linkyd needs {known}: run `linkyd db migrate`")]
    Older {
        /// Which database.
        place: String,
        /// Its schema version.
        found: i64,
        /// The newest schema version known here.
        known: i64,
    },
    /// Another process holds a lock: try later.
    #[error("the database {place} is in use: {reason}")]
    Busy {
        /// Which database.
        place: String,
        /// Who holds it and what to do.
        reason: String,
    },
    /// The database is damaged.
    #[error("the database {place} is damaged: {reason}")]
    Damaged {
        /// Which database.
        place: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The database refuses to be written: no permission, no space, a failing disk.
    #[error("cannot write to the database {place}: {reason}")]
    NotWritable {
        /// Which database.
        place: String,
        /// What happened and what to do.
        reason: String,
    },
    /// A row that cannot become a value: the database was damaged or edited.
    #[error("inconsistent row in {table}: {what}; run `linkyd db check`")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// What is wrong, without personal data.
        what: String,
    },
    /// Any other error of the database.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

/// What the configuration wants kept.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The sources.
    pub sources: Vec<SourceSetup>,
    /// The meters.
    pub meters: Vec<MeterSetup>,
}

/// A configured source.
#[derive(Debug, Clone)]
pub struct SourceSetup {
    /// The operator's name for it.
    pub name: String,
    /// Its kind, as in the configuration.
    pub kind: &'static str,
    /// What it counts calls by ([`crate::source::Source::account`]).
    pub account: String,
}

/// A configured meter.
#[derive(Debug, Clone)]
pub struct MeterSetup {
    /// Its identifier.
    pub prm: Prm,
    /// Its name.
    pub name: String,
    /// The name of the source that serves it.
    pub source: String,
    /// The datasets that are kept.
    pub datasets: Vec<Dataset>,
}

/// One series and all that is known of it.
#[derive(Debug, Clone)]
pub struct SeriesFacts {
    /// Whose series.
    pub meter: MeterId,
    /// The meter's identifier.
    pub prm: Prm,
    /// The meter's name.
    pub name: String,
    /// Which dataset.
    pub dataset: Dataset,
    /// The source that serves it.
    pub source: SourceId,
    /// How it fares.
    pub state: SeriesState,
    /// The code of its last error, while that matters.
    pub code: Option<String>,
    /// When it may be asked again after a refusal (calendar).
    pub not_before: Option<i64>,
    /// When it last got an answer (calendar).
    pub last_success_at: Option<i64>,
    /// The days of which something is known, also those before the window.
    pub days: BTreeMap<Day, DayRecord>,
}

/// What was learnt about when a meter was activated, for one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Activation {
    /// The latest first day that was refused as being before the activation.
    pub refused: Option<Day>,
    /// The earliest first day that was accepted.
    pub accepted: Option<Day>,
    /// How many calls were refused in the search, ever.
    pub refusals: i32,
}

/// What was learnt about a source's treatment of one dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Learnt {
    /// The most days of a call, and until when (calendar) that is believed.
    pub max_days: Option<(i32, i64)>,
    /// Days at the old end of the window that the source refuses.
    pub history_short: i32,
    /// The API that worked last, and since when (calendar).
    pub api: Option<(Api, i64)>,
    /// The dataset is not asked for from this source before (calendar).
    pub not_before: Option<i64>,
}

/// A source and what was learnt about it.
#[derive(Debug, Clone)]
pub struct SourceFacts {
    /// Its number.
    pub id: SourceId,
    /// The operator's name for it.
    pub name: String,
    /// No call before this instant (machine, ms): it said so, or it refused us altogether.
    pub not_before_ms: Option<i64>,
    /// The code of the refusal behind that.
    pub code: Option<String>,
    /// Half pace until this instant (machine, ms).
    pub slow_until_ms: Option<i64>,
    /// What was learnt about its datasets.
    pub learnt: BTreeMap<Dataset, Learnt>,
}

/// A call of today (calendar) that the source refused or failed to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedCall {
    /// Whose series.
    pub meter: MeterId,
    /// Which dataset.
    pub dataset: Dataset,
    /// The days it asked for.
    pub days: Days,
    /// When (calendar).
    pub at: i64,
    /// Its code.
    pub code: String,
    /// Whether a later call of the same series succeeded.
    pub healed: bool,
}

/// Everything that the planner needs.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The configured series.
    pub series: Vec<SeriesFacts>,
    /// The configured sources.
    pub sources: Vec<SourceFacts>,
    /// What was learnt about activations.
    pub activations: BTreeMap<(MeterId, Direction), Activation>,
    /// Failed calls since the given instant.
    pub failed: Vec<FailedCall>,
}

/// The days that a series has, for [`Store::open_windows`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Whose series.
    pub meter: MeterId,
    /// Which dataset.
    pub dataset: Dataset,
    /// The first day that the source still serves, whatever activation or `since` take off. An
    /// incomplete day before it is `expired`; one that is served but lies before `days` was never
    /// wanted and is forgotten.
    pub served: Day,
    /// From the first day that is served and not before activation or `since`, up to but without
    /// the day that is not published yet; `None` where there is no such day.
    pub days: Option<Days>,
}

/// A call that is about to be made.
#[derive(Debug, Clone)]
pub struct NewCall {
    /// The source.
    pub source: SourceId,
    /// The API it speaks; `None` for a token.
    pub api: Option<Api>,
    /// What it asks for; `None` for a token.
    pub asks: Option<(MeterId, Dataset, Days)>,
    /// When (calendar).
    pub asked_at: i64,
}

/// The outcome of [`Store::reserve`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// The line is written; the call starts at this instant (machine, ms), which can lie ahead.
    Go {
        /// The line.
        call: CallId,
        /// When the call starts.
        at_ms: i64,
    },
    /// Nothing was written.
    Wait(Verdict),
}

/// How a call ended, for its line in the journal.
#[derive(Debug, Clone)]
pub struct CallEnd {
    /// The line.
    pub call: CallId,
    /// HTTP status, where an answer came.
    pub status: Option<u16>,
    /// The code of a refusal.
    pub code: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
}

/// Something learnt, stored together with the end of the call that taught it.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// A series changes its state; `message` is what the operator reads.
    Series {
        /// Whose series.
        meter: MeterId,
        /// Which dataset.
        dataset: Dataset,
        /// Its new state.
        state: SeriesState,
        /// The code behind it.
        code: Option<String>,
        /// What happened and what to do.
        message: Option<String>,
        /// When it may be asked again (calendar).
        not_before: Option<i64>,
    },
    /// What is known about an activation.
    Activation {
        /// Which meter.
        meter: MeterId,
        /// Which direction.
        direction: Direction,
        /// All that is known now.
        known: Activation,
    },
    /// What is known about a source's dataset.
    Learnt {
        /// Which source.
        source: SourceId,
        /// Which dataset.
        dataset: Dataset,
        /// All that is known now.
        known: Learnt,
    },
    /// A source pauses or slows down, or is well again (all `None`).
    Source {
        /// Which source.
        source: SourceId,
        /// No call before (machine, ms).
        not_before_ms: Option<i64>,
        /// The code behind it.
        code: Option<String>,
        /// What happened and what to do.
        message: Option<String>,
        /// Half pace until (machine, ms).
        slow_until_ms: Option<i64>,
    },
}

/// An answer to be stored. An answer that says that there is nothing has no values.
#[derive(Debug, Clone)]
pub struct Answer {
    /// How the call ended.
    pub end: CallEnd,
    /// Whose data.
    pub meter: MeterId,
    /// Which dataset.
    pub dataset: Dataset,
    /// From which source.
    pub source: SourceId,
    /// The days that the answer covers: only of these is anything concluded.
    pub covered: Days,
    /// The values, ascending, all inside `covered`.
    pub values: Values,
    /// When it was asked (calendar).
    pub asked_at: i64,
    /// The first day that the source still serves.
    pub window_first: Day,
    /// What else it taught.
    pub effects: Vec<Effect>,
}

/// What storing an answer changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Committed {
    /// Values that were not there before.
    pub inserted: u64,
    /// Values that differ from those stored before; the old ones are kept as revisions.
    pub changed: u64,
    /// The records of the days covered.
    pub days: Vec<(Day, DayRecord)>,
}

/// One line of `linkyd status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesStatus {
    /// The meter's identifier.
    pub prm: Prm,
    /// The meter's name.
    pub name: String,
    /// The source that serves it.
    pub source: String,
    /// Which dataset.
    pub dataset: Dataset,
    /// How it fares.
    pub state: SeriesState,
    /// The first day that was not published yet at the last pass; gaps and counts end before it.
    pub window_end: Option<Day>,
    /// The newest complete day.
    pub newest_day: Option<Day>,
    /// The oldest complete day.
    pub oldest_day: Option<Day>,
    /// Runs of days in the window that are not complete (lines of `v_gap`).
    pub gaps: i64,
    /// Days in the window by their state.
    pub days: BTreeMap<crate::domain::DayState, i64>,
    /// The code of its last error, while that matters.
    pub code: Option<String>,
    /// What happened and what to do.
    pub message: Option<String>,
    /// When it last got an answer (calendar).
    pub last_success_at: Option<i64>,
    /// When it may be asked again after a refusal, or when its next day is due (calendar).
    pub next_try_at: Option<i64>,
}

/// What an account has spent, for `linkyd status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    /// Calls in the last hour.
    pub hour: i64,
    /// Calls in the last 24 hours.
    pub day: i64,
    /// Calls ever.
    pub ever: i64,
}

/// Milliseconds up to which [`CallTally::within`] counts answers.
pub const DURATIONS_MS: [i64; 7] = [100, 250, 500, 1_000, 2_500, 5_000, 10_000];

/// Calls of the journal that ended alike, for metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallTally {
    /// The source's name.
    pub source: String,
    /// The API; `None` for tokens.
    pub api: Option<String>,
    /// The dataset; `None` for tokens.
    pub dataset: Option<Dataset>,
    /// Whether they brought what was asked for, or the certainty that there is nothing.
    pub answered: bool,
    /// HTTP status, where an answer came.
    pub status: Option<u16>,
    /// The code of the refusal.
    pub code: Option<String>,
    /// How many there were, ever.
    pub calls: i64,
    /// What they took together, in milliseconds.
    pub duration_ms: i64,
    /// How many took at most that long ([`DURATIONS_MS`]).
    pub within: [i64; 7],
}

/// The database behind linkyd.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// Makes sources, meters and series those of the configuration. What left the configuration
    /// keeps its rows and is no longer reported.
    async fn set_up(&self, setup: &Setup) -> Result<(), StoreError>;

    /// Gives every day of the windows a record (`missing` where nothing is known), marks as
    /// `expired` the days that left their window unfetched, and remembers the windows and the day
    /// it is (`now`, calendar), so that the views know them.
    async fn open_windows(&self, windows: &[Window], now: i64) -> Result<(), StoreError>;

    /// Everything the planner needs; `failed_since` (calendar) bounds the failed calls.
    async fn facts(&self, failed_since: i64) -> Result<Facts, StoreError>;

    /// Decides whether a call may be made and writes its line, in one transaction.
    async fn reserve(&self, call: &NewCall, limits: &Limits, now_ms: i64) -> Result<Reserved, StoreError>;

    /// Stores an answer: readings, revisions, day records, effects and the end of its line.
    async fn commit(&self, answer: Answer) -> Result<Committed, StoreError>;

    /// Ends the line of a call that brought no answer, with its effects.
    async fn settle(&self, end: CallEnd, effects: Vec<Effect>) -> Result<(), StoreError>;

    /// Stores effects that no call brought.
    async fn apply(&self, effects: Vec<Effect>) -> Result<(), StoreError>;

    /// The lines of `linkyd status`, in the order of the configuration.
    async fn status(&self) -> Result<Vec<SeriesStatus>, StoreError>;

    /// What the account of a source has spent.
    async fn spent(&self, source: &str, now_ms: i64) -> Result<Spent, StoreError>;

    /// The calls of a source's account since then (machine, ms) that brought no token, or whose token
    /// was refused.
    async fn refused_tokens(&self, source: SourceId, since_ms: i64) -> Result<i64, StoreError>;

    /// The calls of the journal by how they ended. Those that never ended are left out.
    async fn call_tally(&self) -> Result<Vec<CallTally>, StoreError> {
        Ok(Vec::new())
    }

    /// Leaves the file as small and as readable as it can be, after a pass.
    async fn tidy(&self) -> Result<(), StoreError>;
}
