//! `linkyd db …`: looks after the database.

use std::io::{self, Write};

use serde_json::json;

use super::args::DbCommand;
use super::{Trouble, wiring};
use crate::clock::Clock;
use crate::config::Loaded;
use crate::exit::Exit;
use crate::store::Store as _;
use crate::store::sqlite::{Mode, NEWEST_SCHEMA, SqliteStore};

pub(super) async fn db(command: &DbCommand, loaded: &Loaded, clock: &dyn Clock) -> Result<Exit, Trouble> {
    let path = &loaded.config.database.path;
    let place = wiring::place(path);
    let mut out = io::stdout().lock();
    match command {
        DbCommand::Migrate(args) => {
            let stop = wiring::stop_on_signals()?;
            let command = "linkyd db migrate";
            let Some(store) = wiring::open_in_turn(path, Mode::Create, command, &stop, clock).await? else {
                return Ok(Exit::Done);
            };
            let version = NEWEST_SCHEMA;
            store.tidy().await?;
            if args.json {
                writeln!(out, "{:#}", json!({"database": place, "schema": version}))?;
            } else {
                writeln!(out, "{place} is at schema {version}.")?;
            }
            Ok(Exit::Done)
        }
        DbCommand::Check(args) => {
            let store = SqliteStore::open(path, Mode::Read, "linkyd db check").await?;
            let findings: Vec<String> = store.check().await?.into_iter().map(|finding| finding.what).collect();
            if args.json {
                writeln!(out, "{:#}", json!({"database": place, "ok": findings.is_empty(), "findings": findings}))?;
            } else if findings.is_empty() {
                writeln!(out, "{place} is whole.")?;
            } else {
                for finding in &findings {
                    writeln!(out, "{finding}")?;
                }
            }
            Ok(if findings.is_empty() { Exit::Done } else { Exit::Failed })
        }
    }
}
