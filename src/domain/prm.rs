//! The identifier of a meter, which is personal data: it is masked wherever it is printed.

use std::fmt;
use std::str::FromStr;

/// A *point référence mesure*: exactly 14 digits, kept as text because it may start with 0.
///
/// `Debug` and `Display` show only the last four digits, so that no log line, error or panic
/// can carry the whole identifier by accident; [`Prm::full`] gives it where it is needed.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prm(Box<str>);

/// What is wrong with a text that should have been a PRM. It does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a PRM has exactly 14 digits, this has {length} character{}{}", if *.length == 1 { "" } else { "s" }, if *.only_digits { "" } else { " and not all of them are digits" })]
pub struct PrmError {
    /// Number of characters that were given.
    pub length: usize,
    /// Whether all of them were digits.
    pub only_digits: bool,
}

impl Prm {
    /// The 14 digits, for the database and for requests only.
    #[must_use]
    pub fn full(&self) -> &str {
        &self.0
    }
}

impl FromStr for Prm {
    type Err = PrmError;

    fn from_str(text: &str) -> Result<Self, PrmError> {
        let length = text.chars().count();
        let only_digits = text.bytes().all(|b| b.is_ascii_digit());
        if length == 14 && only_digits { Ok(Self(text.into())) } else { Err(PrmError { length, only_digits }) }
    }
}

impl fmt::Display for Prm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "…{}", self.0.get(10..).unwrap_or_default())
    }
}

impl fmt::Debug for Prm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prm({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_leading_zeros_and_masks_everywhere() {
        let prm: Prm = "01234567890123".parse().unwrap();
        assert_eq!(prm.full(), "01234567890123");
        assert_eq!(format!("{prm}"), "…0123");
        assert_eq!(format!("{prm:?}"), "Prm(…0123)");
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "1234567890123",
            "123456789012345",
            "1234567890123a",
            "'; DROP TABLE--",
            "１２３４５６７８９０１２３４",
        ] {
            let error = text.parse::<Prm>().unwrap_err();
            assert!(text.is_empty() || !error.to_string().contains(text), "{error}");
        }
    }
}
