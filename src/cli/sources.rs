//! How each source stands: what it may still be asked, and whether it pauses.
//!
//! Limits are those that hold ([`super::wiring::counted`]), so where several sources count by one account
//! each of them shows what is left for all.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::render::number;
use super::wiring::Counted;
use crate::budget::Limits;
use crate::domain::paris;
use crate::source::{Pool, Scope, catalogue};
use crate::store::{SourceState, Spent, Store, StoreError};

/// Consents and tokens that end sooner are worth a warning: renewing them takes a person.
const SOON_DAYS: i64 = 30;

/// A source, for people and documents.
#[derive(Debug, Clone)]
pub(crate) struct SourceView {
    /// The operator's name for it.
    pub(crate) name: String,
    /// What it counts calls by.
    pub(crate) scope: Scope,
    /// What it counts, one or two of them.
    pub(crate) counters: Vec<Counter>,
    /// Whether no call is made just now, and why.
    pub(crate) pause: Option<PauseView>,
}

/// One of a source's counters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counter {
    /// Which one.
    pub(crate) pool: Pool,
    /// What linkyd allows itself.
    pub(crate) limits: Limits,
    /// What it has spent.
    pub(crate) spent: Spent,
}

/// A pause of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PauseView {
    /// Until when.
    pub(crate) until: DateTime<Utc>,
    /// The code of the refusal behind it.
    pub(crate) code: Option<String>,
    /// What happened and what to do, without a full stop at its end; may be empty.
    pub(crate) reason: String,
}

impl PauseView {
    /// The pause that a source makes at `now` (machine), if it makes one.
    pub(crate) fn of(source: &str, state: &SourceState, now: DateTime<Utc>) -> Option<Self> {
        let until = DateTime::from_timestamp_millis(state.not_before_ms?).filter(|until| *until > now)?;
        let reason = reason(source, state.code.as_deref(), state.message.as_deref());
        Some(Self { until, code: state.code.clone(), reason })
    }

    /// The sentences about it, and how to end it.
    pub(crate) fn sentence(&self, source: &str) -> String {
        let reason = if self.reason.is_empty() { String::new() } else { format!(": {}", self.reason) };
        let command = format!("linkyd resume {source}");
        let end = if reason.contains(&command) { String::new() } else { format!(" To end the pause now: {command}.") };
        format!("pauses until {} (Paris){reason}.{end}", number::wall(self.until))
    }
}

/// What happened and what to do, as it was stored or as the code's advice says.
pub(super) fn reason(source: &str, code: Option<&str>, message: Option<&str>) -> String {
    let advice = || code.and_then(catalogue::row_of).map_or("", |(_, advice)| advice);
    let text = message.filter(|message| !message.is_empty()).unwrap_or_else(advice);
    catalogue::named(text.trim_end_matches('.'), source)
}

/// Looks at the sources' counters and pauses; `now` is the machine's.
pub(crate) async fn gather(
    store: &dyn Store,
    sources: &[Counted],
    now: DateTime<Utc>,
) -> Result<Vec<SourceView>, StoreError> {
    let states = store.sources().await?;
    let mut views = Vec::new();
    for counted in sources {
        let name = counted.source.name();
        let mut counters = Vec::new();
        for (pool, limits) in counted.counters() {
            counters.push(Counter { pool, limits, spent: store.spent(name, pool, now.timestamp_millis()).await? });
        }
        let state = states.iter().find(|state| state.name == name);
        let pause = state.and_then(|state| PauseView::of(name, &state.state, now));
        views.push(SourceView { name: name.to_owned(), scope: counted.source.scope(), counters, pause });
    }
    Ok(views)
}

