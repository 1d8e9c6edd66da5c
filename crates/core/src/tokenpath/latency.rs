//! How long a request takes, whole and in its phases. All in seconds, with the engine's own edges:
//! series of engines that differ in kind or release are not to be summed by `le`.
//!
//! What is observed is a completion: see [`requests`](super::requests).

crate::families! {
    TIME_TO_FIRST_TOKEN = "llm_time_to_first_token_seconds", Histogram, Seconds,
        ["engine", "model_name"],
        "Time from the arrival of a request to its first output token, waiting included; one observation a completion, when that token is there.";
    INTER_TOKEN_LATENCY = "llm_inter_token_latency_seconds", Histogram, Seconds,
        ["engine", "model_name"],
        "Gap between two successive output tokens of a request; one observation a gap.";
    TIME_PER_OUTPUT_TOKEN = "llm_time_per_output_token_seconds", Histogram, Seconds,
        ["engine", "model_name"],
        "Mean gap between the output tokens of one completion, its first token left out; one observation a completion, when it finishes.";
    REQUEST_DURATION = "llm_request_duration_seconds", Histogram, Seconds,
        ["engine", "model_name"],
        "Time from the arrival of a request to its last token; one observation a completion, when it finishes.";
    REQUEST_QUEUE = "llm_request_queue_seconds", Histogram, Seconds,
        ["engine", "model_name"],
        "Time a request waited before it was first scheduled; one observation a completion, when it finishes.";
    REQUEST_PREFILL = "llm_request_prefill_seconds", Histogram, Seconds,
        ["engine", "model_name"],
        "Time from the first scheduling of a request to its first token; one observation a completion, when it finishes.";
    REQUEST_DECODE = "llm_request_decode_seconds", Histogram, Seconds,
        ["engine", "model_name"],
        "Time from the first token of a request to its last; one observation a completion, when it finishes.";
    REQUEST_INFERENCE = "llm_request_inference_seconds", Histogram, Seconds,
        ["engine", "model_name"],
        "Time a request spent running, prefill and decode together; one observation a completion, when it finishes.";
}
