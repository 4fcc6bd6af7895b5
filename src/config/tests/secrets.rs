//! Where secrets may come from, and which ones are refused.

use super::*;

#[test]
fn secrets_come_from_files_that_nobody_else_reads() {
    let with_file = |path: &PathBuf| {
        format!("[source.enedis]\nclient_id = \"app\"\nclient_secret_file = \"{}\"\n{METER}", path.display())
    };
    let world = World::new();
    for (text, read) in [("abc\n", "abc"), ("abc", "abc"), ("0042\r\n", "0042"), (" a b \n", " a b ")] {
        let path = world.write("secret", text, 0o640);
        let config = world.load(&with_file(&path)).unwrap().config;
        assert_eq!(config.sources[0].settings.secret().1.unwrap().expose_secret(), read);
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
        "config.toml:3: client_secret_file: none is not there; mend the path (a relative one counts from \
         the working directory) or create it (No such file or directory (os error 2))"
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
    assert_eq!(loaded.config.sources[0].settings.secret().1.unwrap().expose_secret(), "from-systemd");
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
