//! Statements that write many rows at once: the only SQL that is put together at run time.
//!
//! One statement for all rows of an answer is some sixty times faster than one for each. Nothing
//! but the number of rows varies; values are always bound. Intervals come by the hundred and have
//! a shorter way ([`super::sql::CURVE_RUN`]).

use sqlx::SqliteConnection;

use super::batch::Batch;

/// The beginning and the end of a statement with many rows.
#[derive(Debug)]
pub(super) struct Shape {
    /// Up to and with `VALUES`.
    head: &'static str,
    /// Parameters that all rows share; they come first in each row.
    shared: usize,
    /// Parameters of each row.
    own: usize,
    /// After the rows.
    tail: &'static str,
    /// Rows of one statement at the most. Full ones are kept prepared, so this is the usual size of
    /// an answer.
    chunk: usize,
    /// Another usual size, kept prepared too.
    often: usize,
}

/// Energy of days: meter, direction, source; day, wh.
pub(super) const ENERGY: Shape = Shape {
    head: "INSERT INTO daily_energy (meter, direction, source, day, wh) VALUES ",
    shared: 3,
    own: 2,
    tail: " ON CONFLICT (meter, direction, day) DO UPDATE SET wh = excluded.wh, source = excluded.source",
    chunk: 365,
    often: 1,
};

/// Peaks of days: meter, source; day, va, local seconds, instant.
pub(super) const PEAKS: Shape = Shape {
    head: "INSERT INTO max_power (meter, source, day, va, local_seconds, at) VALUES ",
    shared: 2,
    own: 4,
    tail: " ON CONFLICT (meter, day) DO UPDATE SET va = excluded.va, local_seconds = excluded.local_seconds, at = excluded.at, source = excluded.source",
    chunk: 365,
    often: 1,
};

/// Day records: meter, dataset; day and its record.
pub(super) const COVERAGE: Shape = Shape {
    head: "INSERT INTO coverage (meter, dataset, day, state, stored, expected, checked_at, first_left_out, next_try, certain, last_try) VALUES ",
    shared: 2,
    own: 9,
    tail: " ON CONFLICT (meter, dataset, day) DO UPDATE SET state = excluded.state, stored = excluded.stored, expected = excluded.expected, checked_at = excluded.checked_at, first_left_out = excluded.first_left_out, next_try = excluded.next_try, certain = excluded.certain, last_try = excluded.last_try",
    chunk: 365,
    often: 7,
};

/// Registers: meter, direction, source; instant, calendar, register, class, whether it is daily, wh.
pub(super) const REGISTERS: Shape = Shape {
    head: "INSERT INTO register_reading (meter, direction, source, read_at, calendar, register, tariff_class, daily, wh) VALUES ",
    shared: 3,
    own: 6,
    tail: " ON CONFLICT (meter, direction, read_at, calendar, register, tariff_class) DO UPDATE SET daily = excluded.daily, wh = excluded.wh, source = excluded.source",
    chunk: 155,
    often: 5,
};

/// Energy of days by class: meter, direction; day, calendar, class, wh.
pub(super) const BY_CLASS: Shape = Shape {
    head: "INSERT INTO daily_by_class (meter, direction, day, calendar, tariff_class, wh) VALUES ",
    shared: 2,
    own: 4,
    tail: " ON CONFLICT (meter, direction, day, calendar, tariff_class) DO UPDATE SET wh = excluded.wh",
    chunk: 155,
    often: 5,
};

/// Old values: meter, dataset, seen at; start, minutes, old and new value, old wall time, old source, register.
pub(super) const REVISIONS: Shape = Shape {
    head: "INSERT INTO revision (meter, dataset, seen_at, start, minutes, old_value, new_value, old_local_seconds, old_source, register) VALUES ",
    shared: 3,
    own: 7,
    tail: "",
    chunk: 336,
    often: 1,
};

/// Days of the calendar: day, iso, first second, minutes.
pub(super) const CALENDAR: Shape = Shape {
    head: "INSERT INTO calendar (day, iso, starts_epoch, minutes) VALUES ",
    shared: 0,
    own: 4,
    tail: " ON CONFLICT DO NOTHING",
    chunk: 1000,
    often: 1,
};

/// Hours of the clock: start.
pub(super) const HOURS: Shape = Shape {
    head: "INSERT INTO clock_hour (start) VALUES ",
    shared: 0,
    own: 1,
    tail: " ON CONFLICT DO NOTHING",
    chunk: 1000,
    often: 24,
};

/// Every shape, for the test that prepares them.
#[cfg(test)]
pub(super) const ALL: [Shape; 8] = [ENERGY, PEAKS, REGISTERS, BY_CLASS, COVERAGE, REVISIONS, CALENDAR, HOURS];

impl Shape {
    /// The statement for that many rows. Its parameters have no numbers: sqlx asks SQLite for the
    /// name of each, and SQLite looks through all of them for it, so that a thousand numbered ones
    /// take five times as long as the insert itself. Hence shared ones are bound for each row.
    pub(super) fn sql(&self, rows: usize) -> String {
        let columns = self.shared + self.own;
        let mut sql = String::with_capacity(self.head.len() + self.tail.len() + rows * (2 * columns + 2));
        sql.push_str(self.head);
        for row in 0..rows {
            sql.push_str(if row == 0 { "(" } else { ",(" });
            for column in 0..columns {
                sql.push_str(if column == 0 { "?" } else { ",?" });
            }
            sql.push(')');
        }
        sql.push_str(self.tail);
        sql
    }

    /// Writes the rows now; `bind` adds the own parameters of one row.
    pub(super) async fn put<T>(
        &self,
        conn: &mut SqliteConnection,
        shared: &[i64],
        rows: &[T],
        bind: impl Fn(Batch, &T) -> Batch,
    ) -> Result<(), sqlx::Error> {
        for chunk in rows.chunks(self.chunk) {
            self.add(Batch::new(), shared, chunk, &bind).execute(&mut *conn).await?;
        }
        Ok(())
    }

    /// Adds what writes the rows; `bind` adds the own parameters of one row.
    pub(super) fn add<T>(
        &self,
        mut batch: Batch,
        shared: &[i64],
        rows: &[T],
        bind: impl Fn(Batch, &T) -> Batch,
    ) -> Batch {
        batch = batch.expect(rows.len() * (shared.len() + self.own));
        for chunk in rows.chunks(self.chunk) {
            batch = batch.then(&self.sql(chunk.len()));
            for row in chunk {
                for value in shared {
                    batch = batch.bind(*value);
                }
                batch = bind(batch, row);
            }
        }
        let usual = rows.len().is_multiple_of(self.chunk) || rows.len() == self.often;
        if usual { batch } else { batch.seldom() }
    }
}
