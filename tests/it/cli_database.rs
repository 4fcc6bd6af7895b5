//! Databases that cannot be used: what is said, how it exits, and that nothing is lost.

use std::fs;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Executor as _};

use serde_json::json;

use crate::cli_rig::{Home, MORNING, Process, Ran, Simulated, keys, meter, root, rows, source};

const NOBODY: &str = "http://127.0.0.1:9/";

/// A user and a group that own nothing on any machine.
const STRANGER: u32 = 61_236;

/// A home with a few days of one meter.
fn stocked() -> (Home, Simulated) {
    let home = Home::empty();
    let enedis = Simulated::start(&home.path(""), &["--no-limits"]);
    home.configure(&source(&enedis.url, ""), &meter("since = 2026-10-01"));
    home.run_at_morning(&["sync"]).exits(0);
    (home, enedis)
}

/// A command as somebody whom file modes stop.
fn as_stranger(home: &Home, args: &[&str]) -> Ran {
    let exe = home.path("exe");
    if !exe.exists() {
        fs::copy(env!("CARGO_BIN_EXE_linkyd"), &exe).unwrap();
        fs::set_permissions(&exe, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let mut command = std::process::Command::new(exe);
    home.prepare(&mut command);
    command.args(args);
    if root() {
        command.uid(STRANGER).gid(STRANGER);
    }
    Ran::of(&command.output().unwrap())
}

#[test]
fn a_missing_folder_is_told() {
    let home = Home::new(NOBODY);
    home.configure(&format!("[database]\nurl = \"sqlite://none/linkyd.db\"\n{}", source(NOBODY, "")), &meter(""));
    for command in [&["sync"][..], &["status"], &["db", "check"], &["db", "migrate"]] {
        let ran = home.run(command).exits(69);
        assert!(ran.message().contains("none/linkyd.db") && ran.message().contains("folder"), "{ran:?}");
    }
    // A plan needs no database.
    home.run(&["plan"]).exits(0);
}

#[test]
fn a_database_of_a_newer_version_is_left_alone() {
    let (home, _enedis) = stocked();
    home.edit("PRAGMA user_version = 99; PRAGMA wal_checkpoint(TRUNCATE);");
    let before = fs::read(home.database()).unwrap();
    for command in [&["sync"][..], &["plan"], &["status"], &["db", "migrate"], &["db", "check"]] {
        let ran = home.run(command).exits(69);
        assert!(ran.message().contains("newer version; upgrade linkyd"), "{ran:?}");
    }
    assert!(fs::read(home.database()).unwrap() == before, "it was changed");
}

#[test]
fn files_of_other_programs_are_left_alone() {
    let home = Home::new(NOBODY);
    home.edit_new("CREATE TABLE photo (name TEXT); INSERT INTO photo VALUES ('cat');");
    let before = fs::read(home.database()).unwrap();
    for command in [&["sync"][..], &["plan"], &["status"], &["db", "migrate"], &["db", "check"]] {
        let ran = home.run(command).exits(69);
        assert!(ran.message().contains("another program"), "{ran:?}");
    }
    assert!(fs::read(home.database()).unwrap() == before, "it was changed");

    let text = "Dear database,\nthis is a letter of some length and nothing else at all.\n".repeat(20);
    home.write("linkyd.db", &text, 0o640);
    for command in [&["sync"][..], &["plan"], &["status"], &["db", "migrate"], &["db", "check"]] {
        let ran = home.run(command).exits(69);
        assert!(ran.message().contains("no SQLite file"), "{ran:?}");
    }
    assert_eq!(fs::read_to_string(home.database()).unwrap(), text);
}

#[test]
fn a_read_only_file_or_folder_is_told() {
    let (home, _enedis) = stocked();
    let open = |mode: u32| fs::set_permissions(home.path("."), PermissionsExt::from_mode(mode)).unwrap();
    let files = |mode: u32| {
        for name in ["linkyd.db", "linkyd.db-wal", "linkyd.db-shm", "linkyd.db.lock", "config.toml"] {
            if home.path(name).exists() {
                fs::set_permissions(home.path(name), PermissionsExt::from_mode(mode)).unwrap();
            }
        }
    };
    // The configuration holds its secret inline, so it must not be world-readable: from outside.
    let without = source(NOBODY, "").replace(&format!("client_secret = \"{}\"\n", crate::cli_rig::SECRET), "");
    home.configure(&without, &meter("since = 2026-10-01"));
    let sync = |home: &Home| {
        let mut args = vec!["sync", "--at", MORNING];
        args.push("--json");
        let exe = home.path("exe");
        let _ = as_stranger(home, &["--version"]);
        let mut command = std::process::Command::new(exe);
        home.prepare(&mut command);
        command.args(args).env("LINKYD_SOURCE__ENEDIS__CLIENT_SECRET", "x");
        if root() {
            command.uid(STRANGER).gid(STRANGER);
        }
        Ran::of(&command.output().unwrap())
    };
    let _ = as_stranger(&home, &["--version"]);

    // A file that may only be read, in a folder that may only be read.
    files(0o444);
    open(0o555);
    let ran = sync(&home).exits(69);
    assert!(ran.message().contains("write access"), "{ran:?}");
    let ran = as_stranger(&home, &["status", "--at", MORNING]).exits(0);
    assert!(ran.out.contains("Maison"), "{ran:?}");

    // A file that may only be read in a folder that may be written.
    open(0o777);
    if home.path("linkyd.db.lock").exists() {
        fs::remove_file(home.path("linkyd.db.lock")).unwrap();
    }
    let ran = sync(&home).exits(69);
    assert!(ran.message().contains("read-only") || ran.message().contains("write access"), "{ran:?}");

    // A folder that may not even be entered.
    open(0o700);
    files(0o640);
    home.assert_whole();
}

#[tokio::test]
async fn a_lock_of_another_program_is_waited_for() {
    let (home, _enedis) = tokio::task::spawn_blocking(stocked).await.unwrap();
    let mut other = SqliteConnectOptions::new().filename(home.database()).connect().await.unwrap();
    other.execute("BEGIN EXCLUSIVE").await.unwrap();
    let again = ["sync", "--refetch", "--dataset", "daily_consumption", "--at", MORNING];
    let mut waiting = home.start(&again);
    // It has begun: it holds the lock file with its number.
    let number = waiting.0.id().to_string();
    crate::cli_rig::wait_for("the lock file", || {
        fs::read_to_string(home.path("linkyd.db.lock")).ok().filter(|holder| holder.starts_with(&number))
    });
    // A status is answered meanwhile.
    home.run_at_morning(&["status"]).exits(0);
    assert!(waiting.0.try_wait().unwrap().is_none(), "it waits");
    other.execute("COMMIT").await.unwrap();
    assert_eq!(waiting.code(), Some(0));
    home.assert_whole();
}

#[tokio::test]
async fn a_lock_that_stays_is_no_reason_to_lose_anything() {
    let (home, _enedis) = tokio::task::spawn_blocking(stocked).await.unwrap();
    let mut other = SqliteConnectOptions::new().filename(home.database()).connect().await.unwrap();
    other.execute("BEGIN EXCLUSIVE").await.unwrap();
    let again = ["sync", "--refetch", "--dataset", "daily_consumption", "--at", MORNING];
    let ran = home.run(&again).exits(75);
    assert!(ran.message().contains("locked for a minute"), "{ran:?}");
    other.execute("COMMIT").await.unwrap();
    home.assert_whole();
    home.run(&again).exits(0);
}

#[test]
fn another_linkyd_at_work_is_named() {
    let home = Home::empty();
    let enedis = Simulated::start(&home.path(""), &["--no-limits", "--latency-ms", "300000"]);
    home.configure(&source(&enedis.url, ""), &meter(""));
    let mut first = home.start(&["sync", "--at", MORNING]);
    let number = first.0.id().to_string();
    crate::cli_rig::wait_for("the lock file", || {
        fs::read_to_string(home.path("linkyd.db.lock")).ok().filter(|holder| holder.starts_with(&number))
    });
    for command in [&["sync"][..], &["db", "migrate"]] {
        let ran = home.run(command).exits(75);
        assert!(ran.message().contains(&format!("process {number}, `linkyd sync`")), "{ran:?}");
    }
    let ran = home.run(&["demo", "--database", "linkyd.db"]);
    assert!(matches!(ran.code, Some(64 | 75)), "{ran:?}");
    // Whoever only reads is not disturbed, once there is something to read.
    crate::cli_rig::wait_for("the schema", || (home.run_at_morning(&["status"]).code == Some(0)).then_some(()));
    first.signal("-TERM");
    assert_eq!(first.code(), Some(0));
    home.assert_whole();
}

#[test]
fn a_torn_page_is_found() {
    let (home, _enedis) = stocked();
    home.edit("PRAGMA wal_checkpoint(TRUNCATE);");
    let mut file = fs::OpenOptions::new().write(true).open(home.database()).unwrap();
    let pages = file.metadata().unwrap().len() / 4096;
    for page in pages / 4..pages {
        file.seek(SeekFrom::Start(page * 4096)).unwrap();
        file.write_all(&[0x5a; 4096]).unwrap();
    }
    drop(file);
    let ran = home.run(&["db", "check"]);
    assert!(matches!(ran.code, Some(1 | 69)), "{ran:?}");
    assert!(!ran.out.contains("is whole"), "{ran:?}");
    let ran = home.run(&["sync", "--at", "2026-11-26T08:30:00+01:00"]).exits(69);
    assert!(ran.err.contains("is damaged") && ran.err.contains("`linkyd db check`"), "{ran:?}");
    assert!(ran.err.contains("restore a backup"), "{ran:?}");
}

#[test]
fn a_limit_on_file_sizes_is_no_crash() {
    let home = Home::empty();
    let enedis = Simulated::start(&home.path(""), &["--no-limits"]);
    home.configure(&source(&enedis.url, ""), &meter(""));
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -f 1400; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_linkyd")]);
    home.prepare(&mut command);
    command.args(["sync", "--at", MORNING]);
    let ran = Ran::of(&command.output().unwrap()).exits(69);
    assert!(ran.err.contains("cannot write to the database"), "{ran:?}");
    home.assert_whole();
    let stored: u64 = home.rows("SELECT count(*) || '' FROM v_load_curve")[0].parse().unwrap();
    let document = home.run_at_morning(&["sync", "--json"]).exits(0).json();
    assert!(stored > 0 && document["calls"].as_u64().unwrap() < crate::cli_rig::FEWEST, "{stored} {document}");
    home.assert_whole();
}

#[test]
fn a_full_disk_loses_nothing() {
    let home = Home::empty();
    let enedis = Simulated::start(&home.path(""), &["--no-limits"]);
    home.configure(&format!("[database]\nurl = \"sqlite://disk/linkyd.db\"\n{}", source(&enedis.url, "")), &meter(""));
    fs::create_dir(home.path("disk")).unwrap();
    // A file system of its own, seen by this shell and its children alone.
    let script = "mount -t tmpfs -o size=700k none disk 2>/dev/null || exit 200; \
                  exe=$1; shift; \"$exe\" \"$@\" sync --at $AT; first=$?; \
                  \"$exe\" \"$@\" db check >&2; whole=$?; \
                  mount -o remount,size=20m disk || exit 201; \
                  \"$exe\" \"$@\" sync --at $AT >&2; second=$?; \
                  \"$exe\" \"$@\" db check >&2; echo \"codes $first $whole $second $?\"";
    let mut command = std::process::Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_linkyd")]);
    home.prepare(&mut command);
    command.env("AT", MORNING);
    let Ok(output) = command.output() else { return };
    let ran = Ran::of(&output);
    if !ran.out.contains("codes ") && !ran.err.contains("linkyd") {
        println!("SKIPPED: this machine lets nobody mount a file system");
        return;
    }
    assert!(ran.out.contains("codes 69 0 0 0"), "{ran:?}");
    assert!(ran.err.contains("the disk is full; nothing was lost"), "{ran:?}");
    // It stopped asking once it could not store.
    let calls = enedis.calls().len() as u64;
    assert!((crate::cli_rig::FEWEST..crate::cli_rig::FEWEST + 13).contains(&calls), "{calls}");
}

#[test]
fn a_reader_that_goes_away_is_an_input_output_error() {
    let (home, _enedis) = stocked();
    for args in [&["status"][..], &["plan", "--json"], &["config", "show"], &["sync"], &["--help"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = home.command(args).stdout(full).stderr(Stdio::piped()).output().unwrap();
        let ran = Ran::of(&output).exits(74);
        assert!(*args == ["--help"] || ran.err.contains("standard output"), "{ran:?}");
    }
    let mut process =
        Process(home.command(&["simulate", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("listening on http://127.0.0.1:"), "{line}");
    process.signal("-INT");
    assert_eq!(process.code(), Some(0));
    home.assert_whole();
}

#[test]
fn files_follow_the_umask_and_are_never_for_everybody() {
    for (umask, mode) in [("000", 0o640), ("022", 0o640), ("027", 0o640), ("077", 0o600)] {
        let home = Home::new(NOBODY);
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &format!("umask {umask}; exec \"$@\""), "sh", env!("CARGO_BIN_EXE_linkyd")]);
        home.prepare(&mut command);
        command.args(["db", "migrate"]);
        Ran::of(&command.output().unwrap()).exits(0);
        for name in ["linkyd.db", "linkyd.db-wal", "linkyd.db-shm", "linkyd.db.lock"] {
            let found = fs::metadata(home.path(name)).unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode, "{name} under umask {umask}: {found:o}");
        }
    }
}

/// What some views of a file show.
fn shown(database: &std::path::Path) -> [Vec<String>; 3] {
    [
        rows(database, "SELECT prm || direction || starts_at || watts || source FROM v_load_curve ORDER BY 1"),
        rows(database, "SELECT prm || dataset || day || state || intervals_stored FROM v_coverage ORDER BY 1"),
        rows(database, "SELECT called_at || dataset || start_day || row_count FROM v_call ORDER BY 1"),
    ]
}

#[test]
fn a_database_moves_with_all_that_is_in_it() {
    let (home, _enedis) = stocked();
    let to = format!("sqlite://{}", home.path("moved.db").display());
    let text = home.run(&["db", "copy", "--to", &to]).exits(0).out;
    assert!(text.contains("load_curve") && !text.contains("differ") && text.ends_with("were written now.\n"), "{text}");
    assert_eq!(shown(&home.database()), shown(&home.path("moved.db")));

    let again = home.run(&["db", "copy", "--json", "--to", &to]).exits(0).json();
    assert_eq!(keys(&again), ["daemon", "equal", "from", "rows", "tables", "to", "written"]);
    assert_eq!(keys(&again["tables"][0]), ["checksum", "equal", "rows", "rows_there", "table", "written"]);
    assert_eq!((&again["equal"], &again["written"], &again["daemon"]), (&json!(true), &json!(0), &json!(false)));
    assert!(again["rows"].as_u64().unwrap() > 2_000, "{again}");

    // Linkyd goes on with the copy: nothing is asked again, and the budget is as used up as before.
    let moved = format!("[database]\nurl = \"{to}\"\n{}", source(NOBODY, ""));
    let used = |home: &Home| home.run_at_morning(&["status", "--json"]).exits(0).json()["budget"][0]["used"].clone();
    let before = used(&home);
    home.configure(&moved, &meter("since = 2026-10-01"));
    assert_eq!(home.run_at_morning(&["sync", "--json"]).exits(0).json()["calls"], 0);
    assert_eq!(used(&home), before);
    home.run(&["db", "check"]).exits(0);
}

#[test]
fn a_replay_counts_in_words_that_fit() {
    let (home, _enedis) = stocked();
    let replay = ["db", "replay", "--dataset", "daily_consumption"];
    let told = home.run(&replay).exits(0).out;
    assert!(
        told.starts_with("Maison daily_consumption: 1 answer, 0 values lacked, 0 differed, 0 in no answer\n"),
        "{told}"
    );
    home.edit("DELETE FROM daily_energy WHERE day = 20775 AND direction = 0");
    let told = home.run(&replay).exits(0).out;
    assert!(told.starts_with("Maison daily_consumption: 1 answer, 1 value lacked, 0 differed,"), "{told}");
    home.run(&["db", "check"]).exits(0);
}

#[test]
fn a_copy_never_goes_where_something_else_is() {
    let (home, _enedis) = stocked();
    let (other, _other_enedis) = stocked();
    other.edit("UPDATE meter SET prm = '99999999999999'");
    let to = |path: &std::path::Path| format!("sqlite://{}", path.display());
    let before = shown(&other.database());
    let ran = home.run(&["db", "copy", "--to", &to(&other.database())]).exits(64);
    assert!(ran.message().contains("the target holds other data (its meter 1 is not that of the source)"), "{ran:?}");
    assert!(shown(&other.database()) == before);
    for (url, code) in [
        (to(&home.database()), 64),
        ("linkyd.db".to_owned(), 64),
        ("postgres://x@localhost/y?sslmod=require".to_owned(), 64),
        (to(&home.path("none/linkyd.db")), 69),
        ("postgres://x@127.0.0.1:1/y?connect_timeout=1".to_owned(), 69),
        ("nonsense".to_owned(), 64),
    ] {
        let ran = home.run(&["db", "copy", "--to", &url]).exits(code);
        // The configuration is not what is wrong.
        assert!(!ran.err.contains("database.url"), "{}", ran.err);
        assert!(url != "nonsense" || (ran.err.contains("sqlite://") && ran.err.contains("postgres://")), "{}", ran.err);
        assert!(!url.contains("127.0.0.1") || ran.err.contains("`--to`"), "{}", ran.err);
    }
    home.run(&["db", "copy"]).exits(64);
}

#[test]
fn a_backup_is_whole_and_replaces_nothing() {
    let (home, _enedis) = stocked();
    // Somebody is at work: their lock is no business of a backup.
    let _at_work = linkyd::store::lock::ProcessLock::take(&home.database(), "linkyd run").unwrap();
    let to = home.path("backup.db").display().to_string();
    let done = home.run(&["db", "backup", &to, "--json"]).exits(0).json();
    assert_eq!(keys(&done), ["bytes", "database", "tables", "to"]);
    assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(done["bytes"], fs::metadata(&to).unwrap().len());
    let days = "SELECT CAST(count(*) AS TEXT) || ' ' || sum(watts) FROM v_load_curve WHERE day < '2026-11-20'";
    let (ours, theirs) = (home.rows(days), rows(&home.path("backup.db"), days));
    assert!(ours[0].len() > 8 && ours == theirs, "{ours:?} {theirs:?}");
    let curve = "SELECT CAST(count(*) AS TEXT) FROM load_curve";
    assert_eq!(rows(&home.path("backup.db"), curve), [done["tables"]["load_curve"].to_string()]);
    // It serves as the database.
    let elsewhere = Home::empty();
    fs::copy(&to, elsewhere.database()).unwrap();
    elsewhere.configure(&source(NOBODY, ""), &meter("since = 2026-10-01"));
    elsewhere.assert_whole();
    elsewhere.run_at_morning(&["status", "--check"]).exits(0);

    let before = fs::read(&to).unwrap();
    let ran = home.run(&["db", "backup", &to]).exits(64);
    assert!(ran.err.contains("exists already"), "{}", ran.err);
    assert_eq!(fs::read(&to).unwrap(), before);
    let own = home.database().display().to_string();
    home.run(&["db", "backup", &own]).exits(64);
    let ran = home.run(&["db", "backup", "nowhere/backup.db"]).exits(74);
    assert!(ran.err.contains("nowhere/backup.db cannot be written"), "{}", ran.err);
    let text = home.run(&["db", "backup", "other.db"]).exits(0).out;
    assert!(text.contains("other.db: ") && text.contains("whole."), "{text}");
    let left: Vec<_> = fs::read_dir(home.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".part")), "{left:?}");
}

