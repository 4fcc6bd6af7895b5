//! What errors of the server mean: whether a transaction is worth doing again, and what an
//! operator should know.
//!
//! The numbers are SQLSTATEs (appendix A of PostgreSQL's manual). Words of the server's are
//! repeated where they help; they name tables and roles, never values and never a password.

use crate::store::StoreError;

/// What to do about trouble that passes: one command goes on by itself, no other does.
const AGAIN: &str = "`linkyd run` tries again by itself, run any other command again";

/// What the driver says of a server that does not encrypt.
const NO_TLS: &str = "server does not support TLS";

/// What an error says about doing the same once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The connection is gone, or nobody knows: on a new one all may be well.
    Lost,
    /// Another transaction was in the way.
    Conflict,
    /// The server took too long over a statement, or somebody cancelled it.
    Slow,
    /// The server takes no writes just now, as after a failover.
    ReadOnly,
    /// The server has no connection left for us.
    Crowded,
    /// A prepared statement is not what it was: a new connection prepares its own.
    Stale,
    /// It would happen again.
    Final,
}

/// The SQLSTATE of an error.
pub(super) fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

/// The table that an error is about.
fn table(error: &sqlx::Error) -> Option<&str> {
    error.as_database_error()?.table()
}

/// What an error of the driver says about doing the same once more.
pub(super) fn fault(error: &sqlx::Error) -> Fault {
    let Some(code) = code(error) else {
        return match error {
            sqlx::Error::Io(io) if is_of_certificate(io) => Fault::Final,
            sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::BeginFailed | sqlx::Error::PoolTimedOut => {
                Fault::Lost
            }
            _ => Fault::Final,
        };
    };
    match code.as_str() {
        // A pooler says 08P01 of a server that it cannot reach.
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => Fault::Lost,
        "40001" | "40P01" | "40003" | "55P03" | "25P02" => Fault::Conflict,
        "57014" => Fault::Slow,
        // A reading that was on its way to the rest while the partition of its year was attached. A check of a
        // table's own has a name.
        "23514" if error.as_database_error().is_some_and(|said| said.constraint().is_none()) => Fault::Conflict,
        // Somebody has put readings to where none were a moment ago.
        "23505" if table(error).is_some_and(|name| name.starts_with("load_curve")) => Fault::Conflict,
        "25006" => Fault::ReadOnly,
        "53300" => Fault::Crowded,
        "26000" | "42P05" | "0A000" | "34000" => Fault::Stale,
        other if other.starts_with("08") => Fault::Lost,
        _ => Fault::Final,
    }
}

/// Whether rows are there already that were to be new.
pub(super) fn is_duplicate(error: &StoreError) -> bool {
    matches!(error, StoreError::Database(error) if code(error).as_deref() == Some("23505"))
}

/// What an error of the store says about doing the same once more.
pub(super) fn fault_of(error: &StoreError) -> Fault {
    match error {
        StoreError::Database(error) => fault(error),
        _ => Fault::Final,
    }
}

