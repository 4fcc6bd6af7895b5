//! Contracts: asked first, seldom, kept as a history, and refused without any harm to measures.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use linkyd::client::{Transport, TransportError};
use linkyd::clock::Clock as _;
use linkyd::daemon::agenda::Ended;
use linkyd::domain::{Api, CustomerDataset, Dataset, SeriesState};
use linkyd::engine::Selection;
use linkyd::engine::prospect::{Ground, outlook};
use linkyd::engine::serving::Moment;
use linkyd::exit::Exit;
use linkyd::simulator::{
    Action, Envelope, Faults, Form, Front, Grid, GridChange, Match, MeterKind, MeterSpec, Service, World,
};
use linkyd::source::{Request, Response};
use linkyd::store::{CustomerStatus, Facts, Spent};
use tokio::sync::Notify;

use crate::support::shared::Shared;
use crate::support::{InMemory, On, Rig, at, day, on_both_engines, prm};

on_both_engines! {
    a_contract_comes_first_and_nothing_is_asked_from_before_the_activation,
    as_many_calls_are_planned_as_a_pass_makes,
    a_contract_is_asked_for_once_a_week,
    a_change_of_the_contract_is_a_row_of_its_own,
    a_producer_has_two_contracts,
    a_refused_contract_leaves_measures_alone,
    a_part_that_is_not_subscribed_is_asked_for_once_and_the_others_are_kept,
    an_api_that_is_closed_gives_way_to_the_other_one,
    a_contract_never_hides_what_is_stored,
    a_refusal_of_the_holder_has_the_contract_asked_for_again,
    registers_of_another_calendar_have_the_contract_asked_for_again,
    a_gateway_without_contracts_says_so_and_keeps_its_measures,
    a_contract_of_one_source_comes_before_the_measures_of_another,
    a_source_that_is_down_leaves_the_contract_to_the_next_one_as_well,
    contracts_that_fail_one_after_the_other_are_left_and_keep_no_measures_waiting,
    a_contract_that_is_throttled_is_asked_for_again_after_the_pause,
    what_was_never_answered_waits,
    a_contract_that_a_long_pause_puts_off_is_left_for_later,
    what_the_budget_does_not_carry_of_customers_is_left_for_later,
    what_is_left_for_refused_credentials_fails_with_their_code,
    what_another_instance_was_told_meanwhile_stands,
}

const METER: &str = "01234567890123";
const DATASETS: [Dataset; 2] = [Dataset::ConsumptionLoadCurve, Dataset::DailyConsumption];

async fn rig(on: On, api: Api, meter: MeterSpec) -> Rig {
    let mut rig = Rig::on(on, World::new(11).with(meter), &DATASETS, at("2026-11-24T08:30:00+01:00")).await;
    rig.apis = vec![api];
    rig.meters[0].customer = vec![CustomerDataset::Contract];
    rig
}

fn meter() -> MeterSpec {
    let mut meter = MeterSpec { consumption_since: Some(day("2026-10-12")), ..MeterSpec::new(prm(METER)) };
    meter.contract.subscribed_kva = Some(6);
    meter
}

/// Calls for anything but measures so far.
fn asked(rig: &Rig) -> usize {
    rig.simulator.service_log().len()
}

async fn contract(rig: &Rig) -> CustomerStatus {
    rig.store.customers().await.unwrap().into_iter().find(|c| c.about == CustomerDataset::Contract).unwrap()
}

fn calls_of(api: Api) -> usize {
    if api == Api::V5 { 1 } else { 3 }
}

