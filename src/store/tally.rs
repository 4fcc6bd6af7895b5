//! The journal in figures, for metrics: counted once, and from then on only what came since.
//!
//! The journal of a fleet grows by ten million lines a year, and a scrape may come every few seconds. So what
//! has settled is remembered with the last line that it counts, and each look reads the lines after that one.
//! Nothing of it is stored: a process that starts counts once more from the first line on.

use std::collections::BTreeMap;

use super::{CallId, Store, StoreError};

/// Milliseconds after which a line counts as settled: no call takes as long.
pub(super) const SETTLED_MS: i64 = 600_000;

/// Milliseconds up to which [`CallTally::within`] counts answers.
pub const DURATIONS_MS: [i64; 7] = [100, 250, 500, 1_000, 2_500, 5_000, 10_000];

/// Calls of the journal that ended alike, for metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallTally {
    /// The source's name.
    pub source: String,
    /// The API; `None` for tokens.
    pub api: Option<String>,
    /// The name of the dataset; `None` for tokens.
    pub dataset: Option<&'static str>,
    /// Whether they brought what was asked for, or the certainty that there is nothing.
    pub answered: bool,
    /// HTTP status, where an answer came.
    pub status: Option<u16>,
    /// The code of the refusal.
    pub code: Option<String>,
    /// How many there were.
    pub calls: i64,
    /// What they took together, in milliseconds.
    pub duration_ms: i64,
    /// How many took at most that long ([`DURATIONS_MS`]).
    pub within: [i64; 7],
}

/// The calls after some line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tallied {
    /// The last line that has settled, or the one after which was counted.
    pub settled: CallId,
    /// The calls up to that line, and not settled ones after it (`true`). Those that never ended are in
    /// neither.
    pub calls: Vec<(bool, CallTally)>,
}

/// The name of a source, an API, a dataset, whether it was answered, a status and a code.
type Ending = (String, Option<String>, Option<&'static str>, bool, Option<u16>, Option<String>);

/// The calls of the whole journal by how they ended, kept up to date.
#[derive(Debug, Default)]
pub struct JournalTally {
    settled: BTreeMap<Ending, CallTally>,
    up_to: CallId,
}

impl JournalTally {
    /// Counts what came since the last look: all calls that have ended, ever.
    pub async fn of(&mut self, store: &dyn Store) -> Result<Vec<CallTally>, StoreError> {
        let new = store.call_tally(self.up_to).await?;
        self.up_to = new.settled;
        let (recent, settled): (Vec<_>, Vec<_>) = new.calls.into_iter().partition(|(recent, _)| *recent);
        add(&mut self.settled, settled);
        let mut all = self.settled.clone();
        add(&mut all, recent);
        Ok(all.into_values().collect())
    }
}

fn add(sums: &mut BTreeMap<Ending, CallTally>, more: Vec<(bool, CallTally)>) {
    for (_, one) in more {
        let CallTally { source, api, dataset, answered, status, code, .. } = one.clone();
        match sums.entry((source, api, dataset, answered, status, code)) {
            std::collections::btree_map::Entry::Vacant(free) => drop(free.insert(one)),
            std::collections::btree_map::Entry::Occupied(mut known) => {
                let known = known.get_mut();
                known.calls += one.calls;
                known.duration_ms += one.duration_ms;
                for (sum, more) in known.within.iter_mut().zip(one.within) {
                    *sum += more;
                }
            }
        }
    }
}
