//! Servers that change places: one that takes no writes yet, and an address behind which another one answers by now.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::*;

/// A clock by which something happens once somebody has waited for so long.
pub(super) struct Then<D> {
    clock: ManualClock,
    after: Duration,
    deed: D,
    pub(super) done: AtomicBool,
}

impl<D: Fn()> Then<D> {
    pub(super) fn new(seconds: u64, deed: D) -> Arc<Self> {
        let clock = ManualClock::new(DateTime::from_timestamp(NOW, 0).unwrap());
        Arc::new(Self { clock, after: Duration::from_secs(seconds), deed, done: AtomicBool::new(false) })
    }
}

impl<D> std::fmt::Debug for Then<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Then")
    }
}

#[async_trait]
impl<D: Fn() + Send + Sync> Clock for Then<D> {
    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    async fn sleep_until(&self, until: Duration) {
        self.clock.sleep_until(until).await;
        if self.clock.monotonic() >= self.after && !self.done.swap(true, Ordering::SeqCst) {
            (self.deed)();
        }
    }
}

#[tokio::test]
async fn a_replica_is_waited_for_until_it_takes_writes() {
    let server = Server::own();
    let database = server.database().await;
    let clock = Then::new(12, || server.promote());
    let store = open(&database.url(), Mode::Write, &clock).await;
    server.demote();
    // Who only looks is served.
    assert!(store.status().await.unwrap().is_empty());
    assert!(store.examine().await.unwrap().read_only);
    store.set_up(&setup(1)).await.unwrap();
    assert!(clock.done.load(Ordering::SeqCst), "nothing could be written before");
    assert_eq!(store.status().await.unwrap().len(), 3);
    assert_eq!(store.check().await.unwrap(), []);
}

/// The folder in which the socket of a server is.
fn socket(url: &str) -> PathBuf {
    let url = url::Url::parse(url).unwrap();
    url.query_pairs().find(|(key, _)| key == "host").unwrap().1.into_owned().into()
}

/// Lets a name stand for another folder, as an entry of the DNS does for a server.
fn point(name: &Path, to: &Path) {
    let _where_there_was_one = std::fs::remove_file(name);
    std::os::unix::fs::symlink(to, name).unwrap();
}

#[tokio::test]
async fn an_address_that_has_moved_is_followed() {
    // The first database of each has one name.
    let (old, new) = (Server::own(), Server::own());
    let (before, after) = (old.database().await, new.database().await);
    assert_eq!(before.name(), after.name());
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("db");
    point(&name, &socket(&before.url()));
    let moved = (name.clone(), socket(&after.url()));
    let clock = Then::new(12, move || point(&moved.0, &moved.1));
    let url = format!("postgres://postgres@localhost/{}?host={}", before.name(), name.display());
    let store = open(&url, Mode::Write, &clock).await;
    // What was the primary is back as a replica, and the address still means it.
    old.demote();
    store.set_up(&setup(1)).await.unwrap();
    assert_eq!(store.status().await.unwrap().len(), 3);
    let meters = async |database: &Database| {
        let counted = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM meter");
        counted.fetch_one(&mut database.connect().await).await.unwrap()
    };
    assert_eq!((meters(&before).await, meters(&after).await), (0, 1));
    // Only a server that takes writes can drop its databases.
    old.promote();
}
