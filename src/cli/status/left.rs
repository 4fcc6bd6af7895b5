//! What a status says beside the table: what is left to be fetched, and who stands in for whom.

use std::collections::HashMap;

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};

use super::super::render::number;
use crate::config::Config;
use crate::daemon::backlog::Backlog;
use crate::domain::SeriesState;
use crate::store::SeriesStatus;

/// Whether series can be served by one source or another, so that it is worth saying by which.
pub(super) fn has_choice(config: &Config) -> bool {
    config.meters.iter().any(|meter| meter.sources.len() > 1)
}

/// A sentence for each source that serves series of a meter that prefers another one.
pub(super) fn stand_ins(series: &[SeriesStatus], config: &Config) -> Vec<String> {
    if !has_choice(config) {
        return Vec::new();
    }
    let preferred: HashMap<&str, &String> =
        config.meters.iter().filter_map(|meter| Some((meter.prm.full(), meter.sources.first()?))).collect();
    let mut groups: Vec<([&str; 3], Vec<&str>)> = Vec::new();
    for one in series.iter().filter(|one| one.state != SeriesState::NotOffered) {
        let preferred = preferred.get(one.prm.full()).filter(|name| ***name != one.source);
        let Some(preferred) = preferred else { continue };
        let who = [one.name.as_str(), one.source.as_str(), preferred.as_str()];
        // The lines of a meter stand together.
        match groups.iter_mut().rev().take_while(|(known, _)| known[0] == who[0]).find(|(known, _)| *known == who) {
            Some((_, datasets)) => datasets.push(one.dataset.name()),
            None => groups.push((who, vec![one.dataset.name()])),
        }
    }
    let sentence = |([name, source, preferred], datasets): ([&str; 3], Vec<&str>)| {
        format!("{name}, {}: source {source} stands in for {preferred}.", datasets.join(", "))
    };
    groups.into_iter().map(sentence).collect()
}

/// How many calls are left, until when the budget lets them run, and what will be gone by then.
pub(crate) fn left(backlog: &Backlog) -> Vec<String> {
    let mut lines = Vec::new();
    if backlog.calls > 0 {
        let calls = number::counted(i64::try_from(backlog.calls).unwrap_or(i64::MAX), "call", "calls");
        let until = backlog.until.and_then(|at| DateTime::from_timestamp(at, 0));
        let until = until.map(|at| format!(", until about {} (Paris)", number::wall(at))).unwrap_or_default();
        lines.push(format!("Left to fetch: {calls}{until}."));
    }
    for (dataset, days) in &backlog.expiring {
        let (name, days) = (dataset.name(), number::counted(*days, "day", "days"));
        lines
            .push(format!("{name}: {days} will leave the window before their turn; more calls a day would save them."));
    }
    lines
}

/// The same for documents.
pub(super) fn document(backlog: &Backlog) -> Value {
    let rfc = |at: i64| DateTime::from_timestamp(at, 0).map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
    let sources: Vec<_> = backlog
        .sources
        .iter()
        .map(|share| json!({"source": share.source, "calls": share.calls, "until": rfc(share.until)}))
        .collect();
    let expiring: serde_json::Map<String, Value> =
        backlog.expiring.iter().map(|(dataset, days)| (dataset.name().to_owned(), json!(days))).collect();
    json!({
        "calls": backlog.calls,
        "until": backlog.until.and_then(rfc),
        "sources": sources,
        "expiring_days": expiring,
    })
}