/// Turns an error of the driver into what it means, with advice.
pub(super) fn explain(place: &str, error: StoreError) -> StoreError {
    let StoreError::Database(error) = error else { return error };
    let place = place.to_owned();
    let unreachable = |reason: String| StoreError::Unreachable { place: place.clone(), reason };
    let not_writable = |reason: String| StoreError::NotWritable { place: place.clone(), reason };
    let not_encrypted = |why: String| {
        unreachable(format!(
            "no encrypted connection can be made ({}); check the host, sslmode and sslrootcert of `database.url`",
            plain(&why)
        ))
    };
    match &error {
        sqlx::Error::Io(io) if is_of_certificate(io) => return not_encrypted(io.to_string()),
        sqlx::Error::Io(io) => {
            return unreachable(format!(
                "the connection failed ({}); look whether the server runs and `database.url` names it",
                plain(&io.to_string())
            ));
        }
        // The driver's words for the one letter that such a server answers.
        sqlx::Error::Tls(tls) if tls.to_string() == NO_TLS => {
            return unreachable(
                "the server encrypts no connection, and `database.url` asks for one; turn `ssl` on at the server, or where \
                 nobody can listen on the way set sslmode=disable"
                    .to_owned(),
            );
        }
        sqlx::Error::Tls(tls) => {
            return not_encrypted(tls.to_string());
        }
        sqlx::Error::Protocol(_) | sqlx::Error::BeginFailed | sqlx::Error::PoolTimedOut => {
            return unreachable(format!("the server did not answer as it should, or not in time; {AGAIN}"));
        }
        sqlx::Error::Configuration(_) => {
            return unreachable(
                "a file that `database.url` names (sslrootcert, sslcert or sslkey) cannot be used".to_owned(),
            );
        }
        _ => {}
    }
    let said = error.as_database_error().map(|said| plain(said.message())).unwrap_or_default();
    let Some(code) = code(&error) else { return StoreError::Database(error) };
    match code.as_str() {
        "28P01" => unreachable(format!("the server refuses the login ({said}); correct the user or its password")),
        // Also said of an address or an encryption that the server lets nobody in by.
        "28000" => unreachable(format!(
            "the server refuses the login ({said}); correct user and sslmode of `database.url`, or let the role in at the \
             server (pg_hba.conf)"
        )),
        "3D000" => unreachable(format!("{said}; create the database, or correct `database.url`")),
        "3F000" => unreachable(format!(
            "{said}; create the schema, and name it: `schema=linkyd` in `database.url`, or the search path of the role"
        )),
        "42P01" => unreachable(format!(
            "{said}: the tables of linkyd are not there; run `linkyd db migrate` as the role that owns them"
        )),
        "42501" => not_writable(format!(
            "{said}; give the role its rights, or run `linkyd db migrate` as the role that owns the tables"
        )),
        "25006" => not_writable(format!("the server takes no writes just now; nothing was lost; {AGAIN}")),
        "53100" => not_writable("the disk of the server is full; nothing was lost, free some space".to_owned()),
        "58030" => not_writable("a disk of the server fails; nothing was stored, look at its log".to_owned()),
        "XX001" | "XX002" => {
            StoreError::Damaged { place, reason: format!("{said}; look at the server's log and restore a backup") }
        }
        _ => match fault(&error) {
            Fault::Lost => unreachable(format!("the server ended the connection ({said}); {AGAIN}")),
            Fault::Crowded => StoreError::Busy {
                place,
                reason: "the server has no connection left; raise its max_connections, or use a pooler".to_owned(),
            },
            Fault::Slow => StoreError::Busy {
                place,
                reason: format!(
                    "the server did not finish a statement in time, or somebody cancelled it ({said}); nothing was lost; \
                     {AGAIN}; where it stays, look at what keeps the server busy"
                ),
            },
            Fault::Conflict => StoreError::Busy {
                place,
                reason: format!("others were in the way ({said}); nothing was lost; {AGAIN}"),
            },
            _ => StoreError::Database(error),
        },
    }
}

/// Whether the two sides could not agree on who they are: that is no lost connection.
fn is_of_certificate(io: &std::io::Error) -> bool {
    io.kind() == std::io::ErrorKind::InvalidData
}

/// A message on one line, without the full stop that a sentence of ours adds.
fn plain(message: &str) -> String {
    let line: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
    line.trim().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_connection_is_worth_another_try_and_a_wrong_certificate_is_not() {
        let io = || sqlx::Error::Io(std::io::Error::other("reset"));
        assert_eq!(fault(&io()), Fault::Lost);
        assert_eq!(fault(&sqlx::Error::Tls("bad certificate".into())), Fault::Final);
        let unknown = || sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::InvalidData, "unknown issuer"));
        assert_eq!(fault(&unknown()), Fault::Final);
        let told = explain("here", StoreError::Database(unknown()));
        assert!(told.to_string().contains("unknown issuer); check the host, sslmode"), "{told}");
        let told = explain("here", StoreError::Database(io()));
        assert!(matches!(told, StoreError::Unreachable { .. }), "{told}");
        assert!(told.to_string().contains("reset"));
    }
}
