//! Bad input: one clear message and the exit code of the contract for each.

use std::net::TcpListener;

use crate::cli_rig::{Home, METER, SECRET, Simulated, meter, now, root, source};

/// An address at which nobody listens.
const NOBODY: &str = "http://127.0.0.1:9/";

#[track_caller]
fn refuses(home: &Home, code: i32, expected: &[&str]) {
    for command in [&["sync"][..], &["plan"]] {
        let ran = home.run_at_morning(command).exits(code);
        for part in expected {
            assert!(ran.message().contains(part), "{part:?} is not in {:?}", ran.message());
        }
    }
    assert!(!home.database().exists(), "a command that is refused creates nothing");
}

#[test]
fn mistakes_in_the_configuration_name_file_line_and_remedy() {
    let home = Home::new(NOBODY);
    let sources = source(NOBODY, "");
    for (text, expected) in [
        (
            format!("{sources}[schedul]\nwake_at = \"08:00\"\n{}", meter("")),
            &["config.toml:9: ", "\"schedul\"", "\"schedule\""][..],
        ),
        (format!("{sources}{}", meter("sinse = 2024-01-01")), &["config.toml:12: ", "\"sinse\"", "\"since\""]),
        (format!("{sources}[[meter]]\nprm = \"1234567890123\"\n"), &["config.toml:10: prm: ", "14 digits"]),
        (format!("{sources}[[meter]]\nprm = 12345678901234\n"), &["config.toml:10: ", "quote it"]),
        (format!("{sources}[[meter]]\nprm = 01234567890123\n"), &["config.toml:10: ", "put it in quotes"]),
        (format!("{sources}[[meter]]\nprm = \"'; DROP TABLE m;\"\n"), &["config.toml:10: prm: "]),
        (format!("{sources}{}", meter("since = \"2024-02-30\"")), &["config.toml:12: since: "]),
        (format!("{sources}{}", meter("since = \"24/02/2024\"")), &["config.toml:12: since: "]),
        (sources.clone(), &["configuration: there is no meter"]),
        ("[source.enedis\n".to_owned(), &["config.toml:1: no TOML at column 15"]),
    ] {
        home.write("config.toml", &text, 0o640);
        refuses(&home, 78, expected);
    }
}

#[test]
fn every_mistake_is_told_at_once() {
    let home = Home::new(NOBODY);
    home.configure(&source(NOBODY, "colour = 1\nshape = 2"), "[[meter]]\nprm = \"1\"\n");
    let ran = home.run(&["sync"]).exits(78);
    assert_eq!(ran.err.lines().count(), 3, "{}", ran.err);
    assert!(ran.err.lines().all(|line| line.starts_with("linkyd: ")), "{}", ran.err);
}

#[test]
fn a_missing_or_unreadable_configuration_is_told() {
    let home = Home::empty();
    refuses(&home, 78, &["there is no configuration file", "config.toml", "--config"]);
    std::fs::create_dir(home.path("config.toml")).unwrap();
    refuses(&home, 78, &["cannot read the configuration file", "config.toml"]);
}

#[test]
fn mistakes_on_the_command_line_are_usage() {
    let home = Home::new(NOBODY);
    for (args, expected) in [
        (&["sync", "--from", "2026-02-30"][..], &["--from", "2026-02-30"][..]),
        (&["sync", "--from", "yesterday"], &["--from"]),
        (&["sync", "--from", "2026-03-02", "--to", "2026-03-01"], &["--from 2026-03-02 lies after --to 2026-03-01"]),
        (&["plan", "--prm", "0123456789012"], &["--prm <PRM>", "14 digits"]),
        (&["plan", "--prm", "98765432109876"], &["…9876", "not in the configuration"]),
        (&["sync", METER], &["unexpected argument '…0123'"]),
        (&["sync", "--dataset", "daily_comsumption"], &["no such dataset", "daily_consumption"]),
        (&["forget"], &["--personal", "--prm <PRM>"]),
        (&["forget", "--personal"], &["--yes"]),
        (&["status", "--at", "2026-11-24"], &["--at", "2026-11-24T09:30:00+01:00"]),
        (&["snyc"], &["snyc", "sync"]),
        (&["resume"], &["SOURCE"]),
        (&["resume", "enedi"], &["there is no source \"enedi\"", "there is enedis"]),
        (&["resume", METER], &["there is no source \"…0123\""]),
        (&["simulate", "--listen", "0.0.0.0:0"], &["0.0.0.0:0 is no loopback address"]),
    ] {
        let ran = home.run(args).exits(64);
        assert!(ran.out.is_empty(), "{ran:?}");
        for part in expected {
            assert!(ran.err.contains(part), "{part:?} is not in {:?}", ran.err);
        }
    }
}

