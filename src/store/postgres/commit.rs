//! An answer becomes rows: readings, revisions, day records, the series, the journal's line and
//! what else was learnt, in one transaction.
//!
//! The series' row is locked first, with those of others that the answer says something about, so
//! nobody else stores anything of it meanwhile. What is stored already is read and compared (see
//! [`crate::store::compare`]), so that only what differs is written and every replaced value leaves a
//! revision: whatever the day records say, since rows may stand without theirs, as in a copy that was
//! interrupted.

mod registers;
mod spoilt;

use std::collections::{BTreeMap, BTreeSet};

use super::connect::Link;
use super::copying::Rows;
use super::facts::{DayRow, record};
use super::skew::Skew;
use super::types::{Date, Stamp, i2, i4};
use super::{calendar, effects, ledger, raw, readings, sql};
use crate::domain::registers::Doubt;
use crate::domain::{CurvePoint, Day, DayEnergy, DayObservation, DayRecord, Kind, PeakPower, Values, paris};
use crate::store::compare::{self, Change, Held, Revision};
use crate::store::{Answer, Committed, Spoilt, StoreError};

/// What an answer meets: whether its line is there and complete, whether its series is, who holds
/// it; and the minutes, summers and numbers of the source's kinds of intervals.
type MeetsRow = (bool, bool, bool, Option<i64>, Option<Vec<i32>>, Option<Vec<i16>>, Option<Vec<i16>>);

/// A stored peak: day, VA, wall time, instant, source.
type PeakRow = (Date, i64, Option<i32>, Option<Stamp>, i32);

/// The numbers of what intervals have in common, by minutes and summer time.
type Kinds = BTreeMap<(i32, i16), i16>;

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

/// Stores an answer. `earlier` is what an attempt came to whose end nobody knows.
pub(super) async fn commit(
    link: &mut Link,
    skew: &Skew,
    answer: &Answer,
    earlier: Option<&Committed>,
) -> Result<Committed, StoreError> {
    effects::of_accounts(link, skew, &answer.effects).await?;
    if earlier.is_some() {
        ledger::await_the_end(link, answer.end.call).await?;
    }
    effects::lock(link, &answer.effects, Some(answer.end.call)).await?;
    let (meter, dataset) = (i4(answer.meter.0), i2(answer.dataset.id()));
    let (journalled, complete, series, held_by, minutes, summers, ids): MeetsRow = link
        .query_as(sql::ANSWER_MEETS)
        .bind(meter)
        .bind(dataset)
        .bind(i4(answer.source.0))
        .bind(answer.end.call.0)
        .fetch_one(&mut link.conn)
        .await?;
    if !journalled {
        return Err(ledger::never_reserved());
    }
    if let Some(done) = earlier.filter(|_| complete) {
        return Ok(done.clone());
    }
    ledger::still_holds(answer.end.lease, held_by)?;
    if !series {
        let add = link.query(sql::SERIES_ADD).bind(meter).bind(dataset).bind(i4(answer.source.0));
        add.execute(&mut link.conn).await?;
    }
    let shapes = minutes.unwrap_or_default().into_iter().zip(summers.unwrap_or_default());
    let kinds: Kinds = shapes.zip(ids.unwrap_or_default()).collect();
    let before = days_before(link, answer).await?;
    // A day that has a record is in the calendar already, with its hours if it is one of a curve.
    if !answer.covered.iter().all(|day| before.binary_search_by_key(&day, |(d, _)| *d).is_ok()) {
        let hours = (answer.dataset.kind() == Kind::LoadCurve).then_some(answer.covered);
        calendar::hold(link, Some(answer.covered), hours).await?;
    }
    let stored = values(link, answer, kinds).await?;
    let (days, changed) = compare::records(answer, &before, &stored.seen);
    cover(link, answer, &changed).await?;
    keep(link, answer, &stored.revisions).await?;
    if let Some(raw) = &answer.raw {
        let of = (answer.meter, answer.dataset, answer.source);
        raw::add(link, answer.end.call, of, answer.covered, answer.asked_at, raw).await?;
    }
    let mut seen = noted(link, answer).await?;
    if !answer.effects.is_empty() {
        effects::of_series(link, skew, &answer.effects).await?;
        let counter = link.query_as(sql::SERIES_SEEN).bind(meter).bind(dataset);
        (seen,) = counter.fetch_one(&mut link.conn).await?;
    }
    Ok(Committed { inserted: stored.inserted, changed: stored.changed, days, seen, doubts: stored.doubts })
}

