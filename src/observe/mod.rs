//! What linkyd tells about itself: log lines, and the mask that keeps meter numbers out of them.

mod line;
pub mod logs;
pub mod mask;

pub use logs::{LogError, Surroundings, init_logs};
