//! A recorded limiter in, our page out.
//!
//! `UPDATE=1 cargo test -p tokenpath-limitador golden` writes the expected pages anew; the difference
//! is what a reviewer reads.

use std::path::Path;

use tokenpath_core::exposition::{Encoder, Format, Part, check};
use tokenpath_core::{LabelSet, Snapshot};
use tokenpath_limitador::{
    Admin, LimitadorOptions, LimitadorTranslator, TokenNamespaces, families,
};

use crate::page;

fn translated(text: &str) -> Snapshot {
    let mut options = LimitadorOptions::default();
    options.tenants.names = vec!["user".into(), "api_key".into()];
    options.tokens = TokenNamespaces::Only(["token-labs/gateway".to_owned()].into());
    let mut translator = LimitadorTranslator::new(options);
    let mut snapshot = Snapshot::new();
    translator
        .read_page(text.as_bytes(), Format::Text004)
        .unwrap();
    translator.finish(&Admin::default(), &mut snapshot);
    snapshot
}

pub(crate) fn encoded(snapshot: &Snapshot, format: Format) -> String {
    let labels = LabelSet::new([("backend", "limitador"), ("target", "10.0.0.7:8080")]);
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

#[test]
fn recorded_pages_become_the_golden_ones() {
    for name in [
        "limitador-2.4.0-dev-labels-t2-all",
        "limitador-2.4.0-dev-redis-cached-t2-all",
        "limitador-1.4",
    ] {
        let text = page::recorded("limitador", &format!("{name}.txt"));
        compare(name, &encoded(&translated(&text), Format::Text004));
    }
}

#[test]
fn our_pages_are_without_fault_and_labels_are_documented() {
    for path in page::pages(&page::testdata("limitador")) {
        let snapshot = translated(&std::fs::read_to_string(&path).unwrap());
        for format in Format::ALL {
            let page = encoded(&snapshot, format);
            let findings: Vec<String> = check(page.as_bytes(), format)
                .iter()
                .map(ToString::to_string)
                .collect();
            assert!(
                findings.is_empty(),
                "{} as {format}: {findings:#?}",
                path.display()
            );
        }
        for family in snapshot.shape().families() {
            let desc = family.desc();
            assert!(families::families().contains(desc));
            for (name, _) in family.series().flat_map(|series| series.labels()) {
                assert!(
                    desc.label_names().contains(&name),
                    "{}: {name}",
                    desc.name()
                );
            }
        }
    }
}
