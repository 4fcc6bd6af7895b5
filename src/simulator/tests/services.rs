//! Contracts and people, in both APIs.

use super::*;
use crate::domain::Direction;

fn both() -> World {
    World::new(7).with(MeterSpec::new(prm()).kind(MeterKind::Both))
}

fn path(service: Service) -> String {
    if service.has_prm_in_path() {
        format!("{}/{PRM}", service.path())
    } else {
        format!("{}?usage_point_id={PRM}", service.path())
    }
}

/// The services that are about one meter and its customer.
fn about_customers() -> impl Iterator<Item = Service> {
    let other = [Service::ConsumptionIndex, Service::ProductionIndex, Service::SubscribedServices];
    Service::ALL.into_iter().filter(move |service| !other.contains(service))
}

async fn code(stage: &Stage, path: &str) -> (u16, String) {
    let reply = stage.get(path).await;
    (reply.status.as_u16(), reply.code())
}

#[tokio::test]
async fn both_apis_tell_the_same_contract() {
    let mut meter =
        MeterSpec { consumption_since: Some(day("2024-07-10")), ..MeterSpec::new(prm()).kind(MeterKind::Both) };
    meter.contract.subscribed_kva = Some(9);
    meter.contract.off_peak = vec![OffPeakSlot { from: 88, to: 418 }, OffPeakSlot { from: 838, to: 988 }];
    let stage = Stage::at(NOON, World::new(7).with(meter)).await;
    let old = stage.get(&path(Service::Contracts)).await;
    let usage_point = &old.json["customer"]["usage_points"][0];
    assert_eq!(usage_point["usage_point"]["usage_point_id"], PRM);
    let contract = &usage_point["contracts"];
    assert_eq!(contract["subscribed_power"], "9 kVA");
    assert_eq!(contract["offpeak_hours"], "HC (1H28-6H58;13H58-16H28)");
    assert_eq!(contract["last_activation_date"], "2024-07-10+02:00");

    let entries = stage.get(&path(Service::Situation)).await.json;
    let drawn = entries.as_array().unwrap().iter().find(|entry| entry["segment"] == "C5").unwrap();
    assert_eq!(drawn["subscribed_power"], serde_json::json!({ "unit": "kVA", "value": "9" }));
    assert!(drawn["distribution_tariff"].as_str().unwrap().contains("Heures Creuses"));
    let fed = entries.as_array().unwrap().iter().find(|entry| entry["segment"] == "P4").unwrap();
    assert!(fed.get("subscribed_power").is_none());
    let synthesis = stage.get(&path(Service::Synthesis)).await.json;
    assert_eq!(synthesis["consumption_last_activation_date"], "2024-07-10T00:00:00+0200");
    assert_eq!(synthesis["generation_last_activation_date"], "2015-06-01T00:00:00+0200");
    let metering = stage.get(&path(Service::Metering)).await.json;
    assert_eq!(metering["relais"]["plageHeuresCreuses"], contract["offpeak_hours"]);
    let supply = stage.get(&path(Service::Supply)).await.json;
    assert_eq!(supply["phase_count"], "2");

    stage.simulator.change(|world| world.meters[0].contract.off_peak.clear());
    let base = stage.get(&path(Service::Contracts)).await.json["customer"]["usage_points"][0]["contracts"].take();
    assert_eq!((&base["offpeak_hours"], &base["distribution_tariff"]), (&Value::Null, &"BTINFCUST".into()));
    stage.simulator.change(|world| world.meters[0].contract.shape = Shape::List);
    let entries = stage.get(&path(Service::Situation)).await.json;
    assert!(entries.as_array().unwrap().iter().all(|entry| entry["segment"].is_array()));
}

