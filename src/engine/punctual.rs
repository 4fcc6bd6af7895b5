//! How late calls may be, measured by what their lines in the journal say, and how far ahead lines are written.
//!
//! The budget counts by the lines, and so do other instances: a call that leaves later than its line says comes
//! too near to somebody else's.

use std::time::Duration;

use crate::budget::JITTER_MS;

/// A call that cannot leave within this time of what its line says is not made: the budget counts
/// by the lines.
const LATEST: Duration = Duration::from_millis(1_500);

/// The same where other instances count on the lines as well: what the spacing of calls has to spare.
const LATEST_AMONG_OTHERS: Duration = Duration::from_millis(JITTER_MS.unsigned_abs());

/// The shortest and the longest time between a line that others can see and the start of its call.
const LEADS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// How much later than its line says a call may leave, where calls were so late lately. A machine that is always
/// late gets what it needs, for lines that come to nothing are calls that nobody can make.
#[must_use]
pub(super) fn latest(shared: bool, lateness: Duration) -> Duration {
    let among_others = (lateness * 2).max(LATEST_AMONG_OTHERS);
    if shared { among_others.min(LATEST) } else { LATEST }
}

/// How late calls were lately after one was late by that: lateness that comes back is forgotten slowly.
#[must_use]
pub(super) fn lateness(before: Duration, by: Duration) -> Duration {
    before.mul_f64(0.9).max(by.min(LATEST))
}

/// What writing a line took lately after one took that.
#[must_use]
pub(super) fn took(before: Duration, this: Duration) -> Duration {
    before.mul_f64(0.8).max(this)
}

/// How long before its call a line is written, so that the call can leave on time although the database
/// is at the other end of a network: twice what writing took lately.
#[must_use]
pub(super) fn lead_ms(shared: bool, took: Duration) -> u32 {
    if !shared {
        return 0;
    }
    let (least, most) = LEADS;
    u32::try_from((took * 2).clamp(least, most).as_millis()).unwrap_or_default()
}
