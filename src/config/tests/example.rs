//! The example and the reference say what the program does.

use super::*;

const EXAMPLE: &str = include_str!("../../../config.toml");
const REFERENCE: &str = include_str!("../../../docs/configuration.md");

/// Keys that have a name, but mean nothing to the kinds of source that this version has.
const LATER_KEYS: [&str; 3] = ["source.*.token", "source.*.token_file", "source.*.version"];

fn keys() -> impl Iterator<Item = &'static str> {
    schema::KEYS.into_iter().filter(|key| !LATER_KEYS.contains(key))
}

/// The example with every key that is off turned on; they begin with # and no blank.
fn everything_on() -> String {
    let turned_on = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) => rest.to_owned(),
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
    for key in keys() {
        let mut item = Some(document.as_item());
        for segment in key.split('.') {
            item = match (item, segment) {
                (Some(below), "*") if below.as_array_of_tables().is_some() => below.get(0),
                (Some(below), "*") => below.get("enedis"),
                (Some(below), name) => below.get(name),
                (None, _) => None,
            };
        }
        assert!(item.is_some(), "{key} is not in config.toml");
    }
}

#[test]
fn the_example_works_with_everything_on() {
    let world = World::new();
    let secret = world.write("enedis.secret", "abc\n", 0o640);
    let text = everything_on()
        .replace("/etc/linkyd/enedis.secret", &secret.display().to_string())
        .replace("client_id = \"\"", "client_id = \"app\"");
    let config = world.load(&text).unwrap().config;
    assert_eq!(config.schedule.every.len(), 5);
    assert_eq!(config.sources[0].limits.per_day, Some(500));
}

#[test]
fn the_reference_lists_every_key_with_its_default() {
    for key in keys() {
        let shown = key.replace("source.*", "source.NAME").replace("meter.*", "meter");
        let row = REFERENCE.lines().find(|line| line.starts_with(&format!("| `{shown}` ")));
        assert!(row.is_some(), "{shown} is not in docs/configuration.md");
    }
    for default in [
        schema::DEFAULT_FILE,
        schema::DATABASE_URL,
        schema::ENEDIS_PRODUCTION,
        schema::ENEDIS_SANDBOX,
        schema::WAKE_AT,
        schema::RETRY_UNTIL,
        schema::HTTP_LISTEN,
        &schema::ENEDIS_PER_HOUR.to_string(),
    ] {
        assert!(REFERENCE.contains(&format!("`{default}`")), "{default} is not in docs/configuration.md");
    }
}
