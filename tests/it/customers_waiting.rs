//! Contracts that cannot be had just now: throttled, paused, out of budget, refused, failing one after the other.

use linkyd::daemon::agenda::Ended;
use linkyd::domain::{Api, CustomerDataset, Dataset, SeriesState};
use linkyd::engine::Selection;
use linkyd::exit::Exit;
use linkyd::simulator::{Action, Envelope, Faults, Form, Match, MeterSpec, Service, World};

use crate::customers::{DATASETS, METER, asked, calls_of, contract, meter, rig};
use crate::support::{On, Rig, at, day, on_both_engines, prm};

on_both_engines! {
    contracts_that_fail_one_after_the_other_are_left_and_keep_no_measures_waiting,
    a_contract_that_is_throttled_is_asked_for_again_after_the_pause,
    what_was_never_answered_waits,
    a_contract_that_a_long_pause_puts_off_is_left_for_later,
    what_the_budget_does_not_carry_of_customers_is_left_for_later,
    what_is_left_for_refused_credentials_fails_with_their_code,
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
    let about = CustomerDataset::Address;
    let mut rig = rig(on, Api::V5, meter()).await;
    rig.meters[0].customer = vec![about];
    rig.meters[0].since = Some(day("2026-11-17"));
    let measures = Selection { datasets: DATASETS.to_vec(), ..Selection::default() };
    rig.pass_with(measures).await;
    let line = rig.store.customers().await.unwrap().remove(0);
    assert_eq!((line.state, line.last_success_at), (SeriesState::Waiting, None));
    assert_eq!(state(&rig, about).await, "waiting");
    let report = rig.pass().await;
    assert_eq!((report.exit(), rig.store.customers().await.unwrap().remove(0).state), (Exit::Done, SeriesState::Ok));
    assert_eq!(state(&rig, about).await, "ok");
}

async fn a_contract_that_a_long_pause_puts_off_is_left_for_later(on: On) {
    for api in [Api::V5, Api::V2026] {
        let mut rig = rig(on, api, meter()).await;
        rig.meters[0].since = Some(day("2026-11-17"));
        // Everything else is there.
        let wanted = std::mem::take(&mut rig.meters[0].customer);
        rig.pass().await;
        rig.meters[0].customer = wanted;
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
