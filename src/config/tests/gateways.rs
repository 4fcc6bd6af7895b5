//! The community gateways as sources: their settings, secrets and limits.

use super::*;

const CONSO: &str = "[source.home]\nkind = \"conso-api\"\ntoken = \"s3cr3t-canary\"\n";
const MED: &str = "[source.med]\nkind = \"myelectricaldata\"\nclient_id = \"a\"\nclient_secret = \"s3cr3t-canary\"\n";

/// The limits of a sound source.
fn limits(source: &str) -> LimitsConfig {
    World::new().load(&format!("{source}{METER}")).unwrap().config.sources[0].limits
}

#[test]
fn each_kind_has_its_settings_and_an_address() {
    let text = format!(
        "{SOURCE}{CONSO}{MED}[source.flat]\nkind = \"conso-api\"\ntoken = \"x\"\n{METER}sources = [\"home\", \"med\", \"enedis\"]\n"
    );
    let config = World::new().load(&text).unwrap().config;
    let home = config.source("home").unwrap();
    assert_eq!((home.kind(), home.base_url.as_str()), (SourceKind::ConsoApi, "https://conso.boris.sh/"));
    assert_eq!(home.settings.secret().1.unwrap().expose_secret(), SECRET);
    let med = config.source("med").unwrap();
    assert_eq!(med.base_url.as_str(), "https://www.v2.myelectricaldata.fr/api");
    let SourceSettings::MyElectricalData { client_id, .. } = &med.settings else { panic!("another kind") };
    assert_eq!(client_id, "a");
    assert_eq!(config.source("flat").unwrap().kind(), SourceKind::ConsoApi);
    assert_eq!(config.meters[0].sources, ["home", "med", "enedis"]);
}

#[test]
fn a_gateway_may_be_named_like_its_kind_also_in_the_environment() {
    for (prefix, secret) in [("CONSO_API", "TOKEN"), ("MYELECTRICALDATA", "CLIENT_SECRET")] {
        let world = World::new()
            .set(&format!("LINKYD_SOURCE__{prefix}__{secret}"), "from-outside")
            .set("LINKYD_SOURCE__MYELECTRICALDATA__CLIENT_ID", "a")
            .set("LINKYD_SOURCE__MYELECTRICALDATA__VERSION", "2")
            .set("LINKYD_SOURCE__MYELECTRICALDATA__CLIENT_SECRET", "from-outside");
        let name = prefix.to_ascii_lowercase();
        let config = world.load(&format!("{METER}sources = [\"{name}\"]\n")).unwrap().config;
        assert_eq!(config.source(&name).unwrap().settings.secret().1.unwrap().expose_secret(), "from-outside");
    }
    let world = World::new().set("LINKYD_SOURCE__MY_HOME__TOKEN", "from-outside");
    let config = world.load(&format!("[source.my-home]\nkind = \"conso-api\"\n{METER}")).unwrap().config;
    assert_eq!(config.sources[0].settings.secret().1.unwrap().expose_secret(), "from-outside");
}

#[test]
fn tokens_follow_the_rules_of_secrets() {
    let world = World::new();
    let named =
        |path: &PathBuf| format!("[source.home]\nkind = \"conso-api\"\ntoken_file = \"{}\"\n{METER}", path.display());
    let path = world.write("token", "abc.def.ghi\n", 0o640);
    let loaded = world.load(&named(&path)).unwrap();
    assert_eq!(loaded.config.sources[0].settings.secret().1.unwrap().expose_secret(), "abc.def.ghi");
    assert_eq!(loaded.provenance.origin("source.home.token"), &Origin::SecretFile(path.clone()));
    world.write("token", "s3cr3t-canary\n", 0o644);
    assert_eq!(
        world.problems(&named(&path)),
        "config.toml:3: token_file: token can be read by every user of this machine; run chmod 640 on it"
    );
    assert_eq!(
        problems(&format!("[source.home]\nkind = \"conso-api\"\n{METER}")),
        "config.toml:1: source \"home\" has no token; set token_file, the credential home.token or \
         LINKYD_SOURCE__HOME__TOKEN"
    );
    world.write("home.token", "from-systemd\n", 0o440);
    let directory = world.directory.path().display().to_string();
    let world = world.set("CREDENTIALS_DIRECTORY", &directory);
    let loaded = world.load(&format!("[source.home]\nkind = \"conso-api\"\n{METER}")).unwrap();
    assert_eq!(loaded.config.sources[0].settings.secret().1.unwrap().expose_secret(), "from-systemd");

    let path = world.write("open.toml", &format!("{CONSO}{METER}"), 0o644);
    let error = load(Some(&path), &Environment::default(), Secrets::Skip).unwrap_err().to_string();
    assert!(error.contains("open.toml:3: token stands in a file that every user"), "{error}");
}

