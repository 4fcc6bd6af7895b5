//! The copying itself: read, compare, write, read back.
//!
//! Rows are compared in groups: a meter's rows of a table, a thousand lines of the journal. A group
//! that the target has to the last value is left alone, so a copy that was broken off goes on where
//! it was, and a later one carries what has changed. In the end the target is read back, and both
//! have to come to the same count and checksum for each table.
//!
//! **What the target may hold** is nothing, or an earlier copy of the same database: each meter and
//! each line of its journals is to be found in the source. Where linkyd has worked on the target
//! since, its journal has lines of its own, and nothing is touched. No row is deleted, but for the
//! notes on sources that stand by ([`NOTES`]), which come and go in the source as well.

use std::collections::HashMap;

use tokio::sync::mpsc::Receiver;

use super::digest::{Digest, Groups, identity, whole};
use super::{Bulk, Chunk, Held, TABLES, Table};
use crate::domain::Days;
use crate::store::StoreError;

/// Rows that are read at once.
const READ: usize = 4_096;

/// Rows that are written at once at the least, unless the table ends.
const WRITTEN: usize = 50_000;

/// The table whose rows come and go; what is there is replaced where it differs.
pub const NOTES: &str = "elsewhere";

/// What kept a copy from being made.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// One of the databases failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The target holds something else.
    #[error("the target holds other data ({0}); nothing was written; copy into an empty database")]
    Other(String),
}

/// How a table came over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Its name.
    pub table: &'static str,
    /// What it comes to in the source.
    pub source: Digest,
    /// What it comes to in the target.
    pub target: Digest,
    /// Rows that were not there or different.
    pub written: u64,
}

impl Copied {
    /// Whether both hold the same.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.source == self.target
    }
}

/// Receives how many rows were read, of about how many.
pub type Observer<'a> = &'a (dyn Fn(u64, u64) + Send + Sync);

/// Copies everything that `source` holds into `target`, and looks whether it arrived.
pub async fn copy(source: &dyn Bulk, target: &dyn Bulk, observer: Observer<'_>) -> Result<Vec<Copied>, CopyError> {
    examine(source, target).await?;
    let before = target.size().await?;
    // To write the rows, to read them back, and to see what is there already.
    let total = source.size().await?.saturating_mul(2).saturating_add(before);
    let mut done = 0;
    let mut seen = |rows: usize| {
        done += count(rows);
        observer(done.min(total), total);
    };
    let known = digests(target, &mut seen).await?;
    let held = source.held().await?;
    target.prepare(held).await?;
    let mut copied: HashMap<&str, (Groups, u64)> = HashMap::new();
    let mut writer: Option<Writer<'_>> = None;
    let mut incoming = source.rows(TABLES, READ).await?;
    while let Some(chunk) = incoming.recv().await.transpose()? {
        let name = chunk.table.name;
        if writer.as_ref().is_none_or(|writer| writer.table.name != name)
            && let Some(last) = writer.replace(Writer::new(target, chunk.table, known.get(name)))
        {
            let name = last.table.name;
            copied.insert(name, last.end().await?);
        }
        if let Some(writer) = &mut writer {
            writer.take(&chunk).await?;
        }
        seen(chunk.rows);
    }
    if let Some(last) = writer {
        let name = last.table.name;
        copied.insert(name, last.end().await?);
    }
    if let Some(notes) = TABLES.iter().find(|table| table.name == NOTES && !copied.contains_key(table.name)) {
        target.clear(notes).await?;
    }
    // While rows came, days may have begun; and new rows get numbers after those that came.
    target.prepare(together(held, source.held().await?)).await?;
    let arrived = digests(target, &mut seen).await?;
    let of = |table: &Table| {
        let (groups, written) = copied.remove(table.name).unwrap_or_default();
        let target = arrived.get(table.name).map(whole).unwrap_or_default();
        Copied { table: table.name, source: whole(&groups), target, written }
    };
    Ok(TABLES.iter().map(of).collect())
}

/// Writes the rows of one table that the target does not have.
struct Writer<'a> {
    target: &'a dyn Bulk,
    table: &'static Table,
    /// The groups that the target has.
    known: Option<&'a Groups>,
    /// Groups that are to be written, and at the end the one that is not whole yet.
    rows: Chunk,
    /// How many of the rows are of whole groups.
    whole: usize,
    /// The group that is not whole yet, and what it comes to so far.
    open: Option<(i64, Digest)>,
    groups: Groups,
    written: u64,
    /// What is there has been taken away.
    cleared: bool,
}

impl<'a> Writer<'a> {
    fn new(target: &'a dyn Bulk, table: &'static Table, known: Option<&'a Groups>) -> Self {
        let (rows, groups) = (Chunk::empty(table), Groups::new());
        Self { target, table, known, rows, whole: 0, open: None, groups, written: 0, cleared: false }
    }

