//! A whole serving stack on one page: two vLLM servers, a TGI, an endpoint picker, a limiter with 500
//! tenants, eight GPUs.
//!
//! The servers' pages are those of the digital twin, recorded at a few moments and then served as they
//! stand: what a twin needs to make up a page is no cost of ours. The GPUs are those of the fake driver
//! library, read by the sampling thread.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokenpath_core::exposition::Format;
use tokenpath_core::{BoxSource, LabelSet};
use tokenpath_gateway::{GatewaySource, GatewaySourceOptions};
use tokenpath_gpu::GpuSource;
use tokenpath_limitador::{LimitadorSource, LimitadorSourceOptions, TokenNamespaces};
use tokenpath_scrape::runner::{Exporter, SourceOptions};
use tokenpath_scrape::{
    Auth, Client, ClientOptions, Credential, Endpoint, Page, PageSourceOptions, Secret,
};
use tokenpath_sim::vllm::{Layout, Release};
use tokenpath_sim::{
    Config, Part, Role, ServerConfig, ServerKind, Tenant, Traffic, World, WorldConfig, WorldServer,
    tgi,
};
use tokenpath_tgi::{TgiSource, TgiSourceOptions};
use tokenpath_vllm::VllmSource;
use tokio::time::Instant;

/// Users of the limiter and the gateway.
pub const TENANTS: usize = 500;
/// GPUs of the fake driver.
pub const GPUS: usize = 8;
/// What its control file says: so many GPUs, and that it is not looked at again, which is no cost of a
/// driver.
pub const CONTROL: &str = "count 8\nstatic\n";

/// Moments of the twin that are recorded, and served in turn.
const MOMENTS: usize = 4;
/// Virtual time before the first of them: enough for every user to have been there, so that the pages
/// of all moments have the same series.
const WARM_UP_SECONDS: f64 = 300.0;
/// What Prometheus usually waits between two scrapes.
const BETWEEN_SECONDS: f64 = 15.0;

/// An exporter of the whole stack.
pub struct Composed {
    /// To be served, or asked for pages.
    pub exporter: Exporter,
    /// The bytes of a moment's pages, by server.
    pub upstream_bytes: Vec<(&'static str, usize)>,
    /// Where the copy of the fake driver lies: to be kept as long as the exporter.
    pub folder: TempDir,
}

/// What a server answered at one moment, by path.
type Answers = HashMap<String, Bytes>;

impl Composed {
    /// Records the twin, serves what it said on a thread of its own, and makes the exporter. `driver`
    /// puts a driver library into a folder, with a control file that says [`CONTROL`], and says where:
    /// it is a dependency of tests and benches alone, because it is never published.
    ///
    /// # Panics
    ///
    /// Where loopback has no port, or the library has no GPUs.
    pub async fn start(driver: impl FnOnce(&Path) -> PathBuf) -> Self {
        // The limiter knows users, the picker teams: it labels whole histograms with its fairness ids,
        // and 500 of those would be a page of 34 MB, which the limit on page bytes refuses.
        let many = world(WorldConfig::many_tenants(TENANTS));
        let mut recorded = record(many, |part| part != Part::Gateway).await;
        let few = world(WorldConfig::default().tenants);
        recorded.extend(record(few, |part| part == Part::Gateway).await);
        let upstream_bytes = recorded
            .iter()
            .map(|(part, moments)| (name(*part), moments[0].values().map(Bytes::len).sum()))
            .collect();
        let mut exporter = Exporter::new();
        for (part, moments) in recorded {
            let at = serve(moments);
            let endpoint = endpoint(at);
            let labels = LabelSet::new([("node", "node-7")]);
            let source = source(part, endpoint);
            exporter.add(source, SourceOptions::new().labels(labels));
        }
        let folder = tempfile::tempdir().expect("a folder can be made");
        exporter.add(gpus(driver(folder.path())), SourceOptions::new());
        let page = exporter.page(Format::Text004, soon()).await;
        let page = String::from_utf8_lossy(&page);
        let down = page
            .lines()
            .find(|line| line.starts_with("tokenpath_source_up{") && !line.ends_with(" 1"));
        assert!(down.is_none(), "{down:?}");
        Self {
            exporter,
            upstream_bytes,
            folder,
        }
    }
}

/// Three engines, a limiter and a picker, and who uses them.
fn world(tenants: Vec<Tenant>) -> WorldConfig {
    let server = |name: &str, kind, role| ServerConfig {
        name: name.to_owned(),
        kind,
        role,
        engine: Config::default(),
    };
    let vllm = || ServerKind::Vllm(Layout::of(Release::latest()));
    WorldConfig {
        servers: vec![
            server("vllm-0", vllm(), Role::Whole),
            server("vllm-1", vllm(), Role::Whole),
            server(
                "tgi-0",
                ServerKind::Tgi(tgi::Launch::default()),
                Role::Direct,
            ),
        ],
        tenants,
        traffic: Traffic {
            arrivals_per_second: 24.0,
            ..Traffic::default()
        },
        gpus: None,
        ..WorldConfig::default()
    }
}

fn name(part: Part) -> &'static str {
    match part {
        Part::Server(2) => "TGI",
        Part::Server(_) => "vLLM",
        Part::Limitador => "Limitador",
        Part::Gateway => "gateway",
    }
}

