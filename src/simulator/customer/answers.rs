//! The bodies about contracts and people, of both APIs.

use serde_json::{Map, Value, json};

use super::{Customer, Shape, activated};
use crate::domain::{Day, Direction, paris};
use crate::simulator::household::Household;
use crate::simulator::meter::MeterSpec;
use crate::simulator::service::Service;

/// What a service says of a meter.
pub(in crate::simulator) fn body(service: Service, seed: u64, meter: &MeterSpec) -> Value {
    let customer = Customer::of(seed, meter);
    match service {
        Service::Contracts => v5(&customer, &contracts(seed, meter)),
        Service::Addresses => v5(&customer, &addresses(meter, &customer)),
        Service::Identity => json!({ "customer_id": customer.id, "identity": identity(&customer) }),
        Service::ContactData => {
            let contact = json!({ "phone": customer.phone, "email": customer.email });
            json!({ "customer": { "customer_id": customer.id, "contact_data": contact } })
        }
        Service::Situation => situation(seed, meter, &customer),
        Service::Synthesis => synthesis(meter),
        Service::Metering => metering(seed, meter),
        Service::Supply => supply(seed, meter),
        Service::GeneralData => general(&customer),
        Service::ConsumptionIndex | Service::ProductionIndex | Service::SubscribedServices => Value::Null,
    }
}

fn v5(customer: &Customer, usage_point: &Value) -> Value {
    json!({ "customer": { "customer_id": customer.id, "usage_points": [usage_point] } })
}

/// A date as v5 has it: an offset, but no time.
fn date_v5(day: Option<Day>) -> Value {
    day.map_or(Value::Null, |day| json!(format!("{day}+{:02}:00", offset(day))))
}

/// A date as 2026 has it: midnight, an offset without a colon.
fn date_2026(day: Option<Day>) -> Value {
    day.map_or(Value::Null, |day| json!(format!("{day}T00:00:00+{:02}00", offset(day))))
}

fn offset(day: Day) -> i64 {
    paris::offset_hours(paris::start_of(day))
}

fn kva(seed: u64, meter: &MeterSpec) -> i64 {
    meter.contract.subscribed_kva.unwrap_or_else(|| Household::of(seed, &meter.prm).subscribed / 1000)
}

fn contracts(seed: u64, meter: &MeterSpec) -> Value {
    let contract = &meter.contract;
    json!({
        "usage_point": {
            "usage_point_id": meter.prm.full(), "usage_point_status": "com", "meter_type": contract.meter_type,
        },
        "contracts": {
            "segment": contract.segment,
            "subscribed_power": format!("{} kVA", kva(seed, meter)),
            "last_activation_date": date_v5(activated(meter, Direction::Consumption)),
            "distribution_tariff": contract.tariff(),
            "offpeak_hours": contract.off_peak_text(),
            "contract_type": "Contrat GRD-F",
            "contract_status": contract.status,
            "last_distribution_tariff_change_date": date_v5(contract.tariff_changed_on),
        },
    })
}

fn addresses(meter: &MeterSpec, customer: &Customer) -> Value {
    json!({ "usage_point": {
        "usage_point_id": meter.prm.full(), "usage_point_status": "com", "meter_type": meter.contract.meter_type,
        "usage_point_addresses": {
            "street": customer.street, "locality": null, "postal_code": customer.postal_code, "insee_code": "00001",
            "city": customer.city, "country": "France", "geo_points": {},
        },
    }})
}

fn person(customer: &Customer) -> Value {
    json!({ "title": customer.title, "firstname": customer.first_name, "lastname": customer.last_name })
}

fn identity(customer: &Customer) -> Value {
    match &customer.company {
        Some(name) => json!({ "legal_entity": {
            "name": name, "trading_name": name, "business": null, "industry": null, "siret_number": "00000000000000",
        }}),
        None => json!({ "natural_person": person(customer) }),
    }
}

/// A value in the shape that the world asks for.
fn shaped(shape: Shape, plain: Value, object: Value, usual: &Value) -> Value {
    match shape {
        Shape::Usual => usual.clone(),
        Shape::Scalar => plain,
        Shape::Object => object,
        Shape::List => json!([object]),
    }
}

