//! Random databases there and back.

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use fastrand::Rng;
use tokio::sync::mpsc::Receiver;

use super::run::NOTES;
use super::*;
use crate::clock::SystemClock;
use crate::domain::Day;
use crate::store::Mode;
use crate::store::postgres::{Address, PostgresStore, TimeOf};
use crate::store::tests::server::{Database, Server};
use crate::store::tests::{Host, Sqlite, World};

/// Tables that each database brings along, and those that it makes of what it holds.
const MADE: [&str; 8] =
    ["direction", "dataset", "day_state", "series_state", "calendar", "clock_hour", "offpeak", "offpeak_slot"];

fn table(name: &str) -> &'static Table {
    TABLES.iter().find(|table| table.name == name).unwrap()
}

/// Columns that may be without a value.
fn may_be_empty(table: &str, column: &str) -> bool {
    match column {
        "code" | "not_before" if table == "closed_call" => false,
        "code"
        | "message"
        | "not_before_ms"
        | "slow_until_ms"
        | "max_days"
        | "max_days_until"
        | "api_since"
        | "not_before"
        | "refused"
        | "accepted"
        | "last_success_at"
        | "step"
        | "first_day"
        | "until"
        | "segment"
        | "subscribed_va"
        | "distribution_tariff"
        | "offpeak_hours"
        | "activated_on"
        | "expected"
        | "checked_at"
        | "first_left_out"
        | "next_try"
        | "local_seconds"
        | "old_local_seconds"
        | "outcome"
        | "status"
        | "row_count"
        | "duration_ms"
        | "number"
        | "answered_at"
        | "done_at"
        | "warned" => true,
        "at" => table == "max_power",
        "starts_on" | "kind" | "tariff_label" | "meter_type" | "level" | "learnt_at" if table == "contract" => true,
        "meter" | "learnt_at" if table.starts_with("personal_") => false,
        _ if table.starts_with("personal_") => true,
        "api" => matches!(table, "call" | "learnt"),
        "source" | "granted_at" | "learnt" => table == "consent",
        "register" => table == "revision",
        "start_day" | "end_day" => table != "raw_answer",
        "meter" | "dataset" => table == "call",
        _ => false,
    }
}

/// A number that may stand in a column.
fn number(rng: &mut Rng, table: &str, column: &Column) -> i64 {
    const FIRST: i64 = 20_000;
    match (table, column.name) {
        (_, "account" | "source" | "old_source") => rng.i64(1..=3),
        (_, "meter" | "dataset") => rng.i64(1..=5),
        (_, "direction" | "pool" | "summer" | "outcome" | "last_try" | "certain" | "configured" | "direct") => {
            rng.i64(0..=1)
        }
        ("last_pass", "id") => 1,
        (_, "kind") => rng.i64(0..=2),
        (_, "state") => rng.i64(0..=4),
        ("interval_kind", "minutes") => *rng.choice(&[10, 15, 30, 60]).unwrap(),
        ("load_curve", "start") => FIRST * 86_400 + 1_800 * rng.i64(0..2_000),
        (_, "watts" | "stored") => rng.i64(0..9_000),
        (_, name) => match column.of {
            Type::Day => FIRST + rng.i64(0..40),
            Type::Instant => FIRST * 86_400 + rng.i64(0..4_000_000),
            Type::Small => rng.i64(0..100),
            Type::Int => rng.i64(0..2_000_000_000),
            Type::Long if name.ends_with("_ms") => FIRST * 86_400_000 + rng.i64(0..4_000_000_000),
            Type::Long => rng.i64(0..4_000_000_000),
            Type::Flag => rng.i64(0..=1),
            Type::Text => unreachable!("{name}"),
        },
    }
}

fn text(rng: &mut Rng, column: &str, row: i64) -> String {
    match column {
        "prm" => format!("{:014}", 1_234_567_890_000 + row),
        // Each of them once.
        "key" | "name" => format!("{} n°{row}", rng.choice(["é", "\u{10ffff}", "'", "\\N\t\n", "日本"]).unwrap()),
        _ => (0..rng.usize(0..6)).map(|_| rng.choice(['a', 'Z', '"', '\\', '\n', 'é', '€', '🔌']).unwrap()).collect(),
    }
}

