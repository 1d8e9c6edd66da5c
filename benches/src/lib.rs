//! What the benches share: pages, and races whose runners alternate.

pub mod race;
