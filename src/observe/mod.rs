//! What linkyd tells about itself: log lines, and the mask that keeps meter numbers out of them.

mod journal;
mod line;
pub mod logs;
pub mod mask;
pub mod metrics;

pub use logs::{LogError, LogHandle, Surroundings, init_logs};
