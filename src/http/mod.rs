//! The status page: metrics, health, and a first page for people.
//!
//! Everything here only reads. A GET changes nothing and costs no call; the database is looked at
//! through the connection that cannot write. Who may look is [`guard`]'s matter, how many at a time
//! is `server`'s.

pub mod callback;
pub mod guard;
mod health;
mod metrics;
mod page;
mod server;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::clock::Clock;
use crate::config::HttpConfig;
use crate::daemon::board::Shared;
use crate::store::{JournalTally, Store};

pub use server::Server;

/// What the pages show.
#[derive(Debug, Clone)]
pub struct Page {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The machine's time.
    pub clock: Arc<dyn Clock>,
    /// What the daemon is doing.
    pub board: Shared,
    /// The database's file, for its size.
    pub database: Option<PathBuf>,
    /// The calls of the journal, as far as they were counted.
    pub tally: Arc<tokio::sync::Mutex<JournalTally>>,
}

/// Listens as the configuration says; `None` where it says nowhere.
pub async fn start(config: &HttpConfig, page: Page) -> Option<Server> {
    let listen = config.listen?;
    Some(Server::start(listen, router(config, page)).await)
}

/// Every page, behind the guard.
pub fn router(config: &HttpConfig, page: Page) -> Router {
    let guard = Arc::new(guard::Guard::new(config));
    Router::new()
        .route("/", get(page::page))
        .route("/status", get(page::status))
        .route("/metrics", get(metrics::metrics))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .with_state(page)
        .layer(axum::middleware::from_fn(move |request, next| guard::check(Arc::clone(&guard), request, next)))
}
