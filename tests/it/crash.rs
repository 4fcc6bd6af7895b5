//! Killed at any moment, linkyd goes on where it was: the same database as without the kills, and
//! no call repeated whose answer was stored.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::cli_rig::{FEWEST, Home, MORNING, Simulated, meter, now, rows, source, wait_for};

const KILLS: usize = 40;

/// Calls that may be in the air when a process dies.
const MOST_IN_AIR: u64 = 12;

/// Every view that shows what was measured, in an order of its own, without what tells when.
const VIEWS: [&str; 10] = [
    "SELECT concat_ws('|', prm, meter, direction, starts_epoch, ends_at, starts_local, day, minutes, watts, wh, source) FROM v_load_curve ORDER BY 1",
    "SELECT concat_ws('|', prm, direction, starts_epoch, starts_local, day, wh, minutes) FROM v_hourly ORDER BY 1",
    "SELECT concat_ws('|', prm, day, day_epoch, ifnull(consumption_wh, '-'), ifnull(production_wh, '-'), ifnull(max_power_va, '-'), ifnull(max_power_at, '-'), ifnull(curve_consumption_wh, '-'), ifnull(curve_production_wh, '-'), ifnull(best_consumption_wh, '-'), ifnull(consumption_basis, '-')) FROM v_daily ORDER BY 1",
    "SELECT concat_ws('|', prm, month, ifnull(consumption_wh, '-'), ifnull(production_wh, '-'), ifnull(max_power_va, '-'), consumption_days, production_days) FROM v_monthly ORDER BY 1",
    "SELECT concat_ws('|', prm, year, ifnull(consumption_wh, '-'), ifnull(production_wh, '-'), ifnull(max_power_va, '-')) FROM v_yearly ORDER BY 1",
    "SELECT concat_ws('|', prm, dataset, day, state, ifnull(intervals_stored, '-'), ifnull(intervals_expected, '-'), ifnull(next_try_at, '-')) FROM v_coverage ORDER BY 1",
    "SELECT concat_ws('|', prm, dataset, first_day, last_day, days, state) FROM v_gap ORDER BY 1",
    "SELECT concat_ws('|', prm, dataset, newest_day, lag_days, state, ifnull(last_error_code, '-')) FROM v_freshness ORDER BY 1",
    "SELECT concat_ws('|', prm, dataset, starts_at, old_value, new_value) FROM v_revision ORDER BY 1",
    "SELECT concat_ws('|', prm, meter, source, ifnull(activated_on, '-')) FROM v_meter ORDER BY 1",
];

fn name(call: &Value) -> String {
    let text = |key: &str| call[key].as_str().unwrap_or_default().to_owned();
    format!("{} {} {}", text("dataset"), text("start"), text("end"))
}

/// The calls whose answers are stored.
fn stored(database: &Path) -> BTreeSet<String> {
    let answered = "SELECT dataset || ' ' || start_day || ' ' || end_day FROM v_call \
                    WHERE status = 200 AND dataset IS NOT NULL AND error_code IS NULL";
    rows(database, answered).into_iter().collect()
}

