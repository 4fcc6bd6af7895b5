//! World files and the command.

use std::net::SocketAddr;

use clap::Parser;

use super::command::{SimulateArgs, SimulateError, scenario, simulate};
use super::*;
use crate::clock::SystemClock;
use crate::domain::{Direction, Step};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: SimulateArgs,
}

fn args(words: &[&str]) -> SimulateArgs {
    Cli::parse_from(std::iter::once("simulate").chain(words.iter().copied())).args
}

const FULL: &str = r#"
seed = 42
latency_ms = 15

[rules]
publication_delay_minutes = 30
unsubscribed = ["production_load_curve"]
dst = "merged48"
apis = ["2026"]
limits = { per_second = 3, per_hour_2026 = 0 }
token = { ttl_seconds = 60, expires_in_as_text = true }

[[meter]]
prm = "01234567890123"
kind = "both"
step = 15
step_changes = [{ from = "2025-01-01T00:00:00Z", step = 30 }]
consumption_since = 2024-03-01
production_since = "2025-05-01"
consent = { until = 2027-01-01T00:00:00Z }
holes = [{ first = "2026-03-04", last = "2026-03-06", datasets = ["consumption_load_curve"] }]
late = [{ stretch = { first = 2026-11-23, last = 2026-11-23 }, days = 1, at = "13:00" }]
corrections = [{ stretch = { first = "2026-11-20", last = "2026-11-20" }, at = "2026-11-24T00:00:00Z", add = 2 }]

[[fault]]
match = { dataset = "daily_consumption", calls = [2], api = "2026" }
action = { kind = "status", status = 500, code = "technical_error", envelope = "e1" }

[[fault]]
match = { endpoint = "token", first_call = 3 }
action = { kind = "throttle", form = "retry_after", seconds = 30 }

[[fault]]
action = { kind = "value", json = "null", points = [0] }
"#;

#[test]
fn a_world_file_says_everything() {
    let Scenario { world, faults } = Scenario::from_toml(FULL).unwrap();
    let meter = &world.meters[0];
    assert_eq!((world.seed, faults.latency_ms, faults.rules.len()), (42, 15, 3));
    assert_eq!(world.rules.limits, Limits { per_second: Some(3), per_hour_v5: Some(10_000), per_hour_2026: None });
    assert_eq!((meter.prm.full(), meter.kind), ("01234567890123", MeterKind::Both));
    assert_eq!(meter.activated_on(Direction::Consumption), Some(day("2024-03-01")));
    assert_eq!(meter.step_at(instant("2024-12-31T23:59:59Z").timestamp()), Step::from_minutes(15).unwrap());
    assert_eq!(meter.step_at(instant("2025-01-01T00:00:00Z").timestamp()), Step::from_minutes(30).unwrap());
    assert!(
        meter.consent.holds(instant("2026-12-31T00:00:00Z")) && !meter.consent.holds(instant("2027-01-01T00:00:00Z"))
    );
    assert_eq!(world.rules.apis, [Api::V2026]);
    assert_eq!(faults.rules[2].action, Action::Value { json: "null".to_owned(), points: vec![0] });
}

#[test]
fn the_examples_of_the_manual_hold() {
    let manual = include_str!("../../../docs/simulator.md");
    let examples: Vec<&str> = manual.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let world = Scenario::from_toml(examples[0]).unwrap().world;
    assert_eq!(world.rules, Rules::default());
    assert_eq!(world.meters.len(), 1);
    assert_eq!(Scenario::from_toml(examples[1]).unwrap().faults.rules.len(), 4);
    assert_eq!(Scenario::from_toml(examples[2]).unwrap().faults.rules.len(), 6);
    for kind in
        ["cut", "cut_body", "truncated", "invalid_utf8", "wrong_prm", "wrong_direction", "wrong_days", "shuffled"]
            .into_iter()
            .chain([
                "duplicated",
                "outside",
                "numbers",
                "no_length",
                "off_grid",
                "day_left_out",
                "quota",
                "rate_headers",
            ])
    {
        assert!(manual.contains(&format!("`{kind}`")), "{kind}");
        Scenario::from_toml(&format!("[[fault]]\naction = {{ kind = \"{kind}\" }}")).unwrap();
    }
}

