//! The index of KV blocks; off unless the gateway is told to count it.

use tokenpath_core::MetricType::{self, Counter, Histogram};
use tokenpath_core::catalogue::Row;

use super::{Name, family, releases, third_since, unreleased};

/// A name of the library, which llm-d-router has in its own source since 0.10.
fn library(name: &'static str, since: &'static str) -> Name {
    let releases = vec![
        releases("llm-d-kv-cache", since, None),
        releases("llm-d-router (deprecated)", "0.10", None),
    ];
    Name { name, releases }
}

/// A name of the library that llm-d-router does not have.
fn library_alone(name: &'static str, since: &'static str) -> Name {
    let releases = vec![releases("llm-d-kv-cache", since, None)];
    Name { name, releases }
}

/// The prefix of 0.10 (pkg/kvcache/metrics/collector.go, docs/metrics.md), and of no other release.
fn router(name: &'static str) -> Name {
    let releases = vec![releases("llm-d-router", "0.10", Some("0.10"))];
    Name { name, releases }
}

pub(super) fn rows() -> Vec<Row> {
    [index(), removals(), tokenizer()].concat()
}

fn index() -> Vec<Row> {
    let named =
        |kind: MetricType, ours: &'static str, names: [&'static str; 3], since: &'static str| {
            let [newest, newer, oldest] = names;
            family(
                kind,
                ours,
                &[unreleased(newest), router(newer), library(oldest, since)],
            )
        };
    let noted = |rows: Vec<Row>, note: &'static str| -> Vec<Row> {
        rows.into_iter().map(|row| row.note(note)).collect()
    };
    [
        named(
            Counter,
            "llm_gateway_kv_index_admissions_total",
            [
                "llm_d_epp_kv_cache_index_admissions_total",
                "llm_d_router_epp_kv_cache_index_admissions_total",
                "kvcache_index_admissions_total",
            ],
            "0.2",
        ),
        named(
            Counter,
            "llm_gateway_kv_index_evictions_total",
            [
                "llm_d_epp_kv_cache_index_evictions_total",
                "llm_d_router_epp_kv_cache_index_evictions_total",
                "kvcache_index_evictions_total",
            ],
            "0.2",
        ),
        named(
            Counter,
            "llm_gateway_kv_index_lookups_total",
            [
                "llm_d_epp_kv_cache_index_lookup_requests_total",
                "llm_d_router_epp_kv_cache_index_lookup_requests_total",
                "kvcache_index_lookup_requests_total",
            ],
            "0.2",
        ),
        // 0.10 documents "lookups that matched at least one block", and counts blocks
        // (pkg/kvcache/kvblock/instrumented_index.go): wherever in the prompt they are, and one that
        // a server has in two tiers twice. The chain from the start came after 0.10, in both.
        noted(
            named(
                Counter,
                "llm_gateway_kv_index_hit_blocks_total",
                [
                    "llm_d_epp_kv_cache_index_lookup_hits_total",
                    "llm_d_router_epp_kv_cache_index_lookup_hits_total",
                    "kvcache_index_lookup_hits_total",
                ],
                "0.2",
            ),
            "Counts blocks, not look-ups, whatever the name says.",
        ),
        named(
            Histogram,
            "llm_gateway_kv_index_lookup_seconds",
            [
                "llm_d_epp_kv_cache_index_lookup_latency_seconds",
                "llm_d_router_epp_kv_cache_index_lookup_latency_seconds",
                "kvcache_index_lookup_latency_seconds",
            ],
            "0.2",
        ),
        noted(
            named(
                Counter,
                "llm_gateway_kv_index_max_pod_hits_total",
                [
                    "llm_d_epp_kv_cache_index_max_pod_hit_count_total",
                    "llm_d_router_epp_kv_cache_index_max_pod_hit_count_total",
                    "kvcache_index_max_pod_hit_count_total",
                ],
                "0.4",
            ),
            "The same number as lookup_hits: upstream adds it to both.",
        ),
    ]
    .concat()
}

/// What engines say they removed, before the index hears of it. In 0.10 the library's name is new,
/// too.
fn removals() -> Vec<Row> {
    let removed = |outcome: &'static str, names: [&'static str; 3]| -> Vec<Row> {
        let [newest, newer, oldest] = names;
        let names = [
            unreleased(newest),
            router(newer),
            third_since(oldest, "0.10"),
        ];
        let rows = family(Counter, "llm_gateway_kv_index_removed_blocks_total", &names);
        rows.into_iter()
            .map(|row| row.constant("outcome", outcome))
            .collect()
    };
    [
        removed(
            "forwarded",
            [
                "llm_d_epp_kv_cache_events_dedup_removed_hashes_forwarded_total",
                "llm_d_router_epp_kv_cache_events_dedup_removed_hashes_forwarded_total",
                "kvcache_kvevents_dedup_removed_hashes_forwarded_total",
            ],
        ),
        removed(
            "suppressed",
            [
                "llm_d_epp_kv_cache_events_dedup_removed_hashes_suppressed_total",
                "llm_d_router_epp_kv_cache_events_dedup_removed_hashes_suppressed_total",
                "kvcache_kvevents_dedup_removed_hashes_suppressed_total",
            ],
        ),
    ]
    .concat()
}

fn tokenizer() -> Vec<Row> {
    [
        family(
            Histogram,
            "llm_gateway_tokenizer_render_seconds",
            &[library_alone(
                "kvcache_tokenization_render_chat_template_latency_seconds",
                "0.5",
            )],
        ),
        family(
            Histogram,
            "llm_gateway_tokenizer_seconds",
            &[library_alone(
                "kvcache_tokenization_tokenization_latency_seconds",
                "0.5",
            )],
        ),
        family(
            Counter,
            "llm_gateway_tokenized_tokens_total",
            &[library_alone(
                "kvcache_tokenization_tokenized_tokens_total",
                "0.5",
            )],
        ),
    ]
    .concat()
}
