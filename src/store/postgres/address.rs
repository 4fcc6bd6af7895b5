//! Where a server is: a `postgres://` URL, read with care for the password in it.
//!
//! The usual parameters of libpq are understood, and two of our own: `schema` names the schema in
//! which the tables are, and `connect_timeout` is libpq's, which the driver leaves out. Neither an
//! error nor `Debug` repeats any part of the URL that could be a secret.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

/// How long a connection may take to be made, unless the URL says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Parameters that the driver understands.
const OF_THE_DRIVER: [&str; 13] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
    "statement-cache-capacity",
];

/// A server and the way to it.
#[derive(Clone)]
pub struct Address {
    pub(super) options: PgConnectOptions,
    pub(super) place: String,
    pub(super) schema: Option<String>,
    pub(super) connect_timeout: Duration,
    /// Whether statements may be kept prepared: a pooler between the server and us may forbid it.
    pub(super) prepared: bool,
    /// How the connection is secured, as `libpq` names it: `(parameter, value)`, the server's certificates and ours.
    tls: Vec<(String, String)>,
    /// What it was read from, to tell it from others.
    given: SecretString,
    shown: String,
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.given.expose_secret() == other.given.expose_secret()
    }
}

impl Eq for Address {}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").field("place", &self.place).field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// What is wrong with a URL. Says nothing of what was in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It cannot be taken apart.
    #[error(
        "is no URL; write it as postgres://user@host:5432/database, with characters like @ and # of a password as %40 and %23"
    )]
    Unreadable,
    /// A parameter that nobody knows.
    #[error(
        "has a parameter {0:?} that is not known; there are sslmode, sslrootcert, schema, connect_timeout and those of libpq"
    )]
    Unknown(String),
    /// A parameter with a value that makes no sense.
    #[error("has a value for {0} that makes no sense")]
    Value(&'static str),
    /// Two passwords.
    #[error("holds a password, and a password is given beside it; keep one of them")]
    TwoPasswords,
}

impl Address {
    /// Reads a URL. `password` stands beside it, where it is kept elsewhere.
    pub fn parse(url: &str, password: Option<&SecretString>) -> Result<Self, AddressError> {
        let given = format!("{url}\n{}", password.map_or("", |password| password.expose_secret()));
        let given = SecretString::from(given);
        let mut url = Url::parse(url).map_err(|_| AddressError::Unreadable)?;
        if !is_server(url.as_str()) {
            return Err(AddressError::Unreadable);
        }
        let (mut schema, mut connect_timeout, mut prepared) = (None, CONNECT_TIMEOUT, true);
        let (mut kept, mut verify) = (Vec::new(), false);
        for (key, value) in url.query_pairs() {
            match &*key {
                "schema" if value.is_empty() || value.contains('\0') => return Err(AddressError::Value("schema")),
                "schema" => schema = Some(value.into_owned()),
                "connect_timeout" => {
                    let seconds = value.parse().ok().filter(|seconds| (1..=3600).contains(seconds));
                    connect_timeout = Duration::from_secs(seconds.ok_or(AddressError::Value("connect_timeout"))?);
                }
                "statement-cache-capacity" => {
                    let capacity: u32 = value.parse().map_err(|_| AddressError::Value("statement-cache-capacity"))?;
                    prepared = capacity > 0;
                }
                known if OF_THE_DRIVER.contains(&known) => {
                    verify |= known == "sslrootcert";
                    kept.push((key.into_owned(), value.into_owned()));
                }
                unknown => return Err(AddressError::Unknown(unknown.chars().take(40).collect())),
            }
        }
        let held = url.password().is_some() || kept.iter().any(|(key, _)| key == "password");
        if held && password.is_some() {
            return Err(AddressError::TwoPasswords);
        }
        let shown = shown(&url);
        let tls = kept.iter().filter(|(key, _)| key.starts_with("ssl")).cloned().collect();
        url.set_query(None);
        if !kept.is_empty() {
            url.query_pairs_mut().extend_pairs(&kept);
        }
        let mut options = PgConnectOptions::from_url(&url).map_err(|_| AddressError::Unreadable)?;
        if let Some(password) = password {
            options = options.password(password.expose_secret());
        }
        // As libpq: who names an authority wants it asked.
        if verify && matches!(options.get_ssl_mode(), PgSslMode::Require | PgSslMode::Prefer) {
            options = options.ssl_mode(PgSslMode::VerifyCa);
        }
        if options.get_application_name().is_none() {
            options = options.application_name("linkyd");
        }
        options = options.disable_statement_logging();
        let place = place(&options, schema.as_deref());
        Ok(Self { options, place, schema, connect_timeout, prepared, tls, given, shown })
    }

