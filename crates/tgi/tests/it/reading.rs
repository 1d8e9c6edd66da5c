//! Every number of a page arrives, under its name, and no other does: held against a mapping that is
//! written here by hand.

use tokenpath_core::exposition::Format;
use tokenpath_core::translate::Verdict;
use tokenpath_core::{DropReason, Snapshot};
use tokenpath_tgi::{CatalogueOptions, Info, TgiOptions, TgiTranslator};

use crate::page::{self, Labels, Numbers, Page, put, recorded};

const MODEL: &str = "tiny/tiny-llama";

/// Upstream and ours, where series go over as they are.
const SAME: [(&str, &str); 21] = [
    ("tgi_request_count", "llm_tgi_handler_calls_total"),
    ("tgi_request_success", "llm_requests_finished_total"),
    ("tgi_request_failure", "llm_requests_finished_total"),
    ("tgi_request_duration", "llm_request_duration_seconds"),
    (
        "tgi_request_validation_duration",
        "llm_request_validation_seconds",
    ),
    ("tgi_request_queue_duration", "llm_request_queue_seconds"),
    (
        "tgi_request_inference_duration",
        "llm_request_inference_seconds",
    ),
    (
        "tgi_request_mean_time_per_token_duration",
        "llm_request_mean_time_per_token_seconds",
    ),
    (
        "tgi_request_generated_tokens",
        "llm_request_generation_tokens",
    ),
    ("tgi_request_input_length", "llm_tgi_scheduled_input_tokens"),
    (
        "tgi_request_max_new_tokens",
        "llm_tgi_scheduled_new_tokens_max",
    ),
    ("tgi_batch_current_size", "llm_requests_running"),
    ("tgi_batch_current_max_tokens", "llm_tgi_batch_tokens_max"),
    ("tgi_batch_inference_count", "llm_tgi_batch_calls_total"),
    (
        "tgi_batch_inference_success",
        "llm_tgi_batch_calls_succeeded_total",
    ),
    (
        "tgi_batch_inference_failure",
        "llm_tgi_batch_calls_failed_total",
    ),
    ("tgi_batch_inference_duration", "llm_tgi_batch_call_seconds"),
    (
        "tgi_batch_forward_duration",
        "llm_tgi_batch_forward_seconds",
    ),
    ("tgi_batch_decode_duration", "llm_tgi_batch_decode_seconds"),
    ("tgi_batch_filter_duration", "llm_tgi_batch_filter_seconds"),
    ("tgi_batch_concat_duration", "llm_tgi_batch_concat_seconds"),
];

