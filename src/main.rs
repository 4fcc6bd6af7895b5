//! The binary: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    linkyd::cli::main(std::env::args_os()).into()
}