async fn a_contract_comes_first_and_nothing_is_asked_from_before_the_activation(on: On) {
    for api in [Api::V5, Api::V2026] {
        let rig = rig(on, api, meter()).await;
        let report = rig.pass().await;
        assert_eq!(report.customers.len(), 1, "{report:?}");
        let log = rig.simulator.log();
        assert!(!log.is_empty() && log.iter().all(|call| call.start >= Some(day("2026-10-12"))), "{log:?}");
        let first = rig.simulator.service_log();
        assert_eq!(first.len(), calls_of(api));
        assert!(first.iter().all(|call| call.at <= log[0].at));
        assert_eq!(rig.unsuccessful(), 0);
        rig.assert_true_since(&prm(METER), day("2026-10-12")).await;
        let row = "SELECT segment || ' ' || subscribed_kva || ' ' || distribution_tariff || ' ' || offpeak_hours || ' ' \
                   || activated_on FROM v_meter";
        let [row] = &rig.rows(row.to_owned()).await[..] else { panic!("one meter") };
        let row = row.replace("6.0 ", "6 ");
        assert_eq!(row, "C5 6 BTINFMUDT HC (22H30-6H30) 2026-10-12");
        let calls = "SELECT dataset FROM v_call WHERE dataset = 'contract' AND start_day IS NULL AND status = 200";
        assert_eq!(rig.rows(calls.to_owned()).await.len(), calls_of(api));
        let kva = "SELECT DISTINCT CAST(subscribed_kva AS text) FROM v_daily WHERE day >= '2026-10-12'";
        assert_eq!(rig.rows(kva.to_owned()).await[0].trim_end_matches(".0"), "6");
        let fresh = "SELECT state FROM v_freshness WHERE dataset = 'contract' AND last_success_at IS NOT NULL \
                     AND newest_day IS NULL AND lag_days IS NULL";
        assert_eq!(rig.rows(fresh.to_owned()).await, ["ok"]);
    }
}

/// The calls that `plan` counts.
fn planned(rig: &Rig, facts: Facts, selection: &Selection) -> usize {
    let engine = rig.engine();
    let moment = Moment { calendar: rig.clock.now(), machine_ms: rig.clock_now_ms() };
    let ground = Ground { sources: &engine.sources, meters: &engine.meters, every: &engine.every, moment };
    let outlook = outlook(&ground, facts, &[Spent::default()], selection);
    outlook.calls().count() + outlook.errands.iter().map(|errand| errand.calls).sum::<usize>()
}

async fn as_many_calls_are_planned_as_a_pass_makes(on: On) {
    for (api, datasets) in [(Api::V5, Dataset::COMMON.to_vec()), (Api::V2026, Dataset::ALL.to_vec())] {
        let mut rig = rig(on, api, MeterSpec::new(prm(METER)).kind(MeterKind::Both)).await;
        (rig.meters[0].datasets, rig.meters[0].customer) = (datasets, CustomerDataset::ALL.to_vec());
        // Of a meter that nobody has asked for: in 2026 one answer tells of contract, identity and contact.
        let people = CustomerDataset::ALL.to_vec();
        let people = Selection { customers: people, only: Some(BTreeSet::new()), ..Selection::default() };
        assert_eq!(planned(&rig, Facts::default(), &people), 4, "{api}");
        let all = planned(&rig, Facts::default(), &Selection::default());
        let report = rig.pass().await;
        let made = rig.simulator.log().len() + asked(&rig);
        assert_eq!((all, usize::try_from(report.calls).unwrap(), report.left), (made, made, 0), "{api}");
        // A week later customers are asked about again, and for the new days.
        rig.advance(7 * 24 * 60);
        let facts = rig.store.facts(rig.clock.now().timestamp()).await.unwrap();
        let again = planned(&rig, facts, &Selection::default());
        rig.pass().await;
        assert_eq!(again, rig.simulator.log().len() + asked(&rig) - made, "{api}");
        assert!(again > 4, "{api}: {again}");
    }
}

async fn a_contract_is_asked_for_once_a_week(on: On) {
    for api in [Api::V5, Api::V2026] {
        let rig = rig(on, api, meter()).await;
        for morning in 0..15 {
            rig.pass().await;
            rig.sync().await;
            assert_eq!(asked(&rig), (1 + morning / 7) * calls_of(api), "{morning}");
            rig.next_morning(8, 30);
        }
        // By name, and again although the week is not over.
        let told = |refetch| Selection {
            customers: vec![CustomerDataset::Contract],
            only: Some(std::collections::BTreeSet::new()),
            request: linkyd::plan::Request { operator: true, refetch, ..linkyd::plan::Request::default() },
            ..Selection::default()
        };
        let before = (asked(&rig), rig.calls());
        rig.pass_with(told(false)).await;
        assert_eq!((asked(&rig), rig.calls()), before);
        rig.pass_with(told(true)).await;
        assert_eq!((asked(&rig), rig.calls()), (before.0 + calls_of(api), before.1));
        assert_eq!(rig.rows("SELECT CAST(valid_from AS text) FROM contract".to_owned()).await.len(), 1);
    }
}

