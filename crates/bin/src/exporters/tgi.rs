//! `tgi-exporter`: reads Hugging Face TGI servers, speaks the canonical names.

use std::process::ExitCode;

use clap::Parser;
use tokenpath_cli::cli::Common;
use tokenpath_cli::configure::{Overlay, environment};
use tokenpath_cli::kinds::Tgi;
use tokenpath_cli::{run, serve};

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

/// What it reads.
const KIND: Option<&str> = Some("tgi");
/// Where it listens unless told.
const LISTEN: &str = ":9402";

/// Of which server, unless told.
const USUAL: &str = "http://localhost:8080";

fn main() -> ExitCode {
    let arguments: Arguments = run::arguments("tgi-exporter --tgi.endpoint http://10.0.0.7:3000");
    let mut flags = Overlay::new();
    arguments.common.say(&mut flags);
    arguments.tgi.say(&mut flags);
    let mut usual = Overlay::new();
    usual.endpoints("the usual endpoint", "tgi", [USUAL]);
    let told = flags.over(environment(KIND)).over(usual);
    run::exit(serve::export(told, KIND, None, LISTEN))
}
