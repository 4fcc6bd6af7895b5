//! What the operator wants: the configuration file, the environment on top of it, checked.
//!
//! [`load()`] reads both layers, and the table of meters that they may name, tells everything that is wrong at once, each with its line, and
//! returns a [`Config`] that the rest of the program can take at its word: meters have fourteen
//! digits, sources exist, limits are within what the source allows. Where each value came from is
//! kept beside it, so that `config show` can say it. `schema` lists every key and default;
//! `docs/configuration.md` is the reference for people.

mod explain;
mod kind;
mod layers;
mod limits;
mod load;
mod meter;
mod meters_file;
mod read;
pub mod schema;
mod secret;
mod section;
pub mod show;
mod source;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use chrono::NaiveTime;
use secrecy::SecretString;
use url::Url;

use crate::domain::{CustomerDataset, Dataset, Day, Prm};
use crate::store::Place;

pub use explain::{ConfigError, Origin, Problem};
pub use kind::{SourceKind, SourceSettings};
pub use layers::Environment;
pub use limits::LimitsConfig;
pub use load::{Loaded, Provenance, load};
pub use secret::{SecretError, Secrets, read_file as read_secret_file};
pub use show::{check, show};

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the history is kept.
    pub database: DatabaseConfig,
    /// Where it comes from, in the order of their names.
    pub sources: Vec<SourceConfig>,
    /// When it is fetched.
    pub schedule: Schedule,
    /// What linkyd says about it.
    pub log: LogConfig,
    /// The status page.
    pub http: HttpConfig,
    /// Whose history it is, in the order of the file.
    pub meters: Vec<MeterConfig>,
}

impl Config {
    /// The source of that name.
    #[must_use]
    pub fn source(&self, name: &str) -> Option<&SourceConfig> {
        self.sources.iter().find(|source| source.name == name)
    }
}

/// `[database]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseConfig {
    /// The URL as configured, without what is secret in it.
    pub url: String,
    /// What it names.
    pub place: Place,
    /// For how many days answers are kept as they came; 0: not at all.
    pub kept_days: i32,
}

/// Which of Enedis' environments a source talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ApiEnvironment {
    /// Real meters.
    Production,
    /// Enedis' test bed with invented ones.
    Sandbox,
}

impl ApiEnvironment {
    /// The name used in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Sandbox => "sandbox",
        }
    }
}

/// Which API of Enedis a source uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ApiChoice {
    /// The API of 2023 to 2026.
    V5,
    /// Data Connect 2026.
    V2026,
    /// The newer one where it answers, else the older.
    Auto,
}

impl ApiChoice {
    /// The name used in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V5 => "v5",
            Self::V2026 => "2026",
            Self::Auto => "auto",
        }
    }
}

/// `[source.NAME]`
#[derive(Debug, Clone)]
pub struct SourceConfig {
    /// The operator's name for it.
    pub name: String,
    /// What it speaks, and what that takes.
    pub settings: SourceSettings,
    /// Where it is: https, or a loopback address.
    pub base_url: Url,
    /// How often it may be asked.
    pub limits: LimitsConfig,
}

impl SourceConfig {
    /// What it speaks.
    #[must_use]
    pub fn kind(&self) -> SourceKind {
        self.settings.kind()
    }
}

/// `[schedule]`, in Paris wall time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// When the day's first pass begins, at 08:00 or later.
    pub wake_at: NaiveTime,
    /// Until when days that are not yet published are asked for again; never before `wake_at`.
    pub retry_until: NaiveTime,
    /// Every how many days a series is asked for new days; 1 for those that are not named.
    pub every: BTreeMap<Dataset, i32>,
}

impl Schedule {
    /// Every how many days the series is asked for new days.
    #[must_use]
    pub fn every(&self, dataset: Dataset) -> i32 {
        self.every.get(&dataset).copied().unwrap_or(1)
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogFormat {
    /// As it fits where the lines go: a terminal, the journal, or a file.
    Auto,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// The name used in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Json => "json",
        }
    }
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// Levels, alone or by module: `info`, `info,linkyd::plan=debug`.
    pub filter: String,
    /// How lines look.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { filter: schema::LOG_FILTER.to_owned(), format: LogFormat::Auto }
    }
}

/// `[http]`
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Where the status page listens; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// Whether it may listen where other machines can reach it. Then there is a token as well,
    /// wherever secrets were asked for.
    pub allow_remote: bool,
    /// Names by which browsers may call it, besides the loopback's and its address.
    pub hosts: Vec<String>,
    /// What whoever looks must show.
    pub token: Option<SecretString>,
}

/// One `[[meter]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeterConfig {
    /// The meter.
    pub prm: Prm,
    /// Its name, unique; stands for the PRM wherever people read.
    pub name: String,
    /// Names of sources, the preferred one first; each exists, and there is at least one.
    pub sources: Vec<String>,
    /// What is collected; at least one.
    pub datasets: Vec<Dataset>,
    /// What is kept of the customer.
    pub customer: Vec<CustomerDataset>,
    /// No day before this one is wanted.
    pub since: Option<Day>,
    /// Where its datasets are named, or else itself.
    pub stands: Stands,
}

/// A place in the configuration. What is the same but for its place is the same: a line that moves changes nothing.
#[derive(Clone)]
pub struct Stands(pub Origin);

impl std::fmt::Debug for Stands {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stands")
    }
}

impl PartialEq for Stands {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Stands {}
