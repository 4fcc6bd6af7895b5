//! What the service manager is told: READY, STATUS, WATCHDOG, RELOADING and STOPPING.
//!
//! Without a manager that listens (`NOTIFY_SOCKET`) each of these does nothing. A manager that
//! does not take a message is no reason to stop.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use sd_notify::NotifyState;

/// Longest line of status; managers show one line.
const LONGEST: usize = 300;

/// How long a message waits for a manager that does not read.
const PATIENCE: Duration = Duration::from_millis(100);

/// The same for READY: without it the manager takes the start for failed.
const PATIENCE_READY: Duration = Duration::from_secs(5);

/// The way to the service manager.
#[derive(Debug, Default)]
pub struct Manager {
    status: String,
}

impl Manager {
    /// Nothing was said yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The daemon serves; also ends what [`Manager::reloading`] began.
    pub fn ready(&mut self, status: &str) {
        self.status = one_line(status);
        tell(&[NotifyState::Ready, NotifyState::Status(&self.status)]);
    }

    /// What the daemon does, for `systemctl status`. Says nothing twice.
    pub fn status(&mut self, status: &str) {
        let status = one_line(status);
        if status != self.status {
            tell(&[NotifyState::Status(&status)]);
            self.status = status;
        }
    }

    /// The configuration is being read again.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(stamp) => tell(&[NotifyState::Reloading, stamp]),
            Err(_) => tell(&[NotifyState::Reloading]),
        }
    }

    /// The loop has just proved that it and the database are alive.
    pub fn alive(&self) {
        tell(&[NotifyState::Watchdog]);
    }

    /// The daemon is about to end.
    pub fn stopping(&mut self) {
        "Stopping".clone_into(&mut self.status);
        tell(&[NotifyState::Stopping, NotifyState::Status(&self.status)]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    let Some(place) = std::env::var_os("NOTIFY_SOCKET").filter(|place| !place.is_empty()) else { return };
    let message = states.iter().fold(String::new(), |said, state| format!("{said}{state}\n"));
    // Whether it was understood decides over READY alone; what follows is said again each minute.
    let patience =
        if states.iter().any(|state| matches!(state, NotifyState::Ready)) { PATIENCE_READY } else { PATIENCE };
    if let Err(error) = send(place.as_bytes(), &message, patience) {
        tracing::debug!(%error, "the service manager takes no message");
    }
}

/// Sends to the socket of that name; an abstract one begins with `@`. A manager that has stopped to
/// read must not stop the daemon as well, so nobody waits for it for ever.
fn send(place: &[u8], message: &str, patience: Duration) -> io::Result<()> {
    let address = match place.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(OsStr::from_bytes(place))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(patience))?;
    socket.send_to_addr(message.as_bytes(), &address).map(drop)
}

fn one_line(text: &str) -> String {
    // Masked before it is cut: half a number would not be recognised as one.
    let masked = crate::observe::mask::digits(text);
    masked.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_that_does_not_read_stops_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("notify");
        let manager = UnixDatagram::bind(&place).unwrap();
        let send = || send(place.as_os_str().as_bytes(), "STATUS=x\n", Duration::from_millis(1));
        // Its queue takes some, then no more; then it reads, and takes one again.
        assert!((0..10_000).any(|_| send().is_err()));
        assert_eq!(manager.recv(&mut [0; 64]).unwrap(), 9);
        send().unwrap();
        // Names in the abstract have no file.
        let name = format!("linkyd-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        super::send(format!("@{name}").as_bytes(), "READY=1\n", PATIENCE).unwrap();
        assert_eq!(manager.recv(&mut [0; 64]).unwrap(), 8);
    }

    #[test]
    fn a_status_is_one_masked_line() {
        assert_eq!(one_line("a\nREADY=1 01234567890123"), "a READY=1 …0123");
        assert_eq!(one_line(&"é".repeat(1_000)).chars().count(), LONGEST);
        assert!(!one_line(&format!("{} 01234567890123", "x".repeat(LONGEST - 8))).contains("0123456"));
    }
}
