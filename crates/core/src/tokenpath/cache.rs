//! The KV cache and the prefix cache that lives in it.
//!
//! The label `cache` says which one: `local` is the engine's own in device memory, `external` one
//! that is reached through a KV connector.

crate::families! {
    KV_USAGE = "llm_kv_cache_usage_ratio", Gauge, Ratio, ["engine", "model_name"],
        "Share of the KV blocks in device memory that are in use, from 0 to 1." => MeanWeightedBy("llm_kv_cache_blocks");
    KV_BLOCKS = "llm_kv_cache_blocks", Gauge, None, ["engine", "model_name"],
        "KV blocks that the engine has in device memory; fixed at its start." => Sum;
    KV_BLOCK_SIZE = "llm_kv_cache_block_size_tokens", Gauge, None, ["engine", "model_name"],
        "Tokens that one KV block holds; fixed at the engine's start.";
    PREFIX_QUERIES = "llm_prefix_cache_queries_total", Counter, None,
        ["cache", "engine", "model_name"],
        "Prompt tokens that were looked up in a prefix cache.";
    PREFIX_HITS = "llm_prefix_cache_hits_total", Counter, None,
        ["cache", "engine", "model_name"],
        "Prompt tokens that were looked up in a prefix cache and found there.";
    PREFIX_QUERY_BLOCKS = "llm_prefix_cache_queries_blocks_total", Counter, None,
        ["cache", "engine", "model_name"],
        "Blocks that were looked up in a prefix cache, from releases that count blocks and not tokens.";
    PREFIX_HIT_BLOCKS = "llm_prefix_cache_hits_blocks_total", Counter, None,
        ["cache", "engine", "model_name"],
        "Blocks that were looked up in a prefix cache and found there, from releases that count blocks and not tokens.";
    PREFIX_HIT_RATIO = "llm_prefix_cache_hit_ratio", Gauge, Ratio,
        ["cache", "engine", "model_name"],
        "Share of prefix cache look-ups that hit, from 0 to 1, as the engine averages it; prefer hits over queries where both are there.";
}
