//! Reads the list of services subscribed under an authorisation (API of 2026).
//!
//! No service is no error: the list is then empty or not there at all. A row whose meter cannot be read is
//! left out and told.

use crate::domain::services::{Measure, Service, ServiceState, Services};

use super::customer::{Oddity, Read};
use super::node::{Node, root};
use super::{DecodeError, Number};

/// Reads an answer of `subscribed_services`.
pub fn services(body: &[u8]) -> Result<Read<Services>, DecodeError> {
    let value = root(body)?;
    let answer = Node::of(&value);
    let (count, list) = (answer.get("nbTotalServices"), answer.get("serviceSouscrit"));
    if !count.is_there() && !list.is_there() {
        return Err(DecodeError::Lacking);
    }
    let mut oddities = Vec::new();
    let mut odd = |field: &'static str| {
        let oddity = Oddity::Unreadable(field);
        if !oddities.contains(&oddity) {
            oddities.push(oddity);
        }
    };
    let mut listed = Vec::new();
    for row in list.items() {
        match service(row, &mut odd) {
            Some(service) => listed.push(service),
            None => odd("pointId"),
        }
    }
    let rows = i64::try_from(list.items().count()).unwrap_or(i64::MAX);
    let total = match count.scalar().number() {
        Number::Value(total) => total.max(rows),
        Number::Missing => rows,
        Number::Bad => {
            odd("nbTotalServices");
            rows
        }
    };
    Ok(Read { value: Services { total, listed }, oddities })
}

fn service(row: Node<'_>, odd: &mut impl FnMut(&'static str)) -> Option<Service> {
    let prm = match row.get("pointId").text()? {
        // A number has lost the zeros at its front.
        digits if row.get("pointId").scalar().text().is_none() => format!("{digits:0>14}").parse().ok()?,
        text => text.parse().ok()?,
    };
    let mut date = |name: &'static str| {
        let node = row.get(name);
        let day = node.date();
        if day.is_none() && !node.scalar().is_missing() {
            odd(name);
        }
        day
    };
    let (from, until) = (date("dateDebut"), date("dateFin"));
    let code = |name: &str| row.get(name).text().unwrap_or_default().to_ascii_uppercase();
    let state = match code("etatCode").as_str() {
        "DEMANDE" => ServiceState::Requested,
        "ACTIF" => ServiceState::Active,
        "TERMINE" => ServiceState::Ended,
        "SUPPRIME" => ServiceState::Deleted,
        _ => {
            odd("etatCode");
            ServiceState::Other
        }
    };
    let measure = match code("mesuresTypeCode").as_str() {
        "CDC" => Measure::LoadCurve,
        "ENERGIE" => Measure::DailyEnergy,
        "PMAX" => Measure::MaxPower,
        "IDX" => Measure::Registers,
        "ITC" => Measure::Contract,
        _ => {
            odd("mesuresTypeCode");
            Measure::Other
        }
    };
    let (consumption, production) = (row.get("soutirage").is_true(), row.get("injection").is_true());
    Some(Service { prm, state, measure, consumption, production, from, until })
}
