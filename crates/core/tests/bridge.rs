//! The bridge against prometheus-client itself: what its registry writes of our snapshots is what our
//! encoder writes.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokenpath_core::bridge::{JoinError, SnapshotCollector, WhyLeftOut, encode_registry};
use tokenpath_core::exposition::{Encoder, Entry, Format, Options, Parser, Part, check};
use tokenpath_core::{
    Bucket, CollectError, Desc, Histogram, LabelSet, MetricType, Reason, Snapshot, Source,
    SourceId, Summary, Unit,
};

fn desc(name: &'static str, kind: MetricType, unit: Unit) -> Arc<Desc> {
    Arc::new(Desc::new(
        name,
        kind,
        unit,
        "Some \\ \"help\"\nof two lines.",
    ))
}

fn histogram(counts: &[(f64, f64)], sum: Option<f64>, count: Option<f64>) -> Histogram {
    let bucket = |(le, count): &(f64, f64)| Bucket {
        le: *le,
        count: *count,
    };
    Histogram {
        buckets: counts.iter().map(bucket).collect(),
        sum,
        count,
    }
}

/// What a registry can say, some of it in odd names and labels.
fn sayable() -> Snapshot {
    let nasty = "back\\slash \"quote\" new\nline ünï {a=\"b\"} # 1";
    let mut snapshot = Snapshot::new();
    snapshot
        .family(&desc("llm_tokens_total", MetricType::Counter, Unit::None))
        .sample(
            &[("model_name", nasty), ("le", "7")],
            9_007_199_254_740_991.0,
        )
        .sample(&[], 0.1);
    snapshot
        .family(&desc(
            "llm_energy_joules_total",
            MetricType::Counter,
            Unit::Joules,
        ))
        .sample(&[], 1.5);
    snapshot
        .family(&desc("no_total_at_all", MetricType::Counter, Unit::None))
        .sample(&[], 3.0);
    snapshot
        .family(&desc("llm_usage_ratio", MetricType::Gauge, Unit::Ratio))
        .sample(&[("a.b", "1")], f64::INFINITY)
        .sample(&[("a.b", "2")], -0.5);
    let counts = [
        (0.005, 0.0),
        (1.0, 20.0),
        (2.5, 20.0),
        (f64::INFINITY, 31.0),
    ];
    snapshot
        .family(&desc(
            "llm_wait_seconds",
            MetricType::Histogram,
            Unit::Seconds,
        ))
        .histogram(
            &[("engine", "0")],
            &histogram(&counts, Some(0.25), Some(31.0)),
        )
        .histogram(
            &[("engine", "1")],
            &histogram(&counts[..2], Some(0.0), Some(21.0)),
        )
        .histogram(&[("engine", "2")], &histogram(&counts, Some(7.0), None));
    snapshot
        .family(&desc("llm_engine_info", MetricType::Info, Unit::None))
        .sample(&[("version", "1.2")], 1.0);
    snapshot
        .family(&desc("odd name", MetricType::Unknown, Unit::None))
        .sample(&[], 2.5);
    snapshot
}

/// Samples by name and labels, and the metadata lines, of a valid OpenMetrics page.
fn read(page: &[u8]) -> (BTreeMap<String, f64>, Vec<String>) {
    assert_eq!(
        check(page, Format::OpenMetrics100),
        [],
        "{}",
        page.escape_ascii()
    );
    let (mut samples, mut metadata) = (BTreeMap::new(), Vec::new());
    for entry in Parser::new(page, Options::new(Format::OpenMetrics100)) {
        match entry.unwrap() {
            Entry::Sample(sample) => {
                let labels: BTreeMap<String, String> = sample
                    .labels()
                    .map(|(name, value)| {
                        let edge = value.to_string().parse::<f64>();
                        let edge = edge.ok().filter(|_| name == "le");
                        let value = edge.map_or_else(|| value.to_string(), |edge| edge.to_string());
                        (name.to_string(), value)
                    })
                    .collect();
                let before = samples.insert(format!("{}{labels:?}", sample.name()), sample.value());
                assert_eq!(before, None);
            }
            other => metadata.push(format!("{other:?}")),
        }
    }
    metadata.sort();
    (samples, metadata)
}

fn labels(target: &str) -> LabelSet {
    LabelSet::new([("backend", "vllm"), ("target", target)])
}

