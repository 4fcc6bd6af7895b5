//! An answer becomes rows: readings, revisions, day records, the series, the journal's line and
//! what else was learnt, in one transaction.
//!
//! What is stored already is read first and compared (see [`crate::store::compare`]), so that only
//! what differs is written, in one statement, and every replaced value leaves a revision: whatever
//! the day records say, since rows may stand without theirs, as in a copy that was interrupted.

mod registers;
mod spoilt;

use std::collections::BTreeMap;

use sqlx::{FromRow, SqliteConnection};

use super::batch::Batch;
use super::connect::End;
use super::facts::record;
use super::{calendar, effects, ledger, provenance, raw, rows, sql};
use crate::domain::registers::Doubt;
use crate::domain::{
    CurvePoint, Day, DayEnergy, DayObservation, DayRecord, Interval, Kind, PeakPower, Step, Values, paris,
};
use crate::store::compare::{self, Change, Held, Revision};
use crate::store::{Answer, Committed, Spoilt, StoreError};

/// A stored peak: day, VA, wall time, instant, source.
type PeakRow = (i32, i64, Option<i32>, Option<i64>, i64);

/// A day and its record, in the order of [`DayRecord`]; JSON has no column that says yes or no.
type DayJson = (i32, i64, i32, Option<i32>, Option<i64>, Option<i64>, Option<i64>, i64, i64);

/// What storing the values of an answer came to.
struct Stored {
    inserted: u64,
    changed: u64,
    /// What is seen now of each day covered, in their order.
    seen: Vec<DayObservation>,
    /// Old values to keep.
    revisions: Vec<Revision>,
    /// What is odd about registers.
    doubts: Vec<(Day, Doubt)>,
}

/// Summer and winter time last longer than this (in seconds).
const FEW_WEEKS: i64 = 60 * 86_400;

/// What an answer meets.
struct Before {
    /// The day records, from the day before what it covers: that day's last interval may reach
    /// into the first day covered.
    days: Vec<(Day, DayRecord)>,
    /// The numbers of what the source's intervals have in common, by minutes and summer time.
    kinds: BTreeMap<(i64, i64), i64>,
    /// Whether the series has a row.
    series: bool,
    /// Whether the call has a line in the journal.
    line: bool,
}

/// Stores an answer: a whole transaction.
pub(super) async fn commit(conn: &mut SqliteConnection, answer: &Answer) -> Result<End<Committed>, StoreError> {
    let before = before(conn, answer).await?;
    if !before.line {
        return Err(ledger::never_reserved());
    }
    // A day that has a record is in the calendar already, with its hours if it is one of a curve.
    if !answer.covered.iter().all(|day| before.days.binary_search_by_key(&day, |(d, _)| *d).is_ok()) {
        let hours = (answer.dataset.kind() == Kind::LoadCurve).then_some(answer.covered);
        calendar::hold(conn, Some(answer.covered), hours).await?;
    }
    let mut batch = Batch::new();
    if !before.series {
        // No configuration names it, as an import may bring it.
        let (meter, dataset) = (answer.meter.0, answer.dataset.id());
        batch = batch.then(sql::SERIES_ADD).bind(meter).bind(dataset).bind(answer.source.0).seldom();
    }
    let (batch, stored) = values(conn, batch, answer, &before).await?;
    let (days, changed) = compare::records(answer, &before.days, &stored.seen);
    let batch = cover(batch, answer, &changed);
    let batch = keep(batch, answer, &stored.revisions);
    let batch = effects::add(noted(keep_raw(batch, answer), answer), &answer.effects);
    batch.then(sql::COMMIT).execute(conn).await?;
    let Stored { inserted, changed, doubts, .. } = stored;
    Ok(End::Committed(Committed { inserted, changed, days, seen: 0, doubts }))
}

