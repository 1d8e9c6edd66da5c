//! What each upstream family means in the twin: one row per name, for all releases.
//!
//! Every family of every recorded page has a row; a test sees to it. What the twin does not model is
//! in the table too, as [`Binding::Recorded`] (the recorded value, as for `python_info`) or as a
//! constant of its own.

use crate::truth::{EngineTruth, Quantity, Truth, float, ratio};

/// Where the values of a family come from.
#[derive(Clone, Copy)]
pub(crate) enum Binding {
    /// One value per engine.
    Engine(fn(&EngineTruth) -> f64),
    /// One value per engine that is measured rather than counted.
    Measured(fn(&EngineTruth) -> f64),
    /// One value per engine, counted in tokens or in blocks, as the release does.
    TokensOrBlocks {
        tokens: fn(&EngineTruth) -> u64,
        blocks: fn(&EngineTruth) -> u64,
    },
    /// A value per engine and value of one label; the label's values are those of the page.
    Label {
        label: &'static str,
        value: fn(&EngineTruth, &str) -> f64,
    },
    /// `request_success`: a value per engine and `finished_reason`.
    FinishReasons,
    /// A value per engine and position of a draft.
    Positions,
    /// A histogram per engine.
    Histogram(Quantity),
    /// A value per rejection reason, of no engine.
    Rejections,
    /// `cache_config_info`.
    CacheConfig,
    /// `lora_requests_info`.
    Lora,
    /// What the HTTP server counts.
    Http(Http),
    /// A value of the process.
    Process(fn(&Truth) -> f64),
    /// As recorded.
    Recorded,
}

/// The families of the HTTP server's instrumentation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Http {
    Requests,
    RequestBytes,
    ResponseBytes,
    /// Durations by handler.
    Durations,
    /// Durations of all handlers together.
    AllDurations,
}

/// What must be on for a family to be on the page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    Nothing,
    Lora,
    Speculation,
}

/// One row of the table: the name without `_total` of counters and without `_created`.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) binding: Binding,
    pub(crate) needs: Needs,
}

const fn row(name: &'static str, binding: Binding) -> Row {
    Row {
        name,
        binding,
        needs: Needs::Nothing,
    }
}

const fn speculative(name: &'static str, binding: Binding) -> Row {
    Row {
        name,
        binding,
        needs: Needs::Speculation,
    }
}

/// The row of a family.
pub(crate) fn find(base: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == base)
}

use Binding::{Engine, Histogram, Label, Measured, Process, Recorded};

