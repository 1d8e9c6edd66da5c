//! Probes: what is allowed is read, and to what is not, nothing is sent.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/fault_server.rs"]
mod fault_server;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fault_server::{FaultServer, ok, read_request};
use hyper::{Request, StatusCode};
use tokenpath_core::BoxSource;
use tokenpath_core::LabelSet;
use tokenpath_core::catalogue::{Catalogue, Compiled, Families, Row};
use tokenpath_core::exposition::{Format, check};
use tokenpath_core::{Desc, MetricType, Unit};
use tokenpath_scrape::body::{Coding, read_capped};
use tokenpath_scrape::runner::{Exporter, RollUpOptions, SourceOptions};
use tokenpath_scrape::server::{
    AllowList, MetricsService, Module, Network, ProbeOptions, Probes, Server, ServerOptions,
    ServiceOptions,
};
use tokenpath_scrape::{Auth, Client, ClientOptions, Credential, Endpoint, Page, Secret};
use tokenpath_scrape::{PageSource, PageSourceOptions};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep, timeout};

/// Far more than anything here takes, so that a loaded machine changes nothing.
const PLENTY: Duration = Duration::from_secs(30);
const PAGE: &str = "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running 4.0\n";

fn module(name: &str, options: PageSourceOptions) -> Module {
    let desc = Desc::new(
        "llm_requests_running",
        MetricType::Gauge,
        Unit::None,
        "In the batch.",
    );
    let families = Families::new([Arc::new(desc)]);
    let rows = [Row::new("num_requests_running", MetricType::Gauge).to("llm_requests_running")];
    let catalogue = Catalogue::new("vllm").prefixes(["vllm:"]).rows(rows);
    let catalogue = Arc::new(Compiled::new(catalogue, &families).unwrap());
    Module::new(name, PLENTY, move |endpoint: Endpoint| {
        let source = PageSource::new(endpoint, Arc::clone(&catalogue), options.clone())?;
        let labels = LabelSet::new([("cluster", "c1")]);
        Ok((BoxSource::new(source), SourceOptions::new().labels(labels)))
    })
}

fn network(text: &str) -> Network {
    Network::parse(text).unwrap()
}

fn loopback() -> AllowList {
    AllowList::new([network("127.0.0.0/8"), network("::1")])
}

fn elsewhere() -> AllowList {
    AllowList::new([network("10.0.0.0/8")])
}

struct Setup {
    service: MetricsService<Arc<Exporter>>,
    probes: Arc<Probes>,
}

fn setup(allow: AllowList, modules: Vec<Module>) -> Setup {
    let probes = Arc::new(Probes::new(2));
    probes.set(Some(ProbeOptions { allow, modules }));
    let exporter = Arc::new(Exporter::new());
    let service = MetricsService::new(exporter, ServiceOptions::default()).unwrap();
    Setup {
        service: service.probes(Arc::clone(&probes)),
        probes,
    }
}

fn simple(allow: AllowList) -> Setup {
    setup(allow, vec![module("vllm", PageSourceOptions::default())])
}

impl Setup {
    async fn get(&self, path: &str) -> (StatusCode, String) {
        self.get_within(path, PLENTY).await
    }

    async fn get_within(&self, path: &str, time: Duration) -> (StatusCode, String) {
        let request = Request::get(path)
            .header(
                "X-Prometheus-Scrape-Timeout-Seconds",
                time.as_secs_f64().to_string(),
            )
            .body(())
            .unwrap();
        let answer = self.service.handle(request).await;
        let status = answer.status();
        let (mut answer, mut body) = (answer.into_body(), Vec::new());
        let read = read_capped(&mut answer, Coding::Identity, 1_000_000, &mut body);
        read.await.unwrap();
        let body = String::from_utf8(body).unwrap();
        if status == StatusCode::OK {
            assert_eq!(check(body.as_bytes(), Format::Text004), []);
        }
        (status, body)
    }
}

