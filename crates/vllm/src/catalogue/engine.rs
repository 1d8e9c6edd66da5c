//! The engine's state and what it estimates of its own work.

use tokenpath_core::MetricType::{Counter, Gauge};
use tokenpath_core::catalogue::Row;

use super::{RUST, RUST_SINCE, V1};

pub(super) fn rows() -> Vec<Row> {
    let estimate = |upstream: &'static str, family: &'static str| {
        Row::new(upstream, Counter)
            .to(family)
            .since(V1, "0.17.0")
            .since(RUST, RUST_SINCE)
            .note("Always there, moves only where MFU metrics are switched on.")
    };
    vec![
        Row::new("engine_sleep_state", Gauge)
            .to("llm_engine_sleep_state")
            .rename_label("sleep_state", "state")
            .since(V1, "0.11.1"),
        estimate(
            "estimated_flops_per_gpu_total",
            "llm_estimated_gpu_flops_total",
        ),
        estimate(
            "estimated_read_bytes_per_gpu_total",
            "llm_estimated_gpu_read_bytes_total",
        ),
        estimate(
            "estimated_write_bytes_per_gpu_total",
            "llm_estimated_gpu_written_bytes_total",
        ),
    ]
}
