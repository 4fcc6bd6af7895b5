//! What benchmarks of the PostgreSQL store share: a server that waits for its disk, and a database of a fleet.

use std::sync::Arc;

use linkyd::budget::Limits;
use linkyd::clock::{Clock, SystemClock};
use linkyd::domain::Dataset;
use linkyd::store::postgres::{Address, PostgresStore, TimeOf};
use linkyd::store::{MeterSetup, Mode, Setup, SourceSetup};

use crate::figures::Outcome;
use crate::server::{Database, Server};

/// Some limits that never bind.
pub(crate) const UNBOUND: Limits = Limits { per_second: 1_000_000, per_hour: None, per_day: None };

/// The tests' own server, waiting for the disk as in real life.
pub(crate) async fn durable() -> &'static Server {
    let server = Server::own();
    let tune = server.empty_database().await;
    for setting in ["fsync", "full_page_writes", "synchronous_commit"] {
        tune.run(&format!("ALTER SYSTEM SET {setting} = on")).await;
    }
    tune.run("ALTER SYSTEM SET max_wal_size = '4GB'").await;
    tune.run("SELECT pg_reload_conf()").await;
    server
}

/// The store of a database.
pub(crate) async fn connect(database: &Database) -> Outcome<PostgresStore> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    Ok(PostgresStore::open(Address::parse(&database.url(), None)?, Mode::Write, TimeOf::Caller, clock).await?)
}

/// A configuration of so many meters with these series.
pub(crate) fn setup(meters: i64, datasets: &[Dataset]) -> Outcome<Setup> {
    let sources = vec![SourceSetup {
        name: "enedis".into(),
        kind: "enedis",
        account: "enedis:app".into(),
        direct: true,
        credentials: "c".into(),
    }];
    let meter = |n: i64| {
        Ok::<_, Box<dyn std::error::Error>>(MeterSetup {
            customer: Vec::new(),
            prm: format!("{:014}", 12_345_678_901_234 + n).parse()?,
            name: format!("meter {n}"),
            source: "enedis".into(),
            sources: vec!["enedis".into()],
            consent_until: None,
            datasets: datasets.to_vec(),
        })
    };
    Ok(Setup { sources, meters: (1..=meters).map(meter).collect::<Result<_, _>>()? })
}
