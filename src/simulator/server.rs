//! The simulator as a server: one router for both APIs and the token endpoint.
//!
//! A call for data goes through the same gates as at Enedis: it is counted, its token is checked,
//! faults have their turn, the rules are applied, the answer is computed from the world and
//! written in the API's own way. The lock is only held in between, never across a wait.

use std::fs::File;
use std::future::Future;
use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::{DateTime, Utc};

use super::answer::answer;
use super::damage;
use super::faults::{Action, Call, Endpoint, Faults, Tally};
use super::published::AsOf;
use super::quota::{Counters, Limits, LoggedCall, Quota};
use super::refusal::{Envelope, Refusal, not_found_page, technical};
use super::rules::{self, Query};
use super::token::Tokens;
use super::world::{Consent, World};
use super::{wire_2026, wire_v5};
use crate::clock::{Calendar, Clock};
use crate::domain::{Api, Dataset, Prm};

/// Calls that the log keeps; a server that runs for weeks must not grow without end.
const LOG_LIMIT: usize = 1_000_000;

/// A stand-in Enedis. Clones are handles on the same one.
#[derive(Debug, Clone)]
pub struct Simulator {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clock: Arc<dyn Clock>,
    state: Mutex<Played>,
}

#[derive(Debug)]
struct Played {
    world: Arc<World>,
    faults: Arc<Faults>,
    tally: Tally,
    calendar: Calendar,
    tokens: Tokens,
    quota: Quota,
    log: Vec<LoggedCall>,
    /// Where each call is written as well.
    journal: Option<File>,
    /// Calls that were forgotten, so that a late answer does not land in another one's line.
    forgotten: usize,
    rng: fastrand::Rng,
}

/// What was decided about a call when it arrived.
struct Admitted {
    world: Arc<World>,
    now: DateTime<Utc>,
    actions: Vec<Action>,
    delay: Duration,
    refused: Option<Refusal>,
    entry: Option<usize>,
}

impl Simulator {
    /// Plays `world`; pace and tokens go by `clock`, days and publication by `calendar`.
    #[must_use]
    pub fn new(world: World, clock: Arc<dyn Clock>, calendar: Calendar) -> Self {
        let rng = fastrand::Rng::with_seed(world.seed);
        let state = Mutex::new(Played {
            world: Arc::new(world),
            faults: Arc::default(),
            tally: Tally::default(),
            calendar,
            tokens: Tokens::default(),
            quota: Quota::default(),
            log: Vec::new(),
            journal: None,
            forgotten: 0,
            rng,
        });
        Self { shared: Arc::new(Shared { clock, state }) }
    }

    fn state(&self) -> MutexGuard<'_, Played> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The world as it is now.
    #[must_use]
    pub fn world(&self) -> Arc<World> {
        Arc::clone(&self.state().world)
    }

    /// Changes the world from the next call on.
    pub fn change(&self, change: impl FnOnce(&mut World)) {
        change(Arc::make_mut(&mut self.state().world));
    }

    /// Changes the consent of a meter; nothing happens where there is no such meter.
    pub fn set_consent(&self, prm: &Prm, consent: Consent) {
        self.change(|world| {
            if let Some(meter) = world.meter_mut(prm) {
                meter.consent = consent;
            }
        });
    }

    /// Changes the limits.
    pub fn set_limits(&self, limits: Limits) {
        self.change(|world| world.rules.limits = limits);
    }

    /// Puts other faults in force; their counting starts anew.
    pub fn set_faults(&self, faults: Faults) {
        let mut state = self.state();
        state.faults = Arc::new(faults);
        state.tally = Tally::default();
    }

    /// Moves the simulated calendar; it goes on from there.
    pub fn set_now(&self, at: DateTime<Utc>) {
        self.state().calendar = Calendar::new(Arc::clone(&self.shared.clock), Some(at));
    }

