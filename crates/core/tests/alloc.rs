//! Steady states allocate nothing: counted, not claimed.

use std::alloc::{GlobalAlloc, Layout as Memory, System};
use std::cell::Cell;
use std::sync::Arc;

use tokenpath_core::catalogue::{Catalogue, Compiled, Families, Row as RowOfCatalogue};
use tokenpath_core::dialect::{Dialect, Row, Spoken};
use tokenpath_core::exposition::{
    Encoder, Entry, Filter, Format, Fresh, Layout, Options, PageFormat, Parser, Part, Sample,
    Variant,
};
use tokenpath_core::rollup::{RollUp, Rollup};
use tokenpath_core::translate::{TranslateOptions, Translator};
use tokenpath_core::{
    Bucket, Desc, Histogram, LabelSet, MetricType, QuantileValue, Snapshot, Summary, Unit,
};

/// The system's allocator, counting the calls of each thread by itself, so that tests beside one
/// another do not disturb the count.
struct Counting;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    CALLS.with(|calls| calls.set(calls.get() + 1));
}

#[expect(unsafe_code, reason = "an allocator can be written in no other way")]
// SAFETY: every call goes to the system's allocator unchanged, and so do its guarantees; the count is
// a thread-local without a destructor, which does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, memory: Memory) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are handed on.
        unsafe { System.alloc(memory) }
    }

    unsafe fn dealloc(&self, start: *mut u8, memory: Memory) {
        // SAFETY: `start` came from `alloc` or `realloc` above, that is from `System`.
        unsafe { System.dealloc(start, memory) }
    }

    unsafe fn realloc(&self, start: *mut u8, memory: Memory, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(start, memory, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many allocations a piece of work makes on this thread.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = CALLS.with(Cell::get);
    work();
    CALLS.with(Cell::get) - before
}

#[test]
fn the_count_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
    let mut text = String::from("a");
    assert!(allocations(|| text.push_str(&"b".repeat(1000))) >= 2);
}

fn desc(name: &'static str, kind: MetricType) -> Arc<Desc> {
    Arc::new(Desc::new(name, kind, Unit::None, "Help."))
}

/// A source of every type, whose values are of every length.
struct Engine {
    descs: [Arc<Desc>; 4],
    labels: LabelSet,
    snapshot: Snapshot,
    histogram: Histogram,
    summary: Summary,
}

impl Engine {
    fn new(target: &str) -> Self {
        Self {
            descs: [
                desc("llm_tokens_total", MetricType::Counter),
                desc("llm_usage_ratio", MetricType::Gauge),
                desc("llm_wait_seconds", MetricType::Histogram),
                desc("llm_rpc_seconds", MetricType::Summary),
            ],
            labels: LabelSet::new([("target", target)]),
            snapshot: Snapshot::new(),
            histogram: Histogram {
                buckets: [0.1, 1.0, f64::INFINITY]
                    .map(|le| Bucket { le, count: 0.0 })
                    .to_vec(),
                sum: Some(0.0),
                count: Some(0.0),
            },
            summary: Summary {
                quantiles: vec![QuantileValue {
                    quantile: 0.5,
                    value: 0.0,
                }],
                sum: Some(0.0),
                count: Some(0.0),
            },
        }
    }

    fn read(&mut self, round: u32) {
        let value = f64::from(round) * 1_234.567_891;
        self.snapshot.clear();
        for engine in ["0", "1", "2"] {
            let labels = [("engine", engine), ("model_name", "a \"quoted\" model")];
            self.snapshot
                .family(&self.descs[0])
                .sample(&labels, f64::from(round));
            if engine != "1" || !round.is_multiple_of(3) {
                self.snapshot.family(&self.descs[1]).sample(&labels, value);
            }
            for bucket in &mut self.histogram.buckets {
                bucket.count += 7.0;
            }
            self.histogram.count = self.histogram.buckets.last().map(|bucket| bucket.count);
            self.histogram.sum = Some(value);
            self.snapshot
                .family(&self.descs[2])
                .histogram(&labels, &self.histogram);
            self.summary.quantiles[0].value = value / 3.0;
            self.snapshot
                .family(&self.descs[3])
                .summary(&labels, &self.summary);
        }
    }
}

