//! The only file that knows a time zone.
//!
//! Enedis writes Paris wall time without an offset. Here days get their bounds in UTC and
//! wall times get the instants that they can mean: one as a rule, two in the autumn hour that
//! comes twice, none in the spring hour that is skipped. Everything downstream is UTC, so it
//! cannot make a mistake at a clock change. The rules come inside the binary (docs/time.md).

use chrono::{
    DateTime, Datelike, Months, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone, Timelike, Utc,
};
use chrono_tz::Europe::Paris;

use super::{Day, Step};

/// The instants that a wall time can mean, in order: none, one or two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Candidates {
    /// The clock skipped this time in spring.
    None,
    /// The usual case, in seconds since 1970.
    One(i64),
    /// The clock showed this time twice in autumn: first in summer time, then in winter time.
    Two(i64, i64),
}

/// The edition of the zone's rules in this program: the year and a letter, as in `2026a`.
#[must_use]
pub fn rules_edition() -> &'static str {
    chrono_tz::IANA_TZDB_VERSION
}

/// What a Paris wall time can mean.
#[must_use]
pub fn candidates(local: NaiveDateTime) -> Candidates {
    match Paris.from_local_datetime(&local) {
        chrono::LocalResult::None => Candidates::None,
        chrono::LocalResult::Single(one) => Candidates::One(one.timestamp()),
        chrono::LocalResult::Ambiguous(first, second) => Candidates::Two(first.timestamp(), second.timestamp()),
    }
}

/// The clock of one day, for turning many wall times of that day into instants.
///
/// The rules of the zone are looked up once here; after that only a day on which the clocks
/// change needs them again.
#[derive(Debug, Clone, Copy)]
pub struct WallClock {
    day: Day,
    start: i64,
    steady: bool,
}

impl WallClock {
    /// The clock of that day.
    #[must_use]
    pub fn of(day: Day) -> Self {
        Self { day, start: start_of(day), steady: minutes_in(day) == 24 * 60 }
    }

    /// The instants at which it shows that many seconds past midnight, `0..86_400`.
    #[must_use]
    pub fn candidates(self, seconds: i32) -> Candidates {
        if self.steady {
            return Candidates::One(self.start + i64::from(seconds));
        }
        let midnight = self.day.date().and_time(NaiveTime::MIN);
        candidates(midnight + TimeDelta::seconds(i64::from(seconds)))
    }
}

/// The clock of one month after another, for wall times of many days that come in order.
///
/// In ten months of twelve the clocks do not change, and one look at the zone's rules is enough.
#[derive(Debug, Default)]
pub struct MonthClock {
    /// Year and month, and the seconds that Paris is ahead of UTC where that is so all month.
    last: Option<((i32, u32), Option<i64>)>,
}

impl MonthClock {
    /// What a Paris wall time can mean.
    pub fn candidates(&mut self, local: NaiveDateTime) -> Candidates {
        let month = (local.year(), local.month());
        let ahead = match self.last {
            Some((known, ahead)) if known == month => ahead,
            _ => steady(local.date()),
        };
        self.last = Some((month, ahead));
        ahead.map_or_else(|| candidates(local), |ahead| Candidates::One(local.and_utc().timestamp() - ahead))
    }
}

/// How far Paris is ahead of UTC in the month of that date, if it is the same all month.
fn steady(date: NaiveDate) -> Option<i64> {
    let first = date.with_day(1)?;
    let next = first.checked_add_months(Months::new(1))?;
    let ahead = |midnight: NaiveDateTime| match candidates(midnight) {
        Candidates::One(instant) => Some(midnight.and_utc().timestamp() - instant),
        Candidates::None | Candidates::Two(..) => None,
    };
    let at_first = ahead(first.and_time(NaiveTime::MIN))?;
    (ahead(next.and_time(NaiveTime::MIN))? == at_first).then_some(at_first)
}

/// Paris wall time of an instant given in seconds since 1970.
#[must_use]
pub fn local(epoch: i64) -> NaiveDateTime {
    utc(epoch).with_timezone(&Paris).naive_local()
}

/// Hours that Paris is ahead of UTC at an instant: 1 in winter, 2 in summer.
#[must_use]
pub fn offset_hours(epoch: i64) -> i64 {
    i64::from(utc(epoch).with_timezone(&Paris).offset().fix().local_minus_utc()) / 3600
}

