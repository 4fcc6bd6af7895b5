//! What the store tells the planner: the series, the sources and what was learnt about both.

use std::collections::BTreeMap;

use crate::domain::{Api, Coverage, Dataset, Day, Days, Direction, Prm, SeriesState};

use super::{Closed, CustomerFacts, MeterId, SourceId};

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
    /// How it stands at sources that do not serve it just now, where something is known of that.
    pub elsewhere: BTreeMap<SourceId, Standing>,
    /// How it fares.
    pub state: SeriesState,
    /// The code of its last error, while that matters.
    pub code: Option<String>,
    /// When it may be asked again after a refusal (calendar).
    pub not_before: Option<i64>,
    /// When it last got an answer (calendar).
    pub last_success_at: Option<i64>,
    /// A counter that grows with everything that changes what is known of the series: answers,
    /// refusals, states, sources, and refusals that move its activation. Always 0 in a store that
    /// one process has for itself.
    pub seen: i64,
    /// What is known of its days: of all that lie in the remembered window
    /// ([`super::Store::open_windows`]), and of those outside that the store cares to tell.
    pub days: Coverage,
}

/// How a series stands at a source that does not serve it just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// How it fared there.
    pub state: SeriesState,
    /// The code of its last error there.
    pub code: Option<String>,
    /// When it may be asked there again (calendar).
    pub not_before: Option<i64>,
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

impl Activation {
    /// What is known once a call was accepted that begins with this day. What is accepted was never before the
    /// activation, so a refusal of such days is not believed any longer.
    #[must_use]
    pub fn accepting(self, first: Day) -> Self {
        let accepted = Some(self.accepted.map_or(first, |accepted| accepted.min(first)));
        if self.refused.is_some_and(|refused| refused >= first) {
            return Self { refused: None, accepted, refusals: 0 };
        }
        Self { accepted, ..self }
    }
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
    /// How it stands with what it counts by; sources of one account share it.
    pub state: SourceState,
    /// What was learnt about its datasets.
    pub learnt: BTreeMap<Dataset, Learnt>,
    /// The calls about customers that it does not take from this application, by their paths.
    pub closed: BTreeMap<String, Closed>,
}

/// How things stand with what a source counts by: whether it rests, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceState {
    /// No call before this instant (machine, ms): it said so, or it refused us altogether.
    pub not_before_ms: Option<i64>,
    /// The code of the refusal behind that.
    pub code: Option<String>,
    /// What happened and what to do.
    pub message: Option<String>,
    /// Half pace until this instant (machine, ms).
    pub slow_until_ms: Option<i64>,
    /// Calls that failed one after the other without an answer in between.
    pub refusals: u32,
    /// How often it was left to rest for that, without an answer in between.
    pub strikes: u32,
}

/// A call of today (calendar) that the source refused or failed to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedCall {
    /// Whose series.
    pub meter: MeterId,
    /// Which dataset.
    pub dataset: Dataset,
    /// The source that was asked.
    pub source: SourceId,
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
    /// The configured datasets about customers, in the order of the configuration.
    pub customers: Vec<CustomerFacts>,
    /// Since when there are measures, as the newest contracts say.
    pub floors: BTreeMap<(MeterId, Direction), Day>,
    /// What was learnt about activations.
    pub activations: BTreeMap<(MeterId, Direction), Activation>,
    /// Failed calls since the given instant.
    pub failed: Vec<FailedCall>,
    /// For each dataset of which a source was found to lack old days: how far back it answered
    /// ([`super::Store::oldest_answered`]).
    pub oldest_answered: BTreeMap<(SourceId, Dataset), Vec<(i64, Day)>>,
}
