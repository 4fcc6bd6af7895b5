//! MyElectricalData version 2, the gateway at myelectricaldata.fr.
//!
//! It wraps everything (`answer`), labels the points of a curve with the start of their interval,
//! keeps answers for a day, and counts calls by account: few that reach Enedis, many more that its
//! cache may answer. So history is asked for through the cache, in spans of eight weeks, and only
//! the newest day without it. What it does and does not do stands in docs/sources.md.

mod answer;
mod routes;

use std::fmt;

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use url::Url;

use crate::domain::{Api, CustomerDataset, Dataset, Kind, Prm, SameDay, paris};

use super::catalogue::{self, Endpoint, Front, Own};
use super::envelope::is_error;
use super::{
    Ask, Body, CustomerCall, Grant, Label, Pool, Quota, Reach, Reaction, Refusal, Reply, Request, Response, Scope,
    Source, Token, fingerprint, grant, quota, wire,
};

use answer::Wrapped;

/// The kind's name in the configuration.
pub const KIND: &str = "myelectricaldata";

/// The version of the gateway that is spoken to.
pub const VERSION: u32 = 2;

/// Where it answers.
pub const BASE_URL: &str = "https://www.v2.myelectricaldata.fr/api";

/// Calls that linkyd allows itself in a second.
pub const PER_SECOND: u32 = 1;

/// Calls that reach Enedis that linkyd allows itself in a day, of the 50 that an account has.
pub const LIVE_PER_DAY: u32 = 40;

/// Calls that the cache may answer that linkyd allows itself in a day, of the 1000 that an account has.
pub const CACHED_PER_DAY: u32 = 400;

/// Days of a curve in one call: eight of the gateway's own calls to Enedis.
const BATCH: i32 = 8 * routes::WHOLE;

/// What the gateway answers when a quota is used up.
const USED_UP: &str = "RATE-LIMIT-EXCEEDED";

/// What the gateway answers when Enedis refused.
const ENEDIS_ERROR: &str = "ENEDIS-ERROR";

/// What it takes to speak to it.
#[derive(Clone)]
pub struct MyElectricalDataSettings {
    /// The operator's name for the source.
    pub name: String,
    /// Where it answers; a path is put in front of every route.
    pub base_url: Url,
    /// The account.
    pub client_id: String,
    /// Its secret, which is sent as it is.
    pub client_secret: SecretString,
    /// How linkyd introduces itself.
    pub user_agent: String,
}

/// The source of kind `myelectricaldata`.
pub struct MyElectricalData(MyElectricalDataSettings);

impl MyElectricalData {
    /// A source with these settings.
    #[must_use]
    pub fn new(settings: MyElectricalDataSettings) -> Self {
        Self(settings)
    }

    /// How linkyd introduces itself unless told otherwise.
    #[must_use]
    pub fn user_agent() -> String {
        wire::user_agent()
    }

    fn get(&self, url: Url) -> Request {
        let mut headers = wire::headers(&self.0.user_agent);
        headers.push(("x-med-format", "2026".to_owned()));
        Request { form: None, json: None, url, headers, authorization: Some(wire::bearer(&self.0.client_secret)) }
    }
}

impl fmt::Debug for MyElectricalData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MyElectricalData").field("name", &self.0.name).finish_non_exhaustive()
    }
}