#[test]
fn a_backup_needs_a_database_of_a_file() {
    let home = Home::new(NOBODY);
    home.run(&["db", "backup", "b.db"]).exits(69);
    assert!(!home.path("b.db").exists());
    home.run(&["db", "backup"]).exits(64);
    let config =
        format!("[database]\nurl = \"postgres://linky:s3cret@127.0.0.1:1/power\"\n{}{}", source(NOBODY, ""), meter(""));
    home.write("config.toml", &config, 0o640);
    let ran = home.run(&["db", "backup", "b.dump"]).exits(64);
    let command = "pg_dump --format=custom --host=127.0.0.1 --port=1 --username=linky --file=b.dump power";
    assert!(ran.err.contains(command) && !ran.err.contains("s3cret"), "{}", ran.err);
    let document = home.run(&["db", "backup", "b.dump", "--json"]).exits(64).json();
    assert_eq!(
        (keys(&document), &document["command"]),
        (vec!["bytes", "command", "database", "tables", "to"], &json!(command))
    );
}

#[test]
fn a_day_that_does_not_fit_its_record_is_named_with_what_mends_it() {
    let (home, _enedis) = stocked();
    home.edit("UPDATE coverage SET stored = 0 WHERE dataset = 3 AND stored = 1 AND day IN (20770, 20775)");
    for (count, day) in [(2, "2026-11-18"), (1, "2026-11-13")] {
        let ran = home.run(&["db", "check"]).exits(1);
        let mends = format!("sync --refetch --dataset daily_consumption --from {day} --to {day}");
        assert!(ran.out.starts_with(&format!("{count} × days of daily values")), "{}", ran.out);
        assert!(
            ran.out.contains(&format!("the newest of Maison, daily_consumption, {day}; `linkyd {mends}`")),
            "{}",
            ran.out
        );
        home.run_at_morning(&mends.split(' ').collect::<Vec<_>>()).exits(0);
    }
    home.run(&["db", "check"]).exits(0);
}
