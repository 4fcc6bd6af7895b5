//! A PostgreSQL server for tests, so that they need nothing but a Rust toolchain and Debian.
//!
//! With `DATABASE_URL` the tests use that server: its role must be allowed to create databases.
//! Without it they start a private cluster from the programs in the folder that `POSTGRES_PROGRAMS`
//! names, else from the installed ones, the newest there are; and where there are none they install the
//! distribution's package first, and say so. Nothing is ever skipped: what cannot be had is a failure
//! that says what to do.
//!
//! One cluster serves all tests of a process, each of which gets a database of its own, made from a
//! migrated template. A little shell script, `keeper.sh`, holds the cluster and takes it away once the
//! process has ended, also where it was killed.

#![allow(dead_code, reason = "shared by two test binaries and the benches, none of which uses all of it")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};

/// Every migration, in order.
const MIGRATIONS: &[&str] = &[
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres/0001_start.sql")),
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres/0002_registers.sql")),
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres/0003_customers.sql")),
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres/0004_consents.sql")),
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres/0005_whole_sums.sql")),
];

/// The oldest server that linkyd works with.
const OLDEST: u32 = 14;

const WHAT_TO_DO: &str = "tests need PostgreSQL 14 or newer: install it (Debian: apt-get install postgresql), or set \
    DATABASE_URL to a server on which they may create databases";

/// A server, private or not.
#[derive(Debug)]
pub(crate) struct Server {
    /// URL of the database to connect to for making others.
    url: String,
    keeper: Option<Mutex<Keeper>>,
    template: tokio::sync::OnceCell<String>,
    databases: AtomicU32,
}

/// The script that holds a private cluster.
#[derive(Debug)]
struct Keeper {
    child: Child,
    words: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// A database of one test; gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Database {
    server: &'static Server,
    name: String,
}

impl Server {
    /// The server that all tests of this process share.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Result<Server, String>> = OnceLock::new();
        let server = SHARED.get_or_init(|| match std::env::var("DATABASE_URL") {
            Ok(url) if !url.is_empty() => Ok(Self::at(url, None)),
            _ => Self::private(),
        });
        match server {
            Ok(server) => server,
            Err(error) => panic!("{error}"),
        }
    }

    /// A cluster of a test's own, to be stopped and started at will. It stays until the process ends.
    pub(crate) fn own() -> &'static Self {
        match Self::private() {
            Ok(server) => Box::leak(Box::new(server)),
            Err(error) => panic!("{error}"),
        }
    }

    /// The same behind a port of the loopback address that lets nobody in unencrypted, and that port. The folder
    /// holds its certificate and key, `server.crt` and `server.key`, for everybody to read.
    pub(crate) fn secured(certificates: &Path) -> (&'static Self, u16) {
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let port = port.expect("a free port").port();
        let mut server = Self::private().unwrap_or_else(|error| panic!("{error}"));
        server.tell(&format!("secure {} {port}", certificates.display()));
        // The socket's name holds the port.
        server.url = server.url.replacen("@localhost/", &format!("@localhost:{port}/"), 1);
        (Box::leak(Box::new(server)), port)
    }

    fn at(url: String, keeper: Option<Keeper>) -> Self {
        Self {
            url,
            keeper: keeper.map(Mutex::new),
            template: tokio::sync::OnceCell::new(),
            databases: AtomicU32::new(0),
        }
    }

    fn private() -> Result<Self, String> {
        let programs = match chosen().or_else(|| programs().map(Ok)) {
            Some(programs) => programs?,
            None => install().and_then(|()| programs().ok_or_else(|| WHAT_TO_DO.to_owned()))?,
        };
        let (keeper, folder) = Keeper::start(&programs)?;
        Ok(Self::at(format!("postgres://postgres@localhost/postgres?host={folder}"), Some(keeper)))
    }

    /// Stops the server at once, as a crash of the machine would, and starts it again.
    pub(crate) fn crash(&self) {
        self.tell("restart");
    }

    /// Stops the server at once.
    pub(crate) fn stop(&self) {
        self.tell("stop");
    }

    /// Starts it again.
    pub(crate) fn start(&self) {
        self.tell("start");
    }

    /// Makes a replica of it, which takes no writes.
    pub(crate) fn demote(&self) {
        self.tell("demote");
    }

    /// Lets a replica take writes.
    pub(crate) fn promote(&self) {
        self.tell("promote");
    }

    fn tell(&self, word: &str) {
        let keeper = self.keeper.as_ref().expect("a cluster of the test's own");
        keeper.lock().unwrap_or_else(PoisonError::into_inner).tell(word);
    }

    /// A URL of one of its databases.
    fn url_of(&self, database: &str) -> String {
        let mut url = url::Url::parse(&self.url).expect("DATABASE_URL is a URL");
        url.set_path(database);
        url.into()
    }

    async fn admin(&self) -> PgConnection {
        let options: PgConnectOptions = self.url.parse().expect("DATABASE_URL is that of a PostgreSQL server");
        match options.disable_statement_logging().connect().await {
            Ok(conn) => conn,
            Err(error) => panic!("the tests' server cannot be reached ({error}); {WHAT_TO_DO}"),
        }
    }

    /// A database with the newest schema.
    pub(crate) async fn database(&'static self) -> Database {
        let template = self.template.get_or_init(|| self.make_template()).await;
        self.make(&format!("TEMPLATE {template}")).await
    }

    /// A database with nothing in it.
    pub(crate) async fn empty_database(&'static self) -> Database {
        self.make("TEMPLATE template0").await
    }

    async fn make(&'static self, how: &str) -> Database {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}_{number}", prefix());
        self.run(&format!("CREATE DATABASE {name} {how}")).await;
        Database { server: self, name }
    }

    async fn make_template(&'static self) -> String {
        let name = format!("{}_template", prefix());
        if self.keeper.is_none() {
            self.sweep().await;
        }
        self.run(&format!("CREATE DATABASE {name} TEMPLATE template0")).await;
        let options: PgConnectOptions = self.url_of(&name).parse().unwrap();
        let mut conn = options.connect().await.unwrap();
        for migration in MIGRATIONS {
            sqlx::raw_sql(*migration).execute(&mut conn).await.unwrap();
        }
        conn.close().await.unwrap();
        name
    }

    /// Removes databases of tests that were killed a good while ago.
    async fn sweep(&self) {
        let mut conn = self.admin().await;
        let old: Vec<(String,)> = sqlx::query_as(
            "SELECT datname::text FROM pg_database
             WHERE datname LIKE 'linkyd\\_test\\_%' AND split_part(datname, '_', 3) ~ '^[0-9]+$'
               AND split_part(datname, '_', 3)::int8 < extract(epoch FROM now()) - 21600",
        )
        .fetch_all(&mut conn)
        .await
        .unwrap();
        for (name,) in old {
            // Another test process may be at it.
            let drop = format!("DROP DATABASE IF EXISTS \"{name}\"");
            sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut conn).await.ok();
        }
    }

    /// Runs a statement in the database from which others are made.
    pub(crate) async fn run(&self, sql: &str) {
        let mut conn = self.admin().await;
        if let Err(error) = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut conn).await {
            panic!("{sql}: {error}; {WHAT_TO_DO}");
        }
        conn.close().await.ok();
    }
}

