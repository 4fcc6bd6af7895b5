//! A call in the store: its line before it is made, and what comes of it.

use crate::budget::{Keep, Verdict};
use crate::domain::registers::Doubt;
use crate::domain::{Api, CustomerDataset, Dataset, Day, DayRecord, Days, Direction, SameDay, SeriesState, Values};

use crate::source::Pool;

use super::{Activation, CallId, Closed, Learnt, MeterId, Raw, SourceId, SourceState};

/// What a call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// Measures of some days.
    Days(MeterId, Dataset, Days),
    /// Something about the customer, which has no days.
    Customer(MeterId, CustomerDataset),
}

impl Asks {
    /// Of which meter.
    #[must_use]
    pub fn meter(self) -> MeterId {
        match self {
            Self::Days(meter, ..) | Self::Customer(meter, _) => meter,
        }
    }

    /// The number of its dataset in the database.
    #[must_use]
    pub fn dataset_id(self) -> i64 {
        match self {
            Self::Days(_, dataset, _) => dataset.id(),
            Self::Customer(_, about) => about.id(),
        }
    }

    /// The days, of measures.
    #[must_use]
    pub fn days(self) -> Option<Days> {
        match self {
            Self::Days(_, _, days) => Some(days),
            Self::Customer(..) => None,
        }
    }
}

impl From<(MeterId, Dataset, Days)> for Asks {
    fn from((meter, dataset, days): (MeterId, Dataset, Days)) -> Self {
        Self::Days(meter, dataset, days)
    }
}

/// A call that is about to be made.
#[derive(Debug, Clone)]
pub struct NewCall {
    /// The source.
    pub source: SourceId,
    /// The API it speaks; `None` for a token.
    pub api: Option<Api>,
    /// Which of the source's counters it belongs to.
    pub pool: Pool,
    /// What it asks for; `None` for a token.
    pub asks: Option<Asks>,
    /// What it leaves for calls that may not wait, if it can wait itself.
    pub keep: Option<Keep>,
    /// What was known of its series when it was planned ([`super::SeriesFacts::seen`]); `None` for a
    /// call that is not made for a series' sake, like one for a token: it takes no lease.
    pub seen: Option<i64>,
    /// The lease under which the caller holds the series already, while another call of it is in the
    /// air: several calls of one caller share a lease.
    pub lease: Option<CallId>,
    /// A store that others share starts it no sooner than so many milliseconds after its line is written:
    /// what the caller needs to hear of it, for a call that leaves later than its line says comes too
    /// near to somebody else's.
    pub lead_ms: u32,
    /// Whether it is made although the source rests, because an operator has just mended what the
    /// rest is for.
    pub despite_rest: bool,
    /// When (calendar).
    pub asked_at: i64,
}

/// The outcome of [`super::Store::reserve`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// The line is written; the call starts at this instant (machine, ms), which can lie ahead.
    Go {
        /// The line.
        call: CallId,
        /// When the call starts.
        at_ms: i64,
        /// The lease of its series, which the end of the call has to show: the caller's own where that
        /// still held, else the number of this call. Nothing where no series was to be held.
        lease: Option<CallId>,
    },
    /// Nothing was written: the budget says later.
    Wait(Verdict),
    /// Nothing was written: the source rests until this instant (machine, ms).
    Rests(i64),
    /// Nothing was written: another instance is at work on the series, and holds it until this instant
    /// (machine, ms) at the latest.
    Taken(i64),
    /// Nothing was written: more is known of the series than the caller knew. It has to be looked at
    /// again ([`super::Store::series_facts`]).
    Changed,
}

/// A caller's hold on a series while calls of it are in the air. Its number is a fencing token: only
/// who still holds the series may store what it learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The number, as [`Reserved::Go`] gave it.
    pub token: CallId,
    /// Whether it is held on to, because other calls of the caller for the series are in the air.
    pub keep: bool,
}

/// How a call ended, for its line in the journal.
#[derive(Debug, Clone)]
pub struct CallEnd {
    /// The line.
    pub call: CallId,
    /// The lease of its series, where it took one.
    pub lease: Option<Lease>,
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
    /// What is known about an activation is another thing now: a refusal moved it, or it is looked at anew.
    Activation {
        /// Which meter.
        meter: MeterId,
        /// Which direction.
        direction: Direction,
        /// All that is known now.
        known: Activation,
    },
    /// A call was accepted that begins further back than any before it, as far as the caller knows. Another
    /// instance may have learnt of a refusal since the call left, so this says nothing about refusals
    /// ([`Activation::accepting`]).
    Accepted {
        /// Which meter.
        meter: MeterId,
        /// Which direction.
        direction: Direction,
        /// The first day of the call.
        first: Day,
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
    /// A source rests or slows down, or is well again.
    Source {
        /// Which source.
        source: SourceId,
        /// How it stands now.
        state: SourceState,
    },
    /// A source takes a call about customers from this application again, or does not.
    Closed {
        /// Which source.
        source: SourceId,
        /// The path of the call.
        path: String,
        /// The refusal; `None` where it is over.
        closed: Option<Closed>,
    },
    /// An answer came that cannot be read: it is kept for a decoder that can.
    Unread(Box<Unread>),
    /// What a source said about its own quota at this instant (machine, ms): it takes `left` more
    /// calls until then. Believed for a day at most.
    Told {
        /// Which source.
        source: SourceId,
        /// Which counter.
        pool: Pool,
        /// Calls that it still takes.
        left: u32,
        /// When it said so.
        at_ms: i64,
        /// Until when it holds.
        until_ms: i64,
    },
}

/// An answer that could not be read, and so is stored as it came and in no other way.
#[derive(Debug, Clone, PartialEq)]
pub struct Unread {
    /// The call that brought it.
    pub call: CallId,
    /// Whose data.
    pub meter: MeterId,
    /// Which dataset.
    pub dataset: Dataset,
    /// From which source.
    pub source: SourceId,
    /// The days that it covers, as far as that is known.
    pub days: Days,
    /// When it was asked (calendar).
    pub asked_at: i64,
    /// The answer.
    pub raw: Raw,
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
    /// Whether that is Enedis itself. Where another source disagrees with it, its value stays and the
    /// other one is kept as a revision.
    pub direct: bool,
    /// The days that the answer covers: only of these is anything concluded.
    pub covered: Days,
    /// Whether a day that it leaves out is one that the source does not have
    /// ([`crate::source::Reach::exact_days`]).
    pub exact: bool,
    /// How often the source may be asked on the same day.
    pub same_day: SameDay,
    /// The values, ascending, all inside `covered`; of registers also the midnight that ends it.
    pub values: Values,
    /// When it was asked (calendar).
    pub asked_at: i64,
    /// The first day that the source still serves.
    pub window_first: Day,
    /// What else it taught.
    pub effects: Vec<Effect>,
    /// The answer as it came, where it had a body.
    pub raw: Option<Raw>,
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
    /// The counter of the series from now on ([`super::SeriesFacts::seen`]).
    pub seen: i64,
    /// What is odd about the registers of days that the answer touched.
    pub doubts: Vec<(Day, Doubt)>,
}
