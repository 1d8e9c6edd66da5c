//! Whole pages, word for word, and what must never stand on one.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

use std::path::Path;
use std::sync::Arc;

use tokenpath_core::exposition::{Encoder, Format, Part};
use tokenpath_core::{
    Bucket, Desc, Histogram, LabelSet, MetricType, QuantileValue, Snapshot, Summary, Unit,
};

fn desc(name: &str, kind: MetricType, unit: Unit, help: &str) -> Arc<Desc> {
    Arc::new(Desc::owned(name.into(), kind, unit, help.into()))
}

fn gauge(name: &str) -> Arc<Desc> {
    desc(name, MetricType::Gauge, Unit::None, "Help.")
}

fn buckets(counts: &[(f64, f64)]) -> Histogram {
    Histogram {
        buckets: counts
            .iter()
            .map(|&(le, count)| Bucket { le, count })
            .collect(),
        sum: Some(12.5),
        count: counts.last().map(|bucket| bucket.1),
    }
}

fn encode(format: Format, parts: &[(&Snapshot, &LabelSet)]) -> (String, Encoder) {
    let parts: Vec<_> = parts
        .iter()
        .map(|&(snapshot, labels)| Part { snapshot, labels })
        .collect();
    let mut encoder = Encoder::new(format);
    let mut page =
        b"what an earlier page left behind, and more of it than the new one needs".to_vec();
    encoder.encode(&parts, &mut page);
    (String::from_utf8(page).unwrap(), encoder)
}

fn page(format: Format, snapshot: &Snapshot) -> String {
    encode(format, &[(snapshot, &LabelSet::default())]).0
}

/// The page is the one in the file; `UPDATE=1` writes the file instead.
fn assert_golden(name: &str, page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/encoder_page")
        .join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, page).unwrap();
    } else {
        assert_eq!(page, std::fs::read_to_string(path).unwrap());
    }
}

fn everything() -> Snapshot {
    let mut snapshot = Snapshot::new();
    snapshot
        .family(&desc(
            "x_tokens_total",
            MetricType::Counter,
            Unit::None,
            "Tokens \"out\"\nand \\ more.",
        ))
        .sample(&[("model_name", "a\"b\\c\nd"), ("engine", "0")], 1234.0)
        .sample(&[("engine", "1")], 0.5);
    snapshot
        .family(&desc("x_bytes", MetricType::Gauge, Unit::Bytes, "Bytes."))
        .sample(&[], -7.25);
    snapshot
        .family(&desc(
            "x_wait_seconds",
            MetricType::Histogram,
            Unit::Seconds,
            "Wait.",
        ))
        .histogram(
            &[("engine", "0")],
            &buckets(&[(0.005, 1.0), (1.0, 2.0), (1e6, 2.0), (f64::INFINITY, 3.0)]),
        );
    snapshot
        .family(&desc(
            "x_rpc_seconds",
            MetricType::Summary,
            Unit::Seconds,
            "Calls.",
        ))
        .summary(
            &[],
            &Summary {
                quantiles: vec![
                    QuantileValue {
                        quantile: 0.5,
                        value: 0.25,
                    },
                    QuantileValue {
                        quantile: 1.0,
                        value: 2.0,
                    },
                ],
                sum: Some(8.0),
                count: Some(9.0),
            },
        );
    snapshot
        .family(&desc(
            "x_build_info",
            MetricType::Info,
            Unit::None,
            "Build.",
        ))
        .sample(&[("version", "1.2")], 1.0);
    snapshot
        .family(&desc(
            "x_bound",
            MetricType::StateSet,
            Unit::None,
            "Bound by.",
        ))
        .sample(&[("x_bound", "compute")], 1.0)
        .sample(&[("x_bound", "memory")], 0.0);
    snapshot
        .family(&desc(
            "x_odd",
            MetricType::Counter,
            Unit::None,
            "A counter without the suffix.",
        ))
        .sample(&[], 3.0);
    snapshot
        .family(&desc("x_unknown", MetricType::Unknown, Unit::None, ""))
        .sample(&[], f64::INFINITY);
    snapshot
        .family(&desc(
            "x_sizes",
            MetricType::GaugeHistogram,
            Unit::None,
            "Sizes.",
        ))
        .histogram(&[], &buckets(&[(2.0, 1.0), (f64::INFINITY, 1.0)]));
    snapshot
}

