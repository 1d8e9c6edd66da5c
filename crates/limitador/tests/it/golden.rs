//! A recorded limiter in, our page out.

use tokenpath_core::Snapshot;
use tokenpath_core::exposition::Format;
use tokenpath_limitador::{
    Admin, LimitadorOptions, LimitadorTranslator, TokenNamespaces, families,
};

use crate::page;
use crate::written::{compare, documented, encoded, without_fault};

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

#[test]
fn recorded_pages_become_the_golden_ones() {
    for name in [
        "limitador-2.4.0-dev-labels-t2-all",
        "limitador-2.4.0-dev-redis-cached-t2-all",
        "limitador-1.4",
    ] {
        let ours = translated(&page::recorded("limitador", &format!("{name}.txt")));
        let ours = encoded(&ours, "limitador", "10.0.0.7:8080", Format::Text004);
        compare(name, &ours);
    }
}

#[test]
fn our_pages_are_without_fault_and_labels_are_documented() {
    for path in page::pages(&page::testdata("limitador")) {
        let snapshot = translated(&std::fs::read_to_string(&path).unwrap());
        without_fault(&path, &snapshot, "limitador");
        documented(&snapshot, families::families());
    }
}
