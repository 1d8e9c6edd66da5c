//! `vllm`: the names of vLLM's V1 engine as its newest releases have them, over any engine.
//!
//! Names, types and labels are those of `vllm/v1/metrics/` and of the connectors under
//! `vllm/distributed/kv_transfer/`. What vLLM calls `perc` is a fraction, and stays one. Series keep
//! `backend` and `target`, which tell engines apart.

use super::{Renamed, renamed, where_label_is};
use crate::MetricType::{Counter, Gauge, Histogram};
use crate::dialect::{Dialect, Matcher, Row};

const PREFIX: &str = "vllm:";

pub(super) fn dialect() -> Dialect {
    let rows = [
        renamed(PREFIX, PLAIN),
        where_label_is("cache", "local", renamed(PREFIX, LOCAL_CACHE)),
        where_label_is("cache", "external", renamed(PREFIX, EXTERNAL_CACHE)),
        vec![finished("finished_reason"), sleep_state()],
        renamed(PREFIX, FRONTEND),
        connectors(),
    ];
    Dialect::new("vllm", rows.concat())
        .without(
            "vllm:cache_config_info",
            "the numbers among its labels are values in the model: llm_kv_cache_blocks, \
             llm_kv_cache_block_size_tokens; the rest is in llm_kv_cache_info",
        )
        .without(
            "vllm:lora_requests_info",
            "its label lists and its time are values in the model: llm_lora_adapters_running, \
             llm_lora_adapters_waiting, llm_lora_adapters_max, llm_lora_adapter_running",
        )
        .without(
            "vllm:simple_kv_offload_info",
            "the number among its labels is a value in the model: llm_vllm_simple_kv_offload_blocks",
        )
        .without(
            "vllm:kv_offload_size",
            "it says what vllm:kv_offload_load_size and vllm:kv_offload_store_size say, with the \
             direction as a label in vLLM's older words",
        )
        .without(
            "vllm:kv_offload_total_bytes_total",
            "it says what vllm:kv_offload_load_bytes_total and vllm:kv_offload_store_bytes_total \
             say, with the direction as a label in vLLM's older words",
        )
        .without(
            "vllm:kv_offload_total_time_total",
            "it says what vllm:kv_offload_load_time_total and vllm:kv_offload_store_time_total say, \
             with the direction as a label in vLLM's older words",
        )
}

/// How requests ended. vLLM counts what its engine took on; what another engine refuses at the door
/// has no place in it.
pub(super) fn finished(label: &'static str) -> Row {
    Row::family(
        "llm_requests_finished_total",
        "vllm:request_success_total",
        Counter,
    )
    .when(Matcher::is_not("finish_reason", "overloaded"))
    .when(Matcher::is_not("finish_reason", "validation"))
    .when(Matcher::is_not("finish_reason", "template"))
    .rename_label("finish_reason", label)
}

fn sleep_state() -> Row {
    Row::family("llm_engine_sleep_state", "vllm:engine_sleep_state", Gauge)
        .rename_label("state", "sleep_state")
}

