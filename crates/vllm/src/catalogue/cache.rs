//! The KV cache, the prefix cache, the multimodal cache.

use tokenpath_core::MetricType::{Counter, Gauge, Histogram};
use tokenpath_core::catalogue::{Output, Row};

use super::{RUST, RUST_SINCE, V0, V1};

pub(super) fn rows() -> Vec<Row> {
    let mut rows = vec![
        // "perc", but a fraction in every release: renamed, never scaled.
        Row::new("kv_cache_usage_perc", Gauge)
            .to("llm_kv_cache_usage_ratio")
            .since(V1, "0.9.2")
            .since(RUST, RUST_SINCE)
            .note(
                "From 0 to 1, in spite of the name. In multi-process mode 0.9.2 to 0.11.0 have one \
                 series a process (label pid), of which the largest counts.",
            ),
        Row::new("gpu_cache_usage_perc", Gauge)
            .to("llm_kv_cache_usage_ratio")
            .superseded_by("kv_cache_usage_perc")
            .during(V0, "0.2.7", "0.11.0")
            .during(V1, "0.7.1", "0.10.2")
            .hidden(V1, "0.11.0", "0.11.2")
            .note(
                "From 0 to 1, in spite of the name. 0.9.2 to 0.10.2 have the newer name beside it.",
            ),
        Row::new("cpu_cache_usage_perc", Gauge)
            .to("llm_cpu_kv_cache_usage_ratio")
            .during(V0, "0.2.7", "0.8.2")
            .hidden(V0, "0.8.3", "0.9.0")
            .note("From 0 to 1, in spite of the name."),
        Row::new("gpu_prefix_cache_hit_rate", Gauge)
            .to("llm_prefix_cache_hit_ratio")
            .constant("cache", "local")
            .sentinel(-1.0)
            .during(V0, "0.5.5", "0.8.2")
            .hidden(V0, "0.8.3", "0.9.0")
            .note("-1 says that prefix caching is off."),
        Row::new("cpu_prefix_cache_hit_rate", Gauge)
            .to("llm_prefix_cache_hit_ratio")
            .constant("cache", "cpu")
            .sentinel(-1.0)
            .during(V0, "0.5.5", "0.8.2")
            .hidden(V0, "0.8.3", "0.9.0")
            .note("Of the KV blocks in host memory. -1 says that prefix caching is off."),
        Row::new("prefix_cache_queries_total", Counter)
            .to("llm_prefix_cache_queries_total")
            .constant("cache", "local")
            .since(V1, "0.9.2")
            .since(RUST, RUST_SINCE),
        Row::new("prefix_cache_hits_total", Counter)
            .to("llm_prefix_cache_hits_total")
            .constant("cache", "local")
            .since(V1, "0.9.2")
            .since(RUST, RUST_SINCE),
        older_prefix_cache(
            "gpu_prefix_cache_queries_total",
            "prefix_cache_queries_total",
            "llm_prefix_cache_queries_blocks_total",
        ),
        older_prefix_cache(
            "gpu_prefix_cache_hits_total",
            "prefix_cache_hits_total",
            "llm_prefix_cache_hits_blocks_total",
        ),
        Row::new("external_prefix_cache_queries_total", Counter)
            .to("llm_prefix_cache_queries_total")
            .constant("cache", "external")
            .since(V1, "0.11.1")
            .since(RUST, RUST_SINCE)
            .note("Reached through a KV connector."),
        Row::new("external_prefix_cache_hits_total", Counter)
            .to("llm_prefix_cache_hits_total")
            .constant("cache", "external")
            .since(V1, "0.11.1")
            .since(RUST, RUST_SINCE)
            .note("Reached through a KV connector."),
        Row::new("mm_cache_queries_total", Counter)
            .to("llm_multimodal_cache_queries_total")
            .since(V1, "0.11.1")
            .note("Items, not tokens."),
        Row::new("mm_cache_hits_total", Counter)
            .to("llm_multimodal_cache_hits_total")
            .since(V1, "0.11.1")
            .note("Items, not tokens."),
        sampled("kv_block_lifetime_seconds", "llm_kv_block_lifetime_seconds"),
        sampled(
            "kv_block_idle_before_evict_seconds",
            "llm_kv_block_idle_before_evict_seconds",
        ),
        sampled(
            "kv_block_reuse_gap_seconds",
            "llm_kv_block_reuse_gap_seconds",
        ),
    ];
    rows.extend(configuration());
    rows
}

