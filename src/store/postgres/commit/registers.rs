//! Registers become rows, and with them the energy of days by class.

use super::{Date, Link, Stamp, Stored, i2, i4, sql};
use crate::domain::registers::{ClassEnergy, Counts, RegisterReading};
use crate::store::compare::{self, Held, RegisterChange};
use crate::store::{Answer, StoreError};

/// A stored reading: instant, calendar, register, class, whether it is daily, Wh, source.
type Row = (Stamp, String, String, String, bool, i64, i32);

/// The columns of energy by class: days, calendars, classes.
type Columns = (Vec<Date>, Vec<String>, Vec<String>);

/// Compares registers with the stored ones, and stores them.
pub(super) async fn put(link: &mut Link, answer: &Answer, readings: &[RegisterReading]) -> Result<Stored, StoreError> {
    let direction = answer.dataset.direction();
    let (meter, way) = (i4(answer.meter.0), i2(direction.id()));
    let (from, to) = compare::around(answer.covered);
    let held = link.query_as(sql::REGISTERS_HELD).bind(meter).bind(way).bind(Stamp(from)).bind(Stamp(to));
    let held: Vec<Row> = held.fetch_all(&mut link.conn).await?;
    let held: Vec<Held<RegisterReading>> = held
        .into_iter()
        .map(|(read_at, calendar, register, class, daily, wh, source)| {
            let counts = Counts::of(calendar, class);
            (RegisterReading { direction, read_at: read_at.0, daily, counts, register, wh }, source.into())
        })
        .collect();
    let (first, end) = compare::counted_days(answer.covered);
    let counted = link.query_as(sql::COUNTED_HELD).bind(meter).bind(way).bind(Date(first)).bind(Date(end));
    let counted: Vec<(Date, String, String, i64)> = counted.fetch_all(&mut link.conn).await?;
    let counted: Vec<ClassEnergy> = counted
        .into_iter()
        .map(|(day, calendar, class, wh)| ClassEnergy {
            day: day.0,
            direction,
            counts: Counts::of(calendar, class),
            wh,
        })
        .collect();
    let RegisterChange { readings, counted, uncounted, doubts } = compare::registers(answer, readings, &held, &counted);
    if !readings.put.is_empty() {
        let put = || readings.put.iter();
        link.query(sql::REGISTERS_PUT)
            .bind(meter)
            .bind(way)
            .bind(i4(answer.source.0))
            .bind(put().map(|reading| Stamp(reading.read_at)).collect::<Vec<_>>())
            .bind(put().map(|reading| reading.counts.columns().0.to_owned()).collect::<Vec<_>>())
            .bind(put().map(|reading| reading.register.clone()).collect::<Vec<_>>())
            .bind(put().map(|reading| reading.counts.columns().1.to_owned()).collect::<Vec<_>>())
            .bind(put().map(|reading| reading.daily).collect::<Vec<_>>())
            .bind(put().map(|reading| reading.wh).collect::<Vec<_>>())
            .execute(&mut link.conn)
            .await?;
    }
    if !uncounted.is_empty() {
        let (days, calendars, classes) = columns(&uncounted);
        let remove = link.query(sql::COUNTED_REMOVE).bind(meter).bind(way).bind(days).bind(calendars).bind(classes);
        remove.execute(&mut link.conn).await?;
    }
    if !counted.is_empty() {
        let (days, calendars, classes) = columns(&counted);
        let put = link.query(sql::COUNTED_PUT).bind(meter).bind(way).bind(days).bind(calendars).bind(classes);
        put.bind(counted.iter().map(|energy| energy.wh).collect::<Vec<_>>()).execute(&mut link.conn).await?;
    }
    let (inserted, changed) = (readings.inserted, readings.changed);
    Ok(Stored { inserted, changed, seen: readings.seen, revisions: readings.revisions, doubts })
}

fn columns(energy: &[ClassEnergy]) -> Columns {
    let named = || energy.iter().map(|energy| energy.counts.columns());
    (
        energy.iter().map(|energy| Date(energy.day)).collect(),
        named().map(|(calendar, _)| calendar.to_owned()).collect(),
        named().map(|(_, class)| class.to_owned()).collect(),
    )
}
