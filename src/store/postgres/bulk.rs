//! Whole tables in and out, at the speed of `COPY`.
//!
//! Rows whose range of keys holds nothing yet are copied straight into their table. Where something
//! is there, they travel as arrays and are joined with it, so that only what differs is written and
//! a copy that is made again writes nothing at all. The statements are put together from the names
//! in [`crate::store::copy::TABLES`] and nothing else.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Executor as _, Row as _};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::connect::Link;
use super::copying::Rows;
use super::transaction::{Kind, Patience};
use super::types::{Date, Stamp};
use super::{PostgresStore, calendar, errors, offpeak, sql};
use crate::domain::Day;
use crate::store::StoreError;
use crate::store::copy::{Bulk, Cells, Chunk, Held, TABLES, Table, Type, Written};

/// Chunks that may wait for whoever takes them.
const AHEAD: usize = 2;

#[async_trait]
impl Bulk for PostgresStore {
    async fn size(&self) -> Result<u64, StoreError> {
        self.server.run(Kind::Survey, Patience::Short, (), |link, (), _| Box::pin(size(link))).await
    }

    async fn rows(
        &self,
        tables: &'static [Table],
        at_most: usize,
    ) -> Result<Receiver<Result<Chunk, StoreError>>, StoreError> {
        let (sender, receiver) = channel(AHEAD);
        let (server, place) = (Arc::clone(&self.server), self.server.address.place.clone());
        // One transaction, never done again: whoever reads would see rows twice.
        tokio::spawn(async move {
            let input = (tables, at_most.max(1), sender.clone());
            let read = server.run(Kind::Unload, Patience::None, input, |link, (tables, at_most, sender), _| {
                Box::pin(send_all(link, tables, *at_most, sender))
            });
            if let Err(error) = read.await {
                // Nobody may be there any more to hear of it.
                let _ = sender.send(Err(errors::explain(&place, error))).await;
            }
        });
        Ok(receiver)
    }

    async fn write(&self, chunk: Chunk) -> Result<Written, StoreError> {
        if chunk.rows == 0 {
            return Ok(Written::default());
        }
        self.server
            .run(Kind::Bulk, Patience::Long, chunk, |link, chunk, earlier| Box::pin(write(link, chunk, earlier)))
            .await
    }

    async fn clear(&self, notes: &'static Table) -> Result<(), StoreError> {
        self.server.run(Kind::Bulk, Patience::Long, notes, |link, notes, _| Box::pin(clear(link, notes))).await
    }

    async fn held(&self) -> Result<Held, StoreError> {
        self.server.run(Kind::Read, Patience::Short, (), |link, (), _| Box::pin(calendar::held(link))).await
    }

    async fn prepare(&self, held: Held) -> Result<(), StoreError> {
        if let Some(hours) = held.hours {
            let (first, last) = super::windows::years_of(hours);
            super::schema::years(&self.server, Patience::Long, first, last).await?;
        }
        self.server.run(Kind::Bulk, Patience::Long, held, |link, held, _| Box::pin(prepare(link, *held))).await
    }
}

async fn clear(link: &mut Link, notes: &Table) -> Result<(), StoreError> {
    link.conn.execute(sqlx::raw_sql(AssertSqlSafe(format!("DELETE FROM {}", notes.name)))).await?;
    Ok(())
}

async fn size(link: &mut Link) -> Result<u64, StoreError> {
    let (rows,): (i64,) = link.query_as(sql::ROWS_ABOUT).fetch_one(&mut link.conn).await?;
    Ok(rows.unsigned_abs())
}

async fn prepare(link: &mut Link, held: Held) -> Result<(), StoreError> {
    calendar::hold(link, held.days, held.hours).await?;
    offpeak::learn(link).await?;
    for table in TABLES.iter().filter(|table| table.numbered) {
        let name = table.name;
        let next = format!(
            "SELECT setval(pg_get_serial_sequence('{name}', 'id'), greatest(max(id), 1), max(id) IS NOT NULL) FROM {name}"
        );
        link.conn.execute(sqlx::raw_sql(AssertSqlSafe(next))).await?;
    }
    Ok(())
}

fn names(table: &Table) -> String {
    table.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
}

fn keys(table: &Table) -> impl Iterator<Item = &'static str> {
    table.columns.iter().take(table.key).map(|column| column.name)
}

