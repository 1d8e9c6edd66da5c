//! Families of gateways: everything begins with `llm_gateway_`.
//!
//! Labels keep upstream's names but for three: `pool` is upstream's `name` or `inference_pool`,
//! `model_server` its `model_server_pod`, `model_server_endpoint`, `pod_name`, `pod` or `endpoint_name`
//! (`endpoint` belongs to the Prometheus Operator), `kind` its `type`. `fairness_id` comes from
//! clients and is bounded: values over the limit share `other`.

use std::sync::{Arc, LazyLock};

use tokenpath_core::Desc;

/// All families that a gateway's page may give.
#[must_use]
pub fn families() -> &'static [Arc<Desc>] {
    static FAMILIES: LazyLock<Vec<Arc<Desc>>> = LazyLock::new(|| {
        [
            requests::ALL,
            latency::ALL,
            prediction::ALL,
            pool::ALL,
            scheduler::ALL,
            encoder_cache::ALL,
            flow_control::ALL,
            kv_index::ALL,
            process::ALL,
            body_router::ALL,
        ]
        .concat()
        .into_iter()
        .map(Arc::new)
        .collect()
    });
    &FAMILIES
}

/// Requests, their sizes and tokens.
pub mod requests {
    tokenpath_core::families! {
        REQUESTS = "llm_gateway_requests_total", Counter, None,
            ["fairness_id", "model_name", "priority", "target_model_name"],
            "Requests that the gateway handled.";
        ERRORS = "llm_gateway_request_errors_total", Counter, None,
            ["error_code", "fairness_id", "model_name", "priority", "target_model_name"],
            "Requests that ended in an error, by its code.";
        RUNNING = "llm_gateway_requests_running", Gauge, None,
            ["fairness_id", "model_name", "priority", "target_model_name"],
            "Requests between their arrival at the gateway and their end." => Sum;
        REQUEST_BYTES = "llm_gateway_request_size_bytes", Histogram, Bytes,
            ["fairness_id", "model_name", "priority", "target_model_name"],
            "Size of the body of a request.";
        RESPONSE_BYTES = "llm_gateway_response_size_bytes", Histogram, Bytes,
            ["fairness_id", "model_name", "priority", "target_model_name"],
            "Size of the body of a response.";
        REQUEST_INPUT_TOKENS = "llm_gateway_request_input_tokens", Histogram, None,
            ["fairness_id", "model_name", "priority", "target_model_name"],
            "Prompt tokens of a request, as its response says them.";
        REQUEST_OUTPUT_TOKENS = "llm_gateway_request_output_tokens", Histogram, None,
            ["fairness_id", "model_name", "priority", "target_model_name"],
            "Output tokens of a request, as its response says them.";
        REQUEST_CACHED_TOKENS = "llm_gateway_request_cached_tokens", Histogram, None,
            ["fairness_id", "model_name", "priority", "target_model_name"],
            "Prompt tokens of a request that the engine had in its cache, as its response says them.";
        INPUT_TOKENS = "llm_gateway_input_tokens_total", Counter, None,
            ["fairness_id", "model_name", "priority", "target_model_name"],
            "Prompt tokens of requests, as their responses say them: the sum of llm_gateway_request_input_tokens.";
        OUTPUT_TOKENS = "llm_gateway_output_tokens_total", Counter, None,
            ["fairness_id", "model_name", "priority", "target_model_name"],
            "Output tokens of requests, as their responses say them: the sum of llm_gateway_request_output_tokens.";
        CACHED_TOKENS = "llm_gateway_cached_tokens_total", Counter, None,
            ["fairness_id", "model_name", "priority", "target_model_name"],
            "Prompt tokens that engines had in their cache, as responses say them: the sum of llm_gateway_request_cached_tokens.";
        ENDPOINT_REQUESTS = "llm_gateway_endpoint_inflight_requests", Gauge, None,
            ["fairness_id", "model_server", "namespace", "priority", "producer_name"],
            "Requests that the gateway has sent to a model server and that have not ended." => Sum;
        ENDPOINT_TOKENS = "llm_gateway_endpoint_inflight_tokens", Gauge, None,
            ["fairness_id", "model_server", "namespace", "priority", "producer_name"],
            "Tokens of the requests that the gateway has sent to a model server and that have not ended, as it estimates them." => Sum;
    }
}

