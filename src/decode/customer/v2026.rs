//! The five answers of Data Connect 2026 that stand for the four of v5.
//!
//! `situation_contrat_auto` has the contracts and the people, `synth_contrat_auto` since when there are
//! measures, `comptage_auto` the meter and its off-peak hours, `alimentation_auto` the connection to the
//! grid, `donnees_generales_auto` the address. Only the first of them names the meter.

use super::{
    Address, Contact, Contracts, DecodeError, Identity, Node, Oddity, Read, Reader, Tariff, direction, postal,
};
use crate::decode::node::root;
use crate::domain::contract::Contract;
use crate::domain::personal::{Organisation, Person};
use crate::domain::{Direction, Prm};

/// What the answer about contracts holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Situation {
    /// The contracts.
    pub contracts: Contracts,
    /// Who holds them.
    pub identity: Option<Identity>,
    /// How to reach him or her.
    pub contact: Option<Contact>,
    /// The address of the customer, which need not be the meter's.
    pub address: Option<Address>,
}

/// How a meter is connected to the grid.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Installation {
    /// Whether there is power, in Enedis' own words.
    pub state: Option<String>,
    /// The voltage level, in Enedis' own words.
    pub voltage_level: Option<String>,
    /// Wires of the branch: 2 for a single phase, 4 for three.
    pub wires: Option<i64>,
    /// What the connection is made for, drawing, in VA.
    pub consumption_va: Option<i64>,
    /// What the connection is made for, feeding in, in VA.
    pub production_va: Option<i64>,
}

/// Reads `situation_contrat_auto`: a list with an entry for each contract.
pub fn situation(body: &[u8], prm: &Prm) -> Result<Read<Situation>, DecodeError> {
    let value = root(body)?;
    let entries: Vec<Node<'_>> = Node::of(&value).items().collect();
    if entries.is_empty() || !entries.iter().any(|entry| is_contract(*entry)) {
        return Err(DecodeError::Lacking);
    }
    let names = |entry: &&Node<'_>| {
        let named = entry.get("usage_point_id").scalar();
        named.is_missing() || named.is_prm(prm.full())
    };
    let entries: Vec<Node<'_>> = entries.iter().filter(names).copied().collect();
    if entries.is_empty() {
        return Err(DecodeError::OtherMeter);
    }
    let mut reader = Reader::default();
    let mut found = Situation::default();
    for entry in entries {
        let contract = one_contract(&mut reader, entry);
        match direction(contract.segment.as_deref(), contract.kind.as_deref()) {
            None => reader.note(Oddity::NoDirection),
            Some(direction) if found.contracts.of(direction).is_some() => reader.note(Oddity::Twice(direction)),
            Some(direction) => *found.contracts.of_mut(direction) = contract,
        }
        found.identity = found.identity.or_else(|| identity(&mut reader, entry));
        found.contact = found.contact.or_else(|| contact(&mut reader, entry));
        found.address = found.address.or_else(|| customer_address(&mut reader, entry));
    }
    Ok(reader.done(found))
}

/// Reads what a gateway makes of three answers: `situation_contrat`, `synthese_contrat` and `comptage` beside each
/// other, of which the last two may be missing.
pub fn bundle(body: &[u8], prm: &Prm) -> Result<Read<Situation>, DecodeError> {
    let value: serde_json::Value = serde_json::from_slice(body).map_err(|_| DecodeError::Lacking)?;
    let part = |name: &str| value.get(name).filter(|part| !part.is_null()).map(|part| part.to_string().into_bytes());
    let mut read = situation(&part("situation_contrat").ok_or(DecodeError::Lacking)?, prm)?;
    for (name, decode) in [("synthese_contrat", synthesis as fn(&[u8]) -> _), ("comptage", metering)] {
        // Whatever is wrong with a part, the others stand.
        let Some(Ok(more)) = part(name).map(|body| decode(&body)) else { continue };
        read.value.contracts = std::mem::take(&mut read.value.contracts).and(more.value);
        read.oddities.extend(more.oddities);
    }
    Ok(read)
}

/// Whether an entry has anything that a contract has.
fn is_contract(entry: Node<'_>) -> bool {
    entry.any(&["usage_point_id", "segment", "contract_type", "contract_start", "subscribed_power"]).is_there()
}

fn one_contract(reader: &mut Reader, entry: Node<'_>) -> Contract {
    let segment =
        reader.field("segment", entry.get("segment"), |node| node.inner(&["segment", "code", "value"]).text());
    Contract {
        segment,
        kind: reader.text(entry, "contract_type"),
        subscribed_va: reader.power(entry, "subscribed_power"),
        tariff: reader.text(entry, "distribution_tariff").map(Tariff::of_label).unwrap_or_default(),
        starts_on: reader.date(entry, "contract_start"),
        ..Contract::default()
    }
}

fn identity(reader: &mut Reader, entry: Node<'_>) -> Option<Identity> {
    let (person, company) = (entry.get("person"), entry.get("organization"));
    if person.is_there() {
        let person = Person {
            title: reader.personal(person, "title"),
            first_name: reader.personal(person, "firstname"),
            last_name: reader.personal(person, "lastname"),
        };
        return (person != Person::default()).then_some(Identity::Person(person));
    }
    let company = Organisation {
        name: reader.personal(company, "name"),
        trading_name: reader.personal(company, "commercial_name"),
        business: reader.personal(company, "business_code"),
        siret: reader.personal(company, "siret_number"),
        siren: reader.personal(company, "siren_number"),
    };
    (company != Organisation::default()).then_some(Identity::Organisation(company))
}

