//! The fewest spans over the wanted days of a series.
//!
//! For intervals of one greatest length on a line, opening each at the newest day that is not
//! covered yet and reaching back as far as allowed uses the fewest possible. A span that has room
//! left is then stretched, which costs nothing: over neighbours that are incomplete or recent, so
//! that late and corrected days heal for free, and never leaving a single day where a second one
//! can be had.

use crate::domain::{DayState, Days, coverage::LAST_TRY_DAYS};

use super::want::{Wanted, end_of_aside, is_aside, record};
use super::{Reason, Series};

/// Days that may still be corrected at the source ride along where a call has room.
pub const RECENT_DAYS: i32 = 7;

/// One span and what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cover {
    /// The days to ask for.
    pub days: Days,
    /// The oldest wanted day in it.
    pub oldest_wanted: crate::domain::Day,
    /// The first reason of its wanted days.
    pub reason: Reason,
}

/// Lays spans over the wanted days (ascending), the newest first. Spans are stretched within `reach`, a part of the
/// window.
#[must_use]
pub fn cover(series: &Series<'_>, window: Days, reach: Days, wanted: &[Wanted]) -> Vec<Cover> {
    let mut covers: Vec<Cover> = Vec::new();
    let mut rest = wanted;
    // The first day that the spans laid so far hold: a span is never stretched over another one.
    let mut covered_from = reach.end();
    while let Some((newest, older)) = rest.split_last() {
        if newest.reason == Reason::Alone {
            covers.push(Cover { days: Days::single(newest.day), oldest_wanted: newest.day, reason: Reason::Alone });
            covered_from = newest.day;
            rest = older;
            continue;
        }
        let exact = needs_exact(series, window, newest.day);
        let longest = if exact { series.exact_days } else { series.max_days };
        let furthest = newest.day.plus(1 - longest.max(1));
        let mut oldest = *newest;
        let mut reason = newest.reason;
        let mut taken = 1;
        for next in older.iter().rev() {
            let blocked = next.reason == Reason::Alone
                || (!exact && needs_exact(series, window, next.day))
                || end_of_aside(series, oldest.day) > next.day;
            if next.day < furthest || blocked {
                break;
            }
            oldest = *next;
            reason = reason.min(next.reason);
            taken += 1;
        }
        rest = rest.get(..rest.len() - taken).unwrap_or_default();
        let next_wanted = rest.last().map(|w| w.day);
        if let Some(days) = Days::new(oldest.day, newest.day.next()) {
            let ahead =
                if exact || longest <= series.exact_days { covered_from } else { covered_from.min(window.last()) };
            let days = stretch(series, window, days, (reach.first(), ahead), next_wanted, longest);
            covered_from = days.first();
            covers.push(Cover { days, oldest_wanted: oldest.day, reason });
        }
    }
    covers
}

/// Whether a day has to be asked for in a span whose answer tells what there is not.
fn needs_exact(series: &Series<'_>, window: Days, day: crate::domain::Day) -> bool {
    day == window.last() || record(series, day).unsettled()
}

/// Makes use of the room that a span has left, up to `longest` days.
fn stretch(
    series: &Series<'_>,
    window: Days,
    days: Days,
    (reach_first, covered_from): (crate::domain::Day, crate::domain::Day),
    next_wanted: Option<crate::domain::Day>,
    longest: i32,
) -> Days {
    let worth = |day: crate::domain::Day| {
        let record = record(series, day);
        let recent = window.end().since(day) <= RECENT_DAYS;
        let last_try =
            record.state == DayState::Absent && !record.last_try && day.since(series.served_first) < LAST_TRY_DAYS;
        record.incomplete() || recent || last_try
    };
    // Wanted days further back belong to the next span; the stretch stops before them, and before what
    // is set aside.
    let floor = next_wanted.map_or(reach_first, |day| day.next().max(reach_first));
    let floor = floor.max(end_of_aside(series, days.first())).max(days.end().plus(-longest));
    let mut first = days.first();
    let mut end = days.end();
    if let Some(before) = Days::new(floor, days.first()) {
        // Of a long span nearly all is complete: only what is not needs to be looked at.
        let recent = window.end().plus(-RECENT_DAYS).max(floor);
        let open = series.days.gaps(before).flat_map(Days::iter).find(|day| worth(*day));
        first = open.into_iter().chain((recent < first).then_some(recent)).min().unwrap_or(first);
    }
    let room = longest - end.since(first);
    for ahead in 0..room.max(0) {
        let day = days.end().plus(ahead);
        if day >= covered_from || is_aside(series, day) {
            break;
        }
        if worth(day) {
            end = day.next();
        }
    }
    if end.since(first) == 1 && longest > 1 {
        if first > window.first() && !is_aside(series, first.plus(-1)) {
            first = first.plus(-1);
        } else if end < window.end() && !is_aside(series, end) {
            end = end.next();
        }
    }
    Days::new(first, end).unwrap_or(days)
}