#[test]
fn keys_of_other_kinds_are_mistakes() {
    for (source, line, message) in [
        (CONSO, "client_id = \"x\"", "client_id means nothing to kind \"conso-api\"; it has token and token_file"),
        (CONSO, "api = \"2026\"", "api means nothing to kind \"conso-api\"; it has token and token_file"),
        (CONSO, "tokne = \"x\"", "unknown key \"tokne\" in [source.home]; the nearest known key is \"token\""),
        (CONSO, "base_url = \"http://example.org\"", "base_url must be https: only a loopback address may be http"),
        (
            MED,
            "token = \"x\"",
            "token means nothing to kind \"myelectricaldata\"; it has version, client_id, client_secret and \
             client_secret_file",
        ),
        (MED, "clientid = \"x\"", "unknown key \"clientid\" in [source.med]; the nearest known key is \"client_id\""),
        (MED, "version = 3", "version of myelectricaldata is 2"),
        (
            MED,
            "version = 1",
            "version 1 of myelectricaldata is not supported: it speaks the API that Enedis is switching off; open an \
             account at www.v2.myelectricaldata.fr, take its client_id and client_secret, and write version = 2",
        ),
    ] {
        let at = source.lines().count() + 1;
        assert_eq!(problems(&format!("{source}{line}\n{METER}")), format!("config.toml:{at}: {message}"));
    }
    // What no kind of its own has is not suggested.
    assert_eq!(
        problems(&format!("{SOURCE}tokn = \"x\"\n{METER}")),
        "config.toml:4: unknown key \"tokn\" in [source.enedis]; known are \"kind\", \"environment\", \"base_url\", \
         \"api\", \"client_id\", \"client_secret\", \"client_secret_file\" or \"limits\""
    );
}

#[test]
fn limits_are_on_the_safe_side() {
    assert_eq!(
        limits(CONSO),
        LimitsConfig {
            per_second: 1,
            per_hour: Some(10),
            per_day: Some(20),
            reserved_per_day: 0,
            cached_per_day: None
        }
    );
    assert_eq!(
        limits(MED),
        LimitsConfig {
            per_second: 1,
            per_hour: None,
            per_day: Some(40),
            reserved_per_day: 0,
            cached_per_day: Some(400)
        }
    );
    let loopback = limits(&format!("{CONSO}base_url = \"http://127.0.0.1:8080\"\nlimits.requests_per_day = 5000\n"));
    assert_eq!(loopback.per_day, Some(5000));
    let negotiated = limits(&format!("{MED}limits = {{ negotiated = true, cached_requests_per_day = 9000 }}\n"));
    assert_eq!(negotiated.cached_per_day, Some(9000));
    for (source, key, value, most, ceiling) in [
        (CONSO, "requests_per_second", 2, 1, "that keep clear of a ban by conso-api"),
        (CONSO, "requests_per_hour", 21, 20, "that keep clear of a ban by conso-api"),
        (CONSO, "requests_per_day", 41, 40, "that keep clear of a ban by conso-api"),
        (MED, "requests_per_second", 2, 1, "that myelectricaldata allows"),
        (MED, "requests_per_day", 51, 50, "that myelectricaldata allows"),
        (MED, "cached_requests_per_day", 1001, 1000, "that myelectricaldata allows"),
    ] {
        let at = source.lines().count() + 1;
        assert_eq!(
            problems(&format!("{source}limits.{key} = {value}\n{METER}")),
            format!(
                "config.toml:{at}: {key} = {value} is above the {most} {ceiling}; lower it, or add negotiated = true \
                 if its operator allowed you more"
            )
        );
        let lower = format!("{source}limits.{key} = {most}\n{METER}");
        assert!(World::new().load(&lower).is_ok(), "{lower}");
    }
}

