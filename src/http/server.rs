//! Connections: so many and no more, each for so long and no longer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Connections at a time; the next one waits in the kernel's queue.
const MOST_CONNECTIONS: usize = 64;

/// A connection that takes longer is cut, be it slow, silent or forgotten.
const LONGEST: Duration = Duration::from_secs(10);

/// How long until the address is tried again where another program holds it.
const AGAIN: Duration = Duration::from_mins(1);

/// The listening end; it is closed when this is dropped.
#[derive(Debug)]
pub struct Server {
    task: JoinHandle<()>,
}

impl Server {
    /// Listens. An address that cannot be had is no reason to fetch nothing: it is said, and tried
    /// again each minute.
    pub async fn start(listen: SocketAddr, router: Router) -> Self {
        let first = TcpListener::bind(listen).await;
        let task = tokio::spawn(async move {
            let mut bound = first;
            let mut told = false;
            loop {
                match bound {
                    Ok(listener) => {
                        tracing::info!("the status page is at http://{listen}/");
                        serve(listener, router.clone()).await;
                    }
                    Err(error) if !std::mem::replace(&mut told, true) => {
                        tracing::error!(%error, "the status page cannot listen on {listen}; the history is fetched all the same");
                    }
                    Err(_) => {}
                }
                pause(AGAIN).await;
                bound = TcpListener::bind(listen).await;
            }
        });
        Self { task }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves until the listener fails for good, which a listener hardly does.
async fn serve(listener: TcpListener, router: Router) {
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut errors = 0;
    while errors < 100 {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => {
                errors = 0;
                stream
            }
            Err(error) => {
                // No file descriptors left, or a connection that was gone before it was seen.
                errors += 1;
                tracing::debug!(%error, "a connection was not accepted");
                pause(Duration::from_millis(100)).await;
                continue;
            }
        };
        let connection = connection(stream, router.clone());
        tokio::spawn(async move {
            connection.await;
            drop(place);
        });
    }
}

/// Serves one connection to its end, which comes soon.
pub(super) async fn connection(stream: TcpStream, router: Router) {
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(LONGEST)
        .max_buf_size(16 * 1024)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // Whether it ended well is the visitor's concern.
    let _ended = tokio::time::timeout(LONGEST, connection).await;
}

#[expect(clippy::disallowed_methods, reason = "a limit on input and output, which no calendar moves")]
async fn pause(wait: Duration) {
    tokio::time::sleep(wait).await;
}
