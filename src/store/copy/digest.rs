//! What tells whether rows arrived: counts and sums of hashes, group by group.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::Range;

use super::{Cells, Chunk, Table, Type};

/// Lines of a journal that are compared at once.
const NUMBERED: i64 = 1_024;

/// What some rows come to: how many there are, and the sum of their hashes, in whatever order they
/// were read. It is made of what either engine hands out, so it is the same for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Digest {
    /// How many.
    pub rows: u64,
    /// The sum of their hashes.
    pub sum: u64,
}

impl Digest {
    /// That of these rows and others together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { rows: self.rows + other.rows, sum: self.sum.wrapping_add(other.sum) }
    }
}

/// The digests of a table's groups, by the number of the group.
pub(super) type Groups = HashMap<i64, Digest>;

/// All groups together.
pub(super) fn whole(groups: &Groups) -> Digest {
    groups.values().fold(Digest::default(), |all, one| all.and(*one))
}

/// Columns that tell, with the key, a row of this database from one of another.
pub(super) fn identity(table: &Table) -> &'static [&'static str] {
    match table.name {
        "meter" => &["prm"],
        "call" => &["account", "at_ms"],
        "revision" => &["meter", "start", "seen_at"],
        _ => &[],
    }
}

impl Chunk {
    /// No rows of a table yet.
    #[must_use]
    pub fn empty(table: &'static Table) -> Self {
        let cells = |of| match of {
            Type::Text => Cells::Texts(Vec::new()),
            _ => Cells::Numbers(Vec::new()),
        };
        Self { table, rows: 0, columns: table.columns.iter().map(|column| cells(column.of)).collect() }
    }

    /// The first column of a row's key, which is a number in each table.
    pub(super) fn number(&self, row: usize) -> i64 {
        match self.columns.first() {
            Some(Cells::Numbers(all)) => all.get(row).copied().flatten().unwrap_or_default(),
            _ => 0,
        }
    }

    /// The group to which a row belongs: a meter's rows, or some lines of a journal.
    pub(super) fn group(&self, row: usize) -> i64 {
        self.number(row).div_euclid(if self.table.numbered { NUMBERED } else { 1 })
    }

    /// Rows of the same group that follow each other from this one on.
    pub(super) fn run(&self, from: usize) -> Range<usize> {
        let group = self.group(from);
        let mut end = from + 1;
        while end < self.rows && self.group(end) == group {
            end += 1;
        }
        from..end
    }

    /// The digest of some rows.
    pub(super) fn digest(&self, rows: Range<usize>) -> Digest {
        rows.fold(Digest::default(), |digest, row| digest.and(Digest { rows: 1, sum: self.hash(row, |_| true) }))
    }

    /// What tells a row from rows of other databases.
    pub(super) fn identity(&self, row: usize) -> u64 {
        let columns = identity(self.table);
        self.hash(row, |name| columns.contains(&name))
    }

    /// What a row says in some of its columns, as a number that other rows have hardly ever.
    fn hash(&self, row: usize, wanted: impl Fn(&str) -> bool) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (column, cells) in self.table.columns.iter().zip(&self.columns) {
            if wanted(column.name) {
                match cells {
                    Cells::Numbers(all) => all.get(row).copied().flatten().hash(&mut hasher),
                    Cells::Texts(all) => all.get(row).and_then(Option::as_ref).hash(&mut hasher),
                }
            }
        }
        hasher.finish()
    }

    /// Adds some rows of others of the same table.
    pub(super) fn append(&mut self, others: &Self, rows: Range<usize>) {
        for (own, other) in self.columns.iter_mut().zip(&others.columns) {
            match (own, other) {
                (Cells::Numbers(own), Cells::Numbers(other)) => {
                    own.extend_from_slice(other.get(rows.clone()).unwrap_or_default());
                }
                (Cells::Texts(own), Cells::Texts(other)) => {
                    own.extend_from_slice(other.get(rows.clone()).unwrap_or_default());
                }
                _ => {}
            }
        }
        self.rows += rows.len();
    }

    /// Forgets the rows after the first ones.
    pub(super) fn truncate(&mut self, rows: usize) {
        for cells in &mut self.columns {
            match cells {
                Cells::Numbers(all) => all.truncate(rows),
                Cells::Texts(all) => all.truncate(rows),
            }
        }
        self.rows = self.rows.min(rows);
    }
}
