//! The journal of calls, which is the budget: a line is there before its call is made.
//!
//! All instances on a database share it. Whoever decides holds the account's row, so decisions come
//! one after the other; whoever is to ask for a series takes its lease in the same transaction
//! (docs/architecture.md). The order is always account, then series.

use super::connect::Link;
use super::skew::Skew;
use super::types::{Date, i2, i4};
use super::{effects, sql};
use crate::budget::{self, Limits, Usage, Verdict};
use crate::source::Pool;
use crate::store::{CallEnd, CallId, Effect, LEASE_MS, Lease, NewCall, Pause, Reserved, SourceId, Spent, StoreError};

/// Outcome of a call that brought what was asked for, or the certainty that there is nothing.
pub(super) const ANSWERED: i16 = 1;

/// Outcome of a call that was refused or failed.
const REFUSED: i16 = 0;

/// A series that somebody else just touches is looked at again after this long.
const TOUCHED_MS: i64 = 1_000;

/// The server's time, when some calls started (the latest, and one for each limit), and what the
/// source said it still takes, until when.
type UsageRow = (i64, Option<i64>, Option<i64>, Option<i64>, Option<i64>, Option<i64>, Option<i64>, Option<i64>);

/// An account and its rest: until when, code, message, refusals, strikes.
type RestRow = (i32, Option<i64>, Option<String>, Option<String>, i32, i32);

/// What a wish to make a call came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decided {
    /// Its line is there.
    Written {
        call: CallId,
        /// When the call starts, by the server's clock: how far that is ahead of the machine's may have been
        /// measured anew by the time the line is looked for.
        at: i64,
        lease: Option<CallId>,
    },
    /// There is none.
    Refused(Reserved),
}

impl Decided {
    /// The same as the caller sees it, in the machine's time.
    pub(super) fn told(self, skew: &Skew) -> Reserved {
        match self {
            Self::Written { call, at, lease } => Reserved::Go { call, at_ms: skew.to_machine(at), lease },
            Self::Refused(why) => why,
        }
    }
}

/// Decides on the journal's lines and adds one. `earlier` is what an attempt came to whose end
/// nobody knows.
pub(super) async fn reserve(
    link: &mut Link,
    skew: &Skew,
    call: &NewCall,
    limits: &Limits,
    now_ms: i64,
    earlier: Option<&Decided>,
) -> Result<Decided, StoreError> {
    let series = call.asks.map(|asks| (i4(asks.meter().0), i2(asks.dataset_id())));
    let days = call.asks.and_then(crate::store::Asks::days);
    let account: Option<(i32, Option<i64>)> =
        link.query_as(sql::ACCOUNT_LOCK).bind(i4(call.source.0)).fetch_optional(&mut link.conn).await?;
    let Some((account, rests_until)) = account else {
        return Err(StoreError::Inconsistent { table: "source", what: "there is no source of that number".to_owned() });
    };
    // Only now: the earlier attempt may still have been at its end, and held the account until it was over.
    if let Some(written @ Decided::Written { call: number, at, lease }) = earlier {
        let made = link.query_as(sql::CALL_MADE).bind(number.0).bind(*at);
        if let Some((server_now,)) = made.fetch_optional(&mut link.conn).await? {
            if skew.now(server_now, now_ms) <= *at + budget::LATE_MS {
                return Ok(*written);
            }
            // Nobody has made the call, and now it would come too close to others: it gets a new start.
            link.query(sql::CALL_TAKE_BACK).bind(number.0).execute(&mut link.conn).await?;
            if let (true, Some((meter, dataset))) = (*lease == Some(*number), series) {
                let let_go = link.query(sql::SERIES_LET_GO).bind(meter).bind(dataset).bind(number.0);
                let_go.execute(&mut link.conn).await?;
            }
        }
    }
    // A limit of nothing counts as a limit of one: it can only be more careful.
    let behind = |limit: u32| i64::from(limit.max(1)) - 1;
    let kept = limits.per_day.zip(call.keep).map(|(per_day, keep)| per_day.saturating_sub(keep.calls));
    let (server_now, last, second, hour, day, keep, told_left, told_until): UsageRow = link
        .query_as(sql::USAGE)
        .bind(account)
        .bind(i2(call.pool.id()))
        .bind(behind(limits.per_second))
        .bind(limits.per_hour.map(behind))
        .bind(limits.per_day.map(behind))
        .bind(kept.map(behind))
        .fetch_one(&mut link.conn)
        .await?;
    let now = skew.now(server_now, now_ms);
    // The source may have been left to rest by another process, or for another source's calls.
    if let Some(until) = rests_until.filter(|until| *until > now && !call.despite_rest) {
        return Ok(Decided::Refused(Reserved::Rests(skew.to_machine(until))));
    }
    let held = match hold(link, call, now).await? {
        Hold::Refused(Reserved::Taken(until)) => {
            return Ok(Decided::Refused(Reserved::Taken(skew.to_machine(until))));
        }
        Hold::Refused(why) => return Ok(Decided::Refused(why)),
        Hold::Free(held) => held,
    };
    let usage = Usage { last, second, hour, day, keep, told: told_left.zip(told_until) };
    let at = match budget::decide(now, &usage, limits, call.keep) {
        Verdict::Go { at } => at.max(now + i64::from(call.lead_ms)),
        Verdict::Wait { until, limit } => {
            return Ok(Decided::Refused(Reserved::Wait(Verdict::Wait { until: skew.to_machine(until), limit })));
        }
    };
    let (number,): (i64,) = link
        .query_as(sql::CALL_ADD)
        .bind(account)
        .bind(at)
        .bind(call.asked_at)
        .bind(i4(call.source.0))
        .bind(i2(call.pool.id()))
        .bind(call.api.map(crate::domain::Api::name))
        .bind(series.map(|(meter, _)| meter))
        .bind(series.map(|(_, dataset)| dataset))
        .bind(days.map(|days| Date(days.first())))
        .bind(days.map(|days| Date(days.end())))
        .fetch_one(&mut link.conn)
        .await?;
    let mut lease = None;
    if let (Some(held), Some((meter, dataset))) = (held, series) {
        let token = held.token.unwrap_or(CallId(number));
        let until = (at + LEASE_MS).max(held.until.unwrap_or(i64::MIN));
        let take = link.query(sql::SERIES_HOLD).bind(meter).bind(dataset).bind(token.0).bind(until);
        take.execute(&mut link.conn).await?;
        lease = Some(token);
    }
    Ok(Decided::Written { call: CallId(number), at, lease })
}

