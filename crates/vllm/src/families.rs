//! Families that only vLLM fills.
//!
//! What another engine could measure too wears the common `llm_` prefix; what makes sense inside
//! vLLM alone (one of its connectors, its frontend, its dev endpoints) wears `llm_vllm_`.

use std::sync::{Arc, LazyLock};

use tokenpath_core::Desc;

/// The families of this crate, beside the shared ones of [`tokenpath_core::tokenpath`].
#[must_use]
pub fn families() -> &'static [Arc<Desc>] {
    static FAMILIES: LazyLock<Vec<Arc<Desc>>> = LazyLock::new(|| {
        [
            requests::ALL,
            cache::ALL,
            engine::ALL,
            kv_store::ALL,
            connectors::ALL,
            frontend::ALL,
        ]
        .concat()
        .into_iter()
        .map(Arc::new)
        .collect()
    });
    &FAMILIES
}

/// Requests and their tokens.
pub mod requests {
    tokenpath_core::families! {
        WAITING_BY_REASON = "llm_requests_waiting_by_reason", Gauge, None,
            ["engine", "model_name", "reason"],
            "Requests in the queue by what they wait for: capacity, or deferred for a passing constraint. The reasons add up to llm_requests_waiting: never add both." => Sum;
        KV_FETCH_BY_STAGE = "llm_requests_kv_fetch_by_stage", Gauge, None,
            ["engine", "model_name", "stage"],
            "Requests whose KV blocks come from another engine, by stage: waiting_to_start, in_progress, completed_waiting." => Sum;
        REJECTED = "llm_requests_rejected_total", Counter, None, ["model_name", "reason"],
            "Requests refused at the door because a limit on the queue was reached, by the limit.";
        CORRUPTED = "llm_requests_corrupted_total", Counter, None, ["engine", "model_name"],
            "Requests whose logits held a NaN; counted only where vLLM is told to look.";
        PREEMPTIONS_PER_REQUEST = "llm_request_preemptions", Histogram, None,
            ["engine", "model_name"],
            "Times a request was preempted; one observation a completion, when it finishes.";
        PARAM_N = "llm_request_params_n", Histogram, None, ["engine", "model_name"],
            "Completions that a request asked for (its parameter n); one observation a request, where other families count completions.";
        PARAM_BEST_OF = "llm_request_params_best_of", Histogram, None, ["engine", "model_name"],
            "Completions that a request had generated to choose from (its parameter best_of).";
        MAX_GENERATION_TOKENS = "llm_request_max_generation_tokens", Histogram, None,
            ["engine", "model_name"],
            "Output tokens of the longest completion of a request; one observation a request.";
        PREFILL_COMPUTED_TOKENS = "llm_request_prefill_computed_tokens", Histogram, None,
            ["engine", "model_name"],
            "Prompt tokens of a request that were computed and not found in a cache; one observation a completion.";
        PROMPT_CACHED_BY_SOURCE = "llm_prompt_tokens_cached_by_source_total", Counter, None,
            ["engine", "model_name", "source"],
            "Prompt tokens that were found in a cache, by the tier that had them.";
        PROMPT_RECOMPUTED = "llm_prompt_tokens_recomputed_total", Counter, None,
            ["engine", "model_name"],
            "Prompt tokens that were in a cache and computed all the same.";
        TOKENS = "llm_tokens_total", Counter, None, ["engine", "model_name"],
            "Prompt and output tokens together.";
    }
}

