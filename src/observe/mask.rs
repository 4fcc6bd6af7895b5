//! Meter numbers never leave the database whole.
//!
//! A PRM identifies a household, so it is personal data. [`digits`] shortens every run of 14 or
//! more digits to its last four, whatever the text is: a message, a URL, a header that another
//! crate prints. [`MaskingWriter`] puts it behind the log, where nothing can go around it.

use std::borrow::Cow;
use std::io::{self, Write};

/// Digits in a PRM; a shorter run is left alone.
const PRM_DIGITS: usize = 14;

/// How many digits stay readable, enough to tell the meters of a household apart.
const SHOWN: usize = 4;

/// The text with every run of 14 or more digits shortened to `…` and its last four.
#[must_use]
pub fn digits(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut kept_from = 0;
    let mut run_from = None;
    // One position past the end, so that a run which ends the text is seen as well.
    for (at, byte) in text.bytes().map(Some).chain([None]).enumerate() {
        if byte.is_some_and(|b| b.is_ascii_digit()) {
            run_from.get_or_insert(at);
            continue;
        }
        let Some(start) = run_from.take() else { continue };
        if at - start >= PRM_DIGITS {
            out.push_str(text.get(kept_from..start).unwrap_or_default());
            out.push('…');
            kept_from = at - SHOWN;
        }
    }
    if kept_from == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(text.get(kept_from..).unwrap_or_default());
    Cow::Owned(out)
}

/// Collects what is written and hands it on masked, when flushed or dropped.
///
/// It waits for the whole text, because a number that arrives in two pieces could not be seen in
/// either of them.
#[derive(Debug)]
pub struct MaskingWriter<W: Write> {
    inner: W,
    pending: Vec<u8>,
}

impl<W: Write> MaskingWriter<W> {
    /// A writer in front of `inner`.
    pub fn new(inner: W) -> Self {
        Self { inner, pending: Vec::new() }
    }

    fn hand_on(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        self.inner.write_all(digits(&String::from_utf8_lossy(&pending)).as_bytes())
    }
}

impl<W: Write> Write for MaskingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hand_on()?;
        self.inner.flush()
    }
}

impl<W: Write> Drop for MaskingWriter<W> {
    fn drop(&mut self) {
        // A log that cannot be written has nowhere to say so.
        let _lost = self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_fourteen_digits_and_more_are_shortened() {
        for (text, masked) in [
            ("01234567890123", "…0123"),
            ("prm=01234567890123&x=1", "prm=…0123&x=1"),
            ("a12345678901234b98765432109876", "a…1234b…9876"),
            ("1764000000123456789", "…6789"),
            ("1234567890123", "1234567890123"),
            ("2026-11-24T17:53:12.123456Z", "2026-11-24T17:53:12.123456Z"),
            ("", ""),
            ("déjà 12345678901234 é", "déjà …1234 é"),
        ] {
            assert_eq!(digits(text), masked);
        }
    }

    #[test]
    fn a_number_in_two_pieces_is_masked_too() {
        let mut out = Vec::new();
        {
            let mut writer = MaskingWriter::new(&mut out);
            writer.write_all(b"GET /x?usage_point_id=0123456").unwrap();
            writer.write_all(b"7890123\n").unwrap();
        }
        assert_eq!(String::from_utf8(out).unwrap(), "GET /x?usage_point_id=…0123\n");
    }
}
