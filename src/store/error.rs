//! Why the store could not do what was asked: the kinds that commands tell apart.

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no database, or no way to it.
    #[error("cannot open the database {place}: {reason}")]
    Unreachable {
        /// Which database, without secrets.
        place: String,
        /// What happened and what to do.
        reason: String,
    },
    /// The database was written by a newer linkyd.
    #[error(
        "the database {place} has schema {found}, this linkyd knows {known}: it was written by a newer version; upgrade linkyd, nothing was changed"
    )]
    Newer {
        /// Which database.
        place: String,
        /// Its schema version.
        found: i64,
        /// The newest schema version known here.
        known: i64,
    },
    /// The database has an older schema, and this command does not migrate.
    #[error("the database {place} has schema {found}, this linkyd needs {known}: run `linkyd db migrate`")]
    Older {
        /// Which database.
        place: String,
        /// Its schema version.
        found: i64,
        /// The newest schema version known here.
        known: i64,
    },
    /// Another process holds a lock: try later.
    #[error("the database {place} is in use: {reason}")]
    Busy {
        /// Which database.
        place: String,
        /// Who holds it and what to do.
        reason: String,
    },
    /// The database is damaged.
    #[error("the database {place} is damaged: {reason}")]
    Damaged {
        /// Which database.
        place: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The database refuses to be written: no permission, no space, a failing disk.
    #[error("cannot write to the database {place}: {reason}")]
    NotWritable {
        /// Which database.
        place: String,
        /// What happened and what to do.
        reason: String,
    },
    /// A row that cannot become a value: the database was damaged or edited.
    #[error("inconsistent row in {table}: {what}; run `linkyd db check`")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// What is wrong, without personal data.
        what: String,
    },
    /// The caller was away for longer than its lease of the series lasts, and another instance took it
    /// over: nothing was stored.
    #[error("another instance has taken over the series meanwhile")]
    Superseded,
    /// Any other error of the database.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}
