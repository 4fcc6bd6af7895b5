//! Which days of a series are wanted, and why.

use crate::domain::{Day, DayRecord, DayState, Days};

use super::{Reason, Request, Series};

/// A day that was not published yet may be asked for again by an operator after this many seconds.
const OPERATOR_PATIENCE: i64 = 600;

/// A day that leaves the window within this many days gets its last try.
const LEAVES_WITHIN: i32 = 2;

/// A run of empty days longer than this many is a real hole, not a single one that emptied a span.
const LONGEST_DOUBT: i32 = 14;

/// Spans of at most this many days are asked for again day by day when they come back empty.
const ALONE_UP_TO: i32 = 7;

/// A wanted day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Which day.
    pub day: Day,
    /// Why.
    pub reason: Reason,
}

/// The record of a day; days without one are missing.
pub(super) fn record(series: &Series<'_>, day: Day) -> DayRecord {
    series.days.get(day)
}

/// Whether calls for this day are set aside.
pub(super) fn is_aside(series: &Series<'_>, day: Day) -> bool {
    series.aside.iter().any(|days| days.contains(day))
}

/// The day after the last one before `day` that is set aside; the first of all days where there is none.
pub(super) fn end_of_aside(series: &Series<'_>, day: Day) -> Day {
    let before = series.aside.iter().filter(|days| days.first() < day).map(|days| days.end().min(day));
    before.max().unwrap_or(Day::from_number(i32::MIN))
}

/// The wanted days of the window, ascending.
#[must_use]
pub fn wanted(series: &Series<'_>, window: Days, now: i64, request: Request) -> Vec<Wanted> {
    let reach = match request.only {
        Some(only) => window.intersect(only),
        None => Some(window),
    };
    let Some(reach) = reach else { return Vec::new() };
    let held_back = held_back(series, window, request);
    let alone = doubtful(series, window);
    // Of a complete day nothing is wanted, unless an operator asks for it again.
    let days: Box<dyn Iterator<Item = Day>> =
        if request.refetch { Box::new(reach.iter()) } else { Box::new(series.days.gaps(reach).flat_map(Days::iter)) };
    days.take_while(|day| held_back.is_none_or(|first| *day < first))
        .filter(|day| !is_aside(series, *day))
        .filter_map(|day| {
            let record = record(series, day);
            let reason = if request.refetch {
                (!series.fetched.contains(&day)).then_some(Reason::Refetch)
            } else if alone.iter().any(|days| days.contains(day)) && !record.certain {
                Some(Reason::Alone)
            } else {
                reason(&record, day, series, window, now, request)
            };
            reason.map(|reason| Wanted { day, reason })
        })
        .collect()
}

fn reason(
    record: &DayRecord,
    day: Day,
    series: &Series<'_>,
    window: Days,
    now: i64,
    request: Request,
) -> Option<Reason> {
    let yesterday = day == window.last();
    let patient = record.checked_at.is_none_or(|at| at + OPERATOR_PATIENCE <= now);
    if record.due(now) || (yesterday && request.operator && record.incomplete() && patient) {
        return Some(match record.state {
            _ if yesterday => Reason::Yesterday,
            DayState::Missing => Reason::Missing,
            _ => Reason::Again,
        });
    }
    let leaving = day.since(series.served_first) < LEAVES_WITHIN;
    let open = matches!(record.state, DayState::Partial | DayState::Pending | DayState::Absent);
    (leaving && open && !record.last_try).then_some(Reason::LastTry)
}

/// The first of the new days, where there are still too few of them to be worth a call.
fn held_back(series: &Series<'_>, window: Days, request: Request) -> Option<Day> {
    if series.every <= 1 || request.only.is_some() || request.refetch {
        return None;
    }
    let newest_asked = series.days.newest_asked(window)?;
    (window.last().since(newest_asked) < series.every).then(|| newest_asked.next())
}

/// Short runs of days whose spans came back empty although there is data on both sides: a single
/// hole may have emptied a whole span, so each such day is asked for once by itself
/// (docs/planning.md).
fn doubtful(series: &Series<'_>, window: Days) -> Vec<Days> {
    if series.exact_days > ALONE_UP_TO {
        return Vec::new();
    }
    let in_doubt = |record: &DayRecord| record.state == DayState::Pending && !record.certain;
    let mut runs: Vec<Days> = Vec::new();
    for (day, _) in series.days.open(window).filter(|(_, record)| in_doubt(record)) {
        match runs.last_mut() {
            Some(run) if run.end() == day => *run = Days::new(run.first(), day.next()).unwrap_or(*run),
            _ => runs.push(Days::single(day)),
        }
    }
    // A run at an edge of the window has data on one side at the most.
    let held = |day: Day| window.contains(day) && series.days.holds(day);
    runs.retain(|run| run.len() <= LONGEST_DOUBT && held(run.first().plus(-1)) && held(run.end()));
    runs
}