/// What stands in the way of a lease.
enum Hold {
    /// Nothing; `None` where there is no series to hold.
    Free(Option<Held>),
    /// Somebody, or news.
    Refused(Reserved),
}

/// A series that may be held: the caller's token where it is the caller's already, until when.
struct Held {
    token: Option<CallId>,
    until: Option<i64>,
}

/// Looks whether the series of a call may be held.
async fn hold(link: &mut Link, call: &NewCall, now: i64) -> Result<Hold, StoreError> {
    let (Some(seen), Some(asks)) = (call.seen, call.asks) else {
        return Ok(Hold::Free(None));
    };
    let (meter, dataset) = (i4(asks.meter().0), i2(asks.dataset_id()));
    let take = link.query_as(sql::SERIES_TAKE).bind(meter).bind(dataset);
    let row: Option<(Option<i64>, Option<i64>, i64)> = take.fetch_optional(&mut link.conn).await?;
    let Some((held_by, until, counter)) = row else {
        let there = link.query_as::<(i64,)>(sql::SERIES_SEEN).bind(meter).bind(dataset);
        return Ok(match there.fetch_optional(&mut link.conn).await? {
            Some(_) => Hold::Refused(Reserved::Taken(now + TOUCHED_MS)),
            None => Hold::Free(None),
        });
    };
    match (held_by.map(CallId), until) {
        // Nobody else can have changed what the caller holds.
        (Some(holder), _) if call.lease == Some(holder) => Ok(Hold::Free(Some(Held { token: Some(holder), until }))),
        (Some(_), Some(until)) if until > now => Ok(Hold::Refused(Reserved::Taken(until))),
        _ if counter != seen => Ok(Hold::Refused(Reserved::Changed)),
        _ => Ok(Hold::Free(Some(Held { token: None, until: None }))),
    }
}

/// Whether the one who ends a call still holds its series.
pub(super) fn still_holds(lease: Option<Lease>, held_by: Option<i64>) -> Result<(), StoreError> {
    match lease {
        Some(lease) if held_by != Some(lease.token.0) => Err(StoreError::Superseded),
        _ => Ok(()),
    }
}

/// Whether the lease is kept when a call ends.
pub(super) fn keeps(lease: Option<Lease>) -> bool {
    // Who took no lease does not end another's.
    lease.is_none_or(|lease| lease.keep)
}

