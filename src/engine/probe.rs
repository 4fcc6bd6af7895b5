//! When what was refused is tried again: once a day, in the morning.

use chrono::{DateTime, Utc};

use crate::domain::coverage::PUBLISHED_AT;
use crate::domain::paris;

/// Seconds between a refusal and the first probe of it. What is refused at night is looked at on the same morning, and not
/// a day later; but minutes before eight the same would only be said again.
const FIRST_AFTER: i64 = 4 * 3_600;

/// The hour of publication in Paris at which something is probed that was refused at `now` (calendar). `probed` says that
/// this refusal was met by a probe itself: then this day has had its one.
#[must_use]
pub fn next(now: DateTime<Utc>, probed: bool) -> i64 {
    let today = paris::today(now);
    let this_morning = paris::at_wall(today, PUBLISHED_AT);
    if !probed && now.timestamp() + FIRST_AFTER <= this_morning {
        this_morning
    } else {
        paris::at_wall(today.next(), PUBLISHED_AT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&Utc)
    }

    #[test]
    fn what_is_refused_at_night_is_probed_on_the_same_morning() {
        let next = |now: &str, probed| next(at(now), probed);
        let [today, tomorrow] = ["2026-11-24T08:00:00+01:00", "2026-11-25T08:00:00+01:00"].map(|t| at(t).timestamp());
        assert_eq!(next("2026-11-23T23:55:00+01:00", false), today);
        assert_eq!(next("2026-11-24T00:05:00+01:00", false), today);
        assert_eq!(next("2026-11-24T04:00:00+01:00", false), today);
        assert_eq!(next("2026-11-24T04:01:00+01:00", false), tomorrow);
        assert_eq!(next("2026-11-24T07:59:00+01:00", false), tomorrow);
        assert_eq!(next("2026-11-24T08:10:00+01:00", false), tomorrow);
        // A machine that was off the day before probes at night: that was the probe of this day.
        assert_eq!(next("2026-11-24T00:05:00+01:00", true), tomorrow);
        assert_eq!(next("2026-11-23T23:55:00+01:00", true), today);
    }
}
