//! The journal of calls, which is the budget: a line is there before its call is made.

use sqlx::{FromRow as _, SqliteConnection};

use super::batch::Batch;
use super::connect::End;
use super::sql;
use crate::budget::{self, Limits, Usage, Verdict};
use crate::source::Pool;
use crate::store::{CallEnd, CallId, NewCall, Pause, Reserved, SourceId, Spent, StoreError};

/// Outcome of a call that brought what was asked for, or the certainty that there is nothing.
pub(super) const ANSWERED: i64 = 1;

/// Outcome of a call that was refused or failed.
pub(super) const REFUSED: i64 = 0;

/// An account, until when it rests, when some of its calls started (the latest, and one for each
/// limit), and what the source said it still takes, until when.
type UsageRow =
    (i64, Option<i64>, Option<i64>, Option<i64>, Option<i64>, Option<i64>, Option<i64>, Option<i64>, Option<i64>);

/// An account and its rest: until when, code, message, refusals, strikes.
type RestRow = (i64, Option<i64>, Option<String>, Option<String>, i64, i64);

/// Decides on the journal's lines and adds one: a whole transaction. It has the write lock, so
/// nobody decides on the same lines at the same time.
pub(super) async fn reserve(
    conn: &mut SqliteConnection,
    call: &NewCall,
    limits: &Limits,
    now_ms: i64,
) -> Result<End<Reserved>, StoreError> {
    // A limit of nothing counts as a limit of one: it can only be more careful.
    let behind = |limit: Option<u32>| i64::from(limit.unwrap_or(1).max(1)) - 1;
    let kept = limits.per_day.zip(call.keep).map(|(per_day, keep)| per_day.saturating_sub(keep.calls));
    let found = Batch::begin()
        .then(sql::USAGE)
        .bind(behind(Some(limits.per_second)))
        .bind(call.pool.id())
        .bind(behind(limits.per_hour))
        .bind(call.pool.id())
        .bind(behind(limits.per_day))
        .bind(call.pool.id())
        .bind(behind(kept))
        .bind(call.pool.id())
        .bind(call.pool.id())
        .bind(call.source.0)
        .row(conn)
        .await?;
    let Some(found) = found else {
        return Err(StoreError::Inconsistent { table: "source", what: "there is no source of that number".to_owned() });
    };
    let (account, rests_until, last, second, hour, day, keep, told_left, told_until) = UsageRow::from_row(&found)?;
    // The source may have been left to rest by another process, or for another source's calls.
    if let Some(until) = rests_until.filter(|until| *until > now_ms && !call.despite_rest) {
        return Ok(End::Open(Reserved::Rests(until)));
    }
    let usage = Usage {
        last,
        second,
        hour: limits.per_hour.and(hour),
        day: limits.per_day.and(day),
        keep: kept.and(keep),
        told: told_left.zip(told_until),
    };
    let verdict = budget::decide(now_ms, &usage, limits, call.keep);
    let Verdict::Go { at } = verdict else { return Ok(End::Open(Reserved::Wait(verdict))) };
    let asks = call.asks.as_ref();
    let added = Batch::new()
        .then(sql::CALL_ADD)
        .bind(account)
        .bind(at)
        .bind(call.asked_at)
        .bind(call.source.0)
        .bind(call.pool.id())
        .bind(call.api.map(crate::domain::Api::name))
        .bind(asks.map(|asks| asks.meter().0))
        .bind(asks.map(|asks| asks.dataset_id()))
        .bind(asks.and_then(|asks| asks.days()).map(|days| days.first().number()))
        .bind(asks.and_then(|asks| asks.days()).map(|days| days.end().number()))
        .then(sql::COMMIT)
        .execute(conn)
        .await?;
    // One process has the file for itself: no series needs a lease.
    let call = CallId(added.last_insert_rowid());
    Ok(End::Committed(Reserved::Go { call, at_ms: at, lease: None }))
}

/// Completes a line.
pub(super) async fn complete(conn: &mut SqliteConnection, end: &CallEnd, outcome: i64) -> Result<(), StoreError> {
    let done = sqlx::query(sql::CALL_END)
        .bind(end.call.0)
        .bind(outcome)
        .bind(end.status)
        .bind(&end.code)
        .bind(end.duration_ms)
        .execute(conn)
        .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(never_reserved()) }
}

/// A call ends that has no line.
pub(super) fn never_reserved() -> StoreError {
    StoreError::Inconsistent { table: "call", what: "a call ends that was never reserved".to_owned() }
}

/// What the account of a source has spent of one counter; nothing where the source is unknown.
pub(super) async fn spent(
    conn: &mut SqliteConnection,
    source: &str,
    pool: Pool,
    now_ms: i64,
) -> Result<Spent, StoreError> {
    let account: Option<(i64,)> =
        sqlx::query_as(sql::SOURCE_ACCOUNT_BY_NAME).bind(source).fetch_optional(&mut *conn).await?;
    let Some((account,)) = account else { return Ok(Spent::default()) };
    let (hour, day, told_left) =
        sqlx::query_as(sql::SPENT).bind(account).bind(now_ms).bind(pool.id()).fetch_one(conn).await?;
    Ok(Spent { hour, day, told_left })
}

/// Lifts the rest of a source's account.
pub(super) async fn resume(conn: &mut SqliteConnection, source: &str) -> Result<Option<Pause>, StoreError> {
    let found: Option<RestRow> = sqlx::query_as(sql::RESTING).bind(source).fetch_optional(&mut *conn).await?;
    let Some((account, until, code, message, refusals, strikes)) = found else { return Ok(None) };
    if until.is_some() || refusals > 0 || strikes > 0 {
        sqlx::query(sql::RESUME_SERIES).bind(account).bind(&code).execute(&mut *conn).await?;
        sqlx::query(sql::RESUME).bind(account).execute(conn).await?;
    }
    Ok(until.map(|until_ms| Pause { code, message, until_ms }))
}

/// The calls of a source's account since then that brought no token or were refused for it; `codes` is a
/// JSON array.
pub(super) async fn refused_tokens(
    conn: &mut SqliteConnection,
    source: SourceId,
    since_ms: i64,
    codes: &str,
) -> Result<i64, StoreError> {
    let (count,) =
        sqlx::query_as(sql::REFUSED_TOKENS).bind(source.0).bind(since_ms).bind(codes).fetch_one(conn).await?;
    Ok(count)
}