/// How long requests take, seen from the gateway.
pub mod latency {
    tokenpath_core::families! {
        DURATION = "llm_gateway_request_duration_seconds", Histogram, Seconds,
            ["fairness_id", "model_name", "priority", "target_model_name"],
            "Time from the arrival of a request at the gateway to the end of its response.";
        TIME_TO_FIRST_TOKEN = "llm_gateway_time_to_first_token_seconds", Histogram, Seconds,
            ["fairness_id", "model_name", "priority", "streaming", "target_model_name"],
            "Time from the arrival of a request at the gateway to the first piece of its answer. Of a request that is not streamed (label streaming) that is the whole answer, so its total duration. Gateways before llm-d-router 0.9 measure it with latency prediction on only.";
        TIME_PER_OUTPUT_TOKEN = "llm_gateway_time_per_output_token_seconds", Histogram, Seconds,
            ["fairness_id", "model_name", "priority", "target_model_name"],
            "Mean gap between the output tokens of a request, first token left out; gateways before llm-d-router 0.9 measure it with latency prediction on only.";
        INTER_TOKEN_LATENCY = "llm_gateway_inter_token_latency_seconds", Histogram, Seconds,
            ["fairness_id", "model_name", "priority", "target_model_name"],
            "Gap between two successive pieces of a streamed response.";
        NORMALIZED = "llm_gateway_normalized_time_per_output_token_seconds", Histogram, Seconds,
            ["fairness_id", "model_name", "priority", "target_model_name"],
            "Whole time of a request over its output tokens, so waiting and prefill are in it.";
        REQUEST_PROCESSING = "llm_gateway_request_processing_seconds", Histogram, Seconds, [],
            "Time the gateway itself took over a request, admission control included, until its body was handled.";
        RESPONSE_PROCESSING = "llm_gateway_response_processing_seconds", Histogram, Seconds, [],
            "Time the gateway itself took over a response: the handlers of all its pieces where it is streamed, from headers to end where not.";
    }
}

/// Latency prediction and its objectives.
pub mod prediction {
    tokenpath_core::families! {
        TIME_TO_FIRST_TOKEN = "llm_gateway_predicted_time_to_first_token_seconds", Histogram, Seconds,
            ["model_name", "plugin_name", "plugin_type", "target_model_name"],
            "Time to first token that the gateway predicted for a request. Not a measurement.";
        TIME_PER_OUTPUT_TOKEN = "llm_gateway_predicted_time_per_output_token_seconds", Histogram, Seconds,
            ["model_name", "plugin_name", "plugin_type", "target_model_name"],
            "Time per output token that the gateway predicted for a request. Not a measurement.";
        TTFT_PREDICTION = "llm_gateway_time_to_first_token_prediction_seconds", Histogram, Seconds,
            ["model_name", "plugin_name", "plugin_type", "target_model_name"],
            "Time it took to predict a time to first token.";
        TPOT_PREDICTION = "llm_gateway_time_per_output_token_prediction_seconds", Histogram, Seconds,
            ["model_name", "plugin_name", "plugin_type", "target_model_name"],
            "Time it took to predict a time per output token.";
        VIOLATIONS = "llm_gateway_slo_violations_total", Counter, None,
            ["kind", "model_name", "plugin_name", "plugin_type", "target_model_name"],
            "Requests that missed an objective, by the objective.";
        MEASUREMENT = "llm_gateway_newest_request_measurement", Gauge, None,
            ["kind", "model_name", "plugin_name", "plugin_type", "target_model_name"],
            "What was measured, predicted or aimed at for the newest request, by kind, in the unit of the kind.";
    }
}

