//! A process without descriptors goes on with what it has, and recovers.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use tokenpath_scrape::server::{
    Landing, MetricsService, PageError, PageProvider, PageRequest, Server, ServerOptions,
    ServiceOptions, bind,
};
use tokenpath_scrape::{Client, ClientOptions, Page};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

const PLENTY: Duration = Duration::from_secs(30);
const INNER: &str = "TOKENPATH_TEST_FEW_DESCRIPTORS";

struct One;

impl PageProvider for One {
    async fn page(&self, _: PageRequest) -> Result<Bytes, PageError> {
        Ok(Bytes::from_static(b"a 1\n"))
    }
    fn landing(&self) -> Landing {
        Landing::default()
    }
    fn ready(&self) -> bool {
        true
    }
}

/// The limit is one of the whole process, so the test runs again in one of its own.
#[test]
fn serves_on_without_descriptors_and_recovers() {
    if std::env::var_os(INNER).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        return runtime.block_on(use_up_all_descriptors());
    }
    let output = Command::new("sh")
        .args([
            "-c",
            "ulimit -n 64 && exec \"$0\" --exact serves_on_without_descriptors_and_recovers",
        ])
        .arg(std::env::current_exe().unwrap())
        .env(INNER, "1")
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&text)
    );
}

async fn get(client: &Client) {
    let mut page = Page::new();
    client
        .get(&mut page, Instant::now() + PLENTY)
        .await
        .unwrap();
    assert_eq!(page.bytes(), b"a 1\n");
}

async fn use_up_all_descriptors() {
    let service = MetricsService::new(One, ServiceOptions::default()).unwrap();
    let listeners = bind(&["127.0.0.1:0".parse().unwrap()]).await.unwrap();
    let address: SocketAddr = listeners[0].local_addr().unwrap();
    let server = Server::new(service, ServerOptions::default());
    let stats = server.stats();
    let task = tokio::spawn(server.serve(listeners, std::future::pending()));

    let client = Client::new(
        address.to_string().parse().unwrap(),
        ClientOptions::default(),
    )
    .unwrap();
    get(&client).await;
    let mut hoard = Vec::new();
    while let Ok(stream) = TcpStream::connect(address).await {
        hoard.push(stream);
    }
    let waiting = async {
        while stats.accept_errors() == 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PLENTY, waiting)
        .await
        .expect("the server still finds descriptors");
    // The open connection is served on, and the trouble is met a few times a second, not in a spin.
    let before = stats.accept_errors();
    for _ in 0..10 {
        get(&client).await;
        sleep(Duration::from_millis(50)).await;
    }
    assert!(stats.accept_errors() - before <= 20, "{stats:?}");

    drop(hoard);
    let another = Client::new(
        address.to_string().parse().unwrap(),
        ClientOptions::default(),
    )
    .unwrap();
    get(&another).await;
    task.abort();
}
