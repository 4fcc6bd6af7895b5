//! What `linkyd doctor` and `linkyd status` want to know of a server.

use super::connect::Link;
use super::sql;
use crate::store::StoreError;

/// A server, and what this role may do there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "answers to questions that have nothing to do with each other")]
pub struct Examined {
    /// Its version, as it says itself.
    pub version: String,
    /// Whether the connection is encrypted, as far as the server knows: a pooler may end it before.
    pub encrypted: bool,
    /// Whether a pooler stands in between, or the address asks to behave as if one did.
    pub pooled: bool,
    /// Whether it takes no writes just now.
    pub read_only: bool,
    /// Whether this role may store answers.
    pub may_write: bool,
    /// Whether this role owns the tables, so that it can migrate and make partitions.
    pub owner: bool,
    /// Whether there are intervals in no year's partition.
    pub rest_holds_rows: bool,
}

/// Looks at the server.
pub(super) async fn examine(link: &mut Link) -> Result<Examined, StoreError> {
    let pooled = link.pooled();
    let row = link.query_as(sql::EXAMINE).fetch_one(&mut link.conn).await?;
    let (version, encrypted, read_only, may_write, owner, rest): (String, bool, bool, bool, bool, i64) = row;
    Ok(Examined { version, encrypted, pooled, read_only, may_write, owner, rest_holds_rows: rest > 0 })
}

/// Whether a daemon is connected.
pub(super) async fn daemon_lives(link: &mut Link) -> Result<bool, StoreError> {
    let (lives,) = link.query_as(sql::DAEMON_LIVES).fetch_one(&mut link.conn).await?;
    Ok(lives)
}
