//! The command line: what can be asked, and how answers are laid out for people.
//!
//! [`args`] turns arguments into a [`Command`] of checked values, or into a message and an exit
//! code. Each command has a file of its own that does the work through the library and says what
//! came of it; [`render`] lays out tables and numbers. Reports go to standard output, everything
//! else to standard error.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Environment, Loaded, LogConfig, Secrets};
use crate::daemon::signals;
use crate::exit::Exit;
use crate::observe::{LogHandle, Surroundings, init_logs};
use crate::store::StoreError;

pub mod args;
mod authorize;
mod backup;
mod copy;
mod db;
mod demo;
mod doctor;
mod forget;
pub(crate) mod journeys;
mod plan;
mod progress;
pub mod render;
mod replay;
mod resume;
mod run;
mod simulate;
#[cfg(test)]
mod snapshots;
mod sources;
pub(crate) mod status;
mod sync;
mod wiring;

pub use args::{Command, Invocation, Refusal, parse};

/// Why a command ends early: what to say, and how to exit.
#[derive(Debug)]
struct Trouble {
    exit: Exit,
    message: String,
}

impl Trouble {
    fn new(exit: Exit, error: &dyn std::error::Error) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            message = format!("{message}: {inner}");
            source = inner.source();
        }
        Self { exit, message }
    }
}

impl From<crate::config::ConfigError> for Trouble {
    fn from(error: crate::config::ConfigError) -> Self {
        Self::new(Exit::Configuration, &error)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        let exit = match &error {
            StoreError::Busy { .. } => Exit::TryLater,
            StoreError::Inconsistent { .. } => Exit::Internal,
            _ => Exit::DatabaseUnreachable,
        };
        Self::new(exit, &error)
    }
}

/// Reports are what commands write, so an error without another explanation is theirs.
impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self { exit: Exit::InputOutput, message: format!("cannot write to standard output: {error}") }
    }
}

/// Runs the command line of this process.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let mut out = io::stdout().lock();
    let invocation = match parse(arguments) {
        Ok(invocation) => invocation,
        Err(refusal) => {
            let told = if refusal.to_stdout {
                out.write_all(refusal.text.as_bytes())
            } else {
                io::stderr().write_all(refusal.text.as_bytes())
            };
            return if told.is_ok() { refusal.exit } else { Exit::InputOutput };
        }
    };
    drop(out);
    let environment = Environment::of_process();
    // One thread: there is little to do at once, and waking another costs more than the work.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return say(&Trouble::new(Exit::Internal, &error)),
    };
    let done = runtime.block_on(run(&invocation, &environment));
    // Work that nobody waits for any more, such as a slow answer, must not delay the end.
    runtime.shutdown_background();
    done.unwrap_or_else(|trouble| say(&trouble))
}

fn say(trouble: &Trouble) -> Exit {
    let mut text = String::new();
    for line in crate::observe::mask::digits(&trouble.message).lines() {
        let _infallible = writeln!(text, "linkyd: {line}");
    }
    // Where even this cannot be told, the exit code still says it.
    let _ = io::stderr().write_all(text.as_bytes());
    trouble.exit
}

