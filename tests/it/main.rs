//! The integration tests: one binary, one module a topic, all against the simulator.

mod backfill;
mod support;