/// A list with an entry for each contract; where there are two, what is fed in comes first as often as not.
fn situation(seed: u64, meter: &MeterSpec, customer: &Customer) -> Value {
    let contract = &meter.contract;
    let entry = |direction: Direction| {
        let drawn = direction == Direction::Consumption;
        let segment = if drawn { contract.segment.as_str() } else { "P4" };
        let as_text = json!(segment);
        let mut entry = Map::new();
        let mut put = |name: &str, value: Value| entry.insert(name.to_owned(), value);
        put("usage_point_id", json!(meter.prm.full()));
        put("contract_start", date_2026(activated(meter, direction)));
        put("contract_type", json!(if drawn { "Contrat GRD-F" } else { "Contrat GRD-A" }));
        put("contractor", json!("FOURNISSEUR FICTIF"));
        put("segment", shaped(contract.shape, as_text.clone(), json!({ "segment": segment }), &as_text));
        if drawn {
            let power = kva(seed, meter);
            let object = json!({ "unit": "kVA", "value": power.to_string() });
            put("subscribed_power", shaped(contract.shape, json!(format!("{power} kVA")), object.clone(), &object));
            put("distribution_tariff", json!(contract.tariff_label()));
        }
        let line6 = format!("{} {}", customer.postal_code, customer.city);
        let name = customer.company.clone().unwrap_or_else(|| format!("{} {}", customer.title, customer.last_name));
        let adress = json!({ "line1": name, "line4": customer.street, "line6": line6, "line7": "FRANCE" });
        put("customer", json!({ "customer": { "adress": adress } }));
        put("contact_data", json!({ "email": customer.email, "landline": null, "phone": customer.phone }));
        match &customer.company {
            Some(name) => put("organization", json!({ "name": name, "siret_number": "00000000000000" })),
            None => put("person", person(customer)),
        };
        Value::Object(entry)
    };
    let mut entries: Vec<Value> =
        Direction::ALL.into_iter().filter(|direction| meter.has(*direction)).map(entry).collect();
    if super::noise(seed, meter).at(1).chance(500) {
        entries.reverse();
    }
    Value::Array(entries)
}

fn synthesis(meter: &MeterSpec) -> Value {
    let segment = |direction| match direction {
        Direction::Consumption => meter.contract.segment.as_str(),
        Direction::Production => "P4",
    };
    let directions = Direction::ALL.into_iter().filter(|direction| meter.has(*direction));
    let segments: Vec<Value> = directions.map(|direction| json!({ "segment": segment(direction) })).collect();
    json!({
        "segments": segments,
        "consumption_last_activation_date": date_2026(activated(meter, Direction::Consumption)),
        "generation_last_activation_date": date_2026(activated(meter, Direction::Production)),
        "last_subscribed_power_change_date": date_2026(meter.contract.power_changed_on),
        "services_level": meter.contract.services_level,
    })
}

fn metering(seed: u64, meter: &MeterSpec) -> Value {
    let number = super::noise(seed, meter).at(2).within(100_000_000, 999_999_999);
    let mut body = json!({ "dispositifComptage": {
        "typeComptage": { "code": meter.contract.meter_type, "libelle": "Compteur simulé" },
        "compteurs": [{ "numeroSerie": number.to_string(), "regimePropriete": { "code": "LOUE", "libelle": "Loué" } }],
    }});
    if let (Some(text), Some(members)) = (meter.contract.off_peak_text(), body.as_object_mut()) {
        members.insert("relais".to_owned(), json!({ "plageHeuresCreuses": text }));
    }
    body
}

fn supply(seed: u64, meter: &MeterSpec) -> Value {
    let power = |kva: i64| json!({ "value": kva, "unit": "kVA" });
    let fed = if meter.has(Direction::Production) { power(3) } else { Value::Null };
    json!({
        "serial_number": super::noise(seed, meter).at(2).within(100_000_000, 999_999_999),
        "connection_state": "Alimenté",
        "voltage_level": "BT",
        "phase_count": "2",
        "consumption_connection_power": power(12),
        "generation_connection_power": fed,
        "nominal_service_voltage": { "value": 230, "unit": "V" },
    })
}

/// Lines that are empty are left out.
fn general(customer: &Customer) -> Value {
    let town = format!("{} {}", customer.postal_code, customer.city);
    json!({ "address": {
        "number_street_name": customer.street.to_uppercase(), "postal_code_city": town, "insee_code": "00001",
    }})
}
