//! `linkyd doctor` with the real binary: what it finds, what it costs, how it ends.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::cli_rig::{Home, METER, Ran, SECRET, Simulated, keys, meter, source};

/// All three kinds at once, and a meter that all of them know.
fn home() -> (Home, Simulated) {
    let home = Home::empty();
    let args = ["--no-limits", "--prm", METER, "--client-id", "app", "--client-secret", SECRET];
    let simulated = Simulated::start_today(&home.path(""), &args);
    home.configure(
        &format!("{}{}", source(&simulated.url, ""), simulated.gateways),
        &meter("sources = [\"enedis\", \"conso\", \"med\"]"),
    );
    (home, simulated)
}

fn doctor(home: &Home, args: &[&str]) -> Ran {
    let ran = home.run(&[&["doctor"], args].concat());
    assert!(!ran.out.contains(METER), "{}", ran.out);
    ran
}

/// The result and message of a check.
fn check<'d>(document: &'d Value, check: &str, subject: &str) -> (&'d str, &'d str) {
    let checks = document["checks"].as_array().unwrap();
    let wanted = |c: &&Value| c["check"] == check && c["subject"].as_str().unwrap_or_default() == subject;
    let found = checks.iter().find(wanted).unwrap_or_else(|| panic!("{check} {subject}: {document}"));
    (found["result"].as_str().unwrap(), found["message"].as_str().unwrap())
}

#[test]
fn all_is_well_for_one_call_a_source() {
    let (home, simulated) = home();
    let before = doctor(&home, &["--json"]).exits(0).json();
    assert_eq!(check(&before, "database", "").0, "warning");
    assert!(!home.database().exists(), "it creates nothing");
    assert_eq!(simulated.calls().len(), 0);

    home.run(&["db", "migrate"]).exits(0);
    let document = doctor(&home, &["--json"]).exits(0).json();
    assert_eq!(keys(&document), ["at", "checks", "exit", "ok"]);
    assert_eq!((&document["ok"], &document["exit"]), (&json!(true), &json!(0)));
    for (subject, part) in [("enedis", "gives a token"), ("conso", "takes the token"), ("med", "takes the credentials")]
    {
        let (result, message) = check(&document, "source", subject);
        assert!(result == "ok" && message.contains(part), "{document}");
    }
    assert!(check(&document, "consent", "conso").1.starts_with("the token holds until"), "{document}");
    assert!(check(&document, "clock", "").1.contains("as source "), "{document}");
    let journal =
        "SELECT s.name || ' ' || coalesce(c.status, 'open') FROM call c JOIN source s ON s.id = c.source ORDER BY 1";
    assert_eq!(home.rows(journal), ["conso 200", "enedis 200", "med 200"], "each is counted");
    // The next pass knows nothing of it but the calls.
    home.assert_whole();

    let text = doctor(&home, &["--offline"]).exits(0).out;
    assert!(text.contains("source enedis") && text.contains("not asked: --offline"), "{text}");
    assert_eq!(home.rows("SELECT count(*) || '' FROM call"), ["3"]);
}

#[test]
fn a_budget_that_is_used_up_is_not_exceeded() {
    let (home, simulated) = home();
    let conso = simulated.gateways.split("[source.med]").next().unwrap();
    home.configure(&format!("{conso}[source.conso.limits]\nrequests_per_day = 1\n"), &meter(""));
    home.run(&["db", "migrate"]).exits(0);
    doctor(&home, &[]).exits(0);
    let document = doctor(&home, &["--json"]).exits(75).json();
    assert!(
        check(&document, "source", "conso").1.starts_with("not asked: the calls of the day are used up"),
        "{document}"
    );
    assert_eq!(simulated.calls().len(), 1);
}

#[test]
fn credentials_that_are_refused_are_told_and_no_reason_to_pause() {
    let home = Home::empty();
    let simulated = Simulated::start_today(&home.path(""), &["--client-id", "app", "--client-secret", "another"]);
    home.configure(&source(&simulated.url, ""), &meter(""));
    home.run(&["db", "migrate"]).exits(0);
    for _ in 0..2 {
        let document = doctor(&home, &["--json"]).exits(77).json();
        let (result, message) = check(&document, "source", "enedis");
        assert!(result == "problem" && !message.starts_with("not asked"), "{document}");
    }
}

#[test]
fn a_meter_that_the_token_does_not_name_is_told() {
    let home = Home::empty();
    let simulated = Simulated::start_today(&home.path(""), &["--no-limits", "--prm", "98765432109876"]);
    let conso = simulated.gateways.split("[source.med]").next().unwrap();
    home.configure(conso, &meter(""));
    home.run(&["db", "migrate"]).exits(0);
    let ran = doctor(&home, &[]).exits(1);
    assert!(ran.out.contains("meter Maison (…0123) is not among those") && ran.out.contains("(…9876)"), "{}", ran.out);
    assert_eq!(simulated.calls().len(), 0, "asking would only be refused");
}

#[test]
fn what_is_wrong_on_this_machine_is_told() {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let home = Home::new(&format!("http://127.0.0.1:{port}/"));
    home.run(&["db", "migrate"]).exits(0);
    let document = doctor(&home, &["--json"]).exits(75).json();
    assert_eq!(check(&document, "source", "enedis").0, "problem");

    home.write("config.toml", &format!("{}colour = 1\n{}", source("http://127.0.0.1:9/", ""), meter("")), 0o640);
    let document = doctor(&home, &["--json"]).exits(78).json();
    assert!(check(&document, "config", "").1.contains("config.toml:9: "), "{document}");

    // A secret that others can read: the rest is looked at all the same, and nobody is called.
    let named = source("http://127.0.0.1:9/", "")
        .replace(&format!("client_secret = \"{SECRET}\""), "client_secret_file = \"s\"");
    home.configure(&named, &meter(""));
    home.write("s", SECRET, 0o644);
    let document = doctor(&home, &["--json"]).exits(78).json();
    assert!(check(&document, "config", "").1.contains("chmod 640"), "{document}");
    assert_eq!(check(&document, "database", "").0, "ok");
    assert_eq!(check(&document, "source", "enedis").0, "warning");

    home.write("s", SECRET, 0o640);
    home.write("config.toml", &format!("{named}{}", meter("")), 0o666);
    std::fs::write(home.path("other.db"), "Dear all,\nthis is a letter.\n".repeat(30)).unwrap();
    let ran = doctor(&home, &["--offline"]).exits(0);
    assert!(ran.out.contains("config.toml can be changed by every user"), "{}", ran.out);
    home.configure(&format!("[database]\nurl = \"sqlite://other.db\"\n{named}"), &meter(""));
    let document = doctor(&home, &["--json"]).exits(69).json();
    assert_eq!(check(&document, "database", "").0, "problem");
    home.configure(&format!("[database]\nurl = \"sqlite://none/x.db\"\n{named}"), &meter(""));
    doctor(&home, &["--offline"]).exits(69);
}
