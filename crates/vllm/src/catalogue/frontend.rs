//! The API server in front of the engines. Its families have no `engine` label.

use tokenpath_core::MetricType::{Counter, Gauge, Histogram};
use tokenpath_core::catalogue::{Reduce, Row};

use super::V1;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("watermark_requests_total", Counter)
            .to("llm_vllm_watermark_requests_total")
            .since(V1, "0.32.0")
            .note("watermarked, skipped, not_watermarked; only where watermarks are configured."),
        // Names and types as in `vllm/entrypoints/serve/instrumentator/` of those releases. Each API
        // server process has connections and calls of its own: they add up.
        Row::new("websocket_connections_active", Gauge)
            .to("llm_vllm_websocket_connections_active")
            .processes(Reduce::Sum)
            .since(V1, "0.18.0"),
        Row::new("websocket_connections_total", Counter)
            .to("llm_vllm_websocket_connections_total")
            .since(V1, "0.18.0"),
        Row::new("websocket_connection_duration_seconds", Histogram)
            .to("llm_vllm_websocket_connection_duration_seconds")
            .since(V1, "0.18.0"),
        // `vllm/parser/metrics.py`.
        Row::new("tool_call_parser_invocations_total", Counter)
            .to("llm_vllm_tool_call_parser_invocations_total")
            .since(V1, "0.24.0")
            .note("Labels mode, outcome, request_type and model_name; only where a parser is configured."),
        Row::new("sleep_mode_operation_duration_seconds", Histogram)
            .to("llm_vllm_sleep_mode_operation_seconds")
            .since(V1, "0.32.0"),
        Row::new("sleep_mode_operations_in_flight", Gauge)
            .to("llm_vllm_sleep_mode_operations_active")
            .processes(Reduce::Sum)
            .since(V1, "0.32.0"),
        // `vllm/entrypoints/rl/online/metrics.py`.
        Row::new("rl_weight_update_operations_total", Counter)
            .to("llm_vllm_rl_weight_update_operations_total")
            .since(V1, "0.32.0"),
        Row::new("rl_weight_update_operation_duration_seconds", Histogram)
            .to("llm_vllm_rl_weight_update_operation_seconds")
            .since(V1, "0.32.0"),
        Row::new("rl_weight_update_operations_in_flight", Gauge)
            .to("llm_vllm_rl_weight_update_operations_active")
            .processes(Reduce::Sum)
            .since(V1, "0.32.0"),
    ]
}
