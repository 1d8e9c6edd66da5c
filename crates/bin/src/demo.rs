//! `tokenpath demo`: the digital twin and the exporter in one process; nothing else is needed.

use clap::Args;
use tokenpath_core::{BoxSource, LabelSet};
use tokenpath_scrape::Endpoint;
use tokenpath_scrape::runner::Exporter;
use tokenpath_sim::vllm::{Layout, Release};
use tokenpath_sim::{Config, Running, Server, Traffic, Twin};
use tokenpath_vllm::VllmSource;

use crate::logging;
use crate::run::Failure;
use crate::serve::{self, Common, Serving};

/// Where the demo listens unless told: on this machine only.
const LISTEN: &str = "127.0.0.1:9410";

/// The twin's virtual time before the demo starts, so that its first page has something to show.
const WARM_UP_SECONDS: f64 = 60.0;

/// Show it all working: simulated engines and the exporter in one process.
///
/// Two vLLM servers of different ages are simulated, with requests that arrive, wait, are prefilled,
/// decode and finish. They speak over real HTTP on this machine, each in the names of its release;
/// the exporter reads both and says the same under the same names.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  tokenpath demo
  tokenpath demo --vllm.release 0.6.6-v0 --seed 7
Then: curl -s localhost:9410/metrics | grep time_to_first_token")]
pub struct Arguments {
    /// A release that a simulated server speaks as. May be repeated.
    #[arg(long = "vllm.release", value_name = "RELEASE", value_parser = release, default_values = ["0.33.0", "0.8.5-v0"], help_heading = "Twin")]
    releases: Vec<Release>,
    /// Where everything random in the simulation comes from.
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Twin")]
    seed: u64,
    /// Seconds that pass in the simulation for each real one.
    #[arg(
        long,
        value_name = "FACTOR",
        default_value_t = 1.0,
        help_heading = "Twin"
    )]
    speed: f64,
    #[command(flatten)]
    common: Common,
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

/// Models of the simulated servers: names that say what they are.
const MODELS: [&str; 3] = ["demo-llama-8b", "demo-qwen-14b", "demo-mistral-7b"];

/// Runs the command until SIGTERM or SIGINT.
///
/// # Errors
///
/// Where an address cannot be bound.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    logging::start(&arguments.common.log);
    serve::runtime()?.block_on(async {
        let mut twins = Vec::new();
        let mut exporter = Exporter::new();
        for (index, release) in arguments.releases.iter().enumerate() {
            let twin = start_twin(arguments, index, *release).await?;
            let endpoint: Endpoint = format!("http://{}", twin.local_addr())
                .parse()
                .map_err(Failure::runtime)?;
            let source = VllmSource::new(endpoint, arguments.common.scrape.page_source());
            let options = arguments.common.scrape.source();
            let node = format!("demo-{}", index + 1);
            let labels = LabelSet::new(
                [("node", node.as_str())]
                    .into_iter()
                    .chain(options.labels.iter()),
            );
            exporter.add(
                BoxSource::new(source.map_err(Failure::runtime)?),
                options.labels(labels),
            );
            twins.push((release.name(), twin));
        }
        let serving = Serving::bind(
            exporter,
            &arguments.common.web,
            LISTEN,
            arguments.common.scrape.timeout,
        )
        .await?;
        println!("{}", introduction(&serving.url, &twins));
        serving.until(serve::stop_signal()?).await;
        for (_, twin) in twins {
            twin.stop().await;
        }
        Ok(())
    })
}

/// Starts a simulated server on a free port of this machine.
async fn start_twin(
    arguments: &Arguments,
    index: usize,
    release: Release,
) -> Result<Running, Failure> {
    let config = Config {
        seed: arguments.seed.wrapping_add(index as u64),
        model_name: MODELS[index % MODELS.len()].to_owned(),
        // The first server shows how data-parallel engines stay apart.
        engines: if index == 0 && Layout::of(release).check(&two_engines()).is_ok() {
            2
        } else {
            1
        },
        traffic: Traffic {
            arrivals_per_second: 10.0,
            ..Traffic::default()
        },
        ..Config::default()
    };
    let mut twin = Twin::new(config).map_err(Failure::runtime)?;
    twin.advance(WARM_UP_SECONDS);
    let server = Server::new(twin, Layout::of(release)).speed(arguments.speed);
    server.bind("127.0.0.1:0").await.map_err(Failure::runtime)
}

fn two_engines() -> Config {
    Config {
        engines: 2,
        ..Config::default()
    }
}

/// What is where, and what to try.
fn introduction(url: &str, twins: &[(&'static str, Running)]) -> String {
    let mut text = String::from("Tokenpath demo: simulated engines, real metrics.\n\n");
    for (release, twin) in twins {
        let at = twin.local_addr();
        text += &format!(
            "  twin=http://{at}  speaks as vLLM {release} (/metrics; what really happened: /debug/truth)\n"
        );
    }
    text += &format!(
        "  page={url}\n\n\
         Try:  curl -s {url} | grep llm_time_to_first_token_seconds_count\n\
         Stop: Ctrl-C"
    );
    text
}
