//! The unit files, as far as systemd's own tools can judge them without running them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::cli_rig::left_out;

fn unit(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(name)
}

/// Runs `systemd-analyze`; `None`, said aloud, where it is not there.
fn analyze(args: &[&str], units: &[&Path]) -> Option<Output> {
    match Command::new("systemd-analyze").args(args).args(units).env("SYSTEMD_COLORS", "0").output() {
        Ok(output) => Some(output),
        Err(error) => {
            left_out(&format!("systemd-analyze is missing, so the units were not checked: {error}"));
            None
        }
    }
}

#[test]
fn the_services_expose_little() {
    for name in ["linkyd.service", "linkyd-sync.service"] {
        let Some(output) = analyze(&["security", "--offline=true"], &[&unit(name)]) else { return };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().rev().find(|line| line.contains("Overall exposure level")).unwrap();
        let score = line.split_whitespace().find_map(|word| word.parse::<f64>().ok()).unwrap();
        println!("{name}: {score}");
        assert!(score <= 1.2, "{text}");
    }
}

#[test]
fn the_units_are_understood_with_and_without_drop_ins() {
    let folder = tempfile::tempdir().unwrap();
    // The program need not be installed where these tests run.
    let program = env!("CARGO_BIN_EXE_linkyd");
    for name in ["linkyd.service", "linkyd-sync.service", "linkyd-sync.timer"] {
        let text = fs::read_to_string(unit(name)).unwrap();
        let text = text.replace("/usr/bin/linkyd", program).replace(" man:linkyd(1)", "");
        fs::write(folder.path().join(name), text).unwrap();
    }
    let verify = || {
        let units = ["linkyd.service", "linkyd-sync.timer"].map(|name| folder.path().join(name));
        let Some(output) = analyze(&["verify", "--man=no"], &[&units[0], &units[1]]) else { return };
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let about_ours: Vec<&str> = told.lines().filter(|line| line.contains("linkyd")).collect();
        assert!(output.status.success() && about_ours.is_empty(), "{told}");
    };
    verify();
    for drop_in in ["reading-group.conf", "credential.conf"] {
        let place = folder.path().join("linkyd.service.d");
        fs::create_dir_all(&place).unwrap();
        fs::copy(unit("drop-ins").join(drop_in), place.join(drop_in)).unwrap();
    }
    verify();
}

#[test]
fn the_service_keeps_what_the_daemon_promises() {
    let text = fs::read_to_string(unit("linkyd.service")).unwrap();
    let value = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(&format!("{key}=")))
            .unwrap_or_else(|| panic!("{key}"))
            .to_owned()
    };
    assert_eq!((value("Type"), value("NotifyAccess")), ("notify".to_owned(), "main".to_owned()));
    // What only an operator can mend is not tried again; anything else is.
    assert_eq!((value("RestartPreventExitStatus"), value("Restart")), ("64 77 78".to_owned(), "on-failure".to_owned()));
    assert_eq!(value("ExecReload"), "/bin/kill -HUP $MAINPID");
    assert_eq!(value("UMask"), "0077");
    assert!(value("ExecStart").ends_with(" run"));
}
