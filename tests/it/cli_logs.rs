//! What is logged, and what never is.

use std::fs;
use std::process::Command;

use crate::cli_rig::{Home, METER, MORNING, SECRET, Simulated, meter, source};

fn with_logs(url: &str, log: &str, more: &str) -> String {
    format!("[log]\n{log}\n{}{}", source(url, ""), meter(more))
}

#[test]
fn a_pass_is_one_line_that_a_person_can_read() {
    let home = Home::empty();
    let enedis = Simulated::start(&home.path(""), &["--no-limits"]);
    home.configure(&source(&enedis.url, ""), &meter("since = 2026-11-20"));
    let ran = home.run_at_morning(&["sync"]).exits(0);
    assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
    assert!(ran.err.contains(" INFO linkyd") && ran.err.contains("pass done calls=5 rows="), "{}", ran.err);
    assert!(!ran.err.contains('\u{1b}'), "{}", ran.err);

    home.write("config.toml", &with_logs(&enedis.url, "format = \"json\"", ""), 0o640);
    let ran = home.run_at_morning(&["sync", "--json"]).exits(0);
    let line: serde_json::Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!((&line["level"], &line["message"]), (&"info".into(), &"pass done".into()));
    assert_eq!(line["fields"]["calls"], ran.json()["calls"]);
}

#[test]
fn no_output_at_any_level_shows_a_secret_a_token_or_a_meter() {
    let home = Home::empty();
    // Refusals on the way too: their answers repeat what was asked.
    let world = "[rules]\nany_prm = true\n[rules.limits]\nper_second = 0\nper_hour_v5 = 0\nper_hour_2026 = 0\n\
                 [[fault]]\nmatch = { calls = [4] }\naction = { kind = \"status\", status = 401, envelope = \"e4\", \
                 code = \"900901\", text = \"Invalid Credentials for 01234567890123\" }\n\
                 [[fault]]\nmatch = { calls = [9] }\naction = { kind = \"status\", status = 400, code = \"X\\u001b[31m\", \
                 text = \"no 01234567890123\\r\\nINFO forged line\" }\n\
                 [[fault]]\nmatch = { calls = [11] }\naction = { kind = \"cut\" }\n";
    let world = home.write("world.toml", world, 0o644).display().to_string();
    let enedis = Simulated::start(&home.path(""), &["--world", &world]);
    for format in ["auto", "json"] {
        let log = format!("filter = \"trace\"\nformat = \"{format}\"");
        home.write("config.toml", &with_logs(&enedis.url, &log, "since = 2026-08-01"), 0o640);
        let mut all = String::new();
        for args in
            [&["plan"][..], &["sync"], &["status"], &["sync", "--refetch"], &["config", "show"], &["db", "check"]]
        {
            let at: &[&str] = if matches!(args[0], "config" | "db") { &[] } else { &["--at", MORNING] };
            // The rig looks for the secret everywhere, and for the meter in what is logged.
            let ran = home.run(&[args, at].concat());
            assert!(matches!(ran.code, Some(0 | 1 | 75)), "{ran:?}");
            all += &ran.err;
            all += &ran.out;
            for line in ran.err.lines() {
                assert!(line.len() <= 4096 && !line.contains('\u{1b}') && !line.starts_with("INFO"), "{line}");
            }
        }
        assert!(all.contains("TRACE") || all.contains("\"trace\""), "nothing was traced");
        assert!(!all.contains(METER) && !all.contains(SECRET));
        assert!(!all.contains("Bearer ") && !all.contains("eyJ"), "a token is shown");
        assert!(!all.contains("client_secret="), "the form of the token is shown");
    }
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let home = Home::empty();
    let enedis = Simulated::start(&home.path(""), &["--no-limits"]);
    home.configure(&source(&enedis.url, ""), &meter("since = 2026-11-20"));
    home.run_at_morning(&["sync"]).exits(0);
    assert!(!home.run_at_morning(&["status"]).out.contains('\u{1b}'));
    // `script` lends a terminal.
    let on_terminal = |no_color: bool| {
        let line = format!("{} --config config.toml status --at {MORNING}", env!("CARGO_BIN_EXE_linkyd"));
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).current_dir(home.path("")).env_remove("NO_COLOR");
        if no_color {
            command.env("NO_COLOR", "1");
        }
        command.output().ok().filter(|output| output.status.success()).map(|o| String::from_utf8(o.stdout).unwrap())
    };
    let (Some(coloured), Some(plain)) = (on_terminal(false), on_terminal(true)) else {
        println!("SKIPPED: there is no `script` on this machine to lend a terminal");
        return;
    };
    assert!(coloured.contains("\u{1b}[32mok\u{1b}[0m"), "{coloured:?}");
    assert!(!plain.contains('\u{1b}') && plain.contains(" ok "), "{plain:?}");
}

#[test]
fn the_unit_is_valid_and_confined() {
    let home = Home::empty();
    let unit = include_str!("../../systemd/linkyd-sync.service");
    assert!(unit.contains("LoadCredential=enedis.client_secret:"), "the unit shows how secrets are handed over");
    let unit = unit.replace("/usr/bin/linkyd", env!("CARGO_BIN_EXE_linkyd"));
    home.write("linkyd-sync.service", &unit, 0o644);
    fs::copy("systemd/linkyd-sync.timer", home.path("linkyd-sync.timer")).unwrap();
    let analyze = |args: &[&str]| {
        let mut command = Command::new("systemd-analyze");
        command.args(args).current_dir(home.path("")).env("SYSTEMD_LOG_LEVEL", "warning");
        command.output().ok()
    };
    if analyze(&["--version"]).is_none_or(|output| !output.status.success()) {
        println!("SKIPPED: there is no systemd-analyze on this machine, so the units were not checked");
        return;
    }
    let verified = analyze(&["verify", "./linkyd-sync.service", "./linkyd-sync.timer"]).unwrap();
    let told = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert!(verified.status.success() && !told.contains("linkyd-sync"), "{told}");
    // Exposure from 0 to 100; 15 is 1.5 in its table.
    let security = analyze(&["security", "--offline=true", "--threshold=15", "./linkyd-sync.service"]).unwrap();
    assert!(security.status.success(), "{}", String::from_utf8_lossy(&security.stdout));
}