#[tokio::test]
async fn people_are_invented_and_the_same_in_both() {
    let stage = Stage::at(NOON, both()).await;
    let identity = stage.get(&path(Service::Identity)).await.json;
    let contact = stage.get(&path(Service::ContactData)).await.json["customer"]["contact_data"].take();
    let entry = stage.get(&path(Service::Situation)).await.json[0].take();
    assert_eq!(entry["person"], identity["identity"]["natural_person"]);
    assert_eq!(entry["contact_data"]["email"], contact["email"]);
    assert!(contact["email"].as_str().unwrap().ends_with("@example.org"));
    assert!(contact["phone"].as_str().unwrap().starts_with("+3319900"));
    let street = stage.get(&path(Service::Addresses)).await.json["customer"]["usage_points"][0]["usage_point"]
        ["usage_point_addresses"]["street"]
        .take();
    let line = stage.get(&path(Service::GeneralData)).await.json["address"]["number_street_name"].take();
    assert_eq!(line, street.as_str().unwrap().to_uppercase().as_str());

    stage.simulator.change(|world| {
        world.meters[0].customer.company = Some("Exemple SARL".to_owned());
        world.meters[0].customer.email = Some("somebody@example.org".to_owned());
    });
    let identity = stage.get(&path(Service::Identity)).await.json;
    assert_eq!(identity["identity"]["legal_entity"]["name"], "Exemple SARL");
    let entry = stage.get(&path(Service::Situation)).await.json[0].take();
    assert_eq!((&entry["organization"]["name"], entry.get("person")), (&"Exemple SARL".into(), None));
    assert_eq!(entry["contact_data"]["email"], "somebody@example.org");
}

#[tokio::test]
async fn each_rule_of_a_service_has_its_error() {
    let stage = Stage::at(NOON, both()).await;
    let invalid = (400, "invalid_request".to_owned());
    for service in about_customers() {
        let unknown = path(service).replace(PRM, "00000000000099");
        let short = path(service).replace(PRM, "1234");
        let in_query = format!("{}?usage_point_id={PRM}&pointId={PRM}", service.path());
        if service.api() == Api::V5 {
            assert_eq!(code(&stage, service.path()).await, invalid, "{service}");
            assert_eq!(code(&stage, &short).await, invalid, "{service}");
            assert_eq!(code(&stage, &unknown).await, (403, "ADAM-DC-0008".to_owned()), "{service}");
        } else {
            let technical = (500, "technical_error".to_owned());
            assert_eq!(code(&stage, &in_query).await, technical, "{service}");
            assert_eq!(code(&stage, &format!("{}?x=1", path(service))).await, technical, "{service}");
            assert_eq!(code(&stage, &format!("{}/", service.path())).await, technical, "{service}");
            assert_eq!(code(&stage, &format!("{}/more", path(service))).await, technical, "{service}");
            assert_eq!(code(&stage, &short).await, invalid, "{service}");
            assert_eq!(code(&stage, &unknown).await, (404, "not_found".to_owned()), "{service}");
        }
        assert_eq!(code(&stage, &path(service)).await, (200, String::new()), "{service}");
        // Without a token.
        assert_eq!(stage.with(&path(service), &[]).await.status, StatusCode::UNAUTHORIZED, "{service}");
    }
    stage.simulator.change(|world| world.rules.consent.sandbox = true);
    let unknown = path(Service::Metering).replace(PRM, "00000000000099");
    assert_eq!(code(&stage, &unknown).await, (400, "Bad request".to_owned()));

    stage.simulator.set_consent(&prm(), Consent::NEVER);
    for service in about_customers() {
        assert_eq!(code(&stage, &path(service)).await, (403, "ADAM-DC-0008".to_owned()), "{service}");
    }
    stage.simulator.set_consent(&prm(), Consent::GRANTED);
    stage.simulator.change(|world| world.meters[0].held = false);
    assert_eq!(code(&stage, &path(Service::Situation)).await, (400, "ADAM-DC-0007".to_owned()));
    stage.simulator.change(|world| (world.meters[0].held, world.meters[0].kind) = (true, MeterKind::Producer));
    assert_eq!(code(&stage, &path(Service::Contracts)).await, (400, "ADAM-ERR0069".to_owned()));
    let entries = stage.get(&path(Service::Situation)).await.json;
    assert_eq!((entries.as_array().unwrap().len(), &entries[0]["segment"]), (1, &"P4".into()));
    let synthesis = stage.get(&path(Service::Synthesis)).await.json;
    assert_eq!(synthesis["consumption_last_activation_date"], Value::Null);
}

