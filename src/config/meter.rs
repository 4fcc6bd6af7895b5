//! `[[meter]]`: whose history is collected, and which parts of it.

use std::collections::{BTreeSet, HashMap};

use super::explain::{Origin, alternatives, meant, near, quoted};
use super::read::{Fields, Found, Reader, Table};
use super::{MeterConfig, Stands, schema};
use crate::domain::{CustomerDataset, Dataset, Day, Prm};
use crate::observe::mask;

/// The longest name of a meter, in characters.
const LONGEST_NAME: usize = 64;

/// The blocks in the order of the file, `None` for those that are not sound. `sources` are the
/// names under `[source]`.
pub(super) fn blocks(table: &Table<'_>, sources: &[String]) -> Option<Vec<Option<Placed>>> {
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
    Some(positions.iter().map(|(_, key)| one(&table.table(key), sources)).collect())
}

/// All meters together, each of them once.
pub(super) fn all(reader: &Reader<'_>, meters: Vec<Option<Placed>>) -> Option<Vec<MeterConfig>> {
    refuse_twins(reader, &meters);
    meters.into_iter().map(|meter| meter.map(|m| m.config)).collect()
}

/// A meter and where it says what must be its own.
pub(super) struct Placed {
    config: MeterConfig,
    prm_at: Origin,
    name_at: Origin,
    named: bool,
}

/// Reads one meter. `sources` are the names under `[source]`.
pub(super) fn one(fields: &dyn Fields, sources: &[String]) -> Option<Placed> {
    let prm = prm(fields);
    let name = name(fields);
    let sources = chosen_sources(fields, sources);
    let datasets = datasets(fields);
    let since = since(fields);
    let (prm, prm_at) = prm?;
    let (name_at, named) = match &name {
        Ok(Some(found)) => (found.origin.clone(), true),
        _ => (prm_at.clone(), false),
    };
    let name = name.ok()?.map_or_else(|| default_name(&prm), |found| found.value);
    let (datasets, customer) = split(datasets?);
    let stands = Stands(fields.origin_of("datasets").unwrap_or_else(|| prm_at.clone()));
    let config = MeterConfig { prm, name, sources: sources?, datasets, customer, since: since.ok()?, stands };
    Some(Placed { config, prm_at, name_at, named })
}

fn prm(fields: &dyn Fields) -> Option<(Prm, Origin)> {
    if let Some(origin) = fields.is_number("prm") {
        fields.problem(&origin, "prm is a number here; a PRM is text: quote it");
        return None;
    }
    let Some(found) = fields.text("prm") else {
        if fields.origin_of("prm").is_none() {
            fields.problem(fields.origin(), "this meter has no prm; its 14 digits are on every bill");
        }
        return None;
    };
    match found.value.parse() {
        Ok(prm) => Some((prm, found.origin)),
        Err(error) => {
            let hint = fields.hint("prm", &found.value);
            fields.problem(&found.origin, &format!("prm: {error}{hint}"));
            None
        }
    }
}

/// `meter-` and the last four digits, which tell the meters of one household apart.
fn default_name(prm: &Prm) -> String {
    format!("meter-{}", prm.full().get(10..).unwrap_or_default())
}

fn name(fields: &dyn Fields) -> Result<Option<Found<String>>, ()> {
    let Some(found) = fields.text("name") else {
        return if fields.origin_of("name").is_none() { Ok(None) } else { Err(()) };
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
    fields.problem(&found.origin, complaint);
    Err(())
}

fn chosen_sources(fields: &dyn Fields, known: &[String]) -> Option<Vec<String>> {
    let Some(list) = fields.list("sources") else {
        if fields.origin_of("sources").is_some() {
            return None;
        }
        return match known {
            [only] => Some(vec![only.clone()]),
            [] => {
                fields.problem(fields.origin(), "this meter has no source: add a [source.enedis]");
                None
            }
            several => {
                let names = alternatives(several.iter().map(String::as_str));
                let message = format!("this meter does not say which source it has; add sources = [{names}]");
                fields.problem(fields.origin(), &message.replace(" or ", ", "));
                None
            }
        };
    };
    if list.is_empty() {
        let origin = fields.origin_of("sources").unwrap_or(Origin::Default);
        fields.problem(&origin, "sources is empty; name one, or leave it out if there is only one");
        return None;
    }
    distinct(fields, "sources", list, |found| {
        if known.contains(&found.value) {
            return Ok(found.value.clone());
        }
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let advice = match near(&found.value, known).as_slice() {
            [] => format!("add [source.{}]", found.value),
            near => format!("the nearest is {}", alternatives(near.iter().copied())),
        };
        Err(format!("there is no source {}; {advice}", quoted(&found.value)))
    })
}

/// A dataset of either kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Named {
    Measures(Dataset),
    Customer(CustomerDataset),
}

