//! Families under other names, in other units, alone and several dialects at once.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

use std::sync::Arc;

use tokenpath_core::dialect::{Dialect, DialectError, Matcher, Quantity, Row, Spoken};
use tokenpath_core::exposition::{Encoder, Format, Part, Refused};
use tokenpath_core::{Bucket, Desc, Histogram, LabelSet, MetricType, Snapshot, Unit};

fn desc(name: &'static str, kind: MetricType, unit: Unit) -> Arc<Desc> {
    Arc::new(Desc::new(name, kind, unit, ""))
}

fn families() -> Vec<Arc<Desc>> {
    vec![
        desc("llm_requests_waiting", MetricType::Gauge, Unit::None),
        desc("llm_kv_cache_usage_ratio", MetricType::Gauge, Unit::Ratio),
        desc(
            "llm_prefix_cache_queries_total",
            MetricType::Counter,
            Unit::None,
        ),
        desc(
            "llm_prefix_cache_hits_total",
            MetricType::Counter,
            Unit::None,
        ),
        desc(
            "llm_request_duration_seconds",
            MetricType::Histogram,
            Unit::Seconds,
        ),
    ]
}

fn snapshot() -> Snapshot {
    let families = families();
    let mut snapshot = Snapshot::new();
    snapshot
        .family(&families[0])
        .sample(&[("model_name", "m"), ("engine", "0")], 3.0);
    snapshot
        .family(&families[1])
        .sample(&[("model_name", "m")], 0.25);
    snapshot
        .family(&families[2])
        .sample(&[("cache", "local")], 10.0)
        .sample(&[("cache", "external")], 7.0)
        .sample(&[("cache", "none")], 0.0);
    snapshot
        .family(&families[3])
        .sample(&[("cache", "external")], 9.0)
        .sample(&[("cache", "local")], 4.0)
        .sample(&[("cache", "none")], 0.0);
    snapshot.family(&families[4]).histogram(
        &[],
        &Histogram {
            buckets: vec![
                Bucket {
                    le: 0.5,
                    count: 1.0,
                },
                Bucket {
                    le: f64::INFINITY,
                    count: 2.0,
                },
            ],
            sum: Some(1.5),
            count: Some(2.0),
        },
    );
    snapshot
}

fn speak(dialects: &[Dialect], labels: &LabelSet) -> (String, Refused) {
    let spoken = Spoken::new(dialects, &families()).unwrap();
    let mut encoder = Encoder::with_dialects(Format::Text004, spoken);
    let mut page = Vec::new();
    encoder.encode(
        &[Part {
            snapshot: &snapshot(),
            labels,
        }],
        &mut page,
    );
    (String::from_utf8(page).unwrap(), encoder.refused())
}

fn rows(rows: Vec<Row>) -> String {
    let (page, refused) = speak(&[Dialect::new("test", rows)], &LabelSet::default());
    assert!(refused.is_none(), "{refused:?}");
    page
}

#[test]
fn a_row_renames_scales_and_maps_labels() {
    let row = Row::family("llm_kv_cache_usage_ratio", "kv_percent", MetricType::Gauge)
        .factor(100.0)
        .rename_label("model_name", "model")
        .constant("unit", "percent")
        .help("How full.");
    assert_eq!(
        rows(vec![row]),
        "# HELP kv_percent How full.\n# TYPE kv_percent gauge\nkv_percent{model=\"m\",unit=\"percent\"} 25\n"
    );
}

#[test]
fn a_factor_moves_edges_and_sum_but_not_counts() {
    let row =
        Row::family("llm_request_duration_seconds", "ms", MetricType::Histogram).factor(1000.0);
    assert_eq!(
        rows(vec![row]),
        "# TYPE ms histogram\nms_bucket{le=\"500.0\"} 1\nms_bucket{le=\"+Inf\"} 2\nms_sum 1500\nms_count 2\n"
    );
}

