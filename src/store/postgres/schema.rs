//! Which version a database has, and how it becomes the newest one.
//!
//! Migrations are embedded; a released one never changes. All that a schema lacks is applied in one
//! transaction, so that a crash leaves the old or the new one and never a mix, and the table of the
//! version is locked meanwhile: of two processes that begin at once, one migrates and the other
//! finds it done. Where nothing is lacking nothing is tried, so that a role which may only write
//! rows can be the daemon's.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, Executor as _};

use super::address::Address;
use super::connect::{Link, Server};
use super::transaction::{Kind, Patience, quoted};
use super::{errors, sql};
use crate::store::{Mode, StoreError};

/// A step of the schema: the version it leads to, its name, its statements.
type Migration = (i64, &'static str, &'static str);

/// Every migration, in order.
pub(super) const MIGRATIONS: &[Migration] = &[
    (1, "0001_start.sql", include_str!("../../../migrations/postgres/0001_start.sql")),
    (2, "0002_registers.sql", include_str!("../../../migrations/postgres/0002_registers.sql")),
    (3, "0003_customers.sql", include_str!("../../../migrations/postgres/0003_customers.sql")),
    (4, "0004_consents.sql", include_str!("../../../migrations/postgres/0004_consents.sql")),
    (5, "0005_whole_sums.sql", include_str!("../../../migrations/postgres/0005_whole_sums.sql")),
];

/// The statements of each migration, in order, for tests that begin with an earlier version.
#[cfg(test)]
pub(in crate::store) fn released() -> Vec<&'static str> {
    MIGRATIONS.iter().map(|(.., statements)| *statements).collect()
}

/// The version of a database that is up to date.
pub const NEWEST: i64 = match MIGRATIONS.last() {
    Some((version, _, _)) => *version,
    None => 0,
};

/// Partitions are made for so many years after the present one.
pub(super) const YEARS_AHEAD: i32 = 2;

/// What is told where tables of ours and of others would mix.
const FOREIGN: &str = "another program has tables there whose names linkyd needs; nothing was changed; give linkyd a schema of its own (`schema=linkyd` in `database.url`)";

/// Looks at the schema, and brings it up to date where the mode says so.
pub(super) async fn prepare(server: &Arc<Server>, mode: Mode) -> Result<(), StoreError> {
    let found = look(server).await?;
    let place = || server.address.place.clone();
    match mode {
        _ if found == NEWEST => Ok(()),
        _ if found > NEWEST => Err(StoreError::Newer { place: place(), found, known: NEWEST }),
        Mode::Read | Mode::Write if found == 0 => {
            Err(StoreError::Unreachable { place: place(), reason: EMPTY.to_owned() })
        }
        Mode::Read => Err(StoreError::Older { place: place(), found, known: NEWEST }),
        Mode::Write | Mode::Create => match migrate(server).await {
            // Another process may have been faster.
            Err(error) if stumbled(&error) => match look(server).await? {
                NEWEST => Ok(()),
                0 => Err(StoreError::Unreachable { place: place(), reason: FOREIGN.to_owned() }),
                _ => Err(error),
            },
            done => done,
        },
    }
}

/// Where there is a database and nothing of ours in it.
const EMPTY: &str = "the tables of linkyd are not there yet; `linkyd sync` or `linkyd db migrate` creates them";

/// Whether something was there already that was to be made.
fn stumbled(error: &StoreError) -> bool {
    let StoreError::Database(error) = error else { return false };
    errors::code(error).is_some_and(|code| ["42P06", "42P07", "42710", "23505", "42723"].contains(&code.as_str()))
}

/// The version of the schema; 0 where there is none.
pub(super) async fn look(server: &Arc<Server>) -> Result<i64, StoreError> {
    let place = server.address.place.clone();
    server.run(Kind::Read, Patience::None, place, |link, place, _| Box::pin(version(link, place))).await
}

