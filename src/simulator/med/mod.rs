//! MyElectricalData, version 2: a gateway with accounts, daily quotas and a cache.
//!
//! Whatever becomes of a request is said in an envelope, with status 200 as a rule; only
//! credentials and malformed requests have a status of their own. Bodies are put together anew
//! from cached and fetched days, in the format of v5 unless a header asks for that of 2026, and
//! the points of a curve are labelled with the start of their interval.

mod account;
mod fetch;
mod memory;
mod people;
mod rules;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Days as Hence, NaiveTime, Utc};
use serde_json::{Value, json};

pub(super) use account::Med;
pub use rules::{MedAccount, MedCounters, MedRules, OverLong};

use account::Left;
use fetch::{Outcome, Wish};
use people::About;

use super::action::Action;
use super::edge::{Asked, Line, pairs};
use super::faults::{Call, Endpoint};
use super::front::Front;
use super::rules::{Query, get};
use super::server::Simulator;
use super::world::World;
use super::{wire_2026, wire_v5};
use crate::domain::{Api, Dataset, Direction, Prm};

/// Any status with a JSON body.
fn json_answer(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body.to_string()).into_response()
}

/// What is no answer at all: credentials, paths, parameters.
fn detail(status: u16, text: &str) -> Response {
    json_answer(status, &json!({ "detail": text }))
}

/// The envelope.
fn envelope(data: &Value, error: Option<(&str, &str)>) -> Response {
    let error = error.map(|(code, message)| json!({ "code": code, "message": message }));
    json_answer(200, &json!({ "success": !data.is_null(), "data": data, "error": error }))
}

/// What a path asks for.
#[derive(Debug, Clone)]
enum Route {
    Token,
    Meters,
    Data { dataset: Dataset, batch: bool, prm: String },
    Customer { about: About, prm: String },
    Cache { prm: String },
}

/// The route of a path, and the method that it takes.
fn route(path: &str) -> Option<(Route, Method)> {
    let words: Vec<&str> = path.split('/').filter(|word| !word.is_empty()).collect();
    let data = |dataset, batch, prm: &str| Route::Data { dataset, batch, prm: prm.to_owned() };
    let route = match words.as_slice() {
        ["accounts", "token"] => return Some((Route::Token, Method::POST)),
        ["pdl"] => Route::Meters,
        ["enedis", "cache", prm] => return Some((Route::Cache { prm: (*prm).to_owned() }, Method::DELETE)),
        ["enedis", "contract", prm] => Route::Customer { about: About::Contract, prm: (*prm).to_owned() },
        ["enedis", "address", prm] => Route::Customer { about: About::Address, prm: (*prm).to_owned() },
        ["enedis", "power", prm] => data(Dataset::DailyMaxPower, false, prm),
        ["enedis", "consumption", "daily", prm] => data(Dataset::DailyConsumption, false, prm),
        ["enedis", "consumption", "detail", "batch", prm] => data(Dataset::ConsumptionLoadCurve, true, prm),
        ["enedis", "consumption", "detail", prm] => data(Dataset::ConsumptionLoadCurve, false, prm),
        ["enedis", "production", "daily", prm] => data(Dataset::DailyProduction, false, prm),
        ["enedis", "production", "detail", "batch", prm] => data(Dataset::ProductionLoadCurve, true, prm),
        ["enedis", "production", "detail", prm] => data(Dataset::ProductionLoadCurve, false, prm),
        _ => return None,
    };
    Some((route, Method::GET))
}

