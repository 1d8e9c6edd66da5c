//! Every implementation of the line scanner against the plain one. The first byte says the options. The check is an ordinary test's too.
#![no_main]

#[path = "../../crates/core/tests/fuzzed/variants.rs"]
mod check;
#[path = "../../crates/core/tests/fuzzed/options.rs"]
mod options;

libfuzzer_sys::fuzz_target!(|input: &[u8]| check::check(input));
