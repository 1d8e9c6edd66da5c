//! The truth as JSON, so that a test in another process can hold a page, or a whole monitoring
//! stack, against it: what the server answers at `/debug/truth`, which no real engine has.

use std::fmt::Write as _;

use crate::observed::Observed;
use crate::truth::{Quantity, Truth};

impl Quantity {
    /// The quantity's name in `/debug/truth`, with its unit.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TimeToFirstToken => "time_to_first_token_seconds",
            Self::InterToken => "inter_token_latency_seconds",
            Self::PerOutputToken => "time_per_output_token_seconds",
            Self::EndToEnd => "request_duration_seconds",
            Self::Queue => "request_queue_seconds",
            Self::Prefill => "request_prefill_seconds",
            Self::Decode => "request_decode_seconds",
            Self::Inference => "request_inference_seconds",
            Self::PromptTokens => "request_prompt_tokens",
            Self::GenerationTokens => "request_generation_tokens",
            Self::MaxTokens => "request_max_tokens",
            Self::MaxGenerationTokens => "request_max_generation_tokens",
            Self::Sequences => "request_sequences",
            Self::IterationTokens => "iteration_tokens",
            Self::Preemptions => "request_preemptions",
            Self::ComputedPromptTokens => "request_computed_prompt_tokens",
        }
    }
}

/// `{"seconds":…,"engines":[{"NAME":{"count":…,"sum":…,"edges":[…],"cumulative":[…],"p50":…,
/// "p95":…,"p99":…},…},…]}`: for each engine, each quantity since the start. `edges` are all edges
/// that any release uses, `cumulative` the exact counts at them; a percentile is `null` before the
/// first observation.
#[must_use]
pub(crate) fn truth_json(truth: &Truth) -> String {
    let mut json = String::new();
    // Writing to a string does not fail.
    _ = write!(json, "{{\"seconds\":{:?},\"engines\":[", truth.now);
    for (index, engine) in truth.engines.iter().enumerate() {
        json.push_str(if index == 0 { "{" } else { ",{" });
        for (index, quantity) in Quantity::ALL.into_iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            _ = write!(json, "{comma}\"{}\":", quantity.name());
            observed_json(engine.observed(quantity), &mut json);
        }
        json.push('}');
    }
    json.push_str("]}");
    json
}

/// `text` as a JSON string, quotes included.
pub(crate) fn json_text(text: &str) -> String {
    let mut json = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            c if c < ' ' => _ = write!(json, "\\u{:04x}", u32::from(c)),
            c => json.push(c),
        }
    }
    json.push('"');
    json
}

pub(crate) fn observed_json(observed: &Observed, json: &mut String) {
    let edges = observed.edges();
    let list = |numbers: Vec<String>| numbers.join(",");
    let cumulative = edges.iter().filter_map(|edge| observed.cumulative(*edge));
    _ = write!(
        json,
        "{{\"count\":{},\"sum\":{:?},\"edges\":[{}],\"cumulative\":[{}]",
        observed.count(),
        observed.sum(),
        list(edges.iter().map(|edge| format!("{edge:?}")).collect()),
        list(cumulative.map(|count| count.to_string()).collect()),
    );
    for (name, q) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
        let value = observed
            .quantile(q)
            .map_or_else(|| "null".to_owned(), |value| format!("{value:?}"));
        _ = write!(json, ",\"{name}\":{value}");
    }
    json.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Twin};

    #[test]
    fn text_is_escaped() {
        assert_eq!(json_text("a\"b\\c\nd\u{1}é"), r#""a\"b\\c\nd\u0001é""#);
    }

    #[test]
    fn the_truth_of_a_run_is_told_engine_by_engine() {
        let mut twin = Twin::new(Config {
            engines: 2,
            ..Config::default()
        })
        .unwrap();
        let before = truth_json(twin.truth());
        assert!(before.starts_with("{\"seconds\":0.0,\"engines\":[{\"time_to_first_token_seconds\":{\"count\":0,\"sum\":0.0,\"edges\":["), "{before}");
        assert!(before.contains("\"p95\":null"));
        twin.advance(30.0);
        let after = truth_json(twin.truth());
        assert_eq!(after.matches("\"iteration_tokens\":{").count(), 2);
        assert!(!after.contains("null"), "{after}");
    }
}
