//! `limitador-exporter`: reads Limitador's page and admin API, speaks the canonical names.

use std::process::ExitCode;

use clap::Parser;
use tokenpath_cli::cli::Common;
use tokenpath_cli::configure::{Overlay, environment_of};
use tokenpath_cli::kinds::Limitador;
use tokenpath_cli::{run, serve};

/// Reads what Limitador counts and allows, tenant by tenant, and serves it under names that stay.
#[derive(Debug, Parser)]
#[command(name = "limitador-exporter", version, max_term_width = 100, after_help = EXAMPLES)]
struct Arguments {
    #[command(flatten)]
    limitador: Limitador,
    #[command(flatten)]
    common: Common,
}

const EXAMPLES: &str = "\
Tenants are named by the label user, hits are tokens:
  limitador-exporter --limitador.endpoint http://limitador:8080 --limitador.tenant user --limitador.token-namespace '*'
Keys are shown as hashes:
  limitador-exporter --limitador.endpoint http://limitador:8080 --limitador.tenant api_key --limitador.tenant-key-file /run/secrets/key";

/// Where it listens unless told.
const LISTEN: &str = ":9403";

/// What it reads unless told.
const USUAL: &str = "http://localhost:8080";

fn main() -> ExitCode {
    let arguments: Arguments = run::arguments(
        "limitador-exporter --limitador.endpoint http://limitador:8080 --limitador.tenant api_key --limitador.tenant-key-file /run/secrets/key",
    );
    let mut flags = Overlay::new();
    arguments.common.say(&mut flags);
    arguments.limitador.say(&mut flags);
    let mut usual = Overlay::new();
    usual.endpoints("the usual endpoint", "limitador", [USUAL]);
    let told = flags.over(environment_of("limitador")).over(usual);
    run::exit(serve::export(told, None, LISTEN))
}
