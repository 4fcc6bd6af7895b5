//! What is kept of customers: contracts as a history, personal data as it is now.

use std::collections::BTreeMap;

use sqlx::{FromRow, Row as _};

use super::connect::Link;
use super::facts::{Asked, prm_of, series_state};
use super::types::{Date, Stamp, day, i2, i4, seconds};
use super::{offpeak, sql};
use crate::domain::contract::{Contracts, Term};
use crate::domain::{CustomerDataset, Day, Direction, paris};
use crate::store::customer::{cells, fares};
use crate::store::{
    Closed, ClosedCall, CustomerContent, CustomerFacts, CustomerStatus, CustomerUpdate, MeterId, PutOff, SourceId,
    StoreError,
};

type FactsRow = (i32, String, String, i16, i32, i16, Option<String>, Option<String>, Option<i64>, Option<Stamp>, i64);
type StatusRow = (String, String, String, i16, i16, Option<String>, Option<String>, Option<Stamp>, Option<i64>);

/// A row of the history of contracts.
struct TermRow(Term);

impl FromRow<'_, sqlx::postgres::PgRow> for TermRow {
    fn from_row(row: &sqlx::postgres::PgRow) -> Result<Self, sqlx::Error> {
        let date = |place: usize| Ok::<_, sqlx::Error>(day(row.try_get::<Option<Date>, _>(place)?));
        Ok(Self(Term {
            valid_from: row.try_get::<Date, _>(0)?.0,
            segment: row.try_get(1)?,
            subscribed_va: row.try_get(2)?,
            tariff: row.try_get(3)?,
            off_peak: row.try_get(4)?,
            activated_on: date(5)?,
            starts_on: date(6)?,
            kind: row.try_get(7)?,
            status: row.try_get(8)?,
            tariff_label: row.try_get(9)?,
            meter_type: row.try_get(10)?,
            level: row.try_get(11)?,
        }))
    }
}

/// How the datasets about customers fare, in the order of the configuration.
pub(super) async fn facts(link: &mut Link, asked: &Asked) -> Result<Vec<CustomerFacts>, StoreError> {
    let rows = link.query_as(sql::CUSTOMERS).bind(asked.meters());
    let rows: Vec<FactsRow> = rows.fetch_all(&mut link.conn).await?;
    let mut all = Vec::with_capacity(rows.len());
    for (meter, prm, name, dataset, source, state, code, message, not_before, last_success_at, seen) in rows {
        all.push(CustomerFacts {
            meter: MeterId(meter.into()),
            prm: prm_of(&prm)?,
            name,
            about: about_of(dataset)?,
            source: SourceId(source.into()),
            state: fares(series_state(state)?, seconds(last_success_at)),
            code,
            message,
            not_before,
            last_success_at: seconds(last_success_at),
            seen,
        });
    }
    Ok(all)
}

/// Since when there are measures, as contracts say.
pub(super) async fn floors(link: &mut Link, asked: &Asked) -> Result<BTreeMap<(MeterId, Direction), Day>, StoreError> {
    let rows = link.query_as(sql::FLOORS).bind(asked.meters());
    let rows: Vec<(i32, i16, Date)> = rows.fetch_all(&mut link.conn).await?;
    let direction = |id: i16| Direction::ALL.into_iter().find(|direction| direction.id() == i64::from(id));
    let of = |(meter, id, day): (i32, i16, Date)| Some(((MeterId(meter.into()), direction(id)?), day.0));
    Ok(rows.into_iter().filter_map(of).collect())
}

/// The calls that each source does not take from this application, by their paths.
pub(super) async fn closed(link: &mut Link) -> Result<BTreeMap<i32, BTreeMap<String, Closed>>, StoreError> {
    let rows: Vec<(i32, String, String, i64)> = link.query_as(sql::CLOSED_CALLS).fetch_all(&mut link.conn).await?;
    let mut all: BTreeMap<i32, BTreeMap<String, Closed>> = BTreeMap::new();
    for (source, path, code, not_before) in rows {
        all.entry(source).or_default().insert(path, Closed { code, not_before });
    }
    Ok(all)
}

/// The same for people.
pub(super) async fn closed_by_name(link: &mut Link) -> Result<Vec<ClosedCall>, StoreError> {
    let rows: Vec<(String, String, String)> = link.query_as(sql::CLOSED_BY_NAME).fetch_all(&mut link.conn).await?;
    Ok(rows.into_iter().map(|(source, path, code)| ClosedCall { source, path, code }).collect())
}

/// The lines of `linkyd status`, in the order of the configuration.
pub(super) async fn status(link: &mut Link) -> Result<Vec<CustomerStatus>, StoreError> {
    let rows: Vec<StatusRow> = link.query_as(sql::CUSTOMER_STATUS).fetch_all(&mut link.conn).await?;
    let mut all = Vec::with_capacity(rows.len());
    for (prm, name, source, dataset, state, code, message, last_success_at, next_try_at) in rows {
        all.push(CustomerStatus {
            prm: prm_of(&prm)?,
            name,
            source,
            about: about_of(dataset)?,
            state: fares(series_state(state)?, seconds(last_success_at)),
            code,
            message,
            last_success_at: seconds(last_success_at),
            next_try_at,
        });
    }
    Ok(all)
}

