//! A world and its faults, read from one TOML file.

use serde::Deserialize;

use super::faults::{FaultRule, Faults};
use super::meter::MeterSpec;
use super::rules::Rules;
use super::world::World;

/// What a world file says.
#[derive(Debug, Clone, Default)]
pub struct Scenario {
    /// The world.
    pub world: World,
    /// What goes wrong in it.
    pub faults: Faults,
}

/// A world file that cannot be played; says where and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ScenarioError(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    latency_ms: u64,
    #[serde(default)]
    jitter_ms: u64,
    #[serde(default)]
    rules: Rules,
    #[serde(default, rename = "meter")]
    meters: Vec<MeterSpec>,
    #[serde(default, rename = "fault")]
    faults: Vec<FaultRule>,
}

impl Scenario {
    /// Reads a world file.
    pub fn from_toml(text: &str) -> Result<Self, ScenarioError> {
        let file: File =
            toml::from_str(text).map_err(|error| ScenarioError(error.to_string().trim_end().to_owned()))?;
        let mut prms: Vec<_> = file.meters.iter().map(|meter| &meter.prm).collect();
        prms.sort();
        if let Some([twice, _]) = prms.array_windows().find(|[one, other]| one == other) {
            return Err(ScenarioError(format!("the meter {twice} is there twice")));
        }
        let world = World { meters: file.meters, rules: file.rules, ..World::new(file.seed) };
        let faults = Faults { latency_ms: file.latency_ms, jitter_ms: file.jitter_ms, rules: file.faults };
        Ok(Self { world, faults })
    }
}
