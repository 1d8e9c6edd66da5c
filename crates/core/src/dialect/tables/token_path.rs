//! `token-path`: the names of a public set of exporters for vLLM, TGI and GPUs, and of the
//! dashboards and rules beside them.
//!
//! Each engine has a prefix of its own; the label is `model`. Devices carry `gpu_id`, `gpu_uuid` and
//! `gpu_name` beside our `gpu` and `uuid`, because the names of several device families are ours too
//! and go out once with the labels of both.

use crate::MetricType::{self, Counter, Gauge, Histogram};
use crate::dialect::{Dialect, Matcher, Quantity, Row};

pub(super) fn dialect() -> Dialect {
    let rows = [vllm(), tgi(), gpu()].concat();
    let no_gpu = "an engine does not say how much memory it holds on which GPU; \
                  gpu_vram_used_bytes and gpu_process_vram_bytes do";
    let no_ttft = "TGI does not measure it, and an estimate must not wear a measured name: \
                   llm_request_queue_seconds and llm_tgi_batch_call_seconds are its parts";
    let no_itl = "TGI does not measure the gap between tokens; \
                  llm_request_mean_time_per_token_seconds has prefill in it";
    Dialect::new("token-path", rows)
        .without("vllm_gpu_memory_used_bytes", no_gpu)
        .without("vllm_gpu_memory_total_bytes", no_gpu)
        .without("tgi_gpu_memory_used_bytes", no_gpu)
        .without("tgi_gpu_memory_total_bytes", no_gpu)
        .without(
            "vllm_num_live_generations",
            "vLLM counts running requests, not their generations: vllm_requests_in_progress",
        )
        .without("tgi_ttft_seconds", no_ttft)
        .without("tgi_itl_seconds", no_itl)
        .without("tgi_time_per_token_seconds", no_itl)
        .without(
            "tgi_prefill_tokens_total",
            "TGI counts a prompt again each time it is scheduled: llm_tgi_scheduled_input_tokens",
        )
}

/// A family of one engine under a name of its own.
fn of(backend: &'static str, family: &'static str, name: &'static str, kind: MetricType) -> Row {
    Row::family(family, name, kind)
        .when(Matcher::is("backend", backend))
        .rename_label("model_name", "model")
}

fn vllm() -> Vec<Row> {
    let vllm = |family, name, kind| of("vllm", family, name, kind);
    vec![
        vllm(
            "llm_time_to_first_token_seconds",
            "vllm_ttft_seconds",
            Histogram,
        ),
        vllm(
            "llm_inter_token_latency_seconds",
            "vllm_itl_seconds",
            Histogram,
        ),
        // The same observations: their exporter fed both from the gap between tokens.
        vllm(
            "llm_inter_token_latency_seconds",
            "vllm_time_per_token_seconds",
            Histogram,
        ),
        vllm(
            "llm_generation_tokens_total",
            "vllm_tokens_generated_total",
            Counter,
        ),
        // The public exporters write status="completed" for whatever vLLM finished, and for TGI success
        // and failed. Ours are the engine's finish reasons: one word for all of them would lose what
        // went wrong, and a dialect has no operation that adds series up.
        vllm(
            "llm_requests_finished_total",
            "vllm_requests_total",
            Counter,
        )
        .rename_label("finish_reason", "status"),
        vllm("llm_requests_running", "vllm_requests_in_progress", Gauge),
        vllm("llm_requests_waiting", "vllm_queue_length", Gauge),
        vllm("llm_batch_size", "vllm_batch_size", Gauge)
            .or(Quantity::Family("llm_requests_running".into()))
            .help("Requests in the running batch at the moment of the reading."),
        vllm(
            "llm_kv_cache_usage_ratio",
            "vllm_kv_cache_usage_ratio",
            Gauge,
        ),
        vllm("llm_preemptions_total", "vllm_num_preempted_total", Counter),
        vllm(
            "llm_spec_decode_accepted_tokens_total",
            "vllm_speculative_accepted_total",
            Counter,
        ),
        Row::diff(
            "llm_spec_decode_draft_tokens_total",
            "llm_spec_decode_accepted_tokens_total",
            "vllm_speculative_rejected_total",
            Counter,
        )
        .when(Matcher::is("backend", "vllm"))
        .rename_label("model_name", "model")
        .help("Proposed tokens that the model did not accept."),
    ]
}