fn page(registry: &Registry) -> String {
    let mut page = String::new();
    encode(&mut page, registry).unwrap();
    page
}

fn registry_with(collector: &SnapshotCollector) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(collector.clone()));
    registry
}

#[test]
fn a_registry_says_what_our_page_says() {
    let collector = SnapshotCollector::new();
    let registry = registry_with(&collector);
    let (one, two) = (labels("a:1"), labels("b:1"));
    collector.publish(one.clone(), sayable());
    collector.publish(two.clone(), sayable());
    let theirs = page(&registry);
    assert_eq!(collector.left_out(), []);
    let snapshot = sayable();
    let parts = [&one, &two].map(|labels| Part {
        snapshot: &snapshot,
        labels,
    });
    let mut ours = Vec::new();
    let mut encoder = Encoder::new(Format::OpenMetrics100);
    encoder.encode(&parts, &mut ours);
    assert!(encoder.refused().is_none());
    let (ours, theirs) = (read(&ours), read(theirs.as_bytes()));
    assert_eq!(theirs.0, ours.0);
    assert_eq!(theirs.1, ours.1);
    assert_eq!(ours.0.len(), 50);
    // The same bytes each time, with a counter that goes on.
    assert_eq!(page(&registry), page(&registry));
}

#[test]
fn what_a_registry_cannot_say_is_told() {
    let mut snapshot = sayable();
    let said = page(&registry_with(&{
        let collector = SnapshotCollector::new();
        collector.publish(labels("a:1"), snapshot.clone());
        collector
    }));
    let infinite = f64::INFINITY;
    let summary = Summary {
        quantiles: Vec::new(),
        sum: Some(1.0),
        count: Some(1.0),
    };
    snapshot
        .family(&desc("a_summary", MetricType::Summary, Unit::None))
        .summary(&[], &summary);
    snapshot
        .family(&desc("b_gauges", MetricType::GaugeHistogram, Unit::None))
        .histogram(&[], &histogram(&[(infinite, 1.0)], Some(1.0), Some(1.0)));
    for (name, counts, sum, count) in [
        ("c_no_sum", [(1.0, 1.0), (infinite, 2.0)], None, Some(2.0)),
        (
            "d_may_fall",
            [(-1.0, 1.0), (infinite, 2.0)],
            Some(1.0),
            Some(2.0),
        ),
        (
            "e_halves",
            [(1.0, 0.5), (infinite, 2.0)],
            Some(1.0),
            Some(2.0),
        ),
        (
            "f_falls",
            [(1.0, 3.0), (infinite, 2.0)],
            Some(1.0),
            Some(2.0),
        ),
    ] {
        snapshot
            .family(&desc(name, MetricType::Histogram, Unit::None))
            .histogram(&[], &histogram(&counts, sum, count));
    }
    snapshot
        .family(&desc("g_total", MetricType::Counter, Unit::None))
        .sample(&[], -1.0);
    snapshot
        .family(&desc("h_info", MetricType::Info, Unit::None))
        .sample(&[], 2.0);
    snapshot
        .family(&desc(
            "llm_wait_seconds_count",
            MetricType::Gauge,
            Unit::None,
        ))
        .sample(&[], 2.0);
    let collector = SnapshotCollector::new();
    let registry = registry_with(&collector);
    collector.publish(labels("a:1"), snapshot);
    assert_eq!(page(&registry), said, "all the rest is there");
    use WhyLeftOut::{Count, Name, Sum, Type, Value};
    let left_out = collector.left_out();
    let left_out: Vec<_> = left_out
        .iter()
        .map(|entry| (entry.family.as_str(), entry.why))
        .collect();
    assert_eq!(
        left_out,
        [
            ("a_summary", Type),
            ("b_gauges", Type),
            ("c_no_sum", Sum),
            ("d_may_fall", Sum),
            ("e_halves", Count),
            ("f_falls", Count),
            ("g_total", Value),
            ("h_info", Value),
            ("llm_wait_seconds_count", Name),
        ]
    );
    let text = collector.left_out()[0].to_string();
    assert_eq!(
        text,
        "a_summary: prometheus-client has no metrics of this type"
    );
}

/// Says the number of the reading; fails at the second, hangs at the fourth.
struct Flaky(SourceId, AtomicU32, Arc<Desc>);

