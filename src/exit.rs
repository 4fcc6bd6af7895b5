//! How a command ends, for scripts and service managers.
//!
//! The numbers follow `sysexits.h` where it has a word for the case, so that a unit file can say
//! which of them are worth a restart. They are part of the public contract.

use std::process::ExitCode;

/// The exit code of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exit {
    /// 0: all that could be done is done. Days that the source has not yet, or does not have,
    /// are no failure.
    Done,
    /// 1: some meter or dataset failed, or `status --check` found one that is late.
    Failed,
    /// 64: the command line makes no sense.
    Usage,
    /// 69: the database cannot be reached.
    DatabaseUnreachable,
    /// 70: an error inside linkyd itself.
    Internal,
    /// 74: a file or a stream could not be read or written.
    InputOutput,
    /// 75: nothing is wrong here; try later. The quota is used up, the source is down or another
    /// linkyd is at work.
    TryLater,
    /// 77: the source refused the application's credentials.
    CredentialsRefused,
    /// 78: the configuration cannot be used.
    Configuration,
}

impl Exit {
    /// Every code, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::DatabaseUnreachable,
        Self::Internal,
        Self::InputOutput,
        Self::TryLater,
        Self::CredentialsRefused,
        Self::Configuration,
    ];

    /// The number that the operating system sees.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 64,
            Self::DatabaseUnreachable => 69,
            Self::Internal => 70,
            Self::InputOutput => 74,
            Self::TryLater => 75,
            Self::CredentialsRefused => 77,
            Self::Configuration => 78,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_a_promise() {
        assert_eq!(Exit::ALL.map(Exit::code), [0, 1, 64, 69, 70, 74, 75, 77, 78]);
    }
}
