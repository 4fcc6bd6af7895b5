//! linkyd keeps a household's whole electricity history safe.

pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod exit;
pub mod observe;
