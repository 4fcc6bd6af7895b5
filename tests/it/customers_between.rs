//! Contracts between several sources and several instances: who asks, and what the others do meanwhile.

use std::sync::Arc;

use async_trait::async_trait;
use linkyd::client::{Transport, TransportError};
use linkyd::domain::{Api, Dataset, SeriesState};
use linkyd::exit::Exit;
use linkyd::simulator::{Action, Envelope, Faults, Form, Front, Match, Service};
use linkyd::source::{Request, Response};
use tokio::sync::Notify;

use crate::customers::{METER, asked, contract, meter, rig};
use crate::support::shared::Shared;
use crate::support::{InMemory, On, Rig, day, on_both_engines, prm};

on_both_engines! {
    a_gateway_without_contracts_says_so_and_keeps_its_measures,
    a_contract_of_one_source_comes_before_the_measures_of_another,
    a_source_that_is_down_leaves_the_contract_to_the_next_one_as_well,
    who_stands_in_and_refuses_hastens_no_question,
    a_budget_that_is_waited_for_moves_no_contract,
    what_another_instance_was_told_meanwhile_stands,
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
    let asked_so_far = (asked(&rig), rig.simulator.counters().myelectricaldata.uncached.values().sum::<u64>());
    let again = rig.pass().await;
    let asked_now = (asked(&rig), rig.simulator.counters().myelectricaldata.uncached.values().sum::<u64>());
    assert_eq!((again.left, again.calls, contract(&rig).await.state), (0, 0, SeriesState::Ok), "{again:?}");
    assert_eq!(asked_now, asked_so_far);
}

async fn who_stands_in_and_refuses_hastens_no_question(on: On) {
    let mut rig = rig(on, Api::V2026, meter()).await.served_by(&["enedis", "med"]);
    rig.gateways = vec![crate::support::gateways::med(&rig.simulator, "med")];
    rig.meters[0].since = Some(day("2026-11-17"));
    let refusal =
        Action::Status { status: 403, envelope: Envelope::E1, code: "ADAM-ERR0061".to_owned(), text: String::new() };
    let broken = Action::Status { status: 502, envelope: Envelope::E8, code: String::new(), text: String::new() };
    let contract_of = Match { service: Some(Service::Situation), ..Match::default() };
    let gateway = Match::front(Front::MyElectricalData);
    rig.simulator.set_faults(Faults::none().with(contract_of, refusal).with(gateway, broken));
    let requests = |rig: &Rig| (asked(rig), rig.simulator.counters().myelectricaldata.requests);
    for morning in 1..=2 {
        for _ in 0..3 {
            rig.pass().await;
            rig.advance(90);
        }
        let line = contract(&rig).await;
        assert_eq!((line.state, line.code.as_deref()), (SeriesState::Suspended, Some("ADAM-ERR0061")), "{line:?}");
        assert_eq!(requests(&rig), (morning, u64::try_from(morning).unwrap()), "one question a day of each");
        assert_eq!(rig.status(&prm(METER), Dataset::DailyConsumption).await.state, SeriesState::Ok);
        rig.next_morning(8, 30);
    }
}

async fn a_budget_that_is_waited_for_moves_no_contract(on: On) {
    let mut rig = rig(on, Api::V2026, meter()).await.served_by(&["conso", "enedis", "med"]);
    rig.meters[0].since = Some(day("2026-11-17"));
    rig.gateways = vec![
        crate::support::gateways::conso(&rig.simulator, "conso"),
        crate::support::gateways::med(&rig.simulator, "med"),
    ];
    let once = Match { service: Some(Service::Situation), calls: vec![1], ..Match::default() };
    let throttled = Action::Throttle { form: Form::RetryAfter, seconds: 3_600 };
    rig.simulator.set_faults(Faults::none().with(once, throttled));
    let report = rig.pass().await;
    assert_eq!(rig.simulator.counters().myelectricaldata.requests, 0);
    let line = contract(&rig).await;
    assert_eq!((line.state, report.customers[0].left), (SeriesState::Waiting, 3), "{report:?}");
    let told: Vec<&str> = report.interruptions.iter().map(|one| one.source.as_str()).collect();
    assert_eq!((told, report.customers[0].source.as_str()), (vec!["enedis"], "enedis"));
    rig.advance(61);
    let report = rig.pass().await;
    assert_eq!((contract(&rig).await.state, report.left, report.interruptions.len()), (SeriesState::Ok, 0, 0));
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
