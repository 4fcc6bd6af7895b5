//! Checks of a database on a server: what it is, what this role may do there, whose time it has.

use std::sync::Arc;

use super::machine::COMMAND;
use super::{Finding, Verdict};
use crate::cli::Trouble;
use crate::clock::Clock;
use crate::exit::Exit;
use crate::store::postgres::{Address, Examined, NEWEST_SCHEMA, PostgresStore, TimeOf};
use crate::store::{Mode, Store, StoreError};

/// A server's clock that differs by more from this machine's is worth a look, in milliseconds.
const CLOCKS_APART_MS: i64 = 5_000;

/// Looks whether the database can be reached, fits and can be written, and opens it.
pub(super) async fn database(
    address: &Address,
    clock: &Arc<dyn Clock>,
    findings: &mut Vec<Finding>,
) -> Option<Arc<dyn Store>> {
    match look(address, clock).await {
        Ok(Some((store, examined))) => {
            let ahead = store.clock_ahead_ms();
            findings.extend(found(store.place(), &examined, ahead));
            Some(Arc::new(store))
        }
        Ok(None) => {
            let place = address.place();
            let message =
                format!("{place} has no tables of linkyd yet; `linkyd sync` or `linkyd db migrate` creates them");
            findings.push(Finding::new("database", Verdict::Warning, message));
            None
        }
        Err(error) => {
            let trouble = Trouble::from(error);
            findings.push(Finding::new("database", Verdict::from(&trouble), trouble.message));
            None
        }
    }
}

async fn look(address: &Address, clock: &Arc<dyn Clock>) -> Result<Option<(PostgresStore, Examined)>, StoreError> {
    if !PostgresStore::is_there(address, clock).await? {
        return Ok(None);
    }
    let address = address.clone().named(COMMAND);
    // Read first: a database of another version is to stay as it is.
    let reader = PostgresStore::open(address.clone(), Mode::Read, TimeOf::Server, Arc::clone(clock)).await?;
    let examined = reader.examine().await?;
    if examined.read_only || !examined.may_write {
        return Ok(Some((reader, examined)));
    }
    let store = PostgresStore::open(address, Mode::Write, TimeOf::Server, Arc::clone(clock)).await?;
    Ok(Some((store, examined)))
}

fn found(place: &str, examined: &Examined, ahead_ms: i64) -> Vec<Finding> {
    let Examined { version, encrypted, pooled, read_only, may_write, owner, rest_holds_rows } = examined;
    let problem = |message: String| Finding::new("database", Verdict::Problem(Exit::DatabaseUnreachable), message);
    let warning = |message: String| Finding::new("database", Verdict::Warning, message);
    let mut found = Vec::new();
    if *read_only {
        found.push(problem(format!("{place} takes no writes just now; point `database.url` at the primary server")));
    } else if *may_write {
        let how = match (encrypted, pooled) {
            (true, false) => "encrypted",
            (false, false) => "not encrypted",
            (true, true) => "encrypted, through a pooler",
            (false, true) => "through a pooler",
        };
        let message = format!("{place} is at schema {NEWEST_SCHEMA} and can be written (PostgreSQL {version}, {how})");
        found.push(Finding::new("database", Verdict::Well, message));
    } else {
        found.push(problem(format!("{place}: this role may not write; give it the rights of a writer")));
    }
    if *rest_holds_rows {
        let who = if *owner { "" } else { " as the role that owns the tables" };
        found.push(warning(format!(
            "there are readings in load_curve_rest, which no year's partition takes; run `linkyd db migrate`{who}"
        )));
    }
    if ahead_ms.abs() > CLOCKS_APART_MS {
        let which = if ahead_ms > 0 { "ahead of" } else { "behind" };
        found.push(warning(format!(
            "the server's clock is {} s {which} this machine's; calls are counted by the server's, have both set over \
             the network",
            ahead_ms.abs() / 1_000
        )));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const WELL: Examined = Examined {
        version: String::new(),
        encrypted: true,
        pooled: false,
        read_only: false,
        may_write: true,
        owner: false,
        rest_holds_rows: false,
    };

    #[test]
    fn what_is_wrong_with_a_server_is_said_with_what_to_do() {
        let said = |examined: Examined, ahead| -> Vec<String> {
            found("here", &examined, ahead).into_iter().map(|finding| finding.message).collect()
        };
        assert_eq!(said(WELL, -20).len(), 1);
        assert!(said(Examined { read_only: true, ..WELL }, 0)[0].contains("primary"));
        assert!(said(Examined { may_write: false, ..WELL }, 0)[0].contains("rights of a writer"));
        assert!(said(Examined { rest_holds_rows: true, ..WELL }, 0)[1].contains("as the role that owns"));
        assert!(said(WELL, 61_000)[1].contains("61 s ahead"));
    }
}
