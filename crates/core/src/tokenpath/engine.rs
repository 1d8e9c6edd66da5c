//! What the engine is and what state it is in.

crate::families! {
    INFO = "llm_engine_info", Info, None, ["engine", "model_name", "version"],
        "Always 1: facts about the engine process as labels, for joins.";
    KV_CACHE_INFO = "llm_kv_cache_info", Info, None,
        [
            "cache_dtype",
            "engine",
            "gpu_memory_utilization",
            "model_name",
            "prefix_caching",
            "prefix_caching_hash_algo",
            "sliding_window",
        ],
        "Always 1: how the KV cache was configured at the engine's start, as labels in the engine's own words.";
    SLEEP_STATE = "llm_engine_sleep_state", Gauge, None, ["engine", "model_name", "state"],
        "1 for the state the engine is in: awake, weights_offloaded (asleep, weights in host memory) or discard_all (asleep, weights dropped)." => Sum;
}
