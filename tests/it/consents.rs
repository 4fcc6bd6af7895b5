//! Consents over time: known ends, warnings, the daily look at Enedis' list, lapses, renewals, and fresh consents
//! that Enedis refuses for a while.

use linkyd::domain::{Api, Dataset, Day, Prm, SeriesState, paris};
use linkyd::exit::Exit;
use linkyd::simulator::{Consent, MeterSpec, Service, World};
use linkyd::store::{Authorisation, Brought, EndKnown};

use super::support::{On, Rig, at, day, journey, on_both_engines, prm};

const METER: &str = "01234567890123";
const SINCE: &str = "2026-11-15";
const DATASETS: [Dataset; 2] = [Dataset::ConsumptionLoadCurve, Dataset::DailyConsumption];

on_both_engines! {
    a_lapsed_consent_was_warned_of_and_comes_back_when_it_is_given_again,
}

async fn rig(on: On, api: Api, consent: Consent) -> Rig {
    let mut meter = MeterSpec { consent, ..MeterSpec::new(prm(METER)) };
    meter.customer.shared = true;
    let world = World::new(7).with(meter);
    let mut rig = Rig::on(on, world, &DATASETS, at("2026-11-24T08:30:00+01:00")).await.since(day(SINCE));
    rig.apis = vec![api];
    rig
}

/// What a journey that ended just now brought.
fn given(rig: &Rig, api: Api, ends: Day) -> Authorisation {
    let now = linkyd::clock::Clock::now(&*rig.clock).timestamp();
    Authorisation {
        prm: prm(METER),
        source: "enedis".to_owned(),
        api,
        number: (api == Api::V2026).then(|| rig.simulator.authorisation(&prm(METER))),
        granted_at: now,
        until: Some(paris::start_of(ends)),
        learnt: EndKnown::Duration,
        ended: false,
        checked_at: None,
        covers: Vec::new(),
    }
}

/// A journey of 2026 whose meter was not listed when it was answered, `days` ago.
async fn unlisted(rig: &Rig, state: &str, prm: &Prm, days: i64) {
    let now = linkyd::clock::Clock::now(&*rig.clock).timestamp() - days * 86_400;
    rig.engine().prepare().await.unwrap();
    rig.store.begin_journey(&journey(state, now - 60)).await.unwrap();
    let brought = Brought::Number(rig.simulator.authorisation(prm));
    rig.store.answer_journey(state, &brought, now).await.unwrap();
}

/// Days that pass, with a pass each morning.
async fn days(rig: &Rig, days: usize) {
    for _ in 0..days {
        rig.next_morning(8, 30);
        rig.pass().await;
    }
}

fn looks(rig: &Rig) -> usize {
    rig.simulator.service_log().iter().filter(|call| call.service == Service::SubscribedServices).count()
}

async fn states(rig: &Rig) -> Vec<SeriesState> {
    rig.store.status().await.unwrap().into_iter().map(|line| line.state).collect()
}

async fn warned(rig: &Rig) -> Vec<String> {
    rig.rows("SELECT CAST(warned AS TEXT) FROM consent WHERE warned IS NOT NULL".to_owned()).await
}

async fn a_lapsed_consent_was_warned_of_and_comes_back_when_it_is_given_again(on: On) {
    for api in [Api::V5, Api::V2026] {
        let ends = day("2026-12-28");
        let until = |day: Day| Consent::until(chrono::DateTime::from_timestamp(paris::start_of(day), 0).unwrap());
        let rig = rig(on, api, until(ends)).await;
        rig.engine().grant(&[given(&rig, api, ends)]).await.unwrap();
        rig.pass().await;
        // Asked once a day, and not where there is nothing to ask.
        assert_eq!(looks(&rig), usize::from(api == Api::V2026), "{api}");
        rig.sync().await;
        assert_eq!(looks(&rig), usize::from(api == Api::V2026), "{api}");
        let line = rig.status(&prm(METER), DATASETS[1]).await;
        assert_eq!(line.consent_until, Some(paris::start_of(ends)), "{api}");
        let learnt = rig.rows("SELECT learnt FROM consent".to_owned()).await;
        assert_eq!(learnt, [if api == Api::V2026 { "services" } else { "duration" }]);
        // 34 days before, then 30, 7, 1, and none left.
        for (passing, expected) in [(0, None), (4, Some("30")), (23, Some("7")), (6, Some("1")), (1, Some("0"))] {
            days(&rig, passing).await;
            assert_eq!(warned(&rig).await.first().map(String::as_str), expected, "{api}, {passing} days later");
        }
        assert_eq!(looks(&rig), if api == Api::V2026 { 35 } else { 0 });
        assert_eq!(states(&rig).await, [SeriesState::Suspended; 2], "{api}");
        let line = rig.status(&prm(METER), DATASETS[1]).await;
        assert_eq!(line.code.as_deref(), Some("ADAM-DC-0008"));
        rig.simulator.reset_counters();
        days(&rig, 5).await;
        assert_eq!(rig.refused("ADAM-DC-0008"), 5, "{api}: one probe a day");
        // Given again, it is not waited for the next probe.
        let next = day("2027-12-28");
        rig.simulator.set_consent(&prm(METER), until(next));
        rig.engine().grant(&[given(&rig, api, next)]).await.unwrap();
        assert_eq!(rig.sync().await.exit(), Exit::Done, "{api}");
        assert_eq!(states(&rig).await, [SeriesState::Ok; 2], "{api}");
        assert_eq!(warned(&rig).await, Vec::<String>::new(), "{api}");
        rig.assert_true_since(&prm(METER), day(SINCE)).await;
    }
}