/// The KV cache in other memory, the multimodal cache, and how long KV blocks live.
pub mod cache {
    tokenpath_core::families! {
        CPU_KV_USAGE = "llm_cpu_kv_cache_usage_ratio", Gauge, Ratio, ["engine", "model_name"],
            "Share of the KV blocks in host memory that are in use, from 0 to 1." => MeanWeightedBy("llm_cpu_kv_cache_blocks");
        CPU_KV_BLOCKS = "llm_cpu_kv_cache_blocks", Gauge, None, ["engine", "model_name"],
            "KV blocks that the engine has in host memory; fixed at its start." => Sum;
        KV_SIZE_TOKENS = "llm_kv_cache_size_tokens", Gauge, None, ["engine", "model_name"],
            "Tokens that the whole KV cache in device memory can hold; fixed at the engine's start." => Sum;
        MULTIMODAL_QUERIES = "llm_multimodal_cache_queries_total", Counter, None,
            ["engine", "model_name"],
            "Items (images, sounds, videos) that were looked up in the multimodal cache.";
        MULTIMODAL_HITS = "llm_multimodal_cache_hits_total", Counter, None,
            ["engine", "model_name"],
            "Items (images, sounds, videos) that were looked up in the multimodal cache and found there.";
        BLOCK_LIFETIME = "llm_kv_block_lifetime_seconds", Histogram, Seconds,
            ["engine", "model_name"],
            "Time from the allocation of a KV block to its eviction; a sample of the blocks.";
        BLOCK_IDLE = "llm_kv_block_idle_before_evict_seconds", Histogram, Seconds,
            ["engine", "model_name"],
            "Time from the last use of a KV block to its eviction; a sample of the blocks.";
        BLOCK_REUSE_GAP = "llm_kv_block_reuse_gap_seconds", Histogram, Seconds,
            ["engine", "model_name"],
            "Time between two uses of a KV block; a sample of the blocks.";
    }
}

/// What the engine computes.
pub mod engine {
    tokenpath_core::families! {
        MODEL_FORWARD = "llm_model_forward_seconds", Histogram, Seconds, ["engine", "model_name"],
            "Time that the model's forward passes took for a request; observed when it finishes.";
        MODEL_EXECUTE = "llm_model_execute_seconds", Histogram, Seconds, ["engine", "model_name"],
            "Time that execution on the devices took for a request, forward passes, synchronisation and sampling; observed when it finishes.";
        ESTIMATED_FLOPS = "llm_estimated_gpu_flops_total", Counter, None, ["engine", "model_name"],
            "Floating point operations of one GPU as vLLM estimates them from the model's shape; moves only where that is switched on.";
        ESTIMATED_READ = "llm_estimated_gpu_read_bytes_total", Counter, Bytes,
            ["engine", "model_name"],
            "Bytes that one GPU read from its memory as vLLM estimates them from the model's shape; moves only where that is switched on.";
        ESTIMATED_WRITTEN = "llm_estimated_gpu_written_bytes_total", Counter, Bytes,
            ["engine", "model_name"],
            "Bytes that one GPU wrote to its memory as vLLM estimates them from the model's shape; moves only where that is switched on.";
        DIFFUSION_STEPS = "llm_vllm_diffusion_denoising_steps_total", Counter, None,
            ["engine", "model_name"],
            "Denoising steps of a diffusion language model.";
        DIFFUSION_POSITIONS = "llm_vllm_diffusion_canvas_positions_total", Counter, None,
            ["engine", "model_name"],
            "Positions of the canvas that a diffusion language model evaluated.";
        DIFFUSION_COMMITTED = "llm_vllm_diffusion_committed_tokens_total", Counter, None,
            ["engine", "model_name"],
            "Tokens that a diffusion language model settled on.";
    }
}

/// KV blocks saved to and loaded from a store outside the engine.
pub mod kv_store {
    tokenpath_core::families! {
        OPERATION = "llm_kv_store_operation_seconds", Histogram, Seconds,
            ["connector", "engine", "model_name", "operation", "status", "tier"],
            "Time that one operation on an outside store of KV blocks took; the labels are what the connector says.";
        OPERATIONS = "llm_kv_store_operations_total", Counter, None,
            ["connector", "engine", "model_name", "operation", "status"],
            "Operations on an outside store of KV blocks.";
        KEYS = "llm_kv_store_keys_total", Counter, None,
            ["connector", "engine", "model_name", "operation", "status"],
            "Keys that operations on an outside store of KV blocks touched.";
        FAILED_KEYS = "llm_kv_store_failed_keys_total", Counter, None,
            ["connector", "engine", "model_name", "operation", "status"],
            "Keys for which an operation on an outside store of KV blocks failed.";
        BYTES = "llm_kv_store_bytes_total", Counter, Bytes,
            ["connector", "engine", "model_name", "operation", "status"],
            "Bytes moved to or from an outside store of KV blocks.";
        FAILURES = "llm_kv_store_failures_total", Counter, None,
            ["connector", "engine", "model_name", "operation"],
            "Operations on an outside store of KV blocks that failed.";
    }
}

