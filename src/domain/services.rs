//! What an application is allowed to know of a meter, as the API of 2026 lists it.
//!
//! A consent of 2026 comes without a PRM: it names an authorisation, and the services subscribed under it
//! name the meter, what may be read, and until when. The same list, asked for later, tells whether the
//! consent still stands.

use super::{Day, Direction, Prm};

/// The services subscribed under an authorisation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Services {
    /// How many there are, as the answer counts them: more than are listed where the list comes in pages.
    pub total: i64,
    /// Those that are listed and could be read.
    pub listed: Vec<Service>,
}

/// One service: one kind of measure of one meter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Which meter.
    pub prm: Prm,
    /// What became of it.
    pub state: ServiceState,
    /// What may be read.
    pub measure: Measure,
    /// Whether that is so for consumption.
    pub consumption: bool,
    /// Whether that is so for production.
    pub production: bool,
    /// First day.
    pub from: Option<Day>,
    /// Last day.
    pub until: Option<Day>,
}

/// What became of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServiceState {
    /// Asked for, not yet in force.
    Requested,
    /// In force.
    Active,
    /// Over.
    Ended,
    /// Withdrawn.
    Deleted,
    /// A state that is not known.
    Other,
}

/// What may be read of a meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Measure {
    /// The load curve.
    LoadCurve,
    /// Energy of days.
    DailyEnergy,
    /// Highest power of days.
    MaxPower,
    /// Registers.
    Registers,
    /// What is known of contract and installation.
    Contract,
    /// Something that is not known.
    Other,
}

/// What a list of services says of a consent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// There is no service. Right after a consent that is usual for some minutes.
    Nothing,
    /// There are services, all of them over or withdrawn: the consent has ended.
    Ended,
    /// The consent stands, for this meter.
    Granted(Granted),
    /// It stands for several meters, which no consent of 2026 should; all of them, in order.
    Several(Vec<Prm>),
}

/// A consent that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The meter.
    pub prm: Prm,
    /// What may be read, in order, each once.
    pub measures: Vec<(Measure, Direction)>,
    /// The last day on which all of that may be read.
    pub until: Option<Day>,
}

impl Services {
    /// What the list says of the consent.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let live = |s: &&Service| matches!(s.state, ServiceState::Active | ServiceState::Requested);
        let live: Vec<&Service> = self.listed.iter().filter(live).collect();
        let mut prms: Vec<&Prm> = live.iter().map(|service| &service.prm).collect();
        prms.sort_unstable();
        prms.dedup();
        match prms.as_slice() {
            [] if self.listed.iter().any(|s| matches!(s.state, ServiceState::Ended | ServiceState::Deleted)) => {
                Standing::Ended
            }
            [] => Standing::Nothing,
            [prm] => {
                let directions = |service: &Service| {
                    let measure = service.measure;
                    let consumption = service.consumption.then_some((measure, Direction::Consumption));
                    let production = service.production.then_some((measure, Direction::Production));
                    consumption.into_iter().chain(production)
                };
                let mut measures: Vec<_> = live.iter().flat_map(|service| directions(service)).collect();
                measures.sort_unstable();
                measures.dedup();
                let until = live.iter().filter_map(|service| service.until).min();
                Standing::Granted(Granted { prm: (*prm).clone(), measures, until })
            }
            several => Standing::Several(several.iter().map(|prm| (*prm).clone()).collect()),
        }
    }
}
