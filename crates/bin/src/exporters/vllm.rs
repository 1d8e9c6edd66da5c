//! `vllm-exporter`: reads vLLM servers of any release, speaks the canonical names.

use std::process::ExitCode;

use clap::Parser;
use tokenpath_cli::cli::Common;
use tokenpath_cli::kinds::Vllm;
use tokenpath_cli::run;
use tokenpath_cli::serve::OneKind;

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

const PROGRAM: OneKind = OneKind {
    kind: "vllm",
    usual: Some("http://localhost:8000"),
    listen: ":9401",
};

fn main() -> ExitCode {
    let arguments: Arguments = run::arguments(
        "vllm-exporter --vllm.endpoint https://llm.example --scrape.bearer-token-file /run/secrets/token",
    );
    run::exit(PROGRAM.serve(|overlay| {
        arguments.common.say(overlay);
        arguments.vllm.say(overlay);
    }))
}
