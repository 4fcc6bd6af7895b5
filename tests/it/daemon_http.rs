//! The status page: what it says, to whom, and what it keeps to itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpStream;
use std::time::Duration;

use linkyd::observe::metrics::{ALL, Kind};

use crate::cli_rig::{Home, METER, Process, SECRET, Simulated, meter, now, source, wait_for};
use crate::daemon_rig::{Daemon, free_port, get, http, request};

const LOCAL: &str = "localhost";

/// What is only told where there is something to tell: here nothing is left, and no source says when
/// a consent ends.
const SOMETIMES: [&str; 2] = ["linkyd_backfill_eta_timestamp_seconds", "linkyd_consent_expiry_timestamp_seconds"];

fn home() -> (Home, Simulated, u16) {
    let home = Home::empty();
    let port = free_port();
    let enedis = Simulated::start_today(&home.path(""), &["--no-limits"]);
    let meter = meter("since = 2026-11-01").replace("Maison", "Maison <b>\\\"é\\\"");
    home.configure(&source(&enedis.url, ""), &(http(Some(port)) + &meter));
    (home, enedis, port)
}

/// The families of an exposition with their types, and every sample's family, labels and value.
type Parsed = (BTreeMap<String, String>, Vec<(String, Vec<String>, f64)>);

/// Reads the text format strictly: each family has help and type before its samples, and its
/// samples follow each other.
fn parse(text: &str) -> Parsed {
    let (mut types, mut samples) = (BTreeMap::new(), Vec::new());
    let (mut helped, mut open) = (BTreeSet::new(), String::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            assert!(helped.insert(rest.split(' ').next().unwrap().to_owned()), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(helped.contains(name) && types.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}");
            name.clone_into(&mut open);
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let endings = ["_bucket", "_sum", "_count"];
            let family = endings.iter().find_map(|e| name.strip_suffix(e).filter(|base| *base == open)).unwrap_or(name);
            assert_eq!(family, open, "{line}");
            let inner = labels.strip_suffix('}').unwrap();
            let names = inner.split(',').filter_map(|l| l.split_once("=\"").map(|(name, _)| name.to_owned())).collect();
            samples.push((family.to_owned(), names, value.parse().unwrap()));
        }
    }
    (types, samples)
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

#[test]
fn metrics_are_well_formed_and_carry_no_meter_number() {
    let (home, enedis, port) = home();
    let daemon = Daemon::ready(&home);
    daemon.logs("pass done", 1);
    let (status, answer) = get(port, "/metrics", LOCAL, "");
    assert_eq!(status, 200);
    assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
    assert!(!answer.contains(METER) && !answer.contains(SECRET));
    let (types, samples) = parse(body(&answer));
    for metric in ALL {
        let kind = match metric.kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Histogram => "histogram",
        };
        if SOMETIMES.contains(&metric.name) {
            continue;
        }
        assert_eq!(types.get(metric.name).map(String::as_str), Some(kind), "{}", metric.name);
        for (_, labels, _) in samples.iter().filter(|(family, ..)| family == metric.name) {
            let known: Vec<&String> = labels.iter().filter(|label| *label != "le").collect();
            assert_eq!(known, metric.labels, "{}", metric.name);
        }
    }
    assert_eq!(types.len(), ALL.len() - SOMETIMES.len());
    let value = |name: &str| samples.iter().filter(|(family, ..)| family == name).map(|(.., value)| value).sum::<f64>();
    let calls = f64::from(u32::try_from(enedis.calls().len()).unwrap());
    // The token is a request as well.
    assert!((value("linkyd_api_requests_total") - calls - 1.0).abs() < 0.1, "{answer}");
    assert!((value("linkyd_passes_total") - 1.0).abs() < 0.1 && (value("linkyd_db_up") - 1.0).abs() < 0.1);
    assert!(value("process_resident_memory_bytes") > 1e6 && value("linkyd_db_size_bytes") > 1e4);
    assert!(samples.len() < 500, "{}", samples.len());
    daemon.stop();
}

#[test]
fn the_end_of_a_consent_is_scraped_and_shown() {
    let (home, _enedis, port) = home();
    home.run(&["sync"]).exits(0);
    home.edit(
        "INSERT INTO authorisation (source, prm, api, granted_at, until, learnt)
         SELECT id, '01234567890123', 'v5', 1795000000, 1900000000, 'duration' FROM source WHERE name = 'enedis'",
    );
    home.run(&["sync"]).exits(0);
    let daemon = Daemon::ready(&home);
    let (_, answer) = get(port, "/metrics", LOCAL, "");
    let (types, samples) = parse(body(&answer));
    let name = "linkyd_consent_expiry_timestamp_seconds";
    assert_eq!(types.get(name).map(String::as_str), Some("gauge"));
    let ends: Vec<_> = samples.iter().filter(|(family, ..)| family == name).collect();
    assert!(matches!(ends[..], [(_, labels, end)] if *labels == ["meter"] && (end - 1.9e9).abs() < 0.1), "{ends:?}");
    let (_, answer) = get(port, "/", LOCAL, "");
    assert!(answer.contains("2030-03-17"), "{answer}");
    daemon.stop();
    let doctor = home.run(&["doctor", "--offline"]);
    assert!(doctor.out.contains("the consent holds until 2030-03-17"), "{}", doctor.out);
}