/// The numbers of a row, and its texts.
type Row = (Vec<Option<i64>>, Vec<Option<String>>);

/// Rows of a table that fit to each other and to those of the tables before it.
fn random(rng: &mut Rng, table: &'static Table) -> Chunk {
    let (ids, rows) = match table.name {
        "account" | "source" | "interval_kind" => (Some(3), 3),
        "meter" => (Some(5), 5),
        "call" | "revision" => (Some(5_000), rng.i64(0..2_500)),
        "load_curve" => (None, rng.i64(0..9_000)),
        _ => (None, rng.i64(0..80)),
    };
    let first_id = i64::from(table.name != "interval_kind");
    let mut numbers: Vec<i64> = (first_id..ids.unwrap_or(0) + first_id).collect();
    while i64::try_from(numbers.len()).unwrap() > rows {
        numbers.swap_remove(rng.usize(0..numbers.len()));
    }
    numbers.sort_unstable();
    let mut seen = BTreeSet::new();
    let mut all: Vec<Row> = Vec::new();
    for row in 0..rows {
        let (mut own, mut texts) = (Vec::new(), Vec::new());
        for (at, column) in table.columns.iter().enumerate() {
            let empty = at >= table.key && may_be_empty(table.name, column.name) && rng.u8(0..3) == 0;
            let id = numbers.get(usize::try_from(row).unwrap()).filter(|_| at == 0 && ids.is_some());
            match column.of {
                Type::Text => texts.push((!empty).then(|| text(rng, column.name, row))),
                _ => own.push((!empty).then(|| id.copied().unwrap_or_else(|| number(rng, table.name, column)))),
            }
        }
        // Two of a kind are one kind.
        if table.name == "interval_kind" {
            own[1] = Some(10 * (row + 1));
        }
        let numeric = table.columns.iter().take(table.key).filter(|column| column.of != Type::Text).count();
        if seen.insert((own[..numeric].to_vec(), texts.iter().take(table.key - numeric).cloned().collect::<Vec<_>>())) {
            all.push((own, texts));
        }
    }
    let key_texts = table.columns.iter().take(table.key).filter(|column| column.of == Type::Text).count();
    // As the engines order them: by the columns of the key, texts by their bytes.
    all.sort_by_cached_key(|(own, texts)| {
        let (mut numbers, mut strings) = (own.iter(), texts.iter().take(key_texts.max(1)));
        let of = |column: &Column| match column.of {
            Type::Text => (0, strings.next().cloned().flatten()),
            _ => (numbers.next().copied().flatten().unwrap(), None),
        };
        table.columns.iter().take(table.key).map(of).collect::<Vec<_>>()
    });
    let mut chunk = Chunk::empty(table);
    chunk.rows = all.len();
    for (own, texts) in all {
        let (mut own, mut texts) = (own.into_iter(), texts.into_iter());
        for cells in &mut chunk.columns {
            match cells {
                Cells::Numbers(all) => all.push(own.next().unwrap()),
                Cells::Texts(all) => all.push(texts.next().unwrap()),
            }
        }
    }
    chunk
}

/// Fills a database at random.
async fn fill(store: &dyn Bulk, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let days = Days::new(Day::from_number(19_990), Day::from_number(20_100));
    store.prepare(Held { days, hours: days }).await.unwrap();
    for table in TABLES {
        let chunk = random(&mut rng, table);
        let rows = u64::try_from(chunk.rows).unwrap();
        assert_eq!(store.write(chunk).await.unwrap(), Written { inserted: rows, changed: 0 }, "{}", table.name);
    }
    store.prepare(Held::default()).await.unwrap();
}

/// Copies, and insists on an equal result; how many rows were written.
async fn copied(source: &dyn Bulk, target: &dyn Bulk) -> u64 {
    let all = copy(source, target, &|done, total| assert!(done <= total)).await.unwrap();
    for one in &all {
        assert!(one.is_equal(), "{one:?}");
    }
    all.iter().map(|one| one.written).sum()
}

/// What every view shows.
async fn shown<H: Host>(host: &H) -> Vec<(String, Vec<String>)> {
    let mut all = Vec::new();
    for view in host.views().await {
        let mut rows = host.rows(&format!("SELECT * FROM {view}")).await;
        rows.sort();
        all.push((view, rows));
    }
    all
}

