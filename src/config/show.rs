//! `config check` and `config show`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::explain::{Origin, Problem};
use super::layers::Environment;
use super::load::{Loaded, load};
use super::secret::Secrets;
use super::{Config, LimitsConfig, SourceSettings, schema};
use crate::exit::Exit;
use crate::source::myelectricaldata;

/// Validates the configuration, secrets included, and reports every problem and warning. `more`
/// finds what is wrong with one that is sound as far as it can be read.
pub fn check(
    path: Option<&Path>,
    environment: &Environment,
    more: &dyn Fn(&Config) -> Vec<Problem>,
    json: bool,
    out: &mut dyn Write,
) -> io::Result<Exit> {
    let (problems, warnings, loaded) = match load(path, environment, Secrets::Read) {
        Ok(loaded) => (more(&loaded.config), loaded.warnings.clone(), Some(loaded)),
        Err(error) => (error.problems(), Vec::new(), None),
    };
    let exit = if problems.is_empty() { Exit::Done } else { Exit::Configuration };
    if json {
        let texts = |problems: &[Problem]| problems.iter().map(ToString::to_string).collect::<Vec<_>>();
        let document = json!({"ok": problems.is_empty(), "problems": texts(&problems), "warnings": texts(&warnings)});
        writeln!(out, "{document:#}")?;
        return Ok(exit);
    }
    for problem in &problems {
        writeln!(out, "{problem}")?;
    }
    for warning in &warnings {
        writeln!(out, "warning: {warning}")?;
    }
    if let (Some(loaded), Exit::Done) = (&loaded, exit) {
        let (sources, meters) = (loaded.config.sources.len(), loaded.config.meters.len());
        writeln!(out, "The configuration is sound: sources {sources}, meters {meters}.")?;
    }
    Ok(exit)
}

/// Prints the configuration as it takes effect, with the origin of each value. Secrets are
/// hidden and meter numbers masked, so that the output can be shown around.
pub fn show(loaded: &Loaded, json: bool, out: &mut dyn Write) -> io::Result<()> {
    let sections = sections(loaded);
    if json {
        let mut values = serde_json::Map::new();
        for section in &sections {
            for (key, value) in &section.values {
                let path = section.path_of(key);
                let origin = origin_text(loaded.provenance.origin(&path));
                values.insert(path, json!({"value": value, "from": origin}));
            }
        }
        let file = loaded.file.as_ref().map(|file| file.display().to_string());
        return writeln!(out, "{:#}", json!({"file": file, "values": values}));
    }
    let mut first = true;
    for section in sections.iter().filter(|section| !section.values.is_empty()) {
        if !std::mem::take(&mut first) {
            writeln!(out)?;
        }
        if !section.header.is_empty() {
            writeln!(out, "{}", section.header)?;
        }
        let lines: Vec<String> = section.values.iter().map(|(key, value)| format!("{key} = {}", toml(value))).collect();
        let width = lines.iter().map(|line| line.chars().count()).filter(|n| *n <= 60).max().unwrap_or(0);
        for (line, (key, _)) in lines.iter().zip(&section.values) {
            let origin = origin_text(loaded.provenance.origin(&section.path_of(key)));
            let note = section.notes.get(key).map(|note| format!("; {note}")).unwrap_or_default();
            writeln!(out, "{line:width$}  # {origin}{note}")?;
        }
    }
    Ok(())
}

