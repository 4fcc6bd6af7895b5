//! Journeys, what they bring, and when consents end.

use super::*;
use crate::store::{Authorisation, Brought, EndKnown, Journey, Warning};

on_both_engines! {
    a_journey_is_answered_once,
    meters_are_stored_with_the_answer_that_named_them,
    a_look_says_nothing_of_a_consent_that_was_given_since,
    a_journey_that_is_taken_up_late_puts_no_newer_consent_away,
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
    let number = Brought::Number(424_242);
    assert_eq!(store.answer_journey("one", &number, 1_795_000_060).await.unwrap(), None);
    store.begin_journey(&journey("one")).await.unwrap();
    store.begin_journey(&journey("other")).await.unwrap();
    assert_eq!(store.journey("one").await.unwrap(), Some(journey("one")));
    assert_eq!(store.unfinished_journeys().await.unwrap(), []);
    // One that was cut off, and then all of it: between the answer and the meter it can be taken up again.
    let cut = store.answer_journey("one", &Brought::Number(4_242), 1_795_000_060).await.unwrap().unwrap();
    let answered = |number| Journey { answered_at: Some(1_795_000_060), number: Some(number), ..journey("one") };
    assert_eq!((cut.journey, cut.first), (answered(4_242), true));
    let again = store.answer_journey("one", &number, 1_795_000_090).await.unwrap().unwrap();
    assert_eq!((again.journey, again.first), (answered(424_242), false));
    assert_eq!(store.unfinished_journeys().await.unwrap(), [answered(424_242)]);
    store.finish_journey("one", &[authorisation(PRM, 1_800_000_000)], 1_795_000_200).await.unwrap();
    assert_eq!(store.unfinished_journeys().await.unwrap(), []);
    assert_eq!(store.authorisations().await.unwrap(), [authorisation(PRM, 1_800_000_000)]);
    let late = store.answer_journey("one", &Brought::Number(7), 1_795_000_300).await.unwrap().unwrap();
    let done = Journey { done_at: Some(1_795_000_200), ..answered(424_242) };
    assert_eq!((late.journey, late.first), (done, false));
    // One that was refused brings nothing later either.
    let refused = store.answer_journey("other", &Brought::Nothing, 1_795_000_060).await.unwrap().unwrap();
    assert!(refused.first && refused.journey.number.is_none() && refused.journey.done_at.is_none());
    let after = store.answer_journey("other", &number, 1_795_000_070).await.unwrap().unwrap();
    assert_eq!((after.first, after.journey.number), (false, None));
    // What is older than any consent is of no use.
    store.begin_journey(&Journey { begun_at: 1_795_000_000 + 3 * 366 * DAY + 1, ..journey("late") }).await.unwrap();
    assert_eq!(store.journey("one").await.unwrap(), None);
    world.sound().await;
}

async fn meters_are_stored_with_the_answer_that_named_them<H: Host>() {
    let world = World::<H>::new().await;
    let store = &world.store;
    let given = |prm: &str| Authorisation { api: Api::V5, number: None, ..authorisation(prm, 1_800_000_000) };
    store.begin_journey(&Journey { api: Api::V5, ..journey("one") }).await.unwrap();
    let both = vec![given("00000000000042"), given(PRM)];
    let first = store.answer_journey("one", &Brought::Consents(both.clone()), 1_795_000_060).await.unwrap().unwrap();
    assert_eq!((first.first, first.journey.done_at), (true, Some(1_795_000_060)));
    assert_eq!(store.authorisations().await.unwrap(), both);
    // What comes once more brings nothing.
    let other = Brought::Consents(vec![given("00000000000043")]);
    assert!(!store.answer_journey("one", &other, 1_795_000_070).await.unwrap().unwrap().first);
    assert_eq!(store.authorisations().await.unwrap(), both);
    world.sound().await;
}

async fn a_look_says_nothing_of_a_consent_that_was_given_since<H: Host>() {
    let world = World::<H>::new().await;
    let store = &world.store;
    let old = authorisation(PRM, 1_800_000_000);
    store.authorise(std::slice::from_ref(&old)).await.unwrap();
    let seen = Authorisation {
        ended: true,
        until: Some(1_795_500_000),
        learnt: EndKnown::Services,
        checked_at: Some(1_795_500_000),
        covers: vec![CURVE],
        ..old.clone()
    };
    // Somebody gives it anew while a pass looks: by the other page, which names no number.
    let new = Authorisation {
        api: Api::V5,
        number: None,
        granted_at: 1_795_400_000,
        learnt: EndKnown::Duration,
        until: Some(1_890_000_000),
        ..old.clone()
    };
    store.authorise(std::slice::from_ref(&new)).await.unwrap();
    store.note_looks(std::slice::from_ref(&seen)).await.unwrap();
    let kept = Authorisation { number: old.number, ..new };
    assert_eq!(store.authorisations().await.unwrap(), std::slice::from_ref(&kept), "the number outlives it");
    // Of the one that was looked at it says all but what it was given with.
    let seen = Authorisation { granted_at: kept.granted_at, api: kept.api, ..seen };
    store.note_looks(&[Authorisation { number: Some(7), ..seen.clone() }]).await.unwrap();
    assert_eq!(store.authorisations().await.unwrap(), [seen]);
    world.sound().await;
}

async fn a_journey_that_is_taken_up_late_puts_no_newer_consent_away<H: Host>() {
    let world = World::<H>::new().await;
    let store = &world.store;
    store.begin_journey(&journey("one")).await.unwrap();
    store.answer_journey("one", &Brought::Number(4_242), 1_795_000_060).await.unwrap();
    let at =
        |granted_at, number, until| Authorisation { granted_at, number: Some(number), ..authorisation(PRM, until) };
    let newer = at(1_795_090_000, 5_353, 1_890_000_000);
    store.authorise(std::slice::from_ref(&newer)).await.unwrap();
    let older = at(1_795_000_060, 4_242, 1_800_000_000);
    store.finish_journey("one", std::slice::from_ref(&older), 1_795_100_000).await.unwrap();
    assert_eq!(store.authorisations().await.unwrap(), std::slice::from_ref(&newer));
    assert_eq!(store.unfinished_journeys().await.unwrap(), [], "it is over all the same");
    // The same instant is the same consent, of which more is known now.
    let same = Authorisation { until: Some(1_891_000_000), ..newer };
    store.authorise(std::slice::from_ref(&same)).await.unwrap();
    assert_eq!(store.authorisations().await.unwrap(), [same]);
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