#[tokio::test]
async fn a_consent_whose_meter_was_not_listed_is_taken_up_by_a_pass() {
    let rig = rig(On::File, Api::V2026, Consent::NEVER).await;
    let lags = |minutes| rig.simulator.change(|world| world.rules.consent.services_lag_minutes = minutes);
    lags(2 * 365 * 1_440);
    rig.pass().await;
    assert_eq!((states(&rig).await, looks(&rig)), (vec![SeriesState::Suspended; 2], 0));
    unlisted(&rig, "one", &prm(METER), 0).await;
    rig.sync().await;
    assert_eq!((looks(&rig), rig.store.authorisations().await.unwrap()), (1, Vec::new()), "not listed yet");
    rig.simulator.set_consent(&prm(METER), Consent::GRANTED);
    lags(0);
    days(&rig, 1).await;
    let known = rig.store.authorisations().await.unwrap().remove(0);
    let now = linkyd::clock::Clock::now(&*rig.clock).timestamp();
    assert!(known.number.is_some() && (now - 90_000..now - 86_000).contains(&known.granted_at), "{known:?}");
    assert_eq!(rig.store.unfinished_journeys().await.unwrap(), []);
    rig.sync().await;
    assert_eq!(states(&rig).await, [SeriesState::Ok; 2]);
    assert!(rig.status(&prm(METER), DATASETS[1]).await.consent_until.is_some());
    // Of one that came to nothing there is an end.
    rig.simulator.set_consent(&prm(METER), Consent::NEVER);
    let before = looks(&rig);
    unlisted(&rig, "old", &prm(METER), 7).await;
    rig.sync().await;
    assert_eq!(looks(&rig), before);
}

#[tokio::test]
async fn a_consent_that_was_withdrawn_is_known_from_the_list() {
    let rig = rig(On::File, Api::V2026, Consent::GRANTED).await;
    rig.engine().grant(&[given(&rig, Api::V2026, day("2029-11-24"))]).await.unwrap();
    rig.pass().await;
    rig.simulator.set_consent(&prm(METER), Consent::NEVER);
    days(&rig, 1).await;
    let known = rig.store.authorisations().await.unwrap().remove(0);
    let now = linkyd::clock::Clock::now(&*rig.clock).timestamp();
    assert!(known.ended && known.until.is_some_and(|until| (now - 120..=now).contains(&until)), "{known:?}");
    days(&rig, 1).await;
    assert_eq!(warned(&rig).await, ["0"], "it is told once that it is over");
    assert_eq!(rig.store.authorisations().await.unwrap()[0].until, known.until, "the end does not move");
    assert_eq!(states(&rig).await, [SeriesState::Suspended; 2]);
    // Shared again, with the same number: the list and the probe bring it back.
    rig.simulator.set_consent(&prm(METER), Consent::GRANTED);
    days(&rig, 1).await;
    let known = rig.store.authorisations().await.unwrap().remove(0);
    assert!(!known.ended && known.until.is_some_and(|until| until > now), "{known:?}");
    assert_eq!(states(&rig).await, [SeriesState::Ok; 2]);
}

