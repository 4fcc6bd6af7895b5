//! linkyd keeps a household's whole electricity history safe.

pub mod budget;
pub mod clock;
pub mod decode;
pub mod domain;
pub mod source;
