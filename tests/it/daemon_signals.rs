//! What the daemon does when it is signalled, and what the service manager hears of it.

use std::io::Write as _;
use std::process::Command;
use std::time::Duration;

use linkyd::clock::Clock as _;
use linkyd::store::lock::ProcessLock;

use crate::cli_rig::{Home, METER, SECRET, Simulated, meter, now, source, wait_for};
use crate::daemon_rig::{Daemon, http};

/// A meter with a short history, so that a pass takes few calls.
fn short() -> String {
    let today = linkyd::domain::paris::today(linkyd::clock::SystemClock::new().now());
    let since = today.plus(-20);
    meter(&format!("since = {since}"))
}

/// A folder with a configuration against a simulator that follows the machine's clock.
fn home(latency: &str) -> (Home, Simulated) {
    let home = Home::empty();
    let enedis = Simulated::start_today(&home.path(""), &["--no-limits", "--latency-ms", latency]);
    home.configure(&source(&enedis.url, ""), &(http(None) + &short()));
    (home, enedis)
}

#[test]
fn a_start_fetches_tells_the_manager_and_a_stop_is_clean() {
    let (home, enedis) = home("0");
    let mut daemon = Daemon::ready(&home);
    daemon.logs("pass done", 1);
    let status = daemon.manager.waits_for("STATUS=Complete up to ");
    assert!(status.contains("next pass 20") && status.contains("(Paris)"), "{status}");
    daemon.manager.waits_for("WATCHDOG=1");
    let calls = enedis.calls().len();
    assert!(calls > 0);
    let ran = home.run(&["status", "--json"]).exits(0).json();
    assert_eq!(ran["daemon"], true);
    assert_eq!(ran["next_wake"]["why"], "daily");
    let log = daemon.stop();
    assert_eq!(log.matches("pass done").count(), 1, "{log}");
    assert!(!log.contains(METER) && !log.contains(SECRET), "{log}");
    // What is there is not asked for again, and a second daemon finds nothing to do at once.
    let daemon = Daemon::ready(&home);
    let log = daemon.stop();
    assert_eq!(enedis.calls().len(), calls, "{log}");
    home.assert_whole();
}

#[test]
fn a_storm_of_signals_is_one_further_pass_and_spends_nothing_above_the_budget() {
    const BUDGET: usize = 4;
    let (home, enedis) = home("1000");
    let source =
        source(&enedis.url, "").replace("requests_per_hour = 1000000", &format!("requests_per_hour = {BUDGET}"));
    home.configure(&source, &(http(None) + &short()));
    let daemon = Daemon::ready(&home);
    // The first pass is under way, and slow.
    let script = format!("for i in $(seq 1000); do kill -USR1 {}; done", daemon.process.0.id());
    let asked = now();
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    assert!(asked.elapsed() < Duration::from_secs(1), "a storm, no drizzle: {:?}", asked.elapsed());
    daemon.logs("pass done", 2);
    // Had there been a third one it would follow within milliseconds.
    daemon.process.signal("-USR2");
    daemon.logs("Source enedis:", 1);
    let status = home.run(&["status", "--json"]).json();
    assert_eq!(status["budget"][0]["used"], BUDGET, "{status}");
    // The token counts as well.
    assert_eq!(enedis.calls().len(), BUDGET - 1);
    let log = daemon.stop();
    assert_eq!(log.matches("pass done").count(), 2, "{log}");
    assert_eq!(log.matches("why=\"operator\"").count(), 1, "{log}");
}

#[test]
fn the_status_comes_into_the_log_when_asked_for() {
    let (home, _enedis) = home("0");
    let daemon = Daemon::ready(&home);
    daemon.logs("pass done", 1);
    daemon.process.signal("-USR2");
    daemon.logs("Maison  daily_max_power", 1);
    daemon.logs("Source enedis:", 1);
    daemon.stop();
}