async fn a_change_of_the_contract_is_a_row_of_its_own(on: On) {
    for api in [Api::V5, Api::V2026] {
        let rig = rig(on, api, meter()).await;
        rig.pass().await;
        rig.simulator.change(|world| {
            world.meters[0].contract.tariff = Some("BTINFCUST".to_owned());
            world.meters[0].contract.off_peak.clear();
            world.meters[0].contract.subscribed_kva = Some(9);
        });
        for _ in 0..8 {
            rig.next_morning(8, 30);
            rig.pass().await;
        }
        let rows = "SELECT subscribed_va || ' ' || distribution_tariff || ' ' || coalesce(offpeak_hours, '-') \
                    FROM contract WHERE direction = 0 ORDER BY valid_from";
        assert_eq!(rig.rows(rows.to_owned()).await, ["6000 BTINFMUDT HC (22H30-6H30)", "9000 BTINFCUST -"]);
        let kva = "SELECT CAST(day AS text) || ' ' || subscribed_kva FROM v_daily \
                   WHERE day IN ('2026-11-29', '2026-12-01') ORDER BY day";
        let kva: Vec<String> = rig.rows(kva.to_owned()).await.iter().map(|row| row.replace(".0", "")).collect();
        assert_eq!(kva, ["2026-11-29 6", "2026-12-01 9"]);
    }
}

async fn a_producer_has_two_contracts(on: On) {
    let meter = MeterSpec { production_since: Some(day("2026-11-10")), ..meter() }.kind(MeterKind::Both);
    let mut rig = rig(on, Api::V2026, meter).await;
    rig.meters[0].datasets = vec![Dataset::DailyConsumption, Dataset::DailyProduction];
    rig.pass().await;
    let rows = "SELECT segment || ' ' || activated_on FROM contract ORDER BY direction".to_owned();
    let activated = rig.rows(rows).await;
    assert_eq!(activated.len(), 2);
    assert!(activated[0].starts_with("C5 ") && activated[1].starts_with("P4 "), "{activated:?}");
    let starts = |dataset| rig.simulator.log().iter().filter(|c| c.dataset == dataset).map(|c| c.start).min().flatten();
    assert_eq!(starts(Dataset::DailyConsumption), Some(day("2026-10-12")));
    assert_eq!(starts(Dataset::DailyProduction), Some(day("2026-11-10")));
    assert_eq!(rig.rows("SELECT segment FROM v_meter".to_owned()).await, ["C5"]);
}

async fn a_refused_contract_leaves_measures_alone(on: On) {
    for (api, service) in [(Api::V5, Service::Contracts), (Api::V2026, Service::Situation)] {
        let mut rig = rig(on, api, meter()).await;
        rig.meters[0].since = Some(day("2026-11-01"));
        let refusal = Action::Status {
            status: 403,
            envelope: Envelope::E1,
            code: "ADAM-ERR0061".to_owned(),
            text: String::new(),
        };
        let only = Match { service: Some(service), ..Match::default() };
        rig.simulator.set_faults(Faults::none().with(only, refusal));
        let report = rig.pass().await;
        assert_eq!(report.exit(), linkyd::exit::Exit::Failed);
        rig.assert_true_since(&prm(METER), day("2026-11-01")).await;
        for dataset in DATASETS {
            assert_eq!(rig.status(&prm(METER), dataset).await.state, SeriesState::Ok);
        }
        let line = contract(&rig).await;
        assert_eq!((line.state, line.code.as_deref()), (SeriesState::Suspended, Some("ADAM-ERR0061")));
        // One look a day, and it heals by itself.
        rig.sync().await;
        assert_eq!(asked(&rig), 1);
        rig.simulator.set_faults(Faults::none());
        rig.next_morning(8, 30);
        rig.pass().await;
        assert_eq!(contract(&rig).await.state, SeriesState::Ok);
    }
}

