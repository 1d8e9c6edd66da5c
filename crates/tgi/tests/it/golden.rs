//! Recorded page in, our page out.

use tokenpath_core::Snapshot;
use tokenpath_core::exposition::Format;
use tokenpath_tgi::{TgiOptions, TgiTranslator};

use crate::page;
use crate::reading::info;
use crate::written::{compare, encoded, without_fault};

fn translated(text: &str) -> Snapshot {
    let mut translator = TgiTranslator::new(TgiOptions::default());
    translator.set_info(&info());
    let mut snapshot = Snapshot::new();
    translator
        .translate(text.as_bytes(), Format::Text004, &mut snapshot)
        .unwrap();
    snapshot
}

#[test]
fn recorded_pages_become_the_golden_ones() {
    for name in ["tgi-3.3.7-t4-after", "tgi-2.0.0"] {
        let ours = translated(&page::recorded("tgi", &format!("{name}.txt")));
        let ours = encoded(&ours, "tgi", "10.0.0.7:3000", Format::Text004);
        compare(name, &ours);
    }
}

#[test]
fn our_pages_are_without_fault_in_every_format() {
    for path in page::pages(&page::testdata("tgi")) {
        let snapshot = translated(&std::fs::read_to_string(&path).unwrap());
        without_fault(&path, &snapshot, "tgi");
    }
}
