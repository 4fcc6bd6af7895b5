//! Every mistake that an operator can make, with the words that they read.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use secrecy::ExposeSecret;

use super::*;

const SECRET: &str = "s3cr3t-canary";
const SOURCE: &str = "[source.enedis]\nclient_id = \"app\"\nclient_secret = \"s3cr3t-canary\"\n";
const METER: &str = "[[meter]]\nprm = \"01234567890123\"\n";

struct World {
    directory: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl World {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    fn environment(&self) -> Environment {
        Environment::from_pairs(self.variables.clone())
    }

    fn load(&self, text: &str) -> Result<Loaded, ConfigError> {
        let path = self.write("config.toml", text, 0o640);
        load(Some(&path), &self.environment(), Secrets::Read)
    }

    /// The problems, with the directory left out.
    fn problems(&self, text: &str) -> String {
        let error = self.load(text).map(|loaded| loaded.config).unwrap_err().to_string();
        assert!(!error.contains(SECRET), "{error}");
        assert!(!error.contains("01234567890123"), "{error}");
        error.replace(&format!("{}/", self.directory.path().display()), "")
    }
}

fn problems(text: &str) -> String {
    World::new().problems(text)
}

/// The one problem of a file that is sound but for `extra`, which begins on line 6.
fn problem(extra: &str) -> String {
    problems(&format!("{SOURCE}{METER}{extra}"))
}

#[test]
fn a_small_file_gets_every_default() {
    let config = World::new().load(&format!("{SOURCE}{METER}")).unwrap().config;
    assert_eq!(config.database.path, PathBuf::from("linkyd.db"));
    let source = config.source("enedis").unwrap();
    assert_eq!((source.kind, source.api), (SourceKind::Enedis, ApiChoice::V2026));
    assert_eq!(source.base_url.as_str(), "https://gw.ext.prod.api.enedis.fr/");
    assert_eq!((source.limits.per_second, source.limits.per_hour, source.limits.per_day), (5, Some(900), None));
    assert_eq!(config.schedule.wake_at.to_string(), "08:00:00");
    assert_eq!(config.schedule.retry_until.to_string(), "20:00:00");
    assert_eq!(config.schedule.every(Dataset::DailyMaxPower), 1);
    assert_eq!(config.http.listen.unwrap().to_string(), "127.0.0.1:9764");
    let meter = config.meters.first().unwrap();
    assert_eq!(meter.prm.full(), "01234567890123");
    assert_eq!((meter.name.as_str(), &meter.sources), ("meter-0123", &vec!["enedis".to_owned()]));
    assert_eq!(meter.datasets, schema::METER_DATASETS);
}

#[test]
fn a_file_may_say_everything() {
    let text = r#"
[database]
url = "sqlite:///var/lib/linkyd/linkyd.db"
[source.home]
kind = "enedis"
environment = "sandbox"
api = 2026
client_id = "app"
client_secret = "s3cr3t-canary"
[source.home.limits]
requests_per_second = 10
requests_per_hour = 10000
requests_per_day = 20
reserved_per_day = 5
negotiated = true
[source.test]
kind = "enedis"
base_url = "http://[::1]:8080/x"
client_id = "app"
client_secret = "s3cr3t-canary"
limits = { requests_per_second = 1000 }
[schedule]
wake_at = "09:30"
retry_until = "21:00"
[schedule.every]
daily_max_power = "7d"
[log]
filter = "warn,linkyd::plan=debug"
format = "json"
[http]
listen = ""
[[meter]]
prm = "01234567890123"
name = "Maison"
sources = ["test", "home"]
datasets = ["daily_production"]
since = 2024-01-01
[[meter]]
prm = "01234567890124"
sources = ["home"]
since = "2024-02-29"
"#;
    let config = World::new().load(text).unwrap().config;
    let home = config.source("home").unwrap();
    assert_eq!(home.base_url.as_str(), "https://gw.ext.prod-sandbox.api.enedis.fr/");
    assert_eq!((home.limits.per_second, home.limits.reserved_per_day), (10, Some(5)));
    assert_eq!(config.source("test").unwrap().limits.per_second, 1000);
    assert_eq!(config.schedule.every(Dataset::DailyMaxPower), 7);
    assert_eq!((config.log.format, config.http.listen), (LogFormat::Json, None));
    let days: Vec<_> = config.meters.iter().map(|meter| meter.since.unwrap().to_string()).collect();
    assert_eq!(days, ["2024-01-01", "2024-02-29"]);
    assert_eq!(config.meters[0].sources, ["test", "home"]);
}

#[test]
fn unknown_keys_are_named_with_line_and_nearest_key() {
    let all = problems(
        "[databse]\nurl = \"x\"\n[schedule]\nwakeat = \"09:00\"\nlisten = \"\"\n[http]\nport = 1\n[source.enedis]\n\
         client_id = \"a\"\nclient_secert = \"s3cr3t-canary\"\nclient_secret = \"s3cr3t-canary\"\n\
         [source.enedis.limits]\nrequests_per_minute = 3\n[[meter]]\nprm = \"01234567890123\"\ndataset = []\n",
    );
    assert_eq!(
        all,
        "config.toml:1: unknown key \"databse\"; the nearest known key is \"database\"\n\
         config.toml:4: unknown key \"wakeat\" in [schedule]; the nearest known key is \"wake_at\"\n\
         config.toml:5: unknown key \"listen\" in [schedule]; it belongs into [http]\n\
         config.toml:7: unknown key \"port\" in [http]; the nearest known key is \"listen\"\n\
         config.toml:10: unknown key \"client_secert\" in [source.enedis]; the nearest known key is \"client_secret\"\n\
         config.toml:13: unknown key \"requests_per_minute\" in [source.enedis.limits]; the nearest known key is \
         \"requests_per_hour\"\n\
         config.toml:16: unknown key \"dataset\" in [[meter]]; the nearest known key is \"datasets\""
    );
}

#[test]
fn meter_numbers_are_checked_and_never_repeated() {
    let prm = |value: &str| problems(&format!("{SOURCE}[[meter]]\nprm = {value}\n"));
    assert_eq!(prm("\"0123456789012\""), "config.toml:5: prm: a PRM has exactly 14 digits, this has 13 characters");
    assert_eq!(prm("12345678901234"), "config.toml:5: prm is a number here; a PRM is text: quote it");
    assert_eq!(
        prm("\"'; DROP TABLE--\""),
        "config.toml:5: prm: a PRM has exactly 14 digits, this has 15 characters and not all of them are digits"
    );
    let leading_zero = prm("01234567890123");
    assert!(leading_zero.starts_with("config.toml:5: no TOML at column "), "{leading_zero}");
    assert!(leading_zero.ends_with("; a PRM is text: put it in quotes"), "{leading_zero}");
    assert_eq!(
        problems(&format!("{SOURCE}[[meter]]\nname = \"x\"\n")),
        "config.toml:4: this meter has no prm; its 14 digits are on every bill"
    );
}

#[test]
fn meters_are_unique() {
    assert_eq!(problem(METER), "config.toml:7: prm …0123 is already that of the meter at config.toml:5");
    assert_eq!(
        problem("[[meter]]\nprm = \"99994567890123\"\n"),
        "config.toml:7: name \"meter-0123\" is already that of the meter at config.toml:5; give each of them a name"
    );
    assert_eq!(
        problem("name = \"a\"\n[[meter]]\nprm = \"99994567890123\"\nname = \"a\"\n"),
        "config.toml:9: name \"a\" is already that of the meter at config.toml:6; choose another one"
    );
}

#[test]
fn meters_name_what_exists() {
    for (line, message) in [
        ("sources = [\"enedi\"]", "there is no source \"enedi\"; the nearest is \"enedis\""),
        ("sources = \"enedis\"", "sources must be a list: put it in brackets, as in sources = [\"…\"]"),
        ("sources = []", "sources is empty; name one, or leave it out if there is only one"),
        ("sources = [\"enedis\", \"enedis\"]", "sources names \"enedis\" twice"),
        ("datasets = []", "datasets is empty; name one, or leave it out for the usual ones"),
        (
            "datasets = [\"daily_consumtion\"]",
            "there is no dataset \"daily_consumtion\"; the nearest is \"daily_consumption\"",
        ),
        ("datasets = [\"identity\"]", "this version does not collect identity yet; remove it"),
        ("datasets = [1]", "datasets must be a list of texts in quotes"),
        ("name = \"\"", "name is empty; leave it out or fill it"),
        ("name = \"01234567890123\"", "name holds a PRM; it stands in logs, so choose another one"),
        ("name = 1", "name must be text in quotes"),
        ("since = \"2024-02-30\"", "since: \"2024-02-30\" is no day; write it as YYYY-MM-DD"),
        ("since = 2024-01-01T00:00:00Z", "since: \"2024-01-01T00:00:00Z\" is no day; write it as YYYY-MM-DD"),
    ] {
        assert_eq!(problem(line), format!("config.toml:6: {message}"));
    }
    assert_eq!(problems(METER), "config.toml:1: this meter has no source: add a [source.enedis]");
    let two = SOURCE.replace("source.enedis]", "source.b]\nkind = \"enedis\"");
    assert_eq!(
        problems(&format!("{SOURCE}{two}{METER}")),
        "config.toml:8: this meter does not say which source it has; add sources = [\"b\", \"enedis\"]"
    );
    assert_eq!(
        problems(&format!("{SOURCE}[meter]\nprm = \"01234567890123\"\n")),
        "config.toml:5: write [[meter]] with two brackets: there may be several"
    );
}

#[test]
fn sections_are_checked() {
    for (lines, message) in [
        ("[database]\nurl = \"postgres://x\"", "PostgreSQL is not supported by this version; use sqlite://"),
        ("[database]\nurl = \"linkyd.db\"", "url must begin with sqlite://, as in sqlite:///var/lib/linkyd/linkyd.db"),
        ("[database]\nurl = \"sqlite://\"", "url must name a file, as in sqlite:///var/lib/linkyd/linkyd.db"),
        ("[database]\nurl = \"sqlite://a?mode=ro\"", "url must be sqlite:// and a path, without ? and %"),
        ("[schedule]\nwake_at = \"07:59\"", "wake_at must not be before 08:00: Enedis has nothing new earlier"),
        ("[schedule]\nwake_at = \"8:00\"", "wake_at = \"8:00\" is no time of day; write it as \"08:00\""),
        (
            "[schedule]\nretry_until = \"07:00\"",
            "retry_until (07:00) is before wake_at (08:00); both are times of the same day",
        ),
        (
            "[schedule.every]\ndaily_max_power = \"1w\"",
            "daily_max_power = \"1w\" is no number of days; write \"1d\" to \"365d\"",
        ),
        (
            "[schedule.every]\ndaily_power = \"7d\"",
            "unknown key \"daily_power\" in [schedule.every]; the nearest known key is \"daily_max_power\"",
        ),
        ("[schedule.every]\ncontract = \"7d\"", "this version does not collect contract yet; remove it"),
        (
            "[log]\nfilter = \"inof\"",
            "filter: \"inof\" is no level; levels are \"off\", \"error\", \"warn\", \"info\", \"debug\" or \"trace\"",
        ),
        (
            "[log]\nformat = \"jsn\"",
            "format = \"jsn\" is not known; it is \"auto\" or \"json\", the nearest is \"json\"",
        ),
        (
            "[http]\nlisten = \"localhost\"",
            "listen = \"localhost\" is no address with a port; write \"127.0.0.1:9764\", or \"\" for none",
        ),
    ] {
        assert_eq!(problem(lines), format!("config.toml:7: {message}"));
    }
}

#[test]
fn sources_are_checked() {
    for (line, message) in [
        (
            "environment = \"prod\"",
            "environment = \"prod\" is not known; it is \"production\" or \"sandbox\", the nearest is \"production\"",
        ),
        ("api = \"v6\"", "api = \"v6\" is not known; it is \"v5\", \"2026\" or \"auto\", the nearest is \"v5\""),
        ("api = 5", "api is \"v5\", \"2026\" or \"auto\""),
        ("base_url = \"http://example.org\"", "base_url must be https: only a loopback address may be http"),
        ("base_url = \"https://u:p@example.org\"", "base_url must not carry a user or a password"),
        ("base_url = \"example.org\"", "base_url is no address; write it as https://host"),
        ("token = \"x\"", "token means nothing to kind \"enedis\"; it has client_id and client_secret"),
        (
            "limits.requests_per_second = 6",
            "requests_per_second = 6 is above the 5 that Enedis allows; lower it, or add negotiated = true if your \
             contract allows more",
        ),
        (
            "limits.requests_per_hour = 1001",
            "requests_per_hour = 1001 is above the 1000 that Enedis allows; lower it, or add negotiated = true if \
             your contract allows more",
        ),
        ("limits.requests_per_hour = 0", "requests_per_hour must be a whole number from 1 on, without quotes"),
        ("limits.requests_per_day = \"9\"", "requests_per_day must be a whole number from 1 on, without quotes"),
        ("limits.negotiated = 1", "negotiated must be true or false, without quotes"),
        ("limits.reserved_per_day = 1", "reserved_per_day is a part of requests_per_day, so it must be less"),
    ] {
        assert_eq!(problems(&format!("{SOURCE}{line}\n{METER}")), format!("config.toml:4: {message}"));
    }
    assert_eq!(
        problems("[source.home]\nclient_id = \"a\"\n"),
        "config.toml:1: source \"home\" has no kind; add kind = \"enedis\""
    );
    assert_eq!(
        problems("[source.conso-api]\ntoken = \"a\"\n"),
        "config.toml:1: sources of kind \"conso-api\" are not supported by this version; use kind \"enedis\""
    );
    assert_eq!(problems("[source]\nkind = \"enedis\"\n"), "config.toml:2: \"kind\" is a section, not a value");
}

#[test]
fn all_problems_are_told_at_once() {
    let all =
        problems("[source.enedis]\nclient_id = \"\"\napi = \"x\"\n[log]\nformat = \"x\"\n[[meter]]\nprm = \"1\"\n");
    assert_eq!(all.lines().count(), 5, "{all}");
}

#[test]
fn broken_toml_is_placed_and_not_shown() {
    let text = problems("[source.enedis]\nclient_secret = \"s3cr3t-canary\n");
    assert!(text.starts_with("config.toml:2: no TOML at column "), "{text}");
}

#[test]
fn the_environment_comes_last_and_stays_text() {
    let world = World::new()
        .set("LINKYD_METER__0__PRM", "00000000000042")
        .set("LINKYD_METER__0__DATASETS", "daily_consumption, daily_production")
        .set("LINKYD_SOURCE__ENEDIS__CLIENT_SECRET", "0123")
        .set("LINKYD_SOURCE__ENEDIS__LIMITS__REQUESTS_PER_HOUR", "100")
        .set("LINKYD_PORT_9764_TCP", "tcp://10.0.0.1:9764")
        .set("LINKYD_HTTP__LISTEN", "");
    let loaded = world.load(&format!("{SOURCE}{METER}name = \"Maison\"\n")).unwrap();
    let source = loaded.config.source("enedis").unwrap();
    assert_eq!(source.client_secret.as_ref().unwrap().expose_secret(), "0123");
    assert_eq!(source.limits.per_hour, Some(100));
    let meter = loaded.config.meters.first().unwrap();
    assert_eq!((meter.prm.full(), meter.name.as_str()), ("00000000000042", "Maison"));
    assert_eq!(meter.datasets, [Dataset::DailyConsumption, Dataset::DailyProduction]);
    assert_eq!(loaded.config.http.listen, None);
    assert_eq!(loaded.warnings.len(), 1);
    assert_eq!(
        loaded.warnings[0].to_string(),
        "LINKYD_PORT_9764_TCP: ignored: a key of the configuration has __ between its levels"
    );
    assert_eq!(loaded.provenance.origin("meter.0.prm"), &Origin::Environment("LINKYD_METER__0__PRM".to_owned()));
}

#[test]
fn mistakes_in_the_environment_name_the_variable() {
    for (name, value, message) in [
        ("LINKYD_LOG__FORMATT", "json", "unknown key \"formatt\" in [log]; the nearest known key is \"format\""),
        ("LINKYD_METER__0__PRM", "42", "prm: a PRM has exactly 14 digits, this has 2 characters"),
        ("LINKYD_METER__X__PRM", "42", "meters are numbered from 0, as in LINKYD_METER__0__PRM"),
        ("LINKYD_METER__2__PRM", "42", "meters are numbered from 0 without a gap; there is no meter before number 2"),
        (
            "LINKYD_SOURCE__ENEDIS__LIMITS__REQUESTS_PER_HOUR",
            "many",
            "requests_per_hour must be a whole number from 1 on, without quotes",
        ),
    ] {
        let world = World::new().set(name, value);
        assert_eq!(world.problems(&format!("{SOURCE}{METER}")), format!("{name}: {message}"));
    }
}

#[test]
fn the_environment_alone_can_configure() {
    let environment = Environment::from_pairs([
        ("LINKYD_SOURCE__ENEDIS__CLIENT_ID", "a"),
        ("LINKYD_SOURCE__ENEDIS__CLIENT_SECRET", "b"),
        ("LINKYD_METER__0__PRM", "01234567890123"),
    ]);
    if PathBuf::from(schema::DEFAULT_FILE).exists() {
        return;
    }
    let loaded = load(None, &environment, Secrets::Read).unwrap();
    assert_eq!((loaded.file.clone(), loaded.config.meters.len()), (None, 1));
    let error = load(None, &Environment::default(), Secrets::Read).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no configuration file /etc/linkyd/config.toml; write it, or name another one with --config"
    );
}

