//! `vllm-exporter`: reads vLLM servers of any release, speaks the canonical names.

use std::process::ExitCode;

use clap::Parser;
use tokenpath_cli::cli::Common;
use tokenpath_cli::configure::{Overlay, environment};
use tokenpath_cli::kinds::Vllm;
use tokenpath_cli::{run, serve};

/// Reads the metrics of vLLM servers, whatever their release, and serves them under names that stay.
#[derive(Debug, Parser)]
#[command(name = "vllm-exporter", version, max_term_width = 100, after_help = EXAMPLES)]
struct Arguments {
    #[command(flatten)]
    vllm: Vllm,
    #[command(flatten)]
    common: Common,
}

const EXAMPLES: &str = "\
Beside a vLLM server on its usual port:
  vllm-exporter
Two servers, and the name of the node on every series:
  vllm-exporter --vllm.endpoint http://10.0.0.7:8000 --vllm.endpoint http://10.0.0.8:8000 --label node=a1
Behind a token:
  vllm-exporter --vllm.endpoint https://llm.example --scrape.bearer-token-file /run/secrets/token";

/// What it reads.
const KIND: Option<&str> = Some("vllm");
/// Where it listens unless told.
const LISTEN: &str = ":9401";

/// Of which server, unless told.
const USUAL: &str = "http://localhost:8000";

fn main() -> ExitCode {
    let arguments: Arguments = run::arguments(
        "vllm-exporter --vllm.endpoint https://llm.example --scrape.bearer-token-file /run/secrets/token",
    );
    let mut flags = Overlay::new();
    arguments.common.say(&mut flags);
    arguments.vllm.say(&mut flags);
    let mut usual = Overlay::new();
    usual.endpoints("the usual endpoint", "vllm", [USUAL]);
    let told = flags.over(environment(KIND)).over(usual);
    run::exit(serve::export(told, KIND, None, LISTEN))
}
