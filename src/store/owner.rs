//! Whose the files are that linkyd makes.
//!
//! A service runs as a user of its own, and its administrator may run a command as root beside it. What such a
//! command makes must not lock the service out: it belongs to whoever the database belongs to, and where there is
//! none yet, its folder. SQLite does the same for the files that it makes itself.

use std::fs::File;
use std::path::Path;

/// Gives a file that root has made to the owner of the database, or of its folder. What fails is left as it is:
/// then the owner of the database finds out and is told which file it is.
#[cfg(unix)]
pub(super) fn follow(file: &File, database: &Path) {
    use std::os::unix::fs::{MetadataExt as _, fchown};

    let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (Ok(made), Ok(place)) = (file.metadata(), folder.metadata()) else { return };
    let owner = database.metadata().ok().filter(|there| there.uid() != 0).unwrap_or(place);
    if made.uid() == 0 && owner.uid() != 0 {
        let _left_as_it_is = fchown(file, Some(owner.uid()), Some(owner.gid()));
    }
}

/// Elsewhere files have no such owners.
#[cfg(not(unix))]
pub(super) fn follow(_file: &File, _database: &Path) {}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, chown};

    use super::super::lock::ProcessLock;
    use super::*;

    #[test]
    fn what_root_makes_belongs_to_whom_the_folder_or_the_database_does() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().metadata().unwrap().uid() == 0;
        let owned = |name: &str| folder.path().join(name).metadata().map(|there| (there.uid(), there.gid())).unwrap();
        let (user, reader) = if root { ((4_201, 4_202), (4_203, 4_204)) } else { (owned("."), owned(".")) };
        chown(folder.path(), Some(user.0), Some(user.1)).unwrap();
        let database = folder.path().join("linkyd.db");
        drop(ProcessLock::take(&database, "linkyd sync").unwrap());
        assert_eq!(owned("linkyd.db.lock"), user);
        follow(&File::create(&database).unwrap(), &database);
        assert_eq!(owned("linkyd.db"), user);
        chown(&database, Some(reader.0), Some(reader.1)).unwrap();
        drop(ProcessLock::take_for_life(&database).unwrap());
        assert_eq!(owned("linkyd.db.run.lock"), reader);
    }
}
