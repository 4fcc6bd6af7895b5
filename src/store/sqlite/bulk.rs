//! Whole tables in and out of a file.
//!
//! The statements are put together from the names in [`crate::store::copy::TABLES`] and nothing
//! else. Rows whose range of keys holds nothing yet are inserted; where something is there, only
//! what differs is written.

use std::fmt::Write as _;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::batch::Batch;
use super::{SqliteStore, calendar, offpeak};
use crate::store::copy::{Bulk, Cells, Chunk, Held, TABLES, Table, Written};
use crate::store::{Store as _, StoreError};

/// Rows of one statement. Full ones are kept prepared.
const AT_ONCE: usize = 400;

/// Chunks that may wait for whoever takes them.
const AHEAD: usize = 2;

#[async_trait]
impl Bulk for SqliteStore {
    async fn size(&self) -> Result<u64, StoreError> {
        self.read(|conn| Box::pin(size(conn))).await
    }

    async fn rows(
        &self,
        tables: &'static [Table],
        at_most: usize,
    ) -> Result<Receiver<Result<Chunk, StoreError>>, StoreError> {
        let (sender, receiver) = channel(AHEAD);
        let (reader, to) = (Arc::clone(&self.reader), sender.clone());
        tokio::spawn(async move {
            let read = super::run(&reader, move |conn| {
                Box::pin(async move { send_all(conn, tables, at_most.max(1), &to).await })
            });
            if let Err(error) = read.await {
                // Nobody may be there any more to hear of it.
                let _ = sender.send(Err(error)).await;
            }
        });
        Ok(receiver)
    }

    async fn write(&self, chunk: Chunk) -> Result<Written, StoreError> {
        if chunk.rows == 0 {
            return Ok(Written::default());
        }
        self.write(move |conn| Box::pin(async move { write(conn, &chunk).await })).await
    }

    async fn clear(&self, notes: &'static Table) -> Result<(), StoreError> {
        self.write(move |conn| {
            Box::pin(async move {
                sqlx::query(AssertSqlSafe(format!("DELETE FROM {}", notes.name))).execute(conn).await?;
                Ok(())
            })
        })
        .await
    }

    async fn held(&self) -> Result<Held, StoreError> {
        self.read(|conn| Box::pin(calendar::held(conn))).await
    }

    async fn prepare(&self, held: Held) -> Result<(), StoreError> {
        self.write(move |conn| {
            Box::pin(async move {
                calendar::hold(&mut *conn, held.days, held.hours).await?;
                offpeak::learn(conn).await
            })
        })
        .await?;
        self.tidy().await
    }
}

async fn size(conn: &mut SqliteConnection) -> Result<u64, StoreError> {
    let mut rows = 0;
    for table in TABLES {
        rows += count(conn, table, "true").await?;
    }
    Ok(rows)
}

/// How many rows of a table fit.
async fn count(conn: &mut SqliteConnection, table: &Table, condition: &str) -> Result<u64, StoreError> {
    let text = format!("SELECT count(*) FROM {} WHERE {condition}", table.name);
    let (count,): (i64,) = sqlx::query_as(AssertSqlSafe(text)).persistent(false).fetch_one(conn).await?;
    Ok(count.unsigned_abs())
}

fn names(table: &'static Table) -> impl Iterator<Item = &'static str> {
    table.columns.iter().map(|column| column.name)
}

/// Reads every row and hands it on.
async fn send_all(
    conn: &mut SqliteConnection,
    tables: &'static [Table],
    at_most: usize,
    to: &Sender<Result<Chunk, StoreError>>,
) -> Result<(), StoreError> {
    for table in tables {
        let (all, key): (Vec<_>, Vec<_>) = (names(table).collect(), names(table).take(table.key).collect());
        let text = format!("SELECT {} FROM {} ORDER BY {}", all.join(", "), table.name, key.join(", "));
        let mut rows = sqlx::query(AssertSqlSafe(text)).persistent(false).fetch(&mut *conn);
        let mut chunk = Chunk::empty(table);
        while let Some(row) = rows.try_next().await? {
            for (place, cells) in chunk.columns.iter_mut().enumerate() {
                match cells {
                    Cells::Numbers(numbers) => numbers.push(row.try_get_unchecked(place)?),
                    Cells::Texts(texts) => texts.push(row.try_get_unchecked(place)?),
                }
            }
            chunk.rows += 1;
            if chunk.rows == at_most {
                let full = std::mem::replace(&mut chunk, Chunk::empty(table));
                if to.send(Ok(full)).await.is_err() {
                    return Ok(());
                }
            }
        }
        if chunk.rows > 0 && to.send(Ok(chunk)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Takes rows in.
async fn write(conn: &mut SqliteConnection, chunk: &Chunk) -> Result<Written, StoreError> {
    let table = chunk.table;
    let around = around(chunk);
    let before = count(conn, table, &around).await?;
    let full = statement(table, AT_ONCE, before > 0);
    let (mut from, mut affected) = (0, 0);
    while from < chunk.rows {
        let rows = AT_ONCE.min(chunk.rows - from);
        let batch = Batch::new().expect(rows * chunk.columns.len());
        let mut batch = match rows {
            AT_ONCE => batch.then(&full),
            rest => batch.then(&statement(table, rest, before > 0)).seldom(),
        };
        for row in from..from + rows {
            for cells in &chunk.columns {
                batch = match cells {
                    Cells::Numbers(all) => batch.bind(all.get(row).copied().flatten()),
                    Cells::Texts(all) => batch.bind(all.get(row).cloned().flatten()),
                };
            }
        }
        affected += batch.execute(&mut *conn).await?.rows_affected();
        from += rows;
    }
    let inserted = count(conn, table, &around).await? - before;
    Ok(Written { inserted, changed: affected.saturating_sub(inserted) })
}

/// The rows among which a chunk comes to lie, by the first column of the key.
fn around(chunk: &Chunk) -> String {
    let column = names(chunk.table).next().unwrap_or_default();
    let Some(Cells::Numbers(all)) = chunk.columns.first() else { return "true".to_owned() };
    let (least, most) = (all.iter().flatten().min(), all.iter().flatten().max());
    least.zip(most).map_or("true".to_owned(), |(least, most)| format!("{column} BETWEEN {least} AND {most}"))
}

/// The statement that writes that many rows; where some may be there, only what differs.
fn statement(table: &'static Table, rows: usize, some_are_there: bool) -> String {
    let columns: Vec<&str> = names(table).collect();
    let row = format!("({})", vec!["?"; columns.len()].join(","));
    let mut text = format!("INSERT INTO {} ({}) VALUES {}", table.name, columns.join(", "), vec![row; rows].join(","));
    if some_are_there {
        let key: Vec<&str> = names(table).take(table.key).collect();
        let rest = || names(table).skip(table.key);
        let set: Vec<String> = rest().map(|name| format!("{name} = excluded.{name}")).collect();
        let differs: Vec<String> = rest().map(|name| format!("{}.{name} IS NOT excluded.{name}", table.name)).collect();
        let _infallible = write!(
            text,
            " ON CONFLICT ({}) DO UPDATE SET {} WHERE {}",
            key.join(", "),
            set.join(", "),
            differs.join(" OR ")
        );
    }
    text
}
