//! What other instances do meanwhile, where several share one database.
//!
//! A series is held by whoever has a call of it in the air ([`crate::store::Lease`]). This pass
//! learns of the others where it meets them: a series that is held is left alone until its lease
//! ends, one that has changed is read and planned anew, and an answer that comes after the lease has
//! gone to another instance is dropped. A pass only ends when nothing is left that another instance
//! could leave behind by dying. With a store that one process has for itself none of this happens.

use std::collections::BTreeSet;
use std::time::Duration;

use super::SourcePass;
use crate::engine::pass::midnight;
use crate::store::{Asks, CallEnd, CallId, Effect, Lease, NewCall, StoreError};

/// A pass that has nothing else to do looks this often at what others hold.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// So many series are read anew for the report of a pass, all their open days included; another instance may
/// have ended its pass of a whole fleet just before.
const READ_FOR_REPORT: usize = 500;

impl SourcePass<'_> {
    /// The lease under which this pass holds a series.
    pub(super) fn lease_of(&self, series: usize) -> Option<CallId> {
        self.in_air.iter().filter(|f| f.call.series == series).filter_map(|f| f.lease).max()
    }

    /// What the end of a call shows of its lease; the call is in the air no more.
    pub(super) fn ended(&self, lease: Option<CallId>) -> Option<Lease> {
        lease.map(|token| Lease { token, keep: self.in_air.iter().any(|f| f.lease == Some(token)) })
    }

    /// Another instance holds the series.
    pub(super) fn taken(&mut self, call: &NewCall, until: Duration) {
        if let Some(Asks::Customer(meter, about)) = call.asks {
            self.errand_elsewhere(meter, about, until);
        }
        let Some(index) = self.index_of(call) else { return };
        self.knowledge.taken.insert(index, until);
        self.canaries.let_go(index);
        self.queue.retain(|call| call.series != index);
    }

    /// More is known of the series than this pass knows.
    pub(super) fn changed(&mut self, call: &NewCall) {
        if let Some(Asks::Customer(meter, about)) = call.asks {
            self.errand_elsewhere(meter, about, Duration::ZERO);
        }
        let Some(index) = self.index_of(call) else { return };
        self.outdated.insert(index);
        self.canaries.let_go(index);
        self.queue.retain(|call| call.series != index);
    }

    /// Reads what has changed, all of it at once.
    pub(super) async fn catch_up(&mut self, now: Duration) -> Result<(), StoreError> {
        let looks = self.looks_at.is_some_and(|at| at <= now);
        let over = self.knowledge.taken.iter().filter(|(_, until)| looks || **until <= now).map(|(index, _)| *index);
        self.outdated.extend(over);
        if looks {
            self.looks_at = None;
        }
        self.catch_up_errands(now, looks).await?;
        if self.outdated.is_empty() {
            return Ok(());
        }
        let indices = std::mem::take(&mut self.outdated);
        let keys: Vec<_> = indices
            .iter()
            .filter_map(|index| self.knowledge.series.get(*index))
            .map(|s| (s.meter, s.dataset))
            .collect();
        let facts = self.engine.store.series_facts(&keys, midnight(self.engine.calendar.now())).await?;
        self.knowledge.refresh(&facts, now);
        self.knowledge.gave_up(&keys, &facts);
        if self.despite_rest {
            self.knowledge.source.state.not_before_ms = None;
        }
        Ok(())
    }

    /// Those of the effects at the end of a pass that are not about series of which more is known by
    /// now: what another instance has found out since stands.
    pub(super) async fn still_true(&mut self, mut effects: Vec<Effect>) -> Result<Vec<Effect>, StoreError> {
        let of_series = |effect: &Effect| match effect {
            Effect::Series { meter, dataset, .. } => Some((*meter, *dataset)),
            _ => None,
        };
        let keys: Vec<_> = effects.iter().filter_map(of_series).collect();
        if keys.is_empty() || !self.engine.store.is_shared() {
            return Ok(effects);
        }
        let counters = self.engine.store.counters(&keys).await?;
        let fresh: BTreeSet<_> = counters
            .into_iter()
            .filter(|(key, seen)| self.knowledge.is_news(*key, *seen))
            .map(|(key, _)| key)
            .collect();
        if fresh.is_empty() {
            return Ok(effects);
        }
        let keys: Vec<_> = fresh.iter().copied().take(READ_FOR_REPORT).collect();
        let facts = self.engine.store.series_facts(&keys, midnight(self.engine.calendar.now())).await?;
        self.knowledge.refresh(&facts, self.engine.clock.monotonic());
        effects.retain(|effect| of_series(effect).is_none_or(|key| !fresh.contains(&key)));
        Ok(effects)
    }

    /// When to look at what others hold; `None` where they hold nothing that this pass wanted.
    pub(super) fn looks_next(&mut self, now: Duration) -> Option<Duration> {
        let over = self.knowledge.taken.values().copied().chain(self.errands_look_at()).min()?;
        Some(over.min(*self.looks_at.get_or_insert(now + LOOK_AGAIN)))
    }

    /// Ends the line of a call that brought no answer; whether its series was still held. Where it was
    /// not, only what was learnt about the source is kept.
    pub(super) async fn settle(
        &mut self,
        series: usize,
        end: CallEnd,
        effects: Vec<Effect>,
    ) -> Result<bool, StoreError> {
        match self.engine.store.settle(end, effects.clone()).await {
            Ok(seen) => {
                self.knowledge.saw(series, seen);
                Ok(true)
            }
            Err(StoreError::Superseded) => {
                self.superseded(series);
                self.engine.store.apply(effects.into_iter().filter(is_of_source).collect()).await?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// This instance was away for so long that another one has taken the series over.
    pub(super) fn superseded(&mut self, series: usize) {
        if let Some(facts) = self.knowledge.series.get(series) {
            tracing::warn!(
                meter = %facts.name,
                dataset = %facts.dataset,
                "an answer came too late: another instance has taken over the series, and goes on with it"
            );
        }
        self.outdated.insert(series);
    }

    fn index_of(&self, call: &NewCall) -> Option<usize> {
        let Asks::Days(meter, dataset, _) = call.asks? else { return None };
        self.knowledge.index_of((meter, dataset))
    }
}

/// Whether an effect is about the source, not about one of its series.
pub(super) fn is_of_source(effect: &Effect) -> bool {
    matches!(effect, Effect::Source { .. } | Effect::Learnt { .. } | Effect::Told { .. })
}
