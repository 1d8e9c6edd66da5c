//! What one step of the engine does.

crate::families! {
    BATCH_SIZE = "llm_batch_size", Gauge, None, ["engine", "model_name"],
        "Requests in the batch that the engine works on, where it reports a batch apart from its running requests." => Sum;
    ITERATION_TOKENS = "llm_iteration_tokens", Histogram, None, ["engine", "model_name"],
        "Tokens that one engine step handled, prefill and decode together; one observation a step.";
}
