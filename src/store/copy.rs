//! Whole databases on the move: every table, in the same words for either engine.
//!
//! [`TABLES`] lists what is carried, in an order in which nothing refers to what is not there yet. An
//! engine hands its rows out as [`Chunk`]s, all as of one instant and each table in the order of its
//! key, and takes chunks in: rows that are there already and the same cost a look, others are
//! inserted or brought up to date, so that a copy that was broken off is simply made again. Numbers
//! stand for everything but text: days since 1970, seconds since 1970, 0 and 1. The calendar and the
//! clock are no rows to carry: each engine makes its own of the days they hold, and reads off-peak
//! hours anew. [`copy()`] does it.

mod digest;
mod run;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use tokio::sync::mpsc::Receiver;

use super::StoreError;
use crate::domain::Days;

pub use digest::Digest;
pub use run::{Copied, CopyError, NOTES, Observer, copy};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// A number of a short list.
    Small,
    /// A number.
    Int,
    /// A number that may be large.
    Long,
    /// 0 or 1.
    Flag,
    /// Days since 1970.
    Day,
    /// Seconds since 1970, which PostgreSQL shows as an instant.
    Instant,
    /// Text.
    Text,
}

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name, the same in both engines.
    pub name: &'static str,
    /// What it holds.
    pub of: Type,
}

/// A table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// Its name, the same in both engines.
    pub name: &'static str,
    /// Its columns, those of the key first.
    pub columns: &'static [Column],
    /// How many columns the key has. Rows come in its order, ascending.
    pub key: usize,
    /// Whether the key is a number that new rows get by themselves.
    pub numbered: bool,
}

/// The values of one column of some rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cells {
    /// Of any type but text.
    Numbers(Vec<Option<i64>>),
    /// Of text.
    Texts(Vec<Option<String>>),
}

/// Some rows of a table, in the order of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Which table.
    pub table: &'static Table,
    /// How many rows.
    pub rows: usize,
    /// One for each column of the table.
    pub columns: Vec<Cells>,
}

/// What became of the rows of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Rows that were not there before.
    pub inserted: u64,
    /// Rows that were there and different.
    pub changed: u64,
}

/// The days that the calendar holds, and those whose hours the clock holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// Of the calendar.
    pub days: Option<Days>,
    /// Of the clock.
    pub hours: Option<Days>,
}

/// A database that can be read and written as a whole.
#[async_trait]
pub trait Bulk: Send + Sync + std::fmt::Debug {
    /// Roughly how many rows there are, for a progress bar; exact where that is cheap.
    async fn size(&self) -> Result<u64, StoreError>;

    /// Every row of these tables, in chunks of at most so many, as of one instant. Ends with the last
    /// chunk or after an error.
    async fn rows(
        &self,
        tables: &'static [Table],
        at_most: usize,
    ) -> Result<Receiver<Result<Chunk, StoreError>>, StoreError>;

    /// Takes rows in, in one transaction. Rows of one table are to come in the order of its key, and the
    /// tables in the order of [`TABLES`].
    async fn write(&self, chunk: Chunk) -> Result<Written, StoreError>;

