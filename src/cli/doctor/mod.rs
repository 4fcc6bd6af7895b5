//! `linkyd doctor`: what is wrong, and what to do about it.
//!
//! Each check is a line. [`machine`] looks at what is here: configuration, files, database, clock;
//! [`calls`] asks each source for the cheapest thing that shows whether it answers and takes the
//! credentials. Those calls go through the journal and the budget like all others, and a source
//! that pauses is not called. Nothing is repaired and no secret is shown.

mod calls;
mod consent;
mod machine;
mod reconcile;
mod server;

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;

use super::args::DoctorArgs;
use super::render::{Align, Cell, Table, Tone, number};
use super::{Trouble, colours, journeys, wiring};
use crate::clock::Clock;
use crate::config::{self, Config, Environment, Loaded, Secrets};
use crate::domain::paris;
use crate::engine::ActiveSource;
use crate::exit::Exit;
use crate::observe::{Surroundings, mask};
use crate::source::{Grant, conso_api};
use crate::store::Store;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All is well.
    Well,
    /// It works, but something should be done sooner or later.
    Warning,
    /// It does not work; the command ends with this code unless something worse is found.
    Problem(Exit),
}

/// The outcome of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// What was looked at: `config`, `database` and so on.
    check: &'static str,
    /// Which of several: the name of a source or a meter.
    subject: Option<String>,
    verdict: Verdict,
    /// What was found and, where that is not well, what to do.
    message: String,
    /// What scripts are told besides, under that key.
    more: Option<(&'static str, serde_json::Value)>,
}

impl Finding {
    fn new(check: &'static str, verdict: Verdict, message: impl Into<String>) -> Self {
        Self { check, subject: None, verdict, message: message.into(), more: None }
    }

    fn of(mut self, subject: &str) -> Self {
        self.subject = Some(subject.to_owned());
        self
    }

    fn with(mut self, key: &'static str, value: serde_json::Value) -> Self {
        self.more = Some((key, value));
        self
    }
}

impl From<&Trouble> for Verdict {
    fn from(trouble: &Trouble) -> Self {
        Self::Problem(trouble.exit)
    }
}

pub(super) async fn doctor(
    args: &DoctorArgs,
    path: Option<&Path>,
    environment: &Environment,
    surroundings: Surroundings,
    clock: Arc<dyn Clock>,
) -> Result<Exit, Trouble> {
    let mut findings = Vec::new();
    let (loaded, with_secrets) = configuration(path, environment, &mut findings);
    let log = loaded.as_ref().map(|loaded| loaded.config.log.clone()).unwrap_or_default();
    super::logs(&log, surroundings)?;
    let now = clock.now();
    let mut dates = Vec::new();
    if let Some(loaded) = &loaded {
        findings.extend(machine::files(loaded));
        let store = machine::database(loaded, &clock, &mut findings).await;
        let ask = match (args.offline, with_secrets) {
            (true, _) => Err("not asked: --offline"),
            (false, false) => Err("not asked: its secret is missing, or not to be used as it is"),
            (false, true) => Ok(()),
        };
        sources(loaded, store, ask, clock, &mut findings, &mut dates).await;
    }
    findings.push(machine::clock(now, &dates));
    findings.push(machine::zone(now));
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{:#}", document(&findings, now))?;
    } else {
        out.write_all(text(&findings, colours()).as_bytes())?;
    }
    Ok(exit(&findings))
}

/// The configuration, where there is one that can be worked with, and whether its secrets are there.
fn configuration(
    path: Option<&Path>,
    environment: &Environment,
    findings: &mut Vec<Finding>,
) -> (Option<Loaded>, bool) {
    let problem = |text: String| Finding::new("config", Verdict::Problem(Exit::Configuration), text);
    match config::load(path, environment, Secrets::Read) {
        Ok(loaded) => {
            let before = findings.len();
            findings.extend(loaded.warnings.iter().map(|w| Finding::new("config", Verdict::Warning, w.to_string())));
            if findings.len() == before {
                findings.push(Finding::new("config", Verdict::Well, machine::summary(&loaded)));
            }
            (Some(loaded), true)
        }
        Err(error) => {
            findings.extend(error.problems().iter().map(|p| problem(p.to_string())));
            // Where only a secret is wrong, the rest can be looked at all the same.
            (config::load(path, environment, Secrets::Skip).ok(), false)
        }
    }
}