/// Keeps what was said of a customer, and how that dataset fares now. The counter of its row from then on. `earlier` is
/// what an attempt came to whose end nobody knows.
pub(super) async fn keep(link: &mut Link, update: &CustomerUpdate, earlier: Option<&i64>) -> Result<i64, StoreError> {
    let meets = link.query_as(sql::CUSTOMER_MEETS).bind(i4(update.meter.0)).bind(i2(update.about.id()));
    let meets: Option<(Option<i64>, i64, i16, Option<String>)> = meets.fetch_optional(&mut link.conn).await?;
    let Some((held_by, seen, state, code)) = meets else { return Err(StoreError::Superseded) };
    // What was kept has given the lease back and left its state: where it is otherwise, nothing was, whatever the
    // counter says, which another instance may have moved just as far.
    let returned = update.lease.is_none_or(|lease| held_by != Some(lease.0));
    let as_kept = returned && (state, &code) == (i2(update.state.id()), &update.code);
    if let Some(kept) = earlier.filter(|kept| as_kept && **kept == seen) {
        return Ok(*kept);
    }
    let is_ours = match update.lease {
        Some(lease) => held_by == Some(lease.0),
        None => seen == update.seen,
    };
    if !is_ours {
        return Err(StoreError::Superseded);
    }
    match &update.content {
        Some(CustomerContent::Contracts(contracts)) => keep_contracts(link, update, contracts).await?,
        Some(personal) => keep_personal(link, update, personal).await?,
        None => {}
    }
    let state = link
        .query_as(sql::CUSTOMER_STATE)
        .bind(i4(update.source.0))
        .bind(i2(update.state.id()))
        .bind(update.code.clone())
        .bind(update.message.clone())
        .bind(update.not_before)
        .bind(update.content.as_ref().map(|_| Stamp(update.asked_at)))
        .bind(i4(update.meter.0))
        .bind(i2(update.about.id()))
        .bind(update.lease.is_some());
    let seen: Option<(i64,)> = state.fetch_optional(&mut link.conn).await?;
    Ok(seen.map_or(0, |(seen,)| seen))
}

/// Notes that datasets wait, but for those of which others know more by now.
pub(super) async fn put_off(link: &mut Link, waiting: &[CustomerFacts], why: &PutOff) -> Result<(), StoreError> {
    let rows: BTreeMap<(i32, i16), i64> =
        waiting.iter().map(|facts| ((i4(facts.meter.0), i2(facts.about.id())), facts.seen)).collect();
    let (meters, datasets): (Vec<i32>, Vec<i16>) = rows.keys().copied().unzip();
    link.query(sql::SERIES_LOCK)
        .bind(meters.clone())
        .bind(datasets.clone())
        .bind(Vec::<i32>::new())
        .bind(Vec::<i16>::new())
        .bind(None::<i64>)
        .execute(&mut link.conn)
        .await?;
    link.query(sql::SERIES_STATES)
        .bind(meters)
        .bind(datasets)
        .bind(vec![i2(why.state().id()); rows.len()])
        .bind(vec![why.code.clone(); rows.len()])
        .bind(vec![why.message.clone(); rows.len()])
        .bind(vec![why.not_before; rows.len()])
        .bind(rows.into_values().map(Some).collect::<Vec<_>>())
        .execute(&mut link.conn)
        .await?;
    Ok(())
}

async fn keep_contracts(link: &mut Link, update: &CustomerUpdate, contracts: &Contracts) -> Result<(), StoreError> {
    let today = paris::day_of(update.asked_at);
    for direction in Direction::ALL {
        let (meter, way) = (i4(update.meter.0), i2(direction.id()));
        let stored = link.query_as(sql::CONTRACT_NEWEST).bind(meter).bind(way);
        let stored: Option<TermRow> = stored.fetch_optional(&mut link.conn).await?;
        let stored = stored.map(|TermRow(term)| term);
        let Some(next) = contracts.follow(direction, stored.as_ref(), today) else { continue };
        link.query(sql::CONTRACT_PUT)
            .bind(meter)
            .bind(way)
            .bind(Date(next.valid_from))
            .bind(next.segment)
            .bind(next.subscribed_va)
            .bind(next.tariff)
            .bind(next.off_peak)
            .bind(next.activated_on.map(Date))
            .bind(next.starts_on.map(Date))
            .bind(next.kind)
            .bind(next.status)
            .bind(next.tariff_label)
            .bind(next.meter_type)
            .bind(next.level)
            .bind(Stamp(update.asked_at))
            .execute(&mut link.conn)
            .await?;
    }
    offpeak::learn(link).await
}

async fn keep_personal(link: &mut Link, update: &CustomerUpdate, content: &CustomerContent) -> Result<(), StoreError> {
    let statement = match content.about() {
        CustomerDataset::Address => sql::ADDRESS_PUT,
        CustomerDataset::Identity => sql::IDENTITY_PUT,
        CustomerDataset::Contact | CustomerDataset::Contract => sql::CONTACT_PUT,
    };
    let mut put = link.query(statement).bind(i4(update.meter.0)).bind(Stamp(update.asked_at));
    for cell in cells(content) {
        put = put.bind(cell);
    }
    put.execute(&mut link.conn).await?;
    Ok(())
}

fn about_of(id: i16) -> Result<CustomerDataset, StoreError> {
    CustomerDataset::from_id(id.into())
        .ok_or_else(|| StoreError::Inconsistent { table: "series", what: format!("there is no dataset {id}") })
}
