//! The token-path model, and the text formats it is read from and written to.
//!
//! No sockets, no runtime, no clock, no log.

pub mod exposition;
mod family;
pub mod rollup;

pub use family::{Desc, MetricType, Unit};
