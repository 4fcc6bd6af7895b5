//! Statements that travel to the database's thread together.
//!
//! Each statement on its own costs two threads a wake-up, which is more than most statements cost.
//! So `BEGIN` goes with a transaction's first reads, and all that it writes goes with `COMMIT`.
//! What would have to be checked between a write and its `COMMIT` is read before: the transaction
//! holds the write lock from its first statement on, so nothing changes in between. An error ends
//! a batch at the statement that caused it, and what follows, `COMMIT` included, never runs.
//!
//! Parameters have no numbers here: they are bound in the order in which they stand in the text,
//! from the first statement to the last.

use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteArguments, SqliteQueryResult, SqliteRow};
use sqlx::{Arguments as _, AssertSqlSafe, Encode, Sqlite, SqliteConnection, Type};

use super::sql;

/// Some statements and what is bound to them.
#[derive(Debug)]
pub(super) struct Batch {
    text: String,
    values: SqliteArguments,
    refused: Option<BoxDynError>,
    /// Kept prepared for the next batch of the same text.
    kept: bool,
}

impl Batch {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self { text: String::new(), values: SqliteArguments::default(), refused: None, kept: true }
    }

    /// The beginning of a transaction that writes.
    pub(super) fn begin() -> Self {
        Self::new().then(sql::BEGIN_WRITE)
    }

    /// Adds a statement.
    pub(super) fn then(mut self, statement: &str) -> Self {
        debug_assert!(!statement.contains("?1"), "parameters without numbers: {statement}");
        self.text.push_str(statement);
        self.text.push(';');
        self
    }

    /// Makes room for that many values.
    pub(super) fn expect(mut self, values: usize) -> Self {
        self.values.reserve(values, 0);
        self
    }

    /// Binds the next value.
    pub(super) fn bind<'v, V: Encode<'v, Sqlite> + Type<Sqlite>>(mut self, value: V) -> Self {
        if let Err(error) = self.values.add(value) {
            self.refused.get_or_insert(error);
        }
        self
    }

    /// Its text is seldom the same, so it is not kept prepared.
    pub(super) fn seldom(mut self) -> Self {
        self.kept = false;
        self
    }

    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Runs all of it; what is returned is that of the last statement.
    pub(super) async fn execute(self, conn: &mut SqliteConnection) -> Result<SqliteQueryResult, sqlx::Error> {
        let (text, values, kept) = self.parts()?;
        sqlx::query_with(AssertSqlSafe(text), values).persistent(kept).execute(conn).await
    }

    /// Runs all of it up to the first row, and returns that. What would follow does not run.
    pub(super) async fn row(self, conn: &mut SqliteConnection) -> Result<Option<SqliteRow>, sqlx::Error> {
        let (text, values, kept) = self.parts()?;
        sqlx::query_with(AssertSqlSafe(text), values).persistent(kept).fetch_optional(conn).await
    }

    fn parts(self) -> Result<(String, SqliteArguments, bool), sqlx::Error> {
        match self.refused {
            Some(error) => Err(sqlx::Error::Encode(error)),
            None => Ok((self.text, self.values, self.kept)),
        }
    }
}