/// Waits until an attempt is over whose end nobody knows: it may still be at its `COMMIT`, and what a
/// statement reads beside the row for which it waits is as old as its beginning.
pub(super) async fn await_the_end(link: &mut Link, call: CallId) -> Result<(), StoreError> {
    link.query(sql::CALL_LOCK).bind(call.0).execute(&mut link.conn).await?;
    Ok(())
}

/// A line of the journal: whether it is complete, its series, and who holds that.
type LineRow = (bool, Option<i32>, Option<i16>, Option<i64>);

/// Ends the line of a call that brought no answer. `earlier` is what an attempt came to whose end
/// nobody knows.
pub(super) async fn settle(
    link: &mut Link,
    skew: &Skew,
    end: &CallEnd,
    effects: &[Effect],
    earlier: Option<&i64>,
) -> Result<i64, StoreError> {
    effects::of_accounts(link, skew, effects).await?;
    if earlier.is_some() {
        await_the_end(link, end.call).await?;
    }
    effects::lock(link, effects, Some(end.call)).await?;
    let found = link.query_as(sql::CALL_MEETS).bind(end.call.0);
    let found: Option<LineRow> = found.fetch_optional(&mut link.conn).await?;
    let Some((complete, meter, dataset, held_by)) = found else { return Err(never_reserved()) };
    if let Some(seen) = earlier.filter(|_| complete) {
        return Ok(*seen);
    }
    still_holds(end.lease, held_by)?;
    let outcome = if end.code.is_some() { REFUSED } else { ANSWERED };
    link.query(sql::CALL_END)
        .bind(end.call.0)
        .bind(outcome)
        .bind(end.status.map(i32::from))
        .bind(end.code.clone())
        .bind(end.duration_ms)
        .execute(&mut link.conn)
        .await?;
    effects::of_series(link, skew, effects).await?;
    // A token belongs to no series.
    let Some((meter, dataset)) = meter.zip(dataset) else { return Ok(0) };
    let release = link.query_as(sql::SERIES_RELEASE).bind(meter).bind(dataset).bind(keeps(end.lease));
    let seen: Option<(i64,)> = release.fetch_optional(&mut link.conn).await?;
    Ok(seen.map_or(0, |(seen,)| seen))
}

/// A call ends that has no line.
pub(super) fn never_reserved() -> StoreError {
    StoreError::Inconsistent { table: "call", what: "a call ends that was never reserved".to_owned() }
}

/// What the account of a source has spent of one counter; nothing where the source is unknown.
pub(super) async fn spent(
    link: &mut Link,
    skew: &Skew,
    source: &str,
    pool: Pool,
    now_ms: i64,
) -> Result<Spent, StoreError> {
    let account = link.query_as(sql::SOURCE_ACCOUNT_BY_NAME).bind(source.to_owned());
    let account: Option<(i32,)> = account.fetch_optional(&mut link.conn).await?;
    let Some((account,)) = account else { return Ok(Spent::default()) };
    let spent = link.query_as(sql::SPENT).bind(account).bind(skew.to_server(now_ms)).bind(i2(pool.id()));
    let (hour, day, told_left) = spent.fetch_one(&mut link.conn).await?;
    Ok(Spent { hour, day, told_left })
}

/// Lifts the rest of a source's account: that which `earlier` found is gone now, if it was committed.
pub(super) async fn resume(
    link: &mut Link,
    skew: &Skew,
    source: &str,
    earlier: Option<&Option<Pause>>,
) -> Result<Option<Pause>, StoreError> {
    let found = link.query_as(sql::RESTING).bind(source.to_owned());
    let found: Option<RestRow> = found.fetch_optional(&mut link.conn).await?;
    let Some((account, until, code, message, refusals, strikes)) = found else { return Ok(None) };
    if until.is_some() || refusals > 0 || strikes > 0 {
        link.query(sql::RESUME).bind(account).execute(&mut link.conn).await?;
        link.query(sql::RESUME_SERIES).bind(account).bind(code.clone()).execute(&mut link.conn).await?;
    }
    let lifted = until.map(|until| Pause { code, message, until_ms: skew.to_machine(until) });
    Ok(lifted.or_else(|| earlier.cloned().flatten()))
}

/// The calls of a source's account since then that brought no token or were refused for it.
pub(super) async fn refused_tokens(
    link: &mut Link,
    skew: &Skew,
    source: SourceId,
    since_ms: i64,
    codes: &[String],
) -> Result<i64, StoreError> {
    let count =
        link.query_as(sql::REFUSED_TOKENS).bind(i4(source.0)).bind(skew.to_server(since_ms)).bind(codes.to_vec());
    let (count,) = count.fetch_one(&mut link.conn).await?;
    Ok(count)
}
