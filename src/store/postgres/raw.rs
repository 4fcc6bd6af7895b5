//! Answers as they came.

use super::connect::Link;
use super::facts::dataset_of;
use super::sql;
use super::types::{Date, i2, i4};
use crate::domain::{Api, Dataset, Days};
use crate::source::Label;
use crate::store::{CallId, KeptAnswer, MeterId, NotKept, Raw, SourceId, StoreError};

/// A kept answer: call, PRM, name, source, direct, days, instant, whether it was read, API, label, body.
type Row = (i64, String, String, i32, bool, Date, Date, i64, bool, String, bool, String);

/// Keeps an answer as it came.
pub(super) async fn add(
    link: &mut Link,
    call: CallId,
    (meter, dataset, source): (MeterId, Dataset, SourceId),
    days: Days,
    asked_at: i64,
    raw: &Raw,
) -> Result<(), StoreError> {
    link.query(sql::RAW_ADD)
        .bind(call.0)
        .bind(i4(meter.0))
        .bind(i2(dataset.id()))
        .bind(i4(source.0))
        .bind(Date(days.first()))
        .bind(Date(days.end()))
        .bind(asked_at)
        .bind(raw.api.name())
        .bind(raw.starts() == 1)
        .bind(raw.body.clone())
        .execute(&mut link.conn)
        .await?;
    Ok(())
}

/// Forgets answers that are older than the newest call by more than so many days.
pub(super) async fn prune(link: &mut Link, days: i32) -> Result<(), StoreError> {
    link.query(sql::RAW_PRUNE).bind(i64::from(days)).execute(&mut link.conn).await?;
    Ok(())
}

/// The series of which answers are kept.
pub(super) async fn series(link: &mut Link) -> Result<Vec<(MeterId, Dataset)>, StoreError> {
    let rows: Vec<(i32, i16)> = link.query_as(sql::RAW_SERIES).fetch_all(&mut link.conn).await?;
    rows.into_iter().map(|(meter, dataset)| Ok((MeterId(meter.into()), dataset_of(dataset)?))).collect()
}

/// Those of one series.
pub(super) async fn kept(link: &mut Link, meter: MeterId, dataset: Dataset) -> Result<Vec<KeptAnswer>, StoreError> {
    let rows = link.query_as(sql::RAW_KEPT).bind(i4(meter.0)).bind(i2(dataset.id()));
    let rows: Vec<Row> = rows.fetch_all(&mut link.conn).await?;
    let mut all = Vec::with_capacity(rows.len());
    for (call, prm, name, source, direct, first, end, asked_at, was_read, api, starts, body) in rows {
        let odd = || StoreError::Inconsistent { table: "raw_answer", what: format!("call {call} has odd days or API") };
        all.push(KeptAnswer {
            call: CallId(call),
            meter,
            prm: prm.parse().map_err(|_| odd())?,
            name,
            dataset,
            source: SourceId(source.into()),
            direct,
            days: Days::new(first.0, end.0).ok_or_else(odd)?,
            asked_at,
            was_read,
            raw: Raw {
                api: Api::from_name(&api).ok_or_else(odd)?,
                label: if starts { Label::Start } else { Label::End },
                body,
            },
        });
    }
    Ok(all)
}

/// Answers of one series that were not kept.
pub(super) async fn not_kept(link: &mut Link, meter: MeterId, dataset: Dataset) -> Result<Vec<NotKept>, StoreError> {
    let rows = link.query_as(sql::RAW_NOT_KEPT).bind(i4(meter.0)).bind(i2(dataset.id()));
    let rows: Vec<(i64, bool, Date, Date)> = rows.fetch_all(&mut link.conn).await?;
    let days = |first: Date, end: Date| Days::new(first.0, end.0);
    let one = |(call, direct, first, end)| Some(NotKept { call: CallId(call), direct, days: days(first, end)? });
    Ok(rows.into_iter().filter_map(one).collect())
}