/// The pool of model servers behind the gateway, as the gateway reads them.
pub mod pool {
    tokenpath_core::families! {
        KV_USAGE = "llm_gateway_pool_average_kv_cache_usage_ratio", Gauge, Ratio, ["pool"],
            "KV cache in use, from 0 to 1, averaged over the model servers of the pool.";
        KV_USAGE_DEVIATION = "llm_gateway_pool_deviation_kv_cache_usage_ratio", Gauge, Ratio, ["pool"],
            "Standard deviation of the KV cache in use over the model servers of the pool.";
        QUEUE = "llm_gateway_pool_average_queue_size", Gauge, None, ["pool"],
            "Requests waiting in a model server, averaged over the pool.";
        QUEUE_DEVIATION = "llm_gateway_pool_deviation_queue_size", Gauge, None, ["pool"],
            "Standard deviation of the requests waiting over the model servers of the pool.";
        RUNNING = "llm_gateway_pool_average_running_requests", Gauge, None, ["pool"],
            "Requests running in a model server, averaged over the pool.";
        RUNNING_DEVIATION = "llm_gateway_pool_deviation_running_requests", Gauge, None, ["pool"],
            "Standard deviation of the requests running over the model servers of the pool.";
        READY = "llm_gateway_pool_ready_endpoints", Gauge, None, ["pool"],
            "Model servers of the pool that are ready." => Sum;
        ENDPOINT_QUEUE = "llm_gateway_endpoint_queue_size", Gauge, None, ["model_server", "pool"],
            "Requests waiting in one model server." => Sum;
    }
}

/// Choosing a model server, and the plugins that take part.
pub mod scheduler {
    tokenpath_core::families! {
        DURATION = "llm_gateway_scheduler_duration_seconds", Histogram, Seconds, [],
            "Time it took to choose a model server for a request.";
        ATTEMPTS = "llm_gateway_scheduler_attempts_total", Counter, None,
            ["model_server", "namespace", "port", "status", "target_model_name"],
            "Times a model server was chosen, or none was found (status failure).";
        PLUGIN = "llm_gateway_plugin_duration_seconds", Histogram, Seconds,
            ["extension_point", "plugin_name", "plugin_type"],
            "Time one plugin took at one extension point.";
        SCOPE_VIOLATIONS = "llm_gateway_plugin_data_scope_violations_total", Counter, None,
            ["access", "extension_point", "plugin_name", "plugin_type"],
            "Times a plugin touched data it had not declared; anything above 0 is a fault of the plugin.";
        REWRITES = "llm_gateway_model_rewrites_total", Counter, None,
            ["model_name", "model_rewrite_name", "target_model_name"],
            "Requests whose model was replaced by another, by the rule that said so.";
        DISAGGREGATION = "llm_gateway_disaggregation_decisions_total", Counter, None,
            ["decision", "model_name", "plugin_name", "plugin_type"],
            "Requests by the stages that were given model servers of their own: decode-only, prefill-decode, encode-decode, encode-prefill-decode.";
        PREFILL_DECODE = "llm_gateway_prefill_decode_decisions_total", Counter, None,
            ["decision", "model_name", "plugin_name", "plugin_type"],
            "Requests by whether prefill and decode were given model servers of their own, from the older handler that knows these two stages only.";
        PREFIX_SIZE = "llm_gateway_prefix_indexer_size", Gauge, None,
            ["plugin_name", "plugin_type"],
            "Entries in the index of prefixes that model servers are thought to have cached." => Sum;
        PREFIX_HIT_RATIO = "llm_gateway_prefix_indexer_hit_ratio", Histogram, Ratio,
            ["plugin_name", "plugin_type"],
            "Part of a prompt that the index of prefixes knew, from 0 to 1; one observation a look-up.";
        PREFIX_HIT_BYTES = "llm_gateway_prefix_indexer_hit_bytes", Histogram, Bytes,
            ["plugin_name", "plugin_type"],
            "Part of a prompt that the index of prefixes knew, in bytes; one observation a look-up.";
    }
}

