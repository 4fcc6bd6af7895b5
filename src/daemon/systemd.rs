//! What the service manager is told: READY, STATUS, WATCHDOG, RELOADING and STOPPING.
//!
//! Without a manager that listens (`NOTIFY_SOCKET`) each of these does nothing. A manager that
//! does not take a message is no reason to stop.

use sd_notify::NotifyState;

/// Longest line of status; managers show one line.
const LONGEST: usize = 300;

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
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager takes no message");
    }
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
    fn a_status_is_one_masked_line() {
        assert_eq!(one_line("a\nREADY=1 01234567890123"), "a READY=1 …0123");
        assert_eq!(one_line(&"é".repeat(1_000)).chars().count(), LONGEST);
        assert!(!one_line(&format!("{} 01234567890123", "x".repeat(LONGEST - 8))).contains("0123456"));
    }
}
