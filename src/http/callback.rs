//! Where Enedis sends the browser back to: one address on loopback, open for the time of a journey.
//!
//! It says nothing by itself. Each visit is handed on with the part of the address after its `?`, and whoever
//! takes it says what the page shall tell. Only that one path is answered, only to a browser that calls it by
//! a name of this machine ([`super::guard`]), and only a GET counts: what looks at links beforehand uses up
//! nothing.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{Method, StatusCode};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::guard::{self, Guard};
use super::server;
use crate::config::HttpConfig;

/// The path to which the browser is sent.
pub const PATH: &str = "/callback";

/// Connections at a time; whoever comes on top of them is turned away.
const MOST_CONNECTIONS: usize = 16;

/// How long a browser may take to read the last page.
const LAST_PAGE: Duration = Duration::from_secs(2);

/// A browser that came back.
#[derive(Debug)]
pub struct Visit {
    /// What stands after the `?` of the address.
    pub query: String,
    answer: oneshot::Sender<Said>,
}

/// What the page tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Whether the journey brought what it was for.
    pub good: bool,
    /// In one line.
    pub title: String,
    /// In a sentence or two.
    pub text: String,
}

impl Visit {
    /// Shows the page.
    pub fn say(self, said: Said) {
        // A browser that has gone needs none.
        let _gone = self.answer.send(said);
    }
}

/// The listening end; it is closed when this is dropped.
#[derive(Debug)]
pub struct Callback {
    address: SocketAddr,
    visits: mpsc::Receiver<Visit>,
    closes: CancellationToken,
    task: JoinHandle<()>,
}

impl Callback {
    /// Listens. Port 0 takes a free one.
    pub async fn open(listen: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let (hand_on, visits) = mpsc::channel(MOST_CONNECTIONS);
        let closes = CancellationToken::new();
        let task = tokio::spawn(serve(listener, router(address, hand_on), closes.clone()));
        Ok(Self { address, visits, closes, task })
    }

    /// Where the browser is to come back to.
    #[must_use]
    pub fn address(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    /// The next visit.
    pub async fn next(&mut self) -> Option<Visit> {
        self.visits.recv().await
    }

    /// Closes it once the pages that are being read have been read.
    pub async fn close(mut self) {
        self.closes.cancel();
        self.visits.close();
        // Whoever still came is not waited for.
        while let Ok(visit) = self.visits.try_recv() {
            drop(visit);
        }
        let _ended = tokio::time::timeout(LAST_PAGE, &mut self.task).await;
    }
}

impl Drop for Callback {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn router(address: SocketAddr, hand_on: mpsc::Sender<Visit>) -> Router {
    let listen = HttpConfig { listen: Some(address), allow_remote: false, hosts: Vec::new(), token: None };
    let guard = Arc::new(Guard::new(&listen));
    Router::new()
        .route(PATH, get(visit))
        .with_state(hand_on)
        .layer(axum::middleware::from_fn(move |request, next| guard::check(Arc::clone(&guard), request, next)))
}

async fn visit(State(hand_on): State<mpsc::Sender<Visit>>, method: Method, RawQuery(query): RawQuery) -> Response {
    if method != Method::GET {
        return StatusCode::NO_CONTENT.into_response();
    }
    let (answer, said) = oneshot::channel();
    let visit = Visit { query: query.unwrap_or_default(), answer };
    let said = match hand_on.try_send(visit) {
        Ok(()) => said.await.ok(),
        Err(_) => None,
    };
    match said {
        Some(said) => {
            let status = if said.good { StatusCode::OK } else { StatusCode::BAD_REQUEST };
            (status, Html(page(&said))).into_response()
        }
        None => (StatusCode::SERVICE_UNAVAILABLE, "linkyd is not waiting for this any more.\n").into_response(),
    }
}

fn page(said: &Said) -> String {
    let (title, text) = (escaped(&said.title), escaped(&said.text));
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n\
         <style>body{{font:1.1em sans-serif;max-width:36em;margin:3em auto;padding:0 1em}}</style></head>\n\
         <body><h1>{title}</h1>\n<p>{text}</p>\n<p>This page can be closed.</p></body></html>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

async fn serve(listener: TcpListener, router: Router, closes: CancellationToken) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = closes.cancelled() => break,
            Some(_) = open.join_next(), if !open.is_empty() => {}
            accepted = listener.accept(), if open.len() < MOST_CONNECTIONS => {
                // A connection that was gone before it was seen is nobody's loss.
                let Ok((stream, _)) = accepted else { continue };
                open.spawn(server::connection(stream, router.clone()));
            }
        }
    }
    drop(listener);
    while open.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    async fn ask(address: &str, line: &str, host: &str) -> String {
        let at = address.trim_start_matches("http://").trim_end_matches(PATH);
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn only_the_browser_that_comes_back_is_handed_on() {
        let mut callback = Callback::open("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = callback.address();
        for (line, host, status) in [
            ("GET /", "localhost", "404"),
            ("GET /favicon.ico", "localhost", "404"),
            ("GET /callback?state=x", "elsewhere.example", "421"),
            ("POST /callback?state=x", "localhost", "405"),
            ("HEAD /callback?state=x", "localhost", "204"),
        ] {
            let answer = ask(&address, line, host).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{line} {host}: {answer}");
        }
        let asked = tokio::spawn({
            let address = address.clone();
            async move { ask(&address, "GET /callback?a=1&state=%3C", "127.0.0.1:9766").await }
        });
        let visit = callback.next().await.unwrap();
        assert_eq!(visit.query, "a=1&state=%3C");
        visit.say(Said { good: false, title: "No <b>".to_owned(), text: "a & b".to_owned() });
        // The page is still read while it closes.
        callback.close().await;
        let answer = asked.await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        assert!(answer.contains("<h1>No &lt;b&gt;</h1>") && answer.contains("a &amp; b"), "{answer}");
        assert!(answer.contains("default-src 'none'") && answer.contains("no-store"), "{answer}");
        assert!(TcpStream::connect(address.trim_start_matches("http://").trim_end_matches(PATH)).await.is_err());
    }
}
