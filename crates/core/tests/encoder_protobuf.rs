//! Protobuf pages, decoded by prost, against the text page of the same snapshot.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

#[path = "../../../testdata/page.rs"]
mod page;
#[path = "../../../testdata/protobuf.rs"]
mod protobuf;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokenpath_core::dialect::{Dialect, Row, Spoken};
use tokenpath_core::exposition::{Encoder, Entry, Format, Options, PageFormat, Parser, Part};
use tokenpath_core::{
    Bucket, Desc, Histogram, LabelSet, MetricType, QuantileValue, Snapshot, Summary, Unit,
};

fn desc(name: &'static str, kind: MetricType, unit: Unit) -> Arc<Desc> {
    Arc::new(Desc::new(name, kind, unit, "Some \\ \"help\"."))
}

fn histogram(counts: &[(f64, f64)], sum: Option<f64>) -> Histogram {
    Histogram {
        buckets: counts
            .iter()
            .map(|(le, count)| Bucket {
                le: *le,
                count: *count,
            })
            .collect(),
        sum,
        count: counts.last().map(|(_, count)| *count),
    }
}

/// Every type, with labels and values that are hard to say.
fn everything() -> Snapshot {
    let nasty = "back\\slash \"quote\" new\nline ünï {a=\"b\"} # 1";
    let mut snapshot = Snapshot::new();
    snapshot
        .family(&desc("llm_tokens_total", MetricType::Counter, Unit::None))
        .sample(
            &[("model_name", nasty), ("le", "7")],
            9_007_199_254_740_991.0,
        )
        .sample(&[("a.b", "ü"), ("empty", "")], 0.1);
    snapshot
        .family(&desc(
            "llm_energy_joules_total",
            MetricType::Counter,
            Unit::Joules,
        ))
        .sample(&[], 1e300);
    snapshot
        .family(&desc("llm_usage_ratio", MetricType::Gauge, Unit::Ratio))
        .sample(&[("x", "1")], f64::INFINITY)
        .sample(&[("x", "2")], f64::NEG_INFINITY)
        .sample(&[("x", "3")], -0.0)
        .sample(&[("x", "4")], 5e-324);
    let wait = desc("llm_wait_seconds", MetricType::Histogram, Unit::Seconds);
    let many = [
        (0.005, 127.0),
        (1.0, 128.0),
        (2.5e6, 16_384.0),
        (f64::INFINITY, 1e15),
    ];
    snapshot
        .family(&wait)
        .histogram(&[("engine", "0")], &histogram(&many, Some(0.3)))
        .histogram(
            &[("engine", "1")],
            &histogram(&[(f64::INFINITY, 0.0)], Some(0.0)),
        );
    snapshot
        .family(&desc("llm_things", MetricType::GaugeHistogram, Unit::None))
        .histogram(
            &[],
            &histogram(&[(-1.0, 2.0), (f64::INFINITY, 3.0)], Some(-2.0)),
        );
    let at = |quantile, value| QuantileValue { quantile, value };
    snapshot
        .family(&desc("llm_rpc_seconds", MetricType::Summary, Unit::Seconds))
        .summary(
            &[("method", nasty)],
            &Summary {
                quantiles: vec![at(0.5, 0.25), at(0.99, 7.0)],
                sum: Some(8.0),
                count: Some(300.0),
            },
        );
    snapshot
        .family(&desc("llm_engine_info", MetricType::Info, Unit::None))
        .sample(&[("version", "1.2")], 1.0);
    snapshot
        .family(&desc("llm_bound", MetricType::StateSet, Unit::None))
        .sample(&[("llm_bound", "compute")], 1.0)
        .sample(&[("llm_bound", "memory")], 0.0);
    snapshot
        .family(&desc("upstream_thing", MetricType::Unknown, Unit::None))
        .sample(&[], 2.5);
    snapshot
}