/// Takes out what is spoilt, and stores values that were read again from a kept answer.
pub(super) async fn restore(
    link: &mut Link,
    answer: &Answer,
    spoilt: &[Spoilt],
    earlier: Option<&Committed>,
) -> Result<Committed, StoreError> {
    let (meter, dataset) = (i4(answer.meter.0), i2(answer.dataset.id()));
    let (_, _, _, _, minutes, summers, ids): MeetsRow = link
        .query_as(sql::ANSWER_MEETS)
        .bind(meter)
        .bind(dataset)
        .bind(i4(answer.source.0))
        .bind(answer.end.call.0)
        .fetch_one(&mut link.conn)
        .await?;
    let shapes = minutes.unwrap_or_default().into_iter().zip(summers.unwrap_or_default());
    let kinds: Kinds = shapes.zip(ids.unwrap_or_default()).collect();
    let before = days_before(link, answer).await?;
    let hours = (answer.dataset.kind() == Kind::LoadCurve).then_some(answer.covered);
    calendar::hold(link, Some(answer.covered), hours).await?;
    let mut gone = Vec::new();
    for one in spoilt {
        if spoilt::take_out(link, answer, one).await? {
            gone.push(Revision::of_spoilt(one));
        }
    }
    let Stored { inserted, changed, seen, mut revisions, doubts } = values(link, answer, kinds).await?;
    revisions.extend(gone);
    let (days, differ) = compare::recounted(answer, &before, &seen);
    cover(link, answer, &differ).await?;
    keep(link, answer, &revisions).await?;
    link.query(sql::SERIES_TOLD).bind(meter).bind(dataset).execute(&mut link.conn).await?;
    let committed = Committed { inserted, changed, days, seen: 0, doubts };
    // Where an attempt was committed whose end nobody heard of, this one finds nothing to do.
    Ok(earlier.filter(|_| inserted + changed == 0).cloned().unwrap_or(committed))
}

/// Compares the values with the stored ones, and stores them.
async fn values(link: &mut Link, answer: &Answer, kinds: Kinds) -> Result<Stored, StoreError> {
    match &answer.values {
        Values::Curve(points) => curve(link, answer, points, kinds).await,
        Values::Energy(days) => energy(link, answer, days).await,
        Values::Peaks(days) => peaks(link, answer, days).await,
        Values::Registers(readings) => registers::put(link, answer, readings).await,
    }
}

/// The records of the days covered, and of the day before them: its last interval may reach into
/// the first day covered.
async fn days_before(link: &mut Link, answer: &Answer) -> Result<Vec<(Day, DayRecord)>, StoreError> {
    let rows: Vec<DayRow> = link
        .query_as(sql::COVERAGE_OF)
        .bind(i4(answer.meter.0))
        .bind(i2(answer.dataset.id()))
        .bind(Date(answer.covered.first().plus(-1)))
        .bind(Date(answer.covered.end()))
        .fetch_all(&mut link.conn)
        .await?;
    rows.iter().map(|row| Ok((row.0.0, record(row)?))).collect()
}

/// Notes the answer in its series and in its line of the journal; the series' counter from now on.
async fn noted(link: &mut Link, answer: &Answer) -> Result<i64, StoreError> {
    let newest = compare::newest(answer);
    let (seen,) = link
        .query_as(sql::ANSWERED)
        .bind(i4(answer.meter.0))
        .bind(i2(answer.dataset.id()))
        .bind(Stamp(answer.asked_at))
        .bind(i2(answer.dataset.direction().id()))
        .bind(newest.map(|(start, _)| Stamp(start)))
        .bind(newest.map(|(_, minutes)| i4(minutes)))
        .bind(answer.end.call.0)
        .bind(answer.end.status.map(i32::from))
        .bind(answer.end.code.clone())
        .bind(i64::try_from(answer.values.len()).unwrap_or(i64::MAX))
        .bind(answer.end.duration_ms)
        .bind(ledger::keeps(answer.end.lease))
        .fetch_one(&mut link.conn)
        .await?;
    Ok(seen)
}

