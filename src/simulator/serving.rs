//! Calls to Enedis for what is no measure: contracts, people, registers, subscribed services.
//!
//! They go through the same gates as calls for measures: counted by the same quota, token, faults, API and
//! subscription, form, meter, consent. The application's scope is looked at only where a world asks for
//! it, as nobody has seen Enedis do so.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::action::Action;
use super::consent;
use super::customer::answers;
use super::edge::{Fate, pairs};
use super::faults::Call;
use super::front::Front;
use super::meter::MeterSpec;
use super::published::AsOf;
use super::refusal::{Envelope, Refusal, technical};
use super::registers;
use super::rules::{self, Query};
use super::server::Simulator;
use super::service::Service;
use super::world::World;
use crate::domain::{Api, Dataset, Direction, Prm};

/// Calls that the log keeps.
const LOG_LIMIT: usize = 1_000_000;

/// One call for something that is no measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceCall {
    /// When it arrived, by the monotonic clock.
    pub arrived: Duration,
    /// When it arrived, by the wall clock.
    pub at: DateTime<Utc>,
    /// What it asked for.
    pub service: Service,
    /// Of which meter, where that could be read.
    pub prm: Option<Prm>,
    /// Status of the answer; 0 while there is none, and for ever where the connection was cut.
    pub status: u16,
    /// Code of the error.
    pub code: Option<String>,
}

impl ServiceCall {
    fn json(&self) -> Value {
        json!({
            "at": self.at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            "front": Front::Enedis.name(),
            "api": self.service.api().name(),
            "service": self.service.name(),
            "prm": self.prm.as_ref().map(Prm::full),
            "status": self.status,
            "code": self.code,
        })
    }
}

/// The log of these calls. A line keeps its number when older ones are forgotten.
#[derive(Debug, Default)]
pub(super) struct ServiceLog {
    next: u64,
    calls: BTreeMap<u64, ServiceCall>,
}

impl ServiceLog {
    fn open(&mut self, call: ServiceCall) -> u64 {
        self.next += 1;
        if self.calls.len() < LOG_LIMIT {
            self.calls.insert(self.next, call);
        }
        self.next
    }

    /// All of them, in order.
    pub(super) fn all(&self) -> Vec<ServiceCall> {
        self.calls.values().cloned().collect()
    }

    /// Forgets them.
    pub(super) fn forget(&mut self) {
        self.calls.clear();
    }
}

/// Writes a call's line when it is done with, in whatever way.
struct Line<'s>(&'s Simulator, u64);

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let state = &mut *self.0.state();
        if let (Some(file), Some(call)) = (&mut state.journal, state.services.calls.get(&self.1))
            && let Err(error) = writeln!(file, "{}", call.json())
        {
            tracing::warn!("the log of calls cannot be written: {error}");
        }
    }
}

/// A request as it came.
struct Request {
    service: Service,
    headers: HeaderMap,
    /// The meter in the path, where one stands there.
    in_path: Option<String>,
    query: Query,
    body: Bytes,
}

impl Request {
    fn prm(&self) -> Option<&str> {
        match (self.service.api(), &self.in_path) {
            (_, Some(prm)) => Some(prm),
            (api, None) => rules::get(&self.query, rules::names(api)[0]),
        }
    }
}

/// Adds the paths of all services.
pub(super) fn routes(mut router: Router<Simulator>) -> Router<Simulator> {
    for service in Service::ALL {
        let plain = move |State(simulator): State<Simulator>,
                          RawQuery(query): RawQuery,
                          headers: HeaderMap,
                          body: Bytes| async move {
            let query = pairs(query.as_deref());
            serve(&simulator, Request { service, headers, in_path: None, query, body }).await
        };
        let path = service.path();
        if service == Service::SubscribedServices {
            router = router.route(path, post(plain)).route(&format!("{path}/"), post(plain));
            continue;
        }
        router = router.route(path, get(plain));
        if service.has_prm_in_path() {
            let with_prm = move |State(simulator): State<Simulator>,
                                 Path(prm): Path<String>,
                                 RawQuery(query): RawQuery,
                                 headers: HeaderMap| async move {
                let (query, body) = (pairs(query.as_deref()), Bytes::new());
                serve(&simulator, Request { service, headers, in_path: Some(prm), query, body }).await
            };
            router = router.route(&format!("{path}/"), get(plain)).route(&format!("{path}/{{prm}}"), get(with_prm));
        }
    }
    router
}

