//! What a scraper, a person and an attacker get from the service, over real connections.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use flate2::read::GzDecoder;
use tokenpath_scrape::server::{
    Landing, LandingSource, MetricsService, PageError, PageProvider, PageRequest, ServedFormat,
    Server, ServerOptions, ServerStats, ServiceOptions, SourceState, bind,
};
use tokenpath_scrape::{Client, ClientOptions, Page};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// Far more than anything here takes, so that a loaded machine changes nothing.
const PLENTY: Duration = Duration::from_secs(30);

/// A provider that the test steers.
struct Steered {
    page: Bytes,
    ready: AtomicBool,
    computing: AtomicUsize,
    most: AtomicUsize,
    /// What a page costs: one permit each.
    gate: Option<Semaphore>,
    panics: AtomicBool,
}

impl Steered {
    fn new(page: impl Into<Bytes>) -> Self {
        Self {
            page: page.into(),
            ready: AtomicBool::new(true),
            computing: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            gate: None,
            panics: AtomicBool::new(false),
        }
    }

    fn gated(page: &'static str) -> Self {
        Self {
            gate: Some(Semaphore::new(0)),
            ..Self::new(page)
        }
    }

    fn open(&self, pages: usize) {
        self.gate.as_ref().unwrap().add_permits(pages);
    }
}

impl PageProvider for Steered {
    async fn page(&self, request: PageRequest) -> Result<Bytes, PageError> {
        assert!(!self.panics.load(Ordering::SeqCst), "as the test wants it");
        let now = self.computing.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        if let Some(gate) = &self.gate {
            gate.acquire().await.unwrap().forget();
        }
        self.computing.fetch_sub(1, Ordering::SeqCst);
        if self.page == "deadline" {
            let left = request.deadline - Instant::now();
            return Ok(format!("left_seconds {}\n", left.as_secs_f64()).into());
        }
        if self.page == "fail" {
            return Err(PageError::internal("no page"));
        }
        Ok(match request.format {
            ServedFormat::Text004 => self.page.clone(),
            ServedFormat::OpenMetrics100 => [&*self.page, b"# EOF\n"].concat().into(),
            ServedFormat::Protobuf => b"\x02\x0a\x00".as_slice().into(),
        })
    }

    fn landing(&self) -> Landing {
        assert!(!self.panics.load(Ordering::SeqCst), "as the test wants it");
        let source = LandingSource {
            backend: "vllm".into(),
            target: "<b>:1".into(),
            state: SourceState::Down,
            detail: "connection refused".into(),
        };
        Landing {
            name: "test-exporter".into(),
            version: "1.2.3".into(),
            sources: vec![source],
        }
    }

    fn ready(&self) -> bool {
        self.ready.load(Ordering::SeqCst)
    }
}

struct Running {
    address: SocketAddr,
    provider: Arc<Steered>,
    stats: Arc<ServerStats>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    async fn start(provider: Steered) -> Self {
        Self::start_with(
            provider,
            ServiceOptions::default(),
            ServerOptions::default(),
        )
        .await
    }

