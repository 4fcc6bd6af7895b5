//! A stand-in for the way to the server that can lose the answer to a `COMMIT`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

/// `COMMIT` as the driver sends it.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

/// The way, and how many answers to a `COMMIT` it is to lose from now on.
pub(super) struct Proxy {
    folder: tempfile::TempDir,
    answers: Arc<AtomicU32>,
    /// Whether the `COMMIT` itself is lost, so that nothing was committed.
    commits_lost: Arc<AtomicU32>,
    pub(super) gone: Arc<AtomicU32>,
}

impl Proxy {
    /// A way to the socket of a server.
    pub(super) fn to(socket: PathBuf) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let (answers, commits_lost, gone) =
            (Arc::<AtomicU32>::default(), Arc::<AtomicU32>::default(), Arc::<AtomicU32>::default());
        let shared = (Arc::clone(&answers), Arc::clone(&commits_lost), Arc::clone(&gone));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&socket).await.unwrap();
                tokio::spawn(carry(client, server, shared.clone()));
            }
        });
        Self { folder, answers, commits_lost, gone }
    }

    /// The URL of a database by this way.
    pub(super) fn url(&self, url: &str) -> String {
        let mut url = url::Url::parse(url).unwrap();
        url.set_query(Some(&format!("host={}", self.folder.path().display())));
        url.into()
    }

    /// Loses the next answer to a `COMMIT`.
    pub(super) fn lose_an_answer(&self) {
        self.answers.store(1, Ordering::SeqCst);
    }

    /// Loses the next `COMMIT` itself.
    pub(super) fn lose_a_commit(&self) {
        self.commits_lost.store(1, Ordering::SeqCst);
    }
}

type Shared = (Arc<AtomicU32>, Arc<AtomicU32>, Arc<AtomicU32>);

fn take(count: &AtomicU32) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
}

async fn carry(mut client: UnixStream, mut server: UnixStream, (answers, commits_lost, gone): Shared) {
    let (mut from_client, mut from_server) = ([0; 16384], [0; 16384]);
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let Ok(count @ 1..) = read else { return };
                let sent = &from_client[..count];
                let commits = sent == COMMIT;
                if commits && take(&commits_lost) {
                    gone.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                if server.write_all(sent).await.is_err() {
                    return;
                }
                if commits && take(&answers) {
                    // It is committed once the server has answered.
                    let _ = server.read(&mut from_server).await;
                    gone.fetch_add(1, Ordering::SeqCst);
                    return;
                }
            }
            read = server.read(&mut from_server) => {
                let Ok(count @ 1..) = read else { return };
                if client.write_all(&from_server[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}
