//! `linkyd sync`: one pass now.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;

use serde_json::json;

use super::args::SyncArgs;
use super::render::number;
use super::status::{Concerned, FEW};
use super::{Trouble, progress, wiring};
use crate::clock::{Calendar, Clock};
use crate::config::Loaded;
use crate::domain::{CustomerDataset, Prm, SeriesState};
use crate::engine::Report;
use crate::engine::report::{CustomerReport, MeterReport};
use crate::exit::Exit;
use crate::source::{Refusal, catalogue};
use crate::store::Mode;

/// How many different troubles of many meters are told.
const MESSAGES: usize = 40;

pub(super) async fn sync(args: &SyncArgs, loaded: &Loaded, clock: Arc<dyn Clock>) -> Result<Exit, Trouble> {
    let config = &loaded.config;
    let mut selection = wiring::selection(&args.narrow, args.refetch, config)?;
    let stop = wiring::stop_on_signals()?;
    let place = &config.database.place;
    let Some(database) = wiring::open_in_turn(place, Mode::Create, "linkyd sync", &stop, &clock).await? else {
        return Ok(Exit::Done);
    };
    let store = database.store();
    if args.narrow.which.failing {
        let now = Calendar::new(Arc::clone(&clock), args.at).now();
        super::status::only_failing(&mut selection, &*store, config, now).await?;
    }
    let engine = wiring::engine(config, store.patient(), clock, args.at)?;
    let bar = progress::bar(args.json);
    let report = engine.pass(&selection, &stop, &|done| progress::show(&bar, done)).await;
    bar.finish_and_clear();
    let report = report?;
    tracing::info!(
        calls = report.calls,
        rows = report.inserted,
        changed = report.changed,
        left = report.left,
        "pass done"
    );
    let mut out = io::stdout().lock();
    if args.json {
        super::print_json(&mut out, &document(&report))?;
    } else {
        let stopped = if report.stopped { "Stopped before the end; the next run goes on from here.\n" } else { "" };
        write!(out, "{}{stopped}", text(&report))?;
    }
    Ok(if report.stopped { Exit::Done } else { report.exit() })
}

/// Whether asking again helps after the trouble of that code.
fn helps(code: Option<&str>) -> Option<bool> {
    code.and_then(catalogue::retry_helps)
}

/// The document of `sync --json`.
pub(super) fn document(report: &Report) -> serde_json::Value {
    let of_customer = |prm: &Prm| {
        let own = report.customers.iter().filter(|c| c.prm == *prm);
        let value = |c: &CustomerReport| json!({"dataset": c.about.name(), "answered": c.answered, "calls_left": c.left, "state": c.state.name(), "error": c.error, "code": c.code, "retry_helps": helps(c.code.as_deref()), "source": c.source});
        own.map(value).collect::<Vec<_>>()
    };
    let mut meters: Vec<_> = report
        .meters
        .iter()
        .map(|meter| {
            let mut datasets: Vec<_> = meter
                .datasets
                .iter()
                .map(
                    |d| json!({"dataset": d.dataset.name(), "state": d.state.name(), "error": d.error, "code": d.code, "retry_helps": helps(d.code.as_deref()), "source": d.source}),
                )
                .collect();
            datasets.extend(of_customer(&meter.prm));
            json!({"prm": meter.prm.full(), "name": meter.name, "datasets": datasets})
        })
        .collect();
    for one in &report.customers {
        if !meters.iter().any(|meter| meter["prm"] == one.prm.full()) {
            meters.push(json!({"prm": one.prm.full(), "name": one.name, "datasets": of_customer(&one.prm)}));
        }
    }
    let interruptions: Vec<_> = report
        .interruptions
        .iter()
        .map(|i| {
            let about = i.refusal.as_ref().and_then(|refusal| refusal.about.as_ref());
            json!({
                "source": i.source,
                "message": i.message,
                "until": i.until_ms.and_then(instant),
                "code": i.refusal.as_ref().map(|refusal| &refusal.code).filter(|code| !code.is_empty()),
                "retry_helps": i.refusal.as_ref().map(Refusal::retry_helps),
                "prm": about.map(|about| about.prm.full()),
                "dataset": about.map(|about| about.dataset),
            })
        })
        .collect();
    json!({
        "calls": report.calls,
        "rows_inserted": report.inserted,
        "rows_changed": report.changed,
        "calls_left": report.left,
        "stopped": report.stopped,
        "interruptions": interruptions,
        "meters": meters,
    })
}

