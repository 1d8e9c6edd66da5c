//! Choosing a model server, and the plugins that take part.

use tokenpath_core::MetricType::{Counter, Gauge, Histogram};
use tokenpath_core::catalogue::Row;

use super::{Name, family, first_until, inference_scheduler, second, third, unreleased};

pub(super) fn rows() -> Vec<Row> {
    [
        choosing(),
        plugins(),
        prefixes(),
        encoders(),
        disaggregation(),
    ]
    .concat()
}

fn choosing() -> Vec<Row> {
    [
        family(
            Histogram,
            "llm_gateway_scheduler_duration_seconds",
            &[
                third("llm_d_epp_scheduler_e2e_duration_seconds"),
                second("inference_extension_scheduler_e2e_duration_seconds", "0.4"),
            ],
        ),
        family(
            Counter,
            "llm_gateway_scheduler_attempts_total",
            &[
                third("llm_d_epp_scheduler_attempts_total"),
                second("inference_extension_scheduler_attempts_total", "1.3"),
            ],
        ),
        family(
            Counter,
            "llm_gateway_model_rewrites_total",
            &[
                third("llm_d_epp_model_rewrite_decisions_total"),
                second("inference_extension_model_rewrite_decisions_total", "1.3"),
            ],
        )
        .into_iter()
        .map(|row| row.rename_label("target_model", "target_model_name"))
        .collect(),
    ]
    .concat()
}

fn plugins() -> Vec<Row> {
    let newer = [
        third("llm_d_epp_plugin_duration_seconds"),
        second("inference_extension_plugin_duration_seconds", "1.0"),
    ];
    // In v0.4.0 to v0.5.1 of the Inference Extension (pkg/epp/metrics/metrics.go); v1.0.0 has one for
    // all extension points.
    let older = |upstream: &'static str, point: &'static str| -> Vec<Row> {
        let names = [newer.to_vec(), vec![first_until(upstream, "0.4", "0.5.1")]].concat();
        let rows = family(Histogram, "llm_gateway_plugin_duration_seconds", &names);
        // The newer names have rows of their own.
        let rows = rows.into_iter().filter(|row| row.upstream == upstream);
        rows.map(|row| row.default_label("extension_point", point))
            .collect()
    };
    [
        family(Histogram, "llm_gateway_plugin_duration_seconds", &newer),
        older(
            "inference_extension_scheduler_plugin_duration_seconds",
            "scheduler",
        ),
        older(
            "inference_extension_request_control_plugin_duration_seconds",
            "request_control",
        ),
        family(
            Counter,
            "llm_gateway_plugin_data_scope_violations_total",
            &[unreleased("llm_d_epp_plugin_data_scope_violations_total")],
        ),
    ]
    .concat()
}

fn prefixes() -> Vec<Row> {
    [
        family(
            Gauge,
            "llm_gateway_prefix_indexer_size",
            &[
                third("llm_d_epp_prefix_indexer_size"),
                second("inference_extension_prefix_indexer_size", "0.4"),
            ],
        ),
        family(
            Histogram,
            "llm_gateway_prefix_indexer_hit_ratio",
            &[
                third("llm_d_epp_prefix_indexer_hit_ratio"),
                second("inference_extension_prefix_indexer_hit_ratio", "0.4"),
            ],
        ),
        family(
            Histogram,
            "llm_gateway_prefix_indexer_hit_bytes",
            &[
                third("llm_d_epp_prefix_indexer_hit_bytes"),
                second("inference_extension_prefix_indexer_hit_bytes", "0.4"),
            ],
        ),
    ]
    .concat()
}

/// What model servers are thought to have encoded of images and the like.
fn encoders() -> Vec<Row> {
    let hits = family(
        Counter,
        "llm_gateway_encoder_cache_hits_total",
        &[third("llm_d_epp_encoder_cache_hits_total")],
    );
    [
        family(
            Counter,
            "llm_gateway_encoder_cache_queries_total",
            &[third("llm_d_epp_encoder_cache_queries_total")],
        ),
        hits.into_iter()
            .map(|row| row.rename_label("pod", "model_server"))
            .collect(),
        family(
            Histogram,
            "llm_gateway_encoder_cache_hit_ratio",
            &[third("llm_d_epp_encoder_cache_hit_ratio")],
        ),
    ]
    .concat()
}

/// Two handlers, each with its counter: which requests go to which is the gateway's configuration, so
/// neither stands in for the other.
fn disaggregation() -> Vec<Row> {
    let decisions = |ours: &'static str, names: &[Name]| -> Vec<Row> {
        let rows = family(Counter, ours, names).into_iter();
        rows.map(|row| row.rename_label("decision_type", "decision"))
            .collect()
    };
    [
        decisions(
            "llm_gateway_disaggregation_decisions_total",
            &[
                third("llm_d_epp_disagg_decision_total"),
                inference_scheduler("llm_d_inference_scheduler_disagg_decision_total", "0.7"),
            ],
        ),
        decisions(
            "llm_gateway_prefill_decode_decisions_total",
            &[
                third("llm_d_epp_pd_decision_total"),
                inference_scheduler("llm_d_inference_scheduler_pd_decision_total", "0.4.0"),
            ],
        ),
    ]
    .concat()
}
