//! `vllm-v0`: the names of vLLM up to 0.11, with those that it has renamed or removed since.
//!
//! Both engines of that time are in it: V0, and V1 with the names it had before 0.12. A dashboard
//! that was made for them finds all it asks for, over any engine and release. With `vllm` beside it,
//! names that both have go out once.
//!
//! The prefix cache counts tokens where the engine does, blocks where it does not (vLLM before
//! 0.9): that is what these names meant at the time, and why only their ratio should be trusted.

use super::{Renamed, renamed, where_label_is};
use crate::MetricType::{Counter, Gauge, Histogram};
use crate::dialect::{Dialect, Quantity, Row};

const PREFIX: &str = "vllm:";

pub(super) fn dialect() -> Dialect {
    let rows = [
        renamed(PREFIX, PLAIN),
        vec![super::vllm::finished("finished_reason")],
        milliseconds(),
        prefix_cache(),
        vec![acceptance_rate()],
    ];
    Dialect::new("vllm-v0", rows.concat())
        .without(
            "vllm:cache_config_info",
            "the numbers among its labels are values in the model: llm_kv_cache_blocks, \
             llm_kv_cache_block_size_tokens; the rest is in llm_kv_cache_info",
        )
        .without(
            "vllm:lora_requests_info",
            "its label lists and its time are values in the model: llm_lora_adapters_running, \
             llm_lora_adapters_waiting, llm_lora_adapters_max, llm_lora_adapter_running",
        )
        .without(
            "vllm:request_latency_seconds",
            "no release of vLLM ever had it; the dialect documents gives it all the same",
        )
}

#[rustfmt::skip]
const PLAIN: &[Renamed] = &[
    ("num_requests_running", Gauge, "llm_requests_running"),
    ("num_requests_waiting", Gauge, "llm_requests_waiting"),
    ("num_requests_swapped", Gauge, "llm_requests_swapped"),
    // "perc", but a fraction.
    ("gpu_cache_usage_perc", Gauge, "llm_kv_cache_usage_ratio"),
    ("cpu_cache_usage_perc", Gauge, "llm_cpu_kv_cache_usage_ratio"),
    ("num_preemptions_total", Counter, "llm_preemptions_total"),
    ("prompt_tokens_total", Counter, "llm_prompt_tokens_total"),
    ("generation_tokens_total", Counter, "llm_generation_tokens_total"),
    ("tokens_total", Counter, "llm_tokens_total"),
    ("avg_prompt_throughput_toks_per_s", Gauge, "llm_prompt_tokens_per_second"),
    ("avg_generation_throughput_toks_per_s", Gauge, "llm_generation_tokens_per_second"),
    ("time_to_first_token_seconds", Histogram, "llm_time_to_first_token_seconds"),
    // One observation a gap: the name it had before inter_token_latency_seconds.
    ("time_per_output_token_seconds", Histogram, "llm_inter_token_latency_seconds"),
    ("inter_token_latency_seconds", Histogram, "llm_inter_token_latency_seconds"),
    ("e2e_request_latency_seconds", Histogram, "llm_request_duration_seconds"),
    ("request_queue_time_seconds", Histogram, "llm_request_queue_seconds"),
    // Seconds, in spite of the name.
    ("time_in_queue_requests", Histogram, "llm_request_queue_seconds"),
    ("request_prefill_time_seconds", Histogram, "llm_request_prefill_seconds"),
    ("request_decode_time_seconds", Histogram, "llm_request_decode_seconds"),
    ("request_inference_time_seconds", Histogram, "llm_request_inference_seconds"),
    ("request_prompt_tokens", Histogram, "llm_request_prompt_tokens"),
    ("request_generation_tokens", Histogram, "llm_request_generation_tokens"),
    ("request_max_num_generation_tokens", Histogram, "llm_request_max_generation_tokens"),
    ("request_params_max_tokens", Histogram, "llm_request_max_tokens"),
    ("request_params_n", Histogram, "llm_request_params_n"),
    ("request_params_best_of", Histogram, "llm_request_params_best_of"),
    // A histogram, in spite of its name.
    ("iteration_tokens_total", Histogram, "llm_iteration_tokens"),
    ("spec_decode_num_draft_tokens_total", Counter, "llm_spec_decode_draft_tokens_total"),
    ("spec_decode_num_accepted_tokens_total", Counter, "llm_spec_decode_accepted_tokens_total"),
    ("spec_decode_num_emitted_tokens_total", Counter, "llm_spec_decode_emitted_tokens_total"),
    ("spec_decode_efficiency", Gauge, "llm_spec_decode_efficiency_ratio"),
    // Removed from V1 after 0.19.
    ("prompt_tokens_recomputed_total", Counter, "llm_prompt_tokens_recomputed_total"),
];

fn milliseconds() -> Vec<Row> {
    const ROWS: &[Renamed] = &[
        (
            "model_forward_time_milliseconds",
            Histogram,
            "llm_model_forward_seconds",
        ),
        (
            "model_execute_time_milliseconds",
            Histogram,
            "llm_model_execute_seconds",
        ),
    ];
    let rows = renamed(PREFIX, ROWS).into_iter();
    rows.map(|row| row.factor(1000.0)).collect()
}

fn prefix_cache() -> Vec<Row> {
    const QUERIES: &str = "llm_prefix_cache_queries_total";
    const HITS: &str = "llm_prefix_cache_hits_total";
    const QUERY_BLOCKS: &str = "llm_prefix_cache_queries_blocks_total";
    const HIT_BLOCKS: &str = "llm_prefix_cache_hits_blocks_total";
    let family = |name: &'static str| Quantity::Family(name.into());
    let rate = |name| {
        Row::family("llm_prefix_cache_hit_ratio", name, Gauge)
            .or(Quantity::Ratio(HITS.into(), QUERIES.into()))
            .or(Quantity::Ratio(HIT_BLOCKS.into(), QUERY_BLOCKS.into()))
    };
    let local = vec![
        Row::family(QUERIES, "vllm:gpu_prefix_cache_queries_total", Counter)
            .or(family(QUERY_BLOCKS)),
        Row::family(HITS, "vllm:gpu_prefix_cache_hits_total", Counter).or(family(HIT_BLOCKS)),
        rate("vllm:gpu_prefix_cache_hit_rate"),
    ];
    let host = Row::family(
        "llm_prefix_cache_hit_ratio",
        "vllm:cpu_prefix_cache_hit_rate",
        Gauge,
    );
    [
        where_label_is("cache", "local", local),
        where_label_is("cache", "cpu", vec![host]),
    ]
    .concat()
}

fn acceptance_rate() -> Row {
    let counted = Quantity::Ratio(
        "llm_spec_decode_accepted_tokens_total".into(),
        "llm_spec_decode_draft_tokens_total".into(),
    );
    Row::family(
        "llm_spec_decode_acceptance_ratio",
        "vllm:spec_decode_draft_acceptance_rate",
        Gauge,
    )
    .or(counted)
}