    async fn start_with(provider: Steered, service: ServiceOptions, server: ServerOptions) -> Self {
        let provider = Arc::new(provider);
        let service = MetricsService::new(Arc::clone(&provider), service).unwrap();
        let listeners = bind(&["127.0.0.1:0".parse().unwrap()]).await.unwrap();
        let address = listeners[0].local_addr().unwrap();
        let server = Server::new(service, server);
        let stats = server.stats();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.serve(listeners, async {
            let _ = stopped.await;
        }));
        Self {
            address,
            provider,
            stats,
            stop: Some(stop),
            task,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// One request on its own connection.
    async fn ask(&self, request: &str) -> Answer {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        Answer::read(&mut stream, request.starts_with("HEAD")).await
    }

    async fn get(&self, path: &str, headers: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n"))
            .await
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    async fn read(stream: &mut TcpStream, head_only: bool) -> Self {
        let reading = async {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
            let status = head.split(' ').nth(1).unwrap().parse().unwrap();
            let mut answer = Self {
                status,
                head,
                body: Vec::new(),
            };
            let length = answer
                .header("content-length")
                .map_or(0, |value| value.parse().unwrap());
            answer.body = vec![0; if head_only { 0 } else { length }];
            stream.read_exact(&mut answer.body).await.unwrap();
            answer
        };
        timeout(PLENTY, reading).await.unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let line = self
            .head
            .lines()
            .find(|line| line.starts_with(&format!("{name}: ")));
        line.map(|line| line.split_at(name.len() + 2).1)
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

async fn until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PLENTY, waiting).await.expect("it does not come");
}

#[tokio::test]
async fn serves_the_page_in_the_format_asked_for() {
    let server = Running::start(Steered::new("a 1\n")).await;
    let answer = server.get("/metrics", "").await;
    assert_eq!((answer.status, answer.text()), (200, "a 1\n"));
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("vary"), Some("accept, accept-encoding"));

    let accept = "Accept: application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
        text/plain;version=0.0.4;q=0.3\r\n";
    let answer = server.get("/metrics?x=y", accept).await;
    assert_eq!(answer.text(), "a 1\n# EOF\n");
    let expected =
        "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores";
    assert_eq!(answer.header("content-type"), Some(expected));

    let accept = "Accept: application/vnd.google.protobuf;\
        proto=io.prometheus.client.MetricFamily;encoding=delimited,text/plain;q=0.3\r\n";
    let answer = server.get("/metrics", accept).await;
    assert_eq!(answer.body, b"\x02\x0a\x00");
    // In lower case, as this test reads headers.
    let expected = "application/vnd.google.protobuf; proto=io.prometheus.client.metricfamily; \
        encoding=delimited";
    assert_eq!(answer.header("content-type"), Some(expected));
}

#[tokio::test]
async fn packs_a_large_page_where_it_is_welcome() {
    let server = Running::start(Steered::new("some_metric 1\n".repeat(1000))).await;
    let packed = server.get("/metrics", "Accept-Encoding: gzip\r\n").await;
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    let mut page = String::new();
    GzDecoder::new(&*packed.body)
        .read_to_string(&mut page)
        .unwrap();
    assert_eq!(page, "some_metric 1\n".repeat(1000));
    assert!(packed.body.len() < page.len() / 10);
    let plain = server
        .get("/metrics", "Accept-Encoding: gzip;q=0\r\n")
        .await;
    assert_eq!(
        (plain.header("content-encoding"), plain.text()),
        (None, &*page)
    );

    let small = Running::start(Steered::new("a 1\n")).await;
    let answer = small.get("/metrics", "Accept-Encoding: gzip\r\n").await;
    assert_eq!(
        (answer.header("content-encoding"), answer.text()),
        (None, "a 1\n")
    );
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let server = Running::start(Steered::new("a 1\n")).await;
    let answer = server
        .ask("HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    assert_eq!(
        (answer.status, answer.header("content-length")),
        (200, Some("4"))
    );
    // Nothing of a body stands between this answer and the next.
    let mut stream = server.connect().await;
    for method in ["HEAD", "GET", "HEAD"] {
        let request = format!("{method} /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(
            Answer::read(&mut stream, method == "HEAD").await.status,
            200
        );
    }
}

#[tokio::test]
async fn has_a_landing_page_and_health_paths() {
    let server = Running::start(Steered::new("a 1\n")).await;
    let landing = server.get("/", "").await;
    assert_eq!(
        landing.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(
        landing
            .header("content-security-policy")
            .unwrap()
            .starts_with("default-src 'none'")
    );
    for part in [
        "test-exporter",
        "1.2.3",
        "&lt;b&gt;:1",
        "down",
        "connection refused",
        "/metrics",
    ] {
        assert!(
            landing.text().contains(part),
            "{part} in {}",
            landing.text()
        );
    }
    assert_eq!(server.get("/healthz", "").await.status, 200);
    assert_eq!(server.get("/readyz", "").await.status, 200);
    server.provider.ready.store(false, Ordering::SeqCst);
    assert_eq!(server.get("/readyz", "").await.status, 503);
    assert_eq!(server.get("/healthz", "").await.status, 200);
}

#[tokio::test]
async fn serves_under_another_path() {
    let options = ServiceOptions {
        telemetry_path: "/prom/m".into(),
        ..Default::default()
    };
    let server = Running::start_with(Steered::new("a 1\n"), options, Default::default()).await;
    assert_eq!(server.get("/prom/m", "").await.text(), "a 1\n");
    let missing = server.get("/metrics", "").await;
    assert_eq!(
        (missing.status, missing.text()),
        (404, "nothing here; the metrics are at /prom/m\n")
    );
}

#[tokio::test]
async fn refuses_what_is_no_request_for_a_page() {
    let server = Running::start(Steered::new("a 1\n")).await;
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(10_000));
    let huge = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(40_000));
    let many = (0..200)
        .map(|i| format!("X-{i}: 1\r\n"))
        .collect::<String>();
    let many = format!("GET /metrics HTTP/1.1\r\n{many}\r\n");
    for (request, status) in [
        ("GET /x%3Cscript%3E HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        ("GET /metrics/ HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (
            "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
            405,
        ),
        ("DELETE / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        ("BREW /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (&long, 414),
        (&huge, 431),
        (&many, 431),
        ("GET\r\n\r\n", 400),
        ("\x16\x03\x01\x02\r\n\r\n", 400),
        (
            "GET /metrics HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: x\r\n\r\n",
            400,
        ),
    ] {
        let answer = server.ask(request).await;
        assert_eq!(answer.status, status, "{request:.40}");
        assert!(
            !answer.text().contains("script"),
            "an echo: {}",
            answer.text()
        );
        assert_eq!(answer.header("allow").is_some(), status == 405);
    }
    assert_eq!(server.get("/metrics", "").await.status, 200);
}

#[tokio::test]
async fn tells_the_provider_how_much_time_there_is() {
    let server = Running::start(Steered::new("deadline")).await;
    for (header, low, high) in [
        ("", 5.0, 10.0),
        ("X-Prometheus-Scrape-Timeout-Seconds: 8\r\n", 4.0, 7.5),
        ("X-Prometheus-Scrape-Timeout-Seconds: 60\r\n", 5.0, 10.0),
        ("X-Prometheus-Scrape-Timeout-Seconds: soon\r\n", 5.0, 10.0),
    ] {
        let answer = server.get("/metrics", header).await;
        let left: f64 = answer
            .text()
            .trim_start_matches("left_seconds ")
            .trim()
            .parse()
            .unwrap();
        assert!(left > low && left <= high, "{header}: {left}");
    }
}

#[tokio::test]
async fn gives_up_on_a_page_that_does_not_come() {
    let server = Running::start(Steered::gated("a 1\n")).await;
    let answer = server
        .get("/metrics", "X-Prometheus-Scrape-Timeout-Seconds: 0.2\r\n")
        .await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn survives_a_provider_that_fails_or_panics() {
    let server = Running::start(Steered::new("a 1\n")).await;
    server.provider.panics.store(true, Ordering::SeqCst);
    assert_eq!(server.get("/metrics", "").await.status, 500);
    assert_eq!(server.stats.panics(), 0);
    // Outside of the page, a panic takes its own connection with it, and no other.
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    closed_after(&mut stream).await;
    until(|| server.stats.panics() == 1).await;
    server.provider.panics.store(false, Ordering::SeqCst);
    assert_eq!(server.get("/metrics", "").await.status, 200);
    let failing = Running::start(Steered::new("fail")).await;
    let answer = failing.get("/metrics", "").await;
    assert_eq!((answer.status, answer.text()), (500, "no page\n"));
}

#[tokio::test]
async fn answers_only_so_many_scrapes_at_once() {
    let options = ServiceOptions {
        scrapes_max: 3,
        ..Default::default()
    };
    let server = Running::start_with(Steered::gated("a 1\n"), options, Default::default()).await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let mut stream = server.connect().await;
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        waiting.push(stream);
    }
    until(|| server.provider.computing.load(Ordering::SeqCst) == 3).await;
    for _ in 0..5 {
        let answer = server.get("/metrics", "").await;
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (503, Some("1"))
        );
    }
    assert_eq!(server.get("/healthz", "").await.status, 200);
    server.provider.open(4);
    for stream in &mut waiting {
        assert_eq!(Answer::read(stream, false).await.status, 200);
    }
    assert_eq!(server.get("/metrics", "").await.status, 200);
    assert_eq!(server.provider.most.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn answers_pipelined_requests_in_order() {
    let server = Running::start(Steered::new("a 1\n")).await;
    let mut stream = server.connect().await;
    let requests =
        "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    stream
        .write_all(requests.repeat(50).as_bytes())
        .await
        .unwrap();
    for _ in 0..50 {
        assert_eq!(Answer::read(&mut stream, false).await.text(), "a 1\n");
        assert_eq!(Answer::read(&mut stream, false).await.text(), "ok\n");
    }
}

/// Waits until the peer closes, and says how long that took.
async fn closed_after(stream: &mut TcpStream) -> Duration {
    let begin = Instant::now();
    let mut rest = Vec::new();
    let _ = timeout(PLENTY, stream.read_to_end(&mut rest))
        .await
        .expect("not closed");
    begin.elapsed()
}

#[tokio::test]
async fn closes_a_connection_whose_head_does_not_come() {
    let options = ServerOptions {
        header_timeout: Duration::from_millis(300),
        idle_timeout: PLENTY,
        ..Default::default()
    };
    let server = Running::start_with(Steered::new("a 1\n"), Default::default(), options).await;
    for begin in [
        "",
        "GET /metrics HT",
        "GET /metrics HTTP/1.1\r\nHost: x\r\n",
    ] {
        let mut stream = server.connect().await;
        stream.write_all(begin.as_bytes()).await.unwrap();
        let took = closed_after(&mut stream).await;
        assert!(took < Duration::from_secs(10), "{begin:?}: {took:?}");
    }
    // Byte by byte does not help: the limit is for the whole head.
    let mut stream = server.connect().await;
    let (mut reader, mut writer) = stream.split();
    let trickle = async {
        for _ in 0..1000 {
            if writer.write_all(b"G").await.is_err() {
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let mut byte = [0];
    tokio::select! {
        () = trickle => panic!("not closed"),
        result = reader.read(&mut byte) => assert!(matches!(result, Ok(0) | Err(_))),
    }
}

#[tokio::test]
async fn a_rest_between_two_scrapes_may_be_longer_than_a_head() {
    let options = ServerOptions {
        header_timeout: Duration::from_millis(200),
        idle_timeout: Duration::from_secs(2),
        ..Default::default()
    };
    let server = Running::start_with(Steered::new("a 1\n"), Default::default(), options).await;
    let mut stream = server.connect().await;
    for _ in 0..2 {
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        assert_eq!(Answer::read(&mut stream, false).await.status, 200);
        sleep(Duration::from_millis(600)).await;
    }
    let took = closed_after(&mut stream).await;
    assert!(
        took > Duration::from_millis(500) && took < Duration::from_secs(20),
        "{took:?}"
    );
    // The head after a rest has the limit of a head.
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    Answer::read(&mut stream, false).await;
    stream.write_all(b"GET /met").await.unwrap();
    let took = closed_after(&mut stream).await;
    assert!(took < Duration::from_millis(1900), "{took:?}");
}

#[tokio::test]
async fn ends_a_connection_whose_peer_does_not_read() {
    let options = ServerOptions {
        write_timeout: Duration::from_millis(300),
        ..Default::default()
    };
    let page = "some_metric 1\n".repeat(4_000_000);
    let server = Running::start_with(Steered::new(page), Default::default(), options).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    until(|| server.provider.most.load(Ordering::SeqCst) == 1).await;
    sleep(Duration::from_millis(1500)).await;
    let mut read = Vec::new();
    let _ = timeout(PLENTY, stream.read_to_end(&mut read))
        .await
        .expect("not closed");
    assert!(read.len() < 56_000_000, "all {} bytes came", read.len());
    // One that reads slowly, but reads, gets all of it.
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut total = 0;
    let mut buffer = vec![0; 4_000_000];
    loop {
        sleep(Duration::from_millis(10)).await;
        match stream.read(&mut buffer).await.unwrap() {
            0 => break,
            count => total += count,
        }
    }
    assert!(total > 56_000_000, "{total}");
}

#[tokio::test]
async fn idle_connections_do_not_keep_a_scraper_out() {
    let options = ServerOptions {
        connections_max: 20,
        ..Default::default()
    };
    let server = Running::start_with(Steered::new("a 1\n"), Default::default(), options).await;
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(server.connect().await);
    }
    until(|| server.stats.accepted() == 200).await;
    assert_eq!(server.get("/metrics", "").await.status, 200);
    assert!(server.stats.evicted() >= 180, "{:?}", server.stats);
    assert_eq!(server.stats.refused(), 0);
}

#[tokio::test]
async fn running_answers_are_not_closed_for_new_connections() {
    let options = ServerOptions {
        connections_max: 2,
        ..Default::default()
    };
    let server = Running::start_with(Steered::gated("a 1\n"), Default::default(), options).await;
    let mut running = Vec::new();
    for _ in 0..2 {
        let mut stream = server.connect().await;
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        running.push(stream);
    }
    until(|| server.provider.computing.load(Ordering::SeqCst) == 2).await;
    let mut refused = server.connect().await;
    assert_eq!(Answer::read(&mut refused, false).await.status, 503);
    assert_eq!((server.stats.refused(), server.stats.evicted()), (1, 0));
    server.provider.open(2);
    for stream in &mut running {
        assert_eq!(Answer::read(stream, false).await.status, 200);
    }
}

#[tokio::test]
async fn finishes_running_answers_at_shutdown() {
    let mut server = Running::start(Steered::gated("a 1\n")).await;
    let mut resting = server.connect().await;
    let mut running = server.connect().await;
    running
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    until(|| server.provider.computing.load(Ordering::SeqCst) == 1).await;
    server.stop.take().unwrap().send(()).unwrap();
    assert!(closed_after(&mut resting).await < Duration::from_secs(4));
    assert!(
        TcpStream::connect(server.address).await.is_err(),
        "still listening"
    );
    server.provider.open(1);
    let answer = Answer::read(&mut running, false).await;
    assert_eq!((answer.status, answer.text()), (200, "a 1\n"));
    assert!(closed_after(&mut running).await < Duration::from_secs(4));
    timeout(PLENTY, &mut server.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn shutdown_does_not_wait_for_a_stuck_answer_for_ever() {
    let options = ServerOptions {
        shutdown_grace: Duration::from_millis(200),
        ..Default::default()
    };
    let mut server =
        Running::start_with(Steered::gated("a 1\n"), Default::default(), options).await;
    let mut running = server.connect().await;
    running
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    until(|| server.provider.computing.load(Ordering::SeqCst) == 1).await;
    let begin = Instant::now();
    server.stop.take().unwrap().send(()).unwrap();
    timeout(PLENTY, &mut server.task).await.unwrap().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn client_and_server_understand_each_other() {
    let server = Running::start(Steered::new("some_metric 1\n".repeat(1000))).await;
    let endpoint = server.address.to_string().parse().unwrap();
    let client = Client::new(endpoint, ClientOptions::default()).unwrap();
    let mut page = Page::new();
    for round in 0..10 {
        let meta = client
            .get(&mut page, Instant::now() + PLENTY)
            .await
            .unwrap();
        assert_eq!(page.bytes(), "some_metric 1\n".repeat(1000).as_bytes());
        assert!(meta.wire_bytes() < page.bytes().len() / 10);
        assert_eq!(meta.reused_connection(), round > 0);
    }
    assert_eq!(server.stats.accepted(), 1);
}

#[tokio::test]
async fn reads_and_serves_over_ipv6() {
    // Containers without IPv6 are common; there the name `localhost` has no such address either.
    let Ok(listeners) = bind(&["[::1]:0".parse().unwrap()]).await else {
        assert!(TcpStream::connect("[::1]:1").await.is_err());
        return;
    };
    let address = listeners[0].local_addr().unwrap();
    let service = MetricsService::new(Steered::new("a 1\n"), Default::default()).unwrap();
    let server = Server::new(service, ServerOptions::default());
    let task = tokio::spawn(server.serve(listeners, std::future::pending()));
    let client = Client::new(address.to_string().parse().unwrap(), Default::default()).unwrap();
    assert_eq!(client.endpoint().target(), address.to_string());
    client
        .get(&mut Page::new(), Instant::now() + PLENTY)
        .await
        .unwrap();
    task.abort();
}

#[tokio::test]
async fn listens_on_several_addresses() {
    let provider = Arc::new(Steered::new("a 1\n"));
    let service = MetricsService::new(provider, ServiceOptions::default()).unwrap();
    let addresses = ["127.0.0.1:0", "127.0.0.1:0"].map(|text| text.parse().unwrap());
    let listeners = bind(&addresses).await.unwrap();
    let ports = [0, 1].map(|i: usize| listeners[i].local_addr().unwrap());
    let task = tokio::spawn(
        Server::new(service, ServerOptions::default()).serve(listeners, std::future::pending()),
    );
    for address in ports {
        let client = Client::new(address.to_string().parse().unwrap(), Default::default()).unwrap();
        client
            .get(&mut Page::new(), Instant::now() + PLENTY)
            .await
            .unwrap();
    }
    task.abort();
}

const ASK: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";

/// More than the buffers of a connection take.
fn large_page() -> Steered {
    Steered::new("some_metric 1\n".repeat(2_000_000))
}

#[tokio::test]
async fn a_page_counts_until_it_is_taken() {
    let options = ServiceOptions {
        scrapes_max: 3,
        ..Default::default()
    };
    let server = Running::start_with(large_page(), options, Default::default()).await;
    let mut slow = Vec::new();
    for _ in 0..3 {
        let mut stream = server.connect().await;
        // Pipelined: one connection cannot hold more pages than there are places either.
        stream.write_all(&ASK.repeat(2)).await.unwrap();
        stream.read_u8().await.unwrap();
        slow.push(stream);
    }
    for _ in 0..3 {
        let answer = server.get("/metrics", "").await;
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (503, Some("1"))
        );
    }
    assert_eq!(server.get("/healthz", "").await.status, 200);
    slow.clear();
    let begin = Instant::now();
    while server.get("/metrics", "").await.status != 200 {
        assert!(begin.elapsed() < PLENTY, "no place comes back");
        sleep(Duration::from_millis(20)).await;
    }
    // Whoever reads gives the place back with the last byte.
    for _ in 0..6 {
        assert_eq!(server.get("/metrics", "").await.status, 200);
    }
}

#[tokio::test]
async fn a_peer_that_reads_byte_by_byte_does_not_keep_its_place() {
    let service = ServiceOptions {
        scrapes_max: 1,
        ..Default::default()
    };
    let options = ServerOptions {
        send_timeout: Duration::from_secs(1),
        ..Default::default()
    };
    let server = Running::start_with(large_page(), service, options).await;
    let mut stream = server.connect().await;
    stream.write_all(ASK).await.unwrap();
    stream.read_u8().await.unwrap();
    assert_eq!(server.get("/metrics", "").await.status, 503);
    let drip = tokio::spawn(async move {
        // It would take half a minute.
        let mut piece = vec![0; 16 * 1024];
        while stream.read(&mut piece).await.is_ok_and(|count| count > 0) {
            sleep(Duration::from_millis(20)).await;
        }
    });
    let begin = Instant::now();
    while server.get("/metrics", "").await.status != 200 {
        assert!(
            begin.elapsed() < Duration::from_secs(10),
            "it keeps its place"
        );
        sleep(Duration::from_millis(20)).await;
    }
    drip.abort();
}

#[tokio::test]
async fn answers_a_peer_that_has_said_all() {
    let server = Running::start(Steered::gated("a 1\n")).await;
    let mut stream = server.connect().await;
    stream.write_all(ASK).await.unwrap();
    stream.shutdown().await.unwrap();
    sleep(Duration::from_millis(100)).await;
    server.provider.open(1);
    assert_eq!(Answer::read(&mut stream, false).await.text(), "a 1\n");
    assert!(closed_after(&mut stream).await < Duration::from_secs(5));
    // One that says nothing at all is gone at once, as before.
    let mut stream = server.connect().await;
    stream.shutdown().await.unwrap();
    assert!(closed_after(&mut stream).await < Duration::from_secs(5));
}
