//! What an authorisation allows: the services subscribed under it.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Journeys, Share, authorisation, sandbox};
use crate::domain::{Direction, Prm, paris};
use crate::simulator::meter::{MeterKind, MeterSpec};
use crate::simulator::refusal::{Refusal, technical};
use crate::simulator::world::World;

/// The states that are listed where none are asked for.
const LIVE: [&str; 2] = ["ACTIF", "DEMANDE"];

/// The answer to a body.
pub(in crate::simulator) fn answer(
    journeys: &Journeys,
    world: &World,
    now: DateTime<Utc>,
    body: &[u8],
) -> Result<Value, Refusal> {
    let malformed = || Refusal { status: world.rules.malformed_2026_status, ..technical() };
    let asked: Value = serde_json::from_slice(body).map_err(|_| malformed())?;
    let field = |name: &str| asked.get(name).filter(|value| !value.is_null());
    let count_only = field("comptage").and_then(Value::as_bool).ok_or_else(malformed)?;
    let texts = |name: &str| {
        let list = field(name).map(Vec::<String>::deserialize);
        list.transpose().map_err(|_| malformed())
    };
    let id = field("autorisationId").map(|id| id.as_i64().ok_or_else(malformed)).transpose()?;
    let states = texts("etatCode")?.unwrap_or_else(|| LIVE.map(str::to_owned).to_vec());
    if field("serviceType").and_then(Value::as_str).is_some_and(|kind| kind != "ACCES") {
        return Ok(json!({ "nbTotalServices": 0 }));
    }
    let prms = texts("pointId")?.unwrap_or_default();
    // Without a selector there is nothing to look for.
    if id.is_none() && prms.is_empty() {
        return Err(malformed());
    }
    let mut rows = Vec::new();
    for row in all(journeys, world, now, id) {
        let is_in = |name: &str, texts: &[String]| {
            row.get(name).and_then(Value::as_str).is_some_and(|text| texts.iter().any(|one| one == text))
        };
        if (prms.is_empty() || is_in("pointId", &prms)) && is_in("etatCode", &states) {
            rows.push(row);
        }
    }
    Ok(match rows.len() {
        0 => json!({ "nbTotalServices": 0 }),
        total if count_only => json!({ "nbTotalServices": total }),
        total => json!({ "nbTotalServices": total, "serviceSouscrit": rows }),
    })
}

fn all(journeys: &Journeys, world: &World, now: DateTime<Utc>, id: Option<i64>) -> Vec<Value> {
    if let (true, Some(id @ 10..=13)) = (world.rules.consent.sandbox, id) {
        return of_the_sandbox(id, now);
    }
    let mut rows = Vec::new();
    for meter in &world.meters {
        let number = authorisation(world.seed, &meter.prm);
        if id.is_some_and(|id| id != number) {
            continue;
        }
        let today = paris::today(now);
        let share = match journeys.shares.get(&meter.prm) {
            Some(share) => *share,
            None if meter.customer.shared => {
                let since = meter.consent.from.unwrap_or(now - TimeDelta::days(365));
                let last = meter.consent.until.map_or(today.plus(365), |until| paris::today(until).plus(-1));
                Share { since, first: paris::today(since), last }
            }
            None => continue,
        };
        if now < share.since + TimeDelta::minutes(world.rules.consent.services_lag_minutes) {
            continue;
        }
        let state = match (meter.consent.granted, meter.consent.holds(now)) {
            (false, _) => "SUPPRIME",
            (true, true) => "ACTIF",
            (true, false) => "TERMINE",
        };
        rows.extend(of_a_meter(meter, share, state, number));
    }
    rows
}

/// One row for each kind of measure and direction.
fn of_a_meter(meter: &MeterSpec, share: Share, state: &str, number: i64) -> Vec<Value> {
    let curve = format!("PT{}M", meter.step_at(share.since.timestamp()).minutes());
    let measures = [("CDC", curve.as_str()), ("ENERGIE", "P1D"), ("PMAX", "P1D"), ("IDX", "P1D"), ("ITC", "NA")];
    let mut rows = Vec::new();
    for direction in Direction::ALL.into_iter().filter(|direction| meter.has(*direction)) {
        let fed = direction == Direction::Production;
        for (place, (measure, step)) in (1..).zip(measures) {
            let label = match state {
                "ACTIF" => "Actif",
                "TERMINE" => "Terminé",
                _ => "Supprimé",
            };
            rows.push(json!({
                "id": format!("{number}{}{place}", u8::from(fed)),
                "injection": fed,
                "soutirage": !fed,
                "serviceCode": "ACCES",
                "dateDebut": share.first.to_string(),
                "dateFin": share.last.to_string(),
                "etatCode": state,
                "etatLibelle": label,
                "pointId": meter.prm.full(),
                "mesuresTypeCode": measure,
                "mesuresPas": step,
                "mesuresCorrigees": false,
                "autorisation": { "autorisationId": number, "autorisationType": "EXPLICITE" },
            }));
        }
    }
    rows
}

/// The authorisations that the sandbox has: none, five services of one meter, fifteen of several, ended ones.
fn of_the_sandbox(id: i64, now: DateTime<Utc>) -> Vec<Value> {
    let today = paris::today(now);
    let share = Share { since: now - TimeDelta::days(30), first: today.plus(-30), last: today.plus(335) };
    let rows = |digit: u32, kind: MeterKind, state: &str| {
        let prm: Option<Prm> = sandbox::prm(digit, 0);
        prm.map(|prm| of_a_meter(&MeterSpec::new(prm).kind(kind), share, state, id)).unwrap_or_default()
    };
    match id {
        11 => rows(0, MeterKind::Consumer, "ACTIF"),
        12 => [rows(5, MeterKind::Producer, "ACTIF"), rows(6, MeterKind::Both, "ACTIF")].concat(),
        13 => rows(1, MeterKind::Consumer, "TERMINE"),
        _ => Vec::new(),
    }
}