async fn a_part_that_is_not_subscribed_is_asked_for_once_and_the_others_are_kept(on: On) {
    let mut world = World::new(11).with(meter());
    world.rules.unsubscribed_services = vec![Service::Metering];
    let mut rig = Rig::on(on, world, &DATASETS, at("2026-11-24T08:30:00+01:00")).await;
    rig.meters[0].customer = vec![CustomerDataset::Contract];
    rig.meters[0].since = Some(day("2026-11-01"));
    rig.pass().await;
    let line = contract(&rig).await;
    assert_eq!((line.state, line.code), (SeriesState::Ok, None));
    let row = "SELECT segment || coalesce(offpeak_hours, '-') || activated_on FROM v_meter".to_owned();
    assert_eq!(rig.rows(row.clone()).await, ["C5-2026-10-12"]);
    let parts = |rig: &Rig| rig.simulator.service_log().iter().filter(|c| c.service == Service::Metering).count();
    for _ in 0..6 {
        rig.next_morning(8, 30);
        rig.pass().await;
    }
    assert_eq!(parts(&rig), 1);
    rig.simulator.change(|world| world.rules.unsubscribed_services.clear());
    rig.next_morning(8, 30);
    rig.pass().await;
    assert_eq!(parts(&rig), 2);
    assert_eq!(rig.rows(row).await, ["C5HC (22H30-6H30)2026-10-12"]);
    // What became known amends the row.
    assert_eq!(rig.rows("SELECT segment FROM contract".to_owned()).await.len(), 1);
}

async fn an_api_that_is_closed_gives_way_to_the_other_one(on: On) {
    let mut world = World::new(11).with(meter());
    world.rules.unsubscribed_services = vec![Service::Situation];
    let mut rig = Rig::on(on, world, &DATASETS, at("2026-11-24T08:30:00+01:00")).await;
    rig.apis = vec![Api::V2026, Api::V5];
    rig.meters[0].customer = vec![CustomerDataset::Contract];
    rig.meters[0].since = Some(day("2026-11-01"));
    rig.pass().await;
    assert_eq!(contract(&rig).await.state, SeriesState::Ok);
    let asked: Vec<Service> = rig.simulator.service_log().iter().map(|call| call.service).collect();
    assert_eq!(asked, [Service::Situation, Service::Contracts]);
    // With one API alone there is nothing to give way to: it is named, and the measures go on.
    rig.apis = vec![Api::V2026];
    rig.simulator.change(|world| {
        world.rules.unsubscribed_services = vec![Service::Situation, Service::Synthesis, Service::Metering];
    });
    for _ in 0..8 {
        rig.next_morning(8, 30);
        rig.pass().await;
    }
    let line = contract(&rig).await;
    assert_eq!((line.state, line.code.as_deref()), (SeriesState::NotOffered, Some("900908")));
    assert!(line.message.unwrap().contains("/situation_contrat_auto/v1"));
    for dataset in DATASETS {
        assert_eq!(rig.status(&prm(METER), dataset).await.state, SeriesState::Ok);
    }
}

async fn a_contract_never_hides_what_is_stored(on: On) {
    let mut rig = rig(on, Api::V2026, MeterSpec::new(prm(METER))).await;
    rig.meters[0].customer.clear();
    rig.meters[0].since = Some(day("2026-10-01"));
    rig.pass().await;
    // The contract says that the meter is younger than what is stored.
    rig.meters[0].customer = vec![CustomerDataset::Contract];
    rig.simulator.change(|world| world.meters[0].consumption_since = Some(day("2026-11-15")));
    rig.next_morning(8, 30);
    rig.pass().await;
    assert_eq!(rig.rows("SELECT CAST(activated_on AS text) FROM v_meter".to_owned()).await, ["2026-11-15"]);
    let days = "SELECT CAST(min(day) AS text) FROM v_coverage WHERE state = 'complete'".to_owned();
    assert_eq!(rig.rows(days).await, ["2026-10-01"]);
}

async fn a_refusal_of_the_holder_has_the_contract_asked_for_again(on: On) {
    let mut rig = rig(on, Api::V5, meter()).await;
    rig.meters[0].since = Some(day("2026-11-01"));
    rig.pass().await;
    let refusal =
        Action::Status { status: 403, envelope: Envelope::E1, code: "ADAM-ERR0061".to_owned(), text: String::new() };
    rig.simulator.set_faults(Faults::none().with(Match::dataset(Dataset::DailyConsumption), refusal));
    rig.sync().await;
    assert_eq!(asked(&rig), 1);
    rig.next_morning(8, 30);
    rig.pass().await;
    assert_eq!(asked(&rig), 2);
    rig.sync().await;
    assert_eq!(asked(&rig), 2);
}

