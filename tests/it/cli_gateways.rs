//! The community gateways with the real binary: configured, asked, paused, resumed.

use serde_json::{Value, json};

use crate::cli_rig::{Home, METER, Simulated, meter};

/// A home with a meter that the simulated gateways know, served by those sources.
fn home(sources: &str, more: &str) -> (Home, Simulated) {
    let home = Home::empty();
    let simulated = Simulated::start(&home.path(""), &["--no-limits", "--prm", METER]);
    let meter = format!(
        "[[meter]]\nprm = \"{METER}\"\nname = \"Maison\"\nsources = {sources}\nsince = 2026-11-01\n\
         datasets = [\"consumption_load_curve\", \"daily_consumption\"]\n"
    );
    home.configure(&format!("{}{more}", simulated.gateways), &meter);
    (home, simulated)
}

fn budget<'d>(status: &'d Value, source: &str, pool: &str, window: &str) -> &'d Value {
    let entries = status["budget"].as_array().unwrap();
    let wanted = |e: &&Value| e["source"] == source && e["pool"] == pool && e["window"] == window;
    entries.iter().find(wanted).unwrap_or_else(|| panic!("{source} {pool} {window}: {status}"))
}

#[test]
fn what_the_simulator_prints_is_a_configuration() {
    let home = Home::empty();
    let simulated = Simulated::start(&home.path(""), &["--no-limits", "--prm", METER]);
    home.configure(&simulated.enedis, &meter(""));
    home.run(&["config", "check"]).exits(0);
    home.run_at_morning(&["sync", "--dataset", "daily_consumption"]).exits(0);
    assert!(simulated.calls().iter().all(|call| call["status"] == 200) && !simulated.calls().is_empty());
}

#[test]
fn either_gateway_fills_the_database() {
    for name in ["conso", "med"] {
        let (home, simulated) = home(&format!("[\"{name}\"]"), "");
        home.run(&["config", "check"]).exits(0);
        let sync = home.run_at_morning(&["sync", "--json"]).exits(0).json();
        assert!(sync["rows_inserted"].as_u64().unwrap() > 23 * 48, "{name}: {sync}");
        assert_eq!(home.rows("SELECT DISTINCT source FROM v_load_curve"), [name]);
        let calls = simulated.calls().len() as u64;
        assert_eq!((sync["calls"].as_u64(), calls > 0), (Some(calls), true), "{name}: {sync}");

        let status = home.run_at_morning(&["status", "--json", "--check"]).exits(0).json();
        let spent: u64 = ["live", "cached"]
            .into_iter()
            .filter(|pool| name == "med" || *pool == "live")
            .map(|pool| budget(&status, name, pool, "day")["used"].as_u64().unwrap())
            .sum();
        assert_eq!(spent, calls, "{name}: {status}");
        let consent = &status["meters"][0]["consent_until"];
        assert_eq!(consent.is_string(), name == "conso", "only its token says when it ends: {status}");
        home.assert_whole();
    }
}

#[test]
fn sources_behind_one_address_share_the_smaller_budget() {
    let (home, simulated) = home("[\"conso\", \"again\"]", "[source.conso.limits]\nrequests_per_day = 3\n");
    let gateways = simulated.gateways.split("[source.med]").next().unwrap();
    let again = gateways.replace("[source.conso]", "[source.again]");
    let text = std::fs::read_to_string(home.path("config.toml")).unwrap();
    home.write("config.toml", &format!("{again}{text}"), 0o640);
    home.run_at_morning(&["sync"]).exits(75);
    let calls = simulated.calls().len();
    assert!((1..=3).contains(&calls), "{calls}");
    let status = home.run_at_morning(&["status", "--json"]).exits(0).json();
    for name in ["conso", "again"] {
        let entry = budget(&status, name, "live", "day");
        assert_eq!((&entry["scope"], &entry["limit"], &entry["used"]), (&json!("address"), &json!(3), &json!(calls)));
    }
}

#[test]
fn a_pause_is_told_and_lifted_by_hand() {
    let (home, simulated) = home("[\"conso\"]", "");
    home.run(&["resume", "conso"]).exits(69);
    home.run(&["db", "migrate"]).exits(0);
    assert_eq!(home.run(&["resume", "conso"]).exits(0).out, "Source conso was not paused.\n");
    home.run_at_morning(&["sync"]).exits(0);
    let before = simulated.calls().len();
    home.edit("UPDATE account SET not_before_ms = 4102444800000, code = 'banned', message = 'It has banned you.'");

    let text = home.run_at_morning(&["status"]).exits(0).out;
    let told = "Source conso pauses until 2100-01-01 01:00 (Paris): It has banned you. To end the pause now: linkyd \
                resume conso.\n";
    assert!(text.contains(told), "{text}");
    let status = home.run_at_morning(&["status", "--json"]).exits(0).json();
    let entry = budget(&status, "conso", "live", "day");
    assert_eq!((&entry["paused_until"], &entry["pause_code"]), (&json!("2100-01-01T00:00:00Z"), &json!("banned")));
    let doctor = home.run(&["doctor"]).exits(75).out;
    assert!(
        doctor.contains("not asked, it pauses until 2100-01-01 01:00") && doctor.contains("resume conso"),
        "{doctor}"
    );
    assert_eq!(simulated.calls().len(), before);

    let lifted = home.run(&["resume", "conso", "--json"]).exits(0).json();
    assert_eq!((&lifted["lifted"], &lifted["pause_code"]), (&json!(true), &json!("banned")));
    let again = home.run(&["resume", "conso", "--json"]).exits(0).json();
    assert_eq!((&again["lifted"], &again["paused_until"]), (&json!(false), &Value::Null));
    let status = home.run_at_morning(&["status", "--json"]).exits(0).json();
    assert_eq!(budget(&status, "conso", "live", "day")["paused_until"], Value::Null);
    home.assert_whole();
}
