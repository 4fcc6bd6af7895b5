//! The configuration in force, and how another one takes its place: all of it or nothing.

use std::sync::{Arc, Mutex, PoisonError};

use secrecy::ExposeSecret as _;

use crate::config::{Config, ConfigError, Loaded};
use crate::engine::Engine;
use crate::observe::LogHandle;
use crate::plan::wake::{self, Policy};
use crate::store::Store;

/// What a pass begins with. It keeps it to its end, whatever is read meanwhile.
#[derive(Debug)]
pub struct Force {
    /// The configuration.
    pub config: Arc<Config>,
    /// What it comes to.
    pub engine: Engine,
    /// When passes are due.
    pub policy: Policy,
}

/// Makes the engine of a configuration, or says why it cannot.
pub type Build = Box<dyn Fn(&Config, Arc<dyn Store>) -> Result<Engine, String> + Send + Sync>;

/// Reads the configuration again.
pub type Read = Box<dyn Fn() -> Result<Loaded, ConfigError> + Send + Sync>;

/// The configuration in force and the ways to another one.
pub struct Setting {
    force: Mutex<Arc<Force>>,
    read: Read,
    build: Build,
    log: LogHandle,
}

/// What another configuration changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changed {
    /// Anything at all.
    pub any: bool,
    /// What may be asked for, or of whom: worth a pass.
    pub wants: bool,
    /// Keys that take effect only at the next start.
    pub restart: Vec<&'static str>,
}

impl Setting {
    /// A configuration in force.
    pub fn new(
        config: Config,
        store: &Arc<dyn Store>,
        read: Read,
        build: Build,
        log: LogHandle,
    ) -> Result<Self, String> {
        let force = force(config, store, &build)?;
        Ok(Self { force: Mutex::new(Arc::new(force)), read, build, log })
    }

    /// The one that is in force now.
    #[must_use]
    pub fn force(&self) -> Arc<Force> {
        Arc::clone(&self.force.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the configuration again and puts it in force. Where anything is wrong with it nothing
    /// changes, and what is wrong is returned, a line each.
    pub fn reload(&self, store: &Arc<dyn Store>) -> Result<Changed, Vec<String>> {
        let lines = |error: &ConfigError| error.problems().iter().map(ToString::to_string).collect::<Vec<_>>();
        let loaded = (self.read)().map_err(|error| lines(&error))?;
        loaded.require_meters().map_err(|error| lines(&error))?;
        let new = force(loaded.config, store, &self.build).map_err(|error| vec![error])?;
        self.log.set_filter(&new.config.log.filter).map_err(|error| vec![error.to_string()])?;
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let changed = compare(&self.force().config, &new.config);
        *self.force.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        Ok(changed)
    }
}

impl std::fmt::Debug for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setting").field("force", &self.force).finish_non_exhaustive()
    }
}

fn force(config: Config, store: &Arc<dyn Store>, build: &Build) -> Result<Force, String> {
    let engine = build(&config, Arc::clone(store))?;
    let policy = policy(&config);
    Ok(Force { config: Arc::new(config), engine, policy })
}

/// The hours of a configuration. The delay belongs to the household: it follows from the first
/// meter, so that it stays the same on another machine and in each new container.
#[must_use]
pub fn policy(config: &Config) -> Policy {
    let installation = config.meters.first().map_or("", |meter| meter.prm.full());
    Policy {
        wake_at: config.schedule.wake_at,
        retry_until: config.schedule.retry_until,
        jitter: wake::jitter(installation),
    }
}

fn compare(old: &Config, new: &Config) -> Changed {
    let mut restart = Vec::new();
    if old.database != new.database {
        restart.push("[database]");
    }
    let page = |config: &Config| {
        let http = &config.http;
        (http.listen, http.allow_remote, http.hosts.clone(), http.token.as_ref().map(|t| t.expose_secret().to_owned()))
    };
    if page(old) != page(new) {
        restart.push("[http]");
    }
    if old.log.format != new.log.format {
        restart.push("log.format");
    }
    // Debug shows all of a source but its secret, and a new secret is worth a pass as well: an
    // operator who has the file read again has a reason.
    let sources = |config: &Config| format!("{:?}", config.sources);
    let secrets = |config: &Config| {
        config.sources.iter().map(|s| s.settings.secret().1.map(|s| s.expose_secret().to_owned())).collect::<Vec<_>>()
    };
    let wants = old.meters != new.meters
        || sources(old) != sources(new)
        || secrets(old) != secrets(new)
        || old.schedule.every != new.schedule.every;
    let any = wants || !restart.is_empty() || old.schedule != new.schedule || old.log != new.log;
    Changed { any, wants, restart }
}