/// What needs nothing but another name.
#[rustfmt::skip]
pub(super) const PLAIN: &[Renamed] = &[
    ("num_requests_running", Gauge, "llm_requests_running"),
    ("num_requests_waiting", Gauge, "llm_requests_waiting"),
    ("num_requests_waiting_by_reason", Gauge, "llm_requests_waiting_by_reason"),
    ("num_requests_kv_fetch_by_stage", Gauge, "llm_requests_kv_fetch_by_stage"),
    ("kv_cache_usage_perc", Gauge, "llm_kv_cache_usage_ratio"),
    ("num_preemptions_total", Counter, "llm_preemptions_total"),
    ("prompt_tokens_total", Counter, "llm_prompt_tokens_total"),
    ("prompt_tokens_by_source_total", Counter, "llm_prompt_tokens_by_source_total"),
    ("prompt_tokens_cached_total", Counter, "llm_prompt_tokens_cached_total"),
    ("prompt_tokens_cached_by_source_total", Counter, "llm_prompt_tokens_cached_by_source_total"),
    ("generation_tokens_total", Counter, "llm_generation_tokens_total"),
    ("admission_rejections_total", Counter, "llm_requests_rejected_total"),
    ("corrupted_requests_total", Counter, "llm_requests_corrupted_total"),
    ("mm_cache_queries_total", Counter, "llm_multimodal_cache_queries_total"),
    ("mm_cache_hits_total", Counter, "llm_multimodal_cache_hits_total"),
    ("time_to_first_token_seconds", Histogram, "llm_time_to_first_token_seconds"),
    ("inter_token_latency_seconds", Histogram, "llm_inter_token_latency_seconds"),
    ("request_time_per_output_token_seconds", Histogram, "llm_time_per_output_token_seconds"),
    ("e2e_request_latency_seconds", Histogram, "llm_request_duration_seconds"),
    ("request_queue_time_seconds", Histogram, "llm_request_queue_seconds"),
    ("request_prefill_time_seconds", Histogram, "llm_request_prefill_seconds"),
    ("request_decode_time_seconds", Histogram, "llm_request_decode_seconds"),
    ("request_inference_time_seconds", Histogram, "llm_request_inference_seconds"),
    ("request_prompt_tokens", Histogram, "llm_request_prompt_tokens"),
    ("request_generation_tokens", Histogram, "llm_request_generation_tokens"),
    ("request_max_num_generation_tokens", Histogram, "llm_request_max_generation_tokens"),
    ("request_params_max_tokens", Histogram, "llm_request_max_tokens"),
    ("request_params_n", Histogram, "llm_request_params_n"),
    ("request_num_preemptions", Histogram, "llm_request_preemptions"),
    ("request_prefill_kv_computed_tokens", Histogram, "llm_request_prefill_computed_tokens"),
    // A histogram, in spite of its name.
    ("iteration_tokens_total", Histogram, "llm_iteration_tokens"),
    ("kv_block_lifetime_seconds", Histogram, "llm_kv_block_lifetime_seconds"),
    ("kv_block_idle_before_evict_seconds", Histogram, "llm_kv_block_idle_before_evict_seconds"),
    ("kv_block_reuse_gap_seconds", Histogram, "llm_kv_block_reuse_gap_seconds"),
    ("spec_decode_num_drafts_total", Counter, "llm_spec_decode_drafts_total"),
    ("spec_decode_num_draft_tokens_total", Counter, "llm_spec_decode_draft_tokens_total"),
    ("spec_decode_num_accepted_tokens_total", Counter, "llm_spec_decode_accepted_tokens_total"),
    ("spec_decode_num_accepted_tokens_per_pos_total", Counter, "llm_spec_decode_accepted_tokens_by_position_total"),
    ("diffusion_num_denoising_steps_total", Counter, "llm_vllm_diffusion_denoising_steps_total"),
    ("diffusion_num_canvas_positions_total", Counter, "llm_vllm_diffusion_canvas_positions_total"),
    ("diffusion_num_committed_tokens_total", Counter, "llm_vllm_diffusion_committed_tokens_total"),
    ("estimated_flops_per_gpu_total", Counter, "llm_estimated_gpu_flops_total"),
    ("estimated_read_bytes_per_gpu_total", Counter, "llm_estimated_gpu_read_bytes_total"),
    ("estimated_write_bytes_per_gpu_total", Counter, "llm_estimated_gpu_written_bytes_total"),
];

#[rustfmt::skip]
const LOCAL_CACHE: &[Renamed] = &[
    ("prefix_cache_queries_total", Counter, "llm_prefix_cache_queries_total"),
    ("prefix_cache_hits_total", Counter, "llm_prefix_cache_hits_total"),
];

#[rustfmt::skip]
const EXTERNAL_CACHE: &[Renamed] = &[
    ("external_prefix_cache_queries_total", Counter, "llm_prefix_cache_queries_total"),
    ("external_prefix_cache_hits_total", Counter, "llm_prefix_cache_hits_total"),
];

/// The API server in front of the engines.
#[rustfmt::skip]
const FRONTEND: &[Renamed] = &[
    ("watermark_requests_total", Counter, "llm_vllm_watermark_requests_total"),
    ("websocket_connections_active", Gauge, "llm_vllm_websocket_connections_active"),
    ("websocket_connections_total", Counter, "llm_vllm_websocket_connections_total"),
    ("websocket_connection_duration_seconds", Histogram, "llm_vllm_websocket_connection_duration_seconds"),
    ("tool_call_parser_invocations_total", Counter, "llm_vllm_tool_call_parser_invocations_total"),
    ("sleep_mode_operation_duration_seconds", Histogram, "llm_vllm_sleep_mode_operation_seconds"),
    ("sleep_mode_operations_in_flight", Gauge, "llm_vllm_sleep_mode_operations_active"),
    ("rl_weight_update_operations_total", Counter, "llm_vllm_rl_weight_update_operations_total"),
    ("rl_weight_update_operation_duration_seconds", Histogram, "llm_vllm_rl_weight_update_operation_seconds"),
    ("rl_weight_update_operations_in_flight", Gauge, "llm_vllm_rl_weight_update_operations_active"),
];

