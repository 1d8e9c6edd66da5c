//! Fairness ids are bounded, and what is folded is counted.

use std::fmt::Write;

use tokenpath_core::exposition::{Format, Limits};
use tokenpath_core::{Bucket, SeriesKind, Snapshot};
use tokenpath_gateway::{GatewayOptions, GatewayTranslator, OTHER};

fn page(ids: impl Iterator<Item = (String, u32)>) -> String {
    let (mut requests, mut seconds, mut running) = (String::new(), String::new(), String::new());
    for (id, count) in ids {
        writeln!(
            requests,
            "llm_d_epp_request_total{{fairness_id=\"{id}\"}} {count}"
        )
        .unwrap();
        let name = "llm_d_epp_request_duration_seconds";
        for (le, part) in [("1", count / 2), ("+Inf", count)] {
            writeln!(
                seconds,
                "{name}_bucket{{fairness_id=\"{id}\",le=\"{le}\"}} {part}"
            )
            .unwrap();
        }
        writeln!(seconds, "{name}_sum{{fairness_id=\"{id}\"}} {count}").unwrap();
        writeln!(seconds, "{name}_count{{fairness_id=\"{id}\"}} {count}").unwrap();
        writeln!(
            running,
            "llm_d_epp_request_running{{fairness_id=\"{id}\"}} 1"
        )
        .unwrap();
    }
    format!(
        "# TYPE llm_d_epp_request_total counter\n{requests}\
         # TYPE llm_d_epp_request_duration_seconds histogram\n{seconds}\
         # TYPE llm_d_epp_request_running gauge\n{running}"
    )
}

fn limited(limit: usize) -> GatewayTranslator {
    GatewayTranslator::new(GatewayOptions {
        fairness_limit: limit,
        ..GatewayOptions::default()
    })
}

fn read(translator: &mut GatewayTranslator, text: &str, out: &mut Snapshot) {
    translator
        .translate(text.as_bytes(), Format::Text004, out)
        .unwrap();
}

fn requests(out: &Snapshot, id: &str) -> Option<f64> {
    out.value("llm_gateway_requests_total", &[("fairness_id", id)])
}

fn folded(out: &Snapshot) -> Vec<(&'static str, u64)> {
    out.tally().folded().collect()
}

#[test]
fn the_largest_keep_their_series_and_the_rest_adds_up() {
    let mut translator = limited(2);
    let mut out = Snapshot::new();
    let ids = |counts: [u32; 4]| {
        let names = ["a", "b", "c", "d"].map(str::to_owned);
        page(names.into_iter().zip(counts))
    };
    read(&mut translator, &ids([10, 40, 20, 30]), &mut out);
    assert_eq!(requests(&out, "b"), Some(40.0));
    assert_eq!(requests(&out, "d"), Some(30.0));
    assert_eq!(requests(&out, OTHER), Some(30.0));
    assert_eq!(requests(&out, "a"), None);
    assert_eq!(folded(&out), [("fairness_id", 2)]);
    let other = [("fairness_id", OTHER)];
    let histogram = out
        .histogram("llm_gateway_request_duration_seconds", &other)
        .unwrap();
    assert_eq!((histogram.sum, histogram.count), (Some(30.0), Some(30.0)));
    assert_eq!(
        histogram.buckets[0],
        Bucket {
            le: 1.0,
            count: 15.0
        }
    );
    assert_eq!(out.value("llm_gateway_requests_running", &other), Some(2.0));
    // Nobody changes sides as the numbers change, and nothing is counted twice.
    read(&mut translator, &ids([1000, 41, 20, 31]), &mut out);
    assert_eq!(requests(&out, OTHER), Some(1020.0));
    assert_eq!(requests(&out, "b"), Some(41.0));
    assert_eq!(folded(&out), [("fairness_id", 0)]);
}

#[test]
fn an_id_that_was_away_comes_back_as_itself() {
    let mut translator = limited(10);
    let mut out = Snapshot::new();
    let text = |ids: &[&str]| page(ids.iter().map(|id| ((*id).to_owned(), 1)));
    for ids in [&["a"][..], &["b"], &["a"], &["a", "b"]] {
        read(&mut translator, &text(ids), &mut out);
        for id in ["a", "b"] {
            assert_eq!(
                requests(&out, id),
                ids.contains(&id).then_some(1.0),
                "{ids:?}"
            );
        }
        assert_eq!(requests(&out, OTHER), None);
    }
}

#[test]
fn twenty_thousand_ids_stay_within_bounds() {
    let mut options = GatewayOptions::default();
    options.translate.limits = Limits::NONE;
    let mut translator = GatewayTranslator::new(options);
    let mut out = Snapshot::new();
    let text = page((0..20_000).map(|id| (format!("tenant-{id}"), id + 1)));
    read(&mut translator, &text, &mut out);
    let family = out.shape().family("llm_gateway_requests_total").unwrap();
    assert_eq!(family.series().len(), 101);
    assert!(
        family
            .series()
            .all(|series| series.kind() == SeriesKind::Value)
    );
    assert_eq!(folded(&out), [("fairness_id", 19_900)]);
    let total: f64 = family
        .series()
        .filter_map(|series| out.get(series.slot()))
        .sum();
    assert_eq!(Some(total), Some(20_000.0 * 20_001.0 / 2.0));
    assert_eq!(requests(&out, "tenant-19999"), Some(20_000.0));
    assert!(!format!("{translator:?}").contains("tenant-"));
}
