//! What the headers of an answer say about the source's own quota.
//!
//! No gateway documents them, so they are read in every common spelling: `X-RateLimit-Remaining`,
//! `RateLimit-Remaining` and their resets, which are seconds from now, seconds since 1970 or a
//! date. What cannot be understood says nothing.

use chrono::{DateTime, TimeDelta, Utc};

use super::catalogue::retry_after;
use super::{Pool, Quota, Response};

const REMAINING: [&str; 4] =
    ["x-ratelimit-remaining", "ratelimit-remaining", "x-rate-limit-remaining", "x-ratelimit-remaining-day"];
const RESET: [&str; 5] =
    ["x-ratelimit-reset", "ratelimit-reset", "x-rate-limit-reset", "x-ratelimit-reset-day", "retry-after"];

/// Seconds above this are an instant since 1970, not a delay.
const EPOCH: i64 = 1_000_000_000;

/// Above this they are milliseconds.
const EPOCH_MILLIS: i64 = 100_000_000_000;

/// The farthest reset that is believed.
const FARTHEST: TimeDelta = TimeDelta::hours(26);

/// The quota that the headers tell of. It holds until the reset that they name, else until `reset`.
pub(super) fn from_headers(response: &Response, pool: Pool, now: DateTime<Utc>, reset: DateTime<Utc>) -> Option<Quota> {
    let left = REMAINING.into_iter().find_map(|name| count(response.header(name)?))?;
    Some(Quota { pool, left, until: named_reset(response, now).unwrap_or(reset) })
}

/// When the quota opens again, where the headers say so and it makes sense.
pub(super) fn named_reset(response: &Response, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let sensible = |at: &DateTime<Utc>| *at > now && *at - now <= FARTHEST;
    RESET.into_iter().find_map(|name| instant(response.header(name)?, now).filter(sensible))
}

/// The number that a value begins with; some servers append the window (`3;w=60`, `3, 40`).
fn count(value: &str) -> Option<u32> {
    let value = value.trim();
    let end = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let rest = value.get(end..)?.trim_start();
    let ended = rest.is_empty() || rest.starts_with([',', ';', '/']);
    value.get(..end)?.parse().ok().filter(|_| ended)
}

fn instant(value: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    match value.trim().parse::<i64>() {
        Ok(millis) if millis >= EPOCH_MILLIS => DateTime::from_timestamp_millis(millis),
        Ok(seconds) if seconds >= EPOCH => DateTime::from_timestamp(seconds, 0),
        Ok(_) | Err(_) => retry_after(value, now).or_else(|| value.trim().parse().ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn read(headers: &[(&str, &str)]) -> Option<(u32, String)> {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let response = Response { status: 200, headers, body: Vec::new() };
        let found = from_headers(&response, Pool::Cached, at("2026-11-24T10:00:00Z"), at("2026-11-25T00:05:00Z"));
        assert!(found.is_none_or(|quota| quota.pool == Pool::Cached));
        found.map(|quota| (quota.left, quota.until.format("%dT%H:%M:%S").to_string()))
    }

    #[test]
    fn counts_and_resets_are_read_in_each_spelling() {
        for name in ["x-ratelimit-remaining", "ratelimit-remaining", "x-rate-limit-remaining"] {
            for (value, left) in [("12", 12), (" 0 ", 0), ("3;w=60", 3), ("3, 40;w=86400", 3), ("7/50", 7)] {
                assert_eq!(read(&[(name, value)]), Some((left, "25T00:05:00".to_owned())), "{name}: {value}");
            }
        }
        for (name, value) in [
            ("x-ratelimit-reset", "90"),
            ("ratelimit-reset", "1795514490"),
            ("x-ratelimit-reset", "1795514490000"),
            ("ratelimit-reset", "Tue, 24 Nov 2026 10:01:30 GMT"),
            ("ratelimit-reset", "2026-11-24T10:01:30Z"),
            ("retry-after", "90"),
        ] {
            let found = read(&[("ratelimit-remaining", "5"), (name, value)]);
            assert_eq!(found, Some((5, "24T10:01:30".to_owned())), "{name}: {value}");
        }
    }

    #[test]
    fn what_cannot_be_understood_says_nothing() {
        for value in ["", "-1", "many", "99999999999", "5 of 50", "0.5"] {
            assert_eq!(read(&[("x-ratelimit-remaining", value)]), None, "{value}");
        }
        assert_eq!(read(&[("x-ratelimit-reset", "60")]), None);
        for reset in ["0", "-3", "soon", "1", "4102444800", "93601", "99999999999999999999"] {
            let found = read(&[("ratelimit-remaining", "5"), ("ratelimit-reset", reset)]).unwrap();
            let named = if reset == "1" { "24T10:00:01" } else { "25T00:05:00" };
            assert_eq!(found, (5, named.to_owned()), "{reset}");
        }
    }
}
