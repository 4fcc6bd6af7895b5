//! When the next call may start: a pure decision over the journal of calls.
//!
//! Nothing is remembered outside the journal. Each call's line is written before the call is made,
//! in the same transaction that read the lines before it; so neither a crash nor a restart nor a
//! storm of triggers can spend more than the limits. All times are the machine's, in milliseconds
//! since 1970.

/// The most calls that an account may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// In any second, at least 1.
    pub per_second: u32,
    /// In any hour.
    pub per_hour: Option<u32>,
    /// In any 24 hours.
    pub per_day: Option<u32>,
}

/// Calls that are kept free for what may not wait: the newest days of tomorrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// How many of the day's calls.
    pub calls: u32,
    /// By when they must be free, in milliseconds since 1970. Calls that are more than a day old by
    /// then take nothing away.
    pub by: i64,
}

/// What the journal says about an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Start of the latest call.
    pub last: Option<i64>,
    /// Start of the call that is `per_second` calls back, the latest being one back.
    pub second: Option<i64>,
    /// Start of the call that is `per_hour` calls back.
    pub hour: Option<i64>,
    /// Start of the call that is `per_day` calls back.
    pub day: Option<i64>,
    /// Start of the call that is `per_day` less [`Keep::calls`] calls back.
    pub keep: Option<i64>,
    /// What the source itself said last: how many more calls it takes now, and until when that holds.
    pub told: Option<(i64, i64)>,
}

/// Which limit is exhausted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exhausted {
    /// The calls of an hour.
    Hour,
    /// The calls of a day.
    Day,
    /// The calls of a day, but for those that are kept for the newest days.
    Kept,
    /// What the source said that it still takes.
    Told,
}

/// Whether a call may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may start at this instant, which can lie a little ahead.
    Go {
        /// Milliseconds since 1970.
        at: i64,
    },
    /// Not before this instant.
    Wait {
        /// Milliseconds since 1970.
        until: i64,
        /// Because of this limit.
        limit: Exhausted,
    },
}

/// Room for the jitter of networks: calls that leave a second apart may arrive this much closer.
pub const JITTER_MS: i64 = 50;

/// A call may leave this much after what its line says; hours and days are counted by the lines.
pub const LATE_MS: i64 = 2_000;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// What a source says about its quota holds for no longer.
pub const FARTHEST_MS: i64 = 26 * HOUR_MS;

/// A line further ahead than this was written before the wall clock was set back.
const AHEAD_MS: i64 = 60_000;

impl Limits {
    /// Milliseconds between the starts of two calls: an even share of a second and its jitter.
    #[must_use]
    pub fn spacing_ms(&self) -> i64 {
        (1_000 + JITTER_MS + i64::from(self.per_second.max(1)) - 1) / i64::from(self.per_second.max(1))
    }

    /// Milliseconds within which no more than `per_second` calls start.
    #[must_use]
    pub fn second_ms(&self) -> i64 {
        1_000 + JITTER_MS
    }

    /// Of each limit the smaller one: what those may ask together who are counted together.
    #[must_use]
    pub fn smaller(&self, other: &Self) -> Self {
        let of = |a: Option<u32>, b: Option<u32>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self {
            per_second: self.per_second.min(other.per_second),
            per_hour: of(self.per_hour, other.per_hour),
            per_day: of(self.per_day, other.per_day),
        }
    }

    /// The same limits at half the pace, after the source complained about bursts.
    #[must_use]
    pub fn halved(self) -> Self {
        Self { per_second: (self.per_second / 2).max(1), ..self }
    }
}

