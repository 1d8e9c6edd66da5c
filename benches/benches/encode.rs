//! How fast is a page written?
//!
//! The registry is that of a small and of a large exporter: label sets with two counters, two gauges
//! and a histogram of twelve buckets each, 19 lines of about 136 bytes. The baselines hold the same
//! series in their own registries and encode with their own encoders. Their values are atomics; ours
//! are the plain numbers of a snapshot, because that is what each has at the moment of a scrape.
//!
//! `cargo bench -p tokenpath-benches --bench encode -- ratios` prints the ratios alone.
//!
//! Two snapshots alternate, so that no value is the same twice in a row. `memcpy` is the bound: the
//! finished page copied.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use criterion::{BenchmarkId, Criterion, Throughput};
use tokenpath_benches::race::Race;
use tokenpath_core::exposition::{Encoder, PageFormat, Part};
use tokenpath_core::{Bucket, Desc, Histogram, LabelSet, MetricType, Snapshot, Unit};

/// The edges of the histogram; `+Inf` is the thirteenth line of its buckets for us and the peers alike.
const EDGES: [f64; 12] = [
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0,
];

/// Label sets that make about 1,000 and 50,000 lines.
const SIZES: [(&str, u32); 2] = [("1,000 lines", 53), ("50,000 lines", 2632)];

fn labels(set: u32) -> [(String, String); 4] {
    [
        ("backend".into(), "vllm".into()),
        ("engine".into(), (set % 8).to_string()),
        ("model_name".into(), "meta-llama/Llama-3.1-8B".into()),
        (
            "target".into(),
            format!("10.0.{}.{}:8000", set / 250, set % 250),
        ),
    ]
}

/// The values of a label set at a moment: whole numbers and fractions as engines have them.
struct Values {
    prompt_tokens: f64,
    generation_tokens: f64,
    running: f64,
    usage: f64,
    observations: [f64; EDGES.len() + 1],
}

impl Values {
    fn of(set: u32, moment: u32) -> Self {
        let seed = f64::from(set * 7919 % 10_007 + moment * 31 + 1);
        Self {
            prompt_tokens: seed * 1571.0,
            generation_tokens: seed * 911.0,
            running: seed % 97.0,
            usage: (seed / 10_123.0).fract(),
            observations: std::array::from_fn(|bucket| {
                let bucket = u32::try_from(bucket).unwrap_or_default();
                (seed * f64::from(bucket + 3)) % 251.0
            }),
        }
    }
}

const NAMES: [&str; 5] = [
    "llm_prompt_tokens_total",
    "llm_generation_tokens_total",
    "llm_requests_running",
    "llm_kv_cache_usage_ratio",
    "llm_inter_token_latency_seconds",
];

fn snapshot(sets: u32, moment: u32) -> Snapshot {
    use MetricType::{Counter, Gauge};
    let kinds = [Counter, Counter, Gauge, Gauge, MetricType::Histogram];
    let descs: Vec<_> = NAMES
        .iter()
        .zip(kinds)
        .map(|(name, kind)| Arc::new(Desc::new(name, kind, Unit::None, "What it is.")))
        .collect();
    let mut snapshot = Snapshot::new();
    for set in 0..sets {
        let owned = labels(set);
        let labels = owned
            .each_ref()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let values = Values::of(set, moment);
        let plain = [
            values.prompt_tokens,
            values.generation_tokens,
            values.running,
            values.usage,
        ];
        for (desc, value) in descs.iter().zip(plain) {
            snapshot.family(desc).sample(&labels, value);
        }
        let mut count = 0.0;
        let buckets = EDGES
            .iter()
            .chain([&f64::INFINITY])
            .zip(values.observations)
            .map(|(&le, n)| {
                count += n;
                Bucket { le, count }
            });
        let mut histogram = Histogram {
            buckets: buckets.collect(),
            sum: None,
            count: None,
        };
        histogram.sum = Some(count * 0.123_456_789);
        histogram.count = Some(count);
        snapshot.family(&descs[4]).histogram(&labels, &histogram);
    }
    snapshot
}

fn observe_all(values: &Values, mut observe: impl FnMut(f64)) {
    for (edge, observations) in EDGES.iter().chain([&2.0]).zip(values.observations) {
        let mut left = observations;
        while left >= 1.0 {
            observe(*edge);
            left -= 1.0;
        }
    }
}

