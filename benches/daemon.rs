//! What the daemon takes while it has nothing to do, how soon it is ready and how soon it ends.
//!
//! The release binary runs against the simulated Enedis, which is another process; a datagram
//! socket of ours is its service manager, so READY is seen when systemd would see it. Memory and
//! switches are read from `/proc` (Linux only). A minute of the run is idle waiting.

#[path = "support/figures.rs"]
mod figures;

use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use figures::{Outcome, StopWatch, line, median};

const LINKYD: &str = env!("CARGO_BIN_EXE_linkyd");

/// How long an idle daemon is looked at: one beat and everything between two.
const IDLE: Duration = Duration::from_mins(1);

fn main() -> Outcome {
    let folder = tempfile::tempdir_in(PathBuf::from(env!("CARGO_TARGET_TMPDIR")))?;
    let mut enedis = Command::new(LINKYD)
        .args(["simulate", "--listen", "127.0.0.1:0", "--no-limits", "--latency-ms", "5"])
        .stdout(Stdio::piped())
        .spawn()?;
    let done = measure(folder.path(), &mut enedis);
    enedis.kill()?;
    enedis.wait()?;
    done
}

fn measure(folder: &Path, enedis: &mut Child) -> Outcome {
    let mut told = String::new();
    BufReader::new(enedis.stdout.take().ok_or("its output is piped")?).read_line(&mut told)?;
    let address = told.split_whitespace().last().ok_or("it says where it listens")?;
    configure(folder, address)?;

    let mut first = Daemon::start(folder)?;
    first.waits_for("STATUS=Complete")?;
    line(&format!("resident after a whole history, with page  {:>8.1} MB", first.resident()?))?;
    line(&format!("asked to stop while idle, until it ended   {:>8.1} ms", first.stop()? * 1e3))?;

    let mut ready = Vec::new();
    for _ in 0..21 {
        let daemon = Daemon::start(folder)?;
        ready.push(daemon.ready);
        daemon.stop()?;
    }
    line(&format!("start to READY on a whole history          {:>8.1} ms", median(ready) * 1e3))?;

    let idle = Daemon::start(folder)?;
    // What a start sets in motion is over by then.
    std::thread::sleep(Duration::from_secs(2));
    let (switches, ticks) = (idle.switches()?, idle.ticks()?);
    std::thread::sleep(IDLE);
    let per_second = (idle.switches()? - switches) / IDLE.as_secs_f64();
    line(&format!("resident while idle, with page             {:>8.1} MB", idle.resident()?))?;
    line(&format!("wake-ups of all threads while idle         {per_second:>8.2} a second"))?;
    line(&format!(
        "processor while idle                       {:>8.3} %",
        (idle.ticks()? - ticks) / IDLE.as_secs_f64()
    ))?;
    idle.stop()?;

    let mut stops = Vec::new();
    for n in 0..21 {
        for file in ["bench.db", "bench.db-wal", "bench.db-shm"] {
            std::fs::remove_file(folder.join(file))?;
        }
        // A pass begins before the daemon is ready, and lasts for about half a second here.
        let daemon = Daemon::start(folder)?;
        std::thread::sleep(Duration::from_millis(20 * n));
        stops.push(daemon.stop()?);
    }
    let longest = stops.iter().copied().fold(0.0, f64::max);
    line(&format!(
        "asked to stop amid writes, until it ended  {:>8.1} ms, at most {:.1} ms",
        median(stops) * 1e3,
        longest * 1e3
    ))
}

/// A daemon that is ready.
struct Daemon {
    process: Child,
    manager: UnixDatagram,
    /// Seconds until it was.
    ready: f64,
}

impl Daemon {
    fn start(folder: &Path) -> Outcome<Self> {
        let socket = folder.join("notify");
        if socket.exists() {
            std::fs::remove_file(&socket)?;
        }
        let manager = UnixDatagram::bind(&socket)?;
        manager.set_read_timeout(Some(Duration::from_secs(30)))?;
        let watch = StopWatch::default();
        let process = Command::new(LINKYD)
            .arg("--config")
            .arg(folder.join("config.toml"))
            .arg("run")
            .env("NOTIFY_SOCKET", &socket)
            .stderr(Stdio::null())
            .spawn()?;
        let mut daemon = Self { process, manager, ready: 0.0 };
        daemon.waits_for("READY=1")?;
        daemon.ready = watch.elapsed().as_secs_f64();
        Ok(daemon)
    }

    fn waits_for(&mut self, beginning: &str) -> Outcome {
        let mut buffer = [0; 4096];
        loop {
            let length = self.manager.recv(&mut buffer)?;
            let told = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned();
            if told.lines().any(|line| line.starts_with(beginning)) {
                return Ok(());
            }
        }
    }

    /// Ends it; the seconds that this took.
    fn stop(mut self) -> Outcome<f64> {
        let watch = StopWatch::default();
        let sent = Command::new("kill").arg(self.process.id().to_string()).status()?;
        let done = self.process.wait()?;
        if sent.success() && done.success() { Ok(watch.elapsed().as_secs_f64()) } else { Err(format!("{done}").into()) }
    }

    fn about(&self, file: &str) -> Outcome<String> {
        Ok(std::fs::read_to_string(format!("/proc/{}/{file}", self.process.id()))?)
    }

    /// MB.
    fn resident(&self) -> Outcome<f64> {
        let status = self.about("status")?;
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("its memory is told")?;
        Ok(kib.trim().trim_end_matches("kB").trim().parse::<f64>()? * 1024.0 / 1e6)
    }

    /// How often its threads went to sleep, and so woke up.
    fn switches(&self) -> Outcome<f64> {
        let mut sum = 0.0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            let status = std::fs::read_to_string(task?.path().join("status"))?;
            let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            sum += count.ok_or("switches are told")?.trim().parse::<f64>()?;
        }
        Ok(sum)
    }

    /// Hundredths of a second of processor time.
    fn ticks(&self) -> Outcome<f64> {
        let stat = self.about("stat")?;
        let rest = stat.rsplit(") ").next().ok_or("its state follows its name")?;
        let ticks: Vec<f64> = rest.split(' ').skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
        Ok(ticks.iter().sum())
    }
}

fn configure(folder: &Path, address: &str) -> Outcome {
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let text = format!(
        "[database]\nurl = \"sqlite://{}\"\n[source.enedis]\nbase_url = \"{address}\"\nclient_id = \"bench\"\n\
         client_secret = \"bench\"\n[source.enedis.limits]\nrequests_per_second = 1000\n\
         requests_per_hour = 1000000\n[http]\nlisten = \"127.0.0.1:{port}\"\n\
         [[meter]]\nprm = \"01234567890123\"\nname = \"Maison\"\n",
        folder.join("bench.db").display(),
    );
    let path = folder.join("config.toml");
    std::fs::write(&path, text)?;
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(())
}
