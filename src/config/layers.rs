//! The two layers, as figment takes them: the file, and the environment on top of it.
//!
//! Both are providers of our own. The file's remembers on which line each key stands; the
//! environment's hands every value on as text, because guessing at types would turn a meter
//! number into an integer and lose its leading zeros. Meters are numbered (`meter.0`), so that
//! a variable can override one key of one meter.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};
use toml_edit::{ImDocument, Item, TableLike};

use super::explain::{Lines, Origin, Problem, quoted};
use super::schema;

/// The name of the environment's layer, by which a value's origin is recognised.
pub(super) const ENVIRONMENT_LAYER: &str = "environment";

const PREFIX: &str = "LINKYD_";

/// The process' environment, taken once at the start; nothing deeper down reads it.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
        Self { variables: std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect() }
    }

    /// An environment of just these variables.
    pub fn from_pairs<N: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        Self { variables: pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect() }
    }

    /// The value of a variable, where it is set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Whether a variable could set a key of the configuration.
    pub(super) fn configures(&self) -> bool {
        self.variables.keys().any(|name| name.strip_prefix(PREFIX).is_some_and(is_key))
    }
}

impl fmt::Debug for Environment {
    /// Names only: a value may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

/// The file, with the line of each of its keys.
#[derive(Debug, Default)]
pub(super) struct FileLayer {
    pub(super) path: PathBuf,
    dict: Dict,
    lines: BTreeMap<Vec<String>, usize>,
}

impl FileLayer {
    /// Parses the text of the file at `path`.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, Problem> {
        let document = ImDocument::parse(text).map_err(|error| syntax_problem(path, text, &error))?;
        let mut layer = Self { path: path.to_path_buf(), ..Self::default() };
        layer.dict = layer.table(document.as_table(), &[], &Lines::of(text.as_bytes()));
        Ok(layer)
    }

    /// The line of the key, or of the nearest key above it.
    pub(super) fn line(&self, path: &[String]) -> usize {
        (0..=path.len())
            .rev()
            .filter_map(|n| path.get(..n).and_then(|p| self.lines.get(p)))
            .copied()
            .next()
            .unwrap_or(1)
    }

    /// The names of the sources that the file configures.
    fn sources(&self) -> Vec<&str> {
        let sources = self.dict.get("source").and_then(Value::as_dict);
        sources.map(|dict| dict.keys().map(String::as_str).collect()).unwrap_or_default()
    }

    fn table(&mut self, table: &dyn TableLike, path: &[String], text: &Lines) -> Dict {
        let mut dict = Dict::new();
        for (key, item) in table.iter() {
            let path = child(path, key);
            if let Some(span) = table.key(key).and_then(toml_edit::Key::span).or_else(|| item.span()) {
                self.lines.insert(path.clone(), text.at(span.start));
            }
            dict.insert(key.to_owned(), self.item(item, &path, text));
        }
        dict
    }

    fn item(&mut self, item: &Item, path: &[String], text: &Lines) -> Value {
        if let Some(tables) = item.as_array_of_tables() {
            let tables = tables.iter().map(|table| (table as &dyn TableLike, table.span()));
            return self.tables(tables, path, text);
        }
        match item {
            Item::Value(value) => self.value(value, path, text),
            other => other.as_table_like().map_or_else(|| "".into(), |table| self.table(table, path, text).into()),
        }
    }

    fn value(&mut self, value: &toml_edit::Value, path: &[String], text: &Lines) -> Value {
        use toml_edit::Value as Toml;
        match value {
            Toml::String(s) => s.value().as_str().into(),
            Toml::Integer(i) => (*i.value()).into(),
            Toml::Float(f) => (*f.value()).into(),
            Toml::Boolean(b) => (*b.value()).into(),
            // A bare date says the same as one in quotes.
            Toml::Datetime(d) => d.value().to_string().into(),
            Toml::InlineTable(t) => self.table(t, path, text).into(),
            Toml::Array(a) if !a.is_empty() && a.iter().all(toml_edit::Value::is_inline_table) => {
                let tables = a.iter().filter_map(|v| v.as_inline_table().map(|t| (t as &dyn TableLike, v.span())));
                self.tables(tables, path, text)
            }
            Toml::Array(a) => {
                let mut values = Vec::new();
                for (index, element) in a.iter().enumerate() {
                    let path = child(path, &index.to_string());
                    if let Some(span) = element.span() {
                        self.lines.insert(path.clone(), text.at(span.start));
                    }
                    values.push(self.value(element, &path, text));
                }
                values.into()
            }
        }
    }