#[test]
fn a_wrong_world_file_is_told_by_its_line() {
    for (text, line, word) in [
        ("seed = 1\n\n[rules]\nlate_promille = 3\n", "line 4", "late_promille"),
        ("[[meter]]\nprm = \"123\"\n", "line 2", "14 digits"),
        ("[[meter]]\nprm = \"12345678901234\"\nstep = 7\n", "line 3", "7 minutes"),
        ("[rules]\nunsubscribed = [\"hourly\"]\n", "line 2", "hourly"),
        ("[[fault]]\naction = { kind = \"explode\" }\n", "line 2", "explode"),
    ] {
        let error = Scenario::from_toml(text).unwrap_err().to_string();
        assert!(error.contains(line) && error.contains(word), "{error}");
    }
    let twice = "[[meter]]\nprm = \"12345678901234\"\n".repeat(2);
    assert!(Scenario::from_toml(&twice).unwrap_err().to_string().contains("twice"));
}

#[test]
fn options_override_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("world.toml");
    std::fs::write(&path, FULL).unwrap();
    let path = path.to_str().unwrap();
    let words = ["--world", path, "--seed", "3", "--no-limits", "--any-prm", "--client-id", "me", "--jitter-ms", "9"];
    let Scenario { world, faults } = scenario(&args(&words)).unwrap();
    assert_eq!((world.seed, world.rules.limits, world.rules.any_prm), (3, Limits::OFF, true));
    assert_eq!((world.rules.conso_api.ban_at, world.rules.myelectricaldata.cached_per_day), (None, None));
    assert_eq!((faults.latency_ms, faults.jitter_ms), (15, 9));
    assert_eq!(world.rules.token.client_id.as_deref(), Some("me"));
    assert!(scenario(&args(&[])).unwrap().world.rules.any_prm);
    let listed = |words: &[&str]| scenario(&args(words)).unwrap().world.meters;
    assert_eq!(listed(&[]), [MeterSpec::new("12345678901234".parse().unwrap())]);
    assert_eq!(listed(&["--prm", "22222222222222"]).len(), 1);
    let listed = scenario(&args(&["--prm", "11111111111111", "--world", path])).unwrap().world;
    assert_eq!(
        listed.meters.iter().map(|meter| meter.prm.full()).collect::<Vec<_>>(),
        ["01234567890123", "11111111111111"]
    );
    let missing = scenario(&args(&["--world", "/nowhere/world.toml"])).unwrap_err();
    assert!(matches!(missing, SimulateError::Unreadable { .. }));
}

#[tokio::test]
async fn it_listens_on_loopback_only_and_tells_where() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let mut out = Vec::new();
    let open = simulate(&args(&["--listen", "0.0.0.0:0"]), Arc::clone(&clock), &mut out, async {}).await;
    assert!(matches!(open, Err(SimulateError::NotLoopback(_))));
    simulate(&args(&["--listen", "127.0.0.1:0"]), clock, &mut out, async {}).await.unwrap();
    let told = String::from_utf8(out).unwrap();
    let (line, rest) = told.split_once('\n').unwrap();
    let address: SocketAddr = line.strip_prefix("listening on http://").unwrap().parse().unwrap();
    assert_ne!(address.port(), 0);

    // Into a file that linkyd takes secrets from.
    assert!(rest.contains("\n# For a file that only you can read (chmod 600)"), "{rest}");
    // What stands below goes into a configuration as it is, and opens a simulator of that seed.
    let config: toml::Table = toml::from_str(rest).unwrap();
    let (conso, med) = (&config["source"]["conso"], &config["source"]["med"]);
    assert_eq!(conso["base_url"].as_str().unwrap(), format!("http://{address}/conso"));
    assert_eq!(med["base_url"].as_str().unwrap(), format!("http://{address}/med"));
    let stage = Stage::at(NOON, World::of_any_prm(0)).await;
    let bearer = |value: &toml::Value| format!("Bearer {}", value.as_str().unwrap());
    let path = "/conso/api/daily_consumption?prm=12345678901234&start=2026-11-20&end=2026-11-22";
    let reply = stage.with(path, &[("authorization", &bearer(&conso["token"]))]).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    let reply = stage.with("/med/pdl", &[("authorization", &bearer(&med["client_secret"]))]).await;
    assert_eq!(reply.json["success"], true, "{}", reply.text);
}

