//! linkyd keeps a household's whole electricity history safe.
//!
//! It is a reconciler: what should be there ([`config`], the calendar) minus what is there
//! ([`store`]) is the [`plan`]; the [`engine`] asks a [`source`] for it within its [`budget`],
//! through the [`client`]; [`decode`] turns answers into [`domain`] values; the store keeps them.
//! Then it looks again.
//!
//! ```text
//!            config ──┐                          ┌── simulator (tests, demo)
//!   clock ──► engine ──► plan, budget            ▼
//!               │  └───► source ──► client ──► network
//!               │           └────── decode
//!               └──────► store ──► SQLite ──► dashboards
//! ```
//!
//! `docs/architecture.md` walks through it; the public parts of the program are its command line,
//! its configuration and its database views, not this library.

pub mod budget;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod decode;
pub mod domain;
pub mod engine;
pub mod exit;
pub mod http;
pub mod observe;
pub mod plan;
pub mod simulator;
pub mod source;
pub mod store;
