//! A layout memory against a full parse. The check is an ordinary test's too.
#![no_main]

#[path = "../../crates/core/tests/fuzzed/layout.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|input: &[u8]| check::check(input));
