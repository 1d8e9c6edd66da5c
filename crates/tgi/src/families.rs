//! Families that only TGI fills.
//!
//! What another engine could measure too wears the common `llm_` prefix; what makes sense inside TGI
//! alone wears `llm_tgi_`. The label `phase` is `prefill` or `decode`: TGI calls it `method`.

use std::sync::{Arc, LazyLock};

use tokenpath_core::Desc;

/// The families of this crate, beside the shared ones of [`tokenpath_core::tokenpath`].
#[must_use]
pub fn families() -> &'static [Arc<Desc>] {
    static FAMILIES: LazyLock<Vec<Arc<Desc>>> = LazyLock::new(|| {
        [requests::ALL, speculation::ALL, batch::ALL, limits::ALL]
            .concat()
            .into_iter()
            .map(Arc::new)
            .collect()
    });
    &FAMILIES
}

/// Requests, and the schedulings they are cut into.
pub mod requests {
    tokenpath_core::families! {
        HANDLER_CALLS = "llm_tgi_handler_calls_total", Counter, None, ["model_name"],
            "Calls of TGI's request handlers (tgi_request_count): one for a generate, two for a chat completion, one more than its prompts for a completion. Not a number of requests: that is llm_requests_finished_total.";
        VALIDATION = "llm_request_validation_seconds", Histogram, Seconds, ["model_name"],
            "Time it took to check and tokenize a request; observed when it is answered, so not of requests that failed (tgi_request_validation_duration).";
        MEAN_TIME_PER_TOKEN = "llm_request_mean_time_per_token_seconds", Histogram, Seconds,
            ["model_name"],
            "Running time of a request over its output tokens, prefill included, so neither a gap between tokens nor llm_time_per_output_token_seconds; one observation a request, when it is answered (tgi_request_mean_time_per_token_duration).";
        SCHEDULED_INPUT_TOKENS = "llm_tgi_scheduled_input_tokens", Histogram, None, ["model_name"],
            "Input tokens of a scheduling (tgi_request_input_length). A request that generates more than 1,024 tokens is scheduled again for each further 1,024 with its text so far as input, and one that is refused later is observed too: neither sum nor count are those of the requests.";
        SCHEDULED_NEW_TOKENS = "llm_tgi_scheduled_new_tokens_max", Histogram, None, ["model_name"],
            "Most output tokens that a scheduling may give, 1,024 or fewer (tgi_request_max_new_tokens); one observation a scheduling.";
    }
}

/// Speculative decoding as TGI counts it: per request and forward step.
pub mod speculation {
    tokenpath_core::families! {
        TOKENS = "llm_tgi_speculated_tokens_total", Counter, None, ["model_name"],
            "Tokens that came out of speculation, beyond the one a step gives anyway (sum of tgi_request_skipped_tokens).";
        STEPS = "llm_tgi_request_steps_total", Counter, None, ["model_name"],
            "Forward steps counted once for each request in them (count of tgi_request_skipped_tokens).";
        STEP_TOKENS = "llm_tgi_step_speculated_tokens", Histogram, None, ["model_name"],
            "Speculated tokens of one request in one forward step, from releases that have a histogram of them (1.3.0 to 2.2.0).";
        STEP_TOKENS_QUANTILES = "llm_tgi_step_speculated_tokens_quantiles", Summary, None, ["model_name"],
            "Speculated tokens of one request in one forward step, from releases that have quantiles of them (2.3.0 and later).";
    }
}

