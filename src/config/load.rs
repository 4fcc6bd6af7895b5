//! From a file and an environment to a checked configuration.
//!
//! The layers are merged by figment, then read section by section. Nothing stops at the first
//! mistake: a [`ConfigError::Invalid`] carries all of them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::value::Dict;

use super::explain::{ConfigError, Origin, Problem};
use super::layers::{Environment, EnvironmentLayer, FileLayer};
use super::read::{Found, Reader, Table};
use super::secret::{self, Secrets};
use super::{Config, meter, meters_file, schema, section, source};

/// A configuration that holds, and what there is to say about it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Where each value came from.
    pub provenance: Provenance,
    /// What is no mistake, but perhaps not meant.
    pub warnings: Vec<Problem>,
    /// The file that was read; `None` where the environment alone configures.
    pub file: Option<PathBuf>,
    /// The file of further meters, where there is one.
    pub meters_file: Option<PathBuf>,
}

impl Loaded {
    /// Refuses a configuration that gives a pass nothing to do.
    pub fn require_meters(&self) -> Result<(), ConfigError> {
        if self.config.meters.is_empty() {
            return Err(ConfigError::Invalid(vec![no_meters()]));
        }
        Ok(())
    }

    /// The same for a command that brings the first meter: that there is none is nothing to warn of.
    #[must_use]
    pub fn before_meters(mut self) -> Self {
        let expected = no_meters();
        self.warnings.retain(|warning| *warning != expected);
        self
    }
}

/// Where the value of each key came from, by its dotted path (`meter.0.prm`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provenance(BTreeMap<String, Origin>);

impl Provenance {
    /// The origin of a key's value.
    #[must_use]
    pub fn origin(&self, path: &str) -> &Origin {
        self.0.get(path).unwrap_or(&Origin::Default)
    }
}

/// Reads the configuration.
///
/// `path` is what `--config` names; without it the default file is read, which may be absent if
/// the environment sets keys.
pub fn load(path: Option<&Path>, environment: &Environment, secrets: Secrets) -> Result<Loaded, ConfigError> {
    let named = path.is_some();
    let path = path.unwrap_or(Path::new(schema::DEFAULT_FILE));
    let (text, world_readable) = match read(path) {
        Ok((text, world_readable)) => (Some(text), world_readable),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if named || !environment.configures() {
                return Err(ConfigError::Missing { path: path.to_path_buf(), advice: advice(named) });
            }
            (None, false)
        }
        Err(source) => return Err(ConfigError::Unreadable { path: path.to_path_buf(), source }),
    };
    let file = match &text {
        Some(text) => FileLayer::parse(path, text).map_err(|problem| ConfigError::Invalid(vec![problem]))?,
        None => FileLayer::default(),
    };
    let layer = EnvironmentLayer::new(environment, &file);
    let figment = Figment::from(&file).merge(&layer);
    let root = figment.find_value("").unwrap_or_else(|_| Dict::new().into());

    let reader = Reader::new(&figment, &file, &layer);
    let top = reader.root(&root);
    top.refuse_unknown_keys();
    if world_readable {
        refuse_open_secrets(&top);
    }
    let more_meters = meters_file::path(&top);
    let config = sections(&top, more_meters.as_ref(), environment, secrets);
    let (problems, origins) = reader.finish();
    let Some(config) = config.filter(|_| problems.is_empty()) else {
        return Err(ConfigError::Invalid(problems));
    };
    let mut warnings = layer.strangers.clone();
    if config.meters.is_empty() {
        warnings.push(no_meters());
    }
    let file = text.map(|_| path.to_path_buf());
    let meters_file = more_meters.map(|found| found.value);
    Ok(Loaded { config, provenance: Provenance(origins), warnings, file, meters_file })
}

fn sections(
    top: &Table<'_>,
    more_meters: Option<&Found<PathBuf>>,
    environment: &Environment,
    secrets: Secrets,
) -> Option<Config> {
    // Every section is read before any is missed, so that all problems come to light.
    let database = section::database(&top.table("database"), environment);
    let names = source::names(&top.table("source"));
    let sources = source::all(&top.table("source"), environment, secrets);
    let schedule = section::schedule(&top.table("schedule"));
    let log = section::log(&top.table("log"));
    let http = section::http(&top.table("http"), environment, secrets);
    let blocks = meter::blocks(&top.table("meter"), &names);
    let lines = meters_file::meters(top, more_meters, blocks.as_ref().map_or(0, Vec::len), &names);
    let meters =
        blocks.zip(lines).and_then(|(blocks, lines)| meter::all(top.reader, blocks.into_iter().chain(lines).collect()));
    Some(Config {
        database: database?,
        sources: sources?,
        schedule: schedule?,
        log: log?,
        http: http?,
        meters: meters?,
    })
}

fn read(path: &Path) -> io::Result<(String, bool)> {
    let mut file = File::open(path)?;
    let world_readable = secret::is_world_readable(&file)?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok((text, world_readable))
}

fn refuse_open_secrets(top: &Table<'_>) {
    let sources = top.table("source");
    let tables = sources.keys().into_iter().map(|name| sources.table(name)).chain([top.table("http")]);
    for table in tables {
        for key in ["client_secret", "token"] {
            if let (Some(_), Some(origin @ Origin::File { .. })) = (table.filled(key), table.origin_of(key)) {
                let message = format!(
                    "{key} stands in a file that every user of this machine can read; run chmod 640 on it, \
                     or name a file with {key}_file"
                );
                top.reader.problem(&origin, &message);
            }
        }
    }
}

fn no_meters() -> Problem {
    Problem::new(
        Origin::Default,
        "there is no meter, and `run` and `sync` need one; add a [[meter]] with its prm, as `linkyd authorize` offers to",
    )
}

fn advice(named: bool) -> &'static str {
    if named { "check the name given with --config" } else { "write it, or name another one with --config" }
}
