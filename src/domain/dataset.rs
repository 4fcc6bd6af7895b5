//! The series that linkyd knows, by the names that users see everywhere.

use std::fmt;
use std::str::FromStr;

/// Which way the energy flows through the meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// Drawn from the grid.
    Consumption,
    /// Fed into the grid.
    Production,
}

impl Direction {
    /// Both, in the order of their numbers in the database.
    pub const ALL: [Self; 2] = [Self::Consumption, Self::Production];

    /// `consumption` or `production`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Consumption => "consumption",
            Self::Production => "production",
        }
    }

    /// The number that stands for it in the database.
    #[must_use]
    pub fn id(self) -> i64 {
        match self {
            Self::Consumption => 0,
            Self::Production => 1,
        }
    }
}

/// What one value of a dataset measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Average watts over intervals of 5 to 60 minutes.
    LoadCurve,
    /// Watt-hours of a whole day.
    DailyEnergy,
    /// The highest apparent power of a day, in VA, and when it was reached.
    MaxPower,
    /// What the meter's registers show at the midnight that opens a day, in Wh.
    Registers,
}

/// One of the series of a meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dataset {
    /// Average W drawn, by interval.
    ConsumptionLoadCurve,
    /// Average W fed in, by interval.
    ProductionLoadCurve,
    /// Wh drawn in a day.
    DailyConsumption,
    /// Wh fed in in a day.
    DailyProduction,
    /// Highest VA of a day.
    DailyMaxPower,
    /// Registers of what is drawn, by tariff class.
    ConsumptionIndex,
    /// Registers of what is fed in, by tariff class.
    ProductionIndex,
}

impl Dataset {
    /// Every dataset, in the order of their numbers in the database.
    pub const ALL: [Self; 7] = [
        Self::ConsumptionLoadCurve,
        Self::ProductionLoadCurve,
        Self::DailyConsumption,
        Self::DailyProduction,
        Self::DailyMaxPower,
        Self::ConsumptionIndex,
        Self::ProductionIndex,
    ];

    /// Those that both APIs and every gateway have.
    pub const COMMON: [Self; 5] = [
        Self::ConsumptionLoadCurve,
        Self::ProductionLoadCurve,
        Self::DailyConsumption,
        Self::DailyProduction,
        Self::DailyMaxPower,
    ];

    /// The name used in configuration, commands, tables and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ConsumptionLoadCurve => "consumption_load_curve",
            Self::ProductionLoadCurve => "production_load_curve",
            Self::DailyConsumption => "daily_consumption",
            Self::DailyProduction => "daily_production",
            Self::DailyMaxPower => "daily_max_power",
            Self::ConsumptionIndex => "consumption_index",
            Self::ProductionIndex => "production_index",
        }
    }

    /// The number that stands for it in the database.
    #[must_use]
    pub fn id(self) -> i64 {
        match self {
            Self::ConsumptionLoadCurve => 1,
            Self::ProductionLoadCurve => 2,
            Self::DailyConsumption => 3,
            Self::DailyProduction => 4,
            Self::DailyMaxPower => 5,
            Self::ConsumptionIndex => 6,
            Self::ProductionIndex => 7,
        }
    }

    /// The dataset with this number in the database.
    #[must_use]
    pub fn from_id(id: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|d| d.id() == id)
    }

    /// Which way the energy flows. The maximum power is one of consumption.
    #[must_use]
    pub fn direction(self) -> Direction {
        match self {
            Self::ProductionLoadCurve | Self::DailyProduction | Self::ProductionIndex => Direction::Production,
            Self::ConsumptionLoadCurve | Self::DailyConsumption | Self::DailyMaxPower | Self::ConsumptionIndex => {
                Direction::Consumption
            }
        }
    }

    /// What its values measure.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::ConsumptionLoadCurve | Self::ProductionLoadCurve => Kind::LoadCurve,
            Self::DailyConsumption | Self::DailyProduction => Kind::DailyEnergy,
            Self::DailyMaxPower => Kind::MaxPower,
            Self::ConsumptionIndex | Self::ProductionIndex => Kind::Registers,
        }
    }

    /// The names of all datasets, for messages.
    #[must_use]
    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

impl fmt::Display for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no dataset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no dataset {0:?}; there are {names}", names = Dataset::names())]
pub struct UnknownDataset(pub String);

impl FromStr for Dataset {
    type Err = UnknownDataset;

    fn from_str(text: &str) -> Result<Self, UnknownDataset> {
        Self::ALL.into_iter().find(|d| d.name() == text).ok_or_else(|| UnknownDataset(text.chars().take(40).collect()))
    }
}

/// Which API of Enedis a call speaks (docs/enedis.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Api {
    /// The API of 2023 to 2026.
    V5,
    /// Data Connect 2026.
    V2026,
}

impl Api {
    /// `v5` or `2026`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V5 => "v5",
            Self::V2026 => "2026",
        }
    }

    /// The API of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::V5, Self::V2026].into_iter().find(|a| a.name() == name)
    }
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_lead_back() {
        for dataset in Dataset::ALL {
            assert_eq!(dataset.name().parse::<Dataset>().unwrap(), dataset);
            assert_eq!(Dataset::from_id(dataset.id()), Some(dataset));
        }
        assert!("hourly".parse::<Dataset>().unwrap_err().to_string().contains("daily_max_power"));
    }
}