/// Looks at every source: what its credentials say by themselves, and whether it answers.
async fn sources(
    loaded: &Loaded,
    store: Option<machine::Database>,
    ask: Result<(), &'static str>,
    clock: Arc<dyn Clock>,
    findings: &mut Vec<Finding>,
    dates: &mut Vec<calls::Dated>,
) {
    let config = &loaded.config;
    let sources = match wiring::sources(config) {
        Ok(sources) => sources,
        Err(trouble) => {
            findings.push(Finding::new("sources", Verdict::from(&trouble), trouble.message));
            return;
        }
    };
    let ask = match (ask, &store) {
        (Err(why), _) => Err(why.to_owned()),
        (Ok(()), None) => Err("not asked: without a database its calls cannot be counted".to_owned()),
        (Ok(()), Some(machine::Database::Busy { reason, .. })) => Err(format!("not asked: {reason}")),
        (Ok(()), Some(machine::Database::Ours(_))) => Ok(()),
    };
    let shared = store.map(machine::Database::into_store);
    let mut caller = None;
    if let (Ok(()), Some(store)) = (&ask, &shared) {
        match wiring::engine(config, Arc::clone(store), Arc::clone(&clock), None) {
            Ok(engine) => caller = Some(calls::Caller::new(engine)),
            Err(trouble) => findings.push(Finding::new("sources", Verdict::from(&trouble), trouble.message)),
        }
    }
    for active in &sources {
        let name = active.source.name();
        let meters: Vec<_> = config.meters.iter().filter(|meter| meter.sources.iter().any(|s| s == name)).collect();
        let grant = active.source.grant();
        if active.source.kind() == conso_api::KIND && grant == Grant::default() {
            let message =
                "the token says neither its meters nor its end, as those of Conso API do; it may not be whole";
            findings.push(Finding::new("consent", Verdict::Warning, message.to_owned()).of(name));
        }
        findings.extend(consent::of_grant(name, &grant, &meters, clock.now()));
        match (&ask, &caller) {
            (Err(why), _) => {
                let verdict = if why.ends_with("--offline") { Verdict::Well } else { Verdict::Warning };
                findings.push(Finding::new("source", verdict, why.clone()).of(name));
            }
            (Ok(()), None) => {}
            (Ok(()), Some(caller)) => {
                let asked = caller.ask(active, &meters).await;
                findings.extend(asked.findings);
                dates.extend(asked.dated);
            }
        }
    }
    if let Some(store) = &shared {
        stored(&**store, config, &sources, clock.now(), findings).await;
    }
}

/// What passes have stored: consents, subscriptions, series that fail, days that do not agree.
async fn stored(
    store: &dyn Store,
    config: &Config,
    sources: &[ActiveSource],
    now: DateTime<Utc>,
    findings: &mut Vec<Finding>,
) {
    let series = match store.status().await {
        Ok(series) => {
            findings.extend(consent::of_status(&series));
            findings.extend(consent::of_failures(&series));
            let closed = store.closed_calls().await.unwrap_or_else(|error| {
                let trouble = Trouble::from(error);
                findings.push(Finding::new("subscription", Verdict::from(&trouble), trouble.message));
                Vec::new()
            });
            for active in sources {
                findings.extend(consent::of_subscriptions(&*active.source, &series, &closed));
            }
            match store.unclear_hours(None).await {
                Ok(unclear) => findings.extend(consent::of_hours(&unclear)),
                Err(error) => {
                    let trouble = Trouble::from(error);
                    findings.push(Finding::new("off-peak", Verdict::from(&trouble), trouble.message));
                }
            }
            match store.energy_of_days(paris::today(now).plus(-reconcile::DAYS)).await {
                Ok(days) => findings.extend(reconcile::findings(&days)),
                Err(error) => {
                    let trouble = Trouble::from(error);
                    findings.push(Finding::new("energy", Verdict::from(&trouble), trouble.message));
                }
            }
            series
        }
        Err(error) => {
            let trouble = Trouble::from(error);
            findings.push(Finding::new("database", Verdict::from(&trouble), trouble.message));
            Vec::new()
        }
    };
    match journeys::gather(store, now).await {
        Ok(open) => findings.extend(
            open.iter().map(|one| Finding::new("consent", Verdict::Warning, one.sentence(now)).of(&one.source)),
        ),
        Err(error) => {
            let trouble = Trouble::from(error);
            findings.push(Finding::new("database", Verdict::from(&trouble), trouble.message));
        }
    }
    match store.authorisations().await {
        Ok(known) => {
            let sources = sources.iter().map(|active| &*active.source);
            findings.extend(consent::of_authorisations(&known, (&config.meters, &series), sources, now));
        }
        Err(error) => {
            let trouble = Trouble::from(error);
            findings.push(Finding::new("database", Verdict::from(&trouble), trouble.message));
        }
    }
}

