//! stub
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
/// own
pub enum Own {
    /// e
    Empty,
    /// e
    Html,
    /// e
    Undecodable,
    /// e
    WrongAnswer,
}
