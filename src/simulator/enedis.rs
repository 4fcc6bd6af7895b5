//! Enedis' own front: the data of both APIs, the token endpoint, and the paths of everything else.
//!
//! A call for data goes through the same gates as at Enedis: it is counted, its token is checked,
//! faults have their turn, the rules are applied, the answer is computed from the world and
//! written in the API's own way.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::{DateTime, Utc};

use super::action::Action;
use super::answer::{Answer, answer};
use super::consent;
use super::damage;
use super::edge::{Asked, Fate, Line, pairs};
use super::faults::{Call, Endpoint};
use super::front::Front;
use super::published::AsOf;
use super::refusal::{Refusal, not_found_page, technical};
use super::rules::{self, Query};
use super::server::Simulator;
use super::serving;
use super::world::World;
use super::{wire_2026, wire_v5};
use crate::domain::{Api, Dataset};

/// What was decided about a call when it arrived.
struct Admitted {
    world: Arc<World>,
    now: DateTime<Utc>,
    fate: Fate,
    refused: Option<Refusal>,
    entry: Option<usize>,
}

/// The paths of Enedis; everything that nobody serves is answered here too.
pub(super) fn router() -> Router<Simulator> {
    let mut router = Router::new().route("/oauth2/v3/token", post(token)).route("/oauth2/v3/revoke", post(revoke));
    // Registers are services, beside contracts and the like.
    for dataset in Dataset::COMMON {
        for (api, path) in [(Api::V5, wire_v5::path(dataset)), (Api::V2026, wire_2026::path(dataset))] {
            let handler = move |State(simulator): State<Simulator>, headers: HeaderMap, RawQuery(query): RawQuery| async move {
                data(&simulator, api, dataset, &headers, &pairs(query.as_deref())).await
            };
            router = router.route(path, get(handler));
        }
    }
    for (api, version) in [(Api::V5, "v1"), (Api::V2026, "v2")] {
        let path = format!("/dataconnect/{version}/oauth2/authorize");
        let page = move |State(simulator): State<Simulator>, RawQuery(query): RawQuery| async move {
            consent::authorize(&simulator, api, &pairs(query.as_deref()))
        };
        let answer = |State(simulator): State<Simulator>, RawQuery(query): RawQuery| async move {
            consent::answer(&simulator, &pairs(query.as_deref()))
        };
        router = router.route(&path, get(page)).route(&format!("{path}/answer"), get(answer));
    }
    serving::routes(router).fallback(nowhere)
}

async fn data(simulator: &Simulator, api: Api, dataset: Dataset, headers: &HeaderMap, query: &Query) -> Response {
    let admitted = admit(simulator, api, dataset, headers, query);
    let _line = Line { simulator, entry: admitted.entry };
    simulator.linger(&admitted.fate).await;
    let reply = match &admitted.refused {
        Some(refusal) => (refusal.response(), Some(refusal.code.clone())),
        None => match simulator.instead(&admitted.fate) {
            Some(instead) => instead,
            None => match honest(simulator, &admitted, api, dataset, query) {
                Ok(response) => (response, None),
                Err(refusal) => (refusal.response(), Some(refusal.code)),
            },
        },
    };
    simulator.leave(&admitted.fate, admitted.entry, reply).await
}

/// Counts a call, checks its token and asks which faults concern it.
fn admit(simulator: &Simulator, api: Api, dataset: Dataset, headers: &HeaderMap, query: &Query) -> Admitted {
    let (arrived, at) = (simulator.shared.clock.monotonic(), simulator.shared.clock.now());
    let [prm, start, end] = rules::names(api).map(|name| rules::get(query, name));
    let asked = Asked {
        front: Front::Enedis,
        api,
        dataset,
        prm: prm.and_then(|text| text.parse().ok()),
        start: start.and_then(|day| day.parse().ok()),
        end: end.and_then(|day| day.parse().ok()),
    };
    let state = &mut *simulator.state();
    let entry = state.open_line(&asked, arrived, at);
    let (world, now) = (state.world_at(Front::Enedis), state.calendar.now());
    *state.quota.counters.by_dataset.entry(dataset).or_default() += 1;
    let mut refused = state.quota.arrive(world.rules.limits, api, arrived, at).err();
    if refused.is_none() {
        refused = state.tokens.check(headers, arrived, api).err();
        state.quota.counters.unauthorized += u64::from(refused.is_some());
    }
    let fate = if refused.is_none() { state.fate(&asked.call(now)) } else { state.no_fate() };
    Admitted { world, now, fate, refused, entry }
}

