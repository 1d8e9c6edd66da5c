//! The source against servers on loopback: a good one, and those that are not vLLM or not well.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::time::Duration;

use tokenpath_core::{BoxSource, CollectError, Reason, Snapshot, Source};
use tokenpath_scrape::PageSourceOptions;
use tokenpath_sim::vllm::{Layout, Release};
use tokenpath_sim::{Config, Server, Twin};
use tokenpath_vllm::VllmSource;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn source(target: &str) -> VllmSource {
    let mut options = PageSourceOptions::default();
    options.empty_is_fine = true;
    options.timeout = Duration::from_secs(30);
    VllmSource::new(target.parse().unwrap(), options).unwrap()
}

async fn collect(source: &impl Source) -> Result<Snapshot, CollectError> {
    let mut snapshot = Snapshot::new();
    source.collect(&mut snapshot).await.map(|()| snapshot)
}

/// A server that gives every connection this answer and closes it.
async fn answers(head: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let answer = format!(
                "HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    target
}

#[tokio::test]
async fn a_server_of_any_release_is_read() {
    let mut twin = Twin::new(Config::default()).unwrap();
    twin.advance(60.0);
    let running = Server::new(twin, Layout::of(Release::latest()))
        .speed(0.0)
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let target = running.local_addr().to_string();
    let source = source(&target);
    assert_eq!(source.id().kind(), "vllm");
    assert_eq!(source.id().target(), target);
    let boxed = BoxSource::new(source);
    let model = running.truth().config.model_name;
    for release in ["0.6.6", "0.8.5", "0.10.2", "0.33.0", "0.33.0-rust"] {
        running
            .set_layout(Layout::of(Release::find(release).unwrap()))
            .unwrap();
        running.with_twin(|twin| twin.advance(1.0));
        let snapshot = collect(&boxed).await.unwrap();
        let mut labels = vec![("model_name", model.as_str())];
        if release != "0.6.6" {
            labels.push(("engine", "0"));
        }
        let expected = running.truth().engines[0].kv_usage();
        assert_eq!(
            snapshot.value("llm_kv_cache_usage_ratio", &labels),
            Some(expected),
            "{release}"
        );
        for family in snapshot.shape().families() {
            assert!(
                boxed
                    .describe()
                    .iter()
                    .any(|desc| desc.name() == family.desc().name()),
                "{} is not described",
                family.desc().name()
            );
        }
    }
    running.stop().await;
    let error = collect(&boxed).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Connect, "{error}");
}

#[tokio::test]
async fn what_is_not_vllm_is_told() {
    let html = "<html><body>It works!</body></html>";
    for (head, body, reason, says) in [
        ("200 OK", "", Reason::Empty, "empty page"),
        (
            "200 OK\r\ncontent-type: text/html",
            html,
            Reason::Parse,
            "HTML",
        ),
        ("200 OK", "{\"status\":\"ok\"}", Reason::Parse, "JSON"),
        ("200 OK", "tgi_queue_size 0\n", Reason::WrongBackend, "TGI"),
        (
            "200 OK",
            "tokenpath_build_info 1\n",
            Reason::WrongBackend,
            "itself",
        ),
        ("401 Unauthorized", "", Reason::Unauthorized, ""),
        ("503 Service Unavailable", "", Reason::ServerError, ""),
        ("404 Not Found", "", Reason::Http, ""),
    ] {
        let target = answers(head, body).await;
        let error = collect(&source(&target)).await.unwrap_err();
        assert_eq!(error.reason(), reason, "{head} {body}: {error}");
        assert!(error.to_string().contains(says), "{head} {body}: {error}");
    }
}

/// A fault does not outlive its cause.
#[tokio::test]
async fn a_bad_page_does_not_spoil_the_next() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let page = "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running 4\n";
    tokio::spawn(async move {
        for body in [page, "vllm:num_requests_running{", page] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    let source = source(&target);
    let good = collect(&source).await.unwrap();
    assert_eq!(good.value("llm_requests_running", &[]), Some(4.0));
    let error = collect(&source).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Parse);
    let again = collect(&source).await.unwrap();
    assert_eq!(again.value("llm_requests_running", &[]), Some(4.0));
}

/// A reading that is dropped half way leaves the source usable.
#[tokio::test]
async fn a_dropped_reading_is_forgotten() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let server = tokio::spawn(async move {
        // The first request is never answered.
        let (stalled, _) = listener.accept().await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).await;
        let body = "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running 4\n";
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        drop(stalled);
    });
    let source = source(&target);
    let dropped = tokio::time::timeout(Duration::from_millis(200), collect(&source)).await;
    assert!(dropped.is_err());
    let snapshot = collect(&source).await.unwrap();
    assert_eq!(snapshot.value("llm_requests_running", &[]), Some(4.0));
    server.await.unwrap();
}
