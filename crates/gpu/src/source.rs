//! The source: the newest sample as a snapshot.

use std::sync::Arc;
use std::time::Duration;

use tokenpath_core::{CollectError, Desc, Reason, Snapshot, Source, SourceId};

use crate::device::Driver;
use crate::families::families;
use crate::nvml::Nvml;
use crate::options::{Options, OptionsError};
use crate::page;
use crate::sampler::{Latest, Sampler};

/// The GPUs of this machine as a [`Source`].
///
/// It owns one thread, which begins to sample when the source is made and ends when it is dropped.
/// `collect` copies the newest sample: it takes microseconds, makes no driver call, needs no runtime,
/// and allocates nothing once the set of series stands.
///
/// - No driver: `collect` fails with [`Reason::Driver`] and what to do. It is tried again, less and
///   less often, for ever.
/// - The driver hangs: from two periods on all values are absent; `gpu_driver_up` is 0, `gpu_up` of
///   each GPU too, and `gpu_sample_age_seconds` grows.
/// - A GPU is lost: its `gpu_up` is 0 and its values are absent; the others stay.
///
/// ```
/// use std::time::Duration;
/// use tokenpath_core::{Reason, Snapshot, Source};
/// use tokenpath_gpu::{GpuSource, Options};
///
/// let mut options = Options::default();
/// options.library = Some("/no/such/libnvidia-ml.so.1".into());
/// let gpus = GpuSource::spawn("node-7", options)?;
/// gpus.wait_first(Duration::from_secs(5));
///
/// let mut page = Snapshot::new();
/// # fn block_on<F: Future>(f: F) -> F::Output {
/// #     let mut f = std::pin::pin!(f);
/// #     let mut context = std::task::Context::from_waker(std::task::Waker::noop());
/// #     loop { if let std::task::Poll::Ready(it) = f.as_mut().poll(&mut context) { return it } }
/// # }
/// let error = block_on(gpus.collect(&mut page)).unwrap_err();
/// assert_eq!(error.reason(), Reason::Driver);
/// # Ok::<(), tokenpath_gpu::StartError>(())
/// ```
#[derive(Debug)]
pub struct GpuSource {
    id: SourceId,
    sampler: Sampler,
    period: Duration,
}

/// The label `backend` of all series.
pub const KIND: &str = "gpu";

/// Why a source could not be made. A missing driver is no such reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An option makes no sense.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The operating system gave no thread.
    #[error("cannot start the sampling thread")]
    Thread(#[source] std::io::Error),
}

impl GpuSource {
    /// Starts to sample the GPUs of this machine by NVML. `target` names the machine in the label
    /// `target`: its host name, see [`host_name`].
    ///
    /// # Errors
    ///
    /// Where an option makes no sense or no thread can be started.
    pub fn spawn(target: &str, options: Options) -> Result<Self, StartError> {
        let nvml = options.library.clone().map_or_else(Nvml::new, Nvml::at);
        Self::with_driver(target, options, nvml)
    }

    /// As [`spawn`](Self::spawn), with another driver.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn).
    pub fn with_driver(
        target: &str,
        options: Options,
        driver: impl Driver,
    ) -> Result<Self, StartError> {
        options.check()?;
        let period = options.period;
        Ok(Self {
            id: SourceId::new(KIND, target),
            sampler: Sampler::spawn(options, Box::new(driver)).map_err(StartError::Thread)?,
            period,
        })
    }

    /// Blocks until the first sample is there or the driver has failed, at most so long; true if so.
    /// For programs that would rather begin with a page than without one.
    pub fn wait_first(&self, timeout: Duration) -> bool {
        self.sampler.wait_first(timeout)
    }

    /// Copies what is newest into `out`: [`Source::collect`] without the future.
    ///
    /// # Errors
    ///
    /// [`Reason::Driver`] without a driver or when it does not come up, [`Reason::Busy`] before the
    /// first sample, [`Reason::Internal`] if the thread panicked.
    pub fn copy_newest(&self, out: &mut Snapshot) -> Result<(), CollectError> {
        let (latest, since) = self.sampler.latest();
        let overdue = self.period * 2;
        match latest {
            Latest::Sample(sample) => {
                let age = sample.taken.elapsed();
                if age > overdue {
                    page::write_stale(&sample, age, out);
                } else {
                    page::write(&sample, age, out);
                }
                Ok(())
            }
            Latest::Failed(error) => Err(CollectError::new(Reason::Driver, (*error).clone())),
            Latest::Starting if since.elapsed() <= overdue => Err(CollectError::new(
                Reason::Busy,
                "the first sample is under way; the next scrape will have it",
            )),
            Latest::Starting => Err(CollectError::new(
                Reason::Driver,
                format!(
                    "the NVIDIA driver has not answered for {} s; see the kernel log (dmesg)",
                    since.elapsed().as_secs()
                ),
            )),
            Latest::Panicked => Err(CollectError::new(
                Reason::Internal,
                "the sampling thread panicked; restart the exporter",
            )),
        }
    }
}

impl Source for GpuSource {
    fn id(&self) -> &SourceId {
        &self.id
    }

    fn describe(&self) -> &[Arc<Desc>] {
        families()
    }

    async fn collect(&self, out: &mut Snapshot) -> Result<(), CollectError> {
        self.copy_newest(out)
    }
}

/// The name of this machine, for the label `target`; `local` where it has none.
#[must_use]
pub fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "local".to_owned())
}