#[test]
fn a_text_page_word_for_word() {
    let labels = LabelSet::new([("backend", "vllm"), ("target", "h:1")]);
    let (page, encoder) = encode(Format::Text004, &[(&everything(), &labels)]);
    assert_golden("text-0.0.4.txt", &page);
    assert!(encoder.refused().is_none());
    let (same, _) = encode(Format::Text100, &[(&everything(), &labels)]);
    assert_eq!(same, page);
}

#[test]
fn an_openmetrics_page_word_for_word() {
    let labels = LabelSet::new([("backend", "vllm"), ("target", "h:1")]);
    let (page, encoder) = encode(Format::OpenMetrics100, &[(&everything(), &labels)]);
    assert_golden("openmetrics-1.0.txt", &page);
    assert!(encoder.refused().is_none());
}

#[test]
fn a_family_stands_once_whatever_number_of_parts_have_it() {
    let (b, a) = (gauge("b"), gauge("a"));
    let other_help = desc("a", MetricType::Gauge, Unit::None, "Another help.");
    let (mut one, mut two) = (Snapshot::new(), Snapshot::new());
    one.family(&b).sample(&[], 1.0);
    one.family(&a).sample(&[], 2.0);
    two.family(&other_help).sample(&[], 3.0);
    two.family(&b).sample(&[], 4.0);
    let labels = ["1", "2"].map(|target| LabelSet::new([("target", target)]));
    let (page, encoder) = encode(Format::Text004, &[(&one, &labels[0]), (&two, &labels[1])]);
    assert_eq!(
        page,
        "# HELP a Help.\n# TYPE a gauge\na{target=\"1\"} 2\na{target=\"2\"} 3\n\
         # HELP b Help.\n# TYPE b gauge\nb{target=\"1\"} 1\nb{target=\"2\"} 4\n"
    );
    assert!(encoder.refused().is_none());
}

#[test]
fn absent_is_absent_and_a_family_without_values_has_no_header() {
    let (a, b) = (gauge("a"), gauge("b"));
    let mut snapshot = Snapshot::new();
    snapshot
        .family(&a)
        .sample(&[("x", "1")], 1.0)
        .sample(&[("x", "2")], 2.0);
    snapshot.family(&b).sample(&[], 0.0);
    let labels = LabelSet::default();
    let mut encoder = Encoder::new(Format::Text004);
    let mut page = Vec::new();
    let mut write = |snapshot: &Snapshot| {
        encoder.encode(
            &[Part {
                snapshot,
                labels: &labels,
            }],
            &mut page,
        );
        String::from_utf8(page.clone()).unwrap()
    };
    assert!(write(&snapshot).ends_with("b 0\n"));
    snapshot.clear();
    snapshot.family(&a).sample(&[("x", "2")], 3.0);
    assert_eq!(
        write(&snapshot),
        "# HELP a Help.\n# TYPE a gauge\na{x=\"2\"} 3\n"
    );
    snapshot.clear();
    assert_eq!(write(&snapshot), "");
}

#[test]
fn a_family_of_another_type_is_refused_and_counted() {
    let (mut one, mut two) = (Snapshot::new(), Snapshot::new());
    one.family(&gauge("a")).sample(&[], 1.0);
    two.family(&desc("a", MetricType::Counter, Unit::None, "Help."))
        .sample(&[("x", "1")], 2.0);
    let none = LabelSet::default();
    let (page, encoder) = encode(Format::Text004, &[(&one, &none), (&two, &none)]);
    assert_eq!(page, "# HELP a Help.\n# TYPE a gauge\na 1\n");
    assert_eq!(encoder.refused().families, 1);
}

