//! Which version a file has, and how it becomes the newest one.
//!
//! Migrations are embedded; a released one never changes. All that a file lacks is applied in one
//! transaction, so that a crash leaves the old or the new schema and never a mix. The version is
//! the file's `user_version`; its `application_id` tells our files from those of other programs.

use sqlx::SqliteConnection;

use super::{errors, sql};
use crate::store::StoreError;

/// A step of the schema: the version it leads to, its name, its statements.
type Migration = (i64, &'static str, &'static str);

/// Every migration, in order.
pub(super) const MIGRATIONS: &[Migration] = &[
    (1, "0001_start.sql", include_str!("../../../migrations/sqlite/0001_start.sql")),
    (2, "0002_registers.sql", include_str!("../../../migrations/sqlite/0002_registers.sql")),
    (3, "0003_customers.sql", include_str!("../../../migrations/sqlite/0003_customers.sql")),
    (4, "0004_consents.sql", include_str!("../../../migrations/sqlite/0004_consents.sql")),
    (5, "0005_whole_sums.sql", include_str!("../../../migrations/sqlite/0005_whole_sums.sql")),
];

/// The statements of each migration, in order, for tests that begin with an earlier version.
#[cfg(test)]
pub(in crate::store) fn released() -> Vec<&'static str> {
    MIGRATIONS.iter().map(|(.., statements)| *statements).collect()
}

/// The version of a file that is up to date.
pub const NEWEST: i64 = match MIGRATIONS.last() {
    Some((version, _, _)) => *version,
    None => 0,
};

/// `LNKY`, the mark of our files.
const OURS: i64 = 1_280_199_513;

/// The schema version of a file; 0 where it is empty. Changes nothing.
pub(super) async fn version(conn: &mut SqliteConnection, place: &str) -> Result<i64, StoreError> {
    let (mark,): (i64,) = sqlx::query_as(sql::APPLICATION_ID).fetch_one(&mut *conn).await?;
    let (version,): (i64,) = sqlx::query_as(sql::USER_VERSION).fetch_one(&mut *conn).await?;
    let (objects,): (i64,) = sqlx::query_as(sql::OBJECTS).fetch_one(&mut *conn).await?;
    match (mark, version) {
        (OURS, version) if version > NEWEST => {
            Err(StoreError::Newer { place: place.to_owned(), found: version, known: NEWEST })
        }
        (OURS, version) => Ok(version),
        (0, 0) if objects == 0 => Ok(0),
        _ => Err(StoreError::Unreachable { place: place.to_owned(), reason: errors::FOREIGN.to_owned() }),
    }
}

/// Brings the file up to date; the caller holds the process lock.
pub(super) async fn migrate(conn: &mut SqliteConnection, found: i64) -> Result<(), StoreError> {
    if found == NEWEST {
        return Ok(());
    }
    sqlx::query(sql::BEGIN_WRITE).execute(&mut *conn).await?;
    for (version, _, statements) in MIGRATIONS {
        if *version > found {
            // Others may have made views of ours, which a table that moves aside must not take along.
            sqlx::query(sql::RENAMES_ALONE).execute(&mut *conn).await?;
            sqlx::raw_sql(*statements).execute(&mut *conn).await?;
        }
    }
    sqlx::query(sql::COMMIT).execute(&mut *conn).await?;
    sqlx::query(sql::RENAMES_THROUGHOUT).execute(&mut *conn).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::migrate::{Migration as Embedded, MigrationType};
    use sqlx::sqlite::SqliteConnectOptions;
    use sqlx::{ConnectOptions, SqlSafeStr};

    /// The first bytes of the SHA-384 of what was released. A line here is never edited; while
    /// version 0.1 is not out, its own line may be.
    const RELEASED: &[(&str, &str)] = &[];

    #[test]
    fn the_list_is_the_folder() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite");
        let mut files: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        let listed: Vec<&str> = MIGRATIONS.iter().map(|(_, name, _)| *name).collect();
        assert_eq!(files, listed);
        for (index, (version, name, _)) in MIGRATIONS.iter().enumerate() {
            assert_eq!(*version, i64::try_from(index).unwrap() + 1);
            assert!(name.starts_with(&format!("{version:04}_")), "{name}");
        }
    }

    #[test]
    fn released_migrations_never_change() {
        for (name, checksum) in RELEASED {
            let (version, _, text) = MIGRATIONS.iter().find(|(_, n, _)| n == name).unwrap();
            let embedded = Embedded::new(*version, (*name).into(), MigrationType::Simple, text.into_sql_str(), false);
            let start: Vec<u8> = embedded.checksum.iter().take(8).copied().collect();
            assert_eq!(format!("{start:02x?}"), *checksum, "{name} was changed after its release");
        }
    }

    #[tokio::test]
    async fn each_migration_sets_its_version_and_our_mark() {
        let mut conn = SqliteConnectOptions::new().in_memory(true).connect().await.unwrap();
        for (version, name, text) in MIGRATIONS {
            sqlx::raw_sql(*text).execute(&mut conn).await.unwrap();
            assert_eq!(super::version(&mut conn, "memory").await.unwrap(), *version, "{name}");
        }
    }

    #[tokio::test]
    async fn contracts_of_the_first_version_come_along() {
        let mut conn = SqliteConnectOptions::new().in_memory(true).connect().await.unwrap();
        let (first, later) = MIGRATIONS.split_first().unwrap();
        sqlx::raw_sql(first.2).execute(&mut conn).await.unwrap();
        let rows = "INSERT INTO account (id, key) VALUES (1, 'a');
            INSERT INTO source (id, name, kind, account, configured, direct, credentials)
            VALUES (1, 'enedis', 'enedis', 1, 1, 1, 'c');
            INSERT INTO meter (id, prm, name, source, configured, position)
            VALUES (1, '01234567890123', 'Maison', 1, 1, 0);
            INSERT INTO contract (meter, direction, valid_from, segment, subscribed_va, activated_on)
            VALUES (1, 0, 20000, 'C5', 6000, 19000)";
        sqlx::raw_sql(rows).execute(&mut conn).await.unwrap();
        for (_, _, text) in later {
            sqlx::raw_sql(*text).execute(&mut conn).await.unwrap();
        }
        let row: (String, f64, String) = sqlx::query_as("SELECT segment, subscribed_kva, activated_on FROM v_meter")
            .fetch_one(&mut conn)
            .await
            .unwrap();
        assert_eq!(row, ("C5".to_owned(), 6.0, "2022-01-08".to_owned()));
        let (told,): (Option<i64>,) =
            sqlx::query_as("SELECT learnt_at FROM contract").fetch_one(&mut conn).await.unwrap();
        assert_eq!(told, None);
    }
}
