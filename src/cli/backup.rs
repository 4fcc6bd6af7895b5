//! `linkyd db backup`: the file into a new one, while everybody goes on; a server's own tools where it is a server.

use std::io::{self, Write};

use serde_json::json;

use super::args::BackupArgs;
use super::render::number;
use super::{Trouble, wiring};
use crate::exit::Exit;
use crate::store::Place;
use crate::store::sqlite::{BackupError, backup as write};

pub(super) async fn backup(args: &BackupArgs, place: &Place) -> Result<Exit, Trouble> {
    let path = match place {
        Place::File(path) => path,
        Place::Server(address) => {
            let command = address.dump_command(&args.to);
            if args.json {
                let document = json!({
                    "database": place.to_string(),
                    "to": args.to.display().to_string(),
                    "bytes": null,
                    "tables": null,
                    "command": command,
                });
                super::print_json(&mut io::stdout().lock(), &document)?;
                return Ok(Exit::Usage);
            }
            let message = format!(
                "{place} is a server, and is backed up with its own tools, which know the rest of it too:\n  {command}\nwith \
                 the password from PGPASSWORD, ~/.pgpass or its prompt"
            );
            return Err(Trouble { exit: Exit::Usage, message });
        }
    };
    let stop = wiring::stop_on_signals()?;
    let done = write(path, &args.to, &stop).await.map_err(|error| match error {
        BackupError::Store(error) => error.into(),
        BackupError::Exists(_) => Trouble::new(Exit::Usage, &error),
        BackupError::NotWritten { .. } => Trouble::new(Exit::InputOutput, &error),
        BackupError::Stopped => Trouble::new(Exit::TryLater, &error),
        BackupError::Unsound(_) => Trouble::new(Exit::Failed, &error),
    })?;
    let mut out = io::stdout().lock();
    if args.json {
        let document = json!({
            "database": place.to_string(),
            "to": args.to.display().to_string(),
            "bytes": done.bytes,
            "tables": done.tables,
        });
        super::print_json(&mut out, &document)?;
    } else {
        let rows = number::counted(done.tables.values().sum(), "row", "rows");
        let to = args.to.display();
        writeln!(out, "{place} is backed up to {to}: {rows}, {} kB, whole.", number::thousands(kilobytes(done.bytes)))?;
    }
    Ok(Exit::Done)
}

fn kilobytes(bytes: u64) -> i64 {
    i64::try_from(bytes.div_ceil(1_000)).unwrap_or(i64::MAX)
}
