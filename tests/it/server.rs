//! A database on a PostgreSQL server: the server dies at any moment, linkyd dies at any moment, and
//! what is there in the end is what is there without all that.

use std::io::Read as _;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use crate::cli_rig::{FEWEST, Home, MORNING, Simulated, meter, now, source, wait_for};
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

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// The rows that a statement finds; its first column is text.
fn rows(database: &Database, statement: &str) -> Vec<String> {
    block_on(async {
        let mut conn = database.connect().await;
        let rows = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).fetch_all(&mut conn).await.unwrap();
        conn.close().await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    })
}

/// A home with the simulator's meter, whose history goes to a database.
fn home(database: &Database, enedis: &Simulated, per_second: u32) -> Home {
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
    assert_eq!(home.run_at_morning(&["sync", "--json"]).exits(0).json()["calls"], 0);
}