/// An empty database on the tests' server.
async fn on_server() -> (Database, PostgresStore) {
    let database = Server::shared().database().await;
    let address = Address::parse(&database.url(), None).unwrap();
    let store = PostgresStore::open(address, Mode::Create, TimeOf::Caller, Arc::new(SystemClock::new())).await;
    (database, store.unwrap())
}

/// An empty database of each kind, with what keeps it.
async fn targets() -> [(Box<dyn Any>, Box<dyn Bulk>); 2] {
    let ((file, in_file), (server, on_server)) = (Sqlite::new().await, on_server().await);
    [(Box::new(file), Box::new(in_file)), (Box::new(server), Box::new(on_server))]
}

#[tokio::test]
async fn a_database_is_copied_there_and_back() {
    for seed in 0..2 {
        let (host, store) = Sqlite::new().await;
        fill(&store, seed).await;
        let rows = store.size().await.unwrap();
        let before = shown(&host).await;
        assert!(before.iter().any(|(view, rows)| view == "v_load_curve" && !rows.is_empty()));
        for (_keeper, other) in targets().await {
            assert_eq!(copied(&store, &*other).await, rows, "seed {seed}");
            assert_eq!(copied(&store, &*other).await, 0, "nothing is left to write");
            assert_eq!(other.held().await.unwrap(), store.held().await.unwrap());
            let (back_host, back) = Sqlite::new().await;
            assert_eq!(copied(&*other, &back).await, rows);
            assert_eq!(shown(&back_host).await, before, "seed {seed}");
        }
    }
}

#[tokio::test]
async fn a_server_is_copied_to_another_and_goes_on_counting() {
    let ((_one, store), (database, other)) = (on_server().await, on_server().await);
    fill(&store, 21).await;
    assert!(copied(&store, &other).await > 0);
    assert_eq!(copied(&store, &other).await, 0);
    // New rows get numbers that are free.
    database.run("INSERT INTO account (key) VALUES ('another')").await;
    database.run("INSERT INTO call (account, at_ms, asked_at, source, pool) VALUES (1, 1, 1, 1, 0)").await;
    assert!(copy(&store, &other, &|_, _| {}).await.unwrap_err().to_string().contains("its call "));
}

#[tokio::test]
async fn every_table_and_column_is_carried() {
    let (host, _store) = Sqlite::new().await;
    let all = host.rows("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'").await;
    let carried: Vec<&str> = TABLES.iter().map(|table| table.name).chain(MADE).collect();
    assert_eq!(all.iter().map(String::as_str).collect::<BTreeSet<_>>(), carried.into_iter().collect());
    for table in TABLES {
        let query = |more: &str| format!("SELECT name FROM pragma_table_info('{}') {more}", table.name);
        let columns = host.rows(&query("")).await.into_iter().collect::<BTreeSet<_>>();
        assert_eq!(columns, table.columns.iter().map(|column| column.name.to_owned()).collect(), "{}", table.name);
        let key = host.rows(&query("WHERE pk > 0 ORDER BY pk")).await;
        assert_eq!(key, table.columns.iter().take(table.key).map(|column| column.name).collect::<Vec<_>>());
        assert_ne!(table.columns[0].of, Type::Text, "{}: groups are numbers", table.name);
    }
}

/// A database that fails at one of its writes.
#[derive(Debug)]
struct Failing<'a> {
    inner: &'a dyn Bulk,
    left: AtomicU64,
}

#[async_trait]
impl Bulk for Failing<'_> {
    async fn size(&self) -> Result<u64, StoreError> {
        self.inner.size().await
    }
    async fn rows(
        &self,
        tables: &'static [Table],
        most: usize,
    ) -> Result<Receiver<Result<Chunk, StoreError>>, StoreError> {
        self.inner.rows(tables, most).await
    }
    async fn write(&self, chunk: Chunk) -> Result<Written, StoreError> {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 0 {
            return Err(StoreError::Database(sqlx::Error::WorkerCrashed));
        }
        self.inner.write(chunk).await
    }
    async fn clear(&self, notes: &'static Table) -> Result<(), StoreError> {
        self.inner.clear(notes).await
    }
    async fn held(&self) -> Result<Held, StoreError> {
        self.inner.held().await
    }
    async fn prepare(&self, held: Held) -> Result<(), StoreError> {
        self.inner.prepare(held).await
    }
}

