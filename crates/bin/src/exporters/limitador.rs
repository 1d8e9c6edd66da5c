//! `limitador-exporter`: reads Limitador's page and admin API, speaks the canonical names.

use std::process::ExitCode;

use clap::Parser;
use tokenpath_cli::cli::Common;
use tokenpath_cli::kinds::Limitador;
use tokenpath_cli::run;
use tokenpath_cli::serve::OneKind;

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

const PROGRAM: OneKind = OneKind {
    kind: "limitador",
    usual: Some("http://localhost:8080"),
    listen: ":9403",
};

fn main() -> ExitCode {
    let arguments: Arguments = run::arguments(
        "limitador-exporter --limitador.endpoint http://limitador:8080 --limitador.tenant api_key --limitador.tenant-key-file /run/secrets/key",
    );
    run::exit(PROGRAM.serve(|overlay| {
        arguments.common.say(overlay);
        arguments.limitador.say(overlay);
    }))
}
