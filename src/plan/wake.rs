//! When the next pass is due, and why: a pure function of the wall clock and of what is known.
//!
//! There is one daily slot: `wake_at` in Paris, plus a delay that is this installation's own
//! ([`jitter`]), so that not every household asks at the same minute. A slot that went by without
//! a pass is due until there was one, which is how a night without power is made up. Between two
//! slots a pass is due only for a reason: a day that was not published yet has its next try
//! ([`crate::domain::coverage`]), a source or the budget said until when, or the last pass ended
//! in trouble. Nobody sleeps until the answer; it is asked for again each minute, so a clock that
//! is set, or a machine that slept, needs no care of its own. The rules in prose: docs/daemon.md.

use chrono::NaiveTime;

use crate::domain::{Day, paris};

/// Delays are shorter than this many seconds.
pub const LONGEST_JITTER: i64 = 30 * 60;

/// A slot that is met later than this many seconds was missed.
const PUNCTUAL: i64 = 15 * 60;

/// No wall clock that shows an earlier instant is believed: boards without a battery start in 1970.
/// 2025-01-01, in seconds since 1970.
const BELIEVED_FROM: i64 = 1_735_689_600;

/// What the operator wants, and the delay of this installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// When the day's first pass begins, in Paris; at 08:00 or later.
    pub wake_at: NaiveTime,
    /// Until when days that are not published yet are asked for again; not before `wake_at`.
    pub retry_until: NaiveTime,
    /// Seconds that are added to each instant of the schedule, `0..LONGEST_JITTER`.
    pub jitter: i64,
}

/// What is known of passes. Instants are seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// When the last pass began; `None` where none is known, or where it left work behind.
    pub last_pass: Option<i64>,
    /// When the first of the days that are not published yet is asked for again.
    pub due_at: Option<i64>,
    /// When the pass goes on that a source, the budget or trouble ended.
    pub resume_at: Option<i64>,
}

/// Why a pass is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// Nothing is known of an earlier pass, or it left work behind.
    Start,
    /// The day's slot.
    Daily,
    /// A slot that went by while linkyd or the machine was off.
    Missed,
    /// Days that were not published yet are due again.
    Late,
    /// A pause is over, the budget has room again, or the trouble may have passed.
    Resume,
    /// An operator asked.
    Operator,
    /// The configuration changed.
    Reload,
}

impl Why {
    /// The word for it in logs and on the status page.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Daily => "daily",
            Self::Missed => "missed",
            Self::Late => "late",
            Self::Resume => "resume",
            Self::Operator => "operator",
            Self::Reload => "reload",
        }
    }
}

/// When the next pass is due; at once where `at` is not later than now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wake {
    /// The instant, in seconds since 1970.
    pub at: i64,
    /// The reason.
    pub why: Why,
}

/// Whether a wall clock can be right.
#[must_use]
pub fn is_plausible(now: i64) -> bool {
    now >= BELIEVED_FROM
}

/// The delay of an installation: the same for the same text, spread evenly over
/// `0..LONGEST_JITTER` seconds.
#[must_use]
pub fn jitter(installation: &str) -> i64 {
    // FNV-1a: unlike the standard library's hashes it is the same in every version.
    let hash = installation
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    // The upper bits are mixed better than the lower ones.
    i64::try_from((hash >> 32) % LONGEST_JITTER.unsigned_abs()).unwrap_or_default()
}

/// When the next pass is due.
///
/// `now` only tells a slot that is met from one that was missed, and a past that cannot be: what
/// was seen later than now was seen by a wrong clock and is not believed.
#[must_use]
pub fn next(now: i64, seen: &Seen, policy: &Policy) -> Wake {
    let Some(last) = seen.last_pass.filter(|last| *last <= now) else { return Wake { at: now, why: Why::Start } };
    let slot = slot_after(last, policy);
    let why = if now - slot > PUNCTUAL { Why::Missed } else { Why::Daily };
    let mut wake = Wake { at: slot, why };
    let late = seen.due_at.filter(|due| *due > last).map(|due| allowed(due + policy.jitter, policy));
    for (at, why) in [(late, Why::Late), (seen.resume_at, Why::Resume)] {
        // At the same instant the slot comes first: it is the reason that an operator expects.
        if let Some(at) = at.filter(|at| *at < wake.at) {
            wake = Wake { at, why };
        }
    }
    wake
}

/// The slot of that day: `wake_at` and the delay.
#[must_use]
pub fn slot(day: Day, policy: &Policy) -> i64 {
    paris::at_wall(day, policy.wake_at) + policy.jitter
}

/// The last slot that is not after an instant.
#[must_use]
pub fn slot_before(instant: i64, policy: &Policy) -> i64 {
    // The delay may carry a slot just before midnight into the next day.
    let mut day = paris::day_of(instant);
    loop {
        let at = slot(day, policy);
        if at <= instant {
            return at;
        }
        day = day.plus(-1);
    }
}