/// What model servers are thought to have encoded of images and other parts that are no text.
pub mod encoder_cache {
    tokenpath_core::families! {
        QUERIES = "llm_gateway_encoder_cache_queries_total", Counter, None,
            ["modality", "plugin_name", "plugin_type"],
            "Images and the like of requests that were looked up among what model servers are thought to have encoded; one a look-up.";
        HITS = "llm_gateway_encoder_cache_hits_total", Counter, None,
            ["modality", "model_server", "plugin_name", "plugin_type"],
            "Look-ups that found a model server to have it, by model server: one look-up counts for each that has it, so over all of them it may exceed llm_gateway_encoder_cache_queries_total.";
        HIT_RATIO = "llm_gateway_encoder_cache_hit_ratio", Histogram, Ratio,
            ["plugin_name", "plugin_type"],
            "Share of the images and the like of a request that one model server is thought to have, from 0 to 1; one observation a request and model server.";
    }
}

/// Flow control: the gateway's own queue.
pub mod flow_control {
    tokenpath_core::families! {
        REQUESTS = "llm_gateway_flow_control_requests_total", Counter, None,
            ["outcome", "pool", "priority"],
            "Requests that came to flow control, by how they left it.";
        QUEUE_SIZE = "llm_gateway_flow_control_queue_size", Gauge, None,
            ["fairness_id", "model_name", "pool", "priority", "target_model_name"],
            "Requests waiting in the gateway." => Sum;
        QUEUE_BYTES = "llm_gateway_flow_control_queue_bytes", Gauge, Bytes,
            ["fairness_id", "model_name", "pool", "priority", "target_model_name"],
            "Bytes of the requests waiting in the gateway." => Sum;
        QUEUE_SECONDS = "llm_gateway_flow_control_queue_seconds", Histogram, Seconds,
            ["fairness_id", "model_name", "outcome", "pool", "priority", "target_model_name"],
            "Time a request spent in the gateway's queue, by how it left it.";
        ENQUEUE = "llm_gateway_flow_control_enqueue_seconds", Histogram, Seconds,
            ["fairness_id", "outcome", "priority"],
            "Time it took to put a request into the gateway's queue.";
        DISPATCH = "llm_gateway_flow_control_dispatch_cycle_seconds", Histogram, Seconds, [],
            "Time of one round of taking requests out of the gateway's queue.";
        SATURATION = "llm_gateway_flow_control_pool_saturation", Gauge, None, ["pool", "stage"],
            "How full the pool is for flow control: 1 is full, more is overload. Stage effective is what holds requests back; beside it newer gateways tell prefill and decode, of which it is the larger.";
        STALE = "llm_gateway_flow_control_stale_endpoints", Gauge, None, ["detector"],
            "Model servers that count as full because their state is missing or too old, when saturation was last worked out. Of the stage that was looked at last, where the gateway knows stages.";
        CAPACITY = "llm_gateway_flow_control_capacity_usage_ratio", Gauge, Ratio,
            ["pool", "priority", "resource"],
            "Share of what may wait of one priority that waits, from 0 to 1, in requests or in bytes (label resource).";
        GLOBAL_CAPACITY = "llm_gateway_flow_control_global_capacity_usage_ratio", Gauge, Ratio,
            ["pool", "resource"],
            "Share of what may wait of all priorities together that waits, from 0 to 1, in requests or in bytes (label resource); absent where there is no such limit.";
        REVOCATIONS_ISSUED = "llm_gateway_flow_control_revocations_issued_total", Counter, None,
            ["pool", "priority"],
            "Running requests that were told to end in favour of others, by the priority that asked.";
        REVOCATIONS = "llm_gateway_flow_control_revocations_total", Counter, None,
            ["outcome", "pool"],
            "Revocations that came to an end: confirmed or timed_out.";
        REVOCATION_SECONDS = "llm_gateway_flow_control_revocation_seconds", Histogram, Seconds, ["pool"],
            "Time from telling a running request to end until its stream was gone; confirmed revocations only.";
        PENDING_RECLAIM = "llm_gateway_flow_control_pending_reclaim", Gauge, None, ["pool"],
            "Saturation that revocations under way are expected to give back.";
        RECLAIM_TARGET = "llm_gateway_flow_control_reclaim_target", Gauge, None, ["pool"],
            "Saturation that was to be given back when it was last worked out.";
    }
}

