//! Signals, from the first moment on.
//!
//! Handlers are installed before anything else happens, because without one SIGHUP, SIGUSR1 and
//! SIGUSR2 end a process. What was asked is a set of flags: a thousand signals set the flag that
//! one sets. A first SIGTERM or SIGINT sets [`Asked::stop`], a second one ends the process, which
//! the database survives like any crash.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::exit::Exit;

/// What operators asked for and nobody did yet.
#[derive(Debug, Default)]
pub struct Asked {
    look: AtomicBool,
    status: AtomicBool,
    reload: AtomicBool,
    any: Notify,
    /// Set by the first signal that asks to stop.
    pub stop: CancellationToken,
}

impl Asked {
    /// Returns once something may have been asked since the last call.
    pub async fn anything(&self) {
        self.any.notified().await;
    }

    /// Asks for a pass, as SIGUSR1 does.
    pub fn for_a_pass(&self) {
        self.set(&self.look);
    }

    /// Whether a pass was asked for since the last call (SIGUSR1).
    pub fn look(&self) -> bool {
        self.look.swap(false, Ordering::AcqRel)
    }

    /// Whether the status was asked for since the last call (SIGUSR2).
    pub fn status(&self) -> bool {
        self.status.swap(false, Ordering::AcqRel)
    }

    /// Whether the configuration is to be read again (SIGHUP).
    pub fn reload(&self) -> bool {
        self.reload.swap(false, Ordering::AcqRel)
    }

    fn set(&self, flag: &AtomicBool) {
        flag.store(true, Ordering::Release);
        self.any.notify_one();
    }
}

/// Installs the handlers; needs a runtime.
pub fn install() -> io::Result<Arc<Asked>> {
    let mut look = signal(SignalKind::user_defined1())?;
    let mut status = signal(SignalKind::user_defined2())?;
    let mut reload = signal(SignalKind::hangup())?;
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let asked = Arc::new(Asked::default());
    let told = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = next(&mut look) => told.for_a_pass(),
                () = next(&mut status) => told.set(&told.status),
                () = next(&mut reload) => told.set(&told.reload),
                () = next(&mut interrupt) => stop(&told.stop),
                () = next(&mut terminate) => stop(&told.stop),
            }
        }
    });
    Ok(asked)
}

async fn next(signal: &mut Signal) {
    if signal.recv().await.is_none() {
        // No more of them can come.
        std::future::pending::<()>().await;
    }
}

fn stop(token: &CancellationToken) {
    if token.is_cancelled() {
        at_once();
    }
    token.cancel();
}

#[expect(clippy::exit, reason = "the operator asked twice to stop")]
fn at_once() {
    std::process::exit(i32::from(Exit::Done.code()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_storm_is_one() {
        let asked = Asked::default();
        for _ in 0..1_000 {
            asked.for_a_pass();
        }
        asked.anything().await;
        assert!(asked.look() && !asked.look() && !asked.status() && !asked.reload());
    }
}
