//! The world that the simulator plays: which meters there are and what became of them.
//!
//! A world is plain data, written in Rust by tests and in TOML by users (docs/simulator.md).
//! What it implies for a reader of the API is computed in [`super::published`].

use std::sync::Arc;

use super::front::Front;
use super::meter::{MeterKind, MeterSpec};
use super::rules::Rules;
use super::truth::Measured;
use crate::domain::Prm;

/// Everything there is.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// Decides about weather, households and every other chance.
    pub seed: u64,
    /// The meters.
    pub meters: Vec<MeterSpec>,
    /// What Enedis enforces.
    pub rules: Rules,
    /// What was measured already; clones remember together.
    pub(super) measured: Arc<Measured>,
}

impl World {
    /// A world without meters, with Enedis' usual rules.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// A world that gives every well-formed PRM a meter.
    #[must_use]
    pub fn of_any_prm(seed: u64) -> Self {
        Self { rules: Rules { any_prm: true, ..Rules::default() }, ..Self::new(seed) }
    }

    /// The same with one more meter.
    #[must_use]
    pub fn with(mut self, meter: MeterSpec) -> Self {
        self.meters.push(meter);
        self
    }

    /// The world as a reader behind that front sees it. A gateway has its own subscription to the
    /// APIs of Enedis, so what the reader's application lacks does not concern it.
    #[must_use]
    pub fn seen_by(&self, front: Front) -> Self {
        let mut world = self.clone();
        if front != Front::Enedis {
            world.rules.unsubscribed.clear();
        }
        for meter in &mut world.meters {
            *meter = meter.seen_by(front);
        }
        world
    }

    /// The meter with that PRM. Where any PRM is welcome and it is not listed, one with an odd
    /// last digit has a solar roof.
    #[must_use]
    pub fn meter(&self, prm: &Prm) -> Option<MeterSpec> {
        let listed = self.meters.iter().find(|meter| meter.prm == *prm).cloned();
        listed.or_else(|| {
            let odd = prm.full().bytes().last().is_some_and(|digit| digit % 2 == 1);
            let kind = if odd { MeterKind::Both } else { MeterKind::Consumer };
            self.rules.any_prm.then(|| MeterSpec::new(prm.clone()).kind(kind))
        })
    }

    /// The meter with that PRM, to change it; listed from now on where any PRM is welcome.
    pub fn meter_mut(&mut self, prm: &Prm) -> Option<&mut MeterSpec> {
        if !self.meters.iter().any(|meter| meter.prm == *prm) {
            let meter = self.meter(prm)?;
            self.meters.push(meter);
        }
        self.meters.iter_mut().find(|meter| meter.prm == *prm)
    }
}