fn contact(reader: &mut Reader, entry: Node<'_>) -> Option<Contact> {
    let data = entry.get("contact_data");
    let contact = Contact {
        phone: reader.personal(data, "phone"),
        landline: reader.personal(data, "landline"),
        email: reader.personal(data, "email"),
    };
    (!contact.is_empty()).then_some(contact)
}

/// Seven lines in the order of French post: name, flat, building, street, hamlet, town, country.
fn customer_address(reader: &mut Reader, entry: Node<'_>) -> Option<Address> {
    let customer = entry.get("customer");
    let inner = customer.get("customer");
    let lines = if inner.is_there() { inner } else { customer }.any(&["adress", "address"]);
    let town = reader.personal(lines, "line6");
    let (postal_code, city) = town.map(|town| postal(town.reveal())).unwrap_or_default();
    let details = ["line1", "line2", "line3"];
    let address = Address {
        details: details.into_iter().filter_map(|line| reader.personal(lines, line)).collect(),
        street: reader.personal(lines, "line4"),
        locality: reader.personal(lines, "line5"),
        postal_code,
        city,
        country: reader.personal(lines, "line7"),
        ..Address::default()
    };
    (!address.is_empty()).then_some(address)
}

/// Reads `synth_contrat_auto`: since when each direction is measured.
pub fn synthesis(body: &[u8]) -> Result<Read<Contracts>, DecodeError> {
    let value = root(body)?;
    let entry = Node::of(&value);
    let known = [
        "segments",
        "consumption_last_activation_date",
        "generation_last_activation_date",
        "last_subscribed_power_change_date",
        "services_level",
    ];
    if !entry.any(&known).is_there() {
        return Err(DecodeError::Lacking);
    }
    let mut reader = Reader::default();
    let mut contracts = Contracts { level: reader.text(entry, "services_level"), ..Contracts::default() };
    for segment in entry.get("segments").items() {
        let segment = reader.field("segments", segment, |node| node.inner(&["segment", "code", "value"]).text());
        let Some(segment) = segment else { continue };
        match direction(Some(&segment), None) {
            None => reader.note(Oddity::NoDirection),
            Some(direction) => contracts.of_mut(direction).segment = Some(segment),
        }
    }
    for (direction, name) in [
        (Direction::Consumption, "consumption_last_activation_date"),
        (Direction::Production, "generation_last_activation_date"),
    ] {
        if let Some(day) = reader.date(entry, name) {
            contracts.of_mut(direction).activated_on = Some(day);
        }
    }
    if let Some(day) = reader.date(entry, "last_subscribed_power_change_date") {
        contracts.of_mut(Direction::Consumption).power_changed_on = Some(day);
    }
    Ok(reader.done(contracts))
}

/// Reads `comptage_auto`: the kind of meter, and the off-peak hours of what is drawn.
pub fn metering(body: &[u8]) -> Result<Read<Contracts>, DecodeError> {
    let value = root(body)?;
    let entry = Node::of(&value);
    let device = entry.get("dispositifComptage");
    let relay = entry.get("relais");
    let relay = if relay.is_there() { relay } else { device.get("relais") };
    if !device.is_there() && !relay.is_there() {
        return Err(DecodeError::Lacking);
    }
    let mut reader = Reader::default();
    let meter_type = reader.text(device, "typeComptage");
    let mut contracts = Contracts { meter_type, ..Contracts::default() };
    if let Some(hours) = reader.off_peak(relay.get("plageHeuresCreuses"), "plageHeuresCreuses") {
        contracts.of_mut(Direction::Consumption).off_peak = Some(hours);
    }
    Ok(reader.done(contracts))
}

/// Reads `alimentation_auto`: the connection to the grid.
pub fn supply(body: &[u8]) -> Result<Read<Installation>, DecodeError> {
    let value = root(body)?;
    let entry = Node::of(&value);
    if !entry.any(&["connection_state", "voltage_level", "phase_count", "consumption_connection_power"]).is_there() {
        return Err(DecodeError::Lacking);
    }
    let mut reader = Reader::default();
    let wires = |node: Node<'_>| node.inner(&["value"]).text()?.parse().ok().filter(|wires| (1..=5).contains(wires));
    let installation = Installation {
        state: reader.text(entry, "connection_state"),
        voltage_level: reader.text(entry, "voltage_level"),
        wires: reader.field("phase_count", entry.get("phase_count"), wires),
        consumption_va: reader.power(entry, "consumption_connection_power"),
        production_va: reader.power(entry, "generation_connection_power"),
    };
    Ok(reader.done(installation))
}

/// Reads `donnees_generales_auto`: the meter's address.
pub fn general_data(body: &[u8]) -> Result<Read<Address>, DecodeError> {
    let value = root(body)?;
    let lines = Node::of(&value).get("address");
    if !lines.is_there() {
        return Err(DecodeError::Lacking);
    }
    let mut reader = Reader::default();
    let town = reader.personal(lines, "postal_code_city");
    let (postal_code, city) = town.map(|town| postal(town.reveal())).unwrap_or_default();
    let details = ["staircase_floor_apartment", "building"];
    let address = Address {
        details: details.into_iter().filter_map(|line| reader.personal(lines, line)).collect(),
        street: reader.personal(lines, "number_street_name"),
        locality: reader.personal(lines, "locality"),
        postal_code,
        city,
        insee_code: reader.personal(lines, "insee_code"),
        ..Address::default()
    };
    Ok(reader.done(address))
}
