//! What the configuration wants kept, and the windows that each day opens.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::SqliteConnection;

use super::{calendar, consents, offpeak, sql};
use crate::domain::{Days, Kind};
use crate::store::{Setup, StoreError, Switch, Window};

/// Makes sources, meters and series those of the configuration. Writes only what differs. The names of
/// sources whose credentials changed.
pub(super) async fn set_up(conn: &mut SqliteConnection, setup: &Setup) -> Result<Vec<String>, StoreError> {
    let mut renewed = Vec::new();
    for source in &setup.sources {
        sqlx::query(sql::SOURCE_RETIRE).bind(&source.name).bind(source.kind).execute(&mut *conn).await?;
        let known: Option<(String,)> =
            sqlx::query_as(sql::SOURCE_CREDENTIALS).bind(&source.name).fetch_optional(&mut *conn).await?;
        if known.is_some_and(|(credentials,)| credentials != source.credentials) {
            renewed.push(source.name.clone());
        }
        let rename = sqlx::query(sql::ACCOUNT_RENAME).bind(&source.name).bind(&source.account).bind(source.kind);
        rename.execute(&mut *conn).await?;
        sqlx::query(sql::ACCOUNT_ADD).bind(&source.account).execute(&mut *conn).await?;
        sqlx::query(sql::SOURCE_PUT)
            .bind(&source.name)
            .bind(source.kind)
            .bind(&source.account)
            .bind(source.direct)
            .bind(&source.credentials)
            .execute(&mut *conn)
            .await?;
    }
    let known: Vec<(i64, String, bool)> = sqlx::query_as(sql::SOURCE_IDS).fetch_all(&mut *conn).await?;
    for (id, name, configured) in known {
        if configured && !setup.sources.iter().any(|s| s.name == name) {
            sqlx::query(sql::SOURCE_LEAVES).bind(id).execute(&mut *conn).await?;
        }
    }
    for (position, meter) in (0_i64..).zip(&setup.meters) {
        let put =
            sqlx::query(sql::METER_PUT).bind(meter.prm.full()).bind(&meter.name).bind(&meter.source).bind(position);
        put.execute(&mut *conn).await?;
    }
    let known: Vec<(i64, String, i64, bool)> = sqlx::query_as(sql::METER_IDS).fetch_all(&mut *conn).await?;
    let ids: BTreeMap<&str, (i64, i64)> =
        known.iter().map(|(id, prm, source, _)| (prm.as_str(), (*id, *source))).collect();
    for (id, prm, _, configured) in &known {
        if *configured && !setup.meters.iter().any(|m| m.prm.full() == prm) {
            sqlx::query(sql::METER_LEAVES).bind(id).execute(&mut *conn).await?;
        }
    }
    let mut wanted = BTreeSet::new();
    let mut numbered = Vec::new();
    for meter in &setup.meters {
        let Some((id, source)) = ids.get(meter.prm.full()).copied() else {
            let what = format!("the source of meter {} is not configured", meter.prm);
            return Err(StoreError::Inconsistent { table: "meter", what });
        };
        numbered.push((id, meter));
        for (position, dataset) in (0_i64..).zip(meter.dataset_ids()) {
            wanted.insert((id, dataset));
            let put = sqlx::query(sql::SERIES_PUT).bind(id).bind(dataset).bind(source).bind(position);
            put.execute(&mut *conn).await?;
        }
    }
    consents::put(conn, &numbered).await?;
    let known: Vec<(i64, i64)> = sqlx::query_as(sql::SERIES_CONFIGURED).fetch_all(&mut *conn).await?;
    for (meter, dataset) in known.into_iter().filter(|series| !wanted.contains(series)) {
        sqlx::query(sql::SERIES_LEAVES).bind(meter).bind(dataset).execute(&mut *conn).await?;
    }
    offpeak::learn(conn).await?;
    Ok(renewed)
}

/// Lets other sources serve series, and keeps how these stand at the sources that they leave.
pub(super) async fn serve(conn: &mut SqliteConnection, switches: &[Switch]) -> Result<(), StoreError> {
    for switch in switches {
        for statement in [sql::SERVE_PARK, sql::SERVE_TAKE, sql::SERVE_TAKEN] {
            let query = sqlx::query(statement).bind(switch.meter.0).bind(switch.dataset.id()).bind(switch.to.0);
            query.execute(&mut *conn).await?;
        }
    }
    Ok(())
}

/// Gives the days of each window a record and remembers the windows. A window that is the same as
/// at the last pass costs one look-up.
pub(super) async fn open_windows(conn: &mut SqliteConnection, windows: &[Window], now: i64) -> Result<(), StoreError> {
    let all = windows.iter().filter_map(|w| w.days);
    let curves = windows.iter().filter(|w| w.dataset.kind() == Kind::LoadCurve).filter_map(|w| w.days);
    calendar::hold(conn, hull(all), hull(curves)).await?;
    for window in windows {
        open_window(conn, window).await?;
    }
    let end = windows.iter().filter_map(|w| w.days).map(|days| days.end().number()).max();
    sqlx::query(sql::PASS_SET).bind(now).bind(end).execute(conn).await?;
    Ok(())
}

async fn open_window(conn: &mut SqliteConnection, window: &Window) -> Result<(), StoreError> {
    let (meter, dataset) = (window.meter.0, window.dataset.id());
    let bounds = (window.days.map(|d| d.first().number()), window.days.map(|d| d.end().number()));
    let known: Option<(Option<i32>, Option<i32>)> =
        sqlx::query_as(sql::WINDOW_GET).bind(meter).bind(dataset).fetch_optional(&mut *conn).await?;
    if known == Some(bounds) {
        return Ok(());
    }
    let set = sqlx::query(sql::WINDOW_SET).bind(meter).bind(dataset).bind(bounds.0).bind(bounds.1);
    set.execute(&mut *conn).await?;
    let (Some(first), Some(end)) = bounds else { return Ok(()) };
    if first > window.served.number() {
        // Served, but before the activation or before `since`: never wanted.
        sqlx::query(sql::WINDOW_FORGET).bind(meter).bind(dataset).bind(first).execute(&mut *conn).await?;
    } else {
        sqlx::query(sql::WINDOW_EXPIRE).bind(meter).bind(dataset).bind(first).execute(&mut *conn).await?;
    }
    for statement in [sql::WINDOW_REOPEN, sql::WINDOW_FILL] {
        sqlx::query(statement).bind(meter).bind(dataset).bind(first).bind(end).execute(&mut *conn).await?;
    }
    Ok(())
}

/// The shortest range that holds them all.
fn hull(mut days: impl Iterator<Item = Days>) -> Option<Days> {
    let first = days.next()?;
    Some(
        days.fold(first, |all, next| {
            Days::new(all.first().min(next.first()), all.end().max(next.end())).unwrap_or(all)
        }),
    )
}
