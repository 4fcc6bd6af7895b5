//! The simulator as a server: one router for Enedis and for both gateways, and the handle by
//! which tests look at it and move it.
//!
//! What a front answers is said in its own module ([`super::enedis`], [`super::conso`],
//! [`super::med`]); what all of them need for each call is in [`super::edge`].

use std::fs::File;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::routing::any;
use chrono::{DateTime, Utc};

use super::consent::Journeys;
use super::conso;
use super::enedis;
use super::faults::{Faults, Tally};
use super::front::Front;
use super::med::{self, Med};
use super::meter::Consent;
use super::quota::{Counters, Limits, LoggedCall, Quota};
use super::registers::Memo;
use super::serving::{ServiceCall, ServiceLog};
use super::token::Tokens;
use super::visits::Visited;
use super::world::World;
use crate::clock::{Calendar, Clock};
use crate::domain::Prm;

/// A stand-in Enedis, and the gateways before it. Clones are handles on the same one.
#[derive(Debug, Clone)]
pub struct Simulator {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) clock: Arc<dyn Clock>,
    state: Mutex<Played>,
}

/// Everything that changes while it plays.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) world: Arc<World>,
    pub(super) faults: Arc<Faults>,
    pub(super) tally: Tally,
    pub(super) calendar: Calendar,
    pub(super) tokens: Tokens,
    pub(super) quota: Quota,
    /// Requests to the Conso API.
    pub(super) conso: Visited,
    /// What MyElectricalData remembers.
    pub(super) med: Med,
    pub(super) log: Vec<LoggedCall>,
    /// Calls for what is no measure.
    pub(super) services: ServiceLog,
    /// What registers had counted.
    pub(super) registers: Memo,
    /// Consents that were given on the pages.
    pub(super) journeys: Journeys,
    /// Where each call is written as well.
    pub(super) journal: Option<File>,
    /// Calls that were forgotten, so that a late answer does not land in another one's line.
    pub(super) forgotten: usize,
    pub(super) rng: fastrand::Rng,
}

impl Played {
    /// The world, to change it.
    pub(super) fn world_mut(&mut self) -> &mut World {
        Arc::make_mut(&mut self.world)
    }
}

