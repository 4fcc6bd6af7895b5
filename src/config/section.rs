//! The small sections: `[database]`, `[schedule]`, `[log]` and `[http]`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use chrono::NaiveTime;
use tracing_subscriber::filter::Targets;

use super::explain::{Origin, alternatives, nearest, quoted};
use super::layers::Environment;
use super::read::{Found, Table};
use super::secret::{self, Secrets};
use super::{DatabaseConfig, HttpConfig, LogConfig, LogFormat, Schedule, schema};
use crate::domain::{CustomerDataset, Dataset};
use crate::store::Place;
use crate::store::postgres::{self, Address};

/// The most days that may lie between two asks for new days of a series.
const RAREST: i32 = 365;

/// The value of a key, or its default.
pub(super) fn or_default(found: Option<Found<String>>, default: &str) -> Found<String> {
    found.unwrap_or_else(|| Found { value: default.to_owned(), origin: Origin::Default })
}

/// The most days for which answers are kept.
const LONGEST_KEPT: i32 = 9_999;

/// `[database]`
pub(super) fn database(table: &Table<'_>, environment: &Environment) -> Option<DatabaseConfig> {
    let kept_days = kept_days(table);
    let url = or_default(table.text("url"), schema::DATABASE_URL);
    if postgres::is_server(&url.value) {
        return server(table, &url, kept_days?, environment);
    }
    let complaint = match url.value.strip_prefix("sqlite://") {
        None => "url must begin with sqlite:// or postgres://, as in sqlite:///var/lib/linkyd/linkyd.db",
        Some("" | ":memory:") => "url must name a file, as in sqlite:///var/lib/linkyd/linkyd.db",
        Some(path) if path.contains(['?', '%']) => "url must be sqlite:// and a path, without ? and %",
        Some(path) => {
            let place = Place::File(PathBuf::from(path));
            return Some(DatabaseConfig { place, url: url.value.clone(), kept_days: kept_days? });
        }
    };
    table.reader.problem(&url.origin, complaint);
    None
}

/// For how many days answers are kept.
fn kept_days(table: &Table<'_>) -> Option<i32> {
    let wanted = table.flag("raw_answers").is_none_or(|found| found.value);
    let keep = or_default(table.text("raw_answers_keep"), schema::RAW_ANSWERS_KEEP);
    let days =
        keep.value.strip_suffix('d').and_then(|n| n.parse().ok()).filter(|days| (1..=LONGEST_KEPT).contains(days));
    if days.is_none() {
        let given = quoted(&keep.value);
        let message = format!("raw_answers_keep = {given} is no number of days; write \"1d\" to \"{LONGEST_KEPT}d\"");
        table.reader.problem(&keep.origin, &message);
    }
    days.map(|days| if wanted { days } else { 0 })
}

/// A database on a server. Its password is read for every command, since none works without it.
fn server(table: &Table<'_>, url: &Found<String>, kept_days: i32, environment: &Environment) -> Option<DatabaseConfig> {
    let before = table.reader.problem_count();
    let password = secret::find(table, "database", "password", environment, Secrets::Read);
    if table.reader.problem_count() > before {
        return None;
    }
    match Address::parse(&url.value, password.as_ref()) {
        Ok(address) => {
            Some(DatabaseConfig { url: address.shown().to_owned(), place: Place::Server(Box::new(address)), kept_days })
        }
        Err(error) => {
            table.reader.problem(&url.origin, &format!("url {error}"));
            None
        }
    }
}

/// `[schedule]`
pub(super) fn schedule(table: &Table<'_>) -> Option<Schedule> {
    let every = every(&table.table("every"));
    let wake = or_default(table.text("wake_at"), schema::WAKE_AT);
    let until = or_default(table.text("retry_until"), schema::RETRY_UNTIL);
    let (wake_at, retry_until) = (time(table, "wake_at", &wake)?, time(table, "retry_until", &until)?);
    let earliest = NaiveTime::parse_from_str(schema::WAKE_AT, "%H:%M").ok()?;
    if wake_at < earliest {
        let message = format!("wake_at must not be before {}: Enedis has nothing new earlier", schema::WAKE_AT);
        table.reader.problem(&wake.origin, &message);
        return None;
    }
    if retry_until < wake_at {
        let origin = if until.origin == Origin::Default { &wake.origin } else { &until.origin };
        let message = format!(
            "retry_until ({}) is before wake_at ({}); both are times of the same day",
            retry_until.format("%H:%M"),
            wake_at.format("%H:%M")
        );
        table.reader.problem(origin, &message);
        return None;
    }
    Some(Schedule { wake_at, retry_until, every: every? })
}

fn time(table: &Table<'_>, key: &str, found: &Found<String>) -> Option<NaiveTime> {
    let text = found.value.strip_suffix(":00").filter(|rest| rest.contains(':')).unwrap_or(&found.value);
    let time = NaiveTime::parse_from_str(text, "%H:%M").ok().filter(|_| text.len() == 5);
    if time.is_none() {
        let message = format!("{key} = {} is no time of day; write it as \"08:00\"", quoted(&found.value));
        table.reader.problem(&found.origin, &message);
    }
    time
}

