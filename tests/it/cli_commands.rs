//! What each command prints and how it exits, with the real binary.

use serde_json::{Value, json};

use crate::cli_rig::{FEWEST, Home, METER, MORNING, Simulated, keys, meter, rows, source};

/// What is said where `--failing` finds nothing.
const FINE: &str = "No series is late, failing or suspended.";

fn datasets(document: &Value) -> &Vec<Value> {
    document["meters"][0]["datasets"].as_array().unwrap()
}

fn series<'d>(document: &'d Value, dataset: &str) -> &'d Value {
    datasets(document).iter().find(|d| d["dataset"] == dataset).unwrap()
}

#[test]
fn a_whole_history_arrives_and_every_document_keeps_its_keys() {
    let home = Home::empty();
    let enedis = Simulated::start(&home.path(""), &["--no-limits"]);
    home.configure(&source(&enedis.url, ""), &meter(""));

    // Without a database everything is still to be fetched, and none is created by asking.
    let plan = home.run_at_morning(&["plan", "--json"]).exits(0).json();
    assert_eq!(keys(&plan), ["at", "calls", "forecast", "total"]);
    assert_eq!((&plan["at"], &plan["total"]), (&json!("2026-11-24T07:30:00Z"), &json!(FEWEST)));
    let call = &plan["calls"][0];
    assert_eq!(keys(call), ["dataset", "end", "prm", "reason", "start"]);
    assert_eq!(call["prm"], METER);
    assert!(call["start"].as_str().unwrap() < call["end"].as_str().unwrap(), "{call}");
    assert!(!home.database().exists());
    home.run_at_morning(&["status"]).exits(69);

    let sync = home.run_at_morning(&["sync", "--json"]).exits(0).json();
    assert_eq!(
        keys(&sync),
        ["calls", "calls_left", "interruptions", "meters", "rows_changed", "rows_inserted", "stopped"]
    );
    assert_eq!((&sync["calls"], &sync["rows_changed"]), (&json!(FEWEST), &json!(0)));
    assert!(sync["rows_inserted"].as_u64().unwrap() > 70_000, "{sync}");
    assert_eq!(keys(&sync["meters"][0]), ["datasets", "name", "prm"]);
    assert_eq!((&sync["meters"][0]["prm"], datasets(&sync).len()), (&json!(METER), 5));
    for one in datasets(&sync) {
        assert_eq!(keys(one), ["code", "dataset", "error", "retry_helps", "source", "state"]);
        assert_eq!((&one["state"], &one["error"]), (&json!("ok"), &Value::Null));
    }
    let calls = enedis.calls();
    assert_eq!(calls.len() as u64, FEWEST);
    assert!(calls.iter().all(|call| call["status"] == 200));
    home.assert_whole();

    let again = home.run_at_morning(&["sync", "--json"]).exits(0).json();
    assert_eq!((&again["calls"], &again["rows_inserted"]), (&json!(0), &json!(0)));
    assert_eq!(enedis.calls().len() as u64, FEWEST);
    let text = home.run_at_morning(&["sync"]).exits(0).out;
    assert_eq!(text, "Nothing to fetch: everything that is published is here, or not due yet.\n");

    let plan = home.run_at_morning(&["plan", "--json"]).exits(0).json();
    assert_eq!((&plan["calls"], &plan["total"]), (&json!([]), &json!(0)));
    assert!(home.run_at_morning(&["plan"]).exits(0).out.starts_with("Nothing to fetch"));

    let status = home.run_at_morning(&["status", "--json", "--check"]).exits(0).json();
    assert_eq!(
        keys(&status),
        ["at", "backfill", "budget", "daemon", "meters", "next_wake", "not_asked", "open_consents"]
    );
    assert_eq!(status["not_asked"], json!([]));
    let nothing = json!({"calls": 0, "until": null, "sources": [], "expiring_days": {}});
    assert_eq!(status["backfill"], nothing);
    assert_eq!(keys(&status["meters"][0]), ["consent_until", "datasets", "name", "prm"]);
    assert_eq!((&status["meters"][0]["prm"], &status["meters"][0]["name"]), (&json!(METER), &json!("Maison")));
    for one in datasets(&status) {
        for key in ["dataset", "state", "newest_day", "oldest_day", "gaps", "error"] {
            assert!(one.get(key).is_some(), "{key}: {one}");
        }
        assert_eq!((&one["newest_day"], &one["gaps"], &one["late"]), (&json!("2026-11-23"), &json!(0), &json!(false)));
    }
    assert_eq!(series(&status, "daily_consumption")["oldest_day"], "2023-11-09");
    assert_eq!(status["budget"][0]["used"], json!(FEWEST + 1), "the token is a call too");

    // As if it were another day: two weeks later everything is late and there is something to ask.
    let later = ["--at", "2026-12-08T08:30:00+01:00"];
    home.run(&[&["status", "--check"], &later[..]].concat()).exits(1);
    home.run(&[&["status"], &later[..]].concat()).exits(0);
    let plan = home.run(&[&["plan", "--json"], &later[..]].concat()).exits(0).json();
    assert_eq!(plan["total"], 2 * 2 + 3);
    // Days ago the window began earlier; nothing was late then.
    let before = ["--at", "2026-11-20T08:30:00+01:00"];
    home.run(&[&["status", "--check"], &before[..]].concat()).exits(0);
    assert_eq!(home.run(&[&["plan", "--json"], &before[..]].concat()).exits(0).json()["total"], 5);
    // Before eight in the morning yesterday is not published; what is here already is no trouble.
    let before = ["--at", "2026-11-24T06:00:00+01:00"];
    assert_eq!(home.run(&[&["sync", "--json"], &before[..]].concat()).exits(0).json()["calls"], 0);
    home.assert_whole();
    home.run_at_morning(&["status", "--check"]).exits(0);

    // One series is late, another has a hole that is no trouble.
    assert_eq!(home.run_at_morning(&["status", "--failing"]).exits(0).out.lines().next(), Some(FINE));
    home.edit("UPDATE coverage SET state = 1 WHERE (dataset = 5 AND day >= 20777) OR (dataset = 3 AND day = 20700)");
    let named = |document: &Value| -> Vec<String> {
        let meters = document["meters"].as_array().unwrap().iter();
        let all = meters.flat_map(|m| m["datasets"].as_array().unwrap());
        all.map(|d| d["dataset"].as_str().unwrap().to_owned()).collect()
    };
    let status =
        |more: &[&str], code| named(&home.run_at_morning(&[&["status", "--json"], more].concat()).exits(code).json());
    assert_eq!(status(&["--failing", "--check"], 1), ["daily_max_power"]);
    assert_eq!(status(&["--failing", "--check", "--dataset", "daily_consumption"], 0), [""; 0]);
    assert_eq!(status(&["--prm", METER, "--dataset", "daily_consumption"], 0), ["daily_consumption"]);
    home.run_at_morning(&["status", "--prm", "99999999999999"]).exits(64);
    let planned =
        |more: &[&str]| home.run_at_morning(&[&["plan", "--json"], more].concat()).exits(0).json()["total"].clone();
    assert_eq!((planned(&[]), planned(&["--failing"])), (json!(2), json!(1)));
    assert_eq!(planned(&["--failing", "--dataset", "daily_consumption"]), 0);
    let sync = home.run_at_morning(&["sync", "--json", "--failing"]).exits(0).json();
    assert_eq!((named(&sync), &sync["calls"]), (vec!["daily_max_power".to_owned()], &json!(1)));
    assert_eq!(home.run_at_morning(&["sync", "--json", "--failing"]).exits(0).json()["calls"], 0);
    assert_eq!(planned(&[]), 1);
}

