//! Defaults, the file, the environment on top, and how the result is shown.

use super::*;

#[test]
fn a_small_file_gets_every_default() {
    let config = World::new().load(&format!("{SOURCE}{METER}")).unwrap().config;
    assert_eq!(config.database.place.file(), Some(std::path::Path::new("linkyd.db")));
    let source = config.source("enedis").unwrap();
    assert!(matches!(
        source.settings,
        SourceSettings::Enedis { api: ApiChoice::V2026, environment: ApiEnvironment::Production, .. }
    ));
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
    assert_eq!((home.limits.per_second, home.limits.per_day), (10, Some(20)));
    assert_eq!(config.source("test").unwrap().limits.per_second, 1000);
    assert_eq!(config.schedule.every(Dataset::DailyMaxPower), 7);
    assert_eq!((config.log.format, config.http.listen), (LogFormat::Json, None));
    let days: Vec<_> = config.meters.iter().map(|meter| meter.since.unwrap().to_string()).collect();
    assert_eq!(days, ["2024-01-01", "2024-02-29"]);
    assert_eq!(config.meters[0].sources, ["test", "home"]);
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
    assert_eq!(source.settings.secret().1.unwrap().expose_secret(), "0123");
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
fn no_meter_is_a_warning_until_a_pass_is_wanted() {
    let loaded = World::new().load(SOURCE).unwrap();
    assert!(loaded.warnings[0].to_string().starts_with("configuration: there is no meter, and `run` and `sync` need"));
    assert!(loaded.clone().before_meters().warnings.is_empty());
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
    raw_answers = true          # default
    raw_answers_keep = "400d"   # default

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
        let exit = check(Some(&path), &Environment::default(), &|_| Vec::new(), json, &mut out).unwrap();
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
