//! How many calls are left and until when: what `plan` would say, kept for those who look on.
//!
//! A backfill within a small budget takes days or weeks. Whoever asks for the status wants to know
//! how long, and whether days will have left the window before their turn. Both follow from the
//! calls that a pass would make now, from what the budget still allows and from when a source that
//! rests may be asked again. It is a forecast: what is published meanwhile is reckoned with, what
//! fails is not.

use std::collections::{BTreeMap, HashSet};

use crate::budget::Limits;
use crate::domain::{Dataset, SeriesState};
use crate::engine::pass::{self, Outlook, PlannedCall};
use crate::engine::serving::Moment;
use crate::engine::{ActiveMeter, ActiveSource, Engine, Selection};
use crate::store::{Facts, Spent, Store, StoreError};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// What is left to be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Backlog {
    /// Calls that are due now.
    pub calls: u64,
    /// When the last of them can be made (seconds since 1970); `None` where none is left.
    pub until: Option<i64>,
    /// What is left for each source that has something left, in the order of the configuration.
    pub sources: Vec<Share>,
    /// Days that will have left the window before they can be fetched, where there are any.
    pub expiring: BTreeMap<Dataset, i64>,
}

/// What is left for one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Its name.
    pub source: String,
    /// Calls that are due now.
    pub calls: u64,
    /// When the last of them can be made (seconds since 1970).
    pub until: i64,
}

impl Backlog {
    /// Plans with what the database knows now.
    pub async fn of(engine: &Engine) -> Result<Self, StoreError> {
        let calendar = engine.calendar.now();
        let machine = engine.clock.now();
        Self::gather(
            &*engine.store,
            &engine.sources,
            &engine.meters,
            &engine.every,
            Moment { calendar, machine_ms: machine.timestamp_millis() },
        )
        .await
    }

    /// The same, of what an engine is made of.
    pub async fn gather(
        store: &dyn Store,
        sources: &[ActiveSource],
        meters: &[ActiveMeter],
        every: &BTreeMap<Dataset, i32>,
        moment: Moment,
    ) -> Result<Self, StoreError> {
        let mut spent = Vec::new();
        for active in sources {
            spent.push(store.spent(active.source.name(), active.history_pool(), moment.machine_ms).await?);
        }
        let facts = store.facts(pass::midnight(moment.calendar)).await?;
        let openings = openings(sources, &facts, moment);
        let daily: Vec<i64> = sources.iter().map(|active| daily(active, &facts)).collect();
        let outlook = pass::outlook(sources, meters, every, facts, &spent, &Selection::default(), moment);
        let paces = sources.iter().zip(spent).zip(daily).zip(openings).map(|(((active, spent), daily), opens)| {
            let (limits, tokens) = (active.limits_of(active.history_pool()), tokens(active));
            (active, Pace { limits, spent, daily, tokens, opens })
        });
        Ok(Self::reckon(paces, &outlook))
    }

    fn reckon<'a>(paces: impl Iterator<Item = (&'a ActiveSource, Pace)>, outlook: &Outlook) -> Self {
        let mut backlog = Self::default();
        for (active, mut pace) in paces {
            let mine: Vec<&PlannedCall> = outlook.calls.iter().filter(|c| c.source == active.source.name()).collect();
            let series: HashSet<_> = mine.iter().map(|c| (c.prm.full(), c.dataset)).collect();
            // Before the first pass the database knows of none.
            pace.daily = pace.daily.max(count(series.len()));
            if let Some(last) = count(mine.len()).checked_sub(1).filter(|last| *last >= 0) {
                let (source, calls) = (active.source.name().to_owned(), last.unsigned_abs() + 1);
                backlog.sources.push(Share { source, calls, until: pace.start(last) });
            }
        }
        for (dataset, days) in outlook.forecasts.iter().flat_map(|(_, forecast)| &forecast.lost) {
            *backlog.expiring.entry(*dataset).or_default() += i64::try_from(*days).unwrap_or(i64::MAX);
        }
        backlog.calls = backlog.sources.iter().map(|share| share.calls).sum();
        backlog.until = backlog.sources.iter().map(|share| share.until).max();
        backlog
    }
}