#[test]
fn a_new_configuration_is_taken_whole_or_not_at_all() {
    let (home, enedis) = home("0");
    let mut daemon = Daemon::ready(&home);
    daemon.logs("pass done", 1);
    let calls = enedis.calls().len();
    // Three kinds of broken files: each is named with its line, and nothing changes.
    let sound = std::fs::read_to_string(home.path("config.toml")).unwrap();
    let broken = [
        (format!("{sound}\nnonsense ="), "no TOML"),
        (format!("[databse]\nurl = \"x\"\n{sound}"), "config.toml:1: unknown key"),
        (sound.replace(METER, &METER[1..]), "14 digits"),
    ];
    for (times, (text, complaint)) in broken.iter().enumerate() {
        home.write("config.toml", text, 0o640);
        daemon.process.signal("-HUP");
        daemon.manager.waits_for("RELOADING=1");
        daemon.manager.waits_for("MONOTONIC_USEC=");
        daemon.manager.waits_for("READY=1");
        daemon.logs("stays in force", times + 1);
        assert!(daemon.log().contains(complaint), "{complaint}: {}", daemon.log());
    }
    assert_eq!(daemon.log().matches("pass done").count(), 1);
    // Another meter and another filter take effect at once; what needs a restart says so.
    let second = short().replace(METER, "01234567890125").replace("Maison", "Grange");
    let text =
        format!("{sound}{second}[log]\nfilter = \"debug\"\n").replace("listen = \"\"", "listen = \"127.0.0.1:1\"");
    home.write("config.toml", &text, 0o640);
    daemon.process.signal("-HUP");
    daemon.logs("pass done", 2);
    let log = daemon.log();
    assert!(log.contains("why=\"reload\"") && log.contains("[http] changed"), "{log}");
    assert!(log.contains("DEBUG"), "{log}");
    assert!(enedis.calls().len() > calls);
    let status = home.run(&["status", "--json"]).json();
    assert_eq!(status["meters"].as_array().unwrap().len(), 2);
    // And back: the meter is asked for nothing any more, and keeps its rows.
    home.write("config.toml", &sound, 0o640);
    daemon.process.signal("-HUP");
    daemon.logs("pass done", 3);
    let rows = home.rows("SELECT count(*) || '' FROM v_load_curve WHERE meter = 'Grange'");
    assert!(rows[0].parse::<u64>().unwrap() > 0);
    daemon.stop();
}

#[test]
fn a_contract_that_is_newly_named_is_asked_for_at_once() {
    for restarted in [false, true] {
        let (home, _enedis) = home("0");
        let mut daemon = Daemon::ready(&home);
        daemon.logs("pass done", 1);
        assert_eq!(home.rows("SELECT segment FROM contract"), Vec::<String>::new());
        let text = std::fs::read_to_string(home.path("config.toml")).unwrap();
        let named = text.replace("datasets = [", "datasets = [\"contract\", ");
        assert_ne!(named, text);
        home.write("config.toml", &named, 0o640);
        if restarted {
            daemon.stop();
            daemon = Daemon::ready(&home);
        } else {
            daemon.process.signal("-HUP");
        }
        wait_for("the contract of both directions", || {
            (home.rows("SELECT segment FROM contract ORDER BY segment") == ["C5", "P4"]).then_some(())
        });
        daemon.stop();
    }
}

#[test]
fn a_broken_configuration_amid_a_pass_changes_nothing_and_is_told_until_it_is_mended() {
    let (home, enedis) = home("1500");
    let mut daemon = Daemon::ready(&home);
    daemon.manager.waits_for("STATUS=Fetching");
    let sound = std::fs::read_to_string(home.path("config.toml")).unwrap();
    home.write("config.toml", &format!("[databse]\nurl = \"x\"\n{sound}"), 0o640);
    daemon.process.signal("-HUP");
    daemon.manager.waits_for("RELOADING=1");
    let told = daemon.manager.waits_for("STATUS=Fetching");
    assert!(told.contains("the new configuration cannot be used: ") && told.contains("config.toml:1: "), "{told}");
    daemon.logs("stays in force", 1);
    let log = daemon.log();
    assert!(!log.contains("pass done"), "it is amid its pass");
    assert!(log.lines().any(|line| line.contains("ERROR") && line.contains("config.toml:1: unknown key")), "{log}");
    // The pass goes on to its end, and the status still says what is wrong.
    daemon.logs("pass done", 1);
    let told = daemon.manager.waits_for("STATUS=Complete up to");
    assert!(told.contains("config.toml:1: unknown key"), "{told}");
    let calls = enedis.calls().len();
    home.write("config.toml", &sound, 0o640);
    daemon.process.signal("-HUP");
    daemon.logs("the configuration was read again", 1);
    daemon.process.signal("-USR2");
    let told = wait_for("the status line", || {
        daemon
            .log()
            .lines()
            .rev()
            .find(|line| line.contains("INFO") && line.contains("Complete up to"))
            .map(str::to_owned)
    });
    assert!(!told.contains("cannot be used"), "{told}");
    assert_eq!(enedis.calls().len(), calls);
    daemon.stop();
    home.assert_whole();
}

