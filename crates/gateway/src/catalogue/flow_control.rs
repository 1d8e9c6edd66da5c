//! The gateway's own queue.

use tokenpath_core::MetricType::{Counter, Gauge, Histogram};
use tokenpath_core::catalogue::Row;

use super::{family, second, third, third_since, unreleased};

pub(super) fn rows() -> Vec<Row> {
    [queue(), saturation(), capacity(), revocations()].concat()
}

fn queue() -> Vec<Row> {
    [
        family(
            Gauge,
            "llm_gateway_flow_control_queue_size",
            &[
                third("llm_d_epp_flow_control_queue_size"),
                second("inference_extension_flow_control_queue_size", "1.1"),
            ],
        ),
        family(
            Gauge,
            "llm_gateway_flow_control_queue_bytes",
            &[
                third("llm_d_epp_flow_control_queue_bytes"),
                second("inference_extension_flow_control_queue_bytes", "1.4"),
            ],
        ),
        family(
            Histogram,
            "llm_gateway_flow_control_queue_seconds",
            &[
                third("llm_d_epp_flow_control_request_queue_duration_seconds"),
                second(
                    "inference_extension_flow_control_request_queue_duration_seconds",
                    "1.1",
                ),
            ],
        ),
        family(
            Histogram,
            "llm_gateway_flow_control_enqueue_seconds",
            &[
                third("llm_d_epp_flow_control_request_enqueue_duration_seconds"),
                second(
                    "inference_extension_flow_control_request_enqueue_duration_seconds",
                    "1.4",
                ),
            ],
        ),
        family(
            Histogram,
            "llm_gateway_flow_control_dispatch_cycle_seconds",
            &[
                third("llm_d_epp_flow_control_dispatch_cycle_duration_seconds"),
                second(
                    "inference_extension_flow_control_dispatch_cycle_duration_seconds",
                    "1.4",
                ),
            ],
        ),
        family(
            Counter,
            "llm_gateway_flow_control_requests_total",
            &[third_since("llm_d_epp_flow_control_requests_total", "0.10")],
        ),
    ]
    .concat()
}

fn saturation() -> Vec<Row> {
    let pool = family(
        Gauge,
        "llm_gateway_flow_control_pool_saturation",
        &[
            third("llm_d_epp_flow_control_pool_saturation"),
            second("inference_extension_flow_control_pool_saturation", "1.5"),
        ],
    );
    let staged = |row: Row| {
        row.default_label("stage", "effective").note(
            "Up to 0.10 there is no stage: it is the one that gates. After 0.10 prefill and decode \
             are told apart, and effective is the larger of them, which gates.",
        )
    };
    [
        pool.into_iter().map(staged).collect(),
        family(
            Gauge,
            "llm_gateway_flow_control_stale_endpoints",
            &[third_since(
                "llm_d_epp_flow_control_stale_endpoints",
                "0.10",
            )],
        ),
    ]
    .concat()
}

/// Shares of what may wait: of a priority's own limit, and of the limit for all of them, which is
/// another family so that nobody adds the two up. Upstream has them after the tag v0.10.0
/// (pkg/epp/metrics/llm_d_router_metrics.go).
fn capacity() -> Vec<Row> {
    let used = |ours: &'static str, upstream: &'static str, resource: &'static str| -> Vec<Row> {
        let rows = family(Gauge, ours, &[unreleased(upstream)]).into_iter();
        rows.map(|row| row.constant("resource", resource)).collect()
    };
    [
        used(
            "llm_gateway_flow_control_capacity_usage_ratio",
            "llm_d_epp_flow_control_capacity_utilization_requests",
            "requests",
        ),
        used(
            "llm_gateway_flow_control_capacity_usage_ratio",
            "llm_d_epp_flow_control_capacity_utilization_bytes",
            "bytes",
        ),
        used(
            "llm_gateway_flow_control_global_capacity_usage_ratio",
            "llm_d_epp_flow_control_global_capacity_utilization_requests",
            "requests",
        ),
        used(
            "llm_gateway_flow_control_global_capacity_usage_ratio",
            "llm_d_epp_flow_control_global_capacity_utilization_bytes",
            "bytes",
        ),
    ]
    .concat()
}

fn revocations() -> Vec<Row> {
    [
        family(
            Counter,
            "llm_gateway_flow_control_revocations_issued_total",
            &[third_since(
                "llm_d_epp_flow_control_revocations_issued_total",
                "0.10",
            )],
        ),
        family(
            Counter,
            "llm_gateway_flow_control_revocations_total",
            &[third_since(
                "llm_d_epp_flow_control_revocations_total",
                "0.10",
            )],
        ),
        family(
            Histogram,
            "llm_gateway_flow_control_revocation_seconds",
            &[third_since(
                "llm_d_epp_flow_control_revocation_confirmation_seconds",
                "0.10",
            )],
        ),
        family(
            Gauge,
            "llm_gateway_flow_control_pending_reclaim",
            &[third_since(
                "llm_d_epp_flow_control_pending_reclaim",
                "0.10",
            )],
        ),
        family(
            Gauge,
            "llm_gateway_flow_control_reclaim_target",
            &[third_since("llm_d_epp_flow_control_reclaim_target", "0.10")],
        ),
    ]
    .concat()
}
