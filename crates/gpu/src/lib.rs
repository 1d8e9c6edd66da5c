//! NVIDIA GPUs as a Tokenpath source.
//!
//! [`GpuSource`] samples the GPUs of this machine through NVIDIA's management library (NVML), on one
//! thread of its own, and hands the newest sample to whoever serves a page. The library is found when
//! the program runs: this crate builds, starts and passes its tests without a GPU or a driver.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use tokenpath_core::Snapshot;
//! use tokenpath_gpu::{GpuSource, Options, host_name};
//!
//! let gpus = GpuSource::spawn(&host_name(), Options::default())?;
//! gpus.wait_first(Duration::from_secs(1));
//!
//! let mut page = Snapshot::new();
//! match gpus.copy_newest(&mut page) {
//!     Ok(()) => println!("{} series", page.shape().series_count()),
//!     Err(error) => eprintln!("{error}"), // "driver: cannot open the NVIDIA driver: …; load …"
//! }
//! # Ok::<(), tokenpath_gpu::StartError>(())
//! ```
//!
//! # What it is
//!
//! - [`families`]: what is on the page, and from which NVML number with which factor. Base units; what
//!   a card or driver does not know is absent.
//! - [`bound`]: what limits a GPU, memory or arithmetic, from hardware counters.
//! - [`device`]: the port to a driver. [`nvml`] is the real one, [`fake`] one in memory.
//! - [`Options`]: period, library, processes, MIG, thresholds.
//!
//! # How it fails
//!
//! A driver call can block for ever. All calls are made by one thread, so a hanging driver costs that
//! thread and nothing else: pages are served as fast as ever, after two periods without values but
//! with `gpu_driver_up` 0 and the age of the last sample. A lost GPU is `gpu_up` 0 and leaves the
//! others alone. Everything is kept by UUID, so nothing moves to another GPU when indices do. A missing
//! driver is [`Reason::Driver`](tokenpath_core::Reason::Driver) with what to do about it, and is tried
//! again with growing waits up to a minute. A crash *inside* the driver library ends the process:
//! nothing in the same process can prevent that.
//!
//! # What it is not
//!
//! It changes no setting of a GPU, needs no root, starts no `nvidia-smi`, and is no replacement for
//! DCGM's profiling on cards before Hopper, which have no such counters in NVML. It knows NVIDIA only.
//! It needs no runtime: [`Source::collect`](tokenpath_core::Source::collect) never waits.
//!
//! # Unsafe code
//!
//! One module, `nvml::raw`, calls functions of the C library that nvml-wrapper lacks; its contract is
//! stated at its top.
//!
//! MSRV: the toolchain named in the workspace, 1.95.

pub mod bound;
pub mod device;
pub mod fake;
pub mod families;
pub mod nvml;
mod options;
mod page;
mod process;
mod sample;
mod sampler;
mod source;
mod throttle;

pub use options::{Options, OptionsError};
pub use source::{GpuSource, KIND, StartError, host_name};