#[test]
fn kills_at_any_moment_change_nothing_and_repeat_nothing_that_was_stored() {
    let calm = Home::empty();
    let enedis = Simulated::start(&calm.path(""), &["--no-limits"]);
    calm.configure(&source(&enedis.url, ""), &meter(""));
    calm.run_at_morning(&["sync"]).exits(0);

    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let home = Home::empty();
    let enedis = Simulated::start(&home.path(""), &["--no-limits", "--latency-ms", "30", "--jitter-ms", "60"]);
    // Slow enough that the history outlives all kills.
    let source = source(&enedis.url, "").replace("requests_per_second = 1000", "requests_per_second = 50");
    home.configure(&source, &meter(""));
    let (mut killed, mut committed, mut told) = (0, BTreeSet::new(), 0);
    loop {
        let mut process = home.start(&["sync", "--at", MORNING]);
        // Before the first statement, while all begins, and in the midst of calls: after another
        // process the first call waits a quarter of a second.
        let longest = if random.bool() { 100_000 } else { 350_000 };
        let life = Duration::from_micros(random.u64(1_000..=longest));
        let born = now();
        while born.elapsed() < life && process.0.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_micros(500));
        }
        let ended = process.0.try_wait().unwrap();
        process.kill();
        killed += usize::from(process.code().is_none());
        if home.database().exists() && rows(&home.database(), "SELECT count(*) || '' FROM sqlite_schema")[0] != "0" {
            home.assert_whole();
            let calls = enedis.calls();
            for call in calls.get(told..).unwrap_or_default() {
                assert!(!committed.contains(&name(call)), "{} was stored before and is asked again", name(call));
            }
            // What was under way when the process died may still be written down: not counted yet.
            told = calls.len();
            committed = stored(&home.database());
        }
        if let Some(status) = ended {
            assert_eq!(status.code(), Some(0));
            break;
        }
        if killed == KILLS {
            home.run_at_morning(&["sync"]).exits(0);
            break;
        }
    }
    assert_eq!(killed, KILLS);
    home.assert_whole();
    for view in VIEWS {
        let (here, there) = (home.rows(view), calm.rows(view));
        assert!(here == there, "{view}: {} and {} rows", here.len(), there.len());
    }
    let calls = enedis.calls().len() as u64;
    let most = FEWEST + MOST_IN_AIR * killed as u64;
    assert!((FEWEST..=most).contains(&calls), "{calls}");
    println!("{killed} kills, {calls} calls for {FEWEST}");
    assert_eq!(home.run_at_morning(&["sync", "--json"]).exits(0).json()["calls"], 0);
}

#[test]
fn a_signal_ends_a_pass_within_two_seconds_and_two_at_once() {
    for twice in [false, true] {
        let home = Home::empty();
        // Two signals meet a source that answers to nothing.
        let latency = if twice { "300000" } else { "20" };
        let enedis = Simulated::start(&home.path(""), &["--no-limits", "--latency-ms", latency]);
        let source = source(&enedis.url, "").replace("requests_per_second = 1000", "requests_per_second = 50");
        home.configure(&source, &meter(""));
        let mut process = home.start(&["sync", "--at", MORNING]);
        if twice {
            wait_for("the schema", || (home.run_at_morning(&["status"]).code == Some(0)).then_some(()));
        } else {
            wait_for("some calls", || (enedis.calls().len() > 10).then_some(()));
        }
        let asked = now();
        process.signal("-TERM");
        if twice {
            process.signal("-INT");
        }
        assert_eq!(process.code(), Some(0));
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
        home.assert_whole();
        if !twice {
            let before = stored(&home.database());
            let asked = enedis.calls().len();
            home.run_at_morning(&["sync"]).exits(0);
            let again = enedis.calls();
            assert!(again[asked..].iter().all(|call| !before.contains(&name(call))));
            home.assert_whole();
        }
    }
}

#[test]
fn a_crash_loop_never_exceeds_a_small_hourly_budget() {
    const BUDGET: usize = 9;
    let home = Home::empty();
    let enedis = Simulated::start(&home.path(""), &["--no-limits"]);
    let source = source(&enedis.url, "").replace("requests_per_hour = 1000000", "requests_per_hour = 9");
    home.configure(&source, &meter(""));
    let mut random = fastrand::Rng::new();
    for _ in 0..25 {
        let mut process = home.start(&["sync", "--at", MORNING]);
        let (born, life) = (now(), Duration::from_millis(random.u64(5..=60)));
        while born.elapsed() < life && process.0.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        process.kill();
        process.code();
    }
    let ran = home.run_at_morning(&["sync"]).exits(75);
    assert!(ran.out.contains("budget of the hour"), "{ran:?}");
    let calls = enedis.calls().len();
    // Each token counts as well.
    assert!(calls < BUDGET, "{calls}");
    let status = home.run_at_morning(&["status", "--json"]).exits(0).json();
    assert_eq!(status["budget"][0]["used"], BUDGET, "{status}");
    home.assert_whole();
}
