//! What a refusal teaches: a pure function from a classified refusal to effects that are stored
//! and to what the pass does next. The rules are those of the error catalogue (docs/errors.md).

use chrono::{DateTime, TimeDelta, Timelike as _, Utc};

use super::knowledge::Knowledge;
use super::probe;
use crate::domain::{Api, Dataset, Day, SeriesState};
use crate::plan::{Call, Reason};
use crate::source::catalogue::outcomes;
use crate::source::{Reaches, Reaction, Refusal, catalogue};
use crate::store::{CallEnd, CallId, Effect, Learnt, Lease, SeriesFacts, SourceState};

/// Seconds after which the preferred API is tried again although the other one works.
pub const API_AGAIN_AFTER: i64 = 7 * 86_400;

/// Seconds for which a learnt limit of a call's length is believed.
const LENGTH_BELIEVED: i64 = 30 * 86_400;

/// Seconds after which a series that is not offered is tested again.
const NOT_OFFERED_AGAIN: i64 = 7 * 86_400;

/// Seconds after which an application that was refused is tested again.
const APPLICATION_AGAIN: i64 = 6 * 3_600;

/// Milliseconds without a call after an answer that smells of a ban.
pub(crate) const BAN_MS: i64 = 7 * 86_400_000;

/// Milliseconds of half pace after a complaint about bursts.
const SLOW_MS: i64 = 600_000;

/// Bursts in one pass after which the source rests until the next full hour.
const MOST_BURSTS: u32 = 3;

/// Milliseconds of the first rest after calls that failed in a row.
const FIRST_REST_MS: i64 = 3_600_000;

/// Milliseconds of the longest such rest.
const LONGEST_REST_MS: i64 = 48 * 3_600_000;

/// Seconds before a first, second and third try after a passing trouble; jitter is added by
/// drawing from zero up to them.
pub const SHORT_DELAYS: [u64; 2] = [30, 120];

/// Pauses asked for one after the other, without an answer in between, after which the source
/// rests until the next full hour.
const MOST_PAUSES: u32 = 3;

/// A source that refuses more days than this at the old end of its window has some other trouble.
const MOST_SHORT: i32 = 100;

/// The code of a line in the journal whose call never left.
pub const NOT_MADE: &str = outcomes::NOT_MADE.code;

/// The code of days that rest because a pass kept asking for them.
pub const REPEATED: &str = outcomes::REPEATED.code;

/// What the operator reads about that.
pub const REPEATED_ADVICE: &str = outcomes::REPEATED.advice;

/// What the operator reads where a token is refused that was just handed out.
pub const FRESH_TOKEN_ADVICE: &str = "The source refuses access tokens that it has just handed out. Look at the application's page on Enedis' DataHub; it may have been disabled.";