    /// The instant that the simulated calendar shows.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.state().calendar.now()
    }

    /// Makes every token invalid.
    pub fn revoke_tokens(&self) {
        self.state().tokens.revoke_all();
    }

    /// Every call for data so far.
    #[must_use]
    pub fn log(&self) -> Vec<LoggedCall> {
        self.state().log.clone()
    }

    /// Writes a JSON line for each call for data from now on, before its answer leaves. A call
    /// whose caller went away is written too, with status 0.
    pub fn log_to(&self, file: File) {
        self.state().journal = Some(file);
    }

    /// Everything counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.state().quota.counters.clone()
    }

    /// Forgets what was logged and counted, quotas included.
    pub fn reset_counters(&self) {
        let mut state = self.state();
        state.forgotten += state.log.len();
        state.log.clear();
        state.quota = Quota::default();
    }

    /// The router that answers as Enedis does.
    pub fn router(&self) -> Router {
        let mut router = Router::new().route("/oauth2/v3/token", post(token)).route("/oauth2/v3/revoke", post(revoke));
        for dataset in Dataset::ALL {
            for (api, path) in [(Api::V5, wire_v5::path(dataset)), (Api::V2026, wire_2026::path(dataset))] {
                let handler = move |State(simulator): State<Simulator>,
                                    headers: HeaderMap,
                                    RawQuery(query): RawQuery| async move {
                    simulator.data(api, dataset, &headers, &pairs(query.as_deref())).await
                };
                router = router.route(path, get(handler));
            }
        }
        router.fallback(nowhere).with_state(self.clone())
    }

    /// Serves until `stop` is done.
    pub async fn serve(
        &self,
        listener: tokio::net::TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        axum::serve(listener, self.router()).with_graceful_shutdown(stop).await
    }

    async fn data(&self, api: Api, dataset: Dataset, headers: &HeaderMap, query: &Query) -> Response {
        let admitted = self.admit(api, dataset, headers, query);
        let _line = Line { simulator: self, entry: admitted.entry };
        if !admitted.delay.is_zero() {
            self.shared.clock.sleep(admitted.delay).await;
        }
        let (mut response, code) = match &admitted.refused {
            Some(refusal) => (refusal.response(), Some(refusal.code.clone())),
            None => self.reply(&admitted, api, dataset, query),
        };
        for action in &admitted.actions {
            response = damage::bytes(response, action, &self.shared.clock).await;
        }
        if !admitted.actions.contains(&Action::Cut) {
            self.note(admitted.entry, response.status().as_u16(), code);
        }
        response
    }

    /// Counts a call, checks its token and asks which faults concern it.
    fn admit(&self, api: Api, dataset: Dataset, headers: &HeaderMap, query: &Query) -> Admitted {
        let (arrived, at) = (self.shared.clock.monotonic(), self.shared.clock.now());
        let [prm, start, end] = rules::names(api).map(|name| rules::get(query, name));
        let prm: Option<Prm> = prm.and_then(|text| text.parse().ok());
        let (start, end) = (start.and_then(|day| day.parse().ok()), end.and_then(|day| day.parse().ok()));

        let state = &mut *self.state();
        let entry = (state.log.len() < LOG_LIMIT).then_some(state.forgotten + state.log.len());
        if entry.is_some() {
            let prm = prm.clone();
            state.log.push(LoggedCall { arrived, at, api, dataset, prm, start, end, status: 0, code: None });
        }
        let (world, now) = (Arc::clone(&state.world), state.calendar.now());
        let mut refused = state.quota.arrive(world.rules.limits, api, dataset, arrived, at).err();
        if refused.is_none() {
            refused = state.tokens.check(headers, arrived, api).err();
            state.quota.counters.unauthorized += u64::from(refused.is_some());
        }
        let mut actions = Vec::new();
        if refused.is_none() {
            let call = Call {
                endpoint: Endpoint::Data,
                api: Some(api),
                dataset: Some(dataset),
                prm: prm.as_ref(),
                start,
                end,
                now,
            };
            actions = state.tally.actions(&state.faults, &call, world.seed);
        }
        let delay = state.delay(&actions);
        Admitted { world, now, actions, delay, refused, entry }
    }

    /// The answer to a call that was let in, and the code that it carries.
    fn reply(&self, admitted: &Admitted, api: Api, dataset: Dataset, query: &Query) -> (Response, Option<String>) {
        let machine = self.shared.clock.now();
        if let Some(instead) = admitted.actions.iter().find_map(|action| damage::instead(action, machine)) {
            return instead;
        }
        match self.honest(admitted, api, dataset, query) {
            Ok(response) => (response, None),
            Err(refusal) => (refusal.response(), Some(refusal.code)),
        }
    }

    fn honest(&self, admitted: &Admitted, api: Api, dataset: Dataset, query: &Query) -> Result<Response, Refusal> {
        let world = &admitted.world;
        if !world.rules.apis.contains(&api) {
            let text = "No matching resource found for given API Request";
            return Err(Refusal::new(404, Envelope::E3, "900906", text));
        }
        let ask = rules::judge(world, admitted.now, api, dataset, query)?;
        let mut answer = answer(world, &ask, AsOf::Instant(admitted.now));
        if answer.points.is_empty() {
            return Err(rules::no_data(api));
        }
        if !admitted.actions.is_empty() {
            let mut rng = self.state().rng.fork();
            for action in &admitted.actions {
                damage::points(&mut answer, action, &mut rng);
            }
        }
        let (content_type, body) = match api {
            Api::V5 => ("application/json", wire_v5::body(&answer)),
            Api::V2026 => ("application/octet-stream", wire_2026::body(&answer)),
        };
        Ok(([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))], body).into_response())
    }

    fn note(&self, entry: Option<usize>, status: u16, code: Option<String>) {
        let state = &mut *self.state();
        let line = entry.and_then(|entry| entry.checked_sub(state.forgotten));
        if let Some(call) = line.and_then(|line| state.log.get_mut(line)) {
            call.status = status;
            call.code = code;
        }
    }
}

