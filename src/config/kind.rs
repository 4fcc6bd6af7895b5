//! What kinds of source there are, and the settings that each of them takes.
//!
//! A kind's settings are a variant of [`SourceSettings`], so that a token for Enedis or a version
//! of conso-api cannot be expressed. A key that means nothing to the kind is a mistake, and the
//! message says which keys it has.

use secrecy::{ExposeSecret as _, SecretString};

use super::explain::Origin;
use super::layers::Environment;
use super::read::Table;
use super::secret::{self, Secrets};
use super::section::{choose, or_default};
use super::{ApiChoice, ApiEnvironment, schema};
use crate::source::{conso_api, enedis, myelectricaldata};

/// What a source speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceKind {
    /// Enedis itself, through an application of the operator's own.
    Enedis,
    /// The gateway conso.boris.sh.
    ConsoApi,
    /// The gateway myelectricaldata.fr, in its version 2.
    MyElectricalData,
}

impl SourceKind {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Enedis, Self::ConsoApi, Self::MyElectricalData];

    /// The name used in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Enedis => enedis::KIND,
            Self::ConsoApi => conso_api::KIND,
            Self::MyElectricalData => myelectricaldata::KIND,
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The keys that only some kinds have, as far as this one has them.
    #[must_use]
    pub fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Enedis => &["environment", "api", "client_id", "client_secret", "client_secret_file"],
            Self::ConsoApi => &["token", "token_file"],
            Self::MyElectricalData => &["version", "client_id", "client_secret", "client_secret_file"],
        }
    }

    /// Whether `key` means something below `[source.NAME]` for this kind.
    #[must_use]
    pub fn has_key(self, key: &str) -> bool {
        schema::KEYS_OF_EVERY_KIND.contains(&key) || self.keys().contains(&key)
    }
}

/// What a source of each kind is told.
#[derive(Debug, Clone)]
pub enum SourceSettings {
    /// `kind = "enedis"`
    Enedis {
        /// Production or sandbox.
        environment: ApiEnvironment,
        /// Which API it uses.
        api: ApiChoice,
        /// The application's identifier; empty only where secrets were not asked for.
        client_id: String,
        /// The application's secret; always there where secrets were asked for.
        client_secret: Option<SecretString>,
    },
    /// `kind = "conso-api"`
    ConsoApi {
        /// The token that the gateway showed after the consent; always there where secrets were
        /// asked for.
        token: Option<SecretString>,
    },
    /// `kind = "myelectricaldata"`, version 2
    MyElectricalData {
        /// The account's identifier; empty only where secrets were not asked for.
        client_id: String,
        /// The account's secret; always there where secrets were asked for.
        client_secret: Option<SecretString>,
    },
}

impl SourceSettings {
    /// The kind that these settings belong to.
    #[must_use]
    pub fn kind(&self) -> SourceKind {
        match self {
            Self::Enedis { .. } => SourceKind::Enedis,
            Self::ConsoApi { .. } => SourceKind::ConsoApi,
            Self::MyElectricalData { .. } => SourceKind::MyElectricalData,
        }
    }

    /// The key of its secret, and the secret, where it is known.
    #[must_use]
    pub fn secret(&self) -> (&'static str, Option<&SecretString>) {
        match self {
            Self::Enedis { client_secret, .. } | Self::MyElectricalData { client_secret, .. } => {
                ("client_secret", client_secret.as_ref())
            }
            Self::ConsoApi { token } => ("token", token.as_ref()),
        }
    }

    /// Where a source with these settings is found unless `base_url` says otherwise.
    #[must_use]
    pub fn default_base_url(&self) -> &'static str {
        match self {
            Self::Enedis { environment: ApiEnvironment::Production, .. } => enedis::PRODUCTION,
            Self::Enedis { environment: ApiEnvironment::Sandbox, .. } => enedis::SANDBOX,
            Self::ConsoApi { .. } => conso_api::BASE_URL,
            Self::MyElectricalData { .. } => myelectricaldata::BASE_URL,
        }
    }
}

