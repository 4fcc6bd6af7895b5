//! What the daemon is doing, for those who look on: the status page, metrics, the service manager.
//!
//! The loop writes it, everybody else reads a copy. Nothing here decides anything.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

use super::backlog::Backlog;
use crate::cli::render::number;
use crate::config::Config;
use crate::domain::Day;
use crate::engine::{Progress, Report};
use crate::observe::mask;
use crate::plan::wake::{Wake, Why};

/// A pass that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Running {
    /// What set it off.
    pub why: Why,
    /// When it began (seconds since 1970).
    pub began: i64,
    /// How far it is.
    pub progress: Progress,
    /// Whether it still waits for another linkyd to finish writing.
    pub queued: bool,
}

/// The last pass that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Last {
    /// What set it off.
    pub why: Why,
    /// When it ended (seconds since 1970).
    pub ended: i64,
    /// How it ended: the word for it in metrics.
    pub result: &'static str,
    /// What it brought, in a sentence.
    pub told: String,
    /// Calls that it left for later.
    pub left: u64,
}

/// What has been counted since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Passes that did all that could be done.
    pub passes_done: u64,
    /// Passes that left work for later.
    pub passes_later: u64,
    /// Passes that ended in an error or a panic.
    pub passes_failed: u64,
    /// Values that were new.
    pub inserted: u64,
    /// Values that differ from those stored before.
    pub changed: u64,
    /// Errors of the database.
    pub database_errors: u64,
    /// Jumps of the wall clock.
    pub clock_jumps: u64,
}

/// How the last reading of the configuration went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// What is wrong with it and where; `None` where it is in force.
    pub problem: Option<String>,
    /// When one was last taken over (seconds since 1970).
    pub success_at: i64,
}

/// What the daemon is doing.
#[derive(Debug, Clone)]
pub struct Board {
    /// When it started (seconds since 1970).
    pub started_at: i64,
    /// The configuration in force.
    pub config: Arc<Config>,
    /// When the next pass is due; `None` while the clock cannot be right.
    pub wake: Option<Wake>,
    /// The pass under way.
    pub running: Option<Running>,
    /// The last pass.
    pub last: Option<Last>,
    /// The day up to which every series that is asked for is complete.
    pub complete_to: Option<Day>,
    /// What was left when that was last reckoned: at the start, and after each pass.
    pub backlog: Backlog,
    /// Why some source is not asked just now.
    pub pause: Option<String>,
    /// What is wrong with the database.
    pub trouble: Option<String>,
    /// Counts since the start.
    pub counts: Counts,
    /// The configuration's last reading.
    pub reloaded: Reloaded,
    /// Whether it is about to end.
    pub stopping: bool,
}

impl Board {
    /// The board of a daemon that starts.
    #[must_use]
    pub fn new(config: Arc<Config>, now: i64) -> Self {
        Self {
            started_at: now,
            config,
            wake: None,
            running: None,
            last: None,
            complete_to: None,
            backlog: Backlog::default(),
            pause: None,
            trouble: None,
            counts: Counts::default(),
            reloaded: Reloaded { problem: None, success_at: now },
            stopping: false,
        }
    }

    /// What the daemon does, in one line.
    #[must_use]
    pub fn line(&self) -> String {
        let does = self.does();
        match &self.reloaded.problem {
            Some(problem) if !self.stopping => {
                let problem = mask::digits(problem);
                format!("{does}; the new configuration cannot be used: {problem}")
            }
            _ => does,
        }
    }

    fn does(&self) -> String {
        if self.stopping {
            return "Stopping".to_owned();
        }
        if let Some(trouble) = &self.trouble {
            return format!("Trouble with the database: {trouble}");
        }
        if let Some(running) = &self.running {
            let (done, left) = (running.progress.done, running.progress.left);
            return if running.queued {
                "Waiting for another linkyd to finish writing".to_owned()
            } else {
                let until = until(left, self.backlog.until);
                format!("Fetching: {} made, {} to go{until}", calls(done), number::thousands(signed(left)))
            };
        }
        let up_to = self.complete_to.map(|day| format!("Complete up to {day}; ")).unwrap_or_default();
        let left = match self.backlog.calls {
            0 => String::new(),
            left => format!("{} to go{}; ", calls(left), until(left, self.backlog.until)),
        };
        // What keeps a source waiting explains a pass that goes on, and stands beside any other.
        let goes_on = self.wake.is_some_and(|wake| wake.why == Why::Resume);
        let pause = match &self.pause {
            Some(why) if goes_on => format!(" ({why})"),
            Some(why) => format!("; {why}"),
            None => String::new(),
        };
        match self.wake.and_then(|wake| instant(wake.at)) {
            Some(at) => format!("{up_to}{left}next pass {} (Paris){pause}", number::wall(at)),
            None => "Waiting for a clock that can be right".to_owned(),
        }
    }

    /// What is left now: during a pass its own count, with the end that was reckoned before it.
    #[must_use]
    pub fn left(&self) -> Backlog {
        let mut backlog = self.backlog.clone();
        if let Some(running) = self.running.filter(|running| !running.queued && running.progress.done > 0) {
            backlog.calls = running.progress.left;
            if backlog.calls == 0 {
                backlog.until = None;
            }
            backlog.sources.clear();
        }
        backlog
    }
}

/// Until when, where it is known.
fn until(left: u64, until: Option<i64>) -> String {
    let until = until.filter(|_| left > 0).and_then(instant);
    until.map(|at| format!(", until about {} (Paris)", number::wall(at))).unwrap_or_default()
}

/// What a pass brought, in a sentence.
#[must_use]
pub fn told(report: &Report) -> String {
    let left = if report.left > 0 { format!("; {} left for later", calls(report.left)) } else { String::new() };
    let values = number::counted(signed(report.inserted), "new value", "new values");
    format!("{}, {values}, {} changed{left}", calls(report.calls), number::thousands(signed(report.changed)))
}

/// An instant given in seconds since 1970.
#[must_use]
pub fn instant(at: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(at, 0)
}

fn calls(count: u64) -> String {
    number::counted(signed(count), "call", "calls")
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A board that many may look at.
#[derive(Debug, Clone)]
pub struct Shared(Arc<Mutex<Board>>);

impl Shared {
    /// Hangs up a board.
    #[must_use]
    pub fn new(board: Board) -> Self {
        Self(Arc::new(Mutex::new(board)))
    }

    /// What is on it now.
    #[must_use]
    pub fn read(&self) -> Board {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes on it.
    pub fn write<T>(&self, change: impl FnOnce(&mut Board) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