async fn registers_of_another_calendar_have_the_contract_asked_for_again(on: On) {
    let mut meter = meter();
    let (from, supplier, distributor) = (day("2026-11-27"), Some(Grid::FourClasses), Some(Grid::FourClasses));
    meter.registers.changes = vec![GridChange { from, supplier, distributor }];
    let mut rig = rig(on, Api::V2026, meter).await;
    rig.meters[0].datasets = vec![Dataset::ConsumptionIndex];
    rig.meters[0].since = Some(day("2026-11-10"));
    let contracts = |rig: &Rig| rig.simulator.service_log().iter().filter(|c| c.service == Service::Situation).count();
    let mut asked = Vec::new();
    for _ in 0..7 {
        rig.pass().await;
        rig.sync().await;
        asked.push(contracts(&rig));
        rig.next_morning(8, 30);
    }
    // The snapshot that opens the 27th tells of it, on the morning after; then the week begins anew.
    assert_eq!(asked, [1, 1, 1, 1, 2, 2, 2]);
}

async fn a_gateway_without_contracts_says_so_and_keeps_its_measures(on: On) {
    let mut rig = rig(on, Api::V2026, meter()).await;
    rig.gateways = vec![crate::support::gateways::conso(&rig.simulator, "conso")];
    rig.meters[0].since = Some(day("2026-11-17"));
    rig.meters[0].sources = vec!["conso".to_owned()];
    let report = rig.pass().await;
    let line = contract(&rig).await;
    assert_eq!((line.state, line.code.as_deref()), (SeriesState::NotOffered, Some("not_offered")));
    assert!(line.message.unwrap().contains("do not offer contract"));
    assert_eq!((asked(&rig), report.exit()), (0, Exit::Done));
    assert_eq!(rig.status(&prm(METER), Dataset::DailyConsumption).await.state, SeriesState::Ok);
    // Beside a source that offers it, that one is asked, whoever is preferred for measures.
    rig.meters[0].sources.push("enedis".to_owned());
    rig.advance(8 * 24 * 60);
    rig.pass().await;
    assert_eq!((contract(&rig).await.state, contract(&rig).await.source.as_str()), (SeriesState::Ok, "enedis"));
}

async fn a_contract_of_one_source_comes_before_the_measures_of_another(on: On) {
    let mut rig = rig(on, Api::V2026, meter()).await.served_by(&["conso", "enedis"]);
    rig.gateways = vec![crate::support::gateways::conso(&rig.simulator, "conso")];
    let report = rig.pass().await;
    let (parts, log) = (rig.simulator.service_log(), rig.simulator.log());
    assert!(!log.is_empty() && log.iter().all(|call| call.start >= Some(day("2026-10-12"))), "{log:?}");
    assert!(parts.len() == 3 && parts.iter().all(|part| part.at <= log[0].at), "{parts:?}");
    assert_eq!((report.customers.len(), report.customers[0].answered), (1, true), "{report:?}");
    assert_eq!(report.meters[0].datasets[0].source, "conso");
    assert_eq!((contract(&rig).await.state, contract(&rig).await.source.as_str()), (SeriesState::Ok, "enedis"));
}

async fn a_source_that_is_down_leaves_the_contract_to_the_next_one_as_well(on: On) {
    let mut rig = rig(on, Api::V2026, meter()).await.served_by(&["enedis", "med"]);
    rig.gateways = vec![crate::support::gateways::med(&rig.simulator, "med")];
    let down = Action::Status { status: 503, envelope: Envelope::E8, code: String::new(), text: String::new() };
    rig.simulator.set_faults(Faults::none().with(Match::front(Front::Enedis), down));
    let report = rig.pass().await;
    let line = contract(&rig).await;
    assert_eq!((line.state, line.source.as_str()), (SeriesState::Ok, "med"), "{line:?} {report:?}");
    assert_eq!((report.customers.len(), report.customers[0].answered, report.customers[0].left), (1, true, 0));
    let served: Vec<_> = rig.simulator.log().into_iter().filter(|call| call.status == 200).collect();
    assert!(!served.is_empty() && served.iter().all(|call| call.start >= Some(day("2026-10-12"))), "{served:?}");
    assert!(report.meters[0].datasets.iter().all(|d| d.source == "med"), "{report:?}");
    let row = "SELECT segment || ' ' || offpeak_hours || ' ' || activated_on FROM v_meter".to_owned();
    assert_eq!(rig.rows(row).await, ["C5 HC (22H30-6H30) 2026-10-12"]);
    // Neither of them is asked again for what it has refused or answered.
    let calls = report.calls;
    let again = rig.pass().await;
    assert_eq!((again.left, contract(&rig).await.state), (0, SeriesState::Ok), "{calls} {again:?}");
}

