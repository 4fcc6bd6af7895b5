//! `[[meter]]`: whose history is collected, and which parts of it.

use std::collections::BTreeSet;

use super::explain::{Origin, alternatives, nearest, quoted};
use super::read::{Found, Table};
use super::section::not_collected;
use super::{MeterConfig, schema};
use crate::domain::{Dataset, Day, Prm};
use crate::observe::mask;

/// The longest name of a meter, in characters.
const LONGEST_NAME: usize = 64;

/// Every meter, in the order of the file. `sources` are the names under `[source]`.
pub(super) fn all(table: &Table<'_>, sources: &[String]) -> Option<Vec<MeterConfig>> {
    let mut positions = Vec::new();
    for key in table.keys() {
        if let Ok(position) = key.parse::<usize>() {
            positions.push((position, key));
            continue;
        }
        let origin = table.origin_of(key).unwrap_or(Origin::Default);
        let message = match origin {
            Origin::Environment(_) => "meters are numbered from 0, as in LINKYD_METER__0__PRM",
            _ => "write [[meter]] with two brackets: there may be several",
        };
        table.reader.problem(&origin, message);
        return None;
    }
    positions.sort_unstable();
    if let Some((_, (_, key))) = positions.iter().enumerate().find(|(wanted, (position, _))| wanted != position) {
        let message = format!("meters are numbered from 0 without a gap; there is no meter before number {key}");
        table.reader.problem(&table.table(key).origin, &message);
        return None;
    }
    let meters: Vec<_> = positions.iter().map(|(_, key)| one(&table.table(key), sources)).collect();
    refuse_twins(table, &meters);
    meters.into_iter().map(|meter| meter.map(|m| m.config)).collect()
}

struct Placed {
    config: MeterConfig,
    prm_at: Origin,
    name_at: Origin,
    named: bool,
}

fn one(table: &Table<'_>, sources: &[String]) -> Option<Placed> {
    let prm = prm(table);
    let name = name(table);
    let sources = chosen_sources(table, sources);
    let datasets = datasets(table);
    let since = since(table);
    let (prm, prm_at) = prm?;
    let (name_at, named) = match &name {
        Ok(Some(found)) => (found.origin.clone(), true),
        _ => (prm_at.clone(), false),
    };
    let name = name.ok()?.map_or_else(|| default_name(&prm), |found| found.value);
    let config = MeterConfig { prm, name, sources: sources?, datasets: datasets?, since: since.ok()? };
    Some(Placed { config, prm_at, name_at, named })
}

fn prm(table: &Table<'_>) -> Option<(Prm, Origin)> {
    if let Some(origin) = table.is_number("prm") {
        table.reader.problem(&origin, "prm is a number here; a PRM is text: quote it");
        return None;
    }
    let Some(found) = table.text("prm") else {
        if table.origin_of("prm").is_none() {
            table.reader.problem(&table.origin, "this meter has no prm; its 14 digits are on every bill");
        }
        return None;
    };
    match found.value.parse() {
        Ok(prm) => Some((prm, found.origin)),
        Err(error) => {
            table.reader.problem(&found.origin, &format!("prm: {error}"));
            None
        }
    }
}

/// `meter-` and the last four digits, which tell the meters of one household apart.
fn default_name(prm: &Prm) -> String {
    format!("meter-{}", prm.full().get(10..).unwrap_or_default())
}

fn name(table: &Table<'_>) -> Result<Option<Found<String>>, ()> {
    let Some(found) = table.text("name") else {
        return if table.origin_of("name").is_none() { Ok(None) } else { Err(()) };
    };
    let complaint = if found.value.trim().is_empty() {
        "name is empty; leave it out or fill it"
    } else if found.value.chars().count() > LONGEST_NAME {
        "name is longer than 64 characters"
    } else if found.value.chars().any(char::is_control) {
        "name holds control characters"
    } else if mask::digits(&found.value) != found.value {
        "name holds a PRM; it stands in logs, so choose another one"
    } else {
        return Ok(Some(found));
    };
    table.reader.problem(&found.origin, complaint);
    Err(())
}

