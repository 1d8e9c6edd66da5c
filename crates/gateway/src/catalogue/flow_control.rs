//! The gateway's own queue.

use tokenpath_core::MetricType::{Counter, Gauge, Histogram};
use tokenpath_core::catalogue::Row;

use super::{family, second, third, third_since};

pub(super) fn rows() -> Vec<Row> {
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
            Gauge,
            "llm_gateway_flow_control_pool_saturation",
            &[
                third("llm_d_epp_flow_control_pool_saturation"),
                second("inference_extension_flow_control_pool_saturation", "1.5"),
            ],
        ),
        family(
            Counter,
            "llm_gateway_flow_control_requests_total",
            &[third("llm_d_epp_flow_control_requests_total")],
        ),
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
