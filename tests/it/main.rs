//! The integration tests: one binary, one module a topic, all against the simulator.

#[cfg(test)]
mod backfill;
#[cfg(test)]
mod reactions;
#[cfg(test)]
mod reactions_access;
#[cfg(test)]
mod reactions_quota;
#[cfg(test)]
mod reactions_token;
#[cfg(test)]
mod support;