impl Source for MyElectricalData {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn kind(&self) -> &'static str {
        KIND
    }

    fn scope(&self) -> Scope {
        Scope::Account
    }

    fn account(&self) -> String {
        format!("{KIND}:{}", self.0.client_id)
    }

    fn credentials(&self) -> String {
        fingerprint(&[&self.0.client_id, self.0.client_secret.expose_secret()])
    }

    fn apis(&self, _: Dataset) -> &[Api] {
        &[Api::V2026]
    }

    fn reach(&self, dataset: Dataset) -> Option<Reach> {
        // Years to the day: the fifteen days that Enedis serves beyond them are refused.
        Some(match dataset.kind() {
            Kind::LoadCurve => Reach { months: 24, days: 0, max_days: BATCH, exact_days: routes::WHOLE },
            Kind::DailyEnergy | Kind::MaxPower => Reach { months: 36, days: 0, max_days: 365, exact_days: 365 },
            // The gateway has none.
            Kind::Registers => return None,
        })
    }

    fn label(&self) -> Label {
        Label::Start
    }

    fn same_day(&self) -> SameDay {
        SameDay::Once
    }

    fn pool(&self, ask: &Ask<'_>) -> Pool {
        if ask.is_fresh() || loses_in_cache(ask) { Pool::Live } else { Pool::Cached }
    }

    fn request(&self, ask: Ask<'_>, _: Option<&Token>) -> Request {
        let mut url = wire::url(&self.0.base_url, &routes::path(&ask));
        let cached = self.pool(&ask) == Pool::Cached;
        url.query_pairs_mut()
            .append_pair("start", &ask.span.start().to_string())
            .append_pair("end", &ask.span.end().to_string())
            .append_pair("use_cache", if cached { "true" } else { "false" });
        self.get(url)
    }

    fn read<'r>(&self, ask: Ask<'_>, response: &'r Response, now: DateTime<Utc>) -> Reply<'r> {
        if let Some((data, exact)) = data(response) {
            let (api, days) = answer::form_and_days(data, ask.span.days());
            return Reply::Body(Body { api, bytes: data.as_bytes(), days, exact });
        }
        Reply::Refused(refusal(response, now))
    }

    fn customer_calls(&self, about: CustomerDataset, _: Api) -> &'static [CustomerCall] {
        match about {
            CustomerDataset::Contract => &[CustomerCall::Bundle],
            CustomerDataset::Address => &[CustomerCall::GeneralData],
            // It passes them on, but in which form is not known.
            CustomerDataset::Identity | CustomerDataset::Contact => &[],
        }
    }

    fn ask_customer(&self, call: CustomerCall, prm: &Prm, _: Option<&Token>) -> Option<Request> {
        let route = routes::of_customer(call)?;
        Some(self.get(wire::url(&self.0.base_url, &format!("{route}/{}", prm.full()))))
    }

    fn read_customer<'r>(
        &self,
        _: CustomerCall,
        response: &'r Response,
        now: DateTime<Utc>,
    ) -> Result<&'r [u8], Refusal> {
        data(response).map(|(data, _)| data.as_bytes()).ok_or_else(|| refusal(response, now))
    }

    fn quota(&self, ask: &Ask<'_>, response: &Response, now: DateTime<Utc>) -> Vec<Quota> {
        let pool = self.pool(ask);
        let until = quota::named_reset(response, now).unwrap_or_else(|| reset_after(now));
        let used_up = Wrapped::read(&response.body).and_then(|wrapped| wrapped.code()).is_some_and(|c| c == USED_UP);
        if used_up {
            return vec![Quota { pool, left: 0, until }];
        }
        quota::from_headers(response, pool, now, until).into_iter().collect()
    }

    fn grant(&self) -> Grant {
        grant::of_token(&self.0.client_secret)
    }

    fn check_request(&self) -> Option<Request> {
        Some(self.get(wire::url(&self.0.base_url, routes::METERS)))
    }

    fn read_check(&self, response: &Response, now: DateTime<Utc>) -> Result<Grant, Refusal> {
        let Some((data, _)) = data(response) else { return Err(refusal(response, now)) };
        let undecodable = || catalogue::own(Own::Undecodable, Some(response.status), "");
        let meters: Vec<Value> = serde_json::from_str(data).map_err(|_| undecodable())?;
        Ok(Grant { prms: Some(meters.iter().filter_map(meter).collect()), until: self.grant().until })
    }
}

/// The PRM of one line of the list of meters.
fn meter(line: &Value) -> Option<Prm> {
    let prm = |value: &Value| value.as_str()?.trim().parse::<Prm>().ok();
    prm(line).or_else(|| ["usage_point_id", "pdl", "prm", "id"].into_iter().find_map(|name| prm(line.get(name)?)))
}

/// Whether the cache would lose readings. For short spans of consumption it keeps one reading for
/// each label, and on the day of 25 hours some labels come twice.
fn loses_in_cache(ask: &Ask<'_>) -> bool {
    let days = ask.span.days();
    ask.span.dataset() == Dataset::ConsumptionLoadCurve
        && days.len() <= routes::WHOLE
        && days.iter().any(|day| paris::minutes_in(day) > 24 * 60)
}

/// The data of an answer, and whether nothing was left out of them. An error of Enedis that was put
/// in the place of data is none.
fn data(response: &Response) -> Option<(&str, bool)> {
    let wrapped = Wrapped::read(&response.body).filter(|_| response.status == 200)?;
    wrapped.data().filter(|(data, _)| !is_error(data.as_bytes()))
}

/// Classifies an answer that is no data.
fn refusal(response: &Response, now: DateTime<Utc>) -> Refusal {
    let classify = |body: Vec<u8>| {
        let response = Response { status: response.status, headers: response.headers.clone(), body };
        catalogue::classify(Front::MyElectricalData, Endpoint::Data, &response, now)
    };
    let Some(wrapped) = Wrapped::read(&response.body) else { return classify(response.body.clone()) };
    // The error alone: whatever lies beside it must not get into a message.
    let refusal = match (wrapped.error(), wrapped.raw_data()) {
        (Some(error), _) => classify(error.as_bytes().to_vec()),
        (None, Some(data)) if is_error(data.as_bytes()) => classify(data.as_bytes().to_vec()),
        (None, Some(_)) => classify(b"{}".to_vec()),
        (None, None) if response.status == 200 => catalogue::own(Own::Empty, Some(response.status), ""),
        (None, None) => classify(response.body.clone()),
    };
    match (refusal.code.as_str(), refusal.reaction) {
        (USED_UP, Reaction::RetryAt(None)) => {
            Refusal { reaction: Reaction::RetryAt(Some(reset_after(now))), ..refusal }
        }
        // Where Enedis gave a reason, the gateway repeats its code in the text.
        (ENEDIS_ERROR, _) => match wrapped.error().and_then(catalogue::code_within) {
            Some(code) => Refusal { excerpt: refusal.excerpt, ..classify(format!(r#"{{"error":"{code}"}}"#).into()) },
            None => refusal,
        },
        _ => refusal,
    }
}

/// When the quotas open again: they are counted by UTC day, and a little is added for clocks that
/// differ.
fn reset_after(now: DateTime<Utc>) -> DateTime<Utc> {
    let five_past = now.date_naive().and_time(NaiveTime::MIN).and_utc() + TimeDelta::minutes(5);
    if now < five_past { five_past } else { five_past + TimeDelta::days(1) }
}

#[cfg(test)]
mod tests;
