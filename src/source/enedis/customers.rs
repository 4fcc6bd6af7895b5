//! Requests for what is no measure: contracts, addresses, people, subscribed services.
//!
//! Each is one call of one API. v5 has an answer for each kind of thing and wants the PRM in the query; in 2026
//! contracts lie in several answers and the PRM stands in the path, where a PRM in the query is a
//! technical error. [`crate::decode`] reads the answers.

use chrono::{DateTime, Utc};

use crate::domain::{Api, CustomerDataset, Prm};
use crate::source::catalogue::{self, Endpoint, Front};
use crate::source::envelope::is_error;
use crate::source::{Refusal, Request, Response, Token, wire};

use super::{Enedis, routes};

/// The calls that a dataset takes in an API, the one that matters most first.
#[must_use]
pub(in crate::source) fn calls_for(dataset: CustomerDataset, api: Api) -> &'static [CustomerCall] {
    use CustomerCall as Call;
    use CustomerDataset as About;
    match (api, dataset) {
        (Api::V5, About::Contract) => &[Call::Contracts],
        (Api::V5, About::Address) => &[Call::Addresses],
        (Api::V5, About::Identity) => &[Call::Identity],
        (Api::V5, About::Contact) => &[Call::ContactData],
        (Api::V2026, About::Contract) => &[Call::Situation, Call::Synthesis, Call::Metering],
        (Api::V2026, About::Address) => &[Call::GeneralData],
        // People stand beside the contracts.
        (Api::V2026, About::Identity | About::Contact) => &[Call::Situation],
    }
}

/// One call about a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CustomerCall {
    /// Contract (v5).
    Contracts,
    /// Address of the meter (v5).
    Addresses,
    /// Who the customer is (v5).
    Identity,
    /// How to reach the customer (v5).
    ContactData,
    /// Contracts and people (2026).
    Situation,
    /// Activation days and whether the meter reports (2026).
    Synthesis,
    /// Kind of meter and off-peak hours (2026).
    Metering,
    /// Connection to the grid (2026).
    Supply,
    /// Address of the meter (2026).
    GeneralData,
    /// What three answers of 2026 say about contracts, as a gateway puts it together.
    Bundle,
}

/// How a call is made.
struct Route {
    api: Api,
    path: &'static str,
    /// What the documentation of v5 calls the permission; it was never seen to be enforced.
    scope: Option<&'static str>,
}

impl CustomerCall {
    /// Every one of Enedis' own.
    pub const ALL: [Self; 9] = [
        Self::Contracts,
        Self::Addresses,
        Self::Identity,
        Self::ContactData,
        Self::Situation,
        Self::Synthesis,
        Self::Metering,
        Self::Supply,
        Self::GeneralData,
    ];

    fn route(self) -> Route {
        let v5 = |path, scope| Route { api: Api::V5, path, scope: Some(scope) };
        let v2026 = |path| Route { api: Api::V2026, path, scope: None };
        match self {
            Self::Contracts => v5("/customers_upc/v5/usage_points/contracts", "customers:contract_data"),
            Self::Addresses => v5("/customers_upa/v5/usage_points/addresses", "customers:contract_data"),
            Self::Identity => v5("/customers_i/v5/identity", "customers:identity"),
            Self::ContactData => v5("/customers_cd/v5/contact_data", "customers:contact_data"),
            Self::Situation => v2026("/situation_contrat_auto/v1"),
            Self::Synthesis => v2026("/synth_contrat_auto/v1"),
            Self::Metering => v2026("/comptage_auto/v1"),
            Self::Supply => v2026("/alimentation_auto/v1"),
            Self::GeneralData => v2026("/donnees_generales_auto/v1"),
            Self::Bundle => v2026("/enedis/contract"),
        }
    }

    /// The API to which it belongs.
    #[must_use]
    pub fn api(self) -> Api {
        self.route().api
    }

    /// What the documentation calls the permission for it.
    #[must_use]
    pub fn scope(self) -> Option<&'static str> {
        self.route().scope
    }

    /// Its path below the host, without the meter: the name of the API to subscribe to at Enedis.
    #[must_use]
    pub fn path(self) -> &'static str {
        self.route().path
    }
}

/// The path of the list of subscribed services.
const SERVICES: &str = "/subscribed_services/v1";

impl Enedis {
    /// The request for something about the customer of a meter.
    #[must_use]
    pub fn customer_request(&self, call: CustomerCall, prm: &Prm, token: &Token) -> Request {
        let route = call.route();
        let url = match route.api {
            Api::V5 => {
                let mut url = wire::url(&self.0.base_url, route.path);
                url.query_pairs_mut().append_pair(routes::parameters(Api::V5).prm, prm.full());
                url
            }
            Api::V2026 => wire::url(&self.0.base_url, &format!("{}/{}", route.path, prm.full())),
        };
        self.with_token(url, token)
    }

    /// The request for the services of an authorisation, which name its meter; those that are over are listed too,
    /// or a consent that has ended would look like one that is not in force yet (2026).
    #[must_use]
    pub fn list_services(&self, authorisation: i64, token: &Token) -> Request {
        let body = serde_json::json!({
            "autorisationId": authorisation,
            "comptage": false,
            "etatCode": ["ACTIF", "DEMANDE", "TERMINE", "SUPPRIME"],
        });
        let url = wire::url(&self.0.base_url, SERVICES);
        Request { json: Some(body.to_string()), ..self.with_token(url, token) }
    }

    /// The body of an answer to one of these requests, for the decoder, or what was refused; `now` is the
    /// machine's time.
    pub fn read_answer<'r>(
        &self,
        endpoint: Endpoint,
        response: &'r Response,
        now: DateTime<Utc>,
    ) -> Result<&'r [u8], Refusal> {
        if response.status == 200 && !is_error(&response.body) {
            return Ok(&response.body);
        }
        Err(catalogue::classify(Front::Enedis, endpoint, response, now))
    }

    fn with_token(&self, url: url::Url, token: &Token) -> Request {
        Request {
            form: None,
            json: None,
            url,
            headers: wire::headers(&self.0.user_agent),
            authorization: Some(wire::bearer(&token.secret)),
        }
    }
}
