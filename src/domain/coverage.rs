//! What is known of each day of a series, and what an answer teaches about it.
//!
//! linkyd is a reconciler: the days wanted are computed from these records, never kept in a
//! queue. A record only changes through [`DayRecord::after`], which knows the calendar of
//! patience: a day that an answer leaves out is asked for again on a widening schedule and is
//! believed to be absent only after that (docs/planning.md).

use chrono::NaiveTime;

use super::{Day, paris};

/// The state of one day of one series, by the words that users see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DayState {
    /// Every interval of the day is stored.
    Complete,
    /// In the window, not asked yet.
    Missing,
    /// Some intervals are stored; asked again.
    Partial,
    /// Asked, not published yet; asked again.
    Pending,
    /// Asked long enough: the source has none.
    Absent,
    /// Left the window before it could be fetched.
    Expired,
}

impl DayState {
    /// Every state, in the order of their numbers in the database.
    pub const ALL: [Self; 6] =
        [Self::Complete, Self::Missing, Self::Partial, Self::Pending, Self::Absent, Self::Expired];

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Missing => "missing",
            Self::Partial => "partial",
            Self::Pending => "pending",
            Self::Absent => "absent",
            Self::Expired => "expired",
        }
    }

    /// The number that stands for it in the database.
    #[must_use]
    pub fn id(self) -> i64 {
        match self {
            Self::Complete => 0,
            Self::Missing => 1,
            Self::Partial => 2,
            Self::Pending => 3,
            Self::Absent => 4,
            Self::Expired => 5,
        }
    }

    /// The state with this number in the database.
    #[must_use]
    pub fn from_id(id: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.id() == id)
    }
}

/// Ages in days at which a day that was left out while it was young is asked for again.
const YOUNG_AGES: [i32; 5] = [2, 4, 7, 14, 30];

/// Days after which a day that was already old when it was first left out is asked for again.
const OLD_DELAYS: [i32; 2] = [1, 7];

/// How often a source may be asked again on the same day for what is not published yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SameDay {
    /// On widening steps from the morning to the evening.
    Often,
    /// Once, in the afternoon, as the gateways ask of those who use them.
    Once,
}

impl SameDay {
    /// Paris wall times at which yesterday is asked for again, after the first try.
    fn times(self) -> &'static [(u32, u32)] {
        match self {
            Self::Often => &[(9, 0), (11, 0), (14, 0), (18, 0)],
            Self::Once => &[(14, 0)],
        }
    }
}

/// Days before a day leaves the window during which its last try may be made.
pub const LAST_TRY_DAYS: i32 = 30;

/// The hour in Paris from which yesterday may be published.
pub const PUBLISHED_AT: NaiveTime = match NaiveTime::from_hms_opt(8, 0, 0) {
    Some(time) => time,
    None => NaiveTime::MIN,
};

/// What is remembered of one day of one series. A day without a record is missing.
///
/// Instants are seconds since 1970 of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayRecord {
    /// Its state.
    pub state: DayState,
    /// Intervals of that day that are stored.
    pub stored: i32,
    /// Intervals that make up the day, where the step is known.
    pub expected: Option<i32>,
    /// When an answer last covered it.
    pub checked_at: Option<i64>,
    /// When an answer first left it out.
    pub first_left_out: Option<i64>,
    /// When it is asked for again; `None`: never by itself.
    pub next_try: Option<i64>,
    /// Whether it is certain that the source left out this very day: an answer held other days
    /// but not this one, or it was asked for alone. A whole span that comes back empty proves less.
    pub certain: bool,
    /// Whether the one last try before it leaves the window has been made.
    pub last_try: bool,
}

/// What one answer showed of one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayObservation {
    /// Intervals of that day that are stored once the answer is.
    pub stored: i32,
    /// Intervals that make up the day, where the step is known.
    pub expected: Option<i32>,
    /// Whether everything that the day is made of is stored.
    pub whole: bool,
}

/// The circumstances of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// When, in seconds since 1970 of the calendar.
    pub at: i64,
    /// The first day that the source still serves.
    pub window_first: Day,
    /// Whether the answer proves something about single days: it held some day of its span, or
    /// its span was a single day.
    pub certain: bool,
    /// Whether a day that the answer leaves out is one that the source does not have. Otherwise it
    /// stays as it was, and is asked for again in a span that tells.
    pub exact: bool,
    /// How often the source may be asked on the same day.
    pub same_day: SameDay,
}

impl DayRecord {
    /// A day of which nothing is known.
    #[must_use]
    pub fn missing() -> Self {
        Self {
            state: DayState::Missing,
            stored: 0,
            expected: None,
            checked_at: None,
            first_left_out: None,
            next_try: None,
            certain: false,
            last_try: false,
        }
    }