#[test]
fn a_named_file_must_exist() {
    let world = World::new();
    let error = load(Some(&world.path("none.toml")), &Environment::default(), Secrets::Read).unwrap_err().to_string();
    assert!(error.ends_with("none.toml; check the name given with --config"), "{error}");
}

#[test]
fn secrets_come_from_files_that_nobody_else_reads() {
    let with_file = |path: &PathBuf| {
        format!("[source.enedis]\nclient_id = \"app\"\nclient_secret_file = \"{}\"\n{METER}", path.display())
    };
    let world = World::new();
    for (text, read) in [("abc\n", "abc"), ("abc", "abc"), ("0042\r\n", "0042"), (" a b \n", " a b ")] {
        let path = world.write("secret", text, 0o640);
        let config = world.load(&with_file(&path)).unwrap().config;
        assert_eq!(config.sources[0].client_secret.as_ref().unwrap().expose_secret(), read);
    }
    for (text, mode, message) in [
        ("s3cr3t-canary\n", 0o644, "can be read by every user of this machine; run chmod 640 on it"),
        ("\n", 0o600, "is empty; put the secret into it"),
        ("s3cr3t-canary\n\n", 0o600, "has more than one line; a secret is a single one"),
        (&"s3cr3t-canary".repeat(400), 0o600, "does not hold a secret, but binary data or more than 4096 bytes"),
    ] {
        let path = world.write("secret", text, mode);
        assert_eq!(world.problems(&with_file(&path)), format!("config.toml:3: client_secret_file: secret {message}"));
    }
    assert_eq!(
        world.problems(&with_file(&world.path("none"))),
        "config.toml:3: client_secret_file: none cannot be read; let the user that runs linkyd read it \
         (chown root:linkyd, chmod 640) (No such file or directory (os error 2))"
    );
    let path = world.write("config.toml", &with_file(&world.path("none")), 0o644);
    assert!(load(Some(&path), &Environment::default(), Secrets::Skip).is_ok());
}

