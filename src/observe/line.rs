//! What one log line looks like, and what a value from outside can do to it: nothing.
//!
//! Answers of a server, names of files and errors of other crates end up in log lines. Their
//! control characters are written as escapes, so that they can neither begin a second line nor
//! colour a terminal, and the line never grows beyond [`LONGEST`]: where it would, its values are
//! cut shorter until it fits. Meter numbers are masked before anything is cut, because half a
//! number would no longer be recognised as one.

use std::fmt::{self, Debug, Write as _};

use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::mask;

/// The most bytes of a line, its end included.
const LONGEST: usize = 4096;

/// The most bytes of one value, tried in turn until the line fits.
const CUTS: [usize; 5] = [3000, 1000, 300, 60, 0];

/// The most bytes of a span's values; they are repeated on each line inside the span.
const SPAN_CUT: usize = 300;

/// The looks of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// For eyes: the time of day alone, perhaps colours.
    Terminal { colours: bool },
    /// The journal stamps lines itself.
    Journal,
    /// Stamped, for files.
    Plain,
    /// One object a line.
    Json,
}

/// Writes the values of spans.
#[derive(Debug)]
pub(super) struct Fields;

impl<'w> FormatFields<'w> for Fields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut values = Values::new(SPAN_CUT);
        fields.record(&mut values);
        writer.write_str(values.text().trim_start())
    }
}

/// Writes events.
#[derive(Debug)]
pub(super) struct Lines(pub(super) Style);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut at = String::new();
        if self.0 != Style::Journal {
            SystemTime.format_time(&mut Writer::new(&mut at))?;
        }
        let mut spans = Vec::new();
        for span in context.event_scope().into_iter().flat_map(tracing_subscriber::registry::Scope::from_root) {
            let extensions = span.extensions();
            let values = extensions.get::<FormattedFields<N>>().map(|f| f.fields.as_str()).filter(|f| !f.is_empty());
            let values = values.map(|values| format!("{{{values}}}")).unwrap_or_default();
            spans.push(format!("{}{values}", span.name()));
        }
        let spans = spans.join(":");
        let mut line = String::new();
        for cut in CUTS {
            let mut values = Values::new(cut);
            event.record(&mut values);
            let spans = clip(&spans, cut);
            let (level, target) = (*event.metadata().level(), event.metadata().target());
            line = match self.0 {
                Style::Json => json_line(&at, level, target, &spans, values),
                style => text_line(style, &at, level, target, &spans, &values),
            };
            if line.len() < LONGEST {
                break;
            }
        }
        writeln!(writer, "{line}")
    }
}

