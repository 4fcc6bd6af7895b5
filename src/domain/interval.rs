//! Intervals of a load curve, in UTC.

/// The length of an interval: 5, 10, 15, 20, 30 or 60 minutes.
///
/// These are the lengths that meters are known to record; all of them divide an hour, so an
/// interval never straddles a clock change (docs/time.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Step(u8);

impl Step {
    /// Every step there is, in minutes.
    pub const MINUTES: [u8; 6] = [5, 10, 15, 20, 30, 60];

    /// The step of that many minutes, if there is such a one.
    #[must_use]
    pub fn from_minutes(minutes: i64) -> Option<Self> {
        u8::try_from(minutes).ok().filter(|m| Self::MINUTES.contains(m)).map(Self)
    }

    /// Parses `PT30M`, `PT1H`, `PT60M` and the like.
    #[must_use]
    pub fn from_iso(text: &str) -> Option<Self> {
        let rest = text.trim().strip_prefix("PT")?;
        let (number, factor) = match rest.strip_suffix('M') {
            Some(number) => (number, 1),
            None => (rest.strip_suffix('H')?, 60),
        };
        let plain = !number.is_empty() && number.len() <= 4 && number.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| number.parse::<i64>().ok()).flatten().and_then(|n| Self::from_minutes(n * factor))
    }

    /// Its length in minutes.
    #[must_use]
    pub fn minutes(self) -> u8 {
        self.0
    }

    /// Its length in seconds.
    #[must_use]
    pub fn seconds(self) -> i64 {
        i64::from(self.0) * 60
    }
}

/// A half-open interval `[start, start + step)`; the start is in seconds since 1970, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Interval {
    /// First second, as seconds since 1970.
    pub start: i64,
    /// Length.
    pub step: Step,
}

impl Interval {
    /// The second after the last one.
    #[must_use]
    pub fn end(self) -> i64 {
        self.start + self.step.seconds()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_in_each_spelling() {
        assert_eq!(Step::from_iso("PT30M").map(Step::minutes), Some(30));
        assert_eq!(Step::from_iso("PT1H"), Step::from_iso("PT60M"));
        for text in ["PT0M", "PT90M", "P1D", "PT", "PTM", "30", "PT-30M", "PT+5M", "PT30S", "PT99999999999M"] {
            assert_eq!(Step::from_iso(text), None, "{text}");
        }
    }
}