#[test]
fn a_family_cannot_take_the_sample_names_of_another() {
    for format in Format::ALL {
        let mut snapshot = Snapshot::new();
        snapshot.family(&gauge("a_count")).sample(&[], 1.0);
        snapshot
            .family(&desc("a", MetricType::Histogram, Unit::None, "Help."))
            .histogram(&[], &buckets(&[(f64::INFINITY, 3.0)]));
        let (page, encoder) = encode(format, &[(&snapshot, &LabelSet::default())]);
        assert!(
            page.contains("a_count 3\n") && !page.contains("a_count 1\n"),
            "{page}"
        );
        assert_eq!(encoder.refused().families, 1);
    }
}

#[test]
fn equal_series_stand_once_and_the_first_that_has_a_value_wins() {
    let a = gauge("a");
    let (mut one, mut two) = (Snapshot::new(), Snapshot::new());
    // An empty label is no label, and both names become `x_y`.
    one.family(&a)
        .sample(&[("x", "1"), ("empty", "")], 1.0)
        .sample(&[("x.y", "1")], 5.0);
    two.family(&a)
        .sample(&[("x", "1")], 2.0)
        .sample(&[("x_y", "1")], 6.0);
    let none = LabelSet::default();
    let mut encoder = Encoder::new(Format::Text004);
    let mut page = Vec::new();
    let mut write = |encoder: &mut Encoder, one: &Snapshot| {
        let parts = [one, &two].map(|snapshot| Part {
            snapshot,
            labels: &none,
        });
        encoder.encode(&parts, &mut page);
        String::from_utf8(page.clone()).unwrap()
    };
    assert_eq!(
        write(&mut encoder, &one),
        "# HELP a Help.\n# TYPE a gauge\na{empty=\"\",x=\"1\"} 1\na{x_y=\"1\"} 5\n"
    );
    assert_eq!(encoder.refused().duplicates, 2);
    one.clear();
    assert_eq!(
        write(&mut encoder, &one),
        "# HELP a Help.\n# TYPE a gauge\na{x=\"1\"} 2\na{x_y=\"1\"} 6\n"
    );
    assert!(encoder.refused().is_none());
}

#[test]
fn a_histogram_is_whole_or_not_there() {
    let h = desc("h", MetricType::Histogram, Unit::None, "");
    let write = |histogram: &Histogram, format| {
        let mut snapshot = Snapshot::new();
        snapshot.family(&h).histogram(&[], histogram);
        let (page, encoder) = encode(format, &[(&snapshot, &LabelSet::default())]);
        (
            page.replace("# TYPE h histogram\n", ""),
            encoder.refused().values,
        )
    };
    let bucket = |le, count| Bucket { le, count };
    let whole = |buckets: &[Bucket], sum, count| Histogram {
        buckets: buckets.to_vec(),
        sum,
        count,
    };
    let (text, openmetrics) = (Format::Text004, Format::OpenMetrics100);
    // No +Inf bucket: the count is one.
    let no_infinity = whole(&[bucket(1.0, 2.0)], Some(3.0), Some(4.0));
    assert_eq!(
        write(&no_infinity, text),
        (
            "h_bucket{le=\"1.0\"} 2\nh_bucket{le=\"+Inf\"} 4\nh_sum 3\nh_count 4\n".into(),
            0
        )
    );
    // No count: the +Inf bucket is one.
    let no_count = whole(&[bucket(1.0, 2.0), bucket(f64::INFINITY, 4.0)], None, None);
    assert_eq!(
        write(&no_count, text),
        (
            "h_bucket{le=\"1.0\"} 2\nh_bucket{le=\"+Inf\"} 4\nh_count 4\n".into(),
            0
        )
    );
    // OpenMetrics: a count if and only if a sum.
    assert_eq!(
        write(&no_count, openmetrics),
        (
            "h_bucket{le=\"1.0\"} 2\nh_bucket{le=\"+Inf\"} 4\n# EOF\n".into(),
            0
        )
    );
    // Neither: nobody could read it as a histogram.
    assert_eq!(
        write(&whole(&[bucket(1.0, 2.0)], Some(3.0), None), text),
        (String::new(), 2)
    );
    // A sum that may fall is none in OpenMetrics.
    let negative = whole(
        &[bucket(-1.0, 2.0), bucket(f64::INFINITY, 4.0)],
        Some(-3.0),
        Some(4.0),
    );
    assert!(write(&negative, text).0.contains("h_sum -3\n"));
    assert!(!write(&negative, openmetrics).0.contains("h_sum"));
}