/// The code of the worst finding: what must be mended first.
fn exit(findings: &[Finding]) -> Exit {
    const WORST_FIRST: [Exit; 6] = [
        Exit::Configuration,
        Exit::DatabaseUnreachable,
        Exit::CredentialsRefused,
        Exit::TryLater,
        Exit::Internal,
        Exit::Failed,
    ];
    let found = |exit: &Exit| findings.iter().any(|finding| finding.verdict == Verdict::Problem(*exit));
    let any = findings.iter().any(|finding| matches!(finding.verdict, Verdict::Problem(_)));
    WORST_FIRST.into_iter().find(found).unwrap_or(if any { Exit::Failed } else { Exit::Done })
}

fn document(findings: &[Finding], now: DateTime<Utc>) -> serde_json::Value {
    let exit = exit(findings);
    let checks: Vec<_> = findings
        .iter()
        .map(|finding| {
            let result = match finding.verdict {
                Verdict::Well => "ok",
                Verdict::Warning => "warning",
                Verdict::Problem(_) => "problem",
            };
            let mut line = json!({
                "check": finding.check,
                "subject": finding.subject,
                "result": result,
                "message": mask::digits(&finding.message),
            });
            if let (Some((key, value)), Some(line)) = (&finding.more, line.as_object_mut()) {
                line.insert((*key).to_owned(), value.clone());
            }
            line
        })
        .collect();
    let at = now.to_rfc3339_opts(SecondsFormat::Secs, true);
    json!({"at": at, "ok": exit == Exit::Done, "exit": exit.code(), "checks": checks})
}

fn text(findings: &[Finding], colours: bool) -> String {
    let mut table = Table::new([("RESULT", Align::Left), ("CHECK", Align::Left), ("WHAT", Align::Left)]);
    for finding in findings {
        let result = match finding.verdict {
            Verdict::Well => Cell::toned("ok", Tone::Good),
            Verdict::Warning => Cell::toned("warning", Tone::Warning),
            Verdict::Problem(_) => Cell::toned("problem", Tone::Bad),
        };
        let check = match &finding.subject {
            Some(subject) => format!("{} {subject}", finding.check),
            None => finding.check.to_owned(),
        };
        table.row([result, check.into(), mask::digits(&finding.message).into_owned().into()]);
    }
    let count = |wanted: fn(&Verdict) -> bool| {
        i64::try_from(findings.iter().filter(|finding| wanted(&finding.verdict)).count()).unwrap_or(i64::MAX)
    };
    let problems = count(|verdict| matches!(verdict, Verdict::Problem(_)));
    let warnings = count(|verdict| *verdict == Verdict::Warning);
    let mut text = table.render(0, colours);
    let _infallible = match (problems, warnings) {
        (0, 0) => writeln!(text, "\nAll is well."),
        (0, warnings) => {
            writeln!(text, "\nNothing wrong was found; {}.", number::counted(warnings, "warning", "warnings"))
        }
        (problems, 0) => writeln!(text, "\n{}.", number::counted(problems, "problem", "problems")),
        (problems, warnings) => writeln!(
            text,
            "\n{}, {}.",
            number::counted(problems, "problem", "problems"),
            number::counted(warnings, "warning", "warnings")
        ),
    };
    text
}

#[cfg(test)]
mod tests;
