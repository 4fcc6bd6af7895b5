//! An answer becomes rows: readings, revisions, day records, the series, the journal's line and
//! what else was learnt, in one transaction.
//!
//! What is stored already is read first and compared (see [`crate::domain::merge`]), so that only
//! what differs is written, in one statement, and every replaced value leaves a revision. Where
//! the day records say that nothing is stored yet there is nothing to read.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;

use super::facts::{DayRow, record};
use super::{calendar, effects, ledger, provenance, rows, sql};
use crate::domain::dispute::give_way;
use crate::domain::merge::{Revised, merge, observe};
use crate::domain::{
    Asked, CurvePoint, Day, DayEnergy, DayObservation, DayRecord, Days, Interval, Kind, PeakPower, Step, Values, paris,
};
use crate::store::{Answer, Committed, StoreError};

/// A stored peak: day, VA, wall time, instant, source.
type PeakRow = (i32, i64, Option<i32>, Option<i64>, i64);

/// What storing the values of an answer came to.
#[derive(Default)]
struct Stored {
    inserted: u64,
    changed: u64,
    /// What is seen now of each day covered, in their order.
    seen: Vec<DayObservation>,
    /// Old values to keep.
    revisions: Vec<Revision>,
}

/// Stores an answer.
pub(super) async fn commit(conn: &mut SqliteConnection, answer: &Answer) -> Result<Committed, StoreError> {
    let (meter, dataset) = (answer.meter.0, answer.dataset.id());
    // From one day earlier: its last interval may reach into the first day covered.
    let before = records(conn, answer, answer.covered.first().plus(-1)).await?;
    // A day that has a record is in the calendar already, with its hours if it is one of a curve.
    if !answer.covered.iter().all(|day| before.binary_search_by_key(&day, |(d, _)| *d).is_ok()) {
        let hours = (answer.dataset.kind() == Kind::LoadCurve).then_some(answer.covered);
        calendar::hold(conn, Some(answer.covered), hours).await?;
    }
    let empty = before.iter().all(|(_, record)| record.stored == 0);
    let stored = match &answer.values {
        Values::Curve(points) => curve(conn, answer, points, empty).await?,
        Values::Energy(days) => energy(conn, answer, days, empty).await?,
        Values::Peaks(days) => peaks(conn, answer, days, empty).await?,
    };
    let days = cover(conn, answer, &before, &stored.seen).await?;
    keep(conn, answer, &stored.revisions).await?;
    if !noted(conn, answer).await? {
        // A series that no configuration names, as an import may bring it; or no such call.
        let add = sqlx::query(sql::SERIES_ADD).bind(meter).bind(dataset).bind(answer.source.0);
        add.execute(&mut *conn).await?;
        if !noted(conn, answer).await? {
            return Err(ledger::never_reserved());
        }
    }
    effects::apply(conn, &answer.effects).await?;
    Ok(Committed { inserted: stored.inserted, changed: stored.changed, days })
}

/// Notes the answer in its series and in its line of the journal; whether both exist.
async fn noted(conn: &mut SqliteConnection, answer: &Answer) -> Result<bool, StoreError> {
    let newest = match &answer.values {
        Values::Curve(points) => points.last().map(|point| point.interval),
        Values::Energy(_) | Values::Peaks(_) => None,
    };
    let update = sqlx::query(sql::ANSWERED)
        .bind(answer.meter.0)
        .bind(answer.dataset.id())
        .bind(answer.asked_at)
        .bind(newest.map(|interval| i64::from(interval.step.minutes())))
        .bind(newest.map(|interval| interval.start))
        .bind(answer.dataset.direction().id())
        .bind(answer.end.call.0)
        .bind(ledger::ANSWERED)
        .bind(answer.end.status)
        .bind(&answer.end.code)
        .bind(i64::try_from(answer.values.len()).unwrap_or(i64::MAX))
        .bind(answer.end.duration_ms);
    Ok(update.execute(conn).await?.rows_affected() == 2)
}

