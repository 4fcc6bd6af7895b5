//! `linkyd db copy`: everything into another database, and the proof that it arrived.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::args::CopyArgs;
use super::render::{Align, Cell, Table, Tone, number};
use super::{Trouble, colours, progress, wiring};
use crate::clock::Clock;
use crate::config::read_secret_file;
use crate::exit::Exit;
use crate::store::copy::{self, Copied, CopyError};
use crate::store::postgres::{Address, is_server};
use crate::store::sqlite::path_of_url;
use crate::store::{Database, Mode, Place};

const COMMAND: &str = "linkyd db copy";

pub(super) async fn copy(args: &CopyArgs, from: &Place, clock: &Arc<dyn Clock>) -> Result<Exit, Trouble> {
    let to = target(&args.to, args.password_file.as_deref())?;
    if is_same(from, &to) {
        return Err(usage(format!("{to} is the database of the configuration; name another one")));
    }
    let stop = wiring::stop_on_signals()?;
    // To read only, as of one instant: whoever writes it goes on.
    let source = Database::open(from, Mode::Read, COMMAND, clock).await?;
    let lives = source.daemon_lives().await?;
    let target = Database::open(&to, Mode::Create, COMMAND, clock).await.map_err(|error| {
        let trouble = Trouble::from(error);
        // What is wrong with it stands on the command line here.
        Trouble { message: trouble.message.replace("`database.url`", "`--to`"), ..trouble }
    })?;
    if target.daemon_lives().await? {
        let message = format!("a daemon is at work on {to}; stop it first");
        return Err(Trouble { exit: Exit::TryLater, message });
    }
    let bar = progress::rows_bar(args.json);
    let (ours, theirs) = (source.bulk(), target.bulk());
    let show = |done, total| progress::show_rows(&bar, done, total);
    let done = tokio::select! {
        done = copy::copy(&*ours, &*theirs, &show) => Some(done),
        () = stop.cancelled() => None,
    };
    bar.finish_and_clear();
    let Some(done) = done else {
        let message = "stopped before the end; the next copy goes on from here".to_owned();
        return Err(Trouble { exit: Exit::TryLater, message });
    };
    let tables = done.map_err(|error| match error {
        CopyError::Store(error) => error.into(),
        CopyError::Other(_) => Trouble::new(Exit::Usage, &error),
    })?;
    let report = Report { from: from.to_string(), to: to.to_string(), daemon: lives, tables };
    let mut out = io::stdout().lock();
    if args.json {
        super::print_json(&mut out, &report.document())?;
    } else {
        out.write_all(report.text(colours()).as_bytes())?;
    }
    Ok(if report.is_equal() { Exit::Done } else { Exit::Failed })
}

/// The database that an address names.
fn target(url: &str, password_file: Option<&Path>) -> Result<Place, Trouble> {
    let password = password_file.map(read_secret_file).transpose().map_err(|error| {
        let path = password_file.unwrap_or(Path::new("")).display();
        Trouble { exit: Exit::Configuration, message: format!("--password-file: {path} {error}") }
    })?;
    if is_server(url) {
        let address = Address::parse(url, password.as_ref()).map_err(|error| usage(format!("--to {error}")))?;
        return Ok(Place::Server(Box::new(address)));
    }
    if !url.starts_with("sqlite:") {
        return Err(usage(
            "--to: the address of a database starts with `sqlite://`, for a file, or `postgres://`, for a server"
                .to_owned(),
        ));
    }
    path_of_url(url).map(Place::File).map_err(|why| usage(format!("--to: {why}")))
}

fn usage(message: String) -> Trouble {
    Trouble { exit: Exit::Usage, message }
}

/// Whether both are one database.
fn is_same(one: &Place, other: &Place) -> bool {
    match (one, other) {
        (Place::File(one), Place::File(other)) => {
            let real = |path: &Path| path.canonicalize().ok();
            one == other || real(one).is_some_and(|one| real(other) == Some(one))
        }
        (Place::Server(one), Place::Server(other)) => one.place() == other.place(),
        _ => false,
    }
}

/// What came of it.
pub(super) struct Report {
    pub(super) from: String,
    pub(super) to: String,
    /// A daemon keeps the source up to date.
    pub(super) daemon: bool,
    pub(super) tables: Vec<Copied>,
}

impl Report {
    fn is_equal(&self) -> bool {
        self.tables.iter().all(Copied::is_equal)
    }

    fn sum(&self, of: impl Fn(&Copied) -> u64) -> u64 {
        self.tables.iter().map(of).sum()
    }

    /// The document of `db copy --json`.
    fn document(&self) -> serde_json::Value {
        let tables: Vec<_> = self
            .tables
            .iter()
            .map(|one| {
                json!({
                    "table": one.table,
                    "rows": one.source.rows,
                    "rows_there": one.target.rows,
                    "written": one.written,
                    "checksum": format!("{:016x}", one.source.sum),
                    "equal": one.is_equal(),
                })
            })
            .collect();
        json!({
            "from": self.from,
            "to": self.to,
            "equal": self.is_equal(),
            "rows": self.sum(|one| one.source.rows),
            "written": self.sum(|one| one.written),
            "daemon": self.daemon,
            "tables": tables,
        })
    }

    /// What a person reads.
    pub(super) fn text(&self, colours: bool) -> String {
        let count = |n: u64| number::thousands(i64::try_from(n).unwrap_or(i64::MAX));
        let mut table = Table::new([
            ("TABLE", Align::Left),
            ("ROWS", Align::Right),
            ("WRITTEN", Align::Right),
            ("THERE", Align::Right),
            ("CHECKSUMS", Align::Left),
        ]);
        for one in &self.tables {
            let (tone, word) = if one.is_equal() { (Tone::Good, "equal") } else { (Tone::Bad, "differ") };
            let [rows, written, there] = [one.source.rows, one.written, one.target.rows].map(count);
            table.row([one.table.into(), rows.into(), written.into(), there.into(), Cell::toned(word, tone)]);
        }
        let (rows, written) = (count(self.sum(|one| one.source.rows)), count(self.sum(|one| one.written)));
        let mut text = table.render(0, colours);
        let (from, to) = (&self.from, &self.to);
        let _infallible = if self.is_equal() {
            writeln!(text, "\n{to} holds all {rows} rows of {from}; {written} were written now.")
        } else {
            writeln!(
                text,
                "\n{to} does not hold the same as {from}: rows that it has besides were kept. Copy into an empty \
                 database."
            )
        };
        if self.daemon {
            let _infallible = writeln!(
                text,
                "A daemon keeps {from} up to date: stop it, copy once more, which is quick, and only then use the copy."
            );
        }
        text
    }
}
