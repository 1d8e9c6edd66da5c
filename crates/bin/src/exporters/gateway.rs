//! `gateway-exporter`: reads endpoint pickers of three generations, speaks the canonical names.

use std::process::ExitCode;

use clap::Parser;
use tokenpath_cli::cli::Common;
use tokenpath_cli::configure::{Overlay, environment};
use tokenpath_cli::kinds::Gateway;
use tokenpath_cli::{run, serve};

/// Reads the metrics of endpoint pickers (Gateway API inference extension, llm-d) and serves them under names that stay.
#[derive(Debug, Parser)]
#[command(name = "gateway-exporter", version, max_term_width = 100, after_help = EXAMPLES)]
struct Arguments {
    #[command(flatten)]
    gateway: Gateway,
    #[command(flatten)]
    common: Common,
}

const EXAMPLES: &str = "\
In a pod whose account may get /metrics:
  gateway-exporter --gateway.endpoint http://epp:9090 --gateway.kubernetes-token
With a token from a file:
  gateway-exporter --gateway.endpoint https://epp:9090 --gateway.bearer-token-file /run/secrets/token --gateway.ca-file ca.pem";

/// What it reads.
const KIND: Option<&str> = Some("gateway");
/// Where it listens unless told.
const LISTEN: &str = ":9404";

/// Of which server, unless told.
const USUAL: &str = "http://localhost:9090";

fn main() -> ExitCode {
    let arguments: Arguments = run::arguments(
        "gateway-exporter --gateway.endpoint https://epp:9090 --gateway.bearer-token-file /run/secrets/token --gateway.ca-file ca.pem",
    );
    let mut flags = Overlay::new();
    arguments.common.say(&mut flags);
    arguments.gateway.say(&mut flags);
    let mut usual = Overlay::new();
    usual.endpoints("the usual endpoint", "gateway", [USUAL]);
    let told = flags.over(environment(KIND)).over(usual);
    run::exit(serve::export(told, KIND, None, LISTEN))
}
