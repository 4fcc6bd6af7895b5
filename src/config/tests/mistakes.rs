//! What each mistake in the file is called, word by word.

use super::*;

#[test]
fn unknown_keys_are_named_with_line_and_nearest_key() {
    let all = problems(
        "[databse]\nurl = \"x\"\n[schedule]\nwakeat = \"09:00\"\nlisten = \"\"\n[http]\nlistne = 1\n[source.enedis]\n\
         client_id = \"a\"\nclient_secert = \"s3cr3t-canary\"\nclient_secret = \"s3cr3t-canary\"\n\
         [source.enedis.limits]\nrequests_per_minute = 3\n[[meter]]\nprm = \"01234567890123\"\ndataset = []\n",
    );
    assert_eq!(
        all,
        "config.toml:1: unknown key \"databse\"; the nearest known key is \"database\"\n\
         config.toml:4: unknown key \"wakeat\" in [schedule]; the nearest known key is \"wake_at\"\n\
         config.toml:5: unknown key \"listen\" in [schedule]; it belongs into [http]\n\
         config.toml:7: unknown key \"listne\" in [http]; the nearest known key is \"listen\"\n\
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
        (
            "datasets = [\"dayly\"]",
            "there is no dataset \"dayly\"; the nearest are \"daily_consumption\", \"daily_production\" or \"daily_max_power\"",
        ),
        (
            "datasets = [\"xylophone\"]",
            "there is no dataset \"xylophone\"; known are \"consumption_load_curve\", \"production_load_curve\", \
             \"daily_consumption\", \"daily_production\", \"daily_max_power\", \"consumption_index\", \
             \"production_index\", \"contract\", \"address\", \"identity\" or \"contact\"",
        ),
        ("sources = [\"roof\"]", "there is no source \"roof\"; add [source.roof]"),
        ("datasets = [\"contrat\"]", "there is no dataset \"contrat\"; the nearest is \"contract\""),
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
        (
            "[database]\nurl = \"postgres://a:s3cret@h/d?sslmod=require\"",
            "url has a parameter \"sslmod\" that is not known; there are sslmode, sslrootcert, schema, connect_timeout and those of libpq",
        ),
        (
            "[database]\nurl = \"linkyd.db\"",
            "url must begin with sqlite:// or postgres://, as in sqlite:///var/lib/linkyd/linkyd.db",
        ),
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
        ("[schedule.every]\ncontract = \"7d\"", "contract has no days, and a cadence of its own; remove it"),
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
        (
            "[http]\nlisten = \"0.0.0.0:9764\"",
            "listen: other machines can reach this address; write a loopback one (127.0.0.1), or add \
             allow_remote = true and a token",
        ),
        (
            "[http]\nlisten = \"[::]:9764\"\nallow_remote = true",
            "listen: other machines can reach this address; add token_file, with a secret that they have to show",
        ),
        (
            "[http]\nhosts = [\"http://nas:80\"]",
            "hosts: \"http://nas:80\" is no name of a machine; write it without port and scheme",
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
        (
            "token = \"x\"",
            "token means nothing to kind \"enedis\"; it has environment, api, client_id, client_secret and \
             client_secret_file",
        ),
        (
            "limits.cached_requests_per_day = 9",
            "cached_requests_per_day means nothing to kind \"enedis\", which has no cache; it has \
             requests_per_second, requests_per_hour, requests_per_day, reserved_per_day and negotiated",
        ),
        (
            "limits.reserved_per_day = 9",
            "reserved_per_day is taken off requests_per_day, which kind \"enedis\" does not have by itself; add \
             requests_per_day",
        ),
        ("limits.reserved_per_day = -1", "reserved_per_day must be a whole number from 0 on, without quotes"),
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
    ] {
        assert_eq!(problems(&format!("{SOURCE}{line}\n{METER}")), format!("config.toml:4: {message}"));
    }
    assert_eq!(
        problems("[source.home]\nclient_id = \"a\"\n"),
        "config.toml:1: source \"home\" has no kind; add kind = \"enedis\", \"conso-api\" or \"myelectricaldata\""
    );
    assert_eq!(
        problems("[source]\nkind = \"enedis\"\n"),
        "config.toml:2: a source needs a name of its own; write [source.enedis] instead of [source]"
    );
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
fn sections_are_no_values() {
    for (text, message) in [
        ("log = []", "\"log\" is a section, not a value; write [log]"),
        ("meter = 5", "\"meter\" is a section, not a value; write [[meter]]"),
        ("[schedule]\nevery = \"7d\"", "\"every\" is a section, not a value; write [schedule.every]"),
        ("http.listen.x = 1", "\"http.listen\" is a value, nothing stands below it"),
        ("[log\n", "no TOML at column 5: invalid table header, expected `.`, `]`"),
        ("[log]\nformat = \"auto\"\nformat = \"json\"", "no TOML at column 1: duplicate key `format` in table `log`"),
    ] {
        let found = problems(text);
        let first = found.lines().next().unwrap();
        assert!(first.ends_with(&format!(": {message}")), "{found}");
    }
}

proptest::proptest! {
    /// Whatever is done to a file (short of moving the secret into another key), it is either taken or answered in words, without a number of
    /// a meter or a secret in them.
    #[test]
    fn no_file_breaks_anything(at in 0..600_usize, cut in 0..16_usize, insert in "[\\[\\]{}=\"',.#\n0-9a-zé_-]{0,12}") {
        let text = include_str!("../../../config.toml").replace("#client_secret = \"\"", "client_secret = \"s3cr3t-canary\"");
        let text: String = text.lines().filter(|line| !line.starts_with("# ")).flat_map(|line| [line, "\n"]).collect();
        let chars: Vec<char> = text.chars().collect();
        let at = at.min(chars.len());
        let head = chars[..at].iter().collect::<String>();
        let tail = chars[(at + cut).min(chars.len())..].iter().collect::<String>();
        let world = World::new();
        if let Err(error) = world.load(&format!("{head}{insert}{tail}")) {
            let error = error.to_string();
            proptest::prop_assert!(!error.is_empty() && !error.contains("12345678901234"), "{}", error);
            proptest::prop_assert!(!error.contains("s3cr3t"), "{}", error);
        }
    }

    /// The same for text that never was a configuration.
    #[test]
    fn no_text_breaks_anything(text in "\\PC{0,80}") {
        let world = World::new().set("LINKYD_METER__0__PRM", &text).set("LINKYD_SOURCE__ENEDIS__CLIENT_ID", &text);
        let _either = world.load(&text);
    }
}