fn connectors() -> Vec<Row> {
    let of = |connector, rows| where_label_is("connector", connector, renamed(PREFIX, rows));
    let moves = |direction, rows| where_label_is("direction", direction, renamed(PREFIX, rows));
    let hf3fs = |operation, rows| where_label_is("operation", operation, of("hf3fs", rows));
    [
        of("nixl", NIXL),
        of("mooncake", MOONCAKE),
        of("umbp", UMBP_STORE),
        hf3fs("save", HF3FS_SAVE),
        hf3fs("load", HF3FS_LOAD),
        moves("load", OFFLOAD_LOAD),
        moves("store", OFFLOAD_STORE),
        renamed(PREFIX, OFFLOAD),
        renamed(PREFIX, CONNECTORS),
    ]
    .concat()
}

#[rustfmt::skip]
const NIXL: &[Renamed] = &[
    ("nixl_xfer_time_seconds", Histogram, "llm_kv_transfer_duration_seconds"),
    ("nixl_post_time_seconds", Histogram, "llm_kv_transfer_post_seconds"),
    ("nixl_bytes_transferred", Histogram, "llm_kv_transfer_size_bytes"),
    ("nixl_num_descriptors", Histogram, "llm_kv_transfer_descriptors"),
    ("nixl_num_failed_transfers_total", Counter, "llm_kv_transfer_failures_total"),
    ("nixl_num_failed_notifications_total", Counter, "llm_kv_transfer_notification_failures_total"),
    ("nixl_num_kv_expired_reqs_total", Counter, "llm_kv_transfer_expired_requests_total"),
    ("nixl_num_notifications_after_expiry_total", Counter, "llm_kv_transfer_late_notifications_total"),
];

#[rustfmt::skip]
const MOONCAKE: &[Renamed] = &[
    ("mooncake_xfer_time_seconds", Histogram, "llm_kv_transfer_duration_seconds"),
    ("mooncake_bytes_transferred", Histogram, "llm_kv_transfer_size_bytes"),
    ("mooncake_num_descriptors", Histogram, "llm_kv_transfer_descriptors"),
    ("mooncake_num_failed_transfers_total", Counter, "llm_kv_transfer_failures_total"),
    ("mooncake_num_failed_recvs_total", Counter, "llm_kv_transfer_receive_failures_total"),
    ("mooncake_num_kv_expired_reqs_total", Counter, "llm_kv_transfer_expired_requests_total"),
    ("mooncake_store_operation_time_seconds", Histogram, "llm_kv_store_operation_seconds"),
    ("mooncake_store_operation_total", Counter, "llm_kv_store_operations_total"),
    ("mooncake_store_operation_keys_total", Counter, "llm_kv_store_keys_total"),
    ("mooncake_store_operation_failed_keys_total", Counter, "llm_kv_store_failed_keys_total"),
    ("mooncake_store_operation_bytes_total", Counter, "llm_kv_store_bytes_total"),
];

#[rustfmt::skip]
const HF3FS_SAVE: &[Renamed] = &[
    ("hf3fs_save_duration_seconds", Histogram, "llm_kv_store_operation_seconds"),
    ("hf3fs_num_failed_save_total", Counter, "llm_kv_store_failures_total"),
];

#[rustfmt::skip]
const HF3FS_LOAD: &[Renamed] = &[
    ("hf3fs_load_duration_seconds", Histogram, "llm_kv_store_operation_seconds"),
    ("hf3fs_num_failed_load_total", Counter, "llm_kv_store_failures_total"),
];

#[rustfmt::skip]
const UMBP_STORE: &[Renamed] = &[
    ("umbp_transfer_bytes_total", Counter, "llm_kv_store_bytes_total"),
    ("umbp_transfer_duration_seconds", Histogram, "llm_kv_store_operation_seconds"),
];

#[rustfmt::skip]
const OFFLOAD_LOAD: &[Renamed] = &[
    ("kv_offload_load_bytes_total", Counter, "llm_kv_offload_bytes_total"),
    ("kv_offload_load_time_total", Counter, "llm_kv_offload_seconds_total"),
    ("kv_offload_load_size", Histogram, "llm_kv_offload_size_bytes"),
];

#[rustfmt::skip]
const OFFLOAD_STORE: &[Renamed] = &[
    ("kv_offload_store_bytes_total", Counter, "llm_kv_offload_bytes_total"),
    ("kv_offload_store_time_total", Counter, "llm_kv_offload_seconds_total"),
    ("kv_offload_store_size", Histogram, "llm_kv_offload_size_bytes"),
];

