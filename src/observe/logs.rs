//! The log: one line per event on standard error.
//!
//! [`init_logs`] sets it up once, at the start; the [`LogHandle`] it returns changes the filter
//! later. Which lines are written is the configuration's filter; how they look depends on where
//! they go ([`Surroundings`]): the journal gets them in its own protocol (`journal`). What values from outside may
//! do to a line is limited in `line`, and [`MaskingWriter`] stands behind everything: no line
//! of any level and of any crate can carry a meter's number.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;

use tracing::Subscriber;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload;

use super::journal::Journal;
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
        let journal = environment.get("JOURNAL_STREAM").is_some_and(is_standard_error);
        Self { terminal: io::stderr().is_terminal(), journal, no_color: is_set("NO_COLOR") }
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

/// Whether `stream`, device and inode as systemd names the journal's stream, is what standard
/// error really is: it may have been redirected since.
fn is_standard_error(stream: &str) -> bool {
    let Some((device, inode)) = stream.split_once(':') else { return false };
    let metadata = io::stderr().as_fd().try_clone_to_owned().and_then(|fd| File::from(fd).metadata());
    metadata.is_ok_and(|m| device.parse() == Ok(m.dev()) && inode.parse() == Ok(m.ino()))
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
    /// The log that is to be changed is gone.
    #[error("the log filter cannot be changed")]
    Gone,
}

/// Changes the log of this process while it runs.
pub struct LogHandle {
    set: Box<dyn Fn(Targets) -> bool + Send + Sync>,
}

impl LogHandle {
    fn new<S: 'static>(handle: reload::Handle<Targets, S>) -> Self {
        Self { set: Box::new(move |filter| handle.reload(filter).is_ok()) }
    }

    /// A handle for a process that has no log.
    #[must_use]
    pub fn none() -> Self {
        Self { set: Box::new(|_| true) }
    }

    /// Writes other lines from now on.
    pub fn set_filter(&self, filter: &str) -> Result<(), LogError> {
        let filter = filter.parse().map_err(LogError::Filter)?;
        if (self.set)(filter) { Ok(()) } else { Err(LogError::Gone) }
    }
}

impl std::fmt::Debug for LogHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LogHandle")
    }
}

/// Sets up the log of this process: in the journal where standard error ends there, else on
/// standard error.
pub fn init_logs(log: &LogConfig, surroundings: Surroundings) -> Result<LogHandle, LogError> {
    let journal = (surroundings.style(log.format) == Style::Journal).then(Journal::open).and_then(Result::ok);
    if let Some(journal) = journal {
        let filter: Targets = log.filter.parse().map_err(LogError::Filter)?;
        let (filter, handle) = reload::Layer::new(filter);
        let subscriber = tracing_subscriber::registry().with(filter).with(journal);
        tracing::subscriber::set_global_default(subscriber).map_err(LogError::Twice)?;
        return Ok(LogHandle::new(handle));
    }
    let (subscriber, handle) = subscriber(log, surroundings, io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(LogError::Twice)?;
    Ok(handle)
}

fn subscriber<W>(
    log: &LogConfig,
    surroundings: Surroundings,
    writer: W,
) -> Result<(impl Subscriber + Send + Sync, LogHandle), LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter: Targets = log.filter.parse().map_err(LogError::Filter)?;
    let (filter, handle) = reload::Layer::new(filter);
    let lines = tracing_subscriber::fmt::layer().fmt_fields(Fields).event_format(Lines(surroundings.style(log.format)));
    let subscriber = tracing_subscriber::registry().with(filter).with(lines.with_writer(Masked(writer)));
    Ok((subscriber, LogHandle::new(handle)))
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
        let (subscriber, _) = subscriber(&log, surroundings, move || writer.clone()).unwrap();
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
    fn the_filter_can_be_changed() {
        let out = Captured::default();
        let log = LogConfig { filter: "warn".to_owned(), format: LogFormat::Auto };
        let writer = out.clone();
        let (subscriber, handle) = subscriber(&log, JOURNAL, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("one");
            handle.set_filter("info").unwrap();
            tracing::info!("two");
            assert!(handle.set_filter("linkyd=nonsense=").is_err());
            tracing::info!("three");
        });
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        assert!(!text.contains("one") && text.contains("two") && text.contains("three"), "{text}");
    }

    #[test]
    fn the_journal_is_only_where_standard_error_really_ends_there() {
        assert!(!is_standard_error("1:2") && !is_standard_error("") && !is_standard_error("x:y"));
        let fd = io::stderr().as_fd().try_clone_to_owned().unwrap();
        let metadata = File::from(fd).metadata().unwrap();
        assert!(is_standard_error(&format!("{}:{}", metadata.dev(), metadata.ino())));
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
