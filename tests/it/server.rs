//! A database on a PostgreSQL server: the server dies at any moment, linkyd dies at any moment, and
//! what is there in the end is what is there without all that.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use crate::cli_rig::{FEWEST, Home, MORNING, Process, Simulated, left_out, meter, now, source, wait_for};
use crate::instances_processes::{Asked, assert_only_lost_days_were_asked_for_again, lost};
use crate::postgres::{Database, Server};

const CRASHES: usize = 20;
const KILLS: usize = 15;

/// What differs with the moments at which something was asked.
const WHEN: &str = "ARRAY['checked_at', 'last_success_at', 'seen_at']";

/// Every view that shows what was measured or is known.
const VIEWS: [&str; 13] = [
    "v_load_curve",
    "v_hourly",
    "v_daily",
    "v_monthly",
    "v_yearly",
    "v_coverage",
    "v_gap",
    "v_freshness",
    "v_revision",
    "v_index",
    "v_daily_by_class",
    "v_reconciliation",
    "v_meter",
];

pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// The rows that a statement finds; its first column is text.
pub(crate) fn rows(database: &Database, statement: &str) -> Vec<String> {
    block_on(async {
        let mut conn = database.connect().await;
        let rows = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).fetch_all(&mut conn).await.unwrap();
        conn.close().await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    })
}

/// A home with the simulator's meter, whose history goes to a database.
pub(crate) fn home(database: &Database, enedis: &Simulated, per_second: u32) -> Home {
    let home = Home::empty();
    let limits =
        source(&enedis.url, "").replace("requests_per_second = 1000", &format!("requests_per_second = {per_second}"));
    home.configure(&format!("[database]\nurl = \"{}\"\n{limits}", database.url()), &meter(""));
    home
}

/// What is there once a whole history was fetched without any trouble.
fn calm(database: &Database) -> Vec<Vec<String>> {
    let folder = crate::cli_rig::folder();
    let enedis = Simulated::start(folder.path(), &["--no-limits"]);
    home(database, &enedis, 1000).run_at_morning(&["sync"]).exits(0);
    assert_eq!(enedis.calls().len() as u64, FEWEST);
    shown(database)
}

fn shown(database: &Database) -> Vec<Vec<String>> {
    let view = |view| rows(database, &format!("SELECT (to_jsonb(t) - {WHEN})::text FROM {view} t ORDER BY 1"));
    VIEWS.map(view).into_iter().collect()
}

fn assert_shown(database: &Database, expected: &[Vec<String>]) {
    for ((view, here), there) in VIEWS.iter().zip(shown(database)).zip(expected) {
        assert!(&here == there, "{view}: {} and {} rows", here.len(), there.len());
    }
}

#[test]
fn a_server_that_crashes_twenty_times_loses_nothing_and_doubles_nothing() {
    let server = Server::own();
    let (quiet, database) = block_on(async { (server.empty_database().await, server.empty_database().await) });
    let expected = calm(&quiet);

    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = crate::cli_rig::folder();
    let enedis = Simulated::start(folder.path(), &["--no-limits", "--latency-ms", "10", "--jitter-ms", "30"]);
    let home = home(&database, &enedis, 30);
    let mut process = home.start(&["sync", "--at", MORNING]);
    wait_for("the first calls", || (enedis.calls().len() > 2).then_some(()));
    let mut during = 0;
    for _ in 0..CRASHES {
        let (born, life) = (now(), Duration::from_micros(random.u64(1_000..200_000)));
        while born.elapsed() < life {
            std::thread::sleep(Duration::from_micros(500));
        }
        during += usize::from(process.0.try_wait().unwrap().is_none());
        server.crash();
    }
    let code = process.code();
    let mut said = String::new();
    process.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((code, during), (Some(0), CRASHES), "the backfill outlives all crashes: {said}");
    home.assert_whole();
    assert_shown(&database, &expected);
    // What was answered was stored, and what was stored was not asked for again.
    assert_eq!(enedis.calls().len() as u64, FEWEST);
    assert_eq!(home.run_at_morning(&["sync", "--json"]).exits(0).json()["calls"], 0);
}

