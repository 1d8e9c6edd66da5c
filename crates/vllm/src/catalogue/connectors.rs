//! KV connectors: families that are there only where that connector runs.
//!
//! The first release of each is known to the minor at best; of those that name [`SINCE`] only that it
//! lies between that and 0.33. Names, types, units and labels are those of vLLM's sources under `vllm/distributed/kv_transfer/kv_connector/v1/`, `vllm/v1/kv_offload/` and
//! `vllm/v1/simple_kv_offload/`. Their kin that could not be read are left out by the beginning of
//! their names.

use tokenpath_core::MetricType::{self, Counter, Gauge, Histogram};
use tokenpath_core::catalogue::{Output, Row};

use super::V1;

/// The first release that may have them.
const SINCE: &str = "0.20.0";

pub(super) fn rows() -> Vec<Row> {
    [
        transfers(),
        offloading(),
        tiers(),
        simple_offloading(),
        stores(),
        hisparse(),
    ]
    .concat()
}

/// Transfers between engines.
fn transfers() -> Vec<Row> {
    let nixl = |upstream: &'static str, kind, family: &'static str| {
        Row::new(upstream, kind)
            .to(family)
            .constant("connector", "nixl")
            .note("Only with the NIXL connector.")
    };
    let mooncake = |upstream: &'static str, kind, family: &'static str| {
        Row::new(upstream, kind)
            .to(family)
            .constant("connector", "mooncake")
            .since(V1, SINCE)
            .note("Only with the Mooncake connector; first shipped between 0.20 and 0.33.")
    };
    vec![
        nixl(
            "nixl_xfer_time_seconds",
            Histogram,
            "llm_kv_transfer_duration_seconds",
        )
        .since(V1, "0.11.1"),
        nixl(
            "nixl_post_time_seconds",
            Histogram,
            "llm_kv_transfer_post_seconds",
        )
        .since(V1, "0.11.1"),
        nixl(
            "nixl_bytes_transferred",
            Histogram,
            "llm_kv_transfer_size_bytes",
        )
        .since(V1, "0.11.1"),
        nixl(
            "nixl_num_descriptors",
            Histogram,
            "llm_kv_transfer_descriptors",
        )
        .since(V1, "0.11.1"),
        nixl(
            "nixl_num_failed_transfers_total",
            Counter,
            "llm_kv_transfer_failures_total",
        )
        .since(V1, "0.11.1"),
        nixl(
            "nixl_num_failed_notifications_total",
            Counter,
            "llm_kv_transfer_notification_failures_total",
        )
        .since(V1, "0.11.1"),
        nixl(
            "nixl_num_kv_expired_reqs_total",
            Counter,
            "llm_kv_transfer_expired_requests_total",
        )
        .since(V1, "0.16.0"),
        nixl(
            "nixl_num_notifications_after_expiry_total",
            Counter,
            "llm_kv_transfer_late_notifications_total",
        )
        .since(V1, "0.33.0"),
        mooncake(
            "mooncake_xfer_time_seconds",
            Histogram,
            "llm_kv_transfer_duration_seconds",
        ),
        mooncake(
            "mooncake_bytes_transferred",
            Histogram,
            "llm_kv_transfer_size_bytes",
        ),
        mooncake(
            "mooncake_num_descriptors",
            Histogram,
            "llm_kv_transfer_descriptors",
        ),
        mooncake(
            "mooncake_num_failed_transfers_total",
            Counter,
            "llm_kv_transfer_failures_total",
        ),
        mooncake(
            "mooncake_num_failed_recvs_total",
            Counter,
            "llm_kv_transfer_receive_failures_total",
        ),
        mooncake(
            "mooncake_num_kv_expired_reqs_total",
            Counter,
            "llm_kv_transfer_expired_requests_total",
        ),
    ]
}

