//! One linkyd writes a file at a time.
//!
//! The lock is the kernel's, on a small file beside the database, so that it dies with its
//! process however that ends. The file names the holder for the message of whoever comes second;
//! it is never removed, because removing it would let two processes lock two files of one name.
//!
//! There are two such files. Whoever writes holds the one for as long as it writes: a command from
//! start to end, the daemon during each of its passes. The daemon holds the other one for all its
//! life, so that there is one daemon a file, and commands find their turn between its passes.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::StoreError;

/// The command that names a daemon as the holder of a lock.
pub const DAEMON: &str = "linkyd run";

/// Proof that no other linkyd writes the database, or that no other daemon serves it. Released
/// when dropped.
#[derive(Debug)]
pub struct ProcessLock {
    _file: File,
}

impl ProcessLock {
    /// Takes the lock of a database at once or says who holds it. `command` is what the holder
    /// does, for the message that another process shows (`linkyd run`).
    pub fn take(database: &Path, command: &str) -> Result<Self, StoreError> {
        Self::take_file(database, &path_of(database), command)
    }

    /// Takes the lock of a database's daemon, at once like [`ProcessLock::take`].
    pub fn take_for_life(database: &Path) -> Result<Self, StoreError> {
        Self::take_file(database, &daemon_path_of(database), DAEMON)
    }

    fn take_file(database: &Path, lock: &Path, command: &str) -> Result<Self, StoreError> {
        let place = || database.display().to_string();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
        let mut file = options.open(lock).map_err(|error| cannot_create(database, lock, &error))?;
        super::owner::follow(&file, database);
        match try_lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Busy { place: place(), reason: holder(&mut file) });
            }
            Err(TryLockError::Error(error)) => {
                let reason =
                    format!("its lock file cannot be locked ({}); is it on a network file system?", error.kind());
                return Err(StoreError::NotWritable { place: place(), reason });
            }
        }
        // Only a help for people: a lock without a name still locks.
        let _ = file.set_len(0).and_then(|()| write!(file, "{} {command}", std::process::id()));
        Ok(Self { _file: file })
    }
}

/// Locks a file, past those who only look for an instant whether it is locked ([`is_held`]).
fn try_lock(file: &File) -> Result<(), TryLockError> {
    for _ in 0..3 {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(3)),
            done => return done,
        }
    }
    file.try_lock()
}

/// Whether a daemon is at one of its passes over a database: then the lock is free again soon.
#[must_use]
pub fn daemon_writes(database: &Path) -> bool {
    is_held(&path_of(database)).is_some_and(|command| command == DAEMON)
}

/// Whether a daemon serves a database.
#[must_use]
pub fn daemon_lives(database: &Path) -> bool {
    is_held(&daemon_path_of(database)).is_some()
}

/// What the holder of a lock does; `None` where nobody holds it.
fn is_held(lock: &Path) -> Option<String> {
    let mut file = File::open(lock).ok()?;
    // Shared, and let go at once: whoever takes the lock tries more than once.
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(named(&mut file).map(|(_, command)| command).unwrap_or_default()),
        _ => None,
    }
}

/// The lock file of those who write a database.
fn path_of(database: &Path) -> PathBuf {
    beside(database, ".lock")
}

/// The lock file of a database's daemon.
fn daemon_path_of(database: &Path) -> PathBuf {
    beside(database, ".run.lock")
}

fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn cannot_create(database: &Path, lock: &Path, error: &std::io::Error) -> StoreError {
    let place = database.display().to_string();
    if error.kind() == std::io::ErrorKind::NotFound {
        return StoreError::Unreachable { place, reason: super::sqlite::MISSING_FOLDER.to_owned() };
    }
    let (what, error) = (lock.display(), error.kind());
    let reason = if lock.exists() {
        format!("its lock file {what} cannot be written ({error}); give the user of linkyd write access to that file")
    } else {
        format!(
            "its lock file {what} cannot be made ({error}); give the user of linkyd write access to the folder of the database"
        )
    };
    StoreError::NotWritable { place, reason }
}

fn holder(file: &mut File) -> String {
    match named(file) {
        Some((pid, command)) => {
            format!("another linkyd is at work on it: process {pid}, `{command}`; wait for it or stop it")
        }
        None => "another linkyd is at work on it; wait for it or stop it".to_owned(),
    }
}

/// The process and the command that a lock file names.
fn named(file: &mut File) -> Option<(String, String)> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(200).read_to_string(&mut text).ok()?;
    let (pid, command) = text.split_once(' ')?;
    let readable = |text: &str| text.chars().filter(|c| !c.is_control()).collect();
    Some((readable(pid), readable(command)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_one_is_told_who_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("linkyd.db");
        let first = ProcessLock::take(&database, "linkyd run").unwrap();
        let error = ProcessLock::take(&database, "linkyd sync").unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, StoreError::Busy { .. }));
        assert!(text.contains(&format!("process {}", std::process::id())) && text.contains("`linkyd run`"), "{text}");
        drop(first);
        ProcessLock::take(&database, "linkyd sync").unwrap();
    }

    #[test]
    fn a_daemon_keeps_out_daemons_and_lets_commands_in_between_its_passes() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("linkyd.db");
        assert!(!daemon_lives(&database) && !daemon_writes(&database));
        let life = ProcessLock::take_for_life(&database).unwrap();
        assert!(daemon_lives(&database) && !daemon_writes(&database));
        assert!(matches!(ProcessLock::take_for_life(&database), Err(StoreError::Busy { .. })));
        let pass = ProcessLock::take(&database, DAEMON).unwrap();
        assert!(daemon_writes(&database));
        drop(pass);
        let command = ProcessLock::take(&database, "linkyd sync").unwrap();
        assert!(!daemon_writes(&database));
        drop((life, command));
        assert!(!daemon_lives(&database));
    }

    #[test]
    fn a_missing_folder_is_named_by_its_role() {
        let folder = tempfile::tempdir().unwrap();
        let error = ProcessLock::take(&folder.path().join("none/linkyd.db"), "linkyd run").unwrap_err();
        assert!(error.to_string().contains("folder"), "{error}");
    }
}
