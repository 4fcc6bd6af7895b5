//! Checks of what is on this machine: files and their modes, the database, the clock and the rules
//! of the time zone.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Datelike as _, TimeDelta, Utc};

use super::calls::Dated;
use super::{Finding, Verdict};
use crate::cli::Trouble;
use crate::cli::render::number;
use crate::clock::Clock;
use crate::config::{Loaded, Origin};
use crate::domain::paris;
use crate::exit::Exit;
use crate::store::sqlite::{MISSING_FOLDER, NEWEST_SCHEMA, SqliteStore};
use crate::store::{Mode, Place, Store, StoreError};

/// Before this day no such program was there: a clock that shows an earlier one was never set.
const EARLIEST: &str = "2026-11-01T00:00:00Z";

/// A clock that differs by more from a source's is worth a look.
const SLIGHTLY_OFF: TimeDelta = TimeDelta::seconds(90);

/// A clock that differs by more counts other hours than the source does.
const WRONG: TimeDelta = TimeDelta::minutes(10);

/// Rules of a time zone that are older may have been changed since.
const OLD_RULES: i32 = 4;

/// The right to write of those who are neither owner nor in the group.
const OTHERS_WRITE: u32 = 0o002;

/// The right to read of those who are neither owner nor in the group.
const OTHERS_READ: u32 = 0o004;

/// What a sound configuration is about.
pub(super) fn summary(loaded: &Loaded) -> String {
    let count = |n: usize, one, many| number::counted(i64::try_from(n).unwrap_or(i64::MAX), one, many);
    let mut place = loaded.file.as_ref().map_or("the environment".to_owned(), |file| file.display().to_string());
    if let Some(file) = &loaded.meters_file {
        place = format!("{place} and {}", file.display());
    }
    let sources = count(loaded.config.sources.len(), "source", "sources");
    let meters = count(loaded.config.meters.len(), "meter", "meters");
    format!("{place}: {sources}, {meters}")
}

/// Who else may read or change what should be linkyd's own.
pub(super) fn files(loaded: &Loaded) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut wanted: Vec<(PathBuf, u32)> = Vec::new();
    wanted.extend(loaded.file.iter().map(|file| (file.clone(), OTHERS_WRITE)));
    // No secret, but the numbers and names of other people's meters.
    wanted.extend(loaded.meters_file.iter().map(|file| (file.clone(), OTHERS_WRITE | OTHERS_READ)));
    for source in &loaded.config.sources {
        let (key, _) = source.settings.secret();
        if let Origin::SecretFile(path) = loaded.provenance.origin(&format!("source.{}.{key}", source.name)) {
            wanted.push((path.clone(), OTHERS_WRITE | OTHERS_READ));
        }
    }
    if let Origin::SecretFile(path) = loaded.provenance.origin("database.password") {
        wanted.push((path.clone(), OTHERS_WRITE | OTHERS_READ));
    }
    wanted.extend(loaded.config.database.place.file().map(|file| (file.to_owned(), OTHERS_WRITE | OTHERS_READ)));
    for (path, forbidden) in &wanted {
        // What is not there or cannot be looked at is the matter of other checks.
        let Ok(metadata) = std::fs::metadata(path) else { continue };
        let open = metadata.permissions().mode() & forbidden;
        let what = match (open & OTHERS_READ > 0, open & OTHERS_WRITE > 0) {
            (false, false) => continue,
            (true, false) => "can be read",
            (false, true) => "can be changed",
            (true, true) => "can be read and changed",
        };
        let message = format!("{} {what} by every user of this machine; run chmod 640 on it", path.display());
        found.push(Finding::new("files", Verdict::Warning, message));
    }
    if found.is_empty() {
        found.push(Finding::new("files", Verdict::Well, "nobody else can read or change what should be private"));
    }
    found
}

/// The database, as far as this command gets hold of it.
pub(super) enum Database {
    /// Open to write, so that calls can be counted.
    Ours(Arc<dyn Store>),
    /// Another linkyd writes just now; it can be read.
    Busy {
        /// To read.
        store: Arc<dyn Store>,
        /// Who writes.
        reason: String,
    },
}

impl Database {
    /// The store, whatever may be done with it.
    pub(super) fn into_store(self) -> Arc<dyn Store> {
        match self {
            Self::Ours(store) | Self::Busy { store, .. } => store,
        }
    }
}

/// Looks whether the database can be reached, fits and can be written, and opens it.
pub(super) async fn database(loaded: &Loaded, clock: &Arc<dyn Clock>, findings: &mut Vec<Finding>) -> Option<Database> {
    match &loaded.config.database.place {
        Place::File(path) => file(path, findings).await,
        Place::Server(address) => super::server::database(address, clock, findings).await.map(Database::Ours),
    }
}

