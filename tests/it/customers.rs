//! Contracts: asked first, seldom, kept as a history, and refused without any harm to measures.

use std::collections::BTreeSet;

use linkyd::clock::Clock as _;
use linkyd::domain::{Api, CustomerDataset, Dataset, Days, SeriesState};
use linkyd::engine::Selection;
use linkyd::engine::prospect::{Ground, outlook};
use linkyd::engine::serving::Moment;
use linkyd::plan::Request;
use linkyd::simulator::{Action, Envelope, Faults, Grid, GridChange, Match, MeterKind, MeterSpec, Service, World};
use linkyd::store::{CustomerStatus, Facts, Spent};

use crate::support::{On, Rig, at, day, on_both_engines, prm};

on_both_engines! {
    a_contract_comes_first_and_nothing_is_asked_from_before_the_activation,
    as_many_calls_are_planned_as_a_pass_makes,
    measures_that_are_asked_for_by_name_come_after_the_contract_as_well,
    a_contract_is_asked_for_once_a_week,
    a_change_of_the_contract_is_a_row_of_its_own,
    a_producer_has_two_contracts,
    a_refused_contract_leaves_measures_alone,
    a_part_that_is_not_subscribed_is_asked_for_once_and_the_others_are_kept,
    an_api_that_is_closed_gives_way_to_the_other_one,
    a_contract_never_hides_what_is_stored,
    a_refusal_of_the_holder_has_the_contract_asked_for_again,
    registers_of_another_calendar_have_the_contract_asked_for_again,
}

pub(crate) const METER: &str = "01234567890123";
pub(crate) const DATASETS: [Dataset; 2] = [Dataset::ConsumptionLoadCurve, Dataset::DailyConsumption];

pub(crate) async fn rig(on: On, api: Api, meter: MeterSpec) -> Rig {
    let mut rig = Rig::on(on, World::new(11).with(meter), &DATASETS, at("2026-11-24T08:30:00+01:00")).await;
    rig.apis = vec![api];
    rig.meters[0].customer = vec![CustomerDataset::Contract];
    rig
}

pub(crate) fn meter() -> MeterSpec {
    let mut meter = MeterSpec { consumption_since: Some(day("2026-10-12")), ..MeterSpec::new(prm(METER)) };
    meter.contract.subscribed_kva = Some(6);
    meter
}

/// Calls for anything but measures so far.
pub(crate) fn asked(rig: &Rig) -> usize {
    rig.simulator.service_log().len()
}

pub(crate) async fn contract(rig: &Rig) -> CustomerStatus {
    rig.store.customers().await.unwrap().into_iter().find(|c| c.about == CustomerDataset::Contract).unwrap()
}

pub(crate) fn calls_of(api: Api) -> usize {
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

async fn measures_that_are_asked_for_by_name_come_after_the_contract_as_well(on: On) {
    let (daily, activated) = (Dataset::DailyConsumption, day("2026-10-12"));
    let named = Selection { datasets: vec![daily], ..Selection::default() };
    let listed = Selection { only: Some(BTreeSet::from([(prm(METER), daily)])), ..Selection::default() };
    let days = Days::new(day("2026-09-01"), day("2026-11-01"));
    let of_days = Request { only: days, ..Request::default() };
    let of_days = Selection { request: of_days, ..Selection::default() };
    for (gateway, selection) in [(false, &named), (false, &listed), (false, &of_days), (true, &named), (true, &listed)]
    {
        let mut rig = rig(on, Api::V5, meter()).await;
        rig.meters[0].customer.push(CustomerDataset::Address);
        if gateway {
            rig.gateways = vec![crate::support::gateways::conso(&rig.simulator, "conso")];
            rig.meters[0].sources = vec!["conso".to_owned(), "enedis".to_owned()];
        }
        let planned = planned(&rig, Facts::default(), selection);
        rig.pass_with(selection.clone()).await;
        let services: Vec<Service> = rig.simulator.service_log().iter().map(|call| call.service).collect();
        // The address says nothing of days, and was not asked for.
        assert_eq!(services, [Service::Contracts], "{selection:?}");
        let log = rig.simulator.log();
        assert!(!log.is_empty() && log.iter().all(|call| call.start >= Some(activated)), "{gateway} {log:?}");
        assert!(planned > log.len(), "{planned}: the contract is in the plan");
        // Once it was answered it is not asked for along with measures.
        rig.advance(8 * 24 * 60);
        rig.pass_with(selection.clone()).await;
        assert_eq!(asked(&rig), 1, "{selection:?}");
    }
    // Nor does it come along where no measures are asked for.
    let rig = rig(on, Api::V5, meter()).await;
    let people = vec![CustomerDataset::Address];
    rig.pass_with(Selection { customers: people, only: Some(BTreeSet::new()), ..Selection::default() }).await;
    assert_eq!(asked(&rig), 0);
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

#[tokio::test]
async fn who_asks_to_stop_waits_for_no_other_part_of_a_contract() {
    let mut rig = rig(On::File, Api::V2026, meter()).await;
    let report = rig.pass_stopped_at("situation_contrat_auto").await;
    assert!(report.stopped);
    assert_eq!((asked(&rig), rig.simulator.log().len()), (1, 0));
    rig.pass().await;
    assert_eq!(contract(&rig).await.state, SeriesState::Ok);
}