/// What single connectors say of themselves.
pub mod connectors {
    tokenpath_core::families! {
        OFFLOAD_LOOKUP_SYNC = "llm_vllm_kv_offload_lookup_sync_seconds", Histogram, Seconds,
            ["engine", "model_name"],
            "Time that the scheduler stood still for one look-up in the offload medium.";
        OFFLOAD_LOOKUP_ASYNC = "llm_vllm_kv_offload_lookup_async_seconds", Histogram, Seconds,
            ["engine", "model_name"],
            "Time from the first deferral of a request's look-up in the offload medium to its answer.";
        OFFLOAD_ALLOCATION_FAILURES = "llm_vllm_kv_offload_allocation_failures_total", Counter, None,
            ["engine", "model_name"],
            "Stores that found no room in the offload medium.";
        OFFLOAD_STORES_SKIPPED = "llm_vllm_kv_offload_stores_skipped_total", Counter, None,
            ["engine", "model_name"],
            "Stores that were not tried because the blocks were not reused often enough.";
        OFFLOAD_CPU_USAGE = "llm_vllm_kv_offload_cpu_usage_ratio", Gauge, Ratio,
            ["engine", "model_name"],
            "Share of the host memory for offloaded KV blocks that transfers hold, from 0 to 1.";
        OFFLOAD_CPU_READ_USAGE = "llm_vllm_kv_offload_cpu_read_usage_ratio", Gauge, Ratio,
            ["engine", "model_name"],
            "Share of the host memory for offloaded KV blocks that loads under way hold, from 0 to 1.";
        OFFLOAD_CPU_WRITE_USAGE = "llm_vllm_kv_offload_cpu_write_usage_ratio", Gauge, Ratio,
            ["engine", "model_name"],
            "Share of the host memory for offloaded KV blocks that stores under way hold, from 0 to 1.";
        TIER_LOOKUP_SYNC = "llm_vllm_kv_offload_tier_lookup_sync_seconds", Histogram, Seconds,
            ["engine", "model_name", "tier"],
            "Time that the scheduler stood still for a look-up in a further offload tier.";
        TIER_LOOKUP_ASYNC = "llm_vllm_kv_offload_tier_lookup_async_seconds", Histogram, Seconds,
            ["engine", "model_name", "tier"],
            "Time from the first deferral of a look-up in a further offload tier to its answer.";
        TIER_READ_BYTES = "llm_vllm_kv_offload_tier_read_bytes_total", Counter, Bytes,
            ["engine", "model_name", "tier"],
            "Bytes of KV blocks read from a further offload tier into host memory.";
        TIER_READ_SECONDS = "llm_vllm_kv_offload_tier_read_seconds_total", Counter, Seconds,
            ["engine", "model_name", "tier"],
            "Time spent reading KV blocks from a further offload tier into host memory.";
        TIER_WRITTEN_BYTES = "llm_vllm_kv_offload_tier_written_bytes_total", Counter, Bytes,
            ["engine", "model_name", "tier"],
            "Bytes of KV blocks written from host memory to a further offload tier.";
        TIER_WRITE_SECONDS = "llm_vllm_kv_offload_tier_write_seconds_total", Counter, Seconds,
            ["engine", "model_name", "tier"],
            "Time spent writing KV blocks from host memory to a further offload tier.";
        TIER_QUERIES = "llm_vllm_kv_offload_tier_queries_total", Counter, None,
            ["engine", "model_name", "tier"],
            "Chunks of KV blocks that were looked up in an offload tier.";
        TIER_HITS = "llm_vllm_kv_offload_tier_hits_total", Counter, None,
            ["engine", "model_name", "tier"],
            "Chunks of KV blocks that were looked up in an offload tier and found there.";
        TIER_PROMOTION_FAILURES = "llm_vllm_kv_offload_tier_promotion_failures_total", Counter, None,
            ["engine", "model_name", "tier"],
            "Jobs that should have brought KV blocks from a further offload tier to host memory and failed.";
        TIER_CASCADE_FAILURES = "llm_vllm_kv_offload_tier_cascade_failures_total", Counter, None,
            ["engine", "model_name", "tier"],
            "Jobs that should have brought KV blocks from host memory to a further offload tier and failed.";
        TIER_PROMOTION_ALLOCATION_FAILURES = "llm_vllm_kv_offload_tier_promotion_allocation_failures_total",
            Counter, None, ["engine", "model_name"],
            "Loads from a further offload tier that found no room in host memory.";
        TIER_READ_USAGE = "llm_vllm_kv_offload_tier_primary_read_usage_ratio", Gauge, Ratio,
            ["engine", "model_name", "tier"],
            "Share of the host tier that reads towards a further tier hold, from 0 to 1.";
        TIER_WRITE_USAGE = "llm_vllm_kv_offload_tier_primary_write_usage_ratio", Gauge, Ratio,
            ["engine", "model_name", "tier"],
            "Share of the host tier that writes from a further tier hold, from 0 to 1.";
        TIER_PROMOTIONS = "llm_vllm_kv_offload_tier_promotions_active", Gauge, None,
            ["engine", "model_name", "tier"],
            "Jobs that bring KV blocks from a further offload tier to host memory and are under way." => Sum;
        TIER_CASCADES = "llm_vllm_kv_offload_tier_cascades_active", Gauge, None,
            ["engine", "model_name", "tier"],
            "Jobs that bring KV blocks from host memory to a further offload tier and are under way." => Sum;
        SIMPLE_OFFLOAD_SAVES = "llm_vllm_simple_kv_offload_saves_total", Counter, None,
            ["engine", "model_name", "outcome"],
            "Blocks that the simple offload connector was to store, by what became of them.";
        SIMPLE_OFFLOAD_LOADS = "llm_vllm_simple_kv_offload_load_blocks_total", Counter, None,
            ["engine", "model_name", "phase"],
            "Blocks that the simple offload connector loaded, counted when issued and again when completed.";
        SIMPLE_OFFLOAD_USED = "llm_vllm_simple_kv_offload_used_blocks", Gauge, None,
            ["engine", "model_name"],
            "Blocks of the simple offload connector's pool that transfers or hits hold." => Sum;
        SIMPLE_OFFLOAD_PENDING = "llm_vllm_simple_kv_offload_pending_store_blocks", Gauge, None,
            ["engine", "model_name"],
            "Blocks in stores of the simple offload connector that are not done." => Sum;
        SIMPLE_OFFLOAD_BLOCKS = "llm_vllm_simple_kv_offload_blocks", Gauge, None,
            ["engine", "model_name"],
            "Blocks in the simple offload connector's pool; fixed at the engine's start." => Sum;
        UMBP_SUBMITTED = "llm_vllm_umbp_submitted_objects_total", Counter, None,
            ["engine", "model_name", "operation"],
            "Objects that were handed to the UMBP connector.";
        UMBP_COMPLETED = "llm_vllm_umbp_completed_objects_total", Counter, None,
            ["engine", "model_name", "operation"],
            "Objects that the UMBP connector moved.";
        UMBP_FAILED = "llm_vllm_umbp_failed_objects_total", Counter, None,
            ["engine", "model_name", "operation"],
            "Objects that the UMBP connector could not move.";
        HISPARSE_HITS = "llm_vllm_hisparse_cache_hits_total", Counter, None,
            ["engine", "model_name"],
            "Look-ups in the HiSparse connector's buffer in device memory that hit.";
        HISPARSE_MISSES = "llm_vllm_hisparse_cache_misses_total", Counter, None,
            ["engine", "model_name"],
            "Look-ups in the HiSparse connector's buffer in device memory that missed.";
        HISPARSE_BYTES = "llm_vllm_hisparse_host_to_device_bytes_total", Counter, Bytes,
            ["engine", "model_name"],
            "Bytes that the HiSparse connector moved from host memory to its buffer in device memory.";
        HISPARSE_HOST_USED = "llm_vllm_hisparse_host_used_blocks", Gauge, None,
            ["engine", "model_name"],
            "KV blocks in host memory that the HiSparse connector uses." => Sum;
        HISPARSE_HOST_BLOCKS = "llm_vllm_hisparse_host_blocks", Gauge, None,
            ["engine", "model_name"],
            "KV blocks in host memory that the HiSparse connector has; fixed at the engine's start." => Sum;
        HISPARSE_HOST_USAGE = "llm_vllm_hisparse_host_usage_ratio", Gauge, Ratio,
            ["engine", "model_name"],
            "Share of the HiSparse connector's KV blocks in host memory that are in use, from 0 to 1."
            => MeanWeightedBy("llm_vllm_hisparse_host_blocks");
        HISPARSE_PENDING_SPILLS = "llm_vllm_hisparse_pending_spills", Gauge, None,
            ["engine", "model_name"],
            "Transfers of the HiSparse connector to host memory that are not done." => Sum;
        HISPARSE_LIFETIME = "llm_vllm_hisparse_host_block_lifetime_seconds", Histogram, Seconds,
            ["engine", "model_name"],
            "Time from the allocation of a HiSparse KV block in host memory to its eviction; a sample of the blocks.";
        HISPARSE_IDLE = "llm_vllm_hisparse_host_block_idle_before_evict_seconds", Histogram, Seconds,
            ["engine", "model_name"],
            "Time from the last use of a HiSparse KV block in host memory to its eviction; a sample of the blocks.";
        HISPARSE_REUSE_GAP = "llm_vllm_hisparse_host_block_reuse_gap_seconds", Histogram, Seconds,
            ["engine", "model_name"],
            "Time between two uses of a HiSparse KV block in host memory; a sample of the blocks.";
    }
}

