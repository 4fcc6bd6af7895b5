//! The last guard of the pace, on what really leaves.
//!
//! The journal spaces the *planned* starts of calls. Timers wake late and machines are busy, so a
//! late call can come close to the punctual ones after it. This guard looks at the real starts:
//! whatever happened before, no more than the allowed number leave within a second and its jitter.

use std::collections::VecDeque;
use std::time::Duration;

use crate::budget::Limits;

/// What left this process in the last second.
#[derive(Debug, Default)]
pub struct Pace {
    sent: VecDeque<Duration>,
}

impl Pace {
    /// When the next call may leave (monotonic), given the limits in force.
    #[must_use]
    pub fn next(&self, limits: &Limits) -> Duration {
        let back = usize::try_from(limits.per_second.max(1)).unwrap_or(usize::MAX);
        let window = Duration::from_millis(limits.second_ms().unsigned_abs());
        self.sent.len().checked_sub(back).and_then(|i| self.sent.get(i)).map_or(Duration::ZERO, |at| *at + window)
    }

    /// Remembers that a call leaves now.
    pub fn sent(&mut self, now: Duration) {
        self.sent.push_back(now);
        while self.sent.front().is_some_and(|at| now.saturating_sub(*at) > Duration::from_secs(2)) {
            self.sent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_call_pushes_the_fifth_after_it() {
        let limits = Limits { per_second: 5, per_hour: None, per_day: None };
        let mut pace = Pace::default();
        let ms = Duration::from_millis;
        for at in [0, 230, 420, 630, 840] {
            assert!(pace.next(&limits) <= ms(at));
            pace.sent(ms(at));
        }
        assert_eq!(pace.next(&limits), ms(1050));
        pace.sent(ms(1050));
        assert_eq!(pace.next(&limits), ms(1280));
    }
}