fn every(table: &Table<'_>) -> Option<BTreeMap<Dataset, i32>> {
    let mut every = BTreeMap::new();
    let mut sound = true;
    for key in table.keys() {
        let Ok(dataset) = key.parse::<Dataset>() else {
            if let (true, Some(origin)) = (key.parse::<CustomerDataset>().is_ok(), table.origin_of(key)) {
                table.reader.problem(&origin, &format!("{key} has no days, and a cadence of its own; remove it"));
            }
            continue;
        };
        let Some(found) = table.text(key) else {
            sound = false;
            continue;
        };
        let days = found.value.strip_suffix('d').and_then(|n| n.parse().ok());
        if let Some(days) = days.filter(|days| (1..=RAREST).contains(days)) {
            every.insert(dataset, days);
            continue;
        }
        let given = quoted(&found.value);
        let message = format!("{key} = {given} is no number of days; write \"1d\" to \"{RAREST}d\"");
        table.reader.problem(&found.origin, &message);
        sound = false;
    }
    sound.then_some(every)
}

/// `[log]`
pub(super) fn log(table: &Table<'_>) -> Option<LogConfig> {
    let filter = or_default(table.text("filter"), schema::LOG_FILTER);
    let format = or_default(table.text("format"), schema::LOG_FORMAT);
    let format_known = [LogFormat::Auto, LogFormat::Json].into_iter().find(|f| f.name() == format.value);
    if format_known.is_none() {
        choose(table, "format", &format, &["auto", "json"]);
    }
    if let Err(complaint) = check_filter(&filter.value) {
        table.reader.problem(&filter.origin, &complaint);
        return None;
    }
    Some(LogConfig { filter: filter.value, format: format_known? })
}

/// A lone word that is no level would silence everything else, so it is taken for a slip.
fn check_filter(filter: &str) -> Result<(), String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    for directive in filter.split(',').map(str::trim) {
        let level = directive.rsplit('=').next().unwrap_or_default();
        if !LEVELS.contains(&level.to_ascii_lowercase().as_str()) {
            return Err(format!("filter: {} is no level; levels are {}", quoted(level), alternatives(LEVELS)));
        }
    }
    match filter.parse::<Targets>() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("filter = {} cannot be read; write \"info\" or \"info,linkyd=debug\"", quoted(filter))),
    }
}

/// `[http]`
pub(super) fn http(table: &Table<'_>, environment: &Environment, secrets: Secrets) -> Option<HttpConfig> {
    let listen = or_default(table.text("listen"), schema::HTTP_LISTEN);
    let allow_remote = table.flag("allow_remote").is_some_and(|found| found.value);
    let hosts = hosts(table);
    let problems = table.reader.problem_count();
    let token = secret::find(table, "http", "token", environment, secrets);
    let sound = table.reader.problem_count() == problems;
    if listen.value.is_empty() {
        return Some(HttpConfig { listen: None, allow_remote, hosts: hosts?, token });
    }
    let Ok(address) = listen.value.parse::<SocketAddr>() else {
        let given = quoted(&listen.value);
        let message =
            format!("listen = {given} is no address with a port; write \"{}\", or \"\" for none", schema::HTTP_LISTEN);
        table.reader.problem(&listen.origin, &message);
        return None;
    };
    let complaint = if address.ip().is_loopback() {
        None
    } else if !allow_remote {
        Some(
            "listen: other machines can reach this address; write a loopback one (127.0.0.1), or add \
             allow_remote = true and a token",
        )
    } else if sound && token.is_none() && secrets == Secrets::Read {
        Some("listen: other machines can reach this address; add token_file, with a secret that they have to show")
    } else {
        None
    };
    if let Some(complaint) = complaint {
        table.reader.problem(&listen.origin, complaint);
        return None;
    }
    Some(HttpConfig { listen: Some(address), allow_remote, hosts: hosts?, token })
}

/// Names of this machine, as a browser sends them: without a port.
fn hosts(table: &Table<'_>) -> Option<Vec<String>> {
    let Some(list) = table.list("hosts") else {
        return table.origin_of("hosts").is_none().then(Vec::new);
    };
    let mut names = Vec::new();
    for found in list {
        let name = found.value.trim_end_matches('.').to_ascii_lowercase();
        let well_formed = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        if !well_formed {
            let message =
                format!("hosts: {} is no name of a machine; write it without port and scheme", quoted(&found.value));
            table.reader.problem(&found.origin, &message);
            return None;
        }
        names.push(name);
    }
    Some(names)
}

/// Reports a value that is not among those there are.
pub(super) fn choose(table: &Table<'_>, key: &str, found: &Found<String>, known: &[&str]) {
    let near = nearest(&found.value, known.iter().copied()).unwrap_or_default();
    let all = alternatives(known.iter().copied());
    let message = format!("{key} = {} is not known; it is {all}, the nearest is {near:?}", quoted(&found.value));
    table.reader.problem(&found.origin, &message);
}