#[test]
fn it_shares_nothing_with_the_client_but_the_names_of_things() {
    fn sources(directory: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else {
                found.push(std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut found = Vec::new();
    sources(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/simulator"), &mut found);
    assert!(found.len() > 20);
    for text in found {
        for (at, word) in text.match_indices(concat!("crate", "::")) {
            let rest = &text[at + word.len()..];
            assert!(["clock", "domain", "simulator"].iter().any(|module| rest.starts_with(module)), "{}", &rest[..40]);
        }
    }
}

#[tokio::test]
async fn the_bomb_inflates_to_what_it_promises() {
    let stage = Stage::at(NOON, World::of_any_prm(1)).await;
    stage.simulator.set_faults(Faults::none().with(Match::any(), Action::GzipBomb { mib: 8 }));
    let path = format!("{}?x", wire_v5::path(Dataset::DailyConsumption));
    let answer = over_tcp(&stage.simulator, &path, &stage.token).await;
    assert!(answer.len() < 64 << 10, "{}", answer.len());

    drop(rustls::crypto::ring::default_provider().install_default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}{path}", listener.local_addr().unwrap());
    let simulator = stage.simulator.clone();
    let task = tokio::spawn(async move { simulator.serve(listener, std::future::pending()).await });
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut answer = client.get(url).bearer_auth(&stage.token).send().await.unwrap();
    let mut inflated = 0;
    while let Ok(Some(chunk)) = answer.chunk().await {
        assert!(chunk.iter().all(|byte| *byte == b' '));
        inflated += chunk.len();
    }
    assert!(inflated > 7 << 20, "{inflated}");
    task.abort();
}

/// A request over a real socket, and everything that came back.
async fn over_tcp(simulator: &Simulator, path: &str, token: &str) -> Vec<u8> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = simulator.clone();
    let task = tokio::spawn(async move { server.serve(listener, async { drop(stopped.await) }).await });
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    drop(socket.read_to_end(&mut bytes).await);
    drop(socket);
    stop.send(()).unwrap();
    task.await.unwrap().unwrap();
    bytes
}

#[tokio::test]
async fn cuts_are_real_on_the_wire() {
    let stage = Stage::at(NOON, World::of_any_prm(1)).await;
    let path =
        format!("{}?usage_point_id={PRM}&start=2026-11-02&end=2026-11-04", wire_v5::path(Dataset::DailyConsumption));
    let whole = over_tcp(&stage.simulator, &path, &stage.token).await;
    assert!(whole.starts_with(b"HTTP/1.1 200 OK"));
    stage.simulator.set_faults(Faults::none().with(Match::any(), Action::Cut));
    assert_eq!(over_tcp(&stage.simulator, &path, &stage.token).await, b"", "closed without an answer");
    stage.simulator.set_faults(Faults::none().with(Match::any(), Action::CutBody));
    let half = over_tcp(&stage.simulator, &path, &stage.token).await;
    let half = String::from_utf8(half).unwrap();
    assert!(half.contains("usage_point_id") && !half.contains("]}}"), "{half}");
}
