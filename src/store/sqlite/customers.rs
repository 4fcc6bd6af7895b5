//! What is kept of customers: contracts as a history, personal data as it is now.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;

use super::facts::{prm_of, series_state};
use super::{offpeak, sql};
use crate::domain::contract::{Contracts, Term};
use crate::domain::{CustomerDataset, Day, Direction, paris};
use crate::store::customer::{cells, fares};
use crate::store::{
    Closed, ClosedCall, CustomerContent, CustomerFacts, CustomerStatus, CustomerUpdate, MeterId, PutOff, SourceId,
    StoreError,
};

type FactsRow = (i64, String, String, i64, i64, i64, Option<String>, Option<String>, Option<i64>, Option<i64>);
type StatusRow = (String, String, String, i64, i64, Option<String>, Option<String>, Option<i64>, Option<i64>);
type TermRow = (
    i32,
    Option<String>,
    Option<i64>,
    Option<String>,
    Option<String>,
    Option<i32>,
    Option<i32>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
);

/// How the datasets about customers fare, in the order of the configuration.
pub(super) async fn facts(conn: &mut SqliteConnection) -> Result<Vec<CustomerFacts>, StoreError> {
    let rows: Vec<FactsRow> = sqlx::query_as(sql::CUSTOMERS).fetch_all(conn).await?;
    let mut all = Vec::with_capacity(rows.len());
    for (meter, prm, name, dataset, source, state, code, message, not_before, last_success_at) in rows {
        all.push(CustomerFacts {
            meter: MeterId(meter),
            prm: prm_of(&prm)?,
            name,
            about: about_of(dataset)?,
            source: SourceId(source),
            state: fares(series_state(state)?, last_success_at),
            code,
            message,
            not_before,
            last_success_at,
            seen: 0,
        });
    }
    Ok(all)
}

/// Since when there are measures, as contracts say.
pub(super) async fn floors(conn: &mut SqliteConnection) -> Result<BTreeMap<(MeterId, Direction), Day>, StoreError> {
    let rows: Vec<(i64, i64, i32)> = sqlx::query_as(sql::FLOORS).fetch_all(conn).await?;
    let direction = |id: i64| Direction::ALL.into_iter().find(|direction| direction.id() == id);
    let of = |(meter, id, day)| Some(((MeterId(meter), direction(id)?), Day::from_number(day)));
    Ok(rows.into_iter().filter_map(of).collect())
}

/// The calls that each source does not take from this application, by their paths.
pub(super) async fn closed(conn: &mut SqliteConnection) -> Result<BTreeMap<i64, BTreeMap<String, Closed>>, StoreError> {
    let rows: Vec<(i64, String, String, i64)> = sqlx::query_as(sql::CLOSED_CALLS).fetch_all(conn).await?;
    let mut all: BTreeMap<i64, BTreeMap<String, Closed>> = BTreeMap::new();
    for (source, path, code, not_before) in rows {
        all.entry(source).or_default().insert(path, Closed { code, not_before });
    }
    Ok(all)
}

/// The same for people.
pub(super) async fn closed_by_name(conn: &mut SqliteConnection) -> Result<Vec<ClosedCall>, StoreError> {
    let rows: Vec<(String, String, String)> = sqlx::query_as(sql::CLOSED_BY_NAME).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|(source, path, code)| ClosedCall { source, path, code }).collect())
}

/// The lines of `linkyd status`, in the order of the configuration.
pub(super) async fn status(conn: &mut SqliteConnection) -> Result<Vec<CustomerStatus>, StoreError> {
    let rows: Vec<StatusRow> = sqlx::query_as(sql::CUSTOMER_STATUS).fetch_all(conn).await?;
    let mut all = Vec::with_capacity(rows.len());
    for (prm, name, source, dataset, state, code, message, last_success_at, next_try_at) in rows {
        all.push(CustomerStatus {
            prm: prm_of(&prm)?,
            name,
            source,
            about: about_of(dataset)?,
            state: fares(series_state(state)?, last_success_at),
            code,
            message,
            last_success_at,
            next_try_at,
        });
    }
    Ok(all)
}