struct Section {
    path: String,
    header: String,
    values: Vec<(&'static str, Value)>,
    /// What follows from a value, for people.
    notes: BTreeMap<&'static str, String>,
}

impl Section {
    /// The dotted path of one of its keys; the section above all others has none itself.
    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

fn sections(loaded: &Loaded) -> Vec<Section> {
    let config = &loaded.config;
    let named = |path: &str, values| Section {
        path: path.to_owned(),
        header: format!("[{path}]"),
        values,
        notes: BTreeMap::new(),
    };
    let time = |time: chrono::NaiveTime| json!(time.format("%H:%M").to_string());
    let more = loaded.meters_file.iter().map(|file| (schema::METERS_FILE, json!(file.display().to_string())));
    let top = Section { header: String::new(), ..named("", more.collect()) };
    let mut database = vec![("url", json!(config.database.url))];
    if *loaded.provenance.origin("database.password") != Origin::Default {
        database.push(("password", json!("***")));
    }
    database.push(("raw_answers", json!(config.database.kept_days > 0)));
    if config.database.kept_days > 0 {
        database.push(("raw_answers_keep", json!(format!("{}d", config.database.kept_days))));
    }
    let mut all = vec![top, named("database", database)];
    for source in &config.sources {
        let path = format!("source.{}", source.name);
        let (secret, _) = source.settings.secret();
        let secret_from = loaded.provenance.origin(&format!("{path}.{secret}"));
        let hidden = if *secret_from == Origin::Default { "" } else { "***" };
        let mut values = vec![("kind", json!(source.kind().name()))];
        if let SourceSettings::Enedis { environment, .. } = &source.settings {
            values.push(("environment", json!(environment.name())));
        }
        values.push(("base_url", json!(source.base_url.as_str())));
        match &source.settings {
            SourceSettings::Enedis { api, client_id, .. } => {
                values.extend([("api", json!(api.name())), ("client_id", json!(client_id))]);
            }
            SourceSettings::ConsoApi { .. } => {}
            SourceSettings::MyElectricalData { client_id, .. } => {
                values.extend([("version", json!(myelectricaldata::VERSION)), ("client_id", json!(client_id))]);
            }
        }
        values.push((secret, json!(hidden)));
        all.push(named(&path, values));
        let mut limits_section = named(&format!("{path}.limits"), limits(&source.limits));
        if let Some(own) = source.limits.own_per_day() {
            limits_section.notes.insert("reserved_per_day", format!("leaves {own} a day"));
        }
        all.push(limits_section);
    }
    let schedule = &config.schedule;
    all.push(named("schedule", vec![("wake_at", time(schedule.wake_at)), ("retry_until", time(schedule.retry_until))]));
    let every = schedule.every.iter().map(|(dataset, days)| (dataset.name(), json!(format!("{days}d"))));
    all.push(named("schedule.every", every.collect()));
    let log = &config.log;
    all.push(named("log", vec![("filter", json!(log.filter)), ("format", json!(log.format.name()))]));
    let listen = config.http.listen.map(|address| address.to_string()).unwrap_or_default();
    let mut values = vec![("listen", json!(listen))];
    if config.http.allow_remote {
        values.push(("allow_remote", json!(true)));
    }
    if !config.http.hosts.is_empty() {
        values.push(("hosts", json!(config.http.hosts)));
    }
    if *loaded.provenance.origin("http.token") != Origin::Default {
        values.push(("token", json!("***")));
    }
    all.push(named("http", values));
    for (index, meter) in config.meters.iter().enumerate() {
        let measures = meter.datasets.iter().map(|dataset| dataset.name());
        let datasets: Vec<&str> = measures.chain(meter.customer.iter().map(|about| about.name())).collect();
        let mut values = vec![
            ("prm", json!(meter.prm.to_string())),
            ("name", json!(meter.name)),
            ("sources", json!(meter.sources)),
            ("datasets", json!(datasets)),
        ];
        values.extend(meter.since.map(|day| ("since", json!(day.to_string()))));
        all.push(Section {
            path: format!("meter.{index}"),
            header: "[[meter]]".to_owned(),
            values,
            notes: BTreeMap::new(),
        });
    }
    all
}

fn limits(limits: &LimitsConfig) -> Vec<(&'static str, Value)> {
    let optional = |key, value: Option<u32>| value.map(|value| (key, json!(value)));
    let mut values = vec![("requests_per_second", json!(limits.per_second))];
    values.extend(optional("requests_per_hour", limits.per_hour));
    values.extend(optional("requests_per_day", limits.per_day));
    values.extend(optional("cached_requests_per_day", limits.cached_per_day));
    values.extend(optional("reserved_per_day", Some(limits.reserved_per_day).filter(|reserved| *reserved > 0)));
    values
}

fn origin_text(origin: &Origin) -> String {
    match origin {
        Origin::Environment(name) => format!("environment {name}"),
        Origin::SecretFile(path) => format!("file {}", path.display()),
        other => other.to_string(),
    }
}

/// JSON writes text, numbers and lists of text as TOML does, but for the space after a comma.
fn toml(value: &Value) -> String {
    match value {
        Value::Array(elements) => format!("[{}]", elements.iter().map(toml).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
