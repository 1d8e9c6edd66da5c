//! The twin over real sockets.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::time::Duration;

use tokenpath_sim::vllm::{Layout, LayoutError, Release};
use tokenpath_sim::{BindError, Config, Quantity, Running, Server, Twin};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn layout(name: &str) -> Layout {
    Layout::of(Release::find(name).unwrap())
}

fn twin(config: Config) -> Twin {
    let mut twin = Twin::new(config).unwrap();
    twin.advance(20.0);
    twin
}

async fn frozen(name: &str) -> Running {
    Server::new(twin(Config::default()), layout(name))
        .speed(0.0)
        .bind("127.0.0.1:0")
        .await
        .unwrap()
}

/// Status line, head and body of one request on a connection of its own.
async fn ask(
    server: &Running,
    method: &str,
    path: &str,
    headers: &str,
) -> (String, String, String) {
    let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
    let request =
        format!("{method} {path} HTTP/1.1\r\nhost: twin\r\n{headers}connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let (status, head) = head.split_once("\r\n").unwrap();
    (status.to_owned(), head.to_lowercase(), body.to_owned())
}

#[tokio::test]
async fn metrics_ignore_what_is_accepted() {
    let server = frozen("0.33.0").await;
    let (status, head, plain) = ask(&server, "GET", "/metrics", "").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(head.contains("content-type: text/plain; version=1.0.0; charset=utf-8"));
    assert_eq!(plain, layout("0.33.0").page(&server.truth()).unwrap());

    let wants = "accept: application/openmetrics-text\r\naccept-encoding: gzip\r\n";
    let (_, head, body) = ask(&server, "GET", "/metrics", wants).await;
    assert!(!head.contains("content-encoding"));
    assert_eq!(body, plain);

    // The slash makes it another handler, which negotiates.
    let (_, head, body) = ask(&server, "GET", "/metrics/", wants).await;
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0"));
    assert!(body.contains("\nvllm_prompt_tokens_total{") && body.ends_with("# EOF\n"));
    server.stop().await;
}

#[tokio::test]
async fn other_paths_answer_as_vllm_does() {
    let server = frozen("0.8.5-v0").await;
    let (status, _, body) = ask(&server, "GET", "/version", "").await;
    assert_eq!(
        (status.as_str(), body.as_str()),
        ("HTTP/1.1 200 OK", r#"{"version":"0.8.5"}"#)
    );
    let (status, head, body) = ask(&server, "GET", "/health", "").await;
    assert_eq!((status.as_str(), body.as_str()), ("HTTP/1.1 200 OK", ""));
    assert!(!head.contains("content-type"));
    let (status, ..) = ask(&server, "GET", "/nothing", "").await;
    assert_eq!(status, "HTTP/1.1 404 Not Found");
    let (status, head, _) = ask(&server, "POST", "/metrics", "content-length: 0\r\n").await;
    assert_eq!(status, "HTTP/1.1 405 Method Not Allowed");
    assert!(head.contains("allow: get"));
    let (_, head, _) = ask(&server, "GET", "/metrics", "").await;
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"));
    server.stop().await;
}

#[tokio::test]
async fn one_state_is_spoken_as_one_release_after_another() {
    let server = frozen("0.6.6").await;
    let truth = server.truth();
    for release in Release::all() {
        server.set_layout(Layout::of(release)).unwrap();
        let (_, head, body) = ask(&server, "GET", "/metrics", "").await;
        assert!(
            body == Layout::of(release).page(&truth).unwrap(),
            "{release}"
        );
        let openmetrics = body.ends_with("# EOF\n");
        assert_eq!(
            head.contains("application/openmetrics-text"),
            openmetrics,
            "{release}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn a_slash_doubles_the_families_of_a_process_among_several() {
    let config = Config {
        api_servers: 2,
        ..Config::default()
    };
    let layout = Layout::multi_process(Release::find("0.32.0").unwrap()).unwrap();
    let server = Server::new(twin(config), layout)
        .speed(0.0)
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let count = |page: &str| page.matches("# TYPE http_requests_total counter").count();
    let (_, _, page) = ask(&server, "GET", "/metrics", "").await;
    assert_eq!(count(&page), 1);
    let (_, _, slash) = ask(&server, "GET", "/metrics/", "").await;
    assert_eq!(count(&slash), 2);
    assert!(slash.starts_with(&page));
    server.stop().await;
}

#[tokio::test]
async fn time_follows_the_clock() {
    let server = Server::new(twin(Config::default()), layout("0.33.0"))
        .speed(50.0)
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let before = server.truth();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let after = server.truth();
    // 10 s of virtual time at least; more where the machine is slow.
    assert!(after.now >= before.now + 10.0);
    let tokens =
        |truth: &tokenpath_sim::Truth| truth.engines[0].observed(Quantity::InterToken).count();
    assert!(tokens(&after) > tokens(&before));
    server
        .with_twin(|twin| twin.set_arrivals_per_second(0.0))
        .unwrap();
    server.stop().await;
}

#[tokio::test]
async fn says_why_it_cannot_start() {
    let server = frozen("0.33.0").await;
    let taken = Server::new(twin(Config::default()), layout("0.33.0"))
        .bind(server.local_addr())
        .await;
    assert!(matches!(taken, Err(BindError::Listen(_))));
    let engines = Config {
        engines: 2,
        ..Config::default()
    };
    let wrong = Server::new(twin(engines), layout("0.6.6"))
        .bind("127.0.0.1:0")
        .await;
    assert!(matches!(
        wrong,
        Err(BindError::Layout(LayoutError::OneEngineOnly("0.6.6")))
    ));
    server.stop().await;
}

#[tokio::test]
async fn stops_although_a_client_holds_a_connection() {
    let server = frozen("0.33.0").await;
    let address = server.local_addr();
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET /metr").await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), server.stop())
        .await
        .expect("stops within its own timeout");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens");
}

#[tokio::test]
async fn several_servers_live_side_by_side() {
    let (old, new) = (frozen("0.4.2").await, frozen("0.33.0-rust").await);
    let (_, _, old_page) = ask(&old, "GET", "/metrics", "").await;
    let (_, _, new_page) = ask(&new, "GET", "/metrics", "").await;
    assert!(old_page.contains("vllm:gpu_cache_usage_perc"));
    assert!(new_page.ends_with("# EOF\n"));
    old.stop().await;
    new.stop().await;
}
