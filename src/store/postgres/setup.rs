//! What the configuration wants kept. Thousands of meters take a handful of statements, and what
//! is the same already is not written again.

use std::collections::{BTreeMap, BTreeSet};

use super::connect::Link;
use super::types::{i2, i4};
use super::{consents, offpeak, sql};
use crate::store::{MeterSetup, Setup, SourceSetup, StoreError, Switch};

/// A known source: name, kind, account, direct, credentials, configured.
type SourceRow = (String, String, String, bool, String, bool);

/// Makes sources, meters and series those of the configuration. The names of sources whose
/// credentials changed: those that `earlier` found are the same now, if it was committed.
pub(super) async fn set_up(
    link: &mut Link,
    setup: &Setup,
    earlier: Option<&Vec<String>>,
) -> Result<Vec<String>, StoreError> {
    let renewed = sources(link, &setup.sources).await?;
    // By their identifiers, the last one where one comes twice: no statement may meet a row twice.
    let meters: BTreeMap<&str, (i32, &MeterSetup)> =
        (0_i32..).zip(&setup.meters).map(|(position, meter)| (meter.prm.full(), (position, meter))).collect();
    let prms: Vec<String> = meters.keys().map(|prm| (*prm).to_owned()).collect();
    link.query(sql::METERS_PUT)
        .bind(prms.clone())
        .bind(meters.values().map(|(_, meter)| meter.name.clone()).collect::<Vec<_>>())
        .bind(meters.values().map(|(_, meter)| meter.source.clone()).collect::<Vec<_>>())
        .bind(meters.values().map(|(position, _)| *position).collect::<Vec<_>>())
        .execute(&mut link.conn)
        .await?;
    link.query(sql::METERS_LEAVE).bind(prms.clone()).execute(&mut link.conn).await?;
    let unknown = link.query_as(sql::METER_UNKNOWN).bind(prms);
    let unknown: Option<(String,)> = unknown.fetch_optional(&mut link.conn).await?;
    if let Some((_, meter)) = unknown.and_then(|(prm,)| meters.get(prm.as_str()).copied()) {
        let what = format!("the source of meter {} is not configured", meter.prm);
        return Err(StoreError::Inconsistent { table: "meter", what });
    }
    let wanted: Vec<&MeterSetup> = meters.values().map(|(_, meter)| *meter).collect();
    consents::put(link, &wanted).await?;
    let mut series = BTreeMap::new();
    for (_, meter) in meters.values() {
        for (position, dataset) in (0_i32..).zip(meter.dataset_ids()) {
            series.insert((meter.prm.full(), i2(dataset)), position);
        }
    }
    let prms: Vec<String> = series.keys().map(|(prm, _)| (*prm).to_owned()).collect();
    let datasets: Vec<i16> = series.keys().map(|(_, dataset)| *dataset).collect();
    link.query(sql::SERIES_PUT)
        .bind(prms.clone())
        .bind(datasets.clone())
        .bind(series.into_values().collect::<Vec<_>>())
        .execute(&mut link.conn)
        .await?;
    link.query(sql::SERIES_LEAVE).bind(prms).bind(datasets).execute(&mut link.conn).await?;
    offpeak::learn(link).await?;
    Ok(earlier.cloned().unwrap_or(renewed))
}

/// Makes the sources those of the configuration; there are few, and they seldom change.
async fn sources(link: &mut Link, wanted: &[SourceSetup]) -> Result<Vec<String>, StoreError> {
    let known: Vec<SourceRow> = link.query_as(sql::SOURCES_KNOWN).fetch_all(&mut link.conn).await?;
    let known: BTreeMap<&str, &SourceRow> = known.iter().map(|row| (row.0.as_str(), row)).collect();
    let mut renewed = Vec::new();
    for source in wanted {
        let SourceSetup { name, kind, account, direct, credentials } = source;
        if let Some((_, old_kind, old_account, old_direct, old_credentials, configured)) = known.get(name.as_str()) {
            let same = (old_account, old_direct, old_credentials) == (account, direct, credentials) && *configured;
            if old_kind == kind && same {
                continue;
            }
            if old_kind == kind && old_credentials != credentials {
                renewed.push(name.clone());
            }
        }
        link.query(sql::SOURCE_RETIRE).bind(name.clone()).bind(*kind).execute(&mut link.conn).await?;
        let rename = link.query(sql::ACCOUNT_RENAME).bind(name.clone()).bind(account.clone()).bind(*kind);
        rename.execute(&mut link.conn).await?;
        link.query(sql::ACCOUNT_ADD).bind(account.clone()).execute(&mut link.conn).await?;
        link.query(sql::SOURCE_PUT)
            .bind(name.clone())
            .bind(*kind)
            .bind(account.clone())
            .bind(*direct)
            .bind(credentials.clone())
            .execute(&mut link.conn)
            .await?;
    }
    let names: BTreeSet<&str> = wanted.iter().map(|source| source.name.as_str()).collect();
    if known.values().any(|row| row.5 && !names.contains(row.0.as_str())) {
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        link.query(sql::SOURCES_LEAVE).bind(names).execute(&mut link.conn).await?;
    }
    Ok(renewed)
}

/// Lets other sources serve series, and keeps how these stand at the sources that they leave.
pub(super) async fn serve(link: &mut Link, switches: &[Switch]) -> Result<(), StoreError> {
    let last: BTreeMap<(i32, i16), i32> =
        switches.iter().map(|s| ((i4(s.meter.0), i2(s.dataset.id())), i4(s.to.0))).collect();
    let meters: Vec<i32> = last.keys().map(|(meter, _)| *meter).collect();
    let datasets: Vec<i16> = last.keys().map(|(_, dataset)| *dataset).collect();
    let sources: Vec<i32> = last.into_values().collect();
    for statement in [sql::SERVE_PARK, sql::SERVE_TAKE, sql::SERVE_TAKEN] {
        let query = link.query(statement).bind(meters.clone()).bind(datasets.clone()).bind(sources.clone());
        query.execute(&mut link.conn).await?;
    }
    Ok(())
}