#[test]
fn what_was_never_asked_of_a_customer_fails_like_a_series_until_it_is_asked_for() {
    let home = Home::empty();
    let enedis = Simulated::start(&home.path(""), &["--no-limits", "--prm", METER]);
    let meter = format!(
        "[[meter]]\nprm = \"{METER}\"\nname = \"Maison\"\nsince = 2026-11-01\n\
         datasets = [\"daily_consumption\", \"contract\", \"address\"]\n"
    );
    home.configure(&source(&enedis.url, ""), &meter);
    let calls = |args: &[&str]| home.run_at_morning(&[args, &["--json"]].concat()).exits(0).json();
    // Measures by name bring the contract of a new meter along, and nothing else about its customer.
    assert_eq!(calls(&["sync", "--dataset", "daily_consumption"])["calls"], 4);
    let failing = home.run_at_morning(&["status", "--failing", "--check"]).exits(1).out;
    assert!(failing.contains("address") && !failing.contains("contract"), "{failing}");
    assert_eq!(calls(&["plan", "--failing"])["total"], 1);
    assert_eq!(calls(&["plan", "--failing", "--dataset", "contract"])["total"], 0);
    assert_eq!(calls(&["sync", "--failing", "--dataset", "daily_consumption"])["calls"], 0);
    let sync = calls(&["sync", "--failing"]);
    assert_eq!((&sync["calls"], &sync["meters"][0]["datasets"][0]["answered"]), (&json!(1), &json!(true)), "{sync}");
    assert_eq!(calls(&["plan", "--failing"])["total"], 0);
    assert_eq!(home.run_at_morning(&["status", "--failing"]).exits(0).out.lines().next(), Some(FINE));
    // A dataset that the configuration names since is one that was never asked for.
    home.configure(&source(&enedis.url, ""), &meter.replace("\"address", "\"identity\", \"address"));
    let sync = calls(&["sync", "--failing"]);
    assert_eq!(
        (&sync["calls"], &sync["meters"][0]["datasets"][0]["dataset"]),
        (&json!(1), &json!("identity")),
        "{sync}"
    );
}