/// The first slot after an instant.
fn slot_after(instant: i64, policy: &Policy) -> i64 {
    // The delay may carry a slot just before midnight into the next day.
    let mut day = paris::day_of(instant).plus(-1);
    loop {
        let at = slot(day, policy);
        if at > instant {
            return at;
        }
        day = day.next();
    }
}

/// The first instant from `at` on at which days may be asked for again: from the day's slot until
/// `retry_until`.
fn allowed(at: i64, policy: &Policy) -> i64 {
    let day = paris::day_of(at);
    let from = slot(day, policy);
    if at <= from {
        from
    } else if at <= paris::at_wall(day, policy.retry_until) {
        at
    } else {
        slot(day.next(), policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, Timelike as _};
    use proptest::prelude::*;

    fn at(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp()
    }

    fn wall(time: &str) -> NaiveTime {
        NaiveTime::parse_from_str(time, "%H:%M").unwrap()
    }

    fn policy(jitter: i64) -> Policy {
        Policy { wake_at: wall("08:00"), retry_until: wall("20:00"), jitter }
    }

    fn after(last: &str) -> Seen {
        Seen { last_pass: Some(at(last)), ..Seen::default() }
    }

    fn said(now: &str, seen: &Seen, policy: &Policy) -> (i64, Why) {
        let wake = next(at(now), seen, policy);
        (wake.at, wake.why)
    }

    #[test]
    fn the_slot_is_paris_time_on_both_sides_of_a_clock_change() {
        let policy = policy(180);
        for (last, slot) in [
            ("2026-10-24T08:10:00+02:00", "2026-10-25T08:03:00+01:00"),
            ("2026-10-25T08:10:00+01:00", "2026-10-26T08:03:00+01:00"),
            ("2026-03-28T08:10:00+01:00", "2026-03-29T08:03:00+02:00"),
            ("2026-03-29T08:10:00+02:00", "2026-03-30T08:03:00+02:00"),
            // A pass before the slot does not stand for it.
            ("2026-11-24T03:00:00+01:00", "2026-11-24T08:03:00+01:00"),
            ("2026-11-24T08:02:59+01:00", "2026-11-24T08:03:00+01:00"),
        ] {
            assert_eq!(said(last, &after(last), &policy), (at(slot), Why::Daily), "{last}");
        }
    }

    #[test]
    fn without_a_pass_or_with_one_from_the_future_one_is_due_at_once() {
        let now = "2026-11-24T03:00:00+01:00";
        assert_eq!(said(now, &Seen::default(), &policy(0)), (at(now), Why::Start));
        assert_eq!(said(now, &after("2028-11-24T08:00:00+01:00"), &policy(0)), (at(now), Why::Start));
    }

    #[test]
    fn a_slot_that_went_by_is_due_until_there_was_a_pass() {
        let seen = after("2026-11-20T08:10:00+01:00");
        let slot = at("2026-11-21T08:00:00+01:00");
        assert_eq!(said("2026-11-24T15:00:00+01:00", &seen, &policy(0)), (slot, Why::Missed));
        assert_eq!(said("2026-11-21T08:01:00+01:00", &seen, &policy(0)), (slot, Why::Daily));
        let seen = after("2026-11-24T15:00:00+01:00");
        let tomorrow = at("2026-11-25T08:00:00+01:00");
        assert_eq!(said("2026-11-24T15:00:30+01:00", &seen, &policy(0)), (tomorrow, Why::Daily));
    }

    #[test]
    fn late_days_are_tried_until_the_evening() {
        let policy = policy(600);
        for (due, wake, why) in [
            ("2026-11-24T09:00:00+01:00", "2026-11-24T09:10:00+01:00", Why::Late),
            ("2026-11-24T18:00:00+01:00", "2026-11-24T18:10:00+01:00", Why::Late),
            // Too late today; and a day that is due at eight waits for the slot.
            ("2026-11-24T19:55:00+01:00", "2026-11-25T08:10:00+01:00", Why::Daily),
            ("2026-11-25T08:00:00+01:00", "2026-11-25T08:10:00+01:00", Why::Daily),
            ("2026-11-26T08:00:00+01:00", "2026-11-25T08:10:00+01:00", Why::Daily),
            // Was due before the last pass: that one could not help.
            ("2026-11-24T08:00:00+01:00", "2026-11-25T08:10:00+01:00", Why::Daily),
        ] {
            let seen = Seen { due_at: Some(at(due)), ..after("2026-11-24T08:10:00+01:00") };
            assert_eq!(said("2026-11-24T08:11:00+01:00", &seen, &policy), (at(wake), why), "{due}");
        }
    }

    #[test]
    fn no_try_before_a_late_wake_time() {
        let policy = Policy { wake_at: wall("10:00"), ..policy(0) };
        let seen = Seen { due_at: Some(at("2026-11-25T08:00:00+01:00")), ..after("2026-11-24T18:00:00+01:00") };
        let slot = at("2026-11-25T10:00:00+01:00");
        assert_eq!(said("2026-11-24T18:01:00+01:00", &seen, &policy), (slot, Why::Daily));
    }

    #[test]
    fn a_pause_ends_at_any_hour() {
        let seen = Seen { resume_at: Some(at("2026-11-25T02:30:00+01:00")), ..after("2026-11-24T23:00:00+01:00") };
        let wake = said("2026-11-24T23:10:00+01:00", &seen, &policy(60));
        assert_eq!(wake, (at("2026-11-25T02:30:00+01:00"), Why::Resume));
    }

    #[test]
    fn delays_are_stable_and_spread() {
        assert_eq!(jitter("12345678901234"), jitter("12345678901234"));
        let mut minutes = [0_u32; 30];
        for n in 0..30_000_u64 {
            let delay = jitter(&format!("{:014}", 12_345_678_000_000 + n));
            assert!((0..LONGEST_JITTER).contains(&delay));
            minutes[usize::try_from(delay / 60).unwrap()] += 1;
        }
        assert!(minutes.iter().all(|count| (800..1_200).contains(count)), "{minutes:?}");
    }

    #[test]
    fn a_clock_without_a_battery_is_not_believed() {
        assert!(!is_plausible(0) && is_plausible(at("2026-11-24T08:00:00Z")));
    }

    /// A machine that runs for years and always makes the pass that is due.
    #[test]
    fn twenty_years_have_one_slot_a_day_and_never_before_eight() {
        for jitter in [0, 61, LONGEST_JITTER - 1] {
            let policy = policy(jitter);
            let mut now = at("2026-01-01T12:00:00+01:00");
            let mut day = paris::day_of(now);
            while day < "2046-01-01".parse().unwrap() {
                let wake = next(now, &Seen { last_pass: Some(now), ..Seen::default() }, &policy);
                assert_eq!(paris::day_of(wake.at), day.next());
                let local = paris::local(wake.at).time();
                assert_eq!(local.num_seconds_from_midnight(), 8 * 3600 + u32::try_from(jitter).unwrap());
                (now, day) = (wake.at, day.next());
            }
        }
    }

    fn instants() -> impl Strategy<Value = i64> {
        // 2026 to 2029, with more weight on the nights on which clocks change.
        let changes = [at("2026-10-25T01:00:00Z"), at("2027-03-28T01:00:00Z"), at("2028-03-26T01:00:00Z")];
        prop_oneof![
            at("2026-01-01T00:00:00Z")..at("2029-12-31T00:00:00Z"),
            (prop::sample::select(changes.to_vec()), -90_000_i64..90_000).prop_map(|(change, by)| change + by),
        ]
    }

    proptest! {
        #[test]
        fn a_wake_lies_after_the_last_pass_and_within_its_hours(
            last in instants(), wait in 0_i64..400_000, due in prop::option::of(-100_000_i64..400_000),
            wake_minute in 480_u32..1_410, more in 0_u32..600, jitter in 0..LONGEST_JITTER,
        ) {
            let time = |minute: u32| NaiveTime::from_num_seconds_from_midnight_opt(minute.min(1_439) * 60, 0).unwrap();
            let policy = Policy { wake_at: time(wake_minute), retry_until: time(wake_minute + more), jitter };
            let seen = Seen { last_pass: Some(last), due_at: due.map(|by| last + by), resume_at: None };
            let wake = next(last + wait, &seen, &policy);
            prop_assert!(wake.at > last);
            let day = paris::day_of(wake.at);
            let eight = paris::at_wall(day, wall("08:00"));
            prop_assert!(wake.at >= eight);
            match wake.why {
                Why::Daily | Why::Missed => {
                    prop_assert!((slot(day.plus(-1), &policy) == wake.at) || (slot(day, &policy) == wake.at));
                    prop_assert!(wake.at - last <= 25 * 3600 + LONGEST_JITTER);
                }
                Why::Late => {
                    prop_assert!(wake.at >= slot(day, &policy));
                    prop_assert!(wake.at <= paris::at_wall(day, policy.retry_until));
                    prop_assert!(wake.at >= seen.due_at.unwrap());
                }
                why => prop_assert!(false, "{:?}", why),
            }
            // However late it is looked at, the answer is the same instant.
            prop_assert_eq!(next(last + wait + 5_000_000, &seen, &policy).at, wake.at);
        }
    }
}
