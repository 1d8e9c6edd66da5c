//! The router's page: every family on first use, none before.

use super::{Counters, Passes};
use crate::observed::Observed;
use crate::page::{Family, Kind, Series, Value, rust_page};
use crate::random::Random;
use crate::truth::EngineTruth;

/// A family of the page. `values` has a value for each value of `label`; what was never used is left out.
fn family<'a>(
    kind: Kind,
    name: &'static str,
    help: Option<&'static str>,
    label: &'static str,
    values: Vec<(&'static str, Value<'a>)>,
) -> Family<'a> {
    let used = |value: &Value<'_>| match value {
        Value::Number(number) => kind == Kind::Gauge || *number > 0.0,
        Value::Observed(observed) => observed.count() > 0,
    };
    let series = values
        .into_iter()
        .filter(|(_, value)| used(value))
        .map(|(name, value)| Series {
            labels: if label.is_empty() {
                Vec::new()
            } else {
                vec![(label, name.to_owned())]
            },
            value,
        })
        .collect();
    Family {
        name,
        help,
        kind,
        series,
    }
}

/// The page of a router that has counted `counters` over `engine`; `order` decides what stands where.
pub(crate) fn page(counters: &Counters, engine: &EngineTruth, order: &mut Random) -> String {
    let plain = |value| vec![("", value)];
    let counter =
        |name, help, value| family(Kind::Counter, name, help, "", plain(Value::count(value)));
    let gauge = |name, help, value| {
        let values = if counters.ran {
            plain(Value::count(value))
        } else {
            Vec::new()
        };
        family(Kind::Gauge, name, Some(help), "", values)
    };
    let histogram = |name, help, observed| {
        family(
            Kind::Histogram,
            name,
            Some(help),
            "",
            plain(Value::of(observed)),
        )
    };
    let methods = |value: fn(&Passes) -> u64| {
        vec![
            ("prefill", Value::count(value(&counters.prefill))),
            ("decode", Value::count(value(&counters.decode))),
        ]
    };
    let by_method = |name, help, observed: fn(&Passes) -> &Observed| {
        let values = vec![
            ("prefill", Value::of(observed(&counters.prefill))),
            ("decode", Value::of(observed(&counters.decode))),
        ];
        family(Kind::Histogram, name, Some(help), "method", values)
    };
    let failures = counters.failures.iter();
    let c = counters;
    let families = vec![
        counter(
            "tgi_request_count",
            Some("Total number of requests"),
            c.entries,
        ),
        counter(
            "tgi_request_success",
            Some("Number of successful requests"),
            c.successes,
        ),
        family(
            Kind::Counter,
            "tgi_request_failure",
            None,
            "err",
            failures
                .map(|(f, &n)| (f.as_str(), Value::count(n)))
                .collect(),
        ),
        family(
            Kind::Counter,
            "tgi_batch_concat",
            None,
            "reason",
            vec![("chunking", Value::count(c.concatenations))],
        ),
        family(
            Kind::Counter,
            "tgi_batch_inference_count",
            Some("Inference calls per method (prefill or decode)"),
            "method",
            methods(Passes::calls),
        ),
        family(
            Kind::Counter,
            "tgi_batch_inference_success",
            Some("Number of successful inference calls per method (prefill or decode)"),
            "method",
            methods(|passes| passes.duration.count()),
        ),
        family(
            Kind::Counter,
            "tgi_batch_inference_failure",
            None,
            "method",
            methods(|passes| passes.failures),
        ),
        gauge(
            "tgi_batch_current_size",
            "Current batch size",
            engine.running,
        ),
        gauge(
            "tgi_batch_current_max_tokens",
            "Maximum tokens for the current batch",
            if engine.running == 0 {
                0
            } else {
                c.batch_tokens_max
            },
        ),
        gauge("tgi_queue_size", "Current queue size", engine.waiting),
        histogram("tgi_request_duration", "Request duration", &c.duration),
        histogram(
            "tgi_request_validation_duration",
            "Request validation duration",
            &c.validation,
        ),
        histogram(
            "tgi_request_queue_duration",
            "Request queue duration",
            &c.queue,
        ),
        histogram(
            "tgi_request_inference_duration",
            "Request inference duration",
            &c.inference,
        ),
        histogram(
            "tgi_request_mean_time_per_token_duration",
            "Mean time per token per request",
            &c.per_token,
        ),
        histogram(
            "tgi_request_generated_tokens",
            "Generated tokens per request",
            &c.generated,
        ),
        histogram(
            "tgi_request_input_length",
            "Input token length per request",
            &c.input,
        ),
        histogram(
            "tgi_request_max_new_tokens",
            "Maximum new tokens per request",
            &c.max_new,
        ),
        family(
            Kind::Summary,
            "tgi_request_skipped_tokens",
            Some("Speculated tokens per request"),
            "",
            plain(Value::of(&c.skipped)),
        ),
        histogram(
            "tgi_batch_next_size",
            "Batch size of the next batch",
            &c.next_size,
        ),
        by_method(
            "tgi_batch_inference_duration",
            "Batch inference duration",
            |p| &p.duration,
        ),
        by_method(
            "tgi_batch_forward_duration",
            "Batch forward duration per method (prefill or decode)",
            |p| &p.forward,
        ),
        by_method(
            "tgi_batch_decode_duration",
            "Time spent decoding a batch per method (prefill or decode)",
            |p| &p.decode,
        ),
        by_method(
            "tgi_batch_filter_duration",
            "Time spent filtering batches and sending generated tokens per method (prefill or decode)",
            |p| &p.filter,
        ),
        family(
            Kind::Histogram,
            "tgi_batch_concat_duration",
            None,
            "method",
            vec![("decode", Value::of(&c.concat))],
        ),
    ];
    rust_page(families, order)
}
