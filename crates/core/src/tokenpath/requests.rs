//! How many requests there are, what they asked for and how they ended.
//!
//! A request may ask for n completions. vLLM's V1 runs each as a request of its own, and counts and
//! observes each: prompt, durations, finish reason. Where nobody asks for more than one, and on
//! engines that count the whole, completions and requests are the same number.

crate::families! {
    RUNNING = "llm_requests_running", Gauge, None, ["engine", "model_name"],
        "Requests in the running batch at the moment of the reading." => Sum;
    WAITING = "llm_requests_waiting", Gauge, None, ["engine", "model_name"],
        "Requests in the queue at the moment of the reading, whatever they wait for." => Sum;
    SWAPPED = "llm_requests_swapped", Gauge, None, ["engine", "model_name"],
        "Requests whose KV blocks were moved out to host memory at the moment of the reading." => Sum;
    FINISHED = "llm_requests_finished_total", Counter, None,
        ["engine", "finish_reason", "model_name"],
        "Requests that came to an end, each completion on its own where the engine runs them so, by the reason: stop and length are successes, abort is the client's, error the engine's; unspecified where the engine does not say.";
    PREEMPTIONS = "llm_preemptions_total", Counter, None, ["engine", "model_name"],
        "Times a running request was put back into the queue for want of KV cache.";
    PROMPT_TOKENS = "llm_request_prompt_tokens", Histogram, None, ["engine", "model_name"],
        "Prompt tokens of a request; one observation a completion, when it finishes, so n of them where a request asks for n.";
    GENERATION_TOKENS = "llm_request_generation_tokens", Histogram, None,
        ["engine", "model_name"],
        "Output tokens of a completion; one observation a completion, when it finishes.";
    MAX_TOKENS = "llm_request_max_tokens", Histogram, None, ["engine", "model_name"],
        "Most output tokens that a request allowed; one observation a completion.";
}