    /// Where it is, for messages: without password and parameters.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The URL without what is secret in it.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The command that dumps what is there into a file, in the letters of a shell; it holds no password.
    #[must_use]
    pub fn dump_command(&self, to: &Path) -> String {
        let options = &self.options;
        let mut words = vec!["pg_dump".to_owned(), "--format=custom".to_owned()];
        words.push(format!("--host={}", host(options)));
        words.push(format!("--port={}", options.get_port()));
        words.push(format!("--username={}", options.get_username()));
        words.extend(self.schema.as_ref().map(|schema| format!("--schema={schema}")));
        words.push(format!("--file={}", to.display()));
        let database = options.get_database().unwrap_or(options.get_username());
        if self.tls.is_empty() {
            words.push(database.to_owned());
        } else {
            // There are no options for these: they go with the database's name.
            let pairs =
                std::iter::once(("dbname", database)).chain(self.tls.iter().map(|(k, v)| (k.as_str(), v.as_str())));
            let pairs = pairs.map(|(key, value)| format!("{key}={}", of_a_connection(value)));
            words.push(format!("--dbname={}", pairs.collect::<Vec<_>>().join(" ")));
        }
        words.iter().map(|word| shell_word(word)).collect::<Vec<_>>().join(" ")
    }

    /// A file for TLS that the URL names and that cannot be read: the driver says of it only that something failed.
    pub(super) fn unreadable(&self) -> Option<String> {
        if matches!(self.options.get_ssl_mode(), PgSslMode::Disable) {
            return None;
        }
        let named = self.tls.iter().filter(|(key, value)| key != "sslmode" && !value.trim().starts_with("-----BEGIN"));
        named.into_iter().find_map(|(key, value)| {
            let error = std::fs::File::open(value).err()?;
            Some(format!("{value}, which {key} of `database.url` names, cannot be read ({error}); correct it"))
        })
    }

    /// What the server shows as the name of these connections.
    #[must_use]
    pub fn named(mut self, application: &str) -> Self {
        if self.options.get_application_name() == Some("linkyd") {
            self.options = self.options.application_name(application);
        }
        self
    }
}