/// Writes the day records that changed.
async fn cover(link: &mut Link, answer: &Answer, changed: &[(Day, DayRecord)]) -> Result<(), StoreError> {
    if changed.is_empty() {
        return Ok(());
    }
    let records = || changed.iter().map(|(_, record)| record);
    link.query(sql::COVERAGE_PUT)
        .bind(i4(answer.meter.0))
        .bind(i2(answer.dataset.id()))
        .bind(changed.iter().map(|(day, _)| Date(*day)).collect::<Vec<_>>())
        .bind(records().map(|r| i2(r.state.id())).collect::<Vec<_>>())
        .bind(records().map(|r| r.stored).collect::<Vec<_>>())
        .bind(records().map(|r| r.expected).collect::<Vec<_>>())
        .bind(records().map(|r| r.checked_at.map(Stamp)).collect::<Vec<_>>())
        .bind(records().map(|r| r.first_left_out).collect::<Vec<_>>())
        .bind(records().map(|r| r.next_try.map(Stamp)).collect::<Vec<_>>())
        .bind(records().map(|r| r.certain).collect::<Vec<_>>())
        .bind(records().map(|r| r.last_try).collect::<Vec<_>>())
        .execute(&mut link.conn)
        .await?;
    Ok(())
}

/// Compares intervals with the stored ones, and stores them.
async fn curve(link: &mut Link, answer: &Answer, points: &[CurvePoint], kinds: Kinds) -> Result<Stored, StoreError> {
    let (meter, direction) = (i4(answer.meter.0), i2(answer.dataset.direction().id()));
    let (start, end) = (paris::start_of(answer.covered.first()), paris::start_of(answer.covered.end()));
    // The longest interval is an hour: one that starts earlier cannot reach the first day.
    let rows = link.query_as(sql::CURVE_HELD).bind(meter).bind(direction).bind(Stamp(start - 3600)).bind(Stamp(end));
    let rows: Vec<(Stamp, i32, i32, i32)> = rows.fetch_all(&mut link.conn).await?;
    let mut held: Vec<Held<CurvePoint>> = Vec::with_capacity(rows.len());
    for (start, minutes, watts, source) in rows {
        let interval = readings::interval(start, minutes)?;
        held.push((CurvePoint { interval, watts: watts.into() }, source.into()));
    }
    let firm = firm_sources(link, answer, held.is_empty()).await?;
    let change = compare::curve(answer, points, &held, &firm);
    if !change.removed.is_empty() {
        let removed: Vec<Stamp> = change.removed.iter().map(|start| Stamp(*start)).collect();
        let remove = link.query(sql::CURVE_REMOVE).bind(meter).bind(direction).bind(removed);
        remove.execute(&mut link.conn).await?;
    }
    if !change.put.is_empty() {
        let kinds = kinds_of(link, answer.source.0, kinds, &change.put).await?;
        let watts = change.put.iter().map(|point| i32::try_from(point.watts)).collect::<Result<Vec<_>, _>>();
        let watts = watts.map_err(|_| StoreError::Inconsistent {
            table: "load_curve",
            what: "a power is too high to be one".to_owned(),
        })?;
        let starts = change.put.iter().map(|point| Stamp(point.interval.start));
        // As a rule the last interval of the day before is there, and in nobody's way.
        let is_there = |start: i64| held.binary_search_by_key(&start, |(point, _)| point.interval.start).is_ok();
        if change.put.iter().any(|point| is_there(point.interval.start)) {
            let put = link.query(sql::CURVE_PUT).bind(meter).bind(direction).bind(starts.collect::<Vec<_>>());
            put.bind(watts).bind(kinds).execute(&mut link.conn).await?;
        } else {
            let rows = starts.zip(watts).zip(kinds).map(|((start, watts), kind)| (start, watts, kind));
            copy(link, meter, direction, rows).await?;
        }
    }
    stored(link, answer, change).await
}

