//! The arguments of each command.
//!
//! clap parses them; [`parse`] adds what it cannot know: that a usage error is exit code 64, that
//! `--from` must not lie after `--to`, and that a meter's number is never repeated in a message.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use url::Url;

use crate::domain::{Api, CustomerDataset, Dataset, Day, Prm};
use crate::exit::Exit;
use crate::observe::mask;
use crate::simulator::command::SimulateArgs;
use crate::source::enedis::consent::Period;

/// What was asked on the command line.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "linkyd",
    version,
    about = "Keeps the whole electricity history of Linky meters in a database of yours",
    after_help = "Exit codes: 0 done, 1 a meter or dataset failed, 64 usage, 69 database unreachable, 70 internal \
                  error, 74 input/output, 75 try later, 77 credentials refused, 78 configuration.",
    subcommand_required = true,
    arg_required_else_help = false,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub struct Invocation {
    /// Configuration file [default: /etc/linkyd/config.toml]
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// A command and its options.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Run as a daemon: fetch every morning, answer signals, serve the status page
    Run,
    /// Fetch what is missing now, then exit
    Sync(SyncArgs),
    /// Show the calls that sync would make, without making any
    Plan(PlanArgs),
    /// Show what is there, what is missing and why
    Status(StatusArgs),
    /// Look for what is wrong and say what to do about it
    Doctor(DoctorArgs),
    /// Ask a customer for consent: print Enedis' page, take the answer, store the meter
    Authorize(Box<AuthorizeArgs>),
    /// Lift the pause of a source, as after a suspected ban
    Resume(ResumeArgs),
    /// Remove personal data or whole meters from the database, from every page of its files
    Forget(ForgetArgs),
    /// Run a stand-in for Enedis on this machine
    Simulate(Box<SimulateArgs>),
    /// Try everything without an account: fetch an invented household's history
    Demo(DemoArgs),
    /// Check or show the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look after the database
    #[command(subcommand)]
    Db(DbCommand),
}

/// Which series a command is about; empty means all.
#[derive(Debug, Clone, Default, Args)]
pub struct Which {
    /// Only this meter; may be repeated
    #[arg(long = "prm", value_name = "PRM", value_parser = PrmParser)]
    pub prms: Vec<Prm>,

    /// Only this dataset; may be repeated
    #[arg(long = "dataset", value_name = "DATASET", value_parser = dataset)]
    pub named: Vec<Named>,

    /// Only series that are late, failing or suspended, or that were never asked
    #[arg(long)]
    pub failing: bool,
}

/// A dataset of either kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// Of measures.
    Measures(Dataset),
    /// About the customer.
    Customer(CustomerDataset),
}

impl Which {
    /// The datasets of measures that are named.
    #[must_use]
    pub fn datasets(&self) -> Vec<Dataset> {
        let of = |named: &Named| match named {
            Named::Measures(dataset) => Some(*dataset),
            Named::Customer(_) => None,
        };
        self.named.iter().filter_map(of).collect()
    }

    /// The datasets about customers that are named.
    #[must_use]
    pub fn customers(&self) -> Vec<CustomerDataset> {
        let of = |named: &Named| match named {
            Named::Measures(_) => None,
            Named::Customer(about) => Some(*about),
        };
        self.named.iter().filter_map(of).collect()
    }
}

/// Narrows a command to some meters, datasets or days; empty means all.
#[derive(Debug, Clone, Default, Args)]
pub struct Narrow {
    /// Which series.
    #[command(flatten)]
    pub which: Which,

    /// Only days from this one on, as YYYY-MM-DD
    #[arg(long, value_name = "DAY")]
    pub from: Option<Day>,

    /// Only days up to this one, which is included
    #[arg(long, value_name = "DAY")]
    pub to: Option<Day>,
}

/// `linkyd sync`
#[derive(Debug, Clone, Args)]
pub struct SyncArgs {
    /// What to fetch.
    #[command(flatten)]
    pub narrow: Narrow,

    /// Ask again for days that are complete
    #[arg(long)]
    pub refetch: bool,

    /// Report as one JSON document
    #[arg(long)]
    pub json: bool,

    /// Decide as if it were that instant; calls are still paced by the machine's clock
    #[arg(long, value_name = "RFC3339", value_parser = instant)]
    pub at: Option<DateTime<Utc>>,
}

/// `linkyd plan`
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    /// What to plan for.
    #[command(flatten)]
    pub narrow: Narrow,

    /// Plan for days that are complete as well
    #[arg(long)]
    pub refetch: bool,

    /// Report as one JSON document
    #[arg(long)]
    pub json: bool,

    /// Plan as if it were that instant
    #[arg(long, value_name = "RFC3339", value_parser = instant)]
    pub at: Option<DateTime<Utc>>,

    /// Name every series, however many there are
    #[arg(long)]
    pub all: bool,
}