    async fn take(&mut self, chunk: &Chunk) -> Result<(), StoreError> {
        let mut from = 0;
        while from < chunk.rows {
            let run = chunk.run(from);
            let group = chunk.group(from);
            if self.open.is_none_or(|(open, _)| open != group) {
                self.close();
                self.open = Some((group, Digest::default()));
                if self.whole >= WRITTEN && self.table.name != NOTES {
                    self.write().await?;
                }
            }
            if let Some((_, digest)) = &mut self.open {
                *digest = digest.and(chunk.digest(run.clone()));
            }
            self.rows.append(chunk, run.clone());
            from = run.end;
        }
        Ok(())
    }

    /// Ends the group that is open: the target has it, or it is to be written.
    fn close(&mut self) {
        let Some((group, digest)) = self.open.take() else { return };
        self.groups.insert(group, digest);
        let there = self.known.and_then(|known| known.get(&group));
        if there == Some(&digest) && self.table.name != NOTES {
            self.rows.truncate(self.whole);
        }
        self.whole = self.rows.rows;
    }

    async fn write(&mut self) -> Result<(), StoreError> {
        let rows = std::mem::replace(&mut self.rows, Chunk::empty(self.table));
        self.whole = 0;
        let written = self.target.write(rows).await?;
        self.written += written.inserted + written.changed;
        Ok(())
    }

    /// Writes what is left; what the table comes to, and how many rows were written.
    async fn end(mut self) -> Result<(Groups, u64), StoreError> {
        self.close();
        if self.table.name == NOTES && self.known != Some(&self.groups) {
            self.target.clear(self.table).await?;
            self.cleared = true;
        }
        if self.rows.rows > 0 && (self.table.name != NOTES || self.cleared) {
            self.write().await?;
        }
        Ok((self.groups, self.written))
    }
}

/// Refuses a target that is no earlier copy of the source.
async fn examine(source: &dyn Bulk, target: &dyn Bulk) -> Result<(), CopyError> {
    for table in TABLES.iter().filter(|table| !identity(table).is_empty()) {
        let mut theirs = Each::new(target, table).await?;
        let mut ours: Option<Each> = None;
        while let Some(wanted) = theirs.next().await? {
            let ours = match &mut ours {
                Some(ours) => ours,
                none => none.insert(Each::new(source, table).await?),
            };
            // Both come in the order of their numbers.
            let found = loop {
                match ours.next().await? {
                    Some((number, _)) if number < wanted.0 => {}
                    other => break other,
                }
            };
            if found != Some(wanted) {
                return Err(CopyError::Other(format!("its {} {} is not that of the source", table.name, wanted.0)));
            }
        }
    }
    Ok(())
}

/// The numbers and identities of a table's rows, one by one.
struct Each {
    incoming: Receiver<Result<Chunk, StoreError>>,
    chunk: Option<Chunk>,
    row: usize,
}

impl Each {
    async fn new(of: &dyn Bulk, table: &'static Table) -> Result<Self, StoreError> {
        Ok(Self { incoming: of.rows(std::slice::from_ref(table), READ).await?, chunk: None, row: 0 })
    }

    async fn next(&mut self) -> Result<Option<(i64, u64)>, StoreError> {
        loop {
            if let Some(chunk) = self.chunk.as_ref().filter(|chunk| self.row < chunk.rows) {
                let one = (chunk.number(self.row), chunk.identity(self.row));
                self.row += 1;
                return Ok(Some(one));
            }
            self.chunk = self.incoming.recv().await.transpose()?;
            self.row = 0;
            if self.chunk.is_none() {
                return Ok(None);
            }
        }
    }
}

/// The digests of all groups of all tables.
async fn digests(
    of: &dyn Bulk,
    seen: &mut (dyn FnMut(usize) + Send),
) -> Result<HashMap<&'static str, Groups>, StoreError> {
    let mut all: HashMap<&'static str, Groups> = HashMap::new();
    let mut incoming = of.rows(TABLES, READ).await?;
    while let Some(chunk) = incoming.recv().await.transpose()? {
        let groups = all.entry(chunk.table.name).or_default();
        let mut from = 0;
        while from < chunk.rows {
            let run = chunk.run(from);
            let known = groups.entry(chunk.group(from)).or_default();
            *known = known.and(chunk.digest(run.clone()));
            from = run.end;
        }
        seen(chunk.rows);
    }
    Ok(all)
}

/// What either of them holds.
fn together(one: Held, other: Held) -> Held {
    let both = |one: Option<Days>, other: Option<Days>| match (one, other) {
        (Some(one), Some(other)) => Days::new(one.first().min(other.first()), one.end().max(other.end())),
        (one, other) => one.or(other),
    };
    Held { days: both(one.days, other.days), hours: both(one.hours, other.hours) }
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}
