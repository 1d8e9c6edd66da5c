//! `gpu-exporter`: reads NVIDIA GPUs by NVML, speaks the canonical names.

use std::process::ExitCode;

use clap::Parser;
use tokenpath_cli::gpu::Gpu;
use tokenpath_cli::run;
use tokenpath_cli::serve::{Common, export};

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

/// Where it listens unless told.
const LISTEN: &str = ":9400";

fn main() -> ExitCode {
    let arguments: Arguments =
        run::arguments("gpu-exporter --nvml.library /usr/local/nvidia/lib64/libnvidia-ml.so.1");
    let sources = arguments.gpu.source().map(|source| vec![source]);
    run::exit(sources.and_then(|sources| export(sources, &arguments.common, LISTEN)))
}