/// Takes out what is spoilt, and stores values that were read again from a kept answer: a whole transaction.
pub(super) async fn restore(
    conn: &mut SqliteConnection,
    answer: &Answer,
    spoilt: &[Spoilt],
) -> Result<End<Committed>, StoreError> {
    let before = before(conn, answer).await?;
    let hours = (answer.dataset.kind() == Kind::LoadCurve).then_some(answer.covered);
    calendar::hold(conn, Some(answer.covered), hours).await?;
    let mut gone = Vec::new();
    for one in spoilt {
        if spoilt::take_out(conn, answer, one).await? {
            gone.push(Revision::of_spoilt(one));
        }
    }
    let (batch, mut stored) = values(conn, Batch::new(), answer, &before).await?;
    stored.revisions.extend(gone);
    let (days, changed) = compare::recounted(answer, &before.days, &stored.seen);
    let batch = keep(cover(batch, answer, &changed), answer, &stored.revisions);
    batch.then(sql::COMMIT).execute(conn).await?;
    let Stored { inserted, changed, doubts, .. } = stored;
    Ok(End::Committed(Committed { inserted, changed, days, seen: 0, doubts }))
}

/// Compares the values with the stored ones, and adds what stores them.
async fn values(
    conn: &mut SqliteConnection,
    batch: Batch,
    answer: &Answer,
    before: &Before,
) -> Result<(Batch, Stored), StoreError> {
    match &answer.values {
        Values::Curve(points) => curve(conn, batch, answer, points, before.kinds.clone()).await,
        Values::Energy(days) => energy(conn, batch, answer, days).await,
        Values::Peaks(days) => peaks(conn, batch, answer, days).await,
        Values::Registers(readings) => registers::put(conn, batch, answer, readings).await,
    }
}

/// Adds what keeps the answer as it came.
fn keep_raw(batch: Batch, answer: &Answer) -> Batch {
    let of = (answer.meter, answer.dataset, answer.source);
    match &answer.raw {
        Some(kept) => raw::add(batch, answer.end.call, of, answer.covered, answer.asked_at, kept),
        None => batch,
    }
}

/// Begins the transaction and looks at what is there.
async fn before(conn: &mut SqliteConnection, answer: &Answer) -> Result<Before, StoreError> {
    let (meter, dataset) = (answer.meter.0, answer.dataset.id());
    let row = Batch::begin()
        .then(sql::ANSWER_MEETS)
        .bind(meter)
        .bind(dataset)
        .bind(answer.covered.first().plus(-1).number())
        .bind(answer.covered.end().number())
        .bind(answer.source.0)
        .bind(meter)
        .bind(dataset)
        .bind(answer.end.call.0)
        .row(conn)
        .await?
        .ok_or(sqlx::Error::RowNotFound)?;
    let (days, kinds, series, line): (String, String, bool, bool) = FromRow::from_row(&row)?;
    let days: Vec<DayJson> = parse("coverage", &days)?;
    let kinds: Vec<(i64, i64, i64)> = parse("interval_kind", &kinds)?;
    let mut before = Before {
        days: Vec::with_capacity(days.len()),
        kinds: kinds.into_iter().map(|(minutes, summer, id)| ((minutes, summer), id)).collect(),
        series,
        line,
    };
    for (day, state, stored, expected, checked_at, first_left_out, next_try, certain, last_try) in days {
        let row = (day, state, stored, expected, checked_at, first_left_out, next_try, certain != 0, last_try != 0);
        before.days.push((Day::from_number(day), record(row)?));
    }
    before.days.sort_unstable_by_key(|(day, _)| *day);
    Ok(before)
}

fn array(values: &[i64]) -> Result<String, StoreError> {
    serde_json::to_string(values).map_err(|error| StoreError::Database(sqlx::Error::Encode(error.into())))
}

fn parse<T: serde::de::DeserializeOwned>(table: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Inconsistent { table, what: error.to_string() })
}

/// Notes the answer in its series and in its line of the journal.
fn noted(batch: Batch, answer: &Answer) -> Batch {
    let newest = compare::newest(answer);
    let (start, step) = (newest.map(|n| n.0), newest.map(|n| n.1));
    batch
        .then(sql::SERIES_ANSWERED)
        .bind(answer.asked_at)
        .bind(answer.asked_at)
        .bind(step)
        .bind(answer.dataset.direction().id())
        .bind(start)
        .bind(step)
        .bind(answer.meter.0)
        .bind(answer.dataset.id())
        .then(sql::CALL_ANSWERED)
        .bind(ledger::ANSWERED)
        .bind(answer.end.status)
        .bind(&answer.end.code)
        .bind(i64::try_from(answer.values.len()).unwrap_or(i64::MAX))
        .bind(answer.end.duration_ms)
        .bind(answer.end.call.0)
}

