//! What is known of all days of one series, small enough to hold a fleet in memory.
//!
//! Nearly every day of nearly every series is complete, and of a complete day nothing else matters
//! to a plan. So complete days are kept as runs, and only the others one by one with their records.

use super::{Day, DayRecord, DayState, Days};

/// What is known of the days of a series. A day of which nothing is known is missing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Coverage {
    /// Runs of complete days, ascending, with at least a day between two of them.
    complete: Vec<Days>,
    /// Days that are not complete and of which something is known, ascending.
    open: Vec<(Day, DayRecord)>,
}

impl Coverage {
    /// Nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Every day of the window is complete, but for those that are given. These may be in any order,
    /// and lie outside of the window too.
    #[must_use]
    pub fn of_window(window: Option<Days>, not_complete: Vec<(Day, DayRecord)>) -> Self {
        let mut open = not_complete;
        open.sort_unstable_by_key(|(day, _)| *day);
        let mut complete = Vec::new();
        if let Some(window) = window {
            let mut from = window.first();
            for (day, _) in open.iter().filter(|(day, _)| window.contains(*day)) {
                complete.extend(Days::new(from, *day));
                from = day.next();
            }
            complete.extend(Days::new(from, window.end()));
        }
        open.retain(|(_, record)| *record != DayRecord::missing());
        open.shrink_to_fit();
        complete.shrink_to_fit();
        Self { complete, open }
    }

    /// Takes over what is known of a day now.
    pub fn insert(&mut self, day: Day, record: DayRecord) {
        let place = self.open.binary_search_by_key(&day, |(day, _)| *day);
        if record.state == DayState::Complete {
            if let Ok(index) = place {
                self.open.remove(index);
            }
            self.complete_day(day);
            return;
        }
        self.uncomplete(day);
        match place {
            Ok(index) if record == DayRecord::missing() => drop(self.open.remove(index)),
            Ok(index) => {
                if let Some(known) = self.open.get_mut(index) {
                    known.1 = record;
                }
            }
            Err(_) if record == DayRecord::missing() => {}
            Err(index) => self.open.insert(index, (day, record)),
        }
    }

    /// The record of a day. Of a complete day only that is kept.
    #[must_use]
    pub fn get(&self, day: Day) -> DayRecord {
        if self.is_complete(day) {
            return DayRecord { state: DayState::Complete, ..DayRecord::missing() };
        }
        let place = self.open.binary_search_by_key(&day, |(day, _)| *day);
        place.ok().and_then(|index| self.open.get(index)).map_or_else(DayRecord::missing, |(_, record)| *record)
    }

    /// Whether a day is complete.
    #[must_use]
    pub fn is_complete(&self, day: Day) -> bool {
        self.run_of(day).is_ok()
    }

    /// Whether something of a day is stored.
    #[must_use]
    pub fn holds(&self, day: Day) -> bool {
        self.is_complete(day) || self.get(day).stored > 0
    }

    /// The oldest day of which something is stored.
    #[must_use]
    pub fn first_held(&self) -> Option<Day> {
        let partial = self.open.iter().find(|(_, record)| record.stored > 0).map(|(day, _)| *day);
        self.complete.first().map(|run| run.first()).into_iter().chain(partial).min()
    }

    /// The oldest day of which something is known.
    #[must_use]
    pub fn first_known(&self) -> Option<Day> {
        let open = self.open.first().map(|(day, _)| *day);
        self.complete.first().map(|run| run.first()).into_iter().chain(open).min()
    }

    /// The newest day of the window that was asked for, whatever came of it.
    #[must_use]
    pub fn newest_asked(&self, window: Days) -> Option<Day> {
        let complete = self.complete.iter().rev().find_map(|run| run.intersect(window)).map(Days::last);
        let asked = |(day, record): &&(Day, DayRecord)| window.contains(*day) && record.state != DayState::Missing;
        complete.into_iter().chain(self.open.iter().rev().find(asked).map(|(day, _)| *day)).max()
    }

    /// The runs of days in the window that are not complete, ascending.
    pub fn gaps(&self, window: Days) -> impl Iterator<Item = Days> {
        let from = self.complete.partition_point(|run| run.end() <= window.first());
        let runs = self.complete.get(from..).unwrap_or_default().iter();
        let within = runs.take_while(move |run| run.first() < window.end());
        // Before each run there is a gap, and one after the last.
        let edges = within.map(|run| (run.first(), run.end())).chain([(window.end(), window.end())]);
        edges
            .scan(window.first(), |from, (first, end)| {
                let gap = Days::new(*from, first);
                *from = end;
                Some(gap)
            })
            .flatten()
    }

    /// The days of the window that are not complete and of which something is known, ascending.
    pub fn open(&self, window: Days) -> impl Iterator<Item = (Day, &DayRecord)> {
        let from = self.open.partition_point(|(day, _)| *day < window.first());
        let known = self.open.get(from..).unwrap_or_default().iter();
        known.take_while(move |(day, _)| *day < window.end()).map(|(day, record)| (*day, record))
    }

    /// The place of the run that holds a day, or that where one would come.
    fn run_of(&self, day: Day) -> Result<usize, usize> {
        let after = self.complete.partition_point(|run| run.end() <= day);
        match self.complete.get(after) {
            Some(run) if run.contains(day) => Ok(after),
            _ => Err(after),
        }
    }

