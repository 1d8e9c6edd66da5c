//! Serves a twin as a vLLM release until interrupted.
//!
//! ```sh
//! cargo run -p tokenpath-sim --example serve -- 0.33.0 8000
//! curl -s http://127.0.0.1:8000/metrics
//! ```

use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use tokenpath_sim::vllm::{Layout, Release};
use tokenpath_sim::{Config, Server, Twin};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next();
    let release = match &name {
        Some(name) => Release::find(name).ok_or_else(|| {
            let names: Vec<_> = Release::all().map(Release::name).collect();
            format!("no release {name}; there are {}", names.join(", "))
        })?,
        None => Release::latest(),
    };
    let port: u16 = arguments.next().map_or(Ok(8000), |port| port.parse())?;

    let mut twin = Twin::new(Config {
        start_unix_seconds: SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64(),
        ..Config::default()
    })?;
    // A minute of history, so that the first page shows something.
    twin.advance(60.0);
    let server = Server::new(twin, Layout::of(release))
        .bind(("127.0.0.1", port))
        .await?;
    println!(
        "vLLM {release} at http://{}/metrics, Ctrl-C stops",
        server.local_addr()
    );
    std::future::pending::<()>().await;
    Ok(())
}
