//! What becomes of each family on a TGI page.
//!
//! TGI's names carry their type nowhere: a counter has no `_total`, and `tgi_request_count` is a
//! counter of its own, not the count of a histogram. The page's `# TYPE` decides.
//!
//! Three names of the shared model are *not* given, because TGI does not measure them. There is no
//! time to first token: its parts (`llm_request_queue_seconds` and
//! `llm_tgi_batch_call_seconds{phase="prefill"}`) are here, and adding them is an estimate for a
//! recording rule. There is no use of the KV cache. And there is no `llm_prompt_tokens_total`: the
//! sum of `tgi_request_input_length` counts a prompt again each time it is scheduled, and refused
//! ones too, so it stays under [`llm_tgi_scheduled_input_tokens`](crate::families::requests).

use tokenpath_core::MetricType::{Counter, Gauge, Histogram, Summary};
use tokenpath_core::catalogue::{Catalogue, Output, Row};

/// What is chosen about a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CatalogueOptions {
    /// Whether the histogram of batch sizes is taken over with its 1,024 buckets, about 50 KiB a
    /// page. Its sum and count are there in any case.
    pub batch_size_histogram: bool,
}

/// The table. Data only: [`compiled`](crate::compiled) checks it and makes it fit for look-ups.
#[must_use]
pub fn catalogue(options: CatalogueOptions) -> Catalogue {
    let mut rows = [requests(), speculation(), batch(), durations()].concat();
    if options.batch_size_histogram {
        rows.push(
            Row::new("batch_next_size", Histogram)
                .to("llm_tgi_next_batch_size")
                .since("", "0.3.0"),
        );
    }
    Catalogue::new("tgi")
        .prefixes(["tgi_"])
        .rows(rows)
        .left_out(
            "tgi_batch_total_tokens",
            "described by the server and never set: the capacity has no gauge on the page",
        )
}

fn requests() -> Vec<Row> {
    vec![
        Row::new("request_count", Counter)
            .to("llm_tgi_handler_calls_total")
            .since("", "0.5.0")
            .note(
                "Counts entries of handlers, not requests: 2 for a chat completion, 1 + prompts for \
                 a completion, 0 for a body that cannot be read.",
            ),
        Row::new("request_success", Counter)
            .to("llm_requests_finished_total")
            .constant("finish_reason", "unspecified")
            .since("", "0.3.0")
            .note(
                "Answers. TGI does not say whether a stop token or the length ended them. One a \
                 prompt for a completion of several prompts; best_of counts once.",
            ),
        Row::new("request_failure", Counter)
            .to("llm_requests_finished_total")
            .rename_label("err", "finish_reason")
            .map_value("finish_reason", "dropped", "abort")
            .map_value("finish_reason", "generation", "error")
            .since("", "0.3.0")
            .note(
                "A client that hangs up is abort, a failure of the model error; overloaded, \
                 validation, template (1.4.0 and later) and incomplete stay as they are.",
            ),
        Row::new("request_generated_tokens", Histogram)
            .to("llm_request_generation_tokens")
            .since("", "0.3.0")
            .note("Of answers only; with best_of those of the chosen completion."),
        Row::new("request_generated_tokens", Histogram)
            .output(Output::Sum("llm_generation_tokens_total".into()))
            .since("", "0.3.0")
            .note(
                "The sum of the histogram: it moves when a request is answered, and the tokens of \
                 requests that never were are not in it.",
            ),
        Row::new("request_input_length", Histogram)
            .to("llm_tgi_scheduled_input_tokens")
            .since("", "0.3.0")
            .note(
                "Observed once a scheduling, at validation: the sum exceeds the prompts' tokens, so \
                 there is no llm_prompt_tokens_total.",
            ),
        Row::new("request_max_new_tokens", Histogram)
            .to("llm_tgi_scheduled_new_tokens_max")
            .since("", "0.3.0"),
        Row::new("queue_size", Gauge)
            .to("llm_requests_waiting")
            .since("", "0.3.0")
            .note("Not with the trtllm and llamacpp backends of TGI."),
        Row::new("batch_current_size", Gauge)
            .to("llm_requests_running")
            .since("", "0.3.0")
            .note("Not with the trtllm and llamacpp backends of TGI."),
    ]
}

