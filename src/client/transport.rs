//! One request out, one bounded answer in.

use std::error::Error as _;
use std::sync::Once;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::redirect::Policy;
use secrecy::ExposeSecret as _;
use url::Url;

use crate::source::catalogue::Own;
use crate::source::{Request, Response, is_loopback};

/// An answer larger than this is not read to its end: the largest honest one, a week at a step of
/// five minutes, is a tenth of it.
pub const MAX_BODY: usize = 2 * 1024 * 1024;

/// Time for a connection to be made.
const CONNECT: Duration = Duration::from_secs(10);

/// Time for a whole exchange, so that a server that drips bytes ends like one that says nothing.
const WHOLE: Duration = Duration::from_mins(1);

/// Connections that idle longer are not used again: the other side may just be closing them.
const IDLE: Duration = Duration::from_secs(20);

/// Why no answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TransportError {
    /// No connection: refused, unroutable.
    #[error("no connection")]
    Unreachable,
    /// The name has no address.
    #[error("no address for the name")]
    Dns,
    /// The proxy does not let through.
    #[error("the proxy does not let through")]
    Proxy,
    /// The other side could not prove who it is, or speaks no acceptable TLS.
    #[error("no trustworthy TLS connection")]
    Tls,
    /// No whole answer in time.
    #[error("no whole answer in time")]
    Timeout,
    /// The connection broke off.
    #[error("the connection broke off")]
    Cut,
    /// The answer is larger than any honest one.
    #[error("the answer is too large")]
    TooLarge,
}

impl TransportError {
    /// The trouble it is in the error catalogue.
    #[must_use]
    pub fn trouble(self) -> Own {
        match self {
            Self::Unreachable => Own::Unreachable,
            Self::Dns => Own::Dns,
            Self::Proxy => Own::Proxy,
            Self::Tls => Own::Tls,
            Self::Timeout => Own::Timeout,
            Self::Cut => Own::Cut,
            Self::TooLarge => Own::TooLarge,
        }
    }
}

/// Sends requests.
#[async_trait]
pub trait Transport: Send + Sync + std::fmt::Debug {
    /// Sends one request and reads its answer. Never retries and never follows a redirect: a 3xx
    /// is an answer like any other, so a token cannot reach another host.
    async fn send(&self, request: &Request) -> Result<Response, TransportError>;
}

/// HTTP over the network.
#[derive(Debug)]
pub struct HttpTransport {
    client: reqwest::Client,
}

/// The HTTP client could not be built.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client could not be set up; are the system's certificates (ca-certificates) installed?")]
pub struct HttpSetupError(#[source] reqwest::Error);

impl HttpTransport {
    /// A client for this base address. Plain HTTP is spoken to loopback addresses only, and those
    /// are never reached through a proxy.
    pub fn new(base: &Url) -> Result<Self, HttpSetupError> {
        install_tls();
        let local = is_loopback(base);
        let mut builder = reqwest::Client::builder()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT)
            .timeout(WHOLE)
            .pool_idle_timeout(IDLE)
            .https_only(!local)
            .referer(false)
            .user_agent(concat!("linkyd/", env!("CARGO_PKG_VERSION")));
        if local {
            builder = builder.no_proxy();
        }
        if base.scheme() == "http" {
            // There is nobody to prove who he is, so no certificates are read from the system.
            builder = builder.tls_certs_only([]);
        }
        Ok(Self { client: builder.build().map_err(|e| HttpSetupError(e.without_url()))? })
    }
}

/// Makes ring the provider of TLS; any number of calls is fine.
fn install_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error means that a provider is installed already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, request: &Request) -> Result<Response, TransportError> {
        let post = |content_type: &str, body: String| {
            self.client.post(request.url.clone()).header("content-type", content_type).body(body)
        };
        let mut builder = match (&request.form, &request.json) {
            (Some(form), _) => post("application/x-www-form-urlencoded", form.expose_secret().to_owned()),
            (None, Some(json)) => post("application/json", json.clone()),
            (None, None) => self.client.get(request.url.clone()),
        };
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        if let Some(authorization) = &request.authorization {
            let mut value = reqwest::header::HeaderValue::from_str(authorization.expose_secret())
                .map_err(|_| TransportError::Cut)?;
            value.set_sensitive(true);
            builder = builder.header("authorization", value);
        }
        let mut answer = builder.send().await.map_err(|e| classify(&e))?;
        let status = answer.status().as_u16();
        let headers = answer
            .headers()
            .iter()
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
            .collect();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|e| classify(&e))? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(TransportError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Response { status, headers, body })
    }
}

/// What kind of failure it was. The error itself is never shown: it holds the address and in it
/// the PRM.
fn classify(error: &reqwest::Error) -> TransportError {
    let mut source = error.source();
    while let Some(inner) = source {
        if inner.downcast_ref::<rustls::Error>().is_some() {
            return TransportError::Tls;
        }
        // An I/O error that carries a TLS error does not list it as its source.
        let carried = inner.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if carried.is_some_and(|c| c.downcast_ref::<rustls::Error>().is_some()) {
            return TransportError::Tls;
        }
        source = inner.source();
    }
    if error.is_connect() {
        of_connecting(error)
    } else if error.is_timeout() {
        TransportError::Timeout
    } else {
        TransportError::Cut
    }
}

/// Why there is no connection. The types of these errors are nobody's to name, but their words are the same
/// since they were first written; where they change, all is `Unreachable` again.
fn of_connecting(error: &dyn std::error::Error) -> TransportError {
    let mut next = error.source();
    while let Some(inner) = next {
        let text = inner.to_string();
        if text.starts_with("tunnel error") || text.contains("proxy") {
            return TransportError::Proxy;
        }
        if text.starts_with("dns error") {
            return TransportError::Dns;
        }
        next = inner.source();
    }
    TransportError::Unreachable
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn request(url: &str) -> Request {
        let authorization = Some(SecretString::from("Bearer x"));
        Request { form: None, json: None, url: url.parse().unwrap(), headers: Vec::new(), authorization }
    }

    /// A client that knows no certificate and goes through that proxy, if any.
    fn client(proxy: Option<&str>) -> HttpTransport {
        install_tls();
        let builder = reqwest::Client::builder().tls_certs_only([]).connect_timeout(CONNECT).no_proxy();
        let builder = match proxy {
            Some(proxy) => builder.proxy(reqwest::Proxy::all(proxy).unwrap()),
            None => builder,
        };
        HttpTransport { client: builder.build().unwrap() }
    }

    #[tokio::test]
    async fn what_keeps_a_connection_from_coming_about_is_told_apart() {
        // A name that no resolver may know.
        let error = client(None).send(&request("https://meters.invalid/")).await.unwrap_err();
        assert_eq!(error, TransportError::Dns);
        // A port that nobody listens on.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = client(None).send(&request(&format!("http://{free}/"))).await.unwrap_err();
        assert_eq!(error, TransportError::Unreachable);
        // A proxy that wants to know who asks.
        let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", proxy.local_addr().unwrap());
        let answers = tokio::spawn(async move {
            let (mut stream, _) = proxy.accept().await.unwrap();
            let mut asked = [0; 1024];
            let _read = stream.read(&mut asked).await.unwrap();
            stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await.unwrap();
        });
        let error = client(Some(&address)).send(&request("https://enedis.example/")).await.unwrap_err();
        assert_eq!(error, TransportError::Proxy);
        answers.await.unwrap();
    }
}
