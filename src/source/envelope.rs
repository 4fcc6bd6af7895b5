//! The shapes in which errors come, reduced to one.
//!
//! Enedis, the product behind its API gateway, and the gateways of the community wrap errors
//! differently: a code as a string, as a number, inside `fault` or `error`, a list, plain text, a
//! web page, nothing. [`Envelope::read`] finds the code and the text in any of them. The code is
//! normalised, because one and the same is spelled `ADAM-DC-0008` and `ADAM_DC_0008`.

use serde_json::Value;

/// A larger body with status 200 is data; errors are short.
const LONGEST_ERROR: usize = 4096;

/// How deep errors are looked for inside errors.
const MAX_DEPTH: u8 = 4;

/// No more than this of a body is looked at; errors are short.
const MAX_BYTES: usize = 64 * 1024;

/// What a body is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Nothing.
    Empty,
    /// JSON.
    Json,
    /// A web page, or XML.
    Html,
    /// Any other text, or broken JSON.
    Text,
}

/// An error, unwrapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// What the body was made of.
    pub shape: Shape,
    /// The normalised code; empty where there is none.
    pub code: String,
    /// The texts that came with it; straight from outside.
    pub text: String,
    /// When the next call may be made, in the source's own words.
    pub next_access: Option<String>,
}

impl Envelope {
    /// Unwraps the body of an answer.
    #[must_use]
    pub fn read(body: &[u8]) -> Self {
        let body = body.get(..MAX_BYTES).unwrap_or(body);
        let text = String::from_utf8_lossy(body);
        let text = text.trim_start_matches('\u{feff}').trim();
        let plain = |shape| Self { shape, code: String::new(), text: text.to_owned(), next_access: None };
        match text.as_bytes().first() {
            None => plain(Shape::Empty),
            Some(b'<') => plain(Shape::Html),
            Some(b'{' | b'[') => match serde_json::from_str::<Value>(text) {
                Ok(value) => {
                    let mut found = Self { text: String::new(), ..plain(Shape::Json) };
                    found.unwrap_value(&value, MAX_DEPTH);
                    if found.code.is_empty() && found.text.is_empty() {
                        text.clone_into(&mut found.text);
                    }
                    found
                }
                Err(_) => plain(Shape::Text),
            },
            Some(_) => plain(Shape::Text),
        }
    }

    /// Looks for a code and texts in the order in which the shapes can be told apart.
    fn unwrap_value(&mut self, value: &Value, depth: u8) {
        let Some(depth) = depth.checked_sub(1) else { return };
        match value {
            Value::Array(items) => {
                if let Some(first) = items.first() {
                    self.unwrap_value(first, depth);
                }
            }
            Value::Object(fields) => {
                let get = |name: &str| fields.get(name).filter(|v| !v.is_null());
                if let Some(next) = get("nextAccessTime").and_then(scalar) {
                    self.next_access = Some(next);
                }
                if let Some(fault) = get("fault") {
                    return self.unwrap_value(fault, depth);
                }
                match get("error") {
                    Some(inner @ (Value::Object(_) | Value::Array(_))) => self.unwrap_value(inner, depth),
                    Some(code) if get("message").is_none() || get("error_description").is_some() => {
                        self.take_code(scalar(code));
                    }
                    // With a message beside it the string is a text that was passed on.
                    Some(passed_on) => self.take_text(scalar(passed_on)),
                    None => {}
                }
                if self.code.is_empty() {
                    self.take_code(get("code").or_else(|| get("error_code")).and_then(scalar));
                }
                for name in ["error_description", "message", "description"] {
                    self.take_text(get(name).and_then(scalar));
                }
                match get("detail") {
                    Some(Value::String(inner)) => match serde_json::from_str::<Value>(inner) {
                        Ok(value @ (Value::Object(_) | Value::Array(_))) => self.unwrap_value(&value, depth),
                        _ => self.take_text(Some(inner.clone())),
                    },
                    Some(inner) => self.unwrap_value(inner, depth),
                    None => {}
                }
            }
            other => self.take_text(scalar(other)),
        }
    }

    fn take_code(&mut self, code: Option<String>) {
        if let Some(code) = code.map(|c| normalise(&c)).filter(|_| self.code.is_empty()) {
            self.code = code;
        }
    }

    fn take_text(&mut self, text: Option<String>) {
        let Some(text) = text.filter(|t| !t.trim().is_empty() && !self.text.contains(t.trim())) else { return };
        if !self.text.is_empty() {
            self.text.push_str(": ");
        }
        self.text.push_str(text.trim());
    }
}

/// Whether the body of a success is an error all the same: empty, a web page, or JSON with a code.
/// Other oddities are left to the decoder.
#[must_use]
pub fn is_error(body: &[u8]) -> bool {
    if body.len() > LONGEST_ERROR {
        return body.trim_ascii_start().first() == Some(&b'<');
    }
    let envelope = Envelope::read(body);
    match envelope.shape {
        Shape::Empty | Shape::Html => true,
        Shape::Json => !envelope.code.is_empty(),
        Shape::Text => false,
    }
}