#[test]
fn values_that_a_type_cannot_have_are_refused_and_counted() {
    let counter = desc("a_total", MetricType::Counter, Unit::None, "");
    let info = desc("b_info", MetricType::Info, Unit::None, "");
    let states = desc("c", MetricType::StateSet, Unit::None, "");
    let mut snapshot = Snapshot::new();
    snapshot
        .family(&counter)
        .sample(&[], -1.0)
        .sample(&[("x", "1")], 1.0);
    snapshot.family(&info).sample(&[], 2.0);
    snapshot.family(&states).sample(&[("c", "x")], 0.5);
    let none = LabelSet::default();
    let (page, encoder) = encode(Format::OpenMetrics100, &[(&snapshot, &none)]);
    assert_eq!(page, "# TYPE a counter\na_total{x=\"1\"} 1\n# EOF\n");
    assert_eq!(encoder.refused().values, 3);
    let (_, encoder) = encode(Format::Text004, &[(&snapshot, &none)]);
    assert_eq!(encoder.refused().values, 1);
}

#[test]
fn names_that_cannot_stand_are_made_legal() {
    let mut snapshot = Snapshot::new();
    snapshot
        .family(&gauge("a.b-c"))
        .sample(&[("x y", "1"), ("le", "2")], 1.0);
    snapshot.family(&gauge("9")).sample(&[], 2.0);
    assert_eq!(
        page(Format::Text004, &snapshot),
        "# HELP _9 Help.\n# TYPE _9 gauge\n_9 2\n\
         # HELP a_b_c Help.\n# TYPE a_b_c gauge\na_b_c{exported_le=\"2\",x_y=\"1\"} 1\n"
    );
}

#[test]
fn nothing_is_a_page() {
    assert_eq!(page(Format::Text004, &Snapshot::new()), "");
    assert_eq!(page(Format::OpenMetrics100, &Snapshot::new()), "# EOF\n");
    assert_eq!(encode(Format::OpenMetrics100, &[]).0, "# EOF\n");
}

#[test]
fn parts_come_and_go_and_change_their_shape() {
    let (a, b) = (gauge("a"), gauge("b"));
    let mut snapshots: Vec<Snapshot> = Vec::new();
    let mut labels: Vec<LabelSet> = Vec::new();
    for index in 0..5 {
        let mut snapshot = Snapshot::new();
        snapshot.family(&a).sample(&[], f64::from(index));
        snapshots.push(snapshot);
        labels.push(LabelSet::new([("target", index.to_string())]));
    }
    let mut warm = Encoder::new(Format::Text004);
    let mut page = Vec::new();
    let picks: [&[usize]; 6] = [&[0, 1, 2], &[2, 1, 0], &[4], &[0, 1, 2, 3, 4], &[], &[3, 3]];
    for round in 0..3 {
        for pick in picks {
            let parts: Vec<_> = pick
                .iter()
                .map(|&index| Part {
                    snapshot: &snapshots[index],
                    labels: &labels[index],
                })
                .collect();
            warm.encode(&parts, &mut page);
            let mut cold = Encoder::new(Format::Text004);
            let mut fresh = Vec::new();
            cold.encode(&parts, &mut fresh);
            assert_eq!(page, fresh);
            assert_eq!(warm.refused(), cold.refused());
        }
        snapshots[round].family(&b).sample(&[("round", "x")], 1.0);
    }
    assert!(warm.memory() > 0);
}
