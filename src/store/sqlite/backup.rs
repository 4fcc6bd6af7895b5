//! `linkyd db backup`: the file as of one instant, into a new file, while whoever writes it goes on.
//!
//! SQLite writes the copy itself (`VACUUM INTO`), from one snapshot, without what lies in free pages. It takes shape
//! beside its place under another name and moves there only once it is whole and on the disk, so that what stands
//! there is never half a backup, and nothing that stood there before is replaced.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sqlx::{AssertSqlSafe, ConnectOptions as _, SqliteConnection};
use tokio_util::sync::CancellationToken;

use super::connect::{Access, Connection, options};
use super::{errors, schema, sql};
use crate::store::StoreError;

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackedUp {
    /// Rows by table.
    pub tables: BTreeMap<String, i64>,
    /// Its size in bytes.
    pub bytes: u64,
}

/// What kept a backup from being made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something is there already.
    #[error("{} exists already, and a backup replaces nothing; name a new file", .0.display())]
    Exists(PathBuf),
    /// The new file cannot be written.
    #[error("{} cannot be written: {what}", .to.display())]
    NotWritten {
        /// Where the backup was to be.
        to: PathBuf,
        /// What happened.
        what: String,
    },
    /// The new file does not hold what the database holds.
    #[error("the backup is not sound ({0}) and was removed; look at the database with `linkyd db check`")]
    Unsound(String),
    /// Somebody asked to stop.
    #[error("stopped before the end; nothing was written")]
    Stopped,
}

/// Writes the database at `path` into the new file `to`, which only its owner may read: there may be personal data in
/// it. Any schema that this linkyd knows will do, as before an upgrade. Where somebody asks to stop nothing is left.
pub async fn backup(path: &Path, to: &Path, stop: &CancellationToken) -> Result<BackedUp, BackupError> {
    let place = path.display().to_string();
    let mut source = Connection::open(path, &place, Access::Read).await?;
    let conn = source.bare();
    let version = schema::version(conn, &place).await.map_err(|error| errors::explain(&place, error))?;
    if version == 0 {
        let reason = "there is nothing of linkyd's in it yet".to_owned();
        return Err(StoreError::Unreachable { place, reason }.into());
    }
    if fs::symlink_metadata(to).is_ok() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let failed = |error: &dyn std::fmt::Display| BackupError::NotWritten { to: to.to_owned(), what: error.to_string() };
    let to = std::path::absolute(to).map_err(|error| failed(&error))?;
    sweep(&to);
    let part = beside(&to);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let held = options.open(&part).map_err(|error| failed(&error))?;
    // Where a file system knows no locks, the number of the process in the name has to do.
    let _unknown = held.try_lock();
    let done = tokio::select! {
        biased;
        () = stop.cancelled() => Err(BackupError::Stopped),
        done = write(conn, &place, &part, &to) => done,
    };
    let _nothing = fs::remove_file(&part);
    drop(held);
    done
}

/// The most bytes of a file that tell what it is.
const HEADER: &[u8] = b"SQLite format 3\0";

/// Removes from the folder of a backup what others have left there that were killed while they wrote one: files with a
/// name that [`beside`] gives, with nothing but a database in them, that no process writes any more. What cannot be told
/// for certain stays.
fn sweep(to: &Path) {
    let names = to.parent().and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    for path in names.map(|entry| entry.path()) {
        if process_of(&path).is_some_and(|process| process != std::process::id() && !lives(process)) && is_left(&path) {
            let _there = fs::remove_file(&path);
        }
    }
}

/// The number of the process that writes a part of this name.
fn process_of(part: &Path) -> Option<u32> {
    let name = part.file_name()?.to_str()?.strip_prefix('.')?.strip_suffix(".part")?;
    let (of, process) = name.rsplit_once('.')?;
    process.parse().ok().filter(|_| !of.is_empty())
}

/// Whether there is a process of that number here, or nobody can tell.
fn lives(process: u32) -> bool {
    let known = Path::new("/proc/self").exists();
    !known || Path::new(&format!("/proc/{process}")).exists()
}

