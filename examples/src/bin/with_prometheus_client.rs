//! A service that counts its own requests with the prometheus-client crate, and adds a vLLM server to
//! its page. `docs/embedding.md` walks through this program.
//!
//! ```text
//! cargo run -p tokenpath-examples --bin with_prometheus_client                           # with a simulated server
//! cargo run -p tokenpath-examples --bin with_prometheus_client -- http://localhost:8000  # with a real one
//! curl localhost:8080/hello
//! curl localhost:8080/metrics   # the service's registry, with the server as one more collector
//! curl localhost:8080/all       # our page, with the service's registry at its end
//! ```

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokenpath_core::bridge::{SnapshotCollector, encode_registry};
use tokenpath_core::exposition::PageFormat;
use tokenpath_core::{BoxSource, in_full};
use tokenpath_scrape::PageSourceOptions;
use tokenpath_scrape::runner::{Exporter, SourceOptions};
use tokenpath_sim::vllm::{Layout, Release};
use tokenpath_sim::{Config, Running, Server, Twin};
use tokenpath_vllm::VllmSource;
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

/// The whole page is there by then, with what could be read.
const PAGE_TIMEOUT: Duration = Duration::from_secs(5);

type ByPath = Family<[(&'static str, String); 1], Counter>;

/// What the service has had all along.
struct Own {
    requests: ByPath,
    registry: Registry,
}

impl Own {
    fn new() -> Self {
        let requests = ByPath::default();
        let mut registry = Registry::default();
        // On a part of the registry: a prefix on all of it would go onto the engine's names too.
        let shop = registry.sub_registry_with_prefix("shop");
        shop.register("requests", "Requests by path", requests.clone());
        Self { requests, registry }
    }
}

/// The registry in charge: the server is one more collector of it.
struct RegistryFirst {
    own: Own,
    engines: Vec<VllmSource>,
    collector: SnapshotCollector,
}

impl RegistryFirst {
    fn new(mut own: Own, endpoint: &str) -> Result<Self, Box<dyn Error>> {
        let engine = VllmSource::new(endpoint.parse()?, PageSourceOptions::default())?;
        let collector = SnapshotCollector::new();
        own.registry.register_collector(Box::new(collector.clone()));
        Ok(Self {
            own,
            engines: vec![engine],
            collector,
        })
    }

    async fn page(&self) -> Result<String, Box<dyn Error>> {
        for engine in &self.engines {
            // What cannot be read in time is not on the page, rather than old.
            match timeout(PAGE_TIMEOUT, self.collector.read(engine)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => eprintln!("{}", in_full(&error)),
                Err(_) => eprintln!("an engine did not answer in {PAGE_TIMEOUT:?}"),
            }
        }
        let mut page = String::new();
        encode(&mut page, &self.own.registry)?;
        Ok(page)
    }
}

/// Our page in charge: any dialect, every type, and how each source is. The registry joins it.
struct PageFirst {
    own: Own,
    exporter: Exporter,
}

impl PageFirst {
    fn new(own: Own, endpoint: &str) -> Result<Self, Box<dyn Error>> {
        let engine = VllmSource::new(endpoint.parse()?, PageSourceOptions::default())?;
        let mut exporter = Exporter::new();
        exporter.add(BoxSource::new(engine), SourceOptions::new());
        Ok(Self { own, exporter })
    }

    async fn page(&self) -> Result<Vec<u8>, Box<dyn Error>> {
        let deadline = Instant::now() + PAGE_TIMEOUT;
        let mut page = self
            .exporter
            .page(PageFormat::OpenMetrics100, deadline)
            .await;
        encode_registry(&self.own.registry, &mut page)?;
        Ok(page)
    }
}

struct Service {
    registry_first: RegistryFirst,
    page_first: PageFirst,
}

impl Service {
    fn new(endpoint: &str) -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            registry_first: RegistryFirst::new(Own::new(), endpoint)?,
            page_first: PageFirst::new(Own::new(), endpoint)?,
        })
    }

    async fn answer<B>(self: Arc<Self>, request: Request<B>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let page = match path.as_str() {
            "/hello" => {
                for own in [&self.registry_first.own, &self.page_first.own] {
                    own.requests.get_or_create(&[("path", path.clone())]).inc();
                }
                return Response::new(Full::from("hello\n"));
            }
            "/metrics" => self.registry_first.page().await.map(Bytes::from),
            "/all" => self.page_first.page().await.map(Bytes::from),
            _ => return status(StatusCode::NOT_FOUND),
        };
        match page {
            Ok(page) => {
                let mut response = Response::new(Full::new(page));
                let kind = PageFormat::OpenMetrics100.content_type();
                let kind = hyper::header::HeaderValue::from_static(kind);
                response.headers_mut().insert(CONTENT_TYPE, kind);
                response
            }
            Err(error) => {
                eprintln!("no page: {error}");
                status(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let argument = std::env::args().nth(1);
    // Kept until the end: dropping it stops the simulation.
    let mut simulated = None;
    let endpoint = match argument {
        Some(endpoint) => endpoint,
        None => {
            let twin = simulated_server().await?;
            let endpoint = format!("http://{}", twin.local_addr());
            simulated = Some(twin);
            endpoint
        }
    };
    let service = Arc::new(Service::new(&endpoint)?);
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!(
        "reading {endpoint}, see http://{}/metrics",
        listener.local_addr()?
    );
    serve(listener, service).await?;
    drop(simulated);
    Ok(())
}

/// An ordinary hyper server.
async fn serve(listener: TcpListener, service: Arc<Service>) -> Result<(), Box<dyn Error>> {
    loop {
        let (stream, _) = listener.accept().await?;
        let service = Arc::clone(&service);
        tokio::spawn(async move {
            let answer = service_fn(|request| {
                let service = Arc::clone(&service);
                async move { Ok::<_, Infallible>(service.answer(request).await) }
            });
            let served = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), answer)
                .await;
            if let Err(error) = served {
                eprintln!("a connection ended early: {error}");
            }
        });
    }
}

/// A digital twin of a vLLM server, for those who have none at hand.
async fn simulated_server() -> Result<Running, Box<dyn Error>> {
    let release = Release::find("0.33.0").ok_or("this release is not simulated")?;
    let mut twin = Twin::new(Config::default())?;
    twin.advance(60.0);
    Ok(Server::new(twin, Layout::of(release))
        .bind("127.0.0.1:0")
        .await?)
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Limited};
    use tokenpath_core::exposition::{Format, check};

    use super::*;

    async fn get(path: &str, service: &Arc<Service>) -> (StatusCode, String) {
        let request = Request::get(path).body(()).unwrap();
        let response = Arc::clone(service).answer(request).await;
        let status = response.status();
        #[expect(clippy::disallowed_methods, reason = "the body is limited")]
        let body = Limited::new(response.into_body(), 1 << 20)
            .collect()
            .await
            .unwrap();
        let body = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        (status, body)
    }

    #[tokio::test]
    async fn the_service_s_own_metrics_and_the_engine_s_are_on_one_page() {
        let twin = simulated_server().await.unwrap();
        let target = twin.local_addr();
        let service = Arc::new(Service::new(&format!("http://{target}")).unwrap());
        assert_eq!(get("/hello", &service).await.1, "hello\n");
        assert_eq!(get("/other", &service).await.0, StatusCode::NOT_FOUND);

        for path in ["/metrics", "/all"] {
            let (status, page) = get(path, &service).await;
            assert_eq!(status, StatusCode::OK);
            assert_eq!(check(page.as_bytes(), Format::OpenMetrics100), [], "{page}");
            for line in [
                "shop_requests_total{path=\"/hello\"} 1\n",
                "llm_time_to_first_token_seconds_count{backend=\"vllm\",engine=\"0\"",
                "# TYPE llm_prompt_tokens counter\n",
            ] {
                assert!(page.contains(line), "no {line} in {page}");
            }
        }
        let left_out = service.registry_first.collector.left_out();
        assert_eq!(left_out, []);
        twin.stop().await;

        // Gone from both; what the service itself has stays.
        let (_, page) = get("/metrics", &service).await;
        assert!(!page.contains("llm_") && page.contains("shop_requests_total{"));
        let (_, page) = get("/all", &service).await;
        let down = format!("tokenpath_source_up{{backend=\"vllm\",target=\"{target}\"}} 0\n");
        assert!(page.contains(&down) && page.contains("shop_requests_total{"));
    }
}
