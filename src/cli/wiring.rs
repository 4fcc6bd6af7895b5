//! From the configuration to an engine.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::Trouble;
use super::args::Narrow;
use crate::budget::Limits;
use crate::client::HttpTransport;
use crate::clock::{Calendar, Clock};
use crate::config::{ApiChoice, Config, SourceConfig};
use crate::domain::{Api, Dataset, Day, Days};
use crate::engine::{ActiveMeter, ActiveSource, Engine, Selection};
use crate::exit::Exit;
use crate::plan::Request;
use crate::source::enedis::{Enedis, EnedisSettings};
use crate::store::lock::{self, DAEMON};
use crate::store::sqlite::{Mode, SqliteStore};
use crate::store::{Store, StoreError};

/// The sources, ready for use.
pub(super) fn sources(config: &Config) -> Result<Vec<ActiveSource>, Trouble> {
    config.sources.iter().map(source).collect()
}

fn source(config: &SourceConfig) -> Result<ActiveSource, Trouble> {
    let apis = match config.api {
        ApiChoice::V5 => vec![Api::V5],
        ApiChoice::V2026 => vec![Api::V2026],
        ApiChoice::Auto => vec![Api::V2026, Api::V5],
    };
    let source = Enedis::new(EnedisSettings {
        name: config.name.clone(),
        base_url: config.base_url.clone(),
        apis,
        client_id: config.client_id.clone(),
        client_secret: config.client_secret.clone().unwrap_or_else(|| SecretString::from("")),
        user_agent: Enedis::user_agent(),
    });
    let transport = HttpTransport::new(&config.base_url).map_err(|error| Trouble::new(Exit::Internal, &error))?;
    let limits = Limits {
        per_second: config.limits.per_second,
        per_hour: config.limits.per_hour,
        per_day: config.limits.per_day,
    };
    Ok(ActiveSource { source: Arc::new(source), transport: Arc::new(transport), limits })
}

/// The meters that are kept.
pub(super) fn meters(config: &Config) -> Vec<ActiveMeter> {
    config
        .meters
        .iter()
        .map(|meter| ActiveMeter {
            prm: meter.prm.clone(),
            name: meter.name.clone(),
            // The first is the preferred one; there is at least one (config::meter).
            source: meter.sources.first().cloned().unwrap_or_default(),
            datasets: meter.datasets.clone(),
            since: meter.since,
        })
        .collect()
}

/// How often each dataset is asked for new days.
pub(super) fn every(config: &Config) -> BTreeMap<Dataset, i32> {
    config.schedule.every.clone()
}

/// The engine of a configuration.
pub(super) fn engine(
    config: &Config,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    at: Option<DateTime<Utc>>,
) -> Result<Engine, Trouble> {
    Ok(Engine {
        store,
        calendar: Calendar::new(Arc::clone(&clock), at),
        clock,
        sources: sources(config)?,
        meters: meters(config),
        every: every(config),
    })
}

/// How long a command waits between two looks at whether the daemon's pass has ended.
const TURN_AGAIN: Duration = Duration::from_millis(250);

/// Opens the database for writing. Where a daemon is at one of its passes, or where this is the
/// daemon and a command writes, it waits until that has ended; `None` where `stop` came first.
pub(super) async fn open_in_turn(
    path: &Path,
    mode: Mode,
    command: &str,
    stop: &CancellationToken,
    clock: &dyn Clock,
) -> Result<Option<SqliteStore>, StoreError> {
    let mut told = false;
    loop {
        match SqliteStore::open(path, mode, command).await {
            Err(busy @ StoreError::Busy { .. }) if command == DAEMON || lock::daemon_writes(path) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::info!("waiting for a turn: {busy}");
                }
            }
            opened => return opened.map(Some),
        }
        tokio::select! {
            () = clock.sleep(TURN_AGAIN) => {}
            () = stop.cancelled() => return Ok(None),
        }
    }
}

/// What the arguments narrow a pass to. A meter that is not configured is a mistake.
pub(super) fn selection(narrow: &Narrow, refetch: bool, config: &Config) -> Result<Selection, Trouble> {
    if let Some(unknown) = narrow.prms.iter().find(|prm| config.meters.iter().all(|m| m.prm != **prm)) {
        let message = format!("the meter {unknown} is not in the configuration; add a [[meter]] block for it");
        return Err(Trouble { exit: Exit::Usage, message });
    }
    let only = match (narrow.from, narrow.to) {
        (None, None) => None,
        (from, to) => Days::new(
            from.unwrap_or_else(|| Day::from_number(0)),
            to.map_or_else(|| Day::from_number(90_000), Day::next),
        ),
    };
    let request = Request { only, refetch, operator: true };
    Ok(Selection { prms: narrow.prms.clone(), datasets: narrow.datasets.clone(), request })
}

/// A token that is set by the first SIGINT or SIGTERM. The second one ends the process at once,
/// which the database survives like any crash.
pub(super) fn stop_on_signals() -> Result<CancellationToken, Trouble> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed = |error: std::io::Error| Trouble::new(Exit::Internal, &error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if token.is_cancelled() {
                at_once();
            }
            token.cancel();
        }
    });
    Ok(stop)
}

#[expect(clippy::exit, reason = "the operator asked twice to stop")]
fn at_once() {
    std::process::exit(i32::from(Exit::Done.code()));
}

/// Where the database is, for messages.
pub(super) fn place(path: &Path) -> String {
    path.display().to_string()
}
