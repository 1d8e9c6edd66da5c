//! `gpu-exporter`: reads NVIDIA GPUs by NVML, speaks the canonical names.

use std::process::ExitCode;

use clap::Parser;
use tokenpath_cli::cli::Common;
use tokenpath_cli::configure::{Overlay, environment};
use tokenpath_cli::kinds::Gpu;
use tokenpath_cli::{run, serve};

/// Reads the NVIDIA GPUs of this machine and serves what they do under names that stay.
#[derive(Debug, Parser)]
#[command(name = "gpu-exporter", version, max_term_width = 100, after_help = EXAMPLES)]
struct Arguments {
    #[command(flatten)]
    gpu: Gpu,
    #[command(flatten)]
    common: Common,
}

const EXAMPLES: &str = "\
On a machine with the NVIDIA driver:
  gpu-exporter
Where the driver's library lies elsewhere:
  gpu-exporter --nvml.library /usr/local/nvidia/lib64/libnvidia-ml.so.1";

/// What it reads.
const KIND: Option<&str> = Some("gpu");
/// Where it listens unless told.
const LISTEN: &str = ":9400";

fn main() -> ExitCode {
    let arguments: Arguments =
        run::arguments("gpu-exporter --nvml.library /usr/local/nvidia/lib64/libnvidia-ml.so.1");
    let mut flags = Overlay::new();
    arguments.common.say(&mut flags);
    flags.section("gpu-exporter", "gpu");
    arguments.gpu.say(&mut flags);
    run::exit(serve::export(
        flags.over(environment(KIND)),
        KIND,
        None,
        LISTEN,
    ))
}