#[tokio::test]
async fn each_api_and_service_is_subscribed_on_its_own() {
    let mut world = both();
    world.rules.unsubscribed_services = vec![Service::Metering, Service::Identity];
    let stage = Stage::at(NOON, world).await;
    let missing = (403, "900908".to_owned());
    for service in about_customers() {
        let subscribed = ![Service::Metering, Service::Identity].contains(&service);
        let expected = if subscribed { (200, String::new()) } else { missing.clone() };
        assert_eq!(code(&stage, &path(service)).await, expected, "{service}");
    }
    stage.simulator.change(|world| {
        world.rules.token.enforce_scopes = true;
        world.rules.token.scope = "default customers:contract_data".to_owned();
    });
    assert_eq!(code(&stage, &path(Service::Addresses)).await.0, 200);
    assert_eq!(code(&stage, &path(Service::ContactData)).await, (403, "900910".to_owned()));
    stage.simulator.change(|world| world.rules.apis = vec![Api::V2026]);
    assert_eq!(code(&stage, &path(Service::Addresses)).await, (404, "900906".to_owned()));
    assert_eq!(code(&stage, &path(Service::Supply)).await.0, 200);
}

#[tokio::test]
async fn registers_go_by_the_name_of_their_dataset_too() {
    let mut world = both();
    world.rules.unsubscribed = vec![Dataset::ConsumptionIndex];
    let stage = Stage::at(NOON, world).await;
    let path = |service: Service| format!("{}?pointId={PRM}&dateDebut=2026-11-20&dateFin=2026-11-24", service.path());
    assert_eq!(code(&stage, &path(Service::ConsumptionIndex)).await, (403, "900908".to_owned()));
    assert_eq!(code(&stage, &path(Service::ProductionIndex)).await.0, 200);
    let fails = Action::Status { status: 503, envelope: Envelope::E9, code: String::new(), text: String::new() };
    stage.simulator.set_faults(Faults::none().with(Match::dataset(Dataset::ProductionIndex), fails));
    assert_eq!(code(&stage, &path(Service::ProductionIndex)).await.0, 503);
}

#[tokio::test]
async fn services_are_counted_logged_and_damaged_like_measures() {
    let mut world = both();
    world.rules.limits = Limits { per_hour_2026: Some(3), ..Limits::OFF };
    let stage = Stage::strict(NOON, world).await;
    let fails = Action::Status { status: 503, envelope: Envelope::E9, code: String::new(), text: String::new() };
    stage.simulator.set_faults(
        Faults::none()
            .with(Match::service(Service::Supply), fails)
            .with(Match::service(Service::Situation), Action::WrongPrm)
            .with(Match::service(Service::Contracts), Action::Truncated),
    );
    assert_eq!(code(&stage, &path(Service::Supply)).await.0, 503);
    let other = stage.get(&path(Service::Situation)).await;
    assert!(!other.text.contains(PRM) && other.text.contains(&PRM[..13]));
    let measure = stage.ask(Api::V2026, Dataset::DailyConsumption, "2026-11-20", "2026-11-24").await;
    assert_eq!(measure.status, StatusCode::OK);
    assert_eq!(code(&stage, &path(Service::GeneralData)).await, (429, "900804".to_owned()));
    assert_eq!(stage.get(&path(Service::Contracts)).await.json, Value::Null);

    let counters = stage.simulator.counters();
    assert_eq!((counters.data_calls, counters.by_dataset[&Dataset::DailyConsumption]), (5, 1));
    assert_eq!(counters.by_service[&Service::Supply], 1);
    let log = stage.simulator.service_log();
    let lines: Vec<(Service, u16)> = log.iter().map(|call| (call.service, call.status)).collect();
    let expected =
        [(Service::Supply, 503), (Service::Situation, 200), (Service::GeneralData, 429), (Service::Contracts, 200)];
    assert_eq!(lines, expected);
    assert_eq!((log[0].prm.clone(), log[2].code.as_deref()), (Some(prm()), Some("900804")));
    stage.simulator.reset_counters();
    assert!(stage.simulator.service_log().is_empty());
}

