//! Snapshots to pages and back. The check is an ordinary test's too.
#![no_main]

#[path = "../../crates/core/tests/fuzzed/encoder.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|input: &[u8]| check::check(input));
