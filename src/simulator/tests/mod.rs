//! The simulator, asked over its router.

mod consent;
mod conso;
mod faults;
mod fronts;
mod limits;
mod med;
mod med_cache;
mod requests;
mod services;
mod truth;
mod worlds;

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt;

use super::*;
use crate::clock::{Calendar, Clock, ManualClock};
use crate::domain::{Api, Dataset, Day, Days, Prm};

pub(super) const PRM: &str = "12345678901234";

pub(super) fn prm() -> Prm {
    PRM.parse().unwrap()
}

pub(super) fn day(text: &str) -> Day {
    text.parse().unwrap()
}

pub(super) fn days(first: &str, end: &str) -> Days {
    Days::new(day(first), day(end)).unwrap()
}

pub(super) fn instant(text: &str) -> chrono::DateTime<chrono::Utc> {
    text.parse().unwrap()
}

/// Noon in Paris on a winter day.
pub(super) const NOON: &str = "2026-11-24T11:00:00Z";

pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) content_type: String,
    pub(super) headers: axum::http::HeaderMap,
    pub(super) text: String,
    pub(super) json: Value,
}

impl Reply {
    /// A reply that says only that.
    pub(super) fn of(text: &str) -> Self {
        let (status, headers) = (StatusCode::OK, axum::http::HeaderMap::new());
        Self { status, content_type: String::new(), headers, text: text.to_owned(), json: Value::Null }
    }

    /// The code, wherever the envelope has it.
    pub(super) fn code(&self) -> String {
        let found = [&self.json["error"], &self.json["code"], &self.json["fault"]["code"], &self.json["error"]["code"]];
        found
            .iter()
            .find_map(|value| value.as_str().map(str::to_owned).or_else(|| value.as_u64().map(|n| n.to_string())))
            .unwrap_or_default()
    }
}

pub(super) struct Stage {
    pub(super) clock: Arc<ManualClock>,
    pub(super) simulator: Simulator,
    token: String,
}

impl Stage {
    /// Plays a world at an instant, without limits, with a token in hand.
    pub(super) async fn at(now: &str, mut world: World) -> Self {
        world.rules.limits = Limits::OFF;
        Self::strict(now, world).await
    }

    /// The same with the world's own limits.
    pub(super) async fn strict(now: &str, world: World) -> Self {
        let clock = Arc::new(ManualClock::new(instant(now)));
        let shared: Arc<dyn Clock> = clock.clone();
        let simulator = Simulator::new(world, Arc::clone(&shared), Calendar::new(shared, None));
        let mut stage = Self { clock, simulator, token: String::new() };
        stage.sign_in().await;
        stage
    }

    pub(super) async fn sign_in(&mut self) {
        let body = "grant_type=client_credentials&client_id=me&client_secret=hush";
        let reply = self.send(form("/oauth2/v3/token", body)).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
        self.token = reply.json["access_token"].as_str().unwrap().to_owned();
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.simulator.router().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let text = match axum::body::to_bytes(body, 100 << 20).await {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => format!("cut: {error}"),
        };
        let content_type = parts.headers.get("content-type").map(|value| value.to_str().unwrap().to_owned());
        Reply {
            status: parts.status,
            content_type: content_type.unwrap_or_default(),
            headers: parts.headers,
            json: serde_json::from_str(&text).unwrap_or_default(),
            text,
        }
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        let request = Request::get(path).header("authorization", format!("Bearer {}", self.token));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// A request with headers of its own.
    pub(super) async fn with(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        let request = headers.iter().fold(Request::get(path), |request, (name, value)| request.header(*name, *value));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    pub(super) async fn ask(&self, api: Api, dataset: Dataset, start: &str, end: &str) -> Reply {
        self.ask_for(PRM, api, dataset, start, end).await
    }

    pub(super) async fn ask_for(&self, prm: &str, api: Api, dataset: Dataset, start: &str, end: &str) -> Reply {
        let path = match api {
            Api::V5 => format!("{}?usage_point_id={prm}&start={start}&end={end}", wire_v5::path(dataset)),
            Api::V2026 => {
                let more = if dataset == Dataset::DailyMaxPower { "&mesuresPas=P1D&grandeurPhysique=PMA" } else { "" };
                format!("{}?pointId={prm}&dateDebut={start}&dateFin={end}{more}", wire_2026::path(dataset))
            }
        };
        self.get(&path).await
    }
}

pub(super) fn form(path: &str, body: &str) -> Request<Body> {
    let request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
    request.body(Body::from(body.to_owned())).unwrap()
}

/// Labels and values of a curve or daily answer, whichever API it came from.
pub(super) fn points(reply: &Reply) -> Vec<(String, Value, Option<String>)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let v5 = reply.json["meter_reading"]["interval_reading"].as_array();
    let v2026 = reply.json["grandeur"][0]["points"].as_array();
    let (list, names) = match (v5, v2026) {
        (Some(list), _) => (list, ["date", "value", "interval_length"]),
        (_, Some(list)) => (list, ["d", "v", "p"]),
        _ => panic!("no points in {}", reply.text),
    };
    let [label, value, length] = names;
    list.iter().map(|point| (text(&point[label]).unwrap(), point[value].clone(), text(&point[length]))).collect()
}
