//! A source that is a page: its verdicts say what is wrong and what to do.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/fault_server.rs"]
mod fault_server;

use std::sync::Arc;
use std::time::Duration;

use fault_server::{FaultServer, ok, read_request};
use tokenpath_core::catalogue::{Catalogue, Compiled, Families, Row};
use tokenpath_core::exposition::{Format, PageFormat, check};
use tokenpath_core::{
    BoxSource, CollectError, Desc, LabelSet, MetricType, Reason, Snapshot, Source, Unit,
};
use tokenpath_scrape::runner::{Exporter, SourceOptions};
use tokenpath_scrape::{PageSource, PageSourceOptions};
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

fn catalogue() -> Arc<Compiled> {
    let running = Desc::new(
        "llm_requests_running",
        MetricType::Gauge,
        Unit::None,
        "In the batch.",
    );
    let families = Families::new([Arc::new(running)]);
    let rows = [Row::new("num_requests_running", MetricType::Gauge).to("llm_requests_running")];
    let catalogue = Catalogue::new("vllm")
        .prefixes(["vllm:", "vllm_"])
        .rows(rows)
        .left_out("python_*", "not ours");
    Arc::new(Compiled::new(catalogue, &families).unwrap())
}

/// A server that answers every request, on one connection, with this body.
async fn serving(body: &'static str) -> FaultServer {
    FaultServer::start(move |_, mut stream| async move {
        while !read_request(&mut stream).await.is_empty() {
            stream
                .write_all(&ok("Content-Type: text/plain\r\n", body.as_bytes()))
                .await
                .unwrap();
        }
    })
    .await
}

fn options(empty_is_fine: bool) -> PageSourceOptions {
    let mut options = PageSourceOptions::default();
    options.empty_is_fine = empty_is_fine;
    options
}

async fn read(body: &'static str, empty_is_fine: bool) -> (Snapshot, Result<(), CollectError>) {
    let server = serving(body).await;
    let source = PageSource::new(
        server.url().parse().unwrap(),
        catalogue(),
        options(empty_is_fine),
    )
    .unwrap();
    let mut snapshot = Snapshot::new();
    let result = source.collect(&mut snapshot).await;
    (snapshot, result)
}

#[tokio::test]
async fn a_page_becomes_a_snapshot_on_one_connection() {
    let server =
        serving("# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running 4.0\n").await;
    let source =
        PageSource::new(server.url().parse().unwrap(), catalogue(), options(false)).unwrap();
    assert_eq!(
        (source.id().kind(), source.id().target()),
        ("vllm", server.address().to_string().as_str())
    );
    let mut snapshot = Snapshot::new();
    for _ in 0..3 {
        source.collect(&mut snapshot).await.unwrap();
        assert_eq!(snapshot.value("llm_requests_running", &[]), Some(4.0));
    }
    assert_eq!(server.accepted(), 1);
    assert!(source.report().await.any_mapped());
}

#[tokio::test]
async fn what_is_no_page_of_this_backend_is_named() {
    let cases = [
        (
            "<html><body>Grafana</body></html>\n",
            Reason::Parse,
            "answers with HTML, not with metrics",
        ),
        (
            "{\"status\":\"ok\"}\n",
            Reason::Parse,
            "answers with JSON, not with metrics",
        ),
        (
            "vllm:num_requests_running 4.0\nvllm:num_req",
            Reason::Parse,
            "line 2, column",
        ),
        ("", Reason::Empty, "answers with an empty page"),
        (
            "# HELP only metadata\n",
            Reason::Empty,
            "answers with an empty page",
        ),
        (
            "python_info 1\ntgi_queue_size 1\n",
            Reason::WrongBackend,
            "it looks like Hugging Face TGI",
        ),
        (
            "sglang:num_running_reqs 1\n",
            Reason::WrongBackend,
            "it looks like SGLang",
        ),
        (
            "odd_name 1\nodder_name 2\n",
            Reason::WrongBackend,
            "it begins with odd_name, odder_name",
        ),
        (
            "llm_requests_running 4\ntokenpath_build_info{version=\"0.1.0\"} 1\n",
            Reason::WrongBackend,
            "is an exporter of Tokenpath itself",
        ),
    ];
    for (body, reason, says) in cases {
        let (_, result) = read(body, false).await;
        let error = result.unwrap_err();
        assert_eq!(error.reason(), reason, "{body:?}: {error}");
        assert!(error.to_string().contains(says), "{body:?}: {error}");
        assert!(
            error.to_string().contains("http://127.0.0.1:"),
            "it says which: {error}"
        );
    }
}

#[tokio::test]
async fn an_empty_page_is_fine_where_a_backend_is_empty_when_idle() {
    let (snapshot, result) = read("", true).await;
    result.unwrap();
    assert_eq!(snapshot.tally().samples, Some(0));
}

#[tokio::test]
async fn a_target_that_refuses_is_a_connect_failure() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let source = PageSource::new(
        format!("http://{address}").parse().unwrap(),
        catalogue(),
        options(false),
    )
    .unwrap();
    let error = source.collect(&mut Snapshot::new()).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Connect, "{error}");
}