fn instant(ms: i64) -> Option<String> {
    Some(chrono::DateTime::from_timestamp_millis(ms)?.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
}

/// What a person reads after a pass.
pub(super) fn text(report: &Report) -> String {
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let quiet = report.calls == 0 && report.left == 0 && report.interruptions.is_empty() && !report.stopped;
    let kept = report
        .meters
        .iter()
        .flat_map(|m| &m.datasets)
        .any(|d| matches!(d.state, SeriesState::Failing | SeriesState::Suspended | SeriesState::Waiting));
    let mut text = if quiet && kept {
        "Nothing was asked: what is missing cannot be asked for now.\n".to_owned()
    } else if quiet {
        format!("{}\n", super::plan::NOTHING)
    } else {
        format!(
            "{}: {}, {} changed{}.\n",
            number::counted(count(report.calls), "call", "calls"),
            number::counted(count(report.inserted), "new value", "new values"),
            number::thousands(count(report.changed)),
            of_customers(report),
        )
    };
    // What keeps a whole source waiting is said once, with the source.
    let told = |error: &str| report.interruptions.iter().any(|i| i.message == error);
    if report.meters.len() > FEW {
        text.push_str(&of_many(report, told));
    } else {
        for meter in &report.meters {
            text.push_str(&of_one(meter, told));
        }
    }
    for one in report.customers.iter().filter(|one| one.state != SeriesState::Ok).take(FEW) {
        let why = one.error.as_deref().filter(|error| !told(error));
        let why = why.map(|why| format!(". {}", why.trim_end_matches('.'))).unwrap_or_default();
        let _infallible = writeln!(text, "{}, {}: {}{why}.", one.name, one.about, one.state.name().replace('_', " "));
    }
    for interruption in &report.interruptions {
        let until = interruption.until_ms.and_then(chrono::DateTime::from_timestamp_millis);
        let until = until.map(|at| format!(" Not before {} (Paris).", number::wall(at))).unwrap_or_default();
        let message = catalogue::named(interruption.message.trim_end_matches('.'), &interruption.source);
        let _infallible = writeln!(text, "Source {}: {message}.{until}", interruption.source);
    }
    if report.left > 0 {
        let _infallible = writeln!(text, "{} left for later.", number::counted(count(report.left), "call", "calls"));
    }
    text
}

/// How many answers about customers were kept: they hold no values to be counted.
fn of_customers(report: &Report) -> String {
    let mut kept: BTreeMap<CustomerDataset, i64> = BTreeMap::new();
    for one in report.customers.iter().filter(|one| one.answered) {
        *kept.entry(one.about).or_default() += 1;
    }
    let names: Vec<String> = kept
        .into_iter()
        .map(|(about, meters)| {
            let many = number::counted(meters, "meter", "meters");
            if meters == 1 { about.name().to_owned() } else { format!("{about} of {many}") }
        })
        .collect();
    if names.is_empty() { String::new() } else { format!(", answered and kept: {}", names.join(", ")) }
}

/// What is wrong with a meter's series.
fn of_one(meter: &MeterReport, told: impl Fn(&str) -> bool) -> String {
    let mut text = String::new();
    let mut groups: Vec<(SeriesState, Option<&str>, Vec<&str>)> = Vec::new();
    for one in meter.datasets.iter().filter(|d| d.state != SeriesState::Ok) {
        let why = one.error.as_deref().filter(|error| !told(error));
        match groups.iter_mut().find(|(state, error, _)| (*state, *error) == (one.state, why)) {
            Some((.., names)) => names.push(one.dataset.name()),
            None => groups.push((one.state, why, vec![one.dataset.name()])),
        }
    }
    let mut stand_ins: Vec<(&str, Vec<&str>)> = Vec::new();
    for one in meter.datasets.iter().filter(|d| d.stands_in) {
        match stand_ins.iter_mut().find(|(source, _)| *source == one.source) {
            Some((_, names)) => names.push(one.dataset.name()),
            None => stand_ins.push((&one.source, vec![one.dataset.name()])),
        }
    }
    for (source, names) in stand_ins {
        let names = names.join(", ");
        let _infallible = writeln!(text, "{}, {names}: source {source} stands in for the preferred one.", meter.name);
    }
    for (state, why, names) in groups {
        let source = meter.datasets.first().map(|d| d.source.as_str()).unwrap_or_default();
        let why = why.map(|why| format!(". {}", catalogue::named(why.trim_end_matches('.'), source)));
        let why = why.unwrap_or_default();
        let state = state.name().replace('_', " ");
        let _infallible = writeln!(text, "{}, {}: {state}{why}.", meter.name, names.join(", "));
    }
    text
}

/// What is wrong with the series of many meters: each trouble once, for all that have it.
fn of_many(report: &Report, told: impl Fn(&str) -> bool) -> String {
    let mut troubles: BTreeMap<(&str, String), Concerned<'_>> = BTreeMap::new();
    let mut stand_ins: BTreeMap<&str, Concerned<'_>> = BTreeMap::new();
    for (meter, one) in report.meters.iter().flat_map(|meter| meter.datasets.iter().map(move |one| (meter, one))) {
        if one.state != SeriesState::Ok {
            let why = one.error.as_deref().filter(|error| !told(error));
            let why = why.map(|why| format!(". {}", catalogue::named(why.trim_end_matches('.'), &one.source)));
            troubles.entry((one.state.name(), why.unwrap_or_default())).or_default().add(&meter.name);
        }
        if one.stands_in {
            stand_ins.entry(&one.source).or_default().add(&meter.name);
        }
    }
    let mut text = String::new();
    for (source, concerned) in stand_ins {
        let _infallible = writeln!(text, "{concerned}: source {source} stands in for the preferred one.");
    }
    let mut troubles: Vec<_> = troubles.into_iter().collect();
    troubles.sort_by_key(|(_, concerned)| Reverse(concerned.series()));
    for ((state, why), concerned) in troubles.iter().take(MESSAGES) {
        let _infallible = writeln!(text, "{concerned}: {}{why}.", state.replace('_', " "));
    }
    if troubles.len() > MESSAGES {
        text.push_str("… and other troubles: `linkyd status --failing` shows all of them.\n");
    }
    text
}
