//! Answers about customers, in the shapes that are known and in ones that are not.

mod mutations;

use serde_json::{Value, json};

use super::*;
use crate::domain::Prm;
use crate::domain::personal::{Organisation, Person};

const PRM: &str = "01234567890123";

fn prm() -> Prm {
    PRM.parse().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn shown(text: Option<&Personal>) -> &str {
    text.map(Personal::reveal).unwrap_or_default()
}

pub(super) fn v5_contract() -> Value {
    json!({"customer": {"customer_id": "-77", "usage_points": [{
        "usage_point": {"usage_point_id": PRM, "usage_point_status": "com", "meter_type": "AMM"},
        "contracts": {
            "segment": "C5", "subscribed_power": "6 kVA", "last_activation_date": "2019-03-31+01:00",
            "distribution_tariff": "BTINFCUDT", "offpeak_hours": "HC (1H28-6H58;13H58-16H28)",
            "contract_type": "Contrat GRD-F", "contract_status": "SERVC",
            "last_distribution_tariff_change_date": "2022-07-01+02:00",
        },
    }]}})
}

pub(super) fn v5_address() -> Value {
    json!({"customer": {"usage_points": [{"usage_point": {"usage_point_id": PRM, "usage_point_addresses": {
        "street": "12 rue de l'Exemple", "locality": null, "postal_code": "00000", "insee_code": "00001",
        "city": "VILLE-EXEMPLE", "country": "France", "geo_points": {"latitude": "46.5", "longitude": "2.5", "altitude": "100"},
    }}}]}})
}

pub(super) fn v5_identity() -> Value {
    json!({"customer_id": "77", "identity": {"natural_person": {
        "title": "MME", "firstname": "Camille", "lastname": "EXEMPLE",
    }}})
}

pub(super) fn v5_contact() -> Value {
    json!({"customer": {"contact_data": {"phone": "+33199000001", "email": "camille@example.org"}}})
}

pub(super) fn situation_body() -> Value {
    json!([
        {"usage_point_id": PRM, "contract_start": "2024-06-01T00:00:00+0200", "contract_type": "Contrat GRD-A", "segment": "P4",
         "organization": {"name": null}},
        {"usage_point_id": PRM, "contract_start": "2023-12-01T00:00:00+0100", "contract_type": "Contrat GRD-F",
         "contractor": "FOURNISSEUR EXEMPLE", "segment": "C5", "subscribed_power": {"unit": "kVA", "value": "9"},
         "distribution_tariff": "Tarif BT<=36kVA Courte Utilisation Heures Pleines Heures Creuses",
         "customer": {"customer": {"adress": {"line1": "MME EXEMPLE", "line4": "12 RUE DE L EXEMPLE", "line6": "00000 VILLE EXEMPLE"}}},
         "contact_data": {"email": "camille@example.org", "landline": "+33199000002", "phone": null},
         "person": {"title": "MME", "firstname": "Camille", "lastname": "EXEMPLE"}},
    ])
}

pub(super) fn synthesis_body() -> Value {
    json!({"segments": [{"segment": "C5"}, {"segment": "P4"}],
        "consumption_last_activation_date": "2019-03-31T00:00:00+0100",
        "generation_last_activation_date": "2024-06-01T00:00:00+0200",
        "last_subscribed_power_change_date": "2021-01-02T00:00:00+0100",
        "services_level": "Communicant (ouvert aux services)"})
}

pub(super) fn metering_body() -> Value {
    json!({"dispositifComptage": {"typeComptage": {"code": "AMM", "libelle": "Linky"}, "compteurs": [{"numeroSerie": "1"}]},
        "relais": {"plageHeuresCreuses": "HC (22H30-6H30)"}})
}

pub(super) fn supply_body() -> Value {
    json!({"serial_number": 7, "connection_state": "Alimenté", "voltage_level": "BT", "phase_count": "2",
        "consumption_connection_power": {"value": 12, "unit": "kVA"},
        "generation_connection_power": {"value": 3.5, "unit": "kVA"}})
}

pub(super) fn general_body() -> Value {
    json!({"address": {"building": "Bât. B", "number_street_name": "12 RUE DE L EXEMPLE",
        "postal_code_city": "00000 VILLE EXEMPLE", "insee_code": "00001"}})
}

#[test]
fn a_contract_of_v5() {
    let Read { value, oddities } = contract(&bytes(&v5_contract()), &prm()).unwrap();
    assert_eq!(oddities, []);
    assert_eq!((value.meter_type.as_deref(), value.level.as_deref()), (Some("AMM"), Some("com")));
    assert_eq!(value.production, None);
    let contract = value.consumption.unwrap();
    assert_eq!((contract.segment.as_deref(), contract.subscribed_va), (Some("C5"), Some(6000)));
    assert_eq!(contract.tariff, Tariff::of_code("BTINFCUDT".to_owned()));
    assert_eq!((contract.activated_on, contract.tariff_changed_on), (Some(day("2019-03-31")), Some(day("2022-07-01"))));
    let hours = contract.off_peak.unwrap();
    assert_eq!(hours.text, "HC (1H28-6H58;13H58-16H28)");
    assert_eq!(hours.hours.unwrap().unwrap().to_string(), hours.text);
}

#[test]
fn what_a_contract_lacks_is_unknown_and_what_is_odd_is_told() {
    let with = |name: &str, field: Value| {
        let mut body = v5_contract();
        body["customer"]["usage_points"][0]["contracts"][name] = field;
        let read = contract(&bytes(&body), &prm()).unwrap();
        (read.value.consumption.unwrap(), read.oddities)
    };
    for (power, va) in [
        (json!("12kVA"), Some(12_000)),
        (json!("12"), Some(12_000)),
        (json!(12), Some(12_000)),
        (json!(3.5), Some(3500)),
        (json!("3,5 kVA"), Some(3500)),
        (json!("6000 VA"), Some(6000)),
        (json!([{"value": 6, "unit": "kVA"}]), Some(6000)),
        (json!({"valeur": "6"}), Some(6000)),
        (json!(null), None),
        (json!(""), None),
    ] {
        let (contract, oddities) = with("subscribed_power", power.clone());
        assert_eq!((contract.subscribed_va, oddities), (va, Vec::new()), "{power}");
    }
    for power in
        [json!("6 kW"), json!("six"), json!(-6), json!(true), json!({}), json!("99999999999 kVA"), json!("6.0001")]
    {
        let (contract, oddities) = with("subscribed_power", power.clone());
        assert_eq!(contract.subscribed_va, None, "{power}");
        assert_eq!(oddities, [Oddity::Unreadable("subscribed_power")], "{power}");
    }
    let (contract, oddities) = with("offpeak_hours", json!("HC (22H30-6H30) sauf dimanche"));
    assert_eq!(contract.off_peak.unwrap().text, "HC (22H30-6H30) sauf dimanche");
    assert_eq!(oddities, [Oddity::OffPeak(NotUnderstood::Words)]);
    for none in [json!(null), json!("")] {
        assert_eq!(with("offpeak_hours", none).0.off_peak, None);
    }
    let (contract, oddities) = with("last_activation_date", json!("31/03/2019"));
    assert_eq!((contract.activated_on, oddities), (None, vec![Oddity::Unreadable("last_activation_date")]));
    let shown = Oddity::Unreadable("last_activation_date").to_string();
    assert_eq!(shown, "the field last_activation_date cannot be read");
}

#[test]
fn answers_of_v5_are_about_the_meter_that_was_asked_for() {
    let other: Prm = "00000000000001".parse().unwrap();
    assert_eq!(contract(&bytes(&v5_contract()), &other), Err(DecodeError::OtherMeter));
    assert_eq!(address(&bytes(&v5_address()), &other).map(|_| ()), Err(DecodeError::OtherMeter));
    let mut two = v5_contract();
    let mut first = two["customer"]["usage_points"][0].clone();
    first["usage_point"]["usage_point_id"] = json!("00000000000009");
    first["contracts"]["subscribed_power"] = json!("36 kVA");
    two["customer"]["usage_points"].as_array_mut().unwrap().insert(0, first);
    let read = contract(&bytes(&two), &prm()).unwrap();
    assert_eq!(read.value.consumption.unwrap().subscribed_va, Some(6000));
    for (body, error) in [
        ("", DecodeError::Empty),
        ("<html>", DecodeError::Html),
        ("null", DecodeError::Lacking),
        ("{}", DecodeError::Lacking),
        (r#"{"customer":null}"#, DecodeError::Lacking),
        (r#"{"customer":{"usage_points":[{"usage_point":{}}]}}"#, DecodeError::Lacking),
        (r#"{"cut"#, DecodeError::Json { line: 1, column: 5 }),
    ] {
        assert_eq!(contract(body.as_bytes(), &prm()), Err(error), "{body}");
    }
}

#[test]
fn addresses_and_people_of_v5() {
    let address = address(&bytes(&v5_address()), &prm()).unwrap();
    assert_eq!(address.oddities, []);
    let address = address.value;
    assert_eq!(shown(address.street.as_ref()), "12 rue de l'Exemple");
    assert_eq!((shown(address.city.as_ref()), address.locality.is_none()), ("VILLE-EXEMPLE", true));
    assert_eq!(address.position.map(|part| shown(part.as_ref()).to_owned()), ["46.5", "2.5", "100"]);

    let person = |body: &Value| identity(&bytes(body)).unwrap().value;
    let Identity::Person(Person { last_name, .. }) = person(&v5_identity()) else { panic!("a person") };
    assert_eq!(shown(last_name.as_ref()), "EXEMPLE");
    assert_eq!(person(&json!({"customer": v5_identity()})), person(&v5_identity()));
    let company = json!({"identity": {"legal_entity": {"name": "Exemple SARL", "siret_number": "1", "industry": "x"}}});
    let Identity::Organisation(Organisation { name, business, .. }) = person(&company) else { panic!("a company") };
    assert_eq!((shown(name.as_ref()), shown(business.as_ref())), ("Exemple SARL", "x"));

    for body in [v5_contact(), json!({"contact": v5_contact()["customer"]["contact_data"]})] {
        let read = contact(&bytes(&body)).unwrap().value;
        assert_eq!((shown(read.email.as_ref()), shown(read.phone.as_ref())), ("camille@example.org", "+33199000001"));
    }
    assert_eq!(contact(b"{}").map(|_| ()), Err(DecodeError::Lacking));
    assert_eq!(identity(br#"{"identity":{}}"#).map(|_| ()), Err(DecodeError::Lacking));
}

#[test]
fn the_answers_of_2026_make_one_contract() {
    let situation = situation(&bytes(&situation_body()), &prm()).unwrap();
    assert_eq!(situation.oddities, []);
    let synthesis = synthesis(&bytes(&synthesis_body())).unwrap();
    let metering = metering(&bytes(&metering_body())).unwrap();
    assert_eq!((synthesis.oddities, metering.oddities), (Vec::new(), Vec::new()));
    let all = situation.value.contracts.clone().and(synthesis.value).and(metering.value);
    assert_eq!(all.level.as_deref(), Some("Communicant (ouvert aux services)"));
    assert_eq!(all.meter_type.as_deref(), Some("AMM"));
    let drawn = all.of(Direction::Consumption).unwrap();
    assert_eq!((drawn.subscribed_va, drawn.tariff.code.as_deref()), (Some(9000), Some("BTINFCUDT")));
    assert_eq!((drawn.starts_on, drawn.activated_on), (Some(day("2023-12-01")), Some(day("2019-03-31"))));
    assert_eq!(drawn.power_changed_on, Some(day("2021-01-02")));
    assert_eq!(drawn.off_peak.as_ref().unwrap().text, "HC (22H30-6H30)");
    let fed = all.of(Direction::Production).unwrap();
    assert_eq!((fed.segment.as_deref(), fed.subscribed_va), (Some("P4"), None));
    assert_eq!((fed.starts_on, fed.activated_on), (Some(day("2024-06-01")), Some(day("2024-06-01"))));

    let Some(Identity::Person(person)) = situation.value.identity else { panic!("a person") };
    assert_eq!(shown(person.first_name.as_ref()), "Camille");
    let contact = situation.value.contact.unwrap();
    assert_eq!((shown(contact.landline.as_ref()), contact.phone.is_none()), ("+33199000002", true));
    let address = situation.value.address.unwrap();
    assert_eq!((shown(address.postal_code.as_ref()), shown(address.city.as_ref())), ("00000", "VILLE EXEMPLE"));
}

#[test]
fn contracts_of_2026_are_told_apart_by_segment_whatever_its_shape() {
    let mut body = situation_body();
    body[0]["segment"] = json!([{"segment": "P4"}]);
    body[1]["segment"] = json!({"code": "C5"});
    body[1]["subscribed_power"] = json!([9]);
    let read = situation(&bytes(&body), &prm()).unwrap();
    assert_eq!(read.oddities, []);
    assert_eq!(read.value.contracts.consumption.unwrap().subscribed_va, Some(9000));
    // No segment: the kind of contract tells.
    body[0].as_object_mut().unwrap().remove("segment");
    assert!(situation(&bytes(&body), &prm()).unwrap().value.contracts.production.is_some());
    body[0]["contract_type"] = json!("?");
    assert_eq!(situation(&bytes(&body), &prm()).unwrap().oddities, [Oddity::NoDirection]);
    body[0]["segment"] = json!("C4");
    assert_eq!(situation(&bytes(&body), &prm()).unwrap().oddities, [Oddity::Twice(Direction::Consumption)]);
    // A single contract may come without the list.
    let single = situation(&bytes(&situation_body()[1]), &prm()).unwrap();
    assert!(single.value.contracts.production.is_none());
    let other: Prm = "00000000000001".parse().unwrap();
    assert_eq!(situation(&bytes(&situation_body()), &other).map(|_| ()), Err(DecodeError::OtherMeter));
    for nothing in ["[]", "null", "[null]", r#"{"serial_number":1}"#] {
        assert_eq!(situation(nothing.as_bytes(), &prm()).map(|_| ()), Err(DecodeError::Lacking), "{nothing}");
    }
}

#[test]
fn the_smaller_answers_of_2026() {
    let installation = supply(&bytes(&supply_body())).unwrap();
    assert_eq!(installation.oddities, []);
    let installation = installation.value;
    assert_eq!((installation.wires, installation.consumption_va), (Some(2), Some(12_000)));
    assert_eq!((installation.production_va, installation.state.as_deref()), (Some(3500), Some("Alimenté")));
    let address = general_data(&bytes(&general_body())).unwrap().value;
    assert_eq!((address.details.len(), shown(address.city.as_ref())), (1, "VILLE EXEMPLE"));
    let level = synthesis(br#"{"services_level":2,"segments":"C5"}"#).unwrap().value;
    assert_eq!((level.level.as_deref(), level.consumption.is_some()), (Some("2"), true));
    let nested = json!({"dispositifComptage": {"typeComptage": "AMM", "relais": [{"plageHeuresCreuses": "?"}]}});
    let nested = metering(&bytes(&nested)).unwrap();
    assert_eq!(nested.oddities, [Oddity::OffPeak(NotUnderstood::Words)]);
    assert_eq!(nested.value.meter_type.as_deref(), Some("AMM"));
    for read in [
        supply(b"{}").map(|_| ()),
        general_data(b"{}").map(|_| ()),
        synthesis(b"[]").map(|_| ()),
        metering(br#"{"error":"x"}"#).map(|_| ()),
    ] {
        assert_eq!(read, Err(DecodeError::Lacking));
    }
}

#[test]
fn a_bundle_of_a_gateway_is_what_its_parts_are_together() {
    let situation_part =
        json!([{"usage_point_id": PRM, "segment": "C5", "subscribed_power": {"unit": "kVA", "value": "9"}}]);
    let synthesis_part = json!({"consumption_last_activation_date": "2020-03-09T00:00:00+0100"});
    let metering_part = json!({"relais": {"plageHeuresCreuses": "HC (22H00-6H00)"}});
    let whole = json!({
        "situation_contrat": situation_part, "synthese_contrat": synthesis_part, "comptage": metering_part,
    });
    let read = bundle(&bytes(&whole), &prm()).unwrap();
    let apart = situation(&bytes(&situation_part), &prm()).unwrap().value.contracts;
    let apart = apart.and(synthesis(&bytes(&synthesis_part)).unwrap().value);
    assert_eq!(read.value.contracts, apart.and(metering(&bytes(&metering_part)).unwrap().value));
    let contract = read.value.contracts.of(Direction::Consumption).unwrap();
    assert_eq!((contract.subscribed_va, contract.activated_on), (Some(9000), Some(day("2020-03-09"))));
    // A part that is missing or odd leaves the others as they are.
    for metering_part in [json!(null), json!("?"), json!([])] {
        let whole = json!({"situation_contrat": situation_part, "comptage": metering_part});
        assert!(bundle(&bytes(&whole), &prm()).is_ok());
    }
    assert!(bundle(&bytes(&json!({"synthese_contrat": synthesis_part})), &prm()).is_err());
    let other: Prm = "01234567890124".parse().unwrap();
    assert_eq!(bundle(&bytes(&whole), &other), Err(DecodeError::OtherMeter));
}
