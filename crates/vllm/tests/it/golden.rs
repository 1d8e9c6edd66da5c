//! Recorded page in, our page out.
//!
//! `UPDATE=1 cargo test -p tokenpath-vllm golden` writes the expected pages anew; the difference is
//! what a reviewer reads.

use std::path::{Path, PathBuf};

use tokenpath_core::exposition::{Encoder, Format, Part, check};
use tokenpath_core::translate::{TranslateOptions, Translator};
use tokenpath_core::{LabelSet, Snapshot};

use crate::page;

/// One page of each generation, and the two that differ in format or in processes. All pages are
/// checked; these are also compared line by line.
const COMPARED: [&str; 6] = [
    "vllm-0.3.3-V0",
    "vllm-0.6.6-V0",
    "vllm-0.8.5-t1-load",
    "vllm-0.10.2-V1",
    "vllm-0.11.2-V1-show-hidden",
    "vllm-0.32.0-t1-load",
];

fn translated(text: &str) -> Snapshot {
    let mut translator = Translator::new(tokenpath_vllm::compiled(), TranslateOptions::default());
    let mut snapshot = Snapshot::new();
    let format = Format::sniff(text.as_bytes(), None);
    translator
        .translate(text.as_bytes(), format, &mut snapshot)
        .unwrap();
    snapshot
}

fn encoded(snapshot: &Snapshot, format: Format) -> String {
    let labels = LabelSet::new([("backend", "vllm"), ("target", "10.0.0.7:8000")]);
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

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(format!("{name}.txt"))
}

#[test]
fn recorded_pages_become_the_golden_ones() {
    let update = std::env::var_os("UPDATE").is_some();
    for name in COMPARED {
        let ours = encoded(
            &translated(&page::recorded(&format!("{name}.txt"))),
            Format::Text004,
        );
        let path = golden(name);
        if update {
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
    for path in page::pages(&page::testdata()) {
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
