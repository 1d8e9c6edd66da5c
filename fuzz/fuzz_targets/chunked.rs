//! A page in pieces against the whole page. The first byte says the options, the second how the The check is an ordinary test's too.
#![no_main]

#[path = "../../crates/core/tests/fuzzed/chunked.rs"]
mod check;
#[path = "../../crates/core/tests/fuzzed/options.rs"]
mod options;

libfuzzer_sys::fuzz_target!(|input: &[u8]| check::check(input));