/// What the operator reads where one call is refused with a token that serves for others.
pub const CALL_REFUSED_ADVICE: &str = "The source refuses the access token for this call although it takes it for others. linkyd asks again later; if it lasts, look at the application's page on Enedis' DataHub.";

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
    /// Pauses asked for before without an answer in between, this one not counted.
    pub pauses: u32,
    /// Whether anything was answered in this pass.
    pub reached: bool,
    /// The first day that the source serves today.
    pub served_first: Day,
    /// The first day that it is known to serve, if any.
    pub accepted_first: Option<Day>,
    /// The last day that is published.
    pub last_day: Day,
    /// The calendar's now.
    pub now: DateTime<Utc>,
    /// The machine's now.
    pub machine: DateTime<Utc>,
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
    !(catalogue::is_unreached(code) || code == NOT_MADE)
        && matches!(
            catalogue::reaction_of(code),
            // A 404 that was taken for an answer is none of the failed calls.
            None | Some(
                Reaction::RetryShort | Reaction::RetryLater | Reaction::Bug | Reaction::Reauth | Reaction::NoData
            )
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
    let probes = at.knowledge.kin(at.call.series).next().is_some();
    if catalogue::api_unavailable(at.api, refusal)
        && let Some(other) = at.other_api
    {
        let known = Learnt { api: Some((other, at.now.timestamp())), ..at.knowledge.learnt(dataset) };
        return Consequence { effects: vec![learnt(at, dataset, known)], next: Next::Replan };
    }
    match refusal.reaction {
        Reaction::NoData => Consequence { effects: Vec::new(), next: Next::Nothing },
        Reaction::RetryShort | Reaction::RetryLater | Reaction::Bug if probes => postpone(at),
        Reaction::RetryShort if at.tries < SHORT_DELAYS.len() && (at.reached || at.tries == 0) => {
            failing(at, refusal, Next::Later)
        }
        Reaction::RetryShort | Reaction::RetryLater | Reaction::Bug => failing(at, refusal, Next::Aside),
        Reaction::RetryAt(told) => {
            let told = told.filter(|_| at.pauses < MOST_PAUSES);
            pause(at, refusal, resume_at(told, at.machine, at.jitter), None)
        }
        Reaction::Burst if at.bursts >= MOST_BURSTS => pause(at, refusal, resume_at(None, at.machine, at.jitter), None),
        Reaction::Burst => {
            let now = at.machine.timestamp_millis();
            let until = now + 2_000 + jitter(at.jitter, 3_000);
            pause(at, refusal, until, Some(now + SLOW_MS))
        }
        Reaction::Narrow => narrow(at, refusal, dataset),
        Reaction::ClampHistory => clamp_history(at, refusal, dataset),
        Reaction::ClampActivation => clamp_activation(at, refusal),
        Reaction::StopDataset => {
            let again = at.now.timestamp() + NOT_OFFERED_AGAIN;
            // A probe stands for every series that was refused for the same reason.
            let mut effects = kin(at, |s| state_of(s, refusal, SeriesState::NotOffered, Some(again)));
            effects.push(state_of(series, refusal, SeriesState::NotOffered, Some(again)));
            Consequence { effects, next: Next::Replan }
        }
        Reaction::StopApi => {
            let again = at.now.timestamp() + APPLICATION_AGAIN;
            // The next look begins with the preferred API again.
            let known = Learnt { not_before: Some(again), api: None, ..at.knowledge.learnt(dataset) };
            let mut effects = vec![learnt(at, dataset, known)];
            let others = at.knowledge.series.iter().filter(|s| s.dataset == dataset);
            // What the application has not subscribed to is not offered to it, which is no failure; an API that
            // is gone is one.
            let state =
                if catalogue::is_subscription(&refusal.code) { SeriesState::NotOffered } else { SeriesState::Failing };
            effects.extend(others.map(|s| state_of(s, refusal, state, Some(again))));
            Consequence { effects, next: Next::Replan }
        }
        Reaction::StopMeter(reaches) => {
            let again = probe::next(at.now, at.call.reason == Reason::Probe);
            let concerned = at.knowledge.series.iter().filter(|s| {
                let same_way = s.dataset.direction() == dataset.direction();
                s.meter == series.meter && (reaches == Reaches::Meter || same_way)
            });
            let effects = concerned.map(|s| state_of(s, refusal, SeriesState::Suspended, Some(again))).collect();
            Consequence { effects, next: Next::Replan }
        }
        // A second refusal of a fresh token is one of the application.
        refused @ (Reaction::Ban | Reaction::Reauth | Reaction::StopApp { .. }) => {
            pause(at, refusal, at.machine.timestamp_millis() + refused_ms(refused), None)
        }
    }
}

fn state_of(series: &SeriesFacts, refusal: &Refusal, state: SeriesState, not_before: Option<i64>) -> Effect {
    Effect::Series {
        meter: series.meter,
        dataset: series.dataset,
        state,
        code: Some(refusal.code.clone()),
        message: Some(message(refusal)),
        not_before,
    }
}

/// Effects for each series for which a probe stands, the probing one included.
fn kin(at: &Circumstances<'_>, effect: impl Fn(&SeriesFacts) -> Effect) -> Vec<Effect> {
    at.knowledge.kin(at.call.series).map(|(_, series)| effect(series)).collect()
}

