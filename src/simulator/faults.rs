//! The language in which faults are ordered: which calls, and what goes wrong with them.
//!
//! A rule has two halves. `match` picks calls by what they ask for, by their number among the
//! calls so picked, by chance or by time; what it leaves out matches everything. `action` says
//! what happens: a delay, another answer, damaged points or a damaged body. Several rules may
//! concern one call: delays add up, the first answer wins, damage is done in order.

use chrono::{DateTime, NaiveTime, Utc};
use serde::Deserialize;

use super::action::Action;
use super::front::Front;
use super::noise::Noise;
use super::service::Service;
use super::text;
use crate::domain::{Api, Dataset, Day, Prm, paris};

/// All faults in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// Delay of every answer, in milliseconds.
    pub latency_ms: u64,
    /// Up to so many milliseconds more, drawn for each answer.
    pub jitter_ms: u64,
    /// The rules, in order.
    pub rules: Vec<FaultRule>,
}

impl Faults {
    /// No faults.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// One more rule.
    #[must_use]
    pub fn with(mut self, when: Match, action: Action) -> Self {
        self.rules.push(FaultRule { when, action });
        self
    }
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// Which calls.
    #[serde(rename = "match", default)]
    pub when: Match,
    /// What happens to them.
    pub action: Action,
}

/// Which endpoint a rule concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// Calls for data.
    #[default]
    Data,
    /// Requests for a token.
    Token,
}

/// Which calls a rule concerns. Everything given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Match {
    /// Data calls, if left out.
    pub endpoint: Endpoint,
    /// Calls to that front.
    pub front: Option<Front>,
    /// The calls that a gateway itself makes to Enedis, instead of the calls that it receives:
    /// what goes wrong with them comes out in the gateway's own wrapping.
    pub upstream: bool,
    /// Calls in that API.
    #[serde(deserialize_with = "text::api")]
    pub api: Option<Api>,
    /// Calls for that dataset.
    #[serde(deserialize_with = "text::some")]
    pub dataset: Option<Dataset>,
    /// Calls for that service.
    #[serde(deserialize_with = "text::some")]
    pub service: Option<Service>,
    /// Calls for that meter.
    #[serde(deserialize_with = "text::some")]
    pub prm: Option<Prm>,
    /// Calls whose first day is that one or later.
    #[serde(deserialize_with = "text::some")]
    pub start_from: Option<Day>,
    /// Calls whose first day is that one or earlier.
    #[serde(deserialize_with = "text::some")]
    pub start_to: Option<Day>,
    /// Calls whose days contain that one.
    #[serde(deserialize_with = "text::some")]
    pub contains_day: Option<Day>,
    /// From that instant of the simulated calendar on.
    #[serde(deserialize_with = "text::some")]
    pub from: Option<DateTime<Utc>>,
    /// Until that instant of the simulated calendar.
    #[serde(deserialize_with = "text::some")]
    pub until: Option<DateTime<Utc>>,
    /// From that time of each day in Paris on …
    #[serde(deserialize_with = "text::some_time")]
    pub time_from: Option<NaiveTime>,
    /// … until that one; over midnight where it is the earlier of the two.
    #[serde(deserialize_with = "text::some_time")]
    pub time_until: Option<NaiveTime>,
    /// Only the calls with these numbers, from 1, among those that the lines above pick.
    pub calls: Vec<u64>,
    /// From that number on.
    pub first_call: Option<u64>,
    /// Up to that number.
    pub last_call: Option<u64>,
    /// Each so-many-th of them.
    pub every: Option<u64>,
    /// By chance, in so many cases of a thousand; repeatable by the world's seed.
    pub permille: Option<u16>,
}

impl Match {
    /// Every data call.
    #[must_use]
    pub fn any() -> Self {
        Self::default()
    }

    /// Every request for a token.
    #[must_use]
    pub fn token() -> Self {
        Self { endpoint: Endpoint::Token, ..Self::default() }
    }

    /// Data calls for that dataset.
    #[must_use]
    pub fn dataset(dataset: Dataset) -> Self {
        Self { dataset: Some(dataset), ..Self::default() }
    }

