//! Recorded page in, our page out.
//!
//! `UPDATE=1 cargo test -p tokenpath-tgi golden` writes the expected pages anew; the difference is
//! what a reviewer reads.

use std::path::Path;

use tokenpath_core::exposition::{Encoder, Format, Part, check};
use tokenpath_core::{LabelSet, Snapshot};
use tokenpath_tgi::{TgiOptions, TgiTranslator};

use crate::page;
use crate::reading::info;

fn translated(text: &str) -> Snapshot {
    let mut translator = TgiTranslator::new(TgiOptions::default());
    translator.set_info(&info());
    let mut snapshot = Snapshot::new();
    translator
        .translate(text.as_bytes(), Format::Text004, &mut snapshot)
        .unwrap();
    snapshot
}

fn encoded(snapshot: &Snapshot, format: Format) -> String {
    let labels = LabelSet::new([("backend", "tgi"), ("target", "10.0.0.7:3000")]);
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

#[test]
fn recorded_pages_become_the_golden_ones() {
    for name in ["tgi-3.3.7-t4-after", "tgi-2.0.0"] {
        let ours = encoded(
            &translated(&page::recorded("tgi", &format!("{name}.txt"))),
            Format::Text004,
        );
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.txt"));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &ours).unwrap();
        }
        let expected = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}; run with UPDATE=1", path.display()));
        for (at, (ours, expected)) in ours.lines().zip(expected.lines()).enumerate() {
            assert_eq!(ours, expected, "{name}, line {}", at + 1);
        }
        assert_eq!(ours.len(), expected.len(), "{name}");
    }
}

#[test]
fn our_pages_are_without_fault_in_every_format() {
    for path in page::pages(&page::testdata("tgi")) {
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
    }
}