impl Database {
    /// Its URL, as an operator writes it.
    pub(crate) fn url(&self) -> String {
        self.server.url_of(&self.name)
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The server it lies on.
    pub(crate) fn server(&self) -> &'static Server {
        self.server
    }

    /// A connection as other programs open it.
    pub(crate) async fn connect(&self) -> PgConnection {
        let options: PgConnectOptions = self.url().parse().unwrap();
        options.disable_statement_logging().connect().await.unwrap()
    }

    /// Runs statements as the owner.
    pub(crate) async fn run(&self, sql: &str) {
        let mut conn = self.connect().await;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut conn).await.unwrap();
        conn.close().await.ok();
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, name) = (self.server, std::mem::take(&mut self.name));
        // A runtime of its own: the test's may be gone, or busy with unwinding.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(server.run(&format!("DROP DATABASE {name} WITH (FORCE)")));
        })
        .join();
        assert!(dropped.is_ok() || std::thread::panicking(), "a database of a test could not be dropped");
    }
}

impl Keeper {
    fn start(programs: &Path) -> Result<(Self, String), String> {
        let mut command = match other_user() {
            // The server refuses to run as root.
            Some((user, group)) => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", &user, "--regid", &group, "--clear-groups", "sh"]);
                command
            }
            None => Command::new("sh"),
        };
        let mut child = command
            .args(["-c", include_str!("keeper.sh"), "keeper"])
            .args([programs, &temp()])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // What a terminal sends to the test must not reach the server first.
            .process_group(0)
            .spawn()
            .map_err(|error| format!("cannot start a PostgreSQL cluster ({error}); {WHAT_TO_DO}"))?;
        let words = child.stdin.take();
        let mut answers = BufReader::new(child.stdout.take().ok_or("no output")?);
        let mut line = String::new();
        answers.read_line(&mut line).map_err(|error| error.to_string())?;
        let Some(folder) = line.trim().strip_prefix("ready ") else {
            let rest: Vec<String> = answers.lines().map_while(Result::ok).collect();
            let programs = programs.display();
            return Err(format!("no cluster can be made with {programs}: {}; {WHAT_TO_DO}", rest.join("\n")));
        };
        let folder = folder.to_owned();
        Ok((Self { child, words, answers }, folder))
    }

    fn tell(&mut self, word: &str) {
        let words = self.words.as_mut().expect("the keeper listens");
        writeln!(words, "{word}").expect("the keeper listens");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("the keeper answers");
        assert_eq!(answer.trim(), "done", "the server does not {word}");
    }
}