#[test]
fn secrets_that_others_can_read_are_refused() {
    let home = Home::new(NOBODY);
    let file = source(NOBODY, "").replace(&format!("client_secret = \"{SECRET}\""), "client_secret_file = \"s\"");
    home.configure(&file, &meter(""));
    let told = |expected: &[&str]| {
        let ran = home.run(&["sync"]).exits(78);
        for part in expected {
            assert!(ran.message().contains(part), "{part:?} is not in {:?}", ran.message());
        }
    };
    told(&["config.toml:4: client_secret_file: s is not there", "mend the path"]);
    home.write("s", SECRET, 0o644);
    told(&["config.toml:4: ", "every user of this machine", "chmod 640"]);
    home.write("s", &format!("{SECRET}\nmore\n"), 0o600);
    told(&["config.toml:4: ", "more than one line"]);
    home.write("s", "", 0o600);
    told(&["config.toml:4: ", "is empty"]);
    // Commands that make no calls do not need it.
    home.run(&["plan"]).exits(0);

    let none = source(NOBODY, "").replace(&format!("client_secret = \"{SECRET}\""), "");
    home.configure(&none, &meter(""));
    told(&["config.toml:1: source \"enedis\" has no client_secret", "LINKYD_SOURCE__ENEDIS__CLIENT_SECRET"]);

    home.write("config.toml", &format!("{}{}", source(NOBODY, ""), meter("")), 0o644);
    told(&["config.toml:4: client_secret stands in a file that every user", "chmod 640"]);
    assert!(!home.database().exists());
}

#[test]
fn a_secret_with_a_newline_or_from_systemd_is_taken() {
    let home = Home::empty();
    let enedis = Simulated::start(&home.path(""), &["--no-limits", "--client-id", "app", "--client-secret", SECRET]);
    let none = source(&enedis.url, "").replace(&format!("client_secret = \"{SECRET}\""), "");
    home.configure(&none, &meter("since = 2026-11-20"));
    home.write("enedis.client_secret", &format!("{SECRET}\n"), 0o440);
    let mut command = home.command(&["sync", "--at", crate::cli_rig::MORNING]);
    command.env("CREDENTIALS_DIRECTORY", home.path(""));
    let output = command.output().unwrap();
    crate::cli_rig::Ran::of(&output).exits(0);
    home.assert_whole();
}

#[test]
fn a_source_that_is_down_is_left_at_once_and_nothing_is_lost() {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let home = Home::new(&format!("http://127.0.0.1:{port}/"));
    let began = now();
    let ran = home.run_at_morning(&["sync"]).exits(75);
    assert!(began.elapsed().as_secs() < 20, "{ran:?}");
    assert!(ran.out.contains("Source enedis: ") && ran.out.contains("Not before"), "{ran:?}");
    home.assert_whole();
    let text = home.run_at_morning(&["status"]).exits(0).out;
    assert!(text.contains("waiting") || text.contains("failing"), "{text}");
}

#[test]
fn wrong_credentials_are_told_with_advice() {
    let home = Home::empty();
    let args = ["--client-id", "app", "--client-secret", "another"];
    let enedis = Simulated::start(&home.path(""), &args);
    home.configure(&source(&enedis.url, ""), &meter(""));
    let ran = home.run_at_morning(&["sync"]).exits(77);
    assert!(ran.out.contains("Source enedis: "), "{ran:?}");
    assert_eq!(enedis.calls().len(), 0);
    home.run_at_morning(&["status", "--check"]).exits(1);
    home.assert_whole();
    // The document says the same, in another folder: here the source rests for a while now.
    let home = Home::new(&enedis.url);
    let document = home.run_at_morning(&["sync", "--json"]).exits(77).json();
    let told = &document["interruptions"][0];
    assert_eq!(told["source"], "enedis");
    // A token is no meter's.
    assert_eq!((&told["code"], &told["retry_helps"]), (&"INVALID-CLIENT".into(), &false.into()));
    assert!(told["prm"].is_null() && told["dataset"].is_null(), "{told}");
}

#[test]
fn an_unreadable_secret_is_told() {
    if root() {
        // Nothing is unreadable for root.
        return;
    }
    let home = Home::new(NOBODY);
    let file = source(NOBODY, "").replace(&format!("client_secret = \"{SECRET}\""), "client_secret_file = \"s\"");
    home.configure(&file, &meter(""));
    home.write("s", SECRET, 0o000);
    let ran = home.run(&["sync"]).exits(78);
    assert!(ran.message().contains("cannot be read"), "{ran:?}");
}
