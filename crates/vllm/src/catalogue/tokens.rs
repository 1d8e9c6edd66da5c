//! Tokens in and out.

use tokenpath_core::MetricType::{Counter, Gauge, Histogram};
use tokenpath_core::catalogue::Row;

use super::{RUST, RUST_SINCE, V0, V1};

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("prompt_tokens_total", Counter)
            .to("llm_prompt_tokens_total")
            .during(V0, "0.3.3", "0.11.0")
            .since(V1, "0.7.1")
            .since(RUST, RUST_SINCE),
        Row::new("generation_tokens_total", Counter)
            .to("llm_generation_tokens_total")
            .during(V0, "0.3.3", "0.11.0")
            .since(V1, "0.7.1")
            .since(RUST, RUST_SINCE),
        Row::new("tokens_total", Counter)
            .to("llm_tokens_total")
            .during(V0, "0.6.4", "0.7.3")
            .note("Declared in these releases; prompt and generation tokens together."),
        Row::new("prompt_tokens_by_source_total", Counter)
            .to("llm_prompt_tokens_by_source_total")
            .since(V1, "0.16.0")
            .since(RUST, RUST_SINCE)
            .note(
                "local_compute, local_cache_hit, external_kv_transfer; adds up to prompt_tokens.",
            ),
        Row::new("prompt_tokens_cached_total", Counter)
            .to("llm_prompt_tokens_cached_total")
            .since(V1, "0.16.0")
            .since(RUST, RUST_SINCE),
        Row::new("prompt_tokens_recomputed_total", Counter)
            .to("llm_prompt_tokens_recomputed_total")
            .during(V1, "0.16.0", "0.19.0"),
        Row::new("prompt_tokens_cached_by_source_total", Counter)
            .to("llm_prompt_tokens_cached_by_source_total")
            .since(V1, "0.32.0")
            .note("device, host, disk, p2p, external_unspecified."),
        // A histogram, in spite of its name: the type on the page decides.
        Row::new("iteration_tokens_total", Histogram)
            .to("llm_iteration_tokens")
            .during(V0, "0.6.4", "0.11.0")
            .since(V1, "0.7.3")
            .since(RUST, RUST_SINCE),
        Row::new("avg_prompt_throughput_toks_per_s", Gauge)
            .to("llm_prompt_tokens_per_second")
            .during(V0, "0.2.7", "0.6.6"),
        Row::new("avg_generation_throughput_toks_per_s", Gauge)
            .to("llm_generation_tokens_per_second")
            .during(V0, "0.2.7", "0.6.6"),
    ]
}
