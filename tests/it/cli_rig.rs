//! The real binary in a folder of its own, and a simulated Enedis in a process of its own.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Row as _};

/// The meter of these tests: it produces too, because its last digit is odd.
pub(crate) const METER: &str = "01234567890123";
/// What must never be seen.
pub(crate) const SECRET: &str = "canary-s3cr3t-of-the-client";
/// A morning on which everything up to the day before is published.
pub(crate) const MORNING: &str = "2026-11-24T08:30:00+01:00";
/// Calls that a whole history of five series takes at the least.
pub(crate) const FEWEST: u64 = 107 + 107 + 4 + 4 + 4;

/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_mins(2);

/// A folder for a test. In memory where that is possible: nothing here loses power.
pub(crate) fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.or_else(|_| tempfile::tempdir()).unwrap()
}

/// The machine's time: these tests are about real processes.
#[expect(clippy::disallowed_methods, reason = "processes of their own follow no other clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Waits for a condition, with a bound.
pub(crate) fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let began = now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A test leaves itself out because the machine lacks what it takes. Where everything is to be checked (STRICT), that
/// fails; else it is said past the capture of tests that pass, so that nobody believes that it was looked at.
#[track_caller]
pub(crate) fn left_out(why: &str) {
    assert!(std::env::var_os("STRICT").is_none_or(|strict| strict.is_empty()), "{why}");
    let _nobody_hears = writeln!(std::io::stderr(), "{why}");
}

/// Whether these tests run as root, whom no file mode stops.
pub(crate) fn root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0)
}

/// A process that ends with the test.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    /// Sends a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.0.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Kills it, unless it has ended already.
    pub(crate) fn kill(&mut self) {
        let _ = self.0.kill();
    }

    /// Waits for its end; the exit code, or `None` after a signal.
    pub(crate) fn code(&mut self) -> Option<i32> {
        wait_for("the end of a process", || self.0.try_wait().unwrap()).code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `linkyd simulate` on a free port.
pub(crate) struct Simulated {
    pub(crate) url: String,
    /// What a configuration needs to ask Enedis: `[source.enedis]`.
    pub(crate) enedis: String,
    /// The same for the gateways: `[source.conso]` and `[source.med]`.
    pub(crate) gateways: String,
    log: PathBuf,
    _process: Process,
}

impl Simulated {
    /// Starts it at the morning of these tests. `folder` holds its log.
    pub(crate) fn start(folder: &Path, args: &[&str]) -> Self {
        Self::start_today(folder, &[&["--at", MORNING], args].concat())
    }

    /// Starts it at the machine's own time, for commands that follow no other.
    pub(crate) fn start_today(folder: &Path, args: &[&str]) -> Self {
        let log = folder.join("simulator.jsonl");
        let mut child = Command::new(env!("CARGO_BIN_EXE_linkyd"))
            .args(["simulate", "--listen", "127.0.0.1:0", "--log"])
            .arg(&log)
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut told = BufReader::new(child.stdout.take().unwrap());
        told.read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        let mut blocks = String::new();
        while blocks.matches("client_secret").count() < 2 {
            assert!(told.read_line(&mut blocks).unwrap() > 0, "{blocks}");
        }
        let (enedis, gateways) = blocks.split_at(blocks.find("[source.conso]").unwrap());
        let (enedis, gateways) = (enedis.to_owned(), gateways.to_owned());
        Self { url, enedis, gateways, log, _process: Process(child) }
    }

    /// Every call for data so far.
    pub(crate) fn calls(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.log).unwrap();
        // The last line may just be being written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let ran = Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) };
        for text in [&ran.out, &ran.err] {
            assert!(!text.contains(SECRET), "{text}");
            assert!(!text.contains("panicked") && !text.contains("RUST_BACKTRACE"), "{text}");
        }
        assert!(!ran.err.contains(METER), "{}", ran.err);
        ran
    }

    /// The document on standard output.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts the exit code and hands on.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// The one message of a command that was refused.
    #[track_caller]
    pub(crate) fn message(&self) -> &str {
        assert!(self.out.is_empty(), "{}", self.out);
        assert_eq!(self.err.lines().count(), 1, "{}", self.err);
        self.err.trim_end()
    }
}

