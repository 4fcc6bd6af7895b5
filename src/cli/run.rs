//! `linkyd run`: the daemon, from the configuration to the end of its loop.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Trouble, wiring};
use crate::clock::Clock;
use crate::config::{Environment, Loaded, Secrets};
use crate::daemon::reload::Setting;
use crate::daemon::signals::Asked;
use crate::daemon::turn::Turns;
use crate::daemon::{Daemon, Parts, board};
use crate::exit::Exit;
use crate::http;
use crate::observe::LogHandle;
use crate::store::lock::{DAEMON, ProcessLock};
use crate::store::{Database, Mode, Store};

/// What there is when the daemon begins.
pub(super) struct Started<'e> {
    pub(super) loaded: Loaded,
    pub(super) log: LogHandle,
    pub(super) asked: Arc<Asked>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) path: Option<PathBuf>,
    pub(super) environment: &'e Environment,
}

pub(super) async fn run(started: Started<'_>) -> Result<Exit, Trouble> {
    let Started { loaded, log, asked, clock, path, environment } = started;
    tell_panics_to_the_log();
    let place = loaded.config.database.place.clone();
    // Several daemons may share a server, where each series is one's at a time; a file is one's alone.
    let file = place.file().map(Path::to_owned);
    let _life = file.as_deref().map(ProcessLock::take_for_life).transpose()?;
    let Some(database) = wiring::open_in_turn(&place, Mode::Create, DAEMON, &asked.stop, &clock).await? else {
        return Ok(Exit::Done);
    };
    if let Database::File(store) = &database {
        store.unlock();
    }
    let store = database.store();
    let again = environment.clone();
    let read = move || crate::config::load(path.as_deref(), &again, Secrets::Read);
    let build_clock = Arc::clone(&clock);
    let build = move |config: &crate::config::Config, store: Arc<dyn Store>| {
        wiring::engine(config, store.patient(), Arc::clone(&build_clock), None).map_err(|trouble| trouble.message)
    };
    let internal = |message| Trouble { exit: Exit::Internal, message };
    let setting = Setting::new(loaded.config, &store, Box::new(read), Box::new(build), log).map_err(internal)?;
    let http = setting.force().config.http.clone();
    let meters = setting.force().config.meters.len();
    let board = board(&setting, clock.now());
    let page = http::Page {
        store: Arc::clone(&store),
        clock: Arc::clone(&clock),
        board: board.clone(),
        database: file.clone(),
        tally: Arc::default(),
    };
    let turns = Turns::new(file, Arc::clone(&clock));
    let daemon = Daemon::new(Parts { store, turns, clock, asked, setting, board }).await?;
    let _page = http::start(&http, page).await;
    tracing::info!(meters, "linkyd {} is ready", env!("CARGO_PKG_VERSION"));
    daemon.run().await;
    Ok(Exit::Done)
}

/// A panic is a line of the log like any other: masked, on one line, with a priority.
fn tell_panics_to_the_log() {
    std::panic::set_hook(Box::new(|panic| {
        let what = panic.payload_as_str().unwrap_or("no message");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a defect of linkyd, please report it: {what}");
    }));
}
