//! What a refusal teaches: a pure function from a classified refusal to effects that are stored
//! and to what the pass does next. The rules are those of the error catalogue (docs/errors.md).

use chrono::{DateTime, TimeDelta, Timelike as _, Utc};

use super::knowledge::Knowledge;
use crate::domain::coverage::PUBLISHED_AT;
use crate::domain::{Api, Dataset, Day, SeriesState, paris};
use crate::plan::Call;
use crate::source::{Reaches, Reaction, Refusal, catalogue};
use crate::store::{Effect, Learnt};

/// Seconds after which the preferred API is tried again although the other one works.
pub const API_AGAIN_AFTER: i64 = 7 * 86_400;

/// Seconds for which a learnt limit of a call's length is believed.
const LENGTH_BELIEVED: i64 = 30 * 86_400;

/// Seconds after which a series that is not offered is tested again.
const NOT_OFFERED_AGAIN: i64 = 7 * 86_400;

/// Seconds after which an application that was refused is tested again.
const APPLICATION_AGAIN: i64 = 6 * 3_600;

/// Milliseconds of half pace after a complaint about bursts.
const SLOW_MS: i64 = 600_000;

/// Bursts in one pass after which the source rests until the next full hour.
const MOST_BURSTS: u32 = 3;

/// Seconds before a first, second and third try after a passing trouble; jitter is added by
/// drawing from zero up to them.
pub const SHORT_DELAYS: [u64; 2] = [30, 120];

/// What the pass does about a refused call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Plan again: something was learnt that changes the plan.
    Replan,
    /// Set the days aside for the rest of the pass.
    Aside,
    /// Try the days again in this pass, after a delay.
    Later,
    /// The source pauses; the days wait.
    Pause,
    /// Treat it as an answer that holds nothing.
    Nothing,
}

/// What a refusal comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Consequence {
    /// What is stored.
    pub effects: Vec<Effect>,
    /// What the pass does.
    pub next: Next,
}

/// The circumstances of a refused call.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// The call.
    pub call: Call,
    /// The API it spoke.
    pub api: Api,
    /// The other API of the source, where it has not failed in this pass.
    pub other_api: Option<Api>,
    /// How often these days were tried before in this pass.
    pub tries: usize,
    /// Bursts complained about in this pass, this one not counted.
    pub bursts: u32,
    /// Whether anything was answered in this pass.
    pub reached: bool,
    /// The first day that the source serves today.
    pub served_first: Day,
    /// The last day that is published.
    pub last_day: Day,
    /// The calendar's now.
    pub now: DateTime<Utc>,
    /// The machine's now, in milliseconds since 1970.
    pub now_ms: i64,
    /// A number from 0 to 1000, drawn at random, for jitter.
    pub jitter: u32,
    /// What is known.
    pub knowledge: &'a Knowledge,
}

/// How much of a meter a code suspends.
#[must_use]
pub fn reaches(code: Option<&str>) -> Reaches {
    match code.and_then(catalogue::reaction_of) {
        Some(Reaction::StopMeter(reaches)) => reaches,
        _ => Reaches::Meter,
    }
}

/// Whether a failed call counts towards the few that a span may fail in a day: the source was
/// reached, and it failed us.
#[must_use]
pub fn counts_as_failure(code: &str) -> bool {
    code != "unreachable"
        && code != "tls"
        && matches!(
            catalogue::reaction_of(code),
            None | Some(Reaction::RetryShort | Reaction::RetryLater | Reaction::Bug)
        )
}

/// Whether a failed call was our own mistake, which is not repeated on the same day.
#[must_use]
pub fn is_bug(code: &str) -> bool {
    catalogue::reaction_of(code) == Some(Reaction::Bug)
}

