//! The gateway's process, the body based router, the LoRA syncer.

use tokenpath_core::MetricType::{Counter, Gauge, Histogram};
use tokenpath_core::catalogue::{Output, Row};

use super::{Name, deprecated, family, meaning, releases, second, third};

pub(super) fn rows() -> Vec<Row> {
    [picker(), body_router(), adapters()].concat()
}

fn picker() -> Vec<Row> {
    let errors = |stage: &'static str, names: &[Name]| -> Vec<Row> {
        let rows = family(Counter, "llm_gateway_datalayer_errors_total", names).into_iter();
        rows.map(|row| row.constant("stage", stage)).collect()
    };
    [
        meaning(
            Gauge,
            &Output::Facts("llm_gateway_info".into()),
            &[
                third("llm_d_epp_info"),
                second("inference_extension_info", "0.4"),
            ],
        ),
        family(
            Counter,
            "llm_gateway_extproc_streams_total",
            &[third("llm_d_epp_extproc_streams_total")],
        ),
        family(
            Gauge,
            "llm_gateway_extproc_streams_inflight",
            &[third("llm_d_epp_extproc_streams_inflight")],
        ),
        family(
            Histogram,
            "llm_gateway_extproc_stream_duration_seconds",
            &[third("llm_d_epp_extproc_stream_duration_seconds")],
        ),
        errors(
            "poll",
            &[
                third("llm_d_epp_datalayer_poll_errors_total"),
                deprecated(
                    "llm_d_inference_scheduler_datalayer_poll_errors_total",
                    "0.9",
                ),
            ],
        ),
        errors(
            "extract",
            &[
                third("llm_d_epp_datalayer_extract_errors_total"),
                deprecated(
                    "llm_d_inference_scheduler_datalayer_extract_errors_total",
                    "0.9",
                ),
            ],
        ),
    ]
    .concat()
}

fn router(name: &'static str, since: &'static str, until: Option<&'static str>) -> [Name; 1] {
    let releases = vec![releases("GIE body based router", since, until)];
    [Name { name, releases }]
}

/// Releases as upstream's tags have them (pkg/bbr/metrics/metrics.go, first in v0.3.0).
fn body_router() -> Vec<Row> {
    let outcome = |outcome: &'static str, names: &[Name]| -> Vec<Row> {
        let rows = family(Counter, "llm_gateway_bbr_requests_total", names).into_iter();
        rows.map(|row| row.constant("outcome", outcome)).collect()
    };
    let fault = |fault: &'static str, names: &[Name]| -> Vec<Row> {
        let rows = family(Counter, "llm_gateway_bbr_body_field_faults_total", names).into_iter();
        rows.map(|row| row.constant("fault", fault)).collect()
    };
    [
        outcome("success", &router("bbr_success_total", "0.3", None)),
        outcome(
            "model_not_in_body",
            &router("bbr_model_not_in_body_total", "0.3", Some("1.4")),
        ),
        outcome(
            "model_not_parsed",
            &router("bbr_model_not_parsed_total", "0.3", Some("1.4")),
        ),
        outcome(
            "model_already_in_header",
            &router(
                "bbr_model_already_present_in_header_total",
                "0.3",
                Some("1.3"),
            ),
        ),
        fault(
            "not_found",
            &router("bbr_body_field_not_found_total", "1.5", None),
        ),
        fault("empty", &router("bbr_body_field_empty_total", "1.5", None)),
        family(
            Histogram,
            "llm_gateway_bbr_plugin_duration_seconds",
            &router("bbr_plugin_duration_seconds", "1.4", None),
        ),
        meaning(
            Gauge,
            &Output::Facts("llm_gateway_bbr_info".into()),
            &router("bbr_info", "1.4", None),
        ),
    ]
    .concat()
}

fn adapters() -> Vec<Row> {
    let name = Name {
        name: "lora_syncer_adapter_status",
        releases: vec![releases("LoRA syncer", "0.5", Some("1.4"))],
    };
    let rows = family(Gauge, "llm_gateway_lora_adapter_loaded", &[name]).into_iter();
    rows.map(|row| row.rename_label("adapter_name", "adapter"))
        .collect()
}
