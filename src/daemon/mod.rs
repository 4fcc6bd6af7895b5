//! The daemon: one loop that looks again each minute, and whenever an operator asks.
//!
//! Everything that happens to it is an event of one `select!` in [`Daemon::run`]: a heartbeat, a
//! signal, the end of a pass, the proof that the database is alive. What it decides is elsewhere
//! and pure: [`agenda`] and [`crate::plan::wake`] say when a pass is due, the engine does it in a
//! task of its own, so a pass that panics is an error and not the end of the loop. A pass keeps
//! the configuration with which it began; [`reload`] swaps it for the next one. [`mod@board`] shows
//! all of that to the status page, to metrics and to the service manager. docs/daemon.md tells it
//! to operators.

pub mod agenda;
pub mod asleep;
pub mod backlog;
pub mod board;
pub mod heartbeat;
pub mod reload;
pub mod signals;
pub mod systemd;
pub mod turn;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use self::agenda::{Agenda, Ended};
use self::backlog::Backlog;
use self::board::{Board, Last, Running, Shared};
use self::heartbeat::Heartbeat;
use self::reload::{Force, Setting};
use self::signals::Asked;
use self::systemd::Manager;
use self::turn::Turns;
use crate::cli::status::View;
use crate::clock::Clock;
use crate::domain::{DayState, SeriesState};
use crate::engine::{Report, Selection};
use crate::plan::Request;
use crate::plan::wake::{self, Why};
use crate::source::catalogue;
use crate::store::{SeriesStatus, SourceStatus, Store, StoreError};

/// Wall and monotonic time may part by this much between two beats before it is called a jump.
const JUMP: i64 = 30;

/// A pass that shows no progress for this long hangs: longer than any pause that is waited out
/// within a pass, and than any answer or lock may take.
const HANGS_AFTER: Duration = Duration::from_mins(20);

/// How long the end waits for a transaction that a foreign lock holds up.
const LAST_PATIENCE: Duration = Duration::from_secs(30);

/// At most one message a second about progress.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// What a daemon is made of.
pub struct Parts {
    /// The database.
    pub store: Arc<dyn Store>,
    /// Turns at writing it.
    pub turns: Turns,
    /// The machine's time.
    pub clock: Arc<dyn Clock>,
    /// What operators ask for.
    pub asked: Arc<Asked>,
    /// The configuration in force and how it is read again.
    pub setting: Setting,
    /// What others see.
    pub board: Shared,
}

/// How a pass ended.
type PassEnd = Result<Option<Report>, StoreError>;

/// What a look at the database brings, which proves that it is alive; where that was asked for, what is
/// left as well.
type Proof = Result<(Vec<SourceStatus>, Option<Backlog>), StoreError>;

/// A pass in its task.
struct Pass {
    why: Why,
    began: i64,
    task: JoinHandle<PassEnd>,
}

/// The daemon.
pub struct Daemon {
    parts: Parts,
    agenda: Agenda,
    manager: Manager,
    pass: Option<Pass>,
    proof: Option<JoinHandle<Proof>>,
    /// Whether what is left has to be reckoned anew.
    unreckoned: bool,
    /// Whether some source was at rest when the database was last looked at.
    resting: bool,
    /// A pass that was asked for while another one was under way.
    wanted: Option<Why>,
    /// Wall and monotonic time at the last beat.
    beat: (DateTime<Utc>, Duration),
    /// When the pass last showed progress (monotonic).
    progress: Arc<std::sync::Mutex<Duration>>,
    distrusted: bool,
}

enum Event {
    Beat,
    Asked,
    PassEnded(Result<PassEnd, tokio::task::JoinError>),
    Proved(Result<Proof, tokio::task::JoinError>),
    Stop,
}

impl Daemon {
    /// A daemon that knows what the database says about earlier passes.
    pub async fn new(parts: Parts) -> Result<Self, StoreError> {
        let (status, customers) = (parts.store.status().await?, parts.store.customers().await?);
        let force = parts.setting.force();
        let agenda = Agenda::from_status(force.policy, &status, &customers, &force.config);
        let beat = (parts.clock.now(), parts.clock.monotonic());
        let progress = Arc::new(std::sync::Mutex::new(beat.1));
        // Not before it is ready, since of thousands of meters that takes a second; and not at all where
        // nothing is left, since what it takes of memory is kept.
        let unreckoned = agenda::is_unfinished(&status, &force.config);
        let daemon = Self {
            parts,
            agenda,
            manager: Manager::new(),
            pass: None,
            proof: None,
            unreckoned,
            resting: false,
            wanted: None,
            beat,
            progress,
            distrusted: false,
        };
        daemon.show(&status);
        Ok(daemon)
    }