/// Any request below the prefix.
pub(super) async fn handle(
    State(simulator): State<Simulator>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    let query = pairs(query.as_deref());
    let path = uri.path().strip_prefix(Front::MyElectricalData.prefix()).unwrap_or_default();
    let route = route(path);
    let (arrived, wall) = (simulator.shared.clock.monotonic(), simulator.shared.clock.now());
    let (world, now, asked, entry, fate) = {
        let state = &mut *simulator.state();
        let (world, now) = (Arc::clone(&state.world), state.calendar.now());
        state.med.counters.requests += 1;
        state.med.counters.anonymous +=
            u64::from(headers.get(header::USER_AGENT).is_none_or(|agent| agent.as_bytes().is_empty()));
        let asked = match &route {
            Some((Route::Data { dataset, batch, prm }, wanted)) if method == *wanted => Some(Asked {
                front: Front::MyElectricalData,
                api: match (*batch, wants_2026(&headers)) {
                    (true, _) => world.rules.myelectricaldata.batch_format,
                    (false, true) => Api::V2026,
                    (false, false) => Api::V5,
                },
                dataset: *dataset,
                prm: prm.parse().ok(),
                start: get(&query, "start").and_then(|day| day.parse().ok()),
                end: get(&query, "end").and_then(|day| day.parse().ok()),
            }),
            _ => None,
        };
        let entry = asked.as_ref().and_then(|asked| state.open_line(asked, arrived, wall));
        let token = matches!(route, Some((Route::Token, _)));
        let endpoint = if token { Endpoint::Token } else { Endpoint::Data };
        let other = Call { front: Front::MyElectricalData, endpoint, now, ..Call::default() };
        let fate = state.fate(&asked.as_ref().map_or(other, |asked| asked.call(now)));
        (world, now, asked, entry, fate)
    };
    let _line = Line { simulator: &simulator, entry };
    simulator.linger(&fate).await;
    let reply = match (simulator.instead(&fate), route) {
        (Some(instead), _) => instead,
        (None, None) => (detail(404, "Not Found"), None),
        (None, Some((_, wanted))) if wanted != method => (detail(405, "Method Not Allowed"), None),
        (None, Some((Route::Token, _))) => {
            simulator.state().med.counters.token_calls += 1;
            (account::token(&world.rules.myelectricaldata, world.seed, wall, &body), None)
        }
        (None, Some((route, _))) => {
            let visit = Visit { simulator: &simulator, world: &world, now, wall, actions: &fate.actions };
            visit.answer(route, asked, &headers, &query).await
        }
    };
    simulator.leave(&fate, entry, reply).await
}

/// Whether a request asks for the format of 2026.
fn wants_2026(headers: &HeaderMap) -> bool {
    headers.get("x-med-format").is_some_and(|value| value.as_bytes().trim_ascii() == b"2026")
}

/// One request of somebody with credentials.
struct Visit<'a> {
    simulator: &'a Simulator,
    world: &'a World,
    now: DateTime<Utc>,
    wall: DateTime<Utc>,
    actions: &'a [Action],
}