/// `linkyd status`
#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// Which series.
    #[command(flatten)]
    pub which: Which,

    /// Name every series, however many there are
    #[arg(long)]
    pub all: bool,

    /// Report as one JSON document
    #[arg(long)]
    pub json: bool,

    /// Answer as if it were that instant
    #[arg(long, value_name = "RFC3339", value_parser = instant)]
    pub at: Option<DateTime<Utc>>,

    /// Exit with 1 where one of these series is late, failing or suspended
    #[arg(long)]
    pub check: bool,
}

/// `linkyd doctor`
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// Make no call: look at this machine alone
    #[arg(long)]
    pub offline: bool,

    /// Report as one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `linkyd authorize`
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct AuthorizeArgs {
    /// The source whose application asks; may be left out where one is of kind enedis
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,

    /// Whose page: v5 or 2026 [default: the one that the source is configured for]
    #[arg(long, value_name = "API", value_parser = api)]
    pub api: Option<Api>,

    /// How long the consent shall last: P3Y, P6M, P10W or P30D, three years at most [default: P3Y]
    #[arg(long, value_name = "PERIOD")]
    pub duration: Option<Period>,

    /// The meter that is expected to be shared; may be repeated
    #[arg(long = "prm", value_name = "PRM", value_parser = PrmParser)]
    pub prms: Vec<Prm>,

    /// One of the sandbox's test customers, 0 to 9
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(0..=9))]
    pub customer: Option<u8>,

    /// Where to wait for the browser, on loopback; the path is /callback
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9766", value_parser = loopback)]
    pub listen: Option<SocketAddr>,

    /// Do not listen: the answer is pasted
    #[arg(long)]
    pub no_listen: bool,

    /// Enedis' page, where it is elsewhere
    #[arg(long, value_name = "URL")]
    pub page: Option<Url>,

    /// Minutes to wait for the browser; or with a unit, as 90s or 2h
    #[arg(long, value_name = "MINUTES", default_value = "15", value_parser = patience)]
    pub timeout: Duration,

    /// Print the page's address and leave; the answer is given with --url
    #[arg(long, conflicts_with_all = ["url", "proceed", "no_listen"])]
    pub no_wait: bool,

    /// The address on which the browser ended; - reads it from standard input
    #[arg(long, value_name = "URL", conflicts_with_all = ["proceed", "duration", "customer"])]
    pub url: Option<String>,

    /// Go on with a consent whose meter Enedis had not listed yet
    #[arg(long = "continue", conflicts_with_all = ["duration", "customer"])]
    pub proceed: bool,

    /// What to call the meter in the configuration
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// Add the meter to the configuration file without asking
    #[arg(long)]
    pub write: bool,

    /// Report as one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `linkyd resume`
#[derive(Debug, Clone, Args)]
pub struct ResumeArgs {
    /// The source's name in the configuration
    #[arg(value_name = "SOURCE")]
    pub source: String,

    /// Report as one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `linkyd forget`
#[derive(Debug, Clone, Args)]
#[command(group(clap::ArgGroup::new("what").args(["personal", "prms"]).required(true).multiple(true)))]
pub struct ForgetArgs {
    /// Addresses, names and ways to reach people, and nothing else: of the meters named, or of all
    #[arg(long)]
    pub personal: bool,

    /// This meter; may be repeated. Without --personal everything about it goes: readings, contract, journal
    #[arg(long = "prm", value_name = "PRM", value_parser = PrmParser)]
    pub prms: Vec<Prm>,

    /// Do not ask; needed where there is no terminal
    #[arg(long)]
    pub yes: bool,

    /// Report as one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `linkyd demo`
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Where to put the history; an existing file is replaced only if a demo wrote it
    #[arg(long, value_name = "FILE", default_value = "linkyd-demo.db")]
    pub database: PathBuf,

    /// Do not keep to the pace that Enedis asks for
    #[arg(long)]
    pub full_speed: bool,

    /// Then keep it up to date and serve the status page, until interrupted
    #[arg(long)]
    pub serve: bool,

    /// Report as one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `linkyd config …`
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Validate the configuration, secrets included, and report every mistake
    Check(ReportArgs),
    /// Print the configuration as it takes effect, with where each value came from
    Show(ReportArgs),
}

/// `linkyd db …`
#[derive(Debug, Clone, Subcommand)]
pub enum DbCommand {
    /// Create the database, or bring it up to date
    Migrate(ReportArgs),
    /// Look for damage and contradictions; changes nothing
    Check(ReportArgs),
    /// Write the SQLite file into a new one as it is now, whoever uses it meanwhile
    Backup(BackupArgs),
    /// Copy everything into another database, of the same kind or not, and look whether it arrived
    Copy(CopyArgs),
    /// Read kept answers again and mend what is stored of them; makes no call
    Replay(ReplayArgs),
}

/// `linkyd db backup`
#[derive(Debug, Clone, Args)]
pub struct BackupArgs {
    /// The new file. Nothing is ever replaced, and only its owner may read it
    #[arg(value_name = "FILE")]
    pub to: PathBuf,

