//! What the benches share: pages, and races whose runners alternate.

pub mod composed;
pub mod made;
pub mod pages;
pub mod race;
