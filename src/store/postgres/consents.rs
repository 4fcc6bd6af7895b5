//! Journeys to Enedis' page, what they brought, and when consents end.

use std::collections::BTreeMap;

use super::connect::Link;
use super::facts::prm_of;
use super::sql;
use super::types::{Stamp, seconds};
use crate::domain::{Api, Prm};
use crate::store::consents::{covers_of, effective};
use crate::store::{Answered, Authorisation, Brought, EndKnown, Journey, MeterSetup, StoreError, Warning};

type AuthorisationRow =
    (String, String, String, Option<i64>, Stamp, Option<Stamp>, String, bool, Option<Stamp>, String);
type JourneyRow = (String, String, String, String, Stamp, Option<Stamp>, Option<i64>, Option<Stamp>);

/// Every authorisation that is known, by meter and source.
pub(super) async fn authorisations(link: &mut Link) -> Result<Vec<Authorisation>, StoreError> {
    let rows: Vec<AuthorisationRow> = link.query_as(sql::AUTHORISATIONS).fetch_all(&mut link.conn).await?;
    let read = |row: AuthorisationRow| {
        let (prm, source, api, number, granted_at, until, learnt, ended, checked_at, covers) = row;
        Ok(Authorisation {
            prm: prm_of(&prm)?,
            source,
            api: api_of(&api, "authorisation")?,
            number,
            granted_at: granted_at.0,
            until: seconds(until),
            learnt: EndKnown::from_name(&learnt),
            ended,
            checked_at: seconds(checked_at),
            covers: covers_of(&covers),
        })
    };
    rows.into_iter().map(read).collect()
}

/// Notes authorisations, in the place of what was known of the same meters at the same sources.
pub(super) async fn authorise(link: &mut Link, known: &[Authorisation]) -> Result<(), StoreError> {
    for one in known {
        link.query(sql::AUTHORISATION_PUT)
            .bind(one.prm.full().to_owned())
            .bind(one.source.clone())
            .bind(one.api.name())
            .bind(one.number)
            .bind(Stamp(one.granted_at))
            .bind(one.until.map(Stamp))
            .bind(one.learnt.name())
            .bind(one.ended)
            .bind(one.checked_at.map(Stamp))
            .bind(one.covers_text())
            .execute(&mut link.conn)
            .await?;
    }
    Ok(())
}

/// Notes what looks found out.
pub(super) async fn note_looks(link: &mut Link, seen: &[Authorisation]) -> Result<(), StoreError> {
    for one in seen {
        link.query(sql::AUTHORISATION_SEEN)
            .bind(one.prm.full().to_owned())
            .bind(one.source.clone())
            .bind(Stamp(one.granted_at))
            .bind(one.until.map(Stamp))
            .bind(one.learnt.name())
            .bind(one.ended)
            .bind(one.checked_at.map(Stamp))
            .bind(one.covers_text())
            .execute(&mut link.conn)
            .await?;
    }
    Ok(())
}

/// Writes down when the consents for these meters end.
pub(super) async fn put(link: &mut Link, meters: &[&MeterSetup]) -> Result<(), StoreError> {
    let mut known: BTreeMap<Prm, Vec<Authorisation>> = BTreeMap::new();
    for one in authorisations(link).await? {
        known.entry(one.prm.clone()).or_default().push(one);
    }
    let ends: Vec<_> =
        meters.iter().map(|meter| effective(meter, known.get(&meter.prm).into_iter().flatten())).collect();
    link.query(sql::CONSENTS_PUT)
        .bind(meters.iter().map(|meter| meter.prm.full().to_owned()).collect::<Vec<_>>())
        .bind(ends.iter().map(|end| end.as_ref().map(|end| Stamp(end.until))).collect::<Vec<_>>())
        .bind(ends.iter().map(|end| end.as_ref().and_then(|end| end.source.clone())).collect::<Vec<_>>())
        .bind(ends.iter().map(|end| end.as_ref().and_then(|end| end.granted_at).map(Stamp)).collect::<Vec<_>>())
        .bind(ends.iter().map(|end| end.as_ref().map(|end| end.learnt.name().to_owned())).collect::<Vec<_>>())
        .execute(&mut link.conn)
        .await?;
    Ok(())
}