#[rustfmt::skip]
const OFFLOAD: &[Renamed] = &[
    ("kv_offload_lookup_sync_delay_seconds", Histogram, "llm_vllm_kv_offload_lookup_sync_seconds"),
    ("kv_offload_lookup_async_delay_seconds", Histogram, "llm_vllm_kv_offload_lookup_async_seconds"),
    ("kv_offload_allocation_failure_total", Counter, "llm_vllm_kv_offload_allocation_failures_total"),
    ("kv_offload_stores_skipped_total", Counter, "llm_vllm_kv_offload_stores_skipped_total"),
    ("kv_offload_cpu_cache_usage_perc", Gauge, "llm_vllm_kv_offload_cpu_usage_ratio"),
    ("kv_offload_cpu_cache_read_usage_perc", Gauge, "llm_vllm_kv_offload_cpu_read_usage_ratio"),
    ("kv_offload_cpu_cache_write_usage_perc", Gauge, "llm_vllm_kv_offload_cpu_write_usage_ratio"),
    ("kv_offload_tiering_lookup_sync_delay_seconds", Histogram, "llm_vllm_kv_offload_tier_lookup_sync_seconds"),
    ("kv_offload_tiering_lookup_async_delay_seconds", Histogram, "llm_vllm_kv_offload_tier_lookup_async_seconds"),
    ("kv_offload_tiering_read_bytes_total", Counter, "llm_vllm_kv_offload_tier_read_bytes_total"),
    ("kv_offload_tiering_read_time_total", Counter, "llm_vllm_kv_offload_tier_read_seconds_total"),
    ("kv_offload_tiering_write_bytes_total", Counter, "llm_vllm_kv_offload_tier_written_bytes_total"),
    ("kv_offload_tiering_write_time_total", Counter, "llm_vllm_kv_offload_tier_write_seconds_total"),
    ("kv_offload_tiering_chunk_queries_total", Counter, "llm_vllm_kv_offload_tier_queries_total"),
    ("kv_offload_tiering_chunk_hits_total", Counter, "llm_vllm_kv_offload_tier_hits_total"),
    ("kv_offload_tiering_promotion_job_failures_total", Counter, "llm_vllm_kv_offload_tier_promotion_failures_total"),
    ("kv_offload_tiering_cascade_job_failures_total", Counter, "llm_vllm_kv_offload_tier_cascade_failures_total"),
    ("kv_offload_tiering_promotion_allocation_failures_total", Counter, "llm_vllm_kv_offload_tier_promotion_allocation_failures_total"),
    ("kv_offload_tiering_primary_read_usage_perc", Gauge, "llm_vllm_kv_offload_tier_primary_read_usage_ratio"),
    ("kv_offload_tiering_primary_write_usage_perc", Gauge, "llm_vllm_kv_offload_tier_primary_write_usage_ratio"),
    ("kv_offload_tiering_active_promotion_jobs", Gauge, "llm_vllm_kv_offload_tier_promotions_active"),
    ("kv_offload_tiering_active_cascade_jobs", Gauge, "llm_vllm_kv_offload_tier_cascades_active"),
];

#[rustfmt::skip]
const CONNECTORS: &[Renamed] = &[
    ("simple_kv_offload_save_outcomes_total", Counter, "llm_vllm_simple_kv_offload_saves_total"),
    ("simple_kv_offload_load_blocks_total", Counter, "llm_vllm_simple_kv_offload_load_blocks_total"),
    ("simple_kv_offload_used_blocks", Gauge, "llm_vllm_simple_kv_offload_used_blocks"),
    ("simple_kv_offload_pending_store_blocks", Gauge, "llm_vllm_simple_kv_offload_pending_store_blocks"),
    ("umbp_transfer_submitted_total", Counter, "llm_vllm_umbp_submitted_objects_total"),
    ("umbp_transfer_completed_total", Counter, "llm_vllm_umbp_completed_objects_total"),
    ("umbp_transfer_failed_total", Counter, "llm_vllm_umbp_failed_objects_total"),
    ("hisparse_cache_hits_total", Counter, "llm_vllm_hisparse_cache_hits_total"),
    ("hisparse_cache_misses_total", Counter, "llm_vllm_hisparse_cache_misses_total"),
    ("hisparse_host_to_device_bytes_total", Counter, "llm_vllm_hisparse_host_to_device_bytes_total"),
    ("hisparse_host_blocks_used", Gauge, "llm_vllm_hisparse_host_used_blocks"),
    // A gauge, in spite of its name.
    ("hisparse_host_blocks_total", Gauge, "llm_vllm_hisparse_host_blocks"),
    ("hisparse_host_blocks_usage", Gauge, "llm_vllm_hisparse_host_usage_ratio"),
    ("hisparse_pending_spills", Gauge, "llm_vllm_hisparse_pending_spills"),
    ("hisparse_host_block_lifetime_seconds", Histogram, "llm_vllm_hisparse_host_block_lifetime_seconds"),
    ("hisparse_host_block_idle_before_evict_seconds", Histogram, "llm_vllm_hisparse_host_block_idle_before_evict_seconds"),
    ("hisparse_host_block_reuse_gap_seconds", Histogram, "llm_vllm_hisparse_host_block_reuse_gap_seconds"),
];