    fn complete_day(&mut self, day: Day) {
        let Err(place) = self.run_of(day) else { return };
        let before = place.checked_sub(1).and_then(|index| self.complete.get(index)).filter(|run| run.end() == day);
        let after = self.complete.get(place).filter(|run| run.first() == day.next());
        let first = before.map_or(day, |run| run.first());
        let end = after.map_or(day.next(), |run| run.end());
        let from = place - usize::from(before.is_some());
        let to = place + usize::from(after.is_some());
        self.complete.splice(from..to, Days::new(first, end));
    }

    fn uncomplete(&mut self, day: Day) {
        let Ok(place) = self.run_of(day) else { return };
        let Some(run) = self.complete.get(place).copied() else { return };
        let parts = [Days::new(run.first(), day), Days::new(day.next(), run.end())];
        self.complete.splice(place..=place, parts.into_iter().flatten());
    }
}

impl Extend<(Day, DayRecord)> for Coverage {
    fn extend<T: IntoIterator<Item = (Day, DayRecord)>>(&mut self, days: T) {
        for (day, record) in days {
            self.insert(day, record);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn record(kind: u8, n: i64) -> DayRecord {
        let state = DayState::ALL[usize::from(kind) % DayState::ALL.len()];
        match state {
            DayState::Complete => DayRecord { state, ..DayRecord::missing() },
            DayState::Missing if n % 2 == 0 => DayRecord::missing(),
            DayState::Partial => DayRecord { state, stored: 3, checked_at: Some(n), ..DayRecord::missing() },
            _ => DayRecord { state, checked_at: Some(n), ..DayRecord::missing() },
        }
    }

    fn matches(coverage: &Coverage, model: &BTreeMap<i32, DayRecord>, window: Days) -> Result<(), TestCaseError> {
        let known = |day: Day| model.get(&day.number()).copied().unwrap_or_else(DayRecord::missing);
        let complete = |day: &Day| known(*day).state == DayState::Complete;
        let all = Days::new(Day::from_number(-5), Day::from_number(60)).unwrap();
        for day in all.iter() {
            prop_assert_eq!(coverage.get(day), known(day), "{}", day);
            prop_assert_eq!(coverage.is_complete(day), complete(&day));
            prop_assert_eq!(coverage.holds(day), complete(&day) || known(day).stored > 0);
        }
        let gaps: Vec<Day> = coverage.gaps(window).flat_map(Days::iter).collect();
        prop_assert_eq!(gaps, window.iter().filter(|day| !complete(day)).collect::<Vec<_>>());
        prop_assert!(coverage.gaps(window).zip(coverage.gaps(window).skip(1)).all(|(a, b)| a.end() < b.first()));
        let open: Vec<(Day, DayRecord)> = coverage.open(window).map(|(day, record)| (day, *record)).collect();
        let expected = window.iter().filter(|day| !complete(day) && known(*day) != DayRecord::missing());
        prop_assert_eq!(open, expected.map(|day| (day, known(day))).collect::<Vec<_>>());
        prop_assert_eq!(coverage.first_held(), all.iter().find(|day| complete(day) || known(*day).stored > 0));
        prop_assert_eq!(coverage.first_known(), all.iter().find(|day| known(*day) != DayRecord::missing()));
        let asked = window.iter().rev().find(|day| known(*day).state != DayState::Missing);
        prop_assert_eq!(coverage.newest_asked(window), asked);
        // Runs are as long as they can be, or the memory is no smaller than that of single days.
        let complete_days = model.values().filter(|record| record.state == DayState::Complete).count();
        let runs = coverage.complete.windows(2).all(|pair| pair[0].end() < pair[1].first());
        let days: i32 = coverage.complete.iter().map(|run| run.len()).sum();
        prop_assert!(runs && usize::try_from(days).unwrap() == complete_days);
        Ok(())
    }

    proptest! {
        /// Whatever is inserted in whatever order, it is what a map of days would hold.
        #[test]
        fn it_is_a_map_of_days(
            inserts in prop::collection::vec((0_i32..50, 0_u8..6, 0_i64..9), 0..120),
            (first, length) in (-3_i32..40, 1_i32..30),
        ) {
            let window = Days::new(Day::from_number(first), Day::from_number(first + length)).unwrap();
            let (mut coverage, mut model) = (Coverage::new(), BTreeMap::new());
            for (day, kind, n) in inserts {
                coverage.insert(Day::from_number(day), record(kind, n));
                model.insert(day, record(kind, n));
            }
            matches(&coverage, &model, window)?;
            // From what a database lists: the window, and what is not complete.
            let listed = model.iter().filter(|(_, record)| record.state != DayState::Complete);
            let unknown = window.iter().map(Day::number).filter(|day| !model.contains_key(day));
            let listed: Vec<_> = listed.map(|(day, record)| (Day::from_number(*day), *record))
                .chain(unknown.map(|day| (Day::from_number(day), DayRecord::missing()))).collect();
            let read = Coverage::of_window(Some(window), listed);
            let inside: BTreeMap<i32, DayRecord> = model.into_iter()
                .filter(|(day, record)| record.state != DayState::Complete || window.contains(Day::from_number(*day)))
                .collect();
            matches(&read, &inside, window)?;
        }
    }
}