/// A folder with a configuration and, after a while, a database.
pub(crate) struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    /// An empty folder.
    pub(crate) fn empty() -> Self {
        Self { folder: folder() }
    }

    /// A folder with the configuration of one meter and all its series at the address given.
    pub(crate) fn new(url: &str) -> Self {
        let home = Self::empty();
        home.configure(&source(url, ""), &meter(""));
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path("linkyd.db")
    }

    /// Writes a file with a mode.
    pub(crate) fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    pub(crate) fn configure(&self, source: &str, meters: &str) {
        self.write("config.toml", &format!("{source}{meters}"), 0o640);
    }

    /// A command that has not run.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_linkyd"));
        self.prepare(&mut command);
        command.args(args);
        command
    }

    /// Puts a command into this folder, away from the environment of the tests.
    pub(crate) fn prepare(&self, command: &mut Command) {
        let ours = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("LINKYD_");
        for (name, _) in std::env::vars_os().filter(|(name, _)| ours(name)) {
            command.env_remove(name);
        }
        command.env_remove("JOURNAL_STREAM").env_remove("CREDENTIALS_DIRECTORY").env_remove("NO_COLOR");
        command.env("RUST_BACKTRACE", "1").current_dir(self.folder.path()).stdin(Stdio::null());
        command.arg("--config").arg(self.path("config.toml"));
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        let mut command = assert_cmd::Command::from_std(self.command(args));
        Ran::of(&command.timeout(PATIENCE).output().unwrap())
    }

    /// The same at the morning of these tests.
    pub(crate) fn run_at_morning(&self, args: &[&str]) -> Ran {
        self.run(&[args, &["--at", MORNING]].concat())
    }

    /// Starts a command and leaves it running; both its outputs are piped.
    pub(crate) fn start(&self, args: &[&str]) -> Process {
        Process(self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Nothing was lost: the database is whole.
    #[track_caller]
    pub(crate) fn assert_whole(&self) {
        self.run(&["db", "check"]).exits(0);
    }

    /// The rows that a statement finds.
    pub(crate) fn rows(&self, statement: &'static str) -> Vec<String> {
        rows(&self.database(), statement)
    }

    /// Runs statements on the database, as another program would.
    pub(crate) fn edit(&self, statements: &'static str) {
        self.edit_as(statements, false);
    }

    /// Runs statements on a new database of another program.
    pub(crate) fn edit_new(&self, statements: &'static str) {
        self.edit_as(statements, true);
    }

    fn edit_as(&self, statements: &'static str, new: bool) {
        block_on(async {
            let options = SqliteConnectOptions::new().filename(self.database()).create_if_missing(new);
            let mut conn = options.connect().await.unwrap();
            sqlx::raw_sql(statements).execute(&mut conn).await.unwrap();
        });
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// The rows that a statement finds; its first column is text.
pub(crate) fn rows(database: &Path, statement: &'static str) -> Vec<String> {
    block_on(async {
        let mut conn = SqliteConnectOptions::new().filename(database).read_only(true).connect().await.unwrap();
        let rows = sqlx::query(statement).fetch_all(&mut conn).await.unwrap();
        rows.iter().map(|row| row.get::<String, _>(0)).collect()
    })
}

/// `[source.enedis]` at full speed, with more keys of it.
pub(crate) fn source(url: &str, more: &str) -> String {
    format!(
        "[source.enedis]\nbase_url = \"{url}\"\nclient_id = \"app\"\nclient_secret = \"{SECRET}\"\n{more}\n\
         [source.enedis.limits]\nrequests_per_second = 1000\nrequests_per_hour = 1000000\n"
    )
}

/// The meter with all its series and more keys.
pub(crate) fn meter(more: &str) -> String {
    format!(
        "[[meter]]\nprm = \"{METER}\"\nname = \"Maison\"\n{more}\ndatasets = [\"consumption_load_curve\", \
         \"production_load_curve\", \"daily_consumption\", \"daily_production\", \"daily_max_power\"]\n"
    )
}

/// The keys of an object, sorted.
pub(crate) fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}
