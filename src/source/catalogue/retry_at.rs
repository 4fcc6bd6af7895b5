//! When a source says that the next call may be made.
//!
//! It may say so in the header `Retry-After` (seconds, or a date in one of the three forms of
//! HTTP), in a field of the body, or in a sentence. A time that has passed, or that lies more than
//! 26 hours ahead, is no time to rely on. The sentence "Call threshold allowed on …" is never read:
//! negative times were seen in it.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};

use crate::source::Response;
use crate::source::envelope::Envelope;

/// The farthest time that is believed.
const FARTHEST: TimeDelta = TimeDelta::hours(26);

/// The instant before which no call should be made, if the answer names one that makes sense;
/// where it names several, the latest.
pub(super) fn next_call(response: &Response, envelope: &Envelope, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let header = response.header("retry-after").and_then(|value| retry_after(value, now));
    let field = envelope.next_access.as_deref().and_then(gateway_time);
    let sentence = envelope.text.split_once("can access API after ").and_then(|(_, time)| gateway_time(time));
    let farthest = now.checked_add_signed(FARTHEST)?;
    [header, field, sentence].into_iter().flatten().filter(|at| (now..=farthest).contains(at) && *at > now).max()
}

/// `Retry-After`: seconds from now, or a date.
pub(in crate::source) fn retry_after(value: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u32>() {
        return now.checked_add_signed(TimeDelta::seconds(i64::from(seconds)));
    }
    if let Ok(date) = DateTime::parse_from_rfc2822(value) {
        return Some(date.to_utc());
    }
    ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]
        .into_iter()
        .find_map(|format| NaiveDateTime::parse_from_str(value, format).ok())
        .map(|date| date.and_utc())
}

/// The gateway's own format, `2026-Jul-22 05:00:00+0000 UTC`; what follows it does not matter.
fn gateway_time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_and_remainder(text.trim(), "%Y-%b-%d %H:%M:%S%z").ok().map(|(at, _)| at.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(header: Option<&str>, body: &str) -> Option<String> {
        let headers = header.map(|value| ("retry-after".to_owned(), value.to_owned())).into_iter().collect();
        let response = Response { status: 429, headers, body: body.as_bytes().to_vec() };
        let now = "2026-07-22T04:12:00Z".parse().unwrap();
        next_call(&response, &Envelope::read(body.as_bytes()), now).map(|at| at.format("%Y-%m-%dT%H:%M:%S").to_string())
    }

    #[test]
    fn times_are_read_in_each_form() {
        for header in
            ["90", "Wed, 22 Jul 2026 04:13:30 GMT", "Wednesday, 22-Jul-26 04:13:30 GMT", "Wed Jul 22 04:13:30 2026"]
        {
            assert_eq!(next(Some(header), "").as_deref(), Some("2026-07-22T04:13:30"), "{header}");
        }
        for body in [
            r#"{"code":"900804","nextAccessTime":"2026-Jul-22 05:00:00+0000 UTC"}"#,
            r#"{"code":"900804","nextAccessTime":"2026-Jul-22 07:00:00+0200 CEST"}"#,
            r#"{"code":"900804","description":"You have exceeded your quota .You can access API after 2026-Jul-22 05:00:00+0000 UTC"}"#,
        ] {
            assert_eq!(next(None, body).as_deref(), Some("2026-07-22T05:00:00"), "{body}");
            assert_eq!(next(Some("60"), body).as_deref(), Some("2026-07-22T05:00:00"), "the latest counts: {body}");
            assert_eq!(next(Some("7200"), body).as_deref(), Some("2026-07-22T06:12:00"), "the latest counts: {body}");
        }
    }

    #[test]
    fn times_that_make_no_sense_are_none() {
        for header in [
            "0",
            "-5",
            "93601",
            "4294967295",
            "99999999999999999999",
            "soon",
            "Fri, 31 Dec 9999 23:59:59 GMT",
            "Tue, 21 Jul 2026 04:13:30 GMT",
            "",
        ] {
            assert_eq!(next(Some(header), ""), None, "{header}");
        }
        assert!(next(Some("93600"), "").is_some(), "26 hours are believed");
        for body in [
            r#"{"nextAccessTime":"9999-Jul-22 05:00:00+0000 UTC"}"#,
            r#"{"nextAccessTime":"2026-Jul-22 03:00:00+0000 UTC"}"#,
            r#"{"nextAccessTime":"later"}"#,
            r#"{"error":"429","error_description":"Quota.Q4.reached Call threshold allowed on 0:-30:-40"}"#,
            r#"{"description":"You can access API after "}"#,
        ] {
            assert_eq!(next(None, body), None, "{body}");
        }
        assert_eq!(
            next(Some("60"), r#"{"nextAccessTime":"9999-Jul-22 05:00:00+0000 UTC"}"#).as_deref(),
            Some("2026-07-22T04:13:00")
        );
    }
}
