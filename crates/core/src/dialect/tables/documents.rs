//! `documents`: names that guides and dashboards ask for and no program ever had, and TGI's own.
//!
//! Each stands for the quantity that its name and its panel mean.

use crate::MetricType::{self, Counter, Gauge, Histogram};
use crate::dialect::{Dialect, Matcher, Row};

pub(super) fn dialect() -> Dialect {
    let rows = [limitador(), prefix_cache(), engines(), gateway(), devices()];
    Dialect::new("documents", rows.concat())
}

/// The label is the tenant, in the words of the dashboards. It is as much of a key as the operator
/// puts into the labels of Limitador, which should be a user's id.
fn limitador() -> Vec<Row> {
    let calls = |name: &'static str| {
        Row::family("llm_tenant_requests_total", name, Counter)
            .drop_label("decision")
            .rename_label("tenant", "api_key")
    };
    vec![
        calls("limitador_calls_per_limit_total")
            .when(Matcher::is("decision", "authorized"))
            .help("Calls of a tenant that were let through."),
        calls("limitador_limited_calls_total")
            .when(Matcher::is("decision", "limited"))
            .help("Calls of a tenant that were refused because a limit was reached."),
    ]
}

fn prefix_cache() -> Vec<Row> {
    let rows = vec![
        Row::family(
            "llm_prefix_cache_hits_total",
            "llm_d_prefix_cache_hit_total",
            Counter,
        ),
        Row::diff(
            "llm_prefix_cache_queries_total",
            "llm_prefix_cache_hits_total",
            "llm_d_prefix_cache_miss_total",
            Counter,
        )
        .help("Prompt tokens that were looked up in a prefix cache and not found there."),
    ];
    super::where_label_is("cache", "local", rows)
}

fn engines() -> Vec<Row> {
    let tgi = |family: &'static str, name: &'static str, kind: MetricType| {
        Row::family(family, name, kind).when(Matcher::is("backend", "tgi"))
    };
    vec![
        Row::family(
            "llm_request_duration_seconds",
            "vllm:request_latency_seconds",
            Histogram,
        ),
        tgi(
            "llm_request_duration_seconds",
            "tgi_request_duration_seconds",
            Histogram,
        ),
        tgi(
            "llm_tgi_batch_call_seconds",
            "tgi_batch_inference_duration_seconds",
            Histogram,
        )
        .rename_label("phase", "method"),
        // TGI has these three itself.
        tgi("llm_tgi_handler_calls_total", "tgi_request_count", Counter),
        tgi("llm_requests_waiting", "tgi_queue_size", Gauge),
        tgi("llm_requests_running", "tgi_batch_current_size", Gauge),
    ]
}

/// The first generation of the inference extension's names, of which guides list these three.
fn gateway() -> Vec<Row> {
    vec![
        Row::family(
            "llm_gateway_requests_total",
            "inference_model_request_total",
            Counter,
        ),
        Row::family(
            "llm_gateway_pool_average_kv_cache_usage_ratio",
            "inference_pool_average_kv_cache_utilization",
            Gauge,
        )
        .rename_label("pool", "name"),
        Row::family(
            "llm_gateway_scheduler_duration_seconds",
            "inference_extension_scheduler_e2e_duration_seconds",
            Histogram,
        ),
    ]
}

/// DCGM's names in lower case, with DCGM's units and labels.
fn devices() -> Vec<Row> {
    let mut rows: Vec<Row> = super::dcgm::rows()
        .into_iter()
        .map(|row| {
            let name = row.name().to_lowercase();
            row.called(name)
        })
        .filter(|row| row.name().starts_with("dcgm_fi_dev_"))
        .collect();
    // Not DCGM's, whose unit differs from release to release.
    let nvlink = Row::sum(
        "gpu_nvlink_transmit_bytes_total",
        "gpu_nvlink_receive_bytes_total",
        "dcgm_fi_dev_nvlink_bandwidth_total",
        Counter,
    )
    .help("Payload sent and received over all NVLinks, in bytes.");
    rows.push(super::dcgm::labelled(nvlink));
    rows
}