fn speculation() -> Vec<Row> {
    let histogram = || Row::new("request_skipped_tokens", Histogram).during("", "1.3.0", "2.2.0");
    let summary = || Row::new("request_skipped_tokens", Summary).since("", "2.3.0");
    let sum = || Output::Sum("llm_tgi_speculated_tokens_total".into());
    let count = || Output::Count("llm_tgi_request_steps_total".into());
    vec![
        histogram().to("llm_tgi_step_speculated_tokens"),
        histogram().output(sum()),
        histogram().output(count()),
        summary()
            .to("llm_tgi_step_speculated_tokens_quantiles")
            .note(
                "A summary because the call that gave it buckets is commented out since 2.3.0. One \
             observation a request and forward step, whatever the help text says.",
            ),
        summary().output(sum()),
        summary().output(count()),
    ]
}

fn batch() -> Vec<Row> {
    let calls = |upstream: &'static str, family: &'static str, since: &'static str| {
        Row::new(upstream, Counter)
            .to(family)
            .rename_label("method", "phase")
            .since("", since)
    };
    vec![
        Row::new("batch_current_max_tokens", Gauge)
            .to("llm_tgi_batch_tokens_max")
            .since("", "0.7.0"),
        Row::new("batch_max_total_tokens", Gauge)
            .to("llm_tgi_batch_tokens_limit")
            .note(
                "On no page of the releases that were read: it is set before the recorder is \
                 installed, and lost.",
            ),
        Row::new("batch_next_size", Histogram)
            .output(Output::Count("llm_tgi_batches_total".into()))
            .since("", "0.3.0"),
        Row::new("batch_next_size", Histogram)
            .output(Output::Sum("llm_tgi_batched_requests_total".into()))
            .since("", "0.3.0"),
        calls(
            "batch_inference_count",
            "llm_tgi_batch_calls_total",
            "0.5.0",
        ),
        calls(
            "batch_inference_success",
            "llm_tgi_batch_calls_succeeded_total",
            "0.3.0",
        ),
        calls(
            "batch_inference_failure",
            "llm_tgi_batch_calls_failed_total",
            "0.3.0",
        ),
        Row::new("batch_concat", Counter)
            .to("llm_tgi_batch_concats_total")
            .since("", "0.7.0")
            .note("The reason chunking comes with the v3 backend only."),
    ]
}

fn durations() -> Vec<Row> {
    // router/src/server.rs records all of them at once, behind everything that can fail.
    const ANSWERED: &str =
        "Of requests that were answered: what failed, or was refused, is in none.";
    let request = |upstream: &'static str, family: &'static str| {
        Row::new(upstream, Histogram).to(family).since("", "0.3.0")
    };
    let batch = |upstream: &'static str, family: &'static str, since: &'static str| {
        Row::new(upstream, Histogram)
            .to(family)
            .rename_label("method", "phase")
            .since("", since)
    };
    vec![
        request("request_duration", "llm_request_duration_seconds").note(ANSWERED),
        request(
            "request_validation_duration",
            "llm_request_validation_seconds",
        )
        .note(ANSWERED),
        request("request_queue_duration", "llm_request_queue_seconds").note(ANSWERED),
        request(
            "request_inference_duration",
            "llm_request_inference_seconds",
        )
        .note(format!("Prefill and decode together. {ANSWERED}")),
        request(
            "request_mean_time_per_token_duration",
            "llm_request_mean_time_per_token_seconds",
        )
        .note(format!(
            "Inference time over generated tokens: prefill is in it. {ANSWERED}"
        )),
        batch(
            "batch_inference_duration",
            "llm_tgi_batch_call_seconds",
            "0.3.0",
        ),
        batch(
            "batch_forward_duration",
            "llm_tgi_batch_forward_seconds",
            "1.3.3",
        ),
        batch(
            "batch_decode_duration",
            "llm_tgi_batch_decode_seconds",
            "1.3.3",
        ),
        batch(
            "batch_filter_duration",
            "llm_tgi_batch_filter_seconds",
            "1.3.3",
        ),
        batch(
            "batch_concat_duration",
            "llm_tgi_batch_concat_seconds",
            "1.3.3",
        ),
    ]
}
