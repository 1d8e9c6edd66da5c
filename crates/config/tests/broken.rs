//! Every broken file of `testdata/config` names its errors, with line and column, in comments
//! `# error: LINE:COLUMN TEXT`: those are found, all at once, and no others.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use tokenpath_config::{Loader, Vocabulary, check};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/config")
}

fn files() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    files.sort();
    files
}

/// `LINE:COLUMN` and how the message begins.
fn expected(text: &str) -> Vec<(String, String)> {
    let comments = text.lines().filter_map(|line| line.split_once("# error: "));
    let mut expected: Vec<_> = comments
        .map(|(_, error)| {
            let (place, message) = error.split_once(' ').unwrap();
            (place.to_owned(), message.trim().to_owned())
        })
        .collect();
    expected.sort();
    expected
}

#[test]
fn every_broken_file_says_all_its_errors_at_once() {
    let mut seen = 0;
    let mut wrong = Vec::new();
    for path in files() {
        let text = fs::read_to_string(&path).unwrap();
        let expected = expected(&text);
        assert!(!expected.is_empty(), "{} names no error", path.display());
        let errors = check(&path, &Vocabulary::default());
        let name = path.to_string_lossy();
        let mut found: Vec<(String, String)> = errors
            .iter()
            .map(|error| {
                let line = error.to_string();
                let rest = line.strip_prefix(&format!("{name}:")).unwrap();
                let (place, message) = rest.split_once(": ").unwrap();
                (place.to_owned(), message.to_owned())
            })
            .collect();
        found.sort();
        let agree = found.len() == expected.len()
            && found
                .iter()
                .zip(&expected)
                .all(|(found, expected)| found.0 == expected.0 && found.1.starts_with(&expected.1));
        if !agree {
            wrong.push(format!(
                "{name}\nfound:\n{}\nexpected:\n{}",
                lines(&found),
                lines(&expected)
            ));
        }
        assert!(found.iter().all(|(_, message)| !message.contains("canary")));
        seen += found.len();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 60, "{seen}");
}

fn lines(errors: &[(String, String)]) -> String {
    let lines: Vec<_> = errors
        .iter()
        .map(|(place, message)| format!("  {place} {message}"))
        .collect();
    lines.join("\n")
}

#[test]
fn errors_are_in_the_order_of_the_file() {
    for path in files() {
        let errors = check(&path, &Vocabulary::default());
        let places: Vec<_> = errors
            .iter()
            .map(tokenpath_config::ConfigError::place)
            .collect();
        assert!(places.is_sorted(), "{}", path.display());
    }
}

#[test]
fn a_file_that_cannot_be_read_is_one_error_without_a_place() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().join("missing.yaml"), dir.path().to_owned()] {
        let errors = Loader::new().load(&path).unwrap_err();
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].place(), None);
        assert!(errors[0].to_string().starts_with(&*path.to_string_lossy()));
    }
    let path = dir.path().join("binary.yaml");
    fs::write(&path, b"log:\n  level: \xff\n").unwrap();
    let errors = Loader::new().load(&path).unwrap_err();
    let says = format!("{}:2:10: this is no UTF-8", path.display());
    assert_eq!(errors[0].to_string(), says);
}
