//! Journeys, what they bring, and when consents end.

use super::*;
use crate::store::{Authorisation, EndKnown, Journey, Warning};

on_both_engines! {
    a_journey_is_answered_once,
    the_earliest_end_counts_and_is_warned_of_once_at_each_step,
    a_meter_can_be_authorised_before_it_is_configured,
}

const DAY: i64 = 86_400;

fn journey(state: &str) -> Journey {
    Journey {
        state: state.to_owned(),
        source: "enedis".to_owned(),
        api: Api::V2026,
        duration: "P3Y".to_owned(),
        begun_at: 1_795_000_000,
        answered_at: None,
        number: None,
        done_at: None,
    }
}

fn authorisation(prm: &str, until: i64) -> Authorisation {
    Authorisation {
        prm: prm.parse().unwrap(),
        source: "enedis".to_owned(),
        api: Api::V2026,
        number: Some(424_242),
        granted_at: 1_795_000_000,
        until: Some(until),
        learnt: EndKnown::Services,
        ended: false,
        checked_at: Some(1_795_000_100),
        covers: vec![Dataset::DailyConsumption, CURVE],
    }
}

async fn a_journey_is_answered_once<H: Host>() {
    let world = World::<H>::new().await;
    let store = &world.store;
    assert_eq!(store.answer_journey("one", 1_795_000_060).await.unwrap(), None);
    store.begin_journey(&journey("one")).await.unwrap();
    store.begin_journey(&journey("other")).await.unwrap();
    let first = store.answer_journey("one", 1_795_000_060).await.unwrap().unwrap();
    let answered = Journey { answered_at: Some(1_795_000_060), ..journey("one") };
    assert_eq!((first.journey, first.first), (answered.clone(), true));
    let again = store.answer_journey("one", 1_795_000_090).await.unwrap().unwrap();
    assert_eq!((again.journey, again.first), (answered.clone(), false));
    // Between the answer and the meter it can be taken up again.
    assert_eq!(store.unfinished_journeys().await.unwrap(), []);
    store.finish_journey("one", Some(424_242), None).await.unwrap();
    let unfinished = Journey { number: Some(424_242), ..answered };
    assert_eq!(store.unfinished_journeys().await.unwrap(), std::slice::from_ref(&unfinished));
    store.finish_journey("one", Some(424_242), Some(1_795_000_200)).await.unwrap();
    assert_eq!(store.unfinished_journeys().await.unwrap(), []);
    // What is older than any consent is of no use.
    store.begin_journey(&Journey { begun_at: 1_795_000_000 + 3 * 366 * DAY + 1, ..journey("late") }).await.unwrap();
    assert_eq!(store.answer_journey("one", 1_795_000_090).await.unwrap(), None);
    world.sound().await;
}

async fn the_earliest_end_counts_and_is_warned_of_once_at_each_step<H: Host>() {
    let world = World::<H>::new().await;
    let store = &world.store;
    let until = 1_800_000_000;
    let shown = "SELECT consent_until FROM v_meter";
    assert_eq!(world.one(shown).await, "-");
    store.authorise(&[authorisation(PRM, until)]).await.unwrap();
    store.set_up(&setup()).await.unwrap();
    assert_eq!(world.one(shown).await, "2027-01-15T08:00:00Z");
    assert_eq!(store.status().await.unwrap()[0].consent_until, Some(until));
    let columns = "SELECT source, learnt FROM consent";
    assert_eq!(world.one(columns).await, "enedis|services");

    let warned = async |at: i64| store.warn_of_consents(at).await.unwrap();
    let told = vec![Warning { name: "Maison".to_owned(), until }];
    assert_eq!(warned(until - 30 * DAY).await, []);
    for before in [30 * DAY - 1, 7 * DAY - 1, DAY - 1, 0] {
        assert_eq!(warned(until - before).await, told, "{before}");
        assert_eq!(warned(until - before).await, [], "{before}");
        // A pass in between makes nobody warn anew.
        store.set_up(&setup()).await.unwrap();
        assert_eq!(warned(until - before).await, [], "{before}");
    }
    // Whoever was away is told once, of the most urgent.
    store.authorise(&[authorisation(PRM, until + DAY)]).await.unwrap();
    store.set_up(&setup()).await.unwrap();
    let renewed = vec![Warning { name: "Maison".to_owned(), until: until + DAY }];
    assert_eq!(warned(until + 1).await, renewed);
    assert_eq!(warned(until + 2).await, []);

    // A token that ends sooner counts; without either nothing is known.
    let mut sooner = setup();
    sooner.meters[0].consent_until = Some(until - 5 * DAY);
    store.set_up(&sooner).await.unwrap();
    assert_eq!(world.one(shown).await, "2027-01-10T08:00:00Z");
    assert_eq!(world.one("SELECT coalesce(source, 'none'), learnt FROM consent").await, "none|token");
    sooner.meters[0].consent_until = Some(until + 5 * DAY);
    store.set_up(&sooner).await.unwrap();
    assert_eq!(world.one(shown).await, "2027-01-16T08:00:00Z");
    store.authorise(&[Authorisation { until: None, ..authorisation(PRM, 0) }]).await.unwrap();
    store.set_up(&setup()).await.unwrap();
    assert_eq!(world.one(shown).await, "-");
    world.sound().await;
}

async fn a_meter_can_be_authorised_before_it_is_configured<H: Host>() {
    let world = World::<H>::new().await;
    let store = &world.store;
    let other = authorisation("00000000000042", 1_800_000_000);
    let own = Authorisation {
        api: Api::V5,
        number: None,
        learnt: EndKnown::Duration,
        checked_at: None,
        covers: Vec::new(),
        ..authorisation(PRM, 1_800_000_000)
    };
    store.authorise(&[own.clone(), other.clone()]).await.unwrap();
    assert_eq!(store.authorisations().await.unwrap(), [other.clone(), own]);
    let ended = Authorisation { ended: true, until: Some(1_799_000_000), ..other.clone() };
    store.authorise(std::slice::from_ref(&ended)).await.unwrap();
    assert_eq!(store.authorisations().await.unwrap()[0], ended);
    assert_eq!(store.warn_of_consents(1_900_000_000).await.unwrap(), [], "of meters that are not kept nobody is told");
    let mut wider = setup();
    wider.meters.push(MeterSetup { prm: other.prm, name: "Grange".into(), ..wider.meters[0].clone() });
    store.set_up(&wider).await.unwrap();
    assert_eq!(
        world.rows("SELECT meter, consent_until FROM v_meter ORDER BY meter").await,
        ["Grange|2027-01-03T18:13:20Z", "Maison|2027-01-15T08:00:00Z"]
    );
    // A consent at a source that the meter does not list says nothing about it.
    wider.meters[1].sources = vec!["other".into()];
    store.set_up(&wider).await.unwrap();
    assert_eq!(world.one("SELECT consent_until FROM v_meter WHERE meter = 'Grange'").await, "-");
}
