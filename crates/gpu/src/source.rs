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

    /// Takes a sample out of turn, of what hardly changes too, and blocks until it is there, at most so
    /// long; true if it was begun after this call. For programs that know when something has changed: a
    /// simulation whose time was let pass, a test. A driver that hangs costs the timeout, one that has
    /// failed nothing. Real GPUs count too slowly to be asked more often than every 100 ms.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tokenpath_core::Snapshot;
    /// use tokenpath_gpu::fake::{FakeDriver, FakeGpu};
    /// use tokenpath_gpu::{GpuSource, Options};
    ///
    /// let driver = FakeDriver::new([FakeGpu::new(0)]);
    /// let gpus = GpuSource::with_driver("twin", Options::default(), driver.clone())?;
    /// driver.change(|machine| machine.gpus[0].load(0.5, 0.9));
    /// assert!(gpus.sample_now(Duration::from_secs(5)));
    ///
    /// let mut page = Snapshot::new();
    /// gpus.copy_newest(&mut page).unwrap();
    /// let labels = [("gpu", "0"), ("uuid", "GPU-00000000-0000-0000-0000-000000000000")];
    /// assert_eq!(page.value("gpu_compute_utilization_ratio", &labels), Some(0.5));
    /// # Ok::<(), tokenpath_gpu::StartError>(())
    /// ```
    pub fn sample_now(&self, timeout: Duration) -> bool {
        self.sampler.sample_now(timeout)
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::device::{CallError, DriverError, Quantity, Session};
    use crate::fake::{FakeDriver, FakeGpu};

    fn options() -> Options {
        Options {
            period: Duration::from_millis(100),
            retry_min: Duration::from_millis(10),
            retry_max: Duration::from_millis(100),
            ..Options::default()
        }
    }

    /// The first value of `gpu_up` that is as wanted.
    fn becomes(source: &GpuSource, up: f64) {
        let uuid = &FakeGpu::new(0).uuid;
        let start = Instant::now();
        loop {
            let mut page = Snapshot::new();
            let read = source.copy_newest(&mut page);
            let fresh = page.value("gpu_driver_up", &[]) == Some(1.0);
            let found = page.value("gpu_up", &[("gpu", "0"), ("uuid", uuid)]);
            if read.is_ok() && fresh && found == Some(up) {
                return;
            }
            assert!(start.elapsed().as_secs() < 30, "{read:?} {found:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_driver_that_panics_is_a_fault_of_ours_and_said_so() {
        struct Panics;
        impl Driver for Panics {
            fn open(&mut self, _: &mut dyn FnMut(&mut dyn Session)) -> Result<(), DriverError> {
                panic!("on purpose: a test");
            }
        }
        let source = GpuSource::with_driver("host", options(), Panics).unwrap();
        assert!(source.wait_first(Duration::from_secs(30)));
        let error = source.copy_newest(&mut Snapshot::new()).unwrap_err();
        assert_eq!(error.reason(), Reason::Internal);
    }

    #[test]
    fn a_lost_gpu_is_looked_for_by_opening_the_driver_anew() {
        /// Finds its GPU again only when it is opened.
        struct Forgetful(FakeDriver);
        impl Driver for Forgetful {
            fn open(&mut self, work: &mut dyn FnMut(&mut dyn Session)) -> Result<(), DriverError> {
                self.0.change(|machine| machine.gpus[0].error = None);
                self.0.open(work)
            }
        }
        let driver = FakeDriver::new([FakeGpu::new(0)]);
        let options = Options {
            retry_max: Duration::from_millis(500),
            ..options()
        };
        let source = GpuSource::with_driver("host", options, Forgetful(driver.clone())).unwrap();
        becomes(&source, 1.0);
        driver.change(|machine| machine.gpus[0].error = Some(CallError::GpuLost));
        becomes(&source, 0.0);
        becomes(&source, 1.0);
    }

    #[test]
    fn a_sample_out_of_turn_shows_what_has_just_changed() {
        let driver = FakeDriver::new([FakeGpu::new(0)]);
        let options = Options {
            period: Duration::from_secs(3600),
            standing_period: Duration::from_secs(3600),
            ..Options::default()
        };
        let source = GpuSource::with_driver("host", options, driver.clone()).unwrap();
        assert!(source.wait_first(Duration::from_secs(30)));
        for number in 1..=50 {
            let watts = f64::from(number);
            driver.change(|machine| {
                let reading = &mut machine.gpus[0].reading;
                reading.numbers.put(Quantity::Power, 1e3 * watts);
                let standing = reading.standing.as_mut().unwrap();
                standing.numbers.put(Quantity::PowerLimit, 2e3 * watts);
            });
            assert!(source.sample_now(Duration::from_secs(30)));
            let mut page = Snapshot::new();
            source.copy_newest(&mut page).unwrap();
            let labels = [("gpu", "0"), ("uuid", &*FakeGpu::new(0).uuid)];
            assert_eq!(page.value("gpu_power_watts", &labels), Some(watts));
            let limit = page.value("gpu_power_limit_watts", &labels);
            assert_eq!(
                limit,
                Some(2.0 * watts),
                "limits hardly change, but they may have"
            );
        }
    }

    #[test]
    fn nobody_waits_for_a_driver_that_hangs_or_has_failed() {
        /// Says that it hangs, and does until the sender is gone.
        struct Hangs(std::sync::mpsc::Receiver<()>);
        impl Driver for Hangs {
            fn open(&mut self, _: &mut dyn FnMut(&mut dyn Session)) -> Result<(), DriverError> {
                let _ = self.0.recv();
                Err(DriverError::Init(CallError::DriverNotLoaded))
            }
        }
        let (hanging, hung) = std::sync::mpsc::channel();
        let source = GpuSource::with_driver("host", options(), Hangs(hung)).unwrap();
        assert!(!source.sample_now(Duration::from_millis(20)));
        drop(hanging);
        assert!(source.wait_first(Duration::from_secs(30)));
        let start = Instant::now();
        assert!(!source.sample_now(Duration::from_secs(3600)));
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_driver_that_never_opens_is_tried_less_and_less_often() {
        struct Counts(std::sync::mpsc::Sender<Instant>);
        impl Driver for Counts {
            fn open(&mut self, _: &mut dyn FnMut(&mut dyn Session)) -> Result<(), DriverError> {
                // The test may be over.
                let _ = self.0.send(Instant::now());
                Err(DriverError::Init(CallError::DriverNotLoaded))
            }
        }
        let (sender, attempts) = std::sync::mpsc::channel();
        let source = GpuSource::with_driver("host", options(), Counts(sender)).unwrap();
        let attempts: Vec<_> = attempts.iter().take(7).collect();
        let waits: Vec<_> = attempts.windows(2).map(|pair| pair[1] - pair[0]).collect();
        // 10, 20, 40, 80, 100, 100 ms, or more on a busy machine.
        for (wait, least) in waits.iter().zip([10, 20, 40, 80, 100, 100]) {
            assert!(*wait >= Duration::from_millis(least), "{waits:?}");
        }
        assert_eq!(
            source
                .copy_newest(&mut Snapshot::new())
                .unwrap_err()
                .reason(),
            Reason::Driver
        );
        assert_eq!((source.id().kind(), source.id().target()), ("gpu", "host"));
    }

    #[test]
    fn collecting_never_waits() {
        use std::pin::pin;
        use std::task::{Context, Poll, Waker};

        let driver = FakeDriver::new([FakeGpu::new(0)]);
        let source = GpuSource::with_driver("host", options(), driver).unwrap();
        becomes(&source, 1.0);
        let source = tokenpath_core::BoxSource::new(source);
        let mut page = Snapshot::new();
        let mut collect = pin!(source.collect(&mut page));
        let ready = collect
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(ready, Poll::Ready(Ok(()))), "{ready:?}");
        assert!(source.describe().len() > 50);
    }

    #[test]
    fn the_host_has_a_name() {
        assert!(!host_name().is_empty());
    }
}
