//! A page of each generation in, our page out.

use tokenpath_core::Snapshot;
use tokenpath_core::exposition::Format;
use tokenpath_gateway::{GatewayOptions, GatewayTranslator, families};

use crate::page;
use crate::written::{compare, documented, encoded, without_fault};

fn translated(text: &str) -> Snapshot {
    let mut translator = GatewayTranslator::new(GatewayOptions::default());
    let mut snapshot = Snapshot::new();
    translator
        .translate(text.as_bytes(), Format::Text004, &mut snapshot)
        .unwrap();
    snapshot
}

#[test]
fn pages_become_the_golden_ones() {
    for name in [
        "gen1-gie-0.5",
        "gen2-gie-1.5",
        "gen3-llm-d-router-0.10",
        "gen3-llm-d-router-after-0.10",
        "bbr-1.5",
    ] {
        let ours = translated(&page::recorded("epp", &format!("{name}.txt")));
        let ours = encoded(&ours, "gateway", "10.0.0.7:9090", Format::Text004);
        compare(name, &ours);
    }
}

#[test]
fn our_pages_are_without_fault_and_labels_are_documented() {
    for path in page::pages(&page::testdata("epp")) {
        let snapshot = translated(&std::fs::read_to_string(&path).unwrap());
        without_fault(&path, &snapshot, "gateway");
        documented(&snapshot, families::families());
    }
}