impl Visit<'_> {
    async fn answer(
        &self,
        route: Route,
        asked: Option<Asked>,
        headers: &HeaderMap,
        query: &Query,
    ) -> (Response, Option<String>) {
        let rules = &self.world.rules.myelectricaldata;
        let account = match account::identify(rules, self.world.seed, headers, self.wall) {
            Ok(account) => account,
            Err(refusal) => {
                self.simulator.state().med.counters.unauthorized += 1;
                return (refusal.response(), None);
            }
        };
        {
            let counters = &mut self.simulator.state().med.counters;
            if counters.banned.contains(&account.client_id) {
                counters.refused_by_ban += 1;
                return (detail(403, "Account suspended: too many calls over the daily limit"), None);
            }
        }
        match (route, asked) {
            (Route::Meters, _) => (envelope(&self.meters(&account), None), None),
            (Route::Cache { prm }, _) => (self.forget(&account, &prm), None),
            (Route::Customer { about, prm }, _) => {
                self.person(&account, about, &prm, if wants_2026(headers) { Api::V2026 } else { Api::V5 })
            }
            (Route::Data { batch, .. }, Some(asked)) => self.data(&account, asked, batch, query).await,
            _ => (detail(404, "Not Found"), None),
        }
    }

    /// The account's meters.
    fn meters(&self, account: &MedAccount) -> Value {
        let meters = self.world.meters.iter().filter(|meter| account.owns(&meter.prm));
        let entry = |(meter, number): (&super::MeterSpec, u32)| {
            json!({
                "id": format!("00000000-0000-4000-8000-{number:012}"),
                "usage_point_id": meter.prm.full(),
                "name": null,
                "display_order": number,
                "has_consumption": meter.has(Direction::Consumption),
                "has_production": meter.has(Direction::Production),
                "is_active": true,
                "activation_date": meter.activated_on(Direction::Consumption).map(|day| day.to_string()),
            })
        };
        meters.zip(0..).map(entry).collect()
    }

    fn forget(&self, account: &MedAccount, prm: &str) -> Response {
        match prm.parse::<Prm>().ok().filter(|prm| account.owns(prm)) {
            Some(prm) => {
                let deleted = self.simulator.state().med.memory.forget(&prm);
                let message = format!("Deleted {deleted} cached entries");
                envelope(&json!({ "success": true, "deleted_keys": deleted, "message": message }), None)
            }
            None => envelope(&Value::Null, Some(("ACCESS_DENIED", "Access denied: You do not own this PDL."))),
        }
    }

    async fn data(&self, account: &MedAccount, asked: Asked, batch: bool, query: &Query) -> (Response, Option<String>) {
        let rules = &self.world.rules.myelectricaldata;
        let (start, end, use_cache) = match parameters(query, batch) {
            Ok(parameters) => parameters,
            Err(wrong) => return (json_answer(422, &json!({ "detail": wrong })), None),
        };
        let wish = Wish { account, dataset: asked.dataset, batch, use_cache, start, end, prm: asked.prm.clone() };
        let (outcome, left) = self.fetch(&wish).await;
        let (mut response, code) = match outcome {
            Outcome::Data { mut answer, note } => {
                self.simulator.spoil(&mut answer, self.actions);
                let data = match asked.api {
                    Api::V5 => wire_v5::rebuilt(&answer),
                    Api::V2026 => wire_2026::rebuilt(&answer),
                };
                let note = note.as_deref().map(|text| ("PARTIAL_DATA", text));
                (envelope(&data, note), note.map(|(code, _)| code.to_owned()))
            }
            Outcome::Error { code, text } => (envelope(&Value::Null, Some((&code, &text))), Some(code)),
        };
        if asked.api == Api::V5
            && !batch
            && let Ok(value) = HeaderValue::from_str(&rules.deprecation)
        {
            response.headers_mut().insert(HeaderName::from_static("deprecation"), value);
        }
        if let Some(left) = left {
            self.tell_rates(&mut response, left);
        }
        (response, code)
    }

    /// Tells the state of the quota, where a fault orders it.
    fn tell_rates(&self, response: &mut Response, left: Left) {
        let midnight = self.wall.date_naive() + Hence::new(1);
        let reset = midnight.and_time(NaiveTime::MIN).and_utc().timestamp();
        let limit = left.limit.unwrap_or(999_999);
        for action in self.actions {
            let Action::RateHeaders { prefix } = action else { continue };
            let told = [
                ("Limit", limit.to_string()),
                ("Remaining", limit.saturating_sub(left.spent).to_string()),
                ("Reset", reset.to_string()),
            ];
            for (name, value) in told {
                let name = HeaderName::try_from(format!("{prefix}-{name}"));
                if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
                    response.headers_mut().insert(name, value);
                }
            }
        }
    }
}

/// Start and end as they came, and whether the cache may be used; or what is wrong with them.
fn parameters(query: &Query, batch: bool) -> Result<(&str, &str, bool), Vec<Value>> {
    let mut wrong = Vec::new();
    let mut complain = |name: &str, kind: &str, message: &str| {
        wrong.push(json!({ "type": kind, "loc": ["query", name], "msg": message, "input": null }));
    };
    let [start, end] = ["start", "end"].map(|name| get(query, name));
    for (name, value) in [("start", start), ("end", end)] {
        if value.is_none() {
            complain(name, "missing", "Field required");
        }
    }
    let given = get(query, "use_cache").map(str::to_ascii_lowercase);
    let use_cache = match given.as_deref() {
        None => batch,
        Some("true" | "1" | "on" | "yes" | "t" | "y") => true,
        Some("false" | "0" | "off" | "no" | "f" | "n") => false,
        Some(_) => {
            complain("use_cache", "bool_parsing", "Input should be a valid boolean");
            batch
        }
    };
    match (start, end) {
        (Some(start), Some(end)) if wrong.is_empty() => Ok((start, end, use_cache)),
        _ => Err(wrong),
    }
}
