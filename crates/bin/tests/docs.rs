//! The reference and the lock file of names are what the catalogues say. `UPDATE=1` writes them.

use std::fs;
use std::path::PathBuf;

use tokenpath_cli::metrics;

fn up_to_date(file: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(file);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, text).expect("the documentation can be written");
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    if there != text {
        let line = there
            .lines()
            .zip(text.lines())
            .position(|(there, made)| there != made);
        let line = line.unwrap_or_else(|| there.lines().count().min(text.lines().count()));
        panic!(
            "{file} differs from what is made now, first at line {}; UPDATE=1 cargo test -p tokenpath --test docs writes it",
            line + 1
        );
    }
}

#[test]
fn the_metrics_reference_is_up_to_date() {
    up_to_date("docs/metrics.md", &metrics::markdown());
}

#[test]
fn canonical_names_are_locked() {
    up_to_date("docs/metrics.lock", &metrics::lock());
}
