//! Durations, measured and predicted.

use tokenpath_core::MetricType::{Counter, Gauge, Histogram};
use tokenpath_core::catalogue::Row;

use super::{family, first, first_of_no_release, second, third, third_since};

/// What latency prediction of the second generation says of its measurements.
const FED: &str = "Fed with latency prediction on only; it is absent otherwise.";

pub(super) fn rows() -> Vec<Row> {
    let fed = |rows: Vec<Row>| -> Vec<Row> {
        let note = |row: Row| {
            if row.upstream.starts_with("llm_d_") {
                row
            } else {
                row.note(FED)
            }
        };
        rows.into_iter().map(note).collect()
    };
    [measured(fed), predicted()].concat()
}

fn measured(fed: impl Fn(Vec<Row>) -> Vec<Row>) -> Vec<Row> {
    [
        family(
            Histogram,
            "llm_gateway_request_duration_seconds",
            &[
                third("llm_d_epp_request_duration_seconds"),
                second("inference_objective_request_duration_seconds", "1.1"),
                first("inference_model_request_duration_seconds", "0.1"),
            ],
        ),
        fed(family(
            Histogram,
            "llm_gateway_time_to_first_token_seconds",
            &[
                third("llm_d_epp_request_ttft_seconds"),
                second("inference_objective_request_ttft_seconds", "1.2"),
                first_of_no_release("inference_model_request_ttft_seconds"),
            ],
        )),
        fed(family(
            Histogram,
            "llm_gateway_time_per_output_token_seconds",
            &[
                third("llm_d_epp_request_streaming_tpot_seconds"),
                second("inference_objective_request_tpot_seconds", "1.2"),
                first_of_no_release("inference_model_request_tpot_seconds"),
            ],
        )),
        family(
            Histogram,
            "llm_gateway_inter_token_latency_seconds",
            &[third("llm_d_epp_request_streaming_itl_seconds")],
        ),
        family(
            Histogram,
            "llm_gateway_normalized_time_per_output_token_seconds",
            &[
                third("llm_d_epp_request_ntpot_seconds"),
                second(
                    "inference_objective_normalized_time_per_output_token_seconds",
                    "1.1",
                ),
                first(
                    "inference_model_normalized_time_per_output_token_seconds",
                    "0.4",
                ),
            ],
        ),
        family(
            Histogram,
            "llm_gateway_request_processing_seconds",
            &[third_since(
                "llm_d_epp_request_processing_duration_seconds",
                "0.10",
            )],
        ),
        family(
            Histogram,
            "llm_gateway_response_processing_seconds",
            &[third_since(
                "llm_d_epp_response_processing_duration_seconds",
                "0.10",
            )],
        ),
    ]
    .concat()
}

fn predicted() -> Vec<Row> {
    [
        family(
            Histogram,
            "llm_gateway_predicted_time_to_first_token_seconds",
            &[
                third("llm_d_epp_request_predicted_ttft_seconds"),
                second("inference_objective_request_predicted_ttft_seconds", "1.2"),
            ],
        ),
        family(
            Histogram,
            "llm_gateway_predicted_time_per_output_token_seconds",
            &[
                third("llm_d_epp_request_predicted_tpot_seconds"),
                second("inference_objective_request_predicted_tpot_seconds", "1.2"),
            ],
        ),
        family(
            Histogram,
            "llm_gateway_time_to_first_token_prediction_seconds",
            &[
                third("llm_d_epp_request_ttft_prediction_duration_seconds"),
                second(
                    "inference_objective_request_ttft_prediction_duration_seconds",
                    "1.2",
                ),
            ],
        ),
        family(
            Histogram,
            "llm_gateway_time_per_output_token_prediction_seconds",
            &[
                third("llm_d_epp_request_tpot_prediction_duration_seconds"),
                second(
                    "inference_objective_request_tpot_prediction_duration_seconds",
                    "1.2",
                ),
            ],
        ),
        family(
            Counter,
            "llm_gateway_slo_violations_total",
            &[
                third("llm_d_epp_request_slo_violation_total"),
                second("inference_objective_request_slo_violation_total", "1.2"),
            ],
        ),
        family(
            Gauge,
            "llm_gateway_newest_request_measurement",
            &[
                third("llm_d_epp_inference_request_metric"),
                second("inference_objective_inference_request_metric", "1.2"),
            ],
        ),
    ]
    .concat()
}