impl Simulator {
    /// Plays `world`; pace, quotas and tokens go by `clock`, days and publication by `calendar`.
    #[must_use]
    pub fn new(world: World, clock: Arc<dyn Clock>, calendar: Calendar) -> Self {
        let rng = fastrand::Rng::with_seed(world.seed);
        let state = Mutex::new(Played {
            world: Arc::new(world),
            faults: Arc::default(),
            tally: Tally::default(),
            calendar,
            tokens: Tokens::default(),
            quota: Quota::default(),
            conso: Visited::default(),
            med: Med::default(),
            log: Vec::new(),
            services: ServiceLog::default(),
            registers: Memo::default(),
            journeys: Journeys::default(),
            journal: None,
            forgotten: 0,
            rng,
        });
        Self { shared: Arc::new(Shared { clock, state }) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, Played> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The world as it is now.
    #[must_use]
    pub fn world(&self) -> Arc<World> {
        Arc::clone(&self.state().world)
    }

    /// Changes the world from the next call on.
    pub fn change(&self, change: impl FnOnce(&mut World)) {
        change(self.state().world_mut());
    }

    /// Changes the consent of a meter; nothing happens where there is no such meter. A front with
    /// a consent of its own keeps it.
    pub fn set_consent(&self, prm: &Prm, consent: Consent) {
        self.change(|world| {
            if let Some(meter) = world.meter_mut(prm) {
                meter.consent = consent;
            }
        });
    }

    /// Changes the consent of a meter to one front alone, so that the others go on as they were.
    pub fn set_consent_at(&self, front: Front, prm: &Prm, consent: Consent) {
        self.change(|world| {
            if let Some(meter) = world.meter_mut(prm) {
                meter.at_mut(front).consent = Some(consent);
            }
        });
    }

    /// Changes the limits of Enedis.
    pub fn set_limits(&self, limits: Limits) {
        self.change(|world| world.rules.limits = limits);
    }

    /// Puts other faults in force; their counting starts anew.
    pub fn set_faults(&self, faults: Faults) {
        let mut state = self.state();
        state.faults = Arc::new(faults);
        state.tally = Tally::default();
    }

    /// Moves the simulated calendar; it goes on from there.
    pub fn set_now(&self, at: DateTime<Utc>) {
        self.state().calendar = Calendar::new(Arc::clone(&self.shared.clock), Some(at));
    }

    /// The instant that the simulated calendar shows.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.state().calendar.now()
    }

    /// Makes every token of Enedis invalid.
    pub fn revoke_tokens(&self) {
        self.state().tokens.revoke_all();
    }

    /// A token of the Conso API for those meters, good for as long as the real one. It depends on
    /// the world's seed and the simulated day alone, so another simulator takes it as well.
    #[must_use]
    pub fn conso_token<P: AsRef<str>>(&self, prms: &[P]) -> String {
        let state = self.state();
        conso::token(&state.world, state.calendar.now(), prms, None)
    }

    /// The same with another end.
    #[must_use]
    pub fn conso_token_until<P: AsRef<str>>(&self, prms: &[P], until: DateTime<Utc>) -> String {
        let state = self.state();
        conso::token(&state.world, state.calendar.now(), prms, Some(until))
    }

    /// Client id and client secret of the first account at MyElectricalData.
    #[must_use]
    pub fn med_credentials(&self) -> (String, String) {
        let world = self.world();
        let accounts = world.rules.myelectricaldata.accounts(world.seed);
        accounts.into_iter().next().map(|account| (account.client_id, account.client_secret)).unwrap_or_default()
    }

    /// Lifts every ban, and forgets what led to it.
    pub fn lift_bans(&self) {
        let mut state = self.state();
        state.conso.forget();
        state.med.lift_bans();
    }

    /// Every call so far for what is no measure: contracts, people, registers, subscribed services.
    #[must_use]
    pub fn service_log(&self) -> Vec<ServiceCall> {
        self.state().services.all()
    }

    /// The number under which a meter is shared in the consent journey of 2026.
    #[must_use]
    pub fn authorisation(&self, prm: &Prm) -> i64 {
        super::consent::authorisation(self.state().world.seed, prm)
    }

    /// Every call for measures so far, to whichever front.
    #[must_use]
    pub fn log(&self) -> Vec<LoggedCall> {
        self.state().log.clone()
    }

    /// Writes a JSON line for each call for data from now on, before its answer leaves. A call
    /// whose caller went away is written too, with status 0.
    pub fn log_to(&self, file: File) {
        self.state().journal = Some(file);
    }

    /// Everything counted so far; a ban that is due by now is among it.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let state = &mut *self.state();
        state.conso.judge(state.world.rules.conso_api.ban(), self.shared.clock.now());
        Counters {
            conso: state.conso.visits.clone(),
            myelectricaldata: state.med.counters.clone(),
            ..state.quota.counters.clone()
        }
    }

    /// Forgets what was logged and counted, quotas and bans included.
    pub fn reset_counters(&self) {
        let mut state = self.state();
        state.forgotten += state.log.len();
        state.log.clear();
        state.services.forget();
        state.quota = Quota::default();
        state.conso.forget();
        state.med.forget_counts();
    }

    /// The router that answers as Enedis does, and below their prefixes as the gateways do.
    pub fn router(&self) -> Router {
        let mut router = enedis::router();
        let gateways = [(Front::ConsoApi, any(conso::handle)), (Front::MyElectricalData, any(med::handle))];
        for (front, handler) in gateways {
            let prefix = front.prefix();
            for path in [prefix.to_owned(), format!("{prefix}/"), format!("{prefix}/{{*path}}")] {
                router = router.route(&path, handler.clone());
            }
        }
        router.with_state(self.clone())
    }

    /// Serves until `stop` is done.
    pub async fn serve(
        &self,
        listener: tokio::net::TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        axum::serve(listener, self.router()).with_graceful_shutdown(stop).await
    }
}
