//! `tokenpath serve` and the exporters: sources from arguments, one page for all.

use std::future::Future;
use std::io;
use std::time::Duration;

use clap::Args;
use tokenpath_core::BoxSource;
use tokenpath_scrape::runner::Exporter;
use tokenpath_scrape::server::{ListenAddress, MetricsService, Server, ServerOptions, bind};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{ScrapeArguments, SpeechArguments, WebArguments};
use crate::gpu::Gpu;
use crate::logging::{self, LogArguments};
use crate::run::Failure;
use crate::sources::{Gateway, Limitador, Tgi, Vllm};

/// Where `tokenpath serve` listens unless told.
pub const LISTEN: &str = ":9410";

/// Read engines, limiters, gateways and GPUs, and serve what they say under names that stay.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  tokenpath serve --vllm.endpoint http://localhost:8000
  tokenpath serve --vllm.endpoint http://10.0.0.7:8000 --tgi.endpoint http://10.0.0.8:8080 --gpu
  VLLM_ENDPOINT=http://10.0.0.7:8000,http://10.0.0.8:8000 tokenpath serve
Then: curl localhost:9410/metrics")]
pub struct Arguments {
    #[command(flatten)]
    vllm: Vllm,
    #[command(flatten)]
    tgi: Tgi,
    #[command(flatten)]
    limitador: Limitador,
    #[command(flatten)]
    gateway: Gateway,
    /// Read the GPUs of this machine too.
    #[arg(long = "gpu", help_heading = "GPU")]
    read_gpus: bool,
    #[command(flatten)]
    gpu: Gpu,
    #[command(flatten)]
    common: Common,
}

/// The arguments that every exporter has.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// How targets are read.
    #[command(flatten)]
    pub scrape: ScrapeArguments,
    #[command(flatten)]
    pub(crate) speech: SpeechArguments,
    #[command(flatten)]
    pub(crate) web: WebArguments,
    #[command(flatten)]
    pub(crate) log: LogArguments,
}

/// Runs the command until SIGTERM or SIGINT.
///
/// # Errors
///
/// Where there is nothing to read, a source is not set up right, or an address cannot be bound.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let scrape = &arguments.common.scrape;
    let mut sources = arguments.vllm.sources(scrape)?;
    sources.extend(arguments.tgi.sources(scrape)?);
    sources.extend(arguments.limitador.sources(scrape)?);
    sources.extend(arguments.gateway.sources(scrape)?);
    if arguments.read_gpus {
        sources.push(arguments.gpu.source()?);
    }
    if sources.is_empty() {
        return Err(Failure::usage(
            "nothing to read: name at least one source, for instance --vllm.endpoint http://localhost:8000 \
             or --gpu, or try `tokenpath demo`, which needs none",
        ));
    }
    export(sources, &arguments.common, LISTEN)
}

/// Serves sources until SIGTERM or SIGINT.
///
/// # Errors
///
/// As [`run`].
pub fn export(sources: Vec<BoxSource>, common: &Common, listen: &str) -> Result<(), Failure> {
    logging::start(&common.log);
    let mut exporter = Exporter::speaking(common.speech.spoken(&sources)?);
    for source in sources {
        exporter.add(source, common.scrape.source());
    }
    runtime()?.block_on(async {
        let serving = Serving::bind(exporter, &common.web, listen, common.scrape.timeout).await?;
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
