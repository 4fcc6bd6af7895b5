//! Refusals that speak of the activation without meaning it cost no day.

use std::sync::Arc;

use async_trait::async_trait;
use linkyd::client::{Transport, TransportError};
use linkyd::domain::{Dataset, Direction};
use linkyd::engine::Selection;
use linkyd::plan::Request;
use linkyd::simulator::{Action, Envelope, Faults, Match, MeterSpec, World};
use linkyd::source::{self, Response};
use linkyd::store::{Activation, Effect, Store};
use tokio::sync::Mutex;

use crate::support::{InMemory, On, Rig, at, day, on_both_engines, prm};

on_both_engines! {
    a_meter_that_was_refused_for_a_day_gets_its_whole_history_afterwards,
    a_refusal_that_contradicts_what_is_stored_gives_up_nothing,
    an_operator_can_ask_beyond_what_a_refusal_taught,
    what_another_instance_learns_while_a_call_is_in_the_air_stays,
}

const METER: &str = "01234567890123";
const DATASETS: [Dataset; 2] = [Dataset::ConsumptionLoadCurve, Dataset::DailyConsumption];

fn before_activation() -> Action {
    Action::Status { status: 400, envelope: Envelope::E1, code: "ADAM-ERR0123".to_owned(), text: String::new() }
}

async fn rig(on: On) -> Rig {
    let world = World::new(11).with(MeterSpec::new(prm(METER)));
    let mut rig = Rig::on(on, world, &DATASETS, at("2026-11-24T08:30:00+01:00")).await;
    rig.meters[0].since = Some(day("2026-08-01"));
    rig
}

async fn assert_whole(rig: &Rig) {
    for dataset in DATASETS {
        let days = linkyd::domain::Days::new(day("2026-08-01"), rig.window(dataset).end()).unwrap();
        rig.assert_equals_truth(&prm(METER), dataset, days).await;
    }
}

async fn a_meter_that_was_refused_for_a_day_gets_its_whole_history_afterwards(on: On) {
    let rig = rig(on).await;
    rig.simulator.set_faults(Faults::none().with(Match::any(), before_activation()));
    rig.pass().await;
    assert!(rig.refused("ADAM-ERR0123") <= 10);
    rig.simulator.set_faults(Faults::none());
    for _ in 0..9 {
        rig.next_morning(8, 30);
        rig.pass().await;
    }
    assert_whole(&rig).await;
}

async fn a_refusal_that_contradicts_what_is_stored_gives_up_nothing(on: On) {
    let rig = rig(on).await;
    // The daily values answer from the start; the curve is refused for its older half.
    let older = Match { start_to: Some(day("2026-08-10")), ..Match::dataset(Dataset::ConsumptionLoadCurve) };
    rig.simulator.set_faults(Faults::none().with(older, before_activation()));
    rig.pass().await;
    rig.simulator.set_faults(Faults::none());
    for _ in 0..3 {
        rig.next_morning(8, 30);
        rig.pass().await;
    }
    assert_whole(&rig).await;
}

async fn an_operator_can_ask_beyond_what_a_refusal_taught(on: On) {
    let rig = rig(on).await;
    // Wrongly refused for good, as far as linkyd can tell.
    let older = Match { start_to: Some(day("2026-10-31")), ..Match::any() };
    rig.simulator.set_faults(Faults::none().with(older, before_activation()));
    rig.pass().await;
    rig.simulator.set_faults(Faults::none());
    rig.next_morning(8, 30);
    rig.pass().await;
    let days = linkyd::domain::Days::new(day("2026-08-01"), day("2026-11-01"));
    let request = Request { only: days, refetch: true, operator: true };
    rig.pass_with(Selection { request, ..Selection::default() }).await;
    rig.sync().await;
    assert_whole(&rig).await;
}

/// Another instance hears a refusal while the first call about measures is in the air.
struct Meanwhile {
    inner: InMemory,
    store: Arc<dyn Store>,
    known: Activation,
    done: Mutex<bool>,
}

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meanwhile")
    }
}

#[async_trait]
impl Transport for Meanwhile {
    async fn send(&self, request: &source::Request) -> Result<Response, TransportError> {
        if request.form.is_none() {
            // Calls that leave meanwhile wait for it: none of them is answered before.
            let mut done = self.done.lock().await;
            if !std::mem::replace(&mut *done, true) {
                let meter = self.store.facts(0).await.unwrap().series[0].meter;
                let refused = Effect::Activation { meter, direction: Direction::Consumption, known: self.known };
                self.store.apply(vec![refused]).await.unwrap();
            }
        }
        self.inner.send(request).await
    }
}

async fn what_another_instance_learns_while_a_call_is_in_the_air_stays(on: On) {
    let mut rig = rig(on).await;
    let known = Activation { refused: Some(day("2026-07-15")), accepted: None, refusals: 2 };
    rig.transport = Some(Arc::new(Meanwhile {
        inner: InMemory(rig.simulator.clone()),
        store: Arc::clone(&rig.store),
        known,
        done: Mutex::new(false),
    }));
    rig.pass().await;
    assert_whole(&rig).await;
    let activations = rig.store.facts(0).await.unwrap().activations;
    let learnt: Vec<Activation> = activations.into_values().collect();
    assert_eq!(learnt, [Activation { accepted: Some(day("2026-08-01")), ..known }]);
}