/// Adds intervals where there are none.
async fn copy(
    link: &mut Link,
    meter: i32,
    direction: i16,
    intervals: impl ExactSizeIterator<Item = (Stamp, i32, i16)>,
) -> Result<(), StoreError> {
    let mut rows = Rows::of(5, intervals.len());
    for (start, watts, kind) in intervals {
        rows.begin();
        rows.field(Some(&start.on_wire().to_be_bytes()));
        rows.field(Some(&meter.to_be_bytes()));
        rows.field(Some(&watts.to_be_bytes()));
        rows.field(Some(&direction.to_be_bytes()));
        rows.field(Some(&kind.to_be_bytes()));
    }
    rows.send(link, sql::CURVE_COPY).await?;
    Ok(())
}

/// The number of what each interval has in common with others.
async fn kinds_of(
    link: &mut Link,
    source: i64,
    mut known: Kinds,
    points: &[CurvePoint],
) -> Result<Vec<i16>, StoreError> {
    let mut kinds = Vec::with_capacity(points.len());
    // The clock only changes on the hour, so points of one hour share the look at its rules.
    let mut last: Option<(i64, i16)> = None;
    for point in points {
        let hour = point.interval.start.div_euclid(3600);
        let summer = match last {
            Some((same, summer)) if same == hour => summer,
            _ => i2(paris::offset_hours(point.interval.start) - 1),
        };
        last = Some((hour, summer));
        let shape = (i32::from(point.interval.step.minutes()), summer);
        let kind = match known.get(&shape) {
            Some(kind) => *kind,
            None => new_kind(link, shape, source).await?,
        };
        known.insert(shape, kind);
        kinds.push(kind);
    }
    Ok(kinds)
}

/// Numbers intervals of that many minutes, in summer time or not, from that source.
async fn new_kind(link: &mut Link, (minutes, summer): (i32, i16), source: i64) -> Result<i16, StoreError> {
    loop {
        let known = link.query_as(sql::KIND_OF).bind(minutes).bind(summer).bind(i4(source));
        if let Some((kind,)) = known.fetch_optional(&mut link.conn).await? {
            return Ok(kind);
        }
        // Where another transaction takes the same number, this waits for its end and adds nothing.
        let add = link.query(sql::KIND_ADD).bind(minutes).bind(summer).bind(i4(source));
        add.execute(&mut link.conn).await?;
    }
}

/// Compares the energy of days with the stored ones, and stores it.
async fn energy(link: &mut Link, answer: &Answer, values: &[DayEnergy]) -> Result<Stored, StoreError> {
    let (meter, direction) = (i4(answer.meter.0), i2(answer.dataset.direction().id()));
    let (first, end) = (Date(answer.covered.first()), Date(answer.covered.end()));
    let rows = link.query_as(sql::ENERGY_HELD).bind(meter).bind(direction).bind(first).bind(end);
    let rows: Vec<(Date, i64, i32)> = rows.fetch_all(&mut link.conn).await?;
    let known = |(day, wh, source): (Date, i64, i32)| (DayEnergy { day: day.0, wh }, i64::from(source));
    let held: Vec<Held<DayEnergy>> = rows.into_iter().map(known).collect();
    let firm = firm_sources(link, answer, held.is_empty()).await?;
    let change = compare::energy(answer, values, &held, &firm);
    if !change.put.is_empty() {
        link.query(sql::ENERGY_PUT)
            .bind(meter)
            .bind(direction)
            .bind(i4(answer.source.0))
            .bind(change.put.iter().map(|value| Date(value.day)).collect::<Vec<_>>())
            .bind(change.put.iter().map(|value| value.wh).collect::<Vec<_>>())
            .execute(&mut link.conn)
            .await?;
    }
    stored(link, answer, change).await
}

