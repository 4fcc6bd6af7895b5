//! `linkyd authorize`: the consent journey over HTTP, driven as a browser would, with the real binary against the
//! simulator.

mod ways;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{ChildStdout, Stdio};

use serde_json::Value;

use super::cli_rig::{Home, METER, Process, Ran, SECRET, Simulated, keys, source, wait_for};
use super::daemon_rig::{get, http};

/// A meter that nobody has shared, and one that is shared already.
const WORLD: &str = r#"
[rules.consent]
services_lag_minutes = LAG
sandbox = SANDBOX
OUTCOME
[[meter]]
prm = "01234567890123"
kind = "both"
consent = { granted = false }
[[meter]]
prm = "01234567890456"
customer = { shared = true }
"#;

const SHARED: &str = "01234567890456";

/// A home without a meter, and a simulator with that world.
fn rig(world: &str, api: &str) -> (Home, Simulated) {
    let home = Home::empty();
    let path = home.write("world.toml", world, 0o640);
    let enedis = Simulated::start_today(&home.path(""), &["--no-limits", "--world", path.to_str().unwrap()]);
    let text =
        "# kept to the letter: \u{e9}\n".to_owned() + &source(&enedis.url, &format!("api = \"{api}\"")) + &http(None);
    home.write("config.toml", text.trim_end(), 0o640);
    (home, enedis)
}

fn world(lag: u32, outcome: &str) -> String {
    WORLD.replace("LAG", &lag.to_string()).replace("SANDBOX", "false").replace("OUTCOME", outcome)
}

/// `linkyd authorize` that waits on a free port.
struct Waiting {
    process: Process,
    out: BufReader<ChildStdout>,
    /// Enedis' page, which will send the browser to that port.
    page: String,
    /// Where it waits.
    port: u16,
}

