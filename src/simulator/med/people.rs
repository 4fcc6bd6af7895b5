//! What MyElectricalData passes on of a meter's contract and address.
//!
//! A contract is put together from three answers of Enedis; who holds it is left out. In the format of v5 it lacks the
//! status and the kind of meter. Each call counts as one past the cache, whatever it takes upstream.

use axum::response::Response;
use serde_json::{Value, json};

use super::rules::MedAccount;
use super::{Visit, envelope};
use crate::domain::{Api, Prm};
use crate::simulator::refusal::Refusal;
use crate::simulator::service::Service;
use crate::simulator::serving;

/// What may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    Contract,
    Address,
}

/// What an entry of a contract says of people.
const PEOPLE: [&str; 4] = ["customer", "contact_data", "person", "organization"];

impl Visit<'_> {
    /// Answers what is asked about a meter's customer, in that format.
    pub(super) fn person(&self, account: &MedAccount, about: About, prm: &str, api: Api) -> (Response, Option<String>) {
        let refused = |code: &str, text: &str| (envelope(&Value::Null, Some((code, text))), Some(code.to_owned()));
        let Some(prm) = prm.parse::<Prm>().ok().filter(|prm| account.owns(prm)) else {
            return refused("ACCESS_DENIED", "Accès refusé : PDL introuvable ou non associé à votre compte.");
        };
        let rules = &self.world.rules.myelectricaldata;
        let spent = self.simulator.state().med.spend(rules, account, false, self.wall, self.actions);
        let (Ok(left) | Err(left)) = spent;
        let (mut response, code) = match spent.map(|_| self.passed_on(about, &prm, api)) {
            Err(left) => {
                let limit = left.limit.unwrap_or_default();
                let text = format!("Daily rate limit exceeded ({}/{limit}). Use cache to increase limit.", left.spent);
                refused("RATE_LIMIT_EXCEEDED", &text)
            }
            Ok(Ok(data)) => (envelope(&data, None), None),
            Ok(Err(refusal)) => match (refusal.status, refusal.code.as_str()) {
                (_, "ADAM-DC-0007" | "ADAM-DC-0008" | "STM-ERR-0000019") => {
                    refused("ACCESS_DENIED", "Accès refusé : PDL introuvable ou consentement Enedis non valide.")
                }
                (404, _) => refused("NO_DATA", "No data available"),
                (status, code) => refused("ENEDIS_ERROR", &format!("Failed to fetch: {status} {code}")),
            },
        };
        self.tell_rates(&mut response, left);
        (response, code)
    }

    fn passed_on(&self, about: About, prm: &Prm, api: Api) -> Result<Value, Refusal> {
        let part = |service| {
            self.simulator.state().med.counters.upstream_calls += 1;
            serving::upstream(self.simulator, self.world, self.now, service, prm)
        };
        match (about, api) {
            (About::Contract, Api::V2026) => {
                let mut situation = part(Service::Situation)?;
                for entry in situation.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
                    entry.retain(|name, _| !PEOPLE.contains(&name.as_str()));
                }
                let synthesis = part(Service::Synthesis)?;
                let metering = part(Service::Metering).unwrap_or_default();
                Ok(json!({ "situation_contrat": situation, "synthese_contrat": synthesis, "comptage": metering }))
            }
            (About::Contract, Api::V5) => {
                let mut body = part(Service::Contracts)?;
                let points = body.pointer_mut("/customer/usage_points").and_then(Value::as_array_mut);
                for point in points.into_iter().flatten() {
                    for (of, name) in [("contracts", "contract_status"), ("usage_point", "meter_type")] {
                        point.get_mut(of).and_then(Value::as_object_mut).and_then(|fields| fields.remove(name));
                    }
                }
                Ok(body)
            }
            (About::Address, Api::V2026) => part(Service::GeneralData),
            (About::Address, Api::V5) => part(Service::Addresses),
        }
    }
}
