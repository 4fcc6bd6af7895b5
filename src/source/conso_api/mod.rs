//! Conso API, the gateway at conso.boris.sh: somebody else's application, opened to households.
//!
//! It keeps no data and passes the bodies of Data Connect 2026 on unchanged, so routes and errors
//! are all that is its own. Its token names the meters that it is for, and is sent as it is. What it
//! counts is calls by internet address: too many within half a day, and the address is banned
//! without a warning. Hence few calls, spread over the day (docs/sources.md).

use std::fmt;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::value::RawValue;
use url::Url;

use crate::domain::{Api, Dataset, SameDay};

use super::catalogue::{self, Endpoint, Front};
use super::enedis;
use super::envelope::{Envelope, is_error};
use super::{
    Ask, Body, Grant, Label, Reach, Refusal, Reply, Request, Response, Scope, Source, Token, fingerprint, grant, wire,
};

/// The kind's name in the configuration.
pub const KIND: &str = "conso-api";

/// Where it answers.
pub const BASE_URL: &str = "https://conso.boris.sh";

/// Calls that linkyd allows itself in a second.
pub const PER_SECOND: u32 = 1;

/// Calls that linkyd allows itself in an hour.
pub const PER_HOUR: u32 = 10;

/// Calls that linkyd allows itself in a day: the gateway bans from 100 in half a day on, maybe in a
/// whole one, and other programs of the household may call it as well.
pub const PER_DAY: u32 = 20;

/// All sources of this kind, whatever token they carry, call from one address.
const ACCOUNT: &str = "conso-api:address";

/// What it takes to speak to it.
#[derive(Clone)]
pub struct ConsoApiSettings {
    /// The operator's name for the source.
    pub name: String,
    /// Where it answers; a path is put in front of every route.
    pub base_url: Url,
    /// The token that the gateway's page shows at the end of the consent.
    pub token: SecretString,
    /// How linkyd introduces itself.
    pub user_agent: String,
}

/// The source of kind `conso-api`.
pub struct ConsoApi(ConsoApiSettings);

impl ConsoApi {
    /// A source with these settings.
    #[must_use]
    pub fn new(settings: ConsoApiSettings) -> Self {
        Self(settings)
    }

    /// How linkyd introduces itself unless told otherwise.
    #[must_use]
    pub fn user_agent() -> String {
        wire::user_agent()
    }
}

impl fmt::Debug for ConsoApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsoApi").field("name", &self.0.name).finish_non_exhaustive()
    }
}

/// The type of a dataset: the last part of its address. The gateway has no registers.
fn kind_of(dataset: Dataset) -> Option<&'static str> {
    Some(match dataset {
        Dataset::ConsumptionLoadCurve => "courbe_de_charge_consommation",
        Dataset::ProductionLoadCurve => "courbe_de_charge_production",
        Dataset::DailyConsumption => "consommation_quotidienne",
        Dataset::DailyProduction => "production_quotidienne",
        Dataset::DailyMaxPower => "puissance_conso_max_quotidienne",
        Dataset::ConsumptionIndex | Dataset::ProductionIndex => return None,
    })
}

impl Source for ConsoApi {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn kind(&self) -> &'static str {
        KIND
    }

    fn scope(&self) -> Scope {
        Scope::Address
    }

    fn account(&self) -> String {
        ACCOUNT.to_owned()
    }

    fn credentials(&self) -> String {
        fingerprint(&[self.0.token.expose_secret()])
    }

    fn apis(&self, _: Dataset) -> &[Api] {
        &[Api::V2026]
    }

    fn reach(&self, dataset: Dataset) -> Option<Reach> {
        kind_of(dataset).map(|_| enedis::reach(dataset))
    }

    fn label(&self) -> Label {
        Label::End
    }

    fn same_day(&self) -> SameDay {
        SameDay::Once
    }

    fn request(&self, ask: Ask<'_>, _: Option<&Token>) -> Request {
        let mut url = wire::url(&self.0.base_url, &format!("/api/{}", kind_of(ask.span.dataset()).unwrap_or_default()));
        url.query_pairs_mut()
            .append_pair("pointId", ask.prm.full())
            .append_pair("dateDebut", &ask.span.start().to_string())
            .append_pair("dateFin", &ask.span.end().to_string());
        Request {
            form: None,
            json: None,
            url,
            headers: wire::headers(&self.0.user_agent),
            authorization: Some(wire::bearer(&self.0.token)),
        }
    }

    fn read<'r>(&self, ask: Ask<'_>, response: &'r Response, now: DateTime<Utc>) -> Reply<'r> {
        if response.status == 200 && !is_error(&response.body) {
            let days = Some(ask.span.days());
            return Reply::Body(Body { api: Api::V2026, bytes: &response.body, days, exact: true });
        }
        Reply::Refused(refusal(response, now))
    }

    fn grant(&self) -> Grant {
        grant::of_token(&self.0.token)
    }
}

/// An error of the gateway. What Enedis answered lies in `error`, as JSON or as text; the gateway's
/// own errors have none, but for a list of what is wrong with the parameters.
#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(borrow)]
    status: &'a RawValue,
    #[serde(borrow)]
    message: &'a RawValue,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// Classifies an answer that is no data: by what Enedis said where that was passed on.
fn refusal(response: &Response, now: DateTime<Utc>) -> Refusal {
    let inner = passed_on(&response.body).filter(|inner| {
        // Enedis gives its reason a code; the list of wrong parameters has none.
        response.status != 400 || !Envelope::read(inner).code.is_empty()
    });
    if let Some(body) = inner {
        let inner = Response { status: response.status, headers: response.headers.clone(), body };
        return catalogue::classify(Front::Relayed, Endpoint::Data, &inner, now);
    }
    if response.status == 400 {
        // The gateway has no codes: only its text tells a missing token from wrong parameters.
        let text = Envelope::read(&response.body).text;
        if text.to_ascii_lowercase().contains("authorization") {
            return catalogue::found("conso_no_token", Some(400), &text);
        }
    }
    catalogue::classify(Front::ConsoApi, Endpoint::Data, response, now)
}

/// What Enedis answered, in an error that passes it on.
fn passed_on(body: &[u8]) -> Option<Vec<u8>> {
    let outer: Outer<'_> = serde_json::from_slice(body.trim_ascii()).ok()?;
    let is_object = body.trim_ascii().first() == Some(&b'{');
    let named = outer.status.get().parse::<u16>().is_ok() && outer.message.get().starts_with('"');
    let inner = outer.error.filter(|_| is_object && named)?.get();
    match serde_json::from_str::<String>(inner) {
        Ok(text) => Some(text.into_bytes()),
        Err(_) => Some(inner.as_bytes().to_vec()),
    }
}

#[cfg(test)]
mod tests;
