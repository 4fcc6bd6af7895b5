//! Another user of the reading group reads the file: while linkyd runs, after it stopped, after
//! it was killed.
//!
//! The reader and the linkyd that is killed are processes of their own: this test binary again,
//! told by its environment what to be. Where the tests run as root the reader is another user who
//! shares only the group; elsewhere it is the same user, with every write permission taken away.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;

const ROLE: &str = "LINKYD_TEST_ROLE";
const FILE: &str = "LINKYD_TEST_FILE";

/// A user and a group that own nothing on any machine.
const USER: u32 = 61_234;
const GROUP: u32 = 61_235;

/// Not a test by itself: what the child processes run.
#[tokio::test]
async fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let path = std::path::PathBuf::from(std::env::var_os(FILE).unwrap());
    match role.as_str() {
        "read" => {
            let mut conn = dashboard(&path).await.unwrap();
            let count = rows(&mut conn, "SELECT count(*) FROM v_load_curve").await.unwrap();
            assert!(!writes(&path).await);
            let store = SqliteStore::open(&path, Mode::Read, "linkyd status").await.unwrap();
            assert_eq!(store.status().await.unwrap().len(), Dataset::ALL.len());
            let error = SqliteStore::open(&path, Mode::Write, "linkyd sync").await.unwrap_err();
            assert!(matches!(error, StoreError::NotWritable { .. }), "{error}");
            println!("rows={}", count[0]);
        }
        "write" => {
            let store = SqliteStore::open(&path, Mode::Write, "linkyd run").await.unwrap();
            let world = World::around(Sqlite { folder: tempfile::tempdir().unwrap(), path }, store);
            let span = days("2026-11-17", "2026-11-24");
            world.store_curve(span, curve(span, 30, |_| 1)).await;
            println!("stored");
            // Until it is killed, without any chance to tidy up.
            std::thread::sleep(std::time::Duration::from_mins(1));
        }
        "burst" => {
            let store = SqliteStore::open(&path, Mode::Write, "linkyd run").await.unwrap();
            let world = World::around(Sqlite { folder: tempfile::tempdir().unwrap(), path }, store);
            super::crashes::burst(&world).await;
        }
        other => panic!("{other}"),
    }
}

async fn writes(path: &Path) -> bool {
    let Ok(mut conn) = SqliteConnectOptions::new().filename(path).connect().await else { return false };
    rows(&mut conn, "UPDATE meter SET name = 'x'").await.is_ok()
}

fn root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0)
}

/// This binary in another role. The copy lies where every user may run it.
pub(super) fn me(folder: &Path, role: &str, file: &Path) -> Command {
    let exe = folder.join("exe");
    if !exe.exists() {
        std::fs::copy(std::env::current_exe().unwrap(), &exe).unwrap();
        std::fs::set_permissions(&exe, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let mut command = Command::new(exe);
    command.args(["store::sqlite::tests::readers::child", "--exact", "--nocapture"]);
    command.env(ROLE, role).env(FILE, file).current_dir("/").stdout(Stdio::piped());
    command
}

/// What another user counts.
fn read_as_other(exe: &Path, folder: &Path) -> String {
    let file = folder.join("linkyd.db");
    let mut command = me(exe, "read", &file);
    let (modes, back) = if root() {
        command.uid(USER).gid(GROUP);
        ((0o750, 0o640), (0o750, 0o640))
    } else {
        ((0o550, 0o440), (0o750, 0o640))
    };
    let set = |(dir, files): (u32, u32)| {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            std::fs::set_permissions(entry.path(), PermissionsExt::from_mode(files)).unwrap();
        }
        std::fs::set_permissions(folder, PermissionsExt::from_mode(dir)).unwrap();
    };
    if !root() {
        set(modes);
    }
    let output = command.output().unwrap();
    if !root() {
        set(back);
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    text.lines().find_map(|line| line.split_once("rows=").map(|(_, n)| n.trim().to_owned())).unwrap()
}

#[tokio::test]
async fn another_user_reads_while_it_runs_after_it_stopped_and_after_it_was_killed() {
    let outer = tempfile::tempdir().unwrap();
    std::fs::set_permissions(outer.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let folder = outer.path().join("state");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o2750)).unwrap();
    if root() {
        std::os::unix::fs::chown(&folder, None, Some(GROUP)).unwrap();
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o2750)).unwrap();
    }
    let path = folder.join("linkyd.db");
    let store = SqliteStore::open(&path, Mode::Create, "linkyd sync").await.unwrap();
    store.set_up(&setup()).await.unwrap();
    for name in ["linkyd.db", "linkyd.db-wal", "linkyd.db-shm"] {
        let mode = std::fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & !0o640, 0, "{name} has mode {mode:o}");
        assert_eq!(mode & 0o440, 0o440, "{name} has mode {mode:o}");
    }
    assert_eq!(read_as_other(outer.path(), &folder), "0", "while it runs");
    drop(store);

    // A process that stores a week, which then is killed: nothing is checkpointed.
    let mut running = me(outer.path(), "write", &path).spawn().unwrap();
    let output = std::io::BufReader::new(running.stdout.take().unwrap());
    assert!(std::io::BufRead::lines(output).map_while(Result::ok).any(|line| line.contains("stored")));
    assert_eq!(read_as_other(outer.path(), &folder), "336", "while another process runs");
    running.kill().unwrap();
    running.wait().unwrap();
    assert!(std::fs::metadata(folder.join("linkyd.db-wal")).unwrap().len() > 0);
    assert_eq!(read_as_other(outer.path(), &folder), "336", "after it was killed");

    let store = SqliteStore::open(&path, Mode::Write, "linkyd sync").await.unwrap();
    store.tidy().await.unwrap();
    drop(store);
    assert_eq!(std::fs::metadata(folder.join("linkyd.db-wal")).unwrap().len(), 0);
    assert_eq!(read_as_other(outer.path(), &folder), "336", "after it stopped");
}
