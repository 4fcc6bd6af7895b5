//! What of a journey needs the database. It is opened for each stage and given back, so that whoever else
//! writes finds a turn while somebody reads Enedis' page.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::super::{Trouble, wiring};
use super::judge::Stands;
use super::outcome::Ended;
use crate::clock::Clock;
use crate::config::Loaded;
use crate::engine::consents::{self, Exchanged, Looked};
use crate::engine::{ActiveSource, Engine};
use crate::exit::Exit;
use crate::source::Token;
use crate::store::{Answered, Authorisation, Brought, Database, Journey, Mode, StoreError};

/// What this process does, for those who wait for it.
const COMMAND: &str = "linkyd authorize";

/// How long a browser waits for what is known of its journey.
const SOON: Duration = Duration::from_secs(5);

/// Where stages are done.
pub(super) struct Desk<'d> {
    loaded: &'d Loaded,
    source: String,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    held: Option<(Token, Duration)>,
}

impl<'d> Desk<'d> {
    /// For journeys of that source.
    pub(super) fn new(loaded: &'d Loaded, source: &str, clock: Arc<dyn Clock>, stop: CancellationToken) -> Self {
        Self { loaded, source: source.to_owned(), clock, stop, held: None }
    }

    /// The machine's time.
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    pub(super) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Goes on with a journey of that source.
    pub(super) fn of_source(&mut self, name: &str) -> Result<(), Trouble> {
        if self.loaded.config.source(name).is_none() {
            let message = format!("the journey belongs to the source {name:?}, which is not in the configuration");
            return Err(Trouble { exit: Exit::Configuration, message });
        }
        if self.source != name {
            name.clone_into(&mut self.source);
            self.held = None;
        }
        Ok(())
    }

    /// Does something with the database; `None` where somebody asked to stop first.
    async fn stage<T>(
        &mut self,
        work: impl AsyncFnOnce(&Engine, &ActiveSource, &mut Option<(Token, Duration)>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, Trouble> {
        let place = &self.loaded.config.database.place;
        let turn = wiring::open_in_turn(place, Mode::Create, COMMAND, &self.stop, &self.clock).await?;
        let Some(database) = turn else { return Ok(None) };
        let engine = wiring::engine(&self.loaded.config, database.store(), Arc::clone(&self.clock), None)?;
        let Some(active) = engine.sources.iter().find(|active| active.source.name() == self.source) else {
            let message = format!("there is no source {:?}", self.source);
            return Err(Trouble { exit: Exit::Configuration, message });
        };
        let done = work(&engine, active, &mut self.held).await?;
        // Nothing comes after it that would empty the WAL.
        engine.store.tidy().await?;
        Ok(Some(done))
    }

    /// Notes that a journey begins.
    pub(super) async fn begin(&mut self, journey: &Journey) -> Result<Option<()>, Trouble> {
        self.stage(async |engine, _, _| {
            engine.prepare().await?;
            engine.store.begin_journey(journey).await
        })
        .await
    }

    /// A journey, by the digest of its state.
    pub(super) async fn journey(&mut self, state: &str) -> Result<Option<Option<Journey>>, Trouble> {
        self.stage(async |engine, _, _| engine.store.journey(state).await).await
    }

    /// How a journey stands, by the digest of its state. It takes no turn, so that whoever waits for a page does not
    /// wait for a pass; `None` where there is no such journey, or where the database does not say it soon.
    pub(super) async fn stands(&self, state: &str) -> Option<Stands> {
        let look = async {
            let place = &self.loaded.config.database.place;
            let database = Database::open(place, Mode::Read, COMMAND, &self.clock).await.ok()?;
            database.store().journey(state).await.ok()?
        };
        let journey = tokio::select! {
            biased;
            journey = look => journey?,
            () = self.clock.sleep(SOON) => return None,
        };
        Some(Stands::of(&journey, self.now().timestamp()))
    }

    /// Notes that a journey was answered, and stores what that brought.
    pub(super) async fn answer(&mut self, state: &str, brought: &Brought) -> Result<Option<Option<Answered>>, Trouble> {
        let now = self.now().timestamp();
        self.stage(async |engine, _, _| {
            engine.prepare().await?;
            let answered = engine.store.answer_journey(state, brought, now).await?;
            // An answer that was used already brings nothing, and lets nothing go on.
            let first = answered.as_ref().is_some_and(|answered| answered.first);
            if let (true, Brought::Consents(given)) = (first, brought) {
                engine.granted(given).await?;
            }
            Ok(answered)
        })
        .await
    }

    /// The journeys that are to be gone on with.
    pub(super) async fn unfinished(&mut self) -> Result<Option<Vec<Journey>>, Trouble> {
        self.stage(async |engine, _, _| engine.store.unfinished_journeys().await).await
    }

    /// Finds the meter of an authorisation.
    pub(super) async fn exchange(
        &mut self,
        number: i64,
        patience: Duration,
        waits: impl FnMut(Duration),
    ) -> Result<Exchanged, Trouble> {
        let (clock, stop) = (Arc::clone(&self.clock), self.stop.clone());
        let look = async || {
            let looked = self.stage(async |engine, active, held| engine.look_up(active, number, held).await).await?;
            Ok(looked.unwrap_or(Looked::NotMade { until: None, rests: None }))
        };
        consents::exchange(look, &*clock, &stop, patience, waits).await
    }

    /// Stores what an authorisation came to, and that its journey is over.
    pub(super) async fn finish(
        &mut self,
        journey: &Journey,
        number: i64,
        given: Vec<Authorisation>,
    ) -> Result<Ended, Trouble> {
        let now = self.now().timestamp();
        let stored = self
            .stage(async |engine, _, _| {
                engine.prepare().await?;
                engine.store.finish_journey(&journey.state, &given, now).await?;
                engine.granted(&given).await
            })
            .await?;
        Ok(if stored.is_some() { Ended::Granted(given) } else { Ended::Stopped { number: Some(number) } })
    }
}
