//! What the program takes of a machine: memory, processor time, time to start, disk.
//!
//! The release binary fetches whole histories from the simulated Enedis, which is another process,
//! and its own account of itself is read from `/proc` (so this runs on Linux only). Memory is the
//! highest resident set, looked at every few milliseconds: once at full speed with many calls in
//! the air, once at the pace that Enedis allows. Processor time is that of all its threads, user
//! and system, divided by the calls for load curves.

#[path = "support/figures.rs"]
mod figures;

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use figures::{Outcome, StopWatch, line, median};

const LINKYD: &str = env!("CARGO_BIN_EXE_linkyd");

/// Ticks of the processor's clock in a second, as Linux tells them to programs everywhere.
const TICKS: f64 = 100.0;

/// How often a process is looked at.
const LOOK: Duration = Duration::from_millis(4);

const CURVES: &str = r#"["consumption_load_curve", "production_load_curve"]"#;
const ALL: &str = r#"["consumption_load_curve", "production_load_curve", "daily_consumption", "daily_production", "daily_max_power"]"#;

fn main() -> Outcome {
    let folder = tempfile::tempdir_in(PathBuf::from(env!("CARGO_TARGET_TMPDIR")))?;
    let size = std::fs::metadata(LINKYD)?.len();
    line(&format!("size of the binary                       {:>10.2} MB", per_million(size)))?;
    let start = times(|| run(&["--version"]))?;
    line(&format!("start to end of `linkyd --version`       {:>10.1} ms", start * 1e3))?;

    let enedis = Enedis::start("0")?;
    let config = configure(folder.path(), "full", &enedis.address, 1, ALL, 1000)?;
    let full = sync(&config)?;
    line(&format!("full speed, five series of one meter     {:>10.1} MB resident at most", full.resident))?;
    line(&format!("                                         {:>10.0} calls/s", full.calls / full.seconds))?;

    let config_curves = configure(folder.path(), "curves", &enedis.address, 6, CURVES, 1000)?;
    let curves = sync(&config_curves)?;
    line(&format!("full speed, the curves of six meters     {:>10.1} MB resident at most", curves.resident))?;
    line(&format!("processor time of a call for a curve     {:>10.2} ms", curves.processor / curves.calls * 1e3))?;

    let config_text = config.to_string_lossy().into_owned();
    let status = times(|| run(&["--config", &config_text, "status"]))?;
    line(&format!("`linkyd status` on a whole history       {:>10.1} ms", status * 1e3))?;
    let again = sync(&config)?;
    line(&format!("`linkyd sync` with nothing to do         {:>10.1} ms", again.seconds * 1e3))?;
    let database = std::fs::metadata(folder.path().join("full.db"))?.len();
    line(&format!("the database of a whole history          {:>10.2} MB", per_million(database)))?;
    drop(enedis);

    let enedis = Enedis::start("600")?;
    let config = configure(folder.path(), "pace", &enedis.address, 1, ALL, 5)?;
    let pace = sync(&config)?;
    line(&format!("five calls a second, answers after 0.6 s {:>10.1} MB resident at most", pace.resident))?;
    line(&format!(
        "                                         {:>10.2} ms of processor a call",
        pace.processor / pace.calls * 1e3
    ))?;
    line(&format!("                                         {:>10.2} calls/s in all", pace.calls / pace.seconds))
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn per_million(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Runs the program to its end.
fn run(arguments: &[&str]) -> Outcome {
    let done = Command::new(LINKYD).args(arguments).stdout(Stdio::null()).status()?;
    if done.success() { Ok(()) } else { Err(format!("linkyd {arguments:?}: {done}").into()) }
}

/// Seconds that something takes, the median of many times.
fn times(what: impl Fn() -> Outcome) -> Outcome<f64> {
    let mut all = Vec::new();
    for _ in 0..21 {
        let watch = StopWatch::default();
        what()?;
        all.push(watch.elapsed().as_secs_f64());
    }
    Ok(median(all))
}

/// The simulated Enedis as a process; ends with this value.
struct Enedis {
    process: Child,
    address: String,
}

impl Enedis {
    fn start(latency_ms: &str) -> Outcome<Self> {
        let mut process = Command::new(LINKYD)
            .args(["simulate", "--listen", "127.0.0.1:0", "--no-limits", "--latency-ms", latency_ms])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut told = String::new();
        BufReader::new(process.stdout.take().ok_or("its output is piped")?).read_line(&mut told)?;
        let address = told.split_whitespace().last().ok_or("it says where it listens")?.to_owned();
        Ok(Self { process, address })
    }
}

impl Drop for Enedis {
    fn drop(&mut self) {
        // Where it has ended by itself there is nothing to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Writes a configuration.
fn configure(folder: &Path, name: &str, address: &str, meters: u32, datasets: &str, rate: u32) -> Outcome<PathBuf> {
    let database = folder.join(format!("{name}.db"));
    let mut text = format!(
        "[database]\nurl = \"sqlite://{}\"\n[source.enedis]\nbase_url = \"{address}\"\napi = \"2026\"\n\
         client_id = \"bench\"\nclient_secret_file = \"{}\"\n\
         [source.enedis.limits]\nrequests_per_second = {rate}\nrequests_per_hour = 1000000\n[http]\nlisten = \"\"\n",
        database.display(),
        folder.join("secret").display(),
    );
    for n in 1..=meters {
        // Meters with an odd last digit have a solar roof.
        writeln!(text, "[[meter]]\nprm = \"{n:013}1\"\nname = \"Meter {n}\"\ndatasets = {datasets}")?;
    }
    std::fs::write(folder.join("secret"), "bench")?;
    std::fs::set_permissions(folder.join("secret"), std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let path = folder.join(format!("{name}.toml"));
    std::fs::write(&path, text)?;
    Ok(path)
}

/// What a run of `linkyd sync` took.
struct Taken {
    calls: f64,
    seconds: f64,
    /// User and system time, in seconds.
    processor: f64,
    /// MB.
    resident: f64,
}

fn sync(config: &Path) -> Outcome<Taken> {
    let watch = StopWatch::default();
    let report = config.with_extension("json");
    let mut process = Command::new(LINKYD)
        .arg("--config")
        .arg(config)
        .args(["sync", "--json"])
        .stdout(std::fs::File::create(&report)?)
        .stderr(Stdio::null())
        .spawn()?;
    let about = PathBuf::from(format!("/proc/{}", process.id()));
    let mut resident = 0.0_f64;
    // It stays a zombie, whose times can still be read, until it is waited for.
    let stat = loop {
        let status = std::fs::read_to_string(about.join("status"))?;
        if let Some(peak) = status.lines().find_map(|line| line.strip_prefix("VmHWM:")) {
            let kib: f64 = peak.trim().trim_end_matches("kB").trim().parse()?;
            resident = resident.max(kib * 1024.0 / 1e6);
        }
        let stat = std::fs::read_to_string(about.join("stat"))?;
        let rest = stat.rsplit(") ").next().ok_or("its state follows its name")?.to_owned();
        if rest.starts_with('Z') {
            break rest;
        }
        std::thread::sleep(LOOK);
    };
    let seconds = watch.elapsed().as_secs_f64();
    let done = process.wait()?;
    if !done.success() {
        return Err(format!("linkyd sync: {done}").into());
    }
    // After the state come ten numbers, then user and system time.
    let ticks: Vec<f64> = stat.split(' ').skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&report)?)?;
    let calls = report.get("calls").and_then(serde_json::Value::as_f64).ok_or("the report counts calls")?;
    Ok(Taken { calls, seconds, processor: ticks.iter().sum::<f64>() / TICKS, resident })
}
