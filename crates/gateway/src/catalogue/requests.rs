//! Requests, their sizes and tokens.

use tokenpath_core::MetricType::{self, Counter, Gauge, Histogram};
use tokenpath_core::catalogue::{Output, Row};

use super::{Name, family, first, meaning, second, third, third_since};

pub(super) fn rows() -> Vec<Row> {
    let request = |kind: MetricType, ours: &'static str, names: &[Name]| family(kind, ours, names);
    let input = [
        third("llm_d_epp_request_input_tokens"),
        second("inference_objective_input_tokens", "1.1"),
        first("inference_model_input_tokens", "0.1"),
    ];
    let output = [
        third("llm_d_epp_request_output_tokens"),
        second("inference_objective_output_tokens", "1.1"),
        first("inference_model_output_tokens", "0.1"),
    ];
    let cached = [
        third("llm_d_epp_request_cached_tokens"),
        second("inference_objective_prompt_cached_tokens", "1.2"),
    ];
    let sum =
        |ours: &'static str, names: &[Name]| meaning(Histogram, &Output::Sum(ours.into()), names);
    [
        request(
            Counter,
            "llm_gateway_requests_total",
            &[
                third("llm_d_epp_request_total"),
                second("inference_objective_request_total", "1.1"),
                first("inference_model_request_total", "0.1"),
            ],
        ),
        request(
            Counter,
            "llm_gateway_request_errors_total",
            &[
                third("llm_d_epp_request_error_total"),
                second("inference_objective_request_error_total", "1.1"),
                first("inference_model_request_error_total", "0.2"),
            ],
        ),
        request(
            Gauge,
            "llm_gateway_requests_running",
            &[
                third("llm_d_epp_request_running"),
                second("inference_objective_running_requests", "1.1"),
                first("inference_model_running_requests", "0.3"),
            ],
        ),
        request(
            Histogram,
            "llm_gateway_request_size_bytes",
            &[
                third("llm_d_epp_request_size_bytes"),
                second("inference_objective_request_sizes", "1.1"),
                first("inference_model_request_sizes", "0.1"),
            ],
        ),
        request(
            Histogram,
            "llm_gateway_response_size_bytes",
            &[
                third("llm_d_epp_response_size_bytes"),
                second("inference_objective_response_sizes", "1.1"),
                first("inference_model_response_sizes", "0.1"),
            ],
        ),
        request(Histogram, "llm_gateway_request_input_tokens", &input),
        request(Histogram, "llm_gateway_request_output_tokens", &output),
        request(Histogram, "llm_gateway_request_cached_tokens", &cached),
        sum("llm_gateway_input_tokens_total", &input),
        sum("llm_gateway_output_tokens_total", &output),
        sum("llm_gateway_cached_tokens_total", &cached),
        request(
            Gauge,
            "llm_gateway_endpoint_inflight_requests",
            &[third_since("llm_d_epp_inflight_requests", "0.10")],
        ),
        request(
            Gauge,
            "llm_gateway_endpoint_inflight_tokens",
            &[third_since("llm_d_epp_inflight_tokens", "0.10")],
        ),
    ]
    .concat()
}
