//! Base64, as far as HTTP Basic and tokens need it.

const URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Decodes either alphabet, with or without padding.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut word, mut bits) = (0_u32, 0_u32);
    for letter in text.trim_end_matches('=').bytes() {
        let six = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        word = (word << 6) | u32::from(six);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from((word >> bits) & 0xFF).ok()?);
        }
    }
    Some(bytes)
}

/// Encodes in the alphabet of URLs, without padding.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let word = (0..3).fold(0_usize, |word, at| (word << 8) | three.get(at).copied().map_or(0, usize::from));
        let letters = (0..=three.len()).filter_map(|at| URL.get((word >> (18 - 6 * at)) & 63));
        text.extend(letters.map(|letter| char::from(*letter)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        assert_eq!(decode("bGlua3lkOnMzY3JldA==").unwrap(), b"linkyd:s3cret");
        assert_eq!(decode("QQ").unwrap(), b"A");
        assert_eq!(decode("a b"), None);
        for bytes in [&b""[..], b"a", b"ab", b"abc", b"\xFF\xFE\xFD\xFC"] {
            assert_eq!(decode(&encode(bytes)).unwrap(), bytes);
        }
        assert_eq!(encode(b"\xFB\xFF\xBF"), "-_-_");
    }
}