/// What to make of a refusal.
#[must_use]
pub fn react(refusal: &Refusal, at: &Circumstances<'_>) -> Consequence {
    let Some(series) = at.knowledge.series.get(at.call.series) else {
        return Consequence { effects: Vec::new(), next: Next::Aside };
    };
    let dataset = series.dataset;
    let failing = || vec![state(at, refusal, SeriesState::Failing, None)];
    if catalogue::api_unavailable(at.api, refusal)
        && let Some(other) = at.other_api
    {
        let known = Learnt { api: Some((other, at.now.timestamp())), ..at.knowledge.learnt(dataset) };
        return Consequence { effects: vec![learnt(at, dataset, known)], next: Next::Replan };
    }
    match refusal.reaction {
        Reaction::NoData => Consequence { effects: Vec::new(), next: Next::Nothing },
        Reaction::RetryShort if at.tries < SHORT_DELAYS.len() && (at.reached || at.tries == 0) => {
            Consequence { effects: failing(), next: Next::Later }
        }
        Reaction::RetryShort | Reaction::RetryLater | Reaction::Bug => {
            Consequence { effects: failing(), next: Next::Aside }
        }
        Reaction::RetryAt(told) => pause(at, refusal, resume_at(told, at), None),
        Reaction::Burst if at.bursts >= MOST_BURSTS => pause(at, refusal, resume_at(None, at), None),
        Reaction::Burst => {
            let until = at.now_ms + 2_000 + jitter(at, 3_000);
            pause(at, refusal, until, Some(at.now_ms + SLOW_MS))
        }
        Reaction::Narrow => narrow(at, refusal, dataset),
        Reaction::ClampHistory => clamp_history(at, refusal, dataset),
        Reaction::ClampActivation => clamp_activation(at, refusal),
        Reaction::StopDataset => {
            let again = at.now.timestamp() + NOT_OFFERED_AGAIN;
            let effects = vec![state(at, refusal, SeriesState::NotOffered, Some(again))];
            Consequence { effects, next: Next::Replan }
        }
        Reaction::StopApi => {
            let again = at.now.timestamp() + APPLICATION_AGAIN;
            let known = Learnt { not_before: Some(again), ..at.knowledge.learnt(dataset) };
            let mut effects = vec![learnt(at, dataset, known)];
            let others = at.knowledge.series.iter().filter(|s| s.dataset == dataset);
            effects.extend(others.map(|s| state_of(s.meter, dataset, refusal, SeriesState::Failing, Some(again))));
            Consequence { effects, next: Next::Replan }
        }
        Reaction::StopMeter(reaches) => {
            let tomorrow = paris::at_wall(paris::today(at.now).next(), PUBLISHED_AT);
            let concerned = at.knowledge.series.iter().filter(|s| {
                let same_way = s.dataset.direction() == dataset.direction();
                s.meter == series.meter && (reaches == Reaches::Meter || same_way)
            });
            let effects = concerned
                .map(|s| state_of(s.meter, s.dataset, refusal, SeriesState::Suspended, Some(tomorrow)))
                .collect();
            Consequence { effects, next: Next::Replan }
        }
        // A second refusal of a fresh token is one of the application.
        Reaction::Reauth | Reaction::StopApp { .. } => {
            let until = at.now_ms + APPLICATION_AGAIN * 1_000;
            pause(at, refusal, until, None)
        }
    }
}

fn state(at: &Circumstances<'_>, refusal: &Refusal, state: SeriesState, not_before: Option<i64>) -> Effect {
    let (meter, dataset) = at
        .knowledge
        .series
        .get(at.call.series)
        .map_or((crate::store::MeterId(0), Dataset::DailyConsumption), |s| (s.meter, s.dataset));
    state_of(meter, dataset, refusal, state, not_before)
}

fn state_of(
    meter: crate::store::MeterId,
    dataset: Dataset,
    refusal: &Refusal,
    state: SeriesState,
    not_before: Option<i64>,
) -> Effect {
    Effect::Series {
        meter,
        dataset,
        state,
        code: Some(refusal.code.clone()),
        message: Some(message(refusal)),
        not_before,
    }
}

/// What the operator reads about a refusal.
#[must_use]
pub fn message(refusal: &Refusal) -> String {
    match (refusal.status, refusal.excerpt.as_str()) {
        (_, "") => refusal.advice.to_owned(),
        (Some(status), excerpt) => format!("{} (HTTP {status}: {excerpt})", refusal.advice),
        (None, excerpt) => format!("{} ({excerpt})", refusal.advice),
    }
}