/// Adds what writes the records of days that changed, in one statement.
fn cover(batch: Batch, answer: &Answer, changed: &[(Day, DayRecord)]) -> Batch {
    let shared = [answer.meter.0, answer.dataset.id()];
    rows::COVERAGE.add(batch, &shared, changed, |batch, (day, record)| {
        batch
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
}

/// Compares intervals with the stored ones, and adds what stores them.
async fn curve(
    conn: &mut SqliteConnection,
    mut batch: Batch,
    answer: &Answer,
    points: &[CurvePoint],
    kinds: BTreeMap<(i64, i64), i64>,
) -> Result<(Batch, Stored), StoreError> {
    let (meter, direction) = (answer.meter.0, answer.dataset.direction().id());
    let (start, end) = (paris::start_of(answer.covered.first()), paris::start_of(answer.covered.end()));
    // The longest interval is an hour: one that starts earlier cannot reach the first day.
    let held = sqlx::query_as(sql::CURVE_HELD).bind(meter).bind(direction).bind(start - 3600).bind(end);
    let held: Vec<(i64, i64, i64, i64)> = held.fetch_all(&mut *conn).await?;
    let mut known: Vec<Held<CurvePoint>> = Vec::with_capacity(held.len());
    for (start, minutes, watts, source) in held {
        let step = Step::from_minutes(minutes).ok_or_else(|| StoreError::Inconsistent {
            table: "load_curve",
            what: format!("an interval has {minutes} minutes"),
        })?;
        known.push((CurvePoint { interval: Interval { start, step }, watts }, source));
    }
    let firm = provenance::firm_sources(conn, answer, known.is_empty()).await?;
    let change = compare::curve(answer, points, &known, &firm);
    for start in &change.removed {
        batch = batch.then(sql::CURVE_REMOVE).bind(meter).bind(direction).bind(start).seldom();
    }
    let put = with_kinds(conn, answer.source.0, kinds, &change.put).await?;
    let runs = runs(&put);
    if runs.len() > 1 {
        batch = batch.seldom();
    }
    for run in runs {
        batch = batch.then(sql::CURVE_RUN).bind(meter).bind(direction);
        batch = batch.bind(run.newest).bind(run.step).bind(run.kind).bind(array(&run.watts)?);
    }
    Ok((batch, stored(conn, answer, change).await?))
}

/// Intervals of one kind without a hole, newest first: that is the order of the key.
struct Run {
    newest: i64,
    oldest: i64,
    step: i64,
    kind: i64,
    watts: Vec<i64>,
}

/// Puts together what can be written together.
fn runs(points: &[(CurvePoint, i64)]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (CurvePoint { interval, watts }, kind) in points.iter().rev() {
        let (start, step) = (interval.start, interval.step.seconds());
        match runs.last_mut() {
            Some(run) if run.kind == *kind && run.oldest - step == start => {
                run.oldest = start;
                run.watts.push(*watts);
            }
            _ => runs.push(Run { newest: start, oldest: start, step, kind: *kind, watts: vec![*watts] }),
        }
    }
    runs
}

/// Adds to each interval the number of what it has in common with others.
async fn with_kinds(
    conn: &mut SqliteConnection,
    source: i64,
    mut known: BTreeMap<(i64, i64), i64>,
    points: &[CurvePoint],
) -> Result<Vec<(CurvePoint, i64)>, StoreError> {
    let mut with_kinds = Vec::with_capacity(points.len());
    // The clock only changes on the hour, so points of one hour share the look at its rules; and
    // all points do where both ends of a few weeks agree, since it changes twice a year.
    let summer = |start| paris::offset_hours(start) - 1;
    let ends = points.first().zip(points.last()).map(|(a, b)| (a.interval.start, b.interval.start));
    let agreed = ends.filter(|(a, b)| b - a < FEW_WEEKS).map(|(a, b)| (summer(a), summer(b)));
    let agreed = agreed.filter(|(a, b)| a == b).map(|(a, _)| a);
    let (mut hour, mut last) = (None, None);
    for point in points {
        let start = point.interval.start;
        let summer = match (agreed, hour) {
            (Some(summer), _) => summer,
            (None, Some((number, summer))) if number == start.div_euclid(3600) => summer,
            _ => summer(start),
        };
        hour = Some((start.div_euclid(3600), summer));
        let shape = (i64::from(point.interval.step.minutes()), summer);
        let kind = match last {
            Some((same, kind)) if same == shape => kind,
            _ => match known.get(&shape) {
                Some(kind) => *kind,
                None => new_kind(conn, shape, source).await?,
            },
        };
        if last != Some((shape, kind)) {
            known.insert(shape, kind);
            last = Some((shape, kind));
        }
        with_kinds.push((*point, kind));
    }
    Ok(with_kinds)
}

/// Numbers intervals of that many minutes, in summer time or not, from that source.
async fn new_kind(conn: &mut SqliteConnection, (minutes, summer): (i64, i64), source: i64) -> Result<i64, StoreError> {
    let add = sqlx::query(sql::KIND_ADD).bind(minutes).bind(summer).bind(source);
    Ok(add.execute(conn).await?.last_insert_rowid())
}

/// Compares the energy of days with the stored ones, and adds what stores it.
async fn energy(
    conn: &mut SqliteConnection,
    batch: Batch,
    answer: &Answer,
    values: &[DayEnergy],
) -> Result<(Batch, Stored), StoreError> {
    let (meter, direction) = (answer.meter.0, answer.dataset.direction().id());
    let (first, end) = (answer.covered.first().number(), answer.covered.end().number());
    let held = sqlx::query_as(sql::ENERGY_HELD).bind(meter).bind(direction).bind(first).bind(end);
    let held: Vec<(i32, i64, i64)> = held.fetch_all(&mut *conn).await?;
    let known = |(day, wh, source)| (DayEnergy { day: Day::from_number(day), wh }, source);
    let held: Vec<Held<DayEnergy>> = held.into_iter().map(known).collect();
    let firm = provenance::firm_sources(conn, answer, held.is_empty()).await?;
    let change = compare::energy(answer, values, &held, &firm);
    let batch = rows::ENERGY.add(batch, &[meter, direction, answer.source.0], &change.put, |batch, value| {
        batch.bind(value.day.number()).bind(value.wh)
    });
    Ok((batch, stored(conn, answer, change).await?))
}

/// Compares the peaks of days with the stored ones, and adds what stores them.
async fn peaks(
    conn: &mut SqliteConnection,
    batch: Batch,
    answer: &Answer,
    values: &[PeakPower],
) -> Result<(Batch, Stored), StoreError> {
    let meter = answer.meter.0;
    let (first, end) = (answer.covered.first().number(), answer.covered.end().number());
    let held = sqlx::query_as(sql::PEAKS_HELD).bind(meter).bind(first).bind(end);
    let held: Vec<PeakRow> = held.fetch_all(&mut *conn).await?;
    let known = |(day, va, local_seconds, at, source)| {
        (PeakPower { day: Day::from_number(day), va, local_seconds, at }, source)
    };
    let held: Vec<Held<PeakPower>> = held.into_iter().map(known).collect();
    let firm = provenance::firm_sources(conn, answer, held.is_empty()).await?;
    let change = compare::peaks(answer, values, &held, &firm);
    let batch = rows::PEAKS.add(batch, &[meter, answer.source.0], &change.put, |batch, value| {
        batch.bind(value.day.number()).bind(value.va).bind(value.local_seconds).bind(value.at)
    });
    Ok((batch, stored(conn, answer, change).await?))
}

/// What a change comes to, once it is known which of the disputed values are new.
async fn stored<T>(conn: &mut SqliteConnection, answer: &Answer, change: Change<T>) -> Result<Stored, StoreError> {
    let mut revisions = change.revisions;
    revisions.extend(provenance::unheard(conn, answer, change.disputed).await?);
    Ok(Stored { inserted: change.inserted, changed: change.changed, seen: change.seen, revisions, doubts: Vec::new() })
}

/// Adds what keeps old values.
fn keep(batch: Batch, answer: &Answer, revisions: &[Revision]) -> Batch {
    let shared = [answer.meter.0, answer.dataset.id(), answer.asked_at];
    rows::REVISIONS.add(batch, &shared, revisions, |batch, old| {
        batch
            .bind(old.start)
            .bind(old.minutes)
            .bind(old.old)
            .bind(old.new)
            .bind(old.old_local_seconds)
            .bind(old.old_source)
            .bind(&old.register)
    })
}