#[test]
fn of_a_fleet_the_page_and_the_metrics_tell_what_matters() {
    let (home, port) = (Home::empty(), free_port());
    // All meters but one are refused: nobody knows them.
    home.write("world.toml", &format!("[[meter]]\nprm = \"{METER}\"\n"), 0o640);
    let world = home.path("world.toml").display().to_string();
    let enedis = Simulated::start_today(&home.path(""), &["--no-limits", "--world", &world]);
    let others: String = (0..60).fold(String::new(), |all, n| {
        all + &meter("since = 2026-11-01")
            .replace(METER, &format!("{:014}", 1_234_567_890_200_u64 + n))
            .replace("Maison", &format!("Lot {n}"))
    });
    home.configure(&source(&enedis.url, ""), &(http(Some(port)) + &meter("since = 2026-11-01") + &others));
    let daemon = Daemon::ready(&home);
    daemon.logs("pass done", 1);
    let (status, page) = get(port, "/", LOCAL, "");
    assert_eq!(status, 200);
    assert!(page.contains("<td class=bad>suspended<td class=n>300<td class=n>60</tr>"), "{page}");
    assert!(page.contains("and 57 other meters, 300 series</b>: "), "{page}");
    // States and calls have rows, forty series have, and the others are counted.
    assert!(page.matches("<tr>").count() < 55 && page.contains("… and 260 more"), "{page}");
    let (status, answer) = get(port, "/metrics", LOCAL, "");
    assert_eq!(status, 200);
    let (_, samples) = parse(body(&answer));
    assert!(samples.len() < 500, "{}", samples.len());
    let newest: Vec<_> = answer.lines().filter(|l| l.starts_with("linkyd_latest_interval_end")).collect();
    assert!(newest.len() == 3 && newest.iter().all(|line| line.contains("meter=\"\"")), "{newest:?}");
    daemon.stop();
}

#[test]
fn alerts_and_documentation_name_metrics_that_there_are() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let rules = std::fs::read_to_string(root.join("packaging/prometheus/linkyd.rules.yml")).unwrap();
    let mut used = BTreeSet::new();
    for line in rules.lines().filter(|line| line.trim_start().starts_with("expr:")) {
        for word in line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|w| w.starts_with("linkyd_")) {
            let metric = ALL.iter().find(|metric| metric.name == word);
            assert!(metric.is_some(), "{word} in {line}");
            used.insert(word);
        }
        for (open, close) in [('(', ')'), ('{', '}'), ('[', ']')] {
            assert_eq!(line.matches(open).count(), line.matches(close).count(), "{line}");
        }
    }
    assert!(used.len() >= 8, "{used:?}");
    // Every label that an alert shows is one of some metric.
    for part in rules.split("$labels.").skip(1) {
        let label = part.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap();
        assert!(ALL.iter().any(|metric| metric.labels.contains(&label)), "{label}");
    }
    // `.ci/alerts` plays each of them, where it fires and where it does not.
    let played = std::fs::read_to_string(root.join("packaging/prometheus/linkyd.test.yml")).unwrap();
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        let quiet = played.contains(&format!("alertname: {alert}, exp_alerts: []"));
        assert!(quiet && played.contains(&format!("alertname: {alert}\n        exp_alerts:\n")), "{alert}");
    }
    let page = std::fs::read_to_string(root.join("docs/metrics.md")).unwrap();
    for metric in ALL {
        assert!(page.contains(&format!("| `{}` |", metric.name)), "{} is not in docs/metrics.md", metric.name);
    }
}

/// Forgotten, a meter is unknown to the database and still known to the daemon: nobody is told that it is at work on it.
#[test]
fn the_status_of_a_meter_that_was_forgotten_beside_a_daemon_does_not_mislead() {
    let (home, _enedis, _) = home();
    let daemon = Daemon::ready(&home);
    daemon.logs("pass done", 1);
    let status = home.run(&["status"]).exits(0);
    assert!(status.out.contains("The daemon's next pass: 20"), "{}", status.out);
    home.run(&["forget", "--prm", METER, "--yes"]).exits(0);
    let status = home.run(&["status"]).exits(0);
    assert!(status.out.starts_with("Nothing is kept of these meters: run `linkyd sync`.\n"), "{}", status.out);
    assert!(status.out.contains("The daemon has not asked for all of that yet"), "{}", status.out);
    // As it says: when it is told to look, it does.
    daemon.process.signal("-USR1");
    daemon.logs("pass done", 2);
    let status = home.run(&["status"]).exits(0);
    assert!(status.out.contains("The daemon's next pass: 20"), "{}", status.out);
    daemon.stop();
}

