//! Scalars of JSON as they come, and the strict reading of numbers.
//!
//! Enedis writes numbers as strings; others write them as numbers, and any field may be null. A
//! [`Scalar`] takes whatever stands there, without a copy where it can, so that one odd field
//! costs one reading and not the whole answer. What is a value is decided here and strictly:
//! plain digits only. Nothing that fails becomes 0, because 0 is a measurement.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny};

/// The largest value taken for real: ten digits, ten gigawatts. It keeps sums far from overflow.
const MAX: i64 = 9_999_999_999;

/// A field of an answer, whatever its type.
#[derive(Debug, Clone, Default)]
pub(super) enum Scalar<'a> {
    /// Absent or null.
    #[default]
    Missing,
    /// A string.
    Text(Cow<'a, str>),
    /// A whole number.
    Whole(i64),
    /// Anything else: a fraction, a boolean, an object, a list.
    Other,
}

/// What a field says when it is read as a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    /// Nothing was measured.
    Missing,
    /// A value.
    Value(i64),
    /// Something stands there that is no value.
    Bad,
}

impl Scalar<'_> {
    /// The text, where it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether nothing stands there: absent, null or an empty string.
    pub(super) fn is_missing(&self) -> bool {
        match self {
            Self::Missing => true,
            Self::Text(text) => text.is_empty(),
            Self::Whole(_) | Self::Other => false,
        }
    }

    /// The whole number that stands there, if it is one between 0 and [`MAX`].
    pub(super) fn number(&self) -> Number {
        match self {
            Self::Missing => Number::Missing,
            Self::Whole(value) if (0..=MAX).contains(value) => Number::Value(*value),
            Self::Whole(_) | Self::Other => Number::Bad,
            Self::Text(text) if text.is_empty() => Number::Missing,
            Self::Text(text) => digits(text.as_bytes()).map_or(Number::Bad, Number::Value),
        }
    }

    /// Whether this is that PRM, written as a string or as a number that lost its zeros.
    pub(super) fn is_prm(&self, full: &str) -> bool {
        match self {
            Self::Text(text) => text.trim() == full,
            Self::Whole(number) => format!("{number:014}") == full,
            Self::Missing | Self::Other => false,
        }
    }
}

/// The value of a text made of digits only.
fn digits(text: &[u8]) -> Option<i64> {
    let mut value = 0_i64;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
        if value > MAX {
            return None;
        }
    }
    Some(value)
}

/// A copy of a JSON text with each number that no float can hold replaced by `false`; `None` where
/// there is no such number. The parser gives up on the whole text at one, though only one reading
/// is worthless.
pub(super) fn without_boundless(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut replaced) = (text, false);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => string_length(rest),
            '-' | '0'..='9' => {
                rest.find(|c| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E')).unwrap_or(rest.len())
            }
            other => other.len_utf8(),
        };
        let (token, after) = rest.split_at_checked(length)?;
        let boundless = first != '"' && token.parse::<f64>().is_ok_and(f64::is_infinite);
        out.push_str(if boundless { "false" } else { token });
        replaced |= boundless;
        rest = after;
    }
    replaced.then_some(out)
}

/// The length of the JSON string at the front, with its quotes.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            b'"' if !escaped => return at + 1,
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

struct Visitor;

impl<'de> de::Visitor<'de> for Visitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(text)))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Scalar<'de>, E> {
        Ok(i64::try_from(number).map_or(Scalar::Other, Scalar::Whole))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Whole(number))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Other)
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Other)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Missing)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Scalar<'de>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut entries: A) -> Result<Scalar<'de>, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(json: &str) -> Number {
        serde_json::from_str::<Scalar<'_>>(json).unwrap().number()
    }

    #[test]
    fn digits_are_values_as_strings_and_as_numbers() {
        for (json, value) in [(r#""644""#, 644), ("644", 644), (r#""0""#, 0), ("0", 0), (r#""00012""#, 12)] {
            assert_eq!(number(json), Number::Value(value), "{json}");
        }
        assert_eq!(number(r#""9999999999""#), Number::Value(MAX));
    }

    #[test]
    fn nothing_is_missing_and_never_zero() {
        assert_eq!(number("null"), Number::Missing);
        assert_eq!(number(r#""""#), Number::Missing);
        assert_eq!(Scalar::default().number(), Number::Missing);
    }

    #[test]
    fn everything_else_is_bad() {
        for json in [
            r#""NaN""#,
            r#""-1""#,
            "-1",
            r#""+1""#,
            r#""1e400""#,
            "1e3",
            "9000000000000000000",
            r#""9000000000000000000""#,
            r#""99999999999999999999999999""#,
            "99999999999999999999999999",
            r#""12.5""#,
            "12.5",
            "12.0",
            r#""1 234""#,
            r#"" 12""#,
            r#""12\n""#,
            r#""１２""#,
            r#""0x10""#,
            "true",
            "[1]",
            r#"{"v":1}"#,
        ] {
            assert_eq!(number(json), Number::Bad, "{json}");
        }
    }

    #[test]
    fn only_numbers_without_bound_are_replaced() {
        for (text, without) in [
            (
                r#"[1e400,"1e400",-1E999,12,"a\\",1e999,"\"1e400"]"#,
                Some(r#"[false,"1e400",false,12,"a\\",false,"\"1e400"]"#),
            ),
            (r#"["1e400",1e300,é]"#, None),
            (r#"{"cut "#, None),
            ("", None),
        ] {
            assert_eq!(without_boundless(text).as_deref(), without, "{text}");
        }
    }

    #[test]
    fn a_prm_is_recognised_in_both_spellings() {
        for (json, is) in
            [(r#""01234567890123""#, true), ("1234567890123", true), (r#""1234567890123""#, false), ("null", false)]
        {
            assert_eq!(serde_json::from_str::<Scalar<'_>>(json).unwrap().is_prm("01234567890123"), is, "{json}");
        }
    }
}