async fn serve(simulator: &Simulator, request: Request) -> Response {
    let (world, now, fate, refused, line) = admit(simulator, &request);
    let _line = Line(simulator, line);
    simulator.linger(&fate).await;
    let (response, code) = match refused {
        Some(refusal) => (refusal.response(), Some(refusal.code)),
        None => match simulator.instead(&fate) {
            Some(instead) => instead,
            None => match honest(simulator, &world, now, &request) {
                Ok(body) => (response(&request, &body, &fate), None),
                Err(refusal) => (refusal.response(), Some(refusal.code)),
            },
        },
    };
    let response = simulator.leave(&fate, None, (response, code.clone())).await;
    if !fate.actions.contains(&Action::Cut)
        && let Some(call) = simulator.state().services.calls.get_mut(&line)
    {
        (call.status, call.code) = (response.status().as_u16(), code);
    }
    response
}

/// Counts a call, checks its token and asks which faults concern it.
fn admit(simulator: &Simulator, request: &Request) -> (Arc<World>, DateTime<Utc>, Fate, Option<Refusal>, u64) {
    let (arrived, at) = (simulator.shared.clock.monotonic(), simulator.shared.clock.now());
    let (service, api) = (request.service, request.service.api());
    let prm: Option<Prm> = request.prm().and_then(|text| text.parse().ok());
    let state = &mut *simulator.state();
    let line = state.services.open(ServiceCall { arrived, at, service, prm: prm.clone(), status: 0, code: None });
    let (world, now) = (state.world_at(Front::Enedis), state.calendar.now());
    *state.quota.counters.by_service.entry(service).or_default() += 1;
    let mut refused = state.quota.arrive(world.rules.limits, api, arrived, at).err();
    if refused.is_none() {
        refused = state.tokens.check(&request.headers, arrived, api).err();
        state.quota.counters.unauthorized += u64::from(refused.is_some());
    }
    let fate = if refused.is_none() {
        let (service, dataset) = (Some(service), service.dataset());
        state.fate(&Call { api: Some(api), service, dataset, prm: prm.as_ref(), now, ..Call::default() })
    } else {
        state.no_fate()
    };
    (world, now, fate, refused, line)
}

/// The answer that carries a body. Where a fault says so, it is about another meter.
fn response(request: &Request, body: &Value, fate: &Fate) -> Response {
    let mut text = body.to_string();
    if fate.actions.contains(&Action::WrongPrm)
        && let Some(prm) = request.prm()
    {
        let last = if prm.ends_with('0') { "1" } else { "0" };
        text = text.replace(prm, &format!("{}{last}", prm.get(..13).unwrap_or_default()));
    }
    let content_type = match request.service {
        Service::ConsumptionIndex | Service::ProductionIndex => "application/octet-stream",
        _ => "application/json",
    };
    ([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))], text).into_response()
}

