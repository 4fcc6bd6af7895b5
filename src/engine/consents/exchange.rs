//! From the number of an authorisation to its meter.
//!
//! The list of subscribed services may lag behind a consent, so an empty one is asked for again: after five
//! and thirty seconds, two and ten minutes, then every hour for a day.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::{ActiveSource, Counted, Engine, Terms};
use crate::clock::Clock;
use crate::decode;
use crate::domain::Api;
use crate::domain::services::{Granted, Standing};
use crate::source::catalogue::{self, Own};
use crate::source::{Reaction, Refusal, Response, Token};
use crate::store::StoreError;

/// Waits after the first looks that found nothing.
const WAITS: [Duration; 4] =
    [Duration::from_secs(5), Duration::from_secs(30), Duration::from_mins(2), Duration::from_mins(10)];

/// The wait after all others.
const HOURLY: Duration = Duration::from_hours(1);

/// How long an empty list is believed to lag behind.
const AT_MOST: Duration = Duration::from_hours(24);

/// How long to wait after so many looks that found nothing, of which the first was `ago`; `None` where it has
/// been too long.
#[must_use]
pub fn wait_after(looks: usize, ago: Duration) -> Option<Duration> {
    let wait = looks.checked_sub(1).and_then(|index| WAITS.get(index)).copied().unwrap_or(HOURLY);
    (ago + wait <= AT_MOST).then_some(wait)
}

/// What one look at the list brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Looked {
    /// What it says of the consent.
    Standing(Standing),
    /// The call, or the one for a token, was refused.
    Refused(Refusal),
    /// It was not looked at: the source rests, with that reason, or the budget is used up.
    NotMade {
        /// Until when (machine), where that is known.
        until: Option<DateTime<Utc>>,
        /// Why the source rests.
        rests: Option<String>,
    },
}

/// What an authorisation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exchanged {
    /// The meter, and what may be read of it.
    Granted(Granted),
    /// The last look brought nothing, and it was not waited any longer.
    Nothing(Looked),
    /// Somebody asked to stop.
    Stopped,
}

impl Engine {
    /// Looks once at the services of an authorisation. `held` is a token to use, or to be filled.
    pub async fn look_up(
        &self,
        active: &ActiveSource,
        authorisation: i64,
        held: &mut Option<(Token, Duration)>,
    ) -> Result<Looked, StoreError> {
        let mut terms = Terms::new(self.source_facts(active.source.name()).await?, CancellationToken::new());
        terms.held = held.take();
        let looked = self.look_up_among(active, authorisation, &mut terms).await;
        *held = terms.held;
        looked
    }

    /// The same, as one of several calls.
    pub(in crate::engine) async fn look_up_among(
        &self,
        active: &ActiveSource,
        authorisation: i64,
        terms: &mut Terms,
    ) -> Result<Looked, StoreError> {
        let token = match self.token(active, terms).await? {
            Counted::Answered(token) => token,
            Counted::Refused(refusal) => return Ok(Looked::Refused(refusal)),
            Counted::NotMade { until, rests } => return Ok(Looked::NotMade { until, rests }),
        };
        let Some(request) = active.source.services_request(authorisation, &token) else {
            return Ok(Looked::Refused(catalogue::own(Own::Undecodable, None, "")));
        };
        let read = |response: &Response, now| standing(active, response, now);
        let counted = self.counted(active, Some(Api::V2026), &request, terms, read).await?;
        Ok(match counted {
            Counted::Answered(standing) => Looked::Standing(standing),
            Counted::Refused(refusal) => {
                if matches!(refusal.reaction, Reaction::Reauth) {
                    terms.held = None;
                }
                Looked::Refused(refusal)
            }
            Counted::NotMade { until, rests } => Looked::NotMade { until, rests },
        })
    }
}

/// What an answer says of a consent.
pub(in crate::engine) fn standing(
    active: &ActiveSource,
    response: &Response,
    now: DateTime<Utc>,
) -> Result<Standing, Refusal> {
    let body = active.source.read_services(response, now)?;
    match decode::services(body) {
        Ok(read) => {
            for oddity in &read.oddities {
                tracing::info!(source = active.source.name(), "in the list of subscribed services: {oddity}");
            }
            Ok(read.value.standing())
        }
        Err(_) => Err(catalogue::own(Own::Undecodable, Some(response.status), "")),
    }
}

/// Looks until there is a meter, for as long as a list may lag behind, but no longer than `patience`. `waits`
/// is told of each wait beforehand.
pub async fn exchange<E>(
    mut look: impl AsyncFnMut() -> Result<Looked, E>,
    clock: &dyn Clock,
    stop: &CancellationToken,
    patience: Duration,
    mut waits: impl FnMut(Duration),
) -> Result<Exchanged, E> {
    let began = clock.monotonic();
    let mut looks = 0;
    loop {
        let looked = look().await?;
        looks += 1;
        let passes = match &looked {
            Looked::Standing(Standing::Granted(granted)) => return Ok(Exchanged::Granted(granted.clone())),
            Looked::Standing(Standing::Nothing) => true,
            Looked::Refused(refusal) => matches!(refusal.reaction, Reaction::RetryShort | Reaction::RetryLater),
            Looked::Standing(_) | Looked::NotMade { .. } => false,
        };
        let ago = clock.monotonic().saturating_sub(began);
        let wait = wait_after(looks, ago).filter(|wait| passes && ago + *wait <= patience);
        let Some(wait) = wait else { return Ok(Exchanged::Nothing(looked)) };
        waits(wait);
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(Exchanged::Stopped),
            () = clock.sleep(wait) => {}
        }
    }
}
