//! `[source.NAME]`: where the history comes from, and how fast it may be asked.

use url::Url;

use super::SourceConfig;
use super::explain::Origin;
use super::kind::{self, SourceSettings};
use super::layers::Environment;
use super::limits;
use super::read::{Found, Table};
use super::secret::Secrets;
use crate::source::is_loopback;

/// The names under which sources are configured, sound or not.
pub(super) fn names(table: &Table<'_>) -> Vec<String> {
    table.keys().into_iter().map(str::to_owned).collect()
}

/// Every source.
pub(super) fn all(table: &Table<'_>, environment: &Environment, secrets: Secrets) -> Option<Vec<SourceConfig>> {
    // Collected one by one: the last one's problems are wanted as much as the first one's.
    let sources: Vec<Option<SourceConfig>> =
        table.keys().into_iter().map(|name| one(&table.table(name), name, environment, secrets)).collect();
    sources.into_iter().collect()
}

fn one(table: &Table<'_>, name: &str, variables: &Environment, secrets: Secrets) -> Option<SourceConfig> {
    if table.is_absent() {
        return None;
    }
    let well_named = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 40
        && !name.contains("__")
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
    if !well_named {
        let message = "a source's name is made of a to z, 0 to 9, - and _, begins with a letter and has no __";
        table.reader.problem(&table.origin, message);
        return None;
    }
    let kind = kind::kind(table, name)?;
    let settings = kind::settings(table, name, kind, variables, secrets);
    let base_url = base_url(table, settings.as_ref());
    // Of a source whose address is wrong, nobody can say whether its limits are too high.
    let loopback = base_url.as_ref().is_none_or(is_loopback);
    let limits = limits::limits(&table.table("limits"), kind, loopback);
    Some(SourceConfig { name: name.to_owned(), settings: settings?, base_url: base_url?, limits: limits? })
}

fn base_url(table: &Table<'_>, settings: Option<&SourceSettings>) -> Option<Url> {
    let found = match (table.filled("base_url"), settings) {
        (Some(found), _) => found,
        (None, settings) => Found { value: settings?.default_base_url().to_owned(), origin: Origin::Default },
    };
    // The value is never repeated: an address may carry a password.
    let complaint = match Url::parse(&found.value) {
        Err(_) => "base_url is no address; write it as https://host",
        Ok(url) if !matches!(url.scheme(), "https" | "http") || url.host().is_none() => {
            "base_url is no address; write it as https://host"
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "base_url must not carry a user or a password"
        }
        Ok(url) if url.query().is_some() || url.fragment().is_some() => "base_url must not carry ? or #",
        Ok(url) if url.scheme() == "http" && !is_loopback(&url) => {
            "base_url must be https: only a loopback address may be http"
        }
        Ok(url) => return Some(url),
    };
    table.reader.problem(&found.origin, complaint);
    None
}
