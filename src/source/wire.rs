//! What the requests of all kinds have in common.

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

/// How linkyd introduces itself. The operators of gateways ask programs to do so, and look at it
/// before they block one.
pub(super) fn user_agent() -> String {
    concat!("linkyd/", env!("CARGO_PKG_VERSION")).to_owned()
}

/// The address of a route below a base address, whose own path stays in front, as proxies need it.
pub(super) fn url(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    let prefix = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{prefix}{path}"));
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// The headers of every request.
pub(super) fn headers(user_agent: &str) -> Vec<(&'static str, String)> {
    vec![("accept", "application/json".to_owned()), ("user-agent", user_agent.to_owned())]
}

/// The value of the `Authorization` header.
pub(super) fn bearer(secret: &SecretString) -> SecretString {
    SecretString::from(format!("Bearer {}", secret.expose_secret()))
}
