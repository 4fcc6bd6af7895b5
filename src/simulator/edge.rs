//! What happens to each call at the edge of a front: it is logged, faults have their turn, and
//! the answer leaves. The lock is only held in between, never across a wait.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use chrono::{DateTime, Utc};

use super::action::Action;
use super::damage;
use super::faults::Call;
use super::front::Front;
use super::quota::LoggedCall;
use super::rules::Query;
use super::server::{Played, Simulator};
use super::world::World;
use crate::domain::{Api, Dataset, Day, Prm};

/// Calls that the log keeps; a server that runs for weeks must not grow without end.
const LOG_LIMIT: usize = 1_000_000;

/// What a call asks for, as far as it can be read.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) front: Front,
    pub(super) api: Api,
    pub(super) dataset: Dataset,
    pub(super) prm: Option<Prm>,
    pub(super) start: Option<Day>,
    pub(super) end: Option<Day>,
}

impl Asked {
    /// What a fault's rule looks at.
    pub(super) fn call(&self, now: DateTime<Utc>) -> Call<'_> {
        Call {
            front: self.front,
            api: Some(self.api),
            dataset: Some(self.dataset),
            prm: self.prm.as_ref(),
            start: self.start,
            end: self.end,
            now,
            ..Call::default()
        }
    }
}

/// What faults have decided about a call.
#[derive(Debug, Default)]
pub(super) struct Fate {
    pub(super) actions: Vec<Action>,
    pub(super) delay: Duration,
}

impl Played {
    /// Logs a call; the number finds its line again.
    pub(super) fn open_line(&mut self, asked: &Asked, arrived: Duration, at: DateTime<Utc>) -> Option<usize> {
        let entry = (self.log.len() < LOG_LIMIT).then_some(self.forgotten + self.log.len())?;
        let Asked { front, api, dataset, prm, start, end } = asked.clone();
        self.log.push(LoggedCall { arrived, at, front, api, dataset, prm, start, end, status: 0, code: None });
        Some(entry)
    }

    /// Which faults concern a call, and how long it takes.
    pub(super) fn fate(&mut self, call: &Call<'_>) -> Fate {
        let actions = self.tally.actions(&self.faults, call, self.world.seed);
        let delay = self.delay(&actions);
        Fate { actions, delay }
    }

    /// The fate of a call that is refused before faults have their turn: it takes its time too.
    pub(super) fn no_fate(&mut self) -> Fate {
        Fate { actions: Vec::new(), delay: self.delay(&[]) }
    }

    fn delay(&mut self, actions: &[Action]) -> Duration {
        let general = self.faults.latency_ms + self.rng.u64(0..=self.faults.jitter_ms);
        Duration::from_millis(general) + self.ordered_delay(actions)
    }

    /// What single faults add to the delay of every answer.
    pub(super) fn ordered_delay(&mut self, actions: &[Action]) -> Duration {
        let ordered = actions.iter().map(|action| match action {
            Action::Slow { delay_ms, jitter_ms } => delay_ms + self.rng.u64(0..=*jitter_ms),
            _ => 0,
        });
        Duration::from_millis(ordered.sum())
    }

    /// The world as that front sees it.
    pub(super) fn world_at(&self, front: Front) -> Arc<World> {
        let differs = front != Front::Enedis && !self.world.rules.unsubscribed.is_empty();
        let differs = differs || self.world.meters.iter().any(|meter| !meter.fronts.is_empty());
        if differs { Arc::new(self.world.seen_by(front)) } else { Arc::clone(&self.world) }
    }
}

impl Simulator {
    /// Waits as long as faults have ordered.
    pub(super) async fn linger(&self, fate: &Fate) {
        if !fate.delay.is_zero() {
            self.shared.clock.sleep(fate.delay).await;
        }
    }

    /// The answer that a fault gives instead of the front's own, with its code.
    pub(super) fn instead(&self, fate: &Fate) -> Option<(Response, Option<String>)> {
        let machine = self.shared.clock.now();
        fate.actions.iter().find_map(|action| damage::instead(action, machine))
    }

    /// Damages what leaves, and notes in the log what it was.
    pub(super) async fn leave(
        &self,
        fate: &Fate,
        entry: Option<usize>,
        (mut response, code): (Response, Option<String>),
    ) -> Response {
        for action in &fate.actions {
            response = damage::bytes(response, action, &self.shared.clock).await;
        }
        if !fate.actions.contains(&Action::Cut) {
            let state = &mut *self.state();
            let line = entry.and_then(|entry| entry.checked_sub(state.forgotten));
            if let Some(call) = line.and_then(|line| state.log.get_mut(line)) {
                call.status = response.status().as_u16();
                call.code = code;
            }
        }
        response
    }
}

/// Writes a call's line when it is done with, in whatever way.
pub(super) struct Line<'s> {
    pub(super) simulator: &'s Simulator,
    pub(super) entry: Option<usize>,
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let state = &mut *self.simulator.state();
        let line = self.entry.and_then(|entry| entry.checked_sub(state.forgotten));
        if let (Some(file), Some(call)) = (&mut state.journal, line.and_then(|line| state.log.get(line)))
            && let Err(error) = writeln!(file, "{}", call.json())
        {
            tracing::warn!("the log of calls cannot be written: {error}");
        }
    }
}

/// The parameters of a query, in order.
pub(super) fn pairs(query: Option<&str>) -> Query {
    url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect()
}