/// Compares the peaks of days with the stored ones, and stores them.
async fn peaks(link: &mut Link, answer: &Answer, values: &[PeakPower]) -> Result<Stored, StoreError> {
    let meter = i4(answer.meter.0);
    let (first, end) = (Date(answer.covered.first()), Date(answer.covered.end()));
    let rows = link.query_as(sql::PEAKS_HELD).bind(meter).bind(first).bind(end);
    let rows: Vec<PeakRow> = rows.fetch_all(&mut link.conn).await?;
    let known = |(day, va, local_seconds, at, source): PeakRow| {
        (PeakPower { day: day.0, va, local_seconds, at: at.map(|at| at.0) }, i64::from(source))
    };
    let held: Vec<Held<PeakPower>> = rows.into_iter().map(known).collect();
    let firm = firm_sources(link, answer, held.is_empty()).await?;
    let change = compare::peaks(answer, values, &held, &firm);
    if !change.put.is_empty() {
        link.query(sql::PEAKS_PUT)
            .bind(meter)
            .bind(i4(answer.source.0))
            .bind(change.put.iter().map(|value| Date(value.day)).collect::<Vec<_>>())
            .bind(change.put.iter().map(|value| value.va).collect::<Vec<_>>())
            .bind(change.put.iter().map(|value| value.local_seconds).collect::<Vec<_>>())
            .bind(change.put.iter().map(|value| value.at.map(Stamp)).collect::<Vec<_>>())
            .execute(&mut link.conn)
            .await?;
    }
    stored(link, answer, change).await
}

/// What a change comes to, once it is known which of the disputed values are new.
async fn stored<T>(link: &mut Link, answer: &Answer, change: Change<T>) -> Result<Stored, StoreError> {
    let mut revisions = change.revisions;
    revisions.extend(unheard(link, answer, change.disputed).await?);
    Ok(Stored { inserted: change.inserted, changed: change.changed, seen: change.seen, revisions, doubts: Vec::new() })
}

/// The sources that are Enedis itself; none where the answer comes from one of them, or where
/// nothing is stored yet, since then nothing can disagree.
async fn firm_sources(link: &mut Link, answer: &Answer, nothing_held: bool) -> Result<BTreeSet<i64>, StoreError> {
    if answer.direct || nothing_held {
        return Ok(BTreeSet::new());
    }
    let ids: Vec<(i32,)> = link.query_as(sql::DIRECT_SOURCES).fetch_all(&mut link.conn).await?;
    Ok(ids.into_iter().map(|(id,)| id.into()).collect())
}

/// Those of the disputed values that have no revision yet: a gateway may say the same every day.
async fn unheard(link: &mut Link, answer: &Answer, disputed: Vec<Revision>) -> Result<Vec<Revision>, StoreError> {
    if disputed.is_empty() {
        return Ok(disputed);
    }
    let known: Vec<(i64,)> = link
        .query_as(sql::REVISIONS_KNOWN)
        .bind(i4(answer.meter.0))
        .bind(i2(answer.dataset.id()))
        .bind(disputed.iter().map(|r| Stamp(r.start)).collect::<Vec<_>>())
        .bind(disputed.iter().map(|r| r.old).collect::<Vec<_>>())
        .bind(disputed.iter().map(|r| r.new).collect::<Vec<_>>())
        .bind(disputed.iter().map(|r| i4(r.old_source)).collect::<Vec<_>>())
        .fetch_all(&mut link.conn)
        .await?;
    let known: BTreeSet<i64> = known.into_iter().map(|(place,)| place).collect();
    Ok((0_i64..).zip(disputed).filter(|(place, _)| !known.contains(place)).map(|(_, r)| r).collect())
}

/// Keeps old values.
async fn keep(link: &mut Link, answer: &Answer, revisions: &[Revision]) -> Result<(), StoreError> {
    if revisions.is_empty() {
        return Ok(());
    }
    link.query(sql::REVISIONS_ADD)
        .bind(i4(answer.meter.0))
        .bind(i2(answer.dataset.id()))
        .bind(Stamp(answer.asked_at))
        .bind(revisions.iter().map(|r| Stamp(r.start)).collect::<Vec<_>>())
        .bind(revisions.iter().map(|r| i4(r.minutes)).collect::<Vec<_>>())
        .bind(revisions.iter().map(|r| r.old).collect::<Vec<_>>())
        .bind(revisions.iter().map(|r| r.new).collect::<Vec<_>>())
        .bind(revisions.iter().map(|r| r.old_local_seconds).collect::<Vec<_>>())
        .bind(revisions.iter().map(|r| i4(r.old_source)).collect::<Vec<_>>())
        .bind(revisions.iter().map(|r| r.register.clone()).collect::<Vec<_>>())
        .execute(&mut link.conn)
        .await?;
    Ok(())
}
