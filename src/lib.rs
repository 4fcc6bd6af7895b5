//! linkyd keeps a household's whole electricity history safe.

pub mod budget;
pub mod client;
pub mod clock;
pub mod domain;
pub mod plan;
pub mod source;
pub mod store;
