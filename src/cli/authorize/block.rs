//! A new meter in the configuration: its block is put after everything else, which stays as it is to the byte.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::super::Trouble;
use crate::config::{self, Environment, Loaded, Secrets, schema};
use crate::exit::Exit;
use crate::store::Authorisation;

/// A meter that is not in the configuration yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NewMeter {
    /// The lines for it.
    pub(super) block: String,
}

impl NewMeter {
    /// The meter that was shared, under that name.
    pub(super) fn of(given: &Authorisation, name: Option<&str>, loaded: &Loaded) -> Self {
        let mut block = format!("[[meter]]\nprm = \"{}\"\n", given.prm.full());
        if let Some(name) = name {
            block.extend(["name = ", &quoted(name), "\n"]);
        }
        if loaded.config.sources.len() > 1 {
            block.extend(["sources = [", &quoted(&given.source), "]\n"]);
        }
        let names: Vec<&str> = given.covers.iter().map(|dataset| dataset.name()).collect();
        let usual = schema::METER_DATASETS.len() == names.len()
            && schema::METER_DATASETS.iter().all(|dataset| given.covers.contains(dataset));
        if !names.is_empty() && !usual {
            let names: Vec<String> = names.into_iter().map(quoted).collect();
            block.extend(["datasets = [", &names.join(", "), "]\n"]);
        }
        Self { block }
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            // The configuration takes no name with these.
            c if c.is_control() => quoted.push(' '),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Adds meters to the configuration file: whole or not at all, and only if the outcome can be used.
pub(super) fn add(loaded: &Loaded, environment: &Environment, new: &[NewMeter]) -> Result<PathBuf, Trouble> {
    let Some(file) = &loaded.file else {
        let message = "the environment alone configures linkyd, so there is no file to add the meter to".to_owned();
        return Err(Trouble { exit: Exit::Usage, message });
    };
    let failed = |error: &io::Error| Trouble {
        exit: Exit::InputOutput,
        message: format!("the meter was stored, but {} could not be changed: {error}", file.display()),
    };
    // Behind a symbolic link the file itself is replaced, and the link stays.
    let real = fs::canonicalize(file).map_err(|error| failed(&error))?;
    let old = fs::read(&real).map_err(|error| failed(&error))?;
    let mut text = old.clone();
    if !text.is_empty() && !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    for meter in new {
        text.push(b'\n');
        text.extend_from_slice(meter.block.as_bytes());
    }
    let beside = beside(&real);
    // What an earlier attempt left is of no use.
    let _nothing = fs::remove_file(&beside);
    let done = write_beside(&real, &beside, &text).map_err(|error| failed(&error)).and_then(|()| {
        config::load(Some(&beside), environment, Secrets::Skip).map_err(|error| Trouble {
            exit: Exit::Configuration,
            message: format!(
                "the meter was stored, but with its block {} could not be used ({}); it was not changed",
                file.display(),
                error.to_string().replace(&beside.display().to_string(), &file.display().to_string())
            ),
        })?;
        if fs::read(&real).map_err(|error| failed(&error))? != old {
            return Err(failed(&io::Error::other("somebody else changed it just now")));
        }
        fs::rename(&beside, &real).map_err(|error| failed(&error))
    });
    if done.is_err() {
        let _nothing = fs::remove_file(&beside);
    }
    done?;
    // The name is safe on the disk once its folder is.
    if let Some(folder) = real.parent() {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| failed(&error))?;
    }
    Ok(file.clone())
}

/// The name of the new file: in the same folder, so that relative paths in it mean the same.
fn beside(real: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(real.file_name().unwrap_or_default());
    name.push(".new");
    real.with_file_name(name)
}

/// Writes the new text beside the file, for the same owner and with the same mode.
fn write_beside(real: &Path, beside: &Path, text: &[u8]) -> io::Result<()> {
    let like = fs::metadata(real)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
    let made = file.metadata()?;
    if (made.uid(), made.gid()) != (like.uid(), like.gid()) {
        std::os::unix::fs::fchown(&file, Some(like.uid()), Some(like.gid()))?;
    }
    file.set_permissions(fs::Permissions::from_mode(like.mode() & 0o7777))?;
    file.write_all(text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# mine\r\n[source.enedis]\nclient_id = \"app\"   # kept";

    fn loaded(file: &Path) -> Loaded {
        config::load(Some(file), &Environment::default(), Secrets::Skip).unwrap()
    }

    fn meter(prm: &str) -> NewMeter {
        NewMeter { block: format!("[[meter]]\nprm = \"{prm}\"\n") }
    }

    #[test]
    fn a_block_is_added_behind_a_link_and_the_rest_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real.toml"), folder.path().join("config.toml"));
        fs::write(&real, TEXT).unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o604)).unwrap();
        std::os::unix::fs::symlink("real.toml", &link).unwrap();
        let new = [meter("01234567890123"), meter("12345678901234")];
        add(&loaded(&link), &Environment::default(), &new).unwrap();
        let expected = format!("{TEXT}\n\n{}\n{}", new[0].block, new[1].block);
        assert_eq!(fs::read_to_string(&real).unwrap(), expected);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&real).unwrap().mode() & 0o777, 0o604);
        assert_eq!(loaded(&link).config.meters.len(), 2);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_would_be_no_configuration_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        fs::write(&file, TEXT).unwrap();
        let twice = [meter("01234567890123"), meter("01234567890123")];
        let trouble = add(&loaded(&file), &Environment::default(), &twice).unwrap_err();
        assert_eq!(trouble.exit, Exit::Configuration);
        assert!(
            trouble.message.contains("was not changed") && !trouble.message.contains(".new"),
            "{}",
            trouble.message
        );
        assert_eq!(fs::read_to_string(&file).unwrap(), TEXT);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(quoted("a \"b\" \\ \n"), r#""a \"b\" \\  ""#);
    }
}
