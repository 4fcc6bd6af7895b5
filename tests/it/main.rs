//! The integration tests: one binary, one module a topic, all against the simulator.

#[cfg(test)]
mod architecture;
#[cfg(test)]
mod backfill;
#[cfg(test)]
mod support;
