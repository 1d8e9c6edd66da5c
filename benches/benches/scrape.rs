//! What does a scrape cost, the network included?
//!
//! An engine on loopback answers with two successive pages of one server in turn; both sides are in
//! this process and on one thread, so every figure holds the server's part too.
//!
//! - *get*: the page is fetched over a kept connection, and not looked at: the bound.
//! - *source*: fetched and translated.
//! - *page*: the whole exporter: fetched, translated, its own state added, encoded.

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Response, server::conn::http1};
use hyper_util::rt::TokioIo;
use tokenpath_benches::pages;
use tokenpath_core::exposition::Format;
use tokenpath_core::{BoxSource, Snapshot, Source};
use tokenpath_scrape::runner::{Exporter, SourceOptions};
use tokenpath_scrape::{Client, ClientOptions, Endpoint, Page, PageSourceOptions};
use tokenpath_vllm::VllmSource;
use tokio::net::TcpListener;
use tokio::time::Instant;

/// Serves the pages in turn; gives where.
async fn engine(turns: [String; 2]) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback has a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let turns = turns.map(Bytes::from);
    let next = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (turns, next) = (turns.clone(), Arc::clone(&next));
            tokio::spawn(http1::Builder::new().serve_connection(
                TokioIo::new(stream),
                service_fn(move |_| {
                    let page = turns[next.fetch_add(1, Ordering::Relaxed) % 2].clone();
                    async move { Ok::<_, Infallible>(Response::new(Full::new(page))) }
                }),
            ));
        }
    });
    url.parse().expect("it is an endpoint")
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be built");
    for (name, page) in [("typical", pages::typical()), ("large", pages::large())] {
        let mut group = criterion.benchmark_group(format!("scrape/{name}"));
        group.throughput(Throughput::Bytes(page.len() as u64));
        let endpoint = runtime.block_on(engine([pages::later(&page, 1), page]));

        let client =
            Client::new(endpoint.clone(), ClientOptions::default()).expect("it is plain HTTP");
        let mut fetched = Page::new();
        group.bench_function(BenchmarkId::from_parameter("get"), |bencher| {
            bencher.iter(|| {
                runtime
                    .block_on(client.get(&mut fetched, soon()))
                    .expect("the engine answers");
                black_box(fetched.bytes().len())
            });
        });

        let source = VllmSource::new(endpoint.clone(), PageSourceOptions::default())
            .expect("it is plain HTTP");
        let mut snapshot = Snapshot::new();
        group.bench_function(BenchmarkId::from_parameter("source"), |bencher| {
            bencher.iter(|| {
                runtime
                    .block_on(source.collect(&mut snapshot))
                    .expect("the engine answers")
            });
        });

        let mut exporter = Exporter::new();
        let source =
            VllmSource::new(endpoint, PageSourceOptions::default()).expect("it is plain HTTP");
        exporter.add(BoxSource::new(source), SourceOptions::new());
        group.bench_function(BenchmarkId::from_parameter("page"), |bencher| {
            bencher.iter(|| {
                runtime
                    .block_on(exporter.page(Format::Text004, soon()))
                    .len()
            });
        });
        group.finish();
    }
    criterion.final_summary();
}