#[tokio::test]
async fn what_no_catalogue_knows_is_passed_through_where_that_is_wanted() {
    const PAGE: &str = "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running 4\n\
        # HELP vllm:new_seconds_total New.\n# TYPE vllm:new_seconds_total counter\n\
        vllm:new_seconds_total{cluster=\"theirs\"} 5\nllm_requests_waiting 6\n\
        many{n=\"1\"} 1\nmany{n=\"2\"} 2\nmany{n=\"3\"} 3\n";
    for passes in [false, true] {
        let server = serving(PAGE).await;
        let mut options = options(false);
        options.translate.pass_unknown = passes;
        let source = PageSource::new(server.url().parse().unwrap(), catalogue(), options).unwrap();
        let labels = LabelSet::new([("cluster", "c1")]);
        let mut exporter = Exporter::new();
        let options = SourceOptions::new().labels(labels).series_limit(3);
        exporter.add(BoxSource::new(source), options);
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
        let page = exporter.page(Format::Text004, deadline).await;
        assert_eq!(check(&page, Format::Text004), []);
        let page = String::from_utf8(page).unwrap();
        let ours = "backend=\"vllm\",cluster=\"c1\"";
        let has = |line: &str| page.contains(line);
        assert!(has(&format!("llm_requests_running{{{ours}")), "{page}");
        let samples = format!("tokenpath_source_samples{{{ours},target=");
        let samples = page.lines().find(|line| line.starts_with(&samples));
        assert!(samples.unwrap().ends_with(" 6"), "{page}");
        // Nobody knows it, and that is still said.
        let unmapped = format!("tokenpath_source_unmapped_families{{{ours},target=");
        let unmapped = page.lines().find(|line| line.starts_with(&unmapped));
        assert!(unmapped.unwrap().ends_with(" 3"), "{page}");
        let new = format!("vllm:new_seconds_total{{{ours},exported_cluster=\"theirs\"");
        assert_eq!(has(&new), passes, "{page}");
        assert_eq!(
            has("# HELP vllm:new_seconds_total New.\n"),
            passes,
            "{page}"
        );
        assert_eq!(has("reason=\"unmapped\""), !passes, "{page}");
        // One of ours cannot be theirs, and limits hold.
        assert!(!has("\nllm_requests_waiting"), "{page}");
        assert_eq!(has("reason=\"name_clash\""), passes, "{page}");
        assert_eq!(
            page.matches("\nmany{").count(),
            usize::from(passes),
            "{page}"
        );
        assert_eq!(has("reason=\"series_limit\""), passes, "{page}");
    }
}

/// Speaks OpenMetrics to who asks for it, and text to all others.
async fn speaking_both() -> FaultServer {
    FaultServer::start(|_, mut stream| async move {
        loop {
            let request = read_request(&mut stream).await;
            if request.is_empty() {
                return;
            }
            let request = request.to_ascii_lowercase();
            let asked = request.lines().find(|line| line.starts_with("accept:"));
            let (kind, exemplar, end) =
                if asked.is_some_and(|line| line.contains("application/openmetrics-text")) {
                    let exemplar = " # {trace_id=\"4bf92f35\"} 0.25 1520879607.5";
                    ("application/openmetrics-text", exemplar, "# EOF\n")
                } else {
                    ("text/plain; version=0.0.4", "", "")
                };
            let body = format!(
                "# TYPE vllm:e2e histogram\nvllm:e2e_bucket{{le=\"0.5\"}} 1{exemplar}\n\
                 vllm:e2e_bucket{{le=\"+Inf\"}} 2\nvllm:e2e_sum 3\nvllm:e2e_count 2\n{end}"
            );
            let answer = ok(&format!("Content-Type: {kind}\r\n"), body.as_bytes());
            if stream.write_all(&answer).await.is_err() {
                return;
            }
        }
    })
    .await
}

#[tokio::test]
async fn exemplars_go_from_a_source_that_is_asked_for_them_to_the_page() {
    let duration = Desc::new(
        "llm_request_duration_seconds",
        MetricType::Histogram,
        Unit::Seconds,
        "End to end.",
    );
    let families = Families::new([Arc::new(duration)]);
    let rows = [Row::new("e2e", MetricType::Histogram).to("llm_request_duration_seconds")];
    let catalogue = Catalogue::new("vllm").prefixes(["vllm:"]).rows(rows);
    let catalogue = Arc::new(Compiled::new(catalogue, &families).unwrap());
    let server = speaking_both().await;
    for asks in [true, false] {
        let mut options = options(false);
        if asks {
            options.client.accept = "application/openmetrics-text;version=1.0.0".into();
        }
        let url = server.url().parse().unwrap();
        let source = PageSource::new(url, Arc::clone(&catalogue), options).unwrap();
        let mut exporter = Exporter::new();
        exporter.add(BoxSource::new(source), SourceOptions::new());
        for format in PageFormat::ALL {
            let deadline = Instant::now() + Duration::from_secs(20);
            let page = exporter.page(format, deadline).await;
            let has = |text: &str| page.windows(text.len()).any(|at| at == text.as_bytes());
            assert!(has("llm_request_duration_seconds"), "{format:?}");
            let expected = asks && format != PageFormat::Text004;
            assert_eq!(has("4bf92f35"), expected, "{format:?}");
            if asks && format == PageFormat::OpenMetrics100 {
                assert!(has(
                    "le=\"0.5\"} 1 # {trace_id=\"4bf92f35\"} 0.25 1520879607.5\n"
                ));
            }
        }
    }
}

#[tokio::test]
async fn a_page_that_gives_a_source_up_knows_what_it_waited_for() {
    let silent = FaultServer::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let source =
        PageSource::new(silent.url().parse().unwrap(), catalogue(), options(false)).unwrap();
    let mut exporter = Exporter::new();
    exporter.add(BoxSource::new(source), SourceOptions::new());
    let deadline = Instant::now() + Duration::from_secs(1);
    let page = exporter.page(Format::Text004, deadline).await;
    let page = String::from_utf8(page).unwrap();
    assert!(page.contains("reason=\"timeout\""), "{page}");
    let error = &exporter.status()[0].error;
    assert!(error.contains("connected, and no answer came"), "{error}");
}