fn encode(format: PageFormat, spoken: &Spoken, parts: &[Part<'_>]) -> Vec<u8> {
    let mut page = Vec::new();
    Encoder::with_dialects(format, spoken.clone()).encode(parts, &mut page);
    page
}

fn pages(spoken: &Spoken, snapshots: &[Snapshot]) -> [Vec<u8>; 3] {
    let labels: Vec<LabelSet> = (0..snapshots.len())
        .map(|index| LabelSet::new([("target", format!("10.0.0.{index}:8000"))]))
        .collect();
    let parts: Vec<Part<'_>> = snapshots
        .iter()
        .zip(&labels)
        .map(|(snapshot, labels)| Part { snapshot, labels })
        .collect();
    PageFormat::ALL.map(|format| encode(format, spoken, &parts))
}

#[test]
fn it_says_what_the_text_says() {
    let (wide, narrow) = ("w".repeat(20_000), "w".repeat(200));
    let mut large = everything();
    large
        .family(&desc("llm_large", MetricType::Gauge, Unit::None))
        .sample(&[("wide", &wide)], 1.0)
        .sample(&[("wide", &narrow)], 2.0);
    let percent = Dialect::new(
        "percent",
        vec![
            Row::family("llm_usage_ratio", "usage_percent", MetricType::Gauge).factor(100.0),
            Row::family("llm_wait_seconds", "wait_ms", MetricType::Histogram).factor(1000.0),
            Row::ratio(
                "llm_tokens_total",
                "llm_tokens_total",
                "one",
                MetricType::Gauge,
            ),
        ],
    );
    let spoken = Spoken::new(&[Dialect::llm(), percent], &[]).unwrap();
    let [text, _, protobuf] = pages(&spoken, &[everything(), large]);
    let text = String::from_utf8(text).unwrap();
    let expected = protobuf::numbers_of_text(&text);
    assert!(expected.len() > 60, "{}", expected.len());
    page::compare("protobuf", &expected, &protobuf::numbers(&protobuf));

    let types = page::Page::read(&text).types;
    let families = protobuf::families(&protobuf);
    assert_eq!(families.len(), types.len());
    for family in &families {
        let name = family.name.as_deref().unwrap();
        assert_eq!(family.text_type(), types[name], "{name}");
    }
    assert!(families.is_sorted_by_key(|family| family.name.clone()));
    let help = families[0].help.as_deref();
    assert_eq!(help, Some("Some \\ \"help\"."), "help is not escaped");
}

#[test]
fn units_and_types_are_said_where_openmetrics_says_them() {
    let [_, _, page] = pages(&Spoken::canonical(), &[everything()]);
    let said: Vec<_> = protobuf::families(&page)
        .into_iter()
        .map(|family| (family.name.unwrap(), family.kind.unwrap(), family.unit))
        .collect();
    let said: Vec<_> = said
        .iter()
        .map(|(name, kind, unit)| (name.as_str(), *kind, unit.as_deref()))
        .collect();
    assert_eq!(
        said,
        [
            ("llm_bound", 1, None),
            ("llm_energy_joules_total", 0, Some("joules")),
            ("llm_engine_info", 1, None),
            ("llm_rpc_seconds", 2, Some("seconds")),
            ("llm_things", 5, None),
            ("llm_tokens_total", 0, None),
            ("llm_usage_ratio", 1, Some("ratio")),
            ("llm_wait_seconds", 4, Some("seconds")),
            ("upstream_thing", 3, None),
        ]
    );
}

#[test]
fn what_it_cannot_say_is_not_made_up() {
    let mut snapshot = Snapshot::new();
    let wait = desc("wait", MetricType::Histogram, Unit::None);
    snapshot
        .family(&wait)
        .histogram(
            &[("of", "no sum")],
            &histogram(&[(1.0, 2.0), (f64::INFINITY, 2.5)], None),
        )
        .histogram(&[("of", "nothing")], &Histogram::default());
    let summary = |count| Summary {
        quantiles: Vec::new(),
        sum: None,
        count,
    };
    snapshot
        .family(&desc("rpc", MetricType::Summary, Unit::None))
        .summary(&[("of", "no sum")], &summary(Some(4.0)))
        .summary(&[("of", "half a count")], &summary(Some(0.5)));
    let mut encoder = Encoder::new(PageFormat::Protobuf);
    let mut page = Vec::new();
    let nothing = LabelSet::default();
    let part = Part {
        snapshot: &snapshot,
        labels: &nothing,
    };
    encoder.encode(&[part], &mut page);
    assert_eq!(encoder.refused().values, 1);
    let [rpc, wait] = &protobuf::families(&page)[..] else {
        panic!("two families")
    };
    let summary = rpc.metric[0].summary.as_ref().unwrap();
    assert!(summary.sample_sum.unwrap().is_nan());
    assert_eq!((rpc.metric.len(), summary.sample_count), (1, Some(4)));
    let histogram = wait.metric[0].histogram.as_ref().unwrap();
    assert_eq!(wait.metric.len(), 1);
    assert!(histogram.sample_sum.unwrap().is_nan());
    assert_eq!(
        (histogram.sample_count, histogram.sample_count_float),
        (None, Some(2.5))
    );
    assert_eq!(histogram.bucket[0].cumulative_count, Some(2));
    assert_eq!(histogram.bucket[1].cumulative_count_float, Some(2.5));
}

/// Exemplars by sample name, labels (with `le`) and exemplar.
type Exemplars = BTreeMap<String, String>;

fn exemplars_of_openmetrics(page: &[u8]) -> Exemplars {
    let mut found = Exemplars::new();
    for entry in Parser::new(page, Options::new(Format::OpenMetrics100)) {
        if let Entry::Sample(sample) = entry.unwrap()
            && let Some(exemplar) = sample.exemplar()
        {
            let labels: page::Labels = sample
                .labels()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect();
            let of: page::Labels = exemplar
                .labels()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect();
            let (value, time) = (exemplar.value(), exemplar.timestamp_ms());
            let said = format!("{of:?} {value} {time:?}");
            found.insert(format!("{} {labels:?}", sample.name()), said);
        }
    }
    found
}

fn exemplars_of_protobuf(page: &[u8]) -> Exemplars {
    let mut found = Exemplars::new();
    let pairs = |pairs: &[protobuf::LabelPair]| -> page::Labels {
        let pair =
            |pair: &protobuf::LabelPair| (pair.name.clone().unwrap(), pair.value.clone().unwrap());
        pairs.iter().map(pair).collect()
    };
    let said = |exemplar: &protobuf::Exemplar| {
        let time = exemplar
            .timestamp
            .as_ref()
            .map(|time| time.seconds * 1000 + i64::from(time.nanos) / 1_000_000);
        let labels = pairs(&exemplar.label);
        format!("{labels:?} {} {time:?}", exemplar.value.unwrap())
    };
    for family in protobuf::families(page) {
        let name = family.name.unwrap();
        for metric in family.metric {
            let labels = pairs(&metric.label);
            if let Some(exemplar) = metric.counter.and_then(|counter| counter.exemplar) {
                found.insert(format!("{name} {labels:?}"), said(&exemplar));
            }
            for bucket in metric
                .histogram
                .iter()
                .flat_map(|histogram| &histogram.bucket)
            {
                if let Some(exemplar) = &bucket.exemplar {
                    let mut labels = labels.clone();
                    let le = match bucket.upper_bound.unwrap() {
                        f64::INFINITY => "+Inf".to_owned(),
                        edge => format!("{edge:?}"),
                    };
                    labels.insert("le".to_owned(), le);
                    found.insert(format!("{name}_bucket {labels:?}"), said(exemplar));
                }
            }
        }
    }
    found
}

#[test]
fn exemplars_stand_in_openmetrics_and_protobuf_and_nowhere_else() {
    let mut snapshot = everything();
    let bare = snapshot.clone();
    let slot = |family: &str, edge: usize| {
        let family = snapshot.shape().family(family).unwrap();
        family.series().next().unwrap().edge_slot(edge)
    };
    let slots = [
        (slot("llm_tokens_total", 0), 17.0, Some(1_520_879_607_789)),
        (slot("llm_wait_seconds", 0), 0.001, Some(-1)),
        (slot("llm_wait_seconds", 1), 0.25, Some(1_520_879_607_000)),
        (slot("llm_wait_seconds", 3), 1e7, None),
        (slot("llm_things", 0), -3.5, Some(0)),
    ];
    for (slot, value, time) in slots {
        let labels = [("trace_id", "a\"b\\c\nd"), ("span.id", "ü")];
        snapshot.set_exemplar(slot, labels, value, time).unwrap();
    }
    let scaled = Dialect::new(
        "scaled",
        vec![
            Row::family("llm_wait_seconds", "wait_ms", MetricType::Histogram).factor(1000.0),
            // No counter's name in OpenMetrics, and no counter at all.
            Row::family("llm_tokens_total", "tokens", MetricType::Counter),
            Row::family("llm_tokens_total", "tokens_now", MetricType::Gauge),
        ],
    );
    let spoken = Spoken::new(&[Dialect::llm(), scaled], &[]).unwrap();
    let [text, openmetrics, protobuf] = pages(&spoken, &[snapshot]);
    let [bare_text, bare_openmetrics, _] = pages(&spoken, &[bare]);
    assert_eq!(text, bare_text);
    assert_ne!(openmetrics, bare_openmetrics);
    assert_eq!(
        tokenpath_core::exposition::check(&openmetrics, Format::OpenMetrics100),
        []
    );
    let expected = exemplars_of_openmetrics(&openmetrics);
    let mut found = exemplars_of_protobuf(&protobuf);
    // OpenMetrics has no exemplar on what it must call unknown.
    let extra: Vec<String> = found
        .keys()
        .filter(|key| !expected.contains_key(*key))
        .cloned()
        .collect();
    assert_eq!(extra.len(), 1, "{extra:?}");
    assert!(extra[0].starts_with("tokens {"), "{extra:?}");
    found.remove(&extra[0]);
    assert_eq!(found, expected);
    assert_eq!(expected.len(), 5 + 3);
    let page = String::from_utf8(openmetrics).unwrap();
    for line in [
        "llm_wait_seconds_bucket{engine=\"0\",target=\"10.0.0.0:8000\",le=\"0.005\"} 127 \
         # {trace_id=\"a\\\"b\\\\c\\nd\",span_id=\"ü\"} 0.001 -0.001\n",
        "wait_ms_bucket{engine=\"0\",target=\"10.0.0.0:8000\",le=\"1000.0\"} 128 \
         # {trace_id=\"a\\\"b\\\\c\\nd\",span_id=\"ü\"} 250 1520879607\n",
    ] {
        assert!(page.contains(line), "{line}{page}");
    }
}

#[test]
fn a_shorter_page_leaves_nothing_of_a_longer_one() {
    let (long, mut short) = (everything(), everything());
    short.retain_families(|desc| desc.name() == "llm_usage_ratio");
    let nothing = LabelSet::default();
    let mut encoder = Encoder::new(PageFormat::Protobuf);
    let mut page = Vec::new();
    for snapshot in [&long, &short, &long] {
        let part = Part {
            snapshot,
            labels: &nothing,
        };
        encoder.encode(&[part], &mut page);
        let fresh = encode(PageFormat::Protobuf, &Spoken::canonical(), &[part]);
        assert_eq!(page, fresh);
    }
}