fn expected(page: &Page, histogram: bool, model: Option<&str>) -> Numbers {
    let mut numbers = Numbers::new();
    for sample in &page.samples {
        let (family, part) = page.family(sample);
        let mut labels = sample.labels.clone();
        if let Some(model) = model {
            labels.insert("model_name".into(), model.into());
        }
        if let Some(method) = labels.remove("method") {
            labels.insert("phase".into(), method);
        }
        if let Some(err) = labels.remove("err") {
            let reason = match err.as_str() {
                "dropped" => "abort",
                "generation" => "error",
                other => other,
            };
            labels.insert("finish_reason".into(), reason.into());
        }
        if family == "tgi_request_success" {
            labels.insert("finish_reason".into(), "unspecified".into());
        }
        for edge in ["le", "quantile"] {
            if let Some(text) = labels.get_mut(edge) {
                *text = text
                    .trim_start_matches('+')
                    .parse::<f64>()
                    .unwrap()
                    .to_string();
            }
        }
        let mut add = |name: String| put(&mut numbers, name, labels.clone(), sample.value);
        if let Some((_, ours)) = SAME.iter().find(|(upstream, _)| *upstream == family) {
            add(format!("{ours}{part}"));
        }
        match (family, part) {
            ("tgi_queue_size", _) => add("llm_requests_waiting".into()),
            ("tgi_batch_concat", _) => add("llm_tgi_batch_concats_total".into()),
            ("tgi_request_generated_tokens", "_sum") => add("llm_generation_tokens_total".into()),
            ("tgi_request_skipped_tokens", _) => {
                let summary = page.types[family] == "summary";
                let kind = if summary { "_quantiles" } else { "" };
                add(format!("llm_tgi_step_speculated_tokens{kind}{part}"));
                match part {
                    "_sum" => add("llm_tgi_speculated_tokens_total".into()),
                    "_count" => add("llm_tgi_request_steps_total".into()),
                    _ => {}
                }
            }
            ("tgi_batch_next_size", _) => {
                if histogram {
                    add(format!("llm_tgi_next_batch_size{part}"));
                }
                match part {
                    "_sum" => add("llm_tgi_batched_requests_total".into()),
                    "_count" => add("llm_tgi_batches_total".into()),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    numbers
}

/// What `/info` of the recorded server adds.
fn add_info(numbers: &mut Numbers) {
    let model = Labels::from([("model_name".to_owned(), MODEL.to_owned())]);
    let mut engine = model.clone();
    engine.insert("version".into(), "3.3.6-dev0".into());
    put(numbers, "llm_engine_info", engine, 1.0);
    for (name, value) in [
        ("llm_tgi_concurrent_requests_limit", 24.0),
        ("llm_tgi_best_of_limit", 2.0),
        ("llm_tgi_stop_sequences_limit", 4.0),
        ("llm_tgi_input_tokens_limit", 2048.0),
        ("llm_tgi_total_tokens_limit", 4096.0),
        ("llm_tgi_validation_workers", 2.0),
        ("llm_tgi_client_batch_limit", 4.0),
    ] {
        put(numbers, name, model.clone(), value);
    }
}

pub(crate) fn info() -> Info {
    let mut info = Info::default();
    info.model_id = Some(MODEL.into());
    info.version = Some("3.3.6-dev0".into());
    info.max_concurrent_requests = Some(24.0);
    info.max_best_of = Some(2.0);
    info.max_stop_sequences = Some(4.0);
    info.max_input_tokens = Some(2048.0);
    info.max_total_tokens = Some(4096.0);
    info.validation_workers = Some(2.0);
    info.max_client_batch_size = Some(4.0);
    info
}

fn options(histogram: bool) -> TgiOptions {
    let mut catalogue = CatalogueOptions::default();
    catalogue.batch_size_histogram = histogram;
    TgiOptions {
        catalogue,
        ..TgiOptions::default()
    }
}

#[test]
fn every_number_of_every_page_arrives() {
    let pages = page::pages(&page::testdata("tgi"));
    assert!(pages.len() >= 4, "{} pages", pages.len());
    for path in pages {
        let text = std::fs::read_to_string(&path).unwrap();
        let read = Page::read(&text);
        for histogram in [false, true] {
            let mut translator = TgiTranslator::new(options(histogram));
            let mut out = Snapshot::new();
            for known in [false, true] {
                if known {
                    translator.set_info(&info());
                }
                translator
                    .translate(text.as_bytes(), Format::Text004, &mut out)
                    .unwrap();
                let mut expected = expected(&read, histogram, known.then_some(MODEL));
                if known {
                    add_info(&mut expected);
                }
                page::compare(&path.display().to_string(), &expected, &page::held(&out));
                let tally = out.tally();
                assert_eq!(tally.samples, Some(read.samples.len() as u64));
                assert_eq!(tally.unmapped_families, 0, "{}", path.display());
                for reason in DropReason::ALL {
                    assert_eq!(tally.dropped(reason), 0, "{reason:?}");
                }
            }
            let report = translator.report();
            let mapped = |verdict: &Verdict| matches!(verdict, Verdict::Mapped(_));
            assert!(report.families.iter().all(|family| mapped(&family.verdict)));
        }
    }
}

#[test]
fn an_empty_page_is_no_fault_and_no_data() {
    let mut translator = TgiTranslator::new(TgiOptions::default());
    let mut out = Snapshot::new();
    let load = recorded("tgi", "tgi-3.3.7-t1-plain.txt");
    for text in ["", &load, ""] {
        translator
            .translate(text.as_bytes(), Format::Text004, &mut out)
            .unwrap();
        assert_eq!(page::held(&out).is_empty(), text.is_empty());
    }
}

#[test]
fn the_order_of_a_page_does_not_matter() {
    let text = recorded("tgi", "tgi-3.3.7-t4-after.txt");
    let mut translator = TgiTranslator::new(TgiOptions::default());
    page::order_does_not_matter(&text, |text, out| {
        translator.translate(text, Format::Text004, out).unwrap();
    });
}

#[test]
fn the_thousand_buckets_are_there_only_when_asked_for() {
    let text = recorded("tgi", "tgi-3.3.7-t4-after.txt");
    let slots = |histogram| {
        let mut out = Snapshot::new();
        TgiTranslator::new(options(histogram))
            .translate(text.as_bytes(), Format::Text004, &mut out)
            .unwrap();
        out.shape().slots()
    };
    assert_eq!(slots(true) - slots(false), 1024 + 1 + 2);
}

#[test]
fn a_configured_model_name_beats_the_servers() {
    let mut translator = TgiTranslator::new(TgiOptions {
        model_name: Some("mine".into()),
        ..TgiOptions::default()
    });
    translator.set_info(&info());
    let mut out = Snapshot::new();
    let page = b"# TYPE tgi_queue_size gauge\ntgi_queue_size 3\n";
    translator
        .translate(page, Format::Text004, &mut out)
        .unwrap();
    let mine = [("model_name", "mine")];
    assert_eq!(out.value("llm_requests_waiting", &mine), Some(3.0));
    assert_eq!(out.value("llm_tgi_best_of_limit", &mine), Some(2.0));
    assert_eq!(translator.model_name(), Some("mine"));
}