#[test]
fn room_for_others_comes_off_the_day() {
    let own = |source: &str| limits(source).own_per_day();
    assert_eq!(own(CONSO), Some(20));
    assert_eq!(own(&format!("{CONSO}limits.reserved_per_day = 19\n")), Some(1));
    assert_eq!(own(&format!("{CONSO}limits.reserved_per_day = 0\n")), Some(20));
    let med = limits(&format!("{MED}limits = {{ requests_per_day = 30, reserved_per_day = 10 }}\n"));
    assert_eq!((med.own_per_day(), med.cached_per_day), (Some(20), Some(400)));
    assert_eq!(own(&format!("{SOURCE}limits = {{ requests_per_day = 30, reserved_per_day = 10 }}\n")), Some(20));
    for (source, line, message) in [
        (
            CONSO,
            "limits.reserved_per_day = 20",
            "reserved_per_day = 20 leaves nothing of requests_per_day, which is 20 by default; lower it",
        ),
        (
            MED,
            "limits = { requests_per_day = 5, reserved_per_day = 5 }",
            "reserved_per_day = 5 leaves nothing of requests_per_day, which is 5; lower it",
        ),
    ] {
        let at = source.lines().count() + 1;
        assert_eq!(problems(&format!("{source}{line}\n{METER}")), format!("config.toml:{at}: {message}"));
    }
}

#[test]
fn show_hides_tokens_and_tells_what_is_left() {
    let text = format!("{CONSO}limits.reserved_per_day = 8\n{MED}{METER}sources = [\"home\", \"med\"]\n");
    let world = World::new();
    let loaded = world.load(&text).unwrap();
    let (mut text, mut json) = (Vec::new(), Vec::new());
    show(&loaded, false, &mut text).unwrap();
    show(&loaded, true, &mut json).unwrap();
    let directory = format!("{}/", world.directory.path().display());
    let [text, json] = [text, json].map(|out| String::from_utf8(out).unwrap().replace(&directory, ""));
    for out in [&text, &json, &format!("{loaded:?}")] {
        assert!(!out.contains(SECRET), "{out}");
    }
    let sources: Vec<&str> = text.split("\n\n").filter(|section| section.starts_with("[source")).collect();
    insta::assert_snapshot!(sources.join("\n\n"), @r#"
    [source.home]
    kind = "conso-api"                    # config.toml:2
    base_url = "https://conso.boris.sh/"  # default
    token = "***"                         # config.toml:3

    [source.home.limits]
    requests_per_second = 1  # default
    requests_per_hour = 10   # default
    requests_per_day = 20    # default
    reserved_per_day = 8     # config.toml:4; leaves 12 a day

    [source.med]
    kind = "myelectricaldata"                            # config.toml:6
    base_url = "https://www.v2.myelectricaldata.fr/api"  # default
    version = 2                                          # default
    client_id = "a"                                      # config.toml:7
    client_secret = "***"                                # config.toml:8

    [source.med.limits]
    requests_per_second = 1        # default
    requests_per_day = 40          # default
    cached_requests_per_day = 400  # default
    "#);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        json["values"]["source.home.limits.reserved_per_day"],
        serde_json::json!({"value": 8, "from": "config.toml:4"})
    );
}