/// What is not understood of a contract is told when it comes, and not each week anew.
#[test]
fn a_text_about_off_peak_hours_is_told_of_once() {
    let home = Home::empty();
    let start = |text: &str| {
        let world = format!("[[meter]]\nprm = \"{METER}\"\ncontract = {{ off_peak_text = \"{text}\" }}\n");
        let path = home.write("world.toml", &world, 0o640);
        let enedis = Simulated::start(&home.path(""), &["--no-limits", "--world", path.to_str().unwrap()]);
        let meter = format!("[[meter]]\nprm = \"{METER}\"\nname = \"Maison\"\ndatasets = [\"contract\"]\n");
        home.configure(&source(&enedis.url, ""), &meter);
        enedis
    };
    let told = || {
        let ran = home.run_at_morning(&["sync", "--refetch", "--dataset", "contract"]).exits(0);
        (ran.err.contains("off-peak hours are not understood"), ran.err)
    };
    for text in ["HC (sauf dimanche)", "HC (sauf samedi)"] {
        let _enedis = start(text);
        for first in [true, false, false] {
            let (told, err) = told();
            assert_eq!(told, first, "{text}: {err}");
            assert!(!err.contains(text), "{err}");
        }
        assert!(home.run(&["doctor", "--offline"]).out.contains("is not understood"));
    }
}

#[test]
fn sync_is_narrowed_to_meters_datasets_and_days() {
    let home = Home::empty();
    let enedis = Simulated::start(&home.path(""), &["--no-limits"]);
    home.configure(&source(&enedis.url, ""), &meter(""));
    let narrow = ["--prm", METER, "--dataset", "daily_consumption", "--from", "2026-03-01", "--to", "2026-03-31"];

    let plan = home.run_at_morning(&[&["plan", "--json"], &narrow[..]].concat()).exits(0).json();
    assert_eq!((&plan["total"], &plan["calls"][0]["dataset"]), (&json!(1), &json!("daily_consumption")));
    let sync = home.run_at_morning(&[&["sync", "--json"], &narrow[..]].concat()).exits(0).json();
    assert_eq!((&sync["calls"], datasets(&sync).len()), (&json!(1), 1));
    let complete = "SELECT group_concat(day) FROM (SELECT day FROM v_coverage WHERE state = 'complete' \
                    AND dataset = 'daily_consumption' AND day BETWEEN '2026-03-01' AND '2026-03-31')";
    assert_eq!(home.rows(complete)[0].split(',').count(), 31);
    assert_eq!(home.rows("SELECT count(*) || '' FROM v_load_curve"), ["0"]);

    let again = home.run_at_morning(&[&["sync", "--json"], &narrow[..]].concat()).exits(0).json();
    assert_eq!(again["calls"], 0);
    let refetch = home.run_at_morning(&[&["sync", "--json", "--refetch"], &narrow[..]].concat()).exits(0).json();
    // The call is stretched over days that are not there yet, for free.
    assert_eq!((&refetch["calls"], &refetch["rows_changed"]), (&json!(1), &json!(0)));
    let plan = home.run_at_morning(&[&["plan", "--json", "--refetch"], &narrow[..]].concat()).exits(0).json();
    assert_eq!(plan["total"], 1);
    assert_eq!(enedis.calls().len(), 2);
    home.assert_whole();
}

