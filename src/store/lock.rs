//! One linkyd writes a file at a time.
//!
//! The lock is the kernel's, on a small file beside the database, so that it dies with its
//! process however that ends. The file names the holder for the message of whoever comes second;
//! it is never removed, because removing it would let two processes lock two files of one name.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::StoreError;

/// Proof that no other linkyd writes the database. Released when dropped.
#[derive(Debug)]
pub struct ProcessLock {
    _file: File,
}

impl ProcessLock {
    /// Takes the lock of a database at once or says who holds it. `command` is what the holder
    /// does, for the message that another process shows (`linkyd run`).
    pub fn take(database: &Path, command: &str) -> Result<Self, StoreError> {
        let place = || database.display().to_string();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
        let mut file = options.open(path_of(database)).map_err(|error| cannot_create(database, &error))?;
        match file.try_lock() {
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

/// The lock file of a database.
fn path_of(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

fn cannot_create(database: &Path, error: &std::io::Error) -> StoreError {
    let place = database.display().to_string();
    if error.kind() == std::io::ErrorKind::NotFound {
        return StoreError::Unreachable { place, reason: super::sqlite::MISSING_FOLDER.to_owned() };
    }
    let reason = format!(
        "a lock file beside it cannot be written ({}); give the user of linkyd write access to the folder of the database",
        error.kind()
    );
    StoreError::NotWritable { place, reason }
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(200).read_to_string(&mut text));
    let named = read.ok().and_then(|_| text.split_once(' '));
    match named {
        Some((pid, command)) => {
            let command: String = command.chars().filter(|c| !c.is_control()).collect();
            format!("another linkyd is at work on it: process {pid}, `{command}`; wait for it or stop it")
        }
        None => "another linkyd is at work on it; wait for it or stop it".to_owned(),
    }
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
    fn a_missing_folder_is_named_by_its_role() {
        let folder = tempfile::tempdir().unwrap();
        let error = ProcessLock::take(&folder.path().join("none/linkyd.db"), "linkyd run").unwrap_err();
        assert!(error.to_string().contains("folder"), "{error}");
    }
}
