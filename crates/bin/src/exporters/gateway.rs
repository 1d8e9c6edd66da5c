//! `gateway-exporter`: reads endpoint pickers of three generations, speaks the canonical names.

use std::process::ExitCode;

use clap::Parser;
use tokenpath_cli::cli::Common;
use tokenpath_cli::kinds::Gateway;
use tokenpath_cli::run;
use tokenpath_cli::serve::OneKind;

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

const PROGRAM: OneKind = OneKind {
    kind: "gateway",
    usual: Some("http://localhost:9090"),
    listen: ":9404",
};

fn main() -> ExitCode {
    let arguments: Arguments = run::arguments(
        "gateway-exporter --gateway.endpoint https://epp:9090 --gateway.bearer-token-file /run/secrets/token --gateway.ca-file ca.pem",
    );
    run::exit(PROGRAM.serve(|overlay| {
        arguments.common.say(overlay);
        arguments.gateway.say(overlay);
    }))
}
