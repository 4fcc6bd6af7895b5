//! A stand-in for the way to the server that can lose the answer to a `COMMIT`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::Notify;

/// `COMMIT` as the driver sends it.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

/// The way, and how many answers to a `COMMIT` it is to lose from now on.
pub(super) struct Proxy {
    folder: tempfile::TempDir,
    answers: Arc<AtomicU32>,
    /// Whether the `COMMIT` itself is lost, so that nothing was committed.
    commits_lost: Arc<AtomicU32>,
    late: Arc<Late>,
    pub(super) gone: Arc<AtomicU32>,
    /// How often the server had its say.
    pub(super) turns: Arc<AtomicU32>,
}

/// Where a server listens.
enum Listens {
    Socket(PathBuf),
    Network(String, u16),
}

impl Listens {
    fn of(url: &str) -> Self {
        let url = url::Url::parse(url).unwrap();
        let port = url.port().unwrap_or(5432);
        let host = url.query_pairs().find(|(key, _)| key == "host").map(|(_, host)| host.into_owned());
        let host = host.or_else(|| url.host_str().map(str::to_owned)).unwrap_or_else(|| "localhost".to_owned());
        if host.starts_with('/') {
            Self::Socket(PathBuf::from(host).join(format!(".s.PGSQL.{port}")))
        } else {
            Self::Network(host, port)
        }
    }
}

/// A `COMMIT` that is held back while whoever sent it believes the connection lost.
#[derive(Default)]
struct Late {
    wanted: AtomicU32,
    go: Notify,
}

impl Proxy {
    /// A way to the server of a database.
    pub(super) fn to(url: &str) -> Self {
        let server = Listens::of(url);
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let (answers, commits_lost, gone) =
            (Arc::<AtomicU32>::default(), Arc::<AtomicU32>::default(), Arc::<AtomicU32>::default());
        let late = Arc::<Late>::default();
        let turns = Arc::<AtomicU32>::default();
        let counted = Arc::clone(&turns);
        let shared = (Arc::clone(&answers), Arc::clone(&commits_lost), Arc::clone(&late), Arc::clone(&gone), counted);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = shared.clone();
                match &server {
                    Listens::Socket(path) => {
                        tokio::spawn(carry(client, UnixStream::connect(path).await.unwrap(), shared))
                    }
                    Listens::Network(host, port) => {
                        tokio::spawn(carry(client, TcpStream::connect((host.as_str(), *port)).await.unwrap(), shared))
                    }
                };
            }
        });
        Self { folder, answers, commits_lost, late, gone, turns }
    }

    /// The URL of a database by this way.
    pub(super) fn url(&self, url: &str) -> String {
        let mut url = url::Url::parse(url).unwrap();
        url.set_query(Some(&format!("host={}", self.folder.path().display())));
        url.set_port(None).unwrap();
        url.into()
    }

    /// Loses the next answer to a `COMMIT`.
    pub(super) fn lose_an_answer(&self) {
        self.answers.store(1, Ordering::SeqCst);
    }

    /// Holds the next `COMMIT` back, until [`Proxy::deliver`].
    pub(super) fn hold_a_commit(&self) {
        self.late.wanted.store(1, Ordering::SeqCst);
    }

    /// Lets the server have what was held back.
    pub(super) fn deliver(&self) {
        self.late.go.notify_one();
    }

    /// Loses the next `COMMIT` itself.
    pub(super) fn lose_a_commit(&self) {
        self.commits_lost.store(1, Ordering::SeqCst);
    }
}

type Shared = (Arc<AtomicU32>, Arc<AtomicU32>, Arc<Late>, Arc<AtomicU32>, Arc<AtomicU32>);

fn take(count: &AtomicU32) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
}

async fn carry(
    mut client: UnixStream,
    mut server: impl AsyncRead + AsyncWrite + Unpin + Send,
    (answers, commits_lost, late, gone, turns): Shared,
) {
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
                if commits && take(&late.wanted) {
                    gone.fetch_add(1, Ordering::SeqCst);
                    drop(client);
                    late.go.notified().await;
                    let _ = server.write_all(sent).await;
                    let _ = server.read(&mut from_server).await;
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
                turns.fetch_add(1, Ordering::SeqCst);
                if client.write_all(&from_server[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}