    fn tables<'t>(
        &mut self,
        tables: impl Iterator<Item = (&'t dyn TableLike, Option<std::ops::Range<usize>>)>,
        path: &[String],
        text: &Lines,
    ) -> Value {
        let mut dict = Dict::new();
        for (index, (table, span)) in tables.enumerate() {
            let path = child(path, &index.to_string());
            if let Some(span) = span {
                self.lines.insert(path.clone(), text.at(span.start));
            }
            dict.insert(index.to_string(), self.table(table, &path, text).into());
        }
        dict.into()
    }
}

impl Provider for FileLayer {
    fn metadata(&self) -> Metadata {
        Metadata::from("file", self.path.as_path())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.dict.clone()))
    }
}

/// The variables that set keys.
#[derive(Debug, Default)]
pub(super) struct EnvironmentLayer {
    dict: Dict,
    /// Which variable set which key.
    pub(super) names: BTreeMap<Vec<String>, String>,
    /// Variables that look like ours and set nothing.
    pub(super) strangers: Vec<Problem>,
    pub(super) problems: Vec<Problem>,
}

impl EnvironmentLayer {
    /// Sorts out the variables. A source's name in a variable has `_` where the file's has `-`.
    pub(super) fn new(environment: &Environment, file: &FileLayer) -> Self {
        let mut layer = Self::default();
        for (name, value) in &environment.variables {
            let Some(rest) = name.strip_prefix(PREFIX) else { continue };
            let origin = Origin::Environment(name.clone());
            if !is_key(rest) {
                // Container platforms invent such variables for a service called linkyd.
                let message = "ignored: a key of the configuration has __ between its levels";
                layer.strangers.push(Problem::new(origin, message));
                continue;
            }
            let mut path: Vec<String> = rest.split("__").map(str::to_ascii_lowercase).collect();
            if path.first().is_some_and(|section| section == "source")
                && let Some(segment) = path.get_mut(1)
                && let Some(known) = file.sources().into_iter().find(|known| known.replace('-', "_") == *segment)
            {
                known.clone_into(segment);
            }
            if insert(&mut layer.dict, &path, value) {
                layer.names.insert(path, name.clone());
            } else {
                let key = quoted(&path.join("."));
                layer.problems.push(Problem::new(origin, &format!("{key} contradicts another variable")));
            }
        }
        layer
    }
}

impl Provider for EnvironmentLayer {
    fn metadata(&self) -> Metadata {
        Metadata::named(ENVIRONMENT_LAYER)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.dict.clone()))
    }
}

/// Whether a variable's name, without its beginning, can be that of a key.
fn is_key(rest: &str) -> bool {
    rest.contains("__") || rest.to_ascii_lowercase() == schema::METERS_FILE
}

/// Puts a value at the end of a path; `false` where a value stands in the way already.
fn insert(dict: &mut Dict, path: &[String], value: &str) -> bool {
    match path {
        [] => false,
        [last] => dict.insert(last.clone(), value.into()).is_none(),
        [first, rest @ ..] => match dict.entry(first.clone()).or_insert_with(|| Dict::new().into()) {
            Value::Dict(_, below) => insert(below, rest, value),
            _ => false,
        },
    }
}

/// The path one level further down.
pub(super) fn child(path: &[String], key: &str) -> Vec<String> {
    path.iter().cloned().chain([key.to_owned()]).collect()
}

fn syntax_problem(path: &Path, text: &str, error: &toml_edit::TomlError) -> Problem {
    let offset = error.span().map_or(0, |span| span.start);
    let line = Lines::of(text.as_bytes()).at(offset);
    let before = text.get(..offset).unwrap_or_default();
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let source = text.lines().nth(line - 1).unwrap_or_default();
    let key = source.split('=').next().unwrap_or_default().trim();
    // The line itself is never shown: it may hold a secret.
    let advice = if key == "prm" { "; a PRM is text: put it in quotes" } else { "" };
    let what = error.message().split('\n').filter(|l| !l.is_empty()).collect::<Vec<_>>().join(", ");
    let message = format!("no TOML at column {column}: {what}{advice}");
    Problem::new(Origin::File { path: path.to_path_buf(), line }, &message)
}
