//! `/healthz`: the process answers. `/readyz`: it can do its work, or says why not.

use axum::extract::State;
use axum::http::StatusCode;

use super::Page;

pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// 503 and the reason, where the database cannot be used, the clock cannot be right or the end is
/// near.
pub(super) async fn ready(State(page): State<Page>) -> (StatusCode, String) {
    let board = page.board.read();
    let trouble = if board.stopping {
        Some("stopping".to_owned())
    } else if let Some(trouble) = board.trouble {
        Some(trouble)
    } else if board.wake.is_none() {
        Some("the clock of this machine cannot be right; nothing is scheduled".to_owned())
    } else {
        page.store.sources().await.err().map(|error| error.to_string())
    };
    match trouble {
        Some(trouble) => (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", crate::observe::mask::digits(&trouble))),
        None => (StatusCode::OK, "ready\n".to_owned()),
    }
}
