//! A running daemon with a service manager that listens.

use std::cell::RefCell;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use crate::cli_rig::{Home, Process, now, wait_for};

/// `linkyd run`, told to talk to a service manager of ours.
pub(crate) struct Daemon {
    pub(crate) process: Process,
    pub(crate) manager: Manager,
    pub(crate) log: PathBuf,
}

/// The listening end of `NOTIFY_SOCKET`.
pub(crate) struct Manager {
    socket: UnixDatagram,
    told: RefCell<Vec<String>>,
}

impl Manager {
    /// Waits until a line was told that begins so, and returns it. Each line is found once.
    pub(crate) fn waits_for(&mut self, beginning: &str) -> String {
        wait_for(beginning, || {
            self.hear();
            let mut told = self.told.borrow_mut();
            let place = told.iter().position(|line| line.starts_with(beginning))?;
            Some(told.remove(place))
        })
    }

    /// Everything that was told and not waited for.
    pub(crate) fn rest(&self) -> Vec<String> {
        self.hear();
        self.told.borrow().clone()
    }

    /// Takes what was told; its queue is short.
    fn hear(&self) {
        let mut buffer = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
            self.told.borrow_mut().extend(text.lines().map(str::to_owned));
        }
    }
}

impl Daemon {
    /// Starts it in a folder that holds a configuration.
    pub(crate) fn start(home: &Home) -> Self {
        let path = home.path("notify");
        let _from_an_earlier_one = std::fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        let log = home.path("daemon.log");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let child = home.command(&["run"]).env("NOTIFY_SOCKET", &path).stdout(Stdio::null()).stderr(file).spawn();
        Self { process: Process(child.unwrap()), manager: Manager { socket, told: RefCell::default() }, log }
    }

    /// The same, and waits until it is ready.
    pub(crate) fn ready(home: &Home) -> Self {
        let mut daemon = Self::start(home);
        daemon.manager.waits_for("READY=1");
        daemon
    }

    /// What it wrote to its log.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until so many lines of the log hold a text.
    #[track_caller]
    pub(crate) fn logs(&self, text: &str, times: usize) {
        wait_for(&format!("{times} times {text:?}"), || {
            self.manager.hear();
            (self.log().matches(text).count() >= times).then_some(())
        });
    }

    /// Stops it as a service manager does; it ends well and soon.
    #[track_caller]
    pub(crate) fn stop(mut self) -> String {
        let asked = now();
        self.process.signal("-TERM");
        assert_eq!(self.process.code(), Some(0), "{}", self.log());
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
        self.manager.waits_for("STOPPING=1");
        self.log()
    }
}

/// The configuration of a rig with this meter: two series from the source `enedis`.
pub(crate) fn config(prm: &str) -> linkyd::config::Config {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let text = format!(
        "[source.enedis]\nclient_id = \"x\"\n[[meter]]\nprm = \"{prm}\"\n\
         datasets = [\"consumption_load_curve\", \"daily_consumption\"]\n"
    );
    std::fs::write(&path, text).unwrap();
    let environment = linkyd::config::Environment::default();
    linkyd::config::load(Some(&path), &environment, linkyd::config::Secrets::Skip).unwrap().config
}

/// A port that nobody listens on just now.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// `[http]` on that port, or off.
pub(crate) fn http(port: Option<u16>) -> String {
    format!("[http]\nlisten = \"{}\"\n", port.map(|port| format!("127.0.0.1:{port}")).unwrap_or_default())
}

/// Asks for a page, with more lines of the request's head: status and everything that came.
pub(crate) fn get(port: u16, path: &str, host: &str, more: &str) -> (u16, String) {
    request(port, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n"))
}

/// Sends a request as it is.
pub(crate) fn request(port: u16, text: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, answer)
}
