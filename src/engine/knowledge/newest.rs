//! What is known of the newest day of a fleet: whether it seems to be published yet.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::{Knowledge, published_end};
use crate::domain::Dataset;
use crate::plan::{Call, Reason};

/// Meters that may turn out to be without the newest day of a dataset before the others wait.
pub const ENOUGH: usize = 5;

/// Series that find the newest day out for one another: those of a dataset that had the days before, or those
/// that had not.
pub type Peers = (Dataset, bool);

impl Knowledge {
    /// Whose question a call answers that is made for the newest day alone; none for any other call.
    #[must_use]
    pub fn peers_of(&self, call: &Call) -> Option<Peers> {
        let alone = call.reason == Reason::Yesterday && call.oldest_wanted == call.days.last();
        let series = self.series.get(call.series).filter(|_| alone)?;
        let before = |days: i32| series.days.holds(call.days.last().plus(-days));
        Some((series.dataset, before(1) || before(2)))
    }

    /// Those whose calls for the newest day are left to a later pass, as far as what is stored tells: enough of
    /// them were asked for it in vain, and nobody was given it.
    #[must_use]
    pub fn wait_for_newest(&self, now: DateTime<Utc>) -> BTreeSet<Peers> {
        let newest = published_end(now).plus(-1);
        let mut out = BTreeSet::new();
        let mut without: BTreeMap<Peers, usize> = BTreeMap::new();
        for series in &self.series {
            let record = series.days.get(newest);
            if record.holds() {
                out.insert(series.dataset);
            } else if record.checked_at.is_some() {
                let before = series.days.holds(newest.plus(-1)) || series.days.holds(newest.plus(-2));
                *without.entry((series.dataset, before)).or_default() += 1;
            }
        }
        let enough = without.into_iter().filter(|((dataset, _), count)| *count >= ENOUGH && !out.contains(dataset));
        enough.map(|(peers, _)| peers).collect()
    }
}