    /// Report as one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `linkyd db replay`
#[derive(Debug, Clone, Args)]
pub struct ReplayArgs {
    /// What to read again.
    #[command(flatten)]
    pub narrow: Narrow,

    /// Only say what would change
    #[arg(long)]
    pub dry_run: bool,

    /// Report as one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `linkyd db copy`
#[derive(Debug, Clone, Args)]
pub struct CopyArgs {
    /// Where to, written as `database.url`. It may be empty, or an earlier copy of the same database
    #[arg(long, value_name = "URL")]
    pub to: String,

    /// A file with the password for that server and nothing else
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,

    /// Report as one JSON document
    #[arg(long)]
    pub json: bool,
}

/// Options of commands that only report.
#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// Report as one JSON document
    #[arg(long)]
    pub json: bool,
}

/// A command line that is answered with a text instead of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What to print; ends with a newline.
    pub text: String,
    /// On standard output, because it was asked for (`--help`), or else on standard error.
    pub to_stdout: bool,
    /// How to exit.
    pub exit: Exit,
}

/// Parses the arguments, the program's name first.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, Refusal> {
    let invocation = Invocation::try_parse_from(arguments).map_err(|error| refusal(&error))?;
    let narrow = match &invocation.command {
        Command::Sync(args) => &args.narrow,
        Command::Plan(args) => &args.narrow,
        _ => return Ok(invocation),
    };
    if let (Some(from), Some(to)) = (narrow.from, narrow.to)
        && from > to
    {
        let message = format!("--from {from} lies after --to {to}");
        return Err(refusal(&Invocation::command().error(ErrorKind::ValueValidation, message)));
    }
    Ok(invocation)
}

fn refusal(error: &clap::Error) -> Refusal {
    let asked_for = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    // clap repeats what it could not use, and that may be a meter's number in the wrong place.
    let text = mask::digits(&error.to_string()).into_owned();
    Refusal { text, to_stdout: asked_for, exit: if asked_for { Exit::Done } else { Exit::Usage } }
}

/// Parses a PRM; its error, unlike clap's own, does not repeat the value.
#[derive(Debug, Clone, Copy)]
struct PrmParser;

impl TypedValueParser for PrmParser {
    type Value = Prm;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _argument: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<Prm, clap::Error> {
        value.to_string_lossy().parse().map_err(|error| {
            command.clone().error(ErrorKind::ValueValidation, format!("invalid value for '--prm <PRM>': {error}"))
        })
    }
}

fn dataset(text: &str) -> Result<Named, String> {
    let measures = text.parse().map(Named::Measures).ok();
    measures.or_else(|| text.parse().map(Named::Customer).ok()).ok_or_else(|| {
        let customers = CustomerDataset::ALL.map(CustomerDataset::name).join(", ");
        format!("there is no such dataset; there are {}, {customers}", Dataset::names())
    })
}

fn api(text: &str) -> Result<Api, String> {
    Api::from_name(text).ok_or_else(|| "there are v5 and 2026".to_owned())
}

/// How long somebody waits, at most a day.
fn patience(text: &str) -> Result<Duration, String> {
    let (number, seconds) = match text.split_at_checked(text.len().saturating_sub(1)) {
        Some((number, "s")) => (number, 1),
        Some((number, "m")) => (number, 60),
        Some((number, "h")) => (number, 3_600),
        _ => (text, 60),
    };
    let plain = number.len() <= 5 && number.bytes().all(|byte| byte.is_ascii_digit());
    let waits = number.parse().ok().filter(|_| plain).map(|number: u64| Duration::from_secs(number * seconds));
    let day = Duration::from_hours(24);
    waits
        .filter(|waits| (Duration::from_secs(1)..=day).contains(waits))
        .ok_or_else(|| "write minutes, or a number with s, m or h: at most a day".to_owned())
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Ok(address),
        Ok(_) => Err("only an address of this machine itself can be waited on, such as 127.0.0.1:9766".to_owned()),
        Err(_) => Err("write an address with its port, such as 127.0.0.1:9766".to_owned()),
    }
}

fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    DateTime::parse_from_rfc3339(text)
        .map(|instant| instant.with_timezone(&Utc))
        .map_err(|_| "write an instant with its offset, as in 2026-11-24T09:30:00+01:00".to_owned())
}

#[cfg(test)]
mod tests;