impl Engine {
    /// An exemplar on each bucket but the first, and on each counter.
    fn exemplify(&mut self, round: u32) {
        let shape = Arc::clone(self.snapshot.shape());
        for series in shape.families().flat_map(|family| family.series()) {
            for (edge, value) in [(0, 0.05), (1, 0.5), (2, f64::from(round) + 1.5)] {
                let labels = [("trace_id", "4bf92f3577b34da6"), ("span_id", "00f067aa")];
                let time = Some(1_520_879_607_000 + i64::from(round));
                if series.slots() > edge {
                    // Gauges and summaries do not take one.
                    let slot = series.edge_slot(edge);
                    _ = self.snapshot.set_exemplar(slot, labels, value, time);
                }
            }
        }
    }
}

#[test]
fn translating_allocates_nothing_once_warm_with_exemplars_or_without() {
    let families = [
        desc("llm_tokens_total", MetricType::Counter),
        desc("llm_wait_seconds", MetricType::Histogram),
    ];
    let rows = [
        RowOfCatalogue::new("tokens_total", MetricType::Counter).to("llm_tokens_total"),
        RowOfCatalogue::new("wait_seconds", MetricType::Histogram).to("llm_wait_seconds"),
    ];
    let catalogue = Catalogue::new("x").prefixes(["x:"]).rows(rows);
    let compiled = Compiled::new(catalogue, &Families::new(families)).expect("a good catalogue");
    let mut translator = Translator::new(Arc::new(compiled), TranslateOptions::default());
    let page = |round: u32, exemplars: bool| {
        let exemplar = |value: &str| match exemplars {
            true => format!(
                " # {{trace_id=\"{:08x}\"}} {value} 15208796{}.5",
                round * 77,
                round % 90 + 10
            ),
            false => String::new(),
        };
        format!(
            "# TYPE x:tokens counter\nx:tokens_total {round}{}\n# TYPE x:wait_seconds histogram\n\
             x:wait_seconds_bucket{{le=\"0.5\"}} {round}{}\n\
             x:wait_seconds_bucket{{le=\"+Inf\"}} {round}{}\nx:wait_seconds_sum {round}.25\n\
             x:wait_seconds_count {round}\n# EOF\n",
            exemplar("3"),
            exemplar("0.25"),
            exemplar("7.5"),
        )
    };
    let mut snapshot = Snapshot::new();
    for (exemplars, count) in [(false, 0), (true, 3), (false, 0), (true, 3)] {
        let mut translate = |page: &str| {
            let read = translator.translate(page.as_bytes(), Format::OpenMetrics100, &mut snapshot);
            read.expect("a valid page");
            assert_eq!(snapshot.exemplars().len(), count);
        };
        for round in 1..20 {
            translate(&page(round, exemplars));
        }
        for round in 1..40 {
            let page = page(round, exemplars);
            assert_eq!(allocations(|| translate(&page)), 0, "{page}");
        }
    }
}