#[tokio::test]
async fn a_fresh_consent_that_is_refused_is_given_three_days() {
    for api in [Api::V5, Api::V2026] {
        let rig = rig(On::File, api, Consent::GRANTED).await;
        rig.engine().grant(&[given(&rig, api, day("2029-11-24"))]).await.unwrap();
        rig.simulator.change(|world| world.meter_mut(&prm(METER)).unwrap().held = false);
        assert_eq!(rig.pass().await.exit(), Exit::TryLater, "{api}");
        days(&rig, 2).await;
        let line = rig.status(&prm(METER), DATASETS[1]).await;
        assert_eq!((line.state, line.code.as_deref()), (SeriesState::Failing, Some("consent_settling")), "{api}");
        assert!(line.message.unwrap().contains("ADAM-DC-0007"), "{api}");
        days(&rig, 2).await;
        assert_eq!(states(&rig).await, [SeriesState::Suspended; 2], "{api}");
        rig.simulator.change(|world| world.meter_mut(&prm(METER)).unwrap().held = true);
        days(&rig, 1).await;
        assert_eq!(states(&rig).await, [SeriesState::Ok; 2], "{api}");
        rig.assert_true_since(&prm(METER), day(SINCE)).await;
    }
}

#[tokio::test]
async fn a_list_that_may_not_be_read_is_asked_for_once_a_day_and_fails_nothing() {
    let rig = rig(On::File, Api::V2026, Consent::GRANTED).await;
    rig.engine().grant(&[given(&rig, Api::V2026, day("2029-11-24"))]).await.unwrap();
    rig.simulator.change(|world| world.rules.unsubscribed_services = vec![Service::SubscribedServices]);
    for morning in 1..=3 {
        assert_eq!(rig.pass().await.exit(), Exit::Done);
        assert_eq!(rig.sync().await.exit(), Exit::Done);
        assert_eq!(looks(&rig), morning);
        rig.next_morning(8, 30);
    }
    assert_eq!(rig.status(&prm(METER), DATASETS[1]).await.consent_until, Some(paris::start_of(day("2029-11-24"))));
}

#[tokio::test]
async fn measures_come_before_the_list_where_calls_are_few() {
    let mut rig = rig(On::File, Api::V2026, Consent::GRANTED).await;
    rig.engine().grant(&[given(&rig, Api::V2026, day("2029-11-24"))]).await.unwrap();
    // A token, and a call for each series: nothing is left for the list, and nobody is told to come back for it.
    rig.limits.per_hour = Some(4);
    assert_eq!(rig.pass().await.exit(), Exit::Done);
    assert_eq!((rig.calls(), looks(&rig)), (3, 0));
    rig.advance(61);
    rig.pass().await;
    assert_eq!(looks(&rig), 1);
}

#[tokio::test]
async fn the_list_leaves_the_next_morning_its_calls() {
    let mut rig = rig(On::File, Api::V2026, Consent::GRANTED).await;
    rig.engine().grant(&[given(&rig, Api::V2026, day("2029-11-24"))]).await.unwrap();
    // At ten, when what is called takes from the next morning. Three calls are left, and all are wanted then.
    rig.advance(90);
    rig.limits.per_day = Some(7);
    assert_eq!(rig.pass().await.exit(), Exit::Done);
    assert_eq!((rig.calls(), looks(&rig)), (3, 0));
}

/// Two meters, each with a consent.
async fn two_meters() -> Rig {
    let mut rig = rig(On::File, Api::V2026, Consent::GRANTED).await;
    let other = "01234567890124";
    rig.simulator.change(|world| world.meters.push(MeterSpec::new(prm(other))));
    let mut meter = rig.meters[0].clone();
    (meter.prm, meter.name) = (prm(other), "other".to_owned());
    rig.meters.push(meter);
    let one = given(&rig, Api::V2026, day("2029-11-24"));
    let number = Some(rig.simulator.authorisation(&prm(other)));
    let two = Authorisation { prm: prm(other), number, ..one.clone() };
    rig.engine().grant(&[one, two]).await.unwrap();
    rig
}

#[tokio::test]
async fn a_list_that_is_closed_to_the_application_is_not_asked_for_each_meter() {
    let rig = two_meters().await;
    rig.simulator.change(|world| world.rules.unsubscribed_services = vec![Service::SubscribedServices]);
    for morning in 1..=2 {
        rig.pass().await;
        rig.sync().await;
        assert_eq!(looks(&rig), morning);
        rig.next_morning(8, 30);
    }
}

#[tokio::test]
async fn who_asks_to_stop_waits_for_no_other_look() {
    let mut rig = two_meters().await;
    rig.pass_stopped_at("subscribed_services").await;
    assert_eq!(looks(&rig), 1);
    rig.pass().await;
    assert_eq!(looks(&rig), 2, "what was learnt is kept, and the other look is made up for");
}