fn learnt(at: &Circumstances<'_>, dataset: Dataset, known: Learnt) -> Effect {
    Effect::Learnt { source: at.knowledge.source.id, dataset, known }
}

fn pause(at: &Circumstances<'_>, refusal: &Refusal, until_ms: i64, slow_until_ms: Option<i64>) -> Consequence {
    let effect = Effect::Source {
        source: at.knowledge.source.id,
        not_before_ms: Some(until_ms),
        code: Some(refusal.code.clone()),
        message: Some(message(refusal)),
        slow_until_ms: slow_until_ms.or(at.knowledge.source.slow_until_ms),
    };
    Consequence { effects: vec![effect], next: Next::Pause }
}

fn jitter(at: &Circumstances<'_>, most: i64) -> i64 {
    most * i64::from(at.jitter.min(1_000)) / 1_000
}

/// The instant at which a paused source may be asked again: what it said and a little more, else
/// the next full hour and a little more.
fn resume_at(told: Option<DateTime<Utc>>, at: &Circumstances<'_>) -> i64 {
    let machine = DateTime::from_timestamp_millis(at.now_ms).unwrap_or(at.now);
    let full_hour = || {
        let past = TimeDelta::minutes(i64::from(machine.minute())) + TimeDelta::seconds(i64::from(machine.second()));
        machine - past + TimeDelta::hours(1)
    };
    let back = told.filter(|t| *t >= machine && *t - machine <= TimeDelta::hours(26)).unwrap_or_else(full_hour);
    back.timestamp_millis() + 5_000 + jitter(at, 55_000)
}

fn narrow(at: &Circumstances<'_>, refusal: &Refusal, dataset: Dataset) -> Consequence {
    let length = at.call.days.len();
    if length <= 1 {
        let effects = vec![state(at, refusal, SeriesState::Failing, None)];
        return Consequence { effects, next: Next::Aside };
    }
    // A week less a day has been seen to be taken where a week is not.
    let days = if length == 7 { 6 } else { length / 2 };
    let known = Learnt { max_days: Some((days, at.now.timestamp() + LENGTH_BELIEVED)), ..at.knowledge.learnt(dataset) };
    Consequence { effects: vec![learnt(at, dataset, known)], next: Next::Replan }
}

fn clamp_history(at: &Circumstances<'_>, refusal: &Refusal, dataset: Dataset) -> Consequence {
    let known = at.knowledge.learnt(dataset);
    // The refused day counts from the nominal window; served_first holds what was learnt so far.
    let beyond = at.call.days.first().since(at.served_first);
    if beyond > 0 && at.call.days.len() <= 1 {
        let effects = vec![state(at, refusal, SeriesState::Failing, None)];
        return Consequence { effects, next: Next::Aside };
    }
    let step = known.history_short.max(1);
    let known = Learnt { history_short: known.history_short + beyond.max(0) + step, ..known };
    Consequence { effects: vec![learnt(at, dataset, known)], next: Next::Replan }
}

fn clamp_activation(at: &Circumstances<'_>, refusal: &Refusal) -> Consequence {
    let Some(series) = at.knowledge.series.get(at.call.series) else {
        return Consequence { effects: Vec::new(), next: Next::Aside };
    };
    let direction = series.dataset.direction();
    let mut known = at.knowledge.activation(series.meter, direction);
    let start = at.call.days.first();
    known.refusals = known.refusals.saturating_add(1);
    known.refused = Some(known.refused.map_or(start, |r| r.max(start)));
    // What was accepted before a later refusal belongs to an earlier contract.
    known.accepted = known.accepted.filter(|accepted| *accepted > start);
    let mut effects = vec![Effect::Activation { meter: series.meter, direction, known }];
    if start >= at.last_day {
        let again = at.now.timestamp() + NOT_OFFERED_AGAIN;
        let concerned =
            at.knowledge.series.iter().filter(|s| s.meter == series.meter && s.dataset.direction() == direction);
        effects.extend(concerned.map(|s| state_of(s.meter, s.dataset, refusal, SeriesState::NotOffered, Some(again))));
    }
    Consequence { effects, next: Next::Replan }
}