/// The day records from `first` to the end of what the answer covers.
async fn records(
    conn: &mut SqliteConnection,
    answer: &Answer,
    first: Day,
) -> Result<Vec<(Day, DayRecord)>, StoreError> {
    let rows: Vec<DayRow> = sqlx::query_as(sql::COVERAGE_OF)
        .bind(answer.meter.0)
        .bind(answer.dataset.id())
        .bind(first.number())
        .bind(answer.covered.end().number())
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(|row| Ok((Day::from_number(row.0), record(row)?))).collect()
}

/// Writes the records of the days covered, those that changed in one statement.
async fn cover(
    conn: &mut SqliteConnection,
    answer: &Answer,
    before: &[(Day, DayRecord)],
    seen: &[DayObservation],
) -> Result<Vec<(Day, DayRecord)>, StoreError> {
    let asked = Asked {
        at: answer.asked_at,
        window_first: answer.window_first,
        certain: !answer.values.is_empty() || answer.covered.len() == 1,
        exact: answer.exact,
        same_day: answer.same_day,
    };
    let known = |day: Day| before.binary_search_by_key(&day, |(d, _)| *d).ok().and_then(|i| before.get(i)).map(|b| b.1);
    let mut days = Vec::with_capacity(seen.len());
    let mut changed = Vec::new();
    for (day, seen) in answer.covered.iter().zip(seen) {
        let old = known(day);
        let new = old.unwrap_or_else(DayRecord::missing).after(day, *seen, asked);
        days.push((day, new));
        if old != Some(new) {
            changed.push((day, new));
        }
    }
    let shared = [answer.meter.0, answer.dataset.id()];
    rows::COVERAGE
        .put(conn, &shared, &changed, |query, (day, record)| {
            query
                .bind(day.number())
                .bind(record.state.id())
                .bind(record.stored)
                .bind(record.expected)
                .bind(record.checked_at)
                .bind(record.first_left_out)
                .bind(record.next_try)
                .bind(record.certain)
                .bind(record.last_try)
        })
        .await?;
    Ok(days)
}

/// Stores intervals.
async fn curve(
    conn: &mut SqliteConnection,
    answer: &Answer,
    points: &[CurvePoint],
    empty: bool,
) -> Result<Stored, StoreError> {
    let (meter, direction) = (answer.meter.0, answer.dataset.direction().id());
    let (start, end) = (paris::start_of(answer.covered.first()), paris::start_of(answer.covered.end()));
    // The longest interval is an hour: one that starts earlier cannot reach the first day.
    let held: Vec<(i64, i64, i64, i64)> = if empty {
        Vec::new()
    } else {
        sqlx::query_as(sql::CURVE_HELD)
            .bind(meter)
            .bind(direction)
            .bind(start - 3600)
            .bind(end)
            .fetch_all(&mut *conn)
            .await?
    };
    let mut stored = Vec::with_capacity(held.len());
    for (start, minutes, watts, _) in &held {
        let step = Step::from_minutes(*minutes).ok_or_else(|| StoreError::Inconsistent {
            table: "load_curve",
            what: format!("an interval has {minutes} minutes"),
        })?;
        stored.push(CurvePoint { interval: Interval { start: *start, step }, watts: *watts });
    }
    let firm_sources = provenance::firm_sources(conn, answer, held.is_empty()).await?;
    let from = |point: &CurvePoint| held.iter().find(|row| row.0 == point.interval.start).map(|row| row.3);
    let firm: Vec<CurvePoint> =
        stored.iter().filter(|p| from(p).is_some_and(|s| firm_sources.contains(&s))).copied().collect();
    let (points, disputed) = give_way(&firm, points);
    let merged = merge(&stored, &points);
    if merged.left_out > 0 {
        // Measured values are dropped here and nowhere else; that must not go unseen.
        tracing::warn!(
            dataset = %answer.dataset,
            days = %answer.covered,
            left_out = merged.left_out,
            "intervals of another length overlap stored ones without covering them; the stored ones stay"
        );
    }
    let source_of = |start| held.iter().find(|row| row.0 == start).map_or(answer.source.0, |row| row.3);
    let revision = |revised: &Revised| Revision {
        start: revised.old.interval.start,
        minutes: i64::from(revised.old.interval.step.minutes()),
        old: revised.old.watts,
        new: revised.new_watts,
        old_local_seconds: None,
        old_source: source_of(revised.old.interval.start),
    };
    let mut revisions: Vec<Revision> = merged.revised.iter().map(revision).collect();
    let disputed = disputed.iter().map(|disputed| Revision {
        start: disputed.came.interval.start,
        minutes: i64::from(disputed.came.interval.step.minutes()),
        old: disputed.came.watts,
        new: disputed.stays,
        old_local_seconds: None,
        old_source: answer.source.0,
    });
    revisions.extend(provenance::unheard(conn, answer, disputed.collect()).await?);
    for start in &merged.removed {
        sqlx::query(sql::CURVE_REMOVE).bind(meter).bind(direction).bind(start).execute(&mut *conn).await?;
    }
    let put = with_kinds(conn, answer.source.0, &merged.put).await?;
    rows::CURVE
        .put(conn, &[meter, direction], &put, |query, (point, kind)| {
            query.bind(point.interval.start).bind(*kind).bind(point.watts)
        })
        .await?;
    Ok(Stored {
        inserted: merged.inserted,
        changed: merged.revised.len() as u64,
        seen: answer.covered.iter().map(|day| observe(day, &merged.after)).collect(),
        revisions,
    })
}