/// The only counters of V1's prefix cache before 0.9.2, and the older twins of the new ones after.
///
/// A page that has them alone is of 0.9.1 or older, unless somebody filtered it. Up to 0.8.5 they
/// count blocks; 0.9.2 and later count tokens, but there the newer names stand beside them and win.
/// Of 0.9.0 and 0.9.1 the unit is not established, so they too go to the families in blocks: hits
/// over queries is right either way, and nothing in tokens is claimed that may not be.
fn older_prefix_cache(upstream: &'static str, newer: &'static str, family: &'static str) -> Row {
    Row::new(upstream, Counter)
        .to(family)
        .constant("cache", "local")
        .superseded_by(newer)
        .during(V1, "0.7.3", "0.10.2")
        .hidden(V1, "0.11.0", "0.11.2")
        .note(
            "Blocks up to 0.8.5. 0.9.2 and later count tokens, but have the newer name beside it. Of \
             0.9.0 and 0.9.1 the unit is not established: hits over queries is safe.",
        )
}

/// Sampled only where `--kv-cache-metrics` is given.
fn sampled(upstream: &'static str, family: &'static str) -> Row {
    Row::new(upstream, Histogram)
        .to(family)
        .since(V1, "0.12.0")
        .since(RUST, RUST_SINCE)
        .note("Only with --kv-cache-metrics; a sample of the blocks.")
}

/// `cache_config_info`: every field of the engine's cache configuration as a label, in Python's
/// spelling (`None`, `True`). The numbers among them that matter become numbers, a bounded set of
/// the rest stays as facts.
fn configuration() -> Vec<Row> {
    // The number of blocks alone is not an engine's own: V1's front end adds up what its data-parallel
    // engines report at their start (vllm/v1/engine/core_client.py, later utils.py: "Sum values from
    // all engines in DP case") and writes that sum on the series of each. One with a single engine,
    // as every V0 is, shares with nobody.
    const NUMBERS: [(&str, &str, Option<&str>); 4] = [
        ("block_size", "llm_kv_cache_block_size_tokens", None),
        ("num_gpu_blocks", "llm_kv_cache_blocks", Some("engine")),
        ("num_cpu_blocks", "llm_cpu_kv_cache_blocks", None),
        ("kv_cache_size_tokens", "llm_kv_cache_size_tokens", None),
    ];
    const LABELS: &str = "The labels differ from release to release. In V0 it has neither model_name \
                          nor engine, in V1 an engine.";
    const SHARED: &str = "With data parallelism the number is the sum over the engines, on the series \
                          of each: each gets its part, or none where the parts cannot be equal.";
    const FACTS: [&str; 7] = [
        "cache_dtype",
        "enable_prefix_caching",
        "engine",
        "gpu_memory_utilization",
        "model_name",
        "prefix_caching_hash_algo",
        "sliding_window",
    ];
    // Up to 0.5.3 this is Python's `Info`, which a page in text types as a gauge too.
    let info = || {
        Row::new("cache_config_info", Gauge)
            .during(V0, "0.2.7", "0.11.0")
            .since(V1, "0.8.0")
            .note(LABELS)
    };
    let number = |(label, family, sharer): (&'static str, &'static str, Option<&'static str>)| {
        let row = info()
            .output(Output::LabelNumber {
                label: label.into(),
                family: family.into(),
                shared_by: sharer.map(Into::into),
            })
            .keep_labels(["engine", "model_name"]);
        match sharer {
            Some(_) => row.note(format!("{LABELS} {SHARED}")),
            None => row,
        }
    };
    let mut rows: Vec<Row> = NUMBERS.into_iter().map(number).collect();
    rows.push(
        info()
            .output(Output::Facts("llm_kv_cache_info".into()))
            .keep_labels(FACTS)
            .rename_label("enable_prefix_caching", "prefix_caching"),
    );
    rows
}
