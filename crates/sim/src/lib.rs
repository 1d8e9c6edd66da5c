//! A digital twin.
mod config;
mod edges;
mod engine;
mod kv;
mod observed;
mod random;
mod server;
mod truth;
mod truth_json;
mod twin;
pub mod vllm;
pub use config::*;
pub use observed::*;
pub use server::*;
pub use truth::*;
pub use twin::*;