/// A string or a number as text.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// One spelling for each code: upper case, `-` for `_` and for spaces, nothing but letters, digits
/// and `-`, at most 40 characters. The result is safe to print and to use as a label.
#[must_use]
pub fn normalise(code: &str) -> String {
    let code = code.trim();
    // A text in the place of a code is none; a run of digits as long as a PRM could be one.
    let digits = code.bytes().filter(u8::is_ascii_digit).count();
    if code.len() > 40 || digits >= 8 && code.bytes().all(|b| b.is_ascii_digit()) {
        return String::new();
    }
    let upper: String =
        code.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '-' }).collect();
    match upper.trim_matches('-') {
        // A documented misspelling.
        "INVALID-RESQUEST" => "INVALID-REQUEST".to_owned(),
        clean => clean.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> (Shape, String, String) {
        let found = Envelope::read(body.as_bytes());
        (found.shape, found.code, found.text)
    }

    fn json(code: &str, text: &str) -> (Shape, String, String) {
        (Shape::Json, code.to_owned(), text.to_owned())
    }

    #[test]
    fn every_shape_gives_its_code_and_text() {
        for (body, code, text) in [
            (
                r#"{"error":"no_data_found","error_description":"none","error_uri":"https://x"}"#,
                "NO-DATA-FOUND",
                "none",
            ),
            (r#"{"error":"ADAM_DC_0008","error_description":"no consent"}"#, "ADAM-DC-0008", "no consent"),
            (r#"{"error":"invalid_resquest"}"#, "INVALID-REQUEST", ""),
            (r#"{"code":"ADAM-ERR0123","message":"trop tôt"}"#, "ADAM-ERR0123", "trop tôt"),
            (
                r#"{"code":"900908","message":"Resource forbidden ","description":"why"}"#,
                "900908",
                "Resource forbidden: why",
            ),
            (
                r#"{"fault":{"code":900901,"message":"Invalid Credentials","description":"why"}}"#,
                "900901",
                "Invalid Credentials: why",
            ),
            (r#"{"error":{"code":500,"message":"Erreur Technique - 500"}}"#, "500", "Erreur Technique - 500"),
            (r#"{"error":"429","error_description":"Quota.Q4.reached"}"#, "429", "Quota.Q4.reached"),
            (r#"[{"code":"X1","message":"m"}]"#, "X1", "m"),
            (r#"{"meter_reading":null}"#, "", r#"{"meter_reading":null}"#),
            (
                r#"{"status":400,"message":"passed on","error":{"error":"ADAM-ERR0123","error_description":"inner"}}"#,
                "ADAM-ERR0123",
                "inner: passed on",
            ),
            (r#"{"status":500,"message":"passed on","error":"raw text"}"#, "", "raw text: passed on"),
            (r#"{"detail":"{\"fault\":{\"code\":900901,\"message\":\"m\"}}"}"#, "900901", "m"),
            (r#"{"detail":"a text"}"#, "", "a text"),
            (r#"{"detail":[["a text","500"]]}"#, "", "a text"),
            (r#"{"success":false,"data":null,"error":{"code":"NO_DATA","message":"m"}}"#, "NO-DATA", "m"),
            (r#"{"error":"service_offline","description":"d"}"#, "SERVICE-OFFLINE", "d"),
            ("\u{feff}{\"code\":\"X\"}", "X", ""),
        ] {
            assert_eq!(read(body), json(code, text), "{body}");
        }
    }

    #[test]
    fn what_is_no_json_has_no_code() {
        assert_eq!(read("").0, Shape::Empty);
        assert_eq!(read(" \n").0, Shape::Empty);
        assert_eq!(read("<!doctype html><p>closed").0, Shape::Html);
        assert_eq!(read("500 Internal Server Error").0, Shape::Text);
        assert_eq!(read(r#"{"error":"cut"#).0, Shape::Text);
        assert_eq!(Envelope::read(&[0xff, 0xfe]).shape, Shape::Text);
    }

    #[test]
    fn the_time_of_the_next_call_is_found_where_it_lies() {
        let flat = br#"{"code":"900804","nextAccessTime":"2026-Jul-22 05:00:00+0000 UTC"}"#;
        let deep = br#"{"fault":{"code":900804,"nextAccessTime":"2026-Jul-22 05:00:00+0000 UTC"}}"#;
        for body in [flat.as_slice(), deep.as_slice()] {
            assert_eq!(Envelope::read(body).next_access.as_deref(), Some("2026-Jul-22 05:00:00+0000 UTC"));
        }
    }

    #[test]
    fn a_code_is_safe_to_print() {
        assert_eq!(normalise(" adam_err0123 "), "ADAM-ERR0123");
        assert_eq!(normalise("a\nb\u{1b}c"), "A-B-C");
        assert_eq!(normalise("01234567890123"), "");
        assert_eq!(normalise(&"x".repeat(1000)), "");
        assert_eq!(normalise("STM-ERR-0000014"), "STM-ERR-0000014");
    }

    #[test]
    fn nesting_has_an_end() {
        let deep = format!("{}1{}", r#"{"error":"#.repeat(100), "}".repeat(100));
        assert_eq!(Envelope::read(deep.as_bytes()).code, "");
    }
}
