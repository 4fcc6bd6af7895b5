//! The example and the reference say what the program does.

use super::*;

const EXAMPLE: &str = include_str!("../../../config.toml");
const REFERENCE: &str = include_str!("../../../docs/configuration.md");

/// The example with every key that is off turned on; they and their sections begin with #
/// and no blank.
fn everything_on() -> String {
    let turned_on = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => rest.to_owned(),
        _ => line.to_owned(),
    };
    EXAMPLE.lines().map(turned_on).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_is_sound_and_says_the_defaults() {
    let world = World::new();
    let path = world.write("config.toml", EXAMPLE, 0o644);
    let example = load(Some(&path), &Environment::default(), Secrets::Skip).unwrap().config;
    let bare = "[source.enedis]\n[[meter]]\nprm = \"12345678901234\"\nname = \"Maison\"\n";
    let path = world.write("bare.toml", bare, 0o644);
    let bare = load(Some(&path), &Environment::default(), Secrets::Skip).unwrap().config;
    assert_eq!(format!("{example:?}"), format!("{bare:?}"));
}

#[test]
fn the_example_lists_every_key() {
    let text = everything_on();
    let document = toml_edit::ImDocument::parse(text.as_str()).unwrap();
    let sources: Vec<&str> = document["source"].as_table().unwrap().iter().map(|(name, _)| name).collect();
    let has = |path: &str| {
        let mut item = Some(document.as_item());
        for segment in path.split('.') {
            item = match item {
                Some(below) if below.is_array_of_tables() => below.get(0),
                Some(below) => below.get(segment),
                None => None,
            };
        }
        item.is_some()
    };
    for key in schema::KEYS {
        match key.strip_prefix("source.*.") {
            Some(below) => {
                let who = sources.iter().filter(|name| has(&format!("source.{name}.{below}"))).count();
                assert!(who > 0, "{key} is not in config.toml");
            }
            None => assert!(has(key), "{key} is not in config.toml"),
        }
    }
    // Each kind shows all that it has.
    for (name, kind) in sources.iter().zip([SourceKind::Enedis, SourceKind::ConsoApi, SourceKind::MyElectricalData]) {
        for key in schema::KEYS_OF_EVERY_KIND.iter().chain(kind.keys()) {
            assert!(has(&format!("source.{name}.{key}")), "{key} is not in [source.{name}]");
        }
    }
}

#[test]
fn the_example_works_with_everything_on() {
    let world = World::new();
    let secret = world.write("enedis.secret", "abc\n", 0o640);
    world.write("meters.csv", "prm,sources\n12345678901235,enedis\n", 0o640);
    let text = everything_on()
        .replace("/etc/linkyd/enedis.secret", &secret.display().to_string())
        .replace("/etc/linkyd/conso.token", &secret.display().to_string())
        .replace("/etc/linkyd/med.secret", &secret.display().to_string())
        .replace("client_id = \"\"", "client_id = \"app\"");
    let config = world.load(&text).unwrap().config;
    assert_eq!((config.schedule.every.len(), config.meters.len()), (crate::domain::Dataset::ALL.len(), 2));
    let kinds: Vec<SourceKind> = config.sources.iter().map(SourceConfig::kind).collect();
    assert_eq!(kinds, [SourceKind::Enedis, SourceKind::ConsoApi, SourceKind::MyElectricalData]);
    // What the example says of the gateways are their defaults.
    assert_eq!(config.sources[1].limits, default_limits("conso-api", "token = \"t\""));
    let med = LimitsConfig {
        per_hour: Some(100),
        ..default_limits("myelectricaldata", "client_id = \"a\"\nclient_secret = \"b\"")
    };
    assert_eq!(config.sources[2].limits, med);
    assert_eq!(config.sources[0].limits.per_day, Some(500));
}

fn default_limits(kind: &str, credentials: &str) -> LimitsConfig {
    World::new().load(&format!("[source.{kind}]\n{credentials}\n{METER}")).unwrap().config.sources[0].limits
}

#[test]
fn the_reference_lists_every_key_with_its_default() {
    for key in schema::KEYS {
        let shown = key.replace("source.*", "source.NAME").replace("meter.*", "meter");
        let row = REFERENCE.lines().find(|line| line.starts_with(&format!("| `{shown}` ")));
        assert!(row.is_some(), "{shown} is not in docs/configuration.md");
    }
    for default in [
        schema::DEFAULT_FILE,
        schema::DATABASE_URL,
        crate::source::enedis::PRODUCTION,
        crate::source::enedis::SANDBOX,
        crate::source::conso_api::BASE_URL,
        crate::source::myelectricaldata::BASE_URL,
        schema::WAKE_AT,
        schema::RETRY_UNTIL,
        schema::HTTP_LISTEN,
    ] {
        assert!(REFERENCE.contains(&format!("`{default}`")), "{default} is not in docs/configuration.md");
    }
}