/// An event for the journal, which keeps level, place and values apart.
pub(super) struct Entry {
    /// What a person reads: message and values.
    pub(super) text: String,
    /// The values, by their names.
    pub(super) fields: Vec<(&'static str, String)>,
}

/// An event as the journal takes it. No text in it has a line break, and together they stay
/// well below what a datagram holds.
pub(super) fn entry(event: &Event<'_>) -> Entry {
    let mut entry = Entry { text: String::new(), fields: Vec::new() };
    for cut in CUTS {
        let mut values = Values::new(cut);
        event.record(&mut values);
        let text = format!("{}{}", values.message.as_deref().unwrap_or_default(), values.text());
        text.trim_start().clone_into(&mut entry.text);
        entry.fields = values.fields.into_iter().map(|(name, shown)| (name, shown.into_text())).collect();
        if entry.text.len() < LONGEST {
            break;
        }
    }
    entry
}

fn text_line(style: Style, at: &str, level: Level, target: &str, spans: &str, values: &Values) -> String {
    let (dim, colour, off) = match style {
        Style::Terminal { colours: true } => ("\u{1b}[2m", colour(level), "\u{1b}[0m"),
        _ => ("", "", ""),
    };
    // 2026-11-24T17:53:12.123456Z
    let time_of_day = at.get(11..19).unwrap_or(at);
    let stamp = match style {
        Style::Terminal { .. } => format!("{dim}{time_of_day}Z{off} "),
        Style::Plain => format!("{at} "),
        Style::Journal | Style::Json => String::new(),
    };
    let spans = if spans.is_empty() { String::new() } else { format!("{spans}: ") };
    let message = values.message.as_deref().unwrap_or_default();
    let fields = values.text();
    let rest = if message.is_empty() { fields.trim_start() } else { fields.as_str() };
    format!("{stamp}{colour}{level:>5}{off} {dim}{target}:{off} {spans}{message}{rest}")
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\u{1b}[31m",
        Level::WARN => "\u{1b}[33m",
        Level::INFO => "\u{1b}[32m",
        Level::DEBUG => "\u{1b}[34m",
        Level::TRACE => "\u{1b}[35m",
    }
}

fn json_line(at: &str, level: Level, target: &str, spans: &str, values: Values) -> String {
    let value = |shown| match shown {
        Shown::Text(text) | Shown::Written(text) => Value::String(text),
        Shown::Scalar(value) => value,
    };
    let fields: serde_json::Map<String, Value> =
        values.fields.into_iter().map(|(name, shown)| (name.to_owned(), value(shown))).collect();
    let mut line = json!({
        "at": at,
        "level": level.as_str().to_ascii_lowercase(),
        "target": target,
        "message": values.message.unwrap_or_default(),
        "fields": fields,
    });
    if let (false, Some(line)) = (spans.is_empty(), line.as_object_mut()) {
        line.insert("spans".to_owned(), json!(spans));
    }
    line.to_string()
}

/// A value, made harmless.
enum Shown {
    /// Came in as text; lines quote it.
    Text(String),
    /// Came in as something that says itself what it looks like.
    Written(String),
    /// A number, or yes or no.
    Scalar(Value),
}

impl Shown {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) | Self::Written(text) => text,
            Self::Scalar(value) => value.to_string(),
        }
    }
}

/// The values of an event or a span.
struct Values {
    cut: usize,
    message: Option<String>,
    fields: Vec<(&'static str, Shown)>,
}

impl Values {
    fn new(cut: usize) -> Self {
        Self { cut, message: None, fields: Vec::new() }
    }

    /// ` name=value` for each.
    fn text(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.fields {
            let _infallible = match value {
                // The quotes inside are escaped, lest a value pretends to be two.
                Shown::Text(value) => write!(text, " {name}=\"{}\"", value.replace('"', "\\\"")),
                Shown::Written(value) => write!(text, " {name}={value}"),
                Shown::Scalar(value) => write!(text, " {name}={value}"),
            };
        }
        text
    }

    fn add(&mut self, field: &Field, text: &str, shown: fn(String) -> Shown) {
        let text = clip(&escape(&mask::digits(text)), self.cut);
        if field.name() == "message" {
            self.message = Some(text);
        } else {
            self.fields.push((field.name(), shown(text)));
        }
    }

    /// A number stays one, unless it is long enough to be a meter's.
    fn add_number(&mut self, field: &Field, number: Value) {
        let text = number.to_string();
        if mask::digits(&text) == text {
            self.fields.push((field.name(), Shown::Scalar(number)));
        } else {
            self.add(field, &text, Shown::Written);
        }
    }
}

impl Visit for Values {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, &format!("{value:?}"), Shown::Written);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value, Shown::Text);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add_number(field, json!(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add_number(field, json!(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add_number(field, json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.push((field.name(), Shown::Scalar(Value::Bool(value))));
    }
}

/// Writes characters that steer a terminal or end a line as escapes.
fn escape(text: &str) -> String {
    let steers = |c: char| {
        c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut out = String::with_capacity(text.len().min(LONGEST));
    for c in text.chars() {
        // Nothing beyond this is ever shown.
        if out.len() > LONGEST {
            break;
        }
        if steers(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// At most `most` bytes of the text, and a sign where that is not all.
fn clip(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}…", text.get(..end).unwrap_or_default())
}
