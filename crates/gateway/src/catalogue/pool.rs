//! The pool of model servers.

use tokenpath_core::MetricType::Gauge;
use tokenpath_core::catalogue::Row;

use super::{Name, family, second, third, third_since};

pub(super) fn rows() -> Vec<Row> {
    let pool = |ours: &'static str, names: &[Name]| -> Vec<Row> {
        let rows = family(Gauge, ours, names).into_iter();
        rows.map(|row| row.rename_label("name", "pool")).collect()
    };
    [
        pool(
            "llm_gateway_pool_average_kv_cache_usage_ratio",
            &[
                third("llm_d_epp_average_kv_cache_utilization"),
                second("inference_pool_average_kv_cache_utilization", "0.2"),
            ],
        ),
        pool(
            "llm_gateway_pool_average_queue_size",
            &[
                third("llm_d_epp_average_queue_size"),
                second("inference_pool_average_queue_size", "0.2"),
            ],
        ),
        pool(
            "llm_gateway_pool_average_running_requests",
            &[
                third("llm_d_epp_average_running_requests"),
                second("inference_pool_average_running_requests", "1.5"),
            ],
        ),
        pool(
            "llm_gateway_pool_deviation_kv_cache_usage_ratio",
            &[third_since(
                "llm_d_epp_std_dev_kv_cache_utilization",
                "0.10",
            )],
        ),
        pool(
            "llm_gateway_pool_deviation_queue_size",
            &[third_since("llm_d_epp_std_dev_queue_size", "0.10")],
        ),
        pool(
            "llm_gateway_pool_deviation_running_requests",
            &[third_since("llm_d_epp_std_dev_running_requests", "0.10")],
        ),
        pool(
            "llm_gateway_pool_ready_endpoints",
            &[
                third("llm_d_epp_ready_endpoints"),
                second("inference_pool_ready_pods", "0.3"),
            ],
        ),
        pool(
            "llm_gateway_endpoint_queue_size",
            &[
                third("llm_d_epp_per_endpoint_queue_size"),
                second("inference_pool_per_pod_queue_size", "0.4"),
            ],
        ),
    ]
    .concat()
}
