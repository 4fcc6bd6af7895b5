//! The table of everything that can be asked (docs/enedis.md): it has a line for each system and API, and the tests and
//! paths that it names are there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use linkyd::domain::{CustomerDataset, Dataset};
use linkyd::simulator::Service;

/// The eleven systems, as the table calls them. Both APIs have each.
const SYSTEMS: [&str; 11] = [
    "authorize",
    "token",
    "contract",
    "address",
    "identity",
    "contact",
    "daily consumption",
    "daily production",
    "consumption load curve",
    "production load curve",
    "maximum power",
];

fn read(path: &str) -> Option<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).ok()
}

/// The cells of each line: system, API, path, scope, dataset, tests.
fn lines() -> Vec<Vec<String>> {
    let page = read("docs/enedis.md").unwrap();
    let (_, table) = page.split_once("| system | API | path |").unwrap();
    let lines: Vec<Vec<String>> = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect())
        .collect();
    assert!(lines.iter().all(|cells| cells.len() == 6), "{lines:?}");
    lines
}

/// What stands in backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Whether the code has a function of that name that the tests run: one with a `#[test]` of its own, or one that a macro
/// makes tests of; none that is left out.
fn is_run(code: &str, name: &str) -> bool {
    let lines: Vec<&str> = code.lines().map(str::trim).collect();
    let begins = |line: &str| {
        let line =
            line.trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ").trim_start_matches("async ");
        let rest = line.strip_prefix("fn ").and_then(|rest| rest.strip_prefix(name));
        rest.is_some_and(|rest| rest.starts_with(['(', '<']))
    };
    let listed = lines.contains(&format!("{name},").as_str());
    lines.iter().enumerate().filter(|(_, line)| begins(line)).any(|(place, _)| {
        let before = lines.get(..place).unwrap_or_default().iter().rev();
        let attributes: Vec<&str> = before.take_while(|line| line.starts_with("#[")).copied().collect();
        let ignored = attributes.iter().any(|attribute| attribute.contains("ignore"));
        let test = attributes.iter().any(|attribute| attribute.ends_with("test]"));
        (test || listed) && !ignored
    })
}

/// Whether a test is there: `module::name`, of the integration tests or of the library.
fn is_there(test: &str) -> bool {
    let Some((module, name)) = test.rsplit_once("::") else { return false };
    let path = module.replace("::", "/");
    let inner = path.strip_suffix("/tests").unwrap_or(&path);
    let files = [
        format!("tests/it/{path}.rs"),
        format!("src/{path}.rs"),
        format!("src/{path}/mod.rs"),
        format!("src/{inner}.rs"),
    ];
    files.iter().filter_map(|file| read(file)).any(|code| is_run(&code, name))
}

#[test]
fn a_test_that_is_left_out_is_none() {
    for (code, run) in [
        ("#[test]\nfn it() {}", true),
        ("    #[tokio::test]\n    async fn it() {}", true),
        ("on_both_engines! {\n    it,\n}\nasync fn it(on: On) {}", true),
        ("async fn it<H: Host>() {}\non_both_engines! {\n    it,\n}", true),
        ("#[test]\n#[ignore]\nfn it() {}", false),
        ("#[test]\n#[ignore = \"slow\"]\nfn it() {}", false),
        ("#[cfg_attr(debug_assertions, ignore)]\n#[test]\nfn it() {}", false),
        ("fn it() {}", false),
        ("#[test]\nfn it_is_another() {}", false),
        ("#[test]\nfn other() {\n    fn it() {}\n}", false),
    ] {
        assert_eq!(is_run(code, "it"), run, "{code}");
    }
}

#[test]
fn each_system_has_a_line_for_each_api() {
    let lines = lines();
    for system in SYSTEMS {
        let apis: Vec<&str> = lines.iter().filter(|line| line[0] == system).map(|line| line[1].as_str()).collect();
        assert_eq!(apis, ["v5", "2026"], "{system}");
    }
    let named: BTreeSet<&str> = lines.iter().flat_map(|line| quoted(&line[4])).collect();
    let all = Dataset::ALL.map(Dataset::name).into_iter().chain(CustomerDataset::ALL.map(CustomerDataset::name));
    assert_eq!(named, all.collect());
}

#[test]
fn the_tests_that_the_table_names_are_there() {
    for line in lines() {
        assert!(quoted(&line[5]).count() > 1, "{}: {}", line[0], line[5]);
        for test in quoted(&line[5]) {
            assert!(is_there(test), "{}, API {}: there is no test {test}", line[0], line[1]);
        }
    }
    assert!(!is_there("backfill::no_such_test") && !is_there("no_module::no_such_test"));
}

/// Paths of measures are held against the simulator by every test that fetches them; here those of services.
#[test]
fn the_table_names_every_path_of_a_service() {
    let lines = lines();
    let paths: BTreeSet<&str> = lines
        .iter()
        .flat_map(|line| quoted(&line[2]))
        .map(|path| path.trim_start_matches("POST ").trim_end_matches("/{prm}"))
        .collect();
    for service in Service::ALL {
        assert!(paths.contains(service.path()), "{}", service.path());
    }
}