/// The batch and its forward calls.
pub mod batch {
    tokenpath_core::families! {
        TOKENS_MAX = "llm_tgi_batch_tokens_max", Gauge, None, ["model_name"],
            "Tokens that the running batch may come to, prompts and outputs, when all its requests use what they may (tgi_batch_current_max_tokens)." => Sum;
        BATCHES = "llm_tgi_batches_total", Counter, None, ["model_name"],
            "Batches that were taken from the queue (count of tgi_batch_next_size).";
        BATCHED = "llm_tgi_batched_requests_total", Counter, None, ["model_name"],
            "Requests in the batches that were taken from the queue (sum of tgi_batch_next_size).";
        NEXT_SIZE = "llm_tgi_next_batch_size", Histogram, None, ["model_name"],
            "Requests in a batch when it was taken from the queue, in 1,024 buckets (tgi_batch_next_size); only where it is asked for.";
        CALLS = "llm_tgi_batch_calls_total", Counter, None, ["model_name", "phase"],
            "Calls of the model for a batch, begun (tgi_batch_inference_count).";
        CALLS_SUCCEEDED = "llm_tgi_batch_calls_succeeded_total", Counter, None,
            ["model_name", "phase"],
            "Calls of the model for a batch that came back well (tgi_batch_inference_success).";
        CALLS_FAILED = "llm_tgi_batch_calls_failed_total", Counter, None, ["model_name", "phase"],
            "Calls of the model for a batch that failed (tgi_batch_inference_failure).";
        CALL_SECONDS = "llm_tgi_batch_call_seconds", Histogram, Seconds, ["model_name", "phase"],
            "Time of one call of the model for a batch that came back well; failed calls are counted and not timed (tgi_batch_inference_duration). A request has one prefill call a scheduling and a decode call a step.";
        FORWARD = "llm_tgi_batch_forward_seconds", Histogram, Seconds, ["model_name", "phase"],
            "Part of a call that the forward pass took (tgi_batch_forward_duration).";
        DETOKENIZE = "llm_tgi_batch_decode_seconds", Histogram, Seconds, ["model_name", "phase"],
            "Part of a call that choosing and decoding the tokens took (tgi_batch_decode_duration).";
        FILTER = "llm_tgi_batch_filter_seconds", Histogram, Seconds, ["model_name", "phase"],
            "Time it took to send the tokens on and take finished requests out of the batch (tgi_batch_filter_duration).";
        CONCATS = "llm_tgi_batch_concats_total", Counter, None, ["model_name", "reason"],
            "Batches that were joined to the running one, by the reason: backpressure, wait_exceeded, chunking (tgi_batch_concat).";
        CONCAT_SECONDS = "llm_tgi_batch_concat_seconds", Histogram, Seconds, ["model_name", "phase"],
            "Time it took to join a batch to the running one (tgi_batch_concat_duration).";
    }
}

/// What the server was started with, from `GET /info`; absent where it does not say.
pub mod limits {
    tokenpath_core::families! {
        CONCURRENT_REQUESTS = "llm_tgi_concurrent_requests_limit", Gauge, None, ["model_name"],
            "Requests that are taken at once; more are refused as overloaded (max_concurrent_requests)." => Sum;
        INPUT_TOKENS = "llm_tgi_input_tokens_limit", Gauge, None, ["model_name"],
            "Most input tokens of a request (max_input_tokens, before 2.0 max_input_length).";
        TOTAL_TOKENS = "llm_tgi_total_tokens_limit", Gauge, None, ["model_name"],
            "Most tokens of a request, input and output (max_total_tokens).";
        BATCH_TOKENS = "llm_tgi_batch_tokens_limit", Gauge, None, ["model_name"],
            "Most tokens in a batch (max_batch_total_tokens; the releases that do not say it in /info do not say it anywhere).";
        CLIENT_BATCH = "llm_tgi_client_batch_limit", Gauge, None, ["model_name"],
            "Most inputs in one request of a client (max_client_batch_size).";
        BEST_OF = "llm_tgi_best_of_limit", Gauge, None, ["model_name"],
            "Most completions that a request may have generated to choose from (max_best_of).";
        STOP_SEQUENCES = "llm_tgi_stop_sequences_limit", Gauge, None, ["model_name"],
            "Most stop sequences of a request (max_stop_sequences).";
        VALIDATION_WORKERS = "llm_tgi_validation_workers", Gauge, None, ["model_name"],
            "Threads that check and tokenize requests (validation_workers)." => Sum;
    }
}
