//! What the benches share: pages, and races whose runners alternate.

pub mod made;
pub mod pages;
pub mod race;
