//! Writes what a package holds besides the binary: manual pages and completions, made from the
//! command line itself so that they cannot differ from it.
//!
//! `cargo run --example packaging -- target/packaging`

use std::path::PathBuf;

use clap::CommandFactory as _;
use clap_complete::Shell;
use linkyd::cli::Invocation;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let folder = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("target/packaging"), PathBuf::from);
    std::fs::create_dir_all(&folder)?;
    let mut command = Invocation::command();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut command, "linkyd", &folder)?;
    }
    // A page for the program and one for each command: linkyd.1, linkyd-sync.1, linkyd-db-check.1.
    clap_mangen::generate_to(command, &folder)?;
    Ok(())
}
