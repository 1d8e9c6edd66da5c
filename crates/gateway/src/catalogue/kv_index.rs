//! The index of KV blocks; off unless the gateway is told to count it.

use tokenpath_core::MetricType::{self, Counter, Histogram};
use tokenpath_core::catalogue::Row;

use super::{Name, family, releases, third_since};

fn library(name: &'static str, since: &'static str) -> Name {
    let releases = vec![releases("llm-d-kv-cache", since, None)];
    Name { name, releases }
}

pub(super) fn rows() -> Vec<Row> {
    let both = |kind: MetricType,
                ours: &'static str,
                newer: &'static str,
                older: &'static str,
                since: &'static str| {
        family(
            kind,
            ours,
            &[third_since(newer, "0.10"), library(older, since)],
        )
    };
    [
        both(
            Counter,
            "llm_gateway_kv_index_admissions_total",
            "llm_d_epp_kv_cache_index_admissions_total",
            "kvcache_index_admissions_total",
            "0.2",
        ),
        both(
            Counter,
            "llm_gateway_kv_index_evictions_total",
            "llm_d_epp_kv_cache_index_evictions_total",
            "kvcache_index_evictions_total",
            "0.2",
        ),
        both(
            Counter,
            "llm_gateway_kv_index_lookups_total",
            "llm_d_epp_kv_cache_index_lookup_requests_total",
            "kvcache_index_lookup_requests_total",
            "0.2",
        ),
        both(
            Counter,
            "llm_gateway_kv_index_hit_blocks_total",
            "llm_d_epp_kv_cache_index_lookup_hits_total",
            "kvcache_index_lookup_hits_total",
            "0.2",
        )
        .into_iter()
        .map(|row| row.note("Counts blocks, not look-ups, whatever the name says."))
        .collect(),
        both(
            Histogram,
            "llm_gateway_kv_index_lookup_seconds",
            "llm_d_epp_kv_cache_index_lookup_latency_seconds",
            "kvcache_index_lookup_latency_seconds",
            "0.2",
        ),
        both(
            Counter,
            "llm_gateway_kv_index_max_pod_hits_total",
            "llm_d_epp_kv_cache_index_max_pod_hit_count_total",
            "kvcache_index_max_pod_hit_count_total",
            "0.4",
        ),
        family(
            Histogram,
            "llm_gateway_tokenizer_render_seconds",
            &[library(
                "kvcache_tokenization_render_chat_template_latency_seconds",
                "0.5",
            )],
        ),
        family(
            Histogram,
            "llm_gateway_tokenizer_seconds",
            &[library(
                "kvcache_tokenization_tokenization_latency_seconds",
                "0.5",
            )],
        ),
        family(
            Counter,
            "llm_gateway_tokenized_tokens_total",
            &[library(
                "kvcache_tokenization_tokenized_tokens_total",
                "0.5",
            )],
        ),
    ]
    .concat()
}
