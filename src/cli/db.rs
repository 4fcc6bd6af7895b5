//! `linkyd db …`: looks after the database.

use std::io::{self, Write};
use std::sync::Arc;

use serde_json::json;

use super::args::DbCommand;
use super::{Trouble, wiring};
use crate::clock::Clock;
use crate::config::Loaded;
use crate::exit::Exit;
use crate::store::{Database, Mode};

pub(super) async fn db(command: &DbCommand, loaded: &Loaded, clock: &Arc<dyn Clock>) -> Result<Exit, Trouble> {
    let place = &loaded.config.database.place;
    let mut out = io::stdout().lock();
    match command {
        DbCommand::Migrate(args) => {
            let stop = wiring::stop_on_signals()?;
            let command = "linkyd db migrate";
            let Some(database) = wiring::open_in_turn(place, Mode::Create, command, &stop, clock).await? else {
                return Ok(Exit::Done);
            };
            let version = database.schema();
            database.store().tidy().await?;
            if args.json {
                writeln!(out, "{:#}", json!({"database": place.to_string(), "schema": version}))?;
            } else {
                writeln!(out, "{place} is at schema {version}.")?;
            }
            Ok(Exit::Done)
        }
        DbCommand::Check(args) => {
            let database = Database::open(place, Mode::Read, "linkyd db check", clock).await?;
            let findings: Vec<String> = database.check().await?.into_iter().map(|finding| finding.what).collect();
            if args.json {
                writeln!(
                    out,
                    "{:#}",
                    json!({"database": place.to_string(), "ok": findings.is_empty(), "findings": findings})
                )?;
            } else if findings.is_empty() {
                writeln!(out, "{place} is whole.")?;
            } else {
                for finding in &findings {
                    writeln!(out, "{finding}")?;
                }
            }
            Ok(if findings.is_empty() { Exit::Done } else { Exit::Failed })
        }
        DbCommand::Backup(args) => super::backup::backup(args, place).await,
        DbCommand::Copy(args) => super::copy::copy(args, place, clock).await,
        DbCommand::Replay(args) => super::replay::run(args, loaded, clock).await,
    }
}
