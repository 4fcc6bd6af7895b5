//! Days and instants as the server has them.
//!
//! The domain counts days and seconds since 1970, the server counts days and microseconds since
//! 2000. On the wire both are plain integers, so no library of dates stands in between and nothing
//! depends on the session's time zone or style of dates.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};

use crate::domain::Day;

/// Days from 1970-01-01 to 2000-01-01.
const DAYS: i32 = 10_957;

/// A `date`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Date(pub(super) Day);

/// A `timestamptz`, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp(pub(super) i64);

// Numbers of built-in types, which no server has otherwise.
const DATE: PgTypeInfo = PgTypeInfo::with_oid(Oid(1082));
const DATES: PgTypeInfo = PgTypeInfo::with_oid(Oid(1182));
const STAMP: PgTypeInfo = PgTypeInfo::with_oid(Oid(1184));
const STAMPS: PgTypeInfo = PgTypeInfo::with_oid(Oid(1185));

impl Date {
    /// What the server counts.
    pub(super) fn on_wire(self) -> i32 {
        self.0.number() - DAYS
    }
}

impl Stamp {
    /// What the server counts; an instant that it cannot hold becomes its farthest one.
    pub(super) fn on_wire(self) -> i64 {
        (self.0 - i64::from(DAYS) * 86_400).saturating_mul(1_000_000)
    }
}

impl Type<Postgres> for Date {
    fn type_info() -> PgTypeInfo {
        DATE
    }
}

impl PgHasArrayType for Date {
    fn array_type_info() -> PgTypeInfo {
        DATES
    }
}

impl Encode<'_, Postgres> for Date {
    fn encode_by_ref(&self, buf: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Encode::<Postgres>::encode(self.on_wire(), buf)
    }
}

impl<'r> Decode<'r, Postgres> for Date {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let days: i32 = Decode::<Postgres>::decode(value)?;
        Ok(Self(Day::from_number(days.checked_add(DAYS).ok_or("a date without end")?)))
    }
}

impl Type<Postgres> for Stamp {
    fn type_info() -> PgTypeInfo {
        STAMP
    }
}

impl PgHasArrayType for Stamp {
    fn array_type_info() -> PgTypeInfo {
        STAMPS
    }
}

impl Encode<'_, Postgres> for Stamp {
    fn encode_by_ref(&self, buf: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Encode::<Postgres>::encode(self.on_wire(), buf)
    }
}

impl<'r> Decode<'r, Postgres> for Stamp {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let micros: i64 = Decode::<Postgres>::decode(value)?;
        Ok(Self(micros.div_euclid(1_000_000) + i64::from(DAYS) * 86_400))
    }
}

/// A number as an `int4` has it. Only what is no number of ours does not fit, and finds nothing.
pub(super) fn i4(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// A number as an `int2` has it. Only what is no number of ours does not fit, and finds nothing.
pub(super) fn i2(number: i64) -> i16 {
    i16::try_from(number).unwrap_or(i16::MAX)
}

/// The day of a column that may be empty.
pub(super) fn day(date: Option<Date>) -> Option<Day> {
    date.map(|date| date.0)
}

/// The seconds of a column that may be empty.
pub(super) fn seconds(stamp: Option<Stamp>) -> Option<i64> {
    stamp.map(|stamp| stamp.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_time_begins_in_2000() {
        assert_eq!(Date("2000-01-01".parse().unwrap()).on_wire(), 0);
        assert_eq!(Date("1999-12-31".parse().unwrap()).on_wire(), -1);
        assert_eq!(Stamp(946_684_800).on_wire(), 0);
        assert_eq!(Stamp(946_684_801).on_wire(), 1_000_000);
        assert_eq!(Stamp(i64::MAX).on_wire(), i64::MAX);
    }
}
