//! Any bytes as a page of the text formats. The check is an ordinary test's too.
#![no_main]

#[path = "../../crates/core/tests/fuzzed/text.rs"]
mod check;
#[path = "../../crates/core/tests/fuzzed/page.rs"]
mod page;

libfuzzer_sys::fuzz_target!(|input: &[u8]| check::check(input));
