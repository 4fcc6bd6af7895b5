//! Rows in the binary format of `COPY`, the shortest way into a table that holds nothing of them
//! yet: the server adds them a page at a time, where an `INSERT` that minds conflicts looks at and
//! logs each by itself.

use super::connect::Link;
use crate::store::StoreError;

/// What the server expects in front of rows in its binary format.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What it expects behind them.
const TRAILER: u16 = u16::MAX;

/// Rows on their way to the server.
#[derive(Debug)]
pub(super) struct Rows {
    bytes: Vec<u8>,
    fields: u16,
}

impl Rows {
    /// Room for so many rows of so many fields each.
    pub(super) fn of(fields: usize, rows: usize) -> Self {
        // A field is a length of four bytes, and four more as a rule.
        let mut bytes = Vec::with_capacity(HEADER.len() + rows * (2 + fields * 9) + 2);
        bytes.extend_from_slice(HEADER);
        Self { bytes, fields: u16::try_from(fields).unwrap_or(u16::MAX) }
    }

    /// Begins a row: its fields follow.
    pub(super) fn begin(&mut self) {
        self.bytes.extend_from_slice(&self.fields.to_be_bytes());
    }

    /// The next field of the row: what the type's binary form is, or NULL.
    pub(super) fn field(&mut self, value: Option<&[u8]>) {
        let length = value.map_or(-1, |value| i32::try_from(value.len()).unwrap_or(i32::MAX));
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(value.unwrap_or_default());
    }

    /// Hands them to `COPY ... FROM STDIN (FORMAT binary)`; how many rows that added.
    pub(super) async fn send(mut self, link: &mut Link, statement: &str) -> Result<u64, StoreError> {
        self.bytes.extend_from_slice(&TRAILER.to_be_bytes());
        let mut copy = link.conn.copy_in_raw(statement).await?;
        copy.send(self.bytes).await?;
        Ok(copy.finish().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_how_many_fields_it_has_and_each_how_long_it_is() {
        let mut rows = Rows::of(2, 1);
        rows.begin();
        rows.field(Some(&7_i16.to_be_bytes()));
        rows.field(None);
        let told = rows.bytes.strip_prefix(HEADER).unwrap();
        assert_eq!(told, [0, 2, 0, 0, 0, 2, 0, 7, 0xff, 0xff, 0xff, 0xff]);
    }
}