/// Keeps what was said of a customer, and how that dataset fares now.
pub(super) async fn keep(conn: &mut SqliteConnection, update: &CustomerUpdate) -> Result<(), StoreError> {
    match &update.content {
        Some(CustomerContent::Contracts(contracts)) => keep_contracts(conn, update, contracts).await?,
        Some(personal) => keep_personal(conn, update, personal).await?,
        None => {}
    }
    sqlx::query(sql::CUSTOMER_STATE)
        .bind(update.source.0)
        .bind(update.state.id())
        .bind(&update.code)
        .bind(&update.message)
        .bind(update.not_before)
        .bind(update.content.as_ref().map(|_| update.asked_at))
        .bind(update.meter.0)
        .bind(update.about.id())
        .execute(conn)
        .await?;
    Ok(())
}

/// Notes that datasets wait.
pub(super) async fn put_off(
    conn: &mut SqliteConnection,
    waiting: &[CustomerFacts],
    why: &PutOff,
) -> Result<(), StoreError> {
    for facts in waiting {
        sqlx::query(sql::SERIES_STATE)
            .bind(why.state().id())
            .bind(&why.code)
            .bind(&why.message)
            .bind(why.not_before)
            .bind(facts.meter.0)
            .bind(facts.about.id())
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

async fn keep_contracts(
    conn: &mut SqliteConnection,
    update: &CustomerUpdate,
    contracts: &Contracts,
) -> Result<(), StoreError> {
    let today = paris::day_of(update.asked_at);
    for direction in Direction::ALL {
        let (meter, way) = (update.meter.0, direction.id());
        let stored: Option<TermRow> =
            sqlx::query_as(sql::CONTRACT_NEWEST).bind(meter).bind(way).fetch_optional(&mut *conn).await?;
        let Some(next) = contracts.follow(direction, stored.map(term).as_ref(), today) else { continue };
        sqlx::query(sql::CONTRACT_PUT)
            .bind(meter)
            .bind(way)
            .bind(next.valid_from.number())
            .bind(next.segment)
            .bind(next.subscribed_va)
            .bind(next.tariff)
            .bind(next.off_peak)
            .bind(next.activated_on.map(Day::number))
            .bind(next.starts_on.map(Day::number))
            .bind(next.kind)
            .bind(next.status)
            .bind(next.tariff_label)
            .bind(next.meter_type)
            .bind(next.level)
            .bind(update.asked_at)
            .execute(&mut *conn)
            .await?;
    }
    offpeak::learn(conn).await
}

fn term(row: TermRow) -> Term {
    let (from, segment, subscribed_va, tariff, off_peak, activated, starts, kind, status, label, meter_type, level) =
        row;
    Term {
        valid_from: Day::from_number(from),
        segment,
        subscribed_va,
        tariff,
        off_peak,
        activated_on: activated.map(Day::from_number),
        starts_on: starts.map(Day::from_number),
        kind,
        status,
        tariff_label: label,
        meter_type,
        level,
    }
}

/// What it replaces does not stay in the file.
async fn keep_personal(
    conn: &mut SqliteConnection,
    update: &CustomerUpdate,
    content: &CustomerContent,
) -> Result<(), StoreError> {
    sqlx::query(sql::SECURE_DELETE).execute(&mut *conn).await?;
    let statement = match content.about() {
        CustomerDataset::Address => sql::ADDRESS_PUT,
        CustomerDataset::Identity => sql::IDENTITY_PUT,
        CustomerDataset::Contact | CustomerDataset::Contract => sql::CONTACT_PUT,
    };
    let mut put = sqlx::query(statement).bind(update.meter.0).bind(update.asked_at);
    for cell in cells(content) {
        put = put.bind(cell);
    }
    put.execute(&mut *conn).await?;
    sqlx::query(sql::USUAL_DELETE).execute(conn).await?;
    Ok(())
}

fn about_of(id: i64) -> Result<CustomerDataset, StoreError> {
    CustomerDataset::from_id(id)
        .ok_or_else(|| StoreError::Inconsistent { table: "series", what: format!("there is no dataset {id}") })
}
