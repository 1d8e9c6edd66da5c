//! `limitador-exporter`: reads Limitador's page and admin API, speaks the canonical names.

use std::process::ExitCode;

use clap::Parser;
use tokenpath_cli::cli::Common;
use tokenpath_cli::configure::{Overlay, environment};
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

/// What it reads.
const KIND: Option<&str> = Some("limitador");
/// Where it listens unless told.
const LISTEN: &str = ":9403";

/// Of which server, unless told.
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
    let told = flags.over(environment(KIND)).over(usual);
    run::exit(serve::export(told, KIND, None, LISTEN))
}
