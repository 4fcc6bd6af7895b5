//! `[source.NAME]`: where the history comes from, and how fast it may be asked.

use url::Url;

use super::explain::Origin;
use super::layers::Environment;
use super::read::Table;
use super::secret::{self, Secrets};
use super::section::{choose, or_default};
use super::{ApiChoice, ApiEnvironment, LimitsConfig, SourceConfig, SourceKind, schema};
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
    let kind = kind(table, name)?;
    for key in ["token", "token_file", "version"] {
        if let Some(origin) = table.origin_of(key) {
            let message = format!("{key} means nothing to kind \"enedis\"; it has client_id and client_secret");
            table.reader.problem(&origin, &message);
        }
    }
    let environment = environment(table);
    let base_url = environment.and_then(|environment| base_url(table, environment));
    let api = api(table);
    let limits = base_url.as_ref().and_then(|url| limits(&table.table("limits"), is_loopback(url)));
    let (client_id, client_secret) = credentials(table, name, variables, secrets);
    Some(SourceConfig {
        name: name.to_owned(),
        kind,
        environment: environment?,
        base_url: base_url?,
        api: api?,
        client_id,
        client_secret,
        limits: limits?,
    })
}

fn kind(table: &Table<'_>, name: &str) -> Option<SourceKind> {
    let found = table.filled("kind");
    if found.is_none() && !schema::KINDS.contains(&name) {
        if table.origin_of("kind").is_none() {
            let message = format!("source {name:?} has no kind; add kind = \"enedis\"");
            table.reader.problem(&table.origin, &message);
        }
        return None;
    }
    let mut found = or_default(found, name);
    if found.origin == Origin::Default {
        found.origin = table.origin.clone();
    }
    match found.value.as_str() {
        "enedis" => Some(SourceKind::Enedis),
        known if schema::KINDS.contains(&known) => {
            let message = format!("sources of kind {known:?} are not supported by this version; use kind \"enedis\"");
            table.reader.problem(&found.origin, &message);
            None
        }
        _ => {
            choose(table, "kind", &found, &schema::KINDS);
            None
        }
    }
}

fn environment(table: &Table<'_>) -> Option<ApiEnvironment> {
    let found = or_default(table.text("environment"), schema::ENVIRONMENT);
    let all = [ApiEnvironment::Production, ApiEnvironment::Sandbox];
    let known = all.into_iter().find(|environment| environment.name() == found.value);
    if known.is_none() {
        choose(table, "environment", &found, &all.map(ApiEnvironment::name));
    }
    known
}

fn api(table: &Table<'_>) -> Option<ApiChoice> {
    // Who writes 2026 without quotes is understood all the same.
    if table.is_number("api").is_some() {
        let found = table.count("api");
        if found.as_ref().is_some_and(|found| found.value == 2026) {
            return Some(ApiChoice::V2026);
        }
        let origin = table.origin_of("api").unwrap_or(Origin::Default);
        table.reader.problem(&origin, "api is \"v5\", \"2026\" or \"auto\"");
        return None;
    }
    let found = or_default(table.text("api"), schema::API);
    let all = [ApiChoice::V5, ApiChoice::V2026, ApiChoice::Auto];
    let known = all.into_iter().find(|api| api.name() == found.value);
    if known.is_none() {
        choose(table, "api", &found, &all.map(ApiChoice::name));
    }
    known
}

fn base_url(table: &Table<'_>, environment: ApiEnvironment) -> Option<Url> {
    let default = match environment {
        ApiEnvironment::Production => schema::ENEDIS_PRODUCTION,
        ApiEnvironment::Sandbox => schema::ENEDIS_SANDBOX,
    };
    let found = or_default(table.filled("base_url"), default);
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

fn limits(table: &Table<'_>, loopback: bool) -> Option<LimitsConfig> {
    let negotiated = table.flag("negotiated").is_some_and(|found| found.value);
    let free = negotiated || loopback;
    let within = |key: &str, most: u32, default: u32| {
        let Some(found) = table.count(key) else {
            return table.origin_of(key).is_none().then_some(default);
        };
        if free || found.value <= most {
            return Some(found.value);
        }
        let message = format!(
            "{key} = {} is above the {most} that Enedis allows; lower it, or add negotiated = true if your contract \
             allows more",
            found.value
        );
        table.reader.problem(&found.origin, &message);
        None
    };
    let per_second = within("requests_per_second", schema::ENEDIS_PER_SECOND, schema::ENEDIS_PER_SECOND);
    let per_hour = within("requests_per_hour", schema::ENEDIS_MOST_PER_HOUR, schema::ENEDIS_PER_HOUR);
    let per_day = table.count("requests_per_day").map(|found| found.value);
    Some(LimitsConfig { per_second: per_second?, per_hour: Some(per_hour?), per_day })
}

fn credentials(
    table: &Table<'_>,
    name: &str,
    variables: &Environment,
    secrets: Secrets,
) -> (String, Option<secrecy::SecretString>) {
    let id = table.filled("client_id").map(|found| found.value).unwrap_or_default();
    let variable = |key: &str| format!("LINKYD_SOURCE__{}__{key}", name.to_ascii_uppercase().replace('-', "_"));
    if secrets == Secrets::Read && id.is_empty() && table.is_number("client_id").is_none() {
        let message = format!("source {name:?} has no client_id; set it, or {}", variable("CLIENT_ID"));
        table.reader.problem(&table.origin, &message);
    }
    let before = table.reader.problem_count();
    let secret = secret::find(table, name, "client_secret", variables, secrets);
    // A secret that was given and refused has been reported already.
    if secrets == Secrets::Read && secret.is_none() && table.reader.problem_count() == before {
        let message = format!(
            "source {name:?} has no client_secret; set client_secret_file, the credential {name}.client_secret or {}",
            variable("CLIENT_SECRET")
        );
        table.reader.problem(&table.origin, &message);
    }
    (id, secret)
}