#[tokio::test]
async fn registers_grow_by_what_the_days_took() {
    for (grid, classes) in [(Grid::OneClass, 1), (Grid::TwoClasses, 2), (Grid::FourClasses, 4), (Grid::Tempo, 6)] {
        let mut meter = MeterSpec::new(prm()).kind(MeterKind::Both);
        meter.registers =
            RegisterSpec { since: Some(day("2026-10-01")), supplier: Some(grid), ..RegisterSpec::default() };
        let world = World::new(7).with(meter);
        // The day of 25 hours is among them.
        let span = days("2026-10-23", "2026-10-29");
        let values = world.registers(&prm(), Direction::Consumption, span, AsOf::Ever);
        let daily = world.daily(&prm(), Direction::Consumption, span, AsOf::Ever);
        let sum = |midnight: Day, letter: &str| -> i64 {
            let of = |v: &&RegisterValue| v.midnight == midnight && v.register.contains(letter);
            values.iter().filter(of).map(|value| value.wh).sum()
        };
        for (day, wh) in &daily[..5] {
            for letter in ["EAS F", "EAS D", "EAS T"] {
                assert_eq!(sum(day.next(), letter) - sum(*day, letter), *wh, "{letter} of {day}, {grid:?}");
            }
        }
        let supplier = |v: &&RegisterValue| v.midnight == day("2026-10-23") && v.register.starts_with("EAS F");
        assert_eq!(values.iter().filter(supplier).count(), classes);
        let fed = world.registers(&prm(), Direction::Production, span, AsOf::Ever);
        assert_eq!(fed.len(), 6 * 3, "one class of each calendar, and the total");
    }
}

#[tokio::test]
async fn registers_are_answered_as_described() {
    let mut meter = MeterSpec::new(prm());
    meter.registers.since = Some(day("2026-10-01"));
    meter.registers.missing = vec![MissingClass { class: "HC".to_owned(), first: Some(day("2026-11-22")), last: None }];
    meter.holes = vec![Stretch::days(day("2026-11-19"), day("2026-11-19"))];
    let stage = Stage::at(NOON, World::new(7).with(meter)).await;
    let path = |start: &str, end: &str| {
        format!("{}?pointId={PRM}&dateDebut={start}&dateFin={end}", Service::ConsumptionIndex.path())
    };
    let reply = stage.get(&path("2026-11-19", "2026-11-24")).await;
    assert_eq!(
        (reply.status.as_u16(), reply.content_type.as_str()),
        (200, "application/octet-stream"),
        "{}",
        reply.text
    );
    assert_eq!((&reply.json["idPrm"], &reply.json["grandeur"]), (&PRM.into(), &serde_json::json!([])));
    let context = &reply.json["contexte"][0];
    assert_eq!((&context["typeReleve"], &context["contexteReleve"]), (&"AQ".into(), &"COL".into()));
    let quantity = &context["grandeur"][0];
    let ids: Vec<&str> =
        quantity["calendrier"].as_array().unwrap().iter().map(|c| c["idCalendrier"].as_str().unwrap()).collect();
    assert_eq!(ids, ["DI000002", "FC000002"]);
    let stamps = |values: &Value| -> Vec<String> {
        values.as_array().unwrap().iter().map(|v| v["d"].as_str().unwrap().to_owned()).collect()
    };
    let total = stamps(&quantity["cadranTotalisateur"]["valeur"]);
    // The snapshot that closes the 19th is missing with it.
    assert_eq!(total, ["19", "21", "22", "23"].map(|d| format!("2026-11-{d} 00:00:00")));
    assert!(quantity["cadranTotalisateur"]["valeur"][0]["v"].is_i64());
    let classes = quantity["calendrier"][0]["classeTemporelle"].as_array().unwrap();
    let of = |name: &str| stamps(&classes.iter().find(|class| class["idClasseTemporelle"] == name).unwrap()["valeur"]);
    assert_eq!((of("HP").len(), of("HC")), (4, ["19", "21"].map(|d| format!("2026-11-{d} 00:00:00")).to_vec()));

    // The morning before yesterday is published.
    stage.simulator.set_now(instant("2026-11-24T05:00:00Z"));
    stage.simulator.change(|world| {
        world.rules.registers = RegisterRules { span_days: Some(31), with_end: true, stamp: IndexStamp::Offset };
    });
    let reply = stage.get(&path("2026-11-21", "2026-11-24")).await;
    let total = stamps(&reply.json["contexte"][0]["grandeur"][0]["cadranTotalisateur"]["valeur"]);
    assert_eq!(total, ["21", "22", "23"].map(|d| format!("2026-11-{d}T00:00:00+0100")));
    for (path, expected) in [
        (path("2026-10-20", "2026-11-24"), (400, "ADAM-ERR0126")),
        (path("2026-11-24", "2026-11-24"), (400, "ADAM-ERR0002")),
        (path("2026-11-23", "2026-11-24").replace("pointId", "prm"), (500, "technical_error")),
        (path("2022-11-23", "2022-11-24"), (400, "ADAM-ERR0125")),
        (path("2026-11-23", "2026-11-24").replace("consommation", "production"), (400, "ADAM-ERR0069")),
    ] {
        let reply = stage.get(&path).await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), expected, "{path}");
    }
}