/// The paths that are asked for.
fn paths(part: Part) -> &'static [&'static str] {
    match part {
        Part::Server(2) => &["/metrics", "/info"],
        Part::Server(_) | Part::Gateway => &["/metrics"],
        Part::Limitador => &[
            "/metrics",
            "/status",
            "/limits/llm%2Frequests",
            "/limits/llm%2Fchat",
            "/counters/llm%2Frequests",
            "/counters/llm%2Fchat",
        ],
    }
}

/// What each wanted server says at each moment.
async fn record(config: WorldConfig, wanted: impl Fn(Part) -> bool) -> Vec<(Part, Vec<Answers>)> {
    let token = config.gateway.as_ref().and_then(|it| it.token.clone());
    let mut world = World::new(config).expect("the configuration makes sense");
    world.advance(WARM_UP_SECONDS);
    let running = WorldServer::new(world).speed(0.0).bind().await;
    let running = running.expect("loopback has free ports");
    let parts: Vec<(Part, SocketAddr)> = running
        .addresses()
        .filter(|(part, _)| wanted(*part))
        .collect();
    let mut recorded: Vec<(Part, Vec<Answers>)> =
        parts.iter().map(|(part, _)| (*part, Vec::new())).collect();
    for _ in 0..MOMENTS {
        for ((part, at), (_, moments)) in parts.iter().zip(&mut recorded) {
            let mut options = ClientOptions {
                body_limit: 64 << 20,
                ..ClientOptions::default()
            };
            if let (Part::Gateway, Some(token)) = (part, &token) {
                options.auth = Auth::Bearer(Credential::Inline(Secret::new(token.clone())));
            }
            let client = Client::new(endpoint(*at), options).expect("it is plain HTTP");
            let mut answers = Answers::new();
            for path in paths(*part) {
                let mut page = Page::new();
                client
                    .get_path(path, &mut page, soon())
                    .await
                    .expect("the twin answers");
                answers.insert((*path).to_owned(), Bytes::copy_from_slice(page.bytes()));
            }
            moments.push(answers);
        }
        running.with_world(|world| world.advance(BETWEEN_SECONDS));
    }
    running.stop().await;
    recorded
}

/// Serves the moments in turn, one for each time `/metrics` is asked for, on a thread that ends with
/// the program.
fn serve(moments: Vec<Answers>) -> SocketAddr {
    let (sender, bound) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime can be built");
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
            listener.set_nonblocking(true).expect("a socket can be set");
            let at = listener.local_addr().expect("it is bound");
            let listener = tokio::net::TcpListener::from_std(listener).expect("it is nonblocking");
            sender.send(at).expect("somebody waits for it");
            let moments = Arc::new(moments);
            let asked = Arc::new(AtomicUsize::new(0));
            while let Ok((stream, _)) = listener.accept().await {
                let (moments, asked) = (Arc::clone(&moments), Arc::clone(&asked));
                let service = service_fn(move |request: Request<Incoming>| {
                    let answer = answer(&moments, &asked, request.uri().path());
                    async move { Ok::<_, Infallible>(answer) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
    });
    bound.recv().expect("the server starts")
}

fn answer(moments: &[Answers], asked: &AtomicUsize, path: &str) -> Response<Full<Bytes>> {
    let turn = if path == "/metrics" {
        asked.fetch_add(1, Ordering::Relaxed)
    } else {
        asked.load(Ordering::Relaxed).wrapping_sub(1)
    };
    let body = moments[turn % moments.len()].get(path);
    let mut response = Response::new(Full::new(body.cloned().unwrap_or_default()));
    if body.is_none() {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    response
}

fn source(part: Part, endpoint: Endpoint) -> BoxSource {
    const PLAIN: &str = "it is plain HTTP";
    match part {
        Part::Server(2) => {
            BoxSource::new(TgiSource::new(endpoint, TgiSourceOptions::default()).expect(PLAIN))
        }
        Part::Server(_) => {
            BoxSource::new(VllmSource::new(endpoint, PageSourceOptions::default()).expect(PLAIN))
        }
        Part::Gateway => BoxSource::new(
            GatewaySource::new(endpoint, GatewaySourceOptions::default()).expect(PLAIN),
        ),
        Part::Limitador => {
            let mut options = LimitadorSourceOptions::default();
            options.limitador.tenants.names = vec!["user".to_owned(), "userid".to_owned()];
            options.limitador.tenants.keep = vec![("group".to_owned(), "group".to_owned())];
            options.limitador.tokens = TokenNamespaces::Only(["llm/chat".to_owned()].into());
            BoxSource::new(LimitadorSource::new(endpoint, options).expect(PLAIN))
        }
    }
}

/// The GPUs of a fake driver, with their first sample.
fn gpus(library: PathBuf) -> BoxSource {
    let mut options = tokenpath_gpu::Options::default();
    options.library = Some(library);
    let source = GpuSource::spawn("node-7", options).expect("the options make sense");
    source.wait_first(Duration::from_secs(10));
    BoxSource::new(source)
}

fn endpoint(at: SocketAddr) -> Endpoint {
    format!("http://{at}").parse().expect("it is an endpoint")
}

/// Long enough for any machine.
#[must_use]
pub fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}
