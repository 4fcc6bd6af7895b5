//! The four answers of API v5.
//!
//! Enedis puts everything below `customer`; identity and contact are described without it. Both are taken.

use super::{Address, Contact, Contracts, DecodeError, Identity, Node, Personal, Read, Reader, Tariff};
use crate::decode::node::root;
use crate::domain::personal::{Organisation, Person};
use crate::domain::{Direction, Prm};

/// The part of the answer that is about the customer.
fn customer(root: Node<'_>) -> Node<'_> {
    let wrapped = root.get("customer");
    if wrapped.is_there() { wrapped } else { root }
}

/// The entry of the meter asked for. One that names no meter is taken for it.
fn usage_point<'a>(root: Node<'a>, prm: &Prm) -> Result<Node<'a>, DecodeError> {
    let mut found = None;
    for entry in customer(root).get("usage_points").items() {
        let named = entry.get("usage_point").get("usage_point_id").scalar();
        if named.is_missing() || named.is_prm(prm.full()) {
            return Ok(entry);
        }
        found = Some(entry);
    }
    Err(if found.is_some() { DecodeError::OtherMeter } else { DecodeError::Lacking })
}

/// Reads the answer about contracts. It knows of consumption only.
pub fn contract(body: &[u8], prm: &Prm) -> Result<Read<Contracts>, DecodeError> {
    let value = root(body)?;
    let entry = usage_point(Node::of(&value), prm)?;
    let (point, terms) = (entry.get("usage_point"), entry.get("contracts"));
    if !terms.is_there() {
        return Err(DecodeError::Lacking);
    }
    let mut reader = Reader::default();
    let mut contracts = Contracts {
        meter_type: reader.text(point, "meter_type"),
        level: reader.text(point, "usage_point_status"),
        ..Contracts::default()
    };
    let contract = contracts.of_mut(Direction::Consumption);
    contract.segment = reader.text(terms, "segment");
    contract.kind = reader.text(terms, "contract_type");
    contract.status = reader.text(terms, "contract_status");
    contract.subscribed_va = reader.power(terms, "subscribed_power");
    contract.tariff = reader.text(terms, "distribution_tariff").map(Tariff::of_code).unwrap_or_default();
    contract.off_peak = reader.off_peak(terms.get("offpeak_hours"), "offpeak_hours");
    contract.activated_on = reader.date(terms, "last_activation_date");
    contract.tariff_changed_on = reader.date(terms, "last_distribution_tariff_change_date");
    Ok(reader.done(contracts))
}

/// Reads the answer about the meter's address.
pub fn address(body: &[u8], prm: &Prm) -> Result<Read<Address>, DecodeError> {
    let value = root(body)?;
    let entry = usage_point(Node::of(&value), prm)?;
    let lines = entry.get("usage_point").get("usage_point_addresses");
    if !lines.is_there() {
        return Err(DecodeError::Lacking);
    }
    let mut reader = Reader::default();
    let place = lines.get("geo_points");
    let address = Address {
        details: Vec::new(),
        street: reader.personal(lines, "street"),
        locality: reader.personal(lines, "locality"),
        postal_code: reader.personal(lines, "postal_code"),
        city: reader.personal(lines, "city"),
        insee_code: reader.personal(lines, "insee_code"),
        country: reader.personal(lines, "country"),
        position: ["latitude", "longitude", "altitude"].map(|name| reader.personal(place, name)),
    };
    Ok(reader.done(address))
}

/// Reads the answer about who the customer is.
pub fn identity(body: &[u8]) -> Result<Read<Identity>, DecodeError> {
    let value = root(body)?;
    let identity = customer(Node::of(&value)).get("identity");
    let (person, company) = (identity.get("natural_person"), identity.get("legal_entity"));
    let mut reader = Reader::default();
    let who = if person.is_there() {
        Identity::Person(Person {
            title: reader.personal(person, "title"),
            first_name: reader.personal(person, "firstname"),
            last_name: reader.personal(person, "lastname"),
        })
    } else if company.is_there() {
        let business: Option<Personal> = reader.personal(company, "business");
        Identity::Organisation(Organisation {
            name: reader.personal(company, "name"),
            trading_name: reader.personal(company, "trading_name"),
            business: business.or_else(|| reader.personal(company, "industry")),
            siret: reader.personal(company, "siret_number"),
            siren: None,
        })
    } else {
        return Err(DecodeError::Lacking);
    };
    Ok(reader.done(who))
}

/// Reads the answer about how to reach the customer.
pub fn contact(body: &[u8]) -> Result<Read<Contact>, DecodeError> {
    let value = root(body)?;
    let data = customer(Node::of(&value)).any(&["contact_data", "contact"]);
    if !data.is_there() {
        return Err(DecodeError::Lacking);
    }
    let mut reader = Reader::default();
    let contact =
        Contact { phone: reader.personal(data, "phone"), landline: None, email: reader.personal(data, "email") };
    Ok(reader.done(contact))
}
