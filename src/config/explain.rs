//! What is wrong with a configuration, in words that help.
//!
//! A [`Problem`] says where (file and line, or environment variable), what, and what to do, on
//! one line; all of them are collected before anybody is told. Messages name keys, never secrets,
//! and meter numbers are masked on their way in.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::observe::mask;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The configuration file.
    File {
        /// Which file.
        path: PathBuf,
        /// Which line, counted from 1.
        line: usize,
    },
    /// The environment variable of that name.
    Environment(String),
    /// A file that holds nothing but the secret: named by a `…_file` key, or a systemd credential.
    SecretFile(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => write!(f, "default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "{name}"),
            Self::SecretFile(path) => write!(f, "{}", path.display()),
        }
    }
}

/// One thing that is wrong, or worth a warning.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where it was found; [`Origin::Default`] where something is missing altogether.
    pub origin: Origin,
    /// What is wrong and what to do about it.
    pub message: String,
}

impl Problem {
    /// A problem; numbers of meters in the message are masked.
    #[must_use]
    pub fn new(origin: Origin, message: &str) -> Self {
        let one_line: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        Self { origin, message: mask::digits(&one_line).into_owned() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Default => write!(f, "configuration: {}", self.message),
            origin => write!(f, "{}: {}", mask::digits(&origin.to_string()), self.message),
        }
    }
}

/// Why there is no configuration to work with.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no such file.
    #[error("there is no configuration file {}; {advice}", path.display())]
    Missing {
        /// The file that was looked for.
        path: PathBuf,
        /// What to do.
        advice: &'static str,
    },
    /// The file is there and cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Everything that is wrong, one line each.
    #[error("{}", lines(.0))]
    Invalid(Vec<Problem>),
}

impl ConfigError {
    /// The error as problems, one line each, for reports.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        match self {
            Self::Invalid(problems) => problems.clone(),
            Self::Missing { .. } => vec![Problem::new(Origin::Default, &self.to_string())],
            Self::Unreadable { source, .. } => {
                vec![Problem::new(Origin::Default, &format!("{self}: {source}"))]
            }
        }
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

/// Where the lines of a text end: thousands of meters are no reason to count them again and again.
pub(super) struct Lines(Vec<usize>);

impl Lines {
    /// Those of a text.
    pub(super) fn of(text: &[u8]) -> Self {
        Self(text.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at).collect())
    }

    /// The line, counted from 1, on which the byte at `offset` stands.
    pub(super) fn at(&self, offset: usize) -> usize {
        self.0.partition_point(|end| *end < offset) + 1
    }
}

/// The candidate that is spelt most like `word`.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates.into_iter().min_by_key(|candidate| strsim::damerau_levenshtein(word, candidate))
}

/// The candidates that are spelt so much like `word` that one of them may have been meant: the nearest one, or those
/// that begin with a word like it.
pub(super) fn near<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> Vec<&'a str> {
    let alike = |candidate: &str| strsim::normalized_damerau_levenshtein(word, candidate);
    let begins = |candidate: &str| word.chars().count() >= 3 && candidate.starts_with(word);
    match nearest(word, candidates.clone()) {
        Some(found) if alike(found) >= HALF || begins(found) => vec![found],
        _ => {
            let first = |candidate: &str| candidate.split('_').next().is_some_and(|first| alike(first) > HALF);
            candidates.into_iter().filter(|candidate| begins(candidate) || first(candidate)).collect()
        }
    }
}

/// Half of the letters.
const HALF: f64 = 0.5;

/// What to say behind a name that is not known: what may have been meant, else all that there are.
pub(super) fn meant<'a>(word: &str, what: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    let near = near(word, candidates.clone());
    match near.as_slice() {
        [] => format!("; known are {}", alternatives(candidates)),
        [one] => format!("; the nearest{what} is {one:?}"),
        several => format!("; the nearest are {}", alternatives(several.iter().copied())),
    }
}

/// `word` in quotes for a message: escaped and not longer than a message can bear.
pub(super) fn quoted(word: &str) -> String {
    let short: String = word.chars().take(40).collect();
    format!("{:?}", mask::digits(&short))
}

/// `a, b or c`.
pub(super) fn alternatives<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|w| format!("{w:?}")).collect();
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}
