//! The arrows between modules, checked on the sources themselves (docs/architecture.md).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// Each source file under `src` with its path relative to it and its code without comments.
fn code() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 50, "the sources are found");
    files
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap()).collect();
            (path.strip_prefix(&root).unwrap().to_string_lossy().into_owned(), code.join("\n"))
        })
        .collect()
}

fn module(path: &str) -> &str {
    path.split('/').next().unwrap().trim_end_matches(".rs")
}

/// The top-level modules that a piece of code names as `crate::…`.
fn uses(code: &str) -> BTreeSet<&str> {
    code.match_indices("crate::")
        .map(|(at, word)| {
            let rest = &code[at + word.len()..];
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            &rest[..end]
        })
        .collect()
}

#[test]
fn pure_modules_use_no_shell() {
    let allowed: [(&str, &[&str]); 6] = [
        ("domain", &["domain"]),
        ("plan", &["plan", "domain"]),
        ("budget", &["budget"]),
        ("decode", &["decode", "domain", "source"]),
        ("source", &["source", "domain"]),
        ("exit", &[]),
    ];
    for (path, code) in code() {
        let Some((_, allowed)) = allowed.iter().find(|(name, _)| *name == module(&path)) else { continue };
        for used in uses(&code) {
            assert!(allowed.contains(&used), "{path} uses crate::{used}");
        }
        assert!(!code.contains("async fn") && !code.contains(".await"), "{path} awaits");
        let clocks = ["SystemTime", "Instant::now", "Utc::now", "std::fs", "std::net", "std::env::var"];
        if !path.contains("tests") {
            for word in clocks {
                assert!(!code.split("#[cfg(test)]").next().unwrap().contains(word), "{path} uses {word}");
            }
        }
    }
}

#[test]
fn the_simulator_and_the_client_share_nothing_but_values() {
    for (path, code) in code() {
        let forbidden: &[&str] = match module(&path) {
            "simulator" => &["source", "decode", "client", "plan", "store", "engine", "budget", "config"],
            "source" | "decode" | "client" | "engine" | "store" | "plan" | "budget" => &["simulator", "cli"],
            _ => continue,
        };
        for used in uses(&code) {
            assert!(!forbidden.contains(&used), "{path} uses crate::{used}");
        }
    }
}

#[test]
fn one_file_knows_the_time_zone_and_sql_lives_in_the_store() {
    for (path, code) in code() {
        if path != "domain/paris.rs" {
            assert!(!code.contains("chrono_tz"), "{path} knows a time zone");
        }
        if module(&path) != "store" {
            for word in ["sqlx::", "SELECT ", "INSERT INTO"] {
                // The demo shows a statement to the reader; it runs none.
                assert!(path == "cli/demo.rs" || !code.contains(word), "{path} has {word}");
            }
        }
        if module(&path) == "simulator" || path.starts_with("cli/demo") {
            continue;
        }
        assert!(module(&path) == "client" || !code.contains("reqwest::"), "{path} sends");
    }
}

#[test]
fn every_page_that_the_sources_name_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        for (at, _) in text.match_indices("docs/") {
            let rest = &text[at..];
            if let Some(end) = rest.find(".md") {
                let page = &rest[..end + 3];
                if page.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b)) {
                    assert!(root.join(page).exists(), "{} names {page}", path.display());
                }
            }
        }
    }
}
