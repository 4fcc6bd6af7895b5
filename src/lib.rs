//! linkyd keeps a household's whole electricity history safe.

pub mod clock;
pub mod domain;
pub mod simulator;