/// The index of KV blocks, and the tokenizer that feeds it.
pub mod kv_index {
    tokenpath_core::families! {
        ADMISSIONS = "llm_gateway_kv_index_admissions_total", Counter, None, [],
            "KV blocks that were added to the index.";
        EVICTIONS = "llm_gateway_kv_index_evictions_total", Counter, None, [],
            "KV blocks that were taken out of the index.";
        LOOKUPS = "llm_gateway_kv_index_lookups_total", Counter, None, [],
            "Look-ups in the index of KV blocks.";
        HIT_BLOCKS = "llm_gateway_kv_index_hit_blocks_total", Counter, None, [],
            "KV blocks of a prompt that the model server with the most had, added up over look-ups: anywhere in the prompt up to llm-d-router 0.10, in one piece from its start after that. Blocks, not look-ups: over llm_gateway_kv_index_lookups_total it is no hit rate.";
        LOOKUP_SECONDS = "llm_gateway_kv_index_lookup_seconds", Histogram, Seconds, [],
            "Time of one look-up in the index of KV blocks.";
        MAX_POD_HITS = "llm_gateway_kv_index_max_pod_hits_total", Counter, None, [],
            "KV blocks of a prompt that the model server with the most had, added up over look-ups: gateways add the same number to llm_gateway_kv_index_hit_blocks_total.";
        REMOVED = "llm_gateway_kv_index_removed_blocks_total", Counter, None, ["outcome"],
            "KV blocks that engines said they had removed: forwarded to the index, or suppressed because something else still announces the block.";
        RENDER = "llm_gateway_tokenizer_render_seconds", Histogram, Seconds, ["tokenizer"],
            "Time it took to render the chat template of a request.";
        TOKENIZE = "llm_gateway_tokenizer_seconds", Histogram, Seconds, ["tokenizer"],
            "Time it took to tokenize a request.";
        TOKENIZED = "llm_gateway_tokenized_tokens_total", Counter, None, ["tokenizer"],
            "Tokens that the gateway's tokenizer gave.";
    }
}

/// The gateway's process, its streams from the proxy, and adapters.
pub mod process {
    tokenpath_core::families! {
        INFO = "llm_gateway_info", Info, None, ["build_ref", "commit"],
            "Always 1: what the endpoint picker was built from.";
        STREAMS = "llm_gateway_extproc_streams_total", Counter, None, ["code"],
            "Streams from the proxy that ended, by gRPC code.";
        STREAMS_INFLIGHT = "llm_gateway_extproc_streams_inflight", Gauge, None, [],
            "Streams from the proxy that are open." => Sum;
        STREAM_SECONDS = "llm_gateway_extproc_stream_duration_seconds", Histogram, Seconds, [],
            "Time that a stream from the proxy was open.";
        DATA_ERRORS = "llm_gateway_datalayer_errors_total", Counter, None,
            ["extractor_type", "source_type", "stage"],
            "Failures to read the state of model servers (stage poll) or to make sense of it (stage extract), by the kind of source and, where it failed to make sense, of extractor.";
        ADAPTER_LOADED = "llm_gateway_lora_adapter_loaded", Gauge, None, ["adapter"],
            "1 where the LoRA syncer has the adapter loaded, 0 where not.";
    }
}

/// The body based router, which reads the model out of the body of a request.
pub mod body_router {
    tokenpath_core::families! {
        REQUESTS = "llm_gateway_bbr_requests_total", Counter, None, ["outcome"],
            "Requests that the body based router looked at: success, model_not_in_body, model_not_parsed, model_already_in_header.";
        FIELDS = "llm_gateway_bbr_body_field_faults_total", Counter, None, ["fault", "field"],
            "Bodies in which a field was not_found or empty.";
        PLUGIN = "llm_gateway_bbr_plugin_duration_seconds", Histogram, Seconds,
            ["extension_point", "plugin_name", "plugin_type"],
            "Time one plugin of the body based router took.";
        INFO = "llm_gateway_bbr_info", Info, None, ["build_ref", "commit"],
            "Always 1: what the body based router was built from.";
    }
}
