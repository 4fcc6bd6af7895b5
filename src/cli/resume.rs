//! `linkyd resume SOURCE`: lifts a pause.

use std::io::{self, Write};
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;

use super::args::ResumeArgs;
use super::render::number;
use super::{Trouble, sources, wiring};
use crate::clock::Clock;
use crate::config::{Config, Loaded};
use crate::exit::Exit;
use crate::observe::mask;
use crate::store::{Database, Mode, Pause};

pub(super) async fn resume(args: &ResumeArgs, loaded: &Loaded, clock: Arc<dyn Clock>) -> Result<Exit, Trouble> {
    const COMMAND: &str = "linkyd resume";
    let config = &loaded.config;
    known(&args.source, config)?;
    // Read first: a database of another version is to stay as it is.
    Database::open(&config.database.place, Mode::Read, COMMAND, &clock).await?;
    let stop = wiring::stop_on_signals()?;
    let turn = wiring::open_in_turn(&config.database.place, Mode::Write, COMMAND, &stop, &clock).await?;
    let Some(database) = turn else { return Ok(Exit::Done) };
    let now = clock.now();
    let lifted = database.store().resume(&args.source).await?.filter(|pause| pause.until_ms > now.timestamp_millis());
    if let Some(pause) = &lifted {
        tracing::info!(source = args.source, code = pause.code.as_deref(), "pause lifted by the operator");
    }
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{:#}", document(&args.source, lifted.as_ref()))?;
    } else {
        writeln!(out, "{}", text(&args.source, lifted.as_ref()))?;
    }
    Ok(Exit::Done)
}

/// Refuses a name that no source has.
fn known(name: &str, config: &Config) -> Result<(), Trouble> {
    if config.source(name).is_some() {
        return Ok(());
    }
    let names: Vec<&str> = config.sources.iter().map(|source| source.name.as_str()).collect();
    let there =
        if names.is_empty() { "none is configured".to_owned() } else { format!("there is {}", names.join(", ")) };
    let name: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
    Err(Trouble { exit: Exit::Usage, message: format!("there is no source {:?}; {there}", mask::digits(&name)) })
}

fn until(pause: &Pause) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(pause.until_ms)
}

fn text(source: &str, lifted: Option<&Pause>) -> String {
    let Some(pause) = lifted else {
        return format!("Source {source} was not paused.");
    };
    let until = until(pause).map(number::wall).unwrap_or_default();
    let code = pause.code.as_deref().map(|code| format!(" [{code}]")).unwrap_or_default();
    format!("The pause of source {source}{code}, until {until} (Paris), is lifted; the next pass asks it again.")
}

fn document(source: &str, lifted: Option<&Pause>) -> serde_json::Value {
    let paused_until = lifted.and_then(until).map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
    json!({
        "source": source,
        "lifted": lifted.is_some(),
        "paused_until": paused_until,
        "pause_code": lifted.and_then(|pause| pause.code.as_deref()),
        "pause_reason": lifted.map(|pause| sources::reason(source, pause.code.as_deref(), pause.message.as_deref())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_was_lifted() {
        let pause = Pause {
            code: Some("html".to_owned()),
            message: Some("The address looks banned. Stop other programs.".to_owned()),
            until_ms: 1_796_110_200_000,
        };
        assert_eq!(
            text("home", Some(&pause)),
            "The pause of source home [html], until 2026-12-01 08:30 (Paris), is lifted; the next pass asks it again."
        );
        assert_eq!(text("home", None), "Source home was not paused.");
        assert_eq!(
            document("home", Some(&pause)),
            json!({
                "source": "home",
                "lifted": true,
                "paused_until": "2026-12-01T07:30:00Z",
                "pause_code": "html",
                "pause_reason": "The address looks banned. Stop other programs",
            })
        );
        assert_eq!(document("home", None)["lifted"], false);
    }
}
