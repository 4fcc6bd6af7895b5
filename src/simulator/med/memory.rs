//! What MyElectricalData remembers: days it has served, days without data, refused ranges.
//!
//! Time here is the simulated calendar's, because what is remembered is what Enedis had published
//! when it was asked. An answer may be a day old, and nothing tells the reader.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::{Dataset, Day, Days, Prm, Step};
use crate::simulator::answer::Point;

type Key = (Prm, Dataset, Day);

/// One day, until some instant.
#[derive(Debug)]
struct Kept {
    until: DateTime<Utc>,
    /// Empty for an old day of which Enedis had nothing.
    points: Vec<Point>,
}

/// Everything remembered.
#[derive(Debug, Default)]
pub(super) struct Memory {
    days: BTreeMap<Key, Kept>,
    /// Days that a batch found without data: it leaves them out for a day.
    blocked: BTreeMap<Key, DateTime<Utc>>,
    /// Ranges that lie before the meter's activation.
    refused: BTreeMap<(Prm, Dataset, Day, Day), DateTime<Utc>>,
}

/// Hours that most things are remembered, and those of the last two days.
const HOURS: [i64; 2] = [24, 3];

/// Whether Enedis may still publish or correct that day: yesterday or the day before.
pub(super) fn recent(day: Day, today: Day) -> bool {
    today.since(day) <= 2
}

/// The points that a day of that step should have. Nobody thinks of the two days of a year on
/// which the clocks change.
fn expected(points: &[Point]) -> usize {
    let step = points.first().and_then(|point| point.length.as_deref()).and_then(Step::from_iso);
    1440 / step.map_or(30, |step| usize::from(step.minutes()))
}

impl Memory {
    /// The points of a day, if it is remembered and worth serving: a curve with a tenth missing is
    /// asked for again, by a batch always, else while it is recent.
    pub(super) fn day(&self, key: &Key, now: DateTime<Utc>, curve: bool, again: bool) -> Option<&[Point]> {
        let kept = self.days.get(key).filter(|kept| now < kept.until)?;
        let full = !curve || kept.points.is_empty() || kept.points.len() >= expected(&kept.points) * 9 / 10;
        (full || !again).then_some(kept.points.as_slice())
    }

    /// Remembers what came for some days; an old day without points is remembered as empty.
    pub(super) fn keep(
        &mut self,
        prm: &Prm,
        dataset: Dataset,
        days: Days,
        points: &[Point],
        now: (DateTime<Utc>, Day),
    ) {
        let (now, today) = now;
        for day in days.iter() {
            let points: Vec<Point> = points.iter().filter(|point| point.day == day).cloned().collect();
            let recent = recent(day, today);
            if points.is_empty() && recent {
                continue;
            }
            let [long, short] = HOURS;
            let until = now + TimeDelta::hours(if recent { short } else { long });
            self.days.insert((prm.clone(), dataset, day), Kept { until, points });
        }
    }

    /// Remembers that a batch found nothing on these days.
    pub(super) fn block(&mut self, prm: &Prm, dataset: Dataset, days: Days, now: DateTime<Utc>) {
        for day in days.iter() {
            self.blocked.insert((prm.clone(), dataset, day), now + TimeDelta::hours(24));
        }
    }

    /// Whether a batch leaves that day out.
    pub(super) fn blocks(&self, key: &Key, now: DateTime<Utc>) -> bool {
        self.blocked.get(key).is_some_and(|until| now < *until)
    }

    /// Remembers that this range lies before the meter's activation.
    pub(super) fn refuse(&mut self, prm: &Prm, dataset: Dataset, days: Days, now: DateTime<Utc>) {
        self.refused.insert((prm.clone(), dataset, days.first(), days.end()), now + TimeDelta::hours(24));
    }

    /// Whether exactly this range was refused in the last day.
    pub(super) fn refuses(&self, prm: &Prm, dataset: Dataset, days: Days, now: DateTime<Utc>) -> bool {
        let key = (prm.clone(), dataset, days.first(), days.end());
        self.refused.get(&key).is_some_and(|until| now < *until)
    }

    /// Forgets a meter; how many days that were.
    pub(super) fn forget(&mut self, prm: &Prm) -> usize {
        let before = self.days.len();
        self.days.retain(|(of, ..), _| of != prm);
        self.blocked.retain(|(of, ..), _| of != prm);
        self.refused.retain(|(of, ..), _| of != prm);
        before - self.days.len()
    }
}
