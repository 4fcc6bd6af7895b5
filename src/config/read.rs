//! Reads the merged layers key by key.
//!
//! A [`Reader`] hands out values with their origin and collects what is wrong instead of stopping
//! at the first problem. Values from the environment are text and are read as what the key wants.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;

use figment::Figment;
use figment::value::{Dict, Value};

use super::explain::{Origin, Problem, meant, quoted};
use super::layers::{ENVIRONMENT_LAYER, EnvironmentLayer, FileLayer, child};
use super::{SourceKind, schema};

/// How many problems of one file are told one by one.
const MOST: usize = 50;

/// A value and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found<T> {
    pub(super) value: T,
    pub(super) origin: Origin,
}

/// Where the keys of a meter come from: a block of the configuration, or a line of the meters file.
pub(super) trait Fields {
    /// Text, where the key is set and holds one.
    fn text(&self, key: &str) -> Option<Found<String>>;
    /// A list of texts, where the key is set and holds one.
    fn list(&self, key: &str) -> Option<Vec<Found<String>>>;
    /// The origin of a key, where it is set.
    fn origin_of(&self, key: &str) -> Option<Origin>;
    /// The origin of the meter as a whole.
    fn origin(&self) -> &Origin;
    /// Whether the key holds a number where text is wanted.
    fn is_number(&self, key: &str) -> Option<Origin>;
    /// What to add to a complaint about a value, where its look says how it came about.
    fn hint(&self, key: &str, value: &str) -> &'static str;
    /// Notes that something is wrong.
    fn problem(&self, origin: &Origin, message: &str);
}

/// The merged configuration while it is being read.
pub(super) struct Reader<'a> {
    figment: &'a Figment,
    file: &'a FileLayer,
    environment: &'a EnvironmentLayer,
    problems: RefCell<Vec<Problem>>,
    provenance: RefCell<BTreeMap<String, Origin>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(figment: &'a Figment, file: &'a FileLayer, environment: &'a EnvironmentLayer) -> Self {
        let problems = RefCell::new(environment.problems.clone());
        Self { figment, file, environment, problems, provenance: RefCell::default() }
    }

    /// Notes that something is wrong.
    pub(super) fn problem(&self, origin: &Origin, message: &str) {
        self.problems.borrow_mut().push(Problem::new(origin.clone(), message));
    }

    /// How many problems there are so far.
    pub(super) fn problem_count(&self) -> usize {
        self.problems.borrow().len()
    }

    /// Notes where the value of a key came from.
    pub(super) fn note(&self, path: &str, origin: &Origin) {
        self.provenance.borrow_mut().insert(path.to_owned(), origin.clone());
    }

    /// What was collected: problems in the order of their places, and origins by key.
    pub(super) fn finish(self) -> (Vec<Problem>, BTreeMap<String, Origin>) {
        let mut problems = self.problems.into_inner();
        problems.sort();
        problems.dedup();
        (shortened(problems), self.provenance.into_inner())
    }

    /// The top level.
    pub(super) fn root(&'a self, root: &'a Value) -> Table<'a> {
        Table { reader: self, path: Vec::new(), dict: root.as_dict(), origin: Origin::Default }
    }

    fn origin(&self, path: &[String], value: &Value) -> Origin {
        let from_environment =
            self.figment.get_metadata(value.tag()).is_some_and(|layer| layer.name == ENVIRONMENT_LAYER);
        if !from_environment {
            return Origin::File { path: self.file.path.clone(), line: self.file.line(path) };
        }
        // A table has no variable of its own: the first one below it stands for it.
        let below = self.environment.names.range(path.to_vec()..).find(|(key, _)| key.starts_with(path));
        below.map_or(Origin::Default, |(_, name)| Origin::Environment(name.clone()))
    }
}

/// The first problems of each file. What is wrong with one line of thousands is often wrong with
/// all of them, and a log is no place for that.
fn shortened(problems: Vec<Problem>) -> Vec<Problem> {
    let mut kept: Vec<Problem> = Vec::new();
    let mut counts: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for problem in problems {
        if let Origin::File { path, .. } = &problem.origin {
            let count = counts.entry(path.clone()).or_default();
            *count += 1;
            if *count > MOST {
                continue;
            }
        }
        kept.push(problem);
    }
    for (path, count) in counts.into_iter().filter(|(_, count)| *count > MOST) {
        let message = format!("{} more mistakes in {}", count - MOST, path.display());
        kept.push(Problem::new(Origin::Default, &message));
    }
    kept
}

