//! `tokenpath demo`: the digital twin and the exporter in one process; nothing else is needed.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::{Arc, Weak};
use std::time::Duration;

use clap::Args;
use tokenpath_config::{Follower, Loader, Overlay};
use tokenpath_core::LabelSet;
use tokenpath_scrape::runner::Exporter;
use tokenpath_scrape::server::Probes;
use tokenpath_sim::vllm::{Layout, Release};
use tokenpath_sim::{
    Config, GpuConfig, Incident, Part, Role, RunningWorld, ServerConfig, ServerKind, Traffic,
    World, WorldConfig, WorldServer,
};

use crate::cli::Common;
use crate::configure::{refused, vocabulary};
use crate::gpu_twin::GpuTwin;
use crate::logging;
use crate::run::Failure;
use crate::serve::{self, Serving};
use crate::sources::{equip, gpu_options};

/// Where the demo listens unless told: on this machine only.
const LISTEN: &str = "127.0.0.1:9410";

/// Where the simulated servers listen, one port after another, so that a target file can name them.
const TWIN_PORT: u16 = 9420;
/// What the configuration calls the gateway's token.
const TOKEN: &str = "TOKENPATH_DEMO_TOKEN";

/// The twin's virtual time before the demo starts, so that its first page has something to show.
const WARM_UP_SECONDS: f64 = 30.0;
/// How often the simulated GPUs follow the engines, where time passes by itself.
const GPU_TICK: Duration = Duration::from_millis(250);
/// The node that the simulated GPUs are in.
const NODE: &str = "demo-node";

/// Show it all working: a simulated token path and the exporter in one process.
///
/// Users with quotas, a gateway, vLLM servers of two ages (the newer one with prefill and decode
/// apart), a TGI server and their GPUs are simulated, with requests that arrive, wait, are prefilled,
/// decode and finish. All speak over real HTTP on this machine, each in the names of its release; the
/// exporter reads them and says it under names that stay.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  tokenpath demo
  tokenpath demo --incident queue-storm
  tokenpath demo --vllm.release 0.6.6 --seed 7
Then: curl -s localhost:9410/metrics | grep time_to_first_token")]
pub struct Arguments {
    /// The release that the newer vLLM servers speak as.
    #[arg(long = "vllm.release", value_name = "RELEASE", value_parser = release, default_value = "0.33.0", help_heading = "Twin")]
    release: Release,
    /// The release that the older vLLM server speaks as.
    #[arg(long = "vllm.older-release", value_name = "RELEASE", value_parser = release, default_value = "0.8.5-v0", help_heading = "Twin")]
    older_release: Release,
    /// Something that goes wrong from the start. May be repeated.
    #[arg(long, value_name = "NAME", value_parser = incident, help_heading = "Twin")]
    incident: Vec<Incident>,
    /// Where everything random in the simulation comes from.
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Twin")]
    seed: u64,
    /// Seconds that pass in the simulation for each real one, at most 1000. With 0 time stands still,
    /// and passes by `POST /debug/advance?seconds=N` at any of the simulated servers.
    #[arg(
        long,
        value_name = "FACTOR",
        value_parser = speed,
        default_value_t = 1.0,
        help_heading = "Twin"
    )]
    speed: f64,
    /// First of the ports that the simulated servers listen on, one after another. Where one is taken,
    /// and with 0, it is a free one.
    #[arg(long = "twin.port", value_name = "PORT", default_value_t = TWIN_PORT, help_heading = "Twin")]
    port: u16,
    #[command(flatten)]
    common: Common,
}

/// A larger factor only makes the simulation fall behind.
const SPEED_MAX: f64 = 1000.0;

fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse::<f64>().ok();
    speed
        .filter(|speed| (0.0..=SPEED_MAX).contains(speed))
        .ok_or_else(|| format!("it is a number from 0 to {SPEED_MAX}; for instance 10"))
}

fn release(name: &str) -> Result<Release, String> {
    Release::find(name).ok_or_else(|| {
        let names: Vec<&str> = Release::all().map(Release::name).collect();
        format!(
            "no page of this release is known; known are: {}",
            names.join(", ")
        )
    })
}

fn incident(name: &str) -> Result<Incident, String> {
    Incident::find(name).ok_or_else(|| {
        let all =
            Incident::ALL.map(|known| format!("\n  {}: {}", known.name(), known.description()));
        format!("no such incident; there are:{}", all.concat())
    })
}

/// Runs the command until SIGTERM or SIGINT.
///
/// # Errors
///
/// Where an argument is not right, or an address cannot be bound.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut flags = Overlay::new();
    arguments.common.say(&mut flags);
    let loader = Loader::new().vocabulary(vocabulary(None)).overlay(flags);
    // What is wrong with the arguments is said before anything is simulated.
    let config = loader.parse("the arguments", "").map_err(refused)?;
    logging::start(&config.log);
    serve::block_on(async {
        let config = world(arguments);
        let token = config
            .gateway
            .as_ref()
            .and_then(|gateway| gateway.token.clone());
        let mut world = World::new(config).map_err(Failure::runtime)?;
        world.advance(WARM_UP_SECONDS);
        for incident in &arguments.incident {
            world.incident(*incident);
        }
        let Some(fleet) = world.gpus() else {
            return Err(Failure::runtime("the simulated world has no GPUs"));
        };
        let gpus = Arc::new(GpuTwin::new(NODE, fleet).map_err(Failure::runtime)?);
        let server = WorldServer::new(world).speed(arguments.speed);
        let server = server.after_advance({
            let gpus = Arc::clone(&gpus);
            move |world| {
                if let Some(fleet) = world.gpus() {
                    gpus.sample(fleet);
                }
            }
        });
        let running = server.port(arguments.port).bind().await;
        let running = Arc::new(running.map_err(Failure::runtime)?);
        let token = move |name: &str| token.clone().filter(|_| name == TOKEN);
        let config = loader
            .environment(token)
            .parse("the demo", &configuration(&running))
            .map_err(refused)?;
        let exporter = Arc::new(Exporter::new());
        let probes = Arc::new(Probes::default());
        let equip = equip(&exporter, &probes, None);
        let (_follower, _) = Follower::start(Arc::clone(&exporter), &config, None, equip).await;
        let labels = LabelSet::new([("node", NODE)]);
        exporter.change(&[], [(gpus.source(), gpu_options(&config, &labels))]);
        tokio::spawn(tick(Arc::downgrade(&running), gpus));
        let serving = Serving::bind(exporter, probes, &config, LISTEN).await?;
        // Where nobody reads it, the demo is shown all the same.
        _ = writeln!(io::stdout(), "{}", introduction(&serving.url, &running));
        serving.until(serve::stop_signal()?).await;
        Ok(())
    })?
}

