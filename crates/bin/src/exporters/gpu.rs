//! `gpu-exporter`: reads NVIDIA GPUs by NVML, speaks the canonical names.

use std::process::ExitCode;

use clap::Parser;
use tokenpath_cli::cli::Common;
use tokenpath_cli::kinds::Gpu;
use tokenpath_cli::run;
use tokenpath_cli::serve::OneKind;

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

const PROGRAM: OneKind = OneKind {
    kind: "gpu",
    usual: None,
    listen: ":9400",
};

fn main() -> ExitCode {
    let arguments: Arguments =
        run::arguments("gpu-exporter --nvml.library /usr/local/nvidia/lib64/libnvidia-ml.so.1");
    run::exit(PROGRAM.serve(|overlay| {
        arguments.common.say(overlay);
        overlay.section("gpu-exporter", "gpu");
        arguments.gpu.say(overlay);
    }))
}