#[test]
fn ratio_and_diff_join_on_equal_labels_and_are_absent_where_they_cannot_be() {
    let (hits, queries) = (
        "llm_prefix_cache_hits_total",
        "llm_prefix_cache_queries_total",
    );
    assert_eq!(
        rows(vec![
            Row::ratio(hits, queries, "hit_ratio", MetricType::Gauge)
                .when(Matcher::is_not("cache", "external"))
        ]),
        "# TYPE hit_ratio gauge\nhit_ratio{cache=\"local\"} 0.4\n",
        "0/0 is absent"
    );
    let misses = Row::diff(queries, hits, "miss_total", MetricType::Counter);
    assert_eq!(
        rows(vec![
            misses
                .clone()
                .when(Matcher::is("cache", "local"))
                .drop_label("cache")
        ]),
        "# TYPE miss_total counter\nmiss_total 6\n"
    );
    // The external cache says more hits than queries: a counter cannot be negative.
    let (page, refused) = speak(&[Dialect::new("test", vec![misses])], &LabelSet::default());
    assert!(!page.contains("external"), "{page}");
    assert_eq!(refused.values, 1);
    assert_eq!(
        rows(vec![Row::diff(
            queries,
            "nobody_has_it",
            "x_total",
            MetricType::Counter
        )]),
        ""
    );
}

#[test]
fn a_sum_of_two_families_is_one_number() {
    let row = Row::sum(
        "llm_prefix_cache_queries_total",
        "llm_prefix_cache_hits_total",
        "both_total",
        MetricType::Counter,
    )
    .when(Matcher::is("cache", "local"))
    .factor(10.0);
    assert_eq!(
        rows(vec![row]),
        "# TYPE both_total counter\nboth_total{cache=\"local\"} 140\n"
    );
}

