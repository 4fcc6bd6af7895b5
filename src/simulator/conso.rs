//! The Conso API: a gateway that passes on what Enedis says, and bans who asks too often.
//!
//! It keeps nothing: each call becomes one of its own to Enedis. Who may see a meter is written in
//! the user's token, signed by the gateway. Names of the old series bring the content of v5's
//! `meter_reading`, names of 2026 the body as it is. There is no quota a user could see, only the
//! job that bans ([`super::visits`]).

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::edge::{Asked, Fate, Line, pairs};
use super::faults::Call;
use super::front::Front;
use super::quota::none_if_zero;
use super::refusal::{Envelope, Refusal, technical};
use super::rules::{Query, get};
use super::server::Simulator;
use super::upstream::{Failure, parameters};
use super::visits::{BanWindow, Visits};
use super::world::World;
use super::{jwt, wire_2026, wire_v5};
use crate::domain::{Api, Dataset};

/// What was counted at the Conso API.
pub type ConsoCounters = Visits;

/// How the Conso API treats its users.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConsoRules {
    /// Requests that get an address banned. `None` in Rust, 0 in TOML: nobody is banned.
    #[serde(deserialize_with = "none_if_zero")]
    pub ban_at: Option<u32>,
    /// Whose requests count together.
    pub ban_window: BanWindow,
    /// Signs the tokens; made from the world's seed where left out.
    pub secret: Option<String>,
    /// Days that a token is good for.
    pub token_days: i64,
}

impl Default for ConsoRules {
    fn default() -> Self {
        Self { ban_at: Some(100), ban_window: BanWindow::default(), secret: None, token_days: 1094 }
    }
}

impl ConsoRules {
    /// The rule of the ban, if there is one.
    pub(super) fn ban(&self) -> Option<(u64, BanWindow)> {
        self.ban_at.map(|limit| (u64::from(limit), self.ban_window))
    }

    fn secret(&self, seed: u64) -> String {
        self.secret.clone().unwrap_or_else(|| format!("secret of the simulated Conso API, seed {seed}"))
    }
}

/// A token for those meters. It begins with the simulated day, so that it stays the same all day.
pub(super) fn token<P: AsRef<str>>(
    world: &World,
    now: DateTime<Utc>,
    prms: &[P],
    until: Option<DateTime<Utc>>,
) -> String {
    let rules = &world.rules.conso_api;
    let issued = now.date_naive().and_time(NaiveTime::MIN).and_utc();
    let until = until.unwrap_or(issued + TimeDelta::days(rules.token_days));
    let prms: Vec<&str> = prms.iter().map(AsRef::as_ref).collect();
    let claims = json!({ "sub": prms, "iat": issued.timestamp(), "exp": until.timestamp() });
    jwt::sign(&rules.secret(world.seed), &claims)
}

/// Whether a token opens that meter at that instant.
fn opens(world: &World, now: DateTime<Utc>, token: &str, prm: &str) -> bool {
    let secret = world.rules.conso_api.secret(world.seed);
    jwt::verify(&secret, token).is_some_and(|claims| {
        let named =
            claims.get("sub").and_then(Value::as_array).is_some_and(|prms| prms.iter().any(|named| named == prm));
        named && claims.get("exp").and_then(Value::as_i64).is_none_or(|until| now.timestamp() < until)
    })
}

/// The series that the gateway knows by name; the index of 2026 is among them, but not played.
fn series(name: &str) -> Option<(Api, Option<Dataset>)> {
    Some(match name {
        "daily_consumption" => (Api::V5, Some(Dataset::DailyConsumption)),
        "consumption_load_curve" => (Api::V5, Some(Dataset::ConsumptionLoadCurve)),
        "consumption_max_power" => (Api::V5, Some(Dataset::DailyMaxPower)),
        "daily_production" => (Api::V5, Some(Dataset::DailyProduction)),
        "production_load_curve" => (Api::V5, Some(Dataset::ProductionLoadCurve)),
        "consommation_quotidienne" => (Api::V2026, Some(Dataset::DailyConsumption)),
        "courbe_de_charge_consommation" => (Api::V2026, Some(Dataset::ConsumptionLoadCurve)),
        "puissance_conso_max_quotidienne" => (Api::V2026, Some(Dataset::DailyMaxPower)),
        "production_quotidienne" => (Api::V2026, Some(Dataset::DailyProduction)),
        "courbe_de_charge_production" => (Api::V2026, Some(Dataset::ProductionLoadCurve)),
        "index_consommation" | "index_production" => (Api::V2026, None),
        _ => return None,
    })
}

