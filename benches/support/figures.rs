//! What every benchmark needs: a stop-watch, a median and a way to print.
//!
//! The machines that run these are small and busy. So what is compared is measured in turns,
//! a few times each, and the median is what counts.

use std::io::{self, Write as _};
use std::time::Duration;

use linkyd::clock::{Clock as _, SystemClock};

/// A benchmark fails with whatever went wrong.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Measures how long something takes.
#[derive(Default)]
pub(crate) struct StopWatch(SystemClock);

impl StopWatch {
    /// Since it was made.
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.monotonic()
    }
}

/// The value in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Prints one line.
pub(crate) fn line(text: &str) -> Outcome {
    Ok(writeln!(io::stdout(), "{text}")?)
}
