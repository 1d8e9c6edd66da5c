//! Recorded page in, our page out.

use tokenpath_core::Snapshot;
use tokenpath_core::exposition::Format;
use tokenpath_core::translate::{TranslateOptions, Translator};

use crate::page;
use crate::written::{compare, encoded, without_fault};

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

#[test]
fn recorded_pages_become_the_golden_ones() {
    for name in COMPARED {
        let ours = translated(&page::recorded("vllm", &format!("{name}.txt")));
        let ours = encoded(&ours, "vllm", "10.0.0.7:8000", Format::Text004);
        compare(name, &ours);
    }
}

#[test]
fn our_pages_are_without_fault_in_every_format() {
    for path in page::pages(&page::testdata("vllm")) {
        let snapshot = translated(&std::fs::read_to_string(&path).unwrap());
        without_fault(&path, &snapshot, "vllm");
    }
}
