//! What linkyd tells about itself: log lines, and the mask that keeps meter numbers out of them.

pub mod mask;