async fn run(invocation: &Invocation, environment: &Environment) -> Result<Exit, Trouble> {
    survive_file_limits();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let surroundings = Surroundings::detect(environment);
    let path = invocation.config.as_deref();
    match &invocation.command {
        Command::Run => {
            // Before anything else: until then some signals would end the process.
            let asked = signals::install().map_err(|error| Trouble::new(Exit::Internal, &error))?;
            let loaded = crate::config::load(path, environment, Secrets::Read)?;
            loaded.require_meters()?;
            let log = begin(&loaded, surroundings)?;
            run::run(run::Started { loaded, log, asked, clock, path: path.map(Path::to_owned), environment }).await
        }
        Command::Sync(args) => {
            let loaded = for_a_pass(path, environment, surroundings, Secrets::Read)?;
            sync::sync(args, &loaded, clock).await
        }
        Command::Plan(args) => {
            let loaded = for_a_pass(path, environment, surroundings, Secrets::Skip)?;
            plan::plan(args, &loaded, clock).await
        }
        Command::Status(args) => {
            let loaded = load(path, environment, surroundings, Secrets::Skip)?;
            status::status(args, &loaded, clock).await
        }
        Command::Doctor(args) => doctor::doctor(args, path, environment, surroundings, clock).await,
        Command::Authorize(args) => {
            let loaded = crate::config::load(path, environment, Secrets::Read)?.before_meters();
            begin(&loaded, surroundings)?;
            authorize::authorize(args, &loaded, environment, clock).await
        }
        Command::Resume(args) => {
            let loaded = load(path, environment, surroundings, Secrets::Skip)?;
            resume::resume(args, &loaded, clock).await
        }
        Command::Forget(args) => {
            let loaded = load(path, environment, surroundings, Secrets::Skip)?;
            forget::forget(args, &loaded, clock).await
        }
        Command::Simulate(args) => {
            logs(&LogConfig::default(), surroundings)?;
            simulate::simulate(args, clock).await
        }
        Command::Demo(args) => {
            logs(&LogConfig { filter: "warn".to_owned(), ..LogConfig::default() }, surroundings)?;
            demo::demo(args, clock).await
        }
        Command::Config(args::ConfigCommand::Check(args)) => {
            // What a source offers is for itself to say.
            let more = |config: &Config| wiring::useless(&wiring::counted(config), config);
            Ok(crate::config::show::check(path, environment, &more, args.json, &mut io::stdout())?)
        }
        Command::Config(args::ConfigCommand::Show(args)) => {
            let loaded = crate::config::load(path, environment, Secrets::Skip)?;
            crate::config::show::show(&loaded, args.json, &mut io::stdout())?;
            Ok(Exit::Done)
        }
        Command::Db(command) => {
            let loaded = load(path, environment, surroundings, Secrets::Skip)?;
            db::db(command, &loaded, &clock).await
        }
    }
}

/// A file that may not grow further is an error like a full disk, not the end of the process.
fn survive_file_limits() {
    use tokio::signal::unix::{SignalKind, signal};
    // SIGXFSZ. The handler stays when its receiver is gone; without one all is as before.
    let _ = signal(SignalKind::from_raw(25));
}

fn load(
    path: Option<&Path>,
    environment: &Environment,
    surroundings: Surroundings,
    secrets: Secrets,
) -> Result<Loaded, Trouble> {
    let loaded = crate::config::load(path, environment, secrets)?;
    begin(&loaded, surroundings)?;
    Ok(loaded)
}

/// The same for commands that are about meters, so there must be one.
fn for_a_pass(
    path: Option<&Path>,
    environment: &Environment,
    surroundings: Surroundings,
    secrets: Secrets,
) -> Result<Loaded, Trouble> {
    let loaded = crate::config::load(path, environment, secrets)?;
    loaded.require_meters()?;
    begin(&loaded, surroundings)?;
    Ok(loaded)
}

fn begin(loaded: &Loaded, surroundings: Surroundings) -> Result<LogHandle, Trouble> {
    let log = logs(&loaded.config.log, surroundings)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    Ok(log)
}

fn logs(config: &LogConfig, surroundings: Surroundings) -> Result<LogHandle, Trouble> {
    init_logs(config, surroundings).map_err(|error| Trouble::new(Exit::Internal, &error))
}

/// Writes a report's document: in one go, because that of thousands of meters has a million lines.
fn print_json(out: &mut dyn io::Write, document: &impl serde::Serialize) -> io::Result<()> {
    let mut out = io::BufWriter::with_capacity(1 << 16, out);
    serde_json::to_writer_pretty(&mut out, document)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Whether reports may be coloured.
fn colours() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
