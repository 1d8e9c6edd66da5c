//! A source in a service of your own: a hyper server that greets on `/hello` and has the metrics of
//! a vLLM server on `/metrics`, beside whatever else it does.
//!
//! ```text
//! cargo run -p tokenpath-examples --bin embed                           # with a simulated server
//! cargo run -p tokenpath-examples --bin embed -- http://localhost:8000  # with a real one
//! curl localhost:8080/metrics
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
use tokenpath_core::BoxSource;
use tokenpath_scrape::PageSourceOptions;
use tokenpath_scrape::runner::{Exporter, SourceOptions};
use tokenpath_scrape::server::ServedFormat;
use tokenpath_sim::vllm::{Layout, Release};
use tokenpath_sim::{Config, Running, Server, Twin};
use tokenpath_vllm::VllmSource;
use tokio::net::TcpListener;
use tokio::time::Instant;

/// The whole page is there by then; sources that are not done are `tokenpath_source_up 0`.
const PAGE_TIMEOUT: Duration = Duration::from_secs(5);

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
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!(
        "reading {endpoint}, see http://{}/metrics",
        listener.local_addr()?
    );
    serve(listener, Arc::new(exporter(&endpoint)?)).await?;
    drop(simulated);
    Ok(())
}

/// One vLLM server as a source. More sources, of any kind, are more calls of `add`.
fn exporter(endpoint: &str) -> Result<Exporter, Box<dyn Error>> {
    let source = VllmSource::new(endpoint.parse()?, PageSourceOptions::default())?;
    let mut exporter = Exporter::new();
    exporter.add(BoxSource::new(source), SourceOptions::new());
    Ok(exporter)
}

/// An ordinary hyper server.
async fn serve(listener: TcpListener, exporter: Arc<Exporter>) -> Result<(), Box<dyn Error>> {
    loop {
        let (stream, _) = listener.accept().await?;
        let exporter = Arc::clone(&exporter);
        tokio::spawn(async move {
            let answer = service_fn(|request| answer(request, Arc::clone(&exporter)));
            let served = hyper::server::conn::http1::Builder::new()
                // Without a timer hyper's limit on slow heads does nothing.
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), answer)
                .await;
            if let Err(error) = served {
                eprintln!("a connection ended early: {error}");
            }
        });
    }
}

async fn answer<B>(
    request: Request<B>,
    exporter: Arc<Exporter>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::default());
    match request.uri().path() {
        "/hello" => *response.body_mut() = Full::from("hello\n"),
        "/metrics" => {
            let served = ServedFormat::negotiate(request.headers());
            let page = exporter.page(served, Instant::now() + PAGE_TIMEOUT).await;
            *response.body_mut() = Full::from(page);
            let kind = hyper::header::HeaderValue::from_static(served.content_type());
            response.headers_mut().insert(CONTENT_TYPE, kind);
        }
        _ => *response.status_mut() = StatusCode::NOT_FOUND,
    }
    Ok(response)
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

    use super::*;

    async fn get(
        path: &str,
        accept: &str,
        exporter: &Arc<Exporter>,
    ) -> (StatusCode, String, String) {
        let request = Request::get(path)
            .header("accept", accept)
            .body(())
            .unwrap();
        let response = answer(request, Arc::clone(exporter)).await.unwrap();
        let kind = response.headers().get(CONTENT_TYPE);
        let kind = kind.map_or_else(String::new, |kind| kind.to_str().unwrap().to_owned());
        let status = response.status();
        #[expect(clippy::disallowed_methods, reason = "the body is limited")]
        let body = Limited::new(response.into_body(), 1 << 20)
            .collect()
            .await
            .unwrap();
        (
            status,
            kind,
            String::from_utf8(body.to_bytes().to_vec()).unwrap(),
        )
    }

    #[tokio::test]
    async fn metrics_stand_beside_the_service_s_own_paths() {
        let twin = simulated_server().await.unwrap();
        let endpoint = format!("http://{}", twin.local_addr());
        let exporter = Arc::new(exporter(&endpoint).unwrap());

        let (status, _, body) = get("/hello", "*/*", &exporter).await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, "hello\n"));
        let (status, _, _) = get("/other", "*/*", &exporter).await;
        assert_eq!(status, StatusCode::NOT_FOUND);

        let (status, kind, body) = get("/metrics", "*/*", &exporter).await;
        assert_eq!(status, StatusCode::OK);
        assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
        assert!(
            body.contains("llm_time_to_first_token_seconds_bucket{"),
            "{body}"
        );
        let up = format!(
            "tokenpath_source_up{{backend=\"vllm\",target=\"{}\"}} 1",
            twin.local_addr()
        );
        assert!(body.contains(&up), "{body}");

        let accept = "application/openmetrics-text;version=1.0.0";
        let (_, kind, body) = get("/metrics", accept, &exporter).await;
        assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
        assert!(body.ends_with("# EOF\n"));
        twin.stop().await;
    }
}
