//! What can be set.

use std::path::PathBuf;
use std::time::Duration;

use crate::bound::BoundThresholds;

/// How the GPUs are read. Every field has a default that suits an exporter.
///
/// ```
/// use std::time::Duration;
/// use tokenpath_gpu::Options;
///
/// let mut options = Options::default();
/// options.period = Duration::from_secs(5);
/// assert_eq!(options.check(), Ok(()));
/// options.period = Duration::from_millis(10);
/// assert!(options.check().is_err());
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// The path of `libnvidia-ml.so.1`. Default: where the dynamic linker finds it.
    pub library: Option<PathBuf>,
    /// Time between two samples. Default one second; at least 100 ms, closer than which the hardware
    /// counters say little.
    pub period: Duration,
    /// Time between two readings of what hardly changes: limits, thresholds, ECC, remapped rows,
    /// link states. Default ten seconds.
    pub standing_period: Duration,
    /// Whether processes are listed. Default true.
    pub processes: bool,
    /// How many processes of a GPU have series of their own: those with the most memory. Default 32.
    pub processes_max: usize,
    /// Whether MIG instances are read. Default true.
    pub mig: bool,
    /// Whether cards that tell their PCIe rates neither by GPM nor by counters of 64 bits are asked
    /// for them: that blocks the sampling thread for 40 ms a card, a quarter of the period at most.
    /// Default true.
    pub pcie_throughput: bool,
    /// Where names and containers of processes are looked up. Default `/proc`.
    pub proc_root: PathBuf,
    /// Where `gpu_bound_state` and `gpu_vram_full_compute_low` draw their lines.
    pub bound: BoundThresholds,
    /// Wait after the first failure to open the driver; doubled each time. Default one second.
    pub retry_min: Duration,
    /// The longest wait between two attempts to open the driver, and how long a lost GPU is waited
    /// for before the driver is opened anew. Default one minute.
    pub retry_max: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            library: None,
            period: Duration::from_secs(1),
            standing_period: Duration::from_secs(10),
            processes: true,
            processes_max: 32,
            mig: true,
            pcie_throughput: true,
            proc_root: PathBuf::from("/proc"),
            bound: BoundThresholds::default(),
            retry_min: Duration::from_secs(1),
            retry_max: Duration::from_secs(60),
        }
    }
}

/// An option that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// The period is outside of its bounds.
    #[error("the sampling period must be from 100 ms to 1 h")]
    Period,
    /// A threshold is no ratio.
    #[error("thresholds of the bound detection must be ratios from 0 to 1")]
    Thresholds,
    /// The waits are zero or the wrong way round.
    #[error("the shortest wait for the driver must be above zero and at most the longest")]
    Retry,
}

impl Options {
    /// Whether all options make sense.
    ///
    /// # Errors
    ///
    /// The first one that does not.
    pub fn check(&self) -> Result<(), OptionsError> {
        let bounds = Duration::from_millis(100)..=Duration::from_secs(3600);
        if !bounds.contains(&self.period) {
            return Err(OptionsError::Period);
        }
        if !self.bound.are_ratios() {
            return Err(OptionsError::Thresholds);
        }
        if self.retry_min.is_zero() || self.retry_min > self.retry_max {
            return Err(OptionsError::Retry);
        }
        Ok(())
    }
}