/// Reads every row and hands it on.
async fn send_all(
    link: &mut Link,
    tables: &'static [Table],
    at_most: usize,
    sender: &Sender<Result<Chunk, StoreError>>,
) -> Result<(), StoreError> {
    for table in tables {
        let order = keys(table).collect::<Vec<_>>().join(", ");
        let all = format!("SELECT {} FROM {} ORDER BY {order}", names(table), table.name);
        let mut rows = sqlx::query(AssertSqlSafe(all)).persistent(false).fetch(&mut link.conn);
        let mut chunk = empty(table, at_most);
        while let Some(row) = rows.try_next().await? {
            take(&mut chunk, &row)?;
            if chunk.rows == at_most {
                let full = std::mem::replace(&mut chunk, empty(table, at_most));
                if sender.send(Ok(full)).await.is_err() {
                    return Ok(());
                }
            }
        }
        if chunk.rows > 0 && sender.send(Ok(chunk)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

fn empty(table: &'static Table, room: usize) -> Chunk {
    let cells = |of| match of {
        Type::Text => Cells::Texts(Vec::with_capacity(room)),
        _ => Cells::Numbers(Vec::with_capacity(room)),
    };
    Chunk { table, rows: 0, columns: table.columns.iter().map(|column| cells(column.of)).collect() }
}

/// Adds a row to a chunk.
fn take(chunk: &mut Chunk, row: &PgRow) -> Result<(), sqlx::Error> {
    for (place, (column, cells)) in chunk.table.columns.iter().zip(&mut chunk.columns).enumerate() {
        match cells {
            Cells::Texts(texts) => texts.push(row.try_get(place)?),
            Cells::Numbers(numbers) => numbers.push(match column.of {
                Type::Small => row.try_get::<Option<i16>, _>(place)?.map(i64::from),
                Type::Int => row.try_get::<Option<i32>, _>(place)?.map(i64::from),
                Type::Long | Type::Text => row.try_get(place)?,
                Type::Flag => row.try_get::<Option<bool>, _>(place)?.map(i64::from),
                Type::Day => row.try_get::<Option<Date>, _>(place)?.map(|date| date.0.number().into()),
                Type::Instant => row.try_get::<Option<Stamp>, _>(place)?.map(|stamp| stamp.0),
            }),
        }
    }
    chunk.rows += 1;
    Ok(())
}

/// Takes rows in. What `earlier` wrote is there already, if it was committed.
async fn write(link: &mut Link, chunk: &Chunk, earlier: Option<&Written>) -> Result<Written, StoreError> {
    let table = chunk.table;
    if is_new(link, chunk).await? {
        let copy = format!("COPY {} ({}) FROM STDIN (FORMAT binary)", table.name, names(table));
        let inserted = encoded(chunk)?.send(link, &copy).await?;
        return Ok(Written { inserted, changed: 0 });
    }
    let (name, all, incoming) = (table.name, names(table), incoming(table));
    let same = keys(table).map(|key| format!("t.{key} = i.{key}"));
    let on = same.chain(within(chunk)).collect::<Vec<_>>().join(" AND ");
    let rest: Vec<&str> = table.columns.iter().skip(table.key).map(|column| column.name).collect();
    let mut changed = 0;
    if !rest.is_empty() {
        let set: Vec<String> = rest.iter().map(|column| format!("{column} = i.{column}")).collect();
        let differ: Vec<String> = rest.iter().map(|c| format!("t.{c} IS DISTINCT FROM i.{c}")).collect();
        let (set, differ) = (set.join(", "), differ.join(" OR "));
        let update = format!("UPDATE {name} t SET {set} FROM {incoming} WHERE {on} AND ({differ})");
        changed = run(link, update, chunk).await?;
    }
    let insert = format!(
        "INSERT INTO {name} ({all}) SELECT {all} FROM {incoming}
         WHERE NOT EXISTS (SELECT 1 FROM {name} t WHERE {on}) ON CONFLICT DO NOTHING"
    );
    let written = Written { inserted: run(link, insert, chunk).await?, changed };
    Ok(earlier.copied().filter(|_| written == Written::default()).unwrap_or(written))
}

/// The rows of a chunk, side by side again.
fn incoming(table: &Table) -> String {
    let types = table.columns.iter().map(|column| match column.of {
        Type::Small => "int2",
        Type::Int => "int4",
        Type::Long => "int8",
        Type::Flag => "boolean",
        Type::Day => "date",
        Type::Instant => "timestamptz",
        Type::Text => "text",
    });
    let arrays: Vec<String> = (1..).zip(types).map(|(place, of): (usize, _)| format!("${place}::{of}[]")).collect();
    format!("unnest({}) i({})", arrays.join(", "), names(table))
}

/// Where in the table the rows of a chunk can be, so that nothing else of it is looked at.
fn within(chunk: &Chunk) -> impl Iterator<Item = String> {
    chunk.table.columns.iter().zip(&chunk.columns).take(chunk.table.key).filter_map(|(column, cells)| {
        let Cells::Numbers(numbers) = cells else { return None };
        let (least, most) = (numbers.iter().flatten().min()?, numbers.iter().flatten().max()?);
        let (least, most) = (literal(column.of, *least)?, literal(column.of, *most)?);
        Some(format!("t.{} BETWEEN {least} AND {most}", column.name))
    })
}

/// Runs a statement with the columns of a chunk; how many rows it wrote.
async fn run(link: &mut Link, statement: String, chunk: &Chunk) -> Result<u64, StoreError> {
    let out_of_range = |column: &'static str| StoreError::Inconsistent {
        table: chunk.table.name,
        what: format!("a value of {column} is out of range"),
    };
    let mut query = sqlx::query(AssertSqlSafe(statement)).persistent(false);
    for (column, cells) in chunk.table.columns.iter().zip(&chunk.columns) {
        let numbers = match cells {
            Cells::Texts(texts) => {
                query = query.bind(texts.clone());
                continue;
            }
            Cells::Numbers(numbers) => numbers,
        };
        query = match column.of {
            Type::Small => {
                query.bind(each(numbers, |n| i16::try_from(n).ok()).ok_or_else(|| out_of_range(column.name))?)
            }
            Type::Int => query.bind(each(numbers, |n| i32::try_from(n).ok()).ok_or_else(|| out_of_range(column.name))?),
            Type::Day => query.bind(each(numbers, day).ok_or_else(|| out_of_range(column.name))?),
            Type::Instant => query.bind(each(numbers, |n| Some(Stamp(n))).unwrap_or_default()),
            Type::Flag => query.bind(each(numbers, |n| Some(n != 0)).unwrap_or_default()),
            Type::Long | Type::Text => query.bind(numbers.clone()),
        };
    }
    Ok(query.execute(&mut link.conn).await?.rows_affected())
}

fn day(number: i64) -> Option<Date> {
    Some(Date(Day::from_number(i32::try_from(number).ok()?)))
}

/// All of them as the server has them; `None` where one does not fit.
fn each<T>(numbers: &[Option<i64>], to: impl Fn(i64) -> Option<T>) -> Option<Vec<Option<T>>> {
    numbers.iter().map(|number| number.map(&to).map_or(Some(None), |value| value.map(Some))).collect()
}

/// Whether there is no row yet from the first key of a chunk to its last.
async fn is_new(link: &mut Link, chunk: &Chunk) -> Result<bool, StoreError> {
    let columns: Vec<&str> = keys(chunk.table).collect();
    let (Some(first), Some(last)) = (key_at(chunk, 0), key_at(chunk, chunk.rows - 1)) else { return Ok(false) };
    let look = format!(
        "SELECT NOT EXISTS (SELECT 1 FROM {} WHERE ({}) >= ({first}) AND ({}) <= ({last}))",
        chunk.table.name,
        columns.join(", "),
        columns.join(", ")
    );
    let (new,): (bool,) = sqlx::query_as(AssertSqlSafe(look)).persistent(false).fetch_one(&mut link.conn).await?;
    Ok(new)
}

/// The key of a row as the server reads it; `None` where there is text in it, which a sort order of
/// the server's own could put elsewhere.
fn key_at(chunk: &Chunk, row: usize) -> Option<String> {
    let mut key = Vec::with_capacity(chunk.table.key);
    for (column, cells) in chunk.table.columns.iter().zip(&chunk.columns).take(chunk.table.key) {
        let Cells::Numbers(numbers) = cells else { return None };
        key.push(literal(column.of, (*numbers.get(row)?)?)?);
    }
    Some(key.join(", "))
}

/// A number as it is written in a statement.
fn literal(of: Type, number: i64) -> Option<String> {
    Some(match of {
        Type::Text => return None,
        Type::Day => format!("'{}'::date", Day::from_number(i32::try_from(number).ok()?)),
        Type::Instant => format!("to_timestamp({number})"),
        Type::Flag => format!("{}", number != 0),
        Type::Small | Type::Int | Type::Long => number.to_string(),
    })
}

/// A chunk in the server's binary format.
fn encoded(chunk: &Chunk) -> Result<Rows, StoreError> {
    let mut all = Rows::of(chunk.columns.len(), chunk.rows);
    for row in 0..chunk.rows {
        all.begin();
        for (column, cells) in chunk.table.columns.iter().zip(&chunk.columns) {
            let fits = match cells {
                Cells::Texts(texts) => {
                    all.field(texts.get(row).and_then(|text| text.as_ref()).map(String::as_bytes));
                    true
                }
                Cells::Numbers(numbers) => match numbers.get(row).copied().flatten() {
                    None => {
                        all.field(None);
                        true
                    }
                    Some(number) => put_number(&mut all, column.of, number).is_some(),
                },
            };
            if !fits {
                let what = format!("a value of {} is out of range", column.name);
                return Err(StoreError::Inconsistent { table: chunk.table.name, what });
            }
        }
    }
    Ok(all)
}

fn put_number(rows: &mut Rows, of: Type, number: i64) -> Option<()> {
    match of {
        Type::Small => rows.field(Some(&i16::try_from(number).ok()?.to_be_bytes())),
        Type::Int => rows.field(Some(&i32::try_from(number).ok()?.to_be_bytes())),
        Type::Long => rows.field(Some(&number.to_be_bytes())),
        Type::Flag => rows.field(Some(&[u8::from(number != 0)])),
        Type::Day => {
            let day = Day::from_number(i32::try_from(number).ok()?);
            rows.field(Some(&Date(day).on_wire().to_be_bytes()));
        }
        Type::Instant => rows.field(Some(&Stamp(number).on_wire().to_be_bytes())),
        Type::Text => return None,
    }
    Some(())
}
