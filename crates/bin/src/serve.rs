//! `tokenpath serve` and the exporters: one configuration, one page for all its sources.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clap::Args;
use tokenpath_config::{Config, Equip, Follower, Overlay};
use tokenpath_scrape::runner::Exporter;
use tokenpath_scrape::server::{
    ListenAddress, MetricsService, Probes, Server, ServerOptions, ServiceOptions, bind,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::cli::{Common, one};
use crate::configure;
use crate::kinds::{Gateway, Gpu, Limitador, Tgi, Vllm};
use crate::logging;
use crate::run::Failure;
use crate::sources::equip;

/// Where `tokenpath serve` listens unless told.
pub const LISTEN: &str = ":9410";

/// Read engines, limiters, gateways and GPUs, and serve what they say under names that stay.
///
/// What is read is said by flags, by the environment, or by a file: flags win over the environment,
/// the environment over the file. The file is read again when it changes, and on SIGHUP.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  tokenpath serve --vllm.endpoint http://localhost:8000
  tokenpath serve --vllm.endpoint http://10.0.0.7:8000 --tgi.endpoint http://10.0.0.8:8080 --gpu
  VLLM_ENDPOINT=http://10.0.0.7:8000,http://10.0.0.8:8000 tokenpath serve
  tokenpath serve --config /etc/tokenpath/tokenpath.yaml --shard 0/4
Then: curl localhost:9410/metrics")]
pub struct Arguments {
    /// Configuration file; docs/configuration.md has its keys, `tokenpath check-config` checks it.
    #[arg(long, value_name = "FILE", help_heading = "Configuration")]
    config: Option<PathBuf>,
    /// Read only share K of all targets, K from 0 to N-1: the same file on N machines reads each once.
    #[arg(long, value_name = "K/N", help_heading = "Configuration")]
    shard: Option<String>,
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

impl Arguments {
    fn say(&self, overlay: &mut Overlay) {
        one(overlay, "--shard", "shard", self.shard.as_deref());
        self.common.say(overlay);
        self.vllm.say(overlay);
        self.tgi.say(overlay);
        self.limitador.say(overlay);
        self.gateway.say(overlay);
        if self.read_gpus {
            overlay.section("--gpu", "gpu");
        }
        self.gpu.say(overlay);
    }
}

/// Runs the command until SIGTERM or SIGINT.
///
/// # Errors
///
/// Where the configuration is not right, there is nothing to read, a source is not set up right, or
/// an address cannot be bound.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut flags = Overlay::new();
    arguments.say(&mut flags);
    let told = flags.over(configure::environment(None)?);
    export(told, None, arguments.config.as_deref(), LISTEN)
}

/// A program that reads one kind of backend, by flags and environment alone.
#[derive(Clone, Copy, Debug)]
pub struct OneKind {
    /// The kind.
    pub kind: &'static str,
    /// Where such a server usually is: read where no other is named.
    pub usual: Option<&'static str>,
    /// Where the program listens unless told.
    pub listen: &'static str,
}

impl OneKind {
    /// Runs the program until SIGTERM or SIGINT; `say` says its flags.
    ///
    /// # Errors
    ///
    /// As [`run`].
    pub fn serve(&self, say: impl FnOnce(&mut Overlay)) -> Result<(), Failure> {
        let (mut flags, mut usual) = (Overlay::new(), Overlay::new());
        say(&mut flags);
        if let Some(endpoint) = self.usual {
            usual.endpoints("the usual endpoint", self.kind, [endpoint]);
        }
        let environment = configure::environment(Some(self.kind))?;
        let told = flags.over(environment).over(usual);
        export(told, Some(self.kind), None, self.listen)
    }
}

/// Serves what a configuration says, for a program that reads one kind, or all.
fn export(
    told: Overlay,
    kind: Option<&'static str>,
    file: Option<&Path>,
    listen: &str,
) -> Result<(), Failure> {
    let (config, file) = configure::load(told, kind, file)?;
    let nothing = config.sources.is_empty() && config.discovery.is_empty() && config.gpu.is_none();
    if nothing && file.is_none() {
        return Err(Failure::usage(
            "nothing to read: name at least one source, for instance --vllm.endpoint http://localhost:8000, \
             --gpu or --config FILE, or try `tokenpath demo`, which needs none",
        ));
    }
    logging::start(&config.log);
    if nothing {
        tracing::warn!("the configuration names nothing to read");
    }
    block_on(async {
        let exporter = Arc::new(Exporter::new());
        let hup = hangups(file.is_some())?;
        let probes = Arc::new(Probes::default());
        let service = Arc::new(OnceLock::new());
        let equip = reloading(
            equip(&exporter, &probes, kind),
            &config,
            Arc::clone(&service),
        );
        let (follower, change) = Follower::start(Arc::clone(&exporter), &config, file, equip).await;
        if !change.refused.is_empty() {
            let refused = change.refused.into_iter();
            return Err(Failure::usages(
                refused.map(|(source, error)| format!("{source}: {error}")),
            ));
        }
        let serving = Serving::bind(exporter, probes, &config, listen).await?;
        _ = service.set(serving.service.clone());
        let stop = stop_signal()?;
        // Of its own: a list of thousands of targets must not hold up who asks meanwhile.
        let following = tokio::spawn(follower.run(hup));
        serving.until(stop).await;
        following.abort();
        Ok(())
    })?
}

/// Takes over what a configuration that is read again says of how pages are served, and tells what it
/// says in vain.
fn reloading(
    equip: Arc<Equip>,
    begun: &Config,
    service: Arc<OnceLock<MetricsService<Arc<Exporter>>>>,
) -> Arc<Equip> {
    let fixed = |config: &Config| {
        let (web, log) = (&config.web, &config.log);
        [
            ("web.listen", format!("{:?}", web.listen)),
            ("web.telemetry_path", format!("{:?}", web.telemetry_path)),
            ("web.max_requests", format!("{:?}", web.max_requests)),
            ("log.level", format!("{:?}", log.level)),
            ("log.format", format!("{:?}", log.format)),
        ]
    };
    let begun = fixed(begun);
    Arc::new(move |config: &Config| {
        if let Some(service) = service.get() {
            service.set_timeout_max(timeout_max(config));
        }
        for ((key, begun), (_, now)) in begun.iter().zip(fixed(config)) {
            if *begun != now {
                tracing::warn!(key, "a reload does not change this key: start anew for it");
            }
        }
        equip(config)
    })
}

/// Each SIGHUP, where there is a file to read again; else the signal keeps its usual meaning.
fn hangups(file: bool) -> Result<mpsc::Receiver<()>, Failure> {
    let (send, receive) = mpsc::channel(1);
    if file {
        let mut signals = signal(SignalKind::hangup()).map_err(Failure::runtime)?;
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                // One that waits already stands for all.
                _ = send.try_send(());
            }
        });
    }
    Ok(receive)
}