/// The offloading connector: device memory to host memory and back.
fn offloading() -> Vec<Row> {
    const NOTE: &str = "Only with the offloading connector.";
    let directed = |upstream: &'static str, kind, family: &'static str, direction: &'static str| {
        Row::new(upstream, kind)
            .to(family)
            .constant("direction", direction)
            .since(V1, "0.26.0")
            .note(NOTE)
    };
    // The first names had the direction in a label; newer releases show both, from the same
    // observations.
    let labelled =
        |upstream: &'static str, kind, family: &'static str, newer: [&'static str; 2]| {
            Row::new(upstream, kind)
            .to(family)
            .rename_label("transfer_type", "direction")
            .map_value("direction", "CPU_to_GPU", "load")
            .map_value("direction", "GPU_to_CPU", "store")
            .superseded_by(newer[0])
            .superseded_by(newer[1])
            .since(V1, "0.16.0")
            .note(
                "Only with the offloading connector. From 0.26 on the newer names stand beside it.",
            )
        };
    let more = |upstream: &'static str, kind, family: &'static str| {
        Row::new(upstream, kind)
            .to(family)
            .since(V1, SINCE)
            .note("Only with the offloading connector; first shipped between 0.20 and 0.33.")
    };
    vec![
        directed(
            "kv_offload_load_bytes_total",
            Counter,
            "llm_kv_offload_bytes_total",
            "load",
        ),
        directed(
            "kv_offload_store_bytes_total",
            Counter,
            "llm_kv_offload_bytes_total",
            "store",
        ),
        directed(
            "kv_offload_load_time_total",
            Counter,
            "llm_kv_offload_seconds_total",
            "load",
        ),
        directed(
            "kv_offload_store_time_total",
            Counter,
            "llm_kv_offload_seconds_total",
            "store",
        ),
        directed(
            "kv_offload_load_size",
            Histogram,
            "llm_kv_offload_size_bytes",
            "load",
        ),
        directed(
            "kv_offload_store_size",
            Histogram,
            "llm_kv_offload_size_bytes",
            "store",
        ),
        labelled(
            "kv_offload_total_bytes_total",
            Counter,
            "llm_kv_offload_bytes_total",
            [
                "kv_offload_load_bytes_total",
                "kv_offload_store_bytes_total",
            ],
        ),
        labelled(
            "kv_offload_total_time_total",
            Counter,
            "llm_kv_offload_seconds_total",
            ["kv_offload_load_time_total", "kv_offload_store_time_total"],
        ),
        labelled(
            "kv_offload_size",
            Histogram,
            "llm_kv_offload_size_bytes",
            ["kv_offload_load_size", "kv_offload_store_size"],
        ),
        more(
            "kv_offload_lookup_sync_delay_seconds",
            Histogram,
            "llm_vllm_kv_offload_lookup_sync_seconds",
        ),
        more(
            "kv_offload_lookup_async_delay_seconds",
            Histogram,
            "llm_vllm_kv_offload_lookup_async_seconds",
        ),
        more(
            "kv_offload_allocation_failure_total",
            Counter,
            "llm_vllm_kv_offload_allocation_failures_total",
        ),
        more(
            "kv_offload_stores_skipped_total",
            Counter,
            "llm_vllm_kv_offload_stores_skipped_total",
        ),
        more(
            "kv_offload_cpu_cache_usage_perc",
            Gauge,
            "llm_vllm_kv_offload_cpu_usage_ratio",
        ),
        more(
            "kv_offload_cpu_cache_read_usage_perc",
            Gauge,
            "llm_vllm_kv_offload_cpu_read_usage_ratio",
        ),
        more(
            "kv_offload_cpu_cache_write_usage_perc",
            Gauge,
            "llm_vllm_kv_offload_cpu_write_usage_ratio",
        ),
    ]
}

/// Further tiers behind host memory: file systems, object stores, peers.
fn tiers() -> Vec<Row> {
    const ROWS: [(&str, MetricType, &str); 15] = [
        (
            "lookup_sync_delay_seconds",
            Histogram,
            "lookup_sync_seconds",
        ),
        (
            "lookup_async_delay_seconds",
            Histogram,
            "lookup_async_seconds",
        ),
        ("read_bytes_total", Counter, "read_bytes_total"),
        ("read_time_total", Counter, "read_seconds_total"),
        ("write_bytes_total", Counter, "written_bytes_total"),
        ("write_time_total", Counter, "write_seconds_total"),
        ("chunk_queries_total", Counter, "queries_total"),
        ("chunk_hits_total", Counter, "hits_total"),
        (
            "promotion_job_failures_total",
            Counter,
            "promotion_failures_total",
        ),
        (
            "cascade_job_failures_total",
            Counter,
            "cascade_failures_total",
        ),
        (
            "promotion_allocation_failures_total",
            Counter,
            "promotion_allocation_failures_total",
        ),
        ("primary_read_usage_perc", Gauge, "primary_read_usage_ratio"),
        (
            "primary_write_usage_perc",
            Gauge,
            "primary_write_usage_ratio",
        ),
        ("active_promotion_jobs", Gauge, "promotions_active"),
        ("active_cascade_jobs", Gauge, "cascades_active"),
    ];
    ROWS.iter()
        .map(|(upstream, kind, family)| {
            Row::new(format!("kv_offload_tiering_{upstream}"), *kind)
                .to(format!("llm_vllm_kv_offload_tier_{family}"))
                .since(V1, SINCE)
                .note("Only with the offloading connector and further tiers; first shipped between 0.20 and 0.33.")
        })
        .collect()
}

fn simple_offloading() -> Vec<Row> {
    let row = |upstream: &'static str, kind| {
        Row::new(upstream, kind)
            .since(V1, SINCE)
            .note("Only with the simple offload connector; first shipped between 0.20 and 0.33.")
    };
    vec![
        row("simple_kv_offload_save_outcomes_total", Counter)
            .to("llm_vllm_simple_kv_offload_saves_total"),
        row("simple_kv_offload_load_blocks_total", Counter)
            .to("llm_vllm_simple_kv_offload_load_blocks_total"),
        row("simple_kv_offload_used_blocks", Gauge).to("llm_vllm_simple_kv_offload_used_blocks"),
        row("simple_kv_offload_pending_store_blocks", Gauge)
            .to("llm_vllm_simple_kv_offload_pending_store_blocks"),
        row("simple_kv_offload_info", Gauge)
            .output(Output::LabelNumber {
                label: "capacity_blocks".into(),
                family: "llm_vllm_simple_kv_offload_blocks".into(),
                shared_by: None,
            })
            .keep_labels(["engine", "model_name"]),
    ]
}

