//! `otel`: the server metrics of OpenTelemetry's conventions for generative AI, as Prometheus spells
//! them.
//!
//! Edges stay the engine's own: counts between them are not known, so those that the conventions
//! advise cannot be made. The conventions have no metric for queues, KV cache or prefix cache.

use crate::MetricType::Histogram;
use crate::dialect::{Dialect, Row};

pub(super) fn dialect() -> Dialect {
    let row = |family: &'static str, name: &'static str| {
        Row::family(family, name, Histogram)
            .copy_label("model_name", "gen_ai_request_model")
            .rename_label("model_name", "gen_ai_response_model")
            .rename_label("backend", "gen_ai_provider_name")
            .rename_label("target", "server_address")
    };
    let rows = vec![
        row(
            "llm_request_duration_seconds",
            "gen_ai_server_request_duration_seconds",
        ),
        row(
            "llm_time_to_first_token_seconds",
            "gen_ai_server_time_to_first_token_seconds",
        ),
        // Without the first token, as ours.
        row(
            "llm_time_per_output_token_seconds",
            "gen_ai_server_time_per_output_token_seconds",
        ),
    ];
    let client = "measured by a client of the engine, which the engine cannot do for it";
    Dialect::new("otel", rows)
        .without("gen_ai_client_token_usage*", client)
        .without("gen_ai_client_operation_duration*", client)
        .without("gen_ai_client_operation_time_to_first_chunk*", client)
        .without("gen_ai_client_operation_time_per_output_chunk*", client)
        .without(
            "gen_ai_operation_name",
            "a label: engines do not say whether a request was a chat or a text completion",
        )
        .without(
            "error_type",
            "a label: engines observe the duration of a request without saying how it ended",
        )
        .without(
            "server_port",
            "a label: server_address has host and port, as the target was named",
        )
}