static ROWS: &[Row] = &[
    // Engine state.
    row("vllm:num_requests_running", Engine(|e| float(e.running))),
    row("vllm:num_requests_waiting", Engine(|e| float(e.waiting))),
    row(
        "vllm:num_requests_waiting_by_reason",
        Label {
            label: "reason",
            value: |e, reason| {
                float(match reason {
                    "capacity" => e.waiting - e.deferred - e.receiving,
                    _ => e.deferred + e.receiving,
                })
            },
        },
    ),
    // The twin recomputes what it preempts; nothing is swapped to the CPU.
    row("vllm:num_requests_swapped", Engine(|_| 0.0)),
    row("vllm:cpu_cache_usage_perc", Measured(|_| 0.0)),
    row("vllm:cpu_prefix_cache_hit_rate", Measured(|_| -1.0)),
    row("vllm:gpu_cache_usage_perc", Measured(EngineTruth::kv_usage)),
    row("vllm:kv_cache_usage_perc", Measured(EngineTruth::kv_usage)),
    row(
        "vllm:gpu_prefix_cache_hit_rate",
        Measured(|e| ratio(e.prefix_hit_blocks, e.prefix_query_blocks)),
    ),
    row(
        "vllm:engine_sleep_state",
        Label {
            label: "sleep_state",
            value: |_, state| f64::from(u8::from(state == "awake")),
        },
    ),
    row("vllm:cache_config_info", Binding::CacheConfig),
    Row {
        name: "vllm:lora_requests_info",
        binding: Binding::Lora,
        needs: Needs::Lora,
    },
    row(
        "vllm:avg_prompt_throughput_toks_per_s",
        Measured(|e| e.prompt_throughput),
    ),
    row(
        "vllm:avg_generation_throughput_toks_per_s",
        Measured(|e| e.generation_throughput),
    ),
    // Caches.
    row(
        "vllm:gpu_prefix_cache_queries",
        Binding::TokensOrBlocks {
            tokens: |e| e.prefix_queries,
            blocks: |e| e.prefix_query_blocks,
        },
    ),
    row(
        "vllm:gpu_prefix_cache_hits",
        Binding::TokensOrBlocks {
            tokens: |e| e.prefix_hits,
            blocks: |e| e.prefix_hit_blocks,
        },
    ),
    row(
        "vllm:prefix_cache_queries",
        Engine(|e| float(e.prefix_queries)),
    ),
    row("vllm:prefix_cache_hits", Engine(|e| float(e.prefix_hits))),
    row(
        "vllm:external_prefix_cache_queries",
        Engine(|e| float(e.received_queries)),
    ),
    row(
        "vllm:external_prefix_cache_hits",
        Engine(|e| float(e.received_hits)),
    ),
    row("vllm:mm_cache_queries", Engine(|_| 0.0)),
    row("vllm:mm_cache_hits", Engine(|_| 0.0)),
    // Tokens.
    row("vllm:num_preemptions", Engine(|e| float(e.preemptions))),
    row("vllm:prompt_tokens", Engine(|e| float(e.prompt_tokens))),
    row(
        "vllm:prompt_tokens_by_source",
        Label {
            label: "source",
            value: |e, source| {
                float(match source {
                    "local_compute" => e.prompt_tokens - e.prompt_tokens_cached,
                    "local_cache_hit" => e.prompt_tokens_cached - e.prompt_tokens_received,
                    "external_kv_transfer" => e.prompt_tokens_received,
                    _ => 0,
                })
            },
        },
    ),
    row(
        "vllm:prompt_tokens_cached",
        Engine(|e| float(e.prompt_tokens_cached)),
    ),
    row(
        "vllm:prompt_tokens_cached_by_source",
        Label {
            label: "source",
            value: |e, source| {
                float(match source {
                    "device" => e.prefix_hits,
                    "external_unspecified" => e.received_hits,
                    _ => 0,
                })
            },
        },
    ),
    row(
        "vllm:generation_tokens",
        Engine(|e| float(e.generation_tokens)),
    ),
    row(
        "vllm:tokens",
        Engine(|e| float(e.prompt_tokens + e.generation_tokens)),
    ),
    // Requests.
    row("vllm:request_success", Binding::FinishReasons),
    row("vllm:admission_rejections", Binding::Rejections),
    row(
        "vllm:time_to_first_token_seconds",
        Histogram(Quantity::TimeToFirstToken),
    ),
    row(
        "vllm:time_per_output_token_seconds",
        Histogram(Quantity::InterToken),
    ),
    row(
        "vllm:inter_token_latency_seconds",
        Histogram(Quantity::InterToken),
    ),
    row(
        "vllm:request_time_per_output_token_seconds",
        Histogram(Quantity::PerOutputToken),
    ),
    row(
        "vllm:e2e_request_latency_seconds",
        Histogram(Quantity::EndToEnd),
    ),
    row(
        "vllm:request_queue_time_seconds",
        Histogram(Quantity::Queue),
    ),
    row("vllm:time_in_queue_requests", Histogram(Quantity::Queue)),
    row(
        "vllm:request_inference_time_seconds",
        Histogram(Quantity::Inference),
    ),
    row(
        "vllm:request_prefill_time_seconds",
        Histogram(Quantity::Prefill),
    ),
    row(
        "vllm:request_decode_time_seconds",
        Histogram(Quantity::Decode),
    ),
    row(
        "vllm:request_prompt_tokens",
        Histogram(Quantity::PromptTokens),
    ),
    row(
        "vllm:request_generation_tokens",
        Histogram(Quantity::GenerationTokens),
    ),
    row(
        "vllm:request_max_num_generation_tokens",
        Histogram(Quantity::MaxGenerationTokens),
    ),
    row(
        "vllm:request_params_max_tokens",
        Histogram(Quantity::MaxTokens),
    ),
    row("vllm:request_params_n", Histogram(Quantity::Sequences)),
    // Nobody asks for more candidates than answers.
    row(
        "vllm:request_params_best_of",
        Histogram(Quantity::Sequences),
    ),
    row(
        "vllm:iteration_tokens_total",
        Histogram(Quantity::IterationTokens),
    ),
    row(
        "vllm:request_num_preemptions",
        Histogram(Quantity::Preemptions),
    ),
    row(
        "vllm:request_prefill_kv_computed_tokens",
        Histogram(Quantity::ComputedPromptTokens),
    ),
    // Speculative decoding.
    speculative(
        "vllm:spec_decode_draft_acceptance_rate",
        Measured(|e| ratio(e.speculation.accepted_tokens, e.speculation.draft_tokens)),
    ),
    speculative(
        "vllm:spec_decode_efficiency",
        Measured(|e| {
            let s = &e.speculation;
            ratio(s.accepted_tokens + s.drafts, s.draft_tokens + s.drafts)
        }),
    ),
    speculative(
        "vllm:spec_decode_num_drafts",
        Engine(|e| float(e.speculation.drafts)),
    ),
    speculative(
        "vllm:spec_decode_num_draft_tokens",
        Engine(|e| float(e.speculation.draft_tokens)),
    ),
    speculative(
        "vllm:spec_decode_num_accepted_tokens",
        Engine(|e| float(e.speculation.accepted_tokens)),
    ),
    speculative(
        "vllm:spec_decode_num_emitted_tokens",
        Engine(|e| float(e.speculation.accepted_tokens + e.speculation.drafts)),
    ),
    speculative(
        "vllm:spec_decode_num_accepted_tokens_per_pos",
        Binding::Positions,
    ),
    // Registered always, moving only with the MFU metrics on, which the twin has off.
    row("vllm:estimated_flops_per_gpu", Engine(|_| 0.0)),
    row("vllm:estimated_read_bytes_per_gpu", Engine(|_| 0.0)),
    row("vllm:estimated_write_bytes_per_gpu", Engine(|_| 0.0)),
    // The HTTP server.
    row("http_requests", Binding::Http(Http::Requests)),
    row("http_request_size_bytes", Binding::Http(Http::RequestBytes)),
    row(
        "http_response_size_bytes",
        Binding::Http(Http::ResponseBytes),
    ),
    row(
        "http_request_duration_highr_seconds",
        Binding::Http(Http::AllDurations),
    ),
    row(
        "http_request_duration_seconds",
        Binding::Http(Http::Durations),
    ),
    // The process.
    row(
        "process_start_time_seconds",
        Process(|t| t.config.start_unix_seconds + t.started),
    ),
    row(
        "process_cpu_seconds",
        // Start-up, and a front end that works a tenth of the time the engines do.
        Process(|t| {
            let busy: f64 = t.engines.iter().map(|e| e.busy_seconds).sum();
            ((20.0 + 0.1 * busy) * 100.0).round() / 100.0
        }),
    ),
    row("process_virtual_memory_bytes", Recorded),
    row("process_resident_memory_bytes", Recorded),
    row("process_open_fds", Recorded),
    row("process_max_fds", Recorded),
    row("python_info", Recorded),
    row("python_gc_objects_collected", Recorded),
    row("python_gc_objects_uncollectable", Recorded),
    row("python_gc_collections", Recorded),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_row() {
        for (i, row) in ROWS.iter().enumerate() {
            assert!(
                ROWS[..i].iter().all(|other| other.name != row.name),
                "{}",
                row.name
            );
        }
    }
}