    /// Takes every row out of a table that holds nothing but notes ([`NOTES`]).
    async fn clear(&self, notes: &'static Table) -> Result<(), StoreError>;

    /// The days that calendar and clock hold.
    async fn held(&self) -> Result<Held, StoreError>;

    /// Makes sure that calendar and clock hold these days, that off-peak hours of contracts are read, and that new
    /// rows get numbers of their own after those that were taken in. Comes before and after the rows.
    async fn prepare(&self, held: Held) -> Result<(), StoreError>;
}

const fn small(name: &'static str) -> Column {
    Column { name, of: Type::Small }
}
const fn int(name: &'static str) -> Column {
    Column { name, of: Type::Int }
}
const fn long(name: &'static str) -> Column {
    Column { name, of: Type::Long }
}
const fn flag(name: &'static str) -> Column {
    Column { name, of: Type::Flag }
}
const fn day(name: &'static str) -> Column {
    Column { name, of: Type::Day }
}
const fn instant(name: &'static str) -> Column {
    Column { name, of: Type::Instant }
}
const fn text(name: &'static str) -> Column {
    Column { name, of: Type::Text }
}

const fn table(name: &'static str, key: usize, columns: &'static [Column]) -> Table {
    Table { name, columns, key, numbered: false }
}
const fn numbered(name: &'static str, columns: &'static [Column]) -> Table {
    Table { name, columns, key: 1, numbered: true }
}

/// Every table that is carried.
pub const TABLES: &[Table] = &[
    numbered(
        "account",
        &[
            int("id"),
            text("key"),
            long("not_before_ms"),
            text("code"),
            text("message"),
            long("slow_until_ms"),
            int("refusals"),
            int("strikes"),
        ],
    ),
    table("told", 2, &[int("account"), small("pool"), long("calls_left"), long("at_ms"), long("until_ms")]),
    numbered(
        "source",
        &[
            int("id"),
            text("name"),
            text("kind"),
            int("account"),
            flag("configured"),
            flag("direct"),
            text("credentials"),
        ],
    ),
    table(
        "learnt",
        2,
        &[
            int("source"),
            small("dataset"),
            int("max_days"),
            long("max_days_until"),
            int("history_short"),
            text("api"),
            long("api_since"),
            long("not_before"),
        ],
    ),
    numbered("meter", &[int("id"), text("prm"), text("name"), int("source"), flag("configured"), int("position")]),
    table("activation", 2, &[int("meter"), small("direction"), day("refused"), day("accepted"), int("refusals")]),
    table(
        "elsewhere",
        3,
        &[
            int("meter"),
            small("dataset"),
            int("source"),
            small("state"),
            text("code"),
            text("message"),
            long("not_before"),
        ],
    ),
    table("last_pass", 1, &[small("id"), long("at"), day("end_day")]),
    table("interval_kind", 1, &[small("id"), int("minutes"), small("summer"), int("source")]),
    table("load_curve", 3, &[int("meter"), small("direction"), instant("start"), small("kind"), int("watts")]),
    table("daily_energy", 3, &[int("meter"), small("direction"), day("day"), long("wh"), int("source")]),
    table("max_power", 2, &[int("meter"), day("day"), long("va"), int("local_seconds"), instant("at"), int("source")]),
    table(
        "coverage",
        3,
        &[
            int("meter"),
            small("dataset"),
            day("day"),
            small("state"),
            int("stored"),
            int("expected"),
            instant("checked_at"),
            long("first_left_out"),
            instant("next_try"),
            flag("certain"),
            flag("last_try"),
        ],
    ),
    // After the records of its days: whoever uses a copy that was interrupted finds a series without a window, and
    // opens one, rather than a window whose days have no record and are never asked for.
    table(
        "series",
        2,
        &[
            int("meter"),
            small("dataset"),
            int("source"),
            flag("configured"),
            int("position"),
            small("state"),
            text("code"),
            text("message"),
            long("not_before"),
            instant("last_success_at"),
            int("step"),
            day("first_day"),
            day("end_day"),
        ],
    ),
    numbered(
        "revision",
        &[
            long("id"),
            int("meter"),
            small("dataset"),
            instant("start"),
            int("minutes"),
            long("old_value"),
            long("new_value"),
            int("old_local_seconds"),
            int("old_source"),
            instant("seen_at"),
            text("register"),
        ],
    ),
    numbered(
        "call",
        &[
            long("id"),
            int("account"),
            long("at_ms"),
            long("asked_at"),
            int("source"),
            small("pool"),
            text("api"),
            int("meter"),
            small("dataset"),
            day("start_day"),
            day("end_day"),
            small("outcome"),
            int("status"),
            text("code"),
            long("row_count"),
            long("duration_ms"),
        ],
    ),
    table(
        "raw_answer",
        1,
        &[
            long("call"),
            int("meter"),
            small("dataset"),
            int("source"),
            day("start_day"),
            day("end_day"),
            long("asked_at"),
            text("api"),
            flag("starts"),
            text("body"),
        ],
    ),
    table(
        "register_reading",
        6,
        &[
            int("meter"),
            small("direction"),
            instant("read_at"),
            text("calendar"),
            text("register"),
            text("tariff_class"),
            long("wh"),
            int("source"),
            flag("daily"),
        ],
    ),
    table(
        "daily_by_class",
        5,
        &[int("meter"), small("direction"), day("day"), text("calendar"), text("tariff_class"), long("wh")],
    ),
    table(
        "contract",
        3,
        &[
            int("meter"),
            small("direction"),
            day("valid_from"),
            text("segment"),
            long("subscribed_va"),
            text("distribution_tariff"),
            text("offpeak_hours"),
            day("activated_on"),
            day("starts_on"),
            text("kind"),
            text("status"),
            text("tariff_label"),
            text("meter_type"),
            text("level"),
            instant("learnt_at"),
        ],
    ),
    table("closed_call", 2, &[int("source"), text("path"), text("code"), long("not_before")]),
    table(
        "personal_address",
        1,
        &[
            int("meter"),
            text("details"),
            text("street"),
            text("locality"),
            text("postal_code"),
            text("city"),
            text("insee_code"),
            text("country"),
            text("latitude"),
            text("longitude"),
            text("altitude"),
            instant("learnt_at"),
        ],
    ),
    table(
        "personal_identity",
        1,
        &[
            int("meter"),
            text("title"),
            text("first_name"),
            text("last_name"),
            text("organisation"),
            text("trading_name"),
            text("business"),
            text("siret"),
            text("siren"),
            instant("learnt_at"),
        ],
    ),
    table("personal_contact", 1, &[int("meter"), text("phone"), text("landline"), text("email"), instant("learnt_at")]),
    table(
        "consent",
        1,
        &[int("meter"), instant("until"), text("source"), instant("granted_at"), text("learnt"), small("warned")],
    ),
    table(
        "authorisation",
        2,
        &[
            int("source"),
            text("prm"),
            text("api"),
            long("number"),
            instant("granted_at"),
            instant("until"),
            text("learnt"),
            flag("ended"),
            instant("checked_at"),
            text("covers"),
        ],
    ),
    table(
        "journey",
        2,
        &[
            int("source"),
            text("state"),
            text("api"),
            text("duration"),
            instant("begun_at"),
            instant("answered_at"),
            long("number"),
            instant("done_at"),
        ],
    ),
];
