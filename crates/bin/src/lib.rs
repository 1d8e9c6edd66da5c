//! What the binaries of this package share: arguments, the configuration that they and a file come
//! to, logging, the list of backends, and the wiring of sources to the `/metrics` service. The work itself is done in the library crates.

pub mod backends;
pub mod check_config;
pub mod cli;
pub mod configure;
pub mod demo;
pub mod explain;
mod gpu_twin;
pub mod kinds;
pub mod lint;
pub mod logging;
pub mod metrics;
pub mod parse;
pub mod run;
pub mod serve;
pub mod sources;
pub mod translate;