#[test]
fn writing_and_encoding_allocate_nothing_once_warm() {
    let dialect = Dialect::new(
        "percent",
        vec![
            Row::family("llm_usage_ratio", "usage_percent", MetricType::Gauge).factor(100.0),
            Row::ratio(
                "llm_usage_ratio",
                "llm_tokens_total",
                "usage_per_token",
                MetricType::Gauge,
            ),
        ],
    );
    let spoken = Spoken::new(&[Dialect::llm(), dialect], &[]).unwrap();
    // Twice the same target: twins are told apart without memory too.
    let mut engines = ["a", "b", "b"].map(Engine::new);
    for (format, exemplars) in [
        (PageFormat::Text004, false),
        (PageFormat::OpenMetrics100, false),
        (PageFormat::OpenMetrics100, true),
        (PageFormat::Protobuf, false),
        (PageFormat::Protobuf, true),
    ] {
        let mut encoder = Encoder::with_dialects(format, spoken.clone());
        let mut page = Vec::new();
        let mut scrape = |round: u32| {
            for engine in &mut engines {
                engine.read(round);
                if exemplars {
                    engine.exemplify(round);
                }
            }
            let parts = engines.each_ref().map(|engine| Part {
                snapshot: &engine.snapshot,
                labels: &engine.labels,
            });
            encoder.encode(&parts, &mut page);
            assert!(page.len() > 1000 && encoder.refused().duplicates > 0);
            assert_eq!(
                memchr::memmem::find(&page, b"trace_id").is_some(),
                exemplars
            );
        };
        // Warm: the shape is complete and the page has had its longest numbers.
        for round in [1, 2, 3, 4_000_001] {
            scrape(round);
        }
        for round in 4..200 {
            assert_eq!(
                allocations(|| scrape(round)),
                0,
                "round {round} of {format:?}"
            );
        }
    }
}

#[test]
fn a_roll_up_and_two_dialects_allocate_nothing_once_warm() {
    let desc = |name, kind, rule| Arc::new(Desc::new(name, kind, Unit::None, "Help.").rollup(rule));
    let tokens = desc(
        "llm_generation_tokens_total",
        MetricType::Counter,
        Rollup::Sum,
    );
    let running = desc("llm_requests_running", MetricType::Gauge, Rollup::Sum);
    let usage = desc(
        "llm_kv_cache_usage_ratio",
        MetricType::Gauge,
        Rollup::MeanWeightedBy("llm_kv_cache_blocks"),
    );
    let blocks = desc("llm_kv_cache_blocks", MetricType::Gauge, Rollup::Sum);
    let duration = desc(
        "llm_request_duration_seconds",
        MetricType::Histogram,
        Rollup::Sum,
    );
    let mut histogram = Histogram {
        buckets: [0.1, 1.0, f64::INFINITY]
            .map(|le| Bucket { le, count: 0.0 })
            .to_vec(),
        sum: Some(0.0),
        count: Some(0.0),
    };
    let targets = ["a", "b"].map(|target| LabelSet::new([("target", target)]));
    let mut pages = [Snapshot::new(), Snapshot::new()];
    let dialects = ["vllm", "worker"].map(|name| Dialect::builtin(name).unwrap());
    let spoken = Spoken::new(&dialects, &[]).unwrap();
    let mut encoder = Encoder::with_dialects(Format::Text004, spoken);
    let mut roll_up = RollUp::over(["engine", "target"]);
    let (mut out, mut page) = (Snapshot::new(), Vec::new());
    let nothing = LabelSet::default();
    let mut scrape = |round: u32| {
        for (index, read) in pages.iter_mut().enumerate() {
            read.clear();
            for engine in ["0", "1"] {
                let labels = [("engine", engine), ("model_name", "m")];
                let value = f64::from(round) * 1.25;
                read.family(&tokens).sample(&labels, value);
                read.family(&running).sample(&labels, value / 3.0);
                // One value comes and goes, and one counter begins again.
                if index == 0 || !round.is_multiple_of(3) {
                    read.family(&usage).sample(&labels, 0.29);
                }
                read.family(&blocks).sample(&labels, 1000.0);
                for bucket in &mut histogram.buckets {
                    bucket.count = f64::from(round % 50);
                }
                histogram.count = Some(f64::from(round % 50));
                read.family(&duration).histogram(&labels, &histogram);
            }
        }
        let parts = [0, 1].map(|index| Part {
            snapshot: &pages[index],
            labels: &targets[index],
        });
        roll_up.run(&parts, &mut out);
        let part = Part {
            snapshot: &out,
            labels: &nothing,
        };
        encoder.encode(&[part], &mut page);
        assert!(encoder.refused().is_none() && page.len() > 1000);
    };
    for round in [1, 2, 3, 4_000_001] {
        scrape(round);
    }
    for round in 4..200 {
        assert_eq!(allocations(|| scrape(round)), 0, "round {round}");
    }
}

