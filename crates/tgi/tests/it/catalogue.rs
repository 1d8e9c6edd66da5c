//! The catalogue as a table: it works, it is complete, and every name it gives is well formed.

use std::collections::BTreeSet;

use tokenpath_core::MetricType::{self, Counter, Gauge, Histogram, Summary};
use tokenpath_core::lint;
use tokenpath_tgi::{CatalogueOptions, TgiTranslator, compiled};

/// Every family that some TGI release shows or describes, with its type, as read from the sources of
/// those releases: written by hand, not taken from the catalogue.
const UPSTREAM: [(&str, MetricType); 28] = [
    ("tgi_request_count", Counter),
    ("tgi_request_success", Counter),
    ("tgi_request_failure", Counter),
    ("tgi_request_duration", Histogram),
    ("tgi_request_validation_duration", Histogram),
    ("tgi_request_queue_duration", Histogram),
    ("tgi_request_inference_duration", Histogram),
    ("tgi_request_mean_time_per_token_duration", Histogram),
    ("tgi_request_generated_tokens", Histogram),
    ("tgi_request_input_length", Histogram),
    ("tgi_request_max_new_tokens", Histogram),
    ("tgi_request_skipped_tokens", Histogram),
    ("tgi_request_skipped_tokens", Summary),
    ("tgi_batch_current_size", Gauge),
    ("tgi_batch_current_max_tokens", Gauge),
    ("tgi_batch_max_total_tokens", Gauge),
    ("tgi_batch_total_tokens", Gauge),
    ("tgi_batch_next_size", Histogram),
    ("tgi_batch_inference_count", Counter),
    ("tgi_batch_inference_success", Counter),
    ("tgi_batch_inference_failure", Counter),
    ("tgi_batch_inference_duration", Histogram),
    ("tgi_batch_forward_duration", Histogram),
    ("tgi_batch_decode_duration", Histogram),
    ("tgi_batch_filter_duration", Histogram),
    ("tgi_batch_concat_duration", Histogram),
    ("tgi_batch_concat", Counter),
    ("tgi_queue_size", Gauge),
];

fn both() -> [CatalogueOptions; 2] {
    let mut whole = CatalogueOptions::default();
    whole.batch_size_histogram = true;
    [CatalogueOptions::default(), whole]
}

#[test]
fn no_upstream_family_is_unaccounted_for() {
    for options in both() {
        let compiled = compiled(options);
        let catalogue = compiled.catalogue();
        for (name, kind) in UPSTREAM {
            let short = catalogue.strip(name).unwrap();
            let mapped = catalogue
                .rows
                .iter()
                .any(|row| row.upstream == short && row.kind == kind);
            let left_out = catalogue.left_out.iter().any(|entry| entry.matches(name));
            assert!(mapped != left_out, "{name} ({kind})");
        }
        for row in &catalogue.rows {
            let known = UPSTREAM.contains(&(&format!("tgi_{}", row.upstream), row.kind));
            assert!(known, "{} is of no release", row.upstream);
        }
    }
}

#[test]
fn families_have_well_formed_names_and_are_described_once() {
    for options in both() {
        let described = TgiTranslator::describe(options);
        let names: BTreeSet<&str> = described.iter().map(|desc| desc.name()).collect();
        assert_eq!(names.len(), described.len());
        let findings = lint::check_all(described.iter().map(AsRef::as_ref));
        assert!(findings.is_empty(), "{findings:#?}");
        for desc in &described {
            let name = desc.name();
            assert!(name.starts_with("llm_"), "{name}");
            assert!(
                desc.help().ends_with('.') && desc.help().len() > 20,
                "{name}"
            );
            assert!(desc.label_names().is_sorted(), "{name}");
            assert!(desc.label_names().contains(&"model_name"), "{name}");
        }
    }
}

/// OpenMetrics names a counter's family without `_total`: it must not meet another family there.
#[test]
fn no_two_families_share_a_name_in_openmetrics() {
    let [_, whole] = both();
    let described = TgiTranslator::describe(whole);
    let mut seen = BTreeSet::new();
    for desc in described {
        let name = desc.name();
        let family = name
            .strip_suffix("_total")
            .or_else(|| name.strip_suffix("_info"))
            .unwrap_or(name);
        assert!(seen.insert(family.to_owned()), "{name}");
    }
}

#[test]
fn what_tgi_does_not_measure_has_no_row() {
    for desc in TgiTranslator::describe(CatalogueOptions::default()) {
        let absent = [
            "llm_time_to_first_token_seconds",
            "llm_inter_token_latency_seconds",
            "llm_time_per_output_token_seconds",
            "llm_prompt_tokens_total",
            "llm_request_prompt_tokens",
            "llm_kv_cache_usage_ratio",
            "llm_preemptions_total",
        ];
        assert!(!absent.contains(&desc.name()), "{}", desc.name());
    }
}
