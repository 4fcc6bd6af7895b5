//! Answers as the simulated Enedis gives them.

use std::sync::Arc;

use linkyd::client::Transport as _;
use linkyd::clock::{Calendar, Clock, ManualClock};
use linkyd::domain::{Api, Dataset, Days, Prm, Span, Step};
use linkyd::simulator::{Limits, Simulator};
use linkyd::source::{Ask, Source as _};

use crate::figures::Outcome;
use crate::{enedis, in_memory};

/// What it answers about a meter whose curve has steps of so many minutes.
pub(crate) async fn body(api: Api, dataset: Dataset, step: i64, prm: &Prm, days: Days) -> Outcome<Vec<u8>> {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(enedis::NOW.parse()?));
    let mut world = enedis::world(prm.clone());
    world.rules.limits = Limits::OFF;
    if let Some(meter) = world.meter_mut(prm) {
        meter.step = Step::from_minutes(step).ok_or("a step")?;
    }
    let simulator = Simulator::new(world, Arc::clone(&clock), Calendar::new(Arc::clone(&clock), None));
    let transport = in_memory::InMemory(simulator);
    let source = enedis::source("http://localhost/".parse()?, api);
    let token = transport.send(&source.token_request().ok_or("Enedis wants a token")?).await?;
    let token = source.read_token(&token, clock.now()).map_err(|refusal| refusal.code)?;
    let span = Span::new(dataset, days, 365, days).ok_or("a span")?;
    let answer =
        transport.send(&source.request(Ask { prm, span, api, newest: span.days().last() }, Some(&token))).await?;
    if answer.status != 200 {
        return Err(format!("status {}", answer.status).into());
    }
    Ok(answer.body)
}