/// Whether that is a database, or the beginning of one, and nobody holds it: a process elsewhere that shares the folder
/// may have any number.
fn is_left(part: &Path) -> bool {
    let plain = fs::symlink_metadata(part).is_ok_and(|metadata| metadata.is_file());
    let Some(mut file) = plain.then(|| File::open(part).ok()).flatten() else { return false };
    let mut begins = Vec::new();
    let read = (&mut file).take(HEADER.len() as u64).read_to_end(&mut begins);
    read.is_ok() && (begins.is_empty() || begins == HEADER) && file.try_lock().is_ok()
}

/// The name under which a backup takes shape.
fn beside(to: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(to.file_name().unwrap_or_default());
    name.push(format!(".{}.part", std::process::id()));
    to.with_file_name(name)
}

async fn write(conn: &mut SqliteConnection, place: &str, part: &Path, to: &Path) -> Result<BackedUp, BackupError> {
    let broken = |error| BackupError::Store(errors::explain(place, error));
    let failed = |what: String| BackupError::NotWritten { to: to.to_owned(), what };
    let name = part.to_str().ok_or_else(|| failed("its name is no UTF-8".to_owned()))?;
    let version = data_version(conn).await.map_err(broken)?;
    let before = counts(conn).await.map_err(broken)?;
    match sqlx::query(sql::VACUUM_INTO).bind(name).execute(&mut *conn).await {
        Ok(_) => {}
        Err(error) if matches!(errors::code(&error), Some(10 | 13 | 14)) => return Err(failed(error.to_string())),
        Err(error) => return Err(broken(error.into())),
    }
    let quiet = version == data_version(conn).await.map_err(broken)?;
    let tables = sound(part, &before, quiet).await?;
    let io = |error: io::Error| failed(error.to_string());
    let file = File::open(part).map_err(io)?;
    file.sync_all().map_err(io)?;
    let bytes = file.metadata().map_err(io)?.len();
    settle(part, to)?;
    if let Some(folder) = to.parent() {
        File::open(folder).and_then(|folder| folder.sync_all()).or_else(where_that_can_be_done).map_err(io)?;
    }
    Ok(BackedUp { tables, bytes })
}

/// Gives the whole backup its name, unless somebody else took that meanwhile.
fn settle(part: &Path, to: &Path) -> Result<(), BackupError> {
    let failed = |error: &io::Error| BackupError::NotWritten { to: to.to_owned(), what: error.to_string() };
    match fs::hard_link(part, to) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(BackupError::Exists(to.to_owned())),
        // Not every file system has links.
        Err(_) if fs::symlink_metadata(to).is_ok() => Err(BackupError::Exists(to.to_owned())),
        Err(_) => fs::rename(part, to).map_err(|error| failed(&error)),
    }
}

/// Takes it well that a folder cannot be synchronised: not every file system does that (EINVAL, ENOTSUP), and not every
/// folder may be read. The backup stands there whole.
fn where_that_can_be_done(error: io::Error) -> io::Result<()> {
    const NO_SUCH_THING: [i32; 2] = [45, 95];
    let refused = error.raw_os_error().is_some_and(|code| NO_SUCH_THING.contains(&code));
    match error.kind() {
        _ if refused => Ok(()),
        io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied => Ok(()),
        _ => Err(error),
    }
}

/// What becomes another number each time that somebody else has written.
async fn data_version(conn: &mut SqliteConnection) -> Result<i64, StoreError> {
    let (version,): (i64,) = sqlx::query_as(sql::DATA_VERSION).fetch_one(conn).await?;
    Ok(version)
}

/// Rows by table.
async fn counts(conn: &mut SqliteConnection) -> Result<BTreeMap<String, i64>, StoreError> {
    let tables: Vec<(String,)> = sqlx::query_as(sql::TABLES).fetch_all(&mut *conn).await?;
    let mut counts = BTreeMap::new();
    for (table,) in tables {
        let statement = format!("SELECT count(*) FROM \"{}\"", table.replace('"', "\"\""));
        let (rows,): (i64,) = sqlx::query_as(AssertSqlSafe(statement)).persistent(false).fetch_one(&mut *conn).await?;
        counts.insert(table, rows);
    }
    Ok(counts)
}