/// The consents of which nobody was warned yet as urgently as now; notes that somebody was.
pub(super) async fn warn(
    link: &mut Link,
    now: i64,
    earlier: Option<&Vec<Warning>>,
) -> Result<Vec<Warning>, StoreError> {
    let rows: Vec<(String, Stamp)> =
        link.query_as(sql::CONSENTS_WARN).bind(Stamp(now)).fetch_all(&mut link.conn).await?;
    let found = rows.into_iter().map(|(name, until)| Warning { name, until: until.0 });
    // What an attempt found whose end was not heard of has been noted by now, if it was committed.
    let mut warnings: Vec<Warning> = earlier.cloned().unwrap_or_default();
    for warning in found {
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
    warnings.sort_by(|a, b| (a.until, &a.name).cmp(&(b.until, &b.name)));
    Ok(warnings)
}

/// Begins a journey, and forgets those that are of no use any more.
pub(super) async fn begin(link: &mut Link, journey: &Journey) -> Result<(), StoreError> {
    link.query(sql::JOURNEYS_FORGET).bind(Stamp(journey.begun_at)).execute(&mut link.conn).await?;
    link.query(sql::JOURNEY_PUT)
        .bind(journey.state.clone())
        .bind(journey.source.clone())
        .bind(journey.api.name())
        .bind(journey.duration.clone())
        .bind(Stamp(journey.begun_at))
        .execute(&mut link.conn)
        .await?;
    Ok(())
}

/// A journey.
pub(super) async fn journey(link: &mut Link, state: &str) -> Result<Option<Journey>, StoreError> {
    let row: Option<JourneyRow> =
        link.query_as(sql::JOURNEY_GET).bind(state.to_owned()).fetch_optional(&mut link.conn).await?;
    row.map(journey_of).transpose()
}

/// Notes that a journey was answered, and what that brought; `None` where there is no such journey.
pub(super) async fn answer(
    link: &mut Link,
    state: &str,
    brought: &Brought,
    now: i64,
    earlier: Option<&Option<Answered>>,
) -> Result<Option<Answered>, StoreError> {
    let note = link
        .query(sql::JOURNEY_ANSWER)
        .bind(state.to_owned())
        .bind(Stamp(now))
        .bind(brought.number())
        .bind(brought.done_at(now).map(Stamp));
    let mut first = note.execute(&mut link.conn).await?.rows_affected() == 1;
    if first {
        authorise(link, brought.consents()).await?;
    } else if let Some(number) = brought.number() {
        link.query(sql::JOURNEY_CORRECT).bind(state.to_owned()).bind(number).execute(&mut link.conn).await?;
    }
    // An attempt whose end was not heard of was ours too.
    first |= earlier.is_some_and(|earlier| earlier.as_ref().is_some_and(|answered| answered.first));
    Ok(journey(link, state).await?.map(|journey| Answered { journey, first }))
}

/// Stores what a journey came to, and that it is over.
pub(super) async fn finish(link: &mut Link, state: &str, given: &[Authorisation], now: i64) -> Result<(), StoreError> {
    authorise(link, given).await?;
    link.query(sql::JOURNEY_FINISH).bind(state.to_owned()).bind(Stamp(now)).execute(&mut link.conn).await?;
    Ok(())
}

/// The journeys that brought an authorisation whose meter is not known yet, the newest first.
pub(super) async fn unfinished(link: &mut Link) -> Result<Vec<Journey>, StoreError> {
    let rows: Vec<JourneyRow> = link.query_as(sql::JOURNEYS_UNFINISHED).fetch_all(&mut link.conn).await?;
    rows.into_iter().map(journey_of).collect()
}

fn journey_of(row: JourneyRow) -> Result<Journey, StoreError> {
    let (state, source, api, duration, begun_at, answered_at, number, done_at) = row;
    let api = api_of(&api, "journey")?;
    let (begun_at, answered_at, done_at) = (begun_at.0, seconds(answered_at), seconds(done_at));
    Ok(Journey { state, source, api, duration, begun_at, answered_at, number, done_at })
}

fn api_of(name: &str, table: &'static str) -> Result<Api, StoreError> {
    Api::from_name(name).ok_or_else(|| StoreError::Inconsistent { table, what: format!("there is no API {name:?}") })
}
