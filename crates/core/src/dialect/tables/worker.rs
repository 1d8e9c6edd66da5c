//! `worker`: what a custom exporter beside each worker used to say.
//!
//! Series are told apart by `worker_id`, which the operator sets as a label of the source. Where it
//! is not set, the target that was read stands for it.

use crate::MetricType::{Counter, Gauge, Histogram};
use crate::dialect::{Dialect, Row};

pub(super) fn dialect() -> Dialect {
    let rows = vec![
        Row::family(
            "llm_kv_cache_usage_ratio",
            "llm_kv_cache_utilization_percent",
            Gauge,
        )
        .factor(100.0)
        .help("Share of the KV blocks in device memory that are in use, from 0 to 100."),
        Row::family("llm_requests_waiting", "llm_queue_depth", Gauge),
        Row::family("llm_requests_running", "llm_active_requests", Gauge),
        Row::family(
            "llm_request_duration_seconds",
            "llm_inference_duration_seconds",
            Histogram,
        ),
        Row::family(
            "llm_generation_tokens_total",
            "llm_tokens_generated_total",
            Counter,
        ),
        Row::ratio(
            "gpu_vram_used_bytes",
            "gpu_vram_total_bytes",
            "llm_gpu_memory_utilization_percent",
            Gauge,
        )
        .factor(100.0)
        .rename_label("gpu", "gpu_id")
        .help("Share of the device memory that processes have allocated, from 0 to 100."),
    ];
    let rows = rows
        .into_iter()
        .map(|row| row.copy_label("target", "worker_id"));
    Dialect::new("worker", rows.collect())
}