/// Writes a call's line when it is done with, in whatever way.
struct Line<'s> {
    simulator: &'s Simulator,
    entry: Option<usize>,
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let state = &mut *self.simulator.state();
        let line = self.entry.and_then(|entry| entry.checked_sub(state.forgotten));
        if let (Some(file), Some(call)) = (&mut state.journal, line.and_then(|line| state.log.get(line)))
            && let Err(error) = writeln!(file, "{}", call.json())
        {
            tracing::warn!("the log of calls cannot be written: {error}");
        }
    }
}

impl Played {
    fn delay(&mut self, actions: &[Action]) -> Duration {
        let general = (self.faults.latency_ms, self.faults.jitter_ms);
        let ordered = actions.iter().filter_map(|action| match action {
            Action::Slow { delay_ms, jitter_ms } => Some((*delay_ms, *jitter_ms)),
            _ => None,
        });
        let rng = &mut self.rng;
        let millis = std::iter::once(general).chain(ordered).map(|(delay, jitter)| delay + rng.u64(0..=jitter)).sum();
        Duration::from_millis(millis)
    }
}

fn pairs(query: Option<&str>) -> Query {
    url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect()
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
    let (world, actions, delay) = {
        let state = &mut *simulator.state();
        state.quota.counters.token_calls += 1;
        let world = Arc::clone(&state.world);
        let now = state.calendar.now();
        let call = Call { endpoint: Endpoint::Token, api: None, dataset: None, prm: None, start: None, end: None, now };
        let actions = state.tally.actions(&state.faults, &call, world.seed);
        let delay = state.delay(&actions);
        (world, actions, delay)
    };
    if !delay.is_zero() {
        simulator.shared.clock.sleep(delay).await;
    }
    let machine = simulator.shared.clock.now();
    let instead = actions.iter().find_map(|action| damage::instead(action, machine));
    let mut response = instead.map_or_else(
        || {
            let now = simulator.shared.clock.monotonic();
            let form = form(&headers, query.as_deref(), &body);
            form.and_then(|form| simulator.state().tokens.answer(&world.rules.token, &headers, &form, now))
                .unwrap_or_else(|refusal| refusal.response())
        },
        |(response, _)| response,
    );
    for action in &actions {
        response = damage::bytes(response, action, &simulator.shared.clock).await;
    }
    response
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

/// Below the measures of 2026 an unknown path is a technical error; elsewhere it is a page.
async fn nowhere(uri: Uri) -> Response {
    if uri.path().starts_with("/mesure_synchrone_auto/") { technical().response() } else { not_found_page().response() }
}