#[test]
fn linkyd_killed_at_any_moment_goes_on_where_it_was() {
    let server = Server::shared();
    let (quiet, database) = block_on(async { (server.empty_database().await, server.empty_database().await) });
    let expected = calm(&quiet);

    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = crate::cli_rig::folder();
    let enedis = Simulated::start(folder.path(), &["--no-limits", "--latency-ms", "30", "--jitter-ms", "60"]);
    let home = home(&database, &enedis, 50);
    let there = "SELECT 'yes' WHERE to_regclass('load_curve_rest') IS NOT NULL";
    for _ in 0..KILLS {
        let mut process = home.start(&["sync", "--at", MORNING]);
        let (born, life) = (now(), Duration::from_micros(random.u64(1_000..700_000)));
        while born.elapsed() < life && process.0.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_micros(500));
        }
        process.kill();
        process.code();
        if !rows(&database, there).is_empty() {
            home.assert_whole();
            // The dead held some series; a minute later anybody may have them.
            rows(&database, "UPDATE series SET held_until_ms = 0 WHERE held_until_ms > 0");
        }
    }
    home.run_at_morning(&["sync"]).exits(0);
    home.assert_whole();
    assert_shown(&database, &expected);
    let answered = "SELECT dataset || start_day || end_day FROM v_call WHERE status = 200 AND error_code IS NULL";
    let mut spans = rows(&database, answered);
    let all = spans.len();
    spans.sort_unstable();
    spans.dedup();
    assert_eq!(spans.len(), all, "no span was stored twice");
    let asked: Vec<Asked> = enedis.calls().iter().map(Asked::of).collect();
    assert_only_lost_days_were_asked_for_again(&asked, &block_on(lost(&database)));
    assert_eq!(home.run_at_morning(&["sync", "--json"]).exits(0).json()["calls"], 0);
}

/// What some views show, in words that both engines have; in order.
const COMMON: [&str; 3] = [
    "SELECT prm || direction || starts_epoch || ' ' || watts || source FROM v_load_curve",
    "SELECT prm || dataset || day_epoch || ' ' || state || intervals_stored FROM v_coverage",
    "SELECT prm || dataset || start_day || end_day || coalesce(error_code, '') FROM v_call WHERE prm IS NOT NULL",
];

fn common(rows: impl Fn(&'static str) -> Vec<String>) -> Vec<Vec<String>> {
    let sorted = |statement| {
        let mut rows = rows(statement);
        rows.sort_unstable();
        rows
    };
    COMMON.map(sorted).into()
}

#[test]
fn a_database_moves_to_a_server_and_back_with_all_that_is_in_it() {
    let home = Home::empty();
    let enedis = Simulated::start(&home.path(""), &["--no-limits"]);
    home.configure(&source(&enedis.url, ""), &meter("since = 2026-10-01"));
    home.run_at_morning(&["sync"]).exits(0);
    let before = common(|statement| home.rows(statement));
    assert!(before.iter().all(|rows| rows.len() > 9), "{:?}", before.iter().map(Vec::len).collect::<Vec<_>>());

    let database = block_on(Server::shared().empty_database());
    home.run(&["db", "copy", "--to", &database.url()]).exits(0);
    assert!(common(|statement| rows(&database, statement)) == before, "the server has other rows");
    let again = home.run(&["db", "copy", "--json", "--to", &database.url()]).exits(0).json();
    assert_eq!((&again["equal"], &again["written"]), (&true.into(), &0.into()), "{again}");

    // And back into a file, which linkyd goes on with.
    home.configure(
        &format!("[database]\nurl = \"{}\"\n{}", database.url(), source(&enedis.url, "")),
        &meter("since = 2026-10-01"),
    );
    let back = format!("sqlite://{}", home.path("linkyd-back.db").display());
    home.run(&["db", "copy", "--to", &back]).exits(0);
    std::fs::rename(home.path("linkyd-back.db"), home.database()).unwrap();
    for ending in ["-wal", "-shm"] {
        let _where_there_is_one = std::fs::remove_file(home.path(&format!("linkyd.db{ending}")));
        let _as_above =
            std::fs::rename(home.path(&format!("linkyd-back.db{ending}")), home.path(&format!("linkyd.db{ending}")));
    }
    home.configure(&source(&enedis.url, ""), &meter("since = 2026-10-01"));
    assert!(common(|statement| home.rows(statement)) == before, "the file has other rows");
    assert_eq!(home.run_at_morning(&["sync", "--json"]).exits(0).json()["calls"], 0);
}

/// A copy goes to a server that crashes again and again: it waits, or says that it is to be run again, and what it left
/// half done is never taken for whole.
#[test]
fn a_copy_whose_target_crashes_arrives_in_the_end() {
    let home = Home::empty();
    let enedis = Simulated::start(&home.path(""), &["--no-limits"]);
    home.configure(&source(&enedis.url, ""), &meter("since = 2026-05-01"));
    home.run_at_morning(&["sync"]).exits(0);
    let expected = common(|statement| home.rows(statement));

    let server = Server::own();
    let database = block_on(server.empty_database());
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut crashes, mut ended) = (0, false);
    while !ended || crashes < 5 {
        let mut copying = home.start(&["db", "copy", "--to", &database.url()]);
        let (born, life) = (now(), Duration::from_millis(random.u64(1..600)));
        while born.elapsed() < life && copying.0.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_micros(500));
        }
        if copying.0.try_wait().unwrap().is_none() && crashes < 5 {
            server.crash();
            crashes += 1;
        }
        let code = copying.code();
        assert!(matches!(code, Some(0 | 69)), "{code:?}");
        ended = code == Some(0);
        if ended {
            assert!(common(|statement| rows(&database, statement)) == expected, "the server has other rows");
        }
        // The next one has to begin anew as well.
        if crashes < 5 && ended {
            let gone = "DROP SCHEMA public CASCADE; CREATE SCHEMA public";
            block_on(database.run(gone));
        }
    }
    let again = home.run(&["db", "copy", "--json", "--to", &database.url()]).exits(0).json();
    assert_eq!((&again["equal"], &again["written"]), (&true.into(), &0.into()), "{again}");
}

