//! What Enedis answers besides measures: contracts, people, registers, and what a consent allows.
//!
//! API v5 has four such services, the API of 2026 eight others. The names here are those of the
//! services' own paths; world files, faults and logs use them.

use std::fmt;
use std::str::FromStr;

use crate::domain::{Api, Dataset};

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// Contract, v5.
    Contracts,
    /// Address of the meter, v5.
    Addresses,
    /// Who the customer is, v5.
    Identity,
    /// How to reach the customer, v5.
    ContactData,
    /// Contracts and people, 2026.
    Situation,
    /// Since when there are measures, 2026.
    Synthesis,
    /// Kind of meter and off-peak hours, 2026.
    Metering,
    /// Connection to the grid, 2026.
    Supply,
    /// Address of the meter, 2026.
    GeneralData,
    /// Registers of what is drawn, 2026.
    ConsumptionIndex,
    /// Registers of what is fed in, 2026.
    ProductionIndex,
    /// What an authorisation allows, 2026.
    SubscribedServices,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Contracts,
        Self::Addresses,
        Self::Identity,
        Self::ContactData,
        Self::Situation,
        Self::Synthesis,
        Self::Metering,
        Self::Supply,
        Self::GeneralData,
        Self::ConsumptionIndex,
        Self::ProductionIndex,
        Self::SubscribedServices,
    ];

    /// The name in world files and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Contracts => "contracts",
            Self::Addresses => "addresses",
            Self::Identity => "identity",
            Self::ContactData => "contact_data",
            Self::Situation => "situation_contrat",
            Self::Synthesis => "synth_contrat",
            Self::Metering => "comptage",
            Self::Supply => "alimentation",
            Self::GeneralData => "donnees_generales",
            Self::ConsumptionIndex => "index_consommation",
            Self::ProductionIndex => "index_production",
            Self::SubscribedServices => "subscribed_services",
        }
    }

    /// The dataset that it brings, where that is one of measures.
    #[must_use]
    pub fn dataset(self) -> Option<Dataset> {
        match self {
            Self::ConsumptionIndex => Some(Dataset::ConsumptionIndex),
            Self::ProductionIndex => Some(Dataset::ProductionIndex),
            _ => None,
        }
    }

    /// The API to which it belongs.
    #[must_use]
    pub fn api(self) -> Api {
        match self {
            Self::Contracts | Self::Addresses | Self::Identity | Self::ContactData => Api::V5,
            _ => Api::V2026,
        }
    }

    /// Its path; that of those which name the meter in it, without the meter.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Contracts => "/customers_upc/v5/usage_points/contracts",
            Self::Addresses => "/customers_upa/v5/usage_points/addresses",
            Self::Identity => "/customers_i/v5/identity",
            Self::ContactData => "/customers_cd/v5/contact_data",
            Self::Situation => "/situation_contrat_auto/v1",
            Self::Synthesis => "/synth_contrat_auto/v1",
            Self::Metering => "/comptage_auto/v1",
            Self::Supply => "/alimentation_auto/v1",
            Self::GeneralData => "/donnees_generales_auto/v1",
            Self::ConsumptionIndex => "/mesure_synchrone_auto/v2/index_consommation",
            Self::ProductionIndex => "/mesure_synchrone_auto/v2/index_production",
            Self::SubscribedServices => "/subscribed_services/v1",
        }
    }

    /// Whether the meter stands in the path.
    #[must_use]
    pub fn has_prm_in_path(self) -> bool {
        matches!(self, Self::Situation | Self::Synthesis | Self::Metering | Self::Supply | Self::GeneralData)
    }

    /// The scope that the documentation of v5 names for it; nobody has seen it enforced.
    #[must_use]
    pub fn scope(self) -> Option<&'static str> {
        match self {
            Self::Contracts | Self::Addresses => Some("customers:contract_data"),
            Self::Identity => Some("customers:identity"),
            Self::ContactData => Some("customers:contact_data"),
            _ => None,
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no service {0:?}; there are {names}", names = Service::ALL.map(Service::name).join(", "))]
pub struct UnknownService(String);

impl FromStr for Service {
    type Err = UnknownService;

    fn from_str(text: &str) -> Result<Self, UnknownService> {
        Self::ALL.into_iter().find(|s| s.name() == text).ok_or_else(|| UnknownService(text.chars().take(40).collect()))
    }
}