async fn answering(page: &'static str) -> FaultServer {
    FaultServer::start(move |_, mut stream| async move {
        while !read_request(&mut stream).await.is_empty() {
            stream.write_all(&ok("", page.as_bytes())).await.unwrap();
        }
    })
    .await
}

#[tokio::test]
async fn a_target_that_is_allowed_is_read() {
    let server = answering(PAGE).await;
    let probes = simple(loopback());
    // What concerns the exporter's own sources does not concern a probe.
    let exporter = probes.service.provider();
    exporter.roll_up([RollUpOptions::over(["target"])]);
    let target = server.address();
    let (status, page) = probes
        .get(&format!("/probe?target={target}&module=vllm"))
        .await;
    assert_eq!(status, StatusCode::OK, "{page}");
    let labels = format!("backend=\"vllm\",cluster=\"c1\",target=\"{target}\"");
    assert!(
        page.contains(&format!("llm_requests_running{{{labels}}} 4\n")),
        "{page}"
    );
    assert!(
        page.contains(&format!("tokenpath_source_up{{{labels}}} 1\n")),
        "{page}"
    );
    assert!(page.contains("tokenpath_build_info{"), "{page}");
    // The process is not the target's.
    assert!(!page.contains("process_"), "{page}");
    // The first module is meant where none is named, and a URL is understood.
    let (status, _) = probes
        .get(&format!("/probe?target=http%3A%2F%2F{target}%2Fmetrics"))
        .await;
    assert_eq!((status, server.accepted()), (StatusCode::OK, 2));
    // Nothing of this is on the exporter's own page.
    let (_, page) = probes.get("/metrics").await;
    assert!(!page.contains("tokenpath_source_up{"), "{page}");
}

#[tokio::test]
async fn nothing_is_sent_to_what_is_not_allowed() {
    let server = answering(PAGE).await;
    let port = server.address().port();
    let everywhere = || AllowList::new([network("0.0.0.0/0"), network("::/0")]);
    let forbidden = [
        (elsewhere(), "127.0.0.1"),
        // Other spellings of the same address.
        (elsewhere(), "localhost"),
        (elsewhere(), "[::ffff:127.0.0.1]"),
        (elsewhere(), "[::ffff:7f00:1]"),
        (elsewhere(), "2130706433"),
        (elsewhere(), "0x7f.1"),
        (elsewhere(), "127.1"),
        (AllowList::new([network("::/0")]), "[::ffff:127.0.0.1]"),
        (everywhere(), "0.0.0.0"),
        (everywhere(), "[::]"),
        (AllowList::default(), "127.0.0.1"),
        (loopback().ports([port ^ 1]), "127.0.0.1"),
        (loopback().hosts(["*.models.svc"]), "127.0.0.1"),
        (loopback().hosts(["*.models.svc"]), "localhost"),
    ];
    for (allow, host) in forbidden {
        let probes = simple(allow.clone());
        let (status, message) = probes.get(&format!("/probe?target={host}:{port}")).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{host} {allow:?}: {message}");
        assert!(message.ends_with("; nothing was sent\n"), "{message}");
        assert!(
            !message.contains("127.0.0.1"),
            "it gives nothing away: {message}"
        );
    }
    assert_eq!(server.accepted(), 0);
    // And the same target where it is allowed, so that the count can be trusted.
    let probes = simple(
        loopback()
            .ports([port])
            .hosts(["127.0.0.1", "[::ffff:7f00:1]"]),
    );
    let (status, _) = probes.get(&format!("/probe?target=127.0.0.1:{port}")).await;
    assert_eq!((status, server.accepted()), (StatusCode::OK, 1));
    let (status, _) = probes
        .get(&format!("/probe?target=[::ffff:127.0.0.1]:{port}"))
        .await;
    assert_eq!(status, StatusCode::OK, "an IPv4 address, and judged as one");
}