/// One of the names that a parameter has.
fn either<'q>(query: &'q Query, names: [&str; 2]) -> Option<&'q str> {
    names.iter().find_map(|name| get(query, name))
}

/// A request, taken apart.
struct Visit {
    method: Method,
    /// What stands behind the prefix.
    path: String,
    query: Query,
    headers: HeaderMap,
}

impl Visit {
    /// Name of the series.
    fn name(&self) -> &str {
        self.path.strip_prefix("/api/").unwrap_or_default()
    }

    /// PRM, start and end.
    fn given(&self) -> [Option<&str>; 3] {
        [["pointId", "prm"], ["dateDebut", "start"], ["dateFin", "end"]].map(|names| either(&self.query, names))
    }

    /// The call for data that it is, if it is one.
    fn asked(&self) -> Option<Asked> {
        let (api, dataset) = series(self.name()).filter(|_| self.method == Method::GET)?;
        let [prm, start, end] = self.given().map(Option::unwrap_or_default);
        let (prm, start, end) = (prm.parse().ok(), start.parse().ok(), end.parse().ok());
        Some(Asked { front: Front::ConsoApi, api, dataset: dataset?, prm, start, end })
    }
}

/// Any request below the prefix.
pub(super) async fn handle(
    State(simulator): State<Simulator>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let path = uri.path().strip_prefix(Front::ConsoApi.prefix()).unwrap_or_default().to_owned();
    let visit = Visit { method, path, query: pairs(query.as_deref()), headers };
    let asked = visit.asked();
    let (arrived, at) = (simulator.shared.clock.monotonic(), simulator.shared.clock.now());
    let (banned, entry, fate, world, now) = {
        let state = &mut *simulator.state();
        let (world, now) = (Arc::clone(&state.world), state.calendar.now());
        let banned = state.conso.arrive(world.rules.conso_api.ban(), &visit.headers, (arrived, at));
        let entry = asked.as_ref().and_then(|asked| state.open_line(asked, arrived, at));
        let other = Call { front: Front::ConsoApi, now, ..Call::default() };
        let call = asked.as_ref().map_or(other, |asked| asked.call(now));
        let fate = if banned { state.no_fate() } else { state.fate(&call) };
        (banned, entry, fate, world, now)
    };
    let _line = Line { simulator: &simulator, entry };
    simulator.linger(&fate).await;
    let reply = match simulator.instead(&fate) {
        _ if banned => (block_page(), None),
        Some(instead) => instead,
        None => match gate(&visit, &world, now) {
            Some(refusal) => (refusal, None),
            None => reply(&simulator, &visit, asked.as_ref(), &fate).await,
        },
    };
    simulator.leave(&fate, entry, reply).await
}

/// What the gateway answers of its own, without Enedis: in this order method, path, parameters,
/// token.
fn gate(visit: &Visit, world: &World, now: DateTime<Utc>) -> Option<Response> {
    let [prm, ..] = visit.given();
    if visit.method == Method::OPTIONS {
        return Some(StatusCode::OK.into_response());
    }
    if visit.method != Method::GET {
        return Some(says(405, "Seule la méthode GET est autorisée", None));
    }
    if !visit.path.starts_with("/api/") {
        return Some(Refusal::new(404, Envelope::E8, "", "Page introuvable").response());
    }
    if let Err(wrong) = check(visit) {
        return Some(says(400, "Paramètres invalides", Some(wrong)));
    }
    authorize(world, now, &visit.headers, prm.unwrap_or_default()).err().map(|refusal| refusal.response())
}