#[tokio::test]
async fn a_copy_that_was_broken_off_goes_on() {
    let (_host, store) = Sqlite::new().await;
    fill(&store, 7).await;
    for (_keeper, other) in targets().await {
        for writes in [0, 3, 5] {
            let failing = Failing { inner: &*other, left: writes.into() };
            assert!(matches!(copy(&store, &failing, &|_, _| {}).await, Err(CopyError::Store(_))), "{writes}");
        }
        let rest = copied(&store, &*other).await;
        assert!(0 < rest && rest < store.size().await.unwrap(), "some were there");
    }
}

/// Some rows with the first one changed in a column.
fn changed(mut chunk: Chunk, column: &str) -> Chunk {
    let place = chunk.table.columns.iter().position(|c| c.name == column).unwrap();
    match &mut chunk.columns[place] {
        Cells::Numbers(all) => all[0] = all[0].map(|number| number + 1).or(Some(1)),
        Cells::Texts(all) => all[0] = Some("another".to_owned()),
    }
    chunk
}

async fn all_of(store: &dyn Bulk, name: &str) -> Chunk {
    let mut rows = store.rows(std::slice::from_ref(table(name)), 1_000_000).await.unwrap();
    rows.recv().await.unwrap().unwrap()
}

#[tokio::test]
async fn a_later_copy_carries_what_has_changed_since() {
    let (_host, store) = Sqlite::new().await;
    fill(&store, 11).await;
    let targets = targets().await;
    for (_, other) in &targets {
        copied(&store, &**other).await;
    }
    for (name, column) in [("load_curve", "watts"), ("series", "message"), ("account", "key"), ("coverage", "expected")]
    {
        let written = store.write(changed(all_of(&store, name).await, column)).await.unwrap();
        assert_eq!(written, Written { inserted: 0, changed: 1 }, "{name}");
    }
    // Notes come and go.
    assert!(!all_of(&store, NOTES).await.columns.is_empty());
    store.clear(table(NOTES)).await.unwrap();
    for (_, other) in &targets {
        assert_eq!(copied(&store, &**other).await, 4);
    }
}

#[tokio::test]
async fn a_target_with_other_data_is_left_alone() {
    let (_host, store) = Sqlite::new().await;
    fill(&store, 3).await;
    let refused = async |other: &dyn Bulk, what: &str| {
        let size = other.size().await.unwrap();
        let error = copy(&store, other, &|_, _| {}).await.unwrap_err().to_string();
        assert!(error.contains(what) && error.contains("nothing was written"), "{error}");
        assert_eq!(other.size().await.unwrap(), size);
    };
    // Another household.
    let other = World::<Sqlite>::new().await;
    refused(&other.store, "its meter 1 is not").await;
    // An earlier copy on which linkyd has worked since.
    let (_other_host, other) = Sqlite::new().await;
    copied(&store, &other).await;
    let mut journal = all_of(&other, "call").await;
    let last = journal.rows - 1;
    let Cells::Numbers(ids) = &mut journal.columns[0] else { panic!() };
    ids[last] = Some(9_999);
    other.write(journal).await.unwrap();
    refused(&other, "its call 9999 is not").await;
}

#[tokio::test]
async fn what_the_target_has_besides_is_told_and_kept() {
    let (_host, store) = Sqlite::new().await;
    fill(&store, 5).await;
    let (host, other) = Sqlite::new().await;
    copied(&store, &other).await;
    let mut more = all_of(&other, "daily_energy").await;
    let Cells::Numbers(days) = &mut more.columns[2] else { panic!() };
    days[0] = Some(30_000);
    assert_eq!(other.write(more).await.unwrap().inserted, 1);
    let all = copy(&store, &other, &|_, _| {}).await.unwrap();
    let unequal: Vec<&str> = all.iter().filter(|one| !one.is_equal()).map(|one| one.table).collect();
    assert_eq!(unequal, ["daily_energy"]);
    assert_eq!(host.rows("SELECT count(*) FROM daily_energy WHERE day = 30000").await, ["1"]);
}