    /// Calls for that service.
    #[must_use]
    pub fn service(service: Service) -> Self {
        Self { service: Some(service), ..Self::default() }
    }

    /// Every data call to that front.
    #[must_use]
    pub fn front(front: Front) -> Self {
        Self { front: Some(front), ..Self::default() }
    }

    /// Every call for data that a gateway makes to Enedis.
    #[must_use]
    pub fn upstream(front: Front) -> Self {
        Self { upstream: true, ..Self::front(front) }
    }

    /// Of these, the ones in `[from, until)` of the simulated calendar.
    #[must_use]
    pub fn between(self, from: DateTime<Utc>, until: DateTime<Utc>) -> Self {
        Self { from: Some(from), until: Some(until), ..self }
    }

    /// Of these, the ones with those numbers.
    #[must_use]
    pub fn calls(self, numbers: &[u64]) -> Self {
        Self { calls: numbers.to_vec(), ..self }
    }

    fn picks(&self, call: &Call<'_>) -> bool {
        self.endpoint == call.endpoint
            && self.front.is_none_or(|front| call.front == front)
            && self.upstream == call.upstream
            && self.api.is_none_or(|api| call.api == Some(api))
            && self.dataset.is_none_or(|dataset| call.dataset == Some(dataset))
            && self.service.is_none_or(|service| call.service == Some(service))
            && self.prm.as_ref().is_none_or(|prm| call.prm == Some(prm))
            && self.start_from.is_none_or(|day| call.start.is_some_and(|start| start >= day))
            && self.start_to.is_none_or(|day| call.start.is_some_and(|start| start <= day))
            && self
                .contains_day
                .is_none_or(|day| call.start.is_some_and(|start| start <= day) && call.end.is_some_and(|end| day < end))
            && self.from.is_none_or(|from| from <= call.now)
            && self.until.is_none_or(|until| call.now < until)
            && self.at_that_time(call.now)
    }

    fn at_that_time(&self, now: DateTime<Utc>) -> bool {
        let time = paris::local(now.timestamp()).time();
        match (self.time_from, self.time_until) {
            (Some(from), Some(until)) if until < from => time >= from || time < until,
            (from, until) => from.is_none_or(|from| from <= time) && until.is_none_or(|until| time < until),
        }
    }

    fn numbered(&self, number: u64, chance: Noise) -> bool {
        (self.calls.is_empty() || self.calls.contains(&number))
            && self.first_call.is_none_or(|first| number >= first)
            && self.last_call.is_none_or(|last| number <= last)
            && self.every.is_none_or(|every| every > 0 && number.is_multiple_of(every))
            && self.permille.is_none_or(|permille| chance.chance(i64::from(permille)))
    }
}

/// What a rule looks at.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Call<'a> {
    pub(super) front: Front,
    pub(super) upstream: bool,
    pub(super) endpoint: Endpoint,
    pub(super) api: Option<Api>,
    pub(super) dataset: Option<Dataset>,
    pub(super) service: Option<Service>,
    pub(super) prm: Option<&'a Prm>,
    pub(super) start: Option<Day>,
    pub(super) end: Option<Day>,
    pub(super) now: DateTime<Utc>,
}

/// Counts the calls that each rule picked.
#[derive(Debug, Default)]
pub(super) struct Tally(Vec<u64>);

impl Tally {
    /// What happens to this call; counts it.
    pub(super) fn actions(&mut self, faults: &Faults, call: &Call<'_>, seed: u64) -> Vec<Action> {
        self.0.resize(faults.rules.len(), 0);
        let mut actions = Vec::new();
        for ((rule, count), index) in faults.rules.iter().zip(&mut self.0).zip(0_i64..) {
            if !rule.when.picks(call) {
                continue;
            }
            *count += 1;
            let chance = Noise::new(seed).at(-4).at(index).at(count.cast_signed());
            if rule.when.numbered(*count, chance) {
                actions.push(rule.action.clone());
            }
        }
        actions
    }
}