impl Counter {
    /// Its windows: the name of each, the limit and what of it is spent.
    pub(crate) fn windows(&self) -> [(&'static str, Option<u32>, i64); 2] {
        [("hour", self.limits.per_hour, self.spent.hour), ("day", self.limits.per_day, self.spent.day)]
    }

    /// Calls that are left of a limit, or that the source said it still takes where that is less.
    pub(crate) fn left(&self, limit: Option<u32>, used: i64) -> Option<i64> {
        let own = limit.map(|limit| (i64::from(limit) - used).max(0));
        match (own, self.spent.told_left.map(|told| told.max(0))) {
            (Some(own), Some(told)) => Some(own.min(told)),
            (own, told) => own.or(told),
        }
    }
}

impl SourceView {
    /// Its entries of `budget` in `status --json`, one for each counter and window.
    pub(crate) fn budget(&self) -> Vec<Value> {
        let until = self.pause.as_ref().map(|pause| pause.until.to_rfc3339_opts(SecondsFormat::Secs, true));
        let mut entries = Vec::new();
        for counter in &self.counters {
            for (window, limit, used) in counter.windows() {
                entries.push(json!({
                    "source": self.name,
                    "scope": self.scope.name(),
                    "pool": counter.pool.name(),
                    "window": window,
                    "limit": limit,
                    "used": used,
                    "left": counter.left(limit, used),
                    "per_hour": counter.limits.per_hour,
                    "spent_hour": counter.spent.hour,
                    "per_day": counter.limits.per_day,
                    "spent_day": counter.spent.day,
                    "told_left": counter.spent.told_left,
                    "paused_until": until,
                    "pause_code": self.pause.as_ref().and_then(|pause| pause.code.as_deref()),
                    "pause_reason": self.pause.as_ref().map(|pause| pause.reason.as_str()),
                }));
            }
        }
        entries
    }

    /// Its lines for people.
    pub(crate) fn lines(&self) -> String {
        let mut text = String::new();
        for counter in &self.counters {
            let which = if self.counters.len() > 1 { format!(", {}", counter.pool.name()) } else { String::new() };
            let _infallible = writeln!(text, "Source {}{which}: {}.", self.name, counter.sentence());
        }
        if let Some(pause) = &self.pause {
            let _infallible = writeln!(text, "Source {} {}", self.name, pause.sentence(&self.name));
        }
        text
    }
}

impl Counter {
    fn sentence(&self) -> String {
        let mut parts = Vec::new();
        for (window, limit, used) in self.windows() {
            let window = if window == "hour" { "in the last hour" } else { "in the last 24 hours" };
            match limit {
                Some(limit) => parts.push(format!(
                    "{} of {} {window}",
                    number::thousands(used),
                    number::counted(i64::from(limit), "call", "calls")
                )),
                None if used > 0 => parts.push(format!("{} {window}", number::counted(used, "call", "calls"))),
                None => {}
            }
        }
        if let Some(told) = self.spent.told_left {
            parts.push(format!("{} left as it says itself", number::thousands(told.max(0))));
        }
        if parts.is_empty() { "no call yet".to_owned() } else { parts.join(", ") }
    }
}

/// Whole days until an instant; below 0 where it is past.
pub(super) fn days_left(until: DateTime<Utc>, now: DateTime<Utc>) -> i64 {
    (until - now).num_seconds().div_euclid(86_400)
}

/// How the end of a consent or token is to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Term {
    /// It is past.
    Over,
    /// It should be renewed now.
    Soon,
    /// There is time.
    Far,
}

impl Term {
    /// The term of what ends at `until`.
    pub(super) fn of(until: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        match days_left(until, now) {
            left if left < 0 => Self::Over,
            left if left < SOON_DAYS => Self::Soon,
            _ => Self::Far,
        }
    }
}

/// What to say of a consent that ends: `the consent ends on 2027-01-01, in 20 days; …`.
pub(super) fn ends(what: &str, until: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let day = paris::today(until);
    let left = match days_left(until, now) {
        0 => "less than a day".to_owned(),
        days => number::counted(days, "day", "days"),
    };
    match Term::of(until, now) {
        Term::Over => format!("the {what} ended on {day}; renew it"),
        Term::Soon => format!("the {what} ends on {day}, in {left}; renew it before"),
        Term::Far => format!("the {what} holds until {day}, for {left}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_with_what_is_left() {
        let at = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&Utc);
        let now = at("2026-11-24T09:00:00Z");
        for (until, told) in [
            ("2026-11-24T08:59:00Z", "the consent ended on 2026-11-24; renew it"),
            ("2026-11-25T08:00:00Z", "the consent ends on 2026-11-25, in less than a day; renew it before"),
            ("2026-11-25T09:00:00Z", "the consent ends on 2026-11-25, in 1 day; renew it before"),
            ("2027-11-24T09:00:00Z", "the consent holds until 2027-11-24, for 365 days"),
        ] {
            assert_eq!(ends("consent", at(until), now), told);
        }
    }
}