fn prometheus_client(sets: u32) -> prometheus_client::registry::Registry {
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::family::Family;
    use prometheus_client::metrics::gauge::Gauge;
    use prometheus_client::metrics::histogram::Histogram;

    type Labels = Vec<(String, String)>;
    let mut registry = prometheus_client::registry::Registry::default();
    let counters = [0, 1].map(|_| Family::<Labels, Counter<f64, AtomicU64>>::default());
    let gauges = [0, 1].map(|_| Family::<Labels, Gauge<f64, AtomicU64>>::default());
    let make = || Histogram::new(EDGES);
    let histograms = Family::<Labels, Histogram, fn() -> Histogram>::new_with_constructor(make);
    for (name, counter) in NAMES.iter().zip(&counters) {
        let name = name.trim_end_matches("_total");
        registry.register(name, "What it is", counter.clone());
    }
    for (name, gauge) in NAMES[2..].iter().zip(&gauges) {
        registry.register(*name, "What it is", gauge.clone());
    }
    registry.register(NAMES[4], "What it is", histograms.clone());
    for set in 0..sets {
        let (labels, values) = (labels(set).to_vec(), Values::of(set, 0));
        counters[0]
            .get_or_create(&labels)
            .inc_by(values.prompt_tokens);
        counters[1]
            .get_or_create(&labels)
            .inc_by(values.generation_tokens);
        gauges[0].get_or_create(&labels).set(values.running);
        gauges[1].get_or_create(&labels).set(values.usage);
        let histogram = histograms.get_or_create(&labels);
        observe_all(&values, |value| histogram.observe(value));
    }
    registry
}

fn prometheus(sets: u32) -> prometheus::Registry {
    use prometheus::{CounterVec, GaugeVec, HistogramOpts, HistogramVec, Opts};

    let names = labels(0).map(|(name, _)| name);
    let names = names.each_ref().map(String::as_str);
    let registry = prometheus::Registry::new();
    let opts = |at: usize| Opts::new(NAMES[at], "What it is.");
    let counters = [0, 1].map(|at| CounterVec::new(opts(at), &names).expect("legal names"));
    let gauges = [2, 3].map(|at| GaugeVec::new(opts(at), &names).expect("legal names"));
    let histogram_opts = HistogramOpts::new(NAMES[4], "What it is.").buckets(EDGES.to_vec());
    let histograms = HistogramVec::new(histogram_opts, &names).expect("legal names");
    for counter in &counters {
        registry
            .register(Box::new(counter.clone()))
            .expect("new names");
    }
    for gauge in &gauges {
        registry
            .register(Box::new(gauge.clone()))
            .expect("new names");
    }
    registry
        .register(Box::new(histograms.clone()))
        .expect("new names");
    for set in 0..sets {
        let (labels, values) = (labels(set).map(|(_, value)| value), Values::of(set, 0));
        let labels = labels.each_ref().map(String::as_str);
        counters[0]
            .with_label_values(&labels)
            .inc_by(values.prompt_tokens);
        counters[1]
            .with_label_values(&labels)
            .inc_by(values.generation_tokens);
        gauges[0].with_label_values(&labels).set(values.running);
        gauges[1].with_label_values(&labels).set(values.usage);
        let histogram = histograms.with_label_values(&labels);
        observe_all(&values, |value| histogram.observe(value));
    }
    registry
}

fn metrics_exporter(sets: u32) -> metrics_exporter_prometheus::PrometheusHandle {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new()
        .set_buckets(&EDGES)
        .expect("edges")
        .build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        for set in 0..sets {
            let (labels, values) = (labels(set), Values::of(set, 0));
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "its counters are whole numbers"
            )]
            let whole = [values.prompt_tokens as u64, values.generation_tokens as u64];
            metrics::counter!(NAMES[0], &labels).absolute(whole[0]);
            metrics::counter!(NAMES[1], &labels).absolute(whole[1]);
            metrics::gauge!(NAMES[2], &labels).set(values.running);
            metrics::gauge!(NAMES[3], &labels).set(values.usage);
            let histogram = metrics::histogram!(NAMES[4], &labels);
            observe_all(&values, |value| histogram.record(value));
        }
    });
    handle.run_upkeep();
    handle
}

/// What writes a page, by name.
type Writer<'a> = (&'static str, Box<dyn FnMut() -> usize + 'a>);

/// Everything of one size, ready to be written.
struct Case {
    lines: usize,
    snapshots: [Snapshot; 2],
    constants: LabelSet,
    page: Vec<u8>,
    prometheus_client: prometheus_client::registry::Registry,
    prometheus: prometheus::Registry,
    metrics_exporter: metrics_exporter_prometheus::PrometheusHandle,
}