#[test]
fn registers_begin_anew_and_calendars_change() {
    let mut meter = MeterSpec::new(prm());
    meter.registers = RegisterSpec {
        since: Some(day("2026-11-01")),
        resets: vec![day("2026-11-12")],
        changes: vec![GridChange { from: day("2026-11-14"), supplier: Some(Grid::Tempo), distributor: None }],
        ..RegisterSpec::default()
    };
    let world = World::new(7).with(meter);
    let values = world.registers(&prm(), Direction::Consumption, days("2026-11-11", "2026-11-16"), AsOf::Ever);
    let total = |midnight: &str| {
        let of = |v: &&RegisterValue| v.midnight == day(midnight) && v.counts.is_none();
        values.iter().find(of).unwrap().wh
    };
    assert!(total("2026-11-11") > 0);
    assert_eq!(total("2026-11-12"), 0);
    let daily = world.daily(&prm(), Direction::Consumption, days("2026-11-12", "2026-11-15"), AsOf::Ever);
    assert_eq!(total("2026-11-15"), daily.iter().map(|(_, wh)| wh).sum::<i64>());
    let calendars = |midnight: &str| -> Vec<String> {
        let of = |v: &&RegisterValue| v.midnight == day(midnight);
        let mut ids: Vec<String> =
            values.iter().filter(of).filter_map(|v| v.counts.as_ref()).map(|(id, _)| id.clone()).collect();
        ids.dedup();
        ids
    };
    assert_eq!(
        (calendars("2026-11-13"), calendars("2026-11-14")),
        (vec!["FC000002".to_owned(), "DI000002".to_owned()], vec!["FC000004".to_owned(), "DI000002".to_owned()],)
    );
    // Asked for after the reset alone, they show the same.
    let alone = world.registers(&prm(), Direction::Consumption, days("2026-11-15", "2026-11-16"), AsOf::Ever);
    assert_eq!(alone.iter().find(|v| v.counts.is_none()).unwrap().wh, total("2026-11-15"));
}

#[tokio::test]
async fn registers_show_the_same_whatever_was_asked_for_before() {
    let mut meter = MeterSpec::new(prm());
    meter.registers.since = Some(day("2026-06-10"));
    meter.registers.resets = vec![day("2026-09-03")];
    let world = World::new(7).with(meter);
    let stage = Stage::at(NOON, world.clone()).await;
    let total = async |first: &str, end: &str| {
        let query = format!("pointId={PRM}&dateDebut={first}&dateFin={end}");
        let mut reply = stage.get(&format!("{}?{query}", Service::ConsumptionIndex.path())).await;
        let values = reply.json["contexte"][0]["grandeur"][0]["cadranTotalisateur"]["valeur"].take();
        let wh: Vec<i64> = values.as_array().unwrap().iter().map(|value| value["v"].as_i64().unwrap()).collect();
        let world = stage.simulator.world();
        let expected = world.registers(&prm(), Direction::Consumption, days(first, end), AsOf::Instant(instant(NOON)));
        assert_eq!(wh, expected.iter().filter(|v| v.counts.is_none()).map(|v| v.wh).collect::<Vec<_>>(), "{first}");
        wh
    };
    let spans = [("2026-10-20", "2026-11-20"), ("2026-07-01", "2026-08-02"), ("2026-08-28", "2026-09-10")];
    for (first, end) in spans.into_iter().chain(spans) {
        total(first, end).await;
    }
    let before = total("2026-11-01", "2026-11-03").await;
    stage.simulator.change(|world| world.meters[0].kind = MeterKind::Both);
    assert_ne!(total("2026-11-01", "2026-11-03").await, before, "a meter that is another one counts anew");
}