impl Source for Flaky {
    fn id(&self) -> &SourceId {
        &self.0
    }
    fn describe(&self) -> &[Arc<Desc>] {
        std::slice::from_ref(&self.2)
    }
    async fn collect(&self, out: &mut Snapshot) -> Result<(), CollectError> {
        let reading = self.1.fetch_add(1, Ordering::Relaxed) + 1;
        out.family(&self.2).sample(&[], f64::from(reading));
        match reading {
            2 => Err(CollectError::new(Reason::Connect, "refused")),
            4 => std::future::pending().await,
            _ => Ok(()),
        }
    }
}

fn poll_once<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_source_is_on_the_page_while_it_can_be_read() {
    let source = Flaky(
        SourceId::new("shop", "till"),
        AtomicU32::new(0),
        desc("shop_queue", MetricType::Gauge, Unit::None),
    );
    let collector = SnapshotCollector::new();
    let registry = registry_with(&collector);
    let line = |value: u32| format!("shop_queue{{backend=\"shop\",target=\"till\"}} {value}.0\n");
    for (reading, expected) in [(1, true), (2, false), (3, true), (4, false), (5, true)] {
        let read = poll_once(collector.read(&source));
        assert_eq!(matches!(read, Poll::Ready(Ok(()))), expected, "{reading}");
        let page = page(&registry);
        assert_eq!(page.contains(&line(reading)), expected, "{page}");
        assert_eq!(page.contains("shop_queue"), expected, "{page}");
    }
    let of = LabelSet::new([("backend", "shop"), ("target", "till")]);
    assert!(collector.withdraw(&of).is_some());
    assert_eq!(page(&registry), "# EOF\n");
    assert!(collector.withdraw(&of).is_none());
}

#[test]
fn a_registry_joins_our_page() {
    let mut registry = Registry::with_prefix("shop");
    let served: Family<Vec<(String, String)>, Counter> = Family::default();
    let path = vec![("path".to_owned(), "/\"a\"".to_owned())];
    served.get_or_create(&path).inc_by(7);
    registry.register("served", "Answers", served);
    let (snapshot, labels) = (sayable(), labels("a:1"));
    let mut page = Vec::new();
    let part = Part {
        snapshot: &snapshot,
        labels: &labels,
    };
    let mut encoder = Encoder::new(Format::OpenMetrics100);
    encoder.encode(&[part], &mut page);
    let (ours, _) = read(&page);
    encode_registry(&registry, &mut page).unwrap();
    let (joined, _) = read(&page);
    assert_eq!(joined.len(), ours.len() + 1);
    let text = String::from_utf8(page.clone()).unwrap();
    assert!(
        text.ends_with("shop_served_total{path=\"/\\\"a\\\"\"} 7\n# EOF\n"),
        "{text}"
    );
    assert_eq!(text.matches("# EOF").count(), 1);
    // The buffer is the encoder's again.
    encoder.encode(&[part], &mut page);
    assert_eq!(read(&page).0, ours);
}

#[test]
fn what_cannot_be_joined_is_refused_and_the_page_stays() {
    let empty = Registry::default();
    for page in ["", "a 1\n", "a 1\n# EOF", "a 1 # EOF\n"] {
        let mut joined = page.as_bytes().to_vec();
        let result = encode_registry(&empty, &mut joined);
        assert_eq!(result, Err(JoinError::NotOpenMetrics), "{page:?}");
        assert_eq!(joined, page.as_bytes());
    }
    let mut nothing = b"# EOF\n".to_vec();
    assert_eq!(encode_registry(&empty, &mut nothing), Ok(()));
    assert_eq!(nothing, b"# EOF\n");

    let mut registry = Registry::default();
    registry.register("waits_count", "Waits", <Counter>::default());
    for (page, name) in [
        (
            "# TYPE waits_count counter\nwaits_count_total 1\n# EOF\n",
            "waits_count",
        ),
        (
            "# TYPE waits histogram\nwaits_bucket{le=\"+Inf\"} 1\n# EOF\n",
            "waits_count",
        ),
        (
            "# TYPE waits_count_total gauge\nwaits_count_total 1\n# EOF\n",
            "waits_count_total",
        ),
    ] {
        let mut joined = page.as_bytes().to_vec();
        let result = encode_registry(&registry, &mut joined);
        assert_eq!(result, Err(JoinError::NameTaken(name.to_owned())), "{page}");
        assert_eq!(joined, page.as_bytes());
    }
}