#[test]
fn signals_before_anything_was_read_end_nothing() {
    let (home, _enedis) = home("0");
    // The configuration is a pipe, so the daemon waits with its very first step.
    let (place, sound) = (home.path("config.toml"), home.path("sound.toml"));
    std::fs::rename(&place, &sound).unwrap();
    assert!(Command::new("mkfifo").args(["-m", "600"]).arg(&place).status().unwrap().success());
    let mut daemon = Daemon::start(&home);
    // Opens once somebody reads at the other end.
    let mut pipe = std::fs::OpenOptions::new().write(true).open(&place).unwrap();
    for signal in ["-HUP", "-USR1", "-USR2"] {
        daemon.process.signal(signal);
    }
    let text = std::fs::read(&sound).unwrap();
    std::fs::rename(&sound, &place).unwrap();
    pipe.write_all(&text).unwrap();
    drop(pipe);
    daemon.manager.waits_for("READY=1");
    daemon.logs("pass done", 1);
    daemon.logs("the configuration was read again", 1);
    daemon.stop();
}

#[test]
fn a_stop_in_the_middle_of_calls_and_writes_is_clean_and_two_are_at_once() {
    for latency in ["0", "30", "300000"] {
        let (home, enedis) = home(latency);
        home.configure(
            &source(&enedis.url, "").replace("requests_per_second = 1000", "requests_per_second = 50"),
            &(http(None) + &meter("")),
        );
        let mut daemon = Daemon::ready(&home);
        if latency == "300000" {
            daemon.manager.waits_for("STATUS=Fetching");
        } else {
            wait_for("some calls", || (enedis.calls().len() > 5).then_some(()));
        }
        let log = daemon.stop();
        assert!(log.contains("stopped"), "{log}");
        home.assert_whole();
    }
    let (home, _enedis) = home("300000");
    let mut daemon = Daemon::ready(&home);
    daemon.manager.waits_for("STATUS=Fetching");
    let asked = now();
    daemon.process.signal("-INT");
    daemon.process.signal("-INT");
    assert_eq!(daemon.process.code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(1));
}

#[test]
fn commands_find_their_turn_beside_the_daemon_and_a_second_daemon_does_not() {
    let (home, enedis) = home("400");
    let mut daemon = Daemon::ready(&home);
    daemon.manager.waits_for("STATUS=Fetching");
    // In the middle of a pass: readers go on, a second daemon is refused, a sync waits.
    let plan = home.run(&["plan"]);
    assert!([0, 75].contains(&plan.code.unwrap()), "{plan:?}");
    home.run(&["status"]).exits(0);
    let asked = now();
    let second = home.run(&["run"]).exits(75);
    assert!(asked.elapsed() < Duration::from_secs(1) && second.message().contains("`linkyd run`"), "{second:?}");
    let sync = home.run(&["sync"]).exits(0);
    assert!(sync.err.contains("waiting for a turn") && sync.err.contains("`linkyd run`"), "{sync:?}");
    assert!(sync.out.starts_with("Nothing to fetch"), "{sync:?}");
    assert_eq!(daemon.log().matches("pass done").count(), 1);
    // Between passes a command has its turn at once, and the daemon waits for it in its turn.
    let turn = ProcessLock::take(&home.database(), "linkyd sync").unwrap();
    daemon.process.signal("-USR1");
    daemon.logs("a pass is due and waits", 1);
    daemon.manager.waits_for("STATUS=Waiting for another linkyd");
    assert_eq!(daemon.log().matches("pass done").count(), 1);
    drop(turn);
    daemon.logs("pass done", 2);
    let calls = enedis.calls().len();
    home.run(&["sync", "--refetch", "--dataset", "daily_consumption"]).exits(0);
    assert!(enedis.calls().len() > calls);
    daemon.stop();
}

#[test]
fn a_failing_source_and_a_wrong_secret_do_not_end_it() {
    let home = Home::empty();
    // Nobody listens there.
    home.configure(&source("http://127.0.0.1:9", ""), &(http(None) + &short()));
    let daemon = Daemon::ready(&home);
    daemon.logs("pass done", 1);
    let status = wait_for("what is left", || {
        daemon.manager.rest().iter().find(|line| line.contains(" to go, until about 20")).cloned()
    });
    assert!(status.contains("next pass 20") && status.contains("(source enedis: "), "{status}");
    let log = daemon.stop();
    assert!(log.contains("Not before") || log.contains("unreachable"), "{log}");
}