#[test]
fn people_and_probes_get_an_answer_and_names_are_no_markup() {
    let (home, enedis, port) = home();
    let daemon = Daemon::ready(&home);
    daemon.logs("pass done", 1);
    let calls = enedis.calls().len();
    let (status, page) = get(port, "/", LOCAL, "");
    assert_eq!(status, 200);
    assert!(page.contains("Maison &lt;b&gt;&quot;é&quot;") && !page.contains("<b>\"é"), "{page}");
    assert!(page.contains("daily_max_power") && page.contains("next pass"), "{page}");
    assert!(page.contains("content-security-policy: default-src 'none'") && page.contains("cache-control: no-store"));
    assert!(!page.contains(METER) && !page.contains(SECRET) && !page.contains("<script"));
    assert_eq!(get(port, "/healthz", LOCAL, "").0, 200);
    assert_eq!(get(port, "/readyz", LOCAL, "").0, 200);
    let (status, document) = get(port, "/status", LOCAL, "");
    let document: serde_json::Value = serde_json::from_str(body(&document)).unwrap();
    assert_eq!((status, &document["meters"][0]["prm"]), (200, &serde_json::json!("…0123")));
    assert_eq!(document["open_consents"], serde_json::json!([]));
    home.edit(
        "INSERT INTO journey (source, state, api, duration, begun_at, answered_at, number)
         SELECT id, 'digest', '2026', 'P1Y', unixepoch() - 60, unixepoch(), 4242 FROM source",
    );
    let document = get(port, "/status", LOCAL, "").1;
    let document: serde_json::Value = serde_json::from_str(body(&document)).unwrap();
    assert_eq!(document["open_consents"][0]["authorisation"], "…42");
    let mut whole = home.run(&["status", "--json"]).exits(0).json();
    assert_eq!(whole["open_consents"][0]["authorisation"], 4_242);
    whole["open_consents"][0]["authorisation"] = "…42".into();
    assert_eq!(whole["open_consents"], document["open_consents"]);
    assert!(get(port, "/", LOCAL, "").1.contains("(authorisation …42), and Enedis has not listed its meter yet"));
    assert_eq!(get(port, "/nothing", LOCAL, "").0, 404);
    assert_eq!(request(port, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n").0, 405);
    // Looking costs no call and starts no pass.
    assert_eq!(enedis.calls().len(), calls);
    assert_eq!(daemon.log().matches("pass done").count(), 1);
    // Without its database the process is alive and not ready, and metrics still come.
    for file in ["linkyd.db", "linkyd.db-wal", "linkyd.db-shm"] {
        std::fs::remove_file(home.path(file)).unwrap();
    }
    let (status, why) = get(port, "/readyz", LOCAL, "");
    assert!(status == 503 && why.contains("deleted or replaced"), "{why}");
    assert_eq!((get(port, "/healthz", LOCAL, "").0, get(port, "/", LOCAL, "").0), (200, 503));
    assert!(get(port, "/metrics", LOCAL, "").1.contains("\nlinkyd_db_up 0\n"));
    daemon.stop();
}

#[test]
fn a_daemon_and_a_command_name_the_same_as_not_asked_for() {
    let home = Home::empty();
    let port = free_port();
    let enedis = Simulated::start_today(&home.path(""), &["--no-limits"]);
    let meter = meter("since = 2026-11-01").replace("\"daily_max_power\"", "\"contract\", \"address\"");
    home.configure(&source(&enedis.url, ""), &(http(Some(port)) + &meter));
    let daemon = Daemon::ready(&home);
    daemon.logs("pass done", 1);
    let told = || {
        let (status, document) = get(port, "/status", LOCAL, "");
        assert_eq!(status, 200, "{document}");
        let document: serde_json::Value = serde_json::from_str(body(&document)).unwrap();
        document["not_asked"].clone()
    };
    assert_eq!(told(), serde_json::json!([]));
    // As if both had been named since then.
    home.edit("DELETE FROM series WHERE dataset IN (SELECT id FROM dataset WHERE name IN ('address', 'contract'))");
    let one = |dataset: &str| serde_json::json!({"prm": "…0123", "name": "Maison", "dataset": dataset});
    let here = told();
    assert_eq!(here, serde_json::json!([one("contract"), one("address")]));
    let mut there = home.run(&["status", "--json"]).exits(0).json();
    for named in there["not_asked"].as_array_mut().unwrap() {
        assert_eq!(named["prm"], METER);
        named["prm"] = "…0123".into();
    }
    assert_eq!(here, there["not_asked"]);
    daemon.stop();
}

#[test]
fn foreign_names_and_floods_of_connections_get_nothing() {
    let (home, _enedis, port) = home();
    let daemon = Daemon::ready(&home);
    daemon.logs("pass done", 1);
    for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "192.168.1.7"] {
        let (status, answer) = get(port, "/", host, "");
        assert!(status == 421 && !answer.contains("Maison"), "{host}: {answer}");
    }
    assert_eq!(request(port, "GET / HTTP/1.0\r\n\r\n").0, 421);
    for host in ["127.0.0.1", "[::1]:1", &format!("localhost:{port}")] {
        assert_eq!(get(port, "/healthz", host, "").0, 200, "{host}");
    }
    // Hundreds that say nothing neither pile up in the process nor keep others out for long.
    let files = format!("/proc/{}/fd", daemon.process.0.id());
    let idle: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    let open = wait_for("connections", || Some(std::fs::read_dir(&files).ok()?.count()).filter(|open| *open >= 64));
    assert!(open < 64 + 40, "{open}");
    drop(idle);
    let asked = now();
    assert_eq!(get(port, "/healthz", LOCAL, "").0, 200);
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    daemon.stop();
}

#[test]
fn other_machines_need_a_word_and_a_token() {
    let (home, enedis, port) = home();
    let open = format!("[http]\nlisten = \"0.0.0.0:{port}\"\n");
    home.configure(&source(&enedis.url, ""), &(open.clone() + &meter("since = 2026-11-20")));
    let refused = home.run(&["run"]).exits(78);
    assert!(refused.err.contains("allow_remote"), "{refused:?}");
    home.configure(&source(&enedis.url, ""), &(format!("{open}allow_remote = true\n") + &meter("since = 2026-11-20")));
    let refused = home.run(&["run"]).exits(78);
    assert!(refused.err.contains("token_file"), "{refused:?}");
    home.write("page.token", "page-t0ken\n", 0o640);
    let whole = format!("{open}allow_remote = true\nhosts = [\"nas.lan\"]\ntoken_file = \"page.token\"\n");
    home.configure(&source(&enedis.url, ""), &(whole + &meter("since = 2026-11-20")));
    let daemon = Daemon::ready(&home);
    daemon.logs("pass done", 1);
    for (host, more, wanted) in [
        ("localhost", "", 401),
        ("nas.lan", "Authorization: Bearer wrong\r\n", 401),
        ("nas.lan", "Authorization: Bearer page-t0ken\r\n", 200),
        ("192.168.1.7", "Authorization: Basic YW55OnBhZ2UtdDBrZW4=\r\n", 200),
        ("evil.example", "Authorization: Bearer page-t0ken\r\n", 421),
    ] {
        let (status, answer) = get(port, "/metrics", host, more);
        assert_eq!(status, wanted, "{host} {more}: {answer}");
    }
    let log = daemon.stop();
    assert!(!log.contains("page-t0ken"), "{log}");
}

#[test]
fn a_demo_serves_the_page_until_it_is_interrupted() {
    use std::io::BufRead as _;
    let home = Home::empty();
    let mut child = home.command(&["demo", "--full-speed", "--serve", "--database", "demo.db"]);
    let mut demo = Process(child.stdout(std::process::Stdio::piped()).spawn().unwrap());
    let told = std::io::BufReader::new(demo.0.stdout.take().unwrap()).lines();
    let line = told.map_while(Result::ok).find(|line| line.starts_with("The status page is at http://")).unwrap();
    let address = line.split(['/', ' ']).find(|part| part.starts_with("127.0.0.1:")).unwrap();
    let port = address.split(':').next_back().unwrap().parse().unwrap();
    // What it says is printed a moment before it listens.
    wait_for("the page", || TcpStream::connect(("127.0.0.1", port)).ok());
    let (status, page) = get(port, "/", LOCAL, "");
    assert!(status == 200 && page.contains("daily_production") && page.contains("next pass 20"), "{page}");
    assert!(page.contains("<td>contract<td class=good>ok<td>20"), "{page}");
    assert_eq!(get(port, "/readyz", LOCAL, "").0, 200);
    let asked = now();
    demo.signal("-INT");
    assert_eq!(demo.code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(2));
}

#[test]
fn an_address_that_is_taken_is_no_reason_to_fetch_nothing() {
    let (home, enedis, _) = home();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    home.configure(&source(&enedis.url, ""), &(http(Some(port)) + &meter("since = 2026-11-20")));
    let daemon = Daemon::ready(&home);
    daemon.logs("pass done", 1);
    let log = daemon.stop();
    assert!(log.contains("the status page cannot listen on 127.0.0.1"), "{log}");
}
