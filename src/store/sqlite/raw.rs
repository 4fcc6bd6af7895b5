//! Answers as they came.

use sqlx::SqliteConnection;

use super::batch::Batch;
use super::facts::{dataset_of, prm_of};
use super::sql;
use crate::domain::{Api, Dataset, Day, Days};
use crate::source::Label;
use crate::store::{CallId, KeptAnswer, MeterId, NotKept, Raw, SourceId, StoreError};

/// A kept answer: call, PRM, name, source, direct, days, instant, whether it was read, API, label, body.
type Row = (i64, String, String, i64, bool, i32, i32, i64, bool, String, bool, String);

/// Adds what keeps an answer as it came.
pub(super) fn add(
    batch: Batch,
    call: CallId,
    (meter, dataset, source): (MeterId, Dataset, SourceId),
    days: Days,
    asked_at: i64,
    raw: &Raw,
) -> Batch {
    batch
        .then(sql::RAW_ADD)
        .bind(call.0)
        .bind(meter.0)
        .bind(dataset.id())
        .bind(source.0)
        .bind(days.first().number())
        .bind(days.end().number())
        .bind(asked_at)
        .bind(raw.api.name())
        .bind(raw.starts())
        .bind(&raw.body)
}

/// The series of which answers are kept.
pub(super) async fn series(conn: &mut SqliteConnection) -> Result<Vec<(MeterId, Dataset)>, StoreError> {
    let rows: Vec<(i64, i64)> = sqlx::query_as(sql::RAW_SERIES).fetch_all(conn).await?;
    rows.into_iter().map(|(meter, dataset)| Ok((MeterId(meter), dataset_of(dataset)?))).collect()
}

/// Those of one series.
pub(super) async fn kept(
    conn: &mut SqliteConnection,
    meter: MeterId,
    dataset: Dataset,
) -> Result<Vec<KeptAnswer>, StoreError> {
    let rows: Vec<Row> = sqlx::query_as(sql::RAW_KEPT).bind(meter.0).bind(dataset.id()).fetch_all(conn).await?;
    let mut all = Vec::with_capacity(rows.len());
    for (call, prm, name, source, direct, first, end, asked_at, was_read, api, starts, body) in rows {
        let odd = || StoreError::Inconsistent { table: "raw_answer", what: format!("call {call} has odd days or API") };
        all.push(KeptAnswer {
            call: CallId(call),
            meter,
            prm: prm_of(&prm)?,
            name,
            dataset,
            source: SourceId(source),
            direct,
            days: Days::new(Day::from_number(first), Day::from_number(end)).ok_or_else(odd)?,
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
pub(super) async fn not_kept(
    conn: &mut SqliteConnection,
    meter: MeterId,
    dataset: Dataset,
) -> Result<Vec<NotKept>, StoreError> {
    let rows = sqlx::query_as(sql::RAW_NOT_KEPT).bind(meter.0).bind(dataset.id());
    let rows: Vec<(i64, bool, i32, i32)> = rows.fetch_all(conn).await?;
    let days = |first, end| Days::new(Day::from_number(first), Day::from_number(end));
    let one = |(call, direct, first, end)| Some(NotKept { call: CallId(call), direct, days: days(first, end)? });
    Ok(rows.into_iter().filter_map(one).collect())
}