fn honest(
    simulator: &Simulator,
    admitted: &Admitted,
    api: Api,
    dataset: Dataset,
    query: &Query,
) -> Result<Response, Refusal> {
    let mut answer = consult(&admitted.world, admitted.now, api, dataset, query)?;
    simulator.spoil(&mut answer, &admitted.fate.actions);
    let (content_type, body) = match api {
        Api::V5 => ("application/json", wire_v5::body(&answer)),
        Api::V2026 => ("application/octet-stream", wire_2026::body(&answer)),
    };
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))], body).into_response())
}

/// What Enedis answers to a request whose token is good, before faults.
pub(super) fn consult(
    world: &World,
    now: DateTime<Utc>,
    api: Api,
    dataset: Dataset,
    query: &Query,
) -> Result<Answer, Refusal> {
    rules::served(world, api)?;
    let ask = rules::judge(world, now, api, dataset, query)?;
    let answer = answer(world, &ask, AsOf::Instant(now));
    if answer.points.is_empty() { Err(rules::no_data(api)) } else { Ok(answer) }
}

impl Simulator {
    /// Damages the points of an answer.
    pub(super) fn spoil(&self, answer: &mut Answer, actions: &[Action]) {
        if !actions.is_empty() {
            let mut rng = self.state().rng.fork();
            for action in actions {
                damage::points(answer, action, &mut rng);
            }
        }
    }
}

/// Parameters of body and query together, or 415 for a body that is no form.
fn form(headers: &HeaderMap, query: Option<&str>, body: &Bytes) -> Result<Query, Refusal> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !body.is_empty() && !content_type.starts_with("application/x-www-form-urlencoded") {
        return Err(Refusal::business(415, "unsupported_media_type", "Unsupported Media Type"));
    }
    let mut form = pairs(query);
    form.extend(url::form_urlencoded::parse(body).into_owned());
    Ok(form)
}

async fn token(
    State(simulator): State<Simulator>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (world, fate) = {
        let state = &mut *simulator.state();
        state.quota.counters.token_calls += 1;
        let now = state.calendar.now();
        let fate = state.fate(&Call { endpoint: Endpoint::Token, now, ..Call::default() });
        (Arc::clone(&state.world), fate)
    };
    simulator.linger(&fate).await;
    let reply = simulator.instead(&fate).unwrap_or_else(|| {
        let now = simulator.shared.clock.monotonic();
        let form = form(&headers, query.as_deref(), &body);
        let answer = form.and_then(|form| simulator.state().tokens.answer(&world.rules.token, &headers, &form, now));
        (answer.unwrap_or_else(|refusal| refusal.response()), None)
    });
    simulator.leave(&fate, None, reply).await
}

async fn revoke(
    State(simulator): State<Simulator>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form = form(&headers, query.as_deref(), &body);
    match form.and_then(|form| simulator.state().tokens.revoke(&form)) {
        Ok(()) => StatusCode::OK.into_response(),
        Err(refusal) => refusal.response(),
    }
}

/// Below the APIs of 2026 an unknown path is a technical error; elsewhere it is a page.
async fn nowhere(uri: Uri) -> Response {
    let first = uri.path().split('/').nth(1).unwrap_or_default();
    if first.ends_with("_auto") { technical().response() } else { not_found_page().response() }
}