#[test]
fn a_broken_configuration_ends_a_start_with_78() {
    let home = Home::empty();
    home.configure(&source("http://127.0.0.1:9", "nonsense = 1"), &meter(""));
    let ran = home.run(&["run"]).exits(78);
    assert!(ran.err.contains("config.toml:5: unknown key \"nonsense\""), "{ran:?}");
    home.configure(&source("http://127.0.0.1:9", ""), "");
    home.run(&["run"]).exits(78);
}

#[test]
fn a_database_that_vanishes_is_noticed_and_the_watchdog_starves() {
    let (home, _enedis) = home("0");
    let mut daemon = Daemon::ready(&home);
    daemon.logs("pass done", 1);
    daemon.manager.waits_for("WATCHDOG=1");
    for file in ["linkyd.db", "linkyd.db-wal", "linkyd.db-shm"] {
        std::fs::remove_file(home.path(file)).unwrap();
    }
    daemon.process.signal("-USR1");
    daemon.logs("deleted or replaced", 1);
    assert!(daemon.manager.rest().iter().all(|line| line != "WATCHDOG=1"));
    daemon.stop();
}

#[test]
fn killed_at_its_start_again_and_again_it_spends_no_call_above_the_budget() {
    const KILLS: usize = 200;
    const BUDGET: usize = 9;
    let home = Home::empty();
    let enedis = Simulated::start_today(&home.path(""), &["--no-limits"]);
    let source = source(&enedis.url, "").replace("requests_per_hour = 1000000", "requests_per_hour = 9");
    home.configure(&source, &(http(None) + &meter("")));
    let mut random = fastrand::Rng::new();
    for _ in 0..KILLS {
        let mut daemon = Daemon::start(&home);
        std::thread::sleep(Duration::from_millis(random.u64(3..=50)));
        daemon.process.kill();
        daemon.process.code();
    }
    let daemon = Daemon::ready(&home);
    daemon.logs("pass done", 1);
    // Each token counts as well.
    let calls = enedis.calls().len();
    assert!(calls < BUDGET, "{calls}");
    let status = home.run(&["status", "--json"]).json();
    assert_eq!(status["budget"][0]["used"], BUDGET, "{status}");
    daemon.logs("budget of the hour", 1);
    // It sleeps until the budget has room again, and whoever asks beside it reads that.
    assert_eq!(status["next_wake"]["why"], "resume", "{status}");
    let told = home.run(&["status"]).exits(0).out;
    assert!(told.contains("The daemon's next pass: 20"), "{told}");
    daemon.stop();
    let status = home.run(&["status", "--json"]).json();
    assert_eq!(status["next_wake"]["why"], "start", "a fresh start would go on at once: {status}");
    home.assert_whole();
}

#[test]
fn a_table_of_meters_is_read_again_with_the_configuration() {
    let home = Home::empty();
    let enedis = Simulated::start_today(&home.path(""), &["--no-limits"]);
    home.configure(&format!("meters_file = \"meters.csv\"\n{}", source(&enedis.url, "")), &http(None));
    let since = linkyd::domain::paris::today(linkyd::clock::SystemClock::new().now()).plus(-20);
    let line = |prm: &str, name: &str| format!("{prm},{name},consumption_load_curve,{since}\n");
    let table = |lines: &[String]| {
        home.write("meters.csv", &format!("prm,name,datasets,since\n{}", lines.concat()), 0o640);
    };
    let (first, second) = (line(METER, "Maison"), line("01234567890125", "Grange"));
    table(std::slice::from_ref(&first));
    let daemon = Daemon::ready(&home);
    daemon.logs("pass done", 1);
    let calls = enedis.calls().len();
    // A mistake in a line of it changes nothing.
    table(&[first.clone(), line("1234", "Grange")]);
    daemon.process.signal("-HUP");
    daemon.logs("stays in force", 1);
    assert!(daemon.log().contains("meters.csv:3"), "{}", daemon.log());
    assert_eq!(enedis.calls().len(), calls);
    table(&[first.clone(), second]);
    daemon.process.signal("-HUP");
    daemon.logs("pass done", 2);
    let names = |home: &Home| -> Vec<String> {
        let status = home.run(&["status", "--json"]).json();
        status["meters"].as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&home), ["Maison", "Grange"]);
    assert!(enedis.calls().len() > calls);
    // A meter that is taken out of it is asked for nothing any more.
    table(&[first]);
    daemon.process.signal("-HUP");
    daemon.logs("pass done", 3);
    assert_eq!(names(&home), ["Maison"]);
    daemon.stop();
}
