//! A directory and an environment in which configurations are tried out.

mod example;
mod gateways;
mod layers;
mod meters_file;
mod mistakes;
mod secrets;

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
