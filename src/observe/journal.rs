//! The journal's own protocol: level, place and values of a line as fields that can be asked for.
//!
//! An event becomes one datagram to the socket of systemd-journald. Values have been made harmless
//! before (`line`), so none of them can begin a field of its own, and the mask goes over the whole
//! datagram as it does over every other line. That is why this is not left to a crate: those hand
//! values over as they come.

use std::fmt::Write as _;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::line::entry;
use super::mask;

/// Where the journal listens.
const SOCKET: &str = "/run/systemd/journal/socket";

/// Sends events to the journal.
#[derive(Debug)]
pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Journal {
    /// The journal of this machine, where one listens.
    pub(super) fn open() -> io::Result<Self> {
        Self::at(Path::new(SOCKET))
    }

    /// A journal that listens there.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        // An empty datagram is no entry; it only shows whether somebody listens.
        socket.send_to(&[], path)?;
        Ok(Self { socket, path: path.to_owned() })
    }

    fn send(&self, event: &Event<'_>) -> io::Result<()> {
        let metadata = event.metadata();
        let entry = entry(event);
        let mut text = format!(
            "MESSAGE={}\nPRIORITY={}\nSYSLOG_IDENTIFIER=linkyd\nLINKYD_TARGET={}\n",
            entry.text,
            priority(*metadata.level()),
            metadata.target(),
        );
        for (name, value) in &entry.fields {
            let name: String =
                name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
            let _infallible = writeln!(text, "LINKYD_{name}={value}");
        }
        // Sent by name each time, so a journal that was started again is found again.
        self.socket.send_to(mask::digits(&text).as_bytes(), &self.path).map(drop)
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if self.send(event).is_err() {
            // Standard error is a stream of the same journal, which may be there sooner again.
            let line = format!("<{}>{}\n", priority(*event.metadata().level()), entry(event).text);
            let _lost = io::Write::write_all(&mut io::stderr(), mask::digits(&line).as_bytes());
        }
    }
}

/// The journal's number for a level.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt as _;

    fn entries(act: impl FnOnce()) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixDatagram::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let subscriber = tracing_subscriber::registry().with(Journal::at(&path).unwrap());
        tracing::subscriber::with_default(subscriber, act);
        let mut entries = Vec::new();
        let mut buffer = vec![0; 65_536];
        while let Ok(length) = listener.recv(&mut buffer) {
            entries.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
        }
        // The first one is the empty one that looks whether somebody listens.
        entries.split_off(1)
    }

    #[test]
    fn an_event_has_a_priority_and_fields() {
        let entries = entries(|| {
            tracing::info!(calls = 3, why = "daily", "pass done");
            tracing::error!("no \"way\"");
        });
        assert_eq!(
            entries[0],
            "MESSAGE=pass done calls=3 why=\"daily\"\nPRIORITY=6\nSYSLOG_IDENTIFIER=linkyd\n\
             LINKYD_TARGET=linkyd::observe::journal::tests\nLINKYD_CALLS=3\nLINKYD_WHY=daily\n"
        );
        assert!(entries[1].starts_with("MESSAGE=no \"way\"\nPRIORITY=3\n"), "{entries:?}");
    }

    #[test]
    fn no_value_can_pretend_to_be_a_field_or_show_a_meter() {
        let evil = "a\nPRIORITY=0\r\nMESSAGE=x 01234567890123\u{1b}[31m".repeat(3_000);
        let entries = entries(|| {
            tracing::warn!(error = %evil, number = 12_345_678_901_234_u64, "{evil}");
            tracing::trace!(target: "hyper", uri = "https://x/y?usage_point_id=01234567890123");
        });
        assert_eq!(entries.len(), 2);
        for entry in &entries {
            assert_eq!(entry.lines().filter(|line| line.starts_with("PRIORITY=")).count(), 1);
            assert!(!entry.contains("1234567890123") && !entry.contains('\u{1b}'), "{entry}");
            assert!(entry.len() < 16_384);
        }
    }

    #[test]
    fn without_a_listener_there_is_no_journal() {
        assert!(Journal::at(Path::new("/nowhere/socket")).is_err());
    }
}
