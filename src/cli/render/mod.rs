//! How answers look on a terminal: tables, numbers, durations.
//!
//! Pure functions from values to text, so that a snapshot says all about them.

pub mod number;
pub mod table;

pub use table::{Align, Cell, Table, Tone};