async fn version(link: &mut Link, place: &str) -> Result<i64, StoreError> {
    let (_, ours, foreign): (Option<String>, bool, bool) =
        link.query_as(sql::SCHEMA_LOOK).fetch_one(&mut link.conn).await?;
    if foreign {
        return Err(StoreError::Unreachable { place: place.to_owned(), reason: FOREIGN.to_owned() });
    }
    if !ours {
        return Ok(0);
    }
    let (version,): (i32,) = link.query_as(sql::SCHEMA_VERSION).fetch_one(&mut link.conn).await?;
    Ok(version.into())
}

async fn migrate(server: &Arc<Server>) -> Result<(), StoreError> {
    let address = server.address.clone();
    server.run(Kind::Bulk, Patience::None, address, |link, address, _| Box::pin(apply(link, address))).await
}

/// Applies what is lacking.
async fn apply(link: &mut Link, address: &Address) -> Result<(), StoreError> {
    if let Some(schema) = &address.schema {
        let there = link.query_as(sql::SCHEMA_THERE).bind(quoted(schema));
        let (there,): (bool,) = there.fetch_one(&mut link.conn).await?;
        if !there {
            let create = format!("CREATE SCHEMA {}", quoted(schema));
            let created = link.conn.execute(sqlx::raw_sql(AssertSqlSafe(create.clone()))).await;
            created.map_err(|error| not_ours_to_make(error, address, &create))?;
        }
    }
    let mut found = version(link, &address.place).await?;
    if found > 0 {
        link.conn.execute(sqlx::raw_sql(sql::SCHEMA_LOCK)).await?;
        found = version(link, &address.place).await?;
    }
    for (_, _, statements) in MIGRATIONS.iter().filter(|(version, ..)| *version > found) {
        let migrated = link.conn.execute(sqlx::raw_sql(*statements)).await;
        // Of older tables the owner is the one to ask.
        migrated
            .map_err(|error| if found == 0 { not_ours_to_make(error, address, OWN_SCHEMA) } else { error.into() })?;
    }
    Ok(())
}

/// What makes a schema for linkyd.
const OWN_SCHEMA: &str = "CREATE SCHEMA linkyd";

/// What to do where a role may not make what is to be made: the owner of the database makes a schema for it.
fn not_ours_to_make(error: sqlx::Error, address: &Address, create: &str) -> StoreError {
    let refused = errors::code(&error).as_deref() == Some("42501");
    let Some(said) = error.as_database_error().filter(|_| refused).map(|said| said.message().to_owned()) else {
        return error.into();
    };
    let role = quoted(address.options.get_username());
    let named = if create == OWN_SCHEMA { ", and name it: `schema=linkyd` in `database.url`" } else { "" };
    StoreError::NotWritable {
        place: address.place.clone(),
        reason: format!("{said}; let the owner of the database run `{create} AUTHORIZATION {role}`{named}"),
    }
}

/// Makes the partitions of these years, both included, where some are lacking and this role may.
pub(super) async fn years(server: &Arc<Server>, patience: Patience, first: i32, last: i32) -> Result<(), StoreError> {
    let years = (first, last);
    let lacking = server.run(Kind::Read, patience, years, |link, years, _| Box::pin(lacking(link, *years))).await?;
    if lacking {
        server.run(Kind::Bulk, patience, years, |link, years, _| Box::pin(make_years(link, *years))).await?;
    }
    Ok(())
}

async fn lacking(link: &mut Link, (first, last): (i32, i32)) -> Result<bool, StoreError> {
    let (lacking,) = link.query_as(sql::YEARS_LACKING).bind(first).bind(last).fetch_one(&mut link.conn).await?;
    Ok(lacking)
}

async fn make_years(link: &mut Link, (first, last): (i32, i32)) -> Result<(), StoreError> {
    link.query(sql::YEARS_MAKE).bind(first).bind(last).execute(&mut link.conn).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_the_folder() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres");
        let mut files: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        let listed: Vec<&str> = MIGRATIONS.iter().map(|(_, name, _)| *name).collect();
        assert_eq!(files, listed);
        for (index, (version, name, text)) in MIGRATIONS.iter().enumerate() {
            assert_eq!(*version, i64::try_from(index).unwrap() + 1);
            assert!(name.starts_with(&format!("{version:04}_")), "{name}");
            assert!(text.contains("schema_version"), "{name} sets its version");
        }
    }
}
