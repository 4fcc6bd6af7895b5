//! How many calls a source's budget leaves for what is wanted.

use super::ActiveSource;
use super::serving::Moment;
use crate::budget::Limits;
use crate::domain::paris;
use crate::plan::Allowance;
use crate::store::Spent;

const DAY_MS: i64 = 86_400_000;

const HOUR_MS: i64 = 3_600_000;

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
        // The hour that has begun counts whole: the budget's hours slide.
        today = today.min(count(hour).saturating_mul(signed(rest_ms / HOUR_MS + 1)));
    }
    if let Some(per_day) = limits.per_day {
        let net = count(per_day - super::reserve(per_day, daily));
        let told = spent.told_left.map_or(usize::MAX, signed);
        today = today.min(net.saturating_sub(signed(spent.day)).min(told));
    }
    // On a day to come the newest days go first, whatever they cost.
    Allowance { today, per_day: budget(limits).saturating_sub(count(daily)), newest: shared }
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
    fn a_day_ends_at_its_own_midnight_however_long_it_is() {
        let pace = Limits { per_second: 5, per_hour: None, per_day: None };
        let left = |text| within(pace, true, Spent::default(), 1, moment(text)).today;
        let of = |minutes: i64| usize::try_from(minutes * 60_000 / pace.spacing_ms()).unwrap();
        assert_eq!(left("2026-10-25T00:30:00+02:00"), of(24 * 60 + 30));
        assert_eq!(left("2026-03-29T00:30:00+01:00"), of(22 * 60 + 30));
        assert_eq!(left("2026-11-24T23:30:00+01:00"), of(30));
    }
}
