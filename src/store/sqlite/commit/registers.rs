//! Registers become rows, and with them the energy of days by class.

use sqlx::SqliteConnection;

use super::{Batch, Stored, rows, sql};
use crate::domain::Day;
use crate::domain::registers::{ClassEnergy, Counts, RegisterReading};
use crate::store::compare::{self, Held, RegisterChange};
use crate::store::{Answer, StoreError};

/// A stored reading: instant, calendar, register, class, whether it is daily, Wh, source.
type Row = (i64, String, String, String, bool, i64, i64);

/// Compares registers with the stored ones, and adds what stores them.
pub(super) async fn put(
    conn: &mut SqliteConnection,
    mut batch: Batch,
    answer: &Answer,
    readings: &[RegisterReading],
) -> Result<(Batch, Stored), StoreError> {
    let direction = answer.dataset.direction();
    let key = [answer.meter.0, direction.id()];
    let (from, to) = compare::around(answer.covered);
    let held: Vec<Row> =
        sqlx::query_as(sql::REGISTERS_HELD).bind(key[0]).bind(key[1]).bind(from).bind(to).fetch_all(&mut *conn).await?;
    let held: Vec<Held<RegisterReading>> = held
        .into_iter()
        .map(|(read_at, calendar, register, class, daily, wh, source)| {
            let counts = Counts::of(calendar, class);
            (RegisterReading { direction, read_at, daily, counts, register, wh }, source)
        })
        .collect();
    let (first, end) = compare::counted_days(answer.covered);
    let counted: Vec<(i32, String, String, i64)> = sqlx::query_as(sql::COUNTED_HELD)
        .bind(key[0])
        .bind(key[1])
        .bind(first.number())
        .bind(end.number())
        .fetch_all(&mut *conn)
        .await?;
    let counted: Vec<ClassEnergy> = counted
        .into_iter()
        .map(|(day, calendar, class, wh)| ClassEnergy {
            day: Day::from_number(day),
            direction,
            counts: Counts::of(calendar, class),
            wh,
        })
        .collect();
    let RegisterChange { readings, counted, uncounted, doubts } = compare::registers(answer, readings, &held, &counted);
    let shared = [key[0], key[1], answer.source.0];
    batch = rows::REGISTERS.add(batch, &shared, &readings.put, |batch, reading| {
        let (calendar, class) = reading.counts.columns();
        let batch = batch.bind(reading.read_at).bind(calendar).bind(&reading.register).bind(class);
        batch.bind(reading.daily).bind(reading.wh)
    });
    for gone in &uncounted {
        let (calendar, class) = gone.counts.columns();
        batch = batch.then(sql::COUNTED_REMOVE).bind(key[0]).bind(key[1]).bind(gone.day.number());
        batch = batch.bind(calendar).bind(class).seldom();
    }
    batch = rows::BY_CLASS.add(batch, &key, &counted, |batch, energy| {
        let (calendar, class) = energy.counts.columns();
        batch.bind(energy.day.number()).bind(calendar).bind(class).bind(energy.wh)
    });
    let (inserted, changed) = (readings.inserted, readings.changed);
    Ok((batch, Stored { inserted, changed, seen: readings.seen, revisions: readings.revisions, doubts }))
}
