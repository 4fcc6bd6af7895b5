//! How many calls are left and until when: the forecasts of all sources together, kept for those who
//! look on.
//!
//! A backfill within a small budget takes days or weeks. Whoever asks for the status wants to know
//! how long, and whether days will have left the window before their turn. Both follow from the
//! calls that a pass would make now, from what the budget still allows and from when a source that
//! rests may be asked again. It is a forecast: what is published meanwhile is reckoned with, what
//! fails is not.

use std::collections::BTreeMap;

use crate::domain::Dataset;
use crate::engine::pass;
use crate::engine::prospect::{self, Ground};
use crate::engine::serving::Moment;
use crate::engine::{ActiveMeter, ActiveSource, Engine};
use crate::plan::forecast::Forecast;
use crate::store::{Facts, Spent, Store, StoreError};

/// What is left to be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Backlog {
    /// Calls that are due now.
    pub calls: u64,
    /// When the last of them can be made (seconds since 1970); `None` where none is left.
    pub until: Option<i64>,
    /// What is left for each source that has something left, in the order of the configuration.
    pub sources: Vec<Share>,
    /// Days that will have left the window before they can be fetched, where there are any.
    pub expiring: BTreeMap<Dataset, i64>,
}

/// What is left for one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Its name.
    pub source: String,
    /// Calls that are due now.
    pub calls: u64,
    /// When the last of them can be made (seconds since 1970).
    pub until: i64,
}

impl Backlog {
    /// Looks ahead with what the database knows now. Of thousands of meters that takes a second, so a
    /// thread of its own does it.
    pub async fn of(engine: &Engine) -> Result<Self, StoreError> {
        let moment = Moment { calendar: engine.calendar.now(), machine_ms: engine.clock.now().timestamp_millis() };
        let (facts, spent) = read(&*engine.store, &engine.sources, moment).await?;
        let (sources, meters, every) = (engine.sources.clone(), engine.meters.clone(), engine.every.clone());
        let reckon = move || {
            let ground = Ground { sources: &sources, meters: &meters, every: &every, moment };
            Self::sum(prospect::forecasts(&ground, facts, &spent))
        };
        tokio::task::spawn_blocking(reckon).await.or_else(|ended| match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends, and nobody looks any more.
            Err(_) => Ok(Self::default()),
        })
    }

    /// The same at once, of what an engine is made of.
    pub async fn gather(
        store: &dyn Store,
        sources: &[ActiveSource],
        meters: &[ActiveMeter],
        every: &BTreeMap<Dataset, i32>,
        moment: Moment,
    ) -> Result<Self, StoreError> {
        let (facts, spent) = read(store, sources, moment).await?;
        let ground = Ground { sources, meters, every, moment };
        Ok(Self::sum(prospect::forecasts(&ground, facts, &spent)))
    }

    fn sum(forecasts: Vec<(String, Forecast)>) -> Self {
        let mut backlog = Self::default();
        for (source, forecast) in forecasts {
            for (dataset, days) in &forecast.expiring {
                *backlog.expiring.entry(*dataset).or_default() += i64::try_from(*days).unwrap_or(i64::MAX);
            }
            let calls = u64::try_from(forecast.calls).unwrap_or(u64::MAX);
            if let Some(until) = forecast.until.filter(|_| calls > 0) {
                backlog.sources.push(Share { source, calls, until });
            }
        }
        backlog.calls = backlog.sources.iter().map(|share| share.calls).sum();
        backlog.until = backlog.sources.iter().map(|share| share.until).max();
        backlog
    }
}

/// What the forecasts are made from.
async fn read(store: &dyn Store, sources: &[ActiveSource], moment: Moment) -> Result<(Facts, Vec<Spent>), StoreError> {
    let mut spent = Vec::with_capacity(sources.len());
    for active in sources {
        spent.push(store.spent(active.source.name(), active.history_pool(), moment.machine_ms).await?);
    }
    Ok((store.facts(pass::midnight(moment.calendar)).await?, spent))
}