/// The series fails, and its days wait.
fn failing(at: &Circumstances<'_>, refusal: &Refusal, next: Next) -> Consequence {
    let series = at.knowledge.series.get(at.call.series);
    let effects = series.map(|s| state_of(s, refusal, SeriesState::Failing, None)).into_iter().collect();
    Consequence { effects, next }
}

/// A probe that failed says nothing about the refusal that it was to test: everything stays as it
/// is until tomorrow.
fn postpone(at: &Circumstances<'_>) -> Consequence {
    let tomorrow = probe::next(at.now, true);
    let effects = kin(at, |s| {
        let advice = s.code.as_deref().and_then(catalogue::row_of).map(|(_, advice)| advice.to_owned());
        Effect::Series {
            meter: s.meter,
            dataset: s.dataset,
            state: s.state,
            code: s.code.clone(),
            message: advice,
            not_before: Some(tomorrow),
        }
    });
    Consequence { effects, next: Next::Replan }
}

/// What the operator reads about a refusal.
#[must_use]
pub fn message(refusal: &Refusal) -> String {
    // Whoever sets it into a line of his own takes the one full stop at the end away.
    let advice = refusal.advice.trim_end_matches('.');
    match (refusal.status, refusal.excerpt.as_str()) {
        (_, "") => refusal.advice.to_owned(),
        (Some(status), excerpt) => format!("{advice} (HTTP {status}: {excerpt})."),
        (None, excerpt) => format!("{advice} ({excerpt})."),
    }
}

fn learnt(at: &Circumstances<'_>, dataset: Dataset, known: Learnt) -> Effect {
    Effect::Learnt { source: at.knowledge.source.id, dataset, known }
}

fn pause(at: &Circumstances<'_>, refusal: &Refusal, until_ms: i64, slow_until_ms: Option<i64>) -> Consequence {
    let mut state = rest(&at.knowledge.source.state, refusal, until_ms);
    state.slow_until_ms = slow_until_ms.or(state.slow_until_ms);
    Consequence { effects: vec![Effect::Source { source: at.knowledge.source.id, state }], next: Next::Pause }
}

/// Milliseconds for which a source rests that answers nothing to this application, or seems to ban it.
pub(crate) fn refused_ms(reaction: Reaction) -> i64 {
    if reaction == Reaction::Ban { BAN_MS } else { APPLICATION_AGAIN * 1_000 }
}

/// The end of a line whose call was not made after all.
#[must_use]
pub fn not_made(call: CallId, lease: Option<Lease>) -> CallEnd {
    CallEnd { call, lease, status: None, code: Some(NOT_MADE.to_owned()), duration_ms: 0 }
}

/// The state of a source that is left to rest for a refusal.
#[must_use]
pub fn rest(before: &SourceState, refusal: &Refusal, until_ms: i64) -> SourceState {
    SourceState {
        not_before_ms: Some(until_ms),
        code: Some(refusal.code.clone()),
        message: Some(message(refusal)),
        ..before.clone()
    }
}

/// The state of a source after one more call of it failed at `now_ms` (machine): after `most` in a
/// row it is left to rest, and so after each one that tries it out; three times as long each time.
/// `drawn` is a number from 0 to 1000, drawn at random.
#[must_use]
pub fn after_failure(before: &SourceState, refusal: &Refusal, most: u32, now_ms: i64, drawn: u32) -> SourceState {
    let counted = SourceState { refusals: before.refusals.saturating_add(1), ..before.clone() };
    if counted.refusals < most && before.strikes == 0 {
        return counted;
    }
    let length = (FIRST_REST_MS * 3_i64.pow(before.strikes.min(5))).min(LONGEST_REST_MS);
    let until = now_ms + length + jitter(drawn, length / 20);
    SourceState { strikes: before.strikes.saturating_add(1), ..rest(&counted, refusal, until) }
}

fn jitter(drawn: u32, most: i64) -> i64 {
    most * i64::from(drawn.min(1_000)) / 1_000
}