#[test]
fn status_check_tells_late_failing_and_suspended_series() {
    for (fault, code, state) in [
        ("status = 403\ncode = \"UNAUTHORIZED-USER\"", 1, "suspended"),
        ("status = 500\ncode = \"technical_error\"", 1, "failing"),
    ] {
        let home = Home::empty();
        let world = format!(
            "[rules]\nany_prm = true\n[[fault]]\nmatch = {{ dataset = \"daily_max_power\" }}\n\
             [fault.action]\nkind = \"status\"\n{fault}\ntext = \"No.\"\n"
        );
        let world = home.write("world.toml", &world, 0o644);
        let enedis = Simulated::start(&home.path(""), &["--no-limits", "--world", &world.display().to_string()]);
        let one = "[[meter]]\nprm = \"01234567890123\"\nname = \"Maison\"\nsince = 2026-11-01\n";
        home.configure(&source(&enedis.url, ""), one);
        let only = ["sync", "--dataset", "daily_max_power", "--json"];
        let sync = home.run_at_morning(&only);
        let told = sync.json()["meters"][0]["datasets"][0].clone();
        // Nobody has to do anything about a fault at Enedis.
        let helps = json!(state == "failing");
        assert_eq!((&told["state"], &told["retry_helps"]), (&json!(state), &helps), "{sync:?}");
        let status = home.run_at_morning(&["status", "--check", "--json"]).exits(code).json();
        assert_eq!(series(&status, "daily_max_power")["state"], state);
        assert!(series(&status, "daily_max_power")["error"].is_string());
        assert_eq!(series(&status, "daily_max_power")["retry_helps"], helps);
        home.assert_whole();
    }
}

#[test]
fn configuration_commands_report_and_hide_secrets() {
    let home = Home::new("http://127.0.0.1:9/");
    let text = home.run(&["config", "check"]).exits(0).out;
    assert_eq!(text, "The configuration is sound: sources 1, meters 1.\n");
    let document = home.run(&["config", "check", "--json"]).exits(0).json();
    assert_eq!(document, json!({"ok": true, "problems": [], "warnings": []}));
    let text = home.run(&["config", "show"]).exits(0).out;
    assert!(text.contains("client_secret = \"***\"") && !text.contains(METER), "{text}");
    let document = home.run(&["config", "show", "--json"]).exits(0).json();
    assert_eq!(keys(&document), ["file", "values"]);
    assert_eq!(document["values"]["source.enedis.client_secret"]["value"], "***");

    home.configure(&source("http://127.0.0.1:9/", "colour = \"blue\""), &meter(""));
    let text = home.run(&["config", "check"]).exits(78).out;
    assert!(text.contains("config.toml:5: ") && text.contains("\"colour\""), "{text}");
    let document = home.run(&["config", "check", "--json"]).exits(78).json();
    assert_eq!((&document["ok"], document["problems"].as_array().unwrap().len()), (&json!(false), 1));
}

#[test]
fn a_database_is_created_looked_after_and_found_whole() {
    let home = Home::new("http://127.0.0.1:9/");
    home.run(&["db", "check"]).exits(69);
    let text = home.run(&["db", "migrate"]).exits(0).out;
    let schema = linkyd::store::sqlite::NEWEST_SCHEMA;
    assert_eq!(text, format!("linkyd.db is at schema {schema}.\n"));
    let document = home.run(&["db", "migrate", "--json"]).exits(0).json();
    assert_eq!(document, json!({"database": "linkyd.db", "schema": schema}));
    assert_eq!(home.run(&["db", "check"]).exits(0).out, "linkyd.db is whole.\n");
    let document = home.run(&["db", "check", "--json"]).exits(0).json();
    assert_eq!(document, json!({"database": "linkyd.db", "ok": true, "findings": []}));
    // Nothing came yet, and the status says what to do about it.
    assert_eq!(home.run(&["status"]).exits(0).out, "No pass has been made yet: run `linkyd sync`.\n");
    home.run(&["status", "--check", "--at", MORNING]).exits(1);
}

