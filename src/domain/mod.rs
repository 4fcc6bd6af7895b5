//! The values that linkyd thinks in: meters, datasets, days, intervals, coverage.
//!
//! Nothing here performs I/O, reads a clock or awaits. Each type is checked where it enters,
//! so that the rest of the program cannot hold a PRM of 13 digits, an empty range of days or
//! an interval without a length. [`paris`] is the only module that knows a time zone.

pub mod contract;
pub mod coverage;
pub mod customer;
pub mod dataset;
pub mod day;
pub mod dispute;
pub mod interval;
pub mod known;
pub mod merge;
pub mod offpeak;
pub mod paris;
pub mod personal;
pub mod prm;
pub mod reading;
pub mod reconcile;
pub mod registers;
pub mod series;
pub mod services;
pub mod span;

pub use contract::{Contract, Contracts};
pub use coverage::{Asked, DayObservation, DayRecord, DayState, SameDay};
pub use customer::CustomerDataset;
pub use dataset::{Api, Dataset, Direction, Kind};
pub use day::{Day, Days};
pub use interval::{Interval, Step};
pub use known::Coverage;
pub use offpeak::OffPeak;
pub use prm::Prm;
pub use reading::{CurvePoint, DayEnergy, PeakPower, Values};
pub use series::SeriesState;
pub use span::Span;