/// One table of the configuration; it may be absent, then it has no keys.
pub(super) struct Table<'a> {
    pub(super) reader: &'a Reader<'a>,
    path: Vec<String>,
    dict: Option<&'a Dict>,
    pub(super) origin: Origin,
}

impl<'a> Table<'a> {
    /// The dotted path of a key of this table.
    pub(super) fn path_of(&self, key: &str) -> String {
        child(&self.path, key).join(".")
    }

    /// Whether there is no such table, or something else in its place.
    pub(super) fn is_absent(&self) -> bool {
        self.dict.is_none()
    }

    /// The names that stand in the table.
    pub(super) fn keys(&self) -> Vec<&'a str> {
        self.dict.map(|dict| dict.keys().map(String::as_str).collect()).unwrap_or_default()
    }

    /// The table below a key, empty where there is none.
    pub(super) fn table(&self, key: &str) -> Table<'a> {
        let path = child(&self.path, key);
        let value = self.dict.and_then(|dict| dict.get(key));
        let origin = value.map_or_else(|| self.origin.clone(), |value| self.reader.origin(&path, value));
        let dict = match value {
            Some(Value::Dict(_, dict)) => Some(dict),
            Some(_) => {
                self.reader.problem(&origin, &section_problem(&path, key));
                None
            }
            None => None,
        };
        Table { reader: self.reader, path, dict, origin }
    }

    /// Text. An empty one counts, for some keys, as an answer.
    pub(super) fn text(&self, key: &str) -> Option<Found<String>> {
        let (value, origin) = self.value(key)?;
        match value {
            Value::String(_, text) => Some(Found { value: text.clone(), origin }),
            _ => self.wrong(&origin, key, "must be text in quotes"),
        }
    }

    /// Text that is not empty; the empty one means the same as a missing key.
    pub(super) fn filled(&self, key: &str) -> Option<Found<String>> {
        self.text(key).filter(|found| !found.value.is_empty())
    }

    /// A whole number from 1 on.
    pub(super) fn count(&self, key: &str) -> Option<Found<u32>> {
        self.number(key, 1)
    }

    /// A whole number from 0 on.
    pub(super) fn whole(&self, key: &str) -> Option<Found<u32>> {
        self.number(key, 0)
    }

    fn number(&self, key: &str, least: u32) -> Option<Found<u32>> {
        let (value, origin) = self.value(key)?;
        let number = match (value, &origin) {
            (Value::Num(_, number), _) => number.to_i128().and_then(|n| u32::try_from(n).ok()),
            (Value::String(_, text), Origin::Environment(_)) => text.trim().parse().ok(),
            _ => None,
        };
        match number.filter(|n| *n >= least) {
            Some(value) => Some(Found { value, origin }),
            None => self.wrong(&origin, key, &format!("must be a whole number from {least} on, without quotes")),
        }
    }

    /// Yes or no.
    pub(super) fn flag(&self, key: &str) -> Option<Found<bool>> {
        let (value, origin) = self.value(key)?;
        let flag = match (value, &origin) {
            (Value::Bool(_, flag), _) => Some(*flag),
            (Value::String(_, text), Origin::Environment(_)) => text.trim().parse().ok(),
            _ => None,
        };
        match flag {
            Some(value) => Some(Found { value, origin }),
            None => self.wrong(&origin, key, "must be true or false, without quotes"),
        }
    }

    /// A list of texts; in the environment with commas in between.
    pub(super) fn list(&self, key: &str) -> Option<Vec<Found<String>>> {
        let (value, origin) = self.value(key)?;
        match (value, &origin) {
            (Value::Array(_, elements), _) => {
                let mut list = Vec::new();
                for (index, element) in elements.iter().enumerate() {
                    let path = child(&child(&self.path, key), &index.to_string());
                    let origin = self.reader.origin(&path, element);
                    match element {
                        Value::String(_, text) => list.push(Found { value: text.clone(), origin }),
                        _ => return self.wrong(&origin, key, "must be a list of texts in quotes"),
                    }
                }
                Some(list)
            }
            (Value::String(_, text), Origin::Environment(_)) => {
                let elements = text.split(',').map(str::trim).filter(|element| !element.is_empty());
                Some(elements.map(|value| Found { value: value.to_owned(), origin: origin.clone() }).collect())
            }
            (Value::String(..), _) => {
                self.wrong(&origin, key, &format!("must be a list: put it in brackets, as in {key} = [\"…\"]"))
            }
            _ => self.wrong(&origin, key, "must be a list of texts in quotes"),
        }
    }

    /// Whether the key holds a number, which some keys explain better than [`Table::text`] can.
    pub(super) fn is_number(&self, key: &str) -> Option<Origin> {
        let value = self.dict?.get(key).filter(|value| matches!(value, Value::Num(..)))?;
        Some(self.reader.origin(&child(&self.path, key), value))
    }

    /// The origin of a key, where it is set.
    pub(super) fn origin_of(&self, key: &str) -> Option<Origin> {
        let value = self.dict?.get(key)?;
        Some(self.reader.origin(&child(&self.path, key), value))
    }

    /// Reports every key in this table and below it that the schema does not know.
    pub(super) fn refuse_unknown_keys(&self) {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let known = schema::children(&path);
        for (key, value) in self.dict.into_iter().flatten() {
            match &known {
                Some(known) if !known.contains(&key.as_str()) => self.unknown(key, value, known),
                _ if matches!(value, Value::Dict(..)) => self.table(key).refuse_unknown_keys(),
                _ => {}
            }
        }
    }

    fn unknown(&self, key: &str, value: &Value, known: &[&'static str]) {
        let origin = self.reader.origin(&child(&self.path, key), value);
        let name = quoted(key);
        let homes = schema::homes(key);
        let message = if known.is_empty() {
            format!("{} is a value, nothing stands below it", quoted(&self.path.join(".")))
        } else if key == schema::METERS_FILE {
            format!(
                "{key} stands in{}; it belongs to the top of the file, above every [section]",
                self.place().trim_start_matches(" in")
            )
        } else if let [home] = homes.as_slice() {
            format!("unknown key {name}{}; it belongs into {home}", self.place())
        } else {
            let kind = self.kind();
            let meaningful = known.iter().copied().filter(|name| kind.is_none_or(|kind| kind.has_key(name)));
            let meant = meant(key, " known key", meaningful.collect::<Vec<_>>());
            format!("unknown key {name}{}{meant}", self.place())
        };
        self.reader.problem(&origin, &message);
    }

    /// The kind of the source that this table is, where it is one and says so.
    fn kind(&self) -> Option<SourceKind> {
        let [section, name] = self.path.as_slice() else { return None };
        let said = self.dict?.get("kind").and_then(Value::as_str).filter(|kind| !kind.is_empty());
        SourceKind::from_name(said.unwrap_or(name)).filter(|_| section == "source")
    }

    fn place(&self) -> String {
        match self.path.as_slice() {
            [] => String::new(),
            [section, ..] if section == "meter" => " in [[meter]]".to_owned(),
            path => format!(" in [{}]", path.join(".")),
        }
    }

    fn value(&self, key: &str) -> Option<(&'a Value, Origin)> {
        let value = self.dict?.get(key)?;
        let origin = self.reader.origin(&child(&self.path, key), value);
        self.reader.note(&self.path_of(key), &origin);
        Some((value, origin))
    }

    fn wrong<T>(&self, origin: &Origin, key: &str, what: &str) -> Option<T> {
        self.reader.problem(origin, &format!("{key} {what}"));
        None
    }
}

impl Fields for Table<'_> {
    fn text(&self, key: &str) -> Option<Found<String>> {
        Table::text(self, key)
    }

    fn list(&self, key: &str) -> Option<Vec<Found<String>>> {
        Table::list(self, key)
    }

    fn origin_of(&self, key: &str) -> Option<Origin> {
        Table::origin_of(self, key)
    }

    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn is_number(&self, key: &str) -> Option<Origin> {
        Table::is_number(self, key)
    }

    fn hint(&self, _key: &str, _value: &str) -> &'static str {
        ""
    }

    fn problem(&self, origin: &Origin, message: &str) {
        self.reader.problem(origin, message);
    }
}

fn section_problem(path: &[String], key: &str) -> String {
    match path {
        [source, _] if source == "source" => {
            "a source needs a name of its own; write [source.enedis] instead of [source]".to_owned()
        }
        [meter, ..] if meter == "meter" => format!("{} is a section, not a value; write [[meter]]", quoted(key)),
        _ => format!("{} is a section, not a value; write [{}]", quoted(key), path.join(".")),
    }
}