/// Adds to each interval the number of what it has in common with others.
async fn with_kinds(
    conn: &mut SqliteConnection,
    source: i64,
    points: &[CurvePoint],
) -> Result<Vec<(CurvePoint, i64)>, StoreError> {
    let mut known = BTreeMap::new();
    let mut with_kinds = Vec::with_capacity(points.len());
    // The clock only changes on the hour, so points of one hour share the look at its rules.
    let mut hour = None;
    for point in points {
        let start = point.interval.start;
        let summer = match hour {
            Some((number, summer)) if number == start.div_euclid(3600) => summer,
            _ => paris::offset_hours(start) - 1,
        };
        hour = Some((start.div_euclid(3600), summer));
        let shape = (i64::from(point.interval.step.minutes()), summer);
        let kind = match known.get(&shape) {
            Some(kind) => *kind,
            None => kind_of(conn, shape, source).await?,
        };
        known.insert(shape, kind);
        with_kinds.push((*point, kind));
    }
    Ok(with_kinds)
}

/// The number of intervals of that many minutes, in summer time or not, from that source.
async fn kind_of(conn: &mut SqliteConnection, (minutes, summer): (i64, i64), source: i64) -> Result<i64, StoreError> {
    let get = sqlx::query_as(sql::KIND_GET).bind(minutes).bind(summer).bind(source);
    if let Some((id,)) = get.fetch_optional(&mut *conn).await? {
        return Ok(id);
    }
    let add = sqlx::query(sql::KIND_ADD).bind(minutes).bind(summer).bind(source);
    Ok(add.execute(conn).await?.last_insert_rowid())
}

/// Stores the energy of days.
async fn energy(
    conn: &mut SqliteConnection,
    answer: &Answer,
    values: &[DayEnergy],
    empty: bool,
) -> Result<Stored, StoreError> {
    let (meter, direction) = (answer.meter.0, answer.dataset.direction().id());
    let held: Vec<(i32, i64, i64)> = if empty {
        Vec::new()
    } else {
        sqlx::query_as(sql::ENERGY_HELD)
            .bind(meter)
            .bind(direction)
            .bind(answer.covered.first().number())
            .bind(answer.covered.end().number())
            .fetch_all(&mut *conn)
            .await?
    };
    let firm = provenance::firm_sources(conn, answer, held.is_empty()).await?;
    let (mut put, mut stored, mut disputed) = (Vec::new(), Stored::default(), Vec::new());
    for value in values {
        match held.iter().find(|(day, _, _)| *day == value.day.number()) {
            Some((_, wh, _)) if *wh == value.wh => continue,
            Some((_, wh, source)) if firm.contains(source) => {
                disputed.push(Revision::of_day(value.day, value.wh, *wh, answer.source.0));
                continue;
            }
            Some((_, wh, source)) => {
                stored.changed += 1;
                stored.revisions.push(Revision::of_day(value.day, *wh, value.wh, *source));
            }
            None => stored.inserted += 1,
        }
        put.push(*value);
    }
    rows::ENERGY
        .put(conn, &[meter, direction, answer.source.0], &put, |query, value| {
            query.bind(value.day.number()).bind(value.wh)
        })
        .await?;
    stored.revisions.extend(provenance::unheard(conn, answer, disputed).await?);
    let days = held.iter().map(|row| Day::from_number(row.0)).chain(put.iter().map(|value| value.day));
    stored.seen = one_a_day(answer.covered, days);
    Ok(stored)
}

