//! Durations of requests and their phases.

use tokenpath_core::MetricType::Histogram;
use tokenpath_core::catalogue::{Row, Scale};

use super::{RUST, RUST_SINCE, V0, V1};

/// Edges of the time to first token. Releases before 0.8.5 end at 10 s.
const FIRST_TOKEN: &[f64] = &[
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    20.0, 40.0, 80.0, 160.0, 640.0, 2560.0,
];
/// Edges of what lies between tokens. Releases before 0.8.5 end at 2.5 s.
const BETWEEN_TOKENS: &[f64] = &[
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0,
    40.0, 80.0,
];
/// Edges of whole requests and their phases. Releases before 0.8.5 end at 60 s.
const REQUEST: &[f64] = &[
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0,
    480.0, 960.0, 1920.0, 7680.0,
];

pub(super) fn rows() -> Vec<Row> {
    let phase = |upstream: &'static str, family: &'static str| {
        Row::new(upstream, Histogram)
            .to(family)
            .edges(REQUEST)
            .during(V0, "0.6.4", "0.11.0")
            .since(V1, "0.7.3")
            .since(RUST, RUST_SINCE)
            .note("No edge under 0.3 s: quantiles are coarse there, sum over count is not.")
    };
    vec![
        Row::new("time_to_first_token_seconds", Histogram)
            .to("llm_time_to_first_token_seconds")
            .edges(FIRST_TOKEN)
            .during(V0, "0.3.3", "0.11.0")
            .since(V1, "0.7.1")
            .since(RUST, RUST_SINCE),
        Row::new("inter_token_latency_seconds", Histogram)
            .to("llm_inter_token_latency_seconds")
            .edges(BETWEEN_TOKENS)
            .during(V0, "0.10.2", "0.11.0")
            .since(V1, "0.10.2")
            .since(RUST, RUST_SINCE),
        // One observation a gap, in spite of the name: the same data as the newer name beside it.
        Row::new("time_per_output_token_seconds", Histogram)
            .to("llm_inter_token_latency_seconds")
            .edges(BETWEEN_TOKENS)
            .superseded_by("inter_token_latency_seconds")
            .during(V0, "0.3.3", "0.11.0")
            .during(V1, "0.7.1", "0.11.2")
            .hidden(V1, "0.12.0", "0.14.0")
            .note(
                "Measures the gap between tokens, not the mean of a request. 0.10.2 to 0.11.2 have \
                 the newer name beside it.",
            ),
        Row::new("request_time_per_output_token_seconds", Histogram)
            .to("llm_time_per_output_token_seconds")
            .edges(BETWEEN_TOKENS)
            .since(V1, "0.11.0")
            .since(RUST, RUST_SINCE),
        Row::new("e2e_request_latency_seconds", Histogram)
            .to("llm_request_duration_seconds")
            .edges(REQUEST)
            .during(V0, "0.3.3", "0.11.0")
            .since(V1, "0.7.3")
            .since(RUST, RUST_SINCE),
        phase("request_queue_time_seconds", "llm_request_queue_seconds"),
        phase(
            "request_prefill_time_seconds",
            "llm_request_prefill_seconds",
        ),
        phase("request_decode_time_seconds", "llm_request_decode_seconds"),
        phase(
            "request_inference_time_seconds",
            "llm_request_inference_seconds",
        ),
        Row::new("time_in_queue_requests", Histogram)
            .to("llm_request_queue_seconds")
            .edges(REQUEST)
            .superseded_by("request_queue_time_seconds")
            .during(V0, "0.6.4", "0.8.2")
            .hidden(V0, "0.8.3", "0.9.0")
            .note("Seconds, in spite of the name: the older twin of request_queue_time_seconds."),
        Row::new("model_forward_time_milliseconds", Histogram)
            .to("llm_model_forward_seconds")
            .scale(Scale::per(1000.0))
            .during(V0, "0.6.4", "0.8.2")
            .hidden(V0, "0.8.3", "0.9.0"),
        Row::new("model_execute_time_milliseconds", Histogram)
            .to("llm_model_execute_seconds")
            .scale(Scale::per(1000.0))
            .during(V0, "0.6.4", "0.8.2")
            .hidden(V0, "0.8.3", "0.9.0"),
    ]
}
