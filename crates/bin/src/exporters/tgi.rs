//! `tgi-exporter`: reads Hugging Face TGI servers, speaks the canonical names.

use std::process::ExitCode;

use clap::Parser;
use tokenpath_cli::cli::Common;
use tokenpath_cli::kinds::Tgi;
use tokenpath_cli::run;
use tokenpath_cli::serve::OneKind;

/// Reads the metrics of TGI servers and serves them under names that stay.
#[derive(Debug, Parser)]
#[command(name = "tgi-exporter", version, max_term_width = 100, after_help = EXAMPLES)]
struct Arguments {
    #[command(flatten)]
    tgi: Tgi,
    #[command(flatten)]
    common: Common,
}

const EXAMPLES: &str = "\
Beside a TGI server on its usual port:
  tgi-exporter
Another address:
  tgi-exporter --tgi.endpoint http://10.0.0.7:3000";

const PROGRAM: OneKind = OneKind {
    kind: "tgi",
    usual: Some("http://localhost:8080"),
    listen: ":9402",
};

fn main() -> ExitCode {
    let arguments: Arguments = run::arguments("tgi-exporter --tgi.endpoint http://10.0.0.7:3000");
    run::exit(PROGRAM.serve(|overlay| {
        arguments.common.say(overlay);
        arguments.tgi.say(overlay);
    }))
}