fn chosen_sources(table: &Table<'_>, known: &[String]) -> Option<Vec<String>> {
    let Some(list) = table.list("sources") else {
        if table.origin_of("sources").is_some() {
            return None;
        }
        return match known {
            [only] => Some(vec![only.clone()]),
            [] => {
                table.reader.problem(&table.origin, "this meter has no source: add a [source.enedis]");
                None
            }
            several => {
                let names = alternatives(several.iter().map(String::as_str));
                let message = format!("this meter does not say which source it has; add sources = [{names}]");
                table.reader.problem(&table.origin, &message.replace(" or ", ", "));
                None
            }
        };
    };
    if list.is_empty() {
        let origin = table.origin_of("sources").unwrap_or(Origin::Default);
        table.reader.problem(&origin, "sources is empty; name one, or leave it out if there is only one");
        return None;
    }
    distinct(table, "sources", list, |found| {
        if known.contains(&found.value) {
            return Ok(found.value.clone());
        }
        let advice = match nearest(&found.value, known.iter().map(String::as_str)) {
            Some(near) => format!("the nearest is {near:?}"),
            None => format!("add [source.{}]", found.value),
        };
        Err(format!("there is no source {}; {advice}", quoted(&found.value)))
    })
}

fn datasets(table: &Table<'_>) -> Option<Vec<Dataset>> {
    let Some(list) = table.list("datasets") else {
        return table.origin_of("datasets").is_none().then(|| schema::METER_DATASETS.to_vec());
    };
    if list.is_empty() {
        let origin = table.origin_of("datasets").unwrap_or(Origin::Default);
        table.reader.problem(&origin, "datasets is empty; name one, or leave it out for the usual ones");
        return None;
    }
    distinct(table, "datasets", list, |found| {
        found.value.parse::<Dataset>().map_err(|_| {
            if schema::LATER_DATASETS.contains(&found.value.as_str()) {
                return not_collected(&found.value);
            }
            let near = nearest(&found.value, Dataset::ALL.map(Dataset::name)).unwrap_or_default();
            format!("there is no dataset {}; the nearest is {near:?}", quoted(&found.value))
        })
    })
}

/// Reads each element of a list, and refuses one that stands there twice.
fn distinct<T: Ord + Clone>(
    table: &Table<'_>,
    key: &str,
    list: Vec<Found<String>>,
    read: impl Fn(&Found<String>) -> Result<T, String>,
) -> Option<Vec<T>> {
    let mut seen = BTreeSet::new();
    let mut values = Vec::new();
    let mut sound = true;
    for found in list {
        let complaint = match read(&found) {
            Ok(value) if seen.insert(value.clone()) => {
                values.push(value);
                continue;
            }
            Ok(_) => format!("{key} names {} twice", quoted(&found.value)),
            Err(complaint) => complaint,
        };
        table.reader.problem(&found.origin, &complaint);
        sound = false;
    }
    sound.then_some(values)
}

fn since(table: &Table<'_>) -> Result<Option<Day>, ()> {
    let Some(found) = table.text("since") else {
        return if table.origin_of("since").is_none() { Ok(None) } else { Err(()) };
    };
    found.value.parse().map(Some).map_err(|error| table.reader.problem(&found.origin, &format!("since: {error}")))
}

fn refuse_twins(table: &Table<'_>, meters: &[Option<Placed>]) {
    let meters: Vec<&Placed> = meters.iter().flatten().collect();
    for (index, meter) in meters.iter().enumerate() {
        let earlier = meters.get(..index).unwrap_or_default();
        if let Some(twin) = earlier.iter().find(|twin| twin.config.prm == meter.config.prm) {
            let message = format!("prm {} is already that of the meter at {}", meter.config.prm, twin.prm_at);
            table.reader.problem(&meter.prm_at, &message);
        } else if let Some(twin) = earlier.iter().find(|twin| twin.config.name == meter.config.name) {
            let advice = if meter.named { "choose another one" } else { "give each of them a name" };
            let name = quoted(&meter.config.name);
            let message = format!("name {name} is already that of the meter at {}; {advice}", twin.name_at);
            table.reader.problem(&meter.name_at, &message);
        }
    }
}