impl Named {
    fn read(name: &str) -> Option<Self> {
        name.parse().map(Self::Measures).ok().or_else(|| name.parse().map(Self::Customer).ok())
    }
}

fn split(named: Vec<Named>) -> (Vec<Dataset>, Vec<CustomerDataset>) {
    let (mut datasets, mut customer) = (Vec::new(), Vec::new());
    for one in named {
        match one {
            Named::Measures(dataset) => datasets.push(dataset),
            Named::Customer(about) => customer.push(about),
        }
    }
    (datasets, customer)
}

fn datasets(fields: &dyn Fields) -> Option<Vec<Named>> {
    let Some(list) = fields.list("datasets") else {
        let usual = || schema::METER_DATASETS.map(Named::Measures).to_vec();
        return fields.origin_of("datasets").is_none().then(usual);
    };
    if list.is_empty() {
        let origin = fields.origin_of("datasets").unwrap_or(Origin::Default);
        fields.problem(&origin, "datasets is empty; name one, or leave it out for the usual ones");
        return None;
    }
    distinct(fields, "datasets", list, |found| {
        Named::read(&found.value).ok_or_else(|| {
            let all: Vec<&str> = names().collect();
            format!("there is no dataset {}{}", quoted(&found.value), meant(&found.value, "", all))
        })
    })
}

/// The names of all datasets.
fn names() -> impl Iterator<Item = &'static str> {
    Dataset::ALL.map(Dataset::name).into_iter().chain(CustomerDataset::ALL.map(CustomerDataset::name))
}

/// Reads each element of a list, and refuses one that stands there twice.
fn distinct<T: Ord + Clone>(
    fields: &dyn Fields,
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
        fields.problem(&found.origin, &format!("{complaint}{}", fields.hint(key, &found.value)));
        sound = false;
    }
    sound.then_some(values)
}

fn since(fields: &dyn Fields) -> Result<Option<Day>, ()> {
    let Some(found) = fields.text("since") else {
        return if fields.origin_of("since").is_none() { Ok(None) } else { Err(()) };
    };
    found.value.parse().map(Some).map_err(|error| {
        fields.problem(&found.origin, &format!("since: {error}{}", fields.hint("since", &found.value)));
    })
}

fn refuse_twins(reader: &Reader<'_>, meters: &[Option<Placed>]) {
    let (mut prms, mut names) = (HashMap::new(), HashMap::new());
    for meter in meters.iter().flatten() {
        let twin = prms.get(&meter.config.prm).copied();
        let namesake: Option<&Placed> = names.get(meter.config.name.as_str()).copied();
        // The first of several is the one that the others are told of.
        prms.entry(&meter.config.prm).or_insert(meter);
        names.entry(meter.config.name.as_str()).or_insert(meter);
        if let Some(twin) = twin {
            let message = format!("prm {} is already that of the meter at {}", meter.config.prm, twin.prm_at);
            reader.problem(&meter.prm_at, &message);
        } else if let Some(twin) = namesake {
            let advice = if meter.named { "choose another one" } else { "give each of them a name" };
            let name = quoted(&meter.config.name);
            let message = format!("name {name} is already that of the meter at {}; {advice}", twin.name_at);
            reader.problem(&meter.name_at, &message);
        }
    }
}
