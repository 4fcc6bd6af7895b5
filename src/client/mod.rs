//! The way out: requests become bytes on the wire, bytes become bounded answers.
//!
//! Nothing here decides, retries or counts; that is the engine's part, so that exactly one layer
//! does it. [`transport::Transport`] sends one request, [`pace::Pace`] keeps what leaves this process
//! evenly spaced.

pub mod pace;
pub mod transport;

pub use pace::Pace;
pub use transport::{HttpTransport, Transport, TransportError};
