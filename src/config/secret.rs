//! Secrets: read from where only linkyd can read them, shown nowhere.
//!
//! A secret comes from a file of its own that the configuration names, from a credential that
//! systemd hands to the service, from the environment, or from the configuration file itself.
//! A file that everybody on the machine may read is refused; group-readable is normal
//! (`root:linkyd`, mode 640).

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::explain::Origin;
use super::layers::Environment;
use super::read::Table;

/// Longer than any secret; a file of this size is something else.
const LONGEST: u64 = 4096;

/// The right to read of those who are neither owner nor in the group.
const WORLD_READABLE: u32 = 0o004;

/// Whether a command needs the secrets at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// Read them, and report those that are missing: calls will be made.
    Read,
    /// Leave them alone, so that who may not read them can still ask for the status.
    Skip,
}

/// Why a file's secret cannot be used. None of them repeats a part of it.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file is not there or may not be read.
    #[error("{}", if .0.kind() == io::ErrorKind::NotFound { "is not there; mend the path (a relative one counts from the working directory) or create it" } else { "cannot be read; let the user that runs linkyd read it (chown root:linkyd, chmod 640)" })]
    Unreadable(#[source] io::Error),
    /// Everybody may read the file.
    #[error("can be read by every user of this machine; run chmod 640 on it")]
    WorldReadable,
    /// There is nothing in it.
    #[error("is empty; put the secret into it")]
    Empty,
    /// More than one line.
    #[error("has more than one line; a secret is a single one")]
    Lines,
    /// Not text, or far too long.
    #[error("does not hold a secret, but binary data or more than {LONGEST} bytes")]
    NoText,
}

/// Refuses a file that every user of the machine may read.
pub(super) fn is_world_readable(file: &File) -> io::Result<bool> {
    Ok(file.metadata()?.permissions().mode() & WORLD_READABLE != 0)
}

/// Reads the secret in a file of its own; one newline at its end does not belong to it.
pub fn read_file(path: &Path) -> Result<SecretString, SecretError> {
    let file = File::open(path).map_err(SecretError::Unreadable)?;
    if is_world_readable(&file).map_err(SecretError::Unreadable)? {
        return Err(SecretError::WorldReadable);
    }
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(SecretError::Unreadable)?;
    if bytes.len() as u64 > LONGEST {
        return Err(SecretError::NoText);
    }
    let text = String::from_utf8(bytes).map_err(|_| SecretError::NoText)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    check(text.strip_suffix('\r').unwrap_or(text))
}

/// A secret as it was given.
pub(super) fn check(text: &str) -> Result<SecretString, SecretError> {
    if text.is_empty() {
        Err(SecretError::Empty)
    } else if text.contains(['\n', '\r']) {
        Err(SecretError::Lines)
    } else {
        Ok(SecretString::from(text))
    }
}

/// Finds the secret `key` of a source: the key itself, `<key>_file`, or systemd's credential
/// `<source>.<key>`. A variable of the environment wins over either key in the file.
pub(super) fn find(
    table: &Table<'_>,
    source: &str,
    key: &str,
    environment: &Environment,
    secrets: Secrets,
) -> Option<SecretString> {
    let file_key = format!("{key}_file");
    let (given, named) = (table.filled(key), table.filled(&file_key));
    let from_environment = |origin: &Origin| matches!(origin, Origin::Environment(_));
    let (given, named) = match (given, named) {
        (Some(g), Some(n)) if from_environment(&g.origin) == from_environment(&n.origin) => {
            table.reader.problem(&n.origin, &format!("{key} and {file_key} are both given; keep one of them"));
            return None;
        }
        (Some(_), Some(n)) if from_environment(&n.origin) => (None, Some(n)),
        (Some(g), Some(_)) => (Some(g), None),
        either => either,
    };
    if let Some(given) = given {
        let secret = check(&given.value);
        return secret.map_err(|error| table.reader.problem(&given.origin, &format!("{key} {error}"))).ok();
    }
    let (path, named_by) = match named {
        Some(named) => (PathBuf::from(named.value), named.origin),
        None => (credential(environment, source, key)?, Origin::Default),
    };
    table.reader.note(&table.path_of(key), &Origin::SecretFile(path.clone()));
    if secrets == Secrets::Skip {
        return None;
    }
    let report = |error: SecretError| {
        let reason = std::error::Error::source(&error).map(|source| format!(" ({source})")).unwrap_or_default();
        let message = match named_by {
            Origin::Default => format!("the credential {} {error}{reason}", path.display()),
            _ => format!("{file_key}: {} {error}{reason}", path.display()),
        };
        table.reader.problem(&named_by, &message);
    };
    read_file(&path).map_err(report).ok()
}

fn credential(environment: &Environment, source: &str, key: &str) -> Option<PathBuf> {
    let directory = environment.get("CREDENTIALS_DIRECTORY").filter(|directory| !directory.is_empty())?;
    let path = Path::new(directory).join(format!("{source}.{key}"));
    path.exists().then_some(path)
}