/// Runs a command to its end, on the runtime of the binaries: two threads, so that a page that takes
/// long to encode does not hold up the readings.
///
/// What still runs then is left behind: the lookup of a name cannot be ended, and is not worth waiting
/// for.
pub(crate) fn block_on<T>(command: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Failure::runtime)?;
    let result = runtime.block_on(command);
    runtime.shutdown_background();
    Ok(result)
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

/// A page waits as long as its slowest target may take.
fn timeout_max(config: &Config) -> Duration {
    let sources = config.sources.iter().map(|source| &source.reading);
    let found = config.discovery.iter().map(|discovery| &discovery.reading);
    let readings = sources.chain(found).map(|reading| reading.timeout);
    readings.fold(config.defaults.timeout, std::cmp::max)
}

/// How pages are served.
fn service(config: &Config) -> ServiceOptions {
    let defaults = ServiceOptions::default();
    ServiceOptions {
        telemetry_path: config
            .web
            .telemetry_path
            .clone()
            .unwrap_or(defaults.telemetry_path),
        scrapes_max: config.web.max_requests.unwrap_or(defaults.scrapes_max),
        timeout_max: timeout_max(config),
        ..ServiceOptions::default()
    }
}

/// An exporter on its listeners.
pub(crate) struct Serving {
    server: Server<Arc<Exporter>>,
    /// What the server answers with.
    service: MetricsService<Arc<Exporter>>,
    listeners: Vec<tokio::net::TcpListener>,
    /// The first address, as a client on this machine would name it.
    pub(crate) url: String,
}

impl Serving {
    pub(crate) async fn bind(
        exporter: Arc<Exporter>,
        probes: Arc<Probes>,
        config: &Config,
        default_listen: &str,
    ) -> Result<Self, Failure> {
        let default = default_listen
            .parse::<ListenAddress>()
            .map_err(Failure::usage)?;
        let addresses = if config.web.listen.is_empty() {
            vec![default]
        } else {
            config.web.listen.clone()
        };
        let options = service(config);
        let path = options.telemetry_path.clone();
        let service = MetricsService::new(exporter, options).map_err(Failure::usage)?;
        let service = service.probes(probes);
        let listeners = bind(&addresses).await.map_err(Failure::runtime)?;
        let bound: io::Result<Vec<_>> = listeners
            .iter()
            .map(tokio::net::TcpListener::local_addr)
            .collect();
        let bound = bound.map_err(Failure::runtime)?;
        for address in &bound {
            tracing::info!(%address, path, "serving metrics");
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
            format!("http://{host}:{}{path}", address.port())
        });
        Ok(Self {
            server: Server::new(service.clone(), ServerOptions::default()),
            service,
            listeners,
            url,
        })
    }

    pub(crate) async fn until(self, stop: impl Future<Output = ()>) {
        self.server.serve(self.listeners, stop).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_lookup_that_hangs_does_not_hold_up_the_end() {
        let begin = Instant::now();
        let ended = block_on(async {
            let hanging = tokio::task::spawn_blocking(|| {
                std::thread::sleep(Duration::from_secs(5));
            });
            drop(hanging);
            tokio::time::sleep(Duration::from_millis(50)).await;
        });
        assert!(ended.is_ok());
        assert!(
            begin.elapsed() < Duration::from_secs(2),
            "{:?}",
            begin.elapsed()
        );
    }
}
