//! Whatever an answer is made into, it is read without a panic, and no oddity repeats what it says.

use proptest::prelude::*;

use super::*;
use crate::decode::{RegistersExpected, registers, services};
use crate::domain::Days;

/// Any JSON, not deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "C5",
            "9 kVA",
            "2026-10-25T02:30:00+0100",
            "2026-03-29 02:30:00",
            "HC (22H30-6H30)",
            PRM
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,6}", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// How many parts a value has, itself included.
fn parts(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(parts).sum::<usize>(),
        Value::Object(members) => members.values().map(parts).sum(),
        _ => 0,
    }
}

/// Puts something else in the place of one part.
fn replace(value: &mut Value, at: &mut usize, with: &Value) {
    if *at == 0 {
        *value = with.clone();
    }
    *at = at.wrapping_sub(1);
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, at, with)),
        Value::Object(members) => members.values_mut().for_each(|member| replace(member, at, with)),
        _ => {}
    }
}

fn register_body() -> Value {
    json!({"idPrm": PRM, "periode": {"dateDebut": "2026-10-24", "dateFin": "2026-10-26"}, "grandeur": [], "contexte": [
        {"etapeMetier": "BRUT", "contexteReleve": "COL", "typeReleve": "AQ", "grandeur": [
            {"grandeurMetier": "CONS", "grandeurPhysique": "EA", "unite": "Wh", "points": [], "calendrier": [
                {"idCalendrier": "DI000002", "classeTemporelle": [
                    {"idClasseTemporelle": "HP", "codeCadran": "D1", "valeur": [{"d": "2026-10-24", "v": 1, "iv": 0}]}]}],
             "cadranTotalisateur": {"codeCadran": "T", "valeur": [{"d": "2026-10-24T00:00:00+0200", "v": 1}]}}]}]})
}

fn service_body() -> Value {
    json!({"nbTotalServices": 1, "serviceSouscrit": [{"pointId": PRM, "etatCode": "ACTIF", "mesuresTypeCode": "CDC",
        "soutirage": true, "injection": false, "dateDebut": "2026-10-01", "dateFin": "2029-09-30"}]})
}

/// Reads with every reader; what it says of oddities.
fn read_all(body: &[u8]) -> Vec<String> {
    let mut oddities: Vec<Oddity> = Vec::new();
    let mut note = |found: Option<Vec<Oddity>>| oddities.extend(found.unwrap_or_default());
    note(contract(body, &prm()).ok().map(|read| read.oddities));
    note(address(body, &prm()).ok().map(|read| read.oddities));
    note(identity(body).ok().map(|read| read.oddities));
    note(contact(body).ok().map(|read| read.oddities));
    note(situation(body, &prm()).ok().map(|read| read.oddities));
    note(synthesis(body).ok().map(|read| read.oddities));
    note(metering(body).ok().map(|read| read.oddities));
    note(supply(body).ok().map(|read| read.oddities));
    note(general_data(body).ok().map(|read| read.oddities));
    note(services(body).ok().map(|read| read.oddities));
    let days = Days::new("2026-10-24".parse().unwrap(), "2026-10-26".parse().unwrap()).unwrap();
    let prm = prm();
    let what = RegistersExpected { prm: &prm, direction: Direction::Consumption, days };
    let read = registers(body, &what).map(|read| read.readings);
    if let Ok(readings) = &read {
        let _ = crate::domain::registers::by_class(readings);
    }
    oddities.iter().map(ToString::to_string).collect()
}

proptest! {
    #[test]
    fn any_part_may_be_anything(
        which in 0..11_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any_json()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut body = [
            v5_contract(), v5_address(), v5_identity(), v5_contact(), situation_body(), synthesis_body(),
            metering_body(), supply_body(), general_body(), service_body(), register_body(),
        ][which].clone();
        for (at, with) in &changes {
            let mut at = at.index(parts(&body));
            replace(&mut body, &mut at, with);
        }
        let mut body = bytes(&body);
        if let Some(cut) = cut {
            body.truncate(cut.index(body.len()));
        }
        for oddity in read_all(&body) {
            for private in ["xemple", "EXEMPLE", "camille", PRM, "3319900"] {
                prop_assert!(!oddity.contains(private), "{}", oddity);
            }
        }
    }
}