async fn contracts_that_fail_one_after_the_other_are_left_and_keep_no_measures_waiting(on: On) {
    let prms: Vec<_> = (0..5).map(|n| prm(&format!("0123456789012{n}"))).collect();
    let world = prms.iter().fold(World::new(11), |world, prm| world.with(MeterSpec::new(prm.clone())));
    let mut rig = Rig::on(on, world, &DATASETS, at("2026-11-24T08:30:00+01:00")).await.since(day("2026-11-17"));
    rig.apis = vec![Api::V5];
    for meter in &mut rig.meters {
        meter.customer = vec![CustomerDataset::Contract];
    }
    let broken = Action::Status { status: 502, envelope: Envelope::E8, code: String::new(), text: String::new() };
    let contracts = Match { service: Some(Service::Contracts), ..Match::default() };
    rig.simulator.set_faults(Faults::none().with(contracts, broken));
    let report = rig.pass().await;
    let of = async |state| rig.store.customers().await.unwrap().iter().filter(|c| c.state == state).count();
    // Three in a row are enough for a pass; what it leaves waits, and is told.
    assert_eq!((asked(&rig), of(SeriesState::Failing).await, of(SeriesState::Waiting).await), (3, 3, 2), "{report:?}");
    assert_eq!((report.left, report.exit()), (2, Exit::Failed));
    for prm in &prms {
        assert_eq!(rig.status(prm, Dataset::DailyConsumption).await.state, SeriesState::Ok);
    }
    rig.simulator.set_faults(Faults::none());
    // Those that failed are looked at again the day after, the others in the next pass.
    for answered in [2, 5] {
        rig.pass().await;
        assert_eq!((of(SeriesState::Ok).await, asked(&rig)), (answered, 3 + answered));
        rig.next_morning(8, 30);
    }
}

/// Also between two of its calls.
async fn a_contract_that_is_throttled_is_asked_for_again_after_the_pause(on: On) {
    let last = Service::Metering;
    for (api, service, calls) in [(Api::V5, Service::Contracts, 2), (Api::V2026, last, 5)] {
        let rig = rig(on, api, meter()).await;
        let once = Match { service: Some(service), calls: vec![1], ..Match::default() };
        let throttled = Action::Throttle { form: Form::RetryAfter, seconds: 20 };
        rig.simulator.set_faults(Faults::none().with(once, throttled));
        let report = rig.pass().await;
        assert_eq!((report.exit(), report.customers[0].answered), (Exit::Done, true), "{api}: {report:?}");
        assert_eq!((asked(&rig), report.left), (calls, 0), "{api}");
        assert_eq!(contract(&rig).await.state, SeriesState::Ok);
        // The measures came after it all the same.
        let log = rig.simulator.log();
        assert!(!log.is_empty() && log.iter().all(|call| call.start >= Some(day("2026-10-12"))), "{api}: {log:?}");
        rig.assert_true_since(&prm(METER), day("2026-10-12")).await;
    }
}

/// How it stands in the view of dashboards.
async fn state(rig: &Rig, about: CustomerDataset) -> String {
    rig.rows(format!("SELECT state FROM v_freshness WHERE dataset = '{about}'")).await.concat()
}

async fn what_was_never_answered_waits(on: On) {
    let mut rig = rig(on, Api::V5, meter()).await;
    rig.meters[0].since = Some(day("2026-11-17"));
    let measures = Selection { datasets: DATASETS.to_vec(), ..Selection::default() };
    rig.pass_with(measures).await;
    let line = contract(&rig).await;
    assert_eq!((line.state, line.last_success_at), (SeriesState::Waiting, None));
    assert_eq!(state(&rig, CustomerDataset::Contract).await, "waiting");
    let report = rig.pass().await;
    assert_eq!((report.exit(), contract(&rig).await.state), (Exit::Done, SeriesState::Ok));
    assert_eq!(state(&rig, CustomerDataset::Contract).await, "ok");
}