/// The API server in front of the engines: no `engine` label.
pub mod frontend {
    tokenpath_core::families! {
        WEBSOCKETS_ACTIVE = "llm_vllm_websocket_connections_active", Gauge, None, [],
            "WebSocket connections that are open at the moment of the reading." => Sum;
        WEBSOCKETS = "llm_vllm_websocket_connections_total", Counter, None, [],
            "WebSocket connections that were opened.";
        WEBSOCKET_DURATION = "llm_vllm_websocket_connection_duration_seconds", Histogram, Seconds, [],
            "Time that a WebSocket connection was open; observed when it closes.";
        TOOL_CALL_PARSES = "llm_vllm_tool_call_parser_invocations_total", Counter, None,
            ["mode", "model_name", "outcome", "request_type"],
            "Runs of the tool call parser, by whether it found a call; when streaming, one a piece of output.";
        WATERMARKED = "llm_vllm_watermark_requests_total", Counter, None,
            ["engine", "model_name", "status"],
            "Requests by whether their output was watermarked; counted only where watermarks are configured.";
        SLEEP_OPERATION = "llm_vllm_sleep_mode_operation_seconds", Histogram, Seconds,
            ["operation"],
            "Time that one call to put the engine to sleep or to wake it took.";
        SLEEP_OPERATIONS_ACTIVE = "llm_vllm_sleep_mode_operations_active", Gauge, None,
            ["operation"],
            "Calls to put the engine to sleep or to wake it that are under way." => Sum;
        WEIGHT_UPDATES = "llm_vllm_rl_weight_update_operations_total", Counter, None,
            ["operation", "status"],
            "Calls that update the model's weights between steps of reinforcement learning, by outcome.";
        WEIGHT_UPDATE = "llm_vllm_rl_weight_update_operation_seconds", Histogram, Seconds,
            ["operation"],
            "Time that one call to update the model's weights took.";
        WEIGHT_UPDATES_ACTIVE = "llm_vllm_rl_weight_update_operations_active", Gauge, None,
            ["operation"],
            "Calls to update the model's weights that are under way." => Sum;
    }
}