impl Case {
    fn new(sets: u32) -> Self {
        let mut case = Self {
            lines: 0,
            snapshots: [0, 1].map(|moment| snapshot(sets, moment)),
            constants: LabelSet::default(),
            page: Vec::new(),
            prometheus_client: prometheus_client(sets),
            prometheus: prometheus(sets),
            metrics_exporter: metrics_exporter(sets),
        };
        // One shape for both moments, as a source has.
        let shape = Arc::clone(case.snapshots[0].shape());
        let later = case.snapshots[1].clone();
        case.snapshots[1].reset_to(&shape);
        for (family, other) in shape.families().zip(later.shape().families()) {
            for (series, source) in family.series().zip(other.series()) {
                for offset in 0..series.slots() {
                    if let Some(value) = later.get(source.edge_slot(offset)) {
                        case.snapshots[1].set(series.edge_slot(offset), value);
                    }
                }
            }
        }
        let mut page = Vec::new();
        Encoder::new(PageFormat::Text004).encode(&[case.part(0)], &mut page);
        case.lines = memchr::memchr_iter(b'\n', &page).count();
        case.page = page;
        case
    }

    fn part(&self, moment: usize) -> Part<'_> {
        Part {
            snapshot: &self.snapshots[moment],
            labels: &self.constants,
        }
    }

    /// The writers by name. Each gives the length of its page.
    fn writers(&self) -> Vec<Writer<'_>> {
        let ours = |format| {
            let (mut encoder, mut page, mut moment) = (Encoder::new(format), Vec::new(), 0);
            move || {
                moment = 1 - moment;
                encoder.encode(&[self.part(moment)], &mut page);
                black_box(&page).len()
            }
        };
        let mut copy = Vec::new();
        let mut text = String::new();
        let mut bytes = Vec::new();
        vec![
            (OURS, Box::new(ours(PageFormat::Text004))),
            (
                "tokenpath, OpenMetrics",
                Box::new(ours(PageFormat::OpenMetrics100)),
            ),
            ("tokenpath, protobuf", Box::new(ours(PageFormat::Protobuf))),
            (
                "prometheus-client",
                Box::new(move || {
                    text.clear();
                    prometheus_client::encoding::text::encode(&mut text, &self.prometheus_client)
                        .expect("a string takes everything");
                    black_box(&text).len()
                }),
            ),
            (
                "prometheus",
                Box::new(move || {
                    bytes.clear();
                    let families = self.prometheus.gather();
                    prometheus::Encoder::encode(
                        &prometheus::TextEncoder::new(),
                        &families,
                        &mut bytes,
                    )
                    .expect("a vector takes everything");
                    black_box(&bytes).len()
                }),
            ),
            (
                "metrics-exporter-prometheus",
                Box::new(|| black_box(self.metrics_exporter.render()).len()),
            ),
            (
                "memcpy",
                Box::new(move || {
                    copy.clear();
                    copy.extend_from_slice(&self.page);
                    black_box(&copy).len()
                }),
            ),
        ]
    }
}

const OURS: &str = "tokenpath";

fn measure(criterion: &mut Criterion) {
    for (size, sets) in SIZES {
        let case = Case::new(sets);
        let mut group = criterion.benchmark_group(format!("encode/{size}"));
        group.sample_size(20);
        for (name, mut write) in case.writers() {
            group.throughput(Throughput::ElementsAndBytes {
                elements: case.lines as u64,
                bytes: write() as u64,
            });
            group.bench_function(BenchmarkId::from_parameter(name), |b| b.iter(&mut write));
        }
        group.finish();
    }
}

/// Prints the ratios of one run, in which all alternate.
fn compare() {
    for ((size, sets), goals) in SIZES
        .into_iter()
        .zip(["must 8, moonshot 12", "must 4, moonshot 6"])
    {
        let case = Case::new(sets);
        let mut race = Race::new();
        let mut names = Vec::new();
        for (name, mut write) in case.writers() {
            names.push(name);
            race = race.runner(name, move || {
                write();
            });
        }
        let times = race.run(101);
        println!("\n{size}: {} lines, {} bytes", case.lines, case.page.len());
        print!("{times}");
        for name in names.iter().skip(2) {
            let goal = if *name == "prometheus-client" {
                goals
            } else {
                ""
            };
            println!("  {:.2} x {name} {goal}", times.ratio(OURS, name));
        }
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    measure(&mut criterion);
    criterion.final_summary();
    let asked = |argument: &str| std::env::args().any(|given| given == argument);
    if asked("--bench") && !asked("--test") {
        compare();
    }
}
