//! Placeholder until the fake driver stands.
fn main() {}
