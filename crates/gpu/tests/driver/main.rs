//! The whole crate on a fake driver library: numbers, and every way a driver fails.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "tests compare exact numbers"
)]

#[path = "../common/mod.rs"]
mod common;

mod failing;
mod library;
mod links;
mod mig;
mod numbers;
mod processes;
mod source;
mod xid;