/// Hears nothing, so that only the layout is counted.
struct Deaf;

impl Fresh for Deaf {
    fn restart(&mut self) {}
    fn metadata(&mut self, _: &Entry<'_>) {}
    fn sample(&mut self, _: u32, _: &Sample<'_>) {}
}

fn recorded(file: &str) -> String {
    let path = format!("{}/../../testdata/vllm/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("testdata is there")
}

/// Pages of one server: values change, and a few lines come and go.
fn successive_pages() -> Vec<String> {
    let first = recorded("vllm-0.32.0-t1-load.txt");
    let later = first.replace(" 0.0\n", " 17.0\n").replace("5\n", "25\n");
    let fewer = |skip: usize| -> String {
        let mut lines = first.lines().enumerate();
        let kept = lines
            .by_ref()
            .filter(|(n, line)| line.starts_with('#') || n % 100 != skip);
        kept.map(|(_, line)| format!("{line}\n")).collect()
    };
    vec![
        first.clone(),
        later,
        fewer(13),
        first.clone(),
        fewer(57),
        fewer(13),
    ]
}

/// Everything a page says, asked for.
fn read_all(page: &str, variant: Variant) -> usize {
    let options = Options::new(Format::sniff(page.as_bytes(), None));
    let mut seen = 0;
    for entry in Parser::new(page.as_bytes(), options).with_variant(variant) {
        if let Entry::Sample(sample) = entry.expect("a valid page") {
            let labels = sample
                .labels()
                .map(|(name, value)| (name.raw(), value.raw()));
            std::hint::black_box((sample.name().raw(), labels.count(), sample.value()));
            if let Some(exemplar) = sample.exemplar() {
                std::hint::black_box((exemplar.value(), exemplar.labels().count()));
            }
            seen += 1;
        }
    }
    seen
}

#[test]
fn parsing_allocates_nothing() {
    let exemplars = "a_bucket{le=\"1\"} 5 # {trace_id=\"4bf9\"} 0.5 1790000000.25\n# EOF\n";
    for page in [
        recorded("vllm-0.32.0-t1-load.txt"),
        recorded("vllm-0.33.0-V1-openmetrics.txt"),
        exemplars.to_owned(),
    ] {
        for variant in Variant::available() {
            let mut seen = 0;
            let calls = allocations(|| seen = read_all(&page, variant));
            assert_eq!((calls, seen > 0), (0, true), "{variant:?}");
        }
    }
}

#[test]
fn reading_known_lines_allocates_nothing_once_warm() {
    let pages = successive_pages();
    for variant in Variant::available() {
        let mut layout = Layout::new().with_variant(variant);
        let mut read = |page: &str| {
            let read = layout.read(page.as_bytes(), Options::default(), &mut Deaf);
            read.expect("a valid page")
        };
        for page in pages.iter().cycle().take(20 * pages.len()) {
            read(page);
        }
        for page in pages.iter().cycle().take(5 * pages.len()) {
            assert_eq!(allocations(|| _ = read(page)), 0, "{variant:?}");
        }
        // And where nothing comes or goes, not on the second page already.
        let mut layout = Layout::new().with_variant(variant);
        let mut read = |page: &str| layout.read(page.as_bytes(), Options::default(), &mut Deaf);
        assert!(read(&pages[0]).is_ok());
        let again = allocations(|| assert!(read(&pages[1]).is_ok_and(|read| read.unchanged)));
        assert_eq!(again, 0);
    }
}

#[test]
fn filtering_allocates_nothing() {
    let page = recorded("vllm-0.32.0-t1-load.txt");
    let filter = Filter::new([
        "vllm:num_requests_running",
        "vllm:time_to_first_token_seconds",
    ]);
    for variant in Variant::available() {
        let mut taken = 0;
        let calls = allocations(|| {
            let entries = filter.entries(page.as_bytes(), Options::default());
            taken = entries.with_variant(variant).filter(Result::is_ok).count();
        });
        assert_eq!((calls, taken > 20), (0, true), "{variant:?} {taken}");
    }
}
