//! Consents: what a journey to Enedis' page brought, made good and kept.
//!
//! A consent of 2026 names an authorisation; [`exchange()`] finds its meter in the list of subscribed services,
//! with the waits that a list which lags behind asks for. [`Engine::grant`] stores what was given and lets the
//! series that waited for it be asked again. Every call is written to the journal and counted like any other
//! (`counted`).

mod counted;
mod exchange;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};

use super::{ActiveSource, Engine, react};
use crate::domain::services::{Granted, Measure};
use crate::domain::{Api, Dataset, Day, Direction, SeriesState, paris};
use crate::source::enedis::consent::Period;
use crate::store::{Authorisation, Effect, EndKnown, Journey, StoreError, Warning};

pub use counted::{Counted, Terms, pause};
pub use exchange::{Exchanged, Looked, exchange, wait_after};

/// Seconds after a consent in which a refusal of the holder may be a passing fault at Enedis.
const HOLDER_PATIENCE: i64 = 72 * 3_600;

/// The same for one of the consent itself.
const CONSENT_PATIENCE: i64 = 24 * 3_600;

/// Seconds after its answer for which passes look for the meter of an authorisation that a journey brought.
pub const TAKEN_UP_FOR: i64 = 7 * 86_400;

/// The code of a refusal that is waited out because the consent is fresh.
pub const SETTLING: &str = "consent_settling";

/// Whether a refusal is to be waited out, `age` seconds after the consent was given: in the first days Enedis
/// has been seen to refuse valid ones.
#[must_use]
pub fn settles(code: &str, age: i64) -> bool {
    let patience = match code {
        "ADAM-DC-0007" => HOLDER_PATIENCE,
        "ADAM-DC-0008" => CONSENT_PATIENCE,
        _ => return false,
    };
    (0..patience).contains(&age)
}

/// Whether a consent lists the dataset by itself, as it does each of the five series of measures.
#[must_use]
pub fn is_listed(dataset: Dataset) -> bool {
    use Dataset::{ConsumptionLoadCurve, DailyConsumption, DailyMaxPower, DailyProduction, ProductionLoadCurve};
    [ConsumptionLoadCurve, ProductionLoadCurve, DailyConsumption, DailyProduction, DailyMaxPower].contains(&dataset)
}

/// The datasets that an authorisation covers.
#[must_use]
pub fn covered(granted: &Granted) -> Vec<Dataset> {
    let dataset = |(measure, direction): &(Measure, Direction)| match (measure, direction) {
        (Measure::LoadCurve, Direction::Consumption) => Some(Dataset::ConsumptionLoadCurve),
        (Measure::LoadCurve, Direction::Production) => Some(Dataset::ProductionLoadCurve),
        (Measure::DailyEnergy, Direction::Consumption) => Some(Dataset::DailyConsumption),
        (Measure::DailyEnergy, Direction::Production) => Some(Dataset::DailyProduction),
        (Measure::MaxPower, Direction::Consumption) => Some(Dataset::DailyMaxPower),
        _ => None,
    };
    granted.measures.iter().filter_map(dataset).collect()
}

/// What is known of a consent that names an authorisation. `reckoned` is the first day after it, by the
/// duration that was asked for; Enedis' own word counts before that. `now` is the machine's time.
#[must_use]
pub fn of_services(
    source: &str,
    number: i64,
    granted: &Granted,
    reckoned: Option<Day>,
    now: DateTime<Utc>,
) -> Authorisation {
    let end = granted.until.map(Day::next).or(reckoned);
    Authorisation {
        prm: granted.prm.clone(),
        source: source.to_owned(),
        api: Api::V2026,
        number: Some(number),
        granted_at: now.timestamp(),
        until: end.map(paris::start_of),
        learnt: if granted.until.is_some() { EndKnown::Services } else { EndKnown::Duration },
        ended: false,
        checked_at: Some(now.timestamp()),
        covers: covered(granted),
    }
}

/// The first day after a consent that a journey brought at `at`, by the duration that it asked for.
#[must_use]
pub fn reckoned(journey: &Journey, at: DateTime<Utc>) -> Option<Day> {
    journey.duration.parse::<Period>().ok().map(|period| period.ends(paris::today(at)))
}

/// Consents that end soon and are each told of in one pass; of more than that they are counted.
const TOLD: usize = 20;

impl Engine {
    /// Warns of consents that end within 30, 7 and 1 days or have ended, each once.
    pub(super) async fn tell_of_consents(&self) -> Result<(), StoreError> {
        // As `status` and what is due: an instant that is asked about counts here too.
        let now = self.calendar.now().timestamp();
        let warnings = self.store.warn_of_consents(now).await?;
        for Warning { name, until } in warnings.iter().take(TOLD) {
            let Some(day) = DateTime::from_timestamp(*until, 0).map(paris::today) else { continue };
            let again = "`linkyd authorize`, or the gateway's page";
            match (until - now).div_euclid(86_400) {
                _ if *until <= now => {
                    tracing::warn!(meter = %name, "the consent ended on {day}; give it again: {again}");
                }
                0 => tracing::warn!(meter = %name, "the consent ends on {day}, within a day; renew it before: {again}"),
                days => {
                    tracing::warn!(meter = %name, "the consent ends on {day}, in {days} days; renew it before: {again}");
                }
            }
        }
        if warnings.len() > TOLD {
            let more = warnings.len() - TOLD;
            tracing::warn!(more, "more consents end soon or have ended; `linkyd status` names them");
        }
        Ok(())
    }

    /// Tells the store of the configuration, and forgives what a source refused for its former credentials.
    pub async fn prepare(&self) -> Result<(), StoreError> {
        let renewed = self.store.set_up(&self.setup()).await?;
        self.forgive(&renewed).await
    }

    /// Stores consents that were given just now; series that were suspended for want of them are asked again.
    pub async fn grant(&self, given: &[Authorisation]) -> Result<(), StoreError> {
        // The sources have to be known first, and the ends that follow are reckoned after it.
        self.prepare().await?;
        self.store.authorise(given).await?;
        self.granted(given).await
    }

    /// Lets what follows from consents that were just stored come about: their meters' ends, and series that were
    /// suspended for want of them.
    pub async fn granted(&self, given: &[Authorisation]) -> Result<(), StoreError> {
        self.store.set_up(&self.setup()).await?;
        let facts = self.store.facts(super::pass::midnight(self.calendar.now())).await?;
        let mut effects = Vec::new();
        for one in &facts.series {
            let by = facts.sources.iter().find(|source| source.id == one.source).map(|source| source.name.as_str());
            let concerned = given.iter().any(|given| given.prm == one.prm && Some(given.source.as_str()) == by);
            if concerned && one.state == SeriesState::Suspended {
                effects.push(Effect::Series {
                    meter: one.meter,
                    dataset: one.dataset,
                    state: SeriesState::Waiting,
                    code: None,
                    message: None,
                    not_before: None,
                });
            }
        }
        self.store.apply(effects).await
    }
}
