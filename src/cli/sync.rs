//! `linkyd sync`: one pass now.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;

use serde_json::json;

use super::args::SyncArgs;
use super::render::number;
use super::{Trouble, progress, wiring};
use crate::clock::Clock;
use crate::config::Loaded;
use crate::domain::SeriesState;
use crate::engine::Report;
use crate::exit::Exit;
use crate::store::sqlite::{Mode, SqliteStore};

pub(super) async fn sync(args: &SyncArgs, loaded: &Loaded, clock: Arc<dyn Clock>) -> Result<Exit, Trouble> {
    loaded.require_meters()?;
    let config = &loaded.config;
    let selection = wiring::selection(&args.narrow, args.refetch, config)?;
    let stop = wiring::stop_on_signals()?;
    let store = SqliteStore::open(&config.database.path, Mode::Create, "linkyd sync").await?;
    let engine = wiring::engine(config, Arc::new(store), clock, args.at)?;
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
        writeln!(out, "{:#}", document(&report))?;
    } else {
        out.write_all(text(&report).as_bytes())?;
    }
    Ok(if report.stopped { Exit::Done } else { report.exit() })
}

/// The document of `sync --json`.
pub(super) fn document(report: &Report) -> serde_json::Value {
    let meters: Vec<_> = report
        .meters
        .iter()
        .map(|meter| {
            let datasets: Vec<_> = meter
                .datasets
                .iter()
                .map(
                    |d| json!({"dataset": d.dataset.name(), "state": d.state.name(), "error": d.error, "code": d.code}),
                )
                .collect();
            json!({"prm": meter.prm.full(), "name": meter.name, "datasets": datasets})
        })
        .collect();
    let interruptions: Vec<_> = report
        .interruptions
        .iter()
        .map(|i| json!({"source": i.source, "message": i.message, "until": i.until_ms.and_then(instant)}))
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
    let mut text = format!(
        "{}: {} new, {} changed.\n",
        number::counted(count(report.calls), "call", "calls"),
        number::counted(count(report.inserted), "value", "values"),
        number::thousands(count(report.changed)),
    );
    for meter in &report.meters {
        for one in meter.datasets.iter().filter(|d| d.state != SeriesState::Ok) {
            let why = one.error.as_deref().map(|e| format!(": {e}")).unwrap_or_default();
            let _infallible =
                writeln!(text, "{} {} is {}{why}", meter.name, one.dataset, one.state.name().replace('_', " "));
        }
    }
    for interruption in &report.interruptions {
        let until = interruption.until_ms.and_then(chrono::DateTime::from_timestamp_millis);
        let until = until.map(|at| format!(" Not before {} (Paris).", number::wall(at))).unwrap_or_default();
        let _infallible =
            writeln!(text, "source {}: {}.{until}", interruption.source, interruption.message.trim_end_matches('.'));
    }
    if report.left > 0 {
        let _infallible = writeln!(text, "{} left for later.", number::counted(count(report.left), "call", "calls"));
    }
    text
}