/// Asks Enedis and passes on what it says.
async fn reply(simulator: &Simulator, visit: &Visit, asked: Option<&Asked>, fate: &Fate) -> (Response, Option<String>) {
    let Some(asked) = asked else {
        let technical = technical();
        let error = serde_json::from_str(&technical.body()).ok();
        return (says(technical.status, PASSED_ON, error), Some(technical.code));
    };
    let step = get(&visit.query, "mesuresPas").unwrap_or("P1D");
    let quantity = get(&visit.query, "grandeurPhysique").unwrap_or("PMA");
    let given = visit.given().map(Option::unwrap_or_default);
    match simulator.upstream(asked, &parameters(asked.api, asked.dataset, given, [step, quantity])).await {
        Ok(mut answer) => {
            simulator.spoil(&mut answer, &fate.actions);
            let body = match asked.api {
                Api::V5 => wire_v5::bare_body(&answer),
                Api::V2026 => wire_2026::body(&answer),
            };
            (([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response(), None)
        }
        Err(failure) => (failed(&failure), failure.code()),
    }
}

/// What stands above an error of Enedis.
const PASSED_ON: &str = "The Enedis API returned an error";

/// What a validator would complain about: the type, the length of the PRM, the shape of the days.
fn check(visit: &Visit) -> Result<(), Value> {
    let [prm, start, end] = visit.given();
    let mut issues = Vec::new();
    let mut complain = |path: &str, message: &str| issues.push(json!({ "path": [path], "message": message }));
    if series(visit.name()).is_none() {
        complain("type", "Invalid enum value");
    }
    if prm.is_none_or(|prm| prm.chars().count() != 14) {
        complain("prm", "String must contain exactly 14 character(s)");
    }
    for (path, day) in [("start", start), ("end", end)] {
        if !day.is_some_and(looks_like_a_day) {
            complain(path, "Invalid");
        }
    }
    if get(&visit.query, "mesuresPas").is_some_and(|step| !matches!(step, "P1D" | "P1M")) {
        complain("mesuresPas", "Invalid enum value");
    }
    if issues.is_empty() { Ok(()) } else { Err(json!({ "issues": issues, "name": "ZodError" })) }
}

/// `20YY-MM-DD`, whether there is such a day or not: that is for Enedis to say.
fn looks_like_a_day(text: &str) -> bool {
    let shape = "20dd-dd-dd";
    text.len() == shape.len()
        && text.bytes().zip(shape.bytes()).all(|(is, should)| match should {
            b'd' => is.is_ascii_digit(),
            _ => is == should,
        })
}

/// Checks the header and the token. Any word may stand before the token, but one must.
fn authorize(world: &World, now: DateTime<Utc>, headers: &HeaderMap, prm: &str) -> Result<(), Refusal> {
    let refusal = |status, text| Refusal::new(status, Envelope::G1, "", text);
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = given.split(' ').nth(1).filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| refusal(400, "Le header 'Authorization' est manquant ou invalide"))?;
    let right = opens(world, now, token, prm);
    right.then_some(()).ok_or_else(|| refusal(401, "Votre token est invalide ou ne permet pas d'accéder à ce PRM"))
}

/// What the gateway says when Enedis has no answer: its error as JSON where it is some, as text
/// where it is none.
fn failed(failure: &Failure) -> Response {
    match failure {
        Failure::Refused { status, body, .. } => {
            let error = serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.clone()));
            says(*status, PASSED_ON, Some(error))
        }
        Failure::NoToken => says(500, "Impossible de rafraîchir le token. Réessayez plus tard", None),
        Failure::Broken => says(500, "Erreur inconnue. Réessayez plus tard", None),
    }
}

/// The gateway's own words.
fn says(status: u16, message: &str, error: Option<Value>) -> Response {
    let mut body = json!({ "status": status, "message": message });
    if let (Some(error), Some(object)) = (error, body.as_object_mut()) {
        object.insert("error".to_owned(), error);
    }
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body.to_string()).into_response()
}

/// The page of the network in front of the gateway for a banned address.
fn block_page() -> Response {
    let mut page = Refusal::new(403, Envelope::E8, "", "Sorry, you have been blocked").response();
    page.headers_mut().insert(header::SERVER, HeaderValue::from_static("cloudflare"));
    page
}
