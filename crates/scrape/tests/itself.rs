//! An exporter that was told to read itself says so at once, and everything else is on the page.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use tokenpath_core::BoxSource;
use tokenpath_core::catalogue::{Catalogue, Compiled, Families};
use tokenpath_scrape::runner::{Exporter, SourceOptions};
use tokenpath_scrape::server::{MetricsService, Server, ServerOptions, ServiceOptions};
use tokenpath_scrape::{Client, ClientOptions, Page, PageSource, PageSourceOptions};
use tokio::net::TcpListener;
use tokio::time::Instant;

#[tokio::test]
async fn reading_oneself_is_a_wrong_backend_and_no_deadlock() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let catalogue = Compiled::new(Catalogue::new("vllm"), &Families::default()).unwrap();
    let source = PageSource::new(
        url.parse().unwrap(),
        Arc::new(catalogue),
        PageSourceOptions::default(),
    );
    let mut exporter = Exporter::new();
    exporter.add(BoxSource::new(source.unwrap()), SourceOptions::new());
    let exporter = Arc::new(exporter);
    let service = MetricsService::new(Arc::clone(&exporter), ServiceOptions::default()).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = Server::new(service, ServerOptions::default());
    let serving = tokio::spawn(server.serve(vec![listener], async { _ = stopped.await }));

    let begin = Instant::now();
    let format = tokenpath_core::exposition::Format::Text004;
    let page = exporter.page(format, begin + Duration::from_secs(20)).await;
    let page = String::from_utf8(page).unwrap();
    assert!(
        page.contains(
            "tokenpath_source_scrape_errors_total{backend=\"vllm\",reason=\"wrong_backend\""
        ),
        "{page}"
    );
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "no waiting for oneself"
    );

    // Any other reader is answered, in this process too.
    let client = Client::new(url.parse().unwrap(), ClientOptions::default()).unwrap();
    let mut page = Page::new();
    client
        .get(&mut page, begin + Duration::from_secs(30))
        .await
        .unwrap();
    assert!(page.bytes().starts_with(b"# HELP "));
    stop.send(()).unwrap();
    serving.await.unwrap();
}