    /// The record of `day` after an answer that covered it.
    ///
    /// A complete day stays complete whatever a later answer leaves out.
    #[must_use]
    pub fn after(self, day: Day, seen: DayObservation, asked: Asked) -> Self {
        let last_try = self.last_try || day.since(asked.window_first) < LAST_TRY_DAYS;
        let checked = Self { checked_at: Some(asked.at), stored: seen.stored, expected: seen.expected, ..self };
        if seen.whole || self.state == DayState::Complete {
            return Self {
                state: DayState::Complete,
                next_try: None,
                first_left_out: None,
                certain: false,
                last_try: false,
                ..checked
            };
        }
        if seen.stored == 0 && !asked.exact {
            // Where a second look does not tell either, the source needs time to become whole.
            let tomorrow = || paris::at_wall(paris::day_of(asked.at).next(), PUBLISHED_AT);
            let again = self.unsettled() || self.next_try.is_some_and(|at| at <= asked.at);
            let next_try = if again { Some(tomorrow()) } else { self.next_try };
            return Self { checked_at: Some(asked.at), next_try, ..self };
        }
        let first_left_out = self.first_left_out.unwrap_or(asked.at);
        let next_try = next_try(day, first_left_out, asked.at, asked.same_day);
        let state = match (seen.stored, next_try) {
            (1.., _) => DayState::Partial,
            (_, Some(_)) => DayState::Pending,
            (_, None) => DayState::Absent,
        };
        Self {
            state,
            next_try,
            first_left_out: Some(first_left_out),
            certain: self.certain || asked.certain,
            last_try,
            ..checked
        }
    }

    /// The record of a day of which so much is stored, whoever stored it: nothing was asked. A complete day that turns
    /// out not to be whole is asked for again.
    #[must_use]
    pub fn recounted(self, seen: DayObservation) -> Self {
        let counted = Self { stored: seen.stored, expected: seen.expected.or(self.expected), ..self };
        if seen.whole {
            return Self {
                state: DayState::Complete,
                next_try: None,
                first_left_out: None,
                certain: false,
                last_try: false,
                ..counted
            };
        }
        let lost = self.state == DayState::Complete;
        Self { state: if lost { DayState::Missing } else { self.state }, ..counted }
    }

    /// Whether the day is asked for by itself at `now`: it was never asked, or its next try is due.
    #[must_use]
    pub fn due(&self, now: i64) -> bool {
        match self.state {
            DayState::Missing => self.next_try.is_none_or(|at| at <= now),
            DayState::Partial | DayState::Pending => self.next_try.is_some_and(|at| at <= now),
            DayState::Complete | DayState::Absent | DayState::Expired => false,
        }
    }

    /// Whether the day was asked for in a span whose answer does not tell what there is not, and
    /// was not in it.
    #[must_use]
    pub fn unsettled(&self) -> bool {
        self.state == DayState::Missing && self.checked_at.is_some()
    }

    /// Whether something of the day is stored.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.state == DayState::Complete || self.stored > 0
    }

    /// Whether something of the day may still come, so that it rides along where a call has room.
    #[must_use]
    pub fn incomplete(&self) -> bool {
        matches!(self.state, DayState::Missing | DayState::Partial | DayState::Pending)
    }
}

