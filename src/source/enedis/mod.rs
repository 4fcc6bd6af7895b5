//! Enedis itself, through an application of one's own: the API v5 and Data Connect 2026.
//!
//! Both answer at one host, take the same token and count calls by application; they differ in
//! routes and names (`routes`) and in the bodies that [`crate::decode`] reads. What was found
//! out about them, and what is uncertain, stands in docs/enedis.md. [`Source`] asks for measures and registers; what else
//! Enedis can be asked is in `customers`, and the customer's consent in [`consent`].

pub mod consent;
mod customers;
mod routes;
mod token;

use std::fmt;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use url::{Url, form_urlencoded};

use crate::domain::{Api, CustomerDataset, Dataset, Kind, Prm, SameDay};

pub use customers::CustomerCall;

use super::catalogue::{self, Endpoint, Front};
use super::envelope::is_error;
use super::{Ask, Body, Label, Reach, Refusal, Reply, Request, Response, Scope, Source, Token, fingerprint, wire};

/// The kind's name in the configuration.
pub const KIND: &str = "enedis";

/// Where Enedis answers.
pub const PRODUCTION: &str = "https://gw.ext.prod.api.enedis.fr";

/// Where Enedis answers with made-up data.
pub const SANDBOX: &str = "https://gw.ext.prod-sandbox.api.enedis.fr";

/// What it takes to speak to Enedis.
#[derive(Clone)]
pub struct EnedisSettings {
    /// The operator's name for the source.
    pub name: String,
    /// Where it answers; a path is put in front of every route, as proxies need it.
    pub base_url: Url,
    /// The APIs that may be spoken, the preferred one first.
    pub apis: Vec<Api>,
    /// The application.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretString,
    /// How linkyd introduces itself.
    pub user_agent: String,
}

/// The source of kind `enedis`.
pub struct Enedis(EnedisSettings);

impl Enedis {
    /// A source with these settings.
    #[must_use]
    pub fn new(settings: EnedisSettings) -> Self {
        Self(settings)
    }

    /// How linkyd introduces itself unless told otherwise.
    #[must_use]
    pub fn user_agent() -> String {
        wire::user_agent()
    }
}

impl fmt::Debug for Enedis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enedis").field("name", &self.0.name).field("apis", &self.0.apis).finish_non_exhaustive()
    }
}

/// How far back Enedis serves a dataset and how much at once, whoever passes it on unchanged.
pub(super) fn reach(dataset: Dataset) -> Reach {
    match dataset.kind() {
        Kind::LoadCurve => Reach { months: 24, days: 15, max_days: 7, exact_days: 7 },
        Kind::DailyEnergy | Kind::MaxPower => Reach { months: 36, days: 15, max_days: 365, exact_days: 365 },
        // Neither is documented; a span that is refused is made shorter, a history that is refused is searched.
        Kind::Registers => Reach { months: 36, days: 15, max_days: 31, exact_days: 31 },
    }
}

impl Source for Enedis {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn kind(&self) -> &'static str {
        KIND
    }

    fn scope(&self) -> Scope {
        Scope::Application
    }

    fn credentials(&self) -> String {
        fingerprint(&[&self.0.client_id, self.0.client_secret.expose_secret()])
    }

    fn is_direct(&self) -> bool {
        true
    }

    fn account(&self) -> String {
        // The host does not belong to it: calls through a proxy are counted all the same.
        format!("{KIND}:{}", self.0.client_id)
    }

    fn apis(&self, dataset: Dataset) -> &[Api] {
        match dataset.kind() {
            // API v5 has none.
            Kind::Registers => self.0.apis.iter().position(|api| *api == Api::V2026).map_or(&[], |_| &[Api::V2026]),
            Kind::LoadCurve | Kind::DailyEnergy | Kind::MaxPower => &self.0.apis,
        }
    }

    fn reach(&self, dataset: Dataset) -> Option<Reach> {
        (!self.apis(dataset).is_empty()).then(|| reach(dataset))
    }

    fn label(&self) -> Label {
        Label::End
    }

    fn same_day(&self) -> SameDay {
        SameDay::Often
    }

    fn token_request(&self) -> Option<Request> {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("client_id", &self.0.client_id)
            .append_pair("client_secret", self.0.client_secret.expose_secret())
            .finish();
        Some(Request {
            form: Some(SecretString::from(form)),
            json: None,
            url: wire::url(&self.0.base_url, routes::TOKEN),
            headers: wire::headers(&self.0.user_agent),
            authorization: None,
        })
    }

    fn read_token(&self, response: &Response, now: DateTime<Utc>) -> Result<Token, Refusal> {
        token::read(response, now)
    }

    fn request(&self, ask: Ask<'_>, token: Option<&Token>) -> Request {
        let route = routes::find(ask.api, ask.span.dataset());
        let names = routes::parameters(ask.api);
        let mut url = wire::url(&self.0.base_url, route.map_or("/", |route| route.path));
        url.query_pairs_mut()
            .append_pair(names.prm, ask.prm.full())
            .append_pair(names.start, &ask.span.start().to_string())
            .append_pair(names.end, &ask.span.end().to_string())
            .extend_pairs(route.map_or(&[][..], |route| route.fixed));
        Request {
            form: None,
            json: None,
            url,
            headers: wire::headers(&self.0.user_agent),
            authorization: token.map(|t| wire::bearer(&t.secret)),
        }
    }

    fn read<'r>(&self, ask: Ask<'_>, response: &'r Response, now: DateTime<Utc>) -> Reply<'r> {
        if response.status == 200 && !is_error(&response.body) {
            return Reply::Body(Body { api: ask.api, bytes: &response.body, days: Some(ask.span.days()), exact: true });
        }
        Reply::Refused(catalogue::classify(Front::Enedis, Endpoint::Data, response, now))
    }

    fn subscription(&self, api: Api, dataset: Dataset) -> Option<&'static str> {
        routes::find(api, dataset).and_then(|route| route.path.split('/').find(|part| !part.is_empty()))
    }

    fn services_request(&self, authorisation: i64, token: &Token) -> Option<Request> {
        Some(self.list_services(authorisation, token))
    }

    fn customer_calls(&self, about: CustomerDataset, api: Api) -> &'static [CustomerCall] {
        customers::calls_for(about, api)
    }

    fn ask_customer(&self, call: CustomerCall, prm: &Prm, token: Option<&Token>) -> Option<Request> {
        token.map(|token| self.customer_request(call, prm, token))
    }

    fn read_customer<'r>(
        &self,
        _: CustomerCall,
        response: &'r Response,
        now: DateTime<Utc>,
    ) -> Result<&'r [u8], Refusal> {
        self.read_answer(Endpoint::Customer, response, now)
    }

    fn read_services<'r>(&self, response: &'r Response, now: DateTime<Utc>) -> Result<&'r [u8], Refusal> {
        self.read_answer(Endpoint::Customer, response, now)
    }
}

#[cfg(test)]
mod tests;