/// What this command calls itself to others who want the database.
pub(super) const COMMAND: &str = "linkyd doctor";

async fn file(path: &Path, findings: &mut Vec<Finding>) -> Option<Database> {
    let place = path.display().to_string();
    let unreachable = |message: String| Finding::new("database", Verdict::Problem(Exit::DatabaseUnreachable), message);
    // Before a connection is there: closing the file by hand would drop its locks.
    if let Err(reason) = writable(path) {
        findings.push(unreachable(format!("{place}: {reason}")));
        return None;
    }
    if !path.exists() {
        let message = format!("{place} is not there yet; `linkyd sync` or `linkyd db migrate` creates it");
        findings.push(Finding::new("database", Verdict::Warning, message));
        return None;
    }
    // Read first: a database of another version is to stay as it is.
    let opened = match SqliteStore::open(path, Mode::Read, COMMAND).await {
        Ok(reader) => match SqliteStore::open(path, Mode::Write, COMMAND).await {
            Err(StoreError::Busy { reason, .. }) => Ok(Database::Busy { store: Arc::new(reader), reason }),
            other => other.map(|store| Database::Ours(Arc::new(store))),
        },
        Err(error) => Err(error),
    };
    match opened {
        Ok(database) => {
            let beside = match &database {
                Database::Ours(_) => String::new(),
                Database::Busy { .. } => "; another linkyd is writing it".to_owned(),
            };
            let message = format!("{place} is at schema {NEWEST_SCHEMA} and can be written{beside}");
            findings.push(Finding::new("database", Verdict::Well, message));
            Some(database)
        }
        Err(error) => {
            let trouble = Trouble::from(error);
            findings.push(Finding::new("database", Verdict::from(&trouble), trouble.message));
            None
        }
    }
}

/// Whether the file, where there is one, and its folder can be written. SQLite keeps files of its
/// own beside the database.
fn writable(path: &Path) -> Result<(), String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(MISSING_FOLDER.to_owned());
    }
    if path.exists() {
        let opened = OpenOptions::new().append(true).open(path);
        opened.map_err(|error| format!("it cannot be written ({}); give it to the user of linkyd", error.kind()))?;
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".doctor-{}", std::process::id()));
    let probe = folder.join(name);
    let made = OpenOptions::new().write(true).create_new(true).open(&probe);
    let removed = made.and_then(|_| std::fs::remove_file(&probe));
    removed.map_err(|error: io::Error| {
        format!("its folder {} cannot be written ({}); give it to the user of linkyd", folder.display(), error.kind())
    })
}

/// Whether the machine's clock can be right, from what sources say the time is.
pub(super) fn clock(now: DateTime<Utc>, told: &[Dated]) -> Finding {
    const SET: &str = "set it, or let it be set over the network (timedatectl set-ntp true)";
    let shows = format!("{} (Paris)", number::wall(now));
    let early = EARLIEST.parse::<DateTime<Utc>>().is_ok_and(|earliest| now < earliest);
    if early {
        let message = format!("the clock shows {shows}, which cannot be; {SET}");
        return Finding::new("clock", Verdict::Problem(Exit::Failed), message);
    }
    let Some(worst) = told.iter().max_by_key(|dated| dated.behind().abs()) else {
        return Finding::new("clock", Verdict::Well, format!("it is {shows}; no source was asked for the time"));
    };
    let behind = worst.behind();
    let off = number::duration(behind.abs().to_std().unwrap_or_default());
    let which = if behind < TimeDelta::zero() { "ahead of" } else { "behind" };
    let against = format!("the clock is {off} {which} that of source {}", worst.source);
    let verdict = match behind.abs() {
        off if off > WRONG => Verdict::Problem(Exit::Failed),
        off if off > SLIGHTLY_OFF => Verdict::Warning,
        _ => return Finding::new("clock", Verdict::Well, format!("it is {shows}, as source {} says", worst.source)),
    };
    Finding::new("clock", verdict, format!("{against}; {SET}"))
}

/// The rules of Europe/Paris, which are inside the program.
pub(super) fn zone(now: DateTime<Utc>) -> Finding {
    let edition = paris::rules_edition();
    let year = edition.get(..4).and_then(|year| year.parse::<i32>().ok());
    let old = year.is_none_or(|year| now.year() - year >= OLD_RULES);
    if old {
        let message = format!(
            "the rules of Paris time in this program are of {edition}; if France has changed its clocks since, get a \
             newer linkyd"
        );
        return Finding::new("time zone", Verdict::Warning, message);
    }
    let message = format!("the rules of Paris time are inside the program (edition {edition})");
    Finding::new("time zone", Verdict::Well, message)
}