/// Stores the peaks of days.
async fn peaks(
    conn: &mut SqliteConnection,
    answer: &Answer,
    values: &[PeakPower],
    empty: bool,
) -> Result<Stored, StoreError> {
    let meter = answer.meter.0;
    let held: Vec<PeakRow> = if empty {
        Vec::new()
    } else {
        sqlx::query_as(sql::PEAKS_HELD)
            .bind(meter)
            .bind(answer.covered.first().number())
            .bind(answer.covered.end().number())
            .fetch_all(&mut *conn)
            .await?
    };
    let firm = provenance::firm_sources(conn, answer, held.is_empty()).await?;
    let (mut put, mut stored, mut disputed) = (Vec::new(), Stored::default(), Vec::new());
    for value in values {
        match held.iter().find(|row| row.0 == value.day.number()) {
            // The same value without its instant says less than we know.
            Some((_, va, local, at, _))
                if *va == value.va
                    && ((*local, *at) == (value.local_seconds, value.at) || value.local_seconds.is_none()) =>
            {
                continue;
            }
            Some((_, va, local, _, source)) if (*va != value.va || local.is_some()) && firm.contains(source) => {
                let revision = Revision {
                    old_local_seconds: value.local_seconds,
                    ..Revision::of_day(value.day, value.va, *va, answer.source.0)
                };
                disputed.push(revision);
                continue;
            }
            // An instant that was not known before replaces nothing.
            Some((_, va, None, _, _)) if *va == value.va => {}
            Some((_, va, local, _, source)) => {
                stored.changed += 1;
                let revision =
                    Revision { old_local_seconds: *local, ..Revision::of_day(value.day, *va, value.va, *source) };
                stored.revisions.push(revision);
            }
            None => stored.inserted += 1,
        }
        put.push(*value);
    }
    rows::PEAKS
        .put(conn, &[meter, answer.source.0], &put, |query, value| {
            query.bind(value.day.number()).bind(value.va).bind(value.local_seconds).bind(value.at)
        })
        .await?;
    stored.revisions.extend(provenance::unheard(conn, answer, disputed).await?);
    let days = held.iter().map(|row| Day::from_number(row.0)).chain(put.iter().map(|value| value.day));
    stored.seen = one_a_day(answer.covered, days);
    Ok(stored)
}

/// Keeps old values.
async fn keep(conn: &mut SqliteConnection, answer: &Answer, revisions: &[Revision]) -> Result<(), StoreError> {
    let shared = [answer.meter.0, answer.dataset.id(), answer.asked_at];
    rows::REVISIONS
        .put(conn, &shared, revisions, |query, old| {
            query
                .bind(old.start)
                .bind(old.minutes)
                .bind(old.old)
                .bind(old.new)
                .bind(old.old_local_seconds)
                .bind(old.old_source)
        })
        .await?;
    Ok(())
}

/// What is seen of each day of a series that has one value a day.
fn one_a_day(covered: Days, with_value: impl Iterator<Item = Day>) -> Vec<DayObservation> {
    let with_value: std::collections::BTreeSet<Day> = with_value.collect();
    covered
        .iter()
        .map(|day| {
            let whole = with_value.contains(&day);
            DayObservation { stored: i32::from(whole), expected: Some(1), whole }
        })
        .collect()
}

/// An old value that is kept.
pub(super) struct Revision {
    pub(super) start: i64,
    pub(super) minutes: i64,
    pub(super) old: i64,
    pub(super) new: i64,
    pub(super) old_local_seconds: Option<i32>,
    pub(super) old_source: i64,
}

impl Revision {
    fn of_day(day: Day, old: i64, new: i64, old_source: i64) -> Self {
        let minutes = paris::minutes_in(day);
        Self { start: paris::start_of(day), minutes, old, new, old_local_seconds: None, old_source }
    }
}