async fn a_contract_that_a_long_pause_puts_off_is_left_for_later(on: On) {
    for api in [Api::V5, Api::V2026] {
        let mut rig = rig(on, api, meter()).await;
        rig.meters[0].since = Some(day("2026-11-17"));
        // Everything else is there.
        rig.pass_with(Selection { datasets: DATASETS.to_vec(), ..Selection::default() }).await;
        let service = if api == Api::V5 { Service::Contracts } else { Service::Situation };
        let once = Match { service: Some(service), calls: vec![1], ..Match::default() };
        let throttled = Action::Throttle { form: Form::RetryAfter, seconds: 3_600 };
        rig.simulator.set_faults(Faults::none().with(once, throttled));
        let calls = u64::try_from(calls_of(api)).unwrap();
        for _ in 0..2 {
            // The second pass comes too early, and asks for nothing.
            let report = rig.pass().await;
            assert_eq!((report.left, report.customers[0].left, asked(&rig)), (calls, calls, 1), "{report:?}");
            assert_eq!(report.exit(), Exit::TryLater);
            let Ended::Until(until) = Ended::of(&report) else { panic!("{report:?}") };
            assert!((3_500..3_700).contains(&(until - rig.clock_now_ms() / 1_000)), "{until}");
            let line = contract(&rig).await;
            assert_eq!((line.state, line.last_success_at), (SeriesState::Waiting, None));
            assert_eq!(line.message, Some(report.interruptions[0].message.clone()));
        }
        rig.advance(61);
        let report = rig.pass().await;
        assert_eq!((report.left, report.exit(), Ended::of(&report)), (0, Exit::Done, Ended::Well));
        assert_eq!((contract(&rig).await.state, contract(&rig).await.message), (SeriesState::Ok, None));
    }
}

async fn what_the_budget_does_not_carry_of_customers_is_left_for_later(on: On) {
    let mut rig = rig(on, Api::V5, meter()).await;
    rig.meters[0].since = Some(day("2026-11-17"));
    rig.pass().await;
    for _ in 0..7 {
        rig.next_morning(8, 30);
        rig.pass_with(Selection { datasets: DATASETS.to_vec(), ..Selection::default() }).await;
    }
    // A week later it is due again, and nothing else is; nor is there a call for it.
    let used = rig.simulator.log().len() + asked(&rig) + usize::try_from(rig.tokens()).unwrap();
    rig.limits.per_day = Some(1);
    let report = rig.pass().await;
    let spent = rig.simulator.log().len() + asked(&rig) + usize::try_from(rig.tokens()).unwrap();
    assert_eq!((report.left, report.customers[0].left, spent), (1, 1, used), "{report:?}");
    assert_eq!((report.exit(), contract(&rig).await.state), (Exit::TryLater, SeriesState::Waiting));
    assert!(report.interruptions[0].message.contains("budget of the day"), "{report:?}");
    let Ended::Until(until) = Ended::of(&report) else { panic!("{report:?}") };
    assert!(until > rig.clock_now_ms() / 1_000);
    rig.limits.per_day = None;
    let report = rig.pass().await;
    assert_eq!((report.left, asked(&rig), contract(&rig).await.state), (0, 2, SeriesState::Ok));
}

async fn what_is_left_for_refused_credentials_fails_with_their_code(on: On) {
    let mut rig = rig(on, Api::V5, meter()).await;
    rig.meters[0].since = Some(day("2026-11-17"));
    rig.pass().await;
    assert_eq!(contract(&rig).await.state, SeriesState::Ok);
    // Of the two the one is due again, and the other was never answered.
    rig.advance(8 * 24 * 60);
    rig.meters[0].customer.push(CustomerDataset::Address);
    rig.simulator.change(|world| world.rules.token.client_secret = Some("another".to_owned()));
    let before = asked(&rig);
    let report = rig.pass().await;
    assert_eq!(report.exit(), Exit::CredentialsRefused);
    assert!(report.customers.iter().all(|one| (one.left, one.answered) == (1, false)), "{report:?}");
    for one in rig.store.customers().await.unwrap() {
        assert_eq!((one.state, one.code.as_deref()), (SeriesState::Failing, Some("INVALID-CLIENT")), "{one:?}");
        assert!(one.message.as_ref().unwrap().contains("secret"), "{one:?}");
        assert_eq!((one.next_try_at, state(&rig, one.about).await.as_str()), (None, "failing"), "{one:?}");
    }
    rig.simulator.change(|world| world.rules.token.client_secret = None);
    let report = rig.sync().await;
    assert_eq!((report.exit(), report.left, asked(&rig)), (Exit::Done, 0, before + 2), "{report:?}");
    for one in rig.store.customers().await.unwrap() {
        assert_eq!((one.state, one.code, one.message), (SeriesState::Ok, None, None), "{}", one.about);
    }
}

/// Holds the first answer of a service back until something else was done.
#[derive(Debug)]
struct HeldBack {
    inner: InMemory,
    service: &'static str,
    arrived: Notify,
    goes_on: Notify,
}