#[test]
fn the_label_of_the_largest_value_is_a_number() {
    let last = desc("last_seconds", MetricType::Gauge, Unit::Seconds);
    let row = Row::label_of_largest("last_seconds", "code", "newest_code", MetricType::Gauge);
    let spoken = Spoken::new(&[Dialect::new("test", vec![row])], &[]).unwrap();
    let mut encoder = Encoder::with_dialects(Format::Text004, spoken);
    let mut snapshot = Snapshot::new();
    let labels = LabelSet::default();
    let mut say = |seen: &[(&str, &str, f64)]| {
        snapshot.clear();
        for (gpu, code, at) in seen {
            snapshot
                .family(&last)
                .sample(&[("gpu", gpu), ("code", code)], *at);
        }
        let mut page = Vec::new();
        let part = Part {
            snapshot: &snapshot,
            labels: &labels,
        };
        encoder.encode(&[part], &mut page);
        assert!(encoder.refused().is_none(), "{:?}", encoder.refused());
        let page = String::from_utf8(page).unwrap();
        page.lines().skip(1).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(say(&[("0", "79", 5.0)]), r#"newest_code{gpu="0"} 79"#);
    assert_eq!(
        say(&[
            ("0", "79", 5.0),
            ("0", "13", 9.0),
            ("1", "48", 1.0),
            ("0", "x", 99.0)
        ]),
        r#"newest_code{gpu="0"} 13 newest_code{gpu="1"} 48"#
    );
    assert_eq!(
        say(&[("0", "79", 10.0), ("0", "13", 9.0)]),
        r#"newest_code{gpu="0"} 79"#
    );
    assert_eq!(say(&[]), "");
}

#[test]
fn what_stands_in_for_a_quantity_goes_out_where_that_is_absent() {
    let families = families();
    let (queries, hits) = (&families[2], &families[3]);
    let row = Row::family(
        "llm_prefix_cache_queries_total",
        "x_total",
        MetricType::Counter,
    )
    .or(Quantity::Family("llm_prefix_cache_hits_total".into()))
    .or(Quantity::Sum(
        "llm_prefix_cache_hits_total".into(),
        "llm_prefix_cache_hits_total".into(),
    ));
    let spoken = Spoken::new(&[Dialect::new("test", vec![row])], &families).unwrap();
    let mut encoder = Encoder::with_dialects(Format::Text004, spoken);
    let mut snapshot = Snapshot::new();
    let labels = LabelSet::default();
    let mut say = |queried: &[&str], found: &[&str]| {
        snapshot.clear();
        // The other family comes first: its place in the snapshot must not matter.
        for cache in found {
            snapshot.family(hits).sample(&[("cache", cache)], 1.0);
        }
        for cache in queried {
            snapshot.family(queries).sample(&[("cache", cache)], 2.0);
        }
        let mut page = Vec::new();
        let part = Part {
            snapshot: &snapshot,
            labels: &labels,
        };
        encoder.encode(&[part], &mut page);
        assert!(encoder.refused().is_none(), "{:?}", encoder.refused());
        let page = String::from_utf8(page).unwrap();
        let mut lines: Vec<String> = page.lines().skip(1).map(str::to_owned).collect();
        lines.sort();
        lines.join(" ")
    };
    assert_eq!(say(&[], &["a"]), r#"x_total{cache="a"} 1"#);
    assert_eq!(say(&["a"], &["a"]), r#"x_total{cache="a"} 2"#);
    assert_eq!(
        say(&["a"], &["a", "b"]),
        r#"x_total{cache="a"} 2 x_total{cache="b"} 1"#
    );
    assert_eq!(say(&["b"], &[]), r#"x_total{cache="b"} 2"#);
}

#[test]
fn a_label_is_copied_where_there_is_none_of_its_name() {
    let queue = || Row::family("llm_requests_waiting", "q", MetricType::Gauge);
    assert_eq!(
        rows(vec![
            queue()
                .drop_label("model_name")
                .prefix_label("engine", "device", "nvidia")
                .copy_label("model_name", "device")
                .copy_label("nobody_has_it", "x")
        ]),
        "# TYPE q gauge\nq{device=\"nvidia0\",engine=\"0\"} 3\n"
    );
    let row = queue().copy_label("target", "worker_id");
    let said = |labels: &[(&str, &str)]| {
        let labels = LabelSet::new(labels.iter().copied());
        speak(&[Dialect::new("test", vec![row.clone()])], &labels).0
    };
    assert!(said(&[("target", "a:1")]).contains(r#"target="a:1",worker_id="a:1"}"#));
    let named = said(&[("target", "a:1"), ("worker_id", "w")]);
    assert!(named.contains(r#"worker_id="w"}"#), "{named}");
}

#[test]
fn a_label_is_joined_from_another_family_of_the_same_source() {
    let families = families();
    let info = desc("info", MetricType::Info, Unit::None);
    let row = Row::family("llm_requests_waiting", "q", MetricType::Gauge).join_label(
        "info",
        "engine",
        "name",
        "modelName",
    );
    let spoken = Spoken::new(&[Dialect::new("test", vec![row])], &families).unwrap();
    let mut encoder = Encoder::with_dialects(Format::Text004, spoken);
    let mut snapshot = Snapshot::new();
    for engine in ["0", "1", "2"] {
        snapshot
            .family(&families[0])
            .sample(&[("engine", engine)], 1.0);
    }
    snapshot
        .family(&info)
        .sample(&[("engine", "0"), ("name", "before")], 1.0)
        .sample(&[("engine", "0"), ("name", "now")], 1.0)
        .sample(&[("engine", "1")], 1.0);
    let mut page = Vec::new();
    let labels = LabelSet::default();
    let part = Part {
        snapshot: &snapshot,
        labels: &labels,
    };
    encoder.encode(&[part], &mut page);
    assert_eq!(
        String::from_utf8(page).unwrap(),
        "# TYPE q gauge\nq{engine=\"0\",modelName=\"now\"} 1\nq{engine=\"1\"} 1\nq{engine=\"2\"} 1\n"
    );
}

#[test]
fn a_factor_leaves_no_noise_behind() {
    let families = families();
    for (hundredths, factor) in [(29.0, 100.0), (57.0, 100.0), (58.0, 100.0), (7.0, 1e4)] {
        let row = Row::family("llm_kv_cache_usage_ratio", "x", MetricType::Gauge).factor(factor);
        let spoken = Spoken::new(&[Dialect::new("test", vec![row])], &families).unwrap();
        let mut encoder = Encoder::with_dialects(Format::Text004, spoken);
        let mut snapshot = Snapshot::new();
        snapshot
            .family(&families[1])
            .sample(&[], hundredths / 100.0);
        let labels = LabelSet::default();
        let mut page = Vec::new();
        let part = Part {
            snapshot: &snapshot,
            labels: &labels,
        };
        encoder.encode(&[part], &mut page);
        let said = String::from_utf8(page).unwrap();
        let want = format!("x {}\n", hundredths * factor / 100.0);
        assert!(said.ends_with(&want), "{said} {want}");
    }
}

#[test]
fn selectors_see_the_labels_of_the_source_too() {
    let dialect = Dialect::new(
        "test",
        vec![
            Row::family("llm_requests_waiting", "vllm_queue", MetricType::Gauge)
                .when(Matcher::is("backend", "vllm")),
            Row::family("llm_requests_waiting", "tgi_queue", MetricType::Gauge)
                .when(Matcher::is("backend", "tgi")),
        ],
    );
    let (page, _) = speak(&[dialect], &LabelSet::new([("backend", "tgi")]));
    assert_eq!(
        page,
        "# TYPE tgi_queue gauge\ntgi_queue{backend=\"tgi\",engine=\"0\",model_name=\"m\"} 3\n"
    );
}

#[test]
fn a_renamed_label_pushes_another_of_its_name_aside_and_a_constant_replaces_it() {
    let queue = || Row::family("llm_requests_waiting", "q", MetricType::Gauge);
    assert_eq!(
        rows(vec![queue().rename_label("engine", "model_name")]),
        "# TYPE q gauge\nq{exported_model_name=\"m\",model_name=\"0\"} 3\n"
    );
    assert_eq!(
        rows(vec![queue().constant("engine", "all")]),
        "# TYPE q gauge\nq{engine=\"all\",model_name=\"m\"} 3\n"
    );
}

#[test]
fn dropping_a_label_that_told_series_apart_keeps_the_first() {
    let row = Row::family(
        "llm_prefix_cache_queries_total",
        "x_total",
        MetricType::Counter,
    )
    .drop_label("cache");
    let (page, refused) = speak(&[Dialect::new("test", vec![row])], &LabelSet::default());
    assert_eq!(page, "# TYPE x_total counter\nx_total 10\n");
    assert_eq!(refused.duplicates, 2);
}

#[test]
fn the_same_family_under_the_same_name_is_written_once_with_the_labels_of_all() {
    let a = Dialect::new(
        "a",
        vec![Row::family("llm_requests_waiting", "queue", MetricType::Gauge).drop_label("engine")],
    );
    let b = Dialect::new(
        "b",
        vec![
            Row::family("llm_requests_waiting", "queue", MetricType::Gauge)
                .drop_label("engine")
                .rename_label("model_name", "model"),
        ],
    );
    let canonical = Dialect::new(
        "c",
        vec![
            Row::family(
                "llm_requests_waiting",
                "llm_requests_waiting",
                MetricType::Gauge,
            )
            .rename_label("model_name", "model"),
        ],
    );
    let (page, refused) = speak(&[a, b], &LabelSet::default());
    assert_eq!(
        page,
        "# TYPE queue gauge\nqueue{model=\"m\",model_name=\"m\"} 3\n"
    );
    assert!(refused.is_none());
    let (page, refused) = speak(&[Dialect::llm(), canonical], &LabelSet::default());
    assert!(
        page.contains("llm_requests_waiting{engine=\"0\",model=\"m\",model_name=\"m\"} 3\n"),
        "{page}"
    );
    assert_eq!(page.matches("\nllm_requests_waiting{").count(), 1);
    assert!(refused.is_none());
}

#[test]
fn what_cannot_be_spoken_together_is_refused_and_both_rows_are_named() {
    let gauge =
        |family: &'static str, name: &'static str| Row::family(family, name, MetricType::Gauge);
    let one = |row: Row| Dialect::new("one", vec![row]);
    let two = |row: Row| Dialect::new("two", vec![row]);
    let waiting = || gauge("llm_requests_waiting", "x");
    let together = |dialects: &[Dialect]| Spoken::new(dialects, &families()).unwrap_err();

    for (clash, text) in [
        (
            gauge("llm_kv_cache_usage_ratio", "x"),
            "dialect two (llm_kv_cache_usage_ratio as gauge x)",
        ),
        (
            waiting().factor(2.0),
            "dialect two (llm_requests_waiting × 2 as gauge x)",
        ),
        (
            Row::family("llm_requests_waiting", "x", MetricType::Unknown),
            "dialect two (llm_requests_waiting as unknown x)",
        ),
    ] {
        let error = together(&[one(waiting()), two(clash)]);
        assert!(matches!(error, DialectError::Name { .. }));
        let message = error.to_string();
        assert!(
            message.contains("dialect one (llm_requests_waiting as gauge x)"),
            "{message}"
        );
        assert!(message.contains(text), "{message}");
    }
    // A canonical name for something else.
    let error = together(&[
        Dialect::llm(),
        two(gauge("llm_kv_cache_usage_ratio", "llm_requests_waiting")),
    ]);
    assert!(
        error
            .to_string()
            .contains("dialect llm (gauge llm_requests_waiting)"),
        "{error}"
    );
    // A sample name of a histogram.
    let error = together(&[
        Dialect::llm(),
        two(gauge(
            "llm_requests_waiting",
            "llm_request_duration_seconds_count",
        )),
    ]);
    assert!(matches!(error, DialectError::Name { .. }), "{error}");
    // One label, two meanings.
    let error = together(&[
        one(waiting().rename_label("model_name", "m")),
        two(waiting().rename_label("engine", "m")),
    ]);
    assert!(matches!(error, DialectError::Label { .. }), "{error}");
    let error = together(&[
        one(waiting().copy_label("model_name", "m")),
        two(waiting().join_label("info", "engine", "model", "m")),
    ]);
    assert!(matches!(error, DialectError::Label { .. }), "{error}");
    let error = together(&[
        one(waiting().constant("m", "1")),
        two(waiting().constant("m", "2")),
    ]);
    assert!(matches!(error, DialectError::Label { .. }), "{error}");
}

#[test]
fn a_row_that_can_never_be_spoken_is_refused() {
    let alone = |row: Row| Spoken::new(&[Dialect::new("one", vec![row])], &families()).unwrap_err();
    let waiting = |name: &'static str| Row::family("llm_requests_waiting", name, MetricType::Gauge);
    for (row, is_expected) in [
        (
            waiting("a b"),
            (|e| matches!(e, DialectError::InvalidName { .. })) as fn(&DialectError) -> bool,
        ),
        (waiting("a").constant("a:b", "1"), |e| {
            matches!(e, DialectError::InvalidName { .. })
        }),
        (waiting("a").rename_label("engine", "é"), |e| {
            matches!(e, DialectError::InvalidName { .. })
        }),
        (waiting("a").factor(0.0), |e| {
            matches!(e, DialectError::InvalidFactor { .. })
        }),
        (waiting("a").factor(f64::NAN), |e| {
            matches!(e, DialectError::InvalidFactor { .. })
        }),
        (
            Row::family("llm_request_duration_seconds", "a", MetricType::Gauge),
            |e| matches!(e, DialectError::Type { .. }),
        ),
        (
            Row::ratio(
                "llm_requests_waiting",
                "llm_request_duration_seconds",
                "a",
                MetricType::Gauge,
            ),
            |e| matches!(e, DialectError::Type { .. }),
        ),
    ] {
        let error = alone(row);
        assert!(is_expected(&error), "{error}");
    }
}

#[test]
fn a_family_that_came_up_later_and_clashes_is_refused_on_the_page() {
    let dialect = Dialect::new(
        "one",
        vec![Row::family(
            "other",
            "llm_requests_waiting",
            MetricType::Gauge,
        )],
    );
    let spoken = Spoken::new(&[Dialect::llm(), dialect], &[]).unwrap();
    let mut encoder = Encoder::with_dialects(Format::Text004, spoken);
    let mut snapshot = Snapshot::new();
    snapshot
        .family(&desc("other", MetricType::Gauge, Unit::None))
        .sample(&[], 1.0);
    snapshot.family(&families()[0]).sample(&[], 2.0);
    let mut page = Vec::new();
    encoder.encode(
        &[Part {
            snapshot: &snapshot,
            labels: &LabelSet::default(),
        }],
        &mut page,
    );
    assert_eq!(
        String::from_utf8(page).unwrap(),
        "# TYPE llm_requests_waiting gauge\nllm_requests_waiting 2\n# TYPE other gauge\nother 1\n"
    );
    assert_eq!(encoder.refused().families, 1);
}