/// What is simulated.
fn world(arguments: &Arguments) -> WorldConfig {
    let server = |name: &str, kind, role, model: &str, engines| ServerConfig {
        name: name.to_owned(),
        kind,
        role,
        engine: Config {
            model_name: model.to_owned(),
            engines,
            ..Config::default()
        },
    };
    let vllm = |release| ServerKind::Vllm(Layout::of(release));
    WorldConfig {
        seed: arguments.seed,
        traffic: Traffic {
            arrivals_per_second: 24.0,
            ..Traffic::default()
        },
        direct_share: 0.4,
        servers: vec![
            server(
                "vllm-prefill",
                vllm(arguments.release),
                Role::Prefill,
                "demo-llama-8b",
                1,
            ),
            server(
                "vllm-decode",
                vllm(arguments.release),
                Role::Decode,
                "demo-llama-8b",
                2,
            ),
            server(
                "vllm-older",
                vllm(arguments.older_release),
                Role::Direct,
                "demo-qwen-14b",
                1,
            ),
            server(
                "tgi",
                ServerKind::Tgi(tokenpath_sim::tgi::Launch::default()),
                Role::Direct,
                "demo-mistral-7b",
                1,
            ),
        ],
        gpus: Some(GpuConfig {
            per_engine: 1,
            ..GpuConfig::default()
        }),
        ..WorldConfig::default()
    }
}

/// What an operator would write for this world: a source for each part of it.
fn configuration(running: &RunningWorld) -> String {
    let mut text = String::from("sources:\n");
    for (part, at) in running.addresses() {
        // Writing to a string does not fail.
        _ = match part {
            Part::Server(index) => running.with_world(|world| {
                let server = &world.servers()[index];
                let kind = match server.kind() {
                    ServerKind::Tgi(_) => "tgi",
                    _ => "vllm",
                };
                let (name, role) = (server.name(), server.role());
                let role = match role {
                    Role::Prefill | Role::Decode => format!(", role: {}", role.name()),
                    _ => String::new(),
                };
                writeln!(
                    text,
                    "- {{kind: {kind}, endpoint: 'http://{at}', \
                     labels: {{node: {NODE}, worker_id: {name}{role}}}}}"
                )
            }),
            Part::Limitador => writeln!(
                text,
                "- kind: limitador\n  endpoint: 'http://{at}'\n  limitador: \
                 {{tenant: [user, userid], keep: {{group: group}}, token_namespaces: llm/chat}}"
            ),
            Part::Gateway => writeln!(
                text,
                "- {{kind: gateway, endpoint: 'http://{at}', auth: {{token: '${{{TOKEN}}}'}}}}"
            ),
        };
    }
    text
}

/// Shows the GPUs of a world as they are, as long as it runs.
async fn tick(running: Weak<RunningWorld>, gpus: Arc<GpuTwin>) {
    let mut tick = tokio::time::interval(GPU_TICK);
    loop {
        tick.tick().await;
        let Some(running) = running.upgrade() else {
            return;
        };
        running.with_world(|world| {
            if let Some(fleet) = world.gpus() {
                gpus.follow(fleet);
            }
        });
    }
}

/// What is where, and what to try.
fn introduction(url: &str, running: &RunningWorld) -> String {
    let mut text = String::from("Tokenpath demo: a simulated token path, real metrics.\n\n");
    let truth = "(/metrics; what really happened: /debug/truth)";
    for (part, at) in running.addresses() {
        // Writing to a string does not fail.
        _ = match part {
            Part::Server(index) => {
                let what = running.with_world(|world| {
                    let server = &world.servers()[index];
                    let speaks = match server.kind() {
                        ServerKind::Vllm(layout) => format!("vLLM {}", layout.release().name()),
                        kind => kind.name().to_uppercase(),
                    };
                    format!("{}, speaks as {speaks}", server.name())
                });
                writeln!(text, "  twin=http://{at}  {what} {truth}")
            }
            Part::Limitador => writeln!(text, "  limitador=http://{at}  tenants and quotas"),
            Part::Gateway => writeln!(
                text,
                "  gateway=http://{at}  endpoint picker, behind a token"
            ),
        };
    }
    _ = write!(
        text,
        "  page={url}\n\n\
         Try:  curl -s {url} | grep llm_time_to_first_token_seconds_count\n      \
         curl -s {url} | grep -E '^(llm_tenant_tokens_total|gpu_power_watts|llm_gateway_requests_total)'\n\
         Stop: Ctrl-C"
    );
    text
}
