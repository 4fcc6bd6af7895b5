//! The log: one line per event on standard error.
//!
//! [`init_logs`] sets it up once, at the start. Which lines are written is the configuration's
//! filter; how they look depends on where they go ([`Surroundings`]). What values from outside may
//! do to a line is limited in `line`, and [`MaskingWriter`] stands behind everything: no line
//! of any level and of any crate can carry a meter's number.

use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::line::{Fields, Lines, Style};
use super::mask::MaskingWriter;
use crate::config::{Environment, LogConfig, LogFormat};

/// Where the log goes, as far as its looks depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Surroundings {
    /// Standard error is a terminal.
    pub terminal: bool,
    /// Standard error ends in systemd's journal, which stamps lines itself.
    pub journal: bool,
    /// The user does not want colours (`NO_COLOR`).
    pub no_color: bool,
}

impl Surroundings {
    /// What this process finds itself in.
    #[must_use]
    pub fn detect(environment: &Environment) -> Self {
        let is_set = |name| environment.get(name).is_some_and(|value| !value.is_empty());
        Self { terminal: io::stderr().is_terminal(), journal: is_set("JOURNAL_STREAM"), no_color: is_set("NO_COLOR") }
    }

    fn style(self, format: LogFormat) -> Style {
        match format {
            LogFormat::Json => Style::Json,
            // A terminal inside a service still inherits the journal's variable, so it is asked first.
            LogFormat::Auto if self.terminal => Style::Terminal { colours: !self.no_color },
            LogFormat::Auto if self.journal => Style::Journal,
            LogFormat::Auto => Style::Plain,
        }
    }
}

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter makes no sense; the configuration refuses such a one before.
    #[error("the log filter cannot be read")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
    /// Somebody else set up a log in this process.
    #[error("the log is set up already")]
    Twice(#[source] tracing::subscriber::SetGlobalDefaultError),
}

/// Sets up the log of this process, on standard error.
pub fn init_logs(log: &LogConfig, surroundings: Surroundings) -> Result<(), LogError> {
    let subscriber = subscriber(log, surroundings, io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(LogError::Twice)
}

fn subscriber<W>(
    log: &LogConfig,
    surroundings: Surroundings,
    writer: W,
) -> Result<impl Subscriber + Send + Sync, LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder().parse(&log.filter).map_err(LogError::Filter)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).fmt_fields(Fields);
    Ok(builder.event_format(Lines(surroundings.style(log.format))).with_writer(Masked(writer)).finish())
}

/// Puts the mask in front of each writer.
struct Masked<M>(M);

impl<'w, M: MakeWriter<'w>> MakeWriter<'w> for Masked<M> {
    type Writer = MaskingWriter<M::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        MaskingWriter::new(self.0.make_writer())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn captured(format: LogFormat, surroundings: Surroundings, act: impl FnOnce()) -> String {
        let out = Captured::default();
        let log = LogConfig { filter: "trace".to_owned(), format };
        let writer = out.clone();
        let subscriber = subscriber(&log, surroundings, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, act);
        let bytes = out.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    const JOURNAL: Surroundings = Surroundings { terminal: false, journal: true, no_color: false };
    const TERMINAL: Surroundings = Surroundings { terminal: true, journal: true, no_color: false };

    #[test]
    fn a_line_says_level_place_and_values() {
        let text = captured(LogFormat::Auto, JOURNAL, || {
            let _span = tracing::info_span!("pass", meter = "Maison").entered();
            tracing::info!(calls = 3, took = ?std::time::Duration::from_secs(2), "pass done");
        });
        assert_eq!(text, " INFO linkyd::observe::logs::tests: pass{meter=\"Maison\"}: pass done calls=3 took=2s\n");
    }

    #[test]
    fn plain_lines_are_stamped_and_coloured_ones_are_for_terminals() {
        let event = || tracing::warn!("slow");
        let plain = captured(LogFormat::Auto, Surroundings::default(), event);
        assert!(plain.ends_with("Z  WARN linkyd::observe::logs::tests: slow\n") && plain.starts_with("20"), "{plain}");
        let terminal = captured(LogFormat::Auto, TERMINAL, event);
        assert!(terminal.contains("\u{1b}[33m WARN\u{1b}[0m"), "{terminal:?}");
        let sober = captured(LogFormat::Auto, Surroundings { no_color: true, ..TERMINAL }, event);
        assert!(!sober.contains('\u{1b}'), "{sober:?}");
    }

    #[test]
    fn no_line_of_any_crate_carries_a_meter_number() {
        let act = || {
            let _span = tracing::trace_span!("call", prm = "01234567890123").entered();
            tracing::trace!(target: "hyper::client", uri = "https://x/y?usage_point_id=01234567890123&start=2026-01-01");
            tracing::trace!(target: "reqwest", "GET /metering/01234567890123 HTTP/1.1");
            tracing::debug!(
                number = 12_345_678_901_234_u64,
                signed = 12_345_678_901_234_i64,
                float = 12_345_678_901_234.0
            );
            tracing::error!(error = %"no PRM 01234567890123", debug = ?b"01234567890123");
            tracing::info!("{}01234567890123", "x".repeat(2_990));
        };
        for format in [LogFormat::Auto, LogFormat::Json] {
            for surroundings in [JOURNAL, TERMINAL, Surroundings::default()] {
                let text = captured(format, surroundings, act);
                assert_eq!(text.lines().count(), 5, "{text}");
                assert!(!text.contains("0123456789") && !text.contains("2345678901"), "{text}");
                assert!(text.contains("usage_point_id=…0123"), "{text}");
                if format == LogFormat::Json {
                    for line in text.lines() {
                        serde_json::from_str::<serde_json::Value>(line).unwrap();
                    }
                }
            }
        }
    }

    #[test]
    fn values_from_outside_cannot_break_a_line() {
        let evil = "a\r\nFAKE line\u{1b}[31m\u{0}\u{202e}\u{2028}b".to_owned() + &"\n\"é".repeat(100_000);
        let act = || {
            tracing::error!(error = %evil, quoted = evil, debug = ?evil, "{evil}");
            tracing::error!("short: {}", "a\r\nb\u{1b}[31m");
        };
        for format in [LogFormat::Auto, LogFormat::Json] {
            let text = captured(format, JOURNAL, act);
            assert_eq!(text.lines().count(), 2);
            assert!(text.lines().all(|line| line.len() <= 4096), "{}", text.len());
            assert!(!text.contains(['\r', '\u{1b}', '\u{0}', '\u{202e}', '\u{2028}']));
        }
        let text = captured(LogFormat::Auto, JOURNAL, act);
        assert!(text.ends_with("short: a\\r\\nb\\u{1b}[31m\n"), "{text}");
    }

    #[test]
    fn json_lines_have_stable_keys() {
        let text = captured(LogFormat::Json, Surroundings::default(), || {
            let _span = tracing::info_span!("pass", meter = "Maison").entered();
            tracing::info!(calls = 3, ok = true, why = "a \"b\"", "pass done");
        });
        let mut line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(line["at"].take().as_str().unwrap().ends_with('Z'));
        let wanted = serde_json::json!({
            "at": null, "level": "info", "target": "linkyd::observe::logs::tests", "message": "pass done",
            "spans": "pass{meter=\"Maison\"}", "fields": {"calls": 3, "ok": true, "why": "a \"b\""},
        });
        assert_eq!(line, wanted);
    }
}
