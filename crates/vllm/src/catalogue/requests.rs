//! Requests: how many, what they asked for, how they ended.

use tokenpath_core::MetricType::{Counter, Gauge, Histogram};
use tokenpath_core::catalogue::Row;

use super::{RUST, RUST_SINCE, V0, V1};

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("num_requests_running", Gauge)
            .to("llm_requests_running")
            .during(V0, "0.2.7", "0.11.0")
            .since(V1, "0.7.1")
            .since(RUST, RUST_SINCE),
        Row::new("num_requests_waiting", Gauge)
            .to("llm_requests_waiting")
            .during(V0, "0.2.7", "0.11.0")
            .since(V1, "0.7.1")
            .since(RUST, RUST_SINCE)
            .note("From 0.20 on this is the sum of the reasons capacity and deferred."),
        Row::new("num_requests_waiting_by_reason", Gauge)
            .to("llm_requests_waiting_by_reason")
            .since(V1, "0.20.0")
            .since(RUST, RUST_SINCE)
            .note("The reasons add up to num_requests_waiting."),
        Row::new("num_requests_kv_fetch_by_stage", Gauge)
            .to("llm_requests_kv_fetch_by_stage")
            .since(V1, "0.32.0")
            .note("Only on engines that fetch KV blocks from others."),
        Row::new("num_requests_swapped", Gauge)
            .to("llm_requests_swapped")
            .during(V0, "0.2.7", "0.8.2")
            .hidden(V0, "0.8.3", "0.9.0"),
        Row::new("num_preemptions_total", Counter)
            .to("llm_preemptions_total")
            .during(V0, "0.4.3", "0.11.0")
            .since(V1, "0.8.0")
            .since(RUST, RUST_SINCE),
        Row::new("request_success_total", Counter)
            .to("llm_requests_finished_total")
            .rename_label("finished_reason", "finish_reason")
            .default_label("finish_reason", "unspecified")
            .during(V0, "0.4.2", "0.11.0")
            .since(V1, "0.7.2")
            .since(RUST, RUST_SINCE)
            .note(
                "Counts aborts and errors too, in spite of its name. V0 knows stop, length and, when \
                 recorded, abort, each from its first use on; V1 has stop, length and abort from its \
                 start, error since 0.13.0, repetition since 0.17.0. Clients that hang up are counted \
                 nowhere. V1 counts each of the n completions of a request.",
            ),
        Row::new("admission_rejections_total", Counter)
            .to("llm_requests_rejected_total")
            .since(V1, "0.32.0")
            .note("Of the API server: no engine label."),
        Row::new("corrupted_requests_total", Counter)
            .to("llm_requests_corrupted_total")
            .since(V1, "0.11.1")
            .note("Only with the environment variable VLLM_COMPUTE_NANS_IN_LOGITS."),
        Row::new("request_num_preemptions", Histogram)
            .to("llm_request_preemptions")
            .since(V1, "0.30.0"),
        Row::new("request_prompt_tokens", Histogram)
            .to("llm_request_prompt_tokens")
            .during(V0, "0.4.2", "0.11.0")
            .since(V1, "0.7.1")
            .since(RUST, RUST_SINCE),
        Row::new("request_generation_tokens", Histogram)
            .to("llm_request_generation_tokens")
            .during(V0, "0.4.2", "0.11.0")
            .since(V1, "0.7.1")
            .since(RUST, RUST_SINCE),
        Row::new("request_params_n", Histogram)
            .to("llm_request_params_n")
            .during(V0, "0.4.2", "0.11.0")
            .since(V1, "0.8.0")
            .since(RUST, RUST_SINCE),
        Row::new("request_params_best_of", Histogram)
            .to("llm_request_params_best_of")
            .during(V0, "0.4.2", "0.6.2"),
        Row::new("request_params_max_tokens", Histogram)
            .to("llm_request_max_tokens")
            .during(V0, "0.6.4", "0.11.0")
            .since(V1, "0.8.0")
            .since(RUST, RUST_SINCE),
        Row::new("request_max_num_generation_tokens", Histogram)
            .to("llm_request_max_generation_tokens")
            .during(V0, "0.6.4", "0.11.0")
            .since(V1, "0.8.0")
            .since(RUST, RUST_SINCE),
        Row::new("request_prefill_kv_computed_tokens", Histogram)
            .to("llm_request_prefill_computed_tokens")
            .since(V1, "0.13.0")
            .since(RUST, RUST_SINCE)
            .note("Prompt tokens less the cached ones."),
    ]
}
