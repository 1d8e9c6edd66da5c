//! The source against a server on loopback.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokenpath_core::{Reason, Snapshot, Source};
use tokenpath_tgi::{Info, TgiSource, TgiSourceOptions};

use crate::http::Server;
use crate::page::recorded;
use crate::reading;

fn source(server: &Server, path: &str, options: TgiSourceOptions) -> TgiSource {
    let endpoint = format!("{}{path}", server.url()).parse().unwrap();
    TgiSource::new(endpoint, options).unwrap()
}

fn page() -> Vec<u8> {
    recorded("tgi", "tgi-3.3.7-t4-after.txt").into_bytes()
}

fn info() -> Vec<u8> {
    recorded("tgi", "tgi-3.3.7-info.json").into_bytes()
}

#[test]
fn the_recorded_info_is_read() {
    assert_eq!(Info::from_json(&info()).unwrap(), reading::info());
    let older = br#"{"model_id":"m","max_input_length":1000,"max_batch_total_tokens":9,"new":[]}"#;
    let older = Info::from_json(older).unwrap();
    assert_eq!(older.max_input_tokens, Some(1000.0));
    assert_eq!(older.max_batch_total_tokens, Some(9.0));
    assert!(Info::from_json(b"<html>").is_err());
}

#[tokio::test]
async fn page_and_info_become_one_snapshot() {
    let server = Server::start(|request| match request.path.as_str() {
        "/metrics" => (200, page()),
        "/info" => (200, info()),
        _ => (404, Vec::new()),
    });
    let options = TgiSourceOptions {
        info_timeout: Duration::from_secs(60),
        info_grace: Duration::from_secs(60),
        ..TgiSourceOptions::default()
    };
    let source = source(&server, "", options);
    let mut out = Snapshot::new();
    for _ in 0..3 {
        source.collect(&mut out).await.unwrap();
    }
    let model = ("model_name", "tiny/tiny-llama");
    assert_eq!(out.value("llm_requests_waiting", &[model]), Some(0.0));
    assert_eq!(
        out.value("llm_tgi_total_tokens_limit", &[model]),
        Some(4096.0)
    );
    let version = ("version", "3.3.6-dev0");
    assert_eq!(out.value("llm_engine_info", &[model, version]), Some(1.0));
    let asked = server.paths();
    assert_eq!(
        asked.iter().filter(|path| *path == "/info").count(),
        1,
        "it is kept"
    );
    assert!(source.report().await.any_mapped());
    for family in out.shape().families() {
        let described = source.describe().iter().any(|desc| desc == family.desc());
        assert!(described, "{}", family.desc().name());
    }
}

#[tokio::test]
async fn info_that_fails_never_fails_the_page_and_is_asked_for_again() {
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let server = Server::start(move |request| match request.path.as_str() {
        "/tgi/metrics" => (200, page()),
        "/tgi/info" => match count.fetch_add(1, Ordering::SeqCst) {
            0 => (500, b"no".to_vec()),
            1 => (200, b"<html>".to_vec()),
            2 => (200, info()),
            _ => (503, Vec::new()),
        },
        _ => (404, Vec::new()),
    });
    let options = TgiSourceOptions {
        info_interval: Duration::ZERO,
        info_retry: Duration::ZERO,
        // However busy the machine is.
        info_timeout: Duration::from_secs(60),
        info_grace: Duration::from_secs(60),
        ..TgiSourceOptions::default()
    };
    let source = source(&server, "/tgi/metrics", options);
    let mut out = Snapshot::new();
    for round in 0..4 {
        source.collect(&mut out).await.unwrap();
        let known = out.value("llm_requests_waiting", &[("model_name", "tiny/tiny-llama")]);
        let unknown = out.value("llm_requests_waiting", &[]);
        // What was known once stays known.
        let expected = if round < 2 {
            (None, Some(0.0))
        } else {
            (Some(0.0), None)
        };
        assert_eq!((known, unknown), expected, "{round}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_page_does_not_wait_for_info() {
    let server = Server::start(|request| match request.path.as_str() {
        "/metrics" => (200, page()),
        _ => {
            std::thread::sleep(Duration::from_secs(60));
            (200, info())
        }
    });
    let options = TgiSourceOptions {
        info_timeout: Duration::from_secs(60),
        timeout: Duration::from_secs(60),
        ..TgiSourceOptions::default()
    };
    let source = source(&server, "", options);
    let mut out = Snapshot::new();
    let begin = Instant::now();
    source.collect(&mut out).await.unwrap();
    assert!(
        begin.elapsed() < Duration::from_secs(30),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(out.value("llm_requests_waiting", &[]), Some(0.0));
    source.collect(&mut out).await.unwrap();
    let asked = server.paths();
    assert!(
        asked.iter().filter(|path| *path == "/info").count() <= 1,
        "later, not at once"
    );
}

#[tokio::test]
async fn an_idle_server_is_up_and_has_no_data() {
    let server = Server::start(|request| match request.path.as_str() {
        "/metrics" => (200, Vec::new()),
        _ => (404, Vec::new()),
    });
    let mut out = Snapshot::new();
    let source = source(&server, "", TgiSourceOptions::default());
    source.collect(&mut out).await.unwrap();
    assert_eq!(out.tally().samples, Some(0));
    assert!(crate::page::held(&out).is_empty());
}

#[tokio::test]
async fn another_page_is_refused_with_a_hint() {
    for (body, status, reason, hint) in [
        (
            "# TYPE vllm:a gauge\nvllm:a 1\n",
            200,
            Reason::WrongBackend,
            "vLLM",
        ),
        ("<html></html>", 200, Reason::Parse, "HTML"),
        ("a 1\na", 200, Reason::Parse, "line 2"),
        ("", 503, Reason::ServerError, "503"),
        ("", 404, Reason::Http, "404"),
    ] {
        let server = Server::start(move |_| (status, body.as_bytes().to_vec()));
        let mut out = Snapshot::new();
        let endpoint = server.url().replace("http://", "http://me:canary@");
        let source =
            TgiSource::new(endpoint.parse().unwrap(), TgiSourceOptions::default()).unwrap();
        let error = source.collect(&mut out).await.unwrap_err();
        assert_eq!(error.reason(), reason, "{body}");
        let text = format!("{error} {error:?} {source:?}");
        assert!(text.contains(hint), "{text}");
        assert!(!text.contains("canary"), "{text}");
    }
}
