//! Our page of a snapshot: held against the golden one, and looked through for faults.
//!
//! Included by the integration tests of several crates. `UPDATE=1 cargo test -p tokenpath-… golden`
//! writes the expected pages anew; the difference is what a reviewer reads.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::path::Path;
use std::sync::Arc;

use tokenpath_core::exposition::{Encoder, Format, Part, check};
use tokenpath_core::{Desc, LabelSet, Snapshot};

/// The page of one source, as the exporter would write it.
pub(crate) fn encoded(snapshot: &Snapshot, backend: &str, target: &str, format: Format) -> String {
    let labels = LabelSet::new([("backend", backend), ("target", target)]);
    let parts = [Part {
        snapshot,
        labels: &labels,
    }];
    let mut encoder = Encoder::new(format);
    let mut bytes = Vec::new();
    encoder.encode(&parts, &mut bytes);
    assert!(encoder.refused().is_none(), "{:?}", encoder.refused());
    String::from_utf8(bytes).unwrap()
}

/// Holds a page against `tests/golden/{name}.txt` of the crate under test, line by line.
pub(crate) fn compare(name: &str, ours: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.txt"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, ours).unwrap();
    }
    let expected = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run with UPDATE=1", path.display()));
    for (at, (ours, expected)) in ours.lines().zip(expected.lines()).enumerate() {
        assert_eq!(ours, expected, "{name}, line {}", at + 1);
    }
    assert_eq!(ours.len(), expected.len(), "{name}");
}

/// Nothing is wrong with the page of a snapshot, in any format.
pub(crate) fn without_fault(what: &Path, snapshot: &Snapshot, backend: &str) {
    for format in Format::ALL {
        let page = encoded(snapshot, backend, "10.0.0.7:8000", format);
        let findings: Vec<String> = check(page.as_bytes(), format)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(
            findings.is_empty(),
            "{} as {format}: {findings:#?}",
            what.display()
        );
    }
}

/// Every family of a snapshot is one of `known`, with no label that it does not name.
pub(crate) fn documented(snapshot: &Snapshot, known: &[Arc<Desc>]) {
    for family in snapshot.shape().families() {
        let desc = family.desc();
        assert!(known.contains(desc), "{}", desc.name());
        for (name, _) in family.series().flat_map(|series| series.labels()) {
            assert!(
                desc.label_names().contains(&name),
                "{}: {name}",
                desc.name()
            );
        }
    }
}