/// Stores outside the engine: Mooncake's, HF3FS, UMBP.
fn stores() -> Vec<Row> {
    let mooncake = |upstream: &'static str, kind, family: &'static str| {
        Row::new(upstream, kind)
            .to(family)
            .constant("connector", "mooncake")
            .since(V1, SINCE)
            .note("Only with the Mooncake store connector; first shipped between 0.20 and 0.33.")
    };
    let hf3fs = |upstream: &'static str, kind, family: &'static str, operation: &'static str| {
        Row::new(upstream, kind)
            .to(family)
            .constant("connector", "hf3fs")
            .constant("operation", operation)
            .since(V1, SINCE)
            .note("Only with the HF3FS connector; first shipped between 0.20 and 0.33.")
    };
    let umbp = |upstream: &'static str, kind, family: &'static str| {
        Row::new(upstream, kind)
            .to(family)
            .since(V1, SINCE)
            .note("Only with the UMBP connector; first shipped between 0.20 and 0.33.")
    };
    vec![
        mooncake(
            "mooncake_store_operation_time_seconds",
            Histogram,
            "llm_kv_store_operation_seconds",
        ),
        mooncake(
            "mooncake_store_operation_total",
            Counter,
            "llm_kv_store_operations_total",
        ),
        mooncake(
            "mooncake_store_operation_keys_total",
            Counter,
            "llm_kv_store_keys_total",
        ),
        mooncake(
            "mooncake_store_operation_failed_keys_total",
            Counter,
            "llm_kv_store_failed_keys_total",
        ),
        mooncake(
            "mooncake_store_operation_bytes_total",
            Counter,
            "llm_kv_store_bytes_total",
        ),
        hf3fs(
            "hf3fs_save_duration_seconds",
            Histogram,
            "llm_kv_store_operation_seconds",
            "save",
        ),
        hf3fs(
            "hf3fs_load_duration_seconds",
            Histogram,
            "llm_kv_store_operation_seconds",
            "load",
        ),
        hf3fs(
            "hf3fs_num_failed_save_total",
            Counter,
            "llm_kv_store_failures_total",
            "save",
        ),
        hf3fs(
            "hf3fs_num_failed_load_total",
            Counter,
            "llm_kv_store_failures_total",
            "load",
        ),
        umbp(
            "umbp_transfer_submitted_total",
            Counter,
            "llm_vllm_umbp_submitted_objects_total",
        ),
        umbp(
            "umbp_transfer_completed_total",
            Counter,
            "llm_vllm_umbp_completed_objects_total",
        ),
        umbp(
            "umbp_transfer_failed_total",
            Counter,
            "llm_vllm_umbp_failed_objects_total",
        ),
        umbp(
            "umbp_transfer_bytes_total",
            Counter,
            "llm_kv_store_bytes_total",
        )
        .constant("connector", "umbp"),
        umbp(
            "umbp_transfer_duration_seconds",
            Histogram,
            "llm_kv_store_operation_seconds",
        )
        .constant("connector", "umbp"),
    ]
}

fn hisparse() -> Vec<Row> {
    // `hisparse_host_blocks_total` is a gauge, in spite of its name.
    const ROWS: [(&str, MetricType, &str); 10] = [
        ("cache_hits_total", Counter, "cache_hits_total"),
        ("cache_misses_total", Counter, "cache_misses_total"),
        (
            "host_to_device_bytes_total",
            Counter,
            "host_to_device_bytes_total",
        ),
        ("host_blocks_used", Gauge, "host_used_blocks"),
        ("host_blocks_total", Gauge, "host_blocks"),
        ("host_blocks_usage", Gauge, "host_usage_ratio"),
        ("pending_spills", Gauge, "pending_spills"),
        (
            "host_block_lifetime_seconds",
            Histogram,
            "host_block_lifetime_seconds",
        ),
        (
            "host_block_idle_before_evict_seconds",
            Histogram,
            "host_block_idle_before_evict_seconds",
        ),
        (
            "host_block_reuse_gap_seconds",
            Histogram,
            "host_block_reuse_gap_seconds",
        ),
    ];
    ROWS.iter()
        .map(|(upstream, kind, family)| {
            Row::new(format!("hisparse_{upstream}"), *kind)
                .to(format!("llm_vllm_hisparse_{family}"))
                .since(V1, SINCE)
                .note("Only with the HiSparse connector; first shipped between 0.20 and 0.33.")
        })
        .collect()
}
