//! Numbers, durations and days for people.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::{Days, paris};

/// The number with thin gaps between its thousands: `12 345 678`.
///
/// The gap is a no-break space, so that no terminal and no table splits a number.
#[must_use]
pub fn thousands(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut out = String::new();
    if number < 0 {
        out.push('-');
    }
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push('\u{a0}');
        }
        out.push(digit);
    }
    out
}

/// `1 call`, `2 calls`.
#[must_use]
pub fn counted(number: i64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(number), if number == 1 { one } else { many })
}

/// A duration by its two largest units: `45 s`, `3 min`, `2 h 05 min`, `3 d 4 h`.
#[must_use]
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes, seconds) {
        (0, 0, 0, 0) => format!("{} ms", duration.subsec_millis()),
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, m, s) if m < 10 && s % 60 > 0 => format!("{m} min {:02} s", s % 60),
        (0, 0, m, _) => format!("{m} min"),
        (0, h, m, _) if m % 60 > 0 => format!("{h} h {:02} min", m % 60),
        (0, h, ..) => format!("{h} h"),
        (d, h, ..) if h % 24 > 0 => format!("{d} d {} h", h % 24),
        (d, ..) => format!("{d} d"),
    }
}

/// How long from `now` until `then`, `now` where that is past.
#[must_use]
pub fn until(now: DateTime<Utc>, then: DateTime<Utc>) -> String {
    match (then - now).to_std() {
        Ok(wait) if wait.as_secs() > 0 => format!("in {}", duration(wait)),
        _ => "now".to_owned(),
    }
}

/// An instant as Paris clocks show it: `2026-11-24 08:12`.
#[must_use]
pub fn wall(instant: DateTime<Utc>) -> String {
    paris::local(instant.timestamp()).format("%Y-%m-%d %H:%M").to_string()
}

/// A range of days: `2026-11-24`, or `2026-11-01 … 2026-11-24`, both included.
#[must_use]
pub fn days(days: Days) -> String {
    if days.len() == 1 { days.first().to_string() } else { format!("{} … {}", days.first(), days.last()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let shown = |number| thousands(number).replace('\u{a0}', "_");
        assert_eq!([0, 999, 1000, 12_345_678].map(shown), ["0", "999", "1_000", "12_345_678"]);
        assert_eq!([-1, -1000, i64::MIN].map(shown), ["-1", "-1_000", "-9_223_372_036_854_775_808"]);
        assert_eq!(counted(1, "call", "calls"), "1 call");
        assert_eq!(counted(0, "call", "calls"), "0 calls");
    }

    #[test]
    fn durations_have_at_most_two_units() {
        for (seconds, text) in [
            (1, "1 s"),
            (59, "59 s"),
            (60, "1 min"),
            (95, "1 min 35 s"),
            (601, "10 min"),
            (3600, "1 h"),
            (7500, "2 h 05 min"),
            (86_400, "1 d"),
            (273_700, "3 d 4 h"),
        ] {
            assert_eq!(duration(Duration::from_secs(seconds)), text);
        }
        assert_eq!(duration(Duration::from_millis(12)), "12 ms");
        assert_eq!(duration(Duration::ZERO), "0 ms");
    }

    #[test]
    fn instants_are_shown_in_paris() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        assert_eq!(wall(at("2026-07-01T22:30:00Z")), "2026-07-02 00:30");
        assert_eq!(until(at("2026-07-01T22:30:00Z"), at("2026-07-01T22:33:00Z")), "in 3 min");
        assert_eq!(until(at("2026-07-01T22:30:00Z"), at("2026-07-01T22:30:00Z")), "now");
    }
}
