//! What the store is told of the configuration and of the calendar.

use crate::domain::{CustomerDataset, Dataset, Day, Days, Prm};

use super::{MeterId, SourceId};

/// What the configuration wants kept.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The sources.
    pub sources: Vec<SourceSetup>,
    /// The meters.
    pub meters: Vec<MeterSetup>,
}

/// A configured source.
#[derive(Debug, Clone)]
pub struct SourceSetup {
    /// The operator's name for it.
    pub name: String,
    /// Its kind, as in the configuration.
    pub kind: &'static str,
    /// What it counts calls by ([`crate::source::Source::account`]).
    pub account: String,
    /// Whether it is Enedis itself.
    pub direct: bool,
    /// What tells its credentials from others without giving them away.
    pub credentials: String,
}

/// A configured meter.
#[derive(Debug, Clone)]
pub struct MeterSetup {
    /// Its identifier.
    pub prm: Prm,
    /// Its name.
    pub name: String,
    /// The name of the source that is preferred.
    pub source: String,
    /// The names of all sources that may serve it.
    pub sources: Vec<String>,
    /// When the consent ends (machine, seconds), as far as credentials say.
    pub consent_until: Option<i64>,
    /// The datasets that are kept.
    pub datasets: Vec<Dataset>,
    /// What is kept of the customer.
    pub customer: Vec<CustomerDataset>,
}

impl MeterSetup {
    /// The numbers of everything that is kept, in the database.
    pub(super) fn dataset_ids(&self) -> impl Iterator<Item = i64> {
        self.datasets.iter().map(|d| d.id()).chain(self.customer.iter().map(|about| about.id()))
    }
}

/// From now on another source serves a series. How it stands at the old one is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switch {
    /// Whose series.
    pub meter: MeterId,
    /// Which dataset.
    pub dataset: Dataset,
    /// The source that serves it from now on.
    pub to: SourceId,
}

/// The days that a series has, for [`super::Store::open_windows`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Whose series.
    pub meter: MeterId,
    /// Which dataset.
    pub dataset: Dataset,
    /// The first day that the source still serves, whatever activation or `since` take off. An
    /// incomplete day before it is `expired`; one that is served but lies before `days` was never
    /// wanted and is forgotten.
    pub served: Day,
    /// From the first day that is served and not before activation or `since`, up to but without
    /// the day that is not published yet; `None` where there is no such day.
    pub days: Option<Days>,
}