/// Looks whether a backup is whole; its rows by table. Where it was `quiet` meanwhile it has every row that was there
/// `before`. Where somebody wrote nobody can tell how many rows there were at the instant that it holds, so that every
/// table, and pages that fit together, have to do.
async fn sound(part: &Path, before: &BTreeMap<String, i64>, quiet: bool) -> Result<BTreeMap<String, i64>, BackupError> {
    let unsound = |error: StoreError| BackupError::Unsound(error.to_string());
    let connected = options(part).read_only(true).connect().await;
    let mut conn = connected.map_err(|error| unsound(error.into()))?;
    let pages: Vec<(String,)> =
        sqlx::query_as(sql::QUICK_CHECK).fetch_all(&mut conn).await.map_err(|error| unsound(error.into()))?;
    if let Some((what,)) = pages.into_iter().find(|(what,)| what != "ok") {
        return Err(BackupError::Unsound(what));
    }
    let held = counts(&mut conn).await.map_err(unsound)?;
    for (table, rows) in before {
        match held.get(table) {
            None => return Err(BackupError::Unsound(format!("it has no table {table}"))),
            Some(there) if quiet && there != rows => {
                return Err(BackupError::Unsound(format!("of the {rows} rows of {table} it holds {there}")));
            }
            Some(_) => {}
        }
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::{Mode, SqliteStore};

    #[tokio::test]
    async fn a_backup_that_lacks_rows_or_is_damaged_is_not_sound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy.db");
        let mut conn = options(&path).create_if_missing(true).connect().await.unwrap();
        sqlx::raw_sql("CREATE TABLE a (x); INSERT INTO a VALUES (1), (2)").execute(&mut conn).await.unwrap();
        drop(conn);
        let had = |rows: i64| BTreeMap::from([("a".to_owned(), rows)]);
        assert_eq!(sound(&path, &had(2), true).await.unwrap(), had(2));
        for other in [0, 1, 3] {
            let error = sound(&path, &had(other), true).await.unwrap_err();
            assert!(error.to_string().contains("rows of a it holds 2"), "{error}");
            // Rows came and went while it was made.
            assert_eq!(sound(&path, &had(other), false).await.unwrap(), had(2));
        }
        let lacks = sound(&path, &BTreeMap::from([("b".to_owned(), 0)]), false).await.unwrap_err();
        assert!(lacks.to_string().contains("no table b"), "{lacks}");
        let mut bytes = fs::read(&path).unwrap();
        bytes.truncate(bytes.len() - 4_000);
        fs::write(&path, bytes).unwrap();
        assert!(matches!(sound(&path, &had(2), false).await, Err(BackupError::Unsound(_))));
    }

    async fn a_database(folder: &Path) -> PathBuf {
        let path = folder.join("linkyd.db");
        drop(SqliteStore::open(&path, Mode::Create, "linkyd run").await.unwrap());
        path
    }

    #[tokio::test]
    async fn a_backup_beside_somebody_who_writes_both_ways_is_sound() {
        const ROWS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
            INSERT INTO account (key) SELECT i FROM n";
        let folder = tempfile::tempdir().unwrap();
        let path = a_database(folder.path()).await;
        let stop = CancellationToken::new();
        let writer = tokio::spawn({
            let (path, stop) = (path.clone(), stop.clone());
            async move {
                let mut conn = options(&path).connect().await.unwrap();
                let mut written = 0;
                while !stop.is_cancelled() {
                    sqlx::raw_sql(ROWS).execute(&mut conn).await.unwrap();
                    sqlx::raw_sql("DELETE FROM account").execute(&mut conn).await.unwrap();
                    written += 1;
                }
                written
            }
        });
        for round in 0..12 {
            let to = folder.path().join(format!("{round}.db"));
            let done = backup(&path, &to, &CancellationToken::new()).await.unwrap();
            assert!([0, 500].contains(&done.tables["account"]), "all of a transaction or nothing: {done:?}");
        }
        stop.cancel();
        assert!(writer.await.unwrap() > 0);
    }

    #[tokio::test]
    async fn who_wrote_meanwhile_is_noticed_and_a_backup_is_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = a_database(folder.path()).await;
        let mut other = options(&path).connect().await.unwrap();
        let mut source = Connection::open(&path, "here", Access::Read).await.unwrap();
        let before = data_version(source.bare()).await.unwrap();
        let to = folder.path().join("backup.db").display().to_string();
        sqlx::query(sql::VACUUM_INTO).bind(to).execute(source.bare()).await.unwrap();
        assert_eq!(data_version(source.bare()).await.unwrap(), before);
        sqlx::raw_sql("INSERT INTO account (key) VALUES ('x')").execute(&mut other).await.unwrap();
        assert_ne!(data_version(source.bare()).await.unwrap(), before);
    }

    #[tokio::test]
    async fn whoever_stops_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = a_database(folder.path()).await;
        let names = || {
            let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|one| one.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let before = names();
        let stop = CancellationToken::new();
        stop.cancel();
        let to = folder.path().join("backup.db");
        assert!(matches!(backup(&path, &to, &stop).await, Err(BackupError::Stopped)));
        assert_eq!(names(), before);
        backup(&path, &to, &CancellationToken::new()).await.unwrap();
    }

    #[tokio::test]
    async fn what_was_left_by_who_was_killed_is_swept_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = a_database(folder.path()).await;
        // The number of a process that is no more.
        let mut gone = std::process::Command::new("true").spawn().unwrap();
        gone.wait().unwrap();
        let (gone, own) = (gone.id(), std::process::id());
        let named = |name: &str| folder.path().join(name);
        let database = fs::read(&path).unwrap();
        for (name, content) in [
            (format!(".old.db.{gone}.part"), &database[..]),
            (format!(".empty.db.{gone}.part"), b""),
            (format!(".held.db.{gone}.part"), &database),
            (format!(".mine.db.{own}.part"), &database),
            (format!(".text.{gone}.part"), b"somebody else's"),
            (format!("open.{gone}.part"), &database),
            (".other.part".to_owned(), &database),
            (format!(".{gone}.part"), &database),
        ] {
            fs::write(named(&name), content).unwrap();
        }
        fs::create_dir(named(&format!(".folder.{gone}.part"))).unwrap();
        let held = File::open(named(&format!(".held.db.{gone}.part"))).unwrap();
        held.try_lock().unwrap();
        let there = || {
            let parts = fs::read_dir(folder.path()).unwrap().map(|one| one.unwrap().file_name().into_string().unwrap());
            parts.filter(|name| name.contains(".part")).collect::<std::collections::BTreeSet<_>>()
        };
        let mut expected = there();
        expected.retain(|name| !name.starts_with(".old.db") && !name.starts_with(".empty.db"));
        backup(&path, &named("new.db"), &CancellationToken::new()).await.unwrap();
        assert_eq!(there(), expected);
        // Whoever held it is gone as well.
        drop(held);
        expected.remove(&format!(".held.db.{gone}.part"));
        backup(&path, &named("newer.db"), &CancellationToken::new()).await.unwrap();
        assert_eq!(there(), expected);
    }

    #[test]
    fn a_folder_that_cannot_be_synchronised_spoils_no_backup() {
        for code in [22, 95, 13] {
            assert!(where_that_can_be_done(io::Error::from_raw_os_error(code)).is_ok(), "{code}");
        }
        assert!(where_that_can_be_done(io::Error::from_raw_os_error(5)).is_err());
    }

    #[test]
    fn nothing_that_came_meanwhile_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (part, to) = (folder.path().join("part"), folder.path().join("to"));
        fs::write(&part, "new").unwrap();
        fs::write(&to, "old").unwrap();
        assert!(matches!(settle(&part, &to), Err(BackupError::Exists(_))));
        assert_eq!(fs::read(&to).unwrap(), b"old");
    }
}