impl HeldBack {
    fn at(rig: &mut Rig, service: Service) -> Arc<Self> {
        let held = Arc::new(Self {
            inner: InMemory(rig.simulator.clone()),
            service: service.path(),
            arrived: Notify::new(),
            goes_on: Notify::new(),
        });
        rig.transport = Some(Arc::<Self>::clone(&held));
        held
    }
}

#[async_trait]
impl Transport for HeldBack {
    async fn send(&self, request: &Request) -> Result<Response, TransportError> {
        let answer = self.inner.send(request).await;
        if request.url.path().contains(self.service) {
            self.arrived.notify_one();
            self.goes_on.notified().await;
        }
        answer
    }
}

/// On a server another instance does it, and the store's own fence is what holds. A file has one writer and no fence: there
/// the store is played, and what is tested is that the pass heeds a store that refuses.
async fn what_another_instance_was_told_meanwhile_stands(on: On) {
    // The first call of several, and the last one.
    let calls = [(Api::V5, Service::Contracts), (Api::V2026, Service::Situation), (Api::V2026, Service::Metering)];
    for (api, service) in calls {
        let mut rig = rig(on, api, meter()).await;
        rig.meters[0].since = Some(day("2026-11-17"));
        let shared = Arc::new(Shared::new(Arc::clone(&rig.store)));
        if on == On::File {
            rig.store = Arc::<Shared>::clone(&shared);
        }
        let held = HeldBack::at(&mut rig, service);
        let other = async {
            held.arrived.notified().await;
            match on {
                On::File => shared.overtake("theirs").await,
                // The lease was over, and another instance took it, was refused, and gave it back.
                On::Server => {
                    let taken = "UPDATE series SET held_by = NULL, held_until_ms = NULL, state = 1, code = 'theirs', \
                                 not_before = 4000000000, seen = seen + 2 WHERE dataset = 8";
                    rig.run(taken).await;
                }
            }
            held.goes_on.notify_one();
        };
        let (report, ()) = tokio::join!(rig.pass(), other);
        let line = contract(&rig).await;
        assert_eq!((line.state, line.code.as_deref()), (SeriesState::Suspended, Some("theirs")), "{api}");
        assert_eq!(
            rig.rows("SELECT prm FROM contract JOIN meter ON meter.id = meter".to_owned()).await,
            [""; 0],
            "{api}"
        );
        // It is no business of this pass any more, and its measures are there.
        assert_eq!((report.left, report.customers[0].answered), (0, false), "{api}: {report:?}");
        assert_eq!(rig.status(&prm(METER), Dataset::DailyConsumption).await.state, SeriesState::Ok);
    }
}

/// The lease that was taken for the first part is this instance's own when it goes on.
#[tokio::test]
async fn a_rest_that_another_instance_began_between_two_parts_of_a_contract_is_waited_for() {
    let mut rig = rig(On::Server, Api::V2026, meter()).await;
    let held = HeldBack::at(&mut rig, Service::Situation);
    let until = rig.clock_now_ms() + 20_000;
    let other = async {
        held.arrived.notified().await;
        rig.run(&format!("UPDATE account SET not_before_ms = {until}")).await;
        held.goes_on.notify_one();
    };
    let (report, ()) = tokio::join!(rig.pass(), other);
    assert_eq!((report.left, report.customers[0].answered, asked(&rig)), (0, true, 3), "{report:?}");
    let parts = rig.simulator.service_log();
    assert!(parts[0].at.timestamp_millis() < until && parts[1].at.timestamp_millis() >= until, "{parts:?}");
    let waited = rig.clock_now_ms() - until;
    assert!(waited < 30_000, "no lease was waited for: {waited}");
    assert!(rig.simulator.log().iter().all(|call| call.start >= Some(day("2026-10-12"))));
    rig.assert_true_since(&prm(METER), day("2026-10-12")).await;
}

#[tokio::test]
async fn who_asks_to_stop_waits_for_no_other_part_of_a_contract() {
    let mut rig = rig(On::File, Api::V2026, meter()).await;
    let report = rig.pass_stopped_at("situation_contrat_auto").await;
    assert!(report.stopped);
    assert_eq!((asked(&rig), rig.simulator.log().len()), (1, 0));
    rig.pass().await;
    assert_eq!(contract(&rig).await.state, SeriesState::Ok);
}