#[tokio::test]
async fn a_redirect_leads_nowhere_else() {
    let other = answering(PAGE).await;
    let location = format!("Location: {}\r\n", other.url());
    let server = FaultServer::start(move |_, mut stream| {
        let answer = format!("HTTP/1.1 302 Found\r\n{location}Content-Length: 0\r\n\r\n");
        async move {
            while !read_request(&mut stream).await.is_empty() {
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    for follow in [false, true] {
        let mut options = PageSourceOptions::default();
        options.client.follow_redirects = follow;
        // Where it leads to is allowed by itself, and still another target.
        let probes = setup(loopback(), vec![module("vllm", options)]);
        let (status, page) = probes
            .get(&format!("/probe?target={}", server.address()))
            .await;
        assert_eq!(status, StatusCode::OK);
        assert!(page.contains("reason=\"http\""), "{page}");
    }
    assert_eq!((server.accepted(), other.accepted()), (2, 0));
}

#[tokio::test]
async fn a_name_is_resolved_once_and_what_was_checked_is_asked() {
    let server = answering(PAGE).await;
    // Nobody resolves this name: the reading goes to the address that the endpoint is bound to.
    let endpoint: Endpoint = "http://rebound.invalid:1/metrics".parse().unwrap();
    let endpoint = endpoint.at([server.address()]);
    let client = Client::new(endpoint, ClientOptions::default()).unwrap();
    let mut page = Page::new();
    client
        .get(&mut page, Instant::now() + PLENTY)
        .await
        .unwrap();
    assert_eq!((page.bytes(), server.accepted()), (PAGE.as_bytes(), 1));

    // And a module gets such an endpoint, of the allowed addresses alone.
    let probes = simple(AllowList::new([network("127.0.0.1")]));
    let port = server.address().port();
    let (status, page) = probes.get(&format!("/probe?target=localhost:{port}")).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    let up = format!(
        "tokenpath_source_up{{backend=\"vllm\",cluster=\"c1\",target=\"localhost:{port}\"}} 1"
    );
    assert!(page.contains(&up), "{page}");
}

#[tokio::test]
async fn a_name_that_is_gone_is_a_target_that_is_down() {
    let probes = simple(loopback());
    let (status, page) = probes
        .get_within("/probe?target=gone.invalid:1", Duration::from_secs(4))
        .await;
    assert_eq!(status, StatusCode::OK, "{page}");
    assert!(
        page.contains("tokenpath_source_up{backend=\"vllm\",target=\"gone.invalid:1\"} 0"),
        "{page}"
    );
    let reasons = ["reason=\"connect\"", "reason=\"timeout\""];
    assert!(reasons.iter().any(|reason| page.contains(reason)), "{page}");
}

#[tokio::test]
async fn bad_requests_are_told_what_is_wrong() {
    let modules = ["vllm", "other"].map(|name| module(name, PageSourceOptions::default()));
    let broken = Module::new("broken", PLENTY, |_| {
        Err("/etc/secret.pem is not there".into())
    });
    let probes = setup(loopback(), modules.into_iter().chain([broken]).collect());
    for (query, what) in [
        ("", "no target; for instance /probe?target=localhost:8000"),
        ("?target=", "no target"),
        ("?module=vllm", "no target"),
        ("?target=a&target=b", "`target` is given more than once"),
        (
            "?target=a&module=vllm&module=other",
            "`module` is given more than once",
        ),
        (
            "?target=a&module=nope",
            "there is no module `nope`; there are: vllm, other, broken",
        ),
        ("?target=a&module=%0Ax", "there is no module `\\nx`"),
        ("?target=ftp://a/", "the scheme must be http or https"),
        ("?target=a:99999", "is not an endpoint"),
        ("?target=unix:///run/x", "is not an endpoint"),
        (
            "?target=http://me:canary@127.0.0.1:1/",
            "credentials belong in a module",
        ),
    ] {
        let (status, message) = probes.get(&format!("/probe{query}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}: {message}");
        assert!(
            message.contains(what) && !message.contains("canary"),
            "{query}: {message}"
        );
    }
    let (status, message) = probes.get("/probe?target=127.0.0.1:1&module=broken").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(
        message.contains("the log says why") && !message.contains("pem"),
        "{message}"
    );

    let post = Request::post("/probe?target=a").body(()).unwrap();
    let status = probes.service.handle(post).await.status();
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    // Off is as if there were no such path.
    probes.probes.set(None);
    assert_eq!(
        probes.get("/probe?target=127.0.0.1:1").await.0,
        StatusCode::NOT_FOUND
    );
    let service = MetricsService::new(Arc::new(Exporter::new()), ServiceOptions::default());
    let request = Request::get("/probe?target=127.0.0.1:1").body(()).unwrap();
    let status = service.unwrap().handle(request).await.status();
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_module_brings_its_credentials_and_its_time() {
    let server = FaultServer::start(|_, mut stream| async move {
        let request = read_request(&mut stream).await;
        let answer = if request.contains("Bearer canary") || request.contains("bearer canary") {
            ok("", PAGE.as_bytes())
        } else {
            b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".to_vec()
        };
        stream.write_all(&answer).await.unwrap();
    })
    .await;
    let mut with_token = PageSourceOptions::default();
    with_token.client.auth = Auth::Bearer(Credential::Inline(Secret::new("canary")));
    let modules = vec![
        module("open", PageSourceOptions::default()),
        module("closed", with_token),
    ];
    let probes = setup(loopback(), modules);
    let path = format!("/probe?target={}", server.address());
    let (_, page) = probes.get(&path).await;
    assert!(page.contains("reason=\"unauthorized\""), "{page}");
    let (_, page) = probes.get(&format!("{path}&module=closed")).await;
    assert!(page.contains("llm_requests_running{"), "{page}");
    assert!(!page.contains("canary"), "{page}");
}

#[tokio::test]
async fn probes_are_bounded_also_where_nobody_waits_for_them() {
    let hanging = FaultServer::start(|_, stream| async move {
        sleep(PLENTY).await;
        drop(stream);
    })
    .await;
    let probes = Arc::new(simple(loopback()));
    let path = format!("/probe?target={}", hanging.address());
    let begin = Instant::now();
    let asking = |time: Duration| {
        let (probes, path) = (Arc::clone(&probes), path.clone());
        tokio::spawn(async move { probes.get_within(&path, time).await })
    };
    let patient = asking(Duration::from_secs(4));
    let gone = asking(Duration::from_secs(4));
    timeout(PLENTY, async {
        while hanging.accepted() < 2 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    let (status, message) = probes.get(&path).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{message}");
    assert_eq!(message, "too many probes at once\n");
    // The deadline is the scraper's, and the page says that the time was over.
    let (status, page) = patient.await.unwrap();
    assert_eq!(status, StatusCode::OK, "{page}");
    assert!(page.contains("reason=\"timeout\""), "{page}");
    assert!(begin.elapsed() < PLENTY);
    // Then there is room again.
    timeout(PLENTY, async {
        while probes.get_within(&path, Duration::from_millis(300)).await.0 != StatusCode::OK {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    assert_eq!(hanging.accepted(), 3);
}

#[tokio::test]
async fn probing_oneself_ends_at_once() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let probes = simple(loopback());
    let server = Server::new(probes.service.clone(), ServerOptions::default());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(vec![listener], async { _ = stopped.await }));
    for target in [
        format!("{address}"),
        format!("http://{address}/probe%3Ftarget={address}"),
    ] {
        let begin = Instant::now();
        let (status, page) = probes.get(&format!("/probe?target={target}")).await;
        assert_eq!(status, StatusCode::OK);
        assert!(page.contains("reason=\"wrong_backend\""), "{page}");
        assert!(begin.elapsed() < Duration::from_secs(10));
    }
    stop.send(()).unwrap();
    serving.await.unwrap();
}
