//! Tokenpath.
fn main() {}