#[test]
fn a_secret_in_an_open_file_is_refused() {
    let world = World::new();
    let path = world.write("config.toml", &format!("{SOURCE}{METER}"), 0o644);
    for secrets in [Secrets::Read, Secrets::Skip] {
        let error = load(Some(&path), &Environment::default(), secrets).unwrap_err().to_string();
        assert!(
            error.ends_with(
                "config.toml:3: client_secret stands in a file that every user of this machine can read; run chmod \
                 640 on it, or name a file with client_secret_file"
            ),
            "{error}"
        );
    }
}

#[test]
fn a_credential_of_the_service_manager_is_found() {
    let world = World::new();
    world.write("enedis.client_secret", "from-systemd\n", 0o440);
    let directory = world.directory.path().display().to_string();
    let world = world.set("CREDENTIALS_DIRECTORY", &directory);
    let loaded = world.load(&format!("[source.enedis]\nclient_id = \"app\"\n{METER}")).unwrap();
    assert_eq!(loaded.config.sources[0].client_secret.as_ref().unwrap().expose_secret(), "from-systemd");
    let origin = loaded.provenance.origin("source.enedis.client_secret");
    assert_eq!(origin, &Origin::SecretFile(world.path("enedis.client_secret")));
}

#[test]
fn missing_credentials_are_told_with_the_ways_to_give_them() {
    assert_eq!(
        problems(&format!("[source.enedis]\n{METER}")),
        "config.toml:1: source \"enedis\" has no client_id; set it, or LINKYD_SOURCE__ENEDIS__CLIENT_ID\n\
         config.toml:1: source \"enedis\" has no client_secret; set client_secret_file, the credential \
         enedis.client_secret or LINKYD_SOURCE__ENEDIS__CLIENT_SECRET"
    );
    assert_eq!(
        problems(&format!("{SOURCE}client_secret_file = \"/x\"\n{METER}")),
        "config.toml:4: client_secret and client_secret_file are both given; keep one of them"
    );
}