    /// Runs until it is asked to stop. No failing source and no failing database ends it.
    pub async fn run(mut self) {
        let heartbeat = Heartbeat::start(Arc::clone(&self.parts.clock));
        self.look();
        self.manager.ready(&self.parts.board.read().line());
        self.prove();
        let clock = Arc::clone(&self.parts.clock);
        let asked = Arc::clone(&self.parts.asked);
        let mut status_timer = tokio::time::interval(STATUS_EVERY);
        status_timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let event = tokio::select! {
                biased;
                () = asked.stop.cancelled() => Event::Stop,
                ended = finished(&mut self.pass) => Event::PassEnded(ended),
                proved = joined(&mut self.proof) => Event::Proved(proved),
                () = asked.anything() => Event::Asked,
                () = heartbeat.beat(&*clock) => Event::Beat,
                _ = status_timer.tick(), if self.pass.is_some() => {
                    self.manager.status(&self.parts.board.read().line());
                    continue;
                }
            };
            match event {
                Event::Stop => break,
                Event::PassEnded(ended) => self.pass_ended(ended).await,
                Event::Proved(proved) => self.proved(proved),
                Event::Asked => self.asked().await,
                Event::Beat => self.beat(),
            }
            self.look();
            self.manager.status(&self.parts.board.read().line());
        }
        self.stop().await;
    }

    /// Starts the pass that is due, if one is and none is under way.
    fn look(&mut self) {
        let now = self.parts.clock.now().timestamp();
        if !wake::is_plausible(now) {
            if !std::mem::replace(&mut self.distrusted, true) {
                tracing::error!(
                    "the clock of this machine shows {}, which cannot be; no call is made until it is set",
                    self.parts.clock.now().format("%Y-%m-%d")
                );
            }
            self.parts.board.write(|board| board.wake = None);
            return;
        }
        self.distrusted = false;
        let wake = self.agenda.next(now);
        self.parts.board.write(|board| board.wake = Some(wake));
        if self.pass.is_some() {
            return;
        }
        if let Some(why) = self.wanted.take().or((wake.at <= now).then_some(wake.why)) {
            self.start(why, now);
        }
    }

    fn start(&mut self, why: Why, now: i64) {
        let force = self.parts.setting.force();
        let (turns, board) = (self.parts.turns.clone(), self.parts.board.clone());
        let (clock, stop) = (Arc::clone(&self.parts.clock), self.parts.asked.stop.clone());
        let progress = Arc::clone(&self.progress);
        let request = Request { operator: why == Why::Operator, ..Request::default() };
        let selection = Selection { request, ..Selection::default() };
        board.write(|board| {
            board.running =
                Some(Running { why, began: now, progress: crate::engine::Progress::default(), queued: false });
        });
        let alive = move || {
            if let Ok(mut progress) = progress.lock() {
                *progress = clock.monotonic();
            }
        };
        alive();
        let span = tracing::info_span!("pass", why = why.name());
        let work = async move {
            let queued = || board.write(|b| b.running.iter_mut().for_each(|running| running.queued = true));
            let Some(_turn) = turns.take(&stop, queued).await? else { return Ok(None) };
            let observer = |progress| {
                alive();
                board.write(|b| {
                    b.running.iter_mut().for_each(|running| (running.progress, running.queued) = (progress, false));
                });
            };
            force.engine.pass(&selection, &stop, &observer).await.map(Some)
        };
        self.pass = Some(Pass { why, began: now, task: tokio::spawn(work.instrument(span)) });
    }

    async fn pass_ended(&mut self, ended: Result<PassEnd, tokio::task::JoinError>) {
        let Some(pass) = self.pass.take() else { return };
        let now = self.parts.clock.now().timestamp();
        let took = Duration::from_secs((now - pass.began).max(0).unsigned_abs());
        self.parts.board.write(|board| board.running = None);
        let left = match &ended {
            Ok(Ok(Some(report))) => report.left,
            _ => self.parts.board.read().last.map_or(0, |last| last.left),
        };
        let (ended, result, told) = match ended {
            Ok(Ok(Some(report))) => self.report(&report, pass.why, took),
            Ok(Ok(None)) => (Ended::InTrouble, "stopped", "it did not begin".to_owned()),
            Ok(Err(error)) => {
                let told = chain(&error);
                tracing::error!(why = pass.why.name(), "a pass ended early: {told}");
                self.parts.board.write(|b| b.counts.database_errors += 1);
                (Ended::InTrouble, "failed", told)
            }
            Err(error) => {
                let told = "a defect of linkyd ended it; please report the line before this one".to_owned();
                tracing::error!(why = pass.why.name(), panicked = error.is_panic(), "a pass ended early: {told}");
                (Ended::InTrouble, "failed", told)
            }
        };
        self.agenda.ended(pass.began, now, ended);
        self.parts.board.write(|board| {
            match result {
                "done" => board.counts.passes_done += 1,
                "later" => board.counts.passes_later += 1,
                _ => board.counts.passes_failed += 1,
            }
            board.last = Some(Last { why: pass.why, ended: now, result, told, left });
            if left == 0 {
                board.backlog = Backlog::default();
            }
        });
        match self.parts.store.status().await {
            Ok(status) => {
                self.agenda.learn(&status);
                self.show(&status);
                self.unreckoned = left > 0 || agenda::is_unfinished(&status, &self.parts.setting.force().config);
                if self.unreckoned {
                    self.prove();
                }
            }
            Err(error) => self.database_failed(&error),
        }
    }

    fn report(&self, report: &Report, why: Why, took: Duration) -> (Ended, &'static str, String) {
        let told = board::told(report);
        tracing::info!(
            why = why.name(),
            calls = report.calls,
            rows = report.inserted,
            changed = report.changed,
            left = report.left,
            seconds = took.as_secs(),
            "pass done: {told}"
        );
        for interruption in &report.interruptions {
            let until = interruption.until_ms.and_then(DateTime::from_timestamp_millis);
            let until = until.map(|at| format!(" Not before {} (Paris).", crate::cli::render::number::wall(at)));
            let message = catalogue::named(interruption.message.trim_end_matches('.'), &interruption.source);
            tracing::warn!(source = interruption.source, "{message}.{}", until.unwrap_or_default());
        }
        self.parts.board.write(|board| {
            board.counts.inserted += report.inserted;
            board.counts.changed += report.changed;
            board.pause = report.interruptions.first().map(|i| {
                let why = catalogue::named(i.message.trim_end_matches('.'), &i.source);
                format!("source {}: {why}", i.source)
            });
        });
        (Ended::of(report), if report.left == 0 { "done" } else { "later" }, told)
    }

    /// Shows up to which day everything is there.
    fn show(&self, status: &[SeriesStatus]) {
        let asked = |s: &&SeriesStatus| !matches!(s.state, SeriesState::Suspended | SeriesState::NotOffered);
        let newest: Option<Vec<_>> = status
            .iter()
            .filter(asked)
            // A series that has nothing at all, but is not failing, keeps nothing back.
            .filter(|s| s.newest_day.is_some() || s.days.get(&DayState::Missing).is_some_and(|days| *days > 0))
            .map(|s| s.newest_day)
            .collect();
        self.parts.board.write(|board| board.complete_to = newest.unwrap_or_default().into_iter().min());
    }

    /// A minute has passed.
    fn beat(&mut self) {
        let (wall, monotonic) = (self.parts.clock.now(), self.parts.clock.monotonic());
        let passed = i64::try_from(monotonic.saturating_sub(self.beat.1).as_secs()).unwrap_or(i64::MAX);
        let jump = (wall - self.beat.0).num_seconds() - passed;
        if jump.abs() > JUMP {
            tracing::info!(seconds = jump, "the clock jumped: the machine slept, or somebody set it");
            self.parts.board.write(|board| board.counts.clock_jumps += 1);
        }
        self.beat = (wall, monotonic);
        self.prove();
    }

    /// Begins to prove that the database can be read, and that it is still the same.
    fn prove(&mut self) {
        if self.proof.is_some() {
            return;
        }
        let store = Arc::clone(&self.parts.store);
        let force = std::mem::take(&mut self.unreckoned).then(|| self.parts.setting.force());
        self.proof = Some(tokio::spawn(async move {
            let sources = store.sources().await?;
            let backlog = match force {
                Some(force) => Some(Backlog::of(&force.engine).await?),
                None => None,
            };
            Ok((sources, backlog))
        }));
    }

    fn proved(&mut self, proved: Result<Proof, tokio::task::JoinError>) {
        match proved {
            Ok(Ok((sources, backlog))) => {
                self.notice_resumed(&sources);
                if let Some(backlog) = backlog {
                    self.parts.board.write(|board| board.backlog = backlog);
                }
                let recovered = self.parts.board.write(|board| board.trouble.take().is_some());
                if recovered {
                    tracing::info!("the database can be read again");
                }
                let silent = self.progress.lock().map_or(Duration::ZERO, |at| {
                    if self.pass.is_some() { self.parts.clock.monotonic().saturating_sub(*at) } else { Duration::ZERO }
                });
                let queued = self.parts.board.read().running.is_some_and(|running| running.queued);
                if silent < HANGS_AFTER || queued {
                    self.manager.alive();
                } else {
                    tracing::error!(
                        seconds = silent.as_secs(),
                        "a pass hangs; the service manager may start linkyd again"
                    );
                }
            }
            Ok(Err(error)) => self.database_failed(&error),
            Err(_) => tracing::error!("looking at the database ended in a defect of linkyd"),
        }
    }

    /// Looks at once when an operator has lifted the rest of a source (`linkyd resume`).
    fn notice_resumed(&mut self, sources: &[SourceStatus]) {
        let now_ms = self.parts.clock.now().timestamp_millis();
        let resting = sources.iter().any(|s| s.state.not_before_ms.is_some_and(|until| until > now_ms));
        let lifted = std::mem::replace(&mut self.resting, resting) && !resting;
        if lifted && self.pass.is_none() {
            self.agenda.resume(now_ms.div_euclid(1_000));
        }
    }

    fn database_failed(&self, error: &StoreError) {
        let told = chain(error);
        let known = self.parts.board.write(|board| {
            board.counts.database_errors += 1;
            board.trouble.replace(told.clone()).is_some_and(|before| before == told)
        });
        if !known {
            tracing::error!("{told}");
        }
    }

    /// Does what operators asked for.
    async fn asked(&mut self) {
        if self.parts.asked.status() {
            self.tell_status().await;
        }
        if self.parts.asked.reload() {
            self.reload();
        }
        if self.parts.asked.look() {
            tracing::info!(
                "a pass was asked for{}",
                if self.pass.is_some() { "; it follows the one that is under way" } else { "" }
            );
            self.wanted = Some(Why::Operator);
        }
    }

    fn reload(&mut self) {
        self.manager.reloading();
        let now = self.parts.clock.now().timestamp();
        match self.parts.setting.reload(&self.parts.store) {
            Ok(changed) => {
                let force = self.parts.setting.force();
                self.agenda.set_policy(force.policy);
                self.parts.board.write(|board| {
                    board.config = Arc::clone(&force.config);
                    board.reloaded = board::Reloaded { problem: None, success_at: now };
                });
                self.unreckoned = true;
                self.prove();
                for note in &changed.restart {
                    tracing::warn!("{note} changed; that takes effect when linkyd is started again");
                }
                tracing::info!(
                    "the configuration was read again{}",
                    if changed.any { "" } else { "; nothing changed" }
                );
                if changed.wants {
                    self.wanted = self.wanted.or(Some(Why::Reload));
                }
            }
            Err(problems) => {
                for problem in &problems {
                    tracing::error!("{problem}");
                }
                tracing::error!("the configuration cannot be used; the one from before stays in force");
                self.parts
                    .board
                    .write(|board| board.reloaded.problem = problems.into_iter().next().or(Some(String::new())));
            }
        }
        self.manager.ready(&self.parts.board.read().line());
    }

    /// Writes the status to the log, a line at a time.
    async fn tell_status(&self) {
        let board = self.parts.board.read();
        tracing::info!("{}", board.line());
        let now = self.parts.clock.now();
        match View::gather(&*self.parts.store, &board.config, board.left(), now, now).await {
            Ok(view) => {
                for line in view.text(false).lines().filter(|line| !line.is_empty()) {
                    tracing::info!("{line}");
                }
            }
            Err(error) => self.database_failed(&error),
        }
    }

    /// Lets the pass finish the transaction at hand.
    async fn stop(mut self) {
        self.parts.board.write(|board| board.stopping = true);
        self.manager.stopping();
        tracing::info!("stopping");
        if let Some(pass) = self.pass.take() {
            tokio::select! {
                _ = pass.task => {}
                () = self.parts.clock.sleep(LAST_PATIENCE) => {
                    tracing::warn!("the pass at hand did not end in time; what it has not stored follows after the next start");
                }
            }
        }
        tracing::info!("stopped");
    }

    /// The configuration in force.
    #[must_use]
    pub fn force(&self) -> Arc<Force> {
        self.parts.setting.force()
    }
}

async fn finished(pass: &mut Option<Pass>) -> Result<PassEnd, tokio::task::JoinError> {
    match pass {
        Some(pass) => (&mut pass.task).await,
        None => std::future::pending().await,
    }
}

/// The outcome of a task, once; for ever pending where there is none.
async fn joined<T>(task: &mut Option<JoinHandle<T>>) -> Result<T, tokio::task::JoinError> {
    let Some(running) = task else { return std::future::pending().await };
    let done = running.await;
    *task = None;
    done
}

/// An error with everything behind it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

impl std::fmt::Debug for Daemon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Daemon").field("agenda", &self.agenda).finish_non_exhaustive()
    }
}

/// A board for a daemon that starts with this configuration.
#[must_use]
pub fn board(setting: &Setting, now: DateTime<Utc>) -> Shared {
    Shared::new(Board::new(Arc::clone(&setting.force().config), now.timestamp()))
}
