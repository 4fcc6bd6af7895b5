//! What a source said, made safe to show.
//!
//! A text from outside may hold anything: control characters that forge log lines, a meter's
//! identifier, a customer's address, a token that was echoed. [`excerpt`] is the only way for
//! such a text into a message.

/// The most bytes of an excerpt.
const MAX_BYTES: usize = 200;

/// From this length on a run of digits is masked up to its last four.
const LONG_DIGITS: usize = 8;

/// From this length on a word that mixes letters and digits is taken for a secret.
const LONG_WORD: usize = 32;

/// At most 200 bytes of a text on one line: control characters escaped, long numbers masked to
/// their last four digits, mail addresses and what may be a token left out.
#[must_use]
pub fn excerpt(text: &str) -> String {
    let mut out = String::new();
    // Words far longer than any message need not be looked at to their end.
    let bounded = text.char_indices().nth(4 * MAX_BYTES).and_then(|(end, _)| text.get(..end)).unwrap_or(text);
    for piece in bounded.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end_matches(char::is_whitespace);
        if word.contains('@') {
            out.push_str("<mail>");
        } else if is_secret(word) {
            out.push_str("<secret>");
        } else {
            mask_digits(word, &mut out);
        }
        if word.len() < piece.len() && !out.is_empty() && !out.ends_with(' ') {
            out.push(' ');
        }
        if out.len() > MAX_BYTES {
            break;
        }
    }
    shorten(out.trim_end())
}

/// Whether a word looks like a token: long, and of letters and digits mixed.
fn is_secret(word: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '/' | '=');
    word.split(|c| !is_part(c)).any(|part| {
        part.len() >= LONG_WORD
            && part.bytes().any(|b| b.is_ascii_digit())
            && part.bytes().any(|b| b.is_ascii_alphabetic())
    })
}

/// Appends a word, its long runs of digits masked and everything invisible escaped.
fn mask_digits(word: &str, out: &mut String) {
    let mut digits = String::new();
    for c in word.chars().chain([' ']) {
        if c.is_numeric() {
            digits.push(c);
            continue;
        }
        let count = digits.chars().count();
        if count >= LONG_DIGITS {
            out.push('…');
            out.extend(digits.chars().skip(count - 4));
        } else {
            out.push_str(&digits);
        }
        digits.clear();
        if c != ' ' {
            push_visible(c, out);
        }
    }
}

/// Appends a character as it is, or escaped where it is none that one can see.
fn push_visible(c: char, out: &mut String) {
    let turns_direction =
        matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    if c.is_control() || turns_direction {
        out.extend(c.escape_default());
    } else {
        out.push(c);
    }
}

fn shorten(text: &str) -> String {
    if text.len() <= MAX_BYTES {
        return text.to_owned();
    }
    let mark = '…';
    let room = MAX_BYTES - mark.len_utf8();
    let end = text.char_indices().map(|(i, c)| i + c.len_utf8()).take_while(|end| *end <= room).last();
    let mut short = text.get(..end.unwrap_or_default()).unwrap_or_default().to_owned();
    short.push(mark);
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_numbers_mails_and_tokens_do_not_get_through() {
        for (text, shown) in [
            ("Technical error.\r\nPlease try later.", "Technical error. Please try later."),
            ("for 01234567890123, sorry", "for …0123, sorry"),
            ("PRM=01234567890123&x", "PRM=…0123&x"),
            ("n° 1234567", "n° 1234567"),
            ("write to Jean.Dupont@example.org now", "write to <mail> now"),
            ("Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.x", "Bearer <secret>"),
            ("a\u{1b}[31mred\u{7}", "a\\u{1b}[31mred\\u{7}"),
            ("left\u{202e}right", "left\\u{202e}right"),
            ("   ", ""),
        ] {
            assert_eq!(excerpt(text), shown);
        }
    }

    proptest! {
        #[test]
        fn an_excerpt_is_one_short_line_without_a_long_number(text in "(?s).{0,600}|[0-9@ \n]{0,400}") {
            let shown = excerpt(&text);
            prop_assert!(shown.len() <= MAX_BYTES);
            prop_assert!(!shown.chars().any(char::is_control), "{shown:?}");
            let longest = shown.split(|c: char| !c.is_ascii_digit()).map(str::len).max().unwrap_or(0);
            prop_assert!(longest < LONG_DIGITS, "{shown:?}");
        }
    }
}
