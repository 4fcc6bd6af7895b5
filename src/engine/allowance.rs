//! How many calls a source's budget leaves for what is wanted, and when they can be made.

use super::ActiveSource;
use super::knowledge::Knowledge;
use super::serving::Moment;
use crate::budget::Limits;
use crate::domain::paris;
use crate::plan::Allowance;
use crate::plan::forecast::Demand;
use crate::store::Spent;

const DAY_MS: i64 = 86_400_000;

const HOUR_MS: i64 = 3_600_000;

const HOUR: i64 = HOUR_MS / 1_000;

const DAY: i64 = DAY_MS / 1_000;

/// The calls that an account takes on a whole day, whatever they are for.
pub(super) fn budget(limits: Limits) -> usize {
    let pace = usize::try_from(DAY_MS / limits.spacing_ms().max(1)).unwrap_or(usize::MAX);
    let hours = limits.per_hour.map(|hour| count(hour).saturating_mul(24));
    hours.into_iter().chain(limits.per_day.map(count)).fold(pace, usize::min)
}

/// What is left of a source's budget for what it has to fetch, where new days take `daily` calls a day.
pub(super) fn of(active: &ActiveSource, spent: Spent, daily: u32, moment: Moment) -> Allowance {
    within(active.limits_of(active.history_pool()), active.cached.is_none(), spent, daily, moment)
}

/// The same for these limits; `shared`: the newest days are charged to them as well.
fn within(limits: Limits, shared: bool, spent: Spent, daily: u32, moment: Moment) -> Allowance {
    // Without a counter of its own history leaves room for the newest days.
    let daily = if shared { daily } else { 0 };
    // Days are lost at midnight in Paris: until then goes as much as the rest of the day takes.
    let ends = paris::start_of(paris::today(moment.calendar).next());
    let rest_ms = (ends - moment.calendar.timestamp()).max(0) * 1_000;
    let mut today = signed(rest_ms / limits.spacing_ms().max(1)).max(1);
    if let Some(hour) = limits.per_hour {
        // The hour that has begun counts whole, but for what is spent of it: the budget's hours slide.
        let hours = count(hour).saturating_mul(signed(rest_ms / HOUR_MS + 1));
        today = today.min(hours.saturating_sub(signed(spent.hour)));
    }
    if let Some(per_day) = limits.per_day {
        let net = count(per_day - super::reserve(per_day, daily));
        let told = spent.told_left.map_or(usize::MAX, signed);
        today = today.min(net.saturating_sub(signed(spent.day)).min(told));
    }
    // On a day to come the newest days go first, whatever they cost.
    Allowance { today, per_day: budget(limits).saturating_sub(count(daily)), newest: shared }
}

/// How fast a source's calls can be made.
#[derive(Debug)]
pub(super) struct Pace {
    limits: Limits,
    spent: Spent,
    /// Calls that every later day makes before history has its turn.
    daily: i64,
    /// Calls for a token that history itself takes, in this day and in each later one.
    tokens: i64,
    /// When the first call may be made (seconds since 1970).
    opens: i64,
    /// Whether the newest days are charged to the same counter.
    shared: bool,
}

impl Pace {
    /// That of a source.
    pub(super) fn of(active: &ActiveSource, spent: Spent, knowledge: &Knowledge, moment: Moment) -> Self {
        let now = moment.machine_ms.div_euclid(1_000);
        let shared = active.cached.is_none();
        Self {
            limits: active.limits_of(active.history_pool()),
            spent,
            daily: if shared { i64::from(knowledge.daily) } else { 0 },
            tokens: i64::from(active.source.token_request().is_some()),
            opens: knowledge.source.state.not_before_ms.map_or(now, |until| until.div_euclid(1_000).max(now)),
            shared,
        }
    }

    /// When the last of these calls can be made, behind so many others of the account (seconds since
    /// 1970); `None` where there is none.
    pub(super) fn end(&self, demand: &Demand, ahead: usize) -> Option<i64> {
        let last = |calls: usize| i64::try_from(calls).ok()?.checked_sub(1).filter(|last| *last >= 0);
        if self.shared {
            return last(demand.calls())
                .map(|_| self.start(last(ahead.saturating_add(demand.calls())).unwrap_or(i64::MAX)));
        }
        let history = last(demand.history()).and_then(|_| last(ahead.saturating_add(demand.history())));
        let newest = last(demand.newest()).map(|last| self.opens + self.paced(last));
        history.map(|last| self.start(last)).into_iter().chain(newest).max()
    }

    fn paced(&self, before: i64) -> i64 {
        before.saturating_mul(self.limits.spacing_ms()) / 1_000
    }

    /// When the call may start before which so many others are made.
    fn start(&self, before: i64) -> i64 {
        let left = |limit: u32, used: i64| (i64::from(limit) - used).max(0);
        let paced = self.paced(before);
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

fn count(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn signed(n: i64) -> usize {
    usize::try_from(n).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> Moment {
        let calendar = chrono::DateTime::parse_from_rfc3339(text).unwrap().to_utc();
        Moment { calendar, machine_ms: calendar.timestamp_millis() }
    }

    fn limits(per_day: u32) -> Limits {
        Limits { per_second: 5, per_hour: None, per_day: Some(per_day) }
    }

    fn of_day(per_day: u32, shared: bool, daily: u32) -> (usize, usize) {
        let morning = moment("2026-11-24T08:30:00+01:00");
        let allowance = within(limits(per_day), shared, Spent::default(), daily, morning);
        (allowance.today, allowance.per_day)
    }

    #[test]
    fn new_days_go_first_on_each_day_to_come_and_leave_history_half_of_this_one() {
        assert_eq!(of_day(100, true, 3), (97, 97));
        assert_eq!(of_day(100, true, 80), (50, 20));
        assert_eq!(of_day(100, true, 300), (50, 0));
        assert_eq!(of_day(100, false, 80), (100, 100), "a cache has a counter of its own");
    }

    #[test]
    fn what_is_spent_and_what_the_source_says_count_today() {
        let morning = moment("2026-11-24T08:30:00+01:00");
        let spent = Spent { day: 40, ..Spent::default() };
        assert_eq!(within(limits(100), true, spent, 10, morning).today, 50);
        let told = Spent { told_left: Some(7), ..spent };
        assert_eq!(within(limits(100), true, told, 10, morning).today, 7);
    }

    #[test]
    fn what_is_spent_of_an_hour_is_not_there_twice() {
        let limits = Limits { per_second: 5, per_hour: Some(100), per_day: None };
        let left = |hour| {
            within(limits, true, Spent { hour, ..Spent::default() }, 1, moment("2026-11-24T22:30:00+01:00")).today
        };
        assert_eq!([left(0), left(70), left(100)], [200, 130, 100]);
    }

    #[test]
    fn a_day_ends_at_its_own_midnight_however_long_it_is() {
        let pace = Limits { per_second: 5, per_hour: None, per_day: None };
        let left = |text| within(pace, true, Spent::default(), 1, moment(text)).today;
        let of = |minutes: i64| usize::try_from(minutes * 60_000 / pace.spacing_ms()).unwrap();
        assert_eq!(left("2026-10-25T00:30:00+02:00"), of(24 * 60 + 30));
        assert_eq!(left("2026-03-29T00:30:00+01:00"), of(22 * 60 + 30));
        assert_eq!(left("2026-11-24T23:30:00+01:00"), of(30));
    }

    fn pace(limits: Limits, spent: Spent, daily: i64) -> Pace {
        Pace { limits, spent, daily, tokens: 0, opens: 0, shared: true }
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