/// When a day that was left out at `asked_at` is asked for again; `None`: not any more.
#[must_use]
pub fn next_try(day: Day, first_left_out: i64, asked_at: i64, same_day: SameDay) -> Option<i64> {
    let at_eight = |day: Day| paris::at_wall(day, PUBLISHED_AT);
    let today = paris::day_of(asked_at);
    let age = today.since(day);
    let first = paris::day_of(first_left_out);
    if first.since(day) < YOUNG_AGES.into_iter().max().unwrap_or_default() {
        if age <= 1 {
            let later_today = same_day
                .times()
                .iter()
                .filter_map(|(hour, minute)| NaiveTime::from_hms_opt(*hour, *minute, 0))
                .map(|time| paris::at_wall(today, time))
                .find(|at| *at > asked_at);
            return Some(later_today.unwrap_or_else(|| at_eight(today.next())));
        }
        // A day that was nearly old when it was first left out gets the patience of an old one.
        let last = OLD_DELAYS.into_iter().max().map(|delay| first.plus(delay)).filter(|d| *d > today);
        YOUNG_AGES.into_iter().find(|a| *a > age).map(|a| day.plus(a)).or(last).map(at_eight)
    } else {
        OLD_DELAYS.into_iter().map(|delay| first.plus(delay)).find(|d| *d > today).map(at_eight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    fn at(text: &str, hour: u32) -> i64 {
        paris::at_wall(day(text), NaiveTime::from_hms_opt(hour, 5, 0).unwrap())
    }

    const NOTHING: DayObservation = DayObservation { stored: 0, expected: None, whole: false };

    /// Asks for `target` once a day at 08:05 whenever it is due and returns the ages at which it was.
    fn ages_asked(target: &str, first_asked: &str) -> (Vec<i32>, DayRecord) {
        let target = day(target);
        let mut record = DayRecord::missing();
        let mut ages = Vec::new();
        let first = day(first_asked);
        for n in 0..400 {
            let today = first.plus(n);
            let now = at(&today.to_string(), 8);
            if record.due(now) {
                ages.push(today.since(target));
                let asked = Asked {
                    at: now,
                    window_first: today.minus_months(24).plus(-15),
                    certain: true,
                    exact: true,
                    same_day: SameDay::Often,
                };
                record = record.after(target, NOTHING, asked);
            }
        }
        (ages, record)
    }

    #[test]
    fn a_young_day_is_asked_on_a_widening_schedule_then_absent() {
        let (ages, record) = ages_asked("2026-03-20", "2026-03-21");
        assert_eq!(ages, [1, 2, 4, 7, 14, 30]);
        assert_eq!((record.state, record.next_try), (DayState::Absent, None));
        assert_eq!(ages_asked("2026-03-20", "2026-04-03").0, [14, 30]);
        assert_eq!(ages_asked("2026-03-20", "2026-04-18").0, [29, 30, 36]);
    }

    #[test]
    fn an_old_day_is_asked_after_a_day_and_a_week() {
        assert_eq!(ages_asked("2025-06-01", "2025-10-24").0, [145, 146, 152]);
        assert_eq!(ages_asked("2026-01-01", "2026-01-31").0, [30, 31, 37]);
    }

    #[test]
    fn yesterday_is_asked_again_later_the_same_day() {
        let yesterday = day("2026-11-23");
        let tries =
            |hour, same_day| next_try(yesterday, at("2026-11-24", 8), at("2026-11-24", hour), same_day).unwrap();
        let wall = |text, hour| paris::at_wall(day(text), NaiveTime::from_hms_opt(hour, 0, 0).unwrap());
        for (hour, next) in [(8, 9), (9, 11), (15, 18)] {
            assert_eq!(tries(hour, SameDay::Often), wall("2026-11-24", next));
        }
        assert_eq!(tries(19, SameDay::Often), wall("2026-11-25", 8));
        assert_eq!(tries(8, SameDay::Once), wall("2026-11-24", 14));
        assert_eq!(tries(14, SameDay::Once), wall("2026-11-25", 8));
    }

    #[test]
    fn a_complete_day_never_falls_back() {
        let target = day("2026-11-20");
        let asked = Asked {
            at: at("2026-11-24", 8),
            window_first: day("2024-11-09"),
            certain: true,
            exact: true,
            same_day: SameDay::Often,
        };
        let whole = DayObservation { stored: 48, expected: Some(48), whole: true };
        let complete = DayRecord::missing().after(target, whole, asked);
        assert_eq!(complete.state, DayState::Complete);
        let again = complete.after(target, DayObservation { stored: 48, expected: Some(48), whole: false }, asked);
        assert_eq!(again.state, DayState::Complete);
        assert!(!again.due(i64::MAX));
    }

    #[test]
    fn a_bulk_answer_settles_nothing_that_it_leaves_out() {
        let target = day("2026-11-20");
        let asked = Asked {
            at: at("2026-11-24", 8),
            window_first: day("2024-11-09"),
            certain: true,
            exact: false,
            same_day: SameDay::Once,
        };
        let record = DayRecord::missing().after(target, NOTHING, asked);
        assert!(record.unsettled() && record.due(asked.at));
        let twice = record.after(target, NOTHING, asked);
        assert!(twice.unsettled() && !twice.due(asked.at) && twice.due(asked.at + 86_400), "not before tomorrow");
        let settled = record.after(target, NOTHING, Asked { exact: true, ..asked });
        assert_eq!(settled.state, DayState::Pending);
        assert_eq!(settled.after(target, NOTHING, asked).state, DayState::Pending);
    }

    #[test]
    fn some_intervals_make_a_partial_day() {
        let target = day("2026-11-20");
        let asked = Asked {
            at: at("2026-11-24", 8),
            window_first: day("2024-11-09"),
            certain: true,
            exact: true,
            same_day: SameDay::Often,
        };
        let some = DayObservation { stored: 47, expected: Some(48), whole: false };
        let record = DayRecord::missing().after(target, some, asked);
        assert_eq!((record.state, record.stored, record.expected), (DayState::Partial, 47, Some(48)));
        assert_eq!(record.next_try, Some(paris::at_wall(day("2026-11-27"), PUBLISHED_AT)));
    }
}
