//! Who may look.
//!
//! A page on loopback is not private by itself: a foreign web page can have a visitor's browser
//! call it under a name that its owner points to 127.0.0.1. So the name under which the page is
//! called must be one of its own. Names can be forged by whoever is no browser; where other
//! machines can reach the page, a token is needed as well.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use secrecy::{ExposeSecret as _, SecretString};

use crate::config::HttpConfig;

/// What a visitor must bring.
#[derive(Debug)]
pub struct Guard {
    listen: Option<SocketAddr>,
    remote: bool,
    hosts: Vec<String>,
    token: Option<SecretString>,
}

impl Guard {
    /// The guard of a configuration.
    #[must_use]
    pub fn new(config: &HttpConfig) -> Self {
        Self {
            listen: config.listen,
            remote: config.listen.is_some_and(|listen| !listen.ip().is_loopback()),
            hosts: config.hosts.clone(),
            token: config.token.clone(),
        }
    }

    /// Whether the page may be called by that name.
    fn knows(&self, host: &str) -> bool {
        let name = without_port(host).trim_end_matches('.').to_ascii_lowercase();
        if name == "localhost" || self.hosts.contains(&name) {
            return true;
        }
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        // An address is no name that somebody else could point here.
        address.is_ok_and(|ip| ip.is_loopback() || self.remote || self.listen.is_some_and(|l| l.ip() == ip))
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(shown);
        shown.is_some_and(|shown| same(shown.as_bytes(), token.expose_secret().as_bytes()))
    }
}

/// Lets those in who may look; everybody else gets a word about why not.
pub async fn check(guard: Arc<Guard>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let mut response = if !host.is_some_and(|host| guard.knows(host)) {
        let what = "This page is not called by that name. Use its address, or add the name to http.hosts.\n";
        (StatusCode::MISDIRECTED_REQUEST, what).into_response()
    } else if !guard.admits(request.headers()) {
        let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"linkyd\", charset=\"UTF-8\"")];
        (StatusCode::UNAUTHORIZED, challenge, "A token is needed: http.token of the configuration.\n").into_response()
    } else if !matches!(*request.method(), Method::GET | Method::HEAD) {
        (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response()
    } else {
        next.run(request).await
    };
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The token in `Bearer …`, or the password in `Basic …`.
fn shown(authorization: &str) -> Option<String> {
    let (scheme, rest) = authorization.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(base64(rest.trim())?).ok()?;
    text.split_once(':').map(|(_, password)| password.to_owned())
}

/// Decodes base64 as browsers write it.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0_u32);
    for byte in text.trim_end_matches('=').bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xff).ok()?);
        }
    }
    Some(bytes)
}

/// Compares without telling by its duration where two texts part.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

/// A host without its port: `[::1]:80`, `localhost:80`, `localhost`.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // In a bare IPv6 address what follows the last colon is no port.
        Some((name, port))
            if port.bytes().all(|b| b.is_ascii_digit()) && (name.ends_with(']') || !name.contains(':')) =>
        {
            name
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(listen: &str, hosts: &[&str], token: Option<&str>) -> Guard {
        Guard::new(&HttpConfig {
            listen: Some(listen.parse().unwrap()),
            allow_remote: true,
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            token: token.map(SecretString::from),
        })
    }

    #[test]
    fn only_names_of_its_own_are_known() {
        let local = guard("127.0.0.1:9764", &["nas.lan"], None);
        for host in
            ["localhost", "localhost:9764", "LOCALHOST:1", "127.0.0.1:9764", "[::1]:9764", "[::1]", "nas.lan:80"]
        {
            assert!(local.knows(host), "{host}");
        }
        for host in
            ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "192.168.1.5:9764", "a:b"]
        {
            assert!(!local.knows(host), "{host}");
        }
        let remote = guard("0.0.0.0:9764", &[], Some("t"));
        assert!(remote.knows("192.168.1.5:9764") && remote.knows("[fe80::1]:9764") && !remote.knows("evil.example"));
    }

    #[test]
    fn a_token_is_a_bearer_or_a_password() {
        let guard = guard("0.0.0.0:9764", &[], Some("s3cret:é"));
        let admits = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            guard.admits(&headers)
        };
        // "any:s3cret:é"
        assert!(admits("Basic YW55OnMzY3JldDrDqQ==") && admits("basic YW55OnMzY3JldDrDqQ=="));
        for wrong in ["", "Bearer", "Bearer s3cret", "Basic ???", "Basic YW55OnMzY3JldA==", "Digest x", "s3cret:é"] {
            assert!(!admits(wrong), "{wrong}");
        }
        assert!(!guard.admits(&HeaderMap::new()));
        let plain = super::tests::guard("0.0.0.0:9764", &[], Some("s3cret"));
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer s3cret"));
        assert!(plain.admits(&headers));
    }
}