fn tgi() -> Vec<Row> {
    let tgi = |family, name, kind| of("tgi", family, name, kind);
    let failures = |reason, name, help: &'static str| {
        tgi("llm_requests_finished_total", name, Counter)
            .when(Matcher::is("finish_reason", reason))
            .drop_label("finish_reason")
            .help(help)
    };
    vec![
        tgi(
            "llm_generation_tokens_total",
            "tgi_tokens_generated_total",
            Counter,
        ),
        tgi(
            "llm_generation_tokens_total",
            "tgi_decode_tokens_total",
            Counter,
        ),
        tgi("llm_requests_finished_total", "tgi_requests_total", Counter)
            .rename_label("finish_reason", "status"),
        tgi("llm_requests_running", "tgi_requests_in_progress", Gauge),
        tgi("llm_requests_waiting", "tgi_queue_length", Gauge),
        tgi("llm_requests_running", "tgi_batch_size", Gauge),
        failures(
            "validation",
            "tgi_validation_errors_total",
            "Requests that were refused because they are not valid.",
        ),
        failures(
            "error",
            "tgi_inferencer_errors_total",
            "Requests that failed in the model.",
        ),
    ]
}

fn gpu() -> Vec<Row> {
    let rows = vec![
        Row::family("gpu_vram_used_bytes", "gpu_vram_used_bytes", Gauge),
        Row::family("gpu_vram_total_bytes", "gpu_vram_total_bytes", Gauge),
        Row::family("gpu_vram_free_bytes", "gpu_vram_free_bytes", Gauge),
        Row::ratio(
            "gpu_vram_used_bytes",
            "gpu_vram_total_bytes",
            "gpu_vram_utilization_ratio",
            Gauge,
        )
        .help("Share of the device memory that processes have allocated, from 0 to 1."),
        Row::family(
            "gpu_compute_utilization_ratio",
            "gpu_compute_utilization_ratio",
            Gauge,
        ),
        Row::family(
            "gpu_compute_utilization_ratio",
            "gpu_compute_utilization",
            Gauge,
        )
        .factor(100.0)
        .help("Share of time in which at least one kernel ran, from 0 to 100."),
        Row::family("gpu_temperature_celsius", "gpu_temperature_celsius", Gauge)
            .when(Matcher::is("sensor", "gpu")),
        Row::family("gpu_power_watts", "gpu_power_draw_watts", Gauge),
        Row::family("gpu_power_limit_watts", "gpu_power_limit_watts", Gauge),
        Row::ratio(
            "gpu_power_watts",
            "gpu_power_limit_watts",
            "gpu_power_utilization_ratio",
            Gauge,
        )
        .help("Power drawn as a share of the limit in force, from 0 to 1."),
        Row::family("gpu_fan_speed_ratio", "gpu_fan_speed_percent", Gauge)
            .factor(100.0)
            .help("Intended fan speed as a percentage of the highest."),
        clock(
            "sm",
            "gpu_clock_sm_mhz",
            "Frequency of the multiprocessors, in MHz.",
        ),
        clock(
            "memory",
            "gpu_clock_memory_mhz",
            "Frequency of the memory, in MHz.",
        ),
        Row::family(
            "gpu_pcie_transmit_bytes_per_second",
            "gpu_pcie_tx_bytes",
            Gauge,
        ),
        Row::family(
            "gpu_pcie_receive_bytes_per_second",
            "gpu_pcie_rx_bytes",
            Gauge,
        ),
        // Ours is bandwidth over peak bandwidth; theirs was how long the memory was busy.
        Row::family(
            "gpu_memory_bandwidth_utilization_ratio",
            "gpu_memory_bandwidth_utilization_ratio",
            Gauge,
        ),
        Row::family(
            "gpu_encoder_utilization_ratio",
            "gpu_encoder_utilization_ratio",
            Gauge,
        ),
        Row::family(
            "gpu_decoder_utilization_ratio",
            "gpu_decoder_utilization_ratio",
            Gauge,
        ),
        Row::family("gpu_processes", "gpu_process_count", Gauge),
        Row::family("gpu_vram_full_compute_low", "gpu_memory_bound_flag", Gauge),
    ];
    let labelled = |row: Row| {
        row.copy_label("gpu", "gpu_id")
            .copy_label("uuid", "gpu_uuid")
            .join_label("gpu_info", "uuid", "gpu_name", "gpu_name")
    };
    rows.into_iter().map(labelled).collect()
}

fn clock(domain: &'static str, name: &'static str, help: &'static str) -> Row {
    Row::family("gpu_clock_hertz", name, Gauge)
        .when(Matcher::is("clock", domain))
        .drop_label("clock")
        .factor(1e-6)
        .help(help)
}