impl Drop for Keeper {
    /// Not reached by what lies in a static; then the end of the process closes the pipe.
    fn drop(&mut self) {
        self.words.take();
        self.child.wait().ok();
    }
}

/// What the names of all databases of this process begin with: when it began, and its number.
fn prefix() -> &'static str {
    static PREFIX: OnceLock<String> = OnceLock::new();
    PREFIX.get_or_init(|| {
        #[expect(clippy::disallowed_methods, reason = "tells what other test processes left behind, nothing else")]
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        format!("linkyd_test_{}_{}", now.as_secs(), std::process::id())
    })
}

/// Short, because the name of a socket may not be long.
fn temp() -> PathBuf {
    let temp = std::env::temp_dir();
    if temp.as_os_str().len() > 50 { "/tmp".into() } else { temp }
}

/// As root: the user and group to run the server as.
fn other_user() -> Option<(String, String)> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uid = status
        .lines()
        .find_map(|l| l.strip_prefix("Uid:"))
        .and_then(|l| l.split_whitespace().nth(1))
        .map(str::to_owned);
    if uid.as_deref() != Some("0") {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    ["postgres", "nobody"].iter().find_map(|name| {
        let fields: Vec<&str> =
            users.lines().map(|l| l.split(':').collect::<Vec<_>>()).find(|f| f.first() == Some(name))?;
        Some(((*fields.get(2)?).to_owned(), (*fields.get(3)?).to_owned()))
    })
}

/// The folder of programs that `POSTGRES_PROGRAMS` names: how one of several versions is chosen.
fn chosen() -> Option<Result<PathBuf, String>> {
    let folder = PathBuf::from(std::env::var_os("POSTGRES_PROGRAMS").filter(|folder| !folder.is_empty())?);
    let usable = is_complete(&folder) && version(&folder).is_some_and(|version| version >= OLDEST);
    let error = || format!("POSTGRES_PROGRAMS={} holds no server's programs; {WHAT_TO_DO}", folder.display());
    Some(if usable { Ok(folder.clone()) } else { Err(error()) })
}

fn is_complete(folder: &Path) -> bool {
    ["initdb", "pg_ctl", "postgres"].iter().all(|program| folder.join(program).is_file())
}

/// The folder of the newest installed server's programs.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    for versions in ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"] {
        let found = std::fs::read_dir(versions).into_iter().flatten().flatten();
        folders.extend(found.map(|entry| entry.path().join("bin")));
    }
    for pattern in ["/usr/local/pgsql/bin", "/usr/bin"] {
        folders.push(pattern.into());
    }
    let usable = folders.into_iter().filter(|f| is_complete(f));
    let mut versions: Vec<(u32, PathBuf)> = usable.filter_map(|f| Some((version(&f)?, f))).collect();
    versions.retain(|(version, _)| *version >= OLDEST);
    versions.into_iter().max_by_key(|(version, _)| *version).map(|(_, folder)| folder)
}

fn version(folder: &Path) -> Option<u32> {
    let said = Command::new(folder.join("pg_ctl")).arg("--version").output().ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    said.split_whitespace().nth(2)?.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Installs the distribution's package.
fn install() -> Result<(), String> {
    // Not eprintln, which the test harness keeps to itself.
    let say = |text: &str| writeln!(std::io::stderr(), "{text}").ok();
    if !Path::new("/usr/bin/apt-get").exists() {
        return Err(format!("PostgreSQL is not installed; {WHAT_TO_DO}"));
    }
    say("tests: PostgreSQL is not installed; installing the package postgresql with apt-get");
    let apt = |arguments: &[&str]| {
        let mut command = if other_user().is_some() { Command::new("env") } else { Command::new("sudo") };
        if other_user().is_none() {
            command.args(["-n", "env"]);
        }
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"]).args(arguments).stdin(Stdio::null());
        let output = command.output().map_err(|error| error.to_string())?;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    };
    let package = ["install", "--no-install-recommends", "postgresql"];
    let installed = apt(&package).or_else(|_| apt(&["update"]).and_then(|()| apt(&package)));
    installed.map_err(|error| format!("PostgreSQL is not installed and cannot be: {}; {WHAT_TO_DO}", error.trim()))
}
