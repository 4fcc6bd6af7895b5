//! Waiting for the browser: on loopback, at the terminal, or both.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::mpsc;

use super::super::Trouble;
use super::desk::Desk;
use super::judge::Judged;
use crate::exit::Exit;
use crate::http::callback::{Callback, Visit};
use crate::source::enedis::consent::{self, Expected, Failed, Given, read_redirect};

/// What a person types, line by line.
#[derive(Debug, Default)]
pub(super) struct Lines(Option<mpsc::UnboundedReceiver<String>>);

impl Lines {
    /// The next line; `None` at the end of the input.
    pub(super) async fn next(&mut self) -> Option<String> {
        self.0.get_or_insert_with(read_lines).recv().await
    }
}

/// A thread of its own reads, since nothing can end a read; the process does not wait for it.
fn read_lines() -> mpsc::UnboundedReceiver<String> {
    let (typed, lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in io::stdin().lines() {
            let Ok(line) = line else { return };
            if typed.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// How waiting ended.
#[derive(Debug)]
pub(super) enum Came {
    /// The browser came back, with that.
    Answer(Result<Given, Failed>),
    /// It did not.
    Nothing,
    /// Somebody asked to stop.
    Stopped,
}

/// The ways by which an answer may come.
pub(super) struct Wait<'w> {
    callback: Option<Callback>,
    lines: Option<&'w mut Lines>,
}

impl<'w> Wait<'w> {
    /// Listens at that address, and to a person.
    pub(super) async fn new(listen: Option<SocketAddr>, lines: Option<&'w mut Lines>) -> Result<Self, Trouble> {
        let callback = match listen {
            None => None,
            Some(listen) => Some(Callback::open(listen).await.map_err(|error| Trouble {
                exit: Exit::InputOutput,
                message: format!(
                    "nothing can listen on {listen}: {error}; give another address with --listen, or --no-listen to \
                     paste the answer"
                ),
            })?),
        };
        Ok(Self { callback, lines })
    }

    /// Where the browser is to come back to.
    pub(super) fn address(&self) -> Option<String> {
        self.callback.as_ref().map(Callback::address)
    }

    /// The next visit; for ever where nothing listens.
    async fn visit(callback: &mut Option<Callback>) -> Visit {
        match callback {
            Some(open) => match open.next().await {
                Some(visit) => visit,
                None => std::future::pending().await,
            },
            None => std::future::pending().await,
        }
    }

    async fn line(lines: &mut Option<&mut Lines>) -> String {
        let line = match lines {
            Some(lines) => lines.next().await,
            None => None,
        };
        match line {
            Some(line) => line,
            // The end of the input is not the end of waiting.
            None => std::future::pending().await,
        }
    }

    /// Waits for an answer that belongs to this journey; all others are told so.
    pub(super) async fn answer(&mut self, expected: &Expected, limit: Duration, desk: &Desk<'_>) -> Came {
        let until = desk.clock().monotonic().saturating_add(limit);
        loop {
            tokio::select! {
                biased;
                () = desk.stop().cancelled() => return Came::Stopped,
                visit = Self::visit(&mut self.callback) => {
                    let judged = judge(&format!("?{}", visit.query), expected, desk).await;
                    visit.say(judged.page());
                    match judged {
                        Judged::Stray(stray) => tracing::warn!(
                            code = stray.code(),
                            "a browser came back with something else: {stray}; linkyd still waits"
                        ),
                        Judged::Answer(read) => return Came::Answer(read),
                    }
                }
                line = Self::line(&mut self.lines) => {
                    if line.trim().is_empty() {
                        continue;
                    }
                    match judge(&line, expected, desk).await {
                        Judged::Stray(stray) => tracing::warn!(code = stray.code(), "{stray}; linkyd still waits for the right one, from http to its end"),
                        // What was cut off can be pasted once more.
                        Judged::Answer(Err(failed @ Failed::NoMeter)) => {
                            tracing::warn!(code = failed.code(), "{failed}");
                        }
                        Judged::Answer(read) => return Came::Answer(read),
                    }
                }
                () = desk.clock().sleep_until(until) => return Came::Nothing,
            }
        }
    }

    /// Does something while whoever comes back once more is told that this was answered.
    pub(super) async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                visit = Self::visit(&mut self.callback) => visit.say(Judged::Answer(Err(Failed::Used)).page()),
            }
        }
    }

    /// Listens no more.
    pub(super) async fn close(self) {
        if let Some(callback) = self.callback {
            callback.close().await;
        }
    }
}

/// Reads an address, in the light of what is known of the journey to which it belongs.
async fn judge(text: &str, expected: &Expected, desk: &Desk<'_>) -> Judged {
    let stands = match consent::whole_journey_of(text) {
        Some(state) => desk.stands(state.digest()).await,
        None => None,
    };
    Judged::of(read_redirect(text, expected), stands)
}