/// The kind of a source: what `kind` says, or its name.
pub(super) fn kind(table: &Table<'_>, name: &str) -> Option<SourceKind> {
    // In the environment a name has _ where the kind's has -.
    let named = SourceKind::from_name(&name.replace('_', "-"));
    let Some(found) = table.filled("kind") else {
        if named.is_none() && table.is_number("kind").is_none() {
            let kinds = super::explain::alternatives(SourceKind::ALL.map(SourceKind::name));
            table.reader.problem(&table.origin, &format!("source {name:?} has no kind; add kind = {kinds}"));
        }
        return named;
    };
    let kind = SourceKind::from_name(&found.value);
    if kind.is_none() {
        choose(table, "kind", &found, &SourceKind::ALL.map(SourceKind::name));
    }
    kind
}

/// Reads the settings of a kind and refuses the keys of others.
pub(super) fn settings(
    table: &Table<'_>,
    name: &str,
    kind: SourceKind,
    variables: &Environment,
    secrets: Secrets,
) -> Option<SourceSettings> {
    for key in schema::KEYS_OF_SOME_KINDS.into_iter().filter(|key| !kind.has_key(key)) {
        if let Some(origin) = table.origin_of(key) {
            let has = listed(kind.keys());
            let message = format!("{key} means nothing to kind {:?}; it has {has}", kind.name());
            table.reader.problem(&origin, &message);
        }
    }
    let give = Credentials { table, name, variables, secrets };
    match kind {
        SourceKind::Enedis => {
            let (environment, api) = (environment(table), api(table));
            let (client_id, client_secret) = (give.text("client_id"), give.secret("client_secret"));
            Some(SourceSettings::Enedis { environment: environment?, api: api?, client_id, client_secret })
        }
        SourceKind::ConsoApi => {
            let token = give.secret("token");
            if let Some(complaint) = token.as_ref().and_then(|token| unlike_a_token(token.expose_secret())) {
                table.reader.problem(&table.origin, &format!("source {name:?}: {complaint}"));
            }
            Some(SourceSettings::ConsoApi { token })
        }
        SourceKind::MyElectricalData => {
            let version = version(table);
            let (client_id, client_secret) = (give.text("client_id"), give.secret("client_secret"));
            version.map(|()| SourceSettings::MyElectricalData { client_id, client_secret })
        }
    }
}

/// What is wrong with a text that cannot be a token.
fn unlike_a_token(token: &str) -> Option<&'static str> {
    let complaint = "the token holds a space; leave out the word Bearer and copy the token alone";
    (token.split_whitespace().count() > 1).then_some(complaint)
}

/// `a, b and c`.
pub(super) fn listed(words: &[&str]) -> String {
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
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

/// The version of myelectricaldata, which is 2.
fn version(table: &Table<'_>) -> Option<()> {
    let Some(origin) = table.origin_of("version") else { return Some(()) };
    let found = table.count("version")?;
    let message = match found.value {
        myelectricaldata::VERSION => return Some(()),
        1 => {
            "version 1 of myelectricaldata is not supported: it speaks the API that Enedis is switching off; open an \
             account at www.v2.myelectricaldata.fr, take its client_id and client_secret, and write version = 2"
        }
        _ => "version of myelectricaldata is 2",
    };
    table.reader.problem(&origin, message);
    None
}

/// Looks for what a source proves itself with, and misses it only where calls will be made.
struct Credentials<'t, 'a> {
    table: &'t Table<'a>,
    name: &'t str,
    variables: &'t Environment,
    secrets: Secrets,
}

impl Credentials<'_, '_> {
    fn text(&self, key: &str) -> String {
        let found = self.table.filled(key).map(|found| found.value).unwrap_or_default();
        if self.secrets == Secrets::Read && found.is_empty() && self.table.is_number(key).is_none() {
            let message = format!("source {:?} has no {key}; set it, or {}", self.name, self.variable(key));
            self.table.reader.problem(&self.table.origin, &message);
        }
        found
    }

    fn secret(&self, key: &str) -> Option<SecretString> {
        let Self { table, name, variables, secrets } = self;
        let before = table.reader.problem_count();
        let secret = secret::find(table, name, key, variables, *secrets);
        // A secret that was given and refused has been reported already.
        if *secrets == Secrets::Read && secret.is_none() && table.reader.problem_count() == before {
            let message = format!(
                "source {name:?} has no {key}; set {key}_file, the credential {name}.{key} or {}",
                self.variable(key)
            );
            table.reader.problem(&table.origin, &message);
        }
        secret
    }

    fn variable(&self, key: &str) -> String {
        let name = self.name.to_ascii_uppercase().replace('-', "_");
        format!("LINKYD_SOURCE__{name}__{}", key.to_ascii_uppercase())
    }
}
