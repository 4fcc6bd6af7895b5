//! The three ways to a meter's data that the simulator plays.
//!
//! A front is whom a reader talks to: Enedis itself, or one of the two community gateways that
//! hold a subscription of their own and ask Enedis on behalf of their users. All of them serve
//! the same meters; consent, incidents and faults may differ from one to the other.

use serde::Deserialize;

/// Whom a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Deserialize)]
pub enum Front {
    /// Enedis' own APIs, at the root of the server.
    #[default]
    #[serde(rename = "enedis")]
    Enedis,
    /// The Conso API, below [`Front::prefix`].
    #[serde(rename = "conso-api")]
    ConsoApi,
    /// MyElectricalData version 2, below [`Front::prefix`].
    #[serde(rename = "myelectricaldata")]
    MyElectricalData,
}

impl Front {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Enedis, Self::ConsoApi, Self::MyElectricalData];

    /// The name in world files and logs, the same as the kind of a source.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Enedis => "enedis",
            Self::ConsoApi => "conso-api",
            Self::MyElectricalData => "myelectricaldata",
        }
    }

    /// What stands between the server's address and the front's own paths.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Enedis => "",
            Self::ConsoApi => "/conso",
            Self::MyElectricalData => "/med",
        }
    }
}