/// Decides whether the next call may be made at `now`, and when it starts. A call that can wait
/// leaves what `keep` says for others.
#[must_use]
pub fn decide(now: i64, usage: &Usage, limits: &Limits, keep: Option<Keep>) -> Verdict {
    let open = |nth: Option<i64>, window: i64| nth.map_or(i64::MIN, |at| at + window + LATE_MS);
    // Lines from before a step back of the clock still count, as if they had been written now.
    let paced = |at: i64| if at > now + AHEAD_MS { now } else { at };
    let (hour, day) = (open(usage.hour, HOUR_MS), open(usage.day, DAY_MS));
    let after_last = usage.last.map_or(i64::MIN, |at| paced(at) + limits.spacing_ms());
    let after_second = usage.second.map_or(i64::MIN, |at| paced(at) + limits.second_ms());
    let at = now.max(after_last).max(after_second);
    // A statement about more than a day ahead was made before the wall clock was set back.
    let told = usage.told.filter(|(left, until)| *left <= 0 && *until > at && *until <= now + FARTHEST_MS);
    let kept = keep.map(|keep| keep.by).filter(|by| *by > at && open(usage.keep, DAY_MS) > *by);
    if let Some((_, until)) = told {
        Verdict::Wait { until, limit: Exhausted::Told }
    } else if let Some(by) = kept.filter(|by| day <= *by) {
        Verdict::Wait { until: by.min(now + DAY_MS + LATE_MS), limit: Exhausted::Kept }
    } else if day > at {
        Verdict::Wait { until: day.min(now + DAY_MS + LATE_MS), limit: Exhausted::Day }
    } else if hour > at {
        Verdict::Wait { until: hour.min(now + HOUR_MS + LATE_MS), limit: Exhausted::Hour }
    } else {
        Verdict::Go { at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn usage(starts: &[i64], limits: &Limits) -> Usage {
        let mut sorted = starts.to_vec();
        sorted.sort_unstable();
        let back = |n: u32| sorted.len().checked_sub(n as usize).and_then(|i| sorted.get(i)).copied();
        Usage {
            last: back(1),
            second: back(limits.per_second),
            hour: limits.per_hour.and_then(back),
            day: limits.per_day.and_then(back),
            keep: None,
            told: None,
        }
    }

    #[test]
    fn five_a_second_are_spaced_by_210_ms() {
        let limits = Limits { per_second: 5, per_hour: None, per_day: None };
        assert_eq!(limits.spacing_ms(), 210);
        let mut starts = Vec::new();
        for _ in 0..100 {
            let Verdict::Go { at } = decide(1_000_000, &usage(&starts, &limits), &limits, None) else {
                panic!("paced only")
            };
            starts.push(at);
        }
        assert_eq!(starts[99] - starts[0], 99 * 210);
    }

    #[test]
    fn an_exhausted_hour_says_when_it_opens() {
        let limits = Limits { per_second: 5, per_hour: Some(2), per_day: None };
        let verdict = decide(10_000, &usage(&[1_000, 2_000], &limits), &limits, None);
        assert_eq!(verdict, Verdict::Wait { until: 1_000 + HOUR_MS + LATE_MS, limit: Exhausted::Hour });
    }

    #[test]
    fn what_the_source_says_corrects_downwards_only() {
        let limits = Limits { per_second: 5, per_hour: None, per_day: Some(10) };
        let decide = |told| decide(10_000, &Usage { told, ..Usage::default() }, &limits, None);
        assert_eq!(decide(Some((0, 90_000))), Verdict::Wait { until: 90_000, limit: Exhausted::Told });
        for told in [Some((1, 90_000)), Some((0, 9_000)), Some((-3, 9_000)), None] {
            assert_eq!(decide(told), Verdict::Go { at: 10_000 }, "{told:?}");
        }
        assert_eq!(decide(Some((0, 10_000 + 48 * HOUR_MS))), Verdict::Go { at: 10_000 }, "no time to rely on");
    }

    #[test]
    fn what_can_wait_leaves_room_for_tomorrow() {
        // Ten calls a day, three of them kept for nine o'clock; it is ten.
        let (hour, limits) = (HOUR_MS, Limits { per_second: 5, per_hour: None, per_day: Some(10) });
        let keep = Keep { calls: 3, by: 33 * hour };
        let decide = |starts: &[i64], keep: Option<Keep>| {
            let back = |n: usize| starts.len().checked_sub(n).map(|i| starts[i]);
            let usage = Usage { last: back(1), day: back(10), keep: back(7), ..Usage::default() };
            decide(10 * hour, &usage, &limits, keep)
        };
        let at = |hours: &[i64]| hours.iter().map(|h| h * hour).collect::<Vec<_>>();
        let seven = at(&[9, 9, 9, 9, 9, 9, 9]);
        let six_and_early = at(&[8, 8, 8, 9, 9, 9, 9, 9]);
        assert_eq!(
            decide(&six_and_early, Some(keep)),
            Verdict::Go { at: 10 * hour },
            "those of eight are gone by then"
        );
        assert_eq!(decide(&seven, Some(keep)), Verdict::Wait { until: keep.by, limit: Exhausted::Kept });
        assert_eq!(decide(&seven, None), Verdict::Go { at: 10 * hour }, "what may not wait takes them");
    }

    proptest! {
        /// Whatever the clock does, no window of the journal holds more than its limit, and with a
        /// clock that only goes on no call waits without need.
        #[test]
        fn no_window_ever_exceeds_its_limit(
            steps in prop::collection::vec(prop_oneof![9 => 0_i64..400_000, 1 => -7_200_000_i64..0], 1..120),
            per_second in 1_u32..6, per_hour in 1_u32..30, per_day in 1_u32..60,
        ) {
            let limits = Limits { per_second, per_hour: Some(per_hour), per_day: Some(per_day) };
            let (mut now, mut real, mut starts, mut sent) = (1_700_000_000_000_i64, 0_i64, Vec::new(), Vec::new());
            for step in steps {
                now += step;
                real += step.max(0);
                if let Verdict::Go { at } = decide(now, &usage(&starts, &limits), &limits, None) {
                    prop_assert!(at >= now);
                    starts.push(at);
                    let wait = at - now;
                    now = at;
                    real += wait;
                    sent.push(real);
                }
            }
            for window in sent.windows(per_second as usize + 1) {
                prop_assert!(window[per_second as usize] - window[0] >= 1_000, "{window:?}");
            }
            let mut by_wall = starts.clone();
            by_wall.sort_unstable();
            for (limit, length) in [(per_hour, HOUR_MS), (per_day, DAY_MS)] {
                for window in by_wall.windows(limit as usize + 1) {
                    prop_assert!(window[limit as usize] - window[0] >= length, "{window:?}");
                }
            }
        }
    }
}