/// The instant at which a paused source may be asked again, in milliseconds since 1970: what it
/// said and a little more, else the next full hour and a little more. `drawn` is a number from 0 to
/// 1000, drawn at random.
pub(crate) fn resume_at(told: Option<DateTime<Utc>>, machine: DateTime<Utc>, drawn: u32) -> i64 {
    let full_hour = || {
        let past = TimeDelta::minutes(i64::from(machine.minute())) + TimeDelta::seconds(i64::from(machine.second()));
        machine - past + TimeDelta::hours(1)
    };
    let back = told.filter(|t| *t >= machine && *t - machine <= TimeDelta::hours(26)).unwrap_or_else(full_hour);
    back.timestamp_millis() + 5_000 + jitter(drawn, 55_000)
}

fn narrow(at: &Circumstances<'_>, refusal: &Refusal, dataset: Dataset) -> Consequence {
    let length = at.call.days.len();
    if length <= 1 {
        return failing(at, refusal, Next::Aside);
    }
    // A week less a day has been seen to be taken where a week is not.
    let days = if length == 7 { 6 } else { length / 2 };
    let known = at.knowledge.learnt(dataset);
    let now = at.now.timestamp();
    // A longer call that was already on its way says nothing new.
    let believed = known.max_days.filter(|(_, until)| *until > now).map_or(days, |(believed, _)| believed.min(days));
    let known = Learnt { max_days: Some((believed, now + LENGTH_BELIEVED)), ..known };
    Consequence { effects: vec![learnt(at, dataset, known)], next: Next::Replan }
}

/// The source refused a first day as too old: it and all before it are out of reach. Which days
/// after it are, is searched for ([`crate::plan::search::history`]).
fn clamp_history(at: &Circumstances<'_>, refusal: &Refusal, dataset: Dataset) -> Consequence {
    let known = at.knowledge.learnt(dataset);
    let start = at.call.days.first();
    let nominal = at.served_first.plus(-known.history_short);
    let short = start.since(nominal) + 1;
    // Days as old as these were served before, or this is about something else than age.
    let contradicts = at.accepted_first.is_some_and(|accepted| accepted <= start);
    if contradicts || short > MOST_SHORT {
        return failing(at, refusal, Next::Aside);
    }
    let known = Learnt { history_short: known.history_short.max(short), ..known };
    Consequence { effects: vec![learnt(at, dataset, known)], next: Next::Replan }
}

fn clamp_activation(at: &Circumstances<'_>, refusal: &Refusal) -> Consequence {
    let Some(series) = at.knowledge.series.get(at.call.series) else {
        return Consequence { effects: Vec::new(), next: Next::Aside };
    };
    let direction = series.dataset.direction();
    let mut known = at.knowledge.activation(series.meter, direction);
    let start = at.call.days.first();
    if at.knowledge.oldest_held(series.meter, direction).is_some_and(|held| held <= start) {
        // Days of that time are stored, so the meter was there. Believing the refusal would give up
        // days that may still be served; a span that begins later is soon accepted anyway.
        return failing(at, refusal, Next::Aside);
    }
    if known.accepted.is_some_and(|accepted| accepted <= start) && at.tries == 0 {
        // Such days were accepted before, though they held nothing. It may be a passing fault: what
        // would cost the older days is believed when it is said twice.
        return failing(at, refusal, Next::Later);
    }
    known.refusals = known.refusals.saturating_add(1);
    known.refused = Some(known.refused.map_or(start, |r| r.max(start)));
    // What was accepted before a later refusal belongs to an earlier contract.
    known.accepted = known.accepted.filter(|accepted| *accepted > start);
    let mut effects = vec![Effect::Activation { meter: series.meter, direction, known }];
    let again = at.now.timestamp() + NOT_OFFERED_AGAIN;
    if start >= at.last_day || series.state == SeriesState::NotOffered {
        let concerned =
            at.knowledge.series.iter().filter(|s| s.meter == series.meter && s.dataset.direction() == direction);
        effects.extend(concerned.map(|s| state_of(s, refusal, SeriesState::NotOffered, Some(again))));
    }
    Consequence { effects, next: Next::Replan }
}

#[cfg(test)]
mod tests;
