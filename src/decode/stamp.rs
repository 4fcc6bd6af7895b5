//! The labels of readings, as text.
//!
//! Their format is fixed, so they are read by hand; a week of ten-minute points holds a thousand.
//! The calendar is asked once for each date, not once for each label.

use chrono::NaiveDate;

use crate::domain::{Day, paris};

const DAY: i64 = 86_400;

/// A label: a Paris day, the time on its clock where it has one, and the instant where it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// The day.
    pub(super) day: Day,
    /// Seconds on the wall clock since midnight, `0..86_400`; `None` for a bare date.
    pub(super) seconds: Option<i32>,
    /// Seconds since 1970, where the label has an offset from UTC and so needs no guess.
    pub(super) instant: Option<i64>,
}

/// Reads labels, remembering the last date: neighbours mostly share it.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    last: Option<([u8; 10], Day)>,
}

impl Stamps {
    /// Reads `YYYY-MM-DD`, alone or with a time after a space or a `T`: hours, minutes, optional
    /// seconds and fraction, optional `Z` or offset. An offset after a bare date means nothing.
    pub(super) fn read(&mut self, text: &str) -> Option<Stamp> {
        let (date, rest) = text.as_bytes().split_first_chunk::<10>()?;
        let day = self.day(date)?;
        let Some((separator, clock)) = rest.split_first() else {
            return Some(Stamp { day, seconds: None, instant: None });
        };
        match separator {
            b' ' | b'T' => {}
            b'+' | b'-' | b'Z' => {
                offset(rest)?;
                return Some(Stamp { day, seconds: None, instant: None });
            }
            _ => return None,
        }
        let (seconds, rest) = time(clock)?;
        if rest.is_empty() {
            return Some(Stamp { day, seconds: Some(seconds), instant: None });
        }
        let instant = i64::from(day.number()) * DAY + i64::from(seconds) - i64::from(offset(rest)?);
        let local = paris::local(instant).and_utc().timestamp();
        Some(Stamp {
            day: Day::from_number(i32::try_from(local.div_euclid(DAY)).ok()?),
            seconds: i32::try_from(local.rem_euclid(DAY)).ok(),
            instant: Some(instant),
        })
    }

    fn day(&mut self, date: &[u8; 10]) -> Option<Day> {
        if let Some((last, day)) = self.last
            && last == *date
        {
            return Some(day);
        }
        let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = date else { return None };
        let year = two(*y1, *y2)? * 100 + two(*y3, *y4)?;
        // The years that `Day` itself reads.
        if !(1970..=2200).contains(&year) {
            return None;
        }
        let month = u32::try_from(two(*m1, *m2)?).ok()?;
        let of_month = u32::try_from(two(*d1, *d2)?).ok()?;
        let day = Day::from_date(NaiveDate::from_ymd_opt(year, month, of_month)?);
        self.last = Some((*date, day));
        Some(day)
    }
}

/// Two digits.
fn two(tens: u8, ones: u8) -> Option<i32> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| i32::from(tens - b'0') * 10 + i32::from(ones - b'0'))
}

/// `HH:MM`, `HH:MM:SS` or `HH:MM:SS.fraction` at the front, and what follows.
fn time(text: &[u8]) -> Option<(i32, &[u8])> {
    let [h1, h2, b':', m1, m2, rest @ ..] = text else { return None };
    let (second, rest) = match rest {
        [b':', s1, s2, rest @ ..] => (two(*s1, *s2)?, fraction(rest)?),
        _ => (0, rest),
    };
    let (hour, minute) = (two(*h1, *h2)?, two(*m1, *m2)?);
    (hour < 24 && minute < 60 && second < 60).then_some((hour * 3600 + minute * 60 + second, rest))
}

/// What follows a fraction of a second, if there is one.
fn fraction(text: &[u8]) -> Option<&[u8]> {
    let [b'.', rest @ ..] = text else { return Some(text) };
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 { None } else { rest.get(digits..) }
}

/// The seconds that an offset is ahead of UTC: `Z`, `+HH`, `+HHMM` or `+HH:MM`.
fn offset(text: &[u8]) -> Option<i32> {
    let (sign, hours, minutes) = match text {
        b"Z" => return Some(0),
        [sign, h1, h2] => (sign, two(*h1, *h2)?, 0),
        [sign, h1, h2, m1, m2] | [sign, h1, h2, b':', m1, m2] => (sign, two(*h1, *h2)?, two(*m1, *m2)?),
        _ => return None,
    };
    let ahead = (hours <= 14 && minutes < 60).then_some(hours * 3600 + minutes * 60)?;
    match sign {
        b'+' => Some(ahead),
        b'-' => Some(-ahead),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Stamp> {
        Stamps::default().read(text)
    }

    #[test]
    fn labels_are_read_in_each_spelling() {
        let day: Day = "2026-10-25".parse().unwrap();
        for (text, seconds) in [
            ("2026-10-25", None),
            ("2026-10-25+01:00", None),
            ("2026-10-25 02:30:00", Some(9_000)),
            ("2026-10-25T02:30:00", Some(9_000)),
            ("2026-10-25 02:30", Some(9_000)),
            ("2026-10-25 02:30:00.000", Some(9_000)),
            ("2026-10-25 23:59:59", Some(86_399)),
        ] {
            assert_eq!(read(text), Some(Stamp { day, seconds, instant: None }), "{text}");
        }
    }

    #[test]
    fn an_offset_names_the_instant() {
        let early = read("2026-10-25T02:30:00+02:00").unwrap();
        let late = read("2026-10-25T02:30:00+0100").unwrap();
        assert_eq!(late.instant.unwrap() - early.instant.unwrap(), 3600);
        assert_eq!((early.seconds, late.seconds), (Some(9_000), Some(9_000)));
        let midnight = read("2026-10-24T22:00:00Z").unwrap();
        assert_eq!((midnight.day, midnight.seconds), ("2026-10-25".parse().unwrap(), Some(0)));
    }

    #[test]
    fn everything_else_is_no_label() {
        for text in [
            "",
            "2026-10-2",
            "2026-02-29",
            "2026-13-01",
            "2026/10/25",
            "0026-10-25",
            "2026-10-25 ",
            "2026-10-25 24:00:00",
            "2026-10-25 02:60:00",
            "2026-10-25 02:30:60",
            "2026-10-25 2:30",
            "2026-10-25 02:30:00 ",
            "2026-10-25 02:30:00.",
            "2026-10-25 02:30:00+99:00",
            "2026-10-25 02:30:00+1",
            "2026-10-25 02:30:00 UTC",
            "２０２６-10-25",
            "+026-10-25",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn the_remembered_date_is_the_right_one() {
        let mut stamps = Stamps::default();
        for text in ["2026-10-25 00:30:00", "2026-10-25 01:00:00", "2026-10-26 00:00:00", "2026-10-25 01:00:00"] {
            assert_eq!(stamps.read(text), read(text));
        }
    }
}
