//! The way to a server is encrypted where the URL asks for it, and the server is who it says; where that cannot be,
//! linkyd says so once, and what to look at, instead of trying for long.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};

use crate::cli_rig::{Home, Simulated, meter, source};
use crate::postgres::{Database, Server};
use crate::server::block_on;

/// An authority, whose certificate is in a file.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    fn new(home: &Home, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let file = home.write(name, &issuer.pem(), 0o644);
        Self { issuer, file }
    }

    /// A server's certificate and key.
    fn certify(&self, host: &str, folder: &Path) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![host.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        std::fs::write(folder.join("server.crt"), certificate.pem()).unwrap();
        std::fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
    }
}

/// A home with a database on a server that lets nobody in unencrypted, and whose certificate is for `localhost`.
struct Rig {
    home: Home,
    database: Database,
    port: u16,
    ours: PathBuf,
    other: PathBuf,
    enedis: Simulated,
}

impl Rig {
    fn new() -> Self {
        let home = Home::empty();
        let ours = Authority::new(&home, "ours.pem");
        let other = Authority::new(&home, "other.pem").file;
        // The server runs as another user.
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        ours.certify("localhost", folder.path());
        let (server, port) = Server::secured(folder.path());
        let database = block_on(server.empty_database());
        let enedis = Simulated::start(&home.path(""), &["--no-limits"]);
        Self { home, database, port, ours: ours.file, other, enedis }
    }

    /// Sets how the server is reached.
    fn reach(&self, host: &str, mode: &str, authority: Option<&Path>) {
        let authority = authority.map(|file| format!("&sslrootcert={}", file.display())).unwrap_or_default();
        let (port, name) = (self.port, self.database.name());
        let url = format!("postgres://postgres@{host}:{port}/{name}?sslmode={mode}{authority}");
        let place = format!("[database]\nurl = \"{url}\"\n");
        self.home.configure(&format!("{place}{}", source(&self.enedis.url, "")), &meter("since = 2026-11-01"));
    }
}

#[test]
fn a_server_is_reached_encrypted_and_checked_as_the_url_says() {
    let rig = Rig::new();
    rig.reach("localhost", "require", None);
    let calls = rig.home.run_at_morning(&["sync", "--json"]).exits(0).json()["calls"].clone();
    assert_eq!(calls, rig.enedis.calls().len());
    for (host, mode, authority) in [
        ("localhost", "prefer", None),
        ("localhost", "verify-full", Some(&rig.ours)),
        // The certificate names no address, and here nobody asks for the name.
        ("127.0.0.1", "verify-ca", Some(&rig.ours)),
    ] {
        rig.reach(host, mode, authority.map(PathBuf::as_path));
        rig.home.assert_whole();
    }
    let missing = rig.home.path("missing.pem");
    let nothing = rig.home.write("nothing.pem", "no certificate at all", 0o644);
    for (host, mode, authority, why) in [
        ("localhost", "verify-full", Some(&rig.other), "no encrypted connection can be made"),
        ("localhost", "require", Some(&rig.other), "no encrypted connection can be made"),
        ("localhost", "verify-full", None, "no encrypted connection can be made"),
        ("127.0.0.1", "verify-full", Some(&rig.ours), "check the host, sslmode and sslrootcert"),
        ("localhost", "verify-full", Some(&missing), "missing.pem, which sslrootcert of"),
        ("localhost", "verify-full", Some(&nothing), "no encrypted connection can be made"),
        ("localhost", "disable", None, "correct user and sslmode"),
    ] {
        rig.reach(host, mode, authority.map(PathBuf::as_path));
        for command in [&["sync"][..], &["status"], &["db", "migrate"]] {
            let ran = rig.home.run(command).exits(69);
            let told = ran.message();
            assert!(told.contains(why) && told.contains("database.url"), "{host} {mode}: {told}");
        }
    }
    assert_eq!(calls, rig.enedis.calls().len(), "nothing was asked for that could not be stored");
}

/// Says of itself that it does not encrypt, to everybody who asks.
fn plain_server() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 8];
            if client.read_exact(&mut request).is_ok() {
                counter.fetch_add(1, Ordering::SeqCst);
                let _the_client_may_be_gone = client.write_all(b"N");
            }
        }
    });
    (port, asked)
}

#[test]
fn a_server_that_does_not_encrypt_is_asked_once_and_named() {
    let (port, asked) = plain_server();
    let home = Home::empty();
    for (times, mode) in ["require", "verify-full"].into_iter().enumerate() {
        let place = format!("[database]\nurl = \"postgres://linkyd@127.0.0.1:{port}/power?sslmode={mode}\"\n");
        home.configure(&format!("{place}{}", source("http://127.0.0.1:1", "")), &meter(""));
        let ran = home.run(&["sync"]).exits(69);
        let told = ran.message();
        assert!(told.contains("the server encrypts no connection") && told.contains("sslmode=disable"), "{told}");
        assert_eq!(asked.load(Ordering::SeqCst), times + 1);
    }
}