/// The Paris day of an instant given in seconds since 1970.
#[must_use]
pub fn day_of(epoch: i64) -> Day {
    Day::from_date(local(epoch).date())
}

/// The Paris day of an instant.
#[must_use]
pub fn today(now: DateTime<Utc>) -> Day {
    day_of(now.timestamp())
}

/// Paris midnight at which the day begins, in seconds since 1970.
#[must_use]
pub fn start_of(day: Day) -> i64 {
    at_wall(day, NaiveTime::MIN)
}

/// The instant at which the clocks in Paris show `time` on `day`: the earlier one where they do
/// so twice, and one hour later on the clock where they never do.
#[must_use]
pub fn at_wall(day: Day, time: NaiveTime) -> i64 {
    let local = day.date().and_time(time);
    match candidates(local) {
        Candidates::One(epoch) | Candidates::Two(epoch, _) => epoch,
        Candidates::None => local.and_utc().timestamp() - 3600,
    }
}

/// Minutes in the day: 1380, 1440 or 1500.
#[must_use]
pub fn minutes_in(day: Day) -> i64 {
    (start_of(day.next()) - start_of(day)) / 60
}

/// How many intervals of one step make up the day: 46, 48 or 50 half-hours.
#[must_use]
pub fn intervals_in(day: Day, step: Step) -> i64 {
    minutes_in(day) / i64::from(step.minutes())
}

/// Hour of the clock in Paris, 0 to 23.
#[must_use]
pub fn hour_of(now: DateTime<Utc>) -> u32 {
    local(now.timestamp()).hour()
}

fn utc(epoch: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(epoch, 0).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_says_the_same_as_the_rules() {
        let mut months = MonthClock::default();
        let mut local = wall("2023-12-31 00:30");
        while local < wall("2027-02-01 00:00") {
            assert_eq!(months.candidates(local), candidates(local), "{local}");
            local += TimeDelta::minutes(30);
        }
    }

    fn wall(text: &str) -> NaiveDateTime {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap()
    }

    #[test]
    fn days_have_23_24_or_25_hours() {
        for (day, halves) in
            [("2026-03-29", 46), ("2026-10-25", 50), ("2026-11-24", 48), ("2024-03-31", 46), ("2025-10-26", 50)]
        {
            let day: Day = day.parse().unwrap();
            assert_eq!(intervals_in(day, Step::from_minutes(30).unwrap()), halves);
        }
    }

    #[test]
    fn midnight_is_unique_and_days_are_seamless_for_a_century() {
        let mut day: Day = "1990-01-01".parse().unwrap();
        let end: Day = "2099-12-31".parse().unwrap();
        while day < end {
            assert!(matches!(candidates(day.date().and_time(NaiveTime::MIN)), Candidates::One(_)), "{day}");
            assert_eq!(day_of(start_of(day)), day);
            assert_eq!(day_of(start_of(day.next()) - 1), day);
            day = day.next();
        }
    }

    #[test]
    fn the_clock_of_a_day_agrees_with_the_zone() {
        for text in ["2026-03-28", "2026-03-29", "2026-10-25", "2026-10-26"] {
            let day: Day = text.parse().unwrap();
            let clock = WallClock::of(day);
            for minute in 0..24 * 60 {
                let local = day.date().and_time(NaiveTime::MIN) + TimeDelta::minutes(i64::from(minute));
                assert_eq!(clock.candidates(minute * 60), candidates(local), "{local}");
            }
        }
    }

    #[test]
    fn wall_times_around_the_changes() {
        assert_eq!(candidates(wall("2026-03-29 02:30")), Candidates::None);
        let Candidates::Two(first, second) = candidates(wall("2026-10-25 02:00")) else { panic!("02:00 comes twice") };
        assert_eq!((second - first, offset_hours(first), offset_hours(second)), (3600, 2, 1));
        assert!(matches!(candidates(wall("2026-10-25 03:00")), Candidates::One(_)));
        assert!(matches!(candidates(wall("2026-10-25 01:59")), Candidates::One(_)));
        assert_eq!(local(first), local(second));
    }
}
