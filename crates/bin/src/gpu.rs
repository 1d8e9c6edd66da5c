//! The GPUs of this machine, as arguments and as a source.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use tokenpath_core::BoxSource;
use tokenpath_gpu::bound::BoundThresholds;
use tokenpath_gpu::{GpuSource, Options, host_name};

use crate::cli::seconds;
use crate::run::Failure;

/// The GPUs of this machine.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "GPU")]
pub struct Gpu {
    /// Path of `libnvidia-ml.so.1`, where the system does not find it.
    #[arg(long = "nvml.library", value_name = "FILE")]
    library: Option<PathBuf>,
    /// Time between two samples, in seconds.
    #[arg(long = "gpu.period", value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    period: Duration,
    /// Do not list processes.
    #[arg(long = "gpu.no-processes")]
    no_processes: bool,
    /// Most processes of a GPU with series of their own: those with the most memory.
    #[arg(
        long = "gpu.processes-max",
        value_name = "N",
        default_value_t = Options::default().processes_max,
        conflicts_with = "no_processes"
    )]
    processes_max: usize,
    /// Do not read MIG instances.
    #[arg(long = "gpu.no-mig")]
    no_mig: bool,
    /// Whether to ask cards without PCIe counters (before Hopper) for their PCIe rates. The driver
    /// measures for 40 ms each time, in which nothing else is read.
    #[arg(
        long = "gpu.pcie-throughput",
        value_name = "BOOL",
        default_value_t = true,
        action = ArgAction::Set
    )]
    pcie_throughput: bool,
    /// Where processes are looked up: the host's, if this is a container.
    #[arg(long = "path.procfs", value_name = "FOLDER", default_value = "/proc")]
    procfs: PathBuf,
    #[command(flatten)]
    bound: Bound,
}

/// Where `gpu_bound_state` and `gpu_vram_full_compute_low` draw their lines.
#[derive(Clone, Copy, Debug, Args)]
struct Bound {
    /// Idle below this SM activity and DRAM bandwidth, as ratios of the peak.
    #[arg(
        long = "gpu.bound.idle-below",
        value_name = "RATIO",
        default_value_t = BoundThresholds::default().idle_below,
        value_parser = ratio
    )]
    idle_below: f64,
    /// Bound by memory from this DRAM bandwidth on.
    #[arg(
        long = "gpu.bound.memory-from",
        value_name = "RATIO",
        default_value_t = BoundThresholds::default().memory_from,
        value_parser = ratio
    )]
    memory_from: f64,
    /// Bound by compute from this activity of the busiest pipe on.
    #[arg(
        long = "gpu.bound.compute-from",
        value_name = "RATIO",
        default_value_t = BoundThresholds::default().compute_from,
        value_parser = ratio
    )]
    compute_from: f64,
    /// VRAM above which `gpu_vram_full_compute_low` may hold.
    #[arg(
        long = "gpu.bound.vram-above",
        value_name = "RATIO",
        default_value_t = BoundThresholds::default().vram_above,
        value_parser = ratio
    )]
    vram_above: f64,
    /// Compute utilization below which it may hold.
    #[arg(
        long = "gpu.bound.utilization-below",
        value_name = "RATIO",
        default_value_t = BoundThresholds::default().utilization_below,
        value_parser = ratio
    )]
    utilization_below: f64,
}

impl Gpu {
    /// The arguments as the options of the source.
    #[must_use]
    pub fn options(&self) -> Options {
        let mut options = Options::default();
        options.library.clone_from(&self.library);
        options.period = self.period;
        options.processes = !self.no_processes;
        options.processes_max = self.processes_max;
        options.mig = !self.no_mig;
        options.pcie_throughput = self.pcie_throughput;
        options.proc_root.clone_from(&self.procfs);
        options.bound = BoundThresholds {
            idle_below: self.bound.idle_below,
            memory_from: self.bound.memory_from,
            compute_from: self.bound.compute_from,
            vram_above: self.bound.vram_above,
            utilization_below: self.bound.utilization_below,
        };
        options
    }

    /// The source.
    ///
    /// # Errors
    ///
    /// Where the period makes no sense, or no thread can be started. That there is no driver is no
    /// error here: the source is down until there is one.
    pub fn source(&self) -> Result<BoxSource, Failure> {
        let source = GpuSource::spawn(&host_name(), self.options()).map_err(Failure::usage)?;
        Ok(BoxSource::new(source))
    }
}

/// A ratio from 0 to 1.
fn ratio(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|ratio| (0.0..=1.0).contains(ratio))
        .ok_or_else(|| "must be a ratio from 0 to 1; for instance 0.6".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        gpu: Gpu,
    }

    fn options(arguments: &[&str]) -> Result<Options, clap::Error> {
        let arguments = ["program"].iter().chain(arguments);
        Program::try_parse_from(arguments).map(|program| program.gpu.options())
    }

    #[test]
    fn without_arguments_the_defaults_of_the_source_hold() {
        assert_eq!(options(&[]).unwrap(), Options::default());
    }

    #[test]
    fn every_argument_arrives() {
        let mut expected = Options::default();
        expected.library = Some("/opt/libnvidia-ml.so.1".into());
        expected.period = Duration::from_millis(2500);
        expected.processes_max = 4;
        expected.mig = false;
        expected.pcie_throughput = false;
        expected.proc_root = "/host/proc".into();
        expected.bound = BoundThresholds {
            idle_below: 0.1,
            memory_from: 0.4,
            compute_from: 0.3,
            vram_above: 0.8,
            utilization_below: 0.25,
        };
        let all = "--nvml.library /opt/libnvidia-ml.so.1 --gpu.period 2.5 --gpu.processes-max 4 \
                   --gpu.no-mig --gpu.pcie-throughput false --path.procfs /host/proc \
                   --gpu.bound.idle-below 0.1 --gpu.bound.memory-from 0.4 --gpu.bound.compute-from 0.3 \
                   --gpu.bound.vram-above 0.8 --gpu.bound.utilization-below 0.25";
        let all: Vec<&str> = all.split_whitespace().collect();
        assert_eq!(options(&all).unwrap(), expected);
        assert!(!options(&["--gpu.no-processes"]).unwrap().processes);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_what_would() {
        for (arguments, hint) in [
            (["--gpu.bound.memory-from", "60"], "a ratio from 0 to 1"),
            (["--gpu.bound.vram-above", "NaN"], "a ratio from 0 to 1"),
            (["--gpu.pcie-throughput", "maybe"], "true, false"),
            (["--gpu.processes-max", "few"], "--gpu.processes-max"),
        ] {
            let error = options(&arguments).unwrap_err().to_string();
            assert!(error.contains(hint), "{error}");
        }
        let both = ["--gpu.no-processes", "--gpu.processes-max", "3"];
        assert!(options(&both).is_err());
    }
}
