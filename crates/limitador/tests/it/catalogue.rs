//! The catalogue as a table: it works, it is complete, and every name it gives is well formed.

use tokenpath_core::MetricType::{self, Counter, Gauge, Summary};
use tokenpath_core::lint;
use tokenpath_limitador::{catalogue, families};

/// Every family that some release of Limitador shows, as read from its sources: written by hand.
const UPSTREAM: [(&str, MetricType); 12] = [
    ("authorized_calls", Counter),
    ("limited_calls", Counter),
    ("authorized_hits", Counter),
    ("limitador_up", Gauge),
    ("datastore_partitioned", Gauge),
    ("counter_latency", Summary),
    ("datastore_latency", Summary),
    ("batcher_size", Gauge),
    ("cache_size", Gauge),
    ("batcher_flush_size", Summary),
    ("counter_overshoot", Summary),
    ("evicted_pending_writes", Counter),
];

#[test]
fn every_family_has_one_row() {
    let rows = catalogue().rows;
    assert_eq!(rows.len(), UPSTREAM.len());
    for (name, kind) in UPSTREAM {
        let found: Vec<_> = rows.iter().filter(|row| row.upstream == name).collect();
        assert_eq!(found.len(), 1, "{name}");
        assert_eq!(found[0].kind, kind, "{name}");
        assert!(!found[0].releases.is_empty(), "{name}");
    }
}

#[test]
fn families_keep_to_the_naming_rules() {
    let all = families::families();
    let findings = lint::check_all(all.iter().map(AsRef::as_ref));
    assert!(findings.is_empty(), "{findings:#?}");
    for desc in all {
        let name = desc.name();
        assert!(
            name.starts_with("llm_tenant_") || name.starts_with("llm_limitador_"),
            "{name}"
        );
        assert!(desc.label_names().is_sorted(), "{name}");
        assert!(
            desc.help().ends_with('.') && desc.help().len() > 20,
            "{name}"
        );
        assert_ne!(name, "llm_tenant_quota", "a quota is five families");
    }
}