/// When each source may be asked again, at the earliest now.
fn openings(sources: &[ActiveSource], facts: &Facts, moment: Moment) -> Vec<i64> {
    let now = moment.machine_ms.div_euclid(1_000);
    let opening = |active: &ActiveSource| {
        let state = facts.sources.iter().find(|s| s.name == active.source.name());
        state.and_then(|s| s.state.not_before_ms).map_or(now, |until| until.div_euclid(1_000).max(now))
    };
    sources.iter().map(opening).collect()
}

/// Calls of a source that each morning takes before history has its turn.
fn daily(active: &ActiveSource, facts: &Facts) -> i64 {
    let id = facts.sources.iter().find(|s| s.name == active.source.name()).map(|s| s.id);
    let asked = |state| !matches!(state, SeriesState::Suspended | SeriesState::NotOffered);
    let series = facts.series.iter().filter(|s| Some(s.source) == id && asked(s.state)).count();
    // The newest day has a counter of its own where history has one.
    let shared = active.cached.is_none();
    if shared { count(series) + tokens(active) } else { 0 }
}

/// Calls for a token before those for data: one holds for some hours.
fn tokens(active: &ActiveSource) -> i64 {
    i64::from(active.source.token_request().is_some())
}

/// How fast a source's calls can be made.
struct Pace {
    limits: Limits,
    spent: Spent,
    /// Calls that every later day makes before history has its turn.
    daily: i64,
    /// Calls for a token that history itself takes, in this day and in each later one.
    tokens: i64,
    /// When the first call may be made (seconds since 1970).
    opens: i64,
}

impl Pace {
    /// When the call may start before which so many others are made.
    fn start(&self, before: i64) -> i64 {
        let left = |limit: u32, used: i64| (i64::from(limit) - used).max(0);
        let paced = before.saturating_mul(self.limits.spacing_ms()) / 1_000;
        let days = self.limits.per_day.map_or(0, |limit| {
            let limit_left = left(limit, self.spent.day).min(self.spent.told_left.unwrap_or(i64::MAX).max(0));
            // Until nine in the morning history leaves free what the morning takes, at most half.
            let kept = self.daily.min(i64::from(limit / 2));
            let a_later_day = i64::from(limit.max(1)) - self.daily - self.tokens;
            steps(before, limit_left - kept - self.tokens, a_later_day.max(1)) * DAY
        });
        let hours = self
            .limits
            .per_hour
            .map_or(0, |limit| steps(before, left(limit, self.spent.hour), i64::from(limit.max(1))) * HOUR);
        self.opens + paced.max(days).max(hours)
    }
}

/// Windows that must pass before a call is made, where `first` fit into this one and `later` into
/// each that follows.
fn steps(before: i64, first: i64, later: i64) -> i64 {
    if before < first { 0 } else { 1 + (before - first.max(0)) / later }
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(limits: Limits, spent: Spent, daily: i64) -> Pace {
        Pace { limits, spent, daily, tokens: 0, opens: 0 }
    }

    #[test]
    fn without_limits_the_pace_alone_counts() {
        let limits = Limits { per_second: 5, per_hour: None, per_day: None };
        assert_eq!(pace(limits, Spent::default(), 3).start(1_000), 210);
    }

    #[test]
    fn an_hour_or_a_day_that_is_full_makes_calls_wait() {
        let limits = Limits { per_second: 5, per_hour: Some(10), per_day: None };
        let hourly = pace(limits, Spent { hour: 4, day: 4, told_left: None }, 0);
        assert_eq!([5, 6, 15, 16].map(|n| hourly.start(n) / HOUR), [0, 1, 1, 2]);
        // Twenty a day, of which the mornings take three and keep three.
        let limits = Limits { per_second: 1, per_hour: None, per_day: Some(20) };
        let daily = pace(limits, Spent { hour: 0, day: 5, told_left: None }, 3);
        assert_eq!([11, 12, 28, 29].map(|n| daily.start(n) / DAY), [0, 1, 1, 2]);
        // What the source says of its own quota counts where it is less.
        let told = pace(limits, Spent { hour: 0, day: 5, told_left: Some(4) }, 3);
        assert_eq!([0, 1].map(|n| told.start(n) / DAY), [0, 1]);
        // More series than calls: it goes on all the same, slowly.
        let scarce = pace(Limits { per_day: Some(2), ..limits }, Spent::default(), 9);
        assert_eq!([0, 1, 5].map(|n| scarce.start(n) / DAY), [0, 1, 5]);
    }
}