/// A value as a connection string of libpq holds it.
fn of_a_connection(value: &str) -> String {
    let plain = |c: char| !c.is_whitespace() && c != '\'' && c != '\\';
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// A word as a shell reads it.
fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:@,+".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// Whether a database URL is that of a server.
#[must_use]
pub fn is_server(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    if shown.password().is_some() {
        // Fails only for a URL that can have no password.
        let _ = shown.set_password(Some("***"));
    }
    let hidden = |(key, value): (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)| {
        let value = if key == "password" { "***".to_owned() } else { value.into_owned() };
        (key.into_owned(), value)
    };
    let pairs: Vec<(String, String)> = url.query_pairs().map(hidden).collect();
    if !pairs.is_empty() {
        shown.query_pairs_mut().clear().extend_pairs(pairs);
    }
    shown.into()
}

/// The host, or the folder of the socket.
fn host(options: &PgConnectOptions) -> String {
    options.get_socket().map_or_else(|| options.get_host().to_owned(), |path| path.display().to_string())
}

fn place(options: &PgConnectOptions, schema: Option<&str>) -> String {
    let user = options.get_username();
    let database = options.get_database().unwrap_or(user);
    let host = host(options);
    let schema = schema.map(|schema| format!(", schema {schema}")).unwrap_or_default();
    // Database and user often have one name.
    format!("{database} at {host}:{} (user {user}{schema})", options.get_port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_understood_and_never_repeated() {
        let address =
            Address::parse("postgres://linky:s3cret@db.home:5433/power?sslmode=require&schema=energy", None).unwrap();
        assert_eq!(address.place(), "power at db.home:5433 (user linky, schema energy)");
        assert_eq!(address.schema.as_deref(), Some("energy"));
        assert!(address.prepared);
        assert!(!format!("{address:?}").contains("s3cret"));
        assert_eq!(address.shown(), "postgres://linky:***@db.home:5433/power?sslmode=require&schema=energy");
        let other = |url: &str| Address::parse(url, None).unwrap();
        assert_ne!(other("postgres://a:x@h/d"), other("postgres://a:y@h/d"));
        assert_eq!(other("postgres://a@h/d?password=s3cret&port=1").shown(), "postgres://a@h/d?password=***&port=1");
        for (url, wrong) in [
            ("postgres://a:s3cret@h/d?sslmod=require", AddressError::Unknown("sslmod".to_owned())),
            ("postgres://a:s3cret@h:port/d", AddressError::Unreadable),
            ("postgres://a@h/d?connect_timeout=never", AddressError::Value("connect_timeout")),
            ("mysql://a@h/d", AddressError::Unreadable),
        ] {
            let error = Address::parse(url, None).unwrap_err();
            assert_eq!(error, wrong);
            assert!(!error.to_string().contains("s3cret"));
        }
    }

    #[test]
    fn a_dump_is_told_without_the_password() {
        let dump = |url: &str, to: &str| Address::parse(url, None).unwrap().dump_command(Path::new(to));
        assert_eq!(
            dump("postgres://linky:s3cret@db.home:5433/power?sslmode=require&schema=energy", "/backup/a.dump"),
            "pg_dump --format=custom --host=db.home --port=5433 --username=linky --schema=energy --file=/backup/a.dump '--dbname=dbname=power sslmode=require'"
        );
        let url = "postgres://linky:s3cret@h/power?sslmode=verify-full&sslrootcert=/etc/my%20ca.pem&sslcert=/c.pem&sslkey=/k.pem";
        let secured = dump(url, "a");
        assert!(
            secured.ends_with(
                r" '--dbname=dbname=power sslmode=verify-full sslrootcert='\''/etc/my ca.pem'\'' sslcert=/c.pem sslkey=/k.pem'"
            ) && !secured.contains("s3cret"),
            "{secured}"
        );
        // What a shell would take apart is kept together.
        let odd = dump("postgres://linky@db.home/p%20w", "it's; rm");
        assert!(odd.ends_with(r"'--file=it'\''s; rm' 'p w'") && odd.contains(" --port=5432 "), "{odd}");
    }

    #[test]
    fn a_password_stands_in_one_place() {
        let secret = SecretString::from("s3cret");
        assert!(Address::parse("postgres://a@h/d", Some(&secret)).is_ok());
        for url in ["postgres://a:x@h/d", "postgres://a@h/d?password=x"] {
            assert_eq!(Address::parse(url, Some(&secret)).unwrap_err(), AddressError::TwoPasswords);
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let unreadable = |url: &str| Address::parse(url, None).unwrap().unreadable();
        let told = unreadable("postgres://a@h/d?sslmode=verify-full&sslrootcert=/nowhere/ca.pem").unwrap();
        assert!(told.starts_with("/nowhere/ca.pem, which sslrootcert of"), "{told}");
        let inline = "-----BEGIN+CERTIFICATE-----%0AMA==%0A-----END+CERTIFICATE-----";
        let unused = "postgres://a@h/d?sslmode=disable&sslrootcert=/nowhere/ca.pem";
        for url in ["postgres://a@h/d?sslmode=require", unused, &format!("postgres://a@h/d?sslrootcert={inline}")] {
            assert_eq!(unreadable(url), None);
        }
    }

    #[test]
    fn who_names_an_authority_has_it_asked() {
        let mode = |url: &str| format!("{:?}", Address::parse(url, None).unwrap().options.get_ssl_mode());
        assert_eq!(mode("postgres://a@h/d?sslmode=require"), "Require");
        assert_eq!(mode("postgres://a@h/d?sslmode=require&sslrootcert=/ca.pem"), "VerifyCa");
        assert_eq!(mode("postgres://a@h/d?sslmode=verify-full&sslrootcert=/ca.pem"), "VerifyFull");
        assert_eq!(mode("postgres://a@h/d?sslmode=disable&sslrootcert=/ca.pem"), "Disable");
    }
}