#[test]
fn no_meter_is_a_warning_until_a_pass_is_wanted() {
    let loaded = World::new().load(SOURCE).unwrap();
    assert_eq!(loaded.warnings[0].to_string(), "configuration: there is no meter; add a [[meter]] with its prm");
    assert!(loaded.require_meters().is_err());
}

#[test]
fn show_hides_secrets_and_names_origins() {
    let world = World::new().set("LINKYD_LOG__FILTER", "debug");
    let loaded = world.load(&format!("{SOURCE}{METER}")).unwrap();
    let (mut text, mut json) = (Vec::new(), Vec::new());
    show(&loaded, false, &mut text).unwrap();
    show(&loaded, true, &mut json).unwrap();
    let directory = format!("{}/", world.directory.path().display());
    let [text, json] = [text, json].map(|out| String::from_utf8(out).unwrap().replace(&directory, ""));
    for out in [&text, &json, &format!("{loaded:?}")] {
        assert!(!out.contains(SECRET) && !out.contains("01234567890123"), "{out}");
    }
    insta::assert_snapshot!(text, @r#"
    [database]
    url = "sqlite://linkyd.db"  # default

    [source.enedis]
    kind = "enedis"                                  # default
    environment = "production"                       # default
    base_url = "https://gw.ext.prod.api.enedis.fr/"  # default
    api = "2026"                                     # default
    client_id = "app"                                # config.toml:2
    client_secret = "***"                            # config.toml:3

    [source.enedis.limits]
    requests_per_second = 5  # default
    requests_per_hour = 900  # default

    [schedule]
    wake_at = "08:00"      # default
    retry_until = "20:00"  # default

    [log]
    filter = "debug"  # environment LINKYD_LOG__FILTER
    format = "auto"   # default

    [http]
    listen = "127.0.0.1:9764"  # default

    [[meter]]
    prm = "…0123"         # config.toml:5
    name = "meter-0123"   # default
    sources = ["enedis"]  # default
    datasets = ["consumption_load_curve", "daily_consumption", "daily_max_power"]  # default
    "#);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        json["values"]["log.filter"],
        serde_json::json!({"value": "debug", "from": "environment LINKYD_LOG__FILTER"})
    );
}

#[test]
fn check_reports_and_ends_with_the_code() {
    let world = World::new();
    let run = |text: &str, json| {
        let path = world.write("config.toml", text, 0o640);
        let mut out = Vec::new();
        let exit = check(Some(&path), &Environment::default(), json, &mut out).unwrap();
        (exit.code(), String::from_utf8(out).unwrap())
    };
    assert_eq!(
        run(&format!("{SOURCE}{METER}"), false),
        (0, "The configuration is sound: sources 1, meters 1.\n".to_owned())
    );
    let (code, text) = run(&format!("{SOURCE}[[meter]]\nprm = \"1\"\n"), true);
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &report["ok"]), (78, &serde_json::Value::Bool(false)));
}
