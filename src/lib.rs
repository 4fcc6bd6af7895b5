//! linkyd keeps a household's whole electricity history safe.

pub mod budget;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod decode;
pub mod domain;
pub mod engine;
pub mod exit;
pub mod observe;
pub mod plan;
pub mod simulator;
pub mod source;
pub mod store;
