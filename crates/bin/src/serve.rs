//! `tokenpath serve` and the exporters: sources from arguments, one page for all.

use std::future::Future;
use std::io;
use std::time::Duration;

use clap::Args;
use tokenpath_core::BoxSource;
use tokenpath_scrape::Endpoint;
use tokenpath_scrape::runner::Exporter;
use tokenpath_scrape::server::{ListenAddress, MetricsService, Server, ServerOptions, bind};
use tokenpath_vllm::VllmSource;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{ScrapeArguments, WebArguments};
use crate::logging::{self, LogArguments};
use crate::run::Failure;

/// Where `tokenpath serve` listens unless told.
pub const TOKENPATH_LISTEN: &str = ":9410";
/// Where `vllm-exporter` listens unless told.
pub const VLLM_EXPORTER_LISTEN: &str = ":9401";
/// Where a vLLM server is found unless told.
const VLLM_DEFAULT: &str = "http://localhost:8000";

/// Read engines and serve what they say under names that stay.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  tokenpath serve --vllm.endpoint http://localhost:8000
  VLLM_ENDPOINT=http://10.0.0.7:8000,http://10.0.0.8:8000 tokenpath serve
Then: curl localhost:9410/metrics")]
pub struct Arguments {
    /// URL of a vLLM server; `/metrics` is added where it has no path. May be repeated.
    #[arg(
        long = "vllm.endpoint",
        value_name = "URL",
        env = "VLLM_ENDPOINT",
        value_delimiter = ',',
        help_heading = "Sources"
    )]
    vllm: Vec<Endpoint>,
    #[command(flatten)]
    scrape: ScrapeArguments,
    #[command(flatten)]
    web: WebArguments,
    #[command(flatten)]
    log: LogArguments,
}

impl Arguments {
    /// With the usual vLLM server where none was named.
    #[must_use]
    pub fn or_default_vllm(mut self) -> Self {
        if self.vllm.is_empty() {
            self.vllm.extend(VLLM_DEFAULT.parse::<Endpoint>());
        }
        self
    }
}

/// Runs the command until SIGTERM or SIGINT.
///
/// # Errors
///
/// Where there is nothing to read, a source is not set up right, or an address cannot be bound.
pub fn run(arguments: &Arguments, default_listen: &str) -> Result<(), Failure> {
    logging::start(&arguments.log);
    let page_source = arguments.scrape.page_source()?;
    let mut exporter = Exporter::new();
    for endpoint in &arguments.vllm {
        let source = VllmSource::new(endpoint.clone(), page_source.clone());
        exporter.add(
            BoxSource::new(source.map_err(Failure::usage)?),
            arguments.scrape.source(),
        );
    }
    if exporter.sources().len() == 0 {
        return Err(Failure::usage(
            "nothing to read: name at least one source, for instance --vllm.endpoint http://localhost:8000, \
             or try `tokenpath demo`, which needs none",
        ));
    }
    runtime()?.block_on(async {
        let serving = Serving::bind(
            exporter,
            &arguments.web,
            default_listen,
            arguments.scrape.timeout,
        )
        .await?;
        serving.until(stop_signal()?).await;
        Ok(())
    })
}

/// The runtime of the binaries: two threads, so that a page that takes long to encode does not hold
/// up the readings.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Failure::runtime)
}

/// Ends at SIGTERM or SIGINT.
pub(crate) fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    let listen = |kind: SignalKind| signal(kind).map_err(Failure::runtime);
    let (mut terminate, mut interrupt) = (
        listen(SignalKind::terminate())?,
        listen(SignalKind::interrupt())?,
    );
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "stopping");
    })
}

/// An exporter on its listeners.
pub(crate) struct Serving {
    server: Server<Exporter>,
    listeners: Vec<tokio::net::TcpListener>,
    /// The first address, as a client on this machine would name it.
    pub(crate) url: String,
}

impl Serving {
    pub(crate) async fn bind(
        exporter: Exporter,
        web: &WebArguments,
        default_listen: &str,
        timeout: Duration,
    ) -> Result<Self, Failure> {
        let default = default_listen
            .parse::<ListenAddress>()
            .map_err(Failure::usage)?;
        let addresses = if web.listen.is_empty() {
            vec![default]
        } else {
            web.listen.clone()
        };
        let service =
            MetricsService::new(exporter, web.service(timeout)).map_err(Failure::usage)?;
        let listeners = bind(&addresses).await.map_err(Failure::runtime)?;
        let bound: io::Result<Vec<_>> = listeners
            .iter()
            .map(tokio::net::TcpListener::local_addr)
            .collect();
        let bound = bound.map_err(Failure::runtime)?;
        for address in &bound {
            tracing::info!(%address, path = web.telemetry_path, "serving metrics");
        }
        let url = bound.first().map_or_else(String::new, |address| {
            let host = if address.ip().is_unspecified() {
                "localhost".to_owned()
            } else {
                address.ip().to_string()
            };
            let host = if host.contains(':') {
                format!("[{host}]")
            } else {
                host
            };
            format!("http://{host}:{}{}", address.port(), web.telemetry_path)
        });
        Ok(Self {
            server: Server::new(service, ServerOptions::default()),
            listeners,
            url,
        })
    }

    pub(crate) async fn until(self, stop: impl Future<Output = ()>) {
        self.server.serve(self.listeners, stop).await;
    }
}
