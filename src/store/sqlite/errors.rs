//! What SQLite's result codes mean for whoever runs linkyd.

use crate::store::StoreError;

/// Where the folder of the database is not there.
pub(crate) const MISSING_FOLDER: &str =
    "the folder of the database does not exist; create it for the user of linkyd, or correct `database.url`";

/// Where a file belongs to somebody else.
pub(super) const FOREIGN: &str = "it is an SQLite file of another program; nothing was changed; correct `database.url`";

/// The primary result code of an error of SQLite.
pub(super) fn code(error: &sqlx::Error) -> Option<i32> {
    let database = error.as_database_error()?;
    database.code()?.parse::<i32>().ok().map(|code| code & 0xff)
}

/// Whether the connection may be of no more use after this error.
pub(super) fn breaks_connection(error: &StoreError) -> bool {
    match error {
        StoreError::Database(error) => matches!(code(error), None | Some(10 | 11 | 14 | 26)),
        _ => false,
    }
}

/// Turns an error of the driver into what it means, with advice.
pub(super) fn explain(place: &str, error: StoreError) -> StoreError {
    let StoreError::Database(error) = error else { return error };
    let place = place.to_owned();
    match code(&error) {
        Some(5 | 6) => StoreError::Busy {
            place,
            reason: "another program has kept it locked for a minute; nothing was lost; `linkyd run` tries again by itself, \
                     run any other command again"
                .to_owned(),
        },
        Some(8) => StoreError::NotWritable {
            place,
            reason: "the file or its folder is read-only for the user of linkyd; give that user write access to both"
                .to_owned(),
        },
        Some(13) => StoreError::NotWritable {
            place,
            reason: "the disk is full; nothing was lost, free some space and it goes on".to_owned(),
        },
        Some(10) => StoreError::NotWritable {
            place,
            reason: format!("reading or writing the file failed, nothing was stored; check the disk ({error})"),
        },
        Some(11) => StoreError::Damaged {
            place,
            reason: "`linkyd db check` says where; set the file aside and restore a backup, or let `linkyd sync` fetch everything again into a new file"
                .to_owned(),
        },
        Some(14) => StoreError::Unreachable {
            place,
            reason: "the file, or the -wal and -shm files beside it, cannot be opened; check who may read them and their folder"
                .to_owned(),
        },
        Some(26) => StoreError::Unreachable {
            place,
            reason: "it is no SQLite file; nothing was changed; correct `database.url`".to_owned(),
        },
        _ => StoreError::Database(error),
    }
}
