//! stub
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
