//! A stand-in for Enedis and for the two community gateways before it: their APIs, their limits,
//! their refusals and their faults.
//!
//! Everything is computed. [`World`] says which meters there are and what became of them; what
//! they measured is a pure function of seed, PRM and time, so a test knows the database that it
//! must find without recording anything. [`Simulator`] plays a world to whoever calls, strictly:
//! a request that Enedis or a gateway would refuse is refused here, with the same code, and who
//! asks a gateway too often is banned from it. [`Faults`] make it misbehave on request.
//!
//! It must not know how linkyd reads: it shares no wire type and no rule with the client, or a
//! mistake made once would be right on both sides. From the rest of the crate it uses the names
//! of things (days, meters, datasets) and the clock, nothing else. docs/simulator.md is its
//! manual.

mod action;
mod answer;
mod base64;
mod consent;
mod conso;
mod customer;
mod damage;
mod edge;
mod enedis;
mod faults;
mod front;
mod household;
mod jwt;
mod med;
mod meter;
mod noise;
mod published;
mod quota;
mod refusal;
mod registers;
mod rules;
mod scenario;
mod server;
mod service;
mod serving;
mod text;
mod token;
mod truth;
mod upstream;
mod visits;
mod weather;
mod wire_2026;
mod wire_v5;
mod world;

pub mod command;

#[cfg(test)]
mod tests;

pub use action::{Action, Form};
pub use consent::{ConsentRules, Outcome};
pub use conso::{ConsoCounters, ConsoRules};
pub use customer::{ContractSpec, CustomerSpec, OffPeakSlot, Shape};
pub use faults::{Endpoint, FaultRule, Faults, Match};
pub use front::Front;
pub use med::{MedAccount, MedCounters, MedRules, OverLong};
pub use meter::{AtFront, Consent, Correction, Late, MeterKind, MeterSpec, StepChange, Stretch};
pub use published::{AsOf, CurveValue, DailyValue, PeakValue};
pub use quota::{Counters, Limits, LoggedCall};
pub use refusal::Envelope;
pub use registers::{Grid, GridChange, IndexStamp, MissingClass, RegisterRules, RegisterSpec, RegisterValue};
pub use rules::{Dst, FutureEnd, Rules};
pub use scenario::{Scenario, ScenarioError};
pub use server::Simulator;
pub use service::{Service, UnknownService};
pub use serving::ServiceCall;
pub use token::TokenRules;
pub use visits::{BanWindow, Visits};
pub use world::World;