/// A `PgBouncer` in transaction mode before the server of a database; and the way to it.
fn bouncer(folder: &Path, database: &Database) -> (Process, String) {
    let url = url::Url::parse(&database.url()).unwrap();
    let parameter = url.query_pairs().find(|(key, _)| key == "host").map(|(_, host)| host.into_owned());
    let host = parameter.or_else(|| url.host_str().map(str::to_owned)).unwrap_or_else(|| "localhost".to_owned());
    let password = url.password().map(|password| format!(" password={password}")).unwrap_or_default();
    let (port, user) = (url.port().unwrap_or(5432), url.username());
    let settings = format!(
        "[databases]\n* = host={host} port={port} user={user}{password}\n[pgbouncer]\nlisten_addr =\n\
         unix_socket_dir = {0}\nlisten_port = 6432\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 3\n",
        folder.display()
    );
    let path = folder.join("pgbouncer.ini");
    std::fs::write(&path, settings).unwrap();
    // It refuses to run as root, and has to be let in where the server lives.
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let mut command = Command::new(PGBOUNCER);
    let owner = |path: &str| std::fs::metadata(path).map(|own| std::os::unix::fs::MetadataExt::uid(&own)).ok();
    if owner("/proc/self") == Some(0) {
        let server = owner(&host).filter(|user| *user != 0).unwrap_or(65_534).to_string();
        let name = Command::new("id").args(["-nu", &server]).output().unwrap().stdout;
        command.args(["-u", String::from_utf8(name).unwrap().trim()]);
    }
    let process = Process(command.arg(&path).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
    wait_for("PgBouncer", || folder.join(".s.PGSQL.6432").exists().then_some(()));
    (process, format!("postgres://{user}@localhost:6432/{}?host={}", database.name(), folder.display()))
}

const PGBOUNCER: &str = "/usr/sbin/pgbouncer";

#[test]
fn a_history_arrives_behind_a_pooler_in_transaction_mode() {
    if !Path::new(PGBOUNCER).exists() {
        left_out("PgBouncer is not installed, so nothing was tested behind it: apt-get install pgbouncer");
        return;
    }
    let database = block_on(Server::shared().empty_database());
    let folder = crate::cli_rig::folder();
    let (mut pooler, url) = bouncer(folder.path(), &database);
    let home = Home::empty();
    let enedis = Simulated::start(&home.path(""), &["--no-limits"]);
    home.configure(&format!("[database]\nurl = \"{url}\"\n{}", source(&enedis.url, "")), &meter("since = 2026-10-01"));
    let calls = home.run_at_morning(&["sync", "--json"]).exits(0).json()["calls"].clone();
    assert_eq!(calls, enedis.calls().len());
    home.assert_whole();
    assert_eq!(home.run_at_morning(&["sync", "--json"]).exits(0).json()["calls"], 0);
    assert_eq!(home.run_at_morning(&["status", "--check"]).exits(0).err, "");
    let sessions =
        rows(&database, "SELECT count(DISTINCT pid)::text FROM pg_stat_activity WHERE datname = current_database()");
    assert!(sessions[0].parse::<u32>().unwrap() <= 4, "three of the pooler's, and this one: {sessions:?}");
    pooler.kill();
}