#[test]
fn what_is_kept_of_a_customer_has_a_line_and_never_a_content() {
    let home = Home::empty();
    let enedis = Simulated::start(&home.path(""), &["--no-limits", "--prm", METER]);
    let meter = format!("[[meter]]\nprm = \"{METER}\"\nname = \"Maison\"\ndatasets = [\"contract\", \"address\"]\n");
    home.configure(&source(&enedis.url, ""), &meter.replace("\"address", "\"identity\", \"address"));
    let plan = home.run_at_morning(&["plan"]).exits(0).out;
    let of = [
        "contract: 3 calls for 1 meter.",
        "address: 1 call for 1 meter.",
        "identity: comes with another answer for 1 meter.",
    ];
    assert!(of.iter().all(|line| plan.lines().any(|other| other == *line)), "{plan}");
    assert!(plan.contains("Source enedis: 4 calls, about "), "{plan}");
    home.configure(&source(&enedis.url, ""), &meter);
    let first = home.run_at_morning(&["sync"]).exits(0).out;
    assert!(first.starts_with("4 calls: 0 new values, 0 changed, answered and kept: contract, address.\n"), "{first}");
    let again = home.run_at_morning(&["sync", "--refetch", "--dataset", "address"]).exits(0).out;
    assert!(again.starts_with("1 call: 0 new values, 0 changed, answered and kept: address.\n"), "{again}");
    let document = home.run_at_morning(&["sync", "--json", "--refetch", "--dataset", "address"]).exits(0).json();
    assert_eq!(document["meters"][0]["datasets"][0]["answered"], json!(true));
    assert_eq!(
        home.run_at_morning(&["sync", "--json"]).exits(0).json()["meters"][0]["datasets"][0]["answered"],
        json!(false)
    );

    let status = home.run_at_morning(&["status"]).exits(0).out;
    let line = |name: &str| status.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{status}"));
    let words = |name: &str| line(name).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let (today, next) = (&MORNING[..10], "2026-12-01");
    assert_eq!(words("contract"), ["Maison", "contract", "ok", today, next]);
    assert_eq!(words("address"), ["Maison", "address", "ok", today, next]);
    home.run_at_morning(&["status", "--check"]).exits(0);
    let document = home.run_at_morning(&["status", "--json"]).exits(0).json();
    let datasets = &document["meters"][0]["datasets"];
    assert_eq!((&datasets[0]["dataset"], &datasets[0]["next_look"]), (&json!("contract"), &json!(next)));
    let street = rows(&home.database(), "SELECT street FROM personal_address");
    assert!(!street[0].is_empty() && !status.contains(&street[0]) && !document.to_string().contains(&street[0]));

    // What is named since then nobody has asked for.
    assert_eq!(document["not_asked"], json!([]));
    home.configure(&source(&enedis.url, ""), &meter.replace("\"address\"", "\"address\", \"identity\""));
    let document = home.run_at_morning(&["status", "--check", "--json"]).exits(1).json();
    assert_eq!(document["not_asked"], json!([{"prm": METER, "name": "Maison", "dataset": "identity"}]));
}

#[test]
fn the_demo_runs_twice_and_touches_nothing_of_others() {
    let home = Home::empty();
    for _ in 0..2 {
        let document = home.run(&["demo", "--full-speed", "--json", "--database", "demo.db"]).exits(0).json();
        assert_eq!((&document["calls"], &document["values_different"]), (&json!(FEWEST + 2 * 36 + 3), &json!(0)));
        assert!(document["values_equal"].as_u64().unwrap() > 70_000);
        assert_eq!(document["database"], "demo.db");
    }
    // Its contract gives each interval a class, and each day its peak and off-peak energy.
    let classes = "SELECT DISTINCT tariff_class FROM v_load_curve WHERE direction = 'consumption' ORDER BY 1";
    assert_eq!(rows(&home.path("demo.db"), classes), ["HC", "HP"]);
    let lacking = "SELECT day FROM v_daily WHERE curve_consumption_wh IS NOT NULL AND (hp_wh IS NULL OR hc_wh IS NULL)";
    assert_eq!(rows(&home.path("demo.db"), lacking), Vec::<String>::new());
    home.write("letter.txt", "Dear all,\n", 0o640);
    let message = home.run(&["demo", "--full-speed", "--database", "letter.txt"]).exits(64).message().to_owned();
    assert_eq!(message, "linkyd: letter.txt is not a demo's database; name another file with --database");
    assert_eq!(std::fs::read_to_string(home.path("letter.txt")).unwrap(), "Dear all,\n");
    assert!(!home.path("letter.txt.lock").exists());

    // The history of a real meter is nothing that a demo may replace.
    let enedis = Simulated::start(&home.path(""), &["--no-limits"]);
    home.configure(&source(&enedis.url, ""), &meter("since = 2026-11-01"));
    home.run_at_morning(&["sync"]).exits(0);
    let before = std::fs::read(home.database()).unwrap();
    home.run(&["demo", "--full-speed", "--database", "linkyd.db"]).exits(64);
    assert_eq!(std::fs::read(home.database()).unwrap(), before);
}

#[test]
fn help_is_there_for_every_command() {
    let home = Home::empty();
    for command in [
        &["--help"][..],
        &["sync", "--help"],
        &["plan", "--help"],
        &["status", "--help"],
        &["simulate", "--help"],
        &["demo", "--help"],
        &["doctor", "--help"],
        &["resume", "--help"],
        &["config", "--help"],
        &["config", "show", "--help"],
        &["db", "check", "--help"],
    ] {
        let ran = home.run(command).exits(0);
        assert!(ran.out.contains("Usage: linkyd") && ran.err.is_empty(), "{ran:?}");
        assert!(ran.out.lines().all(|line| line.chars().count() <= 100), "{}", ran.out);
    }
    let ran = home.run(&[]).exits(64);
    assert!(ran.out.is_empty() && ran.err.contains("Usage: linkyd"), "{ran:?}");
}
