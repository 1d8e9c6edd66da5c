//! Recorded pages go out in protobuf with the values they have in text, and with their exemplars.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

#[path = "../../../testdata/page.rs"]
mod page;
#[path = "../../../testdata/protobuf.rs"]
mod protobuf;

use tokenpath_core::exposition::{Encoder, Format, PageFormat, Part, check};
use tokenpath_core::translate::{TranslateOptions, Translator};
use tokenpath_core::{LabelSet, Snapshot};

fn translated(text: &str) -> Snapshot {
    let mut translator = Translator::new(tokenpath_vllm::compiled(), TranslateOptions::default());
    let mut snapshot = Snapshot::new();
    let format = Format::sniff(text.as_bytes(), None);
    translator
        .translate(text.as_bytes(), format, &mut snapshot)
        .unwrap();
    snapshot
}

fn encoded(snapshot: &Snapshot, format: PageFormat) -> Vec<u8> {
    let labels = LabelSet::new([("backend", "vllm"), ("target", "10.0.0.7:8000")]);
    let part = Part {
        snapshot,
        labels: &labels,
    };
    let mut page = Vec::new();
    Encoder::new(format).encode(&[part], &mut page);
    page
}

#[test]
fn every_recorded_page_has_the_same_values() {
    let mut samples = 0;
    for path in page::pages(&page::testdata("vllm")) {
        let snapshot = translated(&std::fs::read_to_string(&path).unwrap());
        let text = String::from_utf8(encoded(&snapshot, PageFormat::Text004)).unwrap();
        let expected = protobuf::numbers_of_text(&text);
        samples += expected.len();
        let found = protobuf::numbers(&encoded(&snapshot, PageFormat::Protobuf));
        page::compare(&path.display().to_string(), &expected, &found);
    }
    assert!(samples > 5000, "{samples}");
}

#[test]
fn exemplars_of_a_server_stand_on_its_bucket_and_its_counter() {
    let bucket = "vllm_time_to_first_token_seconds_bucket{engine=\"0\",le=\"0.25\"";
    let counter = "vllm_generation_tokens_total{";
    let mut theirs = String::new();
    for line in page::recorded("vllm", "vllm-0.33.0-V1-openmetrics.txt").lines() {
        theirs.push_str(line);
        if line.starts_with(bucket) {
            theirs.push_str(" # {trace_id=\"4bf92f35\"} 0.19 1520879607.789");
        } else if line.starts_with(counter) {
            theirs.push_str(" # {trace_id=\"00f067aa\"} 17");
        }
        theirs.push('\n');
    }
    let snapshot = translated(&theirs);
    let openmetrics = encoded(&snapshot, PageFormat::OpenMetrics100);
    assert_eq!(check(&openmetrics, Format::OpenMetrics100), []);
    let openmetrics = String::from_utf8(openmetrics).unwrap();
    let of_line = |line: &str| {
        let line = line.split_once(" # ")?;
        Some(format!("{} # {}", line.0.split('{').next()?, line.1))
    };
    let found: Vec<String> = openmetrics.lines().filter_map(of_line).collect();
    assert_eq!(
        found,
        [
            "llm_generation_tokens_total # {trace_id=\"00f067aa\"} 17",
            "llm_time_to_first_token_seconds_bucket # {trace_id=\"4bf92f35\"} 0.19 1520879607.789",
        ]
    );
    assert!(openmetrics.contains("le=\"0.25\"} 11 # {trace_id=\"4bf92f35\"}"));
    let text = String::from_utf8(encoded(&snapshot, PageFormat::Text004)).unwrap();
    assert!(!text.contains("trace_id"));

    let families = protobuf::families(&encoded(&snapshot, PageFormat::Protobuf));
    let metrics = families.iter().flat_map(|family| &family.metric);
    let buckets = metrics.filter_map(|metric| metric.histogram.as_ref());
    let bounds: Vec<_> = buckets
        .flat_map(|histogram| &histogram.bucket)
        .filter(|bucket| bucket.exemplar.is_some())
        .map(|bucket| bucket.upper_bound.unwrap())
        .collect();
    assert_eq!(bounds, [0.25]);
}
