//! The command line: what can be asked, and how answers are laid out for people.
//!
//! [`args`] turns arguments into a [`Command`] of checked values, or into a message and an exit
//! code. [`render`] lays out tables and numbers. Nothing here does any work.

pub mod args;
pub mod render;

pub use args::{Command, Invocation, Refusal, parse};