impl Waiting {
    fn start(home: &Home, args: &[&str]) -> Self {
        let mut command = home.command(&[&["authorize", "--listen", "127.0.0.1:0"], args].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let (mut page, mut port) = (String::new(), 0);
        while port == 0 {
            let mut line = String::new();
            assert!(out.read_line(&mut line).unwrap() > 0, "it ended: {:?}", child.wait_with_output());
            if line.trim().starts_with("http://") {
                line.trim().clone_into(&mut page);
            } else if let Some(rest) = line.split("http://127.0.0.1:").nth(1) {
                port = rest.split('/').next().unwrap().parse().unwrap();
            }
        }
        let page = format!("{page}&redirect_uri=http://127.0.0.1:{port}/callback");
        Self { process: Process(child), out, page, port }
    }

    /// Waits for its end.
    fn ends(mut self) -> Ran {
        let code = self.process.code();
        let (mut out, mut err) = (String::new(), String::new());
        self.out.read_to_string(&mut out).unwrap();
        self.process.0.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert!(!out.contains(SECRET) && !err.contains(SECRET) && !err.contains(METER), "{out}\n{err}");
        Ran { code, out, err }
    }
}

/// What a browser shows after it has followed every redirect.
fn open(url: &str) -> (u16, String) {
    let parsed = url::Url::parse(url).unwrap();
    let path = parsed[url::Position::BeforePath..].to_owned();
    let (status, text) = get(parsed.port().unwrap(), &path, "127.0.0.1", "Connection: close\r\n");
    let to = text.lines().find_map(|line| line.strip_prefix("location: ")).map(str::trim);
    match to.filter(|_| status == 302) {
        Some(to) => open(parsed.join(to).unwrap().as_str()),
        None => (status, text),
    }
}

/// Opens Enedis' page and clicks the link with that id.
fn click(page: &str, id: &str) -> (u16, String) {
    let (status, text) = open(page);
    assert_eq!(status, 200, "{text}");
    let link = text.split("<a ").find(|tag| tag.contains(&format!("id=\"{id}\""))).unwrap();
    let link = link.split("href=\"").nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&");
    open(url::Url::parse(page).unwrap().join(&link).unwrap().as_str())
}

/// Where the browser would be sent, without going there: the address that a person copies.
fn address_after(page: &str, id: &str) -> String {
    let (_, text) = open(page);
    let link = text.split("<a ").find(|tag| tag.contains(&format!("id=\"{id}\""))).unwrap();
    let link = link.split("href=\"").nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&");
    let url = url::Url::parse(page).unwrap().join(&link).unwrap();
    let (status, text) =
        get(url.port().unwrap(), &url[url::Position::BeforePath..], "127.0.0.1", "Connection: close\r\n");
    assert_eq!(status, 302, "{text}");
    text.lines().find_map(|line| line.strip_prefix("location: ")).unwrap().trim().to_owned()
}

fn share(prm: &str) -> String {
    format!("share-{prm}")
}

#[test]
fn a_meter_is_shared_in_both_journeys_and_read_from_then_on() {
    for (api, learnt) in [("v5", "duration"), ("2026", "services")] {
        let (home, _enedis) = rig(&world(0, ""), api);
        let before = std::fs::read(home.path("config.toml")).unwrap();
        let waiting = Waiting::start(&home, &["--duration", "P1Y", "--prm", METER]);
        assert!(waiting.page.contains(if api == "v5" { "/v1/" } else { "/v2/" }) && waiting.page.contains("P1Y"));
        let (status, page) = click(&waiting.page, &share(METER));
        assert!(status == 200 && page.contains("The consent has arrived"), "{page}");
        let ran = waiting.ends().exits(0);
        assert!(ran.out.contains(&format!("Granted: meter {METER}, until 20")), "{}", ran.out);
        assert!(ran.out.contains(&format!("[[meter]]\nprm = \"{METER}\"\n")), "{}", ran.out);
        // Nothing was asked of whoever is not there.
        assert_eq!(std::fs::read(home.path("config.toml")).unwrap(), before);
        let known =
            home.rows("SELECT api || ' ' || learnt || ' ' || (number IS NULL) || ' ' || covers FROM authorisation");
        let covers = "consumption_load_curve,production_load_curve,daily_consumption,daily_production,daily_max_power";
        let expected = if api == "v5" { format!("{api} {learnt} 1 ") } else { format!("{api} {learnt} 0 {covers}") };
        assert_eq!(known, [expected]);
        // With its block it is fetched, and its end is seen everywhere.
        let text = String::from_utf8(before).unwrap();
        home.write("config.toml", &format!("{text}\n[[meter]]\nprm = \"{METER}\"\nsince = 2026-11-01\n"), 0o640);
        home.run(&["sync"]).exits(0);
        let status = home.run(&["status", "--json"]).exits(0).json();
        assert!(status["meters"][0]["consent_until"].as_str().unwrap().starts_with("20"), "{status}");
        assert_eq!(home.rows("SELECT CASE WHEN consent_until IS NULL THEN 'no' ELSE 'yes' END FROM v_meter"), ["yes"]);
        home.assert_whole();
    }
}

#[test]
fn a_journey_can_end_without_a_meter_in_each_way() {
    for (outcome, code, exit, words) in [
        ("outcome = \"refused\"", "consent_refused", 1, "the customer refused"),
        ("outcome = \"unfinished\"", "consent_not_completed", 75, "did not complete"),
        ("outcome = \"server_error\"", "consent_server_error", 75, "another browser"),
    ] {
        for api in ["v5", "2026"] {
            let (home, _enedis) = rig(&world(0, outcome), api);
            let waiting = Waiting::start(&home, &[]);
            let (status, page) = open(&waiting.page);
            assert!(status == 400 && page.contains("This did not work"), "{page}");
            let ran = waiting.ends().exits(exit);
            assert!(ran.err.contains(words) && ran.err.contains(code), "{}", ran.err);
            assert_eq!(home.rows("SELECT prm FROM authorisation"), Vec::<String>::new());
        }
    }
}

#[test]
fn answers_of_other_journeys_change_nothing_and_a_used_one_is_known() {
    // The list of services lags behind, so there is time to come back once more.
    let (home, _enedis) = rig(&world(60, ""), "2026");
    let waiting = Waiting::start(&home, &["--timeout", "5"]);
    let port = waiting.port;
    let cut = format!("?state={}", waiting.page.split("state=").nth(1).unwrap().split_at(20).0);
    for query in ["", "?state=guessed&autorisation_id=1", "?error=access_denied&state=guessed", &cut, "?code=1"] {
        let (status, page) = get(port, &format!("/callback{query}"), "127.0.0.1", "Connection: close\r\n");
        assert!(status == 400 && page.contains("This did not work"), "{query}: {page}");
    }
    assert_eq!(get(port, "/callback?state=x", "evil.example", "Connection: close\r\n").0, 421);
    let back = address_after(&waiting.page, &share(METER));
    let (status, page) = open(&back);
    assert!(status == 200 && page.contains("which meter it is for"), "{page}");
    let (status, page) = wait_for("a page about an answer that was used", || {
        let (status, page) = open(&back);
        page.contains("used already").then_some((status, page))
    });
    assert_eq!(status, 400, "{page}");
    // Whoever cannot wait takes it up later.
    wait_for("the authorisation to be kept", || {
        (home.rows("SELECT CAST(count(number) AS TEXT) FROM journey") == ["1"]).then_some(())
    });
    waiting.process.signal("-INT");
    let ran = waiting.ends().exits(75);
    assert!(ran.err.contains("linkyd authorize --continue"), "{}", ran.err);
    assert!(ran.out.contains("does not list its meter yet"), "{}", ran.out);
    home.edit("UPDATE journey SET done_at = 1");
    let ran = home.run(&["authorize", "--url", &back]).exits(64);
    assert!(ran.err.contains("used already"), "{}", ran.err);
    let ran = home.run(&["authorize", "--continue"]).exits(64);
    assert!(ran.err.contains("no journey to go on with"), "{}", ran.err);
}

#[test]
fn an_authorisation_is_taken_up_once_its_meter_is_listed() {
    let (home, _enedis) = rig(&world(0, ""), "2026");
    let waiting = Waiting::start(&home, &[]);
    let back = address_after(&waiting.page, &share(METER));
    drop(waiting);
    let number = back.split("autorisation_id=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    assert!(number.bytes().all(|b| b.is_ascii_digit()));
    // As a process leaves it that was ended while it waited.
    let left = format!("UPDATE journey SET answered_at = begun_at, number = {number}");
    home.edit(Box::leak(left.into_boxed_str()));
    let named = format!("(authorisation {number}), and Enedis has not listed its meter yet");
    let status = home.run(&["status"]).exits(0);
    assert!(status.out.contains(&named), "{}", status.out);
    let status = home.run(&["status", "--json"]).exits(0).json();
    assert_eq!(status["open_consents"][0]["authorisation"].to_string(), number);
    // No meter is needed for it, and nobody is told that there is none.
    let doctor = home.run(&["doctor", "--offline"]).exits(0);
    assert!(doctor.out.contains(&named) && doctor.out.contains("there is no meter"), "{}", doctor.out);
    let ran = home.run(&["authorize", "--continue", "--json"]).exits(0);
    assert!(!ran.err.contains("no meter"), "{}", ran.err);
    assert_eq!(ran.json()["meters"][0]["authorisation"].to_string(), number);
    assert_eq!(home.rows("SELECT prm FROM authorisation"), [METER]);
    // The address says no more than the number did.
    let ran = home.run(&["authorize", "--url", &back]).exits(64);
    assert!(ran.err.contains("used already"), "{}", ran.err);
}

#[test]
fn the_answer_can_be_pasted_in_another_process_within_a_week() {
    for api in ["v5", "2026"] {
        let (home, _enedis) = rig(&world(0, ""), api);
        let shown = home.run(&["authorize", "--no-wait", "--json"]).exits(0).json();
        assert_eq!(keys(&shown), ["api", "meters", "result", "source", "url"]);
        let page = format!("{}&redirect_uri=http://127.0.0.1:1/callback", shown["url"].as_str().unwrap());
        let back = address_after(&page, &share(METER));
        // Read from standard input, where no list of processes shows it.
        let mut command = home.command(&["authorize", "--url", "-", "--json", "--write", "--name", "Ma \"maison\""]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(format!("{back}\n").as_bytes()).unwrap();
        let before = std::fs::read(home.path("config.toml")).unwrap();
        let granted = Ran::of(&child.wait_with_output().unwrap()).exits(0).json();
        assert_eq!((&granted["result"], &granted["meters"][0]["prm"]), (&"granted".into(), &METER.into()));
        assert_eq!(
            (&granted["meters"][0]["added"], &granted["meters"][0]["configured"]),
            (&true.into(), &false.into())
        );
        // Byte for byte what it was, and the block after it.
        let after = std::fs::read(home.path("config.toml")).unwrap();
        assert!(after.starts_with(&before), "{}", String::from_utf8_lossy(&after));
        let block = String::from_utf8(after[before.len()..].to_vec()).unwrap();
        assert!(
            block.starts_with("\n\n[[meter]]\nprm = \"01234567890123\"\nname = \"Ma \\\"maison\\\"\"\n"),
            "{block}"
        );
        assert_eq!(block.contains("daily_production"), api == "2026", "{block}");
        assert_eq!(std::fs::metadata(home.path("config.toml")).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(!home.path(".config.toml.new").exists());
        home.run(&["config", "check"]).exits(0);

        let again = home.run(&["authorize", "--url", &back]).exits(64);
        assert!(again.err.contains("used already"), "{}", again.err);
        // What is refused since then is not let go on by it.
        home.edit("UPDATE series SET state = (SELECT id FROM series_state WHERE name = 'suspended')");
        home.run(&["authorize", "--url", &back]).exits(64);
        let states = "SELECT DISTINCT t.name FROM series s JOIN series_state t ON t.id = s.state";
        assert_eq!(home.rows(states), ["suspended"]);
        for (url, words) in [
            ("http://127.0.0.1:1/callback?state=other&code=1", "another one"),
            ("http://127.0.0.1:1/", "paste all of it"),
        ] {
            let ran = home.run(&["authorize", "--url", url]).exits(64);
            assert!(ran.err.contains(words), "{}", ran.err);
        }
    }
}

#[test]
fn an_address_that_was_cut_off_burns_nothing() {
    for api in ["v5", "2026"] {
        let (home, _enedis) = rig(&world(0, ""), api);
        let shown = home.run(&["authorize", "--no-wait", "--json"]).exits(0).json();
        let page = format!("{}&redirect_uri=http://127.0.0.1:1/callback", shown["url"].as_str().unwrap());
        let back = address_after(&page, &share(METER));
        // Cut within the meter or the number, and before it; nothing that names it stands before the state.
        let state = back.split("state=").nth(1).unwrap().split('&').next().unwrap().to_owned();
        let cut = format!("http://127.0.0.1:1/callback?code=1&state={state}&usage_point_id=0123");
        let ran = home.run(&["authorize", "--url", &cut]).exits(1);
        assert!(ran.err.contains("give all of the address where it was cut off"), "{}", ran.err);
        let ran = home.run(&["authorize", "--url", &format!("http://127.0.0.1:1/callback?code=1&state={state}")]);
        assert!(ran.exits(1).err.contains("consent_no_meter"));
        // Cut within the state, or before it.
        for end in [state.len() - 1, 5, 0] {
            let cut = format!("http://127.0.0.1:1/callback?code=1&state={}", &state[..end]);
            let ran = home.run(&["authorize", "--url", &cut, "--json"]).exits(64).json();
            assert_eq!(ran["code"], "consent_cut_off");
            assert!(ran["message"].as_str().unwrap().contains("paste all of it"), "{ran}");
        }
        home.run(&["authorize", "--url", "http://127.0.0.1:1/callback?code=1"]).exits(64);
        home.run(&["authorize", "--url", &back]).exits(0);
        assert_eq!(home.rows("SELECT prm FROM authorisation"), [METER]);
        let ran = home.run(&["authorize", "--url", &back]).exits(64);
        assert!(ran.err.contains("used already"), "{}", ran.err);
        // Whoever copies the file finds all of it there.
        assert_eq!(std::fs::metadata(home.path("linkyd.db-wal")).unwrap().len(), 0);
    }
}

#[test]
fn a_failure_without_a_state_ends_the_journey_and_takes_nothing_away() {
    let unfinished = "error=invalid_request&error_description=demande_non_aboutie";
    for (api, outcome, query, code, exit, words) in [
        ("2026", "unfinished", unfinished, "consent_not_completed", 75, "nedis did not complete the request"),
        ("v5", "refused", "error=access_denied", "consent_refused", 1, "he customer refused"),
    ] {
        let (home, _enedis) = rig(&world(0, &format!("outcome = \"{outcome}\"\nstate_in_failures = false")), api);
        let waiting = Waiting::start(&home, &[]);
        // That of another journey changes nothing, nor does what would grant something.
        for query in ["error=access_denied&state=guessed", "code=1&usage_point_id=01234567890123", "autorisation_id=1"]
        {
            let (status, page) = get(waiting.port, &format!("/callback?{query}"), "127.0.0.1", "Connection: close\r\n");
            assert!(status == 400 && !page.contains(words), "{page}");
        }
        let state = waiting.page.split("state=").nth(1).unwrap().split('&').next().unwrap().to_owned();
        let (status, page) = open(&waiting.page);
        assert!(status == 400 && page.contains(words), "{page}");
        let ran = waiting.ends().exits(exit);
        assert!(ran.err.contains(words) && ran.err.contains(&format!("[{code}]")), "{}", ran.err);
        // Pasted it is the same.
        let ran = home.run(&["authorize", "--url", &format!("http://127.0.0.1:1/callback?{query}"), "--json"]);
        let document = ran.exits(exit).json();
        assert_eq!((&document["result"], &document["code"]), (&"failed".into(), &code.into()), "{document}");
        assert_eq!(document["retry_helps"], exit == 75, "{document}");
        // The journey is as open as before: what comes with its state is taken.
        assert_eq!(home.rows("SELECT CAST(count(*) AS TEXT) FROM journey WHERE answered_at IS NULL"), ["1"]);
        let late = format!("http://127.0.0.1:1/callback?code=1&usage_point_id={METER}&state={state}");
        home.run(&["authorize", "--url", &late]).exits(0);
    }
}

#[test]
fn an_answer_that_comes_too_late_is_not_taken() {
    for api in ["v5", "2026"] {
        let (home, _enedis) = rig(&world(0, ""), api);
        let shown = home.run(&["authorize", "--no-wait", "--json"]).exits(0).json();
        home.edit("UPDATE journey SET begun_at = begun_at - 8 * 86400");
        // The old page is still open in a browser, which comes back to the address where a newer journey waits.
        let waiting = Waiting::start(&home, &[]);
        let callback = format!("http://127.0.0.1:{}/callback", waiting.port);
        let old = format!("{}&redirect_uri={callback}", shown["url"].as_str().unwrap());
        let back = address_after(&old, &share(METER));
        let (status, page) = open(&back);
        assert!(status == 400 && page.contains("has expired") && page.contains("linkyd still waits"), "{page}");
        let ran = home.run(&["authorize", "--url", &back, "--json"]).exits(1);
        assert_eq!(ran.json()["code"], "consent_expired");
        assert_eq!(home.rows("SELECT prm FROM authorisation"), Vec::<String>::new());
        waiting.process.signal("-INT");
        let ran = waiting.ends().exits(75);
        assert!(ran.err.contains(r#"code="consent_expired""#) && !ran.err.contains("consent_state"), "{}", ran.err);
    }
}

#[test]
fn an_answer_of_another_open_journey_is_told_where_it_belongs() {
    let (home, _enedis) = rig(&world(0, ""), "v5");
    let shown = home.run(&["authorize", "--no-wait", "--json"]).exits(0).json();
    let waiting = Waiting::start(&home, &[]);
    let callback = format!("http://127.0.0.1:{}/callback", waiting.port);
    let other = format!("{}&redirect_uri={callback}", shown["url"].as_str().unwrap());
    let back = address_after(&other, &share(METER));
    let (status, page) = open(&back);
    assert!(status == 400 && page.contains("can still be answered") && page.contains("authorize --url -"), "{page}");
    // As the page says, so it is.
    home.run(&["authorize", "--url", &back]).exits(0);
    assert_eq!(home.rows("SELECT prm FROM authorisation"), [METER]);
    waiting.process.signal("-INT");
    waiting.ends().exits(75);
}

#[test]
fn a_browser_that_comes_back_after_the_waiting_finds_nobody_and_its_address_can_be_pasted() {
    let (home, _enedis) = rig(&world(0, ""), "v5");
    let waiting = Waiting::start(&home, &["--timeout", "1s"]);
    let (page, port) = (waiting.page.clone(), waiting.port);
    assert!(waiting.ends().exits(1).err.contains("consent_no_answer"));
    let back = address_after(&page, &share(METER));
    assert!(back.starts_with(&format!("http://127.0.0.1:{port}/callback?")), "{back}");
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    home.run(&["authorize", "--url", &back]).exits(0);
    assert_eq!(home.rows("SELECT prm FROM authorisation"), [METER]);
}

#[test]
fn whoever_stops_waiting_hears_what_can_be_done() {
    let (home, _enedis) = rig(&world(0, ""), "2026");
    let waiting = Waiting::start(&home, &[]);
    waiting.process.signal("-INT");
    let ran = waiting.ends().exits(75);
    assert!(ran.err.contains("--url -"), "{}", ran.err);
    // Where the meter turns out to be shared already, the old journey can be taken.
    let ran = home.run(&["authorize", "--api", "v5", "--no-wait", "--json"]).exits(0).json();
    assert!(ran["url"].as_str().unwrap().contains("/v1/"));
}

#[test]
fn the_test_customers_of_the_sandbox_are_taken() {
    let sandbox = world(0, "").replace("sandbox = false", "sandbox = true");
    for (customer, meters) in [("0", 1), ("3", 2), ("7", 3)] {
        let (home, _enedis) = rig(&sandbox, "v5\"\nenvironment = \"sandbox");
        let waiting = Waiting::start(&home, &["--customer", customer]);
        assert!(waiting.page.contains(&format!("{customer}&duration")), "{}", waiting.page);
        assert_eq!(open(&waiting.page).0, 200);
        let ran = waiting.ends().exits(0);
        assert_eq!(ran.out.matches("Granted: meter").count(), meters, "{}", ran.out);
    }
    for api in ["v5", "2026"] {
        let (home, _enedis) = rig(&sandbox, &format!("{api}\"\nenvironment = \"sandbox"));
        let waiting = Waiting::start(&home, &["--customer", "9"]);
        assert_eq!(open(&waiting.page).0, 400);
        assert!(waiting.ends().exits(1).err.contains("refused"));
    }
}

#[test]
fn what_cannot_begin_says_why() {
    let (home, enedis) = rig(&world(0, ""), "2026");
    for (args, exit, words) in [
        (&["--duration", "P4Y"][..], 64, "three years"),
        (&["--listen", "0.0.0.0:9766"], 64, "this machine itself"),
        (&["--source", "other"], 64, "no source \"other\""),
        (&["--no-listen"], 64, "--no-wait"),
        (&["--customer", "10"], 64, "10"),
        (&["--customer", "1"], 64, "environment = \"sandbox\""),
        (&["--url", "x", "--continue"], 64, "cannot be used with"),
    ] {
        let ran = home.run(&[&["authorize"], args].concat()).exits(exit);
        assert!(ran.err.contains(words), "{args:?}: {}", ran.err);
    }
    home.write("config.toml", &format!("{}{}", enedis.gateways, http(None)), 0o640);
    let ran = home.run(&["authorize", "--source", "conso"]).exits(64);
    assert!(ran.err.contains("conso.boris.sh"), "{}", ran.err);
    home.run(&["authorize"]).exits(78);
    // An address that somebody else has.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    home.write("config.toml", &(source(&enedis.url, "") + &http(None)), 0o640);
    let ran = home.run(&["authorize", "--listen", &taken.local_addr().unwrap().to_string()]).exits(74);
    assert!(ran.err.contains("--no-listen"), "{}", ran.err);
    let document: Value = home.run(&["authorize", "--continue", "--json"]).exits(64).json();
    assert_eq!(document["code"], "consent_nothing_open");
}