/// What Enedis answers, before faults.
fn honest(simulator: &Simulator, world: &World, now: DateTime<Utc>, request: &Request) -> Result<Value, Refusal> {
    let service = request.service;
    rules::served(world, service.api())?;
    if world.rules.unsubscribed_services.contains(&service) {
        return Err(rules::not_subscribed());
    }
    let token = &world.rules.token;
    if token.enforce_scopes && service.scope().is_some_and(|scope| !token.scope.split(' ').any(|given| given == scope))
    {
        let text = "The access token does not allow you to access the requested resource";
        return Err(Refusal::new(403, Envelope::E3, "900910", text));
    }
    if service.dataset().is_some_and(|dataset| world.rules.unsubscribed.contains(&dataset)) {
        return Err(rules::not_subscribed());
    }
    let index = |direction| {
        let dataset = match direction {
            Direction::Consumption => Dataset::DailyConsumption,
            Direction::Production => Dataset::DailyProduction,
        };
        let ask = rules::judge_days(world, now, Api::V2026, dataset, &request.query)?;
        if let Some(cap) = world.rules.registers.span_days.filter(|cap| ask.days.len() > *cap) {
            let text = format!("La période demandée ne peut pas dépasser {cap} jours.");
            return Err(Refusal::business(400, "ADAM-ERR0126", &text));
        }
        // Taken out meanwhile: counting takes long, and the lock must be free for others.
        let mut memo = std::mem::take(&mut simulator.state().registers);
        let body = registers::body(world, &ask, direction, AsOf::Instant(now), &mut memo);
        simulator.state().registers = memo;
        body.ok_or_else(|| rules::no_data(Api::V2026))
    };
    match service {
        Service::ConsumptionIndex => index(Direction::Consumption),
        Service::ProductionIndex => index(Direction::Production),
        Service::SubscribedServices => {
            consent::services::answer(&simulator.state().journeys, world, now, &request.body)
        }
        _ if service.api() == Api::V5 => {
            let meter = meter_v5(world, now, request)?;
            Ok(answers::body(service, world.seed, &meter))
        }
        _ => {
            let meter = meter_2026(world, now, request)?;
            Ok(answers::body(service, world.seed, &meter))
        }
    }
}

/// What Enedis answers a gateway, whose token is good for everything.
pub(super) fn upstream(
    simulator: &Simulator,
    world: &World,
    now: DateTime<Utc>,
    service: Service,
    prm: &Prm,
) -> Result<Value, Refusal> {
    let in_path = Some(prm.full().to_owned());
    let request = Request { service, headers: HeaderMap::new(), in_path, query: Query::new(), body: Bytes::new() };
    honest(simulator, world, now, &request)
}

/// The meter in question of v5.
fn meter_v5(world: &World, now: DateTime<Utc>, request: &Request) -> Result<MeterSpec, Refusal> {
    let invalid = |text: &str| Refusal::business(400, "invalid_request", text);
    let text = request.prm().ok_or_else(|| invalid("usage_point_id parameter is missing."))?;
    let prm: Prm = text.parse().map_err(|_| invalid("usage_point_id parameter must be 14 digits long."))?;
    let unknown = || Refusal::business(404, "STM-ERR-0000019", "Unknown or unauthorized user");
    let meter = world.meter(&prm).ok_or_else(|| rules::no_consent(Api::V5))?;
    if !meter.known {
        return Err(unknown());
    }
    if request.service == Service::Contracts && !meter.has(Direction::Consumption) {
        let text = "The requested usage point is not a consumption point.";
        return Err(Refusal::business(400, "ADAM-ERR0069", text));
    }
    allowed(meter, now, Api::V5)
}

/// The meter in question of 2026: in the path, and nothing else beside it.
fn meter_2026(world: &World, now: DateTime<Utc>, request: &Request) -> Result<MeterSpec, Refusal> {
    let malformed = || Refusal { status: world.rules.malformed_2026_status, ..technical() };
    let text = request.in_path.as_ref().filter(|_| request.query.is_empty()).ok_or_else(malformed)?;
    let prm: Prm = text
        .parse()
        .map_err(|_| Refusal::business(400, "invalid_request", "Le format du point de livraison est incorrect."))?;
    let unknown = || {
        if world.rules.consent.sandbox {
            return Refusal::business(400, "Bad request", "Pas de services souscrits, le flux est stoppé.");
        }
        Refusal::business(404, "not_found", "La situation demandée ou le point n'existe pas.")
    };
    let meter = world.meter(&prm).filter(|meter| meter.known).ok_or_else(unknown)?;
    allowed(meter, now, Api::V2026)
}

/// The meter, if its customer holds it and consented.
fn allowed(meter: MeterSpec, now: DateTime<Utc>, api: Api) -> Result<MeterSpec, Refusal> {
    if !meter.held {
        return Err(rules::not_held());
    }
    let direction = if meter.has(Direction::Consumption) { Direction::Consumption } else { Direction::Production };
    if meter.consent_for(direction).holds(now) { Ok(meter) } else { Err(rules::no_consent(api)) }
}
