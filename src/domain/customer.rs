//! What linkyd can keep of a meter's customer, by the names that users see.
//!
//! These datasets are no series of days: they have no window, no span and no coverage, only what is true now and,
//! for contracts, since when. So they are a type of their own beside [`super::Dataset`].

use std::fmt;
use std::str::FromStr;

/// One thing to know of a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CustomerDataset {
    /// The contracts of a meter.
    Contract,
    /// The address of the meter. Personal.
    Address,
    /// Who the customer is. Personal.
    Identity,
    /// How to reach the customer. Personal.
    Contact,
}

impl CustomerDataset {
    /// Every one, in the order of their numbers in the database.
    pub const ALL: [Self; 4] = [Self::Contract, Self::Address, Self::Identity, Self::Contact];

    /// The name used in configuration, commands, tables and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Contract => "contract",
            Self::Address => "address",
            Self::Identity => "identity",
            Self::Contact => "contact",
        }
    }

    /// The number that stands for it in the database, where [`super::Dataset`] has those below.
    #[must_use]
    pub fn id(self) -> i64 {
        match self {
            Self::Contract => 8,
            Self::Address => 9,
            Self::Identity => 10,
            Self::Contact => 11,
        }
    }

    /// The one with this number in the database.
    #[must_use]
    pub fn from_id(id: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|dataset| dataset.id() == id)
    }

    /// Whether it is about a person: kept apart, and never shown.
    #[must_use]
    pub fn is_personal(self) -> bool {
        self != Self::Contract
    }
}

impl fmt::Display for CustomerDataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no dataset about a customer has that name")]
pub struct NotAboutCustomers;

impl FromStr for CustomerDataset {
    type Err = NotAboutCustomers;

    fn from_str(text: &str) -> Result<Self, NotAboutCustomers> {
        Self::ALL.into_iter().find(|dataset| dataset.name() == text).ok_or(NotAboutCustomers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Dataset;

    #[test]
    fn names_and_numbers_lead_back_and_are_no_others() {
        for dataset in CustomerDataset::ALL {
            assert_eq!(dataset.name().parse(), Ok(dataset));
            assert_eq!(CustomerDataset::from_id(dataset.id()), Some(dataset));
            assert_eq!(Dataset::from_id(dataset.id()), None);
            assert!(dataset.name().parse::<Dataset>().is_err());
        }
    }
}
