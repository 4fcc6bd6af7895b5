//! How long a consent shall last: an ISO 8601 period of days, weeks, months or years.

use chrono::Months;

use crate::domain::Day;

/// Why a duration is refused, in Enedis' words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    Format,
    Length,
}

impl Wrong {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Format => "invalid_duration_format",
            Self::Length => "maximum_duration_exceeded",
        }
    }
}

/// The day on which a consent given today ends.
pub(super) fn ends(today: Day, duration: &str) -> Result<Day, Wrong> {
    let number = |text: &str| {
        let plain = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| text.parse::<u32>().ok()).flatten()
    };
    let rest = duration.strip_prefix('P').ok_or(Wrong::Format)?;
    let unit = rest.chars().last().ok_or(Wrong::Format)?;
    let count = number(rest.strip_suffix(unit).unwrap_or_default()).ok_or(Wrong::Format)?;
    let later = |months: u32| today.date().checked_add_months(Months::new(months)).map(Day::from_date);
    let days = |days: u32| i32::try_from(days).ok().map(|days| today.plus(days));
    let ends = match unit {
        'D' => days(count),
        'W' => days(count * 7),
        'M' => later(count),
        'Y' => later(count * 12),
        _ => return Err(Wrong::Format),
    };
    match (ends, later(36)) {
        (Some(ends), Some(latest)) if today < ends && ends <= latest => Ok(ends),
        _ => Err(Wrong::Length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_up_to_three_years() {
        let today: Day = "2026-11-26".parse().unwrap();
        for (text, end) in [
            ("P1D", Ok("2026-11-27")),
            ("P2W", Ok("2026-12-10")),
            ("P6M", Ok("2027-05-26")),
            ("P36M", Ok("2029-11-26")),
            ("P3Y", Ok("2029-11-26")),
            ("P37M", Err(Wrong::Length)),
            ("P4Y", Err(Wrong::Length)),
            ("P0D", Err(Wrong::Length)),
            ("P9999Y", Err(Wrong::Length)),
            ("3Y", Err(Wrong::Format)),
            ("P", Err(Wrong::Format)),
            ("P-1Y", Err(Wrong::Format)),
            ("P1Y6M", Err(Wrong::Format)),
            ("PT1H", Err(Wrong::Format)),
            ("P1é", Err(Wrong::Format)),
        ] {
            assert_eq!(ends(today, text), end.map(|end| end.parse().unwrap()), "{text}");
        }
    }
}
