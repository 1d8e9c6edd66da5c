//! What does a page of a whole stack cost, from warm?
//!
//! Two vLLM servers, a TGI, an endpoint picker, a limiter with 500 tenants and its admin API, eight
//! GPUs: on one page ([`tokenpath_benches::composed`]). The servers are on a thread each and answer with
//! recorded pages, so what they do is small, but it is in the figures.
//!
//! - *page*: the exporter is asked for the page: all sources read, translated, encoded.
//! - *served*: the page is scraped over HTTP on a kept connection, as Prometheus does without gzip.
//! - *packed*: the same with gzip, which Prometheus asks for.
//!
//! The goal is about the worst, not the mean: `cargo bench -p tokenpath-benches --bench composed -- percentiles`
//! prints p50, p90, p99 and the longest of 2,000 scrapes each, the processor time that one takes (the
//! recorded servers' and the client's part included), and the sizes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use tokenpath_benches::composed::{CONTROL, Composed, soon};
use tokenpath_core::exposition::Format;
use tokenpath_fake_nvml::Fake;
use tokenpath_scrape::runner::Exporter;
use tokenpath_scrape::server::{MetricsService, Server, ServerOptions, ServiceOptions};
use tokenpath_scrape::{Client, ClientOptions, Page};
use tokio::runtime::Runtime;

/// The goal for the page, served from warm.
const GOAL: Duration = Duration::from_millis(5);
/// Scrapes of one report.
const SCRAPES: u16 = 2000;

/// The fake driver with the GPUs of the stack.
fn driver(folder: &Path) -> PathBuf {
    let fake = Fake::install(folder).expect("the fake library is built");
    fake.control(CONTROL);
    fake.library().to_owned()
}

/// A stack, its exporter on a port, and clients of it.
struct Bench {
    runtime: Runtime,
    exporter: Arc<Exporter>,
    plain: Client,
    packed: Client,
    /// What the clients got last.
    page: Page,
}

impl Bench {
    fn start() -> (Self, Vec<(&'static str, usize)>) {
        // As the binaries have it.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime can be built");
        let composed = runtime.block_on(Composed::start(driver));
        let upstream = composed.upstream_bytes.clone();
        let folder = composed.folder;
        let exporter = Arc::new(composed.exporter);
        let listener = runtime.block_on(async {
            tokio::net::TcpListener::bind("127.0.0.1:0")
                .await
                .expect("loopback has a free port")
        });
        let at = listener.local_addr().expect("it is bound");
        let service = MetricsService::new(Arc::clone(&exporter), ServiceOptions::default())
            .expect("the path is the usual one");
        runtime.spawn(async move {
            let _folder = folder;
            Server::new(service, ServerOptions::default())
                .serve(vec![listener], std::future::pending())
                .await;
        });
        let bench = Self {
            exporter,
            plain: client(at, false),
            packed: client(at, true),
            runtime,
            page: Page::new(),
        };
        (bench, upstream)
    }

    fn page(&mut self) -> usize {
        let page = self.exporter.page(Format::Text004, soon());
        self.runtime.block_on(page).len()
    }

    fn served(&mut self) -> usize {
        self.runtime
            .block_on(self.plain.get(&mut self.page, soon()))
            .expect("it answers");
        self.page.bytes().len()
    }

    fn packed(&mut self) -> usize {
        self.runtime
            .block_on(self.packed.get(&mut self.page, soon()))
            .expect("it answers");
        self.page.bytes().len()
    }
}

fn client(at: SocketAddr, gzip: bool) -> Client {
    let options = ClientOptions {
        body_limit: 64 << 20,
        gzip,
        ..ClientOptions::default()
    };
    let endpoint = format!("http://{at}").parse().expect("it is an endpoint");
    Client::new(endpoint, options).expect("it is plain HTTP")
}

/// A way to ask for the page, by name; it gives the bytes that came.
type Way = (&'static str, fn(&mut Bench) -> usize);

const WAYS: [Way; 3] = [
    ("page", Bench::page),
    ("served", Bench::served),
    ("packed", Bench::packed),
];

fn main() {
    let (mut bench, upstream) = Bench::start();
    for _ in 0..20 {
        for (_, way) in WAYS {
            way(&mut bench);
        }
    }
    if std::env::args().any(|argument| argument == "percentiles") {
        return report(&mut bench, &upstream);
    }
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("composed");
    group.throughput(Throughput::Bytes(bench.page() as u64));
    for (name, way) in WAYS {
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| way(&mut bench));
        });
    }
    group.finish();
    criterion.final_summary();
}

/// Prints how long scrapes take, the worst of them above all.
fn report(bench: &mut Bench, upstream: &[(&'static str, usize)]) {
    for (name, bytes) in upstream {
        println!("{name:<10} says {bytes:>9} bytes");
    }
    println!("the page has  {:>9} bytes", bench.page());
    println!("\n          p50 ms   p90 ms   p99 ms  longest   CPU ms   over {GOAL:?}");
    for (name, way) in WAYS {
        let busy = cpu_seconds();
        let mut times: Vec<Duration> = (0..SCRAPES)
            .map(|_| {
                let start = Instant::now();
                way(bench);
                start.elapsed()
            })
            .collect();
        let busy = (cpu_seconds() - busy) / f64::from(SCRAPES) * 1e3;
        times.sort();
        let at = |part: usize| {
            let at = (times.len() * part / 100).min(times.len() - 1);
            times[at].as_secs_f64() * 1e3
        };
        let over = times.iter().filter(|time| **time > GOAL).count();
        println!(
            "{name:<8} {:>8.2} {:>8.2} {:>8.2} {:>8.2} {busy:>8.2}   {over} of {SCRAPES}",
            at(50),
            at(90),
            at(99),
            at(100)
        );
    }
}

/// Processor time of all threads so far: what a busy machine leaves as it is. 0 where there is no
/// `/proc`.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which may have blanks, user and system time are the 12th and 13th field.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: f64 = ticks.filter_map(|it| it.parse::<f64>().ok()).sum();
    // Linux has 100 ticks a second for programs, whatever it has for itself.
    ticks / 100.0
}
