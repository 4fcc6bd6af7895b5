//! Journeys to Enedis' page, what they brought, and when consents end.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;

use super::facts::prm_of;
use super::sql;
use crate::domain::{Api, Prm};
use crate::store::consents::{covers_of, effective};
use crate::store::{Answered, Authorisation, Brought, EndKnown, Journey, MeterSetup, StoreError, Warning};

type AuthorisationRow = (String, String, String, Option<i64>, i64, Option<i64>, String, bool, Option<i64>, String);
type JourneyRow = (String, String, String, String, i64, Option<i64>, Option<i64>, Option<i64>);

/// Every authorisation that is known, by meter and source.
pub(super) async fn authorisations(conn: &mut SqliteConnection) -> Result<Vec<Authorisation>, StoreError> {
    let rows: Vec<AuthorisationRow> = sqlx::query_as(sql::AUTHORISATIONS).fetch_all(conn).await?;
    let read = |row: AuthorisationRow| {
        let (prm, source, api, number, granted_at, until, learnt, ended, checked_at, covers) = row;
        Ok(Authorisation {
            prm: prm_of(&prm)?,
            source,
            api: api_of(&api, "authorisation")?,
            number,
            granted_at,
            until,
            learnt: EndKnown::from_name(&learnt),
            ended,
            checked_at,
            covers: covers_of(&covers),
        })
    };
    rows.into_iter().map(read).collect()
}

/// Notes authorisations, in the place of what was known of the same meters at the same sources.
pub(super) async fn authorise(conn: &mut SqliteConnection, known: &[Authorisation]) -> Result<(), StoreError> {
    for one in known {
        let put = sqlx::query(sql::AUTHORISATION_PUT)
            .bind(one.prm.full())
            .bind(&one.source)
            .bind(one.api.name())
            .bind(one.number)
            .bind(one.granted_at)
            .bind(one.until)
            .bind(one.learnt.name())
            .bind(one.ended)
            .bind(one.checked_at)
            .bind(one.covers_text());
        put.execute(&mut *conn).await?;
    }
    Ok(())
}

/// Notes what looks found out.
pub(super) async fn note_looks(conn: &mut SqliteConnection, seen: &[Authorisation]) -> Result<(), StoreError> {
    for one in seen {
        let note = sqlx::query(sql::AUTHORISATION_SEEN)
            .bind(one.prm.full())
            .bind(&one.source)
            .bind(one.granted_at)
            .bind(one.until)
            .bind(one.learnt.name())
            .bind(one.ended)
            .bind(one.checked_at)
            .bind(one.covers_text());
        note.execute(&mut *conn).await?;
    }
    Ok(())
}

/// Writes down when the consents for these meters, by their numbers, end.
pub(super) async fn put(conn: &mut SqliteConnection, meters: &[(i64, &MeterSetup)]) -> Result<(), StoreError> {
    let mut known: BTreeMap<Prm, Vec<Authorisation>> = BTreeMap::new();
    for one in authorisations(conn).await? {
        known.entry(one.prm.clone()).or_default().push(one);
    }
    for (id, meter) in meters {
        let consent = match effective(meter, known.get(&meter.prm).into_iter().flatten()) {
            Some(end) => sqlx::query(sql::CONSENT_PUT)
                .bind(id)
                .bind(end.until)
                .bind(end.source)
                .bind(end.granted_at)
                .bind(end.learnt.name()),
            None => sqlx::query(sql::CONSENT_CLEAR).bind(id),
        };
        consent.execute(&mut *conn).await?;
    }
    Ok(())
}

/// The consents of which nobody was warned yet as urgently as now; notes that somebody was.
pub(super) async fn warn(conn: &mut SqliteConnection, now: i64) -> Result<Vec<Warning>, StoreError> {
    let rows: Vec<(String, i64)> = sqlx::query_as(sql::CONSENTS_WARN).bind(now).fetch_all(conn).await?;
    let mut warnings: Vec<Warning> = rows.into_iter().map(|(name, until)| Warning { name, until }).collect();
    warnings.sort_by(|a, b| (a.until, &a.name).cmp(&(b.until, &b.name)));
    Ok(warnings)
}

/// Begins a journey, and forgets those that are of no use any more.
pub(super) async fn begin(conn: &mut SqliteConnection, journey: &Journey) -> Result<(), StoreError> {
    sqlx::query(sql::JOURNEYS_FORGET).bind(journey.begun_at).execute(&mut *conn).await?;
    let put = sqlx::query(sql::JOURNEY_PUT)
        .bind(&journey.state)
        .bind(&journey.source)
        .bind(journey.api.name())
        .bind(&journey.duration)
        .bind(journey.begun_at);
    put.execute(conn).await?;
    Ok(())
}

/// A journey.
pub(super) async fn journey(conn: &mut SqliteConnection, state: &str) -> Result<Option<Journey>, StoreError> {
    let row: Option<JourneyRow> = sqlx::query_as(sql::JOURNEY_GET).bind(state).fetch_optional(conn).await?;
    row.map(journey_of).transpose()
}

/// Notes that a journey was answered, and what that brought; `None` where there is no such journey.
pub(super) async fn answer(
    conn: &mut SqliteConnection,
    state: &str,
    brought: &Brought,
    now: i64,
) -> Result<Option<Answered>, StoreError> {
    let note = sqlx::query(sql::JOURNEY_ANSWER).bind(state).bind(now).bind(brought.number()).bind(brought.done_at(now));
    let first = note.execute(&mut *conn).await?.rows_affected() == 1;
    if first {
        authorise(conn, brought.consents()).await?;
    } else if let Some(number) = brought.number() {
        sqlx::query(sql::JOURNEY_CORRECT).bind(state).bind(number).execute(&mut *conn).await?;
    }
    Ok(journey(conn, state).await?.map(|journey| Answered { journey, first }))
}

/// Stores what a journey came to, and that it is over.
pub(super) async fn finish(
    conn: &mut SqliteConnection,
    state: &str,
    given: &[Authorisation],
    now: i64,
) -> Result<(), StoreError> {
    authorise(conn, given).await?;
    sqlx::query(sql::JOURNEY_FINISH).bind(state).bind(now).execute(conn).await?;
    Ok(())
}

/// The journeys that brought an authorisation whose meter is not known yet, the newest first.
pub(super) async fn unfinished(conn: &mut SqliteConnection) -> Result<Vec<Journey>, StoreError> {
    let rows: Vec<JourneyRow> = sqlx::query_as(sql::JOURNEYS_UNFINISHED).fetch_all(conn).await?;
    rows.into_iter().map(journey_of).collect()
}

fn journey_of(row: JourneyRow) -> Result<Journey, StoreError> {
    let (state, source, api, duration, begun_at, answered_at, number, done_at) = row;
    let api = api_of(&api, "journey")?;
    Ok(Journey { state, source, api, duration, begun_at, answered_at, number, done_at })
}

fn api_of(name: &str, table: &'static str) -> Result<Api, StoreError> {
    Api::from_name(name).ok_or_else(|| StoreError::Inconsistent { table, what: format!("there is no API {name:?}") })
}
