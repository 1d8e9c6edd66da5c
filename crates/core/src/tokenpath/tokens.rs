//! Tokens in and out. Rates of these are the throughput.

crate::families! {
    PROMPT = "llm_prompt_tokens_total", Counter, None, ["engine", "model_name"],
        "Prompt tokens of requests that were prefilled, those found in a cache included; once for each completion where the engine runs them on their own.";
    GENERATION = "llm_generation_tokens_total", Counter, None, ["engine", "model_name"],
        "Output tokens produced.";
    PROMPT_CACHED = "llm_prompt_tokens_cached_total", Counter, None, ["engine", "model_name"],
        "Prompt tokens that did not have to be computed because their KV blocks were in a cache.";
    PROMPT_BY_SOURCE = "llm_prompt_tokens_by_source_total", Counter, None,
        ["engine", "model_name", "source"],
        "Prompt tokens by where their KV blocks came from; the sources add up to llm_prompt_tokens_total.";
    PROMPT_RATE = "llm_prompt_tokens_per_second", Gauge, None, ["engine", "model_name"],
        "Prompt tokens a second as the engine averages them over its own window; prefer a rate of llm_prompt_tokens_total." => Sum;
    GENERATION_RATE = "llm_generation_tokens_per_second", Gauge, None, ["engine", "model_name"],
        "Output tokens a second as the engine averages them over its own window; prefer a rate of llm_generation_tokens_total." => Sum;
}
