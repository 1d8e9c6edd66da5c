//! What the binaries of this package share: arguments, logging, the list of backends, and the
//! wiring of sources to the `/metrics` service. The work itself is done in the library crates.

pub mod backends;
pub mod cli;
pub mod demo;
pub mod explain;
mod gpu_twin;
pub mod lint;
pub mod logging;
pub mod metrics;
pub mod parse;
pub mod run;
pub mod serve;
pub mod sources;
pub mod translate;
