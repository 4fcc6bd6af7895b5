//! What each command takes, and what a wrong one is told.

use super::*;

fn run(line: &str) -> Result<Invocation, Refusal> {
    parse(std::iter::once("linkyd").chain(line.split_whitespace()).map(OsString::from))
}

fn refused(line: &str) -> String {
    let refusal = run(line).unwrap_err();
    assert_eq!((refusal.exit.code(), refusal.to_stdout), (64, false), "{line}");
    assert!(!refusal.text.contains("0123456789"), "{}", refusal.text);
    refusal.text.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn the_definition_holds() {
    Invocation::command().debug_assert();
}

#[test]
fn sync_takes_everything() {
    let line = "sync --prm 01234567890123 --prm 01234567890124 --dataset daily_max_power --from 2026-01-01 \
                --to 2026-01-01 --refetch --json --at 2026-11-24T09:30:00+01:00 --config x.toml";
    let invocation = run(line).unwrap();
    assert_eq!(invocation.config, Some(PathBuf::from("x.toml")));
    let Command::Sync(args) = invocation.command else { panic!("not sync") };
    assert_eq!(args.narrow.which.prms.iter().map(Prm::full).collect::<Vec<_>>(), ["01234567890123", "01234567890124"]);
    assert_eq!(args.narrow.which.datasets(), [Dataset::DailyMaxPower]);
    assert_eq!(args.at.unwrap().to_rfc3339(), "2026-11-24T08:30:00+00:00");
    assert!(args.refetch && args.json);
    let day: Day = "2026-01-01".parse().unwrap();
    assert_eq!((args.narrow.from, args.narrow.to), (Some(day), Some(day)));
}

#[test]
fn the_other_commands_parse() {
    for line in [
        "run",
        "plan --json --refetch --failing --all",
        "sync --failing --prm 01234567890123 --dataset daily_consumption",
        "status --failing --prm 01234567890123 --dataset daily_consumption --all",
        "status --check --json --at 2026-11-24T08:00:00Z",
        "--config x.toml simulate",
        "demo --database d.db --full-speed",
        "config check --json",
        "config show",
        "doctor --offline --json",
        "resume home --json",
        "db migrate",
        "db check --json",
        "db copy --to postgres://linkyd@db/linkyd --password-file pw --json",
    ] {
        assert!(run(line).is_ok(), "{line}");
    }
}

#[test]
fn usage_errors_say_what_to_write() {
    for (line, message) in [
        (
            "sync --from 24/11/2026",
            "error: invalid value '24/11/2026' for '--from <DAY>': \"24/11/2026\" is no day; write it as YYYY-MM-DD",
        ),
        (
            "plan --at yesterday",
            "error: invalid value 'yesterday' for '--at <RFC3339>': write an instant with its offset, as in 2026-11-24T09:30:00+01:00",
        ),
        ("sync --from 2026-02-01 --to 2026-01-31", "error: --from 2026-02-01 lies after --to 2026-01-31"),
        (
            "sync --prm 0123456789012",
            "error: invalid value for '--prm <PRM>': a PRM has exactly 14 digits, this has 13 characters",
        ),
        (
            "sync --prm 0123456789012O",
            "error: invalid value for '--prm <PRM>': a PRM has exactly 14 digits, this has 14 characters and not all of them are digits",
        ),
        ("sync 01234567890123", "error: unexpected argument '…0123' found"),
        ("snyc", "error: unrecognized subcommand 'snyc'"),
        ("run --json", "error: unexpected argument '--json' found"),
    ] {
        assert_eq!(refused(line), message);
    }
    assert_eq!(run("").unwrap_err().exit, Exit::Usage);
    assert_eq!(run("config").unwrap_err().exit, Exit::Usage);
}

#[test]
fn help_and_version_are_answers() {
    for line in ["--help", "sync --help", "config show --help", "--version"] {
        let refusal = run(line).unwrap_err();
        assert_eq!((refusal.exit, refusal.to_stdout), (Exit::Done, true));
    }
    assert_eq!(run("--version").unwrap_err().text, format!("linkyd {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn help_reads_well() {
    // Not run(): the width of the terminal that runs the tests must not matter.
    let help = |arguments: &[&str]| {
        let command = Invocation::command().term_width(100);
        command.try_get_matches_from(arguments).unwrap_err().to_string()
    };
    insta::assert_snapshot!(help(&["linkyd", "--help"]), @r#"
    Keeps the whole electricity history of Linky meters in a database of yours

    Usage: linkyd [OPTIONS] <COMMAND>

    Commands:
      run        Run as a daemon: fetch every morning, answer signals, serve the status page
      sync       Fetch what is missing now, then exit
      plan       Show the calls that sync would make, without making any
      status     Show what is there, what is missing and why
      doctor     Look for what is wrong and say what to do about it
      authorize  Ask a customer for consent: print Enedis' page, take the answer, store the meter
      resume     Lift the pause of a source, as after a suspected ban
      forget     Remove personal data or whole meters from the database, from every page of its files
      simulate   Run a stand-in for Enedis on this machine
      demo       Try everything without an account: fetch an invented household's history
      config     Check or show the configuration
      db         Look after the database

    Options:
          --config <FILE>  Configuration file [default: /etc/linkyd/config.toml]
      -h, --help           Print help
      -V, --version        Print version

    Exit codes: 0 done, 1 a meter or dataset failed, 64 usage, 69 database unreachable, 70 internal
    error, 74 input/output, 75 try later, 77 credentials refused, 78 configuration.
    "#);
    insta::assert_snapshot!(help(&["linkyd", "sync", "--help"]), @r#"
    Fetch what is missing now, then exit

    Usage: linkyd sync [OPTIONS]

    Options:
          --config <FILE>      Configuration file [default: /etc/linkyd/config.toml]
          --prm <PRM>          Only this meter; may be repeated
          --dataset <DATASET>  Only this dataset; may be repeated
          --failing            Only series that are late, failing or suspended, or that were never asked
          --from <DAY>         Only days from this one on, as YYYY-MM-DD
          --to <DAY>           Only days up to this one, which is included
          --refetch            Ask again for days that are complete
          --json               Report as one JSON document
          --at <RFC3339>       Decide as if it were that instant; calls are still paced by the machine's
                               clock
      -h, --help               Print help
    "#);
    insta::assert_snapshot!(help(&["linkyd", "demo", "--help"]), @r#"
    Try everything without an account: fetch an invented household's history

    Usage: linkyd demo [OPTIONS]

    Options:
          --config <FILE>    Configuration file [default: /etc/linkyd/config.toml]
          --database <FILE>  Where to put the history; an existing file is replaced only if a demo wrote
                             it [default: linkyd-demo.db]
          --full-speed       Do not keep to the pace that Enedis asks for
          --serve            Then keep it up to date and serve the status page, until interrupted
          --json             Report as one JSON document
      -h, --help             Print help
    "#);
}
